"""Missing values of a modality are filled with values that fit the others."""

import torch

from sklearn_emma.nn import GapFilling

NAN = torch.nan


def learned(usual, numeric):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 1, generator=generator).expand(-1, len(usual))
    filling = GapFilling(torch.tensor(usual), torch.tensor(numeric))
    filling.learn(x)
    return filling


def test_numeric_features_follow_the_others_and_indicators_are_usual():
    filling = learned([0.5, 0.6, 0.7], [True, True, False])
    x = torch.tensor([[2.0, NAN, 2.0], [NAN, NAN, 2.0], [2.0, 2.0, NAN], [NAN, NAN, NAN]])
    before = x.clone()
    filled = filling(x)
    expected = [[2.0, 2.0, 2.0], [2.0, 2.0, 2.0], [2.0, 2.0, 0.7], [0.5, 0.6, 0.7]]
    torch.testing.assert_close(filled, torch.tensor(expected), atol=0.05, rtol=0)
    assert torch.equal(filled[3], filling.usual)
    assert torch.equal(x.isnan(), before.isnan())


def test_complete_samples_are_not_copied():
    x = torch.ones(3, 2)
    assert learned([0.0, 0.0], [True, True])(x) is x


def test_wide_modalities_are_filled_with_usual_values():
    usual = torch.linspace(0.0, 1.0, 600)
    filling = GapFilling(usual, torch.ones(600, dtype=torch.bool))
    filling.learn(torch.randn(5, 600))
    x = torch.full((1, 600), 3.0)
    x[0, 100:200] = NAN
    assert torch.equal(filling(x)[0, 100:200], usual[100:200])
    assert not filling.state_dict()
