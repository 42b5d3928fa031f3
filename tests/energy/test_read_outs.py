"""What a fitted energy says of samples: p-values, the modalities and the columns to blame."""

import numpy as np
import pytest

from sklearn_emma import DAEEnergyScorer, EnergyView

GROUPS = {"left": [0, 1, 2, 3], "right": [7, 5]}


def make_table(n=200, seed=0):
    """Return columns of different units, correlated within modalities; column 6 is of none."""
    rng = np.random.RandomState(seed)
    latent = rng.normal(size=(n, 3))
    samples = latent[:, [0, 0, 0, 0, 2, 1, 2, 1]] + 0.3 * rng.normal(size=(n, 8))
    return samples * [1.0, 10.0, 0.1, 5.0, 1.0, 3.0, 1.0, 20.0] + [0, 100, 0, -3, 2, 0, 7, -50]


def make_scorer(modalities=GROUPS, **params):
    defaults = {"hidden_layer_sizes": (8,), "max_epochs": 5, "random_state": 0}
    return DAEEnergyScorer(modalities, **{"remainder": "drop", **defaults, **params})


def add_noise(samples, columns, sigma, seed=1):
    """Return samples with noise of sigma standard deviations on some columns."""
    noisy = samples.copy()
    noise = np.random.RandomState(seed).normal(size=(len(samples), len(columns)))
    noisy[:, columns] += sigma * samples[:, columns].std(axis=0) * noise
    return noisy


@pytest.fixture(scope="module")
def fitted():
    return make_scorer(max_epochs=30, calibration_fraction=0.2).fit(make_table(400))


@pytest.fixture(scope="module")
def samples():
    return make_table(300, seed=5)


# p-values


def test_p_values_are_the_share_of_calibration_samples_that_are_as_unusual(fitted, samples):
    samples = np.concatenate([samples, add_noise(samples, GROUPS["right"], 5.0)])
    p_values, energies = fitted.p_values(samples), fitted.transform(samples)
    held_out = fitted.calibration_energies_
    assert held_out.shape == (80, 2)
    as_unusual = (held_out[None] >= energies[:, None]).sum(axis=1)
    np.testing.assert_allclose(p_values, (1.0 + as_unusual) / 81.0)
    assert p_values.min() == pytest.approx(1 / 81)
    assert p_values.max() <= 1.0


def test_samples_as_unusual_as_a_calibration_sample_count_it(fitted):
    table = make_table(400)
    energies = fitted.transform(table)
    # the samples that were held out are among the training samples, and tie with themselves
    held_out = (energies[:, None] == fitted.calibration_energies_[None]).all(axis=2).any(axis=1)
    assert held_out.sum() == 80
    ranks = np.sort(fitted.p_values(table[held_out])[:, 0])
    np.testing.assert_allclose(ranks, np.arange(2, 82) / 81)


def test_p_values_fall_as_energies_rise(fitted, samples):
    samples = np.concatenate([samples, add_noise(samples, [0, 1, 2, 3, 5, 7], 2.0)])
    energies, p_values = fitted.transform(samples), fitted.p_values(samples)
    for i in range(2):
        assert (np.diff(p_values[energies[:, i].argsort(), i]) <= 0).all()
        assert p_values[energies[:, i].argmin(), i] > 0.9


def test_held_out_samples_are_a_share_of_the_training_samples_drawn_by_the_random_state():
    table = make_table(200)
    first, second, other = (
        make_scorer(max_epochs=1, calibration_fraction=0.25, random_state=seed).fit(table)
        for seed in (1, 1, 2)
    )
    assert len(first.calibration_energies_) == 50
    np.testing.assert_array_equal(first.calibration_energies_, second.calibration_energies_)
    assert not np.allclose(first.calibration_energies_, other.calibration_energies_)


def simulate(alphas, view, n_fits, n_samples=200):
    """Return how often fresh samples have a p-value of at most alpha, over many fits."""
    shares = []
    for seed in range(n_fits):
        rng = np.random.RandomState(seed)
        scorer = make_scorer(
            None, views=view, max_epochs=1, calibration_fraction=99 / n_samples, random_state=seed
        ).fit(rng.standard_t(4, size=(n_samples, 2)))
        p_values = scorer.p_values(rng.standard_t(4, size=(400, 2)))
        shares.append([(p_values <= alpha).mean() for alpha in alphas])
    return np.mean(shares, axis=0)


