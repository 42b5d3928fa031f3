"""The gradient of the loss goes through energies, gate and network; attacks follow it."""

import copy

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from sklearn_emma import EMMARegressor
from sklearn_emma.corruption import Adversarial, RandomSigns
from sklearn_emma.model_selection import robustness_curve


@pytest.fixture
def noisy(wide):
    """Forty samples, half of them with noise on the first modality, as a table and labels."""
    X, y = wide[2].iloc[:40].copy(), wide[3].to_numpy()[:40]
    X.iloc[::2, :3] += np.random.default_rng(0).normal(size=(20, 3))
    return X, y


def differences(loss, X, step=1e-7):
    """Central differences of the loss of each sample by each column."""
    slopes = np.zeros(X.shape)
    for column in range(X.shape[1]):
        above, below = X.copy(), X.copy()
        above.iloc[:, column] += step
        below.iloc[:, column] -= step
        slopes[:, column] = (loss(above) - loss(below)) / (2 * step)
    return slopes


def cross_entropy(model, y):
    """Give the loss of each sample."""
    place = np.searchsorted(model.classes_, y)
    return lambda X: -np.log(model.predict_proba(X)[np.arange(len(X)), place])


def test_it_is_the_slope_of_the_cross_entropy(trained, noisy):
    X, y = noisy
    slopes = trained.loss_gradient(X, y)
    expected = differences(cross_entropy(trained, y), X)
    np.testing.assert_allclose(slopes, expected, rtol=1e-3, atol=1e-6)
    assert np.abs(slopes).max() > 0.01


def test_missing_values_have_no_slope_and_count_in_the_gate(trained, noisy):
    X, y = noisy
    X.iloc[:10, 1] = np.nan
    X.iloc[5:15, 3:6] = np.nan
    # the values that replace missing ones count as constants: here they are
    model = copy.deepcopy(trained)
    model.gap_weights_ = {
        name: np.eye(len(values), dtype=values.dtype) if values.ndim == 2 else values
        for name, values in trained.gap_weights_.items()
    }
    slopes = model.loss_gradient(X, y)
    assert (slopes[X.isna().to_numpy()] == 0).all()
    expected = np.nan_to_num(differences(cross_entropy(model, y), X))
    np.testing.assert_allclose(slopes, expected, rtol=1e-3, atol=1e-6)


def test_of_a_regressor_it_is_the_slope_of_its_standardized_loss(wide, noisy):
    X, _ = noisy
    target = wide[0].to_numpy() @ np.arange(9.0)
    model = EMMARegressor("prefix", max_epochs=3, pretrain_epochs=1, random_state=0)
    model.fit(wide[0], target)
    y = X.to_numpy() @ np.arange(9.0)
    slopes = differences(lambda X: ((model.predict(X) - y) / model.target_scale_) ** 2, X)
    np.testing.assert_allclose(model.loss_gradient(X, y), slopes, rtol=1e-3, atol=1e-6)


def test_energies_of_other_libraries_count_as_constants(table, quick):
    X, y = table
    model = quick(energy=GaussianMixture(2), max_epochs=2).fit(X, y)
    slopes = model.loss_gradient(X, y)
    assert np.isfinite(slopes).all()
    assert (slopes != 0).any(axis=0).all()


def test_unknown_labels_raise(trained, noisy):
    with pytest.raises(ValueError, match="none of the classes"):
        trained.loss_gradient(noisy[0], np.full(40, 7))


def test_attacks_cost_more_than_random_signs_and_more_steps_cost_more(trained, wide):
    X, y = wide[2:]
    costs = {}
    for name, failure in {
        "random": RandomSigns(0.5),
        "one": Adversarial(0.5),
        "many": Adversarial(0.5, steps=10),
    }.items():
        broken, _ = failure.against(trained, y).corrupt(X, "prefix", 0, wide[0])
        costs[name] = cross_entropy(trained, y)(broken).mean()
    assert costs["random"] + 0.05 < costs["one"]
    assert costs["one"] < costs["many"]


def test_a_curve_attacks_the_estimator_of_its_split(table, quick):
    X, y = table
    params = {"modalities": "prefix", "levels": [0, 1.0], "cv": 2, "random_state": 0}
    random, attacked = (
        robustness_curve(quick(), X, y, corruption=kind, **params).test_scores
        for kind in (RandomSigns, Adversarial)
    )
    np.testing.assert_array_equal(random[:, 0], attacked[:, 0])
    assert attacked[:, 1].mean() < random[:, 1].mean()
