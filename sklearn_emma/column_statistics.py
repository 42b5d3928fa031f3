"""Means, scales and medians of the columns of a table, with which an estimator standardizes them.

The functions read public attributes of an estimator, and do not change it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sklearn_emma.energy.column_scale import (
    limit_extreme_values,
    mean_and_deviation,
    medians_of_columns,
)
from sklearn_emma.energy.signal_training import scale_of_signals, warn_of_constant_channels
from sklearn_emma.modalities import signals_of
from sklearn_emma.user_warnings import named_columns, warn_of_constants


def column_statistics(
    table: np.ndarray,
    weight: np.ndarray,
    estimator: Any,
    used: np.ndarray,
    in_order: Sequence[np.ndarray] = (),
    warn: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each column.

    NaN is ignored, and extreme values are limited.

    Parameters
    ----------
    table : ndarray of shape (n_samples, n_features)
        Training samples.
    weight : ndarray of shape (n_samples,)
        Sample weights.
    estimator : estimator
        Estimator that may have the names of the columns.
    used : ndarray of int of shape (n_used,)
        Positions of the columns that belong to a modality.
    in_order : sequence of ndarray of int, default=()
        Column positions of signals and images. There is no warning if one of their columns is
        constant.
    warn : bool, default=True
        Whether to warn about constant columns.

    Returns
    -------
    mean, scale : ndarray of shape (n_features,)
        Mean and standard deviation. The scale of a constant column is one. Columns that are not
        used have a mean of zero and a scale of one.

    Raises
    ------
    ValueError
        If all values of a used column are NaN.
    """
    unused = ~np.isin(np.arange(table.shape[1]), used)
    mean, scale, constant = mean_and_deviation(limit_extreme_values(table, weight), weight)
    empty = np.isnan(mean) & ~unused
    places = np.concatenate([*in_order, np.zeros(0, dtype=np.intp)])
    of_signal = np.isin(np.arange(table.shape[1]), places)
    if empty.any():
        advice = "Leave them out."
        if (empty & of_signal).any():
            kept = named_columns(estimator, empty & of_signal)
            advice = (
                f"Leave them out, except column(s) {kept} of a signal: fill their gaps, or "
                "declare the modality without a shape."
            )
        raise ValueError(
            f"Column(s) {named_columns(estimator, empty)} hold no value at all (NaN in every "
            f"sample of positive weight). {advice}"
        )
    constant &= ~unused
    if warn:
        warn_of_constants(constant & ~of_signal, estimator)
    return np.where(unused, 0.0, mean), np.where(constant | unused, 1.0, scale)


def learn_scales(
    estimator: Any, table: np.ndarray, weight: np.ndarray, warn: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Learn the means and scales with which columns are standardized.

    Parameters
    ----------
    estimator : BaseEMMA or DAEEnergyScorer
        Estimator with the attributes of modalities and categories.
    table : ndarray of shape (n_samples, n_columns)
        Training samples.
    weight : ndarray of shape (n_samples,)
        Sample weights.
    warn : bool, default=True
        Whether to warn about constant columns.

    Returns
    -------
    mean, scale : ndarray of shape (n_columns,)
        Mean and scale of each column. They are equal for all columns in a channel of a signal. For
        categorical columns they are 0 and 1, so that codes do not change.
    """
    used = np.concatenate(estimator.modality_columns_)
    signals = signals_of(estimator)
    in_order = [places for _, places, _ in signals]
    mean, scale = column_statistics(table, weight, estimator, used, in_order, warn)
    for name, places, shape in signals:
        warn_of_constant_channels(table[:, places], shape[0], name)
        mean[places], scale[places] = scale_of_signals(table[:, places], weight, shape[0])
    for column in estimator.categories_:
        mean[column], scale[column] = 0.0, 1.0
    return mean, scale


def learn_medians(estimator: Any, standardized: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Learn the values by which missing values are replaced.

    Parameters
    ----------
    estimator : BaseEMMA or DAEEnergyScorer
        Estimator with the attributes of modalities, and the number of samples of each level.
    standardized : ndarray of shape (n_samples, n_columns)
        Training samples.
    weight : ndarray of shape (n_samples,)
        Sample weights.

    Returns
    -------
    ndarray of shape (n_columns,)
        Median of each column. For a categorical column, it is the most frequent code. For columns
        that do not belong to any modality, it is 0.
    """
    median = np.zeros(standardized.shape[1])
    for used in estimator.modality_columns_:
        median[used] = medians_of_columns(standardized[:, used], weight)
    for column, counts in estimator.category_counts_.items():
        median[column] = counts.argmax()
    return median
