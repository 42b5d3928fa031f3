"""What the tests share: small tables, and classifiers that train quickly."""

import numpy as np
import pytest

from sklearn_emma import DAEEnergyScorer, EMMAClassifier
from sklearn_emma.datasets import make_multimodal_classification


@pytest.fixture(scope="session")
def table():
    """Three modalities of three columns, two classes."""
    return make_multimodal_classification(
        160, n_modalities=3, n_features=3, random_state=0, return_X_y=True
    )


@pytest.fixture(scope="session")
def quick():
    """An EMMAClassifier with few units and epochs; parameters can be overridden."""
    defaults = {
        "modalities": "prefix",
        "energy": DAEEnergyScorer(hidden_layer_sizes=(8,), max_epochs=5),
        "hidden_layer_sizes": (8,),
        "pretrain_epochs": 5,
        "max_epochs": 10,
        "learning_rate": 0.01,
        "lambda_energy": 0.0,
        # not chosen, which takes time
        "l2_regularization": 5.0,
        "periodic_features": False,
        "random_state": 0,
    }
    return lambda **params: EMMAClassifier(**(defaults | params))


@pytest.fixture(scope="session")
def fitted(table, quick):
    """A fitted classifier, to be read only."""
    return quick().fit(*table)


@pytest.fixture(scope="session")
def wide():
    """A larger table, to measure what training achieves: training and test samples."""
    X, y = make_multimodal_classification(
        1000, n_modalities=3, n_features=3, redundancy=0.3, random_state=1, return_X_y=True
    )
    return X[:600], y[:600], X[600:], y[600:]


@pytest.fixture(scope="session")
def trained(wide, quick):
    """A classifier trained long enough to be good at `wide`."""
    return quick(
        energy=DAEEnergyScorer(hidden_layer_sizes=(16,), max_epochs=30),
        hidden_layer_sizes=(16,),
        pretrain_epochs=5,
        max_epochs=30,
        learning_rate=0.003,
        batch_size=50,
    ).fit(*wide[:2])


@pytest.fixture(scope="session")
def add_noise():
    """Noise of sigma standard deviations on one modality of a DataFrame."""

    def noisy(X, modality, sigma):
        chosen = X.columns.str.startswith(f"{modality}__")
        noise = np.random.default_rng(0).normal(size=(len(X), chosen.sum()))
        X = X.copy()
        X.loc[:, chosen] += sigma * noise * X.loc[:, chosen].std().to_numpy()
        return X

    return noisy


@pytest.fixture(scope="session")
def lose():
    """Let a modality of a DataFrame go missing."""

    def without(X, modality):
        X = X.copy()
        X.loc[:, X.columns.str.startswith(f"{modality}__")] = np.nan
        return X

    return without
