"""EMMAClassifier inside scikit-learn: pipelines, searches, backends, persistence, display."""

import inspect
import pickle
import re

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_emma import DAEEnergyScorer, EMMAClassifier
from sklearn_emma.corruption import Missing, Mixture, Noise
from sklearn_emma.datasets import make_multimodal_classification

GRID = {"coldness": [0.1, 1.0], "lambda_energy": [0.0, 0.1], "lambda_capacity": [0.0, 0.1]}


def results_of(search):
    return {key: values for key, values in search.cv_results_.items() if not key.endswith("_time")}


def assert_same_search(a, b, X):
    for key, values in results_of(a).items():
        np.testing.assert_array_equal(results_of(b)[key], values, err_msg=key)
    np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))


# --- transform ---


def test_transform_gives_the_gated_columns(fitted, table):
    X = table[0]
    gated = fitted.transform(X)
    standard = (X.to_numpy() - fitted.mean_) / fitted.scale_
    np.testing.assert_allclose(gated, standard * fitted.attention(X).repeat(3, axis=1))
    assert fitted.get_feature_names_out().tolist() == list(X)


def test_transform_keeps_the_order_of_the_columns(table, quick):
    X, y = table
    mixed = {"b": [7, 0], "a": [5, 1, 2]}
    classifier = quick(modalities=mixed, remainder="drop").fit(X, y)
    assert classifier.get_feature_names_out().tolist() == [list(X)[i] for i in (0, 1, 2, 5, 7)]
    standard = (X.to_numpy() - classifier.mean_) / classifier.scale_
    gate = classifier.attention(X)[:, [0, 1, 1, 1, 0]]
    np.testing.assert_allclose(classifier.transform(X), (standard[:, [0, 1, 2, 5, 7]]) * gate)


def test_names_of_columns_without_names(table, quick):
    X, y = table
    classifier = quick(modalities={"a": [0, 1], "b": [3]}, remainder="drop").fit(X.to_numpy(), y)
    assert classifier.get_feature_names_out().tolist() == ["x0", "x1", "x3"]
    with pytest.raises(ValueError, match="input_features should have length equal"):
        classifier.get_feature_names_out(["only one"])


def test_transform_gives_frames_when_asked(table, quick):
    X, y = table
    classifier = quick().fit(X, y).set_output(transform="pandas")
    frame = classifier.transform(X)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame) == list(X)
    pd.testing.assert_index_equal(frame.index, X.index)
    polars = pytest.importorskip("polars")
    frame = classifier.set_output(transform="polars").transform(X)
    assert isinstance(frame, polars.DataFrame)
    assert frame.columns == list(X)


# --- pipelines ---


def test_behind_a_column_transformer_that_writes_prefixes(quick):
    X, y = make_multimodal_classification(
        200, n_modalities=2, n_features=3, random_state=0, return_X_y=True
    )
    raw = X.set_axis(list("abcdef"), axis=1)
    prepare = ColumnTransformer(
        [
            ("radar", StandardScaler(), list("abc")),
            ("sonar", make_pipeline(SimpleImputer(), StandardScaler()), list("def")),
        ],
        verbose_feature_names_out=True,
    ).set_output(transform="pandas")
    pipeline = make_pipeline(prepare, quick(modalities="prefix")).fit(raw, y)
    classifier = pipeline[-1]
    assert classifier.modality_names_ == ["radar", "sonar"]
    assert pipeline.score(raw, y) > 0.85
    names = pipeline[:-1].get_feature_names_out()
    assert classifier.get_feature_names_out().tolist() == names.tolist()
    broken = raw.assign(a=9.0, b=-9.0, c=9.0)
    assert (pipeline[-1].attention(pipeline[:-1].transform(broken))[:, 0] < 0.2).all()


def test_as_a_transformer_before_another_classifier(wide, quick, add_noise):
    X, y, X_test, y_test = wide
    pipeline = Pipeline(
        [("gate", quick(max_epochs=20)), ("classify", LogisticRegression())]
    ).set_output(transform="pandas")
    pipeline.fit(X, y)
    assert pipeline.score(X_test, y_test) > 0.93
    assert pipeline[-1].feature_names_in_.tolist() == list(X)
    broken = add_noise(X_test, "modality0", 8)
    alone = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    assert pipeline.score(broken, y_test) > alone.score(broken, y_test) + 0.05