@pytest.mark.parametrize(
    "view",
    [EnergyView("auto"), EnergyView(0.05, n_prototypes=101)],
    ids=["hardly trained", "learnt by heart"],
)
def test_fresh_samples_are_called_outliers_as_often_as_asked_for_however_good_the_energy(view):
    alphas, n_fits, n_held_out, n_fresh = np.array([0.05, 0.2]), 20, 99, 400
    share = simulate(alphas, view, n_fits)
    # with 99 samples held out the rate is exact; what the share of a fit varies by is due to the
    # samples held out (a beta distribution) and to the fresh ones (a binomial)
    variance = alphas * (1 - alphas) * (1 / (n_held_out + 2) + 1 / n_fresh) / n_fits
    assert (share <= alphas + 4 * np.sqrt(variance)).all()
    assert (share >= alphas - 4 * np.sqrt(variance)).all()


@pytest.mark.parametrize("failing", [0, 1])
def test_a_noisy_modality_is_flagged_and_the_other_is_not(fitted, samples, failing):
    noisy = add_noise(samples, list(GROUPS.values())[failing], 5.0)
    flags = fitted.predict_modality(noisy, alpha=0.1)
    assert flags.dtype == bool
    assert flags[:, failing].mean() > 0.6
    # what the fit misses of alpha by chance: 80 samples held out, 300 fresh ones
    assert flags[:, 1 - failing].mean() < 0.1 + 4 * np.sqrt(0.09 * (1 / 80 + 1 / 300))
    np.testing.assert_array_equal(
        flags[:, 1 - failing], fitted.predict_modality(samples, alpha=0.1)[:, 1 - failing]
    )


@pytest.mark.parametrize("alpha", [0.02, 0.05, 0.5])
def test_flags_are_p_values_up_to_alpha(fitted, samples, alpha):
    flags = fitted.predict_modality(samples, alpha)
    np.testing.assert_array_equal(flags, fitted.p_values(samples) <= alpha)
    if alpha == 0.05:
        np.testing.assert_array_equal(flags, fitted.predict_modality(samples))


def test_weights_of_zero_hold_nothing_out():
    table, weight = make_table(200), np.ones(200)
    weight[100:] = 0.0
    scorer = make_scorer(max_epochs=1).fit(table, sample_weight=weight)
    assert len(scorer.calibration_energies_) == 10


def test_without_samples_held_out_p_values_say_what_to_do(samples):
    for scorer in (
        make_scorer(calibration_fraction=0).fit(make_table()),
        make_scorer().fit(make_table(4)),
    ):
        assert scorer.calibration_energies_.shape == (0, 2)
        for method in (scorer.p_values, scorer.predict_modality):
            with pytest.raises(
                ValueError, match="No training sample was held out.*Set calibration_f"
            ):
                method(samples)


def test_too_few_calibration_samples_for_a_rate_warn(samples):
    scorer = make_scorer().fit(make_table(50))
    message = (
        r"With 5 samples held out.*below 0\.17, so that alpha=0\.05 flags nothing.*Raise alpha"
    )
    with pytest.warns(UserWarning, match=message) as seen:
        flags = scorer.predict_modality(add_noise(samples, GROUPS["left"], 9.0))
    assert seen[0].filename == __file__
    assert not flags.any()
    # and just enough samples do not: warnings are errors here
    assert make_scorer().fit(make_table(190)).predict_modality(samples + 1e3, alpha=0.05).all()


@pytest.mark.parametrize("alpha", [0, 1, 0.0, 1.0, -0.1, 5, np.nan, "0.05", None, True, [0.05]])
def test_a_rate_must_be_one(fitted, samples, alpha):
    with pytest.raises(ValueError, match="alpha must be a false-alarm rate between 0 and 1"):
        fitted.predict_modality(samples, alpha=alpha)


# Where a sample came from


@pytest.fixture(scope="module")
def explained(fitted, samples):
    """Rows as they are and noisier and noisier; where they came from; and the columns to blame."""
    noisy = [add_noise(samples[:100], [0, 3, 4, 5], sigma) for sigma in (1.0, 8.0, 1e3, 1e9)]
    noisy = np.concatenate([samples, *noisy])
    return noisy, fitted.nearest_typical(noisy), fitted.attribution(noisy)


def test_nearest_typical_samples_have_less_energy(fitted, explained):
    samples, typical, _ = explained
    energies = fitted.transform(typical)
    assert (energies <= fitted.transform(samples)).all()
    assert (energies < fitted.transform(samples))[
        400:
    ].all()  # noise of 8 standard deviations or more
    assert (np.median(energies, axis=0) < 0).all()


@pytest.mark.parametrize("views", ["fine", "coarse", EnergyView(0.3)], ids=str)
def test_nearest_typical_of_one_view_is_a_fixed_point_of_reconstruct(samples, views):
    columns = GROUPS["left"]
    scorer = make_scorer({"left": columns}, views=views, max_epochs=20).fit(make_table(400))
    typical = scorer.nearest_typical(add_noise(samples, columns, 2.0))
    unit = samples.std(axis=0)
    step = (scorer.reconstruct(typical) - typical) / unit
    assert np.abs(step[:, columns]).max() < 0.05
    # where the energy is at its lowest nearby
    energies = scorer.transform(typical)
    for direction in np.random.RandomState(0).normal(size=(8, 8)):
        assert (scorer.transform(typical + 0.02 * direction * unit) > energies - 0.02).all()


