"""Modalities that are declared signals or images."""

import pickle
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

from sklearn_emma import (
    DAEEnergyScorer,
    EMMAClassifier,
    EMMAClassifierCV,
    EMMARegressor,
    Modality,
    SignalEnergyScorer,
)
from sklearn_emma.corruption import Missing
from sklearn_emma.nn import Concatenated, SignalFusionNetwork

SHAPE, WAVE = (2, 24), slice(0, 48)
ENERGY = {
    "wave": SignalEnergyScorer(SHAPE, n_filters=2, max_epochs=5, calibration_fraction=0.0),
    "level": DAEEnergyScorer(hidden_layer_sizes=(8,), max_epochs=5),
}
QUICK = {
    "energy": ENERGY,
    "hidden_layer_sizes": (8,),
    "l2_regularization": 1.0,
    "periodic_features": False,
    "max_epochs": 5,
    "random_state": 0,
}


def declare(shape=SHAPE):
    return {"wave": Modality(WAVE, shape=shape), "level": [48, 49]}


@pytest.fixture(scope="module")
def table():
    """Waves of random phase whose frequency is the class, beside columns that know it too."""
    rng = np.random.RandomState(0)
    y = np.arange(160) % 2
    frequency, phase = np.where(y, 4.0, 2.0)[:, None], rng.uniform(0, 6.3, (160, 1))
    angle = 2 * np.pi * frequency * np.arange(24) / 24 + phase
    wave = np.concatenate([np.sin(angle), 7 + 5 * np.cos(angle)], axis=1)
    wave += 0.2 * rng.standard_normal(wave.shape)
    return np.c_[wave, y[:, None] + 0.5 * rng.standard_normal((160, 2))], y


@pytest.fixture(scope="module")
def fitted(table):
    return EMMAClassifier(declare(), **QUICK).fit(*table)


def test_a_shape_chooses_energy_and_predictor(table):
    from sklearn_emma.predictor_read_outs import predictor_of

    few = [part[:40] for part in table]
    clf = EMMAClassifier(declare(), **QUICK | {"energy": None, "max_epochs": 1}).fit(*few)
    assert clf.modality_shapes_ == [SHAPE, None]
    kinds = [type(scorer) for scorer in clf.energy_scorers_.values()]
    assert kinds == [SignalEnergyScorer, DAEEnergyScorer]
    assert clf.energy_scorers_["wave"].shape_ == SHAPE
    assert len(clf.energy_scorers_["wave"].calibration_energies_) == 0
    assert isinstance(predictor_of(clf, torch.float64).networks, SignalFusionNetwork)


def test_the_frequency_is_learned_whatever_the_phase(table):
    X, y = table
    X = X + 4.0 * np.random.RandomState(1).standard_normal(X.shape) * X.std(axis=0) / 5
    scores = {}
    for name, modalities in {"signal": declare(), "columns": {"wave": WAVE}}.items():
        only = {"wave": modalities["wave"]}
        params = QUICK | {"energy": DAEEnergyScorer(max_epochs=1), "max_epochs": 30}
        clf = EMMAClassifier(only, remainder="drop", **params).fit(X[:24], y[:24])
        scores[name] = clf.score(X[24:], y[24:])
    assert scores["signal"] > max(0.9, scores["columns"] + 0.1)


def test_without_a_shape_nothing_changes(table):
    params = QUICK | {"energy": ENERGY["level"], "max_epochs": 2}
    plain = EMMAClassifier({"wave": WAVE, "level": [48, 49]}, **params).fit(*table)
    declared = EMMAClassifier(declare(shape=None), **params).fit(*table)
    assert declared.modality_shapes_ == [None, None]
    np.testing.assert_array_equal(declared.predict_proba(table[0]), plain.predict_proba(table[0]))


def test_channels_are_standardized_by_one_number_each(fitted, table):
    X = table[0]
    for channel in slice(0, 24), slice(24, 48):
        assert len(set(fitted.mean_[channel])) == len(set(fitted.scale_[channel])) == 1
        assert fitted.mean_[channel][0] == pytest.approx(X[:, channel].mean(), abs=0.05)
        assert fitted.scale_[channel][0] == pytest.approx(X[:, channel].std(), rel=0.05)


def test_a_stuck_signal_is_closed(fitted, table):
    X, y = table
    stuck = X.copy()
    stuck[:, WAVE] = np.repeat(X[:, [5, 29]], 24, axis=1)
    assert fitted.attention(stuck)[:, 0].mean() < 0.5 * fitted.attention(X)[:, 0].mean()


