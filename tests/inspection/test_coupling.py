"""CouplingDisplay and AttentionFunctionDisplay: the parameters of a gate."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sklearn_emma.inspection import AttentionFunctionDisplay, CouplingDisplay


def test_numbers_and_colours_are_weights_and_degrees(fitted, legible):
    display = legible(CouplingDisplay.from_estimator(fitted))
    shown = display.image_.get_array()
    assert np.array_equal(np.ma.getmaskarray(shown), np.eye(3, dtype=bool))
    np.testing.assert_allclose(shown.compressed(), fitted.coupling_weight_[~np.eye(3, dtype=bool)])
    weight, degree = fitted.coupling_weight_[0, 2], fitted.coupling_degree_[0, 2]
    assert display.text_[0, 2].get_text() == f"w = {weight:.2f}\nγ = {degree:.2f}"
    assert display.text_[0, 2].get_position() == (2, 0)
    assert display.text_[1, 1] is None
    assert display.image_.get_clim() == (-1, 1)


def test_coupling_messages_for_people():
    with pytest.raises(ValueError, match=r"n_modalities\), got \(2, 2\) and \(1, 1\)"):
        CouplingDisplay.from_parameters(np.eye(2), np.eye(1))
    with pytest.raises(TypeError, match="CouplingDisplay needs"):
        CouplingDisplay.from_estimator(LogisticRegression())


def test_capacity_is_the_shaded_area(legible):
    display = legible(AttentionFunctionDisplay.from_parameters(4.0, 0.8))
    assert display.threshold_ == pytest.approx(0.2)
    assert display.threshold_line_.get_xdata()[0] == pytest.approx(0.2)
    areas = []
    for area in display.area_:
        x, y = area.get_paths()[0].vertices.T
        areas.append(0.5 * abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)))
    assert areas[0] - areas[1] == pytest.approx(display.capacity_, abs=1e-4)
    x, y = display.line_.get_data()
    np.testing.assert_allclose(y, np.maximum(0, np.tanh(4 * x - 0.8)))


def test_function_of_an_estimator_has_its_capacity(fitted):
    display = AttentionFunctionDisplay.from_estimator(fitted)
    assert display.capacity_ == pytest.approx(fitted.capacity_, abs=1e-5)


def test_gate_that_is_always_open_has_no_negative_part_and_one_never_open_no_room(legible):
    assert len(AttentionFunctionDisplay.from_parameters(6.0, 0.0).area_) == 1
    shut = legible(AttentionFunctionDisplay.from_parameters(0.5, 1.0))
    assert shut.line_.get_ydata().max() == 0
    assert shut.capacity_ < 0
    assert shut.ax_.get_xlim()[1] > 2  # where the threshold is


@pytest.mark.parametrize(("gain", "bias"), [(0, 0.5), (np.inf, 0.5), (5, -0.1), (5, 1.5), ("a", 0)])
def test_function_messages_for_people(gain, bias):
    with pytest.raises(ValueError, match="must be a (positive )?number"):
        AttentionFunctionDisplay.from_parameters(gain, bias)
