"""What the filter reads: the likelihoods of all states."""

import numpy as np
import pytest

from sklearn_emma.monitoring.calibration import CHANGED
from sklearn_emma.monitoring.failures import LARGEST_NOISE, SIMULATED_KINDS
from sklearn_emma.monitoring.innovations import EValuesByPhase
from sklearn_emma.monitoring.likelihoods import (
    STATE_KINDS,
    combine,
    intermittent_failure,
    missing_in,
    switches_of,
)

INTERMITTENT = STATE_KINDS.index("intermittent")


def likelihoods(e_value, n_clean, repeats=False):
    """Likelihood of an intermittent failure, if the largest noise has a given e-value."""
    ratios = np.full((1, 1, len(SIMULATED_KINDS)), 50.0)
    ratios[..., LARGEST_NOISE] = e_value
    intermittent = intermittent_failure(ratios[..., LARGEST_NOISE], n_clean)
    found = combine(ratios, intermittent, np.ones((1, 1)), np.full((1, 1), repeats))
    assert found.shape[-1] == 1 + len(STATE_KINDS)
    return found[0, 0, 1 + INTERMITTENT]


def test_seven_of_a_hundred_samples_are_wrong_in_an_intermittent_failure():
    assert likelihoods(0.0, 1000) == pytest.approx(0.93)
    assert likelihoods(1.0, 1000) == pytest.approx(1.0)
    assert likelihoods(101.0, 1000) == pytest.approx(8.0)
    assert likelihoods(101.0, 1000, repeats=True) == pytest.approx(1.0)


def test_few_clean_samples_limit_the_evidence_of_a_wrong_sample():
    few, many = (likelihoods(1e9, n) for n in (100, 10_000))
    # one event among the clean samples may have a true frequency of almost 5 / N
    assert few == pytest.approx(0.93 + 0.07 * 102 / (2 + np.sqrt(8)))
    assert many > 50 * few


def test_the_end_of_an_intermittent_failure_is_not_visible():
    shape = 1, 1, len(SIMULATED_KINDS)
    evidence = EValuesByPhase(*(np.full(shape, e) for e in (2.0, 3.0, 7.0)))
    absent = missing_in(np.zeros((1, 1), dtype=bool))
    none = np.zeros((1, 1), dtype=bool)
    switches = switches_of(evidence, np.full((1, 1), 1.2), np.ones((1, 1)), none, absent)
    assert switches.ending[0, 0, INTERMITTENT] == 1.0
    assert switches.ending[0, 0, LARGEST_NOISE] == 7.0
    assert switches.starting[0, 0, 1 + INTERMITTENT] == pytest.approx(1.2)


def test_a_changed_process_may_look_like_an_intermittent_failure():
    assert CHANGED[INTERMITTENT]
    assert not CHANGED[STATE_KINDS.index("stuck")]