def test_a_fit_repeats_and_survives_pickle_and_clone(fitted, table):
    X, y = table
    expected = fitted.predict_proba(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(X), expected)
    np.testing.assert_array_equal(clone(fitted).fit(X, y).predict_proba(X), expected)


def test_samples_in_single_precision_are_predicted_alike(fitted, table):
    single = fitted.predict_proba(table[0].astype(np.float32))
    np.testing.assert_allclose(single, fitted.predict_proba(table[0]), atol=0.01)


@pytest.mark.parametrize("dead", [3.7, 4.0, "within"])
def test_rounding_errors_of_a_channel_that_is_constant_do_not_matter(table, dead):
    """It may be constant in all samples, or within each of them."""
    X, y = table[0].copy(), table[1]
    X[:, :24] = np.random.RandomState(1).standard_normal((160, 1)) if dead == "within" else dead
    expected = nullcontext()
    if dead != "within":
        expected = pytest.warns(UserWarning, match=r"Constant .* channel\(s\) 0 of wave\.")
    with expected:
        clf = EMMAClassifier(declare(), **QUICK).fit(X, y)
    noisy = X.copy()
    noisy[:, :24] *= 1.0 + 1e-7 * np.random.RandomState(2).standard_normal((160, 24))
    for other in (X.astype(np.float32), noisy):
        np.testing.assert_allclose(clf.predict_proba(other), clf.predict_proba(X), atol=1e-3)
        np.testing.assert_allclose(clf.energies(other), clf.energies(X), rtol=0.01, atol=0.01)


@pytest.mark.parametrize("shape", [(3, 1), (1, 3), (1, 1, 3)])
def test_short_axes_are_read_alike_in_single_precision(table, shape):
    X, y = np.c_[table[0][:, :3], table[0][:, 48:]], table[1]
    modalities = {"wave": Modality([0, 1, 2], shape=shape), "level": [3, 4]}
    clf = EMMAClassifier(modalities, **QUICK | {"energy": ENERGY["level"]}).fit(X, y)
    single = clf.predict_proba(X.astype(np.float32))
    np.testing.assert_allclose(single, clf.predict_proba(X), atol=0.01)


def test_gaps_are_filled(table):
    X, y = table
    gaps = X.copy()
    gaps[:40:2, 3] = np.nan
    gaps[1:40:2, WAVE] = np.nan
    clf = EMMAClassifier(declare(), corruption=Missing(), **QUICK).fit(gaps, y)
    assert np.isfinite(clf.predict_proba(gaps)).all()
    assert (clf.attention(gaps)[1:40:2, 0] == 0).all()


def test_the_gradient_of_the_loss_goes_through_spectrum_and_filters(fitted, table):
    X, y = table[0][:1], table[1][:1]
    gradient = fitted.loss_gradient(X, y)[0]

    def slope(column, step=1e-4):
        moved = np.repeat(X, 2, axis=0)
        moved[:, column] += step, -step
        losses = -np.log(fitted.predict_proba(moved)[:, y[0]])
        return (losses[0] - losses[1]) / (2 * step)

    # up to one positive factor, which the columns share
    columns = np.argsort(-np.abs(gradient))[:5]
    assert set(columns) & set(range(48))
    slopes = np.array([slope(column) for column in columns])
    np.testing.assert_allclose(
        gradient[columns] / gradient[columns[0]], slopes / slopes[0], rtol=0.01
    )


def test_a_search_over_settings_finds_what_a_single_fit_finds(table):
    X, y = table
    params = QUICK | {"max_epochs": 2}
    search = EMMAClassifierCV(
        declare(), param_grid={"coldness": [0.1, 0.3]}, cv=2, refit=True, **params
    ).fit(X, y)
    coldness = search.best_params_["coldness"]
    single = EMMAClassifier(declare(), coldness=coldness, **params).fit(X, y)
    np.testing.assert_allclose(search.predict_proba(X), single.predict_proba(X), atol=1e-4)


def test_a_regressor_takes_signals(table):
    X, y = table
    reg = EMMARegressor(declare(), **QUICK).fit(X, y)
    assert reg.predict(X).shape == (160,)


def test_warm_start_keeps_the_features(table, fitted):
    X, y = table
    clf = EMMAClassifier(declare(), warm_start=True, **QUICK).fit(X, y)
    before = clf.network_weights_["networks.signals.0.center"]
    again = clf.set_params(max_epochs=1).fit(X, y)
    np.testing.assert_array_equal(again.network_weights_["networks.signals.0.center"], before)


