"""A fit that goes on where the last one stopped."""

import numpy as np
import pytest
from sklearn.base import clone


def test_warm_start_goes_on_where_the_last_fit_stopped(table, quick):
    X, y = table
    classifier = quick(warm_start=True, max_epochs=30, learning_rate=0.01).fit(X, y)
    scorers, scale = classifier.energy_scorers_, classifier.potential_scale_
    stopped_at = classifier.history_["train_loss"][-5:].mean()
    cold = quick(max_epochs=1, learning_rate=0.01).fit(X, y).history_["train_loss"][0]
    warm = classifier.set_params(max_epochs=1).fit(X, y).history_["train_loss"][0]
    assert classifier.n_iter_ == 1
    assert abs(warm - stopped_at) < 0.25 * (cold - stopped_at)
    assert classifier.energy_scorers_ is scorers
    np.testing.assert_array_equal(classifier.potential_scale_, scale)


def test_without_warm_start_a_fit_forgets(table, quick, fitted, same_predictions):
    X, y = table
    gaps = X.mask(np.random.default_rng(0).random(X.shape) < 0.1)
    again = quick(modalities={"all": slice(None)}, max_epochs=9).fit(gaps, 1 - y)
    again.set_params(**quick().get_params()).fit(X, y)
    assert same_predictions(again, fitted, X)
    gappy = quick().fit(gaps, y)
    assert same_predictions(clone(gappy).fit(X, y).fit(gaps, y), gappy, gaps)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        (lambda X, y: (X, y + 1), "classes_ was .0 1. and now is .1 2."),
        (
            lambda X, y: (X.rename(columns=lambda name: name.replace("modality2", "sonar")), y),
            "modality_names_ was .* and now is .*sonar",
        ),
    ],
    ids=["classes", "modalities"],
)
def test_warm_start_refuses_other_classes_and_modalities(table, quick, changed, match):
    X, y = table
    classifier = quick(warm_start=True).fit(X, y)
    before = classifier.predict_proba(X)
    with pytest.raises(ValueError, match=f"(?s)warm_start=True needs.*{match}.*warm_start=False"):
        classifier.fit(*changed(X, y))
    np.testing.assert_array_equal(classifier.predict_proba(X), before)


def test_warm_start_refuses_another_network(table, quick):
    classifier = quick(warm_start=True).fit(*table)
    with pytest.raises(ValueError, match="periodic_features changed. Set warm_start=False"):
        classifier.set_params(hidden_layer_sizes=(9,)).fit(*table)
