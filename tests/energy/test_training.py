"""Training of energies: coordinates, noise, prototypes, where it starts, what trains together."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sklearn_emma.energy import training
from sklearn_emma.energy.column_scale import column_scale, noise_range
from sklearn_emma.energy.denoising import Denoising
from sklearn_emma.energy.training import (
    EnergyArchitecture,
    EnergyConfig,
    EnergyTask,
    train_energies,
)
from sklearn_emma.energy.views import VIEWS as VIEWS_BY_NAME
from sklearn_emma.energy.views import EnergyView
from sklearn_emma.engine import batches
from sklearn_emma.engine.objective import TrainingConfig
from sklearn_emma.engine.seeding import make_generator
from sklearn_emma.engine.weights import load_arrays
from sklearn_emma.nn import SoftClip

CPU = torch.device("cpu")
#: Two views that differ in everything.
VIEWS = (
    EnergyView("auto", clip=5.0, n_prototypes=4, loss="robust"),
    EnergyView((0.2, 0.8), scaling="robust", clip=2.0, lost_fraction=0.3, n_prototypes=3),
)


def make_samples(n=120, seed=0):
    """Return correlated columns of different units, one with outliers."""
    rng = np.random.RandomState(seed)
    samples = rng.normal(size=(n, 1)) + 0.4 * rng.normal(size=(n, 3))
    samples[:5, 2] += 12.0
    return samples * [1.0, 30.0, 0.01] + [0.0, 500.0, -1.0]


def make_architecture(sizes=(6,), views=VIEWS):
    clips = tuple(view.clip for view in views)
    return EnergyArchitecture(sizes, "tanh", clips, tuple(view.n_prototypes for view in views))


def make_config(views=VIEWS, **changes):
    settings = {"batch_size": 32, "learning_rate": 0.01, "max_epochs": 3, "n_iter_no_change": 3}
    return EnergyConfig(
        make_architecture(views=views), views, TrainingConfig(**{**settings, **changes}), CPU
    )


#: Training that takes a step, and gets nowhere.
STILL = {"learning_rate": 1e-12, "max_epochs": 1}


def train(x, weight=None, held_out=None, seed=0, start=None, **changes):
    weight = np.ones(len(x)) if weight is None else weight
    task = EnergyTask("radar", x, weight, held_out, make_config(**changes), seed, start)
    return train_energies([task])[0]


def rebuild(weights):
    energy = make_architecture().build(3, make_generator(0)).double()
    load_arrays(energy, weights)
    return energy.requires_grad_(False)


def coordinates_of(x, k):
    """Return samples as view k sees them."""
    see = SoftClip(3, VIEWS[k].clip)
    see.center, see.scale = map(torch.tensor, column_scale(x, np.ones(len(x)), VIEWS[k].scaling))
    return see(torch.tensor(x)).numpy()


def test_an_energy_has_a_member_with_coordinates_for_each_view():
    energy = make_architecture((6, 4)).build(3, make_generator(0))
    assert len(energy.members) == len(energy.coordinates) == len(energy.spread) == 2
    assert [see.limit for see in energy.coordinates] == [5.0, 2.0]
    assert [member.n_prototypes for member in energy.members] == [4, 3]
    assert [tuple(weight.shape) for weight in energy.members[0].weights] == [(6, 3), (4, 6)]
    # members that start alike would stay alike
    assert not torch.equal(energy.members[0].weights[0], energy.members[1].weights[0])


def test_views_see_the_columns_on_their_own_scales():
    x, weight = make_samples(), np.linspace(0.1, 1.9, 120)
    weights, _ = train(x, weight=weight)
    for k, view in enumerate(VIEWS):
        center, scale = column_scale(x, weight, view.scaling)
        np.testing.assert_array_equal(weights[f"coordinates.{k}.center"], center)
        np.testing.assert_array_equal(weights[f"coordinates.{k}.scale"], scale)


def test_level_and_spread_are_quartiles_of_each_member_over_the_training_samples():
    x = make_samples()
    weights, _ = train(x)
    potentials = rebuild(weights).potentials(torch.tensor(x)).numpy()
    low, middle, high = np.quantile(potentials, [0.25, 0.5, 0.75], axis=0)
    np.testing.assert_allclose(weights["level"], middle)
    np.testing.assert_allclose(weights["spread"], high - low)


def test_members_without_spread_count_as_they_are():
    weights, _ = train(np.ones((20, 3)))
    np.testing.assert_array_equal(weights["spread"], [1.0, 1.0])


def test_prototypes_start_at_training_samples_with_the_noise_for_their_width():
    x = make_samples()
    weights, _ = train(x, **STILL)
    for k, view in enumerate(VIEWS):
        z = coordinates_of(x, k)
        prototypes = weights[f"members.{k}.prototypes"]
        distance = np.abs(z[:, None] - prototypes).max(axis=2)
        assert (distance.min(axis=0) < 1e-5).all()
        assert len(np.unique(distance.argmin(axis=0))) == view.n_prototypes
        low, high = noise_range(z, view, 0)
        assert weights[f"members.{k}.log_temperature"] == pytest.approx(np.log(low * high))


def test_more_prototypes_than_samples_share_them():
    weights, _ = train(make_samples(4), views=(EnergyView(0.1, n_prototypes=9),), **STILL)
    assert len(np.unique(weights["members.0.prototypes"].round(4), axis=0)) == 4


def test_what_the_members_learn_to_undo(monkeypatch):
    objectives, init = [], Denoising.__init__

    def record(self, *args):
        init(self, *args)
        objectives.append(self)

    monkeypatch.setattr(Denoising, "__init__", record)
    x, held_out = make_samples(), make_samples(30, seed=1)
    train(x, held_out=held_out)
    (objective,) = objectives
    assert objective.robust == [view.robust for view in objective.views] == [True, False]
    assert [view.noise.replaced for view in objective.views] == [0.0, 0.3]
    for k, view in enumerate(objective.views):
        assert view.samples.dtype == torch.float32
        z = coordinates_of(x, k)
        np.testing.assert_allclose(view.samples, z, atol=1e-5)
        assert (view.noise.low, view.noise.high) == noise_range(z, VIEWS[k], 0)
    assert (objective.views[1].noise.low, objective.views[1].noise.high) == (0.2, 0.8)
    # samples that decide when to stop are seen as the training samples are
    center, scale = column_scale(x, np.ones(120), "standard")
    within = np.abs((held_out - center) / scale) < 5.0
    np.testing.assert_allclose(
        objective.validation[0].numpy()[within], ((held_out - center) / scale)[within], atol=1e-5
    )


def test_training_goes_on_from_where_it_is_told_to_start():
    x = make_samples()
    start, _ = train(x, max_epochs=5)
    kept = {name: array.copy() for name, array in start.items()}
    onwards, _ = train(x, start=start, seed=9, **STILL)
    for name, array in start.items():
        np.testing.assert_array_equal(array, kept[name])
        np.testing.assert_allclose(onwards[name], array, rtol=1e-4, atol=1e-5)


def test_coordinates_follow_the_samples_wherever_training_starts():
    start, _ = train(make_samples())
    x = 10.0 + 3.0 * make_samples(seed=1)
    weights, _ = train(x, start=start)
    np.testing.assert_allclose(weights["coordinates.0.center"], x.mean(axis=0))
    np.testing.assert_allclose(weights["coordinates.0.scale"], x.std(axis=0))


def test_training_lowers_the_loss_and_its_history_is_kept():
    held_out = make_samples(40, seed=1)
    _, history = train(make_samples(), held_out=held_out, max_epochs=15, early_stopping=False)
    assert len(history["train_loss"]) == len(history["valid_loss"]) == 15
    assert history["train_loss"][-1] < history["train_loss"][0]
    assert history["valid_loss"][-1] < history["valid_loss"][0]


def test_one_seed_gives_one_result():
    x = make_samples()
    (first, _), (second, _), (other, _) = (train(x, seed=seed) for seed in (1, 1, 2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
    assert not np.allclose(first["members.0.weights.0"], other["members.0.weights.0"])


@pytest.mark.parametrize("n_samples", [1, 2, 3])
def test_hardly_any_samples_are_enough(n_samples):
    weights, _ = train(make_samples(n_samples))
    assert all(np.isfinite(array).all() for array in weights.values())


# Modalities that train together

STACK_VIEWS = (VIEWS_BY_NAME["fine"], VIEWS_BY_NAME["coarse"])
CONFIG = EnergyConfig(
    EnergyArchitecture((8, 6), "tanh", (5.0, 3.0), (4, 0)),
    STACK_VIEWS,
    TrainingConfig(batch_size=32, learning_rate=0.01, max_epochs=5, n_iter_no_change=3),
    CPU,
)
WIDTHS = (3, 2, 8, 3)


def make_task(i, n_samples=110, **changes):
    rng = np.random.RandomState(i)
    x = rng.normal(size=(n_samples, 1)) + rng.normal(size=(n_samples, WIDTHS[i]))
    weight = rng.uniform(0.5, 1.5, size=n_samples)
    task = EnergyTask(f"m{i}", x, weight / weight.mean(), None, CONFIG, i)
    return replace(task, **changes)


def change_training(**changes):
    return replace(CONFIG, training=replace(CONFIG.training, **changes))


@pytest.fixture
def stacks(monkeypatch):
    """Sizes of what was trained together."""
    sizes, train = [], training._train_group

    def record(tasks, *stage):
        sizes.append(len(tasks))
        return train(tasks)

    monkeypatch.setattr(training, "_train_group", record)
    return sizes


def assert_same(outcomes, others):
    for (weights, history), (other_weights, other_history) in zip(outcomes, others, strict=True):
        assert weights.keys() == other_weights.keys()
        for name, values in weights.items():
            assert values.shape == other_weights[name].shape
            np.testing.assert_allclose(values, other_weights[name], atol=2e-5, err_msg=name)
        np.testing.assert_allclose(history["train_loss"], other_history["train_loss"], rtol=1e-5)


def test_each_energy_is_what_it_would_be_by_itself(stacks):
    tasks = [make_task(i) for i in range(4)]
    together = train_energies(tasks)
    assert stacks == [4]
    assert_same(together, [train_energies([task])[0] for task in tasks])


def test_energies_go_on_together_from_where_they_were(stacks):
    tasks = [make_task(i) for i in range(3)]
    first = train_energies(tasks)
    tasks = [replace(task, start=weights) for task, (weights, _) in zip(tasks, first, strict=True)]
    together = train_energies(tasks)
    assert stacks == [3, 3]
    assert_same(together, [train_energies([task])[0] for task in tasks])


@pytest.mark.parametrize(
    "odd",
    [
        {
            "config": replace(
                CONFIG, architecture=EnergyArchitecture((7, 6), *CONFIG.architecture[1:])
            )
        },
        {"config": change_training(learning_rate=0.02)},
        vars(make_task(1, n_samples=100)),
    ],
    ids=["architecture", "training", "samples"],
)
def test_what_is_of_another_shape_trains_apart_and_comes_back_in_its_place(stacks, odd):
    tasks = [make_task(0), make_task(1, **odd), make_task(3)]
    together = train_energies(tasks)
    assert sorted(stacks) == [1, 2]
    assert_same(together, [train_energies([task])[0] for task in tasks])


def test_each_energy_stops_by_itself(stacks):
    config = change_training(early_stopping=True, max_epochs=60)
    tasks = [make_task(i, config=config, held_out=make_task(i).x[:20]) for i in range(3)]
    lengths = {len(history["valid_loss"]) for _, history in train_energies(tasks)}
    assert stacks == [1, 1, 1]
    assert len(lengths) > 1


def test_large_tables_and_many_modalities_go_in_parts(stacks, monkeypatch):
    tasks = [make_task(i % 4, seed=i) for i in range(5)]
    whole = train_energies(tasks)
    monkeypatch.setattr(batches, "_MOST_STACKED", 2)
    assert_same(train_energies(tasks), whole)
    monkeypatch.setattr(batches, "_MOST_STACKED_NUMBERS", 2000)
    assert_same(train_energies(tasks), whole)
    assert stacks == [5, 2, 2, 1, 2, 2, 1]
    monkeypatch.setattr(batches, "_MOST_STACKED_NUMBERS", 10)
    assert_same(train_energies(tasks), whole)
    assert stacks[-5:] == [1] * 5


def test_an_energy_of_a_stack_that_diverges_is_told():
    tasks = [make_task(i) for i in range(3)]
    wild = replace(tasks[1], x=tasks[1].x * np.where(np.arange(110) < 2, 1e300, 1.0)[:, None])
    config = change_training(learning_rate=1e6)
    for task in (tasks[1], wild):
        bad = [replace(t, config=config) for t in (tasks[0], task, tasks[2])]
        with pytest.raises(ValueError, match="Training diverged: the loss was .* after epoch"):
            train_energies(bad)


@pytest.mark.parametrize(
    ("names", "title"),
    [
        (["radar"], "energy of radar"),
        (["radar", "sonar"], "energies of radar, sonar"),
        (["a", "b", "c", "d"], "energies of a, b, c, d"),
        (["a", "b", "c", "d", "e"], "energies of a, b, c, 2 others"),
    ],
)
def test_progress_names_the_modalities(names, title, capsys):
    config = make_config(verbose=1, max_epochs=1)
    x, weight = make_samples(), np.ones(120)
    train_energies([EnergyTask(name, x, weight, None, config, 0) for name in names], None, "1st, ")
    assert capsys.readouterr().err.startswith(f"1st, {title}: epoch 1/1")


def test_progress_counts_the_parts(capsys):
    config = make_config(verbose=1, max_epochs=1)
    tables = {"narrow": make_samples(), "wide": np.tile(make_samples(), 5)}
    tasks = [EnergyTask(name, x, np.ones(120), None, config, 0) for name, x in tables.items()]
    train_energies(tasks)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "part 1 of 2, energy of narrow",
        "part 2 of 2, energy of wide",
    ]
