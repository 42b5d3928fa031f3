"""Disagreement of modalities: the weights of the others, and the energy that follows."""

import math

import pytest
import torch

from sklearn_emma.nn import CrossModalEnergy
from sklearn_emma.nn.evidence_energy import NAT

WIDTHS = (3, 2, 4, 1)
M = len(WIDTHS)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_samples(n_samples=50, seed=0, dtype=torch.float64):
    g = generator(seed)
    return [torch.randn(n_samples, d, generator=g, dtype=dtype) for d in WIDTHS]


@pytest.fixture
def cross_modal():
    made = CrossModalEnergy(WIDTHS, (6, 5), generator=generator(3)).double()
    with torch.no_grad():
        made.pair_bias.copy_(torch.randn(M, M, generator=generator(4)))
    return made


def fixed_ratios(monkeypatch, cross_modal, values):
    """Let the log ratios be these of every sample, a symmetric matrix with a diagonal of zeros."""
    ratios = torch.tensor(values, dtype=torch.float64)
    assert torch.equal(ratios, ratios.T)
    monkeypatch.setattr(
        cross_modal, "log_ratios", lambda samples: ratios.expand(len(samples[0]), -1, -1)
    )


# Three modalities that fit together, and one that fits nobody.
ODD_ONE_OUT = [[0, 2, 2, -3], [2, 0, 2, -3], [2, 2, 0, -3], [-3, -3, -3, 0]]


# --- log ratios ---


def test_log_ratios_are_the_documented_products(cross_modal):
    samples = make_samples()
    z = cross_modal.encoders(samples)
    ratios = cross_modal.log_ratios(samples)
    assert ratios.shape == (50, M, M)
    bias = cross_modal.pair_bias
    for i in range(M):
        assert (ratios[:, i, i] == 0).all()
        for j in set(range(M)) - {i}:
            expected = (z[i] * z[j]).sum(1) / math.sqrt(5) + bias[i, j] + bias[j, i]
            torch.testing.assert_close(ratios[:, i, j], expected)


def test_values_far_away_are_softened(cross_modal):
    samples = make_samples(5)
    far = [x * scale for x, scale in zip(samples, (1e3, 1e30, 1e300, 1.0), strict=True)]
    ratios = cross_modal.log_ratios(far)
    assert torch.isfinite(ratios).all()
    # a value is seen as it is up to four standard deviations, then by its logarithm
    x = torch.cat(samples, 1)
    x[:, -1] = 10.0
    assert cross_modal.soften(x)[:, -1].tolist() == pytest.approx([4 + math.log(7)] * 5)


def test_the_weights_come_from_the_generator():
    first, again, other = (CrossModalEnergy(WIDTHS, generator=generator(s)) for s in (0, 0, 1))
    samples = make_samples(dtype=torch.float32)
    assert torch.equal(first.log_ratios(samples), again.log_ratios(samples))
    assert not torch.allclose(first.log_ratios(samples), other.log_ratios(samples))
    assert (first.pair_bias == 0).all()


# --- disagreement ---


def test_without_doubt_disagreement_is_the_mean_of_what_the_others_say(monkeypatch, cross_modal):
    fixed_ratios(monkeypatch, cross_modal, [[0, 1, 2, 3], [1, 0, 4, 5], [2, 4, 0, 6], [3, 5, 6, 0]])
    disagreement = cross_modal.disagreement(make_samples(2), torch.ones(2, M).double())
    expected = -torch.tensor([6.0, 10.0, 12.0, 14.0]).double() / 3
    torch.testing.assert_close(disagreement, expected.expand(2, M))


def test_a_modality_that_disagrees_with_all_others_has_little_weight(monkeypatch, cross_modal):
    fixed_ratios(monkeypatch, cross_modal, ODD_ONE_OUT)
    disagreement = cross_modal.disagreement(make_samples(1), torch.ones(1, M).double())[0]
    # the fourth weighs exp(-3), then nothing changes any more
    doubt = math.exp(-3)
    expected = -(2 * 2 - 3 * doubt) / (2 + doubt)
    torch.testing.assert_close(disagreement[:3], torch.full((3,), expected).double())
    assert float(disagreement[3]) == pytest.approx(3)


def test_a_modality_without_trust_has_no_weight(monkeypatch, cross_modal):
    fixed_ratios(monkeypatch, cross_modal, [[0, 1, 2, 3], [1, 0, 4, 5], [2, 4, 0, 6], [3, 5, 6, 0]])
    trust = torch.tensor([[1.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0] * 4]).double()
    disagreement = cross_modal.disagreement(make_samples(3), trust)
    expected = -torch.tensor([[1.5, 2.5, 3.0, 14 / 3], [0, 1, 2, 3], [0, 0, 0, 0]]).double()
    torch.testing.assert_close(disagreement, expected)


