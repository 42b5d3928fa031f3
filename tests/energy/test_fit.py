"""One energy scorer per modality is fitted, on samples that may have gaps."""

import importlib
import linecache
import sys

import numpy as np
import pytest
import torch
from joblib import Memory
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, QuantileTransformer

from sklearn_emma import DAEEnergyScorer
from sklearn_emma.energy.fit import fit_energies
from sklearn_emma.energy.samples import energy_samples
from sklearn_emma.engine.training_memory import source_of


def make_samples(n_samples=60, n_features=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n_samples, n_features))


def dae(**params):
    return DAEEnergyScorer(
        **{"hidden_layer_sizes": (6,), "max_epochs": 3, "random_state": 0, **params}
    )


class Norm(BaseEstimator):
    """Score: minus the squared norm. Records what it was fitted on."""

    def fit(self, X, y=None, sample_weight=None):
        self.samples_, self.weight_ = X, sample_weight
        return self

    def score_samples(self, X):
        return -(X**2).sum(axis=1)


def fit(scorers, modalities, weight=None, seed=0, memory=None):
    weight = np.ones(len(modalities[0])) if weight is None else weight
    return fit_energies(
        scorers,
        [
            energy_samples(name, x, weight, torch.nan_to_num)
            for name, x in zip(scorers, modalities, strict=True)
        ],
        seed,
        n_jobs=None,
        memory=memory or Memory(None),
    )


def test_scorers_learn_from_complete_make_samples():
    a, b = make_samples(5), make_samples(5, 2)
    a[1, 0] = np.nan
    fitted = fit({"a": Norm(), "b": Norm()}, [a, b])
    assert list(fitted) == ["a", "b"]
    np.testing.assert_array_equal(fitted["a"].samples_, a[[0, 2, 3, 4]])
    np.testing.assert_array_equal(fitted["b"].samples_, b)


def test_weights_are_passed_where_they_are_understood_and_matter():
    x, weight = make_samples(4), np.array([1.0, 2.0, 0.5, 0.5])
    x[3, 0] = np.nan
    np.testing.assert_array_equal(fit({"a": Norm()}, [x], weight)["a"].weight_, weight[:3])
    assert fit({"a": Norm()}, [x])["a"].weight_ is None
    fit({"a": GaussianMixture(random_state=0)}, [x], weight)


def test_scorers_without_a_random_state_get_one():
    x = make_samples()
    nested = make_pipeline(QuantileTransformer(n_quantiles=5), GaussianMixture())
    scorers = {"a": GaussianMixture(), "b": GaussianMixture(random_state=7), "c": nested}
    fitted = fit(scorers, [x] * 3, seed=40)
    assert fitted["a"].random_state == 40
    assert fitted["b"].random_state == 7
    assert fitted["c"][0].random_state == fitted["c"][1].random_state == 42
    assert scorers["a"].random_state is None


def test_modalities_with_the_same_samples_get_different_seeds():
    x = make_samples()
    fitted = fit(dict.fromkeys("ab", DAEEnergyScorer(max_epochs=1)), [x, x])
    assert fitted["a"].random_state != fitted["b"].random_state


def test_too_few_complete_make_samples():
    x = make_samples(4)
    x[1:] = np.nan
    with pytest.raises(ValueError, match="'a' has values in 1 sample.s.; at least 2"):
        fit({"a": Norm()}, [x])


def test_fits_are_remembered(tmp_path):
    memory = Memory(tmp_path, verbose=0)
    x = make_samples()
    first = fit({"a": dae()}, [x], memory=memory)["a"]
    n_files = len(list(tmp_path.rglob("output.pkl")))
    second = fit({"a": dae()}, [x], memory=memory)["a"]
    assert len(list(tmp_path.rglob("output.pkl"))) == n_files == 1
    np.testing.assert_array_equal(first.score_samples(x), second.score_samples(x))
    fit({"a": dae()}, [x + 1], memory=memory)
    assert len(list(tmp_path.rglob("output.pkl"))) == 2


