"""What every failure of every modality costs, and which modalities can be lost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import is_classifier
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.corruption import Corruption, Drift, Missing, Noise, Scaling, Stuck, Swapped
from sklearn_emma.corruption.base import is_number
from sklearn_emma.metrics import expected_calibration_error
from sklearn_emma.modalities import resolve_modalities
from sklearn_emma.model_selection.failure_page import write_page
from sklearn_emma.model_selection.failure_scorer import (
    break_modality,
    check_corruption,
    check_repeats,
    choose_modalities,
    draw_seeds,
    failing_tables,
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
        ``shut``, the share of samples in which the modality that fails is shut.
    importance : DataFrame of shape (n_modalities, 4)
        By modality, the most important first: ``drop`` of the score when it is absent, ``low`` and
        ``high``, and whether it is ``redundant``: `high` is below the tolerance.
    pairs : DataFrame of shape (n_pairs, 4)
        The same for both modalities of a pair absent together; the index has their names. Only
        pairs of modalities that are redundant singly.
    tolerance : float
        Drop of the score that is accepted.
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
    fails in each way, in all samples, and is absent. The importance of a modality is the drop of
    the score when it is absent, with the percentile interval of a bootstrap over the test samples
    [2]_, in which clean and failing samples are drawn together. A modality is *redundant* if the
    upper end of the interval is below the tolerance; two modalities are jointly so if the drop
    without both is.

    Parameters
    ----------
    estimator : estimator
        Fitted; any that predicts from the samples, and, to be absent, takes NaN. The columns for
        prediction sets need ``predict_set``, which
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
        Drop of the score that is accepted.

    confidence_level : float, default=0.95
        Of the intervals, each by itself.

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
    Bootstrap intervals know the uncertainty from the number of test samples, not that of training:
    for the latter, repeat the analysis with estimators fitted on other samples.

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
    all_failures = {ABSENT: Missing(), **{k: check_corruption(f) for k, f in failures.items()}}
    modalities = _groups(estimator, modalities)
    names = choose_modalities(resolve_modalities(modalities, X, remainder="drop")[0], only)
    random = check_random_state(random_state)
    seeds = draw_seeds(random, (len(names), check_repeats(n_repeats)))
    draws = random.randint(len(y), size=(n_bootstrap, len(y)))
    metric_of = metric or (_accuracy if is_classifier(estimator) else _r2)
    judge = _Judge(estimator, y, metric_of, method, draws, confidence_level)
    reference = X if reference is None else reference
    clean = judge.judge([X])
    ways, corruptions = list(all_failures), list(all_failures.values())
    effects = pd.DataFrame(
        {"modality": names[i], "failure": ways[j]}
        | judge.compare(clean, judge.judge(tables, names[i]))
        for i, j, tables in failing_tables(corruptions, X, modalities, names, seeds, reference)
    )
    absent = effects[effects["failure"] == ABSENT].set_index("modality")
    importance = _importance(absent, tolerance)
    spare = [name for name in names if importance.loc[name, "redundant"]]
    pairs = list(combinations(spare, 2))
    without = [
        judge.compare(clean, judge.judge(break_modality(Missing(), X, modalities, pair, [0], X)))
        for pair in pairs
    ]
    index = pd.MultiIndex.from_tuples(pairs, names=["first", "second"]) if pairs else None
    return FailureModeAnalysis(
        clean=pd.Series({"n_samples": len(y), "score": clean.score, **clean.measures}),
        effects=effects,
        importance=importance,
        pairs=_importance(pd.DataFrame(without, index, ["drop", "low", "high"]), tolerance),
        tolerance=float(tolerance),
        confidence_level=float(confidence_level),
        score_name=metric_of.__name__.strip("_").removesuffix("_score").replace("_", " "),
    )


class _Judged(NamedTuple):
    """What is measured with one failure.

    Parameters
    ----------
    score : float
        Mean score over the draws of the failure.
    by_draw : ndarray of shape (n_bootstrap,)
        The same for each bootstrap sample.
    measures : dict of str to float
        Calibration error, coverage, and so on.
    """

    score: float
    by_draw: np.ndarray
    measures: dict[str, float]


@dataclass(frozen=True)
class _Judge:
    """Measures an estimator on test samples.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    y : ndarray of shape (n_samples,)
        Targets.
    metric : callable
        The score.
    method : str
        What gives predictions.
    draws : ndarray of int of shape (n_bootstrap, n_samples)
        Positions in each bootstrap sample.
    confidence_level : float
        Of the intervals.
    """

    estimator: Any
    y: np.ndarray
    metric: Callable[..., float]
    method: str
    draws: np.ndarray
    confidence_level: float

    def judge(self, tables: Any, failing: str | None = None) -> _Judged:
        """Measure the mean over tables."""
        scores, by_draw, measures = [], [], []
        for table in tables:
            predicted = np.asarray(getattr(self.estimator, self.method)(table))
            scores.append(float(self.metric(self.y, predicted)))
            by_draw.append([self.metric(self.y[d], predicted[d]) for d in self.draws])
            measures.append(self._measure(table, failing))
        mean = {k: float(np.mean([m[k] for m in measures])) for k in measures[0]}
        return _Judged(float(np.mean(scores)), np.mean(by_draw, axis=0), mean)

    def _measure(self, table: Any, failing: str | None) -> dict[str, float]:
        """Measure all but the score."""
        found, estimator = {}, self.estimator
        if is_classifier(estimator) and hasattr(estimator, "predict_proba"):
            probabilities = np.clip(estimator.predict_proba(table), 0, 1)
            found["calibration_error"] = expected_calibration_error(
                self.y, probabilities, labels=estimator.classes_
            )
        if hasattr(estimator, "predict_set"):
            sets = estimator.predict_set(table)
            place = np.searchsorted(estimator.classes_, self.y)
            found["coverage"] = float(sets[np.arange(len(place)), place].mean())
            found["set_size"] = float(sets.sum(axis=1).mean())
        elif hasattr(estimator, "predict_interval"):
            lower, upper = np.asarray(estimator.predict_interval(table)).T
            found["coverage"] = float(((lower <= self.y) & (self.y <= upper)).mean())
            found["set_size"] = float((upper - lower).mean())
        gated = _gated(estimator)
        if failing is not None and gated is not None:
            attention = gated.attention(table)[:, gated.modality_names_.index(failing)]
            found["shut"] = float((attention <= 0.5).mean())
        return found

    def compare(self, clean: _Judged, failed: _Judged) -> dict[str, float]:
        """Return the measures with a failure, and the drop of the score."""
        tail = (1 - self.confidence_level) / 2
        low, high = np.quantile(clean.by_draw - failed.by_draw, [tail, 1 - tail])
        drop = clean.score - failed.score
        change = {"score": failed.score, "drop": drop, "low": float(low), "high": float(high)}
        return change | failed.measures


def _importance(absent: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """Return drops with their intervals, the largest first, and what is redundant."""
    found = absent[["drop", "low", "high"]].astype(float)
    found["redundant"] = found["high"] < tolerance
    return found.sort_values("drop", ascending=False, kind="stable")


def _gated(estimator: Any) -> Any:
    """Return the estimator that has the gate, None if there is none."""
    inside = (estimator, getattr(estimator, "estimator_", None))
    return next((gated for gated in inside if hasattr(gated, "attention")), None)


def _groups(estimator: Any, modalities: Any) -> Any:
    """Return the modalities that are given, or those of the estimator."""
    if modalities is not None:
        return modalities
    gated = _gated(estimator)
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
