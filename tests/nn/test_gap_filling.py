"""Missing values of a modality are filled with values that fit the others."""

import pytest
import torch

from sklearn_emma.nn import GapFilling

NAN = torch.nan


def make_samples(n_features):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(500, 1, generator=generator).repeat(1, n_features)


def learned(usual):
    filling = GapFilling(torch.tensor(usual))
    filling.learn(make_samples(len(usual)))
    return filling


def test_values_follow_the_others_and_are_usual_without_any():
    filling = learned([0.5, 0.6, 0.7])
    x = torch.tensor([[2.0, NAN, 2.0], [NAN, NAN, 2.0], [2.0, 2.0, 2.0], [NAN, NAN, NAN]])
    before = x.clone()
    filled = filling(x)
    expected = [[2.0, 2.0, 2.0], [2.0, 2.0, 2.0], [2.0, 2.0, 2.0], [0.5, 0.6, 0.7]]
    torch.testing.assert_close(filled, torch.tensor(expected), atol=0.05, rtol=0)
    assert torch.equal(filled[3], filling.usual)
    assert torch.equal(x.isnan(), before.isnan())


def test_categories_get_the_level_that_fits():
    x = make_samples(4)
    levels = torch.eye(3) - 1 / 3
    level = (x[:, 0] > -0.5).int() + (x[:, 0] > 0.5).int()
    x[:, 1:] = levels[level]
    filling = GapFilling(torch.zeros(4), [(torch.arange(1, 4), levels)])
    filling.learn(x)
    gaps = x.clone()
    gaps[:, 1:] = NAN
    filled = filling(gaps)
    agree = (filled == x).all(1)
    assert agree[x[:, 0].abs() > 1].all()
    assert agree.float().mean() > 0.8
    # a known level stays, and always one of the levels is chosen
    gaps = x.clone()
    gaps[:, 0] = NAN
    assert torch.equal(filling(gaps)[:, 1:], x[:, 1:])
    assert all(any(torch.equal(row, other) for other in levels) for row in filled[:, 1:])


def test_complete_samples_are_not_copied():
    x = torch.ones(3, 2)
    assert learned([0.0, 0.0])(x) is x


def test_wide_modalities_are_filled_with_usual_values():
    usual = torch.linspace(0.0, 1.0, 600)
    filling = GapFilling(usual)
    filling.learn(torch.randn(5, 600))
    x = torch.full((1, 600), 3.0)
    x[0, 100:200] = NAN
    assert torch.equal(filling(x)[0, 100:200], usual[100:200])
    assert filling.conditional is None


def make_amounts(noise):
    """A feature, and an amount that is zero unless the feature (with noise) is large."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1000, 2, generator=generator)
    cause = x[:, 0] + noise * x[:, 1]
    x[:, 1] = torch.where(cause > 0.3, cause - 0.3, 0.0)
    return x


@pytest.mark.parametrize(
    ("noise", "amounts", "kept"),
    [
        (2.0, "amounts", True),
        (0.1, "amounts", False),  # the other feature explains it
        (2.0, "only two values", False),
        (2.0, "mostly positive", False),
    ],
)
def test_amounts_that_are_mostly_zero_are_not_averaged(noise, amounts, kept):
    x = make_amounts(noise)
    weight = torch.ones(len(x))
    if amounts == "only two values":
        x[:, 1] = (x[:, 1] > 0).float()
    if amounts == "mostly positive":
        weight[x[:, 1] > 0] = 2.0
    filling = GapFilling(torch.zeros(2))
    filling.learn(x, weight)
    filled = filling(torch.tensor([[3.0, NAN], [NAN, 1.0]]))
    assert (filled[0, 1] == 0) == kept
    assert filled[1, 0] > 0.05


def test_double_precision_throughout():
    x = make_samples(3).double()
    filling = GapFilling(torch.zeros(3).double())
    filling.learn(x)
    gaps = torch.where(torch.eye(3).bool(), NAN, x[:3])
    assert filling(gaps).dtype == torch.float64
