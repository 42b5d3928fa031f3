"""Failure mode and effects analysis: the loss of score for each failure of each modality."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_classifier, is_regressor
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.categories import encode, find_levels
from sklearn_emma.corruption import Corruption, Drift, Missing, Noise, Scaling, Stuck, Swapped
from sklearn_emma.corruption.base import check_corruption, choose_modalities, is_number
from sklearn_emma.engine.seeding import draw_seeds
from sklearn_emma.modalities import resolve_modalities
from sklearn_emma.model_selection.failing import check_repeats
from sklearn_emma.model_selection.failure_costs import Bootstrap, FailureCosts
from sklearn_emma.model_selection.failure_page import write_failure_page, write_text
from sklearn_emma.model_selection.inside import gated_inside, with_categories
from sklearn_emma.monitoring.exchangeability import find_dependence
from sklearn_emma.tables import add_missing_modalities
from sklearn_emma.targets import check_labels, check_values, one_column
from sklearn_emma.user_warnings import stacklevel_of_user

#: Name of the failure in which all values of a modality are missing.
ABSENT = "absent"
# Largest number of columns whose dependence is tested, for the sake of time.
_MOST_COLUMNS = 50
#: Default failures of an analysis.
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
    """Result of :func:`failure_mode_analysis`.

    Read more in the :doc:`how-to guide </howto/which_sensor>`.

    Parameters
    ----------
    clean : Series
        Results for the clean samples: ``n_samples``, ``score``, and the same further measures as in
        `effects`.
    effects : DataFrame
        One row for each combination of modality and failure, including the failure "absent". The
        columns are ``modality``, ``failure``, ``score``, and ``drop``, the loss of score compared
        to the clean samples, with its confidence interval from ``low`` to ``high``. A classifier
        with ``predict_proba`` also has ``calibration_error``. An estimator with prediction sets or
        intervals also has ``coverage`` and ``set_size``. An estimator with a gate also has
        ``closed``, the fraction of samples in which the failing modality is closed. Its attention
        is then at most `threshold` of the estimator, if this is a number, and else at most one
        half.
    importance : DataFrame of shape (n_modalities, 4)
        One row for each modality, in order of decreasing importance. ``drop`` is the loss of score
        when the modality is absent, with its interval from ``low`` to ``high``. Unlike in
        `effects`, ``high`` allows for losses that are too rare for the test samples. ``redundant``
        is True if ``high`` is below the tolerance.
    pairs : DataFrame of shape (n_pairs, 4)
        The same columns for pairs of modalities that are absent together. The index holds the
        names of both modalities. Only pairs of modalities that are both redundant are included.
    tolerance : float
        Loss of score that is acceptable.
    confidence_level : float
        Confidence level of the intervals.
    score_name : str
        Name of the score.

    See Also
    --------
    failure_mode_analysis : Computes the analysis.
    """

    clean: pd.Series
    effects: pd.DataFrame
    importance: pd.DataFrame
    pairs: pd.DataFrame
    tolerance: float
    confidence_level: float
    score_name: str

    def to_html(self, buf: Any = None, *, title: str = "Which sensor can we lose?") -> str | None:
        """Write the analysis as an HTML page with a line for a signature.

        Parameters
        ----------
        buf : str, path or object with ``write``, default=None
            File to write to. If None, the page is returned as a string.
        title : str, default="Which sensor can we lose?"
            Title of the page.

        Returns
        -------
        str or None
            The page, if `buf` is None.
        """
        return write_text(write_failure_page(self, title), buf)


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
    block_size: int = 1,
    n_repeats: int = 5,
    reference: Any = None,
    random_state: Any = None,
) -> FailureModeAnalysis:
    r"""Measure the effect of each failure of each modality, and find redundant modalities.

    This is a failure mode and effects analysis [1]_ of a fitted estimator on test samples. One
    modality at a time fails in all samples, in each of the given ways; it is also removed
    completely. The importance of a modality is the loss of score when it is absent. Its confidence
    interval is the percentile interval of a bootstrap over the test samples and the repeats of a
    failure [2]_; each bootstrap sample consists of the same clean and corrupted samples. A modality
    is *redundant* if the upper bound of the interval is below the tolerance. Two modalities are
    jointly redundant if the same holds for the loss of score when both are absent.

    A bootstrap cannot include losses that do not occur among the test samples. A loss that occurs
    in a fraction :math:`-\log(\alpha / 2) / n` of all samples is absent from n samples with
    probability :math:`\alpha / 2` ("rule of three" [3]_), where :math:`1 - \alpha` is
    `confidence_level`. Therefore this fraction is added to the upper bound of the importance. Here
    n is the number of test samples, or, for a classifier with a metric other than accuracy, that of
    the smallest class, because such a metric may give these samples a larger weight. If a `metric`
    is given, whose unit may be any, the fraction is multiplied by the loss of score when all
    predictions are exchanged: the samples are sorted by their targets, and each gets the prediction
    of the sample half the table away. With a `block_size`, n is divided by it.

    Read more in the :doc:`how-to guide </howto/which_sensor>`.

    Parameters
    ----------
    estimator : estimator
        Any fitted estimator. It has to accept NaN, which marks an absent modality. ``coverage`` and
        ``set_size`` are computed if it has ``predict_set``, like
        :class:`~sklearn_emma.model_selection.PatternConformalClassifier`, or ``predict_interval``,
        like :class:`~sklearn_emma.model_selection.PatternConformalRegressor`.

    X : array-like or DataFrame of shape (n_samples, n_features)
        Clean samples that the estimator has not seen.

    y : array-like of shape (n_samples,)
        Targets.

    modalities : dict, list of (name, columns), callable, "prefix" or None, default=None
        The groups of columns. None means the modalities of the estimator.

    failures : dict of str to Corruption, default=None
        Failures of a modality, by name. None means noise of 0.5 to 8 standard deviations, an
        offset, a wrong gain, stuck values and swapped values.

    only : str or list of str, default=None
        Names of the modalities that fail, one at a time. None means all modalities.

    metric : callable, default=None
        Score function ``metric(y_true, y_pred)``; higher values are better. None means accuracy for
        classifiers, and R² for regressors.

    method : str, default="predict"
        Method of the estimator that computes `y_pred`.

    tolerance : float, default=0.01
        Loss of score that is acceptable.

    confidence_level : float, default=0.95
        Confidence level of each single interval. There is no correction for multiple comparisons.

    n_bootstrap : int, default=500
        Number of bootstrap samples.

    block_size : int, default=1
        Number of successive test samples that the bootstrap draws together [4]_. 1 is for
        independent samples. For samples in temporal order, use two or three times the number of
        samples after which they are independent. The fewer blocks there are, the less reliable the
        intervals.

    n_repeats : int, default=5
        Number of times that each failure is drawn. All measures are averaged over these repeats.
        For instance, the value at which a sensor is stuck is the same for all samples of a repeat.
        With one repeat, the intervals do not include the variability between repeats.

    reference : array-like or DataFrame of shape (n_reference, n_features), default=None
        Samples from which failures take means, standard deviations and values of other samples,
        usually the training samples. None means X.

    random_state : int, RandomState instance or None, default=None
        Controls the failures and the bootstrap samples. Pass an int for reproducible output across
        multiple function calls.

    Returns
    -------
    FailureModeAnalysis
        Object with the results as tables, and with a method ``to_html``.

    Raises
    ------
    ValueError
        If a number is out of range, such as a `block_size` of more than half the samples, if a
        modality in `only` is unknown, if a failure is called "absent", if `modalities` is None and
        the estimator has no modalities, if the estimator does not have `method`, or if R² is
        undefined because `y` is constant.
    TypeError
        If `failures` is not a dict of Corruption objects, or if `metric` is not callable.

    Warns
    -----
    UserWarning
        If there are too few test samples to show that a modality is redundant, if the metric is not
        finite for exchanged predictions, or if neighboring test samples are significantly similar
        and `block_size` is 1.

    See Also
    --------
    robustness_curve : Cross-validated scores against the severity of one failure.
    sklearn.inspection.permutation_importance : Importance of single features.

    Notes
    -----
    The bootstrap intervals show the uncertainty due to the finite numbers of test samples and of
    repeats. They do not show the variability due to training. To estimate it, repeat the analysis
    with estimators fitted on other samples.

    References
    ----------
    .. [1] IEC 60812:2018. Failure modes and effects analysis (FMEA and FMECA).
    .. [2] Efron, B., & Tibshirani, R. J. (1993). An introduction to the bootstrap. Chapman & Hall.
    .. [3] Hanley, J. A., & Lippman-Hand, A. (1983). If nothing goes wrong, is everything all right?
       Interpreting zero numerators. JAMA 249(13), 1743-1745.
    .. [4] Politis, D. N., & Romano, J. P. (1992). A circular block-resampling procedure for
       stationary data. In Exploring the Limits of Bootstrap, 263-270. Wiley.

    Examples
    --------
    >>> from sklearn_emma import EMMAClassifier
    >>> from sklearn_emma.datasets import make_multimodal_classification
    >>> from sklearn_emma.model_selection import failure_mode_analysis
    >>> X, y = make_multimodal_classification(
    ...     1200, relevance=[1.0, 1.0, 0.0], random_state=0, return_X_y=True
    ... )
    >>> clf = EMMAClassifier("prefix", max_epochs=10, random_state=0).fit(X[:600], y[:600])
    >>> analysis = failure_mode_analysis(
    ...     clf, X[600:], y[600:], tolerance=0.02, n_repeats=1, random_state=0
    ... )
    >>> analysis.importance["redundant"].sort_index().to_dict()
    {'modality0': False, 'modality1': False, 'modality2': True}
    >>> analysis.effects["failure"].unique().tolist()[:3]
    ['absent', 'noise 0.5', 'noise 1']
    >>> page = analysis.to_html()
    """
    check_is_fitted(estimator)
    y = _one_output(y)
    check_consistent_length(X, y)
    classifies = is_classifier(estimator)
    if classifies:
        _check_classes(estimator, y)
    elif is_regressor(estimator):
        check_values(y)
    _check_numbers(tolerance, confidence_level, n_bootstrap)
    if not is_number(block_size, Integral) or not 1 <= block_size <= max(len(y) // 2, 1):
        raise ValueError(
            f"block_size={block_size!r} must be an integer from 1 to half the number of test "
            f"samples, which is {len(y)}."
        )
    failures = FAILURES if failures is None else failures
    if not isinstance(failures, Mapping):
        raise TypeError(
            "failures must be a dict of names and corruptions, such as {'noise': Noise(2)}, got "
            f"{type(failures).__name__}."
        )
    if ABSENT in failures:
        raise ValueError(
            f"failures has the name {ABSENT!r}, which is the failure in which all values of a "
            "modality are missing. Choose another name."
        )
    if metric is not None and not callable(metric):
        raise TypeError(
            f"metric={metric!r} must be a function metric(y_true, y_pred), such as "
            "sklearn.metrics.accuracy_score."
        )
    if not hasattr(estimator, method):
        raise ValueError(f"method={method!r}: {type(estimator).__name__} has no such method.")
    if metric is None and method != "predict":
        raise ValueError(
            f"method={method!r} needs a metric that compares y with its results. Only for "
            'method="predict" there is a default, accuracy or R².'
        )
    X = with_categories(estimator, add_missing_modalities(estimator, X))
    ways: dict[str, Corruption] = {ABSENT: Missing()}
    for way, failure in failures.items():
        ways[way] = check_corruption(failure).against(estimator, y)
    modalities = _groups(estimator, modalities)
    all_names, columns = resolve_modalities(modalities, X, remainder="drop")
    names = choose_modalities(all_names, only)
    if reference is None:
        reference = X
    else:
        reference = with_categories(estimator, add_missing_modalities(estimator, reference))
    random = check_random_state(random_state)
    seeds = draw_seeds(random, (len(names), check_repeats(n_repeats)))
    if block_size == 1:
        _warn_of_dependence(pd.DataFrame(X).iloc[:, np.concatenate(columns)], y)
    draws = _draw_blocks(len(y), n_bootstrap, block_size, random)
    if classifies:
        _add_absent_classes(draws, y, random)
    repeats = random.randint(n_repeats, size=(n_bootstrap, n_repeats))
    bootstrap = Bootstrap(draws, repeats, float(confidence_level))
    score = metric or (_accuracy if classifies else _r2_of(y))
    costs = FailureCosts(estimator, X, y, modalities, score, method, bootstrap)
    span = 1.0 if metric is None else abs(costs.loss_by_exchange())
    by_class = classifies and metric is not None
    rare_loss = _rare_loss(y, by_class, span, tolerance, confidence_level, block_size)
    effects = pd.DataFrame(
        {"modality": name, "failure": way}
        | costs.of(corruption, name, of_name[:1] if way == ABSENT else of_name, reference)
        for name, of_name in zip(names, seeds, strict=True)
        for way, corruption in ways.items()
    )
    absent = effects[effects["failure"] == ABSENT].set_index("modality")
    importance = _importance(absent, rare_loss, tolerance)
    spare = [name for name in names if importance.loc[name, "redundant"]]
    return FailureModeAnalysis(
        clean=pd.Series({"n_samples": len(y), "score": costs.clean.score, **costs.clean.measures}),
        effects=effects,
        importance=importance,
        pairs=_importance(_absent_pairs(costs, spare), rare_loss, tolerance),
        tolerance=float(tolerance),
        confidence_level=bootstrap.confidence_level,
        score_name=_name_of(score).strip("_").removesuffix("_score").replace("_", " "),
    )


def _one_output(y: Any) -> np.ndarray:
    """Return y of one dimension. Raise ValueError if there are several outputs."""
    shape = np.shape(y)
    if len(shape) == 2 and shape[1] > 1:
        raise ValueError(
            f"y must have one column, got an array of shape {shape}. For an estimator with "
            "several outputs, use robustness_curve, or fit and analyze one estimator per output."
        )
    return one_column(y)


def _check_classes(classifier: Any, y: np.ndarray) -> None:
    """Raise ValueError if the labels are not those of the classifier."""
    check_labels(y)
    classes = getattr(classifier, "classes_", None)
    if classes is not None and not set(y.tolist()) & set(np.asarray(classes).tolist()):
        raise ValueError(
            f"y has the labels {np.unique(y).tolist()[:5]}, none of which is a class of the "
            f"estimator: {np.asarray(classes).tolist()[:5]}. Pass labels of the type that fit got."
        )


def _draw_blocks(
    n_samples: int, n_bootstrap: int, block_size: int, random: np.random.RandomState
) -> np.ndarray:
    """Return positions of bootstrap samples of blocks; the first sample follows the last."""
    starts = random.randint(n_samples, size=(n_bootstrap, -(-n_samples // block_size)))
    positions = (starts[:, :, None] + np.arange(block_size)) % n_samples
    return positions.reshape(n_bootstrap, -1)[:, :n_samples]


def _warn_of_dependence(X: pd.DataFrame, y: np.ndarray) -> None:
    """Warn if neighboring test samples are similar, so that intervals are too narrow."""
    X = X.iloc[:, np.unique(np.linspace(0, X.shape[1] - 1, _MOST_COLUMNS).astype(int))]
    codes = encode(X, find_levels(X, range(X.shape[1])))
    values = codes.apply(pd.to_numeric, errors="coerce").astype(float)
    values = values.fillna(values.median()).fillna(0.0)
    classes = np.unique(y, return_inverse=True)[1]
    found = find_dependence(np.column_stack([values, classes]), np.random.RandomState(0))
    if found is not None:
        warnings.warn(
            f"Neighboring test samples are similar: {found[0]}. The intervals are then too narrow, "
            "and a modality may be called redundant by chance. If the samples are in temporal "
            "order, set block_size. If they are only sorted, shuffle them.",
            UserWarning,
            stacklevel=stacklevel_of_user(),
        )


def _add_absent_classes(draws: np.ndarray, y: np.ndarray, random: np.random.RandomState) -> None:
    """Replace a position of each bootstrap sample by one of a class that it lacks, in place.

    Many metrics are not defined if a class is absent. The replaced position is one of several of
    its class, so that no other class is lost.
    """
    classes, codes = np.unique(y, return_inverse=True)
    for label in range(len(classes)):
        of_class = np.flatnonzero(codes == label)
        for row in np.flatnonzero(~(codes[draws] == label).any(axis=1)):
            drawn = codes[draws[row]]
            several = np.flatnonzero(np.bincount(drawn)[drawn] > 1)
            draws[row, random.choice(several)] = random.choice(of_class)


def _rare_loss(
    y: np.ndarray,
    by_class: bool,
    span: float,
    tolerance: float,
    confidence_level: float,
    block_size: int,
) -> float:
    """Return the loss of score that may be absent from the samples by chance, or warn.

    A sample that is lost costs as much as `span` divided by the number of samples, and a block of
    them `block_size` times as much.
    """
    if not math.isfinite(span) or span == 0:
        problem, advice = (
            ("does not change", "Pass samples of several classes, with different predictions.")
            if span == 0
            else ("is not finite", "Use a bounded metric, or clip the probabilities.")
        )
        warnings.warn(
            f"The metric {problem} if predictions are exchanged among the samples, so losses that "
            "are too rare for the test samples have no bound, and no modality is redundant. "
            f"{advice}",
            UserWarning,
            stacklevel=stacklevel_of_user(),
        )
        return math.inf
    smallest = np.unique(y, return_counts=True)[1].min() if by_class else len(y)
    rarity = -span * block_size * math.log((1.0 - confidence_level) / 2.0)
    if 0 < tolerance <= rarity / smallest:
        warnings.warn(
            f"{smallest} test samples{' of the smallest class' if by_class else ''} are too few to "
            f"show that a modality is redundant with tolerance={tolerance:g}"
            f"{f' and block_size={block_size}' if block_size > 1 else ''}. At least "
            f"{math.floor(rarity / tolerance) + 1} are needed. Pass more samples, or raise the "
            "tolerance.",
            UserWarning,
            stacklevel=stacklevel_of_user(),
        )
    return rarity / smallest


def _name_of(metric: Any) -> str:
    """Return the name of a function or of the function in a partial object, otherwise "score"."""
    name = getattr(metric, "__name__", None) or getattr(metric, "func", None)
    return name if isinstance(name, str) else getattr(name, "__name__", "score")


def _absent_pairs(costs: FailureCosts, names: Sequence[str]) -> pd.DataFrame:
    """Return the loss of score for each pair of modalities that are absent together."""
    pairs = list(combinations(names, 2))
    found = [costs.of(Missing(), pair, [0], costs.X) for pair in pairs]
    index = pd.MultiIndex.from_tuples(pairs, names=["first", "second"]) if pairs else None
    return pd.DataFrame(found, index, ["drop", "low", "high"])


def _importance(absent: pd.DataFrame, rare_loss: float, tolerance: float) -> pd.DataFrame:
    """Return the drops with their intervals and the column "redundant", largest drop first."""
    found = absent[["drop", "low", "high"]].astype(float)
    found["high"] += rare_loss
    found["redundant"] = found["high"] < tolerance
    return found.sort_values("drop", ascending=False, kind="stable")


def _groups(estimator: Any, modalities: Any) -> Any:
    """Return the given modalities, or those of the estimator if none are given."""
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
    """Return the accuracy. Much faster than accuracy_score, because inputs are not checked."""
    return float(np.mean(y_true == y_pred))


def _r2_of(y: np.ndarray) -> Callable[..., float]:
    """Return the function for R². Raise ValueError if it is not defined."""
    if (y == y[0]).all():
        raise ValueError(
            f"R² is not defined for these samples, because every y is {y[0]}. Pass other "
            "samples or another metric."
        )
    return _r2


def _r2(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Return R². Much faster than r2_score, because inputs are not checked."""
    spread = np.square(y_true - y_true.mean()).sum()
    return float(1 - np.square(y_true - y_pred).sum() / spread) if spread else np.nan
