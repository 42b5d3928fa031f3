"""Reports: the health of every modality, row by row."""

import numpy as np
import pandas as pd

from sklearn_emma.corruption.base import is_number
from sklearn_emma.inspection.causes import blame_columns
from sklearn_emma.inspection.checks import check_gated, open_up
from sklearn_emma.inspection.page import write_page

#: How many times as far as a typical failure of the training an energy is one in any case.
_FAR = 4
_FIELDS = ("energy", "percentile", "importance", "attention", "failing")


class ModalityReport(pd.DataFrame):
    """What :func:`modality_report` returns: a DataFrame that can also be written as a page.

    What is taken out of it, and its copies, are DataFrames like any other.

    Attributes
    ----------
    summary : DataFrame of shape (n_modalities, 6)
        A line per modality: shares of rows in which it is failing and missing, mean attention,
        median and largest energy, and median percentile.
    worst : DataFrame of shape (n_worst, 5)
        The rows of highest total energy, the highest first: ``prediction``, ``total_energy``, the
        ``modality`` that is worst, the ``reason`` ("unusual values", "does not fit the others",
        "gaps" or "missing"), and the ``columns`` to blame with their shares; none where the
        modality is usual by itself and only does not fit the others.
    gate : dict
        ``gain``, ``bias`` and ``capacity`` of the gate, and as DataFrames ``coupling_weight`` and
        ``coupling_degree``.
    """

    _metadata = ["summary", "worst", "gate", "_positions"]

    def to_html(self, buf=None, *, title="Health of the modalities"):
        """Write one page that needs nothing else, neither network nor files.

        It shows the health of the modalities over the order of the rows, the worst rows with the
        columns to blame, to be sorted and filtered, the coupling, and the capacity.

        Parameters
        ----------
        buf : str, path or object with ``write``, default=None
            Where to write. None returns the page.
        title : str, default="Health of the modalities"
            Title of the page.

        Returns
        -------
        str or None
            The page, if there is nowhere to write it.
        """
        page = write_page(self, title)
        if buf is None:
            return page
        if hasattr(buf, "write"):
            buf.write(page)
        else:
            with open(buf, "w", encoding="utf-8") as file:
                file.write(page)
        return None


def modality_report(estimator, X, *, reference=None, threshold=0.5, n_worst=200):
    r"""Report on the health of every modality of every row.

    A modality is *failing* where the gate pays it less attention than `threshold`, which includes
    missing ones, or where its energy is more than four times as far above those of intact training
    rows as that of a typical failure of the training. The latter is what tells that all modalities
    fail together, which leaves the gate none to prefer.

    Parameters
    ----------
    estimator : EMMAClassifier or EMMARegressor
        Fitted; may be the last step of a Pipeline, or in a search.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Rows, in the order of time if they have one. The report has the index of a pandas DataFrame.
    reference : array-like or DataFrame of shape (n_reference, n_features), default=None
        Intact rows, usually the training rows, whose energies give the percentiles. The estimator
        does not keep them: without `reference` percentiles are NaN.
    threshold : float, default=0.5
        Attention, between 0 and 1, below which a modality counts as failing.
    n_worst : int, default=200
        How many rows are explained in ``worst``.

    Returns
    -------
    ModalityReport of shape (n_samples, 5 * n_modalities + 1 + n_outputs)
        A DataFrame. Its columns are a MultiIndex: below the name of each modality ``energy``,
        infinite where the modality is missing; ``percentile``, the percentage of reference rows of
        lower energy; ``importance``; ``attention``; and ``failing``. Then follow ``total_energy``
        and ``prediction``, below which stands nothing, or the number of the output where there are
        several.

    Raises
    ------
    TypeError
        If the estimator has no gate.
    ValueError
        If `threshold` or `n_worst` is out of range.

    See Also
    --------
    AttentionDisplay : The attention as a picture.
    sklearn_emma.DAEEnergyScorer.attribution : How blame is divided among columns.

    Examples
    --------
    >>> from sklearn_emma import DAEEnergyScorer, EMMAClassifier
    >>> from sklearn_emma.corruption import Noise
    >>> from sklearn_emma.datasets import make_multimodal_classification
    >>> from sklearn_emma.inspection import modality_report
    >>> X, y = make_multimodal_classification(300, random_state=0, return_X_y=True)
    >>> clf = EMMAClassifier(
    ...     "prefix", energy=DAEEnergyScorer(max_epochs=10), max_epochs=10, random_state=0
    ... ).fit(X, y)
    >>> X_noisy, _ = Noise(8, only="modality1").corrupt(X, "prefix", random_state=0)
    >>> report = modality_report(clf, X_noisy, reference=X)
    >>> report["modality1"].columns.tolist()
    ['energy', 'percentile', 'importance', 'attention', 'failing']
    >>> report.summary["failing"].idxmax(), report.worst["modality"].iloc[0]
    ('modality1', 'modality1')
    >>> page = report.to_html()
    """
    whole = estimator
    estimator, rows = open_up(whole, X)
    check_gated(estimator, "modality_report")
    if not is_number(threshold) or not 0 <= threshold <= 1:
        raise ValueError(f"threshold={threshold!r} must be a number from 0 to 1.")
    if not is_number(n_worst) or int(n_worst) != n_worst or n_worst < 0:
        raise ValueError(f"n_worst={n_worst!r} must be an integer that is not negative.")
    energies, gate = estimator.energies(rows), estimator._gate()
    state = {
        "importance": estimator._apply(lambda psi: gate.state(psi).importance, energies),
        "attention": estimator._apply(gate, energies),
    }
    usual, typical = estimator.potential_min_, estimator.potential_max_
    fields = {
        "energy": energies,
        "percentile": _percentiles(estimator, energies, whole, reference),
        **state,
        "failing": (state["attention"] < threshold) | (energies > usual + _FAR * (typical - usual)),
    }
    total = estimator._apply(gate.total_energy, energies)
    prediction = np.asarray(whole.predict(X))
    index = getattr(X, "index", None)
    index = index if isinstance(index, pd.Index) else pd.RangeIndex(len(energies))
    report = _assemble(estimator.modality_names_, fields, total, prediction, index)
    worst = np.argsort(-total, kind="stable")[: int(n_worst)]
    _add_summary(report, estimator.modality_names_, fields)
    _add_worst(report, estimator, rows, worst, total, prediction)
    _add_gate(report, estimator)
    return report


