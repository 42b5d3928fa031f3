"""Stage 1 from start to end: coordinates, noise, prototypes, and where training starts."""

import numpy as np
import pytest
import torch

from sklearn_emma.energy.denoising import Denoising
from sklearn_emma.energy.scaling import column_scale, noise_range
from sklearn_emma.energy.training import Architecture, Job, Settings, train_energies
from sklearn_emma.energy.views import EnergyView
from sklearn_emma.engine.seeding import make_generator
from sklearn_emma.engine.weights import load_arrays
from sklearn_emma.nn import SoftClip

CPU = torch.device("cpu")
#: Two views that differ in everything.
VIEWS = (
    EnergyView("auto", clip=5.0, n_prototypes=4, loss="robust"),
    EnergyView((0.2, 0.8), scaling="robust", clip=2.0, lost_fraction=0.3, n_prototypes=3),
)


def make_rows(n=120, seed=0):
    """Return correlated columns of different units, one with outliers."""
    rng = np.random.RandomState(seed)
    rows = rng.normal(size=(n, 1)) + 0.4 * rng.normal(size=(n, 3))
    rows[:5, 2] += 12.0
    return rows * [1.0, 30.0, 0.01] + [0.0, 500.0, -1.0]


def make_architecture(sizes=(6,), views=VIEWS):
    clips = tuple(view.clip for view in views)
    return Architecture(sizes, "tanh", clips, tuple(view.n_prototypes for view in views))


def make_settings(**changes):
    settings = {
        "views": VIEWS,
        "learning_rate": 0.01,
        "batch_size": 32,
        "max_epochs": 3,
        "early_stopping": False,
        "n_iter_no_change": 3,
        "tol": 0.0,
        "verbose": 0,
    }
    return Settings(**{**settings, **changes})


#: Training that takes a step, and gets nowhere.
STILL = {"learning_rate": 1e-12, "max_epochs": 1}


def train(x, weight=None, held_out=None, seed=0, start=None, **changes):
    weight = np.ones(len(x)) if weight is None else weight
    settings = make_settings(**changes)
    architecture = make_architecture(views=settings.views)
    job = Job("radar", x, weight, held_out, architecture, settings, seed, CPU, start)
    return train_energies([job])[0]


def rebuild(weights):
    energy = make_architecture().build(3, make_generator(0)).double()
    load_arrays(energy, weights)
    return energy.requires_grad_(False)


def coordinates_of(x, k):
    """Return rows as view k sees them."""
    see = SoftClip(3, VIEWS[k].clip)
    see.centre, see.scale = map(torch.tensor, column_scale(x, np.ones(len(x)), VIEWS[k].scaling))
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
    x, weight = make_rows(), np.linspace(0.1, 1.9, 120)
    weights, _ = train(x, weight=weight)
    for k, view in enumerate(VIEWS):
        centre, scale = column_scale(x, weight, view.scaling)
        np.testing.assert_array_equal(weights[f"coordinates.{k}.centre"], centre)
        np.testing.assert_array_equal(weights[f"coordinates.{k}.scale"], scale)


def test_level_and_spread_are_quartiles_of_each_member_over_the_training_rows():
    x = make_rows()
    weights, _ = train(x)
    potentials = rebuild(weights).potentials(torch.tensor(x)).numpy()
    low, middle, high = np.quantile(potentials, [0.25, 0.5, 0.75], axis=0)
    np.testing.assert_allclose(weights["level"], middle)
    np.testing.assert_allclose(weights["spread"], high - low)


def test_members_without_spread_count_as_they_are():
    weights, _ = train(np.ones((20, 3)))
    np.testing.assert_array_equal(weights["spread"], [1.0, 1.0])


def test_prototypes_start_at_training_rows_with_the_noise_for_their_width():
    x = make_rows()
    weights, _ = train(x, **STILL)
    for k, view in enumerate(VIEWS):
        z = coordinates_of(x, k)
        prototypes = weights[f"members.{k}.prototypes"]
        distance = np.abs(z[:, None] - prototypes).max(axis=2)
        assert (distance.min(axis=0) < 1e-5).all()
        assert len(np.unique(distance.argmin(axis=0))) == view.n_prototypes
        low, high = noise_range(z, view, 0)
        assert weights[f"members.{k}.log_temperature"] == pytest.approx(np.log(low * high))


def test_more_prototypes_than_rows_share_them():
    weights, _ = train(make_rows(4), views=(EnergyView(0.1, n_prototypes=9),), **STILL)
    assert len(np.unique(weights["members.0.prototypes"].round(4), axis=0)) == 4


def test_what_the_members_learn_to_undo(monkeypatch):
    tasks, init = [], Denoising.__init__

    def record(self, *args):
        init(self, *args)
        tasks.append(self)

    monkeypatch.setattr(Denoising, "__init__", record)
    x, held_out = make_rows(), make_rows(30, seed=1)
    train(x, held_out=held_out)
    (task,) = tasks
    assert task.robust == [True, False]
    assert [corruption.lost for corruption in task.corruptions] == [0.0, 0.3]
    for k, (rows, corruption) in enumerate(zip(task.rows, task.corruptions, strict=True)):
        assert rows.dtype == torch.float32
        z = coordinates_of(x, k)
        np.testing.assert_allclose(rows, z, atol=1e-5)
        assert (corruption.low, corruption.high) == noise_range(z, VIEWS[k], 0)
    assert (task.corruptions[1].low, task.corruptions[1].high) == (0.2, 0.8)
    # rows that decide when to stop are seen as the training rows are
    centre, scale = column_scale(x, np.ones(120), "standard")
    within = np.abs((held_out - centre) / scale) < 5.0
    np.testing.assert_allclose(
        task.validation[0].numpy()[within], ((held_out - centre) / scale)[within], atol=1e-5
    )


def test_training_goes_on_from_where_it_is_told_to_start():
    x = make_rows()
    start, _ = train(x, max_epochs=5)
    kept = {name: array.copy() for name, array in start.items()}
    onwards, _ = train(x, start=start, seed=9, **STILL)
    for name, array in start.items():
        np.testing.assert_array_equal(array, kept[name])
        np.testing.assert_allclose(onwards[name], array, rtol=1e-4, atol=1e-5)


def test_coordinates_follow_the_rows_wherever_training_starts():
    start, _ = train(make_rows())
    x = 10.0 + 3.0 * make_rows(seed=1)
    weights, _ = train(x, start=start)
    np.testing.assert_allclose(weights["coordinates.0.centre"], x.mean(axis=0))
    np.testing.assert_allclose(weights["coordinates.0.scale"], x.std(axis=0))


def test_training_lowers_the_loss_and_its_history_is_kept():
    held_out = make_rows(40, seed=1)
    _, history = train(make_rows(), held_out=held_out, max_epochs=15, early_stopping=False)
    assert len(history["train_loss"]) == len(history["valid_loss"]) == 15
    assert history["train_loss"][-1] < history["train_loss"][0]
    assert history["valid_loss"][-1] < history["valid_loss"][0]


def test_one_seed_gives_one_result():
    x = make_rows()
    (first, _), (second, _), (other, _) = (train(x, seed=seed) for seed in (1, 1, 2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
    assert not np.allclose(first["members.0.weights.0"], other["members.0.weights.0"])


@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_hardly_any_rows_are_enough(n_rows):
    weights, _ = train(make_rows(n_rows))
    assert all(np.isfinite(array).all() for array in weights.values())