# --- meta-estimators ---


def test_tuned_threshold(quick):
    X, y = make_multimodal_classification(
        300,
        n_modalities=2,
        n_features=2,
        separation=1.0,
        weights=[0.85, 0.15],
        random_state=0,
        return_X_y=True,
    )
    plain = quick(modalities="prefix").fit(X, y)
    tuned = TunedThresholdClassifierCV(clone(plain), scoring="f1", cv=3).fit(X, y)
    assert tuned.best_threshold_ != 0.5
    assert f1_score(y, tuned.predict(X)) > f1_score(y, plain.predict(X)) + 0.05
    np.testing.assert_array_equal(tuned.predict_proba(X), plain.predict_proba(X))


def test_calibration(table, quick):
    X, y = table
    calibrated = CalibratedClassifierCV(quick(), cv=2).fit(X, y)
    assert calibrated.score(X, y) > 0.85
    np.testing.assert_allclose(calibrated.predict_proba(X).sum(axis=1), 1.0)


def test_cross_validation(table, quick):
    X, y = table
    scores = cross_val_score(quick(max_epochs=10), X, y, scoring="f1", cv=3)
    assert scores.shape == (3,)
    assert scores.mean() > 0.8
    labels = np.where(y == 1, "yes", "no")
    f1 = make_scorer(f1_score, pos_label="yes")
    np.testing.assert_array_equal(
        cross_val_score(quick(max_epochs=10), X, labels, scoring=f1, cv=3), scores
    )
    probabilities = cross_val_predict(quick(), X, y, cv=2, method="predict_proba")
    assert probabilities.shape == (len(X), 2)
    logarithms = cross_val_predict(quick(), X, y, cv=2, method="predict_log_proba")
    np.testing.assert_allclose(logarithms, np.log(probabilities))


@pytest.fixture(scope="module")
def serial(table, quick):
    """A search over the gate's parameters, one fit after the other."""
    X, y = table
    return GridSearchCV(quick(max_epochs=2), GRID, scoring="neg_log_loss", cv=2).fit(X, y)


def test_search_over_the_gates_parameters(serial, table):
    assert set(serial.best_params_) == set(GRID)
    scores = serial.cv_results_["mean_test_score"]
    assert len(np.unique(scores)) == len(scores)  # every parameter makes a difference
    by_f1 = GridSearchCV(serial.estimator, {"coldness": [0.1, 1.0]}, scoring="f1", cv=2)
    assert by_f1.fit(*table).best_score_ > 0.6


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_search_gives_the_same_in_parallel(serial, table, backend):
    X, y = table
    n_threads, state = torch.get_num_threads(), torch.get_rng_state()
    with joblib.parallel_config(backend, n_jobs=2):
        parallel = clone(serial).fit(X, y)
    assert_same_search(serial, parallel, X)
    assert torch.get_num_threads() == n_threads
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.slow
# what the event loop of dask leaves behind is not ours
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_search_gives_the_same_on_dask(serial, table):
    distributed = pytest.importorskip("distributed")
    X, y = table
    with (
        distributed.Client(
            processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None
        ),
        joblib.parallel_config("dask"),
    ):
        parallel = clone(serial).fit(X, y)
    assert_same_search(serial, parallel, X)


