"""Torch modules are built from fitted attributes: once, beside the classifier, never inside it."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.base import clone

from sklearn_emma.nn import EnergyAttention, FusionEnsemble


@pytest.fixture
def classifier(fitted, table):
    """A fitted classifier that has predicted already, and may be changed."""
    classifier = copy.deepcopy(fitted)
    classifier.readings(table[0])
    return classifier


def doubled(arrays):
    return {name: 2.0 * values for name, values in arrays.items()}


def shifted(arrays):
    return {name: 1.0 + values for name, values in arrays.items()}


@pytest.mark.parametrize(
    ("attribute", "change", "methods"),
    [
        ("gain_", lambda gain: 2.0 * gain, ["attention", "predict_proba", "transform"]),
        ("bias_", lambda bias: 0.5, ["attention", "energy_threshold"]),
        ("coldness_", lambda coldness: 5.0, ["importance", "attention"]),
        ("self_weight_", lambda weight: weight + 3.0, ["modal_energy", "total_energy"]),
        ("potential_min_", lambda psi: psi - 5.0, ["modal_energy", "attention"]),
        ("potential_scale_", lambda scale: 3.0 * scale, ["modal_energy", "energies"]),
        ("potential_max_", lambda psi: psi + 10.0, ["total_energy"]),
        ("network_weights_", doubled, ["predict_proba"]),
        ("cross_modal_weights_", lambda weights: None, ["energies", "predict_proba"]),
        ("mean_", lambda mean: mean + 1.0, ["energies", "transform", "predict_proba"]),
        ("scale_", lambda scale: 2.0 * scale, ["energies", "transform", "predict_proba"]),
        ("gap_weights_", shifted, ["energies", "predict_proba"]),
    ],
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_replaced_attribute_changes_the_predictions(
    classifier, table, attribute, change, methods, dtype
):
    X = table[0].astype(dtype).copy()
    X.iloc[::3, 0] = np.nan
    X.iloc[::4, 3:6] = np.nan
    X.iloc[1::4, 6:9] += 3.0
    before = {method: getattr(classifier, method)(X) for method in methods}
    old = getattr(classifier, attribute)
    setattr(classifier, attribute, change(old))
    for method in methods:
        assert not np.allclose(getattr(classifier, method)(X), before[method]), method
    setattr(classifier, attribute, old)
    for method in methods:
        np.testing.assert_array_equal(getattr(classifier, method)(X), before[method])


def test_a_replaced_energy_changes_the_energies(classifier, table):
    X = table[0]
    before = classifier.energies(X)
    scorer = clone(classifier.energy_scorers_["modality1"]).set_params(random_state=7)
    scorers = dict(classifier.energy_scorers_)
    scorers["modality1"] = scorer.fit(np.random.default_rng(0).normal(size=(50, 3)))
    classifier.energy_scorers_ = scorers
    assert not np.allclose(classifier.energies(X)[:, 1], before[:, 1])


def test_a_refitted_energy_changes_the_energies_at_once(classifier, table):
    X = table[0]
    before = classifier.energies(X)
    scorer = classifier.energy_scorers_["modality1"]
    state = vars(scorer).copy()
    scorer.fit(5.0 + 3.0 * np.random.default_rng(0).normal(size=(50, 3)))
    after = classifier.energies(X)
    assert not np.allclose(after[:, 1], before[:, 1])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(classifier)).energies(X), after)
    vars(scorer).clear()
    vars(scorer).update(state)
    np.testing.assert_array_equal(classifier.energies(X), before)


def test_a_new_fit_answers_with_its_own_modules(classifier, table, quick):
    X, y = table
    classifier.predict_proba(X)
    classifier.set_params(random_state=1, hidden_layer_sizes=(5, 4)).fit(X, y)
    expected = quick(random_state=1, hidden_layer_sizes=(5, 4)).fit(X, y)
    np.testing.assert_array_equal(classifier.predict_proba(X), expected.predict_proba(X))
    np.testing.assert_array_equal(classifier.attention(X), expected.attention(X))


def test_parameters_set_after_the_fit_change_nothing(classifier, table):
    X = table[0]
    before = classifier.predict_proba(X)
    classifier.set_params(hidden_layer_sizes=(3,), coldness=9.0, modalities=None)
    copied = pickle.loads(pickle.dumps(classifier))
    for fit in (classifier, copied):  # the copy has to build its modules
        np.testing.assert_array_equal(fit.predict_proba(X), before)


def test_modules_are_built_once(classifier, table, monkeypatch):
    built = []

    def count(kind):
        original = kind.__init__

        def counted(self, *args, **kwargs):
            built.append(kind)
            original(self, *args, **kwargs)

        monkeypatch.setattr(kind, "__init__", counted)

    copied = pickle.loads(pickle.dumps(classifier))
    for kind in (EnergyAttention, FusionEnsemble):
        count(kind)
    for _ in range(3):
        classifier.readings(table[0])
    assert built == []
    for _ in range(3):
        copied.readings(table[0])
    assert sorted(built, key=str) == [EnergyAttention, FusionEnsemble]


def test_pickles_hold_no_modules_and_predict_the_same(fitted, classifier, table):
    unused = pickle.loads(pickle.dumps(fitted))
    state = pickle.dumps(unused)
    unused.readings(table[0])
    assert pickle.dumps(unused) == state
    assert b"torch" not in state
    copied = pickle.loads(state)
    for mine, expected in zip(copied.readings(table[0]), fitted.readings(table[0]), strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_clones_and_copies_do_not_share_modules(classifier, table):
    X, y = table
    again = clone(classifier).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))
    for copied in (copy.copy(classifier), copy.deepcopy(classifier)):
        before = classifier.predict_proba(X)
        np.testing.assert_array_equal(copied.predict_proba(X), before)
        copied.gain_ = 0.1
        assert not np.allclose(copied.predict_proba(X), before)
        np.testing.assert_array_equal(classifier.predict_proba(X), before)


@pytest.mark.parametrize("built", [False, True])
def test_threads_agree(fitted, table, built):
    X = table[0]
    expected = fitted.readings(X)
    classifier = pickle.loads(pickle.dumps(fitted))
    if built:
        classifier.readings(X)
    with ThreadPoolExecutor(4) as pool:
        for readings in pool.map(classifier.readings, [X] * 16):
            for mine, values in zip(readings, expected, strict=True):
                np.testing.assert_array_equal(mine, values)


def test_fitted_attributes_hold_no_torch_objects(fitted):
    for name, value in vars(fitted).items():
        if name.endswith("_"):
            values = value.values() if isinstance(value, dict) else [value]
            assert not any(isinstance(v, torch.nn.Module | torch.Tensor) for v in values), name
    assert b"torch" not in pickle.dumps(fitted.network_weights_)
