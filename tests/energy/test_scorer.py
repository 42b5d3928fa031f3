"""DAEEnergyScorer: what its numbers mean, that they repeat, and what it says of bad input."""

import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_emma import DAEEnergyScorer, EnergyView
from sklearn_emma.energy.column_scale import quantiles_of_columns
from sklearn_emma.energy.denoising import Denoising
from sklearn_emma.energy.protocol import Precision
from sklearn_emma.engine import batches
from sklearn_emma.engine.batches import evaluation_block

GROUPS = {"left": [0, 1, 2], "right": [4, 3]}
NAMES = ["left__a", "left__b", "left__c", "right__a", "right__b"]
ACTIVATIONS = ["identity", "relu", "sigmoid", "tanh"]
#: What gives a value for every sample.
METHODS = [
    "transform",
    "score_samples",
    "predict",
    "p_values",
    "predict_modality",
    "reconstruct",
    "reconstruction_error",
    "energy_gradient",
    "nearest_typical",
    "attribution",
]
#: The energy of the thesis: one tied layer, on standardized columns.
THESIS = {"hidden_layer_sizes": (12,), "activation": "sigmoid"}


def make_table(n=200, seed=0):
    """Return columns of different units, correlated within modalities."""
    rng = np.random.RandomState(seed)
    latent = rng.normal(size=(n, 2))
    X = latent[:, [0, 0, 0, 1, 1]] + 0.3 * rng.normal(size=(n, 5))
    return X * [1.0, 10.0, 0.1, 5.0, 1.0] + [0.0, 100.0, 0.0, -3.0, 2.0]


def make_scorer(modalities=GROUPS, **params):
    return DAEEnergyScorer(
        modalities, **{"hidden_layer_sizes": (8,), "max_epochs": 5, "random_state": 0, **params}
    )


@pytest.fixture(scope="module")
def X():
    return make_table()


@pytest.fixture(scope="module")
def fitted(X):
    return make_scorer(hidden_layer_sizes=(16, 8), max_epochs=20).fit(X)


# What the numbers mean


def test_energies_are_in_interquartile_ranges_above_the_median(fitted, X):
    energies = fitted.transform(X)
    assert energies.shape == (200, 2)
    assert energies.dtype == np.float64
    low, middle, high = np.quantile(energies, [0.25, 0.5, 0.75], axis=0)
    np.testing.assert_allclose(middle, 0.0, atol=1e-12)
    np.testing.assert_allclose(high - low, 1.0)


def test_energy_tells_which_modality_fails():
    X, clean = make_table(600), make_table(300, seed=1)
    scorer = make_scorer(hidden_layer_sizes=(32, 16), max_epochs=20).fit(X)
    broken = clean.copy()
    broken[:, [3, 4]] += 2.0 * X.std(0)[[3, 4]] * np.random.RandomState(2).normal(size=(300, 2))
    before, after = scorer.transform(clean), scorer.transform(broken)
    np.testing.assert_array_equal(before[:, 0], after[:, 0])
    truth = np.repeat([0, 1], 300)
    assert roc_auc_score(truth, np.concatenate([before[:, 1], after[:, 1]])) > 0.85


def test_scores_offset_and_predictions_follow_from_the_energies(fitted, X):
    scores = fitted.score_samples(X)
    np.testing.assert_array_equal(scores, -fitted.transform(X).sum(1))
    np.testing.assert_array_equal(fitted.decision_function(X), scores - fitted.offset_)
    predictions = fitted.predict(X)
    np.testing.assert_array_equal(predictions, np.where(scores >= fitted.offset_, 1, -1))
    low, high = np.quantile(scores, [0.25, 0.75])
    lowest = max(low - 1.5 * (high - low), np.quantile(scores, 0.01))
    assert fitted.offset_ == pytest.approx(lowest)
    np.testing.assert_array_equal(clone(fitted).fit_predict(X), predictions)


def rebuild_thesis(scorer, samples, mean, scale, i):
    """Return potential and reconstruction of modality i, from its weights, as in the thesis."""
    weights = scorer.energy_weights_[i]
    columns = scorer.modality_columns_[i]
    W, hidden, visible = (
        weights[f"members.0.{name}"].astype(float)
        for name in ("weights.0", "hidden_biases.0", "visible_bias")
    )
    z = (samples[:, columns] - mean[columns]) / scale[columns]
    u = z @ W.T + hidden
    potential = 0.5 * ((z - visible) ** 2).sum(axis=1) - np.logaddexp(0.0, u).sum(axis=1)
    denoised = (1.0 / (1.0 + np.exp(-u))) @ W + visible
    return potential, denoised * scale[columns] + mean[columns], ((denoised - z) ** 2).sum(axis=1)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_energy_of_the_thesis_is_a_matter_of_parameters(X, weighted):
    weight = np.random.RandomState(3).randint(1, 5, size=200) if weighted else np.ones(200)
    scorer = make_scorer(**THESIS, views=EnergyView(0.01), calibration_fraction=0)
    scorer.fit(X, sample_weight=weight if weighted else None)
    repeated = np.repeat(X, weight.astype(int), axis=0)
    samples = np.concatenate([X, 3.0 * make_table(20, seed=1)])
    mean, scale = repeated.mean(axis=0), repeated.std(axis=0)
    energies, error = scorer.transform(samples), scorer.reconstruction_error(samples)
    for i, columns in enumerate(GROUPS.values()):
        potential, denoised, norm = rebuild_thesis(scorer, samples, mean, scale, i)
        own = potential[:200, None]
        low, middle, high = quantiles_of_columns(own, weight.astype(float), (0.25, 0.5, 0.75))[:, 0]
        np.testing.assert_allclose(energies[:, i], (potential - middle) / (high - low), atol=1e-9)
        np.testing.assert_allclose(scorer.reconstruct(samples)[:, columns], denoised, atol=1e-9)
        np.testing.assert_allclose(error[:, i], norm, atol=1e-9)


