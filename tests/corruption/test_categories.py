"""Failures of categorical columns: levels are replaced, swapped, stuck or missing."""

import numpy as np
import pandas as pd
import pytest
import torch

from sklearn_emma.corruption import (
    Corruption,
    Drift,
    Episodes,
    Missing,
    Mixture,
    Noise,
    NoiseSNR,
    Reference,
    Scaling,
    Stuck,
    Swapped,
)

N = 2000
COLUMNS = {"a": ["x", "city"], "b": ["flag", "grade", "n"]}


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "x": rng.normal(size=N),
            "city": rng.choice(["Bonn", "Oslo", "Rome", "Lima"], N),
            "flag": rng.random(N) < 0.5,
            "grade": pd.Categorical(rng.choice(["low", "top"], N), ["low", "mid", "top"]),
            "n": pd.array(rng.integers(0, 9, N), dtype="Int64"),
            "other": "kept",
        },
        index=np.arange(N)[::-1],
    )
    table["code"] = table["city"].astype(object)
    return table


def same(a, b):
    return (a.astype(object) == b.astype(object)).mean()


def corrupt(corruption, X, **params):
    return corruption.corrupt(X, COLUMNS, random_state=0, **params)[0]


@pytest.mark.parametrize(
    "corruption",
    [Noise(2), NoiseSNR(0), Missing(), Swapped(), Stuck(), Stuck(1.0), Drift(), Scaling()],
    ids=lambda corruption: type(corruption).__name__,
)
def test_columns_keep_their_types(X, corruption):
    before = X.copy()
    corrupted = corrupt(corruption, X)
    pd.testing.assert_frame_equal(X, before)
    assert corrupted.index.equals(X.index)
    for name in ("x", "city", "grade", "other", "code"):
        assert corrupted[name].dtype == X[name].dtype
    assert corrupted["n"].dtype == "Float64"
    missing = corrupted["flag"].isna().any()
    assert corrupted["flag"].dtype == ("boolean" if missing else bool)
    assert set(corrupted["city"].dropna()) <= set(X["city"])
    assert set(corrupted["grade"].dropna()) <= {"low", "top"}
    pd.testing.assert_frame_equal(corrupted[["other", "code"]], X[["other", "code"]])


@pytest.mark.parametrize("sigma", [0.5, 2.0, 8.0])
@pytest.mark.parametrize("of", [Noise, lambda sigma: NoiseSNR(-20 * np.log10(sigma))])
def test_noise_leaves_levels_the_correlation_of_numbers(X, sigma, of):
    corruption = of(sigma).set_params(only="b")
    flags, noisy = X["flag"], corrupt(corruption, X)["flag"]
    numbers = corrupt(corruption.set_params(only="a"), X)["x"]
    expected = 1 / np.sqrt(1 + sigma**2)
    assert np.corrcoef(X["x"], numbers)[0, 1] == pytest.approx(expected, abs=0.06)
    assert np.corrcoef(flags, noisy)[0, 1] == pytest.approx(expected, abs=0.06)


def test_levels_of_noise_come_from_the_reference(X):
    reference = X.assign(city="Quito", grade="mid")
    corrupted = corrupt(Noise(100.0, n_corrupted=2), X, reference=reference)
    assert (corrupted["city"] == "Quito").mean() > 0.95
    assert (corrupted["grade"] == "mid").mean() > 0.95
    assert corrupted["grade"].dtype == X["grade"].dtype


def test_missing_swapped_and_stuck_take_whole_modalities(X):
    gone = corrupt(Missing(only="b"), X)
    assert gone[["flag", "grade", "n"]].isna().all(axis=None)
    assert gone["city"].equals(X["city"])
    # the level comes from the same sample as the number
    pairs = set(zip(X["x"], X["city"], strict=True))
    assert set(zip(*corrupt(Swapped(only="a"), X)[["x", "city"]].T.values, strict=True)) <= pairs
    stuck = corrupt(Stuck(only="a"), X)
    assert (stuck["x"].nunique(), stuck["city"].nunique()) == (1, 1)
    assert (stuck["x"].iloc[0], stuck["city"].iloc[0]) in pairs
    at_value = corrupt(Stuck(7.0, only="a"), X)
    assert (at_value["x"] == 7.0).all()
    assert (at_value["city"] == X["city"].iloc[0]).all()


@pytest.mark.parametrize("corruption", [Drift(3.0), Scaling(5.0)])
def test_offsets_and_gains_leave_levels_as_they_are(X, corruption):
    corrupted = corrupt(corruption.set_params(n_corrupted=2), X)
    assert (corrupted["x"] != X["x"]).all()
    assert same(corrupted["city"], X["city"]) == same(corrupted["flag"], X["flag"]) == 1.0


