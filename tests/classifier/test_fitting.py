"""What EMMAClassifier learns: classes, weights, history, and what its parameters change."""

import numpy as np
import pandas as pd
import pytest

from sklearn_emma.corruption import Corruption, Swapped
from sklearn_emma.datasets import make_multimodal_classification


def test_binary_probabilities_and_predictions_agree(trained, wide):
    _, _, X, y = wide
    probabilities = trained.predict_proba(X)
    assert probabilities.shape == (len(X), 2)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    np.testing.assert_array_equal(trained.predict(X), probabilities[:, 1] > 0.5)
    assert trained.score(X, y) > 0.95


def test_several_classes_with_string_labels(quick):
    X, y = make_multimodal_classification(
        400, n_modalities=3, n_features=3, n_classes=4, random_state=0, return_X_y=True
    )
    labels = np.array(["spring", "autumn", "winter", "summer"])[y]
    classifier = quick(max_epochs=20).fit(X, labels)
    assert classifier.classes_.tolist() == ["autumn", "spring", "summer", "winter"]
    assert classifier.predict_proba(X).shape == (len(X), 4)
    assert classifier.score(X, labels) > 0.85
    assert set(classifier.predict(X)) == set(labels)


@pytest.mark.parametrize(
    "encode",
    [
        lambda y: y == 1,
        lambda y: np.where(y == 1, -3, 7),
        lambda y: pd.Series(np.where(y == 1, "yes", "no")),
        lambda y: pd.Series(pd.Categorical(np.where(y == 1, "yes", "no"))),
    ],
    ids=["bool", "int", "str", "categorical"],
)
def test_labels_of_any_kind(table, quick, encode):
    X, y = table
    labels = encode(y)
    classifier = quick().fit(X, labels)
    assert set(classifier.predict(X)) <= set(labels)
    assert classifier.score(X, labels) > 0.8


def test_one_modality_is_a_classifier_too(table, quick):
    X, y = table
    with pytest.warns(UserWarning, match="modalities=None makes one modality of all 9 columns"):
        classifier = quick(modalities=None, max_epochs=20).fit(X, y)
    assert classifier.modality_names_ == ["all"]
    np.testing.assert_array_equal(classifier.importance(X), 1.0)
    assert classifier.score(X, y) > 0.85


@pytest.fixture(scope="module")
def overlapping():
    return make_multimodal_classification(
        300,
        n_modalities=2,
        n_features=2,
        separation=0.7,
        weights=[0.8, 0.2],
        random_state=0,
        return_X_y=True,
    )


def test_class_weight_changes_predictions(overlapping, quick):
    X, y = overlapping
    plain = quick().fit(X, y).predict(X).mean()
    balanced = quick(class_weight="balanced").fit(X, y).predict(X).mean()
    by_dict = quick(class_weight={0: 1.0, 1: 20.0}).fit(X, y).predict(X).mean()
    assert plain < 0.1
    assert 0.3 < balanced < 0.7
    assert by_dict > 0.8


def test_sample_weight_changes_predictions(overlapping, quick):
    X, y = overlapping
    weight = np.where(y == 1, 20.0, 1.0)
    plain, weighted = quick().fit(X, y), quick().fit(X, y, sample_weight=weight)
    assert weighted.predict(X).mean() > plain.predict(X).mean() + 0.5
    by_class = quick(class_weight={0: 1.0, 1: 20.0}).fit(X, y)
    assert not np.allclose(
        weighted.mean_, by_class.mean_
    )  # sample weights count for the energies too


def test_samples_of_weight_zero_are_left_out(table, quick, same_predictions):
    X, y = table
    weight = np.random.default_rng(0).integers(0, 3, len(X)).astype(float)
    keep = weight > 0
    # samples that do not count may be anything that is valid
    broken = X.copy()
    broken.loc[~keep] = 1e3
    zero = quick().fit(broken, y, sample_weight=weight)
    out = quick().fit(X[keep], y[keep], sample_weight=weight[keep])
    assert same_predictions(zero, out, X)


def test_samples_of_hardly_any_weight_do_not_determine_what_is_usual(table, quick):
    X, y = table
    half = len(X) // 2
    wild, weight = X.copy(), np.r_[np.ones(half), np.full(len(X) - half, 1e-6)]
    wild.iloc[half:] = 5.0 * wild.iloc[half:] + 3.0
    wild.iloc[half::3, 0] = np.nan
    weighted = quick(cross_modal=False).fit(wild, y, sample_weight=weight)
    alone = quick().fit(wild[:half], y[:half])
    np.testing.assert_allclose(weighted.median_, alone.median_, atol=0.01)
    # nine tenths of the training samples have no higher energy
    usual = (weighted.energies(wild[:half]) <= weighted.potential_min_).mean(axis=0)
    np.testing.assert_allclose(usual, 0.9, atol=0.05)