def test_the_energy_of_the_thesis_tells_which_modality_fails():
    X, clean = make_table(400), make_table(300, seed=1)
    scorer = make_scorer(**THESIS, views=EnergyView(0.1), max_epochs=40).fit(X)
    broken = clean.copy()
    broken[:, [3, 4]] += 2.0 * X.std(0)[[3, 4]] * np.random.RandomState(2).normal(size=(300, 2))
    before, after = scorer.transform(clean), scorer.transform(broken)
    assert roc_auc_score(np.repeat([0, 1], 300), np.r_[before[:, 1], after[:, 1]]) > 0.75


def test_a_sample_is_as_unusual_as_the_view_that_finds_it_most_unusual_says(X):
    views = (EnergyView(0.2), EnergyView(0.5, scaling="robust", clip=2.0, n_prototypes=3))
    scorer = make_scorer(None, views=views, calibration_fraction=0).fit(X)
    weights = scorer.energy_weights_[0]
    np.testing.assert_allclose(weights["coordinates.0.center"], X.mean(axis=0))
    np.testing.assert_allclose(weights["coordinates.1.center"], np.median(X, axis=0))
    potentials = scorer._modules(Precision())[0].potentials(torch.tensor(X)).numpy()
    low, middle, high = np.quantile(potentials, [0.25, 0.5, 0.75], axis=0)
    both = np.logaddexp(*((potentials - middle) / (high - low)).T)
    low, middle, high = np.quantile(both, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(scorer.transform(X)[:, 0], (both - middle) / (high - low), atol=1e-9)


@pytest.mark.parametrize("views", ["fine", "coarse"])
def test_a_name_is_a_tuple_of_one_name(X, views):
    plain, in_list = (make_scorer(views=given).fit(X) for given in (views, [views]))
    np.testing.assert_array_equal(plain.transform(X), in_list.transform(X))
    assert sorted(plain.energy_weights_[0]) == sorted(in_list.energy_weights_[0])
    assert not any(name.startswith("members.1") for name in plain.energy_weights_[0])


@pytest.mark.parametrize("views", ["fine", "coarse", ("fine", "coarse")], ids=str)
def test_every_view_tells_noise(views):
    table, clean = make_table(400), make_table(300, seed=1)
    scorer = make_scorer(None, views=views, max_epochs=20).fit(table)
    noisy = clean + clean.std(axis=0) * np.random.RandomState(2).normal(size=clean.shape)
    energies = scorer.transform(np.concatenate([clean, noisy]))[:, 0]
    assert roc_auc_score(np.repeat([0, 1], 300), energies) > 0.8


@pytest.mark.parametrize(("n_samples", "n_prototypes"), [(9, 0), (100, 10), (1300, 128)])
def test_automatic_prototypes_are_one_in_ten_training_samples(n_samples, n_prototypes):
    view, samples = EnergyView(0.5, n_prototypes="auto"), make_table(n_samples)
    scorer = make_scorer(None, views=view, max_epochs=1, calibration_fraction=0).fit(samples)
    prototypes = scorer.energy_weights_[0].get("members.0.prototypes", np.empty((0, 5)))
    assert prototypes.shape == (n_prototypes, 5)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("n_prototypes", 3),
        ("scaling", "robust"),
        ("clip", 1.0),
        ("noise", 0.7),
        ("noise_ratio", 1.0),
        ("lost_fraction", 0.5),
        ("loss", "robust"),
    ],
)
def test_every_parameter_of_a_view_has_an_effect(X, parameter, value):
    plain = make_scorer(views=EnergyView("auto")).fit(X)
    changed = make_scorer(views=EnergyView(**{"noise": "auto", parameter: value})).fit(X)
    assert not np.allclose(plain.transform(X), changed.transform(X))


def test_samples_between_clusters_are_told_from_samples_in_them():
    rng = np.random.RandomState(0)
    centers = 4.0 * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    samples = centers[rng.randint(4, size=400)] + 0.3 * rng.normal(size=(400, 2))
    scorer = make_scorer(None, max_epochs=30).fit(samples)
    inside = scorer.transform(centers[rng.randint(4, size=100)] + 0.3 * rng.normal(size=(100, 2)))
    between = scorer.transform(0.3 * rng.normal(size=(100, 2)))
    assert np.quantile(inside, 0.9) < np.quantile(between, 0.1)


