"""Training samples of the estimator behind a gate: clean samples and corrupted copies."""

from typing import Any

import numpy as np
import torch

from sklearn_emma.categories import decode_table, encode
from sklearn_emma.corruption import Corruption, Reference
from sklearn_emma.corruption.tables import read_modalities, replace_columns
from sklearn_emma.engine.seeding import draw_seed, make_generator
from sklearn_emma.gate.columns import fail_columns
from sklearn_emma.gate.training_failures import training_corruption
from sklearn_emma.gated.closing import close_modalities, draw_closed


def training_tables(
    gate: Any,
    table: np.ndarray,
    n_copies: int,
    seed: int,
    reference: np.ndarray,
) -> list[np.ndarray]:
    """Return clean samples and corrupted copies of them.

    In a copy, modalities fail as in the training of the gate, and so do columns if the gate has
    attention to columns. In the samples of a copy that are still clean, random modalities are
    closed.

    Parameters
    ----------
    gate : EMMAClassifier or EMMARegressor
        Fitted gate.
    table : ndarray of shape (n_samples, n_features)
        Clean samples, with codes in categorical columns.
    n_copies : int
        Number of copies.
    seed : int
        Seed of all random numbers.
    reference : ndarray of shape (n_reference, n_features)
        Clean reference samples of the corruption.

    Returns
    -------
    list of ndarray of shape (n_samples, n_features)
        The clean samples, followed by the copies.
    """
    columns, categories = gate.modality_columns_, gate.categories_
    modalities = dict(zip(gate.modality_names_, columns, strict=True))
    corruption = training_corruption(gate.corruption)
    clean, typical = (
        decode_table(samples, categories) if categories else samples
        for samples in (table, reference)
    )
    random_state, tables = np.random.RandomState(seed), [table]
    for _ in range(n_copies):
        corrupted, indicator = corruption.corrupt(
            clean, modalities, random_state, reference=typical
        )
        if categories:
            corrupted = encode(corrupted, categories).to_numpy(dtype=float)
        intact = indicator.min(axis=1) > 0
        if gate.column_weights_ is not None:
            failed, rows = _fail_columns(table, reference, intact, gate, corruption, random_state)
            corrupted[rows] = failed[rows]
            intact &= ~rows
        closed = draw_closed(len(table), len(modalities), random_state)
        tables.append(close_modalities(corrupted, columns, closed & intact[:, None]))
    return tables


def _fail_columns(
    table: np.ndarray,
    reference: np.ndarray,
    intact: np.ndarray,
    gate: Any,
    corruption: Corruption,
    random_state: np.random.RandomState,
) -> tuple[np.ndarray, np.ndarray]:
    """Corrupt columns as in the training of the gate.

    Returns the corrupted table, and a mask of the samples in which columns fail.
    """
    names, columns = gate.modality_names_, gate.modality_columns_
    modalities, typical = read_modalities(table, columns), read_modalities(reference, columns)
    failed, changed = fail_columns(
        modalities,
        torch.from_numpy(intact),
        corruption,
        Reference.from_tensors(typical, names=names),
        names,
        make_generator(draw_seed(random_state)),
    )
    values = torch.cat(failed, dim=1).numpy()
    return replace_columns(table, np.concatenate(columns), values), changed.any(1).numpy()
