"""Corrupted copies of clean samples, for calibration."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from sklearn_emma.corruption import Corruption
from sklearn_emma.corruption.base import choose_modalities
from sklearn_emma.engine.seeding import draw_seed
from sklearn_emma.gate.training_failures import training_corruption, with_fraction
from sklearn_emma.model_selection.failing import break_modality
from sklearn_emma.model_selection.inside import with_categories
from sklearn_emma.tables import add_missing_modalities, plain_table


def failing_copies(
    estimator: Any,
    X: Any,
    y: np.ndarray | None = None,
    *,
    corruption: Corruption | None,
    n_several: int,
    failure_rate: float,
    seed: int,
) -> Iterator[tuple[float, Any]]:
    """Yield clean samples, and copies in which one or several modalities fail.

    The first table has the clean samples. Then there is one table for each modality that may fail,
    with this modality failing alone, and up to `n_several` tables with several failing modalities.
    Modalities without any value cannot fail.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator, which defines the modalities.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Clean samples. They are also the reference samples of the corruption.
    y : ndarray of shape (n_samples,), default=None
        Labels or values of the samples, for corruptions that depend on the estimator.
    corruption : Corruption or None
        How modalities fail. None means that they fail as in the training of the estimator.
    n_several : int
        Largest number of tables in which several modalities fail. The number of failing modalities
        varies from two to all of them.
    failure_rate : float
        Total weight of the corrupted tables.
    seed : int
        Seed of the failures.

    Yields
    ------
    weight : float
        Weight of the table: ``1 - failure_rate`` for the clean samples, and an equal share of
        `failure_rate` for each corrupted table.
    table : ndarray or DataFrame of shape (n_samples, n_features)
        The samples, clean or corrupted.
    """
    if corruption is None:
        corruption = getattr(getattr(estimator, "gate_", estimator), "corruption", None)
    failure = with_fraction(training_corruption(corruption), 1.0).against(estimator, y)
    X = with_categories(estimator, add_missing_modalities(estimator, plain_table(X)))
    yield 1 - failure_rate, X
    names = estimator.modality_names_
    modalities = dict(zip(names, map(list, estimator.modality_columns_), strict=True))
    may_fail = _with_values(choose_modalities(names, failure.only), modalities, X)
    modalities = {name: modalities[name] for name in may_fail}
    most = len(may_fail)
    numbers = np.linspace(2, most, n_several if most >= 2 else 0)
    several = np.unique(numbers.round().astype(int))
    share = failure_rate / (len(may_fail) + len(several))
    random_state = np.random.RandomState(seed)
    for name in may_fail:
        for table in break_modality(failure, X, modalities, name, [draw_seed(random_state)], X):
            yield share, table
    for number in several:
        many = clone(failure).set_params(n_corrupted=int(number), only=None)
        yield share, many.corrupt(X, modalities, random_state, reference=X)[0]


def _with_values(chosen: list[str], modalities: dict[str, list], X: Any) -> list[str]:
    """Return the modalities that have values. Raise ValueError if a column of them has none."""
    empty = pd.DataFrame(X).isna().all().to_numpy()
    found = [name for name in chosen if not empty[modalities[name]].all()]
    if not found:
        raise ValueError(
            f"The calibration samples have no value in the modalities that may fail, {chosen}."
        )
    for name in found:
        if empty[modalities[name]].any():
            raise ValueError(
                f"Column {int(empty[modalities[name]].argmax())} of modality {name!r} has no value "
                "in the calibration samples, so failures of this modality cannot be simulated. "
                "Calibrate on samples in which it has values, or pass a corruption whose parameter "
                "`only` names other modalities."
            )
    return found