@pytest.mark.parametrize("contamination", [0.05, 0.25, 0.5])
def test_contamination_is_the_fraction_of_training_samples_called_outliers(X, contamination):
    predictions = make_scorer(contamination=contamination).fit(X).predict(X)
    assert np.mean(predictions == -1) == pytest.approx(contamination)


@pytest.mark.parametrize("sizes", [(6,), (6, 5), (6, 5, 4)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_energy_gradient_is_the_derivative_of_transform(X, activation, sizes):
    modalities = {"left": [2, 0], "right": [4, 3]}
    scorer = make_scorer(
        modalities, remainder="drop", activation=activation, hidden_layer_sizes=sizes
    ).fit(X)
    samples, owner = X[:5] + 0.1, [0, None, 0, 1, 1]
    gradient = scorer.energy_gradient(samples)
    assert gradient.shape == samples.shape
    for column, modality in enumerate(owner):
        step = 1e-5 * X[:, column].std() * np.eye(5)[column]
        rise = scorer.transform(samples + step) - scorer.transform(samples - step)
        derivative = rise / (2 * step[column])
        if modality is None:
            assert not derivative.any()
            assert not gradient[:, column].any()
            continue
        other = 1 - modality
        assert not derivative[:, other].any()
        np.testing.assert_allclose(
            gradient[:, column], derivative[:, modality], rtol=1e-4, atol=1e-6 / X[:, column].std()
        )


def test_energy_gradient_blames_the_column_that_is_off(fitted, X):
    # not so far off that the slope leads to samples in which all columns are far from the middle
    sample = np.median(X, axis=0)[None]
    sample[0, 1] += 2 * X[:, 1].std()
    blame = np.abs(fitted.energy_gradient(sample) * X.std(0))[0]
    assert blame[1] > 1.5 * np.delete(blame, 1).max()


def test_reconstruction_is_in_the_units_of_the_columns(fitted, X):
    reconstruction = fitted.reconstruct(X)
    assert (np.abs(reconstruction - X).mean(0) < 0.5 * X.std(0)).all()


def test_reconstruction_error_does_not_depend_on_units():
    # powers of two, so that no rounding differs
    samples, unit = make_table(), 2.0 ** np.array([0, 3, -7, 20, 1])
    error = make_scorer().fit(samples).reconstruction_error(samples)
    assert error.shape == (200, 2)
    np.testing.assert_allclose(
        make_scorer().fit(samples * unit).reconstruction_error(samples * unit), error
    )


def test_reconstruct_leaves_columns_of_no_modality_zero(X):
    scorer = make_scorer({"left": [0, 1]}, remainder="drop").fit(X)
    reconstruction = scorer.reconstruct(X)
    assert not reconstruction[:, 2:].any()
    assert reconstruction[:, :2].all()


def test_training_lowers_the_loss(fitted):
    assert [len(curve) for curve in fitted.loss_curve_] == [20, 20]
    assert all(curve[-1] < curve[0] for curve in fitted.loss_curve_)
    assert fitted.n_iter_ == 20
    assert fitted.validation_loss_curve_ is None


def test_early_stopping_stops_and_keeps_the_best_epoch(X):
    stopped = make_scorer(
        early_stopping=True, validation_fraction=0.25, n_iter_no_change=2, max_epochs=200, tol=0.01
    ).fit(X)
    lengths = [len(curve) for curve in stopped.validation_loss_curve_]
    assert lengths == [len(curve) for curve in stopped.loss_curve_]
    assert stopped.n_iter_ == max(lengths) < 200
    for curve in stopped.validation_loss_curve_:
        assert len(curve) - 1 - curve.argmin() <= 2
    # off again: no trace of the earlier fit
    refitted = stopped.set_params(early_stopping=False, max_epochs=3).fit(X)
    assert refitted.validation_loss_curve_ is None
    assert refitted.n_iter_ == 3


def test_weights_steer_the_fit_and_zero_leaves_a_sample_out(X):
    weight = np.ones(200)
    weight[150:] = 0.0
    with_zeros, without = make_scorer(), make_scorer()
    with_zeros.fit(X, sample_weight=weight)
    without.fit(X[:150])
    np.testing.assert_array_equal(with_zeros.transform(X), without.transform(X))
    weight[:10] = 50.0
    assert not np.allclose(make_scorer().fit(X, None, weight).transform(X), without.transform(X))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [(8,), (8, 4)])
@pytest.mark.parametrize("views", [("fine", "coarse"), EnergyView(0.1)], ids=["both", "thesis"])
def test_a_sample_very_far_out_has_a_large_energy_and_never_nan(X, activation, sizes, views):
    scorer = make_scorer(
        activation=activation, hidden_layer_sizes=sizes, max_epochs=20, views=views
    ).fit(X)
    samples = X[:3].copy()
    samples[:, [0, 3]] = (X.mean(axis=0) + 8.0 * X.std(axis=0))[[0, 3]]
    nearer = scorer.transform(samples)
    for value in (1e6, 1e200, -1e300, np.finfo(float).max):
        samples[:, [0, 3]] = value
        if activation in ("sigmoid", "tanh"):
            assert (scorer.transform(samples) > nearer).all()
            assert (scorer.predict(samples) == -1).all()
        for method in METHODS:
            if method not in ("nearest_typical", "attribution"):  # see test_scorer_readouts.py
                assert not np.isnan(getattr(scorer, method)(samples)).any()


def test_clip_keeps_a_wild_value_from_drowning_everything_else(X):
    samples = X[:50].copy()
    samples[:, 0] = 1e9
    clipped, plain = (
        make_scorer(views=EnergyView(0.2, clip=clip), max_epochs=20).fit(X)
        for clip in (5.0, np.inf)
    )
    # linear in the logarithm, squared: (log 1e9)^2 is about 400
    assert (clipped.transform(samples)[:, 0] < 1e4).all()
    assert (plain.transform(samples)[:, 0] > 1e12).all()
    # and so do both of the views that there are by default
    assert (make_scorer(max_epochs=20).fit(X).transform(samples)[:, 0] < 1e4).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_energies_of_tensors_are_those_of_tables(X, activation):
    scorer = make_scorer(None, activation=activation).fit(X)
    energy = scorer.tensor_energy(Precision("cpu", torch.float32, torch.float32)).potential
    on_tensors = energy(torch.tensor(X, dtype=torch.float32))
    np.testing.assert_allclose(on_tensors.numpy(), scorer.transform(X)[:, 0], atol=1e-2)
    assert not energy(torch.full((1, 5), 3e38)).isnan().any()


# That the numbers repeat


def assert_same(actual, desired):
    # some processors round rows of a matrix product differently by where they stand in it
    np.testing.assert_allclose(actual, desired, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_sample_is_scored_the_same_in_any_company(fitted, method):
    samples = make_table(1100, seed=3)
    samples[::7, 1] += 50.0  # some take longer than others to find their way down
    score = getattr(fitted, method)
    together = score(samples)
    if method in ("nearest_typical", "attribution"):  # slow
        chosen = [1060, 7]
        assert_same(score(samples[chosen]), together[chosen])
        assert_same(score(samples[7:8]), together[7:8])
        return
    for n_samples, batch in ((30, 1), (30, 3), (192, 64)):
        parts = [score(samples[i : i + batch]) for i in range(0, n_samples, batch)]
        assert_same(np.concatenate(parts), together[:n_samples])
    order = np.random.RandomState(0).permutation(len(samples))
    assert_same(score(samples[order]), together[order])


def test_predictions_of_equal_samples_do_not_depend_on_their_dtype():
    """Scores in single precision differ from the threshold by rounding errors."""
    X = np.random.default_rng(3).integers(0, 2, size=(300, 4)).astype(np.float32)
    scorer = DAEEnergyScorer(max_epochs=5, contamination=0.05, random_state=3).fit(X)
    outliers = scorer.predict(X) == -1
    np.testing.assert_array_equal(outliers, scorer.predict(X.astype(float)) == -1)
    np.testing.assert_array_equal(outliers, scorer.decision_function(X) < 0)
    assert outliers.mean() <= 0.05


@pytest.mark.parametrize("method", METHODS)
def test_long_tables_are_read_in_blocks_and_float32_ones_as_they_are(fitted, method, monkeypatch):
    samples = make_table(70, seed=3)
    whole = getattr(fitted, method)(samples)
    monkeypatch.setattr(batches, "_BLOCK", dict.fromkeys(batches._BLOCK, 32))
    assert evaluation_block(torch.float64) == 32
    assert_same(getattr(fitted, method)(samples), whole)
    from_float32 = getattr(fitted, method)(samples.astype(np.float32))
    assert from_float32.dtype == whole.dtype
    scale = np.abs(whole).max()
    np.testing.assert_allclose(from_float32 / scale, whole / scale, atol=1e-3)


def test_many_modalities_sum_to_the_same_score_in_any_company():
    samples = np.random.RandomState(0).normal(size=(20, 20))
    scorer = make_scorer({f"m{i}": [i] for i in range(20)}, max_epochs=1).fit(samples)
    one_by_one = np.concatenate([scorer.score_samples(sample[None]) for sample in samples])
    assert_same(scorer.score_samples(samples), one_by_one)


def test_same_random_state_same_result(X):
    first, second, other = (
        make_scorer(random_state=seed).fit(X).transform(X) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, other)


def test_a_random_state_instance_moves_on(X):
    scorer = make_scorer(random_state=np.random.RandomState(0))
    first, second = scorer.fit(X).transform(X), scorer.fit(X).transform(X)
    assert not np.allclose(first, second)


@pytest.mark.parametrize("backend", [pytest.param("loky", marks=pytest.mark.slow), "threading"])
def test_parallel_fits_equal_the_serial_one(X, backend):
    serial = make_scorer(early_stopping=True).fit(X)
    with joblib.parallel_backend(backend):
        parallel = make_scorer(early_stopping=True, n_jobs=2).fit(X)
    np.testing.assert_array_equal(serial.transform(X), parallel.transform(X))
    np.testing.assert_array_equal(serial.loss_curve_, parallel.loss_curve_)


@pytest.mark.parametrize("backend", [pytest.param("loky", marks=pytest.mark.slow), "threading"])
def test_a_search_gives_the_same_result_in_parallel(X, backend):
    def scores(n_jobs):
        search = GridSearchCV(
            make_scorer(max_epochs=2),
            {"views": ["fine", EnergyView(0.2)], "activation": ["tanh", "relu"]},
            scoring=mean_score,
            cv=2,
            n_jobs=n_jobs,
        )
        with joblib.parallel_backend(backend):
            return search.fit(X).cv_results_["mean_test_score"]

    np.testing.assert_array_equal(scores(1), scores(2))


def mean_score(estimator, X, y=None):
    return estimator.score_samples(X).mean()


def test_torch_is_left_as_it_was(X):
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()
    make_scorer(early_stopping=True).fit(X).transform(X)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert torch.get_default_dtype() == dtype
    assert torch.is_grad_enabled() == grad


# Every kind of table


def test_single_precision_and_odd_memory_give_the_same_energies(fitted, X):
    expected = fitted.transform(X)
    np.testing.assert_allclose(fitted.transform(X.astype(np.float32)), expected, atol=1e-3)
    reversed_samples = np.ascontiguousarray(X[::-1])[::-1]
    assert reversed_samples.strides[0] < 0
    read_only = X.copy()
    read_only.flags.writeable = False
    for table in (reversed_samples, read_only, np.asfortranarray(X), X.tolist(), X.astype(object)):
        np.testing.assert_array_equal(fitted.transform(table), expected)
        refit = clone(fitted).fit(table)
        np.testing.assert_array_equal(refit.transform(X), expected)


def test_integers_are_numbers():
    X = np.random.RandomState(0).randint(0, 9, size=(50, 2))
    as_integers, as_floats = (make_scorer(None).fit(table) for table in (X, X.astype(float)))
    np.testing.assert_array_equal(as_integers.transform(X), as_floats.transform(X))


def make_pandas(X):
    return pd.DataFrame(X, columns=NAMES)


def make_polars(X):
    return pytest.importorskip("polars").DataFrame(X, schema=NAMES)


@pytest.mark.parametrize("make_frame", [make_pandas, make_polars])
@pytest.mark.parametrize(
    "modalities",
    ["prefix", {"left": NAMES[:3], "right": NAMES[3:]}, lambda name: name.split("__")[0]],
    ids=["prefix", "names", "callable"],
)
def test_frames_give_what_arrays_give(X, make_frame, modalities):
    frame = make_frame(X)
    scorer = make_scorer(modalities).fit(frame)
    assert scorer.modality_names_ == ["left", "right"]
    assert scorer.feature_names_in_.tolist() == NAMES
    plain = make_scorer({"left": [0, 1, 2], "right": [3, 4]}).fit(X)
    np.testing.assert_array_equal(scorer.transform(frame), plain.transform(X))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_output_is_a_frame_when_asked_for(X, library):
    pytest.importorskip(library)
    scorer = make_scorer().set_output(transform=library)
    energies = scorer.fit(X).transform(X)
    assert type(energies).__module__.startswith(library)
    assert list(energies.columns) == ["energy_left", "energy_right"]
    assert isinstance(scorer.score_samples(X), np.ndarray)


def test_energies_are_named_after_their_modalities(fitted):
    assert fitted.get_feature_names_out().tolist() == ["energy_left", "energy_right"]
    assert make_scorer(None).fit(make_table()).get_feature_names_out().tolist() == ["energy_all"]


def test_in_a_pipeline(X):
    pipeline = make_pipeline(StandardScaler(), make_scorer())
    assert pipeline.fit(X).score_samples(X).shape == (200,)
    assert pipeline.get_feature_names_out().tolist() == ["energy_left", "energy_right"]


# Persistence and representation


def test_pickle_is_small_and_scores_the_same(fitted, X):
    data = pickle.dumps(fitted)
    assert len(data) < 20_000
    assert b"torch" not in data
    np.testing.assert_array_equal(pickle.loads(data).transform(X), fitted.transform(X))


def test_skops_round_trip(fitted, X):
    skops = pytest.importorskip("skops.io")
    data = skops.dumps(fitted)
    unknown = skops.get_untrusted_types(data=data)
    assert unknown == [
        "sklearn_emma.energy.reservoir.Reservoir",
        "sklearn_emma.energy.scorer.DAEEnergyScorer",
    ]
    loaded = skops.loads(data, trusted=unknown)
    for score in ("transform", "predict", "p_values", "energy_gradient"):
        np.testing.assert_array_equal(getattr(loaded, score)(X), getattr(fitted, score)(X))


def test_skops_round_trip_in_mid_stream(X):
    skops = pytest.importorskip("skops.io")
    scorer = make_scorer(views=("fine", EnergyView(0.2))).partial_fit(X)
    data = skops.dumps(scorer)
    unknown = skops.get_untrusted_types(data=data)
    assert all(name.startswith("sklearn_emma.") for name in unknown)
    loaded = skops.loads(data, trusted=unknown)
    assert loaded.get_params() == scorer.get_params()
    loaded.partial_fit(X)
    np.testing.assert_array_equal(loaded.transform(X), scorer.partial_fit(X).transform(X))


def test_clone_is_unfitted_and_equal(fitted, X):
    copy = clone(fitted)
    assert not [name for name in vars(copy) if name.endswith("_")]
    np.testing.assert_array_equal(copy.fit(X).transform(X), fitted.transform(X))


def test_representations(fitted):
    assert repr(fitted).startswith("DAEEnergyScorer(")
    assert "DAEEnergyScorer" in fitted._repr_html_()


# Bad input


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        (
            make_table()[:1],
            ValueError,
            "Found array with 1 sample\\(s\\).*minimum of 2 is required",
        ),
        (np.empty((0, 5)), ValueError, "Found array with 0 sample\\(s\\)"),
        (np.empty((5, 0)), ValueError, "Found array with 0 feature\\(s\\)"),
        (make_table()[0], ValueError, "Expected 2D array, got 1D array instead"),
        (make_table()[None], ValueError, "Found array with dim 3.*DAEEnergyScorer"),
        (
            sparse.csr_array(make_table()),
            TypeError,
            "Sparse data was passed.*dense data is required",
        ),
        (make_table() + 1j, ValueError, "Complex data not supported"),
        (np.array([[1.0, {}]] * 9, object), TypeError, "argument must be .* string.* number"),
    ],
    ids=[
        "one sample",
        "no sample",
        "no column",
        "one dimension",
        "three dimensions",
        "sparse",
        "complex",
        "objects",
    ],
)
def test_tables_that_are_no_tables(table, error, message):
    with pytest.raises(error, match=message):
        make_scorer(None).fit(table)


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.inf, "Input X contains infinity or a value too large")],
)
@pytest.mark.parametrize("samples", [slice(None), slice(1)], ids=["whole column", "one cell"])
def test_values_that_are_no_numbers(fitted, X, value, message, samples):
    table = X.copy()
    table[samples, 2] = value
    with pytest.raises(ValueError, match=message):
        make_scorer().fit(table)
    for method in METHODS:
        with pytest.raises(ValueError, match=message):
            getattr(fitted, method)(table)


