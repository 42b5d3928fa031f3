"""Conversion of a validated table to the training data of gate and predictor.

The functions take an estimator, read its public attributes, and return what they learn, without
changing the estimator.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.base import clone
from sklearn.model_selection import train_test_split

from sklearn_emma.energy.column_scale import (
    limit_extreme_values,
    mean_and_deviation,
    medians_of_columns,
)
from sklearn_emma.energy.protocol import Precision, check_energy, tensor_energy
from sklearn_emma.energy.scorer import DAEEnergyScorer
from sklearn_emma.energy.signal_scorer import SignalEnergyScorer
from sklearn_emma.energy.signal_training import scale_of_signals, warn_of_constant_channels
from sklearn_emma.engine.batches import training_rows
from sklearn_emma.gate.build_predictor import TRANSFORMER
from sklearn_emma.gate.columns import build_columns
from sklearn_emma.gate.samples import Energies, Samples
from sklearn_emma.indicators import feature_columns, fill_values, indicators_of
from sklearn_emma.modalities import signals_of, split_columns
from sklearn_emma.nn.convolutional_energy import signal_shape
from sklearn_emma.user_warnings import named_columns, warn_of_constants

# More epochs only improve outlier detection, see DAEEnergyScorer, and hardly change predictions.
_ENERGY_EPOCHS = 50


class TrainingTable(NamedTuple):
    """Validated training data.

    Attributes
    ----------
    table : ndarray of shape (n_samples, n_columns)
        Samples of positive weight.
    y : ndarray of shape (n_samples, ...)
        Target as passed by the user.
    weight : ndarray of shape (n_samples,)
        Weights.
    """

    table: np.ndarray
    y: np.ndarray
    weight: np.ndarray

    def drawn(self, seed: int, classes: np.ndarray | None) -> "TrainingTable":
        """Return the samples of the training, see :func:`~.engine.batches.training_rows`."""
        rows = training_rows(len(self.table), seed, classes)
        # results must not depend on the memory layout, which affects rounding
        table = np.ascontiguousarray(self.table[rows], dtype=float)
        return TrainingTable(table, self.y[rows], self.weight[rows])


def check_signals(estimator: Any) -> None:
    """Check that the network can read the modalities that are signals.

    Parameters
    ----------
    estimator : EMMAClassifier or EMMARegressor
        Estimator with the fitted attributes of its modalities and categories.

    Raises
    ------
    ValueError
        If the network does not read signals, or if a column of a signal is categorical.
    """
    for name, columns, shape in signals_of(estimator):
        if estimator.module == TRANSFORMER:
            raise ValueError(
                f"Modality {name!r} has the shape {shape} of a signal, which "
                f"module={estimator.module!r} does not read. Use module=None, or declare its "
                "columns without a shape."
            )
        if not set(estimator.categories_).isdisjoint(columns.tolist()):
            raise ValueError(
                f"Modality {name!r} has the shape {shape} of a signal, which consists of "
                "numbers, but some of its columns are categorical."
            )


def column_statistics(
    table: np.ndarray,
    weight: np.ndarray,
    estimator: Any,
    used: np.ndarray,
    in_order: Sequence[np.ndarray] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each column, and warn about constant columns.

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
    if empty.any():
        raise ValueError(
            f"Column(s) {named_columns(estimator, empty)} hold no value at all (NaN in every "
            "sample of positive weight). Leave them out."
        )
    constant &= ~unused
    places = np.concatenate([*in_order, np.zeros(0, dtype=np.intp)])
    warn_of_constants(constant & ~np.isin(np.arange(table.shape[1]), places), estimator)
    return np.where(unused, 0.0, mean), np.where(constant | unused, 1.0, scale)


def learn_scales(
    estimator: Any, table: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Learn the means and scales with which columns are standardised.

    Parameters
    ----------
    estimator : BaseEMMA
        Estimator with the attributes of modalities and categories.
    table : ndarray of shape (n_samples, n_columns)
        Training samples.
    weight : ndarray of shape (n_samples,)
        Sample weights.

    Returns
    -------
    mean, scale : ndarray of shape (n_columns,)
        Mean and scale of each column. They are equal for all columns in a channel of a signal. For
        categorical columns they are 0 and 1, so that codes do not change.
    """
    used = np.concatenate(estimator.modality_columns_)
    signals = signals_of(estimator)
    in_order = [places for _, places, _ in signals]
    mean, scale = column_statistics(table, weight, estimator, used, in_order)
    for name, places, shape in signals:
        warn_of_constant_channels(table[:, places], shape[0], name)
        mean[places], scale[places] = scale_of_signals(table[:, places], weight, shape[0])
    for column in estimator.categories_:
        mean[column], scale[column] = 0.0, 1.0
    return mean, scale


