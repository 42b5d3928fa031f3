"""Attacks that know the model: where they lead, how far, and what they need."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression

from sklearn_emma.corruption import Adversarial, Mixture, Noise, RandomSigns, Reference

GROUPS = {"a": [0, 1], "b": [2, 3, 4], "c": [5]}
SLOPE = np.array([1.0, -2.0, 0.5, 0.0, -3.0, 1.0])


class Linear(BaseEstimator):
    """A model whose loss grows along SLOPE for label 1, and against it for label 0."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def predict(self, X):
        return np.ones(len(X), dtype=int)

    def loss_gradient(self, X, y):
        assert len(X) == len(y)
        return np.where(np.asarray(y)[:, None] == 1, SLOPE, -SLOPE) * np.ones_like(X)


@pytest.fixture
def samples(make_table):
    y = np.random.default_rng(3).integers(2, size=60)
    return make_table(60), y, make_table(500, seed=1)


def moved(X, attacked, reference):
    """The change in standard deviations of the reference."""
    return (attacked - X) / reference.std(axis=0)


@pytest.mark.parametrize("steps", [1, 7])
def test_every_feature_of_one_modality_moves_by_eps_where_the_loss_grows(samples, steps):
    X, y, reference = samples
    attack = Adversarial(0.5, steps=steps).against(Linear().fit(X), y)
    attacked, indicator = attack.corrupt(X, GROUPS, 0, reference)
    assert_array_equal((indicator == -1).sum(axis=1), 1)
    failing = np.repeat(indicator == -1, [2, 3, 1], axis=1)
    expected = 0.5 * np.sign(SLOPE) * np.where(y == 1, 1, -1)[:, None] * failing
    change = moved(X, attacked, reference)
    flat = SLOPE == 0  # projected gradient starts somewhere, and there is no slope to follow
    assert_allclose(change[:, ~flat], expected[:, ~flat], atol=1e-9)
    assert (np.abs(change[:, flat]) <= 0.5 + 1e-9).all()
    assert ((change != 0) <= failing).all()


@pytest.mark.parametrize("steps", [1, 7])
def test_the_euclidean_attack_goes_along_the_gradient_in_standard_deviations(samples, steps):
    X, y, reference = samples
    attack = Adversarial(2.0, 2, steps, only="b").against(Linear().fit(X), y)
    attacked, _ = attack.corrupt(X, GROUPS, 0, reference)
    change = moved(X, attacked, reference)[:, 2:5]
    direction = SLOPE[2:5] * reference.std(axis=0)[2:5]
    expected = 2.0 * direction / np.linalg.norm(direction) * np.where(y == 1, 1, -1)[:, None]
    if steps == 1:
        assert_allclose(change, expected, atol=1e-9)
    # from a random start, steps of 2.5 radii in all come near the top of the ball
    assert ((change * expected).sum(axis=1) > 0.9 * 2.0**2).all()
    assert (np.linalg.norm(change, axis=1) <= 2.0 + 1e-9).all()


def test_without_labels_the_attack_leads_away_from_the_predictions(samples):
    X, _, reference = samples
    attacked = [
        Adversarial(0.5, only="a").against(Linear().fit(X), y).corrupt(X, GROUPS, 0, reference)[0]
        for y in (None, np.ones(60), np.zeros(60))
    ]
    assert_array_equal(attacked[0], attacked[1])
    assert (attacked[0][:, :2] != attacked[2][:, :2]).all()


def test_each_sample_draws_a_size_of_a_range(samples):
    X, y, reference = samples
    attack = Adversarial((0.2, 1.0), only="b").against(Linear().fit(X), y)
    change = moved(X, attack.corrupt(X, GROUPS, 0, reference)[0], reference)[:, 2]
    size = np.abs(change)
    assert 0.2 <= size.min() < 0.4
    assert 0.8 < size.max() <= 1.0


def test_missing_values_stay_missing(samples):
    X, y, reference = samples
    X = X.copy()
    X[:30, 0] = np.nan
    attack = Adversarial(0.5, only="a").against(Linear().fit(X), y)
    attacked, _ = attack.corrupt(X, GROUPS, 0, reference)
    assert_array_equal(np.isnan(attacked), np.isnan(X))
    assert (attacked[:, 1] != X[:, 1]).all()


def test_random_signs_are_as_large(samples):
    X, _, reference = samples
    for norm, size in (("inf", np.sqrt(3.0)), (2, 1.0)):
        changed, _ = RandomSigns(0.5, norm, only="b").corrupt(X, GROUPS, 0, reference)
        change = moved(X, changed, reference)[:, 2:5]
        assert_allclose(np.linalg.norm(change, axis=1), 0.5 * size)
        assert_allclose(np.abs(change), np.abs(change[0, 0]))
        assert abs(np.sign(change).mean()) < 0.2


def test_an_attack_can_be_cloned_and_copied_with_its_model(samples):
    X, y, reference = samples
    attack = Adversarial(0.5, only="a").against(Linear().fit(X), y)
    again = clone(attack)
    expected = attack.corrupt(X, GROUPS, 0, reference)[0]
    assert_array_equal(again.corrupt(X, GROUPS, 0, reference)[0], expected)
    assert Adversarial().estimator is None


def test_gradients_of_any_size_are_followed():
    x = [torch.tensor([[1.0, 2.0], [3.0, 4.0]])]
    tiny = [torch.tensor([[1e-30, -1e-30], [0.0, 0.0]])]
    reference = Reference.from_tensors(x)
    for norm, size in (("inf", 1.0), (2, 0.5**0.5)):
        changed, _ = Adversarial(1.0, norm).corrupt_tensors(
            x, generator=torch.Generator(), reference=reference, gradient=lambda _: tiny
        )
        expected = x[0] + torch.tensor([[size, -size], [0.0, 0.0]]) * reference.stds[0]
        torch.testing.assert_close(changed[0], expected)


def test_what_an_attack_needs_is_said(samples):
    X, y, _ = samples
    with pytest.raises(TypeError, match="RandomSigns"):
        Adversarial().against(LogisticRegression(), y)
    with pytest.raises(ValueError, match="against"):
        Adversarial().corrupt(X, GROUPS, 0)
    with pytest.raises(ValueError, match="adversarial"):
        Mixture([Noise(), Adversarial()]).corrupt(X, GROUPS, 0)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"eps": 0.0}, "eps"),
        ({"eps": -1.0}, "eps"),
        ({"eps": (1.0, 0.5)}, "eps"),
        ({"norm": 1}, "norm"),
        ({"norm": np.inf}, "norm"),
        ({"norm": True}, "norm"),
        ({"steps": 0}, "steps"),
        ({"steps": 1.5}, "steps"),
    ],
)
def test_parameters_out_of_range_raise(samples, params, message):
    X, y, _ = samples
    with pytest.raises(ValueError, match=message):
        Adversarial(**params).against(Linear().fit(X), y).corrupt(X, GROUPS, 0)
    if "steps" not in params and params != {"eps": 0.0}:
        with pytest.raises(ValueError, match=message):
            RandomSigns(**params).corrupt(X, GROUPS, 0)
