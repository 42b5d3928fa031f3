"""Disagreement of modalities, learned by the monitor."""

import numpy as np
import pytest

from sklearn_emma import DAEEnergyScorer
from sklearn_emma.corruption import Swapped
from sklearn_emma.monitoring import ModalityMonitor
from sklearn_emma.monitoring.agreement import Agreement
from sklearn_emma.monitoring.failures import FAILURES, allowances

MODALITIES = {"a": [0, 1, 2], "b": [3, 4, 5]}


def same_spread(n_samples, rng):
    """Two modalities that have the same spread in a sample, but are not correlated."""
    spread = np.where(rng.uniform(size=n_samples) < 0.5, 0.3, 1.5)[:, None]
    return spread * rng.standard_normal((n_samples, 6))


def test_shuffled_modalities_disagree_and_missing_ones_are_ignored():
    rng = np.random.RandomState(0)
    train, test = same_spread(1000, rng), same_spread(500, rng)
    agreement = Agreement([train[:, :3], train[:, 3:]], rng)
    shuffled = test[rng.permutation(500), :3]
    present = np.ones((500, 2), dtype=bool)
    clean = agreement.disagreement([test[:, :3], test[:, 3:]], present)
    apart = agreement.disagreement([shuffled, test[:, 3:]], present)
    np.testing.assert_allclose(apart[:, 0], apart[:, 1])
    assert clean.mean() < 0 < apart.mean() - clean.mean() - 0.3
    present[:, 0] = False
    np.testing.assert_array_equal(
        agreement.disagreement([0 * shuffled, test[:, 3:]], present)[:, 1], 0.0
    )


def test_samples_of_others_are_noticed_although_nothing_is_correlated():
    rng = np.random.RandomState(1)
    X = same_spread(3000, rng)
    scorer = DAEEnergyScorer(MODALITIES, max_epochs=5, random_state=0).fit(X[:1000])
    monitor = ModalityMonitor(scorer, random_state=0).fit(X[1000:2000], reference=X[:1000])
    stream = X[2000:].copy()
    stream[500:] = Swapped(only="a").corrupt(stream[500:], MODALITIES, random_state=0)[0]
    health = monitor.update(stream)
    assert not health.alarm[:500].any()
    assert health.kind[-1].tolist() == ["mismatch", "mismatch"]
    assert (health.since[-1] >= 500).all()
    assert (health.alarm[600:].mean(axis=0) > 0.9).all()
    # either of the two may have failed
    assert (health.evidence[-1] <= np.log(2)).all()
    assert (health.evidence[-1] > 0.4).all()


def test_only_a_mismatch_of_two_modalities_has_a_small_allowance():
    two, three = allowances(2), allowances(3)
    mismatch = np.array([failure.kind == "mismatch" for failure in FAILURES])
    np.testing.assert_array_equal(two[~mismatch], three[~mismatch])
    assert two[mismatch].tolist() == [0.1]
    assert three[mismatch].tolist() == [0.5]


@pytest.mark.parametrize("n_reference", [2, 3])
def test_two_reference_samples_are_enough(n_reference):
    X = same_spread(200, np.random.RandomState(0))
    scorer = DAEEnergyScorer(MODALITIES, max_epochs=2, random_state=0).fit(X[:100])
    monitor = ModalityMonitor(scorer, random_state=0).fit(X[100:], reference=X[:n_reference])
    assert np.isfinite(monitor.update(X).failing).all()
