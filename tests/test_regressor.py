"""What EMMARegressor predicts, and what it shares with EMMAClassifier."""

import inspect
import math
import pickle
import re

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone, is_regressor
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from torch import nn

from sklearn_emma import DAEEnergyScorer, EMMAClassifier, EMMARegressor

NAMES = ["a", "b", "c"]
#: Parameters with which a fit is accurate, and not just quick.
GOOD = {"hidden_layer_sizes": (16,), "max_epochs": 30, "learning_rate": 0.01}


def make_data(n_samples, seed, spread=0.3):
    """Three instruments of three columns that each show the same two hidden numbers."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n_samples, 2))
    mixing = np.linalg.qr(np.random.default_rng(99).normal(size=(3, 3, 3)))[0][:, :2]
    noise = 0.3 * rng.normal(size=(3, n_samples, 3))
    columns = [f"{name}__{j}" for name in NAMES for j in range(3)]
    X = pd.DataFrame(np.hstack(list(hidden @ mixing + noise)), columns=columns)
    y = 2 * hidden[:, 0] - hidden[:, 1] + spread * rng.normal(size=n_samples)
    return X, pd.Series(y, name="y")


@pytest.fixture(scope="module")
def data():
    """Training samples and test samples."""
    return *make_data(500, seed=0), *make_data(500, seed=1)


@pytest.fixture(scope="module")
def small(data):
    """A few training samples."""
    X, y, *_ = data
    return X[:150], y[:150]


@pytest.fixture(scope="module")
def quick():
    """An EMMARegressor with few units and epochs; parameters can be overridden."""
    defaults = {
        "modalities": "prefix",
        "energy": GaussianMixture(random_state=0),
        "hidden_layer_sizes": (8,),
        "pretrain_epochs": 3,
        "l2_regularization": 1.0,
        "periodic_features": False,
        "max_epochs": 6,
        "learning_rate": 0.02,
        "random_state": 0,
    }
    return lambda **params: EMMARegressor(**(defaults | params))


@pytest.fixture(scope="module")
def fitted(small, quick):
    """A fitted regressor, to be read only."""
    return quick().fit(*small)


@pytest.fixture(scope="module")
def variant(data, quick):
    """Fit regressors long enough to be accurate, each once."""
    cache = {}

    def fit(**params):
        key = repr(sorted(params.items()))
        if key not in cache:
            cache[key] = quick(**(GOOD | params)).fit(*data[:2])
        return cache[key]

    return fit


# --- accuracy ---


@pytest.mark.parametrize(
    "loss", ["squared_error", pytest.param("absolute_error", marks=pytest.mark.slow), "quantile"]
)
def test_clean_samples_are_predicted_as_well_as_by_linear_regression(variant, data, loss):
    X, y, X_test, y_test = data
    linear = LinearRegression().fit(X, y).score(X_test, y_test)
    assert linear > 0.9
    assert variant(loss=loss).score(X_test, y_test) > linear - 0.05


@pytest.mark.parametrize(
    "loss", ["squared_error", pytest.param("quantile", marks=pytest.mark.slow)]
)
def test_predictions_stay_good_when_a_modality_fails(variant, data, add_noise, lose, loss):
    _, _, X, y = data
    emma, ungated = variant(loss=loss), variant(loss=loss, coldness=0.0)
    for i, name in enumerate(NAMES):
        broken = add_noise(X, name, 4)
        assert emma.score(broken, y) > 0.85
        assert emma.score(broken, y) > ungated.score(broken, y) + 0.2
        assert emma.attention(broken).mean(axis=0).argmin() == i
        assert emma.score(lose(X, name), y) > 0.85


def test_without_any_value_the_center_is_left(variant, data):
    X, y, *_ = data
    nothing = X[:2].copy()
    nothing.loc[:] = np.nan
    np.testing.assert_allclose(variant().predict(nothing), y.mean(), atol=0.3 * y.std())


def test_absolute_error_is_robust_to_wild_targets(data, quick):
    X, y, X_test, y_test = data
    wild = y.copy()
    wild[::12] += 1e6
    robust = quick(loss="absolute_error", **GOOD).fit(X, wild)
    assert robust.score(X_test, y_test) > 0.85
    assert quick(**GOOD).fit(X, wild).score(X_test, y_test) < 0


@pytest.mark.parametrize("loss", ["absolute_error", "quantile"])
def test_robust_losses_take_targets_of_any_size(small, quick, loss):
    X, y = small
    expected = quick(loss=loss).fit(X, np.where(np.arange(len(y)) == 3, 1e12, y)).predict(X)
    found = quick(loss=loss).fit(X, np.where(np.arange(len(y)) == 3, 1e100, y)).predict(X)
    np.testing.assert_allclose(found[4:], expected[4:], atol=0.1 * y.std())


# --- quantiles ---


def test_quantiles_cover_what_they_say_and_do_not_cross(variant, data, add_noise):
    _, _, X, y = data
    regressor = variant(loss="quantile")
    np.testing.assert_array_equal(regressor.quantiles_, [0.05, 0.5, 0.95])
    for table in (X, add_noise(X, "a", 4)):
        quantiles = regressor.predict_quantiles(table)
        assert quantiles.shape == (len(X), 3)
        assert (np.diff(quantiles, axis=1) >= 0).all()
        below = (y.to_numpy()[:, None] <= quantiles).mean(axis=0)
        np.testing.assert_allclose(below, [0.05, 0.5, 0.95], atol=0.08)
    np.testing.assert_array_equal(regressor.predict(X), regressor.predict_quantiles(X)[:, 1])


class Crossed(nn.Module):
    """Quantiles that increase where the first column is positive, and decrease elsewhere."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.step = nn.Parameter(torch.arange(1.0, 1.0 + n_outputs))

    def forward(self, modalities):
        return modalities[0][:, :1].sign() * self.step


