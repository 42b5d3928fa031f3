"""Virtual adversarial training, and unlabeled samples."""

import numpy as np
import pytest
import torch

from sklearn_emma import EMMAClassifier, EMMARegressor
from sklearn_emma.corruption import VirtualAdversarial
from sklearn_emma.gate.fit import prepare_gate
from sklearn_emma.gate.prediction_loss import ClassLoss, ValueLoss


def two_moons(n, seed=0):
    """Two modalities, each a coordinate of two half circles with a little noise."""
    rng = np.random.RandomState(seed)
    y, angle = np.arange(n) % 2, np.pi * rng.rand(n)
    x = np.c_[np.cos(angle) + y, np.sin(angle) * (1 - 2 * y) + 0.5 * y]
    return x + 0.05 * rng.normal(size=x.shape), y


MODALITIES = {"x": [0], "y": [1]}


def make(**params):
    defaults = {"random_state": 0, "max_epochs": 40, "batch_size": 64, "n_networks": 2}
    return EMMAClassifier(MODALITIES, **defaults | params)


def test_unlabeled_samples_change_what_is_learned_but_not_the_classes():
    X, y = two_moons(300)
    known = np.where(np.arange(300) < 60, y, -1)
    params = {"max_epochs": 20, "l2_regularization": 0.1, "periodic_features": False}
    classifier = make(adversarial=VirtualAdversarial(), **params).fit(X, known)
    assert classifier.classes_.tolist() == [0, 1]
    alone = make(adversarial=VirtualAdversarial(), **params).fit(X[:60], y[:60])
    assert not np.allclose(classifier.predict_proba(X), alone.predict_proba(X))
    assert classifier.score(X[60:], y[60:]) > 0.85


def test_early_stopping_holds_out_labeled_samples():
    """Unlabeled samples have no loss, so without any other the first epoch would be the best."""
    X, y = two_moons(300)
    known = np.full(300, -1)
    for label in (0, 1):
        known[np.flatnonzero(y == label)[:3]] = label
    params = {"early_stopping": True, "max_epochs": 5, "l2_regularization": 1.0}
    classifier = make(adversarial=VirtualAdversarial(), **params).fit(X, known)
    assert (classifier.history_["valid_loss"] > 0).all()


@pytest.mark.slow
def test_predictions_change_less_between_neighbors():
    X, y = two_moons(300)
    rng = np.random.RandomState(1)
    moved = X + 0.2 * rng.normal(size=X.shape)

    def change(classifier):
        return np.abs(classifier.predict_proba(X) - classifier.predict_proba(moved)).mean()

    plain, smooth = make().fit(X, y), make(adversarial=VirtualAdversarial(1.0, 5.0)).fit(X, y)
    assert change(smooth) < 0.9 * change(plain)


def objective(**params):
    X, y = two_moons(64)
    classifier = make(adversarial=VirtualAdversarial(**params))
    problem = classifier._learn_inputs(classifier._check(X, y, None), 0, None)
    return prepare_gate(problem)


def test_the_neighbor_found_is_worse_than_a_random_one():
    """For a loss that is quadratic near the sample, one step is half of the way at least."""
    found = objective(eps=0.3)
    batch = found.draw_epoch(True)
    potential, modalities = batch[1], batch[5:]
    worst = found.roughness(potential, modalities).item()
    encoded = found.network.encode(modalities)
    attention = found.gate.state(potential).attention
    expected = found.network.fuse_each(encoded, attention)
    random = []
    for seed in range(20):
        change = torch.randn(64, 2, generator=torch.Generator().manual_seed(seed))
        change = 0.3 * torch.nn.functional.normalize(change, dim=1)
        moved = [x + r for x, r in zip(modalities, change.split(1, 1), strict=True)]
        outputs = found.network.fuse_each(found.network.encode(moved), attention)
        random.append(ClassLoss().divergence(expected, outputs).item())
    assert worst > 1.2 * np.mean(random)


def test_the_weight_rises():
    found = objective(weight=2.0, ramp=0.5)
    weights = []
    for epoch in range(8):
        found.begin_epoch(epoch, 8)
        weights.append(found.weight)
    assert weights == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0, 2.0, 2.0]


def test_the_loss_grows_by_the_weighted_divergence_in_training_only():
    found = objective(weight=3.0)
    batch = found.draw_epoch(True)
    found.begin_epoch(9, 10)
    state = found.generator.get_state()
    with_term = found.loss(*batch)
    found.generator.set_state(state)
    roughness = found.roughness(batch[1], batch[5:])
    found.weight = 0.0
    torch.testing.assert_close(with_term, found.loss(*batch) + 3.0 * roughness)
    assert roughness > 0
    found.weight = 3.0
    found.eval()
    evaluated = found.loss(*batch)
    found.weight = 0.0
    torch.testing.assert_close(evaluated, found.loss(*batch))


@pytest.mark.parametrize("loss", [ClassLoss(), ValueLoss("squared_error")])
def test_the_divergence_is_zero_for_equal_predictions_only(loss):
    a, b = torch.randn(2, 5, 3), torch.randn(2, 5, 3)
    assert loss.divergence(a, a).item() == pytest.approx(0, abs=1e-6)
    assert loss.divergence(a, b) > 0


def test_a_regressor():
    X, y = two_moons(100)
    params = {"random_state": 0, "max_epochs": 3, "n_networks": 1}
    plain = EMMARegressor(MODALITIES, **params).fit(X, y)
    smooth = EMMARegressor(MODALITIES, adversarial=VirtualAdversarial(), **params).fit(X, y)
    assert not np.allclose(plain.predict(X), smooth.predict(X))


def test_without_it_minus_one_is_a_class():
    X, y = two_moons(60)
    assert make(max_epochs=1).fit(X, 2 * y - 1).classes_.tolist() == [-1, 1]


def test_labels_of_one_class_are_too_few():
    X, y = two_moons(60)
    with pytest.raises(ValueError, match="class -1 count as unlabeled"):
        make(adversarial=VirtualAdversarial()).fit(X, np.where(y == 1, 1, -1))


def test_balanced_class_weights_do_not_count_unlabeled_samples():
    X, y = two_moons(60)
    known = np.where(np.arange(60) < 40, y, -1)
    classifier = make(adversarial=VirtualAdversarial(), class_weight="balanced", max_epochs=1)
    assert classifier.fit(X, known).classes_.tolist() == [0, 1]


@pytest.mark.parametrize("params", [{"eps": 0}, {"weight": -1.0}, {"ramp": 2}, {"eps": "much"}])
def test_values_out_of_range(params):
    (name,) = params
    with pytest.raises(ValueError, match=f"{name} must be"):
        VirtualAdversarial(**params)
