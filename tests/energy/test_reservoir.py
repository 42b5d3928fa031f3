"""A reservoir is a uniform sample of a stream, whatever its batches."""

import math

import numpy as np
import pytest

from sklearn_emma.energy.reservoir import Reservoir


def fill(reservoir, n_samples, batch_sizes, fraction=0.0):
    """Pass the numbers up to n_samples through a reservoir, in batches of these sizes in turn."""
    samples, start, i = np.arange(n_samples)[:, None], 0, 0
    while start < n_samples:
        stop = start + batch_sizes[i % len(batch_sizes)]
        reservoir = reservoir.add(samples[start:stop], fraction)
        start, i = stop, i + 1
    return reservoir


@pytest.mark.parametrize("batch_sizes", [(1,), (3, 1, 7), (16,)])
def test_every_sample_is_as_likely_to_be_kept(batch_sizes):
    n_samples, size, n_seeds = 16, 5, 600
    kept = np.zeros((n_samples, n_samples))
    for seed in range(n_seeds):
        chosen = fill(Reservoir(seed, size), n_samples, batch_sizes).samples[:, 0]
        assert len(np.unique(chosen)) == size
        kept[np.ix_(chosen, chosen)] += 1
    share = size / n_samples
    error = math.sqrt(share * (1 - share) / n_seeds)
    assert (np.abs(kept.diagonal() / n_seeds - share) < 4.5 * error).all()
    # and so is every pair of samples
    pairs = kept[np.triu_indices(n_samples, 1)] / n_seeds
    share = share * (size - 1) / (n_samples - 1)
    error = math.sqrt(share * (1 - share) / n_seeds)
    assert (np.abs(pairs - share) < 5 * error).all()


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_first_sample_without_room_is_as_likely_to_be_kept_as_those_before(size):
    n_seeds = 1500
    kept = [size in fill(Reservoir(s, size), size + 1, (size, 1)).samples for s in range(n_seeds)]
    share = size / (size + 1)
    error = math.sqrt(share * (1 - share) / n_seeds)
    assert np.mean(kept) == pytest.approx(share, abs=4.5 * error)


def test_samples_held_out_are_as_likely_to_stay_as_others():
    held_out = [fill(Reservoir(seed, 50), 200, (40,), 0.2).held_out.mean() for seed in range(200)]
    # a fifth of every batch is held out; how many of these are among the fifty kept varies
    error = math.sqrt(0.2 * 0.8 / 50 / 200)
    assert np.mean(held_out) == pytest.approx(0.2, abs=4.5 * error)


def test_as_long_as_there_is_room_every_sample_is_kept_in_order():
    reservoir = fill(Reservoir(0, 50), 50, (7, 20))
    np.testing.assert_array_equal(reservoir.samples[:, 0], np.arange(50))
    assert reservoir.n_seen == 50


@pytest.mark.parametrize("batch_sizes", [(1,), (5, 3), (1000,)])
def test_a_reservoir_never_holds_more_than_its_size(batch_sizes):
    reservoir = fill(Reservoir(0, 10), 100, batch_sizes, 0.3)
    assert reservoir.samples.shape == (10, 1)
    assert reservoir.held_out.shape == (10,)
    assert reservoir.n_seen == 100


def test_a_sample_stays_in_training_or_out_of_it():
    reservoir = Reservoir(0, 30)
    part_of = {}
    for start in range(0, 300, 10):
        reservoir = reservoir.add(np.arange(start, start + 10)[:, None], 0.3)
        for sample, held_out in zip(reservoir.samples[:, 0], reservoir.held_out, strict=True):
            assert part_of.setdefault(sample, held_out) == held_out
    assert 0 < reservoir.held_out.sum() < 30


@pytest.mark.parametrize("batch_size", [1, 4, 6, 25, 500])
def test_the_share_held_out_does_not_depend_on_the_batches(batch_size):
    reservoir = fill(Reservoir(0, 1000), 500, (batch_size,), 0.1)
    assert reservoir.held_out.mean() == pytest.approx(0.1, abs=0.05)


def test_a_reservoir_stays_as_it_is_when_samples_are_added():
    first = fill(Reservoir(0, 20), 40, (8,), 0.2)
    samples, held_out = first.samples.copy(), first.held_out.copy()
    second = first.add(np.full((30, 1), -1), 0.2)
    np.testing.assert_array_equal(first.samples, samples)
    np.testing.assert_array_equal(first.held_out, held_out)
    assert first.n_seen == 40
    assert second.n_seen == 70
    assert (second.samples == -1).any()


def test_a_reservoir_keeps_no_view_of_the_samples_it_was_given():
    samples = np.arange(10)[:, None]
    reservoir = Reservoir(0, 20).add(samples, 0.0)
    samples[:] = -1
    assert (reservoir.samples >= 0).all()


def test_seeds_decide_which_samples_are_kept():
    first, second, other = (fill(Reservoir(seed, 10), 100, (9,), 0.2) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.samples, second.samples)
    np.testing.assert_array_equal(first.held_out, second.held_out)
    assert (first.samples != other.samples).any()


def test_samples_to_train_on_are_those_that_are_not_held_out():
    reservoir = fill(Reservoir(0, 50), 200, (40,), 0.3)
    samples = reservoir.training_samples()
    np.testing.assert_array_equal(samples, reservoir.samples[~reservoir.held_out])
    assert 0 < len(samples) < 50


def test_the_first_two_samples_are_trained_on():
    for seed in range(20):
        assert not Reservoir(seed, 10).add(np.zeros((5, 1)), 0.9).held_out[:2].any()


def test_a_first_table_is_kept_up_to_its_size():
    samples, held_out = np.arange(40.0).reshape(20, 2), np.arange(20) % 4 == 0
    every = Reservoir.of(samples, held_out, 0, 50)
    np.testing.assert_array_equal(every.samples, samples)
    np.testing.assert_array_equal(every.held_out, held_out)
    assert not np.shares_memory(every.samples, samples)
    counts = np.zeros(20)
    for seed in range(400):
        few = Reservoir.of(samples, held_out, seed, 5)
        assert few.n_seen == 20
        chosen = (few.samples[:, 0] / 2).astype(int)
        np.testing.assert_array_equal(few.held_out, held_out[chosen])
        counts[chosen] += 1
    assert (np.abs(counts / 400 - 0.25) < 4.5 * math.sqrt(0.25 * 0.75 / 400)).all()


def test_something_is_left_to_learn_from():
    held_out = np.ones(30, dtype=bool)
    held_out[[3, 8]] = False
    for seed in range(10):
        few = Reservoir.of(np.arange(30.0)[:, None], held_out, seed, 4)
        assert len(few.training_samples()) >= 1
        assert len(few.samples) == 4
