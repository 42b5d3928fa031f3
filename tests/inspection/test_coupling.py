"""CouplingDisplay: weights and degrees of the coupling."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sklearn_emma.inspection import CouplingDisplay


def test_numbers_and_colors_are_weights_and_degrees(fitted, legible):
    display = legible(CouplingDisplay.from_estimator(fitted))
    shown = display.image_.get_array()
    assert np.array_equal(np.ma.getmaskarray(shown), np.eye(3, dtype=bool))
    np.testing.assert_allclose(shown.compressed(), fitted.coupling_weight_[~np.eye(3, dtype=bool)])
    weight, degree = fitted.coupling_weight_[0, 2], fitted.coupling_degree_[0, 2]
    assert display.text_[0, 2].get_text() == f"w = {weight:.2f}\nγ = {degree:.2f}"
    assert display.text_[0, 2].get_position() == (2, 0)
    assert display.text_[1, 1] is None
    assert display.image_.get_clim() == (-1, 1)


def test_wrong_input_is_explained():
    with pytest.raises(ValueError, match=r"n_modalities\), got \(2, 2\) and \(1, 1\)"):
        CouplingDisplay.from_parameters(np.eye(2), np.eye(1))
    with pytest.raises(TypeError, match="CouplingDisplay needs"):
        CouplingDisplay.from_estimator(LogisticRegression())
