"""AttentionDisplay: distributions, and a strip over the order of the samples."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_emma import DAEEnergyScorer, EMMAClassifier
from sklearn_emma.inspection import AttentionDisplay


def test_boxes_are_importance_and_attention(fitted, table, legible):
    X, _ = table
    display = legible(AttentionDisplay.from_estimator(fitted, X))
    for name, values in (("importance", fitted.importance(X)), ("attention", fitted.attention(X))):
        medians = [line.get_ydata()[0] for line in display.boxes_[name]["medians"]]
        np.testing.assert_allclose(medians, np.median(values, axis=0))


def test_strip_shows_samples_in_their_order(fitted, table, add_noise, legible):
    X = add_noise(table[0], "modality0", 9)
    display = legible(AttentionDisplay.from_estimator(fitted, X, kind="strip"))
    np.testing.assert_allclose(display.image_.get_array(), fitted.attention(X).T)
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == fitted.modality_names_
    assert display.image_.get_clim() == (0, 1)
    display.plot(kind="strip", quantity="importance")
    np.testing.assert_allclose(display.image_.get_array(), fitted.importance(X).T)
    assert display.colorbar_.ax.get_ylabel() == "importance"


def test_strip_of_many_samples_averages_them():
    values = np.zeros((6001, 2))
    values[4000:, 0] = 1
    display = AttentionDisplay.from_predictions(values, values, kind="strip")
    shown = np.asarray(display.image_.get_array())
    assert shown.shape == (2, 1501)
    np.testing.assert_allclose(shown[0, [0, 999, 1000, 1500]], [0, 0, 1, 1])
    assert display.image_.get_extent()[1] == 6000.5


def test_looks_into_pipelines(fitted, table):
    X, y = table
    X = X.to_numpy()
    groups = dict(zip(fitted.modality_names_, fitted.modality_columns_, strict=True))
    emma = clone(fitted).set_params(modalities=groups, max_epochs=1, pretrain_epochs=0)
    pipeline = make_pipeline(StandardScaler(), emma).fit(X, y)
    display = AttentionDisplay.from_estimator(pipeline, X)
    expected = pipeline[-1].attention(pipeline[0].transform(X))
    np.testing.assert_allclose(display.attention, expected)


def test_wrong_input_is_explained(table):
    X, _ = table
    with pytest.raises(TypeError, match="AttentionDisplay needs a fitted EMMAClassifier"):
        AttentionDisplay.from_estimator(DAEEnergyScorer(), X)
    with pytest.raises(ValueError, match="not fitted yet"):
        AttentionDisplay.from_estimator(EMMAClassifier(), X)
    with pytest.raises(ValueError, match=r"same shape, got \(1, 2\) and \(1, 1\)"):
        AttentionDisplay.from_predictions([[0, 1]], [[1]])
    with pytest.raises(ValueError, match="kind='strips' must be 'distribution' or 'strip'"):
        AttentionDisplay.from_predictions([[1]], [[1]], kind="strips")
    with pytest.raises(ValueError, match="quantity='beta' must be"):
        AttentionDisplay.from_predictions([[1]], [[1]], kind="strip", quantity="beta")
    with pytest.raises(ValueError, match="importance must be numbers from 0 to 1, but 2 of them"):
        AttentionDisplay.from_predictions([[5, -1, 1]], [[1, 1, 1]])
    AttentionDisplay.from_predictions([[1 + 1e-9]], [[-1e-9]])  # rounding errors
    with pytest.raises(TypeError, match="modality_names must be a list of names, got 'ab'"):
        AttentionDisplay.from_predictions([[1, 1]], [[1, 1]], modality_names="ab")
    with pytest.raises(ValueError, match=r"must differ from each other, got \['a', 'a'\]"):
        AttentionDisplay.from_predictions([[1, 1]], [[1, 1]], modality_names=["a", "a"])


def test_the_strip_of_one_sample_has_one_tick(legible):
    display = legible(AttentionDisplay.from_predictions([[1, 0]], [[1, 0]], kind="strip"))
    low, high = display.ax_.get_xlim()
    assert [tick for tick in display.ax_.get_xticks() if low <= tick <= high] == [0]