def test_classes_of_weight_zero_do_not_count(table, quick):
    X, y = table
    labels = y.to_numpy().copy()
    labels[:5] = 2
    classifier = quick().fit(X, labels, sample_weight=(labels < 2).astype(float))
    assert classifier.classes_.tolist() == [0, 1]


def test_the_scale_of_the_weights_does_not_matter(table, quick, fitted, same_predictions):
    X, y = table
    scaled = quick().fit(X, y, sample_weight=np.full(len(X), 4.0))
    assert same_predictions(scaled, fitted, X)


def test_history_has_an_entry_per_epoch(fitted):
    assert fitted.n_iter_ == fitted.max_epochs
    assert set(fitted.history_) == {"train_loss", "gain", "bias", "capacity"}
    assert {values.shape for values in fitted.history_.values()} == {(fitted.n_iter_,)}
    assert fitted.history_["train_loss"][-1] < fitted.history_["train_loss"][0]
    assert fitted.history_["capacity"][-1] == pytest.approx(fitted.capacity_)


def test_early_stopping_stops_and_returns_to_the_best_epoch(table, quick):
    X, y = table
    params = {"max_epochs": 40, "learning_rate": 0.05, "validation_fraction": 0.3}
    stopped = quick(early_stopping=True, n_iter_no_change=3, **params).fit(X, y)
    assert stopped.n_iter_ < 40
    losses = stopped.history_["valid_loss"]
    assert losses.shape == (stopped.n_iter_,)
    best = stopped.n_iter_ - 1 - 3
    assert losses[best] <= losses.min() * (1 + 1e-3)
    assert stopped.gain_ == pytest.approx(stopped.history_["gain"][best])
    assert stopped.gain_ != pytest.approx(stopped.history_["gain"][-1], abs=1e-6)
    patient = quick(early_stopping=True, n_iter_no_change=40, **params).fit(X, y)
    assert patient.n_iter_ == 40


def test_early_stopping_with_a_class_of_one_sample(table, quick):
    X, y = table
    labels = y.to_numpy().copy()
    labels[0] = 2
    classifier = quick(early_stopping=True).fit(X, labels)
    assert classifier.classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize("batch_size", [1, 7, 10**6])
def test_any_batch_size_is_possible(table, quick, batch_size):
    X, y = table
    classifier = quick(batch_size=batch_size, max_epochs=2).fit(X[:40], y[:40])
    assert np.isfinite(classifier.predict_proba(X)).all()


def test_batch_size_and_max_epochs_matter(table, quick, fitted):
    X, y = table
    small = quick(batch_size=8).fit(X, y)
    assert small.history_["train_loss"][-1] < fitted.history_["train_loss"][-1]
    assert quick(max_epochs=9).fit(X, y).n_iter_ == 9


@pytest.mark.parametrize(
    "params",
    [
        {"coldness": 5.0},
        {"lambda_capacity": 0.5},
        {"lambda_energy": 0.5},
        {"cross_modal": False},
        {"corruption": Swapped()},
        {"subset_weight": 0.0},
        {"pretrain_epochs": 0},
        {"learning_rate": 0.003},
        {"l2_regularization": 0.0},
        {"hidden_layer_sizes": (9, 4)},
        {"random_state": 1},
    ],
    ids=lambda params: next(iter(params)),
)
def test_every_parameter_of_training_matters(table, quick, fitted, params):
    X, y = table
    assert not np.allclose(quick(**params).fit(X, y).predict_proba(X), fitted.predict_proba(X))


def test_samples_of_many_modalities_do_not_depend_on_those_read_with_them(quick):
    # pairs of forty modalities are so many numbers that few samples make a block
    X, y = np.random.RandomState(0).normal(size=(400, 80)), np.arange(400) % 2
    modalities = [(str(i), [2 * i, 2 * i + 1]) for i in range(40)]
    classifier = quick(modalities=modalities, max_epochs=1, pretrain_epochs=0).fit(X[:60], y[:60])
    for method in (classifier.predict_proba, classifier.energies, classifier.attention):
        together = method(X)
        for part in (slice(0, 7), slice(160, 170), slice(399, 400)):
            np.testing.assert_allclose(method(X[part]), together[part], rtol=1e-9, atol=1e-12)


class Offset(Corruption):
    """A corruption as the documentation has users write it, with a parameter of its own."""

    def __init__(self, shift=1.0):
        super().__init__()
        self.shift = shift

    def _fail(self, x, mean, std, donors, generator):
        return x + self.shift * std


def test_training_takes_a_corruption_of_the_user(table, quick):
    classifier = quick(corruption=Offset(5.0)).fit(*table)
    assert (classifier.potential_scale_ > 0).all()
    assert classifier.corruption.fraction is None
