"""Several modules as one: a stacked module does what each of them would do by itself."""

import copy

import pytest
import torch
from torch.nn import functional as F

from sklearn_emma.nn import DAEEnergy
from sklearn_emma.nn.encoders import Perceptron
from sklearn_emma.nn.module_stack import affine, stack, stack_samples, unstack, width_class

WIDTHS = (2, 7, 3)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_samples(widths=WIDTHS, n_samples=20):
    return [torch.randn(n_samples, d, generator=generator(1 + d)) for d in widths]


def make_each(widths=WIDTHS, seed=0):
    same = generator(seed)
    return [Perceptron([d, 6, 5], True, same) for d in widths]


def test_affine_is_that_of_each_module():
    same = generator()
    x, weight, bias = (
        torch.randn(shape, generator=same) for shape in [(3, 4, 5), (3, 2, 5), (3, 2)]
    )
    expected = torch.stack([F.linear(*each) for each in zip(x, weight, bias, strict=True)])
    torch.testing.assert_close(affine(x, weight, bias), expected)
    torch.testing.assert_close(affine(x[0], weight[0], bias[0]), expected[0])
    # the same samples for all
    expected = torch.stack([F.linear(x[0], w, b) for w, b in zip(weight, bias, strict=True)])
    torch.testing.assert_close(affine(x[0], weight, bias), expected)
    # another leading dimension
    together = affine(torch.stack([x, 2 * x]), weight, bias)
    torch.testing.assert_close(together[1], affine(2 * x, weight, bias))


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("n_samples", [4, 500])
def test_affine_of_samples_that_all_stacks_share(n_samples, gradients):
    same = generator()
    shapes = [(3, n_samples, 5), (4, 3, 2, 5), (4, 3, 2)]
    x, weight, bias = (torch.randn(shape, generator=same) for shape in shapes)
    expected = torch.stack([affine(x, w, b) for w, b in zip(weight, bias, strict=True)])
    with torch.set_grad_enabled(gradients):
        torch.testing.assert_close(affine(x, weight, bias), expected)
        of_one = affine(x[:1].expand_as(x), weight, bias)
        torch.testing.assert_close(affine(x[:1], weight, bias), of_one)


@pytest.mark.parametrize("widths", [(3,), (4, 4), WIDTHS], ids=str)
def test_a_stack_does_what_each_does_by_itself(widths):
    each, samples = make_each(widths), make_samples(widths)
    outputs = stack(each)(stack_samples(samples))
    for output, module, x in zip(outputs, each, samples, strict=True):
        torch.testing.assert_close(output, module(x))


@pytest.mark.parametrize("n_prototypes", [0, 3])
def test_a_stack_of_energies(n_prototypes):
    each = [DAEEnergy(d, (6, 5), "tanh", generator(d), n_prototypes) for d in WIDTHS]
    samples, stacked = make_samples(), stack(each)
    together = stacked.reconstruct(stack_samples(samples))
    potentials = stacked.potential(stack_samples(samples))
    for i, (energy, x) in enumerate(zip(each, samples, strict=True)):
        torch.testing.assert_close(together[i, :, : WIDTHS[i]], energy.reconstruct(x))
        assert not together[i, :, WIDTHS[i] :].any()
        torch.testing.assert_close(potentials[i], energy.potential(x))


def test_a_stack_has_copies_of_the_parameters():
    each = make_each()
    before = copy.deepcopy(each)
    stacked = stack(each)
    assert all(parameter.requires_grad for parameter in stacked.parameters())
    with torch.no_grad():
        for parameter in stacked.parameters():
            parameter.add_(1.0)
    for module, other in zip(each, before, strict=True):
        for parameter, was in zip(module.parameters(), other.parameters(), strict=True):
            assert torch.equal(parameter, was)


def test_parameters_come_back_as_they_went():
    each, others = make_each(), make_each(seed=5)
    unstack(stack(each), others)
    for perceptron, other in zip(each, others, strict=True):
        for parameter, given in zip(perceptron.parameters(), other.parameters(), strict=True):
            assert torch.equal(parameter, given)
            assert given.requires_grad


def test_stacked_samples_are_padded_with_zeros():
    x, y = make_samples((2, 3))
    stacked = stack_samples([x, y])
    assert torch.equal(stacked[0, :, :2], x)
    assert (stacked[0, :, 2:] == 0).all()
    assert torch.equal(stacked[1], y)
    assert torch.equal(stack_samples([x, y], 1), stacked.transpose(0, 1))


def test_padding_of_less_than_half_is_worth_a_product():
    assert [width_class(d) for d in (1, 8, 9, 16, 17, 200)] == [8, 8, 16, 16, 32, 256]
