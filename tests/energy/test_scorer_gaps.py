"""DAEEnergyScorer with missing values, in training and later."""

import numpy as np
import pandas as pd
import pytest

from sklearn_emma import DAEEnergyScorer, EMMAClassifier
from sklearn_emma.gap_fillings import fill_table
from sklearn_emma.monitoring import ModalityMonitor

GROUPS = {"left": [0, 1, 2], "right": [4, 3]}


def make_table(n=300, seed=0):
    """Return columns of different units, correlated within modalities."""
    rng = np.random.RandomState(seed)
    latent = rng.normal(size=(n, 2))
    X = latent[:, [0, 0, 0, 1, 1]] + 0.3 * rng.normal(size=(n, 5))
    return X * [1.0, 10.0, 0.1, 5.0, 1.0] + [0.0, 100.0, 0.0, -3.0, 2.0]


def with_gaps(X, fraction=0.1, seed=1):
    return np.where(np.random.default_rng(seed).random(X.shape) < fraction, np.nan, X)


def make_scorer(modalities=GROUPS, **params):
    defaults = {"hidden_layer_sizes": (8,), "max_epochs": 10, "random_state": 0}
    return DAEEnergyScorer(modalities, **{**defaults, **params})


@pytest.fixture(scope="module")
def X():
    return make_table()


@pytest.fixture(scope="module")
def fitted(X):
    return make_scorer().fit(X)


def test_a_modality_is_learned_from_the_samples_in_which_it_is_complete(X):
    gaps = X.copy()
    gaps[::3, 1] = np.nan
    scorer = make_scorer(calibration_fraction=0.0, batch_size=50).fit(gaps)
    complete = ~np.isnan(gaps).any(axis=1)
    alone = make_scorer(calibration_fraction=0.0, batch_size=50).fit(X[complete])
    for name, weights in alone.energy_weights_[0].items():
        found = scorer.energy_weights_[0][name]
        np.testing.assert_allclose(found, weights, rtol=1e-3, atol=1e-4, err_msg=name)
    # the other modality is learned from all samples
    median, of_alone = scorer.potential_median_, alone.potential_median_
    assert median[0] == pytest.approx(of_alone[0], abs=1e-3)
    assert abs(median[1] - of_alone[1]) > 1e-3


def test_a_modality_that_is_rarely_there_does_not_change_the_others(X):
    rare = X.copy()
    rare[5:, :3] = np.nan
    params = {"calibration_fraction": 0.0, "max_epochs": 2}
    scorer, complete = make_scorer(**params).fit(rare), make_scorer(**params).fit(X)
    assert len(scorer.energy_weights_[1]["members.0.prototypes"]) == 30
    for name, weights in complete.energy_weights_[1].items():
        np.testing.assert_allclose(scorer.energy_weights_[1][name], weights, rtol=1e-3, atol=1e-4)
    assert np.isfinite(scorer.transform(X)).all()
    stream = make_scorer(**params).partial_fit(rare[:200]).partial_fit(rare[200:])
    assert np.isfinite(stream.transform(X)).all()


@pytest.mark.filterwarnings("ignore:With .* samples held out")
def test_predictions_of_samples_with_gaps_do_not_depend_on_the_dtype(X):
    gaps = with_gaps(X, 0.3).astype(np.float32)
    scorer = make_scorer().fit(gaps)
    for method in ("decision_function", "p_values", "predict"):
        single, double = (getattr(scorer, method)(x) for x in (gaps, gaps.astype(float)))
        np.testing.assert_array_equal(single, double)


def test_energies_learned_from_many_gaps_rank_samples_as_those_of_complete_ones(X, fitted):
    rare = make_scorer().fit(with_gaps(X, 0.4))  # hardly any sample is complete
    test = make_table(500, seed=2)
    for with_few, with_all in zip(rare.transform(test).T, fitted.transform(test).T, strict=True):
        assert np.corrcoef(with_few, with_all)[0, 1] > 0.8


