"""Features of signals are in units of the training samples that have them."""

import numpy as np
import torch

from sklearn_emma.gate.samples import Samples
from sklearn_emma.gate.signals import learn_signals
from sklearn_emma.nn import FusionNetwork, SignalFusionNetwork


def make(x, weight=None):
    """Return a network of a signal and two columns, and samples of both."""
    network = SignalFusionNetwork([60, 2], 3, [(2, 30), None])
    weight = torch.ones(len(x)) if weight is None else weight
    return network, Samples([x, x[:, :2]], torch.zeros(len(x)), weight)


def waves(n=200):
    generator = torch.Generator().manual_seed(0)
    phase = 6.3 * torch.rand(n, 1, generator=generator)
    return torch.sin(0.1 * torch.arange(60.0) + phase) + torch.randn(n, 60, generator=generator)


def test_features_of_training_samples_are_standardized():
    network, samples = make(waves())
    read = learn_signals(network, samples)
    assert read.modalities[1] is samples.modalities[1]
    features = read.modalities[0]
    torch.testing.assert_close(features, network.read_signals(samples.modalities)[0])
    # the scales are found with extreme values limited
    np.testing.assert_allclose(features.mean(0), 0.0, atol=0.05)
    np.testing.assert_allclose(features.std(0), 1.0, atol=0.1)


def test_samples_with_gaps_have_no_features_and_do_not_count():
    x = waves()
    gaps = x.clone()
    gaps[::2, 5] = torch.nan
    gaps[::4] = torch.nan
    network, samples = make(gaps)
    features = learn_signals(network, samples).modalities[0]
    assert bool(features[::2].isnan().all())
    alone, few = make(x[1::2])
    torch.testing.assert_close(learn_signals(alone, few).modalities[0], features[1::2])


def test_a_signal_that_is_never_complete_leaves_the_scales_alone():
    x = waves(10)
    x[:, 0] = torch.nan
    network, samples = make(x)
    assert bool(learn_signals(network, samples).modalities[0].isnan().all())
    assert bool((network.signals["0"].scale == 1).all())


def test_weights_count():
    x = waves(100)
    heavy, weighted = make(x, torch.cat([torch.full((50,), 2.0), torch.full((50,), 1e-9)]))
    half, few = make(x[:50])
    learn_signals(heavy, weighted)
    learn_signals(half, few)
    torch.testing.assert_close(
        heavy.signals["0"].center, half.signals["0"].center, atol=0.05, rtol=0.05
    )


def test_other_networks_read_their_columns():
    _, samples = make(waves(5))
    assert learn_signals(FusionNetwork([60, 2], 3), samples) is samples
