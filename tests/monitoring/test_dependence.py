"""How much successive samples have in common."""

import numpy as np
import pytest

from sklearn_emma.monitoring.dependence import Dependence
from sklearn_emma.monitoring.run_lengths import RunLengths
from sklearn_emma.monitoring.statistics import SampleStatistics


@pytest.fixture(scope="module")
def slow():
    """Standardized samples of a slow process, and the dependence of others of its samples."""
    rng = np.random.RandomState(0)
    process = rng.standard_normal((2000, 1))
    for t in range(1, 2000):
        process[t] = 0.98 * process[t - 1] + 0.2 * process[t]
    table = process + 0.2 * rng.standard_normal((2000, 3))
    statistics = SampleStatistics(table[:1000], [3])
    z = statistics.relative(table)
    run_lengths = RunLengths(z[:1000], statistics)
    return z[:1000], z[1000:], Dependence(rng.permutation(z[:1000]), statistics, run_lengths, rng)


def test_rows_of_a_slow_process_warn_from_the_first_samples_on(slow):
    clean, stream, dependence = slow
    warned, _ = dependence(stream[:10], dependence.suspect(clean))
    unaware, _ = dependence(stream[:10], dependence.start())
    assert warned[:3].max() < 0.7
    assert warned[6:].max() < 0.3
    assert unaware[:6].min() > 0.9


def test_rows_without_order_do_not_warn(slow):
    clean, stream, dependence = slow
    rows = np.random.RandomState(1).permutation(clean)
    exponents, _ = dependence(stream[:3], dependence.suspect(rows))
    assert exponents.min() > 0.9


def test_a_stream_of_independent_samples_soon_outweighs_the_rows(slow):
    clean, stream, dependence = slow
    independent = np.random.RandomState(2).permutation(np.vstack([clean, stream]))
    exponents, _ = dependence(independent[:200], dependence.suspect(clean))
    assert exponents[-1].min() > 0.9
