"""What the gate learns, and what it reads out."""

import math

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.mixture import GaussianMixture
from torch import nn

from sklearn_emma import DAEEnergyScorer
from sklearn_emma.corruption import Missing, Mixture, Noise
from sklearn_emma.nn import FusionNetwork, GatedPredictor

NAMES = ["modality0", "modality1", "modality2"]


@pytest.mark.parametrize(
    ("lambda_capacity", "lambda_energy"), [(0.0, 0.0), (1e6, 0.0), (0.0, 1e6), (1e3, 1e6)]
)
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_constraints_hold_whatever_the_regularization(
    table, quick, seed, lambda_capacity, lambda_energy, assert_constraints
):
    X, y = table
    classifier = quick(
        lambda_capacity=lambda_capacity,
        lambda_energy=lambda_energy,
        learning_rate=0.3,
        random_state=seed,
    )
    params = {"energy": GaussianMixture(2, random_state=0), "batch_size": 16}
    classifier.set_params(**params).fit(X, y)
    assert_constraints(classifier)


@pytest.mark.parametrize("lambda_energy", [pytest.param(1.0, marks=pytest.mark.slow), 30.0])
def test_strong_regularization_is_not_taken_for_divergence(table, quick, lambda_energy):
    X, y = table
    for coldness in (0.1, 1.0, 30.0):
        classifier = quick(lambda_energy=lambda_energy, coldness=coldness).fit(X, y)
        assert classifier.score(X, y) > 0.7
        classifier.set_params(lambda_capacity=30.0).fit(X, y)
        assert np.isfinite(classifier.predict_proba(X)).all()


@pytest.mark.parametrize(
    ("n_corrupted", "lambda_energy"),
    [
        (2, 1.0),
        (3, 0.0),
        pytest.param(2, 0.0, marks=pytest.mark.slow),
        pytest.param(3, 1.0, marks=pytest.mark.slow),
    ],
)
def test_any_number_of_corrupted_modalities_trains(
    variant, wide, add_noise, n_corrupted, lambda_energy
):
    _, _, X, y = wide
    corruption = Mixture([Noise((0.25, 2.0)), Missing()], n_corrupted=n_corrupted)
    classifier = variant(corruption=corruption, lambda_energy=lambda_energy, max_epochs=20)
    assert classifier.score(X, y) > 0.95
    assert classifier.score(add_noise(X, "modality0", 4), y) > 0.9


def test_lambda_capacity_lowers_the_capacity(variant, trained):
    cautious, more_cautious = variant(lambda_capacity=0.1), variant(lambda_capacity=2.0)
    assert trained.capacity_ > cautious.capacity_ + 0.005
    assert cautious.capacity_ > more_cautious.capacity_ + 0.1


def test_lambda_energy_separates_failing_from_clean_modalities(variant, wide):
    X = wide[2]
    corrupted, indicator = Noise((0.25, 2.0)).corrupt(X, "prefix", random_state=0, reference=X)

    def gap(lambda_energy):
        # where coldness alone separates them little
        classifier = variant(lambda_energy=lambda_energy, coldness=0.1)
        log_importance = np.log(classifier.importance(corrupted))
        return log_importance[indicator == 1].mean() - log_importance[indicator == -1].mean()

    assert gap(1.0) > gap(0.0) + 0.25
    assert gap(0.0) > 0.25


@pytest.mark.parametrize("cross_modal", [False, True])
@pytest.mark.parametrize("modality", NAMES)
def test_noise_lowers_attention_and_raises_energy(variant, wide, add_noise, modality, cross_modal):
    X = wide[2]
    i = NAMES.index(modality)
    classifier = variant(cross_modal=cross_modal)
    tables = [add_noise(X, modality, sigma) for sigma in (0, 1, 2, 4, 8)]
    attention = np.array([classifier.attention(table)[:, i].mean() for table in tables])
    importance = np.array([classifier.importance(table)[:, i].mean() for table in tables])
    total = np.array([classifier.total_energy(table).mean() for table in tables])
    energies = np.array([classifier.energies(table).mean(axis=0) for table in tables])
    assert (np.diff(attention) < 0).all()
    assert (np.diff(importance) < 0).all()
    assert (np.diff(total) > 0).all()
    assert (np.diff(energies[:, i]) > 0).all()
    others = energies[:, np.arange(3) != i]
    if cross_modal:
        # their inconsistency with the failing modality hardly counts
        rise = (energies - energies[0]) / classifier.potential_scale_
        assert (rise[1:, np.arange(3) != i] < 0.1 * rise[1:, [i]]).all()
    else:
        assert (others == others[0]).all()


