"""SignalEnergyScorer: sees the failures of signals and images, as an estimator like any other."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score

from sklearn_emma import DAEEnergyScorer, EMMAClassifier, SignalEnergyScorer
from sklearn_emma.energy.outliers import outlier_threshold
from sklearn_emma.energy.protocol import Precision
from sklearn_emma.energy.signal_scorer import SIGNAL_VIEWS

SHAPE = 2, 48
QUICK = {"max_epochs": 5, "n_filters": 2, "random_state": 0}


def make_signals(n, aligned=False, seed=0):
    """Return windows of two channels, of waves of random frequency, a quarter period apart."""
    rng = np.random.RandomState(seed)
    frequency, phase = rng.uniform(2, 5, (n, 1)), rng.uniform(0, 0.5 if aligned else 6.3, (n, 1))
    angle = 2 * np.pi * frequency * np.arange(SHAPE[1]) / SHAPE[1] + phase
    channels = np.concatenate([np.sin(angle), 5 * np.cos(angle)], axis=1)
    scale = np.repeat([0.2, 1.0], SHAPE[1])
    return channels + scale * rng.standard_normal(channels.shape)


def fail(kind, X, rng):
    """Let signals fail."""
    signal = X.reshape(-1, *SHAPE).copy()
    if kind == "stuck":
        signal[:] = signal[:, :, -1:]
    elif kind == "late":
        signal = np.roll(signal, 8, axis=2)
    elif kind == "channel late":
        signal[:, 0] = np.roll(signal[:, 0], 8, axis=1)
    elif kind == "hum":
        phase = rng.uniform(0, 6.3, (len(X), 1))
        signal[:, 0] += 0.5 * np.sin(1.9 * np.arange(SHAPE[1]) + phase)
    elif kind == "dropout":
        signal[:, 0, 20:32] = 0.0
    return signal.reshape(X.shape)


@pytest.fixture(scope="module")
def X():
    return make_signals(80)


@pytest.fixture(scope="module")
def fitted(X):
    return SignalEnergyScorer(SHAPE, **QUICK).fit(X)


@pytest.fixture(scope="module")
def trained():
    """A scorer of random phases, and one of aligned windows."""
    return {
        aligned: SignalEnergyScorer(SHAPE, max_epochs=30, random_state=0).fit(
            make_signals(400, aligned)
        )
        for aligned in (False, True)
    }


@pytest.mark.parametrize("kind", ["stuck", "channel late", "hum", "dropout", "late"])
def test_failures_of_signals_are_seen(trained, kind):
    aligned = kind == "late"  # where phases are random, a late window is as likely as any
    clean = make_signals(300, aligned, seed=1)
    failed = fail(kind, clean, np.random.RandomState(2))
    scores = trained[aligned].score_samples(np.r_[clean, failed])
    assert roc_auc_score(np.repeat([1, 0], 300), scores) > 0.95


def test_views_tell_how_a_signal_is_unusual(trained):
    scorer, clean = trained[False], make_signals(300, seed=1)
    stuck = scorer.transform(fail("stuck", clean, None)).mean(axis=0)
    late = scorer.transform(fail("channel late", clean, None)).mean(axis=0)
    names = scorer.get_feature_names_out().tolist()
    assert names == ["energy_signal", "energy_spectrum", "energy_power"]
    assert stuck.argmax() > 0
    assert late.argmax() == 0


def test_without_calibration_views_are_on_the_scale_of_the_training_samples(X, fitted):
    scorer = clone(fitted).set_params(calibration_fraction=0.0).fit(X)
    low, median, high = np.quantile(scorer.transform(X), [0.25, 0.5, 0.75], axis=0)
    np.testing.assert_allclose(median, 0.0, atol=1e-9)
    np.testing.assert_allclose(high - low, 1.0)
    with pytest.raises(ValueError, match="No training sample was held out"):
        scorer.p_values(X)


@pytest.mark.parametrize("n", [40, 60])
def test_new_signals_are_on_the_scale_and_below_the_threshold(n):
    # hardly any energy of a new signal is as low as those of the few training signals
    scorer = SignalEnergyScorer(SHAPE, max_epochs=60, random_state=0).fit(make_signals(n))
    new = make_signals(500, seed=1)
    assert abs(np.median(scorer.score_samples(new))) < 1.0
    assert (scorer.predict(new) == -1).mean() < 0.4
    naive = clone(scorer).set_params(calibration_fraction=0.0).fit(make_signals(n))
    assert (naive.predict(new) == -1).mean() > 0.5


def test_scales_and_the_threshold_are_those_of_the_held_out_samples(fitted, X):
    held_out = fitted.calibration_energies_
    low, middle, high = np.quantile(held_out, [0.25, 0.5, 0.75])
    assert middle == pytest.approx(0.0, abs=1e-9)
    assert high - low == pytest.approx(1.0)
    assert fitted.offset_ == outlier_threshold(-held_out, "auto", np.ones(len(held_out)))
    fifth = clone(fitted).set_params(contamination=0.2).fit(X)
    assert (fifth.predict(X) == -1).mean() == pytest.approx(0.2)  # of all training samples


def test_weights_of_held_out_samples_count(fitted, X):
    weight = np.where(np.arange(80) % 2, 1.0, 1e-9)
    scorer = clone(fitted).fit(X, sample_weight=weight)
    held_out = scorer.calibration_energies_
    heavy = np.isin(-held_out, scorer.score_samples(X[1::2]))
    assert 3 < heavy.sum() < len(held_out)
    assert abs(np.median(held_out[heavy])) < 0.2
    assert abs(np.median(held_out[~heavy])) > 0.2


def test_p_values_of_new_signals_are_uniform():
    scorer = SignalEnergyScorer(SHAPE, calibration_fraction=0.5, **QUICK).fit(make_signals(400))
    assert len(scorer.calibration_energies_) == 133  # a third
    p_values = scorer.p_values(make_signals(1000, seed=1))
    assert kstest(p_values, "uniform").statistic < 0.15
    assert p_values.min() >= 1 / 134


@pytest.mark.parametrize(("n", "fraction", "expected"), [(29, 0.1, 0), (30, 0.1, 10), (80, 0, 0)])
def test_how_many_samples_are_held_out(n, fraction, expected):
    scorer = SignalEnergyScorer(SHAPE, calibration_fraction=fraction, **QUICK)
    assert len(scorer.fit(make_signals(n)).calibration_energies_) == expected


def test_a_silent_sensor_is_an_outlier_whatever_the_offset(trained):
    assert trained[False].predict(np.zeros((1, 96)))[0] == -1
    assert (trained[False].predict(make_signals(300, seed=1)) == 1).mean() > 0.85


def test_energies_do_not_depend_on_the_units(X, fitted):
    scaled = X * 1000.0 + 7.0
    again = clone(fitted).fit(scaled)
    np.testing.assert_allclose(again.score_samples(scaled), fitted.score_samples(X), atol=0.05)


def test_images_are_seen_as_images():
    from sklearn.datasets import load_digits

    X = load_digits().data
    scorer = SignalEnergyScorer((1, 8, 8), max_epochs=10, random_state=0).fit(X[:600])
    assert scorer.shape_ == (1, 8, 8)
    clean = X[600:900]
    stuck = np.repeat(clean[:, 27:28], 64, axis=1)
    shifted = np.roll(clean.reshape(-1, 8, 8), 2, axis=2).reshape(-1, 64)
    for failed in stuck, shifted:
        scores = scorer.score_samples(np.r_[clean, failed])
        assert roc_auc_score(np.repeat([1, 0], 300), scores) > 0.95


def test_a_fit_repeats_and_survives_pickle(X, fitted):
    scores = fitted.score_samples(X)
    np.testing.assert_array_equal(clone(fitted).fit(X).score_samples(X), scores)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).score_samples(X), scores)


def test_a_changed_parameter_does_not_change_a_fitted_energy(X):
    scorer = SignalEnergyScorer(SHAPE, **QUICK).fit(X)
    scores = scorer.score_samples(X)
    loaded = pickle.loads(pickle.dumps(scorer.set_params(shape=(1, 96), n_filters=9)))
    np.testing.assert_array_equal(loaded.score_samples(X), scores)


def test_the_tensor_energy_is_minus_the_score(X, fitted):
    import torch

    energy = fitted.tensor_energy(Precision()).potential(torch.from_numpy(X))
    np.testing.assert_allclose(energy.numpy(), -fitted.score_samples(X))
    single = fitted.tensor_energy(Precision("cpu", torch.float32, torch.float32))
    found = single.potential(torch.from_numpy(X).float())
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), energy.numpy(), atol=0.01)


def test_samples_of_weight_zero_do_not_count(X, fitted):
    both, weight = np.r_[X, 100 * X], np.repeat([1.0, 0.0], len(X))
    again = clone(fitted).fit(both, sample_weight=weight)
    np.testing.assert_allclose(again.score_samples(X), fitted.score_samples(X))


def test_columns_of_a_frame_have_names(X):
    frame = pd.DataFrame(X).add_prefix("t")
    scorer = SignalEnergyScorer(SHAPE, **QUICK).set_output(transform="pandas").fit(frame)
    assert list(scorer.transform(frame)) == ["energy_signal", "energy_spectrum", "energy_power"]


def test_no_shape_is_one_channel(X):
    assert SignalEnergyScorer(**QUICK).fit(X).shape_ == (1, 96)


@pytest.mark.parametrize("view", SIGNAL_VIEWS)
def test_a_single_view_is_an_energy(X, view):
    scorer = SignalEnergyScorer(SHAPE, views=(view,), **QUICK).fit(X)
    assert scorer.transform(X).shape == (80, 1)
    order = np.argsort(scorer.transform(X)[:, 0])
    np.testing.assert_array_equal(order, np.argsort(-scorer.score_samples(X)))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"shape": (2, 40)}, r"shape=\(2, 40\) needs 2 x 40 = 80 columns, .* there are 96"),
        ({"shape": (96,)}, r"must be \(channels, length\)"),
        ({"shape": (2, 2, 2, 12)}, r"must be \(channels, length\)"),
        ({"shape": (-2, -48)}, r"must be \(channels, length\)"),
        ({"shape": (2.0, 48.0)}, r"must be \(channels, length\)"),
        ({"views": ("signal", "sound")}, "views must hold one or more of 'signal', 'spectrum'"),
        ({"views": ()}, "views must hold one or more"),
        ({"views": ("signal", "signal")}, "each once"),
    ],
)
def test_wrong_parameters_are_explained(X, params, message):
    with pytest.raises(ValueError, match=message):
        SignalEnergyScorer(**{"shape": SHAPE} | params).fit(X)


def test_missing_values_are_refused(X, fitted):
    gaps = X.copy()
    gaps[3, 5] = np.nan
    for call in clone(fitted).fit, fitted.score_samples:
        with pytest.raises(ValueError, match="NaN"):
            call(gaps)


def test_a_constant_channel_is_pointed_out(X):
    constant = X.copy()
    constant[:, :48] = 3.0
    with pytest.warns(UserWarning, match=r"channel\(s\) 0\."):
        scorer = SignalEnergyScorer(SHAPE, **QUICK).fit(constant)
    assert np.isfinite(scorer.score_samples(X)).all()


def test_categories_are_refused(X):
    frame = pd.DataFrame(X).add_prefix("t").assign(kind=["a", "b"] * 40)
    with pytest.raises(ValueError, match="A signal consists of numbers"):
        SignalEnergyScorer().fit(frame)


def test_an_unfitted_scorer_says_so(X):
    with pytest.raises(NotFittedError):
        SignalEnergyScorer().score_samples(X)


@pytest.fixture(scope="module")
def table(X):
    rng = np.random.RandomState(3)
    y = rng.randint(0, 2, len(X))
    return np.c_[X, y[:, None] + 0.3 * rng.standard_normal((len(X), 2))], y


def test_it_is_the_energy_of_a_modality_beside_others(table):
    clf = EMMAClassifier(
        {"wave": slice(0, 96), "level": [96, 97]},
        energy={"wave": SignalEnergyScorer(SHAPE, **QUICK)},
        max_epochs=3,
        l2_regularization=1.0,
        periodic_features=False,
        random_state=0,
    ).fit(*table)
    kinds = [type(scorer) for scorer in clf.energy_scorers_.values()]
    assert kinds == [SignalEnergyScorer, DAEEnergyScorer]
    stuck = table[0].copy()
    stuck[:, :96] = np.repeat(stuck[:, [0, 48]], 48, axis=1)
    attention = clf.attention(stuck)
    assert (attention[:, 0] < clf.attention(table[0])[:, 0]).mean() > 0.9
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.predict_proba(stuck), clf.predict_proba(stuck))


def test_it_is_the_same_energy_beside_others_of_its_shape_and_beside_categories(X):
    scorer = SignalEnergyScorer(SHAPE, **QUICK)
    second = make_signals(80, seed=5)
    frame = pd.DataFrame(np.c_[X, second]).add_prefix("t").assign(kind=["a", "b"] * 40)
    clf = EMMAClassifier(
        {"first": slice("t0", "t95"), "second": slice("t96", "t191"), "kind": ["kind"]},
        energy={"first": scorer, "second": scorer},
        max_epochs=1,
        l2_regularization=1.0,
        periodic_features=False,
        random_state=0,
    ).fit(frame, np.arange(80) // 40)
    for name, columns, x in ("first", slice(96), X), ("second", slice(96, 192), second):
        standard = (x - clf.mean_[columns]) / clf.scale_[columns]
        alone = clone(scorer).fit(standard).score_samples(standard)
        together = clf.energy_scorers_[name].score_samples(standard)
        np.testing.assert_allclose(together, alone, atol=1e-6)


def test_gaps_of_a_signal_are_filled_and_priced(table):
    X, y = table
    clf = EMMAClassifier(
        {"wave": slice(0, 96), "level": [96, 97]},
        energy={"wave": SignalEnergyScorer(SHAPE, **QUICK)},
        max_epochs=3,
        l2_regularization=1.0,
        periodic_features=False,
        random_state=0,
    ).fit(X, y)
    gone = X.copy()
    gone[:, :96] = np.nan
    assert (clf.attention(gone)[:, 0] == 0).all()


def test_reversed_arrays(X, fitted):
    expected = fitted.score_samples(X.copy())
    np.testing.assert_array_equal(fitted.score_samples(X[::-1])[::-1], expected)
