"""Episodes: a corruption that lasts."""

import numpy as np
import pandas as pd
import pytest

from sklearn_emma.corruption import (
    Drift,
    Episodes,
    Missing,
    Mixture,
    Noise,
    Scaling,
    SomeColumns,
    Stuck,
)

GROUPS = {"radar": [0, 1], "camera": [2]}


def runs(failing):
    """Lengths of the runs of failing samples."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], failing, [False]]).astype(int)))
    return np.diff(edges.reshape(-1, 2), axis=1).ravel()


def test_one_modality_fails_for_as_long_as_an_episode_is():
    X = np.random.RandomState(0).standard_normal((2000, 3))
    failed, indicator = Episodes(Missing(), length=30, rate=0.01).corrupt(X, GROUPS, 0)
    assert set(indicator.sum(axis=1)) == {0, 2}
    assert set(runs((indicator < 0).any(axis=1)[:-30])) == {30}
    assert indicator[0].tolist() == [1, 1]
    np.testing.assert_array_equal(np.isnan(failed[:, 2]), indicator[:, 1] < 0)
    np.testing.assert_array_equal(failed[indicator[:, 0] > 0, :2], X[indicator[:, 0] > 0, :2])
    assert (indicator < 0).any(axis=0).all()


def test_episodes_come_at_their_rate():
    X = np.zeros((50_000, 1))
    _, indicator = Episodes(Stuck(1.0), length=10, rate=0.01).corrupt(X, random_state=0)
    n_clean = (indicator > 0).sum()
    assert len(runs(indicator[:, 0] < 0)) == pytest.approx(0.01 * n_clean, rel=0.15)


def test_every_episode_sticks_at_values_of_its_own():
    X = np.arange(3000.0).reshape(-1, 3)
    failed, indicator = Episodes(Stuck(), length=50, rate=0.02, only="radar").corrupt(X, GROUPS, 0)
    values = np.unique(failed[indicator[:, 0] < 0, 0])
    assert 1 < len(values) <= len(runs(indicator[:, 0] < 0))
    assert (indicator[:, 1] == 1).all()


def of_episodes(corruption, X, **params):
    """Differences to the clean samples, shape (n_episodes, length, n_columns)."""
    episodes = Episodes(corruption, length=50, rate=1.0, only="radar", **params)
    failed, _ = episodes.corrupt(X, GROUPS, 0)
    return (failed - X)[1:].reshape(-1, 51, 3)[:, :50]


def test_what_lasts_is_drawn_once_per_episode():
    X = np.random.default_rng(0).normal(size=(1 + 51 * 40, 3))
    std, mean = X.std(axis=0), X.mean(axis=0)
    offset = of_episodes(Drift(2), X)[:, :, :2] / std[:2]
    assert np.ptp(offset, axis=(1, 2)).max() < 1e-9
    assert set(offset[:, 0, 0].round(9)) == {-2.0, 2.0}
    clean = (X - mean)[1:].reshape(-1, 51, 3)[:, :50]
    factor = ((of_episodes(Scaling(3), X) + clean) / clean)[:, :, :2]
    assert np.ptp(factor, axis=(1, 2)).max() < 1e-6
    assert set(factor[:, 0, 0].round(6)) == {0.333333, 3.0}
    noise = of_episodes(Noise((0.1, 10.0)), X)[:, :, :2].std(axis=(1, 2))
    assert noise.max() > 20 * noise.min()  # of mixed sizes, all episodes would be alike
    columns = of_episodes(SomeColumns(Stuck(9.0)), X) != 0
    assert set(columns.sum(axis=(1, 2))) == {50}
    assert set(columns.all(axis=1).sum(axis=1)) == {1}
    kinds = of_episodes(Mixture([Missing(), Drift(2)]), X)
    missing = np.isnan(kinds[:, :, 0]).mean(axis=1)
    assert set(missing) == {0.0, 1.0}
    assert np.ptp(kinds[missing == 0][:, :, 0], axis=1).max() < 1e-9


def test_growing_failures_start_small():
    X = np.zeros((12, 1))
    reference = np.array([[-1.0], [1.0]])
    episodes = Episodes(Stuck(8.0), length=4, rate=1.0, growing=True)
    failed, _ = episodes.corrupt(X, random_state=0, reference=reference)
    assert failed.ravel().tolist() == [0, 2, 4, 6, 8, 0, 2, 4, 6, 8, 0, 2]


def test_values_go_missing_ever_more_often_when_the_failure_grows():
    X = np.tile([0.0, np.nan], (40_000, 1))
    missing = Episodes(Missing(), length=100, rate=1.0, growing=True).corrupt(X, random_state=0)[0]
    share = np.isnan(missing[1:, 0])[: 101 * 390].reshape(-1, 101)[:, :100].mean(axis=0)
    np.testing.assert_allclose(share, np.arange(1, 101) / 100, atol=0.1)
    stuck = Episodes(Stuck(9.0), length=100, rate=1.0, growing=True).corrupt(X, random_state=0)[0]
    share = (stuck[1:, 1] == 9.0)[: 101 * 390].reshape(-1, 101)[:, :100].mean(axis=0)
    np.testing.assert_allclose(share, np.arange(1, 101) / 100, atol=0.1)


@pytest.mark.parametrize("inside", [lambda e: Mixture([e]), SomeColumns, Episodes])
def test_episodes_are_not_part_of_another_corruption(inside):
    with pytest.raises(ValueError, match="Use Episodes"):
        inside(Episodes(Missing(), rate=1.0)).corrupt(np.zeros((500, 1)), random_state=0)


def test_tables_keep_their_type_and_repeat_with_a_seed():
    X = pd.DataFrame(np.random.RandomState(0).standard_normal((200, 3)), columns=["a", "b", "c"])
    episodes = Episodes(Drift(), rate=0.05, length=20)
    one, other = (episodes.corrupt(X, GROUPS, random_state=3)[0] for _ in range(2))
    pd.testing.assert_frame_equal(one, other)
    assert not one.equals(X)


@pytest.mark.parametrize(
    ("episodes", "message"),
    [
        (Episodes("noise"), "corruption must be an instance such as Stuck"),
        (Episodes(Missing(), length=0), "length=0 must be a positive integer"),
        (Episodes(Missing(), rate=0.0), r"rate=0.0 must be a number in \(0, 1\]"),
        (Episodes(Missing(), growing=1), "growing=1 must be True or False"),
        (Episodes(Drift(-1.0)), "offset=-1.0 must be a positive number"),
    ],
)
def test_wrong_parameters_are_explained(episodes, message):
    with pytest.raises(ValueError, match=message):
        episodes.corrupt(np.zeros((3, 1)))
