"""Evaluation of monitors on streams with failures: scores over time, delays and diagnoses."""

import copy
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import is_classifier
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import Bunch, check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.compat import _safe_indexing
from sklearn_emma.corruption import Corruption, Episodes
from sklearn_emma.corruption.base import check_corruption, choose_modalities, is_number
from sklearn_emma.engine.seeding import draw_seed
from sklearn_emma.lazy import load
from sklearn_emma.model_selection.inside import with_categories
from sklearn_emma.monitoring.failures import KINDS
from sklearn_emma.tables import add_missing_modalities, plain_target


class _Plan(NamedTuple):
    """One episode: the failing modality, the position where the stream starts, and the seed."""

    modality: str
    start: int
    seed: int


def stream_curve(
    monitor: Any,
    X: Any,
    y: Any = None,
    *,
    corruption: Corruption,
    length: int = 100,
    growing: bool = False,
    kind: str | None = None,
    n_episodes: int = 20,
    warm_up: int = 50,
    only: str | Sequence[str] | None = None,
    metric: Callable[..., float] | None = None,
    method: str = "predict",
    edges: Sequence[int] = (0, 10, 50, 100, 1000),
    random_state: Any = None,
) -> Bunch:
    """Evaluate how well a monitor predicts, detects and diagnoses in episodes of failure.

    Each episode is a separate stream. The monitor reads `warm_up` clean samples, then
    `length` samples in which one modality fails. The samples of a stream are consecutive samples of
    X, with a random start. If the samples are autocorrelated, X has to be in temporal order.

    Read more in the :doc:`how-to guide </howto/stream>`.

    Parameters
    ----------
    monitor : ModalityMonitor
        Fitted monitor. It is not changed: a copy reads the streams.

    X : array-like or DataFrame of shape (n_samples, n_features)
        Clean samples that the monitor was not fitted on.

    y : array-like of shape (n_samples,), default=None
        Targets. If None, no scores are computed.

    corruption : Corruption
        How the modality fails. Its parameters `only`, `n_corrupted` and `fraction` are ignored.

    length : int, default=100
        Number of samples in an episode.

    growing : bool, default=False
        Whether the failure grows gradually and has its full size at the end of the episode.

    kind : str, default=None
        Kind of failure that the monitor should report, such as "stuck". If None, ``right_kind`` is
        not computed.

    n_episodes : int, default=20
        Number of episodes for each modality.

    warm_up : int, default=50
        Number of clean samples before an episode, at least one.

    only : str or list of str, default=None
        Names of the modalities that fail, one in each episode. None means all modalities.

    metric : callable, default=None
        Score function ``metric(y_true, y_pred)``. None means accuracy for classifiers, and R² for
        regressors, for which `method` must be "predict".

    method : {"predict", "predict_proba"}, default="predict"
        Method of the monitor that computes `y_pred`.

    edges : sequence of int, default=(0, 10, 50, 100, 1000)
        Positions in an episode that divide it into intervals. A score is computed for each
        interval, over all episodes. The first interval starts at 0, the last ends with the episode.

    random_state : int, RandomState instance or None, default=None
        Controls the starts of the streams and the failures. Pass an int for reproducible output
        across multiple function calls.

    Returns
    -------
    Bunch
        Dictionary-like object with the attributes

        episodes : DataFrame of shape (n_episodes * n_modalities, 5)
            One row per episode. ``modality`` is the failing modality. ``delay`` is the number of
            samples until the first alarm of any modality: 1 for an alarm at the first failing
            sample, NaN if there is none. An alarm of another modality that was active before the
            episode only counts as a false alarm. ``named`` is, at this time, the most probably
            failing modality of those with an alarm. ``kind`` is the last kind of failure that was
            reported for the failing modality. ``false_alarms`` is the number of alarms in the
            warm-up.
        scores : DataFrame of shape (n_intervals, 3)
            One row per interval: ``score`` of the samples from position ``first`` to position
            ``last``, which is excluded. None if `y` is None.
        summary : Series
            ``median_delay`` is the median over all episodes; it is infinite if at least half of
            them are missed. ``missed`` is the fraction of missed episodes. ``right_modality`` and
            ``right_kind`` are the fractions of detected episodes with a correct diagnosis.
            ``false_alarms`` is the number of false alarms per 10,000 warm-up samples.

    Raises
    ------
    ValueError
        If a number is not valid, or if X has fewer samples than one stream.
    TypeError
        If `monitor` is not a monitor.

    See Also
    --------
    robustness_curve : Scores of estimators that predict each sample independently.

    Examples
    --------
    >>> from sklearn_emma import DAEEnergyScorer
    >>> from sklearn_emma.corruption import Stuck
    >>> from sklearn_emma.datasets import make_multimodal_classification
    >>> from sklearn_emma.model_selection import stream_curve
    >>> from sklearn_emma.monitoring import ModalityMonitor
    >>> X, _ = make_multimodal_classification(1000, random_state=0, return_X_y=True)
    >>> scorer = DAEEnergyScorer("prefix", max_epochs=10, random_state=0)
    >>> monitor = ModalityMonitor(scorer, random_state=0).fit(X[:700])
    >>> curve = stream_curve(
    ...     monitor, X[700:], corruption=Stuck(), kind="stuck", n_episodes=2, random_state=0
    ... )
    >>> bool(curve.summary["median_delay"] < 10), float(curve.summary["right_kind"])
    (True, 1.0)
    """
    if not hasattr(monitor, "update"):
        raise TypeError(
            f"monitor must be a ModalityMonitor, got {type(monitor).__name__}. For scores of an "
            "estimator that predicts each sample independently, use robustness_curve."
        )
    check_is_fitted(monitor)
    check_corruption(corruption)
    X = load(X)
    for name, number in {"length": length, "n_episodes": n_episodes, "warm_up": warm_up}.items():
        if not is_number(number, Integral) or number < 1:
            raise ValueError(f"{name}={number!r} must be a positive integer.")
    if kind not in (None, *KINDS):
        raise ValueError(f"kind={kind!r} must be None or one of {', '.join(map(repr, KINDS))}.")
    if np.ndim(edges) != 1 or not all(is_number(edge, Integral) and edge >= 0 for edge in edges):
        raise ValueError(f"edges={edges!r} must hold positions, integers that are not negative.")
    if y is not None:
        y = plain_target(y)
        check_consistent_length(X, y)
        if not hasattr(monitor, method):
            name = type(monitor.estimator_).__name__
            raise ValueError(f"method={method!r}: a monitor of {name} has no such method.")
        if metric is None and method != "predict":
            raise ValueError(
                f"method={method!r} needs a metric, a function of y and the result of this method. "
                "Pass metric, or use method='predict'."
            )
    n_samples = len(X)
    if n_samples < warm_up + length:
        raise ValueError(
            f"An episode needs {warm_up + length} samples, {warm_up} of them before the failure, "
            f"but X has only {n_samples}."
        )
    names = monitor.modality_names_
    failing_names = choose_modalities(names, only)
    rng = check_random_state(random_state)
    starts = rng.randint(n_samples - warm_up - length + 1, size=(n_episodes, len(failing_names)))
    plans = [
        _Plan(name, int(start), draw_seed(rng))
        for row in starts
        for name, start in zip(failing_names, row, strict=True)
    ]
    monitor = copy.copy(monitor)  # the state of the given one is kept
    X = with_categories(monitor.estimator_, add_missing_modalities(monitor.estimator_, X))
    groups = dict(zip(names, map(list, monitor.estimator_.modality_columns_), strict=True))
    failure = Episodes(corruption, length=length, rate=1.0, growing=growing)
    records, predictions, targets = [], [], []
    for plan in plans:
        clean_until = plan.start + warm_up
        before = _safe_indexing(X, np.arange(plan.start, clean_until - 1))
        # Episodes leaves the first sample of a table clean
        after = _safe_indexing(X, np.arange(clean_until - 1, clean_until + length))
        failure.set_params(only=plan.modality)
        failed, _ = failure.corrupt(after, groups, plan.seed, reference=X)
        monitor.reset()
        health = [monitor.update(part) for part in (before, failed[:1]) if len(part)]
        false_alarms = _count(np.concatenate([h.alarm for h in health]))
        if y is not None:
            predictions.append(getattr(monitor, method)(failed[1:]))
            targets.append(_safe_indexing(y, np.arange(clean_until, clean_until + length)))
        up_before = health[-1].alarm[-1]
        records.append(
            {"modality": plan.modality, "false_alarms": false_alarms}
            | _diagnose(monitor.update(failed[1:]), up_before, names, plan.modality)
        )
    episodes = pd.DataFrame(records)[["modality", "delay", "named", "kind", "false_alarms"]]
    scores = None
    if y is not None:
        if metric is None:
            metric = accuracy_score if is_classifier(monitor.estimator_) else r2_score
        scores = _score(np.stack(targets), np.stack(predictions), metric, edges)
    return Bunch(
        episodes=episodes,
        scores=scores,
        summary=_summarize(episodes, kind, warm_up),
    )


