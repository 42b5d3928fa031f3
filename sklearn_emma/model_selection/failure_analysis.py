"""What every failure of every modality costs, and which modalities can be lost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_classifier
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.corruption import Corruption, Drift, Missing, Noise, Scaling, Stuck, Swapped
from sklearn_emma.corruption.base import choose_modalities, is_number
from sklearn_emma.modalities import resolve_modalities
from sklearn_emma.model_selection.failure_costs import Bootstrap, FailureCosts, gated_inside
from sklearn_emma.model_selection.failure_page import write_page
from sklearn_emma.model_selection.failure_scorer import (
    check_corruption,
    check_repeats,
    draw_seeds,
)

#: What a modality that is not there is called.
ABSENT = "absent"
#: The failures of an analysis unless others are given.
FAILURES: dict[str, Corruption] = {
    "noise 0.5": Noise(0.5),
    "noise 1": Noise(1.0),
    "noise 2": Noise(2.0),
    "noise 4": Noise(4.0),
    "noise 8": Noise(8.0),
    "offset 3": Drift(3.0),
    "gain 3": Scaling(3.0),
    "stuck": Stuck(),
    "swapped": Swapped(),
}


@dataclass(frozen=True)
class FailureModeAnalysis:
    """The result of :func:`failure_mode_analysis`.

    Parameters
    ----------
    clean : Series
        Measures on the samples as they are, like those of `effects`, and ``n_samples``.
    effects : DataFrame
        One row for each modality and failure, "absent" among them: ``modality``, ``failure``,
        ``score``; ``drop`` of the score below that of clean samples, with its interval from ``low``
        to ``high``. For a classifier with probabilities also ``calibration_error``; for one with
        prediction sets also ``coverage`` and ``set_size``; for an estimator with a gate also
        ``shut``, the share of samples in which the modality that fails is closed.
    importance : DataFrame of shape (n_modalities, 4)
        By modality, the most important first: ``drop`` of the score when it is absent, ``low`` and
        ``high``, and whether it is ``redundant``: `high` is below the tolerance.
    pairs : DataFrame of shape (n_pairs, 4)
        The same for both modalities of a pair absent together; the index has their names. Only
        pairs of modalities that are each redundant alone.
    tolerance : float
        Drop of the score that is acceptable.
    confidence_level : float
        Of the intervals.
    score_name : str
        Name of the score.

    See Also
    --------
    failure_mode_analysis : Makes it.
    """

    clean: pd.Series
    effects: pd.DataFrame
    importance: pd.DataFrame
    pairs: pd.DataFrame
    tolerance: float
    confidence_level: float
    score_name: str

    def to_html(self, buf: Any = None, *, title: str = "Which sensor can we lose?") -> str | None:
        """Write one HTML page, to be read and signed.

        Parameters
        ----------
        buf : str, path or object with ``write``, default=None
            Where to write. None returns the page.
        title : str, default="Which sensor can we lose?"
            Title of the page.

        Returns
        -------
        str or None
            The page, if `buf` is None.
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