def learn_medians(estimator: Any, standardised: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Learn the values by which missing values are replaced.

    Parameters
    ----------
    estimator : BaseEMMA
        Estimator with the attributes of modalities, and the number of samples of each level.
    standardised : ndarray of shape (n_samples, n_columns)
        Training samples.
    weight : ndarray of shape (n_samples,)
        Sample weights.

    Returns
    -------
    ndarray of shape (n_columns,)
        Median of each column. For a categorical column, it is the most frequent code. For columns
        that do not belong to any modality, it is 0.
    """
    median = np.zeros(standardised.shape[1])
    for used in estimator.modality_columns_:
        median[used] = medians_of_columns(standardised[:, used], weight)
    for column, counts in estimator.category_counts_.items():
        median[column] = counts.argmax()
    return median


def split_features(estimator: Any, standardised: np.ndarray) -> list[np.ndarray]:
    """Return the features of each modality.

    Parameters
    ----------
    estimator : BaseEMMA
        Estimator with the attributes of modalities and categories.
    standardised : ndarray of shape (n_samples, n_columns)
        Samples.

    Returns
    -------
    list of ndarray of shape (n_samples, n_features)
        Features of each modality: numeric columns, and indicators of categorical columns.
    """
    features = indicators_of(estimator).expand(standardised)
    return split_columns(features, feature_columns(estimator))


def unfitted_energies(estimator: Any, device: torch.device) -> dict[str, Any]:
    """Return the unfitted energy of each modality.

    Parameters
    ----------
    estimator : BaseEMMA
        Estimator with the attributes of modalities, and with the parameter `energy`.
    device : torch.device
        Device on which the energies of this library are trained.

    Returns
    -------
    dict of str to estimator
        Unfitted energy by name of the modality.

    Raises
    ------
    ValueError
        If the shape of a SignalEnergyScorer is not that of its modality.
    """
    names, verbose = estimator.modality_names_, estimator.verbose
    default = DAEEnergyScorer(
        max_epochs=_ENERGY_EPOCHS, calibration_fraction=0.0, device=str(device), verbose=verbose
    )
    defaults = dict.fromkeys(names, default)
    for name, _, shape in signals_of(estimator):
        defaults[name] = SignalEnergyScorer(
            shape, calibration_fraction=0.0, device=str(device), verbose=verbose
        )
    energy = {} if estimator.energy is None else estimator.energy
    if isinstance(energy, dict):
        energy = {name: scorer for name, scorer in energy.items() if scorer is not None}
    check_energy(energy, names)
    found = defaults | (energy if isinstance(energy, dict) else dict.fromkeys(names, energy))
    for name, _, shape in signals_of(estimator):
        scorer = found[name]
        if not isinstance(scorer, SignalEnergyScorer):
            continue
        if scorer.shape is None:
            found[name] = clone(scorer).set_params(shape=shape)
        elif signal_shape(scorer.shape) != shape:
            raise ValueError(
                f"The energy of modality {name!r} has shape={tuple(scorer.shape)}, but the "
                f"modality has the shape {shape}. Use this shape, or None, for the energy."
            )
    return found


def training_samples(
    estimator: Any,
    modalities: list[np.ndarray],
    target: np.ndarray,
    weights: tuple[np.ndarray, np.ndarray],
    device: torch.device,
) -> Samples:
    """Return training samples as tensors.

    Parameters
    ----------
    estimator : BaseEMMA
        Estimator with the attributes of modalities and categories.
    modalities : list of ndarray of shape (n_samples, n_features)
        Features of each modality.
    target : ndarray of shape (n_samples, ...)
        Target of the network.
    weights : tuple of ndarray of shape (n_samples,)
        Weights in the loss of the predictor, and in everything that does not depend on targets.
        They need not be normalised.
    device : torch.device
        Device of the tensors.

    Returns
    -------
    Samples
        Samples with weights that have a mean of one.
    """
    indicators, blocks = indicators_of(estimator), None
    if indicators.categories:
        blocks = [
            [torch.from_numpy(block).to(device) for block in indicators.blocks(columns)]
            for columns in estimator.modality_columns_
        ]
    in_loss, in_energies = (
        torch.tensor(weight / weight.mean(), dtype=torch.float32, device=device)
        for weight in weights
    )
    return Samples(
        [torch.tensor(x, dtype=torch.float32, device=device) for x in modalities],
        torch.tensor(target, device=device),
        in_loss,
        blocks,
        in_energies,
    )


def training_energies(estimator: Any, samples: Samples, fresh: bool) -> Energies:
    """Return the fitted energies on the device of the samples.

    Parameters
    ----------
    estimator : BaseEMMA
        Estimator with fitted energies.
    samples : Samples
        Training samples.
    fresh : bool
        Whether the gate is learned from scratch. If False, the constants of the previous fit are
        kept.

    Returns
    -------
    Energies
        Energies in single precision.
    """
    device = samples.target.device
    single = Precision(device, torch.float32, torch.float32)
    names, columns = estimator.modality_names_, feature_columns(estimator)
    values = fill_values(estimator)
    fills = [torch.tensor(values[c], dtype=torch.float32, device=device) for c in columns]
    minimum = None if fresh else torch.from_numpy(estimator.potential_min_.astype(np.float64))
    scale = np.zeros(len(names)) if fresh else estimator.potential_scale_.astype(np.float64)
    return Energies(
        names,
        [tensor_energy(estimator.energy_scorers_[name], name, single) for name in names],
        fills,
        torch.from_numpy(scale),
        samples.value_shares(),
        None if fresh else build_columns(estimator, torch.float32, device),
        minimum,
    )


def hold_out(n_samples: int, strata: np.ndarray | None, fraction: float, seed: int) -> np.ndarray:
    """Return positions of held-out samples, stratified by class where possible.

    Parameters
    ----------
    n_samples : int
        Number of samples.
    strata : ndarray of int of shape (n_samples,) or None
        Class of each sample.
    fraction : float
        Fraction of the samples to hold out.
    seed : int
        Seed of the random choice.

    Returns
    -------
    ndarray of int of shape (n_held_out,)
        Positions of the held-out samples.

    Raises
    ------
    ValueError
        If too few samples are left for training.
    """
    n_classes = 1 if strata is None else len(np.unique(strata))
    n_held_out = max(n_classes, round(fraction * n_samples))
    if n_samples - n_held_out < n_classes:
        what = "" if strata is None else f" {n_classes} classes"
        raise ValueError(
            f"early_stopping=True with validation_fraction={fraction:g} would hold out {n_held_out}"
            f" of {n_samples} samples, and leave too few to learn{what} from. Lower "
            "validation_fraction, or set early_stopping=False."
        )
    if strata is not None and np.unique(strata, return_counts=True)[1].min() < 2:
        strata = None
    _, held_out = train_test_split(
        np.arange(n_samples), test_size=n_held_out, stratify=strata, random_state=seed
    )
    return held_out
