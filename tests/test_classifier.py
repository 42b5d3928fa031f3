"""What EMMAClassifier learns, reads out, and leaves alone."""

import inspect
import math
import pickle
import re

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.compose import make_column_selector
from sklearn.metrics import f1_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn_emma._training import batches

from sklearn_emma import DAEEnergyScorer, EMMAClassifier
from sklearn_emma.corruption import Corruption, Missing, Mixture, Noise, Swapped
from sklearn_emma.datasets import make_multimodal_classification

NAMES = ["modality0", "modality1", "modality2"]


def same_predictions(a, b, X):
    return np.array_equal(a.predict_proba(X), b.predict_proba(X))


# --- fitting ---


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
    assert not np.allclose(weighted.mean_, by_class.mean_)  # weights of rows count in stage 1 too


def test_rows_of_weight_zero_are_rows_left_out(table, quick):
    X, y = table
    weight = np.random.default_rng(0).integers(0, 3, len(X)).astype(float)
    keep = weight > 0
    # rows that do not count may be anything that is valid
    broken = X.copy()
    broken.loc[~keep] = 1e3
    zero = quick().fit(broken, y, sample_weight=weight)
    out = quick().fit(X[keep], y[keep], sample_weight=weight[keep])
    assert same_predictions(zero, out, X)


def test_classes_of_weight_zero_do_not_count(table, quick):
    X, y = table
    labels = y.to_numpy().copy()
    labels[:5] = 2
    classifier = quick().fit(X, labels, sample_weight=(labels < 2).astype(float))
    assert classifier.classes_.tolist() == [0, 1]


def test_the_scale_of_the_weights_does_not_matter(table, quick, fitted):
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


def test_early_stopping_with_a_class_of_one_row(table, quick):
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


def test_rows_of_many_modalities_do_not_depend_on_those_that_are_read_with_them(quick):
    # pairs of forty modalities are so many numbers that few rows make a block
    X, y = np.random.RandomState(0).normal(size=(400, 80)), np.arange(400) % 2
    modalities = [(str(i), [2 * i, 2 * i + 1]) for i in range(40)]
    classifier = quick(modalities=modalities, max_epochs=1, pretrain_epochs=0).fit(X[:60], y[:60])
    for method in (classifier.predict_proba, classifier.energies, classifier.attention):
        together = method(X)
        for rows in (slice(0, 7), slice(160, 170), slice(399, 400)):
            np.testing.assert_allclose(method(X[rows]), together[rows], rtol=1e-9, atol=1e-12)


# --- warm start ---


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


def test_without_warm_start_a_fit_forgets(table, quick, fitted):
    X, y = table
    gaps = X.mask(np.random.default_rng(0).random(X.shape) < 0.1)
    again = quick(modalities=None, max_epochs=9).fit(gaps, 1 - y)
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
def test_warm_start_refuses_another_task(table, quick, changed, match):
    X, y = table
    classifier = quick(warm_start=True).fit(X, y)
    before = classifier.predict_proba(X)
    with pytest.raises(ValueError, match=f"(?s)warm_start=True needs.*{match}.*warm_start=False"):
        classifier.fit(*changed(X, y))
    np.testing.assert_array_equal(classifier.predict_proba(X), before)


def test_warm_start_refuses_another_network(table, quick):
    classifier = quick(warm_start=True).fit(*table)
    with pytest.raises(ValueError, match="hidden_layer_sizes changed. Set warm_start=False"):
        classifier.set_params(hidden_layer_sizes=(9,)).fit(*table)


# --- randomness, threads, output ---


def test_the_same_seed_gives_the_same_fit(table, quick, fitted):
    X, y = table
    assert same_predictions(quick().fit(X, y), fitted, X)
    assert same_predictions(quick().fit(X, y).fit(X, y), fitted, X)
    assert not same_predictions(quick(random_state=1).fit(X, y), fitted, X)


