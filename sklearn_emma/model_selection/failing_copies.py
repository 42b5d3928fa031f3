"""Copies of clean samples with every kind of failure, for calibration."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import clone

from sklearn_emma.corruption import Corruption
from sklearn_emma.corruption.base import choose_modalities
from sklearn_emma.gate.training_failures import training_corruption, with_fraction
from sklearn_emma.model_selection.failure_scorer import break_modality


def failing_copies(
    estimator: Any,
    X: Any,
    *,
    corruption: Corruption | None,
    n_several: int,
    failure_rate: float,
    seed: int,
) -> Iterator[tuple[float, Any]]:
    """Copy samples clean, with each modality failing alone, and with several failing together.

    Parameters
    ----------
    estimator : estimator
        Fitted; its modalities fail.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Clean samples, which also give units and donors.
    corruption : Corruption or None
        How modalities fail. None stands for the failures that the estimator was trained with.
    n_several : int
        Copies in which several modalities fail, from two to all but one.
    failure_rate : float
        Share of all samples that fail.
    seed : int
        Determines the failures.

    Yields
    ------
    weight : float
        Share of the copy: `failure_rate` divided equally among the failing ones.
    table : ndarray or DataFrame of shape (n_samples, n_features)
        The copy.
    """
    if corruption is None:
        corruption = getattr(getattr(estimator, "gate_", estimator), "corruption", None)
    failure = with_fraction(training_corruption(corruption), 1.0)
    names = estimator.modality_names_
    modalities = dict(zip(names, map(list, estimator.modality_columns_), strict=True))
    may_fail = choose_modalities(names, failure.only)
    most = min(len(may_fail), len(names) - 1)
    # with two modalities there are no several that leave one
    numbers = np.linspace(2, most, n_several if most >= 2 else 0)
    several = np.unique(numbers.round().astype(int))
    share = failure_rate / (len(may_fail) + len(several))
    yield 1 - failure_rate, X
    random_state = np.random.RandomState(seed)
    for name in may_fail:
        for table in break_modality(
            failure, X, modalities, name, [random_state.randint(2**31 - 1)], X
        ):
            yield share, table
    for number in several:
        many = clone(failure).set_params(n_corrupted=int(number))
        yield share, many.corrupt(X, modalities, random_state, reference=X)[0]