def test_gaps_stay_gaps_under_noise(X):
    gaps = X.assign(city=X["city"].where(np.arange(N) >= 100, None))
    corrupted = corrupt(Noise(100.0, n_corrupted=2), gaps)
    np.testing.assert_array_equal(corrupted["city"].isna(), gaps["city"].isna())


def test_mixtures_and_episodes_pass_categories_on(X):
    mixed = corrupt(Mixture([Missing(), Drift()], [0.5, 0.5], only="a"), X)
    assert 0.4 < mixed["city"].isna().mean() < 0.6
    kept = mixed["city"].notna()
    assert same(mixed["city"][kept], X["city"][kept]) == 1.0
    episodes = Episodes(Stuck(), length=50, rate=1.0, only="a")
    stuck, indicator = episodes.corrupt(X, COLUMNS, random_state=0)
    fails = indicator[:, 0] < 0
    first = stuck["city"][np.cumsum(~fails) == 1][1:51]
    assert first.nunique() == 1
    growing = Episodes(Swapped(), length=N, rate=1.0, growing=True, only="a")
    changed = corrupt(growing, X)["city"].to_numpy() != X["city"].to_numpy()
    assert changed[: N // 4].mean() < changed[-N // 4 :].mean() - 0.3


def test_a_corruption_of_ones_own_leaves_levels_as_they_are(X):
    class Zero(Corruption):
        def _fail(self, x, mean, std, donors, generator):
            return torch.zeros_like(x)

    corrupted = corrupt(Zero(n_corrupted=2), X)
    assert (corrupted["x"] == 0).all()
    assert corrupted["city"].equals(X["city"])
    assert corrupted["flag"].equals(X["flag"])


def test_object_arrays_and_polars(X):
    positions = {"a": [0, 1], "b": [2, 3, 4]}
    array = X.astype(object).to_numpy()
    expected = corrupt(Noise(3.0), X)
    given, _ = Noise(3.0).corrupt(array, positions, random_state=0)
    assert given.dtype == object
    np.testing.assert_array_equal(given[:, 1], expected["city"])
    np.testing.assert_allclose(given[:, 0].astype(float), expected["x"])
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({name: X[name].astype(object).tolist() for name in X})
    noisy, _ = Missing(only="b").corrupt(Noise(3.0).corrupt(frame, COLUMNS, 0)[0], COLUMNS)
    assert isinstance(noisy, polars.DataFrame)
    assert noisy["city"].to_list() == expected["city"].tolist()
    assert noisy["grade"].null_count() == N
    assert noisy.schema["city"] == frame.schema["city"]


def test_indicators_move_together():
    levels = torch.eye(3).repeat(40, 1)
    x = torch.cat([levels, torch.randn(120, 1)], 1)
    reference = Reference.from_tensors([x])
    reference = Reference(
        reference.means, reference.stds, reference.donors, [[torch.tensor([0, 1, 2])]]
    )
    generator = torch.Generator().manual_seed(0)
    (noisy,), _ = Noise(2.0).corrupt_tensors([x], generator=generator, reference=reference)
    assert (noisy[:, :3].sum(1) == 1).all()
    assert (noisy[:, :3].amax(1) == 1).all()
    assert 0.2 < (noisy[:, :3] != levels).any(1).float().mean() < 0.5
    assert (noisy[:, 3] != x[:, 3]).all()


def test_dates_are_refused(X):
    dated = X.assign(x=pd.Timestamp("2020-01-01"))
    with pytest.raises(ValueError, match=r"Column\(s\) 'x' hold dates"):
        corrupt(Noise(), dated)
    with pytest.raises(ValueError, match=r"Column\(s\) 'x' hold dates"):
        corrupt(Noise(), X, reference=dated)
    # those of no modality may be anything
    corrupt(Noise(), X.assign(other=pd.Timestamp("2020-01-01")))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda x, donors: donors[0:1], r"_fail_category of Own must return"),
        (lambda x, donors: x.numpy(), "_fail_category of Own must return a torch.Tensor"),
        (lambda x, donors: x * 0 + 99.0, "must be codes of its 2 levels"),
        (lambda x, donors: x + 0.5, "must be codes of its 2 levels"),
    ],
)
def test_what_a_category_becomes_is_checked(result, message):
    class Own(Corruption):
        uses_reference = False

        def _fail(self, x, mean, std, donors, generator):
            return x * 2

        def _fail_category(self, x, failed, donors, generator):
            return result(x, donors)

    table = pd.DataFrame({"a": ["u", "v"] * 10, "b": np.arange(20.0)})
    with pytest.raises((TypeError, ValueError), match=message):
        Own().corrupt(table, random_state=0)
