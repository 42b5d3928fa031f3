"""Annealing: the gate starts as the identity and cools, alone and in a stack."""

import numpy as np
import pytest
import torch

from sklearn_emma import EMMAClassifier, EMMAClassifierCV
from sklearn_emma.gate.annealing import cooled_fraction, start_as_identity
from sklearn_emma.nn import Concatenated, EnergyAttention, FusionNetwork, GatedInputs


def test_the_coldness_rises_from_zero_and_is_reached_in_the_middle():
    assert [cooled_fraction(epoch, 9) for epoch in range(9)] == [0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 1]
    assert [cooled_fraction(epoch, 2) for epoch in range(2)] == [0, 1]
    assert cooled_fraction(0, 1) == 1


@pytest.mark.parametrize(
    "kind", [FusionNetwork, lambda *a, **k: GatedInputs(Concatenated(*a, **k))]
)
@pytest.mark.parametrize("gain", [1.0, None])
def test_without_coldness_the_gate_is_the_identity(kind, gain):
    g = torch.Generator().manual_seed(0)
    predictor = kind([2, 3], 4, generator=g)
    gate = EnergyAttention(2, 0.0, gain, generator=g)
    modalities = [torch.randn(6, 2, generator=g), torch.randn(6, 3, generator=g)]
    expected = predictor(modalities, torch.ones(6, 2))
    start_as_identity(gate, predictor)
    found = predictor(modalities, gate(torch.rand(6, 2, generator=g)))
    torch.testing.assert_close(found, expected)


def test_a_module_has_to_say_what_its_first_layer_is(table, quick):
    class Own(Concatenated):
        divide_first_layer = property()

    with pytest.raises(ValueError, match="divide_first_layer"):
        quick(module=Own, coldness_schedule="annealed").fit(*table)


def test_the_gate_ends_at_its_coldness_and_learns_otherwise(table, quick):
    X, y = table
    annealed = quick(coldness_schedule="annealed").fit(X, y)
    constant = quick().fit(X, y)
    assert annealed.coldness_ == constant.coldness_ == 0.3
    assert not np.allclose(annealed.predict_proba(X), constant.predict_proba(X), atol=1e-4)
    # in the first epoch every modality has the same importance, whatever fails
    first = quick(coldness_schedule="annealed", max_epochs=2).fit(X, y)
    cold = quick(coldness=0.0, coldness_schedule="annealed", max_epochs=2).fit(X, y)
    assert first.history_["train_loss"][0] == pytest.approx(cold.history_["train_loss"][0])
    assert first.history_["train_loss"][1] != cold.history_["train_loss"][1]


def test_early_stopping_keeps_the_coldness_of_the_best_epoch(table, quick):
    X, y = table
    params = {"coldness_schedule": "annealed", "early_stopping": True, "n_iter_no_change": 2}
    # one large step, after which nothing gets better
    model = quick(**params, max_epochs=21, tol=10.0).fit(X, y)
    assert model.n_iter_ == 3
    assert model.coldness_ == 0.0
    np.testing.assert_allclose(model.importance(X), 1 / 3)


@pytest.mark.parametrize("early_stopping", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_search_anneals_every_setting_as_alone(table, early_stopping):
    X, y = table
    params = {
        "modalities": "prefix",
        "hidden_layer_sizes": (8,),
        "pretrain_epochs": 2,
        "max_epochs": 6,
        "l2_regularization": 5.0,
        "periodic_features": False,
        "coldness_schedule": "annealed",
        "early_stopping": early_stopping,
        "tol": 10.0,  # stops before the gate has cooled
        "n_iter_no_change": 2,
        "random_state": 0,
    }
    grid = {"coldness": [0.1, 1.0], "lambda_energy": [0.0, 0.1]}
    probabilities, expected = [], []

    def keep(estimator, X, y):
        probabilities.append((estimator.coldness_, estimator.predict_proba(X)))
        return len(probabilities)

    folds = [(np.arange(100), np.arange(100, 160))]
    EMMAClassifierCV(**params, param_grid=grid, cv=folds, scoring=keep, refit=False).fit(X, y)
    for coldness in grid["coldness"]:
        for strength in grid["lambda_energy"]:
            alone = EMMAClassifier(**params, coldness=coldness, lambda_energy=strength)
            alone.fit(X.iloc[:100], y[:100])
            expected.append((alone.coldness_, alone.predict_proba(X.iloc[100:])))
    for (found_at, found), (at, wanted) in zip(probabilities, expected, strict=True):
        assert found_at == pytest.approx(at)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