def test_quantiles_that_the_network_crosses_are_put_in_order(small, quick):
    X, y = small
    params = {"module": Crossed, "learning_rate": 1e-9, "pretrain_epochs": 0, "max_epochs": 1}
    regressor = quick(loss="quantile", coldness=0.0, **params).fit(X, y)
    standard = (regressor.predict_quantiles(X) - regressor.target_center_) / regressor.target_scale_
    rises = np.where(X.to_numpy()[:, :1] > regressor.mean_[0], [[1, 2, 3]], [[-3, -2, -1]])
    np.testing.assert_allclose(standard, rises, rtol=1e-6)


@pytest.mark.parametrize(
    ("quantile", "share"),
    [
        (0.9, [1.0]),
        ([0.2], [1.0]),
        ((0.6, 0.9), [1.0, 0.0]),
        ((0.1, 0.2), [0.0, 1.0]),
        ((0.1, 0.9), [0.5, 0.5]),
        ((0.2, 0.4, 0.8), [0.0, 0.75, 0.25]),
    ],
)
def test_predict_is_the_median_or_what_is_nearest_to_it(small, quick, quantile, share):
    X, y = small
    regressor = quick(loss="quantile", quantile=quantile, max_epochs=1).fit(X, y)
    expected = regressor.predict_quantiles(X) @ share
    np.testing.assert_allclose(regressor.predict(X), expected)


def test_a_single_quantile_is_predicted_itself(variant, data):
    _, _, X, y = data
    regressor = variant(loss="quantile", quantile=0.9)
    assert (y <= regressor.predict(X)).mean() == pytest.approx(0.9, abs=0.07)


def test_only_the_quantile_loss_has_quantiles(fitted, small, quick):
    assert not hasattr(quick(), "predict_quantiles")
    assert hasattr(quick(loss="quantile"), "predict_quantiles")
    assert fitted.quantiles_ is None
    # what counts is what was fitted
    assert not hasattr(clone(fitted).fit(*small).set_params(loss="quantile"), "predict_quantiles")
    with pytest.raises(NotFittedError):
        quick(loss="quantile").predict_quantiles(small[0])


# --- targets ---


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "quantile"])
@pytest.mark.parametrize("value", [0.0, -7e9])
def test_constant_targets(small, quick, loss, value):
    X, y = small
    regressor = quick(loss=loss, max_epochs=2).fit(X, np.full(len(y), value))
    assert regressor.target_scale_ == 0
    np.testing.assert_array_equal(regressor.predict(X), value)


def test_one_constant_target_among_others(small, quick):
    X, y = small
    predicted = quick(warm_start=True).fit(X, np.column_stack([y, np.full(len(y), 1e-13)]))
    np.testing.assert_allclose(predicted.predict(X)[:, 1], 1e-13, rtol=1e-14)
    scale = predicted.target_scale_[0]
    # it may vary in the next samples, and the other output keeps its units
    predicted.fit(X, np.column_stack([1.2 * y, y]))
    assert predicted.predict(X)[:, 1].std() > 0.1 * y.std()
    assert predicted.target_scale_[0] == scale


