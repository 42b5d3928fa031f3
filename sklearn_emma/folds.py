"""Cross-validation of many settings: fits and scores of folds, and ``cv_results_``."""

import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.exceptions import FitFailedWarning

from sklearn_emma.base import BaseEMMA, fit_settings
from sklearn_emma.compat import _safe_split, scorers_of
from sklearn_emma.user_warnings import stacklevel_of_user


@dataclass(frozen=True)
class FoldData:
    """Data that are the same for all folds.

    Attributes
    ----------
    X, y, sample_weight : array-like of shape (n_samples, ...)
        All samples; the weights may be None.
    weighted : bool
        Whether scores are weighted.
    """

    X: Any
    y: Any
    sample_weight: np.ndarray | None
    weighted: bool

    def weight_of(self, samples: np.ndarray) -> np.ndarray | None:
        """Return the weights of some samples."""
        return None if self.sample_weight is None else self.sample_weight[samples]


@dataclass(frozen=True)
class FoldOutcome:
    """Scores of all settings in one fold.

    Attributes
    ----------
    scores : list of dict of str to float, or of None
        Scores by name for each setting. None if the fit failed.
    errors : list of ValueError
        Errors of the fits that failed, in the order of the settings.
    fit_time : float
        Time for all fits, in seconds.
    score_times : ndarray of shape (n_settings,)
        Time for computing the scores of each setting, in seconds.
    """

    scores: list[dict[str, float] | None]
    errors: list[ValueError]
    fit_time: float
    score_times: np.ndarray


def score_fold(
    classifier: BaseEMMA,
    settings: Sequence[Mapping[str, float]],
    scorer: Any,
    data: FoldData,
    fold: tuple[np.ndarray, np.ndarray],
) -> FoldOutcome:
    """Fit a classifier with each setting on the training samples, and score it on the others.

    Parameters
    ----------
    classifier : BaseEMMA
        Classifier with the parameters that are not in the settings.
    settings : sequence of mapping of str to float
        The settings.
    scorer : callable
        Scorer of a classifier.
    data : FoldData
        The samples.
    fold : tuple of ndarray of int
        Positions of training and test samples.

    Returns
    -------
    FoldOutcome
        Scores, times, and errors.
    """
    train, test = fold
    X_train, y_train = _safe_split(classifier, data.X, data.y, train)
    X_test, y_test = _safe_split(classifier, data.X, data.y, test, train)
    weights = {"sample_weight": data.weight_of(test)} if data.weighted else {}
    start = time.perf_counter()
    try:
        fits = fit_settings(classifier, X_train, y_train, settings, data.weight_of(train))
    except ValueError as error:
        fits = [error] * len(settings)
    fit_time = time.perf_counter() - start
    errors = [fit for fit in fits if isinstance(fit, ValueError)]
    scores: list[dict[str, float] | None] = []
    score_times = np.zeros(len(settings))
    for i, fit in enumerate(fits):
        start = time.perf_counter()
        scores.append(
            None if isinstance(fit, ValueError) else _score(scorer, fit, X_test, y_test, weights)
        )
        score_times[i] = time.perf_counter() - start
    return FoldOutcome(scores, errors, fit_time, score_times)


def _score(scorer: Any, classifier: Any, X: Any, y: Any, weights: dict) -> dict[str, float]:
    """Return scores by name. If the scorer fails, warn and return NaN."""
    try:
        scores = scorer(classifier, X, y, **weights)
    except Exception as error:
        warnings.warn(
            f"Scoring failed; the score is NaN. The error was: {type(error).__name__}: {error}",
            UserWarning,
            stacklevel=stacklevel_of_user(),
        )
        several = scorers_of(scorer)
        scores = dict.fromkeys(several, np.nan) if isinstance(several, dict) else np.nan
    named = scores if isinstance(scores, dict) and scores else {"score": scores}
    return {name: check_score(score) for name, score in named.items()}


def check_score(score: Any, source: str = "scoring") -> float:
    """Return a score. Raise ValueError unless it is a single number.

    Parameters
    ----------
    score : object
        What a scorer has returned.
    source : str, default="scoring"
        Name of the parameter that holds the scorer, for messages.

    Returns
    -------
    float
        The score.
    """
    number = score
    if hasattr(score, "item"):  # numbers of numpy and torch
        with suppress(ValueError, RuntimeError):
            number = score.item()
    if not isinstance(number, Real):
        raise ValueError(f"{source} must return a single number, got {score!r}.")
    return float(number)


