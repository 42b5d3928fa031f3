"""RobustnessCurveDisplay: cross-validated scores against failure levels."""

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.utils import Bunch

from sklearn_emma.corruption import NoiseSNR
from sklearn_emma.inspection import RobustnessCurveDisplay
from sklearn_emma.model_selection import robustness_curve


@pytest.fixture(scope="module")
def results(table):
    X, y = table
    return {
        name: robustness_curve(
            model, X, y, modalities="prefix", levels=[0, 1, 4], cv=3, random_state=0
        )
        for name, model in (("logistic", LogisticRegression()), ("dummy", DummyClassifier()))
    }


def test_curves_are_means_over_modalities_within_bands_from_worst_to_best(results, legible):
    display = legible(RobustnessCurveDisplay.from_results(results))
    scores = results["logistic"].test_scores
    np.testing.assert_allclose(display.lines_["logistic"].get_ydata(), scores.mean(axis=(0, 2)))
    corners = display.bands_["logistic"].get_paths()[0].get_extents()
    assert corners.y0 == pytest.approx(scores.mean(axis=2).min())
    assert corners.y1 == pytest.approx(scores.mean(axis=2).max())
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == ["0", "1", "4"]
    assert list(display.lines_) == ["logistic", "dummy"]


def test_curve_of_one_modality(results, legible):
    display = legible(RobustnessCurveDisplay.from_results(results, modality="modality2"))
    expected = results["logistic"].test_scores[2].mean(axis=1)
    np.testing.assert_allclose(display.lines_["logistic"].get_ydata(), expected)
    with pytest.raises(ValueError, match="modality='ear' is none of those that failed"):
        display.plot(modality="ear")


def test_matched_training_is_drawn_as_the_reference(wide, legible):
    X, y = wide[:2]
    display = RobustnessCurveDisplay.from_estimator(
        {"logistic": LogisticRegression()},
        X,
        y,
        modalities="prefix",
        levels=[0, 8],
        specialist=LogisticRegression(),
        cv=3,
        scoring="balanced_accuracy",
        random_state=0,
    )
    legible(display)
    curve, specialist = display.lines_["logistic"].get_ydata(), display.specialist_.get_ydata()
    assert specialist[0] == pytest.approx(curve[0])  # nothing fails
    assert specialist[1] > curve[1] + 0.1
    assert display.specialist.shape == (3, 2)
    assert display.ax_.get_xlabel() == "noise, in standard deviations"
    assert display.ax_.get_ylabel().startswith("balanced accuracy")
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["logistic", "specialist"]


def test_levels_may_be_infinite(table, legible):
    X, y = table
    display = RobustnessCurveDisplay.from_estimator(
        LogisticRegression(),
        X,
        y,
        modalities="prefix",
        corruption=NoiseSNR,
        levels=[np.inf, 0],
        specialist=LogisticRegression(),
        only="modality0",
        cv=2,
    )
    legible(display)
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == ["inf", "0"]
    assert list(display.lines_) == ["LogisticRegression"]


def test_same_random_state_same_picture(table):
    X, y = table
    params = {"modalities": "prefix", "levels": [2], "cv": 2, "specialist": LogisticRegression()}
    one, two = (
        RobustnessCurveDisplay.from_estimator(LogisticRegression(), X, y, random_state=3, **params)
        for _ in range(2)
    )
    assert one.specialist_.get_ydata() == two.specialist_.get_ydata()
    np.testing.assert_array_equal(
        one.lines_["LogisticRegression"].get_ydata(), two.lines_["LogisticRegression"].get_ydata()
    )


def test_several_displays_share_axes(results):
    name, result = next(iter(results.items()))
    first = RobustnessCurveDisplay.from_results({name: result})
    assert first.ax_.get_legend() is None
    second = RobustnessCurveDisplay.from_results({"other": result}, ax=first.ax_)
    assert first.lines_[name].get_color() != second.lines_["other"].get_color()
    texts = [text.get_text() for text in first.ax_.get_legend().get_texts()]
    assert texts == [name, "other"]


def test_a_single_failing_modality_is_named():
    result = Bunch(
        levels=np.array([0.0, 2.0]), modality_names=["radar"], test_scores=np.ones((1, 2, 3))
    )
    display = RobustnessCurveDisplay.from_results(result)
    assert display.ax_.get_ylabel() == "score (radar fails)"


def test_wrong_input_is_explained(results):
    other = Bunch(levels=np.array([0.0, 2.0]), modality_names=["a"], test_scores=np.ones((1, 2, 3)))
    with pytest.raises(ValueError, match="same levels and modalities, but those of 'other'"):
        RobustnessCurveDisplay.from_results({**results, "other": other})
    with pytest.raises(ValueError, match=r"of shape \(3, 3\), got shape \(2,\)"):
        RobustnessCurveDisplay.from_results(results, specialist=[1, 2])
    with pytest.raises(ValueError, match="at least one result"):
        RobustnessCurveDisplay.from_results({})
    with pytest.raises(TypeError, match="a dict of names and results, .* got list"):
        RobustnessCurveDisplay.from_results([other])


def test_the_scores_are_those_of_robustness_curve(table, results):
    X, y = table
    display = RobustnessCurveDisplay.from_estimator(
        LogisticRegression(), X, y, modalities="prefix", levels=[0, 1, 4], cv=3, random_state=0
    )
    scores = results["logistic"].test_scores
    line = display.lines_["LogisticRegression"].get_ydata()
    np.testing.assert_allclose(line, scores.mean(axis=(0, 2)))
