"""The L2 regularization of the predictor: given, chosen, or none."""

import numpy as np
import pandas as pd
import torch
from torch import nn

from sklearn_emma import EMMAClassifierCV, EMMARegressor
from sklearn_emma.gate.predictor_selection import select_predictor


def test_the_penalty_lowers_confidence_and_counts_less_in_a_larger_table(table, quick):
    X, y = table

    def confidence(penalty, copies=1):
        """Return the mean largest probability of a fit; copies of samples do not add steps."""
        samples, target = pd.concat([X] * copies), np.tile(y, copies)
        fit = quick(
            l2_regularization=penalty, max_epochs=24 // copies, batch_size=32, pretrain_epochs=0
        )
        return fit.fit(samples, target).predict_proba(X).max(axis=1).mean()

    sure, cautious, many_samples = confidence(0.0), confidence(100.0), confidence(100.0, copies=8)
    assert sure > cautious + 0.05
    assert many_samples > cautious + 0.05


def test_a_number_is_taken_and_auto_is_chosen(table, quick):
    X, y = table
    assert quick(l2_regularization=3).fit(X, y).l2_regularization_ == 3.0
    chosen = quick(l2_regularization="auto").fit(X, y)
    assert 0.001 <= chosen.l2_regularization_ / len(X) <= 0.03
    given = quick(l2_regularization=chosen.l2_regularization_).fit(X, y)
    np.testing.assert_array_equal(given.predict_proba(X), chosen.predict_proba(X))


def test_random_labels_get_a_stronger_penalty(table, quick):
    X, y = table
    guesses = np.random.RandomState(0).permutation(y)
    clear, vague = (
        quick(l2_regularization="auto", max_epochs=15, batch_size=8).fit(X, target)
        for target in (y, guesses)
    )
    assert vague.l2_regularization_ > 1.2 * clear.l2_regularization_


def test_a_warm_start_chooses_for_its_own_samples(table, quick):
    X, y = table
    classifier = quick(l2_regularization=500.0, warm_start=True).fit(X, y)
    classifier.set_params(l2_regularization="auto").fit(X, y)
    assert 0.001 <= classifier.l2_regularization_ / len(X) <= 0.03
    classifier.fit(X[:50], y[:50])
    assert 0.001 <= classifier.l2_regularization_ / 50 <= 0.03


class Concat(nn.Module):
    """A network of the user."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.layer = nn.Linear(sum(n_features), n_outputs)

    def forward(self, modalities):
        return self.layer(torch.cat(modalities, 1))


def test_a_network_of_the_user_gets_none_unless_asked_for(table, quick):
    X, y = table
    assert quick(module=Concat, l2_regularization="auto").fit(X, y).l2_regularization_ == 0.0
    assert quick(module=Concat, l2_regularization=4.0).fit(X, y).l2_regularization_ == 4.0


def test_a_search_chooses_once_for_all_settings_of_a_fold(table, quick, monkeypatch):
    X, y = table
    chosen = []

    def count(*args, **kwargs):
        chosen.append(select_predictor(*args, **kwargs))
        return chosen[-1]

    monkeypatch.setattr("sklearn_emma.base.select_predictor", count)
    params = quick(l2_regularization="auto", max_epochs=2).get_params(deep=False)
    del params["warm_start"], params["adversarial"]
    grid = {"coldness": [0.1, 1.0]}
    search = EMMAClassifierCV(param_grid=grid, cv=2, **params).fit(X, y)
    assert len(chosen) == 3  # two folds, and the last fit
    assert (search.periodic_features_, search.l2_regularization_) == chosen[-1]


def test_periodic_features_are_not_tried_for_many_columns(table, quick, monkeypatch):
    X, y = table
    tried = []

    def count(networks, *args):
        tried.append(list(networks))
        return False, 1.0

    monkeypatch.setattr("sklearn_emma.base.select_predictor", count)
    quick(periodic_features="auto", max_epochs=1).fit(X, y)
    monkeypatch.setattr("sklearn_emma.base.MAX_PERIODIC_COLUMNS", X.shape[1] - 1)
    quick(periodic_features="auto", max_epochs=1).fit(X, y)
    assert tried == [[False, True], [False]]


def test_regressors_choose_too(table):
    X, y = table
    regressor = EMMARegressor("prefix", max_epochs=2, pretrain_epochs=0, random_state=0).fit(X, y)
    assert regressor.l2_regularization_ > 0.0
