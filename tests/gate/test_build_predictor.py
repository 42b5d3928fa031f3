"""The predictor behind the gate: the default one, or any torch module."""

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from sklearn_emma.gate.build_predictor import (
    PredictorArchitecture,
    build_predictor,
    check_predictor,
    seeded_layers,
)
from sklearn_emma.nn import FusionEnsemble, GatedInputs, GatedPredictor


class Concat(nn.Module):
    """A network with batch normalization and dropout on all modalities side by side."""

    def __init__(self, n_features, n_classes):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(sum(n_features), 16),
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(16, n_classes),
        )

    def forward(self, modalities):
        return self.layers(torch.cat(modalities, 1))


def linear(n_features, n_classes):
    """Make a linear network, from a callable that is no class."""

    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Linear(sum(n_features), n_classes)

        def forward(self, modalities):
            return self.last(torch.cat(modalities, 1))

    return Linear()


def make_instance():
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return Concat([3, 3, 3], 2)


@pytest.mark.parametrize(
    "module",
    [make_instance(), Concat, pytest.param(linear, marks=pytest.mark.slow)],
    ids=["object", "class", "def"],
)
def test_any_torch_network(wide, quick, lose, module):
    X, y, X_test, y_test = wide
    state = torch.get_rng_state()
    classifier = quick(module=module, max_epochs=20).fit(X, y)
    assert classifier.score(X_test, y_test) > 0.92
    assert classifier.score(lose(X_test, "modality1"), y_test) > 0.85
    again = clone(classifier).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))
    assert torch.equal(torch.get_rng_state(), state)
    # prediction is no training: every sample by itself, and the same every time
    together = classifier.predict_proba(X_test)
    np.testing.assert_array_equal(classifier.predict_proba(X_test), together)
    for part in (slice(7, 8), slice(8, None)):
        some = classifier.predict_proba(X_test.iloc[part])
        np.testing.assert_allclose(some, together[part], rtol=1e-12)


def test_an_instance_is_copied(table, quick):
    X, y = table
    module = make_instance()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    first = quick(module=module).fit(X, y)
    probabilities = first.predict_proba(X)
    quick(module=module, random_state=1).fit(X, 1 - y)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    with torch.no_grad():
        module.layers[0].weight.zero_()
    np.testing.assert_array_equal(first.predict_proba(X), probabilities)
    assert module.training


def test_an_instance_starts_from_its_weights(table, quick):
    X, y = table
    module = make_instance()
    with torch.no_grad():
        module.layers[4].bias.copy_(torch.tensor([-4.0, 4.0]))
    classifier = quick(module=module, learning_rate=1e-6, max_epochs=1).fit(X, y)
    np.testing.assert_allclose(
        classifier.network_weights_["network.layers.4.bias"], [-4, 4], atol=1e-3
    )
    assert (classifier.predict(X) == 1).all()


def test_seeds_determine_networks_and_dropout(table, quick):
    X, y = table
    params = {"module": Concat, "max_epochs": 3, "pretrain_epochs": 2}
    a, b = (quick(random_state=seed, **params).fit(X, y) for seed in (0, 1))
    assert not np.allclose(a.predict_proba(X), b.predict_proba(X))
    grid = {"coldness": [0.1, 1.0]}
    search = GridSearchCV(quick(**params), grid, scoring="neg_log_loss", cv=2)
    serial = clone(search).fit(X, y).cv_results_["mean_test_score"]
    with joblib.parallel_config("threading", n_jobs=2):
        threads = search.fit(X, y).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(threads, serial)


@pytest.mark.parametrize("n_samples", [33, 65])
def test_batch_normalization_never_gets_a_single_sample(table, quick, n_samples):
    X, y = table
    classifier = quick(module=Concat, batch_size=32).fit(X[:n_samples], y[:n_samples])
    assert np.isfinite(classifier.predict_proba(X)).all()


def test_buffers_are_kept(table, quick):
    classifier = quick(module=Concat).fit(*table)
    weights = classifier.network_weights_
    assert {"network.layers.1.running_mean", "network.layers.0.weight"} <= set(weights)
    assert not np.allclose(weights["network.layers.1.running_mean"], 0)


def test_warm_start_goes_on_with_any_torch_network(table, quick):
    X, y = table
    classifier = quick(module=Concat, warm_start=True, max_epochs=30).fit(X, y)
    first, last = classifier.history_["train_loss"][[0, -1]]
    classifier.set_params(max_epochs=1).fit(X, y)
    assert classifier.history_["train_loss"][0] < (first + last) / 2
    with pytest.raises(ValueError, match="warm_start=True needs the network"):
        classifier.set_params(module=linear).fit(X, y)


# --- the parts ---


def test_the_default_predictor():
    predictor = build_predictor(PredictorArchitecture(None, (7, 5), 6), [4, 2], 3)
    assert isinstance(predictor, FusionEnsemble)
    encoded = predictor.encode([torch.zeros(9, 4), torch.zeros(9, 2)])
    assert encoded.shape == (6, 2, 9, 5 + 3)
    (stack,) = predictor.networks.encoders.stacks
    # each column as it is, and as its normal score
    assert [tuple(weight.shape) for weight in stack.weights] == [(6, 2, 7, 8), (6, 2, 5, 7)]
    assert [tuple(weight.shape) for weight in predictor.networks.head.weights] == [
        (6, 5, 12),
        (6, 3, 5),
    ]
    first, second = stack.weights[0][:2]
    assert not torch.equal(first, second)


