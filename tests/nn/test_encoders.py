"""Perceptrons in one product do what each would do by itself, and learn what it would learn."""

import pytest
import torch

from sklearn_emma.nn.encoders import Encoders, Perceptron
from sklearn_emma.nn.module_stack import width_class

SIZES = (6, 5)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_samples(widths, seed=1, n_samples=20):
    return [torch.randn(n_samples, d, generator=generator(seed + d)) for d in widths]


def make_each(widths, seed=0):
    """Return the perceptrons that :class:`Encoders` draws."""
    same = generator(seed)
    return [Perceptron([d, *SIZES], True, same) for d in widths]


@pytest.mark.parametrize("widths", [(3,), (4, 4), (2, 7, 3), (20, 3, 40, 1, 17)], ids=str)
def test_every_modality_goes_through_a_perceptron_of_its_own(widths):
    encoders = Encoders(widths, SIZES, True, generator(0))
    samples = make_samples(widths)
    together = encoders(samples)
    assert together.shape == (len(widths), 20, 5)
    for output, perceptron, x in zip(together, make_each(widths), samples, strict=True):
        torch.testing.assert_close(output, perceptron(x))


def test_only_like_widths_share_a_product():
    encoders = Encoders((20, 3, 40, 1, 17), SIZES, True, generator(0))
    assert encoders.groups == [[0, 4], [1, 3], [2]]
    assert [s.weights[0].shape for s in encoders.stacks] == [(2, 6, 20), (2, 6, 3), (1, 6, 40)]
    assert [width_class(d) for d in (20, 3, 40, 1, 17)] == [32, 8, 64, 8, 32]


def test_they_learn_what_they_would_learn_alone():
    widths = (2, 7, 3)
    encoders, each, samples = Encoders(widths, SIZES, True, generator(0)), make_each(widths), []
    alone = [parameter for perceptron in each for parameter in perceptron.parameters()]
    optimizers = [
        torch.optim.AdamW(parameters, lr=0.05, weight_decay=0.3)
        for parameters in (list(encoders.parameters()), alone)
    ]
    for step in range(20):
        samples = make_samples(widths, seed=step)
        outputs = [encode(x) for encode, x in zip(each, samples, strict=True)]
        for optimizer, output in zip(
            optimizers, (encoders(samples), torch.stack(outputs)), strict=True
        ):
            optimizer.zero_grad()
            (output - 1.0).square().sum().backward()
            optimizer.step()
    outputs = [encode(x) for encode, x in zip(each, samples, strict=True)]
    torch.testing.assert_close(encoders(samples), torch.stack(outputs))
    assert (encoders.stacks[0].weights[0][0, :, 2:] == 0).all()  # the padding