def test_energies_fitted_in_processes_are_the_same(fitted, table, quick):
    X, y = table
    with joblib.parallel_config("loky"):
        parallel = quick(n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(parallel.predict_proba(X), fitted.predict_proba(X))


# --- metadata routing ---


def test_sample_weight_is_routed(table, quick):
    X, y = table
    weight = np.random.default_rng(0).random(len(X)) + 0.1
    expected = quick().fit(X, y, sample_weight=weight).predict_proba(X)
    with sklearn.config_context(enable_metadata_routing=True):
        classifier = quick().set_fit_request(sample_weight=True)
        classifier.set_score_request(sample_weight=True)
        direct = clone(classifier).fit(X, y, sample_weight=weight)
        pipeline = make_pipeline("passthrough", clone(classifier))
        pipeline.fit(X, y, sample_weight=weight)
        search = GridSearchCV(classifier, {"coldness": [classifier.coldness]}, cv=2)
        search.fit(X, y, sample_weight=weight)
        score = search.score(X, y, sample_weight=weight)
    for fitted in (direct, pipeline, search):
        np.testing.assert_array_equal(fitted.predict_proba(X), expected)
    assert score == pytest.approx(direct.score(X, y, sample_weight=weight))


def test_weights_that_nobody_asked_for_are_refused(table, quick):
    X, y = table
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(quick(), {"coldness": [1.0]}, cv=2)
        with pytest.raises(ValueError, match="sample_weight.* are passed but are not explicitly"):
            search.fit(X, y, sample_weight=np.ones(len(X)))


# --- copies and persistence ---


def test_clones_have_the_parameters_and_nothing_else(fitted):
    copy = clone(fitted)
    assert not [name for name in vars(copy) if name.endswith("_")]
    assert copy.get_params()["energy"] is not fitted.energy
    assert repr(copy) == repr(fitted)
    nested = clone(EMMAClassifier(corruption=Mixture([Noise(0.5), Missing()])))
    assert nested.get_params()["energy"] is None


def test_nested_parameters_can_be_searched(table, quick):
    X, y = table
    corruption = Noise(0.5)
    grid = {"energy__views": ["fine", "coarse"], "corruption__sigma": [0.1, 2.0]}
    search = GridSearchCV(quick(corruption=corruption), grid, scoring="neg_log_loss", cv=2)
    assert len(set(search.fit(X, y).cv_results_["mean_test_score"])) == 4


def test_pickles_predict_the_same(fitted, table):
    X = table[0]
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict_proba(X), fitted.predict_proba(X))
    np.testing.assert_array_equal(copy.energies(X), fitted.energies(X))


def test_pickle_of_two_modalities_of_four_columns_is_small():
    X, y = make_multimodal_classification(
        64, n_modalities=2, n_features=4, random_state=0, return_X_y=True
    )
    classifier = EMMAClassifier("prefix", random_state=0).fit(X, y)
    assert classifier.n_iter_ == 50
    assert len(pickle.dumps(classifier)) < 300_000  # four networks


@pytest.mark.parametrize("params", [{}, {"corruption": Mixture([Noise(0.5), Missing()])}])
def test_skops_round_trip(table, quick, params):
    skops = pytest.importorskip("skops.io")
    X, y = table
    classifier = quick(**params).fit(X, y)
    dumped = skops.dumps(classifier)
    untrusted = skops.get_untrusted_types(data=dumped)
    assert all(name.startswith("sklearn_emma.") for name in untrusted)
    assert set(untrusted) >= {"sklearn_emma.classifier.EMMAClassifier"}
    assert len(untrusted) <= 2 + 3 * bool(params)
    loaded = skops.loads(dumped, trusted=untrusted)
    np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))
    assert loaded.modality_names_ == classifier.modality_names_
    loaded.set_params(max_epochs=1, warm_start=True).fit(X, y)


# --- display ---


def test_html_representation(fitted, quick):
    for classifier in (quick(), fitted):
        html = classifier._repr_html_()
        assert "EMMAClassifier" in html
        assert "DAEEnergyScorer" in html
    assert "EMMAClassifier(coldness=2.0)" in repr(EMMAClassifier(coldness=2.0))


@pytest.mark.parametrize(
    "method",
    [
        "predict",
        "predict_proba",
        "energies",
        "importance",
        "attention",
        "total_energy",
        "modal_energy",
        "energy_threshold",
        "transform",
    ],
)
def test_unfitted_classifiers_say_so(table, quick, method):
    with pytest.raises(NotFittedError, match="This EMMAClassifier instance is not fitted yet"):
        getattr(quick(), method)(table[0])


def test_unfitted_classifiers_have_no_names(quick):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        quick().get_feature_names_out()


def test_tags(quick):
    tags = quick().__sklearn_tags__()
    assert tags.input_tags.allow_nan
    assert not tags.input_tags.sparse
    assert tags.estimator_type == "classifier"
    assert tags.target_tags.required
    assert isinstance(quick().energy, DAEEnergyScorer)


def test_defaults_are_documented_in_order():
    parameters = list(inspect.signature(EMMAClassifier).parameters)
    section = EMMAClassifier.__doc__.split("Attributes\n")[0]
    documented = re.findall(r"^    (\w+) : ", section, flags=re.MULTILINE)
    assert documented == parameters