def test_targets_that_are_too_large(small, quick):
    X, y = small
    with pytest.raises(ValueError, match="Divide y by a constant"):
        quick().fit(X, np.linspace(1e308, 1.7e308, len(y)))


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "quantile"])
def test_the_units_of_the_target_do_not_matter(small, quick, loss):
    X, y = small
    plain = quick(loss=loss).fit(X, y).predict(X)
    for factor, offset in [(1e6, 1e9), (1e-9, 0.0)]:
        scaled = quick(loss=loss).fit(X, factor * y + offset).predict(X)
        np.testing.assert_allclose(scaled, factor * plain + offset, atol=0.01 * factor * y.std())


@pytest.mark.parametrize(
    "loss", ["squared_error", pytest.param("absolute_error", marks=pytest.mark.slow)]
)
def test_several_outputs(data, quick, loss):
    X, y, X_test, y_test = data
    both = pd.DataFrame({"y": y, "mean": 1e3 * X.mean(axis=1)})
    regressor = quick(loss=loss, **GOOD).fit(X, both)
    assert regressor.n_outputs_ == 2
    predicted = regressor.predict(X_test)
    assert predicted.shape == (len(X_test), 2)
    errors = predicted - np.column_stack([y_test, 1e3 * X_test.mean(axis=1)])
    assert (errors.std(axis=0) < 0.4 * both.std().to_numpy()).all()
    assert regressor.score(X_test, np.column_stack([y_test, 1e3 * X_test.mean(axis=1)])) > 0.85


def test_predictions_have_the_shape_of_the_target(small, quick, fitted):
    X, y = small
    column = quick().fit(X, y.to_numpy()[:, None])
    assert column.predict(X).shape == (len(X), 1)
    np.testing.assert_array_equal(column.predict(X)[:, 0], fitted.predict(X))
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        quantiles = quick(loss="quantile").fit(X, y.to_numpy()[:, None])
    assert quantiles.predict(X).shape == (len(X),)


@pytest.mark.parametrize("kind", [np.float32, np.int64, bool, object, "list", "polars"])
def test_targets_of_any_kind(small, quick, kind):
    X, y = small
    target = y.round()
    if kind == "list":
        given = target.to_list()
    elif kind == "polars":
        polars = pytest.importorskip("polars")
        given = polars.Series(target.to_numpy())
    else:
        given = target = (target > 0 if kind is bool else target).astype(kind)
    expected = quick(max_epochs=1).fit(X, np.asarray(target, dtype=float)).predict(X)
    np.testing.assert_array_equal(quick(max_epochs=1).fit(X, given).predict(X), expected)


# --- weights ---


def test_samples_of_weight_zero_are_left_out(small, quick):
    X, y = small
    weight = np.random.default_rng(0).integers(0, 3, len(X)).astype(float)
    keep = weight > 0
    broken, target = X.copy(), y.copy()
    broken.loc[~keep], target.loc[~keep] = 1e3, -1e6
    zero = quick().fit(broken, target, sample_weight=weight)
    out = quick().fit(X[keep], y[keep], sample_weight=weight[keep])
    np.testing.assert_array_equal(zero.predict(X), out.predict(X))


@pytest.mark.parametrize(
    "loss",
    [
        "squared_error",
        pytest.param("absolute_error", marks=pytest.mark.slow),
        pytest.param("quantile", marks=pytest.mark.slow),
    ],
)
def test_weights_are_repetitions(quick, loss):
    # half of the samples have y, the others y + 20; those weigh three times as much
    X, y = make_data(100, seed=3)
    X, y = pd.concat([X, X]), np.concatenate([y, y + 20.0])
    weight = np.where(np.arange(200) < 100, 1, 3)
    repeated = np.repeat(np.arange(200), weight)
    params = {"loss": loss, "quantile": 0.5, "max_epochs": 30}
    weighted = quick(**params).fit(X, y, sample_weight=weight)
    again = quick(**params).fit(X.iloc[repeated], y[repeated])
    expected = 15.0 if loss == "squared_error" else 20.0  # mean and median
    for regressor in (weighted, again):
        above = (regressor.predict(X) - y)[:100].mean()
        assert above == pytest.approx(expected, abs=2.0)


