"""Whether a monitor without order notices samples that are in order."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone

from sklearn_emma import DAEEnergyScorer
from sklearn_emma.monitoring import ModalityMonitor
from sklearn_emma.monitoring.exchangeability import (
    is_long_enough,
    variance_ratios,
    warn_of_dependent_rows,
    warn_of_dependent_stream,
)

NAMES = ["a", "b"]


def autoregressive(rho, n_samples, n_columns, seed=0):
    """Draw normal columns with the autocorrelations rho ** L."""
    values = np.random.RandomState(seed).standard_normal((n_samples, n_columns))
    for t in range(1, n_samples):
        values[t] = rho * values[t - 1] + np.sqrt(1 - rho**2) * values[t]
    return values


def as_statistics(values):
    """Make values one of ten statistics of two modalities, the others being independent."""
    rng = np.random.RandomState(7)
    statistics = rng.standard_normal((len(values), len(NAMES), 10))
    statistics[:, 1, 7] = values
    return statistics


def warned(statistics, seed=0):
    """Return the message of the warning, "" if there is none."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        warn_of_dependent_rows(statistics, NAMES, np.random.RandomState(seed))
    return str(found[0].message) if found else ""


def test_the_variance_ratio_is_the_sum_of_autocorrelations():
    rho = 0.6
    lags = np.arange(1, 8)
    expected = 1 + 2 * np.sum((1 - lags / 8) * rho**lags)
    ratios = variance_ratios(autoregressive(rho, 20_000, 5))
    np.testing.assert_allclose(ratios, expected, rtol=0.06)
    np.testing.assert_allclose(variance_ratios(autoregressive(0.0, 20_000, 5)), 1.0, rtol=0.06)


def test_the_variance_ratio_does_not_ask_how_values_are_distributed():
    values = autoregressive(0.5, 200, 3)
    np.testing.assert_allclose(variance_ratios(np.exp(9 * values)), variance_ratios(values))


def test_constant_columns_count_for_nothing():
    assert variance_ratios(np.full((300, 1), 3.0)).tolist() == [0.0]


@pytest.mark.parametrize("n_samples", [60, 400, 3000])
def test_dependent_rows_are_found_and_named(n_samples):
    message = warned(as_statistics(autoregressive(0.9, n_samples, 1)[:, 0]))
    assert "modality 'b'" in message
    assert "ordered=True" in message
    assert "shuffle" in message


@pytest.mark.parametrize("n_samples", [20, 60, 400])
def test_shuffled_rows_are_found_no_more_often_than_the_level_says(n_samples):
    statistics = as_statistics(autoregressive(0.9, n_samples, 1)[:, 0])
    rng = np.random.RandomState(1)
    # two of 100 come with a probability of 1.7 % if it is one in 500
    assert sum(bool(warned(rng.permutation(statistics), seed)) for seed in range(100)) <= 2


def test_rare_values_side_by_side_are_no_dependence():
    statistics = as_statistics(np.zeros(400))
    statistics[100:102, 1, 7] = 1.0
    statistics = np.where(np.arange(10) == 7, statistics, 0.0)
    assert warned(statistics) == ""


def test_weak_dependence_does_not_matter():
    assert warned(as_statistics(autoregressive(0.1, 5000, 1)[:, 0])) == ""


def test_a_stream_is_judged_once():
    updates = [(0, 99), (100, 200), (0, 200), (99, 100)]
    assert [is_long_enough(*update) for update in updates] == [False, False, True, True]


def test_a_dependent_stream_is_warned_of():
    warn_of_dependent_stream(np.full(2, 0.3), NAMES)
    message = "2 of 2 modalities, most clearly in 'b'.*0.1 times.*shuffle=False"
    with pytest.warns(UserWarning, match=message):
        warn_of_dependent_stream(np.array([0.8, 0.9]), NAMES)


def test_a_sensor_that_hardly_changes_does_not_speak_for_the_stream():
    warn_of_dependent_stream(np.array([0.0, 0.9]), NAMES)


@pytest.fixture(scope="module")
def slow():
    """Samples of two modalities in the order of time, and a scorer that knows the first of them."""
    X = np.repeat(autoregressive(0.95, 700, 2), 3, axis=1) + 0.2 * autoregressive(0, 700, 6, 1)
    scorer = DAEEnergyScorer({"a": [0, 1, 2], "b": [3, 4, 5]}, max_epochs=3, random_state=0)
    return X, scorer.fit(X[:200])


def test_a_monitor_warns_at_the_line_that_calibrates_it(slow):
    X, scorer = slow
    with pytest.warns(UserWarning, match="Neighboring rows of the clean samples") as found:
        ModalityMonitor(scorer, random_state=0).fit(X[200:500], reference=X[:200])
    assert [warning.filename for warning in found] == [__file__]
    with pytest.warns(UserWarning, match="Neighboring rows of the clean samples"):
        ModalityMonitor(clone(scorer), random_state=0).fit(X[:500])


def test_rows_that_were_shuffled_before_show_in_the_stream_only(slow):
    X, scorer = slow
    rng = np.random.RandomState(0)
    monitor = ModalityMonitor(scorer, random_state=0)
    monitor.fit(rng.permutation(X[200:500]), reference=X[:200])
    monitor.update(rng.permutation(X[200:500]))
    monitor.reset().update(X[500:590])
    with pytest.warns(UserWarning, match="Successive samples of the stream") as found:
        monitor.update(X[590:610])
    assert [warning.filename for warning in found] == [__file__]
    monitor.update(X[610:])