def failure_mode_analysis(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    modalities: Any = None,
    failures: Mapping[str, Corruption] | None = None,
    only: str | Sequence[str] | None = None,
    metric: Callable[..., float] | None = None,
    method: str = "predict",
    tolerance: float = 0.01,
    confidence_level: float = 0.95,
    n_bootstrap: int = 500,
    n_repeats: int = 1,
    reference: Any = None,
    random_state: Any = None,
) -> FailureModeAnalysis:
    r"""What each failure of each modality costs, and which modalities can be lost.

    A failure mode and effects analysis [1]_ of a fitted estimator on test samples: each modality
    fails in each way in all samples, and is also removed completely. The importance of a modality
    is the drop of the score when it is absent, with the percentile interval of a bootstrap over the
    test samples [2]_, in which clean and failing samples are drawn together. A modality is
    *redundant* if the upper end of the interval is below the tolerance; two modalities are jointly
    redundant if this holds for the drop without both.

    Parameters
    ----------
    estimator : estimator
        Any fitted estimator that predicts from the samples. It has to accept NaN, which marks an
        absent modality. The columns for prediction sets need ``predict_set``, which
        :class:`~sklearn_emma.model_selection.PatternConformalClassifier` has.

    X : array-like or DataFrame of shape (n_samples, n_features)
        Clean samples that the estimator has not seen.

    y : array-like of shape (n_samples,)
        Targets.

    modalities : dict, list of (name, columns), callable, "prefix" or None, default=None
        The groups of columns. None stands for those of the estimator.

    failures : dict of str to Corruption, default=None
        How a modality fails, by name. None stands for noise of 0.5 to 8 standard deviations, an
        offset, a wrong gain, stuck, and swapped values.

    only : str or list of str, default=None
        Names of the modalities that fail in turn. None stands for all.

    metric : callable, default=None
        ``metric(y_true, y_pred)``, the higher the better. None stands for accuracy, or R² for a
        regressor.

    method : str, default="predict"
        Method of the estimator that gives `y_pred`.

    tolerance : float, default=0.01
        Drop of the score that is acceptable.

    confidence_level : float, default=0.95
        Confidence level of each interval alone.

    n_bootstrap : int, default=500
        Bootstrap samples.

    n_repeats : int, default=1
        How often failures are drawn; all measures are means over the draws.

    reference : array-like or DataFrame of shape (n_reference, n_features), default=None
        Samples that give the failures their means, standard deviations and donors, usually the
        training samples. None stands for X.

    random_state : int, RandomState instance or None, default=None
        Determines failures and bootstrap samples. Pass an int for the same result in every call.

    Returns
    -------
    FailureModeAnalysis
        Its tables, and ``to_html``.

    Raises
    ------
    ValueError
        If a number is out of range, a modality in `only` is unknown, or the modalities are neither
        given nor known from the estimator.
    TypeError
        If a failure is no Corruption.

    See Also
    --------
    robustness_curve : Cross-validated scores against the severity of one failure.
    sklearn.inspection.permutation_importance : Importance of single features.

    Notes
    -----
    Bootstrap intervals show the uncertainty that comes from the number of test samples,
    not that of the training: for the latter, repeat the analysis with estimators fitted on other
    samples.

    References
    ----------
    .. [1] IEC 60812:2018. Failure modes and effects analysis (FMEA and FMECA).
    .. [2] Efron, B., & Tibshirani, R. J. (1993). An introduction to the bootstrap. Chapman & Hall.

    Examples
    --------
    >>> from sklearn_emma import EMMAClassifier
    >>> from sklearn_emma.datasets import make_multimodal_classification
    >>> from sklearn_emma.model_selection import failure_mode_analysis
    >>> X, y = make_multimodal_classification(
    ...     1200, relevance=[1.0, 1.0, 0.0], random_state=0, return_X_y=True
    ... )
    >>> clf = EMMAClassifier("prefix", max_epochs=10, random_state=0).fit(X[:600], y[:600])
    >>> analysis = failure_mode_analysis(clf, X[600:], y[600:], tolerance=0.02, random_state=0)
    >>> analysis.importance["redundant"].sort_index().to_dict()
    {'modality0': False, 'modality1': False, 'modality2': True}
    >>> analysis.effects["failure"].unique().tolist()[:3]
    ['absent', 'noise 0.5', 'noise 1']
    >>> page = analysis.to_html()
    """
    check_is_fitted(estimator)
    y = column_or_1d(y, warn=True)
    check_consistent_length(X, y)
    _check_numbers(tolerance, confidence_level, n_bootstrap)
    failures = FAILURES if failures is None else failures
    if not isinstance(failures, Mapping):
        raise TypeError(
            "failures must be a dict from names to corruptions, such as {'noise': Noise(2)}, got "
            f"{type(failures).__name__}."
        )
    if metric is not None and not callable(metric):
        raise TypeError(
            f"metric={metric!r} must be a function metric(y_true, y_pred), such as "
            "sklearn.metrics.accuracy_score."
        )
    if not hasattr(estimator, method):
        raise ValueError(f"method={method!r}: {type(estimator).__name__} has no such method.")
    ways = {ABSENT: Missing(), **{k: check_corruption(f) for k, f in failures.items()}}
    modalities = _groups(estimator, modalities)
    names = choose_modalities(resolve_modalities(modalities, X, remainder="drop")[0], only)
    reference = X if reference is None else reference
    random = check_random_state(random_state)
    seeds = draw_seeds(random, (len(names), check_repeats(n_repeats)))
    draws = random.randint(len(y), size=(n_bootstrap, len(y)))
    metric = metric or (_accuracy if is_classifier(estimator) else _r2)
    bootstrap = Bootstrap(draws, float(confidence_level))
    costs = FailureCosts(estimator, X, y, modalities, metric, method, bootstrap)
    effects = pd.DataFrame(
        {"modality": name, "failure": way} | costs.of(corruption, name, seeds_of_name, reference)
        for name, seeds_of_name in zip(names, seeds, strict=True)
        for way, corruption in ways.items()
    )
    absent = effects[effects["failure"] == ABSENT].set_index("modality")
    importance = _importance(absent, tolerance)
    spare = [name for name in names if importance.loc[name, "redundant"]]
    return FailureModeAnalysis(
        clean=pd.Series({"n_samples": len(y), "score": costs.clean.score, **costs.clean.measures}),
        effects=effects,
        importance=importance,
        pairs=_importance(_absent_pairs(costs, spare), tolerance),
        tolerance=float(tolerance),
        confidence_level=bootstrap.confidence_level,
        score_name=_name_of(metric).strip("_").removesuffix("_score").replace("_", " "),
    )


