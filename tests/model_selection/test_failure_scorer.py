"""Scorers under failure: what is averaged, and that they fit into scikit-learn."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_emma.corruption import Noise, Stuck
from sklearn_emma.model_selection import make_failure_scorer

GROUPS = {"a": [0, 1], "b": [2, 3]}
LINEAR = make_pipeline(StandardScaler(), LogisticRegression())


def record(seen):
    """A scorer that keeps what it was called with."""

    def score(estimator, X, y, **_):
        seen.append((estimator, X))
        return 0.0

    return score


def test_score_is_the_mean_of_clean_samples_and_each_failing_modality(samples):
    X, y = samples
    fitted = LINEAR.fit(X[:200], y[:200])
    X_test, y_test = X[200:], y[200:]

    def parts(**params):
        scorer = make_failure_scorer("accuracy", Stuck(value=10), GROUPS, **params)
        return scorer(fitted, X_test, y_test)

    clean = fitted.score(X_test, y_test)
    failing = []
    for columns in GROUPS.values():
        broken = X_test.copy()
        broken[:, columns] = 10
        failing.append(fitted.score(broken, y_test))
    assert failing[0] < 0.8 < failing[1]
    assert parts() == pytest.approx((clean + sum(failing)) / 3)
    assert parts(clean_weight=0.5) == pytest.approx(clean / 2 + sum(failing) / 4)
    assert parts(clean_weight=0) == pytest.approx(np.mean(failing))
    assert parts(clean_weight=1) == pytest.approx(clean)
    assert parts(n_repeats=3) == pytest.approx(parts())


def test_units_are_those_of_the_reference_or_else_of_the_samples_scored(samples):
    X, y = samples
    for reference, unit in ((None, X.std(axis=0)), (X * 50, 50 * X.std(axis=0))):
        seen = []
        scorer = make_failure_scorer(
            record(seen), Noise(2, only="b"), GROUPS, clean_weight=0, reference=reference
        )
        scorer(LINEAR.fit(X, y), X, y)
        ((_, broken),) = seen
        assert_array_equal(broken[:, [0, 1, 4]], X[:, [0, 1, 4]])
        assert_allclose(((broken - X) / unit)[:, 2:4].std(axis=0), 2, rtol=0.2)


def test_every_call_draws_the_same_failures(samples):
    X, y = samples
    fitted = LINEAR.fit(X, y)
    for state in (0, None, np.random.RandomState(3)):
        scorer = make_failure_scorer("neg_log_loss", Noise(3), GROUPS, random_state=state)
        score = scorer(fitted, X, y)
        assert scorer(fitted, X, y) == score
        assert pickle.loads(pickle.dumps(scorer))(fitted, X, y) == score
    other = make_failure_scorer("neg_log_loss", Noise(3), GROUPS, random_state=1)
    assert other(fitted, X, y) != score
    assert "Noise(sigma=3)" in repr(scorer)


def test_a_search_selects_for_the_failures_that_are_expected():
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=400)
    X = (2 * y[:, None] - 1) + rng.normal(size=(400, 4)) * [0.3, 1.0, 1.0, 1.0]
    groups = {"sharp": [0], "blunt": [1, 2, 3]}
    search = {"estimator": LogisticRegression(), "param_grid": {"C": [1e-4, 1.0]}, "cv": 3}
    on_clean = GridSearchCV(**search, scoring="neg_log_loss").fit(X, y)
    failing = make_failure_scorer("neg_log_loss", Noise(6), groups, reference=X)
    on_failing = GridSearchCV(**search, scoring=failing).fit(X, y)
    assert on_clean.best_params_["C"] > on_failing.best_params_["C"]


def test_scorer_stands_beside_others(samples):
    X, y = samples
    failing = make_failure_scorer(None, Noise(4), GROUPS)
    scores = cross_validate(LINEAR, X, y, scoring={"clean": "accuracy", "failing": failing})
    assert (scores["test_failing"] < scores["test_clean"]).all()


def test_weights_reach_the_inner_scorer(samples):
    X, y = samples
    fitted = LINEAR.fit(X, y)
    scorer = make_failure_scorer("accuracy", Noise(4), GROUPS, reference=X)
    half = np.arange(300) < 150
    same_noise = make_failure_scorer("accuracy", Stuck(value=10), GROUPS)
    weighted = same_noise(fitted, X, y, sample_weight=half.astype(float))
    assert weighted == pytest.approx(same_noise(fitted, X[half], y[half]))
    weighted = scorer(fitted, X, y, sample_weight=half.astype(float))
    assert weighted != scorer(fitted, X, y)
    # a search that cannot pass weights on warns, which is an error here
    for scoring in ("accuracy", None, lambda clf, X, y, sample_weight=None: 0.0):
        failing = make_failure_scorer(scoring, Noise(4), GROUPS)
        search = GridSearchCV(LogisticRegression(max_iter=1000), {"C": [1.0]}, scoring=failing)
        search.fit(X, y, sample_weight=half + 0.5)


def test_metadata_routing_asks_the_inner_scorer(samples):
    X, y = samples
    with config_context(enable_metadata_routing=True):
        inner = make_scorer(accuracy_score).set_score_request(sample_weight=True)
        failing = make_failure_scorer(inner, Stuck(value=10), GROUPS)
        estimator = LogisticRegression().set_fit_request(sample_weight=False)
        weight = (np.arange(300) % 2).astype(float)
        weighted = cross_val_score(
            estimator, X, y, scoring=failing, params={"sample_weight": weight}, cv=KFold(3)
        )
        plain = cross_val_score(estimator, X, y, scoring=failing, cv=KFold(3))
    assert (weighted != plain).any()


@pytest.mark.parametrize("requested", [True, False])
def test_metadata_routing_asks_the_estimator_if_there_is_no_inner_scorer(samples, requested):
    X, y = samples
    weight = np.where(np.arange(300) % 2, 100.0, 1e-3)
    with config_context(enable_metadata_routing=True):
        estimator = LogisticRegression().set_fit_request(sample_weight=True)
        failing = make_failure_scorer(None, Noise(4), GROUPS, clean_weight=1)
        params = {"params": {"sample_weight": weight}, "cv": KFold(3)}
        with pytest.raises(ValueError, match="not explicitly set as requested"):
            cross_val_score(estimator, X, y, scoring=failing, error_score="raise", **params)
        estimator.set_score_request(sample_weight=requested)
        scores, expected = (
            cross_val_score(estimator, X, y, scoring=scoring, **params)
            for scoring in (failing, None)
        )
    assert_allclose(scores, expected)


@pytest.mark.slow
def test_search_in_processes_of_their_own_gives_the_same(samples):
    failing = make_failure_scorer("neg_log_loss", Noise(6), GROUPS)
    grid = {"logisticregression__C": [1e-4, 1.0]}
    alone, together = (
        GridSearchCV(LINEAR, grid, scoring=failing, n_jobs=n_jobs).fit(*samples)
        for n_jobs in (1, 2)
    )
    scores = "mean_test_score"
    assert_array_equal(alone.cv_results_[scores], together.cv_results_[scores])


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"scoring": "acuracy"}, ValueError, "acuracy"),
        ({"scoring": 3}, TypeError, "the name of a scorer or a callable, got 3"),
        ({"corruption": Noise}, TypeError, r"must be an instance of Corruption, such as Noise\(2"),
        ({"clean_weight": 2}, ValueError, "clean_weight=2 must be None or a number from 0 to 1"),
        ({"n_repeats": 1.5}, ValueError, "n_repeats=1.5 must be a positive integer"),
        ({"random_state": "zero"}, ValueError, "cannot be used to seed"),
    ],
)
def test_wrong_parameters_of_the_scorer_are_explained_at_once(change, kind, message):
    params = {"scoring": "accuracy", "corruption": Noise(2), "modalities": GROUPS} | change
    with pytest.raises(kind, match=message):
        make_failure_scorer(**params)


def test_what_does_not_match_the_samples_is_explained_when_they_are_scored(samples):
    X, y = samples
    fitted = LINEAR.fit(X, y)
    with pytest.raises(ValueError, match="only='z' must name"):
        make_failure_scorer("accuracy", Noise(2, only="z"), GROUPS)(fitted, X, y)
    with pytest.raises(ValueError, match="scoring must return a single number"):
        make_failure_scorer(lambda *_: {"a": 1}, Noise(2), GROUPS)(fitted, X, y)
    with pytest.raises(ValueError, match="reference must be a table with the 5 columns"):
        make_failure_scorer("accuracy", Noise(2), GROUPS, reference=X[:, :3])(fitted, X, y)
