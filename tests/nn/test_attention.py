"""The gate does what its equations say, and takes a missing modality for one that is not there."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid

from sklearn_emma.nn import EnergyAttention
from sklearn_emma.nn.module_stack import stack

INF = math.inf


def make_gate(n_modalities=4, seed=0, **kwargs):
    """Return a gate whose parameters are all away from their start values."""
    generator = torch.Generator().manual_seed(seed)
    gate = EnergyAttention(n_modalities, generator=generator, **kwargs).double()
    m = n_modalities
    with torch.no_grad():
        gate.self_weight.add_(torch.rand(m, generator=generator))
        gate.self_bias.add_(torch.rand(m, generator=generator))
        gate.coupling_degree.copy_(torch.rand(m, m, generator=generator))
    return gate


def potentials(n=50, n_modalities=4):
    generator = torch.Generator().manual_seed(1)
    return 3.0 * torch.randn(n, n_modalities, generator=generator, dtype=torch.float64)


def direct_modal_energy(gate, potential):
    """Return the modal energies of one sample, one by one from the equations."""
    m = len(potential)
    minimum, scale = gate.potential_min.tolist(), gate.potential_scale.tolist()
    w, b = gate.self_weight.tolist(), gate.self_bias.tolist()
    coupling, degree = gate.coupling_weight.tolist(), gate.coupling_degree.tolist()
    shifted = [max(math.e, (potential[i] - minimum[i]) / scale[i] + math.e) for i in range(m)]
    e = [w[i] * shifted[i] + b[i] for i in range(m)]
    shared = [
        [coupling[i][j] * e[i] ** degree[i][j] * e[j] ** (1 - degree[i][j]) for j in range(m)]
        for i in range(m)
    ]
    return [e[i] + sum(shared[i][j] for j in range(m) if j != i) for i in range(m)], shared


def test_energies_equal_the_equations():
    gate = make_gate(
        potential_min=torch.tensor([-1.0, 0.0, 1.0, 2.0], dtype=torch.float64),
        potential_scale=torch.tensor([1.0, 0.5, 2.0, 3.0], dtype=torch.float64),
    )
    x = potentials(10)
    modal, shared = zip(*(direct_modal_energy(gate, sample) for sample in x.tolist()), strict=True)
    torch.testing.assert_close(gate.modal_energy(x), torch.tensor(modal, dtype=torch.float64))
    shared = torch.tensor(shared, dtype=torch.float64)
    torch.testing.assert_close(gate.shared_energy(x), shared)
    assert (gate.shared_energy(x).diagonal(dim1=1, dim2=2) == 0).all()


def test_importance_and_attention_follow_from_the_modal_energies():
    gate = make_gate(coldness=0.7, gain=3.0)
    with torch.no_grad():
        gate.bias.fill_(0.4)
    state = gate.state(potentials())
    boltzmann = torch.exp(-0.7 * state.modal_energy)
    alpha = boltzmann / boltzmann.sum(1, keepdim=True)
    torch.testing.assert_close(state.importance, alpha)
    torch.testing.assert_close(state.log_importance, alpha.log())
    torch.testing.assert_close(state.importance.sum(1), torch.ones(50, dtype=torch.float64))
    torch.testing.assert_close(state.attention, torch.tanh(3.0 * alpha - 0.4).clamp(min=0))
    assert (state.attention == 0).any()
    assert (state.attention > 0).any()
    torch.testing.assert_close(gate(potentials()), state.attention)


def test_potentials_below_the_minimum_count_as_the_minimum():
    gate = make_gate()
    low = torch.full((1, 4), -1e6, dtype=torch.float64)
    torch.testing.assert_close(gate.modal_energy(low), gate.modal_energy(torch.zeros_like(low)))


def test_a_missing_modality_is_as_if_it_did_not_exist():
    gate = make_gate(coldness=0.3)
    x = potentials()
    x[:, 2] = INF
    rest = [0, 1, 3]
    smaller = EnergyAttention(3, coldness=0.3).double()
    with torch.no_grad():
        smaller.self_weight.copy_(gate.self_weight[rest])
        smaller.self_bias.copy_(gate.self_bias[rest])
        smaller.coupling_weight.copy_(gate.coupling_weight[rest][:, rest])
        smaller.coupling_degree.copy_(gate.coupling_degree[rest][:, rest])
        smaller.gain.copy_(gate.gain)
    state, expected = gate.state(x), smaller.state(x[:, rest])
    assert (state.modal_energy[:, 2] == INF).all()
    torch.testing.assert_close(gate.modal_energy(x), state.modal_energy)
    assert (state.importance[:, 2] == 0).all()
    assert (state.attention[:, 2] == 0).all()
    for value, wanted in zip(state, expected, strict=True):
        torch.testing.assert_close(value[:, rest], wanted)


def test_what_is_not_kept_is_as_if_it_were_missing():
    gate = make_gate(coldness=0.3)
    x = potentials()
    x[3, 1] = INF
    kept = torch.rand(3, *x.shape, generator=torch.Generator().manual_seed(5)) < 0.6
    kept[0] = True
    kept[1, 7] = False
    together = gate.state(x, kept)
    for i, part in enumerate(kept):
        expected = gate.state(x.masked_fill(~part, INF))
        for value, wanted in zip(together, expected, strict=True):
            torch.testing.assert_close(value[i], wanted)


@pytest.mark.parametrize("coldness", [0.0, 1.0])
def test_all_modalities_missing_closes_the_gate(coldness):
    gate = make_gate(coldness=coldness)
    state = gate.state(torch.full((2, 4), INF, dtype=torch.float64))
    assert (state.importance == 0).all()
    assert (state.attention == 0).all()
    assert torch.isfinite(state.log_importance).all()


@pytest.mark.parametrize("coldness", [0.0, 1.0])
def test_gradients_stay_finite_with_missing_modalities(coldness):
    gate = make_gate(coldness=coldness)
    x = potentials(4)
    x[1, 0] = x[2, :3] = INF
    x[3] = INF
    x.requires_grad_()
    state = gate.state(x)
    present = torch.isfinite(state.log_importance)
    loss = state.attention.sum() + torch.where(present, state.log_importance, 0.0).sum()
    loss.backward()
    for name, parameter in gate.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
    assert torch.isfinite(x.grad).all()
    assert (x.grad[3] == 0).all()


def test_a_single_modality_has_all_the_importance():
    gate = EnergyAttention(1)
    state = gate.state(torch.tensor([[0.0], [100.0], [INF]]))
    assert state.importance.flatten().tolist() == [1.0, 1.0, 0.0]
    torch.testing.assert_close(state.attention[0, 0], torch.tanh(gate.gain))


def test_coldness_from_uniform_to_winner_takes_all():
    x = potentials()
    uniform = make_gate(coldness=0.0).state(x).importance
    torch.testing.assert_close(uniform, torch.full_like(uniform, 0.25))
    gate = make_gate(coldness=1e6)
    winner = gate.modal_energy(x).argmin(1)
    torch.testing.assert_close(gate.state(x).importance.argmax(1), winner)
    assert (gate.state(x).importance.max(1).values > 0.999).all()


def test_start_values_let_alike_modalities_through_whatever_their_number():
    for m in (2, 6, 40):
        gate = EnergyAttention(m, coldness=0.0)
        torch.testing.assert_close(gate(torch.zeros(1, m)), torch.full((1, m), math.tanh(2.0)))
        assert gate.coupling_weight.abs().max() <= 1.0 / (m - 1)
        assert (gate.coupling_weight.diagonal() == 0).all()


def test_projection_puts_every_parameter_back_and_leaves_the_rest():
    gate = EnergyAttention(2)
    with torch.no_grad():
        gate.self_weight.copy_(torch.tensor([0.5, 2.0]))
        gate.self_bias.copy_(torch.tensor([-1.0, 0.5]))
        gate.coupling_weight.copy_(torch.tensor([[3.0, 4.0], [-0.5, 3.0]]))
        gate.coupling_degree.copy_(torch.tensor([[2.0, -1.0], [0.3, 0.4]]))
        gate.gain.fill_(-5.0)
        gate.bias.fill_(1.5)
    gate.project_()
    assert gate.self_weight.tolist() == [1.0, 2.0]
    assert gate.self_bias.tolist() == [0.0, 0.5]
    assert gate.coupling_weight.tolist() == [[0.0, 1.0], [-0.5, 0.0]]
    torch.testing.assert_close(gate.coupling_degree, torch.tensor([[1.0, 0.0], [0.3, 0.4]]))
    assert gate.gain > 0
    assert gate.bias == 1.0
    with torch.no_grad():
        gate.bias.fill_(-0.5)
    gate.project_()
    assert gate.bias == 0.0


def test_the_coupling_cannot_cancel_the_self_energy():
    gate = EnergyAttention(3, gain=6.0, min_slope=0.5).double()
    weight = torch.tensor([[0.0, -1.0, -1.0], [-0.4, 0.0, 0.9], [-0.3, -0.8, 0.0]])
    degree = torch.tensor([[0.5, 1.0, 0.9], [1.0, 0.5, 1.0], [0.1, 0.3, 0.5]])
    with torch.no_grad():
        gate.coupling_weight.copy_(weight)
        gate.coupling_degree.copy_(degree)
    gate.project_()
    slopes = 1.0 + (gate.coupling_weight.clamp(max=0.0) * gate.coupling_degree).sum(1)
    assert slopes[0].item() == pytest.approx(0.5)
    # one factor for the negative weights of a row, and nothing else is changed
    torch.testing.assert_close(gate.coupling_weight[0], weight[0].double() * 0.5 / 1.9)
    torch.testing.assert_close(gate.coupling_weight[1:], weight[1:].double())
    torch.testing.assert_close(gate.coupling_degree, degree.double())
    x = torch.zeros(50, 3, dtype=torch.float64)
    x[:, 0] = torch.linspace(0.0, 60.0, 50)
    energy = gate.modal_energy(x)[:, 0]
    assert (energy.diff() >= 0.5 * x[:, 0].diff() - 1e-9).all()
    assert gate(x)[-1, 0] < 1e-6


def test_a_stack_of_gates_is_projected_like_each_of_them():
    gates = [EnergyAttention(3, min_slope=0.5) for _ in range(3)]
    for i, gate in enumerate(gates):
        with torch.no_grad():
            gate.coupling_weight.copy_(-0.2 * i * torch.arange(9.0).reshape(3, 3) / 4)
            gate.coupling_degree.copy_(torch.arange(9.0).flip(0).reshape(3, 3) / 8)
    stacked = stack(gates)
    stacked.project_()
    for i, gate in enumerate(gates):
        gate.project_()
        torch.testing.assert_close(stacked.coupling_weight[i], gate.coupling_weight)


def test_a_slope_of_one_would_leave_no_negative_weight():
    with pytest.raises(ValueError, match=r"min_slope=1.0 must be less than one"):
        EnergyAttention(2, min_slope=1.0)


def test_a_modality_passes_iff_its_energy_is_below_the_threshold():
    gate = make_gate(coldness=0.4, gain=2.0)
    with torch.no_grad():
        gate.bias.fill_(0.5)
    x = potentials(400)
    x[::7, 1] = INF
    passes = gate.modal_energy(x) < gate.energy_threshold(x).unsqueeze(1)
    assert torch.equal(passes, gate(x) > 0)
    assert 0.05 < passes.double().mean() < 0.95


@pytest.mark.parametrize(("coldness", "bias"), [(0.0, 0.0), (1.0, 0.0), (0.0, 0.5)])
def test_everything_passes_below_an_infinite_threshold(coldness, bias):
    gate = make_gate(coldness=coldness)
    with torch.no_grad():
        gate.bias.fill_(bias)
    x = potentials(5)
    x[0, 0] = INF
    assert (gate.energy_threshold(x) == INF).all()
    assert torch.equal(gate(x) > 0, torch.isfinite(x))


@pytest.mark.parametrize("gain", [0.5, 3.0, 20.0])
@pytest.mark.parametrize("bias", [0.0, 0.3, 1.0])
def test_capacity_is_the_area_under_the_gate(gain, bias):
    gate = EnergyAttention(2, gain=gain).double()
    with torch.no_grad():
        gate.bias.fill_(bias)
    alpha = np.linspace(0.0, 1.0, 100_001)
    area = trapezoid(np.tanh(gain * alpha - gate.bias.item()), alpha)
    assert gate.capacity().item() == pytest.approx(area, abs=1e-8)


@pytest.mark.parametrize("gain", [1e3, 1e4, 1e6])
def test_capacity_is_stable_for_a_steep_gate(gain):
    gate = EnergyAttention(2, gain=gain)
    with torch.no_grad():
        gate.bias.fill_(1.0)
    capacity = gate.capacity()
    # cosh(g - b) ~ exp(g - b) / 2
    expected = (gain - 1.0 - math.log(2.0) - math.log(math.cosh(1.0))) / gain
    assert capacity.item() == pytest.approx(expected, rel=1e-6)
    assert capacity < 1
    capacity.backward()
    assert torch.isfinite(gate.gain.grad)


def test_beyond_potential_max_a_modality_says_no_more_about_the_others():
    limits = torch.tensor([5.0, 5.0, 5.0], dtype=torch.float64)
    gate = make_gate(3, potential_max=limits)
    x = torch.tensor([[5.0, 1.0, 2.0], [50.0, 1.0, 2.0], [1e9, 1.0, 2.0]], dtype=torch.float64)
    energy = gate.modal_energy(x)
    torch.testing.assert_close(energy[1:, 1:], energy[:1, 1:].expand(2, 2))
    # its own energy goes on growing
    assert (energy[1:, 0] > energy[:-1, 0] + 10).all()
    unlimited = make_gate(3).modal_energy(x)
    torch.testing.assert_close(energy[0], unlimited[0])
    assert not torch.allclose(energy[1], unlimited[1])


def test_total_energy_sums_and_counts_a_missing_modality_like_the_worst_seen():
    limits = torch.tensor([5.0, 6.0], dtype=torch.float64)
    gate = make_gate(2, potential_max=limits)
    x = torch.tensor([[1.0, 2.0], [INF, 2.0], [INF, INF]], dtype=torch.float64)
    filled = torch.tensor([[1.0, 2.0], [5.0, 2.0], [5.0, 6.0]], dtype=torch.float64)
    torch.testing.assert_close(gate.total_energy(x), gate.modal_energy(filled).sum(1))


def test_total_energy_of_a_missing_modality_is_finite_without_a_largest_potential():
    scale = torch.tensor([2.0, 3.0], dtype=torch.float64)
    gate = make_gate(2, potential_scale=scale)
    x = torch.tensor([[1.0, 2.0], [INF, 2.0], [INF, INF]], dtype=torch.float64)
    filled = torch.tensor([[1.0, 2.0], [2.0, 2.0], [2.0, 3.0]], dtype=torch.float64)
    torch.testing.assert_close(gate.total_energy(x), gate.modal_energy(filled).sum(1))
    assert torch.isfinite(EnergyAttention(3).total_energy(torch.full((1, 3), INF))).all()


def test_huge_potentials_stay_finite_in_single_precision():
    gate = EnergyAttention(3, potential_max=torch.full((3,), 50.0))
    state = gate.state(torch.tensor([[1e30, 0.0, 0.0], [0.0, 1e30, 1e30]]))
    assert torch.isfinite(state.importance).all()
    assert torch.isfinite(state.attention).all()
    assert state.attention[0, 0] == 0


def test_energies_beyond_all_numbers_close_their_modality_only():
    tenth, ten = torch.full((3,), 0.1), torch.full((3,), 10.0)
    gate = EnergyAttention(
        3, potential_scale=tenth, potential_max=ten, generator=torch.Generator().manual_seed(0)
    )
    beta = gate(torch.tensor([[3e38, 1.0, 1.0]]))
    assert torch.isfinite(beta).all()
    assert beta[0, 0] == 0.0
    # and none that is minus infinity, by its own doing or that of a coupling, opens it
    assert (gate(torch.tensor([[-torch.inf, 1.0, 1.0]]))[0] > 0).tolist() == [False, True, True]
    with torch.no_grad():
        gate.potential_max.fill_(torch.inf)
        gate.coupling_weight.fill_(-1.0).fill_diagonal_(0.0)
        gate.coupling_degree.fill_(0.0)
    beta = gate(torch.tensor([[3e37, 1.0, 1.0], [3e38, 1.0, 1.0]]))
    assert (beta[1] == 0.0).all()


def test_what_is_not_kept_may_be_beyond_all_numbers():
    gate = EnergyAttention(
        3, potential_scale=torch.full((3,), 0.1), generator=torch.Generator().manual_seed(0)
    )
    x = torch.tensor([[3e38, 0.0, 1.0]])
    state = gate.state(x, torch.tensor([[False, True, True]]))
    torch.testing.assert_close(state, gate.state(torch.tensor([[INF, 0.0, 1.0]])))


def test_potentials_may_be_more_precise_than_the_gate():
    gate = EnergyAttention(3, generator=torch.Generator().manual_seed(0))
    x = potentials()[:, :3]
    torch.testing.assert_close(gate(x).float(), gate(x.float()))


def test_a_coupling_of_ones_own_is_what_the_gate_uses():
    class Linear(EnergyAttention):
        def coupling(self, target, source):
            return self.coupling_weight.unsqueeze(-1) * (source - math.e)

    gate, x = Linear(4, generator=torch.Generator().manual_seed(0)).double(), potentials()
    own = gate.self_energy(x)
    expected = own + (own - math.e) @ gate.coupling_weight.T
    torch.testing.assert_close(gate.modal_energy(x), expected)


@pytest.mark.parametrize(("bias", "threshold"), [(0.0, INF), (0.5, INF), (1.0, -INF)])
def test_without_coldness_all_modalities_pass_or_none(bias, threshold):
    gate = EnergyAttention(2, 0.0, gain=2.0)
    gate.bias.data.fill_(bias)
    potential = torch.tensor([[0.0, 3.0], [9.0, 1.0]])
    assert (gate.energy_threshold(potential) == threshold).all()
    passes = gate.modal_energy(potential) < gate.energy_threshold(potential).unsqueeze(1)
    assert torch.equal(passes, gate(potential) > 0)
