"""Many settings fitted together: every fit is that of the setting alone."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import ParameterGrid
from torch import nn

from sklearn_emma import DAEEnergyScorer, EMMAClassifier, EMMARegressor
from sklearn_emma.base import fit_settings
from sklearn_emma.corruption import Missing


class Distance(BaseEstimator):
    """A cheap energy: the distance to the center. It counts the tables that it reads."""

    n_read = 0

    def fit(self, X, y=None):
        self.center_ = X.mean(axis=0)
        return self

    def score_samples(self, X):
        Distance.n_read += 1
        return -np.square(X - self.center_).sum(axis=1)


QUICK = {
    "modalities": "prefix",
    "energy": Distance(),
    "cross_modal": False,
    "hidden_layer_sizes": (8,),
    "pretrain_epochs": 2,
    "max_epochs": 3,
    "learning_rate": 0.01,
    "random_state": 0,
}


class Net(nn.Module):
    """A predictor with all that is special: randomness, statistics, frozen parameters."""

    def __init__(self, widths, n_outputs):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(sum(widths), 8),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(8, n_outputs),
        )
        self.layers[0].bias.requires_grad_(False)

    def forward(self, modalities):
        return self.layers(torch.cat(list(modalities), 1))


VARIANTS = {
    "early stopping": {"early_stopping": True, "n_iter_no_change": 1, "max_epochs": 12},
    "class weight": {"class_weight": "balanced"},
    "module": {"module": Net},
    "one modality": {"modalities": {"all": slice(None)}},
    "energies": {
        "energy": {"modality0": DAEEnergyScorer(max_epochs=1), "modality1": GaussianMixture()}
    },
    "cross-modal energy": {"cross_modal": True},
    "corruption": {"corruption": Missing(only="modality1")},
    "odd sizes": {"hidden_layer_sizes": (7, 5), "batch_size": 37},
    "no warm start": {"pretrain_epochs": 0},
}

# settings without a subset loss draw other random numbers, and train by themselves
WEIGHTS = [(variant, (0.0, 0.5, 2.0)) for variant in ("early stopping", "module", "one modality")]


@pytest.mark.parametrize(
    ("variant", "subset_weights"), [(name, (2.0,)) for name in VARIANTS] + WEIGHTS
)
def test_every_fit_is_that_of_the_classifier(table, variant, subset_weights):
    X, y = table
    X, test, y = X[:100], X[100:], y[:100]
    params = QUICK | VARIANTS[variant]
    settings = list(ParameterGrid({"coldness": [0.1, 1.0], "subset_weight": subset_weights}))
    fits = fit_settings(EMMAClassifier(**params), X, y, settings)
    for setting, fit in zip(settings, fits, strict=True):
        alone = EMMAClassifier(**params | setting).fit(X, y)
        assert fit.get_params(deep=False).keys() == alone.get_params(deep=False).keys()
        assert set(vars(fit)) == set(vars(alone))
        assert fit.n_iter_ == alone.n_iter_
        assert list(fit.history_) == list(alone.history_)
        np.testing.assert_allclose(
            fit.predict_proba(test), alone.predict_proba(test), rtol=0, atol=1e-4
        )
        np.testing.assert_allclose(fit.attention(test), alone.attention(test), rtol=0, atol=1e-4)


def test_weights_count(table):
    X, y = table
    weight = np.random.default_rng(0).integers(0, 3, len(y)).astype(float)
    settings = [{"coldness": 0.1}, {"lambda_energy": 0.1}]
    for setting, fit in zip(
        settings, fit_settings(EMMAClassifier(**QUICK), X, y, settings, weight), strict=True
    ):
        alone = EMMAClassifier(**QUICK | setting).fit(X, y, sample_weight=weight)
        np.testing.assert_allclose(fit.predict_proba(X), alone.predict_proba(X), atol=1e-4)


def test_regressors_are_fitted_too(table):
    X, y = table
    settings = [{"coldness": 0.1}, {"coldness": 1.0}]
    for setting, fit in zip(
        settings, fit_settings(EMMARegressor(**QUICK), X, y, settings), strict=True
    ):
        alone = EMMARegressor(**QUICK | setting).fit(X, y)
        np.testing.assert_allclose(fit.predict(X), alone.predict(X), atol=1e-4)


def test_the_estimator_is_left_as_it_was(table):
    classifier = EMMAClassifier(**QUICK)
    before = dict(vars(classifier))
    fit_settings(classifier, *table, [{"coldness": 0.1}])
    assert vars(classifier) == before


def test_a_setting_that_diverges_is_an_error_in_its_place(table):
    settings = [{"lambda_energy": 0.0}, {"lambda_energy": 1e39}, {"lambda_energy": 0.1}]
    good, bad, last = fit_settings(EMMAClassifier(**QUICK), *table, settings)
    assert isinstance(bad, ValueError)
    assert "Training diverged" in str(bad)
    for setting, fit in ((settings[0], good), (settings[2], last)):
        alone = EMMAClassifier(**QUICK | setting).fit(*table)
        np.testing.assert_allclose(
            fit.predict_proba(table[0]), alone.predict_proba(table[0]), atol=1e-4
        )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_samples_are_read_once_for_all_settings(table, dtype):
    X, y = table
    settings = [{"coldness": coldness} for coldness in (0.1, 0.3, 1.0)]
    fits = fit_settings(EMMAClassifier(**QUICK), X, y, settings)
    X = X.astype(dtype)
    alone = [pickle.loads(pickle.dumps(fit)) for fit in fits]  # these share nothing
    Distance.n_read = 0
    found = [fit.predict_proba(X) for fit in fits]
    assert Distance.n_read == 3  # once for each modality
    for proba, other in zip(found, alone, strict=True):
        np.testing.assert_array_equal(other.predict_proba(X), proba)
    assert Distance.n_read == 3 + 3 * 3
    # other samples are not mistaken for them
    other = X + 1.0
    np.testing.assert_array_equal(fits[0].predict_proba(other), alone[0].predict_proba(other))


def test_fits_that_were_changed_read_for_themselves(table):
    X, y = table
    first, second = fit_settings(
        EMMAClassifier(**QUICK), X, y, [{"coldness": 0.1}, {"coldness": 1.0}]
    )
    before = second.energies(X)
    first.mean_ = first.mean_ + 1.0
    assert not np.allclose(first.energies(X), before)
    np.testing.assert_array_equal(second.energies(X), before)


def test_fits_can_be_pickled_cloned_and_fitted_again(table):
    X, y = table
    (fit,) = fit_settings(EMMAClassifier(**QUICK), X, y, [{"coldness": 1.0}])
    copied = pickle.loads(pickle.dumps(fit))
    np.testing.assert_array_equal(copied.predict_proba(X), fit.predict_proba(X))
    again = clone(fit).fit(X, y)
    np.testing.assert_allclose(again.predict_proba(X), fit.predict_proba(X), atol=1e-4)


def test_samples_that_cannot_be_learned_from_are_refused(table):
    X, y = table
    with pytest.raises(ValueError, match="at least two classes"):
        fit_settings(EMMAClassifier(**QUICK), X, np.zeros(len(y)), [{"coldness": 0.1}])