# --- as the classifier ---


def test_parameters_are_those_of_the_classifier():
    regressor = inspect.signature(EMMARegressor).parameters
    classifier = dict(inspect.signature(EMMAClassifier).parameters)
    classifier.pop("class_weight")
    own = {"loss", "quantile"}
    assert {name: p.default for name, p in regressor.items() if name not in own} == {
        name: p.default for name, p in classifier.items()
    }
    assert own < set(regressor)


def test_defaults_are_documented_in_order():
    section = EMMARegressor.__doc__.split("Attributes\n")[0]
    documented = re.findall(r"^    (\w+) : ", section, flags=re.MULTILINE)
    assert documented == list(inspect.signature(EMMARegressor).parameters)


def test_read_outs_follow_the_equations(fitted, small):
    X, _ = small
    energy = fitted.modal_energy(X)
    weights = np.exp(-fitted.coldness_ * energy)
    alpha = weights / weights.sum(axis=1, keepdims=True)
    beta = np.maximum(0, np.tanh(fitted.gain_ * alpha - fitted.bias_))
    np.testing.assert_allclose(fitted.importance(X), alpha)
    np.testing.assert_allclose(fitted.attention(X), beta)
    np.testing.assert_allclose(fitted.total_energy(X), energy.sum(axis=1))
    standard = (X.to_numpy() - fitted.mean_) / fitted.scale_
    np.testing.assert_allclose(fitted.transform(X), standard * beta.repeat(3, axis=1))
    assert fitted.get_feature_names_out().tolist() == list(X)
    assert fitted.modality_names_ == NAMES
    assert fitted.history_["train_loss"].shape == (fitted.n_iter_,) == (6,)


def test_the_energy_of_an_important_modality_is_not_cancelled_by_the_coupling():
    rng = np.random.RandomState(2)
    X = np.c_[rng.standard_t(1.5, (400, 2)), rng.normal(size=(400, 4))]
    y = np.sign(X[:, 0]) * np.log1p(abs(X[:, 0]))
    modalities = {"a": [0, 1], "b": [2, 3], "c": [4, 5]}
    params = {"max_epochs": 30, "l2_regularization": 0.5, "n_networks": 1}
    regressor = EMMARegressor(modalities, random_state=2, **params).fit(X, y)
    negative = np.minimum(regressor.coupling_weight_, 0.0)
    slope = 1.0 + (negative * regressor.coupling_degree_).sum(axis=1)
    assert slope.min() == pytest.approx(0.5)
    X[:, :2] = 1000.0
    assert (regressor.attention(X)[:, 0] < 0.01).all()


def test_a_missing_modality_gets_no_attention(fitted, small, lose):
    X = lose(small[0], "b")
    assert (fitted.energies(X)[:, 1] == np.inf).all()
    assert (fitted.attention(X)[:, 1] == 0).all()
    assert np.isfinite(fitted.predict(X)).all()
    other = X.copy()
    other.iloc[:, 0] = np.nan
    assert not np.allclose(fitted.predict(other), fitted.predict(X))


def test_training_samples_may_have_gaps(data, quick):
    X, y, X_test, y_test = data
    rng = np.random.default_rng(0)
    gaps = X.mask(rng.random(X.shape) < 0.05)
    gaps.loc[rng.random(len(X)) < 0.1, ["c__0", "c__1", "c__2"]] = np.nan
    assert quick(max_epochs=20).fit(gaps, y).score(X_test, y_test) > 0.8


def test_predictions_are_independent_of_the_other_samples(small, quick):
    X, y = small
    regressor = quick(loss="quantile").fit(X, y)
    for method in (regressor.predict, regressor.predict_quantiles):
        together = method(X)
        for i in (0, 7, 149):
            np.testing.assert_allclose(method(X.iloc[[i]])[0], together[i], rtol=1e-5)


def test_the_same_seed_gives_the_same_fit(small, quick, fitted):
    X, y = small
    state = torch.get_rng_state()
    np.testing.assert_array_equal(clone(fitted).fit(X, y).predict(X), fitted.predict(X))
    assert torch.equal(torch.get_rng_state(), state)
    assert not np.allclose(quick(random_state=1).fit(X, y).predict(X), fitted.predict(X))