def test_a_generator_as_random_state_moves_on(table, quick):
    X, y = table
    shared = np.random.RandomState(0)
    first, second = quick(random_state=shared).fit(X, y), quick(random_state=shared).fit(X, y)
    again = quick(random_state=np.random.RandomState(0)).fit(X, y)
    assert not same_predictions(first, second, X)
    assert same_predictions(first, again, X)


def test_torch_is_left_alone(table, quick):
    state, n_threads = torch.get_rng_state(), torch.get_num_threads()
    quick(random_state=None).fit(*table).predict_proba(table[0])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == n_threads
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_energies_fitted_beside_each_other_are_the_same(table, quick, fitted, n_jobs):
    X, y = table
    with joblib.parallel_config("threading"):
        parallel = quick(n_jobs=n_jobs).fit(X, y)
    assert same_predictions(parallel, fitted, X)


def test_silent_unless_verbose(table, quick, capsys):
    quick().fit(*table)
    assert capsys.readouterr() == ("", "")
    quick(verbose=True, energy=None, early_stopping=True).fit(*table)
    out, err = capsys.readouterr()
    assert out == ""
    assert "energies of 3 modalities: epoch 100/100" in err
    assert "warm start: epoch 5/5" in err
    assert "gate and predictor: epoch 10/10, train_loss" in err
    assert "valid_loss" in err


def test_inputs_are_not_changed(table, quick):
    X, y = (data.copy() for data in table)
    X.iloc[0, 0] = np.nan
    before = X.copy()
    params = {key: repr(value) for key, value in quick().get_params().items()}
    classifier = quick().fit(X, y)
    classifier.transform(X)
    pd.testing.assert_frame_equal(X, before)
    assert {key: repr(value) for key, value in classifier.get_params().items()} == params


# --- energies fitted once ---


class CountingScorer(BaseEstimator):
    """A Gaussian per column that counts its fits."""

    n_fits = 0

    def __init__(self, spread=1.0):
        self.spread = spread

    def fit(self, X, y=None):
        CountingScorer.n_fits += 1
        self.mean_ = X.mean(axis=0)
        return self

    def score_samples(self, X):
        return -((X - self.mean_) ** 2).sum(axis=1) / self.spread


def test_a_search_with_memory_fits_the_energies_of_a_fold_once(table, quick, tmp_path):
    X, y = table
    grid = {"coldness": [0.1, 1.0], "lambda_energy": [0.0, 0.1]}

    def search(memory):
        CountingScorer.n_fits = 0
        classifier = quick(energy=CountingScorer(), max_epochs=2, memory=memory)
        search = GridSearchCV(classifier, grid, cv=2, scoring="neg_log_loss").fit(X, y)
        return search, CountingScorer.n_fits

    without, n_without = search(None)
    with_memory, n_with = search(str(tmp_path))
    assert n_without == 3 * (2 * 4 + 1)  # modalities times (folds times candidates, and the refit)
    assert n_with == 3 * (2 + 1)
    for key, values in without.cv_results_.items():
        if not key.endswith("_time"):
            np.testing.assert_array_equal(values, with_memory.cv_results_[key])
    assert same_predictions(without, with_memory, X)


def test_memory_holds_the_default_energy_too(table, quick, tmp_path, fitted):
    X, y = table
    first = quick(memory=str(tmp_path)).fit(X, y)
    files = sorted(tmp_path.rglob("output.pkl"))
    second = quick(memory=str(tmp_path), coldness=0.5, lambda_capacity=0.1).fit(X, y)
    assert len(files) == 1
    assert sorted(tmp_path.rglob("output.pkl")) == files
    assert same_predictions(first, fitted, X)
    for name in NAMES:
        x = np.zeros((1, 3))
        assert first.energy_scorers_[name].score_samples(x) == second.energy_scorers_[
            name
        ].score_samples(x)


# --- modalities ---


def is_modality(i):
    return make_column_selector(pattern=f"^modality{i}__")