def test_missing_values_are_filled_and_add_their_energy(X, fitted):
    gaps = with_gaps(X, 0.3)
    filled = fill_table(gaps, fitted)
    n_missing = np.column_stack([np.isnan(gaps[:, c]).sum(axis=1) for c in GROUPS.values()])
    with np.errstate(divide="ignore"):
        of_gaps = -3 * np.log(1 - n_missing / [3, 2])
    expected = fitted.transform(filled) + of_gaps
    np.testing.assert_allclose(fitted.transform(gaps), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(fitted.reconstruct(gaps), fitted.reconstruct(filled))
    single = fitted.transform(gaps.astype(np.float32))
    np.testing.assert_allclose(single, expected, rtol=1e-3, atol=1e-3)


def test_a_value_that_others_imply_is_not_unusual_when_it_is_missing(X, fitted):
    far = X[X[:, 0].argmax()][None].copy()
    far[0, 1] = np.nan
    median = far.copy()
    median[0, 1] = np.median(X[:, 1])
    assert fitted.transform(far)[0, 0] < fitted.transform(median)[0, 0]


def test_missing_modalities_have_infinite_energy_and_do_not_count_in_the_score(X, fitted):
    gaps = X[:3].copy()
    gaps[0, :3], gaps[1] = np.nan, np.nan
    energies = fitted.transform(gaps)
    infinite = [[True, False], [True, True], [False, False]]
    np.testing.assert_array_equal(np.isposinf(energies), infinite)
    assert np.isfinite(energies[~np.isinf(energies)]).all()
    np.testing.assert_allclose(
        fitted.score_samples(gaps), [-energies[0, 1], -np.inf, -energies[2].sum()]
    )
    assert fitted.predict(gaps)[1] == -1
    error = fitted.reconstruction_error(gaps)
    np.testing.assert_array_equal(np.isposinf(error), infinite)


def test_missing_modalities_are_outliers_only_if_they_are_rare(X):
    often = X.copy()
    often[::3, :3] = np.nan
    for samples, unusual in ((X, True), (often, False)):
        scorer = make_scorer(calibration_fraction=0.3).fit(samples)
        new = make_table(400, seed=3)
        new[::3, :3] = np.nan
        flagged = scorer.predict_modality(new, alpha=0.05)
        assert flagged[::3, 0].all() == unusual
        assert scorer.predict_modality(new[1::3] + 1000.0, alpha=0.05).all()
        assert flagged[1::3].mean() < 0.15
        assert np.isfinite(scorer.offset_)
        # other samples of the same kind are as rarely outliers
        assert (scorer.predict(new) == -1).mean() < 0.2


def test_contributions_of_missing_values_sum_to_their_energy(X, fitted):
    gaps = with_gaps(X[:60], 0.3)
    contributions = fitted.attribution(gaps)
    above = fitted.transform(gaps) - fitted.transform(fitted.nearest_typical(gaps))
    sums = np.column_stack([contributions[:, c].sum(axis=1) for c in GROUPS.values()])
    np.testing.assert_allclose(sums, above, rtol=1e-6, atol=1e-6)
    assert np.isfinite(fitted.nearest_typical(gaps)).all()
    gradient = fitted.energy_gradient(gaps)
    assert (gradient[np.isnan(gaps)] == 0).all()
    assert np.isfinite(gradient).all()


def test_streams_with_gaps(X):
    gaps = with_gaps(X)
    scorer = make_scorer(buffer_size=150).partial_fit(gaps[:100]).partial_fit(gaps[100:])
    assert scorer.n_samples_seen_ == 300
    energies = scorer.transform(gaps)
    np.testing.assert_array_equal(
        np.isinf(energies), np.isinf(make_scorer().fit(X).transform(gaps))
    )
    far = X.copy()
    far[:, 0] += 5
    assert (scorer.transform(with_gaps(far))[:, 0] > np.median(energies[:, 0])).mean() > 0.9


def test_missing_levels(X):
    kinds = np.where(X[:, 0] > 0, "hot", "cold")
    frame = pd.DataFrame({"a": X[:, 0], "kind": kinds, "b": X[:, 3], "c": X[:, 4]})
    frame.loc[::6, "kind"] = None
    scorer = make_scorer({"left": ["a", "kind"], "right": ["b", "c"]}).fit(frame)
    energies = scorer.transform(frame)
    assert np.isfinite(energies).all()
    missing = frame.iloc[1:2].copy()
    missing["kind"] = None
    rise = (scorer.transform(missing) - scorer.transform(frame.iloc[1:2]))[0]
    np.testing.assert_allclose(rise, [3 * np.log(2), 0], atol=1e-9)  # the level is found again


def test_early_stopping_with_gaps(X):
    scorer = make_scorer(early_stopping=True, n_iter_no_change=2).fit(with_gaps(X))
    assert np.isfinite(scorer.transform(X)).all()


def test_samples_of_no_weight_are_ignored(X):
    gaps, weight = with_gaps(X), np.ones(300)
    gaps[250:], weight[250:] = np.nan, 0.0
    weighted = make_scorer(calibration_fraction=0.0).fit(gaps, sample_weight=weight)
    without = make_scorer(calibration_fraction=0.0).fit(gaps[:250])
    np.testing.assert_allclose(weighted.transform(X), without.transform(X), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:Constant in the training samples")
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_too_few_values(X, method):
    empty, rare = X.copy(), X.copy()
    empty[:, 1] = np.nan
    rare[1:, [3, 4]] = np.nan
    with pytest.raises(ValueError, match=r"Column\(s\) 1 hold no value at all"):
        getattr(make_scorer(calibration_fraction=0.0), method)(empty)
    with pytest.raises(ValueError, match="Modality 'right' has values in 1 sample"):
        getattr(make_scorer(calibration_fraction=0.0), method)(rare)


def test_the_energy_of_another_estimator_takes_complete_samples(X):
    y = (X[:, 0] > 0).astype(int)
    energy = make_scorer(None)
    classifier = EMMAClassifier(GROUPS, energy=energy, max_epochs=1, random_state=0).fit(X, y)
    scorer = classifier.energy_scorers_["left"]
    assert not scorer.__sklearn_tags__().input_tags.allow_nan
    with pytest.raises(ValueError, match="does not accept missing values"):
        scorer.transform(np.array([[0.0, np.nan, 0.0]]))


def test_a_monitor_fits_a_scorer_on_samples_with_gaps():
    X = with_gaps(make_table(600, seed=4), 0.05)
    monitor = ModalityMonitor(make_scorer(), random_state=0).fit(X)
    health = monitor.update(make_table(100, seed=5))
    assert not health.alarm.any()


def test_streams_learn_to_fill_from_later_samples_too(X):
    scorer = make_scorer().partial_fit(X[:3]).partial_fit(X[3:])
    gaps = X.copy()
    gaps[:, 1] = np.nan
    error = fill_table(gaps, scorer)[:, 1] - X[:, 1]
    assert error.std() < 0.5 * X[:, 1].std()
    assert abs(error.mean()) < 0.1 * X[:, 1].std()
