"""Codes of categorical columns as standardized indicators, and evidence of levels never seen."""

import math

import numpy as np
import pytest

from sklearn_emma.indicators import Category, Indicators
from sklearn_emma.nn.evidence_energy import unseen_level_evidence


def column(*counts):
    """Return a table of one column with so many samples of each level, and its indicators."""
    counts = np.array(counts)
    table = np.repeat(np.arange(len(counts)), counts)[:, None].astype(float)
    return table, Indicators(1, {0: Category.from_counts(counts)})


@pytest.mark.parametrize("counts", [(50, 30, 20), (90, 10), (500, 480, 15, 3, 2)])
def test_a_category_has_mean_zero_and_the_variance_of_a_number(counts):
    table, indicators = column(*counts)
    features = indicators.expand(table)
    np.testing.assert_allclose(features.mean(axis=0), 0.0, atol=1e-12)
    assert features.var(axis=0).sum() == pytest.approx(1.0)


def test_two_levels_have_one_indicator():
    table, indicators = column(30, 10)
    expected = (table - table.mean()) / table.std()
    np.testing.assert_allclose(indicators.expand(table), expected)


def test_infrequent_levels_share_an_indicator():
    # of 1000 samples a level of its own takes ten
    table, indicators = column(500, 481, 10, 5, 4)
    rows = indicators.expand(np.arange(5.0)[:, None])
    assert rows.shape == (5, 4)
    assert len(np.unique(rows, axis=0)) == 4
    np.testing.assert_array_equal(rows[3], rows[4])
    np.testing.assert_array_equal(indicators.codes(rows).ravel(), [0, 1, 2, 3, 3])
    assert indicators.names(["a"], {0: list("vwxyz")}).tolist() == [
        *("a_v", "a_w", "a_x", "a_infrequent")
    ]


def test_at_most_a_hundred_levels_have_indicators():
    _, indicators = column(*[20] * 130)
    assert indicators.n_features == 101


def test_a_level_never_seen_shows_as_an_infrequent_one_or_as_the_most_frequent():
    for counts, like in [((500, 480, 20), 0), ((480, 500, 20), 1), ((500, 490, 10, 5), 3)]:
        _, indicators = column(*counts)
        unknown = indicators.expand(np.array([[float(len(counts))]]))
        np.testing.assert_array_equal(unknown, indicators.expand(np.array([[float(like)]])))
    # as do those of samples without weight
    indicators = Indicators(1, {0: Category.from_counts(np.array([500, 0, 480]))})
    rows = indicators.expand(np.array([[0.0], [1.0], [3.0]]))
    assert (rows == rows[0]).all()
    assert (indicators.unseen(np.array([[0.0], [1.0], [2.0], [3.0]])).ravel() > 0).tolist() == [
        *(False, True, False, True)
    ]


def test_missing_values_stay_missing_and_are_no_evidence():
    _, indicators = column(50, 30, 20)
    gap = np.array([[np.nan]])
    assert np.isnan(indicators.expand(gap)).all()
    assert indicators.unseen(gap).item() == 0.0


def test_numbers_stay_numbers():
    category = Category.from_counts(np.array([5, 3, 2]))
    indicators = Indicators(3, {1: category})
    table = np.array([[1.5, 0.0, -2.0], [2.5, 2.0, np.nan]], dtype=np.float32)
    features = indicators.expand(table)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features[:, [0, 4]], table[:, [0, 2]])
    np.testing.assert_array_equal(indicators.of_modality(np.array([2, 1])), [4, 1, 2, 3])
    (block,) = indicators.blocks(np.array([2, 1]))
    np.testing.assert_array_equal(block, [1, 2, 3])
    np.testing.assert_array_equal(indicators.codes(features), table)
    assert indicators.least_scale(np.array([0, 1]))[0] == 0.0


def test_evidence_is_the_surprisal_beyond_that_of_the_rarest_level():
    assert unseen_level_evidence(99, 0) == pytest.approx(math.log(100))
    _, indicators = column(500, 399, 99)
    assert indicators.unseen(np.array([[3.0]])).item() == pytest.approx(math.log(100))
    assert not indicators.unseen(np.array([[0.0], [1.0], [2.0]])).any()
    # where new levels come all the time they tell nothing
    assert unseen_level_evidence(20, 50) == 0.0
