"""Features of signals say what happens wherever it happens, and widen the default predictor."""

import pytest
import torch

from sklearn_emma.nn import FusionNetwork, SignalEncoder, SignalFusionNetwork

SHAPES = [(1, 1), (3, 50), (1, 8, 8), (2, 20, 3)]


def pulses(places, length=100):
    t = torch.arange(length, dtype=torch.float64)
    return torch.stack([torch.exp(-0.5 * ((t - place) / 2.0).square()) for place in places])


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_has_features(shape):
    encoder = SignalEncoder(shape)
    x = torch.randn(3, torch.Size(shape).numel(), generator=torch.Generator().manual_seed(0))
    found = encoder(x)
    assert found.shape == (3, encoder.n_outputs)
    assert bool(found.isfinite().all())
    torch.testing.assert_close(encoder(x[:1]), found[:1])
    constant = encoder(torch.ones_like(x))
    assert bool(constant.isfinite().all())


def test_the_context_does_not_depend_on_where_a_pulse_is():
    encoder = SignalEncoder((1, 100)).double()
    raw = pulses([30.0, 65.0])
    near, far = encoder.features(raw)
    n_filters = len(encoder.filters)
    assert (far[16] - near[16]).item() == pytest.approx(0.35, abs=0.01)
    context = slice(18, 18 + n_filters)
    assert bool((near[context] - far[context]).abs().max() < 0.05)
    assert bool(near[context].max() > 0.5)
    # the values say where it is
    assert [int(values[:16].argmax()) for values in (near, far)] == [4, 10]


def test_filters_answer_to_the_form_of_an_event():
    encoder = SignalEncoder((1, 100)).double()
    pulse = pulses([50.0])
    step = (torch.arange(100) >= 50).double().unsqueeze(0)
    responses = encoder.responses(torch.stack([pulse, step]))
    # the first derivative is zero on top of a pulse and largest at a step
    assert abs(responses[0, 4, 50]) < 1e-9
    assert abs(responses[1, 4, 50]) > 0.5


def test_features_are_in_units_of_the_training_samples():
    encoder = SignalEncoder((1, 40))
    encoder.center.fill_(1.0)
    encoder.scale.fill_(2.0)
    x = torch.zeros(1, 40)
    torch.testing.assert_close(encoder(x), (encoder.features(x) - 1.0) / 2.0)


def test_the_network_reads_features_in_the_place_of_columns():
    network = SignalFusionNetwork([60, 2], 3, [(2, 30), None])
    x = torch.randn(4, 60), torch.randn(4, 2)
    read = network.read_signals(x)
    torch.testing.assert_close(read[0], network.signals["0"](x[0]))
    assert read[1] is x[1]
    attention = torch.rand(4, 2)
    expected = network.fuse(FusionNetwork.encode(network, read), attention)
    torch.testing.assert_close(network(x, attention), expected)


def test_gradients_reach_the_signal():
    network = SignalFusionNetwork([60, 2], 3, [(2, 30), None])
    x = torch.randn(4, 60, requires_grad=True)
    network([x, torch.zeros(4, 2)], torch.ones(4, 2)).sum().backward()
    assert bool(x.grad.isfinite().all())
