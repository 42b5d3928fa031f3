"""Fit the normal scores of the default predictor to quantiles of the training samples."""

import numpy as np
import torch
from scipy.special import ndtri

from sklearn_emma.energy.column_scale import quantiles_of_columns
from sklearn_emma.gate.samples import Samples
from sklearn_emma.nn.normal_scores import N_QUANTILES, NormalScores

# Largest number of samples from which quantiles are computed.
_MAX_SAMPLES = 100_000
# Quantiles with a smaller relative distance are merged, as it may be due to rounding.
_LEAST_DISTANCE = 1e-5


def learn_normal_scores(scores: NormalScores, samples: Samples, seed: int) -> None:
    """Set the points of normal scores by quantiles of training samples.

    Parameters
    ----------
    scores : NormalScores
        Module, which is changed in place.
    samples : Samples
        Training samples.
    seed : int
        Seed of the random choice of samples, if there are many.
    """
    some = np.random.RandomState(seed).permutation(len(samples.target))[:_MAX_SAMPLES]
    weight = samples.energy_weight.cpu().double().numpy()[some]
    levels = (np.arange(N_QUANTILES) + 0.5) / N_QUANTILES
    found = [
        quantiles_of_columns(x.cpu().double().numpy()[some], weight, tuple(levels)).T
        for x in samples.modalities
    ]
    points = [strictly_increasing(quantile, ndtri(levels)) for quantile in np.concatenate(found)]
    quantile, score = (torch.from_numpy(np.array(part)) for part in zip(*points, strict=True))
    scores.set_points(quantile, score)


def strictly_increasing(quantile: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Merge equal quantiles, which occur in columns with few different values.

    Parameters
    ----------
    quantile : ndarray of shape (n_quantiles,)
        Quantiles in ascending order. NaN for a column without values.
    score : ndarray of shape (n_quantiles,)
        Normal scores of the quantiles.

    Returns
    -------
    quantile, score : ndarray of shape (n_quantiles,)
        Distinct quantiles, with the mean of their scores. To keep the number of quantiles, points
        at distances of one are appended, where the slope is one anyway.
    """
    if np.isnan(quantile).any():
        return score, score
    least = _LEAST_DISTANCE * (1.0 + np.abs(quantile))
    group = np.cumsum(np.diff(quantile, prepend=quantile[0]) > least)
    size = np.bincount(group)
    further = 1.0 + np.arange(len(quantile) - len(size))
    first = quantile[np.flatnonzero(np.diff(group, prepend=-1))]
    mean = np.bincount(group, score) / size
    return (
        np.concatenate([first, first[-1] + further]),
        np.concatenate([mean, mean[-1] + further]),
    )
