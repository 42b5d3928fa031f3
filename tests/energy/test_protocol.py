"""Any estimator that tells likely samples from unlikely ones is an energy."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

from sklearn_emma import DAEEnergyScorer
from sklearn_emma.energy.protocol import (
    ArrayEnergy,
    Precision,
    check_energy,
    is_tensor_energy,
    potential_of,
    tensor_energy,
)

SINGLE = Precision("cpu", torch.float32, torch.float32)


def make_samples(n_samples=60, n_features=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n_samples, n_features))


def dae():
    return DAEEnergyScorer(hidden_layer_sizes=(6,), max_epochs=3, random_state=0)


class Norm(BaseEstimator):
    """Score: minus the squared norm."""

    def fit(self, X, y=None):
        return self

    def score_samples(self, X):
        return -(X**2).sum(axis=1)


# --- energies ---


def test_energy_is_minus_the_score():
    x = make_samples()
    np.testing.assert_allclose(potential_of(Norm(), x), (x**2).sum(axis=1))


def test_an_estimator_of_others_gets_float64():
    seen = []

    class Spy(Norm):
        def score_samples(self, X):
            seen.append(X)
            return super().score_samples(X)

    x = torch.tensor(make_samples(), dtype=torch.float32)
    energies = ArrayEnergy(Spy(), "radar").potential(x)
    assert energies.dtype == torch.float32
    assert seen[0].dtype == np.float64
    np.testing.assert_array_equal(seen[0], x.double())


@pytest.mark.parametrize("scorer", [Norm(), dae()], ids=["any", "autoencoder"])
@pytest.mark.parametrize("precision", [Precision(), SINGLE], ids=["double", "single"])
def test_tensors_get_the_same_energies(scorer, precision):
    x = make_samples()
    scorer.fit(x)
    energies = tensor_energy(scorer, "radar", precision).potential(
        torch.tensor(x, dtype=precision.inputs)
    )
    assert energies.dtype == precision.inputs
    rounding = 1e-4 if precision.inputs == torch.float32 else 1e-10
    np.testing.assert_allclose(energies, potential_of(scorer, x), rtol=rounding, atol=rounding)


def test_inputs_may_be_more_precise_than_weights():
    x = make_samples()
    scorer = dae().fit(1e6 + x)
    mixed = tensor_energy(scorer, "radar", Precision(weights=torch.float32))
    # centered before they are rounded
    energies = mixed.potential(torch.tensor(1e6 + x))
    np.testing.assert_allclose(energies, potential_of(scorer, 1e6 + x), rtol=1e-4, atol=1e-4)


class Overridden(DAEEnergyScorer):
    def score_samples(self, X):
        return -(np.asarray(X) ** 2).sum(axis=1)


class Refitted(DAEEnergyScorer):
    def fit(self, X, y=None, sample_weight=None):
        return super().fit(X)


class Renamed(DAEEnergyScorer):
    pass


class Both(DAEEnergyScorer):
    def score_samples(self, X):
        return super().score_samples(X)

    def tensor_energy(self, precision):
        return super().tensor_energy(precision)


def test_what_a_subclass_overrides_is_asked():
    spoken = {kind: is_tensor_energy(kind()) for kind in (DAEEnergyScorer, Renamed, Both)}
    assert all(spoken.values())
    for kind in (Overridden, Refitted, Norm, GaussianMixture):
        assert not is_tensor_energy(kind())
    x = make_samples()
    scorer = Overridden(hidden_layer_sizes=(6,), max_epochs=1, random_state=0).fit(x)
    energies = tensor_energy(scorer, "radar", Precision()).potential(torch.tensor(x))
    np.testing.assert_allclose(energies, (x**2).sum(axis=1))


# --- in a classifier ---


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


# --- what is no energy ---


def test_what_an_energy_must_have():
    check_energy(GaussianMixture(), ["a"])
    check_energy({"a": GaussianMixture()}, ["a", "b"])
    with pytest.raises(ValueError, match="unknown modalities .'c'.. The modalities are .'a', 'b'"):
        check_energy({"c": GaussianMixture()}, ["a", "b"])
    for wrong in (QuantileTransformer(), {"a": None}, SimpleNamespace(score_samples=len)):
        with pytest.raises(TypeError, match="methods fit and score_samples"):
            check_energy(wrong, ["a"])
    with pytest.raises(TypeError, match=r"the class GaussianMixture. Pass GaussianMixture\(\)"):
        check_energy(GaussianMixture, ["a"])
    with pytest.raises(ValueError, match="set its modalities to None, got 'prefix'"):
        check_energy({"a": DAEEnergyScorer("prefix")}, ["a"])


@pytest.mark.parametrize(
    ("returns", "match"),
    [
        (lambda X: np.full(len(X), np.nan), "'radar', Fixed, returned NaN for 3 of 3 samples"),
        (lambda X: np.full(len(X), np.inf), "returned an energy of minus infinity for 3"),
        (lambda X: X, r"of shape \(3,\), but returned shape \(3, 2\)"),
        (lambda X: 0.0, r"of shape \(3,\), but returned shape \(\)"),
    ],
)
def test_scores_that_are_none(returns, match):
    class Fixed:
        def score_samples(self, X):
            return returns(X)

    energy = tensor_energy(Fixed(), "radar", Precision())
    with pytest.raises(ValueError, match=match):
        energy.potential(torch.zeros(3, 2).double())
