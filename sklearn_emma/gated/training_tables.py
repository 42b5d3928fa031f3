"""What the estimator behind a gate learns from: clean samples and copies with failures."""

from typing import Any

import numpy as np

from sklearn_emma.categories import decode_table, encode
from sklearn_emma.corruption import SomeColumns
from sklearn_emma.gate.columns import FAILING_COLUMNS
from sklearn_emma.gate.training_failures import training_corruption
from sklearn_emma.gated.shutting import random_shut, shut_modalities


def training_tables(
    gate: Any, table: np.ndarray, n_copies: int, random_state: np.random.RandomState
) -> list[np.ndarray]:
    """Return clean samples and corrupted copies of them.

    In a copy modalities fail as in the training of the gate. Samples that nothing happens to lose
    random modalities, or, if the gate reads columns, have failing columns.

    Parameters
    ----------
    gate : EMMAClassifier or EMMARegressor
        Fitted.
    table : ndarray of shape (n_samples, n_features)
        Clean samples, with codes of categories.
    n_copies : int
        Number of copies.
    random_state : RandomState
        Source of random numbers.

    Returns
    -------
    list of ndarray of shape (n_samples, n_features)
        The table itself, and the copies.
    """
    columns, categories = gate.modality_columns_, gate.categories_
    modalities = dict(zip(gate.modality_names_, columns, strict=True))
    corruption = training_corruption(gate.corruption)
    clean = decode_table(table, categories) if categories else table
    tables = [table]
    for _ in range(n_copies):
        corrupted, indicator = corruption.corrupt(clean, modalities, random_state, reference=clean)
        if categories:
            corrupted = encode(corrupted, categories).to_numpy(dtype=float)
        intact = indicator.min(axis=1) > 0
        shut = random_shut(len(table), len(modalities), random_state)
        corrupted = shut_modalities(corrupted, columns, shut & intact[:, None])
        if gate.column_weights_ is not None:
            some = SomeColumns(corruption, None, fraction=FAILING_COLUMNS)
            failed, where = some.corrupt(table, modalities, random_state, reference=table)
            rows = intact & (where < 0).any(axis=1)
            corrupted[rows] = failed[rows]
        tables.append(corrupted)
    return tables
