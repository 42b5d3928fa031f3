"""The breast cancer data in modalities are scikit-learn's, with malignant as the positive class."""

import numpy as np
from numpy.testing import assert_array_equal
from sklearn.datasets import load_breast_cancer

from sklearn_emma.datasets import load_breast_cancer_modalities
from sklearn_emma.modalities import resolve_modalities


def test_columns_are_those_of_scikit_learn_renamed():
    cancer, original = load_breast_cancer_modalities(), load_breast_cancer()
    assert_array_equal(cancer.data, original.data)
    renamed = dict(zip(original.feature_names, cancer.feature_names, strict=True))
    assert renamed["mean radius"] == "mean__radius"
    assert renamed["fractal dimension error"] == "error__fractal_dimension"
    assert renamed["worst concave points"] == "worst__concave_points"


def test_malignant_is_the_positive_class():
    cancer = load_breast_cancer_modalities()
    assert np.bincount(cancer.target).tolist() == [357, 212]
    assert cancer.target_names.tolist() == ["benign", "malignant"]
    assert_array_equal(cancer.target, load_breast_cancer().target == 0)
    assert "malignant is 1" in cancer.DESCR


def test_prefix_and_modalities_agree_on_three_groups_of_ten():
    frame = load_breast_cancer_modalities()
    array = load_breast_cancer_modalities(as_frame=False)
    by_prefix = resolve_modalities("prefix", frame.data)
    assert by_prefix[0] == ["mean", "error", "worst"]
    assert [len(columns) for columns in by_prefix[1]] == [10, 10, 10]
    for data in (frame, array):
        names, columns = resolve_modalities(data.modalities, data.data)
        assert names == by_prefix[0]
        assert_array_equal(columns, by_prefix[1])


def test_frame_and_return_X_y():
    cancer = load_breast_cancer_modalities()
    assert cancer.frame.shape == (569, 31)
    X, y = load_breast_cancer_modalities(return_X_y=True)
    assert X.equals(cancer.data)
    assert y.equals(cancer.target)
    X, y = load_breast_cancer_modalities(return_X_y=True, as_frame=False)
    assert isinstance(X, np.ndarray)
    assert isinstance(y, np.ndarray)