def test_text_columns_of_frames(X, fitted):
    frame = make_pandas(X).assign(right__b="quiet")
    scorer = make_scorer("prefix").fit(make_pandas(X))
    with pytest.raises(ValueError, match="could not convert string to float: 'quiet'"):
        scorer.transform(frame)


@pytest.mark.parametrize("value", [0.0, -7.25, 1e12])
def test_constant_columns_warn_by_position_or_name(X, value):
    table = X.copy()
    table[:, 3] = value
    with pytest.warns(
        UserWarning, match="Constant in the training samples.*column\\(s\\) 3\\."
    ) as seen:
        scorer = make_scorer().fit(table)
    assert seen[0].filename == __file__
    assert np.isfinite(scorer.transform(X)).all()
    # what varies in that modality is still told apart, and so is another value of the constant
    samples = np.tile(table.mean(axis=0), (3, 1))
    samples[1, 4] += 8.0 * X[:, 4].std()
    samples[2, 3] += 8.0
    typical, *others = scorer.transform(samples)[:, 1]
    assert min(others) > typical
    with pytest.warns(UserWarning, match="column\\(s\\) 'right__a'\\."):
        make_scorer().fit(make_pandas(table))


def test_a_table_of_constants_warns_and_still_tells_other_samples():
    table = np.tile([1.0, 2.0], (20, 1))
    with pytest.warns(UserWarning, match="column\\(s\\) 0, 1\\."):
        scorer = make_scorer(None, max_epochs=150).fit(table)
    typical, other = scorer.transform([[1.0, 2.0], [4.0, 2.0]])[:, 0]
    assert np.isfinite([typical, other]).all()
    assert typical < other


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.r_[-1.0, np.ones(199)], "(?i)negative.*sample_weight.*got -1"),
        (np.zeros(200), "(?i)sample weights must contain at least one non-zero number"),
        (np.ones(7), "sample_weight.shape == \\(7,\\), expected \\(200,\\)"),
        (np.ones((200, 2)), "(?i)sample weights must be 1D array or scalar"),
        (np.r_[np.nan, np.ones(199)], "Input sample_weight contains NaN"),
        (np.r_[np.inf, np.ones(199)], "Input sample_weight contains infinity"),
    ],
)
def test_weights_that_are_none(X, weight, message):
    with pytest.raises(ValueError, match=message):
        make_scorer().fit(X, sample_weight=weight)


