"""Stuck sensors repeat their values; clean ones may, too."""

import numpy as np

from sklearn_emma.monitoring.run_lengths import RunLengths
from sklearn_emma.monitoring.statistics import SampleStatistics


def lengths(columns, sizes):
    """Run lengths of clean samples, and what they say of others."""
    table = np.column_stack(columns)
    statistics = SampleStatistics(table, sizes)
    found = RunLengths(statistics.relative(table), statistics)

    def judge(other):
        z = statistics.relative(np.column_stack(other))
        start = np.full(z.shape[1], np.nan), np.zeros(len(sizes), dtype=int)
        return found(z, *start)

    return found, judge


def test_repeats_of_a_sensor_that_never_repeats_are_evidence():
    rng = np.random.RandomState(0)
    _, judge = lengths([rng.standard_normal(500)], [1])
    x = rng.standard_normal(10)
    x[5:] = x[4]
    e_values, repeats, runs, _ = judge([x])
    assert repeats[:, 0].tolist() == [False] * 5 + [True] * 5
    assert e_values[0, 0] == 1
    assert (e_values[1:5, 0] < 0.01).all()
    assert (e_values[5:, 0] > 100).all()
    assert runs.tolist() == [5]


def test_runs_of_a_slow_sensor_are_evidence_only_once_they_are_longer_than_usual():
    rng = np.random.RandomState(0)
    _, judge = lengths([np.repeat(rng.standard_normal(100), 10)], [1])
    e_values, _, _, _ = judge([np.repeat(rng.standard_normal(3), [10, 10, 30])])
    assert (e_values[1:20, 0] < 1.2).all()
    assert (e_values[30:33, 0] > 1.5).all()


def test_small_changes_are_repeats_and_constant_features_are_left_out():
    rng = np.random.RandomState(0)
    clean = np.round(rng.standard_normal(500), 1)
    found, judge = lengths([clean, np.zeros(500), np.full(500, 3.0)], [2, 1])
    assert 0 < found.tolerance_[0] < 0.1
    _, repeats, _, _ = judge([1 + 1e-3 * np.arange(5), np.zeros(5), np.full(5, 3.0)])
    assert repeats[1:].tolist() == [[True, False]] * 4


def test_the_split_of_a_stream_does_not_matter():
    rng = np.random.RandomState(1)
    x = np.repeat(rng.standard_normal(20), rng.randint(1, 5, 20))
    table = np.column_stack([x, rng.permutation(x)])
    statistics = SampleStatistics(table, [1, 1])
    z = statistics.relative(table)
    found = RunLengths(z, statistics)
    start = np.full(2, np.nan), np.zeros(2, dtype=int)
    whole, _, _, _ = found(z, *start)
    parts, last, runs = [], *start
    for row in z:
        e_values, _, runs, _ = found(row[None], last, runs)
        parts.append(e_values)
        last = row
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_features_that_were_never_seen_are_left_out_if_another_always_changes():
    rng = np.random.RandomState(0)
    first, second = rng.standard_normal((2, 500))
    switch = (rng.uniform(size=500) < 0.5).astype(float)
    _, judge = lengths([first, second, switch], [3])
    never = np.full(10, np.nan)
    x = rng.standard_normal(10)
    x[5:] = x[4]
    e_values, repeats, _, _ = judge([never, x, np.ones(10)])
    assert repeats[:, 0].tolist() == [False] * 5 + [True] * 5
    assert (e_values[5:, 0] > 100).all()
    # a switch often stays as it is, so its repeats alone show nothing
    e_values, repeats, _, _ = judge([never, never, np.ones(10)])
    assert not repeats.any()
    assert (e_values == 1.0).all()
    # nor does a value that is the first one
    e_values, _, _, _ = judge([np.where(np.arange(10) < 4, np.nan, x), never, switch[:10]])
    assert (e_values[:5, 0] == 1.0).all()


def test_gaps_in_the_only_feature_that_changes_are_no_repeats():
    rng = np.random.RandomState(0)
    x, level = rng.standard_normal(500), np.repeat(rng.standard_normal(10), 50)
    _, judge = lengths([x, level], [2])
    new = rng.standard_normal(20)
    new[[5, 6, 7]] = np.nan
    e_values, repeats, runs, _ = judge([new, np.zeros(20)])
    assert not repeats.any()
    assert (e_values[[5, 6, 7]] == 1.0).all()
    # but a stuck sensor with gaps is stuck throughout
    stuck = np.where(np.isnan(new), np.nan, new[0])
    _, repeats, runs, _ = judge([stuck, np.zeros(20)])
    assert repeats[:, 0].tolist() == [k not in (0, 5, 6, 7) for k in range(20)]
    assert runs.tolist() == [16]
