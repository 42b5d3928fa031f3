"""What both estimators ask of their input."""

import numpy as np
import pytest

from sklearn_emma.column_statistics import column_statistics
from sklearn_emma.nn.coordinates import standardize
from sklearn_emma.training_data import hold_out
from sklearn_emma.user_warnings import warn_of_constants
from sklearn_emma.validation import all_or_nothing


def statistics(table, used=None, weight=None):
    used = np.arange(table.shape[1]) if used is None else used
    weight = np.ones(len(table)) if weight is None else weight
    return column_statistics(table, weight, None, used)


def test_statistics_leave_gaps_out():
    table = np.array([[1.0, 4.0], [3.0, np.nan], [5.0, 8.0]])
    mean, scale = statistics(table)
    np.testing.assert_allclose(mean, [3.0, 6.0])
    np.testing.assert_allclose(scale, [np.sqrt(8 / 3), 2.0])


def test_statistics_are_weighted():
    table = np.random.default_rng(0).normal(size=(20, 3))
    weight = np.random.default_rng(1).integers(1, 5, size=20)
    expected = np.repeat(table, weight, axis=0)
    mean, scale = statistics(table, weight=weight.astype(float))
    np.testing.assert_allclose(mean, expected.mean(axis=0))
    np.testing.assert_allclose(scale, expected.std(axis=0))


@pytest.mark.parametrize("unit", [1e-200, 1e-9, 1.0, 1e12, 1e160])
def test_statistics_of_columns_in_any_unit(unit):
    table = np.array([[1.0], [2.0], [3.0], [6.0]])
    mean, scale = statistics(unit * table)
    np.testing.assert_allclose([mean[0], scale[0]], [3 * unit, np.std(table) * unit], rtol=1e-12)


def test_columns_that_are_not_used_do_not_matter():
    table = np.array([[1.0, np.nan, 5.0], [2.0, np.nan, 5.0]])
    mean, scale = statistics(table, used=np.array([0]))
    np.testing.assert_allclose(mean, [1.5, 0.0, 0.0])
    np.testing.assert_allclose(scale, [0.5, 1.0, 1.0])


def test_an_empty_column_is_named():
    with pytest.raises(ValueError, match=r"Column\(s\) 1 hold no value at all"):
        statistics(np.array([[1.0, np.nan], [2.0, np.nan]]))


class Named:
    """An estimator that knows the names of its columns."""

    feature_names_in_ = np.array(["a", "b", "c"], dtype=object)


def test_constant_columns_that_are_used_are_named():
    constant = np.array([True, False, True])
    with pytest.warns(UserWarning, match=r"uninformative: column\(s\) 0, 2\.$"):
        warn_of_constants(constant, None)
    with pytest.warns(UserWarning, match=r"column\(s\) 'a', 'c'\.$"):
        warn_of_constants(constant, Named())
    # warnings are errors here
    warn_of_constants(np.zeros(3, dtype=bool), None)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_fails_leaves_an_estimator_as_it_was(error):
    estimator = Named()
    estimator.kept, estimator.changed = 1, [2]

    def fail():
        with all_or_nothing(estimator) as before:
            assert before == {"kept": 1, "changed": [2]}
            estimator.changed, estimator.added = [3], 4
            del estimator.kept
            raise error

    with pytest.raises(error):
        fail()
    assert vars(estimator) == {"kept": 1, "changed": [2]}
    with all_or_nothing(estimator):
        estimator.changed, estimator.added = [3], 4
    assert vars(estimator) == {"kept": 1, "changed": [3], "added": 4}


def test_standardized_values_can_be_squared():
    far = standardize(np.array([1e300, -1e300, 2.0]), 1.0, 1e-6)
    np.testing.assert_allclose(far, [1e15, -1e15, 1e6])


# --- held-out samples ---


def test_held_out_samples_are_drawn_by_the_seed():
    held_out = hold_out(100, None, 0.2, seed=0)
    assert len(set(held_out)) == 20
    assert set(held_out) < set(range(100))
    np.testing.assert_array_equal(hold_out(100, None, 0.2, seed=0), held_out)
    assert set(hold_out(100, None, 0.2, seed=1)) != set(held_out)


def test_held_out_samples_have_the_classes_of_all():
    strata = np.repeat([0, 1], [80, 20])
    assert np.bincount(strata[hold_out(100, strata, 0.1, seed=0)]).tolist() == [8, 2]
    # no fewer than there are classes
    assert len(hold_out(100, strata, 0.01, seed=0)) == 2


def test_a_class_of_one_sample_may_be_held_out_or_not():
    strata = np.repeat([0, 1], [99, 1])
    assert len(hold_out(100, strata, 0.1, seed=0)) == 10


@pytest.mark.parametrize(
    ("strata", "match"),
    [
        (None, "would hold out 10 of 10 samples, and leave too few to learn from. Lower"),
        (np.arange(10) % 2, "leave too few to learn 2 classes from"),
    ],
)
def test_enough_samples_must_be_left(strata, match):
    with pytest.raises(ValueError, match=match):
        hold_out(10, strata, 0.99, seed=0)
