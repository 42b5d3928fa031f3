"""The gate of scores: with energies, without, and where modalities are missing."""

import math

import pytest
import torch

from sklearn_emma.nn import (
    AdditiveScore,
    BilinearScore,
    DotScore,
    EnergyAttention,
    KeyValueScore,
    MultiHeadScore,
    ScaledDotScore,
    SoftmaxAttention,
)

INF = math.inf
M, N, D = 4, 7, 5
KINDS = [AdditiveScore, BilinearScore, DotScore, KeyValueScore, MultiHeadScore, ScaledDotScore]


def make(kind=DotScore, with_energy=True, **params):
    g = torch.Generator().manual_seed(0)
    score = kind(M, D, with_energy, generator=g)
    for parameter in score.parameters():
        if not parameter.detach().any():
            parameter.data.normal_(generator=g)
    return SoftmaxAttention(M, score, coldness=0.3, generator=g, **params).double()


@pytest.fixture
def potential():
    g = torch.Generator().manual_seed(2)
    return 3.0 * torch.rand(N, M, generator=g, dtype=torch.float64)


@pytest.fixture
def encoded():
    g = torch.Generator().manual_seed(3)
    return torch.randn(M, N, D, generator=g)


@pytest.mark.parametrize("with_energy", [False, True])
def test_importance_is_the_softmax_of_scores_with_or_without_energies(
    potential, encoded, with_energy
):
    gate = make(with_energy=with_energy)
    state = gate.state(potential, encoded=encoded)
    logits = gate.score(encoded.double(), torch.ones(N, M, dtype=torch.bool))
    if with_energy:
        logits = logits - 0.3 * gate.modal_energy(potential)
    torch.testing.assert_close(state.importance, logits.softmax(1))
    torch.testing.assert_close(state.log_importance, logits.log_softmax(1))
    torch.testing.assert_close(state.attention, torch.tanh(2 * M * state.importance))
    torch.testing.assert_close(state.modal_energy, gate.modal_energy(potential))
    torch.testing.assert_close(gate(potential, encoded), state.attention)


def test_with_scores_of_zero_it_is_the_gate_of_the_energies(potential, encoded):
    score = BilinearScore(M, D)
    gate = SoftmaxAttention(M, score, coldness=0.3, generator=torch.Generator().manual_seed(4))
    plain = EnergyAttention(M, coldness=0.3, generator=torch.Generator().manual_seed(4))
    found, expected = gate.double().state(potential, encoded=encoded), plain.double()
    torch.testing.assert_close(found, expected.state(potential), rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("with_energy", [False, True])
def test_missing_modalities_and_those_not_kept_get_exactly_nothing(
    potential, encoded, kind, with_energy
):
    gate = make(kind, with_energy)
    missing = potential.clone()
    missing[:, 1] = INF
    missing[0] = INF
    state = gate.state(missing, encoded=encoded)
    assert (state.attention[:, 1] == 0).all()
    assert (state.attention[0] == 0).all()
    assert (state.importance[1:].sum(1) - 1).abs().max() < 1e-12
    kept = torch.isfinite(missing)
    as_kept = gate.state(potential, torch.stack([torch.ones_like(kept), kept]), encoded)
    torch.testing.assert_close(as_kept.attention[1], state.attention)
    torch.testing.assert_close(as_kept.attention[0], gate.state(potential, None, encoded).attention)
    changed = encoded.clone()
    changed[1] = 9.0
    torch.testing.assert_close(gate.state(missing, encoded=changed).attention, state.attention)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("with_energy", [False, True])
def test_gradients_are_finite_where_modalities_are_missing(potential, encoded, kind, with_energy):
    gate = make(kind, with_energy)
    potential[0], potential[1, 2] = INF, INF
    state = gate.state(potential, encoded=encoded.requires_grad_())
    present = torch.isfinite(potential)
    (state.attention.sum() + torch.where(present, state.log_importance, 0.0)[:, 0].sum()).backward()
    assert torch.isfinite(encoded.grad).all()
    for parameter in gate.parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all()


def test_a_failing_modality_closes_only_with_energies(potential, encoded):
    failing = potential.clone()
    failing[:, 0] = 40.0
    for with_energy in (False, True):
        gate = make(with_energy=with_energy)
        before, after = gate(potential, encoded)[:, 0], gate(failing, encoded)[:, 0]
        assert torch.equal(before, after) is not with_energy
        assert (after < 0.01).all() == with_energy


def test_without_energies_their_parameters_are_those_of_no_coupling_and_stay(potential, encoded):
    gate = make(AdditiveScore, with_energy=False)
    assert not gate.reads_energies
    torch.testing.assert_close(gate.total_energy(potential), (potential + math.e).sum(1))
    learned = {name for name, p in gate.named_parameters() if p.requires_grad}
    assert learned == {"gain", "bias", "score.of_key", "score.of_query", "score.direction"}
    together = make(AdditiveScore)
    assert all(p.requires_grad for p in together.parameters())


def test_there_is_no_threshold_of_energies(potential):
    assert make().energy_threshold(potential).shape == (N,)
    assert make().energy_threshold(potential).isnan().all()


def test_a_gate_of_scores_needs_embeddings(potential):
    with pytest.raises(ValueError, match="pass encoded"):
        make().state(potential)


def test_a_score_that_does_not_say_so_is_added_to_energies(potential, encoded):
    class Constant(torch.nn.Module):
        def forward(self, keys, present):
            return torch.zeros(present.shape, dtype=keys.dtype)

    gate = SoftmaxAttention(M, Constant(), coldness=0.3).double()
    assert gate.reads_energies
    assert gate(potential, encoded).std() > 0.01
