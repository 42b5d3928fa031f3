"""Missing values of a modality are filled with values that fit the others."""

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
    assert not filling.state_dict()