FORMS = {
    "dict of names": {name: [f"{name}__{j}" for j in range(3)] for name in NAMES},
    "list of pairs": [(name, [f"{name}__{j}" for j in range(3)]) for name in NAMES],
    "callable": lambda column: column.split("__")[0],
    "positions": {name: [3 * i, 3 * i + 1, 3 * i + 2] for i, name in enumerate(NAMES)},
    "slices": {name: slice(3 * i, 3 * i + 3) for i, name in enumerate(NAMES)},
    "slices of names": {name: slice(f"{name}__0", f"{name}__2") for name in NAMES},
    "masks": {name: (np.arange(9) // 3 == i) for i, name in enumerate(NAMES)},
    "selectors": {name: is_modality(i) for i, name in enumerate(NAMES)},
}


@pytest.mark.parametrize("form", FORMS)
def test_modalities_in_every_form(table, quick, fitted, form):
    X, y = table
    classifier = quick(modalities=FORMS[form]).fit(X, y)
    assert classifier.modality_names_ == NAMES
    assert same_predictions(classifier, fitted, X)


@pytest.mark.parametrize("form", ["positions", "slices", "masks"])
def test_modalities_of_arrays_and_lists(table, quick, fitted, form):
    X, y = table
    for rows in (X.to_numpy(), X.to_numpy().tolist(), np.asfortranarray(X)[:, :]):
        classifier = quick(modalities=FORMS[form]).fit(rows, y.to_list())
        np.testing.assert_array_equal(classifier.predict_proba(rows), fitted.predict_proba(X))


def test_modalities_of_polars_frames(table, quick, fitted):
    polars = pytest.importorskip("polars")
    X, y = table
    frame = polars.DataFrame({name: X[name].to_numpy() for name in X})
    for form in ("prefix", FORMS["dict of names"], FORMS["callable"], FORMS["slices"]):
        classifier = quick(modalities=form).fit(frame, polars.Series(y.to_numpy()))
        assert classifier.feature_names_in_.tolist() == list(X)
        np.testing.assert_array_equal(classifier.predict_proba(frame), fitted.predict_proba(X))


def test_leftover_columns_dropped_or_gathered(table, quick):
    X, y = table
    two = {name: FORMS["dict of names"][name] for name in NAMES[:2]}
    dropped = quick(modalities=two, remainder="drop").fit(X, y)
    assert dropped.modality_names_ == NAMES[:2]
    assert dropped.transform(X).shape == (len(X), 6)
    other = X.copy()
    other.iloc[:, 6:] = np.nan
    assert np.array_equal(dropped.predict_proba(X), dropped.predict_proba(other))
    gathered = quick(modalities=two, remainder="rest").fit(X, y)
    assert gathered.modality_names_ == [*NAMES[:2], "rest"]
    assert gathered.modality_columns_[2].tolist() == [6, 7, 8]


# --- the gate ---


def assert_constraints(classifier):
    assert (classifier.self_weight_ >= 1).all()
    assert (classifier.self_bias_ >= 0).all()
    assert (np.abs(classifier.coupling_weight_) <= 1).all()
    assert (np.diag(classifier.coupling_weight_) == 0).all()
    assert (classifier.coupling_degree_ >= 0).all()
    assert (classifier.coupling_degree_ <= 1).all()
    assert classifier.gain_ > 0
    assert 0 <= classifier.bias_ <= 1


@pytest.mark.parametrize(
    ("lambda_capacity", "lambda_energy"), [(0.0, 0.0), (1e6, 0.0), (0.0, 1e6), (1e3, 1e6)]
)
@pytest.mark.parametrize("seed", range(3))
def test_constraints_hold_whatever_the_regularizers(
    table, quick, seed, lambda_capacity, lambda_energy
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
    # otherwise projection was not put to the test
    at_bounds = np.isin(classifier.coupling_weight_[~np.eye(3, dtype=bool)], [-1, 1])
    assert at_bounds.any() or (classifier.self_weight_ == 1).any() or classifier.bias_ in (0, 1)


@pytest.mark.parametrize("lambda_energy", [1.0, 30.0])
def test_large_regularizers_are_not_taken_for_divergence(table, quick, lambda_energy):
    X, y = table
    for coldness in (0.1, 1.0, 30.0):
        classifier = quick(lambda_energy=lambda_energy, coldness=coldness).fit(X, y)
        assert classifier.score(X, y) > 0.7
        classifier.set_params(lambda_capacity=30.0).fit(X, y)
        assert np.isfinite(classifier.predict_proba(X)).all()


@pytest.fixture(scope="module")
def variant(trained, wide):
    """Fit variants of the trained classifier, each once."""
    cache = {}

    def fit(**params):
        key = repr(sorted(params.items()))
        if key not in cache:
            cache[key] = clone(trained).set_params(**params).fit(*wide[:2])
        return cache[key]

    return fit


@pytest.mark.parametrize("lambda_energy", [0.0, 1.0])
@pytest.mark.parametrize("n_corrupted", [2, 3])
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


def test_lambda_energy_parts_failing_from_intact_modalities(variant, wide):
    X = wide[2]
    corrupted, indicator = Noise((0.25, 2.0)).corrupt(X, "prefix", random_state=0, reference=X)

    def gap(lambda_energy):
        # where coldness alone parts them little
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
        # what the failing modality says against them hardly counts
        rise = (energies - energies[0]) / classifier.potential_scale_
        assert (rise[1:, np.arange(3) != i] < 0.1 * rise[1:, [i]]).all()
    else:
        assert (others == others[0]).all()


def test_importance_sums_to_one_and_attention_stays_in_its_range(trained, wide, add_noise, lose):
    X = wide[2]
    for rows in (X, add_noise(X, "modality1", 3), lose(X, "modality2")):
        np.testing.assert_allclose(trained.importance(rows).sum(axis=1), 1.0)
        attention = trained.attention(rows)
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


# --- gaps ---


@pytest.mark.parametrize("modality", NAMES)
def test_a_missing_modality_is_shut_off(trained, wide, lose, modality):
    _, _, X, y = wide
    i = NAMES.index(modality)
    rows = lose(X, modality)
    assert (trained.energies(rows)[:, i] == np.inf).all()
    assert (trained.importance(rows)[:, i] == 0).all()
    assert (trained.attention(rows)[:, i] == 0).all()
    np.testing.assert_allclose(trained.importance(rows).sum(axis=1), 1.0)
    assert np.isfinite(trained.total_energy(rows)).all()
    assert (trained.transform(rows)[:, 3 * i : 3 * i + 3] == 0).all()
    assert trained.score(rows, y) > 0.9


def test_without_any_value_the_class_prior_is_left(quick):
    X, y = make_multimodal_classification(
        400,
        n_modalities=3,
        n_features=3,
        weights=[0.8, 0.2],
        random_state=0,
        return_X_y=True,
    )
    classifier = quick(max_epochs=60).fit(X, y)
    nothing = X[:3].copy()
    nothing.loc[:] = np.nan
    probabilities = classifier.predict_proba(nothing)
    np.testing.assert_allclose(probabilities[:, 0], 0.8, atol=0.05)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert (classifier.importance(nothing) == 0).all()
    assert (classifier.attention(nothing) == 0).all()
    assert (classifier.energies(nothing) == np.inf).all()
    assert np.isfinite(classifier.total_energy(nothing)).all()
    assert (classifier.total_energy(nothing) > classifier.total_energy(X).mean()).all()


@pytest.fixture(scope="module")
def apart(table, quick):
    """A fitted classifier whose energies know nothing of each other."""
    return quick(cross_modal=False).fit(*table)


@pytest.mark.parametrize("n_missing", [1, 2])
def test_single_gaps_raise_the_energy_as_documented(apart, table, n_missing):
    fitted, X = apart, table[0][:10]
    gaps, filled = X.copy(), X.copy()
    columns = [4, 5][:n_missing]
    gaps.iloc[:, columns] = np.nan
    filled.iloc[:, columns] = (fitted.mean_ + fitted.scale_ * fitted.median_)[columns]
    rise = fitted.energies(gaps) - fitted.energies(filled)
    expected = -3 * fitted.potential_scale_[1] * math.log(1 - n_missing / 3)
    np.testing.assert_allclose(rise[:, 1], expected, rtol=1e-6)
    assert (rise[:, [0, 2]] == 0).all()
    np.testing.assert_allclose(
        fitted.transform(gaps) / fitted.attention(gaps).repeat(3, axis=1),
        fitted.transform(filled) / fitted.attention(filled).repeat(3, axis=1),
    )


@pytest.mark.parametrize("value", [-9999.0, 1e20])
def test_wild_values_among_the_training_rows_blind_it_to_nothing(wide, trained, add_noise, value):
    X, y, X_test, y_test = wide
    X = X.copy()
    X.iloc[range(X.shape[1]), range(X.shape[1])] = value  # one in each column
    with_them = clone(trained).fit(X, y)
    assert with_them.score(X_test, y_test) > trained.score(X_test, y_test) - 0.03
    noisy = add_noise(X_test, with_them.modality_names_[0], 3.0)
    attention = with_them.attention(noisy).mean(axis=0)
    assert attention[0] < 0.5 * attention[1:].min()


def test_training_rows_may_have_gaps_and_miss_modalities(wide, quick):
    X, y, X_test, y_test = wide
    rng = np.random.default_rng(0)
    gaps = X.mask(rng.random(X.shape) < 0.05)
    for name in NAMES:
        chosen = gaps.columns.str.startswith(name)
        gaps.loc[rng.random(len(X)) < 0.15, chosen] = np.nan
    gaps.iloc[0] = np.nan
    classifier = quick(max_epochs=20).fit(gaps, y)
    assert classifier.score(X_test, y_test) > 0.93
    present = gaps.notna()
    np.testing.assert_allclose(classifier.mean_, gaps.mean(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        classifier.mean_ + classifier.scale_ * classifier.median_, gaps.median(), atol=1e-9
    )
    assert present.to_numpy().mean() < 0.9
    assert_constraints(classifier)


def test_energies_are_those_of_the_scorers(apart, fitted, table):
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
    # nine tenths of the training rows are as good as it gets
    np.testing.assert_allclose(
        (energies > apart.potential_min_ + 1e-4).mean(axis=0), 0.1, atol=0.01
    )
    np.testing.assert_allclose(
        apart.potential_max_, apart.potential_min_ + apart.potential_scale_, rtol=1e-5
    )
    # beside the others they can only be higher
    assert (fitted.energies(X) >= energies).all()
    assert (fitted.energies(X) == energies).mean() > 0.8


# --- the point of it all ---


def test_a_failing_modality_is_survived(variant, trained, wide, add_noise):
    _, _, X, y = wide
    blind = variant(coldness=0.0)
    assert trained.score(X, y) > blind.score(X, y) - 0.02
    for modality in NAMES:
        broken = add_noise(X, modality, 4)
        assert trained.score(broken, y) > 0.92
        assert trained.score(broken, y) > blind.score(broken, y) + 0.05
        f1 = [f1_score(y, classifier.predict(broken)) for classifier in (trained, blind)]
        assert f1[0] > f1[1] + 0.05


# --- predictions ---


def test_predictions_are_independent_of_the_other_rows(fitted, table):
    X = np.tile(table[0].to_numpy(), (14, 1)) + np.random.default_rng(0).normal(size=(2240, 9))
    X[3, :3] = np.nan
    X[5, 4] = np.nan
    X = pd.DataFrame(X, columns=table[0].columns)
    methods = ["predict_proba", "energies", "attention", "importance", "total_energy", "transform"]
    for method in methods:
        together = getattr(fitted, method)(X)
        for i in (0, 3, 5, 1023, 1024, 2239):
            alone = getattr(fitted, method)(X.iloc[[i]])
            np.testing.assert_allclose(
                alone[0], together[i], rtol=1e-5, atol=1e-6, err_msg=f"{method} of row {i}"
            )
        order = np.random.default_rng(1).permutation(len(X))
        np.testing.assert_allclose(
            getattr(fitted, method)(X.iloc[order]), together[order], rtol=1e-5, atol=1e-6
        )


def test_long_tables_are_read_in_chunks_and_float32_ones_as_they_are(fitted, table, monkeypatch):
    X = table[0].copy()
    X.iloc[3, :3] = np.nan
    methods = ["predict_proba", "energies", "attention", "total_energy", "transform"]
    for method in methods:
        whole = getattr(fitted, method)(X)
        with monkeypatch.context() as patch:
            patch.setattr(batches, "_CHUNK", 50)
            np.testing.assert_allclose(getattr(fitted, method)(X), whole, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            getattr(fitted, method)(X.astype(np.float32)), whole, rtol=1e-3, atol=1e-4
        )


def test_far_away_values_give_finite_predictions(fitted, table):
    far = table[0][:4].copy()
    far.iloc[0, 0], far.iloc[1, 4], far.iloc[2, 8] = 1e30, -1e100, 1e307
    assert np.isfinite(fitted.predict_proba(far)).all()
    attention = fitted.attention(far)
    assert (attention[[0, 1, 2], [0, 1, 2]] < 1e-9).all()


def test_the_units_of_the_columns_do_not_matter(table, quick, fitted):
    X, y = table
    factors = np.array([1e-6, 1.0, 1e6] * 3)
    scaled = X * factors + 3 * factors
    classifier = quick().fit(scaled, y)
    np.testing.assert_allclose(classifier.predict_proba(scaled), fitted.predict_proba(X), atol=1e-3)


def test_fitted_attributes_hold_no_torch_objects(fitted):
    for name, value in vars(fitted).items():
        if name.endswith("_"):
            values = value.values() if isinstance(value, dict) else [value]
            assert not any(isinstance(v, torch.nn.Module | torch.Tensor) for v in values), name
    assert b"torch" not in pickle.dumps(fitted.network_weights_)


def test_defaults_are_documented_in_order():
    parameters = list(inspect.signature(EMMAClassifier).parameters)
    section = EMMAClassifier.__doc__.split("Attributes\n")[0]
    documented = re.findall(r"^    (\w+) : ", section, flags=re.MULTILINE)
    assert documented == parameters


class Offset(Corruption):
    """A corruption as the documentation has users write it, with a parameter of its own."""

    def __init__(self, shift=1.0):
        super().__init__()
        self.shift = shift

    def _fail(self, x, mean, std, rows, generator):
        return x + self.shift * std


def test_a_corruption_of_the_users_own_serves_in_training(table, quick):
    classifier = quick(corruption=Offset(5.0)).fit(*table)
    assert (classifier.potential_scale_ > 0).all()
    assert classifier.corruption.fraction is None


def test_many_gaps_still_give_an_energy_of_all_rows(wide, quick):
    X, y, *_ = wide
    gaps = np.random.default_rng(0).random(X.shape) < 0.3
    classifier = quick().fit(X.mask(gaps), y)
    assert classifier.score(X, y) > 0.8


def test_columns_of_no_modality_do_not_matter(table, quick):
    X, y = table
    wider = X.assign(id=7.0, empty=np.nan)
    classifier = quick(modalities={"a": slice(0, 3), "b": slice(3, 9)}, remainder="drop").fit(
        wider, y
    )
    other = wider.assign(id=-1e9, empty=3.0)
    np.testing.assert_array_equal(classifier.predict_proba(wider), classifier.predict_proba(other))
