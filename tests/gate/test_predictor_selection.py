"""The choice of features and L2 regularization of the predictor."""

import copy
from dataclasses import replace

import pytest
import torch

from sklearn_emma.engine.objective import TrainingConfig
from sklearn_emma.gate import predictor_selection
from sklearn_emma.gate.prediction_loss import ClassLoss, ValueLoss
from sklearn_emma.gate.predictor_selection import (
    PenaltyObjective,
    SelectionData,
    contiguous_folds,
    select_predictor,
)
from sklearn_emma.gate.samples import Samples
from sklearn_emma.nn import FusionEnsemble, FusionNetwork

N = 60
STRENGTHS = predictor_selection._STRENGTHS[False]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_network(widths, n_outputs=2):
    return FusionNetwork(widths, n_outputs, (8, 5), (7,), generator(1))


def make_samples(n=N, widths=(3,), noise=0.0):
    """Two classes, told apart by the first column; noise is the rate of wrong labels."""
    modalities = [torch.randn(n, d, generator=generator(d)) for d in widths]
    target = (modalities[0][:, 0] > 0).long()
    wrong = torch.rand(n, generator=generator(9)) < noise
    return Samples(modalities, torch.where(wrong, 1 - target, target), torch.ones(n))


TARGETS = {
    "classes": (ClassLoss(), 2),
    "values": (ValueLoss("squared_error"), 2),
    "quantiles": (ValueLoss("quantile", (0.1, 0.5, 0.9)), 3),
}


def make_objective(kind="classes", widths=(3, 2)):
    """Return an objective whose copies differ, and which modalities its subsets keep."""
    samples = make_samples(widths=widths)
    prediction_loss, n_outputs = TARGETS[kind]
    target = samples.target
    if kind != "classes":
        n_targets = 1 if kind == "quantiles" else n_outputs
        target = torch.randn(N, n_targets, generator=generator(4))
    present = torch.rand(N, len(widths), generator=generator(5)) > 0.2
    weight = torch.rand(N, generator=generator(6)) + 0.5
    tensors = [present, target, weight, *samples.modalities]
    objective = PenaltyObjective(
        make_network(widths, n_outputs), prediction_loss, tensors, STRENGTHS, generator()
    )
    with torch.no_grad():  # each copy its own, as after a few steps
        for parameter in objective.network.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator(2))
    kept = torch.arange(N).unsqueeze(1) % 2 == torch.arange(len(widths)) % 2
    objective._subset = lambda present: kept[: len(present)]
    return objective, kept


def single(objective, place, widths=(3, 2), n_outputs=2):
    """One of the copies, as a network of its own."""
    network = make_network(widths, n_outputs)
    stacked = dict(objective.network.named_parameters())
    network.load_state_dict({name: p[place].detach() for name, p in stacked.items()})
    return network


def losses(objective, network, place, kept, of):
    """Losses of one copy by hand: on whole samples, and on subsets of their modalities."""
    fold, present, target, weight, *modalities = objective.samples
    which = of(fold, objective.left_out[place])
    seen = [x[which] for x in modalities]
    for attention in (present, present & kept):
        output = network(seen, attention[which].float())
        yield objective.prediction_loss(output, target[which], weight[which]) * which.sum()


def choose(
    samples,
    widths,
    prediction_loss=None,
    n_outputs=2,
    seed=0,
    network=None,
    held_out=None,
    learning_rate=0.01,
    max_epochs=20,
):
    periodic, strength = select_predictor(
        {False: FusionEnsemble([network or make_network(widths, n_outputs)])},
        None,
        prediction_loss or ClassLoss(),
        SelectionData(samples, held_out, [torch.nan_to_num] * len(widths)),
        32,
        TrainingConfig(32, learning_rate, max_epochs),
        seed,
    )
    assert periodic is False
    return strength