def test_pickles_and_polars_and_arrays_predict_the_same(small, quick, fitted):
    X, y = small
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict(X), fitted.predict(X))
    arrays = quick(modalities={name: slice(3 * i, 3 * i + 3) for i, name in enumerate(NAMES)})
    arrays.fit(X.to_numpy(), y.to_numpy())
    np.testing.assert_array_equal(arrays.predict(X.to_numpy()), fitted.predict(X))
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({name: X[name].to_numpy() for name in X})
    np.testing.assert_array_equal(quick().fit(frame, y).predict(frame), fitted.predict(X))


def test_grid_search(small, quick):
    X, y = small
    grid = {"loss": ["squared_error", "absolute_error"], "coldness": [0.1, 1.0]}
    search = GridSearchCV(quick(max_epochs=2), grid, cv=2).fit(X, y)
    assert len(set(search.cv_results_["mean_test_score"])) == 4
    # R2, from folds that are not stratified
    assert search.score(X, y) == pytest.approx(search.best_estimator_.score(X, y))


def test_early_stopping_holds_samples_out(small, quick):
    X, y = small
    params = {"early_stopping": True, "validation_fraction": 0.3, "n_iter_no_change": 3}
    stopped = quick(max_epochs=40, learning_rate=0.05, **params).fit(X, y)
    losses = stopped.history_["valid_loss"]
    assert losses.shape == (stopped.n_iter_,)
    assert stopped.n_iter_ < 40
    assert stopped.gain_ == pytest.approx(stopped.history_["gain"][stopped.n_iter_ - 4])


def test_warm_start_goes_on_in_the_units_it_began_with(small, quick):
    X, y = small
    regressor = quick(warm_start=True, max_epochs=30).fit(X, y)
    first, last = regressor.history_["train_loss"][[0, -1]]
    scale, predicted = regressor.target_scale_, regressor.predict(X)
    regressor.set_params(max_epochs=1, learning_rate=1e-4).fit(X, 1.2 * y)
    assert regressor.target_scale_ is scale
    np.testing.assert_allclose(regressor.predict(X), predicted, atol=0.1 * y.std())
    regressor.fit(X, y)
    assert regressor.history_["train_loss"][0] < (first + last) / 2


@pytest.mark.parametrize(
    ("params", "columns", "match"),
    [
        ({}, 2, "n_outputs_ was 1 and now is 2"),
        ({"loss": "quantile"}, 1, "quantiles_ was None and now is .0.05 0.5  0.95"),
        ({"hidden_layer_sizes": (9,)}, 1, "n_networks or periodic_features changed"),
    ],
    ids=["outputs", "quantiles", "network"],
)
def test_warm_start_refuses_other_outputs_and_networks(small, quick, params, columns, match):
    X, y = small
    regressor = quick(warm_start=True, max_epochs=1).fit(X, y)
    before = regressor.predict(X)
    target = y if columns == 1 else np.column_stack([y] * columns)
    with pytest.raises(ValueError, match=f"(?s)warm_start=True needs.*{match}"):
        regressor.set_params(**params).fit(X, target)
    np.testing.assert_array_equal(regressor.predict(X), before)


