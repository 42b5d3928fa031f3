"""Energies that are fitted once and remembered."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV

NAMES = ["modality0", "modality1", "modality2"]


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


def test_memory_holds_the_default_energy_too(table, quick, tmp_path, fitted, same_predictions):
    X, y = table
    first = quick(memory=str(tmp_path)).fit(X, y)
    files = sorted(tmp_path.rglob("output.pkl"))
    second = quick(memory=str(tmp_path), coldness=0.5, lambda_capacity=0.1).fit(X, y)
    assert len(files) == 1
    assert sorted(tmp_path.rglob("output.pkl")) == files
    assert same_predictions(first, fitted, X)
    for name in NAMES:
        x = np.zeros((1, 3))
        assert first.energy_scorers_[name].score_samples(x) == second.energy_scorers_[
            name
        ].score_samples(x)
