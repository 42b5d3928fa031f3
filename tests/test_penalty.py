"""The penalty on the predictor's weights: given, chosen, or none of ours."""

import numpy as np
import pandas as pd
import torch
from torch import nn

from sklearn_emma import EMMAClassifierCV, EMMARegressor


def test_the_penalty_on_weights_holds_probabilities_back_and_counts_less_in_a_larger_table(
    table, quick
):
    X, y = table

    def confidence(penalty, copies=1):
        """Return the mean largest probability of a fit of as many steps whatever the rows."""
        rows, target = pd.concat([X] * copies), np.tile(y, copies)
        fit = quick(
            l2_regularization=penalty, max_epochs=24 // copies, batch_size=32, pretrain_epochs=0
        )
        return fit.fit(rows, target).predict_proba(X).max(axis=1).mean()

    sure, held_back, many_rows = confidence(0.0), confidence(100.0), confidence(100.0, copies=8)
    assert sure > held_back + 0.1
    assert many_rows > held_back + 0.05


def test_a_number_is_taken_and_auto_is_chosen(table, quick):
    X, y = table
    assert quick(l2_regularization=3).fit(X, y).l2_regularization_ == 3.0
    chosen = quick(l2_regularization="auto").fit(X, y)
    assert 0.001 <= chosen.l2_regularization_ / len(X) <= 0.01 + 1e-9
    given = quick(l2_regularization=chosen.l2_regularization_).fit(X, y)
    np.testing.assert_array_equal(given.predict_proba(X), chosen.predict_proba(X))


def test_labels_that_say_little_ask_for_more_of_it(table, quick):
    X, y = table
    guesses = np.random.RandomState(0).permutation(y)
    clear, vague = (
        quick(l2_regularization="auto", max_epochs=15).fit(X, target) for target in (y, guesses)
    )
    assert vague.l2_regularization_ > 1.5 * clear.l2_regularization_


def test_training_on_keeps_what_was_chosen(table, quick):
    X, y = table
    classifier = quick(l2_regularization="auto", warm_start=True).fit(X, y)
    chosen = classifier.l2_regularization_
    assert classifier.fit(X[: len(X) // 2], y[: len(X) // 2]).l2_regularization_ == chosen
    assert classifier.set_params(l2_regularization=2.0).fit(X, y).l2_regularization_ == 2.0


class Concat(nn.Module):
    """A network of one's own."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.layer = nn.Linear(sum(n_features), n_outputs)

    def forward(self, modalities):
        return self.layer(torch.cat(modalities, 1))


def test_a_network_of_ones_own_goes_without(table, quick):
    X, y = table
    assert quick(module=Concat, l2_regularization="auto").fit(X, y).l2_regularization_ == 0.0
    assert quick(module=Concat, l2_regularization=4.0).fit(X, y).l2_regularization_ == 4.0


def test_a_search_chooses_once_for_all_settings_of_a_fold(table):
    X, y = table
    search = EMMAClassifierCV(
        "prefix",
        param_grid={"coldness": [0.1, 1.0]},
        cv=2,
        max_epochs=2,
        pretrain_epochs=0,
        random_state=0,
    ).fit(X, y)
    assert 0.001 <= search.l2_regularization_ / len(X) <= 0.01 + 1e-9


def test_regressors_choose_too(table):
    X, y = table
    regressor = EMMARegressor("prefix", max_epochs=2, pretrain_epochs=0, random_state=0).fit(X, y)
    assert regressor.l2_regularization_ > 0.0
