"""What the parameter attention_score makes, and what it refuses."""

import pytest
import torch
from torch import nn

from sklearn_emma.gate.build_gate import (
    ATTENTION_SCORES,
    SCORES,
    build_gate,
    check_gate,
    count_units,
    modality_costs,
)
from sklearn_emma.nn import (
    AdditiveScore,
    AttentionScore,
    Concatenated,
    EnergyAttention,
    FusionNetwork,
    GatedInputs,
    SoftmaxAttention,
)


class Own(AttentionScore):
    def __init__(self, n_modalities, n_units):
        super().__init__(n_modalities, n_units)
        self.linear = nn.Linear(n_units, 1)

    def forward(self, keys, present):
        return self.linear(keys).squeeze(-1).mT.expand(present.shape)


@pytest.mark.parametrize("name", ATTENTION_SCORES)
def test_names_make_gates(name):
    gate = build_gate(name, 5, 0.3, 4)
    if name == "energy":
        assert type(gate) is EnergyAttention
    else:
        assert type(gate.score) is SCORES[name.removesuffix("+energy")]
        assert (gate.score.n_modalities, gate.score.n_units) == (4, 5)
    assert gate.reads_energies is ("energy" in name)
    assert gate.coldness == 0.3
    assert gate.gain == 8.0


def test_the_default_draws_what_it_drew_before():
    found = build_gate("energy", 0, 0.3, 4, 3.0, torch.Generator().manual_seed(5))
    expected = EnergyAttention(4, 0.3, 3.0, generator=torch.Generator().manual_seed(5))
    for a, b in zip(found.parameters(), expected.parameters(), strict=True):
        assert torch.equal(a, b)


def test_own_scores_are_made_the_same_every_time_and_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    first, second = build_gate(Own, 5, 0.3, 4), build_gate(Own, 5, 0.3, 4)
    assert torch.equal(first.score.linear.weight, second.score.linear.weight)
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_of_own_scores_depend_on_the_generator():
    weights = [
        build_gate(
            Own, 5, 0.3, 4, generator=torch.Generator().manual_seed(seed)
        ).score.linear.weight
        for seed in (0, 0, 1)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_an_instance_is_copied():
    score = AdditiveScore(4, 5, with_energy=False)
    gate = build_gate(score, 5, 0.3, 4)
    assert gate.score is not score
    assert torch.equal(gate.score.of_key, score.of_key)
    assert isinstance(gate, SoftmaxAttention)
    assert not gate.reads_energies


class WrongShape(Own):
    def forward(self, keys, present):
        return keys.sum(-1)


class Fails(Own):
    def forward(self, keys, present):
        return keys @ keys.new_zeros(99)


class SinglePrecision(Own):
    def forward(self, keys, present):
        return super().forward(keys, present) + (keys @ torch.ones(keys.shape[-1])).mT


@pytest.mark.parametrize(
    ("score", "error", "message"),
    [
        (SinglePrecision, ValueError, "in single or in double precision.*constants as buffers"),
        (WrongShape, ValueError, r"\(2, 3, 4\).*returned \(4, 3\)"),
        (Fails, ValueError, r"attention_score failed on embeddings of shape \(4, 3, 5\)"),
        (lambda n_modalities, n_units: 3, TypeError, "returned int"),
        (
            lambda: 3,
            TypeError,
            r"attention_score\(4, 5\), called with the number of modalities and",
        ),
    ],
)
def test_own_scores_that_are_none_say_what_was_expected(score, error, message):
    with pytest.raises(error, match=message):
        build_gate(score, 5, 0.3, 4)


def test_scores_need_the_default_network_and_a_constant_coldness():
    check_gate("energy", Concatenated, "annealed", None)
    check_gate("dot", None, "constant", 2)
    with pytest.raises(ValueError, match=r"attention_score='dot'.*module=None"):
        check_gate("dot", Concatenated, "constant", None)
    with pytest.raises(ValueError, match="coldness_schedule='annealed'"):
        check_gate("dot+energy", None, "annealed", None)
    with pytest.raises(ValueError, match="max_modalities=2"):
        check_gate("energy", None, "annealed", 2)


def test_costs_are_in_the_order_of_the_modalities():
    names = ["radar", "camera", "lidar"]
    assert modality_costs({"lidar": 2, "camera": 0.5}, names, 2).tolist() == [0.0, 0.5, 2.0]
    assert modality_costs(None, names, 2).tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match=r"names \['sonar'\], but the modalities are \['radar'"):
        modality_costs({"sonar": 1.0}, names, 2)
    for wrong in (-1.0, float("nan"), float("inf"), "much"):
        with pytest.raises(ValueError, match="zero or more"):
            modality_costs({"radar": wrong}, names, 2)


def test_units_are_counted_as_the_network_encodes_them():
    modalities = [torch.zeros(3, 2), torch.zeros(3, 4)]
    assert count_units(FusionNetwork([2, 4], 3, (8, 6), (7,)), modalities) == 7 + 3
    assert count_units(GatedInputs(Concatenated([2, 4], 3)), modalities) == 0
