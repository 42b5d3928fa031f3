"""Matched training: retrain models on the same failure that they are tested on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import make_pipeline
from sklearn.utils import Bunch

from sklearn_emma.corruption import Corruption
from sklearn_emma.model_selection.failing import break_modality
from sklearn_emma.model_selection.robustness import corruption_at, robustness_curve


@dataclass(frozen=True)
class EvaluationProtocol:
    """Settings of robustness curves.

    Parameters
    ----------
    modalities, corruption, scoring, cv, n_repeats, n_jobs : objects
        Parameters of :func:`sklearn_emma.model_selection.robustness_curve`.
    seed : int
        Seed of the failures.
    """

    modalities: Any
    corruption: Any
    scoring: Any
    cv: Any
    n_repeats: int
    n_jobs: int | None
    seed: int

    def curve(self, estimator: Any, X: Any, y: Any, levels: Any, only: Any = None) -> Bunch:
        """Cross-validate an estimator while modalities fail.

        Parameters
        ----------
        estimator : estimator
            Estimator, which is cloned.
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,) or None
            Targets.
        levels : array-like of shape (n_levels,)
            Failure levels.
        only : str or list of str, default=None
            Names of the modalities that fail, one at a time. None means all.

        Returns
        -------
        Bunch
            The result of :func:`~sklearn_emma.model_selection.robustness_curve`.
        """
        return robustness_curve(
            estimator,
            X,
            y,
            modalities=self.modalities,
            corruption=self.corruption,
            levels=levels,
            only=only,
            scoring=self.scoring,
            cv=self.cv,
            n_repeats=self.n_repeats,
            random_state=self.seed,
            n_jobs=self.n_jobs,
        )


class _CorruptedInTraining(TransformerMixin, BaseEstimator):
    """Corrupt one modality of the training samples, and leave test samples unchanged."""

    def __init__(self, failure: Corruption, modalities: Any, name: str, seed: int) -> None:
        self.failure = failure
        self.modalities = modalities
        self.name = name
        self.seed = seed

    def fit(self, X: Any, y: Any = None) -> "_CorruptedInTraining":
        """Do nothing."""
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Return the corrupted training samples."""
        return next(break_modality(self.failure, X, self.modalities, self.name, [self.seed], X))

    def transform(self, X: Any) -> Any:
        """Return the samples unchanged."""
        return X

    def __sklearn_is_fitted__(self) -> bool:
        return True


def matched_training_scores(
    estimator: Any,
    X: Any,
    y: Any,
    names: list[str],
    levels: np.ndarray,
    protocol: EvaluationProtocol,
) -> np.ndarray:
    """Return cross-validated scores of matched training for every modality and level.

    Parameters
    ----------
    estimator : estimator
        Estimator that is retrained for every modality, level and split, on training samples that
        are corrupted in the same way as the test samples.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples.
    y : array-like of shape (n_samples,) or None
        Targets.
    names : list of str
        Names of the modalities that fail, one at a time.
    levels : ndarray of shape (n_levels,)
        Failure levels.
    protocol : EvaluationProtocol
        Settings of the evaluation.

    Returns
    -------
    ndarray of shape (n_modalities, n_levels)
        Mean scores over the splits.
    """
    scores = np.empty((len(names), len(levels)))
    for i, name in enumerate(names):
        for j, level in enumerate(levels.tolist()):
            failure = corruption_at(protocol.corruption, level)
            model = estimator
            if failure is not None:
                corrupt = _CorruptedInTraining(failure, protocol.modalities, name, protocol.seed)
                model = make_pipeline(corrupt, estimator)
            scores[i, j] = protocol.curve(model, X, y, [level], name).test_scores.mean()
    return scores
