"""Fit the scales of the features of signals in the default predictor."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearn_emma.energy.column_scale import column_scale
from sklearn_emma.engine.batches import evaluation_block
from sklearn_emma.gate.samples import Samples
from sklearn_emma.nn import SignalEncoder, SignalFusionNetwork

# Features are computed in single precision from standardized signals. Those with a smaller scale
# differ by rounding errors only, for instance the spectrum of a constant channel.
_LEAST_SCALE = 1e-3


def learn_signals(network: Any, samples: Samples) -> Samples:
    """Set the scales of the features of signals, and return the samples with these features.

    Parameters
    ----------
    network : torch.nn.Module
        The predictor. Only a :class:`SignalFusionNetwork` has features of signals. For any other
        predictor, the samples are returned unchanged.
    samples : Samples
        Training samples.

    Returns
    -------
    Samples
        Samples in which signals are replaced by their features. If a signal has missing values, all
        its features are missing.
    """
    if not isinstance(network, SignalFusionNetwork):
        return samples
    weight = samples.energy_weight.cpu().double().numpy()
    modalities = list(samples.modalities)
    for place, encoder in network.signals.items():
        assert isinstance(encoder, SignalEncoder)
        modalities[int(place)] = _learn(encoder, modalities[int(place)], weight)
    return replace(samples, modalities=modalities)


@torch.no_grad()
def _learn(encoder: SignalEncoder, x: Tensor, weight: np.ndarray) -> Tensor:
    """Set the scales of an encoder, and return its features."""
    complete = ~x.isnan().any(1)
    features = x.new_full((len(x), encoder.n_outputs), torch.nan)
    if not complete.any():
        return features
    parts = x[complete].split(evaluation_block(torch.float32))
    found = torch.cat([encoder.features(part) for part in parts])
    weight = weight[complete.cpu().numpy()]
    center, scale = column_scale(found.cpu().double().numpy(), weight, "standard")
    scale[scale < _LEAST_SCALE] = np.inf  # the feature is always zero
    for buffer, values in zip((encoder.center, encoder.scale), (center, scale), strict=True):
        buffer.copy_(torch.from_numpy(values))
    features[complete] = encoder.scaled(found)
    return features
