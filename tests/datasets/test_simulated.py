"""The simulated task is as hard as its documentation says; the curves are the thesis's."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import train_test_split

from sklearn_emma.datasets import (
    make_circle,
    make_multimodal_classification,
    make_spiral,
    make_wave,
)
from sklearn_emma.modalities import resolve_modalities


def accuracy(X, y):
    """The held-out accuracy of linear discriminant analysis, which is optimal here."""
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, random_state=0)
    return LinearDiscriminantAnalysis().fit(X_train, y_train).score(X_test, y_test)


def test_bunch_as_frame():
    task = make_multimodal_classification(
        50, n_modalities=2, n_features=[1, 3], n_classes=3, random_state=0
    )
    assert isinstance(task.data, pd.DataFrame)
    assert isinstance(task.target, pd.Series)
    assert task.data.shape == (50, 4)
    assert task.frame.columns.tolist() == [*task.feature_names, "target"]
    assert task.target_names.tolist() == ["class0", "class1", "class2"]
    assert set(task.target) == {0, 1, 2}
    assert "50 samples" in task.DESCR


@pytest.mark.parametrize("as_frame", [True, False])
def test_modalities_can_be_passed_on(as_frame):
    task = make_multimodal_classification(
        20, n_modalities=2, n_features=[2, 3], as_frame=as_frame, random_state=0
    )
    names, columns = resolve_modalities(task.modalities, task.data)
    assert names == ["modality0", "modality1"]
    assert [positions.tolist() for positions in columns] == [[0, 1], [2, 3, 4]]


def test_frame_arrays_and_return_X_y_hold_the_same():
    task = make_multimodal_classification(20, random_state=3)
    arrays = make_multimodal_classification(20, random_state=3, as_frame=False)
    X, y = make_multimodal_classification(20, random_state=3, as_frame=False, return_X_y=True)
    assert arrays.frame is None
    assert_array_equal(task.data, arrays.data)
    assert_array_equal(X, arrays.data)
    assert_array_equal(y, task.target)


def test_random_state_decides_everything():
    first, same, other = (make_multimodal_classification(20, random_state=s) for s in (0, 0, 1))
    assert_array_equal(first.data, same.data)
    assert (first.data != other.data).to_numpy().all()


@pytest.mark.parametrize("relevance", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("redundancy", [0.0, 1.0])
def test_accuracy_of_one_modality_follows_its_relevance_alone(relevance, redundancy):
    task = make_multimodal_classification(
        20_000, relevance=[relevance, 1, 1], redundancy=redundancy, random_state=0
    )
    optimum = norm.cdf(relevance * 3 / 2)
    score = accuracy(task.data[task.modalities["modality0"]], task.target)
    assert score == pytest.approx(optimum, abs=0.015)


@pytest.mark.parametrize("redundancy", [0.0, 0.5, 1.0])
def test_accuracy_of_all_modalities_follows_their_redundancy(redundancy):
    task = make_multimodal_classification(
        20_000, n_modalities=4, separation=2, redundancy=redundancy, random_state=0
    )
    optimum = norm.cdf(np.sqrt(4 / (1 + 3 * redundancy)))
    assert accuracy(task.data, task.target) == pytest.approx(optimum, abs=0.015)


def test_redundant_modalities_of_unequal_relevance_have_the_accuracy_of_the_best():
    task = make_multimodal_classification(
        20_000, n_modalities=2, relevance=[1, 0.3], redundancy=1, separation=2, random_state=0
    )
    assert accuracy(task.data, task.target) == pytest.approx(norm.cdf(1), abs=0.015)


def test_class_centers_are_equally_far_apart():
    task = make_multimodal_classification(
        40_000, n_modalities=1, n_features=6, n_classes=4, separation=5, random_state=0
    )
    centers = task.data.groupby(task.target).mean().to_numpy()
    distances = np.linalg.norm(centers[:, None] - centers[None], axis=2)
    assert_allclose(distances[np.triu_indices(4, 1)], 5, atol=0.1)


def test_values_are_the_same_on_every_processor():
    # Linear algebra that leaves a free choice, such as a basis of equal singular values, differs
    # between processors for the same seed.
    task = make_multimodal_classification(
        6, n_modalities=2, n_features=3, n_classes=5, random_state=0, as_frame=False
    )
    expected = [2.095, 0.387, 0.736, -0.383, 1.137, 1.87]
    assert_allclose(task.data[0], expected, atol=0.001)


def test_columns_have_unit_variance_within_a_class():
    task = make_multimodal_classification(40_000, relevance=[1, 0.5, 0], random_state=0)
    assert_allclose(task.data.groupby(task.target).std(), 1, atol=0.03)


def test_fewer_columns_than_informative_dimensions():
    task = make_multimodal_classification(100, n_features=1, n_classes=5, random_state=0)
    assert task.data.shape == (100, 3)


def test_weights_are_met_exactly():
    task = make_multimodal_classification(200, n_classes=3, weights=[0.7, 0.25, 0.05])
    assert np.bincount(task.target).tolist() == [140, 50, 10]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_samples": 0}, r"n_samples must be an integer of at least 1, got 0"),
        ({"n_modalities": 1.5}, r"n_modalities must be an integer of at least 1, got 1.5"),
        ({"n_classes": 1}, r"n_classes must be an integer of at least 2, got 1"),
        ({"n_features": [2, 2]}, r"n_features must be one number, or one for each of the 3"),
        ({"n_features": [2, 0, 2]}, r"n_features must be an integer of at least 1, got 0"),
        ({"relevance": [1, 1]}, r"relevance must be one number, or one for each of the 3"),
        ({"relevance": 1.1}, r"relevance must be a number in \[0, 1\], got 1.1"),
        ({"redundancy": -0.1}, r"redundancy must be a number in \[0, 1\], got -0.1"),
        ({"redundancy": np.nan}, r"redundancy must be a number in \[0, 1\], got nan"),
        ({"separation": -1}, r"separation must be a finite number of at least 0, got -1"),
        ({"separation": np.inf}, r"separation must be a finite number of at least 0, got inf"),
        ({"weights": [0.5, 0.2]}, r"weights must be 2 proportions, .* add up to 1, got"),
        ({"weights": [1.0]}, r"weights must be 2 proportions"),
        ({"weights": [1.5, -0.5]}, r"weights must be 2 proportions, .* not negative"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_multimodal_classification(**arguments)


CURVES = {
    make_wave: lambda t: (t - np.pi, np.sin(t)),
    make_circle: lambda t: (3 * np.sin(t), 3 * np.cos(t)),
    make_spiral: lambda t: (t / 2 * np.cos(2 * t), t / 2 * np.sin(2 * t)),
}
curves = pytest.mark.parametrize("make_curve", CURVES, ids=lambda function: function.__name__)


@curves
def test_points_lie_on_the_curve(make_curve):
    X, t = make_curve(1000, random_state=0)
    assert X.shape == (1000, 2)
    assert_allclose(X, np.column_stack(CURVES[make_curve](t)))
    assert 0 <= t.min() < 0.1
    assert 2 * np.pi - 0.1 < t.max() <= 2 * np.pi


@curves
def test_noise_is_added_to_the_points(make_curve):
    X, t = make_curve(10_000, noise=0.2, random_state=0)
    residual = X - np.column_stack(CURVES[make_curve](t))
    assert_allclose(residual.std(axis=0), 0.2, rtol=0.05)
    assert_array_equal(X, make_curve(10_000, noise=0.2, random_state=0)[0])


@curves
def test_wrong_arguments_of_curves(make_curve):
    with pytest.raises(ValueError, match=r"n_samples must be an integer of at least 1"):
        make_curve(0)
    with pytest.raises(ValueError, match=r"noise must be a finite number of at least 0"):
        make_curve(10, noise=-1)