def test_the_valley_of_a_sample_is_the_one_it_belongs_to():
    rng = np.random.RandomState(0)
    centers = np.array([[5.0, 5.0], [-5.0, -5.0]])
    kind = rng.randint(2, size=300)
    table = centers[kind] + 0.3 * rng.normal(size=(300, 2))
    scorer = make_scorer(None, max_epochs=20).fit(table)
    away = centers[kind] + 0.7 * rng.normal(size=(300, 2))
    assert np.abs(scorer.nearest_typical(away) - centers[kind]).max() < 1.0


def test_columns_of_no_modality_stay_as_they_are_and_are_not_to_blame(explained):
    samples, typical, attribution = explained
    np.testing.assert_array_equal(typical[:, [4, 6]], samples[:, [4, 6]])
    assert not attribution[:, [4, 6]].any()


def test_from_a_typical_sample_there_is_nowhere_to_go(fitted, explained):
    typical = explained[1][:20]
    again = fitted.nearest_typical(typical)
    np.testing.assert_allclose(fitted.transform(again), fitted.transform(typical), atol=0.2)


# Which columns are to blame


def sums(attribution):
    """Return the sum over the columns of each modality."""
    return np.column_stack([attribution[:, columns].sum(axis=1) for columns in GROUPS.values()])


def test_attributions_sum_to_the_energy_above_that_of_the_nearest_typical_sample(fitted, explained):
    samples, typical, attribution = explained
    above = fitted.transform(samples) - fitted.transform(typical)
    np.testing.assert_allclose(sums(attribution), above, rtol=1e-6, atol=1e-8)
    assert above.max() > 100.0


def test_attribution_integrates_the_gradient_from_the_nearest_typical_sample(fitted, explained):
    samples, start, attribution = (values[300:320] for values in explained)
    middles = (np.arange(50) + 0.5) / 50
    mean = sum(fitted.energy_gradient(start + t * (samples - start)) for t in middles) / 50
    np.testing.assert_allclose(attribution, (samples - start) * mean, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("size", [6.0, 1e6])
def test_attribution_names_the_column_that_is_off(fitted, samples, size):
    samples, columns = samples[:200], GROUPS["left"]
    broken = np.tile(samples, (4, 1))
    off = np.repeat(columns, 200)
    sign = np.random.RandomState(0).choice([-1.0, 1.0], size=800)
    broken[np.arange(800), off] += sign * size * samples.std(axis=0)[off]
    attribution = fitted.attribution(broken)
    named = attribution.argmax(axis=1) == off
    for column in columns:
        assert named[off == column].mean() >= 0.9
    # while the other modality has nothing to do with it
    right = attribution[:, GROUPS["right"]].reshape(4, 200, 2)
    np.testing.assert_array_equal(right, np.tile(right[:1], (4, 1, 1)))


@pytest.mark.parametrize("views", [("fine", "coarse"), EnergyView(0.3)], ids=["both", "thesis"])
def test_samples_as_far_as_numbers_go_have_finite_attributions(views):
    table = make_table()[:, :4]
    scorer = make_scorer(None, views=views, max_epochs=20).fit(table)
    far = table[:8].copy()
    far[:, 1] = np.repeat([1e20, -1e150, 1e200, -np.finfo(float).max], 2)
    typical, attribution = scorer.nearest_typical(far), scorer.attribution(far)
    assert np.isfinite(typical).all()
    assert np.isfinite(attribution).all()
    above = scorer.transform(far) - scorer.transform(typical)
    np.testing.assert_allclose(attribution.sum(axis=1), above[:, 0], rtol=1e-6)
    assert (attribution.argmax(axis=1) == 1).all()


@pytest.mark.parametrize("activation", ["identity", "relu", "sigmoid", "tanh"])
def test_every_energy_has_typical_samples_and_attributions(samples, activation):
    views = ("fine", EnergyView(0.3))
    scorer = make_scorer({"left": GROUPS["left"]}, activation=activation, views=views)
    scorer.fit(make_table())
    typical, attribution = scorer.nearest_typical(samples), scorer.attribution(samples)
    assert np.isfinite(typical).all()
    above = scorer.transform(samples) - scorer.transform(typical)
    assert (above >= 0).all()
    np.testing.assert_allclose(attribution.sum(axis=1), above[:, 0], rtol=1e-6, atol=1e-8)
