"""Quantiles of the training samples, as the default predictor takes them."""

import numpy as np
import pytest
import torch
from scipy.special import ndtri
from sklearn.preprocessing import QuantileTransformer

from sklearn_emma import EMMAClassifier
from sklearn_emma.gate import normal_scores
from sklearn_emma.gate.normal_scores import learn_normal_scores, strictly_increasing
from sklearn_emma.gate.samples import Samples
from sklearn_emma.nn import NormalScores


def learn(*modalities, weight=None):
    """Give the scores that are learned from samples."""
    n = len(modalities[0])
    weight = torch.ones(n) if weight is None else torch.tensor(weight)
    tensors = [torch.from_numpy(x).float() for x in modalities]
    scores = NormalScores(sum(x.shape[1] for x in modalities))
    learn_normal_scores(scores, Samples(tensors, torch.zeros(n), weight), 0)
    return scores


def test_scores_of_training_samples_are_those_of_a_normal_distribution():
    x = np.exp(2 * np.random.RandomState(0).randn(2000, 3))
    found = learn(x[:, :1], x[:, 1:])(torch.from_numpy(x).float()).numpy()
    expected = QuantileTransformer(output_distribution="normal").fit_transform(x)
    # in the tails there is the straight line
    inner = np.abs(expected) < 1.5
    np.testing.assert_allclose(found[inner], expected[inner], atol=0.05)


def test_samples_with_weight_two_count_twice():
    x, weight = np.random.RandomState(1).randn(400, 1) ** 3, np.ones(400, dtype=np.float32)
    weight[:200] = 2.0
    repeated = learn(np.concatenate([x, x[:200]])).quantile[:, 3:-3]
    np.testing.assert_allclose(learn(x, weight=weight).quantile[:, 3:-3], repeated, atol=0.05)
    once = learn(x).quantile[:, 3:-3]
    assert (once - repeated).abs().max() > 0.05


def test_gaps_do_not_count():
    x = np.random.RandomState(2).randn(400, 2)
    x[::2, 0] = np.nan
    together, alone = learn(x), learn(x[1::2, :1])
    np.testing.assert_allclose(together.quantile[0, 2:-2], alone.quantile[0, 2:-2], atol=0.05)


@pytest.mark.parametrize("values", [[0.0, 1.0], [3.0], [-2.0, 0.5, 0.500000001, 4.0]])
def test_columns_of_few_values_have_a_score_for_each(values):
    x = np.resize(values, (120, 1))
    scores = learn(x)
    assert torch.isfinite(scores.slope).all()
    assert (scores.quantile.diff(dim=1) > 0).all()
    found = scores(torch.from_numpy(x).float()).numpy()
    _, number = np.unique(np.round(x, 6), return_inverse=True)
    means = [found[number.ravel() == k].mean() for k in range(number.max() + 1)]
    assert np.all(np.diff(means) > 0.5)
    assert np.abs(found).max() < 3


def test_a_column_without_values_is_left_as_it_is():
    quantile, score = strictly_increasing(np.full(32, np.nan), np.linspace(-2, 2, 32))
    np.testing.assert_array_equal(quantile, score)


def test_of_many_samples_some_decide(monkeypatch):
    x = np.random.RandomState(3).randn(5000, 1)
    everything = learn(x).quantile
    monkeypatch.setattr(normal_scores, "_MAX_SAMPLES", 1000)
    some = learn(x).quantile
    assert not torch.equal(some, everything)
    torch.testing.assert_close(some, everything, rtol=0, atol=0.3)


def test_levels_are_in_the_middle_of_their_shares():
    x = np.arange(3200.0)[:, None]
    scores = learn((x - x.mean()) / x.std())
    np.testing.assert_allclose(scores.score[0], ndtri((np.arange(32) + 0.5) / 32), rtol=1e-5)


def test_classes_in_a_narrow_range_of_a_column_with_far_values_are_learned():
    rng = np.random.RandomState(0)
    X, y = rng.randn(900, 2), rng.randint(2, size=900)
    # one value in five is far away, and the classes are a hundredth of the spread apart
    X[:, 0] = np.where(rng.rand(900) < 0.2, 10 * X[:, 0], 0.05 * (y + 0.2 * X[:, 0]))
    classifier = EMMAClassifier({"a": [0], "b": [1]}, max_epochs=40, random_state=0)
    # nine tenths is what those samples give that are not far away, and half of the others
    assert classifier.fit(X[:600], y[:600]).score(X[600:], y[600:]) > 0.82