def test_parameters_set_later_leave_a_fitted_scorer_alone(X):
    scorer = make_scorer().fit(X)
    before = scorer.transform(X)
    scorer.set_params(hidden_layer_sizes=(3, 3), activation="relu", modalities=None)
    np.testing.assert_array_equal(scorer.transform(X), before)


def test_layer_sizes_may_be_an_array(X):
    expected = make_scorer(hidden_layer_sizes=(8, 4)).fit(X).transform(X)
    scorer = make_scorer(hidden_layer_sizes=np.array([8, 4])).fit(X)
    np.testing.assert_array_equal(scorer.transform(X), expected)


def test_auto_contamination_always_finds_the_most_unusual_sample_in_a_hundred():
    samples = np.random.default_rng(0).uniform(size=(500, 2))  # no tails
    assert 0.01 <= (make_scorer(None, max_epochs=20).fit_predict(samples) == -1).mean() < 0.1


@pytest.mark.parametrize(
    ("n_samples", "params"),
    [
        (2, {"calibration_fraction": 0.3}),
        (2, {"calibration_fraction": 0.9}),
        (3, {"calibration_fraction": 0.5}),
        (10, {"calibration_fraction": 0.95}),
        (2, {"early_stopping": True}),
        (4, {"early_stopping": True, "calibration_fraction": 0.5}),
    ],
)
def test_too_few_samples_to_hold_any_out_are_fitted_or_explained(X, n_samples, params):
    scorer, message = make_scorer(**params), ""
    try:
        scorer.fit(X[:n_samples])
    except ValueError as error:
        message = str(error)
    explained = any(name in message for name in params)
    assert explained or np.isfinite(scorer.transform(X)).all()


