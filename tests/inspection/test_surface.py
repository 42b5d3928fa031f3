"""AttentionSurfaceDisplay: attention while two modalities fail."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_emma.corruption import Drift, Scaling
from sklearn_emma.inspection import AttentionSurfaceDisplay


def test_attention_falls_with_the_noise_on_the_modality_itself(trained, wide):
    X = wide[0]
    display = AttentionSurfaceDisplay.from_estimator(
        trained, X[:100], failing=("modality2", "modality0"), levels=[0, 8], random_state=0
    )
    first, second = display.attention[:, :, 2], display.attention[:, :, 0]
    np.testing.assert_allclose(display.attention[0, 0], trained.attention(X[:100]).mean(axis=0))
    assert first[1, 0] < first[0, 0] - 0.5
    assert second[0, 1] < second[0, 0] - 0.5
    assert first[0, 1] > 0.8
    assert display.ax_.name == "3d"
    assert list(display.surfaces_) == ["modality2", "modality0"]
    assert display.ax_.get_xlabel() == "modality2: noise, in standard deviations"
    drawn = display.attention[:, :, [0, 2]]
    np.testing.assert_allclose(display.ax_.zz_dataLim.intervalx, [drawn.min(), drawn.max()])


def test_map_shows_the_attention_to_one_modality(legible):
    attention = np.arange(18).reshape(3, 3, 2) / 20
    display = AttentionSurfaceDisplay.from_grid(attention, [0, 1, 2], modality_names=["a", "b"])
    display.plot(kind="map", modality="b")
    legible(display)
    np.testing.assert_allclose(display.image_.get_array(), attention[:, :, 1].T)
    assert display.ax_.get_xlabel() == "a: noise"
    assert display.colorbar_.ax.get_ylabel() == "attention to b"


@pytest.mark.parametrize(("corruption", "levels"), [(Drift, [0, 4]), (Scaling, [1, 3])])
def test_nothing_fails_at_the_level_of_no_failure(fitted, table, corruption, levels):
    X = table[0][:50]
    display = AttentionSurfaceDisplay.from_estimator(
        fitted, X, corruption=corruption, levels=levels, random_state=0
    )
    np.testing.assert_allclose(display.attention[0, 0], fitted.attention(X).mean(axis=0))
    assert display.ax_.get_ylabel() == f"modality1: {corruption.level_name}"


def test_draws_on_axes_in_3d_only():
    ax = Figure().add_subplot(projection="3d")
    attention = np.ones((2, 2, 2))
    assert AttentionSurfaceDisplay.from_grid(attention, [0, 1], ax=ax).ax_ is ax
    with pytest.raises(ValueError, match='projection="3d"'):
        AttentionSurfaceDisplay.from_grid(attention, [0, 1], ax=Figure().add_subplot())


def test_wrong_input_is_explained(fitted, table):
    X, y = table
    for failing in (("modality0",), ("modality0", "modality0"), ("modality0", "ear")):
        with pytest.raises(ValueError, match="must name two different modalities out of"):
            AttentionSurfaceDisplay.from_estimator(fitted, X, failing=failing)
    with pytest.raises(TypeError, match="must be an instance of Corruption"):
        AttentionSurfaceDisplay.from_estimator(fitted, X, corruption=float)
    with pytest.raises(TypeError, match="AttentionSurfaceDisplay needs"):
        AttentionSurfaceDisplay.from_estimator(LogisticRegression().fit(X, y), X)
    with pytest.raises(ValueError, match=r"got shape \(2, 2\) and 2 level"):
        AttentionSurfaceDisplay.from_grid(np.ones((2, 2)), [0, 1])
    with pytest.raises(ValueError, match="modality='ear' must be 'modality0' or 'modality1'"):
        AttentionSurfaceDisplay.from_grid(np.ones((2, 2, 2)), [0, 1], modality="ear")
    for n, failing in ((1, None), (2, ("modality0", "ear")), (3, ("modality0",) * 3), (2, "ab")):
        with pytest.raises(ValueError, match="must name two different modalities out of"):
            AttentionSurfaceDisplay.from_grid(np.ones((2, 2, n)), [0, 1], failing=failing)
    with pytest.raises(ValueError, match="attention must be numbers from 0 to 1, but 8 of them"):
        AttentionSurfaceDisplay.from_grid(np.full((2, 2, 2), np.nan), [0, 1])
    with pytest.raises(TypeError, match="draws into a single Axes"):
        AttentionSurfaceDisplay.from_grid(np.ones((2, 2, 2)), [0, 1], ax=[Figure().add_subplot()])


@pytest.mark.parametrize("scaled", [False, True])
def test_pipelines_are_seen_through(fitted, table, scaled):
    X = table[0][:50]
    params = {"levels": [0, 4], "random_state": 0, "reference": X}
    expected = AttentionSurfaceDisplay.from_estimator(fitted, X, **params).attention
    first = FunctionTransformer(np.negative) if scaled else "passthrough"
    pipeline = Pipeline([("first", first), ("last", fitted)])
    params["reference"] = given = -X if scaled else X
    found = AttentionSurfaceDisplay.from_estimator(pipeline, given, **params).attention
    np.testing.assert_allclose(found, expected)