def test_importance_sums_to_one_and_attention_stays_in_its_range(trained, wide, add_noise, lose):
    X = wide[2]
    for table in (X, add_noise(X, "modality1", 3), lose(X, "modality2")):
        np.testing.assert_allclose(trained.importance(table).sum(axis=1), 1.0)
        attention = trained.attention(table)
        assert ((attention >= 0) & (attention < 1)).all()


def test_read_outs_follow_the_equations(trained, wide):
    X = wide[2]
    energy = trained.modal_energy(X)
    weights = np.exp(-trained.coldness_ * energy)
    alpha = weights / weights.sum(axis=1, keepdims=True)
    beta = np.maximum(0, np.tanh(trained.gain_ * alpha - trained.bias_))
    np.testing.assert_allclose(trained.importance(X), alpha)
    np.testing.assert_allclose(trained.attention(X), beta)
    np.testing.assert_allclose(trained.total_energy(X), energy.sum(axis=1))
    gain, bias = trained.gain_, trained.bias_
    capacity = math.log(math.cosh(gain - bias) / math.cosh(bias)) / gain
    assert trained.capacity_ == pytest.approx(capacity, rel=1e-5)


def test_a_modality_passes_iff_its_energy_is_below_the_threshold(variant, wide, add_noise):
    classifier = variant(lambda_capacity=2.0)
    assert classifier.bias_ > 0
    X = add_noise(wide[2], "modality0", 2)
    passes = classifier.modal_energy(X) < classifier.energy_threshold(X)[:, None]
    # the threshold is that of g_a alpha > b_a
    np.testing.assert_array_equal(passes, classifier.attention(X) > 0)
    assert 0 < passes.mean() < 1


def test_without_bias_everything_passes(variant, wide, lose):
    X = wide[2]
    uniform = variant(coldness=0.0)
    assert uniform.bias_ == 0
    assert (uniform.energy_threshold(X) == np.inf).all()
    assert (uniform.energy_threshold(lose(X, "modality0")) == np.inf).all()
    np.testing.assert_allclose(uniform.importance(X), 1 / 3)


def test_energies_are_those_of_the_scorers(apart, quick, table):
    X = table[0]
    energies = apart.energies(X)
    assert list(apart.energy_scorers_) == NAMES
    standard = (X.to_numpy() - apart.mean_) / apart.scale_
    for i, columns in enumerate(apart.modality_columns_):
        scorer = apart.energy_scorers_[NAMES[i]]
        assert isinstance(scorer, DAEEnergyScorer)
        np.testing.assert_array_equal(
            energies[:, i], -scorer.score_samples(np.ascontiguousarray(standard[:, columns]))
        )
    # nine tenths of the training samples are below potential_min_
    np.testing.assert_allclose(
        (energies > apart.potential_min_ + 1e-4).mean(axis=0), 0.1, atol=0.01
    )
    np.testing.assert_allclose(
        apart.potential_max_, apart.potential_min_ + apart.potential_scale_, rtol=1e-5
    )
    # the cross-modal energy only adds to them
    with_others = quick(max_epochs=50).fit(*table).energies(X)
    assert (with_others >= energies).all()
    assert (with_others == energies).mean() > 0.8


class Votes(GatedPredictor):
    """Each modality votes by itself, as loud as its gate is open."""

    def __init__(self, n_features, n_classes):
        super().__init__()
        self.voters = nn.ModuleList(nn.Linear(d, n_classes) for d in n_features)

    def encode(self, modalities):
        return torch.stack([vote(x) for vote, x in zip(self.voters, modalities, strict=True)])

    def fuse(self, encoded, attention):
        return (encoded * attention.mT.unsqueeze(-1)).sum(-3)


def test_a_predictor_that_takes_the_attention_itself_gets_it(wide, quick, add_noise):
    classifier = quick(module=Votes).fit(*wide[:2])
    X = add_noise(wide[2], "modality0", 4)
    weights = classifier.network_weights_
    standardized = (X.to_numpy() - classifier.mean_) / classifier.scale_
    votes = [
        standardized[:, columns] @ weights[f"voters.{i}.weight"].T + weights[f"voters.{i}.bias"]
        for i, columns in enumerate(classifier.modality_columns_)
    ]
    expected = softmax(np.einsum("inc,ni->nc", votes, classifier.attention(X)), axis=1)
    np.testing.assert_allclose(classifier.predict_proba(X), expected, atol=1e-5)


def test_a_fusion_network_may_be_passed_as_module(wide, quick):
    assert quick(module=FusionNetwork).fit(*wide[:2]).score(*wide[2:]) > 0.95