@pytest.mark.parametrize("kind", TARGETS)
def test_the_loss_is_that_of_every_copy_by_itself(kind):
    objective, kept = make_objective(kind)
    assert sorted(objective.samples[0].bincount()) == [N // 3] * 3
    expected = 0.0
    for place, strength in enumerate(objective.strength):
        network = single(objective, place, n_outputs=TARGETS[kind][1])
        whole, subset = losses(objective, network, place, kept, torch.ne)
        expected += (whole + 2.0 * subset) / (N * 2 / 3)
        weights = [*network.encoders.stacks[0].weights, *network.linear.stacks[0].weights]
        weights += list(network.head.weights)
        expected += 0.5 * strength * sum(w.square().sum() for w in weights)
    torch.testing.assert_close(objective.loss(*objective.samples), expected)


@pytest.mark.parametrize("kind", TARGETS)
def test_samples_left_out_decide(kind):
    objective, kept = make_objective(kind)
    weight = objective.samples[3]
    mean = torch.zeros(len(objective.strength))
    for place in range(len(mean)):
        network = single(objective, place, n_outputs=TARGETS[kind][1])
        whole, subset = losses(objective, network, place, kept, torch.eq)
        mean[place] = (whole + 2.0 * subset).detach() / 3.0
    mean = mean.view(-1, 3).sum(1) / weight.sum()
    expected = objective.prediction_loss.log_likelihood(mean, float(weight.sum()))
    torch.testing.assert_close(objective.log_likelihoods(N), expected)


def test_one_modality_has_no_subsets():
    objective, _ = make_objective(widths=(3,))
    objective._subset = None
    objective.loss(*objective.samples).backward()
    assert torch.isfinite(objective.log_likelihoods(17)).all()


def test_samples_left_out_are_not_learned_from():
    objective, _ = make_objective()
    fold, present, target, *rest = objective.samples
    place = 1
    unseen = fold == objective.left_out[place]
    gradients = []
    for labels in (target, torch.where(unseen, 1 - target, target)):
        objective.zero_grad()
        objective.loss(fold, present, labels, *rest).backward()
        gradients.append(objective.network.head.weights[0].grad.clone())
    torch.testing.assert_close(gradients[0][place], gradients[1][place])
    assert not torch.allclose(gradients[0][0], gradients[1][0])


def test_folds_are_contiguous_within_each_class():
    target = torch.tensor([1, 0, 0] * 6)
    fold = contiguous_folds(target)
    assert fold[target == 1].tolist() == [2, 2, 1, 1, 0, 0]
    assert fold[target == 0].tolist() == [2] * 4 + [1] * 4 + [0] * 4
    values = torch.arange(30.0).unsqueeze(1)  # sorted: a third of each fifth
    assert contiguous_folds(values).tolist() == [2, 2, 1, 1, 0, 0] * 5


def test_noisy_labels_get_a_stronger_penalty():
    clear = choose(make_samples(300, (6,)), (6,))
    noisy = choose(make_samples(300, (6,), noise=0.5), (6,))
    assert noisy > 1.5 * clear
    least, most = 300 * min(STRENGTHS), 300 * max(STRENGTHS)
    assert least <= clear < noisy <= most


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
@pytest.mark.parametrize("unit", [0.05, 1.0])
def test_values_have_a_penalty_too(loss, unit):
    # what is left to explain may be little, and decides all the same
    x = torch.randn(400, 6, generator=generator(6))
    noise = torch.randn(400, 1, generator=generator(5))
    signal, nothing = x[:, :1] * x[:, 1:2], noise
    chosen = [
        choose(Samples([x], unit * y, torch.ones(400)), (6,), ValueLoss(loss), 1, max_epochs=40)
        for y in (signal, nothing)
    ]
    assert chosen[1] > 1.1 * chosen[0]


def test_of_few_samples_nothing_is_chosen():
    assert choose(make_samples(20), (3,)) == pytest.approx(0.06)


def test_no_more_samples_than_needed_decide_and_many_get_a_weaker_penalty(monkeypatch):
    n, most = predictor_selection._MAX_SAMPLES + 500, predictor_selection._MAX_SAMPLES
    samples, used = make_samples(n, (2,), noise=0.2), []
    original = PenaltyObjective.__init__

    def spy(self, *args):
        original(self, *args)
        used.append(self.n_samples)
        assert len(self.left_out) < 3 * len(STRENGTHS)  # fewer folds are enough

    monkeypatch.setattr(PenaltyObjective, "__init__", spy)
    strength = choose(samples, (2,), max_epochs=1)
    assert used == [most]
    least, greatest = (s * n * (most / n) ** 2 for s in (0.001, 0.01))
    assert least <= strength <= greatest


def test_only_samples_of_weight_that_are_not_held_out_decide():
    samples = make_samples(200, (3,), noise=0.3)
    out = torch.arange(100, 200)
    weight = samples.weight.clone()
    weight[out] = 0.0
    light = replace(samples, weight=weight)
    wrong = torch.where(torch.arange(200) >= 100, 1 - samples.target, samples.target)
    shifted = replace(samples, target=wrong)
    chosen = choose(light, (3,))
    assert choose(shifted, (3,), held_out=out) == pytest.approx(chosen)
    assert choose(shifted, (3,)) != pytest.approx(chosen)


@pytest.mark.slow
def test_rare_samples_of_much_weight_and_large_networks_are_not_taken_for_divergence():
    samples = make_samples(3000, (3,))
    weight = torch.full((3000,), 1e-9)
    weight[-2:] = 1500.0
    assert choose(replace(samples, weight=weight), (3,), seed=4, max_epochs=4) > 0.0
    x = [torch.randn(40, 3, generator=generator(i)) for i in range(12)]
    large = FusionNetwork([3] * 12, 1, (512, 512, 256), (256,), generator(1))
    y = torch.randn(40, 1, generator=generator(5))
    loss, large_losses = ValueLoss("quantile", (0.5,)), Samples(x, y, torch.ones(40))
    assert choose(large_losses, (3,) * 12, loss, network=large, max_epochs=2) > 0.0


def test_gaps_are_filled_and_missing_modalities_closed():
    samples = make_samples(90, (3, 2))
    samples.modalities[0][:30] = torch.nan
    samples.modalities[1][40:60, 0] = torch.nan
    assert 0 < choose(samples, (3, 2)) < torch.inf


def test_the_same_generator_gives_the_same_choice_and_nothing_else_changes():
    samples = make_samples(90, (3, 2), noise=0.1)
    before = copy.deepcopy(samples), torch.random.get_rng_state()
    assert choose(samples, (3, 2)) == choose(samples, (3, 2)) != choose(samples, (3, 2), seed=1)
    torch.testing.assert_close(samples.modalities, before[0].modalities)
    assert torch.equal(torch.random.get_rng_state(), before[1])


def both(widths):
    """Return a network without and one with periodic features."""
    return {
        choice: FusionEnsemble([FusionNetwork(widths, 2, (8, 5), (7,), generator(1), True, choice)])
        for choice in (False, True)
    }


def wave(x):
    """A class that changes four times within a column."""
    return (torch.sin(6.0 * x) > 0).long()


def slope(x):
    """A class whose probability rises slowly within a column."""
    return (x > torch.randn(len(x), generator=generator(8))).long()


@pytest.mark.parametrize(("target", "periodic"), [(wave, True), (slope, False)])
@pytest.mark.parametrize("strength", [None, 2.0])
def test_periodic_features_are_chosen_where_they_help(target, periodic, strength):
    x = torch.randn(400, 3, generator=generator(3))
    samples = Samples([x], target(x[:, 0]), torch.ones(400))
    networks = both((3,))
    args = (
        ClassLoss(),
        SelectionData(samples, None, [torch.nan_to_num]),
        32,
        TrainingConfig(32, 0.01, 10),
        0,
    )
    chosen, penalty = select_predictor(networks, strength, *args)
    assert chosen is periodic
    if strength is not None:
        assert penalty == strength
    assert select_predictor({True: networks[True]}, strength, *args)[0] is True


def test_what_recognizes_neighbors_in_time_is_chosen_only_if_there_is_no_time():
    # the class changes every 50 samples; a slow drift tells an episode, and no other one
    n = 600
    episode = torch.arange(n) // 50
    target = torch.randint(2, (12,), generator=generator(3))[episode]
    x = torch.randn(n, 2, generator=generator(4))
    x[:, 0] += 0.7 * (2 * target - 1)
    drift = (episode + torch.rand(n, generator=generator(5)) - 6.0).unsqueeze(1) / 3.5
    chosen = []
    for order in (torch.arange(n), torch.randperm(n, generator=generator(6))):
        samples = Samples([x[order], drift[order]], target[order], torch.ones(n))
        config = TrainingConfig(32, 0.01, 10)
        args = (
            None,
            ClassLoss(),
            SelectionData(samples, None, [torch.nan_to_num] * 2),
            32,
            config,
            0,
        )
        chosen.append(select_predictor(both((2, 1)), *args))
    (of_time, strong), (shuffled, weak) = chosen
    assert not of_time
    assert shuffled
    assert strong > 5.0 * weak
