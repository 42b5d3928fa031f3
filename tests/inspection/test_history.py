"""TrainingHistoryDisplay: losses and gate by epoch."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression

from sklearn_emma import GatedClassifier
from sklearn_emma.inspection import TrainingHistoryDisplay


def test_curves_are_the_history(fitted, legible):
    display = legible(TrainingHistoryDisplay.from_estimator(fitted))
    assert list(display.axes_) == ["loss", "gain", "gate"]
    assert set(display.lines_) == {"train_loss", "gain", "bias", "capacity"}
    for key, line in display.lines_.items():
        np.testing.assert_array_equal(line.get_ydata(), fitted.history_[key])
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, fitted.n_iter_ + 1))
    assert display.lines_["capacity"].axes is display.axes_["gate"]


def test_of_a_gated_classifier_it_is_that_of_its_gate(table, quick):
    gated = GatedClassifier(
        LogisticRegression(), "prefix", gate=quick(modalities=None, max_epochs=2), blend=0.0
    )
    display = TrainingHistoryDisplay.from_estimator(gated.fit(*table))
    assert len(display.lines_["train_loss"].get_xdata()) == 2


def test_held_out_loss_is_drawn_beside_the_training_loss(legible):
    history = {"train_loss": [3, 2, 1], "valid_loss": [3, 2.5, 2.4]}
    display = legible(TrainingHistoryDisplay.from_history(history))
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["training", "held-out samples"]
    assert list(display.axes_) == ["loss"]


def test_draws_on_one_axes_per_panel(fitted):
    axes = Figure().subplots(1, 2)
    display = TrainingHistoryDisplay.from_estimator(fitted, panels=["gate", "loss"], ax=axes)
    assert display.axes_["gate"] is axes[0]
    assert display.axes_["loss"] is axes[1]
    one = Figure().add_subplot()
    assert display.plot(ax=one, panels=["gain"]).ax_ is one
    with pytest.raises(ValueError, match="3 panels to draw, but 1 axes"):
        display.plot(ax=one)


def test_wrong_input_is_explained(fitted):
    with pytest.raises(TypeError, match="TrainingHistoryDisplay needs"):
        TrainingHistoryDisplay.from_estimator(LogisticRegression())
    with pytest.raises(ValueError, match="some of the keys"):
        TrainingHistoryDisplay.from_history({"loss": [1]})
    with pytest.raises(ValueError, match="panels: each='energy' must be"):
        TrainingHistoryDisplay.from_estimator(fitted, panels=["energy"])
    with pytest.raises(ValueError, match="panels must name at least one of"):
        TrainingHistoryDisplay.from_estimator(fitted, panels=[])


def test_a_single_panel_by_its_name(fitted):
    assert list(TrainingHistoryDisplay.from_estimator(fitted, panels="loss").axes_) == ["loss"]
