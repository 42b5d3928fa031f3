"""Conversion of a validated table to the training samples of gate and predictor."""

from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.model_selection import train_test_split

from sklearn_emma.engine.batches import training_rows
from sklearn_emma.gate.build_predictor import TRANSFORMER
from sklearn_emma.gate.samples import Samples
from sklearn_emma.indicators import feature_columns, indicators_of
from sklearn_emma.modalities import signals_of, split_columns


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


def split_features(estimator: Any, standardized: np.ndarray) -> list[np.ndarray]:
    """Return the features of each modality.

    Parameters
    ----------
    estimator : BaseEMMA
        Estimator with the attributes of modalities and categories.
    standardized : ndarray of shape (n_samples, n_columns)
        Samples.

    Returns
    -------
    list of ndarray of shape (n_samples, n_features)
        Features of each modality: numeric columns, and indicators of categorical columns.
    """
    features = indicators_of(estimator).expand(standardized)
    return split_columns(features, feature_columns(estimator))


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
        They need not be normalized.
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