def test_ones_own_network_reads_the_columns(table):
    clf = EMMAClassifier(declare(), module=Concatenated, **QUICK).fit(*table)
    assert not any("signals" in name for name in clf.network_weights_)


def test_images_may_have_pixels_that_never_vary():
    from sklearn.datasets import load_digits

    X, y = load_digits(n_class=3, return_X_y=True)
    X, y = X[:120], y[:120]
    clf = EMMAClassifier(
        {"image": Modality(slice(0, 64), shape=(1, 8, 8))},
        **QUICK | {"energy": SignalEnergyScorer((1, 8, 8), n_filters=2, max_epochs=2)},
    ).fit(X, y)
    assert clf.score(X, y) > 0.8


def test_columns_are_declared_by_name_too(table, fitted):
    X, y = table
    frame = pd.DataFrame(X, columns=[f"t{i}" for i in range(50)])
    pairs = [("wave", Modality(slice("t0", "t47"), SHAPE)), ("level", ["t48", "t49"])]
    clf = EMMAClassifier(pairs, **QUICK).fit(frame, y)
    np.testing.assert_allclose(clf.predict_proba(frame), fitted.predict_proba(X))


def test_corruptions_and_other_tools_take_the_same_modalities(table):
    X_bad, failed = Missing(only="wave").corrupt(table[0], declare(), random_state=0)
    assert np.isnan(X_bad[:, WAVE]).all()
    assert not np.isnan(X_bad[:, 48:]).any()


@pytest.mark.parametrize("shape", [(48,), (2, -24), "48", (2.5, 10), (True, 48)])
def test_a_shape_that_is_none_is_refused(shape):
    with pytest.raises(ValueError, match=r"shape must be \(channels, length\)"):
        Modality(WAVE, shape=shape)


def test_a_shape_of_other_columns_is_refused(table):
    with pytest.raises(ValueError, match=r"'wave': shape=\(2, 20\) needs 2 x 20 = 40 columns, but"):
        EMMAClassifier(declare((2, 20)), **QUICK).fit(*table)


def test_the_energy_of_a_signal_has_the_shape_of_the_modality(table):
    X, y = table[0][:40], table[1][:40]
    params = QUICK | {"max_epochs": 1}
    energy = ENERGY | {"wave": SignalEnergyScorer(n_filters=2, max_epochs=1)}
    clf = EMMAClassifier(declare(), **params | {"energy": energy}).fit(X, y)
    assert clf.energy_scorers_["wave"].shape_ == SHAPE
    assert energy["wave"].shape is None
    energy = ENERGY | {"wave": SignalEnergyScorer((4, 12))}
    message = r"energy of modality 'wave' has shape=\(4, 12\), but the modality has .* \(2, 24\)"
    with pytest.raises(ValueError, match=message):
        EMMAClassifier(declare(), **params | {"energy": energy}).fit(X, y)


def test_warm_start_refuses_another_shape(table):
    X, y = table[0][:40], table[1][:40]
    clf = EMMAClassifier(declare(), **QUICK | {"max_epochs": 1}, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="modality_shapes_ was .*2, 24.* and now is .*1, 48"):
        clf.set_params(modalities=declare((1, 48))).fit(X, y)


def test_a_position_without_any_value_cannot_be_left_out(table):
    X, y = table
    X = X.copy()
    X[:, [3, 49]] = np.nan
    message = r"Column\(s\) 3, 49 hold no value .* except column\(s\) 3 of .*: fill their gaps, or"
    with pytest.raises(ValueError, match=message):
        EMMAClassifier(declare(), **QUICK).fit(X, y)


def test_a_signal_of_categories_is_refused(table):
    X, y = table
    frame = pd.DataFrame(X).add_prefix("t").assign(t3=np.where(y, "a", "b"))
    with pytest.raises(ValueError, match="Modality 'wave' has the shape .* categorical"):
        EMMAClassifier(declare(), **QUICK).fit(frame, y)


def test_a_scorer_of_columns_refuses_signals(table):
    scorer = DAEEnergyScorer(declare())
    for fit in scorer.fit, scorer.partial_fit:
        with pytest.raises(ValueError, match=r"\['wave'\] have a shape, .* SignalEnergyScorer"):
            fit(table[0])


def test_signals_are_not_exported(fitted):
    pytest.importorskip("onnx", reason="needs ONNX, of the extra onnx")
    from sklearn_emma.export import to_onnx

    with pytest.raises(ValueError, match=r"modalities \['wave'\] have a shape"):
        to_onnx(fitted)