def _name_of(metric: Any) -> str:
    """Return the name of a function, or of the one in a ``functools.partial``, or "score"."""
    name = getattr(metric, "__name__", None) or getattr(metric, "func", None)
    return name if isinstance(name, str) else getattr(name, "__name__", "score")


def _absent_pairs(costs: FailureCosts, names: Sequence[str]) -> pd.DataFrame:
    """Return what it costs when both modalities of a pair are absent."""
    pairs = list(combinations(names, 2))
    found = [costs.of(Missing(), pair, [0], costs.X) for pair in pairs]
    index = pd.MultiIndex.from_tuples(pairs, names=["first", "second"]) if pairs else None
    return pd.DataFrame(found, index, ["drop", "low", "high"])


def _importance(absent: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """Return drops with their intervals, the largest first, and what is redundant."""
    found = absent[["drop", "low", "high"]].astype(float)
    found["redundant"] = found["high"] < tolerance
    return found.sort_values("drop", ascending=False, kind="stable")


def _groups(estimator: Any, modalities: Any) -> Any:
    """Return the modalities that are given, or those of the estimator."""
    if modalities is not None:
        return modalities
    gated = gated_inside(estimator)
    if gated is not None:
        columns = map(list, gated.modality_columns_)
        return dict(zip(gated.modality_names_, columns, strict=True))
    raise ValueError(
        f"{type(estimator).__name__} has no modalities of its own. Pass modalities, such as "
        '{"radar": [0, 1], "camera": [2, 3]}.'
    )


def _check_numbers(tolerance: Any, confidence_level: Any, n_bootstrap: Any) -> None:
    """Raise ValueError unless these are in range."""
    if not is_number(tolerance) or tolerance < 0:
        raise ValueError(f"tolerance={tolerance!r} must be a number that is not negative.")
    if not is_number(confidence_level) or not 0 < confidence_level < 1:
        raise ValueError(f"confidence_level={confidence_level!r} must be between 0 and 1.")
    if not is_number(n_bootstrap, Integral) or n_bootstrap < 1:
        raise ValueError(f"n_bootstrap={n_bootstrap!r} must be a positive integer.")


def _accuracy(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Return the accuracy; many times faster than accuracy_score, which checks its input."""
    return float(np.mean(y_true == y_pred))


def _r2(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Return R², in the same way."""
    return float(1 - np.square(y_true - y_pred).sum() / np.square(y_true - y_true.mean()).sum())
