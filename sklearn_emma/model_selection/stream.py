"""Evaluate a monitor while modalities of a stream fail: scores over time, delays, diagnoses."""

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import is_classifier
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import Bunch, check_random_state
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.compat import _safe_indexing
from sklearn_emma.corruption import Corruption, Episodes
from sklearn_emma.corruption.base import choose_modalities, is_number
from sklearn_emma.model_selection.failure_scorer import check_corruption
from sklearn_emma.monitoring.failures import KINDS


class _Plan(NamedTuple):
    """One episode: which modality fails, where the stream starts, and the seed of the failure."""

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
    """Score, detection and diagnosis of a monitor in episodes of failure.

    Every episode is a stream of its own: the monitor is reset, reads `warm_up` clean samples, then
    `length` samples in which one modality fails. Streams are successive samples of X from a random
    start, so that X has to be in the order of time if its samples are autocorrelated.

    Parameters
    ----------
    monitor : ModalityMonitor
        Fitted. Its state of the stream is reset.

    X : array-like or DataFrame of shape (n_samples, n_features)
        Clean samples that the monitor was not fitted on.

    y : array-like of shape (n_samples,), default=None
        Targets. None computes no scores.

    corruption : Corruption
        What happens to the modality; its `only`, `n_corrupted` and `fraction` are ignored.

    length : int, default=100
        Samples in an episode.

    growing : bool, default=False
        Whether the failure grows to its full size at the end of the episode.

    kind : str, default=None
        What the monitor should call the failure, such as "stuck". None counts no kinds.

    n_episodes : int, default=20
        Episodes for each modality.

    warm_up : int, default=50
        Clean samples before an episode, at least one.

    only : str or list of str, default=None
        Names of the modalities that fail in turn. None stands for all.

    metric : callable, default=None
        ``metric(y_true, y_pred)``. None stands for accuracy, or R² for a regressor.

    method : {"predict", "predict_proba"}, default="predict"
        What gives `y_pred`.

    edges : sequence of int, default=(0, 10, 50, 100, 1000)
        Positions in the episodes that divide them into intervals; each interval gets a score.

    random_state : int, RandomState instance or None, default=None
        Determines starts and failures. Pass an int for the same result in every call.

    Returns
    -------
    Bunch
        With the keys

        episodes : DataFrame of shape (n_episodes * n_modalities, 5)
            ``modality`` that failed, ``delay`` in samples until the first alarm (1 if at the first
            failing sample, NaN if missed), ``named`` (the modality that was then most likely
            failing), ``kind`` of the failing modality at the last alarm of the episode, and
            ``false_alarms`` in the warm-up.
        scores : DataFrame of shape (n_intervals, 3)
            ``first`` and ``last`` sample of the episodes, and ``score``; None without y.
        summary : Series
            ``median_delay`` (of all episodes, infinite if most are missed), ``missed``,
            ``right_modality`` and ``right_kind`` (shares of the detected episodes), and
            ``false_alarms`` per 10,000 samples of the warm-ups.

    Raises
    ------
    ValueError
        If a number is not valid, or X is shorter than one stream.

    See Also
    --------
    robustness_curve : Scores of estimators that look at one sample at a time.

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
    check_is_fitted(monitor)
    check_corruption(corruption)
    for name, number in {"length": length, "n_episodes": n_episodes, "warm_up": warm_up}.items():
        if not is_number(number, Integral) or number < 1:
            raise ValueError(f"{name}={number!r} must be a positive integer.")
    if kind not in (None, *KINDS):
        raise ValueError(f"kind={kind!r} must be None or one of {', '.join(map(repr, KINDS))}.")
    n_samples = len(X)
    if n_samples < warm_up + length:
        raise ValueError(
            f"An episode takes {warm_up + length} samples, of which {warm_up} before the failure, "
            f"but X has {n_samples}."
        )
    names = monitor.modality_names_
    failing_names = choose_modalities(names, only)
    rng = check_random_state(random_state)
    starts = rng.randint(n_samples - warm_up - length + 1, size=(n_episodes, len(failing_names)))
    plans = [
        _Plan(name, int(start), int(rng.randint(2**31 - 1)))
        for row in starts
        for name, start in zip(failing_names, row, strict=True)
    ]
    groups = dict(zip(names, map(list, monitor.estimator_.modality_columns_), strict=True))
    failure = Episodes(corruption, length=length, rate=1.0, growing=growing)
    records, predictions, targets = [], [], []
    for plan in plans:
        clean_until = plan.start + warm_up
        before = _safe_indexing(X, np.arange(plan.start, clean_until - 1))
        # the first sample of a table of episodes is clean
        after = _safe_indexing(X, np.arange(clean_until - 1, clean_until + length))
        failure.set_params(only=plan.modality)
        failed, _ = failure.corrupt(after, groups, plan.seed, reference=X)
        monitor.reset()
        health = [monitor.update(part) for part in (before, failed[:1]) if len(part)]
        false_alarms = _count(np.concatenate([h.alarm for h in health]))
        if y is not None:
            predictions.append(getattr(monitor, method)(failed[1:]))
            targets.append(_safe_indexing(y, np.arange(clean_until, clean_until + length)))
        records.append(
            {"modality": plan.modality, "false_alarms": false_alarms}
            | _diagnose(monitor.update(failed[1:]), names, plan.modality)
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
        summary=_summarise(episodes, kind, warm_up),
    )


def _count(alarms: np.ndarray) -> int:
    """Count how often alarms go up."""
    before = np.vstack([np.zeros_like(alarms[:1]), alarms[:-1]])
    return int((alarms & ~before).sum())


def _diagnose(health: Any, names: list[str], modality: str) -> dict[str, Any]:
    """Return what the monitor said of an episode."""
    up = health.alarm.any(axis=1)
    if not up.any():
        return {"delay": np.nan, "named": "", "kind": ""}
    first = int(up.argmax())
    named = names[int(np.where(health.alarm[first], health.failing[first], -1.0).argmax())]
    i = names.index(modality)
    kinds = health.kind[health.alarm[:, i], i]
    return {"delay": first + 1.0, "named": named, "kind": kinds[-1] if len(kinds) else ""}


def _score(
    target: np.ndarray, predicted: np.ndarray, metric: Callable[..., float], edges: Sequence[int]
) -> pd.DataFrame:
    """Return scores between samples of the episodes."""
    length = target.shape[1]
    bounds = sorted({min(int(edge), length) for edge in (*edges, length)})
    records = []
    for first, last in zip(bounds[:-1], bounds[1:], strict=True):
        y_true, y_pred = target[:, first:last], predicted[:, first:last]
        score = metric(y_true.reshape(-1, *y_true.shape[2:]), y_pred.reshape(-1, *y_pred.shape[2:]))
        records.append({"first": first, "last": last, "score": score})
    return pd.DataFrame(records)


def _summarise(episodes: pd.DataFrame, kind: str | None, warm_up: int) -> pd.Series:
    """Return delays, and shares of the detected episodes."""
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
