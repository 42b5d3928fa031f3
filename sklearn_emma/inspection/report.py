"""Report the state of every modality of every sample."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.corruption.base import is_number
from sklearn_emma.energy.p_values import count_below
from sklearn_emma.gate.readings import Readings
from sklearn_emma.inspection.causes import find_causes
from sklearn_emma.inspection.checks import check_gated, column_labels
from sklearn_emma.inspection.page import write_page
from sklearn_emma.inspection.time_line import list_alarms, read_stream
from sklearn_emma.inspection.whole_table import find_in_table
from sklearn_emma.model_selection.failure_page import write_text
from sklearn_emma.model_selection.inside import unwrap
from sklearn_emma.monitoring import ModalityHealth, ModalityMonitor
from sklearn_emma.tables import plain_table
from sklearn_emma.validation import read_samples

#: A modality fails if its energy is this many times as far above normal as that of a typical
#: failure in training.
_FAR = 4


class ModalityReport(pd.DataFrame):
    """Result of :func:`modality_report`: a DataFrame that can also be written as an HTML page.

    Selections and copies of it are ordinary DataFrames.

    Read more in the :doc:`how-to guide </howto/report>`.

    Parameters
    ----------
    data : DataFrame
        Values of the report.
    summary, worst, column_summary : DataFrame, default=None
        See the attributes.
    gate : dict, default=None
        See the attributes.
    worst_positions : ndarray of int of shape (n_worst,), default=None
        See the attributes.
    table, alarms : DataFrame, default=None
        See the attributes.
    health : ModalityHealth, default=None
        See the attributes.

    Attributes
    ----------
    summary : DataFrame of shape (n_modalities, 7)
        One row per modality: the fractions of samples in which it is failing and missing, mean
        attention, median and largest energy, median percentile, and the fraction of the reference
        samples in which it would be failing, judged one by one, without a monitor. The last two are
        NaN without a reference.
    worst : DataFrame of shape (n_worst, 5)
        The samples with the highest total energy, in descending order: ``prediction``,
        ``total_energy``, the worst ``modality``, the ``reason`` ("unusual values", "does not fit
        the others", "gaps" or "missing"), and the ``columns`` that contribute to its energy, with
        their shares (empty if the reason is "does not fit the others").
    column_summary : DataFrame of shape (n_used_features, 3)
        One row per column: its ``modality``, the fraction of samples in which it is ``missing``,
        and the fraction in which it is ``ignored`` by the attention to columns.
    gate : dict
        ``gain``, ``bias`` and ``capacity`` of the gate, and the DataFrames ``coupling_weight`` and
        ``coupling_degree``.
    worst_positions : ndarray of int of shape (n_worst,)
        Positions in the report of the samples in ``worst``.
    table : DataFrame of shape (n_findings, 6)
        Findings about the table as a whole: ``modality``, ``column`` (empty if it concerns the
        whole modality), ``finding`` ("constant", "missing", "repeated", "unlike clean samples",
        "unusual energies" or "does not fit the others"), ``n_samples``, ``statistic`` and
        ``p_value``.
    alarms : DataFrame of shape (n_alarms, 5)
        If samples are in temporal order: ``modality`` and ``kind`` of failure, labels of the
        ``first`` and the ``last`` sample, and ``n_samples`` of each alarm. Otherwise None.
    health : ModalityHealth
        If samples are in temporal order, the health of every modality at every sample. Otherwise
        None.
    """

    _metadata = [
        "summary",
        "worst",
        "column_summary",
        "gate",
        "worst_positions",
        "table",
        "alarms",
        "health",
    ]

    def __init__(
        self,
        data: Any = None,
        *,
        summary: pd.DataFrame | None = None,
        worst: pd.DataFrame | None = None,
        column_summary: pd.DataFrame | None = None,
        gate: dict | None = None,
        worst_positions: np.ndarray | None = None,
        table: pd.DataFrame | None = None,
        alarms: pd.DataFrame | None = None,
        health: ModalityHealth | None = None,
    ) -> None:
        super().__init__(data)  # type: ignore[call-arg]
        self.summary = summary
        self.worst = worst
        self.column_summary = column_summary
        self.gate = gate
        self.worst_positions = worst_positions
        self.table = table
        self.alarms = alarms
        self.health = health

    def to_html(  # type: ignore[override]
        self, buf: Any = None, *, title: str = "State of the modalities", failures: Any = None
    ) -> str | None:
        """Write one HTML page that needs neither a network connection nor other files.

        It shows the state of the modalities over the samples, the alarms if the samples are in
        temporal order, findings about the table as a whole, the worst samples with the columns that
        contribute to their energy (as a table that can be sorted and filtered), the coupling, and
        the capacity of the gate.

        Parameters
        ----------
        buf : str, path or object with ``write``, default=None
            File to write to. None returns the page.
        title : str, default="State of the modalities"
            Title of the page.
        failures : FailureModeAnalysis, default=None
            Result of :func:`~sklearn_emma.model_selection.failure_mode_analysis`, which is added to
            the page. It shows which modalities are needed.

        Returns
        -------
        str or None
            The page if `buf` is None, else None.
        """
        return write_text(write_page(self, title, failures), buf)


def modality_report(
    estimator: Any,
    X: Any,
    *,
    reference: Any = None,
    threshold: float = 0.5,
    n_worst: int = 200,
    ordered: bool = False,
) -> ModalityReport:
    r"""Report on the state of every modality of every sample.

    A modality is *failing* if its attention is at most `threshold`, which includes missing
    modalities, or if its energy lies more than four times as far above ``potential_min_`` as
    ``potential_max_``, the energy of a typical training failure, does. The second criterion also
    detects that all modalities fail at the same time, which attention cannot, because it compares
    the modalities of a sample with each other. With ``ordered=True``, a modality is also
    failing while :class:`~sklearn_emma.monitoring.ModalityMonitor` has an active alarm, which
    detects sensors that are stuck at ordinary values.

    Some clean samples are failing, too. ``summary`` shows how many of the `reference`.

    Read more in the :doc:`how-to guide </howto/report>`.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor, GatedClassifier, GatedRegressor or ModalityMonitor
        Fitted estimator, or a fitted Pipeline or search that ends in one. For a monitor, the report
        is about its estimator, and X is read in order as a separate stream. If the monitor has
        ``recalibrate=True``, everything but ``table``, ``alarms`` and ``health`` is about the
        corrected samples.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples, in temporal order if they have one. The report has the index of X if that is a
        pandas DataFrame.
    reference : array-like or DataFrame of shape (n_reference, n_features), default=None
        Clean samples. Percentiles are relative to their energies, and the table as a whole is
        compared with them. Best are samples that the estimator was not trained on: the energies of
        training samples are lower than those of new clean samples if there are few of them, fewer
        than about ten per column. New clean samples then seem to be unusual. Without `reference`,
        percentiles are NaN. With ``ordered=True``, a
        :class:`~sklearn_emma.monitoring.ModalityMonitor` with default settings is calibrated on
        them, unless a monitor is given; use samples that the estimator was not trained on. For
        autocorrelated samples, pass a monitor with ``ordered=True``, and a `reference` whose rows
        are in temporal order.
    threshold : float, default=0.5
        Attention, from 0 to 1, up to which a modality is failing.
    n_worst : int, default=200
        Number of samples that are explained in ``worst``.
    ordered : bool, default=False
        Whether X is in temporal order. For a monitor this is always assumed. If so, attention,
        importance and prediction use the evidence of earlier samples, and each modality has the
        additional columns ``alarm``, ``since`` and ``kind`` of
        :class:`~sklearn_emma.monitoring.ModalityHealth`.

    Returns
    -------
    ModalityReport of shape (n_samples, 5 * n_modalities + 1 + n_outputs), 8 if ordered
        A DataFrame whose columns are a MultiIndex. For each modality there are ``energy``, infinite
        if the modality is missing; ``percentile``, the percentage of reference samples with a lower
        energy, NaN for a modality without any value in the reference; ``importance``;
        ``attention``; and ``failing``. The last columns are ``total_energy``, infinite if all gates
        are closed, as without any value, and ``prediction``. Their second level is empty, or the
        number of the output if there are several.

    Raises
    ------
    TypeError
        If the estimator has no gate.
    ValueError
        If `threshold` or `n_worst` is out of range, or if `ordered` is True without `reference` or
        a monitor.

    See Also
    --------
    AttentionDisplay : Plot the attention.
    MonitorDisplay : Plot alarms over time.
    sklearn_emma.DAEEnergyScorer.attribution : Divide an energy among columns.

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
    monitor = estimator if isinstance(estimator, ModalityMonitor) else None
    if monitor is not None:
        check_is_fitted(monitor)
        estimator = monitor.estimator_
    as_passed, X, reference = estimator, plain_table(X), plain_table(reference)
    estimator, original = unwrap(as_passed, X)
    check_gated(estimator, "modality_report")
    _check_numbers(threshold, n_worst)
    clean = None if reference is None else unwrap(as_passed, reference)[1]
    health, samples = None, original
    if ordered or monitor is not None:
        health, samples = read_stream(monitor or estimator, original, clean)
    results = _read(as_passed, X, estimator, samples, health)
    percentiles, failing_in_reference = _compare(estimator, results.alone, clean, threshold)
    fields = _fields(estimator, results, percentiles, threshold)
    names, total_energy = estimator.modality_names_, results.alone.total_energy
    index = getattr(X, "index", None)
    index = index if isinstance(index, pd.Index) else pd.RangeIndex(len(total_energy))
    worst = np.argsort(-total_energy, kind="stable")[: int(n_worst)]
    return ModalityReport(
        _frame(names, fields, results, index),
        summary=_summarize(names, fields, failing_in_reference),
        worst=_explain(estimator, samples, results, worst).set_index(index[worst]),
        column_summary=_summarize_columns(estimator, samples, results.alone.column_attention),
        gate=_describe_gate(estimator),
        worst_positions=worst,
        table=find_in_table(estimator, original, clean, health is not None),
        alarms=None if health is None else list_alarms(health, names, index),
        health=health,
    )


def _check_numbers(threshold: Any, n_worst: Any) -> None:
    """Raise ValueError if a number is out of range."""
    if not is_number(threshold) or not 0 <= threshold <= 1:
        raise ValueError(f"threshold={threshold!r} must be a number from 0 to 1.")
    if not is_number(n_worst) or int(n_worst) != n_worst or n_worst < 0:
        raise ValueError(f"n_worst={n_worst!r} must be an integer that is not negative.")


class _Results(NamedTuple):
    """Results for the samples of a report.

    Attributes
    ----------
    alone : Readings
        Readings of each sample alone. The total energy is infinite if all gates are closed.
    in_stream : Readings
        Readings with the evidence of earlier samples, if samples are in temporal order. Otherwise
        they are the same.
    prediction : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Predictions, also with this evidence.
    health : ModalityHealth or None
        Health of every modality at every sample, if samples are in temporal order.
    """

    alone: Readings
    in_stream: Readings
    prediction: np.ndarray
    health: ModalityHealth | None


def _read(
    as_passed: Any, X: Any, estimator: Any, samples: Any, health: ModalityHealth | None
) -> _Results:
    """Compute the results of the gated estimator inside a pipeline or search, and predict."""
    # There are two readings. Energies are those of each sample alone: only then can they be
    # compared with the reference, and explained by the values of the sample. Attention and
    # prediction use the evidence of earlier samples, as those of a monitor do.
    alone = in_stream = estimator.readings(samples)
    if health is None:
        prediction = as_passed.predict(X)
    else:
        in_stream = estimator.readings(samples, evidence=health.evidence)
        prediction = estimator.predict(samples, evidence=health.evidence)
    closed = (alone.attention == 0).all(axis=1)
    alone = alone._replace(total_energy=np.where(closed, np.inf, alone.total_energy))
    return _Results(alone, in_stream, np.asarray(prediction), health)


def _compare(
    estimator: Any, readings: Readings, clean: Any, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return percentiles, and the fraction of the reference in which each modality is failing.

    Both are NaN without a reference.
    """
    if clean is None:
        percentiles = np.full_like(readings.energies, np.nan)
        return percentiles, np.full(percentiles.shape[1], np.nan)
    of_clean = estimator.readings(clean)
    failing = _failing(estimator, of_clean.energies, of_clean.attention, threshold)
    return _percentiles(readings.energies, of_clean.energies), failing.mean(axis=0)


def _fields(
    estimator: Any, results: _Results, percentiles: np.ndarray, threshold: float
) -> dict[str, np.ndarray]:
    """Return the quantities of the modalities, each of shape (n_samples, n_modalities)."""
    energies, attention = results.alone.energies, results.in_stream.attention
    fields = {
        "energy": energies,
        "percentile": percentiles,
        "importance": results.in_stream.importance,
        "attention": attention,
        "failing": _failing(estimator, energies, attention, threshold),
    }
    health = results.health
    if health is not None:
        fields |= {"alarm": health.alarm, "since": health.since, "kind": health.kind}
        fields["failing"] = fields["failing"] | health.alarm
    return fields


def _frame(
    names: list[str], fields: dict[str, np.ndarray], results: _Results, index: pd.Index
) -> pd.DataFrame:
    """Return the report as a DataFrame, with two levels of columns."""
    columns: dict[tuple, np.ndarray] = {
        (name, field): values[:, i]
        for i, name in enumerate(names)
        for field, values in fields.items()
    }
    columns["total_energy", ""] = results.alone.total_energy
    prediction = results.prediction
    if prediction.ndim == 1:
        columns["prediction", ""] = prediction
    else:
        columns |= {("prediction", j): values for j, values in enumerate(prediction.T)}
    labels = pd.MultiIndex.from_tuples(columns, names=["modality", "quantity"])
    return pd.DataFrame(dict(enumerate(columns.values())), index).set_axis(labels, axis=1)


def _percentiles(energies: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the percentage of reference samples with a lower energy, for each modality."""
    percentiles = 100.0 * count_below(reference, energies) / len(reference)
    return np.where(np.isinf(reference).all(axis=0), np.nan, percentiles)


def _failing(
    estimator: Any, energies: np.ndarray, attention: np.ndarray, threshold: float
) -> np.ndarray:
    """Return whether each modality of each sample is failing, judged without earlier samples."""
    usual, typical = estimator.potential_min_, estimator.potential_max_
    return (attention <= threshold) | (energies > usual + _FAR * (typical - usual))


def _summarize(
    names: list[str], fields: dict[str, np.ndarray], failing_in_reference: np.ndarray
) -> pd.DataFrame:
    """Return the summary of the report, with one row per modality."""
    missing = np.isinf(fields["energy"])
    energies = pd.DataFrame(np.where(missing, np.nan, fields["energy"]))
    return pd.DataFrame(
        {
            "failing": fields["failing"].mean(axis=0),
            "missing": missing.mean(axis=0),
            "mean_attention": fields["attention"].mean(axis=0),
            "median_energy": energies.median().to_numpy(),
            "largest_energy": energies.max().to_numpy(),
            "median_percentile": pd.DataFrame(fields["percentile"]).median().to_numpy(),
            "failing_in_reference": failing_in_reference,
        },
        index=pd.Index(names, name="modality"),
    )


def _summarize_columns(estimator: Any, samples: Any, attention: np.ndarray) -> pd.DataFrame:
    """Return the summary of the columns, with one row per column that belongs to a modality."""
    table = read_samples(estimator, samples)
    owner = dict.fromkeys(range(estimator.n_features_in_))
    for name, columns in zip(estimator.modality_names_, estimator.modality_columns_, strict=True):
        owner |= dict.fromkeys(columns.tolist(), name)
    used = [column for column, name in owner.items() if name is not None]
    labels = column_labels(estimator, samples)
    missing = np.isnan(table[:, used]).mean(axis=0)
    return pd.DataFrame(
        {
            "modality": [owner[column] for column in used],
            "missing": missing,
            "ignored": (attention == 0).mean(axis=0) - missing,
        },
        index=pd.Index(labels[used], name="column"),
    )


def _explain(estimator: Any, samples: Any, results: _Results, worst: np.ndarray) -> pd.DataFrame:
    """Return one row per sample with a high total energy, with its causes."""
    modality, reason, columns = (
        find_causes(estimator, samples, results.alone, worst) if len(worst) else ([], [], [])
    )
    chosen = results.prediction[worst]
    return pd.DataFrame(
        {
            "prediction": chosen if chosen.ndim == 1 else list(map(tuple, chosen.tolist())),
            "total_energy": results.alone.total_energy[worst],
            "modality": modality,
            "reason": reason,
            "columns": columns,
        }
    )


def _describe_gate(estimator: Any) -> dict[str, Any]:
    """Return the parameters of the gate as a dict."""
    names = estimator.modality_names_
    return {
        "gain": estimator.gain_,
        "bias": estimator.bias_,
        "capacity": estimator.capacity_,
        "coupling_weight": pd.DataFrame(estimator.coupling_weight_, names, names),
        "coupling_degree": pd.DataFrame(estimator.coupling_degree_, names, names),
    }