def check_failures(outcomes: Sequence[FoldOutcome]) -> None:
    """Warn if some fits failed, and raise the first error if all of them failed.

    Parameters
    ----------
    outcomes : sequence of FoldOutcome
        Outcomes of all folds.

    Raises
    ------
    ValueError
        If all fits failed.
    """
    errors = [error for outcome in outcomes for error in outcome.errors]
    n_fits = sum(len(outcome.scores) for outcome in outcomes)
    if not errors:
        return
    if len(errors) == n_fits:
        raise errors[0]
    warnings.warn(
        f"{len(errors)} of {n_fits} fits failed, whose scores are NaN. The first error was: "
        f"{errors[0]}",
        FitFailedWarning,
        stacklevel=stacklevel_of_user(),
    )


def score_names(outcomes: Sequence[FoldOutcome]) -> list[str]:
    """Return the names of the scores.

    Parameters
    ----------
    outcomes : sequence of FoldOutcome
        Outcomes of all folds.

    Returns
    -------
    list of str
        Names of the scores, at least one.
    """
    found = (list(scores) for outcome in outcomes for scores in outcome.scores if scores)
    # if a scorer with several scores fails, it has only one score without a name
    return max(found, key=len)


def format_results(
    settings: Sequence[Mapping[str, float]], outcomes: Sequence[FoldOutcome]
) -> dict[str, Any]:
    """Return the results in the format of :class:`~sklearn.model_selection.GridSearchCV`.

    Parameters
    ----------
    settings : sequence of mapping of str to float
        The settings.
    outcomes : sequence of FoldOutcome
        Outcomes of all folds.

    Returns
    -------
    dict of str to ndarray or list
        ``cv_results_``.
    """
    n = len(settings)
    fit_times = np.array([outcome.fit_time for outcome in outcomes])
    score_times = np.column_stack([outcome.score_times for outcome in outcomes])
    results: dict[str, Any] = {
        "mean_fit_time": np.full(n, fit_times.mean() / n),
        "std_fit_time": np.full(n, fit_times.std() / n),
        "mean_score_time": score_times.mean(axis=1),
        "std_score_time": score_times.std(axis=1),
    }
    for name in dict.fromkeys(name for setting in settings for name in setting):
        places = [i for i, setting in enumerate(settings) if name in setting]
        given = np.array([settings[i][name] for i in places])
        results[f"param_{name}"] = np.ma.MaskedArray(np.empty(n, dtype=given.dtype), mask=True)
        results[f"param_{name}"][places] = given
    results["params"] = list(settings)
    for name in score_names(outcomes):
        scores = np.column_stack(
            [[(s or {}).get(name, np.nan) for s in outcome.scores] for outcome in outcomes]
        ).astype(float)
        for i, of_split in enumerate(scores.T):
            results[f"split{i}_test_{name}"] = of_split
        mean = scores.mean(axis=1)
        if not np.isfinite(mean).all():
            warnings.warn(
                f"One or more of the test scores are non-finite: {mean}",
                UserWarning,
                stacklevel=stacklevel_of_user(),
            )
        results[f"mean_test_{name}"] = mean
        results[f"std_test_{name}"] = scores.std(axis=1)
        results[f"rank_test_{name}"] = _rank(mean)
    return results


def _rank(mean: np.ndarray) -> np.ndarray:
    """Return ranks; the best setting has rank 1, and settings without a score come last."""
    if np.isnan(mean).all():
        return np.ones(len(mean), dtype=np.int32)
    filled = np.nan_to_num(mean, nan=np.nanmin(mean) - 1)
    return rankdata(-filled, method="min").astype(np.int32)


def check_refit(refit: Any, names: Sequence[str]) -> None:
    """Raise ValueError unless `refit` is valid for several scores.

    Parameters
    ----------
    refit : object
        Parameter of the search.
    names : sequence of str
        Names of the scores.
    """
    if refit is not False and not callable(refit) and refit not in names:
        raise ValueError(
            "With several scores, refit must be the name of the one that decides, a callable, or "
            f"False, got {refit!r}. The scores are {list(names)}."
        )


def check_best_index(index: Any, n_settings: int) -> None:
    """Raise an error unless a callable `refit` returned the position of a setting.

    Parameters
    ----------
    index : object
        Value that the callable returned.
    n_settings : int
        Number of settings.
    """
    if not isinstance(index, Integral):
        raise TypeError(f"refit must return an integer, the best index, got {index!r}.")
    if not 0 <= int(index) < n_settings:
        raise IndexError(f"refit returned {index}, but there are {n_settings} settings.")
