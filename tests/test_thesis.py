"""The preset of the thesis is what a plain loop over the torch modules computes."""

import math

import numpy as np
import pytest
import torch

from sklearn_emma import EMMAClassifierCV, make_thesis_classifier, make_thesis_scorer
from sklearn_emma.corruption import Noise, Reference
from sklearn_emma.engine.seeding import draw_seed, make_generator
from sklearn_emma.gate.settings import THESIS_GRID
from sklearn_emma.nn import Concatenated, DAEEnergy, EnergyAttention

MODALITIES = {"left": [0, 1, 2], "right": [3, 4, 5, 6]}
WIDTHS = [3, 4]
RHO, LAMBDA_C, LAMBDA_E = 0.3, 0.01, 0.05


@pytest.fixture(scope="module")
def samples():
    """Two classes that both modalities show."""
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=230)
    X = rng.normal(size=(230, 7)) + y[:, None] * rng.uniform(0.5, 1.5, size=7)
    return X * rng.uniform(0.5, 20, size=7) + 3.0, y


@pytest.fixture(scope="module")
def fitted(samples):
    """The preset, with settings under which the gate moves."""
    settings = {"coldness": RHO, "lambda_capacity": LAMBDA_C, "lambda_energy": LAMBDA_E}
    return make_thesis_classifier(MODALITIES, random_state=5, **settings).fit(*samples)


def minimize(parameters, data, loss, generator, after_step=lambda: None):
    """Take 30 epochs of Adam at a constant learning rate over shuffled batches of at most 64."""
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    for _ in range(30):
        tensors = data()
        order = torch.randperm(len(tensors[0]), generator=generator)
        for rows in order.tensor_split(math.ceil(len(order) / 64)):
            optimizer.zero_grad()
            loss(*(tensor[rows] for tensor in tensors)).backward()
            optimizer.step()
            after_step()


def learn_energy(x, seed):
    """Stage 1: a tied autoencoder undoes noise of standard deviation 0.01."""
    seed = draw_seed(seed)
    energy = DAEEnergy(x.shape[1], (12,), "sigmoid", make_generator(seed))
    generator = make_generator(seed, stream=1)

    def data():
        return x, x + 0.01 * torch.randn(x.shape, generator=generator)

    def loss(clean, noisy):
        hidden = torch.sigmoid(noisy @ energy.weights[0].T + energy.hidden_biases[0])
        rebuilt = hidden @ energy.weights[0] + energy.visible_bias
        return (rebuilt - clean).square().sum(1).mean()

    minimize(energy.parameters(), data, loss, generator)
    return energy.requires_grad_(False)


@pytest.fixture(scope="module")
def plain(samples):
    """What a plain loop learns: energies, gate, network, standardized samples."""
    X, y = samples
    table = torch.tensor((X - X.mean(0)) / X.std(0), dtype=torch.float32)
    clean, target = list(table.split(WIDTHS, 1)), torch.tensor(y)
    seed = draw_seed(5)
    energies = [learn_energy(x, seed + i) for i, x in enumerate(clean)]

    def potentials(modalities):
        return torch.stack([psi(x) for psi, x in zip(energies, modalities, strict=True)], 1)

    network = Concatenated(WIDTHS, 2, (8, 4), torch.Generator().manual_seed(seed))
    generator = make_generator(seed, stream=1)

    def plain_loss(labels, *modalities):
        return torch.nn.functional.cross_entropy(network(modalities), labels)

    minimize(network.parameters(), lambda: (target, *clean), plain_loss, generator)

    gate = EnergyAttention(
        2,
        RHO,
        gain=1.0,
        potential_min=potentials(clean).min(0).values,
        generator=make_generator(seed, stream=2),
    )
    copy, xi = Noise(0.5, fraction=0.5).corrupt_tensors(
        clean, generator=generator, reference=Reference.from_tensors(clean)
    )

    def gated_loss(labels, psi, indicator, *modalities):
        beta, alpha = gate(psi), gate.state(psi).importance
        gated = [b[:, None] * x for b, x in zip(beta.T, modalities, strict=True)]
        omega = (indicator * alpha.log()).sum(1).mean()
        return (
            torch.nn.functional.cross_entropy(network(gated), labels)
            + LAMBDA_C * (gate.gain - gate.bias)
            - LAMBDA_E * omega
        )

    minimize(
        [*network.parameters(), *gate.parameters()],
        lambda: (target, potentials(copy), xi, *copy),
        gated_loss,
        generator,
        gate.project_,
    )
    return potentials(clean), gate, network, clean


def test_potentials_are_those_of_the_plain_loop(samples, fitted, plain):
    X, _ = samples
    potential, gate, *_ = plain
    np.testing.assert_allclose(fitted.energies(X), potential, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(fitted.potential_min_, gate.potential_min, rtol=1e-4, atol=1e-4)
    assert (fitted.potential_scale_ == 1).all()
    assert (fitted.potential_max_ == np.inf).all()
    scorer = make_thesis_scorer(max_epochs=2, random_state=0).fit(X)
    assert scorer.transform(X).min() == pytest.approx(-scorer.score_samples(X).max())
    weights = scorer.energy_weights_[0]
    assert weights["members.0.weights.0"].shape == (12, 7)


def test_gate_and_predictor_are_those_of_the_plain_loop(samples, fitted, plain):
    X, _ = samples
    potential, gate, network, clean = plain
    with torch.no_grad():
        beta = gate(potential)
        gated = [b[:, None] * x for b, x in zip(beta.T, clean, strict=True)]
        probabilities = network(gated).softmax(1)
    np.testing.assert_allclose(fitted.attention(X), beta, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fitted.predict_proba(X), probabilities, rtol=1e-4, atol=1e-5)
    for name, parameter in gate.named_parameters():
        expected = parameter.detach()
        np.testing.assert_allclose(getattr(fitted, f"{name}_"), expected, rtol=1e-4, atol=1e-5)
    # the gate has moved, and so the comparison says something of its training
    assert abs(fitted.gain_ - 1.0) > 0.05
    assert fitted.attention(X).std(axis=0).min() > 0.01


def test_other_values_may_be_chosen_and_a_grid_searched(samples):
    X, y = samples
    other = make_thesis_classifier("prefix", coldness=0.1, max_epochs=3)
    assert (other.modalities, other.coldness, other.max_epochs) == ("prefix", 0.1, 3)
    params = make_thesis_classifier(MODALITIES, random_state=0).get_params(deep=False)
    del params["warm_start"], params["adversarial"]
    short = {"max_epochs": 2, "pretrain_epochs": 1, "energy": make_thesis_scorer(max_epochs=1)}
    grid = {"coldness": THESIS_GRID["coldness"][:2], "lambda_energy": [0.0, 0.1]}
    search = EMMAClassifierCV(**params | short, param_grid=grid, cv=2).fit(X, y)
    alone = make_thesis_classifier(MODALITIES, random_state=0, **short | search.best_params_)
    np.testing.assert_allclose(search.predict_proba(X), alone.fit(X, y).predict_proba(X), rtol=1e-5)