def test_the_largest_weight_is_the_trust(monkeypatch, cross_modal):
    fixed_ratios(monkeypatch, cross_modal, (-torch.tensor(ODD_ONE_OUT)).tolist())
    # all disagree, and still are heard: the fourth alone fits, and keeps its trust of .4
    trust = torch.tensor([[0.1, 0.1, 0.1, 0.4]]).double()
    disagreement = cross_modal.disagreement(make_samples(1), trust)[0]
    assert float(disagreement[0]) < 0
    assert torch.isfinite(disagreement).all()
    # little trust is little said: the sum of weights below one divides by one
    alone = cross_modal.disagreement(make_samples(1), trust * torch.tensor([0, 0, 0, 1]))[0]
    torch.testing.assert_close(alone, torch.tensor([-1.2, -1.2, -1.2, 0.0]).double())


def test_the_bound_caps_what_a_pair_can_say(monkeypatch, cross_modal):
    fixed_ratios(monkeypatch, cross_modal, [[0, -50, 9], [-50, 0, 9], [9, 9, 0]])
    cross_modal.bound.fill_(4.0)
    trust = torch.tensor([[1.0, 1.0, 0.0]]).double()
    disagreement = cross_modal.disagreement(make_samples(1), trust)[0]
    torch.testing.assert_close(disagreement, torch.tensor([4.0, 4.0, -4.0]).double())


def test_the_bound_is_saved_with_the_weights():
    bounded = CrossModalEnergy(WIDTHS, bound=5.5)
    assert float(bounded.state_dict()["bound"]) == 5.5
    assert float(CrossModalEnergy(WIDTHS).bound) == math.inf


# --- energies ---


def energies(cross_modal, samples, potential, minimum=None, scale=None):
    minimum = torch.zeros(M).double() if minimum is None else minimum
    scale = torch.ones(M).double() if scale is None else scale
    return cross_modal(samples, potential, minimum, scale)


def test_energies_follow_the_equations(cross_modal):
    samples = make_samples()
    g = generator(9)
    potential = 3 * torch.rand(50, M, generator=g, dtype=torch.float64)
    minimum, scale = torch.rand(M, generator=g).double(), torch.rand(M, generator=g).double() + 0.5
    trust = ((minimum - potential) / scale).clamp(max=0).exp()
    disagreement = cross_modal.disagreement(samples, trust)
    expected = potential + 3 * scale * disagreement.clamp(min=0)
    total = energies(cross_modal, samples, potential, minimum, scale)
    torch.testing.assert_close(total, expected)
    assert (total >= potential).all()
    assert (total > potential).any()
    # forward is the potential and what is added to it
    added = cross_modal.energy(samples, potential, minimum, scale)
    torch.testing.assert_close(total, potential + added)
    assert (added >= 0).all()


def test_a_nat_weighs_the_same_in_every_energy(monkeypatch, cross_modal):
    fixed_ratios(monkeypatch, cross_modal, ODD_ONE_OUT)
    scale = torch.tensor([1.0, 2.0, 3.0, 4.0]).double()
    zeros = torch.zeros(1, M).double()
    total = energies(cross_modal, make_samples(1), zeros, scale=scale)[0]
    torch.testing.assert_close(total / NAT / scale, torch.tensor([0.0, 0.0, 0.0, 3.0]).double())


def test_missing_modalities_stay_missing_and_say_nothing(cross_modal):
    samples = make_samples()
    potential = torch.rand(50, M, generator=generator(9), dtype=torch.float64)
    potential[:, 1] = math.inf
    total = energies(cross_modal, samples, potential)
    others = [0, 2, 3]
    assert (total[:, 1] == math.inf).all()
    assert torch.isfinite(total[:, others]).all()
    # whatever stands in for the missing values
    samples[1] = samples[1] + 7.0
    assert torch.equal(energies(cross_modal, samples, potential)[:, others], total[:, others])
    potential[:] = math.inf
    assert (energies(cross_modal, samples, potential) == math.inf).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_in_either_precision(cross_modal, dtype):
    cross_modal = cross_modal.to(dtype)
    samples = [x.requires_grad_() for x in make_samples(dtype=dtype)]
    potential = torch.rand(50, M, generator=generator(9), dtype=dtype)
    potential[:5] = math.inf
    potential[5:10, 0] = math.inf
    potential[10:15] = 1e30
    constants = torch.zeros(M, dtype=dtype), torch.ones(M, dtype=dtype)
    total = cross_modal(samples, potential, *constants)
    assert total.dtype == dtype
    assert not total.isnan().any()
    total[15:].sum().backward()
    for tensor in (*samples, *cross_modal.parameters()):
        assert torch.isfinite(tensor.grad).all()
    assert all(x.grad.abs().sum() > 0 for x in samples)


def test_pairs_may_be_of_embeddings_of_different_samples(cross_modal):
    samples = make_samples()
    z = cross_modal.encode(samples)
    assert z.shape == (50, M, 5)
    torch.testing.assert_close(cross_modal.pair_log_ratios(z), cross_modal.log_ratios(samples))
    order = torch.randperm(50, generator=generator(5))
    shuffled = [x if i else x[order] for i, x in enumerate(samples)]
    z = torch.cat([z[order, :1], z[:, 1:]], 1)
    torch.testing.assert_close(cross_modal.pair_log_ratios(z), cross_modal.log_ratios(shuffled))
