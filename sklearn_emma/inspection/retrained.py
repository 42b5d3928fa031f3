"""The yardstick: a model that was trained on exactly the failure that it is tested on."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import make_pipeline

from sklearn_emma.model_selection.failure_scorer import break_modality
from sklearn_emma.model_selection.robustness import _build, robustness_curve


class _FailsInTraining(TransformerMixin, BaseEstimator):
    """Breaks a modality of training rows; other rows pass as they are."""

    def __init__(self, failure, modalities, name, seed):
        self.failure = failure
        self.modalities = modalities
        self.name = name
        self.seed = seed

    def fit(self, X, y=None):
        """Do nothing."""
        return self

    def fit_transform(self, X, y=None):
        """Break training rows."""
        (broken,) = break_modality(self.failure, X, self.modalities, self.name, [self.seed], X)
        return broken

    def transform(self, X):
        """Return rows as they are."""
        return X

    def __sklearn_is_fitted__(self):
        return True


def specialist_scores(estimator, X, y, names, levels, seed, *, modalities, corruption, **settings):
    """Cross-validated scores of a specialist for every modality and level.

    Parameters
    ----------
    estimator : estimator
        Fitted anew for every modality, level and split, on training rows that fail like the test
        rows.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Rows.
    y : array-like of shape (n_samples,)
        Targets.
    names : list of str
        Modalities to fail in turn.
    levels : ndarray of shape (n_levels,)
        Failure levels.
    seed : int
        Determines the failures.
    modalities, corruption : objects
        As in :func:`sklearn_emma.model_selection.robustness_curve`.
    **settings : dict
        More of its parameters.

    Returns
    -------
    ndarray of shape (n_modalities, n_levels)
        Mean scores over the splits.
    """
    scores = np.empty((len(names), len(levels)))
    for i, name in enumerate(names):
        for j, level in enumerate(levels.tolist()):
            failure = _build(corruption, level)  # None where nothing fails
            breaks = _FailsInTraining(failure, modalities, name, seed)
            scores[i, j] = robustness_curve(
                estimator if failure is None else make_pipeline(breaks, estimator),
                X,
                y,
                modalities=modalities,
                corruption=corruption,
                levels=[level],
                only=name,
                random_state=seed,
                **settings,
            ).test_scores.mean()
    return scores
