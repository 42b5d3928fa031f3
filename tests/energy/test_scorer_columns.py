"""Every kind of column, and hardly any samples: what real tables are like."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from sklearn_emma import DAEEnergyScorer

N_GOOD = 6


def make_good(n, seed):
    """Return six columns in two correlated groups of three."""
    rng = np.random.RandomState(seed)
    return rng.normal(size=(n, 2))[:, [0, 0, 0, 1, 1, 1]] + 0.3 * rng.normal(size=(n, N_GOOD))


def make_odd(n, seed):
    """Return columns of no use: constant, heavy-tailed, coded, one-hot, far from zero."""
    rng = np.random.RandomState(1000 + seed)
    kind = rng.randint(3, size=n)
    return np.column_stack(
        [
            np.full(n, 7.0),
            rng.standard_cauchy(n),
            rng.randint(0, 5, size=n),
            kind == 0,
            kind == 1,
            1e9 + rng.normal(size=n),
        ]
    ).astype(float)


def make_ordinary(n, seed):
    """Return as many columns of no use that are independent and normal."""
    return np.random.RandomState(2000 + seed).normal(size=(n, 6))


def with_duplicate(table):
    return np.column_stack([table, table[:, 0]])


def fit(table, **params):
    defaults = {"hidden_layer_sizes": (16,), "max_epochs": 15, "random_state": 0}
    scorer = DAEEnergyScorer(**{**defaults, **params})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Constant in the training samples")
        return scorer.fit(table)


def add_noise(table, seed, columns=range(N_GOOD)):
    columns = list(columns)
    noise = np.random.RandomState(seed).normal(size=(len(table), len(columns)))
    noisy = table.copy()
    noisy[:, columns] += table[:, columns].std(axis=0) * noise
    return noisy


def quality(scorer, clean, noisy):
    """Return how well noisy samples are told from clean ones."""
    energies = -scorer.score_samples(np.concatenate([clean, noisy]))
    assert np.isfinite(energies).all()
    return roc_auc_score(np.repeat([0, 1], len(clean)), energies)


def tell(make_further, seed):
    """Return the quality at telling noise on the six columns when there are further ones."""
    clean = make_good(400, seed + 50)
    tables = make_good(500, seed), clean, add_noise(clean, seed + 80)
    if make_further is not None:
        further = make_further(500, seed), *[make_further(400, seed + 50)] * 2
        tables = [
            with_duplicate(np.column_stack(pair)) for pair in zip(tables, further, strict=True)
        ]
    train, clean, noisy = tables
    return quality(fit(train), clean, noisy)


def test_odd_columns_hide_noise_on_others_no_more_than_ordinary_columns_do():
    alone, among_odd, among_ordinary = (
        np.mean([tell(make_further, seed) for seed in range(2)])
        for make_further in (None, make_odd, make_ordinary)
    )
    # any columns of no use add to the energy what has nothing to do with the noise: six more than
    # halve the share of columns that tell. Odd ones may cost as much as ordinary ones and, for
    # what two tables vary, a little more; but what the others tell must not be lost.
    assert among_odd > among_ordinary - 0.03
    assert among_odd > alone - 0.1
    assert alone > 0.9


def test_a_table_of_all_kinds_warns_of_its_constant_only_and_has_finite_values():
    table = with_duplicate(np.column_stack([make_good(200, 0), make_odd(200, 0)]))
    scorer = DAEEnergyScorer(hidden_layer_sizes=(8,), max_epochs=3, random_state=0)
    with pytest.warns(
        UserWarning, match=r"Constant in the training samples.*: column\(s\) 6\."
    ) as seen:
        scorer.fit(table)
    assert len(seen) == 1
    fresh = with_duplicate(np.column_stack([make_good(50, 1), make_odd(50, 1)]))
    for method in ("transform", "reconstruct", "energy_gradient", "nearest_typical", "attribution"):
        assert np.isfinite(getattr(scorer, method)(fresh)).all()
    # no column is lost in another's units
    moved = np.abs(scorer.nearest_typical(fresh) - fresh)
    assert (moved[:, 11] < 20.0).all()


@pytest.mark.parametrize(
    "make_column",
    [
        lambda x, rng: np.round(x),
        lambda x, rng: (x > 0).astype(float),
        lambda x, rng: 1e9 + x,
        lambda x, rng: 1e-150 * x,
        lambda x, rng: np.exp(2.0 * x),
        lambda x, rng: np.sinh(3.0 * x),
        lambda x, rng: np.where(rng.uniform(size=len(x)) < 0.02, 30.0 * rng.normal(size=len(x)), x),
    ],
    ids=["coded", "binary", "offset", "tiny", "skewed", "heavy", "outliers"],
)
def test_an_odd_column_that_goes_with_others_is_missed_when_it_does_not(make_column):
    def make(n, seed):
        good, rng = make_good(n, seed), np.random.RandomState(seed)
        return np.column_stack([good[:, :3], make_column(good.mean(axis=1, where=mask), rng)])

    mask = np.array([True, True, True, False, False, False])
    scorer, fresh = fit(make(400, 0)), make(400, 1)
    shuffled = fresh.copy()
    shuffled[:, 3] = fresh[np.random.RandomState(2).permutation(400), 3]
    # a value of the column is as likely as ever, but not in its sample
    assert quality(scorer, fresh, shuffled) > 0.55


@pytest.mark.parametrize("value", [-9999.0, 1e6, 1e20])
def test_a_wild_value_among_the_training_samples_does_not_blind_the_energy_to_its_column(value):
    table, clean = make_good(400, 0), make_good(300, 1)
    noisy = add_noise(clean, 2, columns=[0])
    expected = quality(fit(table), clean, noisy)
    table[3, 0] = value
    assert quality(fit(table), clean, noisy) > expected - 0.1


@pytest.mark.parametrize("views", ["fine", "coarse"])
def test_units_of_the_columns_do_not_matter(views):
    # powers of two, so that no rounding differs
    unit = 2.0 ** np.array([0, 30, -40, 3, 200, -7])
    table = make_good(200, 0)
    plain, in_units = (fit(samples, max_epochs=3, views=views) for samples in (table, table * unit))
    np.testing.assert_allclose(in_units.transform(table * unit), plain.transform(table), rtol=1e-6)
    np.testing.assert_allclose(
        in_units.reconstruct(table * unit), plain.reconstruct(table) * unit, rtol=1e-6
    )


def test_a_table_that_repeats_its_samples_is_learnt_like_any_other():
    table, clean = make_good(200, 0), make_good(300, 1)
    scorer = fit(np.repeat(table, 3, axis=0))
    assert quality(scorer, clean, add_noise(clean, 2)) > 0.85


# Hardly any samples


@pytest.mark.parametrize(
    ("make_further", "params"),
    [(None, {"hidden_layer_sizes": (64, 32), "max_epochs": 100}), (make_odd, {})],
    ids=["ordinary columns, defaults", "odd columns, quick"],
)
def test_a_hundred_samples_are_enough_not_to_call_fresh_ones_outliers(make_further, params):
    above, flagged = [], []
    for seed in range(2):
        train, fresh = make_good(100, seed), make_good(300, seed + 50)
        if make_further is not None:
            train = np.column_stack([train, make_further(100, seed)])
            fresh = np.column_stack([fresh, make_further(300, seed + 50)])
        scorer = fit(train, **params)
        low, high = np.quantile(-scorer.score_samples(train), [0.25, 0.75])
        above.append((np.median(-scorer.score_samples(fresh)) - high) / (high - low))
        flagged.append((scorer.predict(fresh) == -1).mean())
    assert max(above) < 2.0
    assert np.mean(flagged) < 0.25


def test_samples_far_from_all_training_samples_seldom_look_typical():
    grid = np.stack(np.meshgrid(*[np.linspace(-5.0, 5.0, 41)] * 2), -1).reshape(-1, 2)
    shares = []
    for seed in range(3):
        rng = np.random.RandomState(seed)
        table = rng.normal(size=(200, 1)) + 0.3 * rng.normal(size=(200, 2))
        samples = table.mean(axis=0) + grid * table.std(axis=0)
        distance = np.linalg.norm((samples[:, None] - table) / table.std(axis=0), axis=2).min(
            axis=1
        )
        energies = fit(table).transform(samples[distance > 1.0])
        shares.append((energies < 0).mean())
    # a valley where no training sample is would be a false minimum
    assert np.mean(shares) < 0.02


@pytest.mark.parametrize("n_samples", [2, 3, 5, 19, 20])
def test_a_handful_of_samples_has_finite_energies(n_samples):
    train, fresh = make_good(n_samples, 0), make_good(50, 1)
    scorer = fit(train, max_epochs=3)
    for method in ("transform", "reconstruct", "energy_gradient", "attribution"):
        assert np.isfinite(getattr(scorer, method)(fresh)).all()


def test_more_columns_than_samples():
    rng = np.random.RandomState(0)
    table = rng.normal(size=(30, 1)) + 0.5 * rng.normal(size=(30, 100))
    fresh = rng.normal(size=(100, 1)) + 0.5 * rng.normal(size=(100, 100))
    scorer = fit(table)
    assert quality(scorer, fresh, fresh + 2.0 * rng.normal(size=fresh.shape)) > 0.9
