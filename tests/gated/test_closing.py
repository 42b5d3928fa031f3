"""Masks of a gate, and tables behind them."""

import numpy as np

from sklearn_emma.gated.closing import close_modalities, draw_closed, masks, mean_over_masks

COLUMNS = [np.array([0, 3]), np.array([1])]


def test_what_is_closed_is_missing():
    table = np.arange(8.0).reshape(2, 4)
    found = close_modalities(table, COLUMNS, np.array([[True, False], [False, True]]))
    np.testing.assert_array_equal(found, [[np.nan, 1, 2, np.nan], [4, np.nan, 6, 7]])
    assert np.isfinite(table).all()
    assert close_modalities(table.astype(np.float32), COLUMNS, np.zeros((2, 2), bool)).dtype == "f4"


def test_one_threshold_gives_one_mask():
    attention = np.array([[0.5, 0.51], [0.0, 1.0]])
    ((weight, closed),) = masks(attention, 0.5)
    np.testing.assert_array_equal(weight, [1.0, 1.0])
    np.testing.assert_array_equal(closed, [[True, False], [True, False]])


def test_over_all_thresholds_a_modality_is_open_as_its_attention_says():
    attention = np.random.default_rng(0).uniform(0.05, 1.0, size=(50, 4))
    found = list(masks(attention, "mean"))
    assert len(found) <= 5
    np.testing.assert_allclose(sum(weight for weight, _ in found), 1.0)
    share = sum(weight[:, None] * ~closed for weight, closed in found)
    np.testing.assert_allclose(
        share, attention / attention.max(axis=1, keepdims=True), atol=4 * 0.01
    )


def test_negligible_attention_is_none():
    attention = np.array([[1.0, 0.003], [0.0, 0.0], [0.96, 0.96]])
    found = [(w, s) for w, s in masks(attention, "mean") if w.any()]
    weights = np.array([w for w, _ in found])
    assert ((weights == 0) | (weights > 0.99)).all()  # every sample has one mask
    closed = np.array([s for _, s in found])[weights.argmax(axis=0), np.arange(3)]
    np.testing.assert_array_equal(closed, [[False, True], [True, True], [False, False]])


def test_the_mean_over_masks_weighs_what_is_predicted_behind_each():
    table = np.ones((3, 4))
    attention = np.array([[1.0, 0.25], [0.5, 1.0], [0.0, 0.0]])

    def count(gated):
        return (~np.isnan(gated)).sum(axis=1)[:, None]

    def mean(threshold):
        return mean_over_masks(count, table, COLUMNS, attention, threshold)

    # of four columns one belongs to no modality
    np.testing.assert_allclose(mean(0.5), [[3], [2], [1]])
    np.testing.assert_allclose(mean("mean"), [[1 + 2 + 0.25], [1 + 2 * 0.5 + 1], [1]])


def test_random_sets_of_modalities():
    closed = draw_closed(4000, 3, np.random.RandomState(0))
    share = np.bincount(closed.sum(axis=1), minlength=4) / 4000
    np.testing.assert_allclose(share, [0, 0.475, 0.475, 0.05], atol=0.03)
    np.testing.assert_allclose(closed.mean(axis=0), closed.mean(), atol=0.03)
    assert not draw_closed(100, 1, np.random.RandomState(0)).any()