@pytest.mark.parametrize("weight", [0.1, 1e-200])
def test_equal_weights_are_no_weights(X, weight):
    weighted = make_scorer().fit(X, sample_weight=np.full(200, weight)).transform(X)
    np.testing.assert_allclose(weighted, make_scorer().fit(X).transform(X), atol=1e-3)


@pytest.mark.parametrize("views", ["sharp", (), ("fine", "sharp"), ["fine", 0.1]], ids=str)
def test_views_must_be_known(X, views):
    message = "views must be 'fine' or 'coarse', an EnergyView, or a tuple of them, got"
    for method in ("fit", "partial_fit"):
        scorer = make_scorer(views=views)
        with pytest.raises(ValueError, match=message):
            getattr(scorer, method)(X)
        assert not hasattr(scorer, "n_features_in_")


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        ("modalities", [3, "suffix", 0.5]),
        ("remainder", [None, 1]),
        ("hidden_layer_sizes", ["64", None, 64]),
        ("activation", ["softmax", None, 1]),
        ("views", [None, 0.1, {"fine"}, EnergyView]),
        ("contamination", [0.0, 0.51, -0.1, "none", None]),
        ("calibration_fraction", [-0.1, 1.0, 1, np.nan, "auto", None]),
        ("learning_rate", [0.0, -1.0, np.inf, "adaptive"]),
        ("max_epochs", [0, -1, 2.5, "auto"]),
        ("batch_size", [0, -1, 2.5, "full", None]),
        ("early_stopping", ["yes", None, 2]),
        ("validation_fraction", [0.0, 1.0, -0.5, "auto"]),
        ("n_iter_no_change", [0, -1, 1.5]),
        ("tol", [-1e-3, "small"]),
        ("buffer_size", [1, 0, -5, 100.5, np.inf, None, "auto"]),
        ("n_jobs", [1.5, "all"]),
        ("device", [None, 0]),
        ("random_state", [-1, 1.5, "seed"]),
        ("verbose", ["yes", -1]),
    ],
)
def test_parameters_out_of_range_are_named(X, parameter, values):
    for value in values:
        message = f"The '{parameter}' parameter of DAEEnergyScorer must be .*Got "
        with pytest.raises(ValueError, match=message):
            make_scorer(**{parameter: value}).fit(X)
        with pytest.raises(ValueError, match=message):
            make_scorer(**{parameter: value}).partial_fit(X)


