"""Input of the estimator behind a gate: NaN or filled values, categories or indicators."""

from typing import Any

import numpy as np
import pandas as pd

from sklearn_emma.categories import decode_table
from sklearn_emma.gap_fillings import fill_table
from sklearn_emma.gated.estimator_traits import takes_categories
from sklearn_emma.indicators import feature_columns, indicators_of


def estimator_input(table: np.ndarray, gated: Any, estimator: Any) -> Any:
    """Convert samples to the input of the estimator behind a gate.

    Parameters
    ----------
    table : ndarray of shape (n_samples, n_features)
        Samples, with codes in categorical columns and NaN in closed modalities.
    gated : GatedClassifier or GatedRegressor
        Estimator with the fitted attributes of its gate and ``fills_nan_``.
    estimator : estimator
        The estimator behind the gate, fitted or not.

    Returns
    -------
    ndarray or DataFrame of shape (n_samples, n_used_features)
        The columns that belong to a modality. Missing values are filled if ``fills_nan_`` is True.
        Categorical columns have the type ``category`` if the estimator accepts it, and otherwise
        are replaced by indicators of their levels. A DataFrame is returned if the training samples
        had column names, or if there are columns of the type ``category``.
    """
    if gated.fills_nan_:
        table = fill_table(table, gated)
    used = np.sort(np.concatenate(gated.modality_columns_))
    names = getattr(gated, "feature_names_in_", None)
    indicators = indicators_of(gated)
    if indicators.categories and takes_categories(estimator):
        return decode_table(table, gated.categories_, names).iloc[:, used]
    table = indicators.expand(table)
    used = np.sort(np.concatenate(feature_columns(gated)))
    names = None if names is None else indicators.names(names, gated.categories_)
    if len(used) < table.shape[1]:
        table = table[:, used]
    return table if names is None else pd.DataFrame(table, columns=names[used])
