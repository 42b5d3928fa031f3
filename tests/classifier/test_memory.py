"""What is fitted once and remembered."""

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV


class CountingScorer(BaseEstimator):
    """A Gaussian per column that counts its fits."""

    n_fits = 0

    def __init__(self, spread=1.0):
        self.spread = spread

    def fit(self, X, y=None):
        CountingScorer.n_fits += 1
        self.mean_ = X.mean(axis=0)
        return self

    def score_samples(self, X):
        return -((X - self.mean_) ** 2).sum(axis=1) / self.spread


class GatedLinear(torch.nn.Module):
    """A linear model with dropout, which draws from torch's global generator."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.linear = torch.nn.Linear(n_features, n_outputs)

    def forward(self, modalities):
        return self.linear(
            torch.nn.functional.dropout(torch.cat(modalities, 1), 0.5, self.training)
        )


def test_a_search_with_memory_fits_the_energies_of_a_fold_once(
    table, quick, tmp_path, same_predictions
):
    X, y = table
    grid = {"coldness": [0.1, 1.0], "lambda_energy": [0.0, 0.1]}

    def search(memory):
        CountingScorer.n_fits = 0
        classifier = quick(energy=CountingScorer(), max_epochs=2, memory=memory)
        search = GridSearchCV(classifier, grid, cv=2, scoring="neg_log_loss").fit(X, y)
        return search, CountingScorer.n_fits

    without, n_without = search(None)
    with_memory, n_with = search(str(tmp_path))
    assert n_without == 3 * (2 * 4 + 1)  # modalities times (folds times settings, and the refit)
    assert n_with == 3 * (2 + 1)
    for key, values in without.cv_results_.items():
        if not key.endswith("_time"):
            np.testing.assert_array_equal(values, with_memory.cv_results_[key])
    assert same_predictions(without, with_memory, X)


def test_memory_holds_what_does_not_depend_on_the_gate(table, quick, tmp_path, same_predictions):
    X, y = table
    first = quick(memory=str(tmp_path), l2_regularization="auto").fit(X, y)
    files = sorted(tmp_path.rglob("output.pkl"))
    other = {"coldness": 0.5, "lambda_capacity": 0.1, "subset_weight": 1.0}
    second = quick(memory=str(tmp_path), l2_regularization="auto", **other).fit(X, y)
    # energies, penalty, cross-modal energy, warm start
    assert len(files) == 4
    assert sorted(tmp_path.rglob("output.pkl")) == files
    assert same_predictions(first, quick(l2_regularization="auto").fit(X, y), X)
    assert same_predictions(second, quick(l2_regularization="auto", **other).fit(X, y), X)


@pytest.mark.parametrize(
    "other",
    [
        {"random_state": 1},
        {"hidden_layer_sizes": (5, 4)},
        {"n_networks": 1},
        {"solver": "adam"},
        {"learning_rate": 0.01},
        {"pretrain_epochs": 2},
        {"batch_size": 20},
        {"class_weight": {0: 1.0, 1: 3.0}},
    ],
)
def test_memory_mistakes_no_training_for_another(table, quick, tmp_path, same_predictions, other):
    X, y = table
    params = {"max_epochs": 2, "l2_regularization": "auto"}
    quick(memory=str(tmp_path), **params).fit(X, y)
    with_memory = quick(memory=str(tmp_path), **(params | other)).fit(X, y)
    without = quick(**(params | other)).fit(X, y)
    assert same_predictions(with_memory, without, X)


def test_memory_without_a_seed_is_warned_of(table, quick, tmp_path):
    with pytest.warns(UserWarning, match="has no effect with random_state=None.*Pass an int"):
        quick(max_epochs=1, memory=str(tmp_path), random_state=None).fit(*table)


def test_layers_of_the_user_draw_as_without_memory(table, quick, tmp_path, same_predictions):
    X, y = table

    def network(n_features, n_outputs):
        return GatedLinear(sum(n_features), n_outputs)

    without = quick(module=network, max_epochs=2).fit(X, y)
    for _ in range(2):
        with_memory = quick(module=network, max_epochs=2, memory=str(tmp_path)).fit(X, y)
        assert same_predictions(with_memory, without, X)