@pytest.mark.parametrize("module", [None, Concat])
def test_the_seed_determines_initial_weights(module):
    def weights(seed):
        return build_predictor(PredictorArchitecture(module, (4,), 2), [2, 2], 2, seed).state_dict()

    a, b, other = weights(0), weights(0), weights(1)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], other[name]) for name in a)


def test_networks_in_double_precision_are_trained_in_single():
    predictor = build_predictor(PredictorArchitecture(make_instance().double(), (4,)), [3, 3, 3], 2)
    assert isinstance(predictor, GatedInputs)
    assert next(predictor.parameters()).dtype == torch.float32


def test_the_check_leaves_the_network_as_it_is():
    predictor = GatedInputs(make_instance())
    before = {name: value.clone() for name, value in predictor.state_dict().items()}
    check_predictor(predictor, [torch.ones(2, 3)] * 3, 2, "values of shape (n, k)")
    assert all(torch.equal(value, before[name]) for name, value in predictor.state_dict().items())
    with pytest.raises(
        ValueError, match=r"values of .*k\) = \(2, 5\), but returned shape \(2, 2\)"
    ):
        check_predictor(predictor, [torch.ones(2, 3)] * 3, 5, "values of shape (n, k)")
    with pytest.raises(ValueError, match=r"2 gated modalities of shapes \(2, 3\), \(2, 3\): mat1"):
        check_predictor(predictor, [torch.ones(2, 3)] * 2, 2, "values of shape (n, k)")


def test_seeded_layers_restore_the_generator():
    state = torch.get_rng_state()
    draws = []
    for seed in (0, 0, 1):
        with seeded_layers(Concat, seed, torch.device("cpu")):
            draws.append(torch.rand(3))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(torch.get_rng_state(), state)


def test_seeded_layers_restore_the_generator_after_an_error():
    state = torch.get_rng_state()
    with (
        pytest.raises(RuntimeError, match="shape"),
        seeded_layers(Concat, 0, torch.device("cpu")),
    ):
        torch.rand(3).view(2)
    assert torch.equal(torch.get_rng_state(), state)


class Own(GatedPredictor):
    """A network of its own behind the gate, whose encoded modalities are a list."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.encoders = nn.ModuleList(nn.Linear(d, 8) for d in n_features)
        self.head = nn.Linear(8, n_outputs)

    def encode(self, modalities):
        return [f(x).tanh() for f, x in zip(self.encoders, modalities, strict=True)]

    def fuse(self, encoded, attention):
        gates = attention.split(1, dim=-1)
        return self.head(sum(gate * h for gate, h in zip(gates, encoded, strict=True)))


def test_encoded_modalities_may_be_anything(table, quick):
    assert quick(module=Own).fit(*table).score(*table) > 0.8


class OneGate(Own):
    """A network that reads the attention of one gate only."""

    def fuse(self, encoded, attention):
        return self.head(sum(attention[:, i : i + 1] * h for i, h in enumerate(encoded)))


class FirstGate(Own):
    """A network that ignores all gates but the last."""

    def fuse(self, encoded, attention):
        last = attention if attention.ndim == 2 else attention[-1:]
        return super().fuse(encoded, last.expand(attention.shape))


@pytest.mark.parametrize("module", [OneGate, FirstGate])
def test_fuse_gets_two_gates_at_once(table, quick, module):
    with pytest.raises(ValueError, match="the attention of two gates at once"):
        quick(module=module).fit(*table)


@pytest.mark.parametrize("module", [nn.Linear, lambda n_features: nn.Identity()])
def test_callables_of_other_arguments(table, quick, module):
    with pytest.raises(TypeError, match="list of the number of columns of each modality"):
        quick(module=module).fit(*table)


class RandomOutputs(Own):
    """A network with dropout in predictions, too."""

    def fuse(self, encoded, attention):
        return nn.functional.dropout(super().fuse(encoded, attention), 0.5, training=True)


class Batch(nn.Module):
    """A network whose outputs depend on the other samples, behind gated inputs."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.norm = nn.BatchNorm1d(sum(n_features), track_running_stats=False)
        self.layer = nn.Linear(sum(n_features), n_outputs)

    def forward(self, modalities):
        return self.layer(self.norm(torch.cat(modalities, 1)))


@pytest.mark.parametrize("module", [RandomOutputs, Batch])
def test_outputs_may_be_random_or_depend_on_the_batch(table, quick, module):
    assert np.isfinite(quick(module=module).fit(*table).predict_proba(table[0])).all()


class SinglePrecision(Concat):
    def forward(self, modalities):
        return super().forward([x @ torch.eye(x.shape[1]) for x in modalities])


class Auxiliary(Concat):
    def forward(self, modalities):
        output = super().forward(modalities)
        return (output, output) if self.training else output


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Auxiliary, "returned tuple in training mode"),
        (SinglePrecision, "in double precision, .*x.new_zeros"),
    ],
)
def test_networks_are_tested_as_they_are_used(table, quick, monkeypatch, module, message):
    monkeypatch.delattr("sklearn_emma.base.select_predictor")  # refused before the training
    with pytest.raises(ValueError, match=message):
        quick(module=module).fit(*table)
