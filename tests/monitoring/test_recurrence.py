"""Values that come again: evidence of saturation, of nothing else."""

import numpy as np
import pytest

from sklearn_emma.monitoring.recurrence import Recurrence
from sklearn_emma.monitoring.statistics import SampleStatistics

NOTHING = np.full((8, 3), np.nan)


def judge(clean, sizes):
    statistics = SampleStatistics(clean, sizes)
    z = statistics.relative(clean)
    found = Recurrence(z, statistics)
    return found, lambda X, recent=NOTHING: found(statistics.relative(X), recent)


def test_saturation_is_evidence_and_clean_samples_are_none():
    rng = np.random.RandomState(0)
    _, e_values = judge(rng.standard_normal((500, 3)), [2, 1])
    X = rng.standard_normal((60, 3))
    clean = e_values(X)
    assert (clean < 1).all()
    X[30:, :2] = X[30:, :2].clip(-1, 1)
    found = np.log(e_values(X))
    assert found[30:60, 0].sum() > 20
    np.testing.assert_array_equal(found[:, 1], np.log(clean[:, 1]))


def test_e_values_of_clean_samples_have_a_mean_of_one_at_most():
    rng = np.random.RandomState(0)
    # a value at which the sensor rests, but seldom
    X = np.where(rng.rand(20_000, 3) < 0.003, 2.0, rng.standard_normal((20_000, 3)))
    found, e_values = judge(X[:10_000], [2, 1])
    assert found.features_.all()
    assert (e_values(X[10_000:]).mean(axis=0) < 1).all()


@pytest.mark.parametrize("n_decimals", [3, 16])
@pytest.mark.parametrize("n_clean", [60, 300])
def test_wide_modalities_do_not_seem_saturated(n_clean, n_decimals):
    """Among few clean samples of many features, hardly any are equal, but in a stream some are."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((n_clean + 2000, 300)).round(n_decimals)
    _, e_values = judge(X[:n_clean], [299, 1])
    assert e_values(X[n_clean:], np.full((8, 300), np.nan))[:, 0].mean() < 1.05


def test_features_with_steps_tell_nothing():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((500, 3))
    X[:, 0] = X[:, 0].round(1)
    found, e_values = judge(X, [2, 1])
    assert found.features_.tolist() == [False, True, True]
    X[:, 0] = X[0, 0]
    assert (e_values(X) < 1).all()


def test_missing_values_do_not_recur():
    rng = np.random.RandomState(0)
    _, e_values = judge(rng.standard_normal((500, 3)), [2, 1])
    X = rng.standard_normal((20, 3))
    X[:, 1] = np.nan
    assert (e_values(X) < 1).all()


@pytest.mark.parametrize("cut", [1, 7, 15])
def test_the_split_of_a_stream_does_not_matter(cut):
    rng = np.random.RandomState(0)
    clean = rng.standard_normal((500, 3))
    statistics = SampleStatistics(clean, [2, 1])
    z = statistics.relative(clean)
    e_values = Recurrence(z, statistics)
    z = z[:20].clip(-0.5, 0.5)
    parts = [e_values(z[:cut], NOTHING), e_values(z[cut:], np.vstack([NOTHING, z[:cut]]))]
    np.testing.assert_array_equal(np.vstack(parts), e_values(z, NOTHING))


def test_constant_and_mostly_missing_features_tell_nothing():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((1000, 3))
    X[:, 0] = 20.0
    X[:, 1] = np.where(rng.uniform(size=1000) < 0.02, rng.randint(12, size=1000), np.nan)
    found, e_values = judge(X, [2, 1])
    assert found.features_.tolist() == [False, False, True]
    X[:, 0] = 20.001
    assert (e_values(X) < 1).all()


def test_the_rate_includes_what_is_rarely_equal():
    """Few equal values of each of many features make recurrences frequent."""
    rng = np.random.RandomState(0)
    X = rng.randint(9000, size=(2300, 300)).astype(float)
    found, e_values = judge(X[:300], [299, 1])
    assert found.features_.mean() > 0.05
    assert e_values(X[300:], np.full((8, 300), np.nan))[:, 0].mean() < 1.05
