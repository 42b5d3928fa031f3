"""Cross-validated scores of any scikit-learn estimator under failures of modalities."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn import get_config
from sklearn.base import clone, is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils import Bunch, indexable
from sklearn.utils.metadata_routing import MethodMapping, process_routing
from sklearn.utils.parallel import Parallel, delayed

from sklearn_emma.compat import _check_method_params, _safe_split
from sklearn_emma.corruption import (
    Corruption,
    Noise,
)
from sklearn_emma.corruption.base import check_corruption, choose_modalities
from sklearn_emma.engine.seeding import draw_seeds
from sklearn_emma.lazy import load
from sklearn_emma.modalities import resolve_modalities
from sklearn_emma.model_selection.failing import check_repeats, failing_tables, score_with
from sklearn_emma.model_selection.routing import fit_router
from sklearn_emma.tables import plain_target


def robustness_curve(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    modalities: Any,
    corruption: Callable[[float], Corruption] = Noise,
    levels: Any = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0),
    only: str | Sequence[str] | None = None,
    scoring: Any = None,
    cv: Any = None,
    groups: Any = None,
    params: dict | None = None,
    score_params: dict | None = None,
    n_repeats: int = 1,
    random_state: Any = None,
    n_jobs: int | None = None,
) -> Bunch:
    """Compute cross-validated scores as a function of the severity of a failure.

    In each split the estimator is fitted once, on the unchanged training samples. Then it is scored
    on corrupted test samples, for each level and for each modality. One modality fails at a time.
    The training samples are the reference samples of the corruption. All levels use the same random
    numbers, so the scores of a split and modality differ only because of the level.

    Read more in the :doc:`tutorial </tutorial>`.

    Parameters
    ----------
    estimator : estimator
        Any estimator with ``fit``, and with ``score`` or the methods that `scoring` needs. It is
        cloned.

    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples. Columns that do not belong to any modality never fail.

    y : array-like of shape (n_samples,), default=None
        Targets.

    modalities : dict, list of (name, columns), callable, "prefix" or None
        The groups of columns, in any form that :class:`~sklearn_emma.EMMAClassifier` accepts.

    corruption : subclass of Corruption or callable, default=Noise
        Callable that takes a level and returns a :class:`~sklearn_emma.corruption.Corruption`, for
        instance ``Noise``, ``Drift`` or ``lambda p: Missing(fraction=p)``.
        :class:`~sklearn_emma.corruption.Adversarial` attacks the estimator of each split. The
        modality fails in all samples, unless the parameter `fraction` of the corruption is set. Its
        parameters `only` and `n_corrupted` are ignored.

    levels : array-like of shape (n_levels,), default=(0, 0.5, 1, 2, 4, 8)
        Severities of the failure. Nothing fails at level 0, or at 1 for ``Scaling`` and at inf for
        ``NoiseSNR``. ``Stuck`` has no such level: its level is the value at which the sensor is
        stuck.

    only : str or list of str, default=None
        Names of the modalities that fail, one at a time. None means all modalities.

    scoring : str, callable or None, default=None
        A scorer, as in scikit-learn. None means the method ``score`` of the estimator.

    cv : int, cross-validation splitter, iterable or None, default=None
        Cross-validation strategy, as in scikit-learn. None means 5-fold cross-validation,
        stratified for classifiers.

    groups : array-like of shape (n_samples,), default=None
        Group labels of the samples, for splitters such as
        :class:`~sklearn.model_selection.GroupKFold`. Not used with metadata routing.

    params : dict, default=None
        Parameters passed to ``fit``, such as `sample_weight`. Parameters with one value per sample
        are restricted to the training samples. With metadata routing, they are passed to ``fit``,
        scorer and splitter as these request, as in :func:`~sklearn.model_selection.cross_validate`.

    score_params : dict, default=None
        Parameters passed to the scorer. Parameters with one value per sample are restricted to the
        test samples. Not used with metadata routing.

    n_repeats : int, default=1
        Number of times that failures are drawn. Scores are averaged over the draws.

    random_state : int, RandomState instance or None, default=None
        Controls the failures. Pass an int for reproducible output across multiple function calls.
        The estimator and `cv` have random states of their own.

    n_jobs : int, default=None
        Number of splits that are computed in parallel, as in joblib.

    Returns
    -------
    Bunch
        Dictionary-like object with the attributes

        levels : ndarray of shape (n_levels,)
            The levels.
        modality_names : list of str of length n_modalities
            Names of the modalities that failed.
        test_scores : ndarray of shape (n_modalities, n_levels, n_splits)
            Scores on the test samples.
        fit_times, score_times : ndarray of shape (n_splits,)
            Time for fitting and time for computing all scores of a split, in seconds.
        frame : DataFrame
            The scores in long format, with the columns ``modality``, ``level``, ``split`` and
            ``score``.

    Raises
    ------
    ValueError
        If a modality in `only` is unknown, if `levels` are not numbers, or if `n_repeats` is not a
        positive integer. With metadata routing, if `groups` or `score_params` are given. Errors
        raised while fitting or scoring are not caught.
    TypeError
        If `corruption` does not return a Corruption.

    See Also
    --------
    make_failure_scorer : Averages scores over failures, to select hyperparameters.
    sklearn.model_selection.validation_curve : Scores as a function of a hyperparameter.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_emma.datasets import make_multimodal_classification
    >>> from sklearn_emma.model_selection import robustness_curve
    >>> X, y = make_multimodal_classification(600, random_state=0, return_X_y=True)
    >>> curve = robustness_curve(
    ...     LogisticRegression(), X, y, modalities="prefix", levels=[0, 1, 4], random_state=0
    ... )
    >>> curve.test_scores.shape
    (3, 3, 5)
    >>> curve.frame.groupby("level")["score"].mean().round(2).to_dict()
    {0.0: 0.97, 1.0: 0.94, 4.0: 0.77}
    """
    X, y, groups = indexable(load(X), plain_target(y), groups)
    levels = _check_levels(levels)
    names = choose_modalities(resolve_modalities(modalities, X, remainder="drop")[0], only)
    failures = [corruption_at(corruption, level) for level in levels.tolist()]
    n_repeats = check_repeats(n_repeats)
    scorer = check_scoring(estimator, scoring=scoring)
    of_fit, of_score, of_split = params or {}, score_params or {}, {"groups": groups}
    cv = check_cv(cv, y, classifier=is_classifier(estimator))
    if get_config()["enable_metadata_routing"]:
        if groups is not None or score_params:
            raise ValueError(
                "With metadata routing, `groups` and `score_params` belong in `params`: "
                'params={"groups": groups, ...}.'
            )
        router = fit_router("robustness_curve", estimator, cv).add(
            scorer=scorer, method_mapping=MethodMapping().add(caller="fit", callee="score")
        )
        routed = process_routing(router, "fit", **of_fit)
        of_fit, of_score, of_split = (
            routed.estimator.fit,
            routed.scorer.score,
            routed.splitter.split,
        )
    experiment = _Experiment(scorer, of_fit, of_score, modalities, names, failures)
    splits = list(cv.split(X, y, **of_split))
    seeds = draw_seeds(random_state, (len(splits), len(names), n_repeats))
    results = Parallel(n_jobs=n_jobs)(
        delayed(experiment.run)(clone(estimator), X, y, split, seeds_of_split)
        for split, seeds_of_split in zip(splits, seeds, strict=True)
    )
    scores, fit_times, score_times = (
        np.stack(part, axis=-1) for part in zip(*results, strict=True)
    )
    index = pd.MultiIndex.from_product(
        [names, levels, range(len(splits))], names=["modality", "level", "split"]
    )
    return Bunch(
        levels=levels,
        modality_names=names,
        test_scores=scores,
        fit_times=fit_times,
        score_times=score_times,
        frame=pd.Series(scores.ravel(), index, name="score").reset_index(),
    )


@dataclass(frozen=True)
class _Experiment:
    """Settings that are the same for all splits.

    Parameters
    ----------
    scorer : callable
        A scorer.
    params, score_params : dict
        Parameters of ``fit`` and of the scorer, for all samples.
    modalities : dict, list of (name, columns), callable, "prefix" or None
        The groups of columns.
    names : list of str
        Names of the modalities that fail, one at a time.
    failures : list of Corruption or None
        Corruption of each level, or None for a level at which nothing fails.
    """

    scorer: Any
    params: dict
    score_params: dict
    modalities: Any
    names: list[str]
    failures: list[Corruption | None]

    def run(
        self, estimator: Any, X: Any, y: Any, split: tuple, seeds: np.ndarray
    ) -> tuple[np.ndarray, float, float]:
        """Fit on the training samples, and score on the corrupted test samples.

        Parameters
        ----------
        estimator : estimator
            Unfitted estimator. It is fitted in place.
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,) or None
            Targets.
        split : (array-like of int, array-like of int)
            Positions of training and test samples.
        seeds : ndarray of shape (n_modalities, n_repeats)
            Seeds of the failures.

        Returns
        -------
        scores : ndarray of shape (n_modalities, n_levels)
            Scores, averaged over the repeats.
        fit_time, score_time : float
            Times in seconds.
        """
        train, test = map(np.asarray, split)
        X_train, y_train = _safe_split(estimator, X, y, train)
        X_test, y_test = _safe_split(estimator, X, y, test, train)
        score_params = _check_method_params(X, self.score_params, test)
        fit_params = _check_method_params(X, self.params, train)
        start = time.perf_counter()
        estimator.fit(X_train, *([] if y is None else [y_train]), **fit_params)
        fitted = time.perf_counter()

        def score(table: Any) -> float:
            """Score the estimator on test samples, clean or corrupted."""
            return score_with(self.scorer, estimator, table, y_test, score_params)

        clean = score(X_test) if None in self.failures else np.nan
        scores = np.full((len(self.names), len(self.failures)), clean)
        failures = [None if f is None else f.against(estimator, y_test) for f in self.failures]
        failing = failing_tables(failures, X_test, self.modalities, self.names, seeds, X_train)
        for i, j, tables in failing:
            scores[i, j] = np.mean([score(table) for table in tables])
        return scores, fitted - start, time.perf_counter() - fitted


def corruption_at(corruption: Any, level: float) -> Corruption | None:
    """Return the corruption of a level, or None if nothing fails at this level.

    Parameters
    ----------
    corruption : subclass of Corruption or callable
        Callable that takes a level and returns a Corruption.
    level : float
        Severity of the failure.

    Returns
    -------
    Corruption or None
        The corruption.

    Raises
    ------
    TypeError
        If `corruption` does not return a Corruption.
    """
    if isinstance(corruption, Corruption) or not callable(corruption):
        raise TypeError(
            "corruption must take a level and return a Corruption, such as the class Noise itself "
            f"or lambda p: Missing(fraction=p), got {corruption!r}."
        )
    try:
        failure = corruption(level)
    except TypeError as error:
        raise TypeError(
            f"corruption cannot be called with a level: {error}. Pass a function of the level, "
            "such as lambda p: Missing(fraction=p)."
        ) from error
    check_corruption(failure)
    return None if failure.is_harmless(level) else failure


def _check_levels(levels: Any) -> np.ndarray:
    """Return the levels as an array. Raise ValueError unless they are numbers."""
    values = np.asarray(levels)
    if values.ndim != 1 or values.size == 0 or values.dtype.kind not in "fiu":
        raise ValueError(f"levels={levels!r} must be a list of at least one number.")
    if np.isnan(values).any():
        raise ValueError("levels must not contain NaN. For scores without failures, use level 0.")
    return values.astype(float)