def test_every_parameter_has_a_constraint():
    assert set(DAEEnergyScorer._parameter_constraints) == set(DAEEnergyScorer().get_params())


@pytest.mark.parametrize("sizes", [(), (0,), (8, -1), (8.5,), [8, "4"]])
def test_layers_need_units(X, sizes):
    with pytest.raises(ValueError, match="hidden_layer_sizes must hold at least one positive"):
        make_scorer(hidden_layer_sizes=sizes).fit(X)


@pytest.mark.parametrize(
    ("modalities", "message"),
    [
        ({}, "There is no modality"),
        ({"left": [], "right": [3]}, "modality 'left' is empty"),
        ({"left": ["a"]}, "no column names that are strings"),
        ({"left": [0, 9]}, "out of range"),
        ({"left": [0, 1], "right": [1, 2, 3, 4]}, "column 1 is in two modalities"),
        ({"left": [0, 1]}, "3 column\\(s\\) belong to no modality"),
        ("prefix", "needs column names that are strings"),
    ],
)
def test_wrong_groups(X, modalities, message):
    with pytest.raises(ValueError, match=message):
        make_scorer(modalities).fit(X)


def test_unknown_column_of_a_frame(X):
    with pytest.raises(ValueError, match="unknown column.*'left__x'"):
        make_scorer({"left": ["left__x"]}).fit(make_pandas(X))


