"""Any estimator with score_samples can tell likely rows from unlikely ones."""

import math

import numpy as np
import pytest
import torch
from joblib import Memory
from sklearn.base import BaseEstimator
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

from sklearn_emma import DAEEnergyScorer
from sklearn_emma.energy.fit import ModalityEnergy, check_energy, fit_scorers

CPU = torch.device("cpu")


def rows(n_samples=60, n_features=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n_samples, n_features))


def dae():
    return DAEEnergyScorer(hidden_layer_sizes=(6,), max_epochs=3, random_state=0)


class Norm(BaseEstimator):
    """Score: minus the squared norm. Records what it was fitted on."""

    def fit(self, X, y=None, sample_weight=None):
        self.rows_, self.weight_ = X, sample_weight
        return self

    def score_samples(self, X):
        return -(X**2).sum(axis=1)


@pytest.fixture
def norm():
    return ModalityEnergy("radar", Norm(), fill=np.array([1.0, 2.0, 3.0]), gap_cost=5.0)


# --- one modality ---


def test_energy_is_minus_the_score(norm):
    x = rows()
    np.testing.assert_allclose(norm(x), (x**2).sum(axis=1))


def test_gaps_are_filled_and_cost(norm):
    x = np.array([[0.0, 0.0, 0.0], [np.nan, 0, 0], [0, np.nan, np.nan], [np.nan, np.nan, np.nan]])
    expected = [0, 1 - 5 * math.log(2 / 3), 4 + 9 - 5 * math.log(1 / 3), math.inf]
    np.testing.assert_allclose(norm(x), expected)
    assert norm(x[3:]).tolist() == [math.inf]
    assert np.isnan(x[1, 0])


