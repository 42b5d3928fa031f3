"""EMMAClassifierCV finds what GridSearchCV over EMMAClassifier finds."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from joblib import parallel_backend
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import FitFailedWarning, NotFittedError, UnsetMetadataPassedError
from sklearn.metrics import accuracy_score, make_scorer, recall_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    LeaveOneGroupOut,
    ParameterSampler,
    StratifiedKFold,
)
from sklearn.utils.fixes import parse_version
from torch import nn

from sklearn_emma import EMMAClassifier, EMMAClassifierCV
from sklearn_emma.engine import batches
from sklearn_emma.gate.grid import StackedObjective


class Distance(BaseEstimator):
    """A cheap energy: the distance to the center. It records what it was fitted on."""

    seen = []

    def fit(self, X, y=None):
        self.seen.append(np.asarray(X))
        self.center_ = X.mean(axis=0)
        return self

    def score_samples(self, X):
        return -np.square(X - self.center_).sum(axis=1)


QUICK = {
    "modalities": "prefix",
    "energy": Distance(),
    "cross_modal": False,
    "hidden_layer_sizes": (8,),
    "pretrain_epochs": 2,
    "l2_regularization": 1.0,
    "periodic_features": False,
    "max_epochs": 3,
    "learning_rate": 0.01,
    "random_state": 0,
}
GRID = {"coldness": [0.01, 0.3, 1.0], "lambda_energy": [0.0, 0.1]}
FAILED = "ignore::sklearn.exceptions.FitFailedWarning"
NOT_FINITE = "ignore:One or more of the test scores are non-finite"


def search(**params):
    return EMMAClassifierCV(**QUICK | {"param_grid": GRID, "cv": 2} | params)


def plain_search(param_grid=GRID, cv=2, scoring=None, refit=True, n_jobs=None, **params):
    """What EMMAClassifierCV is to agree with."""
    estimator = EMMAClassifier(**QUICK | params)
    return GridSearchCV(estimator, param_grid, cv=cv, scoring=scoring, refit=refit, n_jobs=n_jobs)


def log_likelihood(estimator, X, y):
    """Minus the cross entropy, which shows the smallest difference of probabilities."""
    proba = estimator.predict_proba(X)
    samples = np.arange(len(y))
    return np.log(proba[samples, np.searchsorted(estimator.classes_, y)]).mean()


def assert_same_results(found, expected):
    """The same settings, scores and ranks, of every fold and under the same names."""
    found, expected = found.cv_results_, expected.cv_results_
    assert list(found) == list(expected)
    assert found["params"] == expected["params"]
    for name, values in expected.items():
        if name.endswith("_score"):
            np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-4)
        if name.startswith("param_"):
            assert np.ma.allequal(found[name], values, fill_value=False)


@pytest.fixture(scope="module")
def found(table):
    return search(scoring=log_likelihood).fit(*table)


@pytest.fixture(scope="module")
def expected(table):
    return plain_search(scoring=log_likelihood).fit(*table)


# --- agreement with GridSearchCV ---


def test_results_are_those_of_grid_search(found, expected, table):
    assert_same_results(found, expected)
    assert found.best_params_ == expected.best_params_
    assert found.best_index_ == expected.best_index_
    assert found.best_score_ == pytest.approx(expected.best_score_, abs=1e-4)
    assert found.n_splits_ == expected.n_splits_ == 2
    assert found.multimetric_ is expected.multimetric_ is False
    X, y = table
    np.testing.assert_allclose(found.predict_proba(X), expected.predict_proba(X), atol=1e-4)
    np.testing.assert_array_equal(found.predict(X), expected.predict(X))
    assert found.score(X, y) == pytest.approx(expected.score(X, y), abs=1e-4)
    # the test would say nothing if settings did not matter
    assert np.ptp(found.cv_results_["mean_test_score"]) > 1e-3


def test_weights_and_gaps_count_as_in_grid_search(table):
    X, y = table
    X = X.copy()
    X.iloc[::7, :3] = np.nan
    X.iloc[3::11, 4] = np.nan
    weight = np.random.RandomState(0).randint(0, 4, len(y)).astype(float)
    found = search(param_grid={"coldness": [0.1, 1.0]}).fit(X, y, sample_weight=weight)
    expected = plain_search({"coldness": [0.1, 1.0]}).fit(X, y, sample_weight=weight)
    assert_same_results(found, expected)
    np.testing.assert_allclose(found.predict_proba(X), expected.predict_proba(X), atol=1e-4)


def test_weights_are_routed_as_in_grid_search(table):
    X, y = table
    weight = np.random.RandomState(0).rand(len(y))
    grid = {"coldness": [0.1, 1.0]}
    with config_context(enable_metadata_routing=True):
        found = search(param_grid=grid, refit=False).fit(X, y, sample_weight=weight)
        plain = plain_search(grid, refit=False)
        plain.estimator.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        assert_same_results(found, plain.fit(X, y, sample_weight=weight))


def test_groups_are_split_as_in_grid_search(table):
    X, y = table
    groups = np.arange(len(y)) % 3
    grid = {"coldness": [0.1, 1.0]}
    found = search(param_grid=grid, cv=GroupKFold(3), refit=False).fit(X, y, groups=groups)
    expected = plain_search(grid, cv=GroupKFold(3), refit=False).fit(X, y, groups=groups)
    assert_same_results(found, expected)
    with pytest.raises(ValueError, match="'groups' parameter"):
        search(cv=LeaveOneGroupOut()).fit(X, y)


def test_settings_may_be_sampled(table):
    space = {"coldness": np.logspace(-3, 0, 9), "lambda_capacity": [0.0, 0.01]}
    sampled = list(ParameterSampler(space, 3, random_state=0))
    found = search(param_grid=sampled, refit=False, scoring=log_likelihood).fit(*table)
    assert [dict(setting) for setting in found.cv_results_["params"]] == sampled
    lists = [{name: [value] for name, value in setting.items()} for setting in sampled]
    assert_same_results(found, plain_search(lists, refit=False, scoring=log_likelihood).fit(*table))
    again = search(
        param_grid=ParameterSampler(space, 3, random_state=0), refit=False, scoring=log_likelihood
    )
    assert_same_results(again.fit(*table), found)


@pytest.mark.parametrize(
    "scoring",
    [
        "f1_macro",
        make_scorer(lambda y, p: np.mean(y == p)),
        log_likelihood,
        ["accuracy", "f1_macro"],
    ],
    ids=["name", "scorer", "function", "list"],
)
def test_scores_are_those_of_grid_search(table, scoring):
    grid = {"coldness": [0.1, 1.0]}
    refit = not isinstance(scoring, list)
    found = search(param_grid=grid, scoring=scoring, refit=refit).fit(*table)
    expected = plain_search(grid, scoring=scoring, refit=refit).fit(*table)
    assert_same_results(found, expected)
    if refit:
        assert found.score(*table) == pytest.approx(expected.score(*table), abs=1e-4)


def test_one_of_several_scores_decides(table):
    scoring = {"sure": log_likelihood, "unsure": lambda *args: -log_likelihood(*args)}
    grid = {"coldness": [0.1, 1.0]}
    found = search(param_grid=grid, scoring=scoring, refit="unsure").fit(*table)
    assert found.multimetric_
    assert found.best_index_ == found.cv_results_["mean_test_unsure"].argmax()
    assert found.best_index_ != found.cv_results_["mean_test_sure"].argmax()
    assert found.score(*table) == pytest.approx(-log_likelihood(found, *table))


def test_a_function_may_choose(table):
    def last(results):
        return len(results["params"]) - 1

    found = search(param_grid={"coldness": [0.1, 1.0]}, refit=last).fit(*table)
    assert found.best_params_ == {"coldness": 1.0}
    assert found.coldness_ == 1.0
    assert not hasattr(found, "best_score_")
    assert isinstance(found.score(*table), float)
    several = search(param_grid={"coldness": [0.1]}, scoring=["accuracy", "f1"], refit=lambda _: 0)
    with pytest.raises(ValueError, match="several scores.*does not name one"):
        several.fit(*table).score(*table)


@pytest.mark.parametrize("limit", [1, 2**16])
def test_chunks_of_any_size_give_the_same(found, table, monkeypatch, limit):
    monkeypatch.setitem(batches._STEP_NUMBERS, "cpu", limit)
    assert_same_results(search(scoring=log_likelihood, refit=False).fit(*table), found)


def test_folds_may_train_at_the_same_time(found, table):
    with parallel_backend("threading"):
        again = search(scoring=log_likelihood, n_jobs=2, refit=False).fit(*table)
    assert_same_results(again, found)


# --- energies ---


def test_the_energies_of_a_fold_are_learned_once_and_from_its_training_samples_only(table):
    X, y = table
    Distance.seen.clear()
    folds = list(StratifiedKFold(3).split(X, y))
    found = search(cv=folds).fit(X, y)
    assert len(Distance.seen) == 3 * (len(folds) + 1)
    for i, (samples, _) in enumerate([*folds, (np.arange(len(y)), None)]):
        part = X.iloc[samples]
        standardized = ((part - part.mean()) / part.std(ddof=0)).to_numpy()
        seen = np.hstack(Distance.seen[3 * i : 3 * i + 3])
        np.testing.assert_allclose(seen, standardized, atol=1e-6)
    assert set(found.energy_scorers_) == {"modality0", "modality1", "modality2"}


# --- fits that fail ---


@pytest.mark.filterwarnings(FAILED, NOT_FINITE)
def test_a_setting_that_diverges_has_no_score_and_the_others_survive(table):
    grid = {"lambda_energy": [0.0, 1e39, 0.1]}
    found = search(param_grid=grid, scoring=log_likelihood).fit(*table)
    expected = plain_search(grid, scoring=log_likelihood).fit(*table)
    assert_same_results(found, expected)
    assert np.isnan(found.cv_results_["mean_test_score"]).tolist() == [False, True, False]
    assert found.best_params_ == expected.best_params_


def test_a_setting_that_diverges_is_warned_of(table):
    grid = {"lambda_energy": [0.0, 1e39]}
    with (
        pytest.warns(UserWarning, match="non-finite"),
        pytest.warns(FitFailedWarning, match="Training diverged"),
    ):
        search(param_grid=grid, refit=False).fit(*table)


def test_when_all_diverge_the_error_says_why(table):
    with pytest.raises(ValueError, match="Training diverged.*Lower learning_rate"):
        search(param_grid={"lambda_energy": [1e39, 1e38]}).fit(*table)


@pytest.mark.filterwarnings(FAILED, NOT_FINITE)
def test_a_fold_of_one_class_has_no_score_as_in_grid_search(table):
    X, y = table
    one_class = np.flatnonzero(y == y[0])
    samples = np.arange(len(y))
    cv = [(one_class, samples[:20]), (samples[20:], samples[:20])]
    grid = {"coldness": [0.1, 1.0]}
    found = search(param_grid=grid, cv=cv).fit(X, y)
    assert_same_results(found, plain_search(grid, cv=cv).fit(X, y))
    assert np.isnan(found.cv_results_["split0_test_score"]).all()
    assert np.isfinite(found.cv_results_["split1_test_score"]).all()


# --- as a scikit-learn estimator ---


def test_without_refit_there_is_nothing_to_predict_with(table):
    found = search(param_grid={"coldness": [0.1, 1.0]}, refit=False).fit(*table)
    assert set(found.best_params_) == {"coldness"}
    assert not hasattr(found, "best_estimator_")
    for method in ("predict", "predict_proba", "attention", "energies", "transform"):
        with pytest.raises(NotFittedError, match="refit=False.*best_params_"):
            getattr(found, method)(table[0])
    for method in ("score", "loss_gradient"):
        with pytest.raises(NotFittedError, match="refit=False"):
            getattr(found, method)(*table)
    with pytest.raises(NotFittedError, match="refit=False"):
        found.get_feature_names_out()
    with pytest.raises(NotFittedError, match="not fitted yet"):
        clone(found).predict(table[0])


def test_the_best_classifier_is_fitted_with_all_samples(found, table):
    alone = EMMAClassifier(**QUICK | found.best_params_).fit(*table)
    np.testing.assert_array_equal(found.predict_proba(table[0]), alone.predict_proba(table[0]))
    assert type(found.best_estimator_) is EMMAClassifier
    assert found.coldness_ == found.best_params_["coldness"]
    assert set(vars(alone)) - set(vars(found)) == {"warm_start", "adversarial"}
    assert found.refit_time_ > 0


def test_parameters_are_left_alone(found):
    fresh = search(scoring=log_likelihood).get_params(deep=False)
    for name, value in found.get_params(deep=False).items():
        if name != "energy":
            assert value == fresh[name]
    twin = clone(found)
    assert not hasattr(twin, "cv_results_")
    assert twin.get_params()["param_grid"] == GRID


def test_a_pickle_predicts_the_same(found, table):
    twin = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(twin.predict_proba(table[0]), found.predict_proba(table[0]))
    assert twin.best_params_ == found.best_params_


def test_one_seed_is_drawn_for_all_fits(table):
    grid = {"coldness": [0.1, 1.0]}
    seed = int(np.random.RandomState(3).randint(2**31 - 1))
    drawn = search(param_grid=grid, random_state=np.random.RandomState(3), scoring=log_likelihood)
    fixed = search(param_grid=grid, random_state=seed, scoring=log_likelihood)
    assert_same_results(drawn.fit(*table), fixed.fit(*table))
    X = table[0]
    np.testing.assert_array_equal(drawn.predict_proba(X), fixed.predict_proba(X))


def test_an_interrupt_leaves_all_as_it_was(found, table, monkeypatch):
    twin = pickle.loads(pickle.dumps(found))
    before = dict(vars(twin))

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(StackedObjective, "backward", interrupt)
    with pytest.raises(KeyboardInterrupt):
        twin.fit(*table)
    assert vars(twin) == before


def test_a_second_fit_forgets_the_first(table):
    found = search(param_grid={"coldness": [0.1]}).fit(*table)
    found.set_params(refit=False).fit(*table)
    assert not hasattr(found, "best_estimator_")
    assert not hasattr(found, "network_weights_")


# --- mistakes ---


@pytest.mark.parametrize(
    ("grid", "error", "match"),
    [
        ({"learning_rate": [0.1]}, ValueError, "GridSearchCV over EMMAClassifier"),
        ({"coldness": [0.1, -1]}, ValueError, "not negative"),
        ("coldness", TypeError, "dict of lists"),
    ],
)
def test_grids_that_are_not_valid(table, grid, error, match):
    with pytest.raises(error, match=match):
        search(param_grid=grid).fit(*table)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"cv": 1}, "n_splits"),
        ({"scoring": "speed"}, "speed"),
        ({"scoring": ["accuracy", "f1_macro"], "refit": True}, "refit"),
        ({"refit": 3}, "refit"),
        ({"hidden_layer_sizes": ()}, "hidden_layer_sizes"),
        ({"modalities": {"a": [99]}}, "99|out of bounds"),
        ({"max_epochs": 0}, "max_epochs"),
    ],
)
def test_parameters_that_are_not_valid(table, params, match):
    with pytest.raises(ValueError, match=match):
        search(**params).fit(*table)


@pytest.mark.parametrize(("cv", "match"), [([], "gives no split"), (GroupKFold, "is a class")])
def test_splitters_that_do_not_split(table, cv, match):
    with pytest.raises((TypeError, ValueError), match=match):
        search(cv=cv).fit(*table)


# --- scorers ---


@pytest.mark.parametrize(
    "scoring",
    [
        make_scorer(recall_score, average=None),
        lambda *_: [1.0, 2.0],
        lambda *_: None,
        lambda *_: {},
    ],
)
def test_a_score_is_a_single_number(table, scoring):
    with pytest.raises(ValueError, match="scoring must return a single number"):
        search(param_grid={"coldness": [0.1]}, scoring=scoring).fit(*table)


def test_several_scorers_that_fail_have_scores_of_nan(table):
    def bad(estimator, X, y):
        raise RuntimeError("none")

    params = {"scoring": {"a": bad, "b": bad}, "refit": "a", "param_grid": {"coldness": [0.1, 1.0]}}
    with pytest.warns(UserWarning, match=r"Scoring failed|non-finite"):
        found = search(**params).fit(*table)
    for name in "ab":
        assert np.isnan(found.cv_results_[f"mean_test_{name}"]).all()


@pytest.mark.parametrize("score", [np.array([0.5]), torch.tensor(0.5), np.float32(0.5)])
def test_scores_may_be_numbers_of_numpy_and_torch(table, score):
    found = search(param_grid={"coldness": [0.1]}, scoring=lambda *_: score).fit(*table)
    assert found.best_score_ == 0.5


def test_several_scorers_get_the_weights_that_they_request(table):
    X, y = table
    weight = np.arange(len(y), dtype=float)
    grid = {"coldness": [0.1, 1.0]}
    with config_context(enable_metadata_routing=True):
        scoring = {
            "weighted": make_scorer(accuracy_score).set_score_request(sample_weight=True),
            "plain": make_scorer(accuracy_score).set_score_request(sample_weight=False),
        }
        params = {"scoring": scoring, "refit": "weighted"}
        found = search(param_grid=grid, **params).fit(X, y, sample_weight=weight)
        plain = plain_search(grid, **params)
        plain.estimator.set_fit_request(sample_weight=True)
        expected = plain.fit(X, y, sample_weight=weight)
        if parse_version(sklearn.__version__) >= parse_version("1.7"):
            for names in ("accuracy", ["accuracy", "f1"]):
                unset = search(param_grid=grid, scoring=names, refit="f1")
                with pytest.raises(UnsetMetadataPassedError):
                    unset.fit(X, y, sample_weight=weight)
    assert_same_results(found, expected)
    results = found.cv_results_
    assert (results["mean_test_weighted"] != results["mean_test_plain"]).any()
    assert set(found.scorer_) == set(expected.scorer_) == set(scoring)
    assert found.score(X, y) == pytest.approx(expected.score(X, y), abs=1e-4)


def test_scorers_get_the_index_of_the_labels(table):
    X, y = table
    value = pd.Series(np.arange(len(y), dtype=float), index=y.index)

    def gain(estimator, X, y):
        return float((estimator.predict(X) == y) @ value[y.index])

    grid = {"coldness": [0.1, 1.0]}
    found = search(param_grid=grid, scoring=gain).fit(X, y)
    assert_same_results(found, plain_search(grid, scoring=gain).fit(X, y))


def test_which_score_decides_is_checked_before_anything_is_fitted(table):
    Distance.seen.clear()
    with pytest.raises(ValueError, match="refit must be the name of the one that decides"):
        search(scoring=["accuracy", "f1"]).fit(*table)
    assert not Distance.seen
    found = search(param_grid={"coldness": [0.1]}, scoring={"score": "accuracy"}, refit="score")
    assert found.fit(*table).multimetric_
    assert isinstance(found.score(*table), float)


# --- networks ---


class Tied(nn.Module):
    """A network that uses one layer twice."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.first = nn.Linear(sum(n_features), 8)
        self.second = nn.Linear(8, 8)
        self.third = self.second
        self.last = nn.Linear(8, n_outputs)

    def forward(self, modalities):
        x = self.first(torch.cat(modalities, 1)).relu()
        return self.last(self.third(self.second(x).relu()).relu())


def test_networks_with_shared_weights(table):
    grid, params = {"coldness": [0.1, 1.0]}, {"module": Tied, "scoring": log_likelihood}
    Distance.seen.clear()
    found = search(param_grid=grid, **params).fit(*table)
    assert len(Distance.seen) == 3 * 3  # three modalities in two folds and for the best setting
    assert_same_results(found, plain_search(grid, **params).fit(*table))