def _percentiles(estimator, energies, whole, reference):
    """Return percentages of reference rows of lower energy, NaN where there are none."""
    if reference is None:
        return np.full_like(energies, np.nan)
    usual = np.sort(estimator.energies(open_up(whole, reference)[1]), axis=0)
    below = [np.searchsorted(u, e) for u, e in zip(usual.T, energies.T, strict=True)]
    return 100.0 * np.column_stack(below) / len(usual)


def _assemble(names, fields, total, prediction, index):
    """Put everything side by side."""
    columns = {
        (name, field): fields[field][:, i] for i, name in enumerate(names) for field in _FIELDS
    }
    columns["total_energy", ""] = total
    if prediction.ndim == 1:
        columns["prediction", ""] = prediction
    else:
        columns |= {("prediction", j): values for j, values in enumerate(prediction.T)}
    labels = pd.MultiIndex.from_tuples(columns, names=["modality", "quantity"])
    report = ModalityReport(dict(enumerate(columns.values())), index=index)
    report.columns = labels
    return report


def _add_summary(report, names, fields):
    energies = np.where(np.isinf(fields["energy"]), np.nan, fields["energy"])
    energies, percentiles = pd.DataFrame(energies), pd.DataFrame(fields["percentile"])
    report.summary = pd.DataFrame(
        {
            "failing": fields["failing"].mean(axis=0),
            "missing": np.isinf(fields["energy"]).mean(axis=0),
            "mean_attention": fields["attention"].mean(axis=0),
            "median_energy": energies.median().to_numpy(),
            "largest_energy": energies.max().to_numpy(),
            "median_percentile": percentiles.median().to_numpy(),
        },
        index=pd.Index(names, name="modality"),
    )


def _add_worst(report, estimator, rows, worst, total, prediction):
    modality, reason, columns = [], [], []
    if len(worst):
        modality, reason, columns = blame_columns(estimator, rows, worst)
    chosen = prediction[worst]
    report.worst = pd.DataFrame(
        {
            "prediction": chosen if chosen.ndim == 1 else list(map(tuple, chosen.tolist())),
            "total_energy": total[worst],
            "modality": modality,
            "reason": reason,
            "columns": columns,
        },
        index=report.index[worst],
    )
    report._positions = worst


def _add_gate(report, estimator):
    names = estimator.modality_names_
    report.gate = {
        "gain": estimator.gain_,
        "bias": estimator.bias_,
        "capacity": estimator.capacity_,
        "coupling_weight": pd.DataFrame(estimator.coupling_weight_, names, names),
        "coupling_degree": pd.DataFrame(estimator.coupling_degree_, names, names),
    }
