"""Energies that train side by side are the ones that they would be by themselves."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn_emma._training import stage1

from sklearn_emma.energy.training import Architecture, Job, Settings, train_energies
from sklearn_emma.energy.views import VIEWS

SETTINGS = Settings(
    views=(VIEWS["fine"], VIEWS["coarse"]),
    learning_rate=0.01,
    batch_size=32,
    max_epochs=5,
    early_stopping=False,
    n_iter_no_change=3,
    tol=0.0,
    verbose=0,
)
ARCHITECTURE = Architecture((8, 6), "tanh", (5.0, 3.0), (4, 0))
WIDTHS = (3, 2, 8, 3)


def make_job(i, n_rows=110, **changes):
    rng = np.random.RandomState(i)
    x = rng.normal(size=(n_rows, 1)) + rng.normal(size=(n_rows, WIDTHS[i]))
    weight = rng.uniform(0.5, 1.5, size=n_rows)
    job = Job(
        f"m{i}", x, weight / weight.mean(), None, ARCHITECTURE, SETTINGS, i, torch.device("cpu")
    )
    return replace(job, **changes)


@pytest.fixture
def stacks(monkeypatch):
    """Sizes of what was trained together."""
    sizes, train = [], stage1._train_group

    def record(jobs):
        sizes.append(len(jobs))
        return train(jobs)

    monkeypatch.setattr(stage1, "_train_group", record)
    return sizes


def assert_same(outcomes, others):
    for (weights, history), (other_weights, other_history) in zip(outcomes, others, strict=True):
        assert weights.keys() == other_weights.keys()
        for name, values in weights.items():
            assert values.shape == other_weights[name].shape
            np.testing.assert_allclose(values, other_weights[name], atol=2e-5, err_msg=name)
        np.testing.assert_allclose(history["train_loss"], other_history["train_loss"], rtol=1e-5)


def test_each_is_what_it_would_be_by_itself(stacks):
    jobs = [make_job(i) for i in range(4)]
    together = train_energies(jobs)
    assert stacks == [4]
    assert_same(together, [train_energies([job])[0] for job in jobs])


def test_they_go_on_together_from_where_they_were(stacks):
    jobs = [make_job(i) for i in range(3)]
    first = train_energies(jobs)
    jobs = [replace(job, start=weights) for job, (weights, _) in zip(jobs, first, strict=True)]
    together = train_energies(jobs)
    assert stacks == [3, 3]
    assert_same(together, [train_energies([job])[0] for job in jobs])


@pytest.mark.parametrize(
    "odd",
    [
        {"architecture": ARCHITECTURE._replace(hidden_layer_sizes=(7, 6))},
        {"settings": replace(SETTINGS, learning_rate=0.02)},
        make_job(1, n_rows=100).__dict__,
    ],
    ids=["architecture", "settings", "rows"],
)
def test_what_is_of_another_shape_trains_apart_and_comes_back_in_its_place(stacks, odd):
    jobs = [make_job(0), make_job(1, **odd), make_job(3)]
    together = train_energies(jobs)
    assert sorted(stacks) == [1, 2]
    assert_same(together, [train_energies([job])[0] for job in jobs])


def test_each_stops_by_itself(stacks):
    settings = replace(SETTINGS, early_stopping=True, max_epochs=30)
    jobs = [make_job(i, settings=settings, held_out=make_job(i).x[:20]) for i in range(3)]
    lengths = {len(history["valid_loss"]) for _, history in train_energies(jobs)}
    assert stacks == [1, 1, 1]
    assert len(lengths) > 1


def test_large_tables_and_many_modalities_go_in_parts(stacks, monkeypatch):
    jobs = [make_job(i % 4, seed=i) for i in range(5)]
    whole = train_energies(jobs)
    monkeypatch.setattr(stage1, "_MOST", 2)
    assert_same(train_energies(jobs), whole)
    monkeypatch.setattr(stage1, "_MOST_NUMBERS", 2000)
    assert_same(train_energies(jobs), whole)
    assert stacks == [5, 2, 2, 1, 2, 2, 1]
    monkeypatch.setattr(stage1, "_MOST_NUMBERS", 10)
    assert_same(train_energies(jobs), whole)
    assert stacks[-5:] == [1] * 5


def test_one_that_diverges_is_told():
    jobs = [make_job(i) for i in range(3)]
    wild = replace(jobs[1], x=jobs[1].x * np.where(np.arange(110) < 2, 1e300, 1.0)[:, None])
    settings = replace(SETTINGS, learning_rate=1e6)
    for job in (jobs[1], wild):
        bad = [replace(j, settings=settings) for j in (jobs[0], job, jobs[2])]
        with pytest.raises(ValueError, match="Training diverged: the loss was .* after epoch"):
            train_energies(bad)