@pytest.mark.parametrize("device", ["cuda:99", "nonsense"])
def test_a_device_that_is_not_there(X, device):
    with pytest.raises(ValueError, match=f"device='{device}' is not available here.*'auto'"):
        make_scorer(device=device).fit(X)


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_cuda_asked_for_and_absent(X):
    with pytest.raises(ValueError, match="device='cuda' is not available here.*device='cpu'"):
        make_scorer(device="cuda").fit(X)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_fit_on_cuda_scores_on_the_cpu(X):
    on_gpu, on_cpu = (make_scorer(device=device).fit(X) for device in ("cuda", "cpu"))
    assert np.isfinite(on_gpu.transform(X)).all()
    assert on_gpu.loss_curve_[0][-1] == pytest.approx(on_cpu.loss_curve_[0][-1], rel=0.5)
    assert b"torch" not in pickle.dumps(on_gpu)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("learning_rate", [1e4, 1e30])
def test_an_absurd_learning_rate_is_divergence(X, activation, learning_rate):
    scorer = make_scorer(activation=activation, learning_rate=learning_rate, max_epochs=20)
    with pytest.raises(ValueError, match="Training diverged.*Lower learning_rate"):
        scorer.fit(X)
    assert not hasattr(scorer, "n_features_in_")


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_fit_leaves_the_earlier_one(X, monkeypatch, error):
    scorer = make_scorer().fit(make_pandas(X))
    expected = scorer.transform(make_pandas(X))
    loss, calls = Denoising.loss, []

    def interrupt(self, *batch):
        calls.append(None)
        if len(calls) > 7:
            raise error
        return loss(self, *batch)

    monkeypatch.setattr(Denoising, "loss", interrupt)
    with pytest.raises(error):
        scorer.set_params(modalities=None).fit(X[:, :3])
    assert len(calls) == 8
    np.testing.assert_array_equal(scorer.transform(make_pandas(X)), expected)
    assert scorer.feature_names_in_.tolist() == NAMES


@pytest.mark.parametrize("method", METHODS)
def test_a_scorer_that_is_not_fitted_says_so(X, method):
    with pytest.raises(NotFittedError, match="This DAEEnergyScorer instance is not fitted yet"):
        getattr(make_scorer(), method)(X)


@pytest.mark.parametrize("method", METHODS)
def test_width_or_names_that_differ_from_fit(X, method):
    call = getattr(make_scorer().fit(X), method)
    with pytest.raises(ValueError, match="X has 4 features, but DAEEnergyScorer is expecting 5"):
        call(X[:, :4])
    frame = make_pandas(X)
    call = getattr(make_scorer().fit(frame), method)
    with pytest.raises(ValueError, match="(?s)feature names should match.*unseen at fit.*left__x"):
        call(frame.rename(columns={"left__a": "left__x"}))
    with pytest.raises(ValueError, match="must be in the same order"):
        call(frame[NAMES[::-1]])
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        call(X)


def test_no_warning_for_ordinary_tables(X):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_scorer(early_stopping=True, verbose=False).fit(X).predict(X[:1])


@pytest.mark.parametrize("light", [1e-12, 1e-3])
def test_samples_of_little_weight_are_unusual(light):
    rng = np.random.default_rng(0)
    X = np.r_[rng.normal(size=(200, 2)), rng.normal(size=(200, 2)) + 8.0]
    weight = np.r_[np.ones(200), np.full(200, light)]
    scorer = DAEEnergyScorer(max_epochs=30, random_state=0).fit(X, sample_weight=weight)
    assert (scorer.predict(X[200:]) == -1).all()
    assert (scorer.predict(X[:200]) == -1).mean() < 0.15


def test_early_stopping_does_not_depend_on_samples_of_little_weight():
    rng = np.random.default_rng(0)
    X = np.r_[rng.normal(size=(400, 2)), 50.0 * rng.normal(size=(100, 2))]
    weight = np.r_[np.ones(400), np.full(100, 1e-9)]
    scorer = DAEEnergyScorer(early_stopping=True, max_epochs=20, random_state=0)
    light = clone(scorer).fit(X, sample_weight=weight)
    (curve,) = light.validation_loss_curve_
    (training,) = light.loss_curve_
    assert curve[-1] < 2.0 * training[-1]


def test_weights_are_like_repetitions():
    rng = np.random.default_rng(0)
    X = np.r_[rng.normal(size=(200, 2)), rng.normal(size=(200, 2)) + 8.0]
    times = np.r_[np.full(200, 4), np.ones(200, dtype=int)]
    scorer = DAEEnergyScorer(max_epochs=30, random_state=0)
    weighted = clone(scorer).fit(X, sample_weight=times.astype(float))
    repeated = clone(scorer).fit(np.repeat(X, times, axis=0))
    light = np.s_[200:]
    for fitted in (weighted, repeated):
        assert np.median(fitted.score_samples(X[light])) < np.median(fitted.score_samples(X[:200]))
    found = spearmanr(weighted.score_samples(X), repeated.score_samples(X)).statistic
    assert found > 0.85
