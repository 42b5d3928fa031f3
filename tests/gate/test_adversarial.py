"""Training on attacks: what is attacked, and that it misleads the model as it is."""

import pytest
import torch

from sklearn_emma.corruption import Adversarial, Missing
from sklearn_emma.gate.adversarial import AdversarialObjective
from sklearn_emma.gate.objective import GateModel, LossWeights, gated_loss
from sklearn_emma.gate.prediction_loss import ClassLoss
from sklearn_emma.nn import CrossModalEnergy, EnergyAttention, FusionNetwork


@pytest.fixture
def make(make_samples, make_energies, make_failures):
    """Make the objective of a model that has learned nothing yet."""

    def make_objective(fraction=0.5, attack=None):
        samples = make_samples(200, shift=0.5)
        scored = make_energies(samples).score(samples)
        g = torch.Generator().manual_seed(1)
        widths = [x.shape[1] for x in samples.modalities]
        model = GateModel(
            EnergyAttention(3, 0.3, generator=g),
            FusionNetwork(widths, 2, (8,), (8,), generator=g),
            CrossModalEnergy(widths, (6, 5), generator=g).requires_grad_(False),
            ClassLoss(),
        )
        return AdversarialObjective(
            attack or Adversarial(0.5),
            model=model,
            weights=LossWeights(0.0, 0.0, 2.0),
            samples=scored,
            held_out=None,
            failures=make_failures(samples, Missing(fraction=fraction)),
            generator=torch.Generator().manual_seed(3),
        )

    return make_objective


def cost(objective, batch):
    model = objective.gate, objective.network, objective.prediction_loss, objective.weights
    return gated_loss(*model, batch, False)


def test_intact_samples_are_attacked_in_one_modality(make):
    objective = make()
    batch = objective.draw_epoch(False)
    intact = (batch[2] > 0).all(1)
    attacked = objective.attacked(*batch)
    clean = [tensor[intact] for tensor in batch]
    assert len(attacked[1]) == int(intact.sum()) == 100
    assert ((attacked[2] < 0).sum(1) == 1).all()
    for i, (before, after) in enumerate(zip(clean[5:], attacked[5:], strict=True)):
        change = (after - before).abs() / objective.failures.reference.stds[i]
        fails = attacked[2][:, i] < 0
        torch.testing.assert_close(change[fails], torch.full_like(change[fails], 0.5))
        assert (change[~fails] == 0).all()
    # potentials are those of the changed samples
    own = torch.stack([x.square().sum(1) for x in attacked[5:]], 1)
    gate = objective.gate
    expected = objective.cross_modal(attacked[5:], own, gate.potential_min, gate.potential_scale)
    torch.testing.assert_close(attacked[1], expected)
    # and they are harder
    assert cost(objective, attacked) > cost(objective, clean) + 0.005


def test_the_loss_of_attacked_samples_is_added_in_training_only(make):
    objective = make()
    batch = objective.draw_epoch(True)
    state = objective.generator.get_state()
    attacked = objective.attacked(*batch)
    objective.generator.set_state(state)
    plain = super(AdversarialObjective, objective).loss(*batch)
    expected = plain + cost(objective, attacked)
    torch.testing.assert_close(objective.loss(*batch), expected)
    objective.eval()
    torch.testing.assert_close(objective.loss(*batch), cost(objective, batch))


def test_without_intact_samples_nothing_is_attacked(make):
    objective = make(fraction=1.0)
    batch = objective.draw_epoch(True)
    assert objective.attacked(*batch) is None
    assert torch.isfinite(objective.loss(*batch))


def test_missing_modalities_stay_missing(make):
    objective = make()
    batch = objective.draw_epoch(False)
    batch[1][:, 2] = torch.inf
    attacked = objective.attacked(*batch)
    assert (attacked[1][:, 2] == torch.inf).all()
    assert torch.isfinite(attacked[1][:, :2]).all()


def test_training_on_attacks_makes_them_cost_less(make):
    costs = []
    for attack in (Adversarial(0.5), Adversarial(1e-6)):
        objective = make(attack=attack)
        optimizer = torch.optim.Adam(objective.parameters(), lr=0.01)
        for _ in range(60):
            optimizer.zero_grad()
            objective.backward(*objective.epoch_data())
            optimizer.step()
            objective.after_step()
        objective.attack = Adversarial(0.5)
        attacked = objective.attacked(*objective.draw_epoch(False))
        costs.append(float(cost(objective, attacked).detach()))
    assert costs[0] < costs[1]