def test_gaps_are_filled_where_few_samples_are_complete():
    x = make_samples(10)
    x[:3, 0] = x[3:6, 1] = x[9] = np.nan
    fitted = fit({"a": Norm()}, [x])["a"]
    # three of nine with a value are complete
    np.testing.assert_array_equal(fitted.samples_, np.nan_to_num(x)[:9])
    x[:2, 0] = 0.0
    fitted = fit({"a": Norm()}, [x])["a"]
    np.testing.assert_array_equal(fitted.samples_, x[~np.isnan(x).any(axis=1)])


def test_energies_of_modalities_are_those_of_fits_by_themselves():
    a, b, c, d = make_samples(), make_samples(seed=1), make_samples(50, 2), make_samples(50, 1)
    weight = np.linspace(0.5, 1.5, 60)
    a[:10] = np.nan
    c, d = (np.concatenate([x, np.full((10, x.shape[1]), np.nan)]) for x in (c, d))
    scorers = {"a": dae(), "b": Norm(), "c": dae(max_epochs=2), "d": dae(random_state=1)}
    fitted = fit(scorers, [a, b, c, d], weight)
    assert list(fitted) == list(scorers)
    for name, x in {"a": a, "c": c, "d": d}.items():
        complete = ~np.isnan(x).any(axis=1)
        alone = fitted[name].__class__(**scorers[name].get_params())
        alone.fit(x[complete], sample_weight=weight[complete])
        np.testing.assert_allclose(
            fitted[name].transform(x[complete]), alone.transform(x[complete]), atol=1e-3
        )
        assert not hasattr(scorers[name], "energy_weights_")


def test_constant_columns_are_not_warned_of_again(recwarn):
    x = make_samples()
    x[:, 1] = 3.0
    fit({"a": dae()}, [x])
    assert not [warning for warning in recwarn if "Constant" in str(warning.message)]


def test_a_frozen_energy_is_used_as_it_is():
    X = make_samples()
    mixture = GaussianMixture(2, random_state=0).fit(X)
    fitted = fit({"a": FrozenEstimator(mixture)}, [make_samples(seed=1)])
    np.testing.assert_array_equal(fitted["a"].score_samples(X), mixture.score_samples(X))


def test_the_cache_knows_the_code_of_an_energy(tmp_path, monkeypatch):
    code = """
import numpy as np
from sklearn.base import BaseEstimator

class Far(BaseEstimator):
    def fit(self, X, y=None):
        self.center_ = X.{statistic}(axis=0)
        return self

    def score_samples(self, X):
        return -np.abs(X - self.center_).max(1)
"""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    X, centers = make_samples(), []
    for statistic in ("mean", "max", "mean"):
        (tmp_path / "far_energy.py").write_text(code.format(statistic=statistic))
        monkeypatch.delitem(sys.modules, "far_energy", raising=False)
        linecache.clearcache()
        importlib.invalidate_caches()
        energy = importlib.import_module("far_energy").Far()
        centers.append(fit({"a": energy}, [X], memory=Memory(tmp_path / "cache"))["a"].center_)
    np.testing.assert_array_equal(centers, [X.mean(axis=0), X.max(axis=0), X.mean(axis=0)])


def test_an_energy_of_unknown_code_is_not_cached(tmp_path):
    kind = type("Interactive", (Norm,), {"__module__": "__nowhere__"})
    assert source_of(kind()) is None
    assert source_of(make_pipeline(Norm(), kind())) is None
    assert source_of(Norm()) == source_of(Norm())
    # base classes, and classes and functions among the parameters
    child = type("Child", (GaussianMixture,), {"__module__": __name__})
    assert source_of(child()) != source_of(Norm())
    known = FunctionTransformer(make_samples)
    assert source_of(known) not in (None, source_of(FunctionTransformer()))
    assert source_of(FunctionTransformer([known])) == source_of(known)
