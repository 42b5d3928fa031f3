"""Piecewise linear functions of columns."""

import numpy as np
import torch

from sklearn_emma.nn import FusionNetwork, NormalScores
from sklearn_emma.nn.normal_scores import N_QUANTILES


def make_scores():
    """Give functions of two columns, and the points of each."""
    generator = torch.Generator().manual_seed(0)
    quantile, score = torch.rand(2, 2, N_QUANTILES, generator=generator).cumsum(-1) - 8.0
    scores = NormalScores(2)
    scores.set_points(quantile, score)
    return scores, quantile.numpy(), score.numpy()


def test_scores_are_interpolated_between_the_quantiles():
    scores, quantile, score = make_scores()
    share = np.linspace(0.001, 0.999, 50)[:, None]
    x = quantile[:, 0] + share * (quantile[:, -1] - quantile[:, 0])
    found = scores(torch.from_numpy(x).float()).numpy()
    for j in range(2):
        expected = np.interp(x[:, j], quantile[j], score[j])
        np.testing.assert_allclose(found[:, j], expected, rtol=1e-4, atol=1e-5)


def test_beyond_the_quantiles_the_slope_is_one():
    scores, quantile, score = make_scores()
    below = scores(torch.from_numpy(quantile[:, 0] - 5.0)[None]).numpy()[0]
    above = scores(torch.from_numpy(quantile[:, -1] + 70.0)[None]).numpy()[0]
    np.testing.assert_allclose(below, score[:, 0] - 5.0, rtol=1e-5)
    np.testing.assert_allclose(above, score[:, -1] + 70.0, rtol=1e-5)


def test_scores_are_the_identity_at_first():
    x = torch.linspace(-9, 9, 40).reshape(-1, 2)
    torch.testing.assert_close(NormalScores(2)(x), x)


def test_the_network_reads_each_column_and_its_score():
    scores, *_ = make_scores()
    network = FusionNetwork([1, 1], 1, (4,), (4,), torch.Generator().manual_seed(1), True)
    plain = FusionNetwork([2, 2], 1, (4,), (4,), torch.Generator().manual_seed(1))
    network.columns.normal_scores.load_state_dict(scores.state_dict())
    x = torch.linspace(-9, 9, 40).reshape(-1, 2)
    q, open_gates = scores(x), torch.ones(20, 2)
    pairs = [torch.stack([x[:, j], q[:, j]], 1) for j in range(2)]
    found = network([x[:, :1], x[:, 1:]], open_gates)
    torch.testing.assert_close(found, plain(pairs, open_gates))


def test_scores_have_the_gradient_of_their_piece():
    scores, *_ = make_scores()
    x = torch.tensor([[-100.0, -4.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(scores(x).sum(), x)
    step = 1e-3
    moved = (scores(x + step) - scores(x - step)) / (2 * step)
    torch.testing.assert_close(gradient, moved.detach(), rtol=0.05, atol=0.01)
