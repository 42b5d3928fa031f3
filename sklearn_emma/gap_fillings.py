"""Learn how the missing values of each modality are filled, and fill them.

The functions read public attributes of an estimator, and do not change it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sklearn_emma.engine.cache import cached
from sklearn_emma.engine.weights import load_arrays, to_arrays
from sklearn_emma.indicators import feature_columns, indicators_of
from sklearn_emma.nn.coordinates import standardize
from sklearn_emma.nn.encoders import freeze
from sklearn_emma.nn.gap_filling import GapFilling


def learn_gap_fillings(
    estimator: Any, modalities: Sequence[np.ndarray], weight: np.ndarray
) -> dict[str, np.ndarray]:
    """Learn to predict missing values from the other values of their modality.

    Parameters
    ----------
    estimator : BaseEMMA or DAEEnergyScorer
        Estimator with ``median_``, and with the attributes of modalities and categories.
    modalities : sequence of ndarray of shape (n_samples, n_features)
        Standardized features of each modality.
    weight : ndarray of shape (n_samples,)
        Sample weights.

    Returns
    -------
    dict of str to ndarray
        Weights of the gap fillings of all modalities: ``gap_weights_``.
    """
    fillings = _untrained(estimator)
    for filling, x in zip(fillings, modalities, strict=True):
        filling.learn(torch.from_numpy(x), torch.from_numpy(weight))
    return to_arrays(fillings)


def gap_fillings_of(
    estimator: Any, precision: torch.dtype, device: torch.device | str = "cpu"
) -> list[GapFilling]:
    """Return the cached gap fillings of a fitted estimator.

    Parameters
    ----------
    estimator : BaseEMMA or DAEEnergyScorer
        Fitted estimator.
    precision : torch.dtype
        Dtype of the values.
    device : torch.device or str, default="cpu"
        Device of the modules.

    Returns
    -------
    list of GapFilling
        The gap filling of each modality.
    """

    def build() -> list[GapFilling]:
        """Build the gap fillings."""
        fillings = _untrained(estimator)
        load_arrays(fillings, estimator.gap_weights_)
        return list(freeze(fillings.to(device=device, dtype=precision)))

    counts = getattr(estimator, "category_counts_", None)
    built_from = estimator.gap_weights_, estimator.median_, estimator.modality_columns_, counts
    return cached(estimator, ("gap fillings", precision, str(device)), built_from, build)


def _untrained(estimator: Any) -> Any:
    """Return gap fillings that have not learned, as a ModuleList."""
    indicators = indicators_of(estimator)
    usual = indicators.expand(estimator.median_[None])[0]
    fillings = nn.ModuleList()
    for columns, features in zip(
        estimator.modality_columns_, feature_columns(estimator), strict=True
    ):
        levels = [
            indicators.categories[column].rows[:-1]  # the last row is for unseen levels
            for column in columns
            if column in indicators.categories
        ]
        blocks = zip(indicators.blocks(columns), levels, strict=True)
        fillings.append(
            GapFilling(
                torch.tensor(usual[features], dtype=torch.float64),
                [(torch.tensor(places), torch.tensor(rows)) for places, rows in blocks],
            )
        )
    return fillings


def fill_features(
    features: np.ndarray,
    places: Sequence[slice | np.ndarray],
    fillings: Sequence[Callable[[Tensor], Tensor]],
) -> np.ndarray:
    """Fill the missing values of all modalities.

    Parameters
    ----------
    features : ndarray of float64 of shape (n_samples, n_features)
        Standardized features. NaN marks missing values.
    places : sequence of slice or ndarray of int
        Features of each modality.
    fillings : sequence of GapFilling
        Gap filling of each modality.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
        Complete samples. Missing values that belong to no modality are zero.
    """
    complete = np.where(np.isnan(features), 0.0, features)
    for where, fill in zip(places, fillings, strict=True):
        complete[:, where] = fill(torch.from_numpy(features[:, where])).numpy()
    return complete


def missing_shares(gaps: np.ndarray, columns: Sequence[slice | np.ndarray]) -> Tensor:
    """Return the fraction of the values of each modality that are missing.

    Parameters
    ----------
    gaps : ndarray of bool of shape (n_samples, n_columns)
        True for missing values.
    columns : sequence of slice or ndarray of int
        Columns of each modality.

    Returns
    -------
    Tensor of float64 of shape (n_samples, n_modalities)
        Fractions, one if all values are missing.
    """
    shares = [gaps[:, positions].mean(axis=1) for positions in columns]
    return torch.from_numpy(np.array(shares)).mT


def fill_table(table: np.ndarray, estimator: Any) -> np.ndarray:
    """Fill the missing values of samples, in their own units.

    Parameters
    ----------
    table : ndarray of shape (n_samples, n_columns)
        Samples, with codes in categorical columns. NaN marks missing values.
    estimator : BaseEMMA or DAEEnergyScorer
        Fitted estimator.

    Returns
    -------
    ndarray of shape (n_samples, n_columns)
        Complete samples, in the dtype of the table. Missing values that belong to no modality are
        zero.
    """
    gaps = np.isnan(table)
    if not gaps.any():
        return table
    indicators = indicators_of(estimator)
    standard = standardize(table.astype(np.float64), estimator.mean_, estimator.scale_)
    fillings = gap_fillings_of(estimator, torch.float64)
    complete = fill_features(indicators.expand(standard), feature_columns(estimator), fillings)
    values = estimator.mean_ + estimator.scale_ * indicators.codes(complete)
    return np.where(gaps, values.astype(table.dtype), table)