class Concat(nn.Module):
    """A network of the user."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(sum(n_features), 16), nn.ReLU(), nn.Linear(16, n_outputs)
        )

    def forward(self, modalities):
        return self.layers(torch.cat(modalities, 1))


@pytest.mark.parametrize("loss", ["squared_error", "quantile"])
def test_any_torch_network(data, quick, loss):
    X, y, X_test, y_test = data
    regressor = quick(module=Concat, loss=loss, **GOOD).fit(X, y)
    assert regressor.score(X_test, y_test) > 0.85
    assert regressor.network_weights_["network.layers.2.bias"].shape == (
        (1,) if loss == "squared_error" else (3,)
    )


def test_learned_energies_work_too(data, quick, add_noise):
    X, y, X_test, y_test = data
    energy = DAEEnergyScorer(hidden_layer_sizes=(16,), max_epochs=10)
    regressor = quick(energy=energy, **GOOD).fit(X, y)
    assert regressor.score(add_noise(X_test, "a", 4), y_test) > 0.8


def test_tags(quick):
    assert is_regressor(quick())
    assert quick().__sklearn_tags__().target_tags.multi_output
    assert not quick(loss="quantile").__sklearn_tags__().target_tags.multi_output
    assert quick().__sklearn_tags__().input_tags.allow_nan


def test_verbose_and_silent(small, quick, capsys):
    quick(max_epochs=1).fit(*small)
    assert capsys.readouterr() == ("", "")
    quick(max_epochs=1, verbose=True).fit(*small)
    assert "gate and predictor: epoch 1/1, train_loss" in capsys.readouterr().err


# --- bad input ---


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda y: y.where(y.index > 0), "Input y contains NaN"),
        (lambda y: y.where(y.index > 0, np.inf), "Input y contains infinity"),
        (lambda y: y.astype(object).where(y.index > 0, None), "y must be finite, but 1 of its"),
        (lambda y: y.astype(object).where(y.index > 0, "low"), "y must hold numbers.*'low'"),
        (lambda y: y.astype(str).to_numpy(dtype="U"), "y must hold numbers, but .* of <U"),
        (lambda y: y.to_numpy() + 1j, "Complex data not supported"),
        (lambda y: pd.to_datetime(y), "y must hold numbers, but .* datetime64"),
        (lambda y: y[:5], "inconsistent numbers of samples"),
        (lambda y: y.to_numpy().reshape(-1, 1, 1), "Found array with dim 3"),
        (lambda y: None, "requires y to be passed"),
    ],
)
def test_targets_that_are_not_valid(small, quick, spoil, match):
    X, y = small
    regressor = quick()
    with pytest.raises(ValueError, match=match):
        regressor.fit(X, spoil(y))
    assert not [name for name in vars(regressor) if name.endswith("_")]


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"loss": "log_loss"}, "The 'loss' parameter of EMMARegressor must be a str among"),
        ({"quantile": 0.0}, "The 'quantile' parameter of EMMARegressor must be"),
        ({"quantile": "half"}, "The 'quantile' parameter of EMMARegressor must be"),
        ({"quantile": (0.5, 0.1)}, "quantile must be .* that increase.*got .0.5, 0.1."),
        ({"quantile": (0.5, 0.5)}, "quantile must be .* that increase"),
        ({"quantile": (0.5, 1.0)}, "quantile must be a number between 0 and 1"),
        ({"quantile": ()}, "quantile must be a number between 0 and 1"),
        ({"quantile": [[0.5]]}, "quantile must be a number between 0 and 1"),
        ({"quantile": ("low", 0.5)}, "quantile must be a number between 0 and 1"),
        ({"coldness": -1.0}, "The 'coldness' parameter of EMMARegressor must be"),
        (
            {"early_stopping": True, "validation_fraction": 0.999},
            "would hold out 150 of 150 samples, and leave too few to learn from. Lower",
        ),
        ({"learning_rate": 1e8}, "Training diverged"),
    ],
)
def test_parameters_out_of_range(small, quick, params, match):
    with pytest.raises(ValueError, match=match):
        quick(**({"loss": "quantile"} | params)).fit(*small)


def test_quantiles_of_several_outputs(small, quick):
    X, y = small
    with pytest.raises(ValueError, match="predicts one output, but y has 2 columns.*MultiOutput"):
        quick(loss="quantile").fit(X, np.column_stack([y, y]))


class Fixed(nn.Module):
    """A network that returns a number of its own of columns, and NaN when it does not train."""

    def __init__(self, n_columns, value=0.0):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.n_columns = n_columns
        self.value = value

    def forward(self, modalities):
        output = self.scale * modalities[0].new_zeros(len(modalities[0]), self.n_columns)
        return output + self.value if modalities[0].dtype == torch.float64 else output


def test_networks_that_return_something_else(small, quick):
    X, y = small
    with pytest.raises(ValueError, match=r"outputs of shape .* = \(3, 1\), but .* \(3, 2\)"):
        quick(module=Fixed(2)).fit(X, y)
    with pytest.raises(ValueError, match=r"quantiles of shape .* = \(3, 3\), but .* \(3, 2\)"):
        quick(module=Fixed(2), loss="quantile").fit(X, y)
    regressor = quick(module=Fixed(1, math.nan), max_epochs=1).fit(X, y)
    with pytest.raises(
        ValueError, match="not finite for 5 of 5 samples. Check module, which .* outp"
    ):
        regressor.predict(X[:5])


def test_unfitted_regressors_say_so(small, quick):
    for method in ("predict", "attention", "transform"):
        with pytest.raises(NotFittedError, match="This EMMARegressor instance is not fitted yet"):
            getattr(quick(), method)(small[0])