@pytest.mark.parametrize("scorer", [Norm(), dae()], ids=["any", "autoencoder"])
def test_tensors_get_the_same_energies(scorer):
    x = rows()
    scorer.fit(x)
    x[0], x[1, 2], x[2, :2] = np.nan, np.nan, np.nan
    energy = ModalityEnergy("radar", scorer, fill=np.array([0.1, 0.2, 0.3]), gap_cost=2.0)
    tensor = torch.tensor(x, dtype=torch.float32)
    energies = energy.on_tensors(CPU)(tensor)
    assert energies.dtype == torch.float32
    assert energies[0] == math.inf
    np.testing.assert_allclose(energies, energy(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "energy",
    [
        GaussianMixture(2, random_state=0),
        KernelDensity(bandwidth=0.5),
        IsolationForest(n_estimators=10, random_state=0),
        {
            "modality0": GaussianMixture(random_state=0),
            "modality1": make_pipeline(QuantileTransformer(n_quantiles=20), KernelDensity()),
        },
    ],
    ids=["mixture", "kernel density", "isolation forest", "dict"],
)
def test_a_classifier_takes_any_energy(wide, quick, add_noise, energy):
    X, y, X_test, y_test = wide
    classifier = quick(energy=energy).fit(X[:200], y[:200])
    kinds = [type(scorer) for scorer in classifier.energy_scorers_.values()]
    if isinstance(energy, dict):
        expected = [type(energy[name]) for name in energy] + [DAEEnergyScorer]
    else:
        expected = [type(energy)] * 3
    assert kinds == expected
    attention = [
        classifier.attention(add_noise(X_test, "modality0", sigma))[:, 0].mean() for sigma in (0, 4)
    ]
    assert attention[1] < attention[0] - 0.1
    # the scorers that were passed stay unfitted
    passed = energy.values() if isinstance(energy, dict) else [energy]
    assert not any(hasattr(scorer, "n_features_in_") for scorer in passed)


def test_energies_of_a_density_without_tails(wide, quick):
    X, y, X_test, _ = wide
    classifier = quick(energy=KernelDensity(kernel="tophat", bandwidth=2.0)).fit(X[:200], y[:200])
    far = X_test[:5] + 50.0
    assert (classifier.energies(far) == np.inf).all()
    assert (classifier.attention(far) == 0).all()
    assert np.isfinite(classifier.predict_proba(far)).all()


# --- fitting ---


def fit(scorers, modalities, weight=None, seed=0, memory=None):
    weight = np.ones(len(modalities[0])) if weight is None else weight
    return fit_scorers(
        scorers, modalities, weight, seed, n_jobs=None, memory=memory or Memory(None)
    )


def test_scorers_learn_from_complete_rows():
    a, b = rows(5), rows(5, 2)
    a[1, 0] = np.nan
    fitted = fit({"a": Norm(), "b": Norm()}, [a, b])
    assert list(fitted) == ["a", "b"]
    np.testing.assert_array_equal(fitted["a"].rows_, a[[0, 2, 3, 4]])
    np.testing.assert_array_equal(fitted["b"].rows_, b)


def test_weights_are_passed_where_they_are_understood_and_matter():
    x, weight = rows(4), np.array([1.0, 2.0, 0.5, 0.5])
    x[3, 0] = np.nan
    np.testing.assert_array_equal(fit({"a": Norm()}, [x], weight)["a"].weight_, weight[:3])
    assert fit({"a": Norm()}, [x])["a"].weight_ is None
    fit({"a": GaussianMixture(random_state=0)}, [x], weight)


def test_scorers_without_a_random_state_get_one():
    x = rows()
    nested = make_pipeline(QuantileTransformer(n_quantiles=5), GaussianMixture())
    scorers = {"a": GaussianMixture(), "b": GaussianMixture(random_state=7), "c": nested}
    fitted = fit(scorers, [x] * 3, seed=40)
    assert fitted["a"].random_state == 40
    assert fitted["b"].random_state == 7
    assert fitted["c"][0].random_state == fitted["c"][1].random_state == 42
    assert scorers["a"].random_state is None


def test_modalities_with_the_same_rows_get_different_seeds():
    x = rows()
    fitted = fit(dict.fromkeys("ab", DAEEnergyScorer(max_epochs=1)), [x, x])
    assert fitted["a"].random_state != fitted["b"].random_state


def test_too_few_complete_rows():
    x = rows(4)
    x[1:] = np.nan
    with pytest.raises(ValueError, match="'a' has values in 1 row.s.; at least 2"):
        fit({"a": Norm()}, [x])


def test_fits_are_remembered(tmp_path):
    memory = Memory(tmp_path, verbose=0)
    x = rows()
    first = fit({"a": dae()}, [x], memory=memory)["a"]
    n_files = len(list(tmp_path.rglob("output.pkl")))
    second = fit({"a": dae()}, [x], memory=memory)["a"]
    assert len(list(tmp_path.rglob("output.pkl"))) == n_files == 1
    np.testing.assert_array_equal(first.score_samples(x), second.score_samples(x))
    fit({"a": dae()}, [x + 1], memory=memory)
    assert len(list(tmp_path.rglob("output.pkl"))) == 2


# --- what is no energy ---


def test_what_an_energy_must_have():
    check_energy(GaussianMixture(), ["a"])
    check_energy({"a": GaussianMixture()}, ["a", "b"])
    with pytest.raises(ValueError, match="unknown modalities .'c'.. The modalities are .'a', 'b'"):
        check_energy({"c": GaussianMixture()}, ["a", "b"])
    for wrong in (QuantileTransformer(), {"a": None}):
        with pytest.raises(TypeError, match="score_samples method"):
            check_energy(wrong, ["a"])
    with pytest.raises(TypeError, match=r"the class GaussianMixture. Pass GaussianMixture\(\)"):
        check_energy(GaussianMixture, ["a"])
    with pytest.raises(ValueError, match="set its modalities to None, got 'prefix'"):
        check_energy({"a": DAEEnergyScorer("prefix")}, ["a"])


@pytest.mark.parametrize(
    ("returns", "match"),
    [
        (lambda X: np.full(len(X), np.nan), "'radar', Fixed, returned NaN for 3 of 3 rows"),
        (lambda X: X, r"of shape \(3,\), but returned shape \(3, 2\)"),
        (lambda X: 0.0, r"of shape \(3,\), but returned shape \(\)"),
    ],
)
def test_scores_that_are_none(returns, match):
    class Fixed:
        def score_samples(self, X):
            return returns(X)

    energy = ModalityEnergy("radar", Fixed(), fill=np.zeros(2))
    with pytest.raises(ValueError, match=match):
        energy(np.zeros((3, 2)))
    with pytest.raises(ValueError, match=match):
        energy.on_tensors(CPU)(torch.zeros(3, 2))