def _count(alarms: np.ndarray) -> int:
    """Count how often an alarm starts."""
    before = np.vstack([np.zeros_like(alarms[:1]), alarms[:-1]])
    return int((alarms & ~before).sum())


def _diagnose(
    health: Any, up_before: np.ndarray, names: list[str], modality: str
) -> dict[str, Any]:
    """Return delay, named modality and kind of failure of an episode."""
    i = names.index(modality)
    still_up = np.logical_and.accumulate(health.alarm, axis=0) & up_before
    still_up[:, i] = False
    alarm = health.alarm & ~still_up
    up = alarm.any(axis=1)
    if not up.any():
        return {"delay": np.nan, "named": "", "kind": ""}
    first = int(up.argmax())
    named = names[int(np.where(alarm[first], health.failing[first], -1.0).argmax())]
    kinds = health.kind[health.alarm[:, i], i]
    return {"delay": first + 1.0, "named": named, "kind": kinds[-1] if len(kinds) else ""}


def _score(
    target: np.ndarray, predicted: np.ndarray, metric: Callable[..., float], edges: Sequence[int]
) -> pd.DataFrame:
    """Return the score of each interval of the episodes."""
    length = target.shape[1]
    bounds = sorted({min(int(edge), length) for edge in (0, *edges, length)})
    records = []
    for first, last in zip(bounds[:-1], bounds[1:], strict=True):
        y_true, y_pred = target[:, first:last], predicted[:, first:last]
        score = metric(y_true.reshape(-1, *y_true.shape[2:]), y_pred.reshape(-1, *y_pred.shape[2:]))
        records.append({"first": first, "last": last, "score": score})
    return pd.DataFrame(records)


def _summarize(episodes: pd.DataFrame, kind: str | None, warm_up: int) -> pd.Series:
    """Return the median delay, and rates of misses, correct diagnoses and false alarms."""
    detected = episodes[episodes["delay"].notna()]
    right_modality = (detected["named"] == detected["modality"]).mean()
    return pd.Series(
        {
            "median_delay": episodes["delay"].fillna(np.inf).median(),
            "missed": episodes["delay"].isna().mean(),
            "right_modality": right_modality,
            "right_kind": np.nan if kind is None else (detected["kind"] == kind).mean(),
            "false_alarms": 1e4 * episodes["false_alarms"].sum() / (len(episodes) * warm_up),
        }
    )
