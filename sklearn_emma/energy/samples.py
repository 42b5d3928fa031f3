"""Training samples of the energy of a modality, chosen among samples with missing values."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class EnergySamples(NamedTuple):
    """Training samples of the energy of a modality.

    Attributes
    ----------
    x : ndarray of shape (n_samples, n_features)
        Standardized samples without missing values.
    weight : ndarray of shape (n_samples,)
        Sample weights.
    """

    x: np.ndarray
    weight: np.ndarray


def energy_samples(
    name: str, x: np.ndarray, weight: np.ndarray, fill: Callable[[Tensor], Tensor]
) -> EnergySamples:
    """Choose the training samples of the energy of a modality, and fill their missing values.

    Parameters
    ----------
    name : str
        Name of the modality.
    x : ndarray of shape (n_samples, n_features)
        Standardized samples. NaN marks missing values.
    weight : ndarray of shape (n_samples,)
        Sample weights.
    fill : GapFilling
        Gap filling of the modality, in double precision.

    Returns
    -------
    EnergySamples
        The samples that :func:`rows_to_learn` chooses.

    Raises
    ------
    ValueError
        If fewer than two samples have a value.
    """
    chosen = rows_to_learn(name, np.isnan(x).mean(axis=1))
    return EnergySamples(fill(torch.from_numpy(x[chosen])).numpy(), weight[chosen])


def rows_to_learn(name: str, missing: np.ndarray) -> np.ndarray:
    """Choose the samples from which the energy of a modality is learned.

    These are the samples in which the modality is complete. If these are fewer than half of the
    samples in which it has any value, they are all of the latter.

    Parameters
    ----------
    name : str
        Name of the modality.
    missing : ndarray of shape (n_samples,)
        Fraction of the values of the modality that are missing in each sample.

    Returns
    -------
    ndarray of bool of shape (n_samples,)
        True for the chosen samples.

    Raises
    ------
    ValueError
        If fewer than two samples have a value.
    """
    present, complete = missing < 1, missing == 0
    if present.sum() < 2:
        raise ValueError(
            f"Modality {name!r} has values in {int(present.sum())} sample(s); at least 2 are "
            "needed to learn its energy. Omit this modality."
        )
    # filled samples seem more likely than they are, but too few samples would be worse
    return complete if complete.sum() >= max(2, present.sum() / 2) else present
