"""AbstainingClassifier: what it refuses, what it promises, and that it fits scikit-learn."""

import pickle
import threading
from typing import ClassVar

import numpy as np
import pytest
from joblib import parallel_config
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, ShuffleSplit, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_emma.metrics import risk_coverage_curve
from sklearn_emma.model_selection import AbstainingClassifier
from sklearn_emma.model_selection.abstaining import rejection_score


@pytest.fixture(scope="module")
def overlapping():
    """Two classes that overlap: 1500 training samples and 1500 others."""
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=3000)
    X = rng.normal(size=(3000, 2)) + 1.5 * y[:, None]
    return X[:1500], y[:1500], X[1500:], y[1500:]


def abstaining(**params):
    return AbstainingClassifier(LogisticRegression(), **params)


class Recorder(LogisticRegression):
    """Keeps the threads that fits ran in."""

    threads: ClassVar[set[int]] = set()

    def fit(self, X, y):
        self.threads.add(threading.get_ident())
        return super().fit(X, y)


@pytest.mark.parametrize(("n_jobs", "aside"), [(2, True), (None, False)])
def test_folds_are_fitted_side_by_side_with_n_jobs(overlapping, n_jobs, aside):
    X, y, *_ = overlapping
    Recorder.threads.clear()
    with parallel_config("threading"):
        clf = AbstainingClassifier(Recorder(), n_jobs=n_jobs).fit(X, y)
    assert bool(Recorder.threads - {threading.get_ident()}) is aside
    assert clf.threshold_ == abstaining().fit(X, y).threshold_


def least_certain(clf, X):
    return -np.abs(clf.decision_function(X))


@parametrize_with_checks([abstaining(coverage=1.0, cv=3)])  # some have four samples of a class
def test_estimator_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.95])
def test_coverage_holds_for_new_samples(overlapping, coverage):
    X, y, X_new, y_new = overlapping
    clf = abstaining(coverage=coverage).fit(X, y)
    assert clf.coverage_ == pytest.approx(coverage, abs=1e-3)
    assert clf.accepts(X_new).mean() == pytest.approx(coverage, abs=0.04)
    everywhere = clf.estimator_.score(X_new, y_new)
    accepted = clf.accepts(X_new)
    assert (clf.predict(X_new)[accepted] == y_new[accepted]).mean() > everywhere + 0.005


@pytest.mark.parametrize("max_risk", [0.02, 0.05])
def test_risk_holds_for_new_samples_at_the_largest_coverage_that_allows_it(overlapping, max_risk):
    X, y, X_new, y_new = overlapping
    clf = abstaining(max_risk=max_risk, coverage=0.1).fit(X, y)
    assert clf.risk_ <= max_risk
    accepted = clf.accepts(X_new)
    assert (clf.predict(X_new)[accepted] != y_new[accepted]).mean() < max_risk + 0.015
    # a classifier that knows no more cannot accept many more
    scores = clf.rejection_score(X_new)
    coverage, risk, _ = risk_coverage_curve(y_new, clf.estimator_.predict(X_new), scores)
    assert accepted.mean() > coverage[risk <= max_risk].max() - 0.1


def test_risk_that_cannot_be_reached_refuses_everything_with_a_warning():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(100, 2)), rng.integers(2, size=100)
    clf = abstaining(max_risk=0.0, reject_score=lambda clf, X: np.zeros(len(X)))
    with pytest.warns(UserWarning, match=r"within max_risk=0\.0: the lowest possible risk is 0"):
        clf.fit(X, y)
    assert not clf.accepts(X).any()
    assert_array_equal(clf.predict(X), -1)
    assert clf.coverage_ == 0
    assert np.isnan(clf.risk_)


def test_threshold_is_chosen_on_samples_the_classifier_was_not_trained_on(overlapping):
    """A nearest-neighbor classifier is certain of its training samples, and of no others."""
    X, y, X_new, _ = overlapping
    neighbors = KNeighborsClassifier(10, weights="distance")
    clf = AbstainingClassifier(neighbors, coverage=0.7).fit(X, y)
    assert clf.threshold_ > 0.1
    assert clf.accepts(X).all()
    assert clf.accepts(X_new).mean() == pytest.approx(0.7, abs=0.08)
    assert clf.risk_ > 0


def test_fit_refits_on_all_samples(overlapping):
    X, y, *_ = overlapping
    clf = abstaining().fit(X, y)
    assert_array_equal(clf.estimator_.coef_, LogisticRegression().fit(X, y).coef_)


def test_frozen_classifier_is_left_alone_and_judged_on_the_samples_passed(overlapping):
    X, y, X_new, y_new = overlapping
    fitted = LogisticRegression().fit(X[:20], y[:20])
    clf = AbstainingClassifier(FrozenEstimator(fitted), coverage=0.6).fit(X_new, y_new)
    assert clf.accepts(X_new).sum() == 900
    score = 1 - fitted.predict_proba(X_new).max(axis=1)
    assert clf.threshold_ == np.sort(score)[899]
    accepted = clf.accepts(X_new)
    assert_array_equal(clf.predict(X_new)[accepted], fitted.predict(X_new)[accepted])


def test_full_coverage_accepts_everything_whatever_its_score(overlapping):
    X, y, *_ = overlapping
    clf = abstaining(coverage=1.0).fit(X, y)
    boundary = -clf.estimator_.intercept_ / clf.estimator_.coef_.sum()
    assert clf.accepts(np.tile(boundary, (1, 2))).all()
    assert clf.threshold_ == np.inf


def test_total_energy_refuses_samples_with_a_failing_modality(table, fitted, add_noise):
    X, y = table
    clf = AbstainingClassifier(FrozenEstimator(fitted), reject_score="total_energy").fit(X, y)
    assert_array_equal(clf.rejection_score(X), fitted.total_energy(X))
    assert clf.accepts(X).mean() == pytest.approx(0.9, abs=0.01)
    assert clf.accepts(add_noise(X, "modality0", 8.0)).mean() < 0.2
    assert_array_equal(clf.predict_log_proba(X), fitted.predict_log_proba(X))


def test_score_of_ones_own(overlapping):
    X, y, X_new, _ = overlapping
    clf = AbstainingClassifier(LinearSVC(), reject_score=least_certain, coverage=0.5).fit(X, y)
    margin = np.abs(clf.estimator_.decision_function(X_new))
    accepted = clf.accepts(X_new)
    assert accepted.mean() == pytest.approx(0.5, abs=0.04)
    assert margin[accepted].min() >= margin[~accepted].max()
    assert not hasattr(clf, "predict_proba")


@pytest.mark.parametrize(
    ("names", "label", "expected"),
    [
        ([0, 1], "auto", -1),
        ([3.0, 1.0], "auto", -1),
        (np.array([0, 1], dtype=np.uint8), "auto", -1),
        ([False, True], "auto", -1),
        (["no", "yes"], "auto", "abstain"),
        (np.array(["no", "yes"], dtype=object), "auto", "abstain"),
        (["no", "yes"], "ask a person", "ask a person"),
        ([-1, 1], "auto", 0),
        ([-1, 0], "auto", -2),
        ([0, 1], np.nan, np.nan),
    ],
)
def test_refused_samples_get_the_label_and_the_others_theirs(overlapping, names, label, expected):
    X, y, X_new, _ = overlapping
    names = np.asarray(names)
    clf = abstaining(abstain_label=label).fit(X, names[y])
    predicted, accepted = clf.predict(X_new), clf.accepts(X_new)
    assert 0 < accepted.mean() < 1
    assert_array_equal(predicted[~accepted], expected)
    assert_array_equal(predicted[accepted], clf.estimator_.predict(X_new)[accepted])
    assert_array_equal(clf.classes_, np.unique(names))


@pytest.mark.parametrize(
    ("names", "label", "message"),
    [
        ([0, 1], 1, r"abstain_label=1 stands for 1, which is one of the classes"),
        (["abstain", "go"], "auto", "stands for 'abstain', which is one of the classes"),
        ([0, 1], "abstain", "'abstain' must be a number, like the classes"),
        (["no", "yes"], -1, "-1 must be a string"),
    ],
)
def test_labels_that_would_be_confused_are_refused(overlapping, names, label, message):
    X, y, *_ = overlapping
    with pytest.raises(ValueError, match=message):
        abstaining(abstain_label=label).fit(X, np.asarray(names)[y])


def test_weights_count_in_the_threshold_and_in_the_classifier(overlapping):
    X, y, X_new, y_new = overlapping
    weight = np.where(X[:, 0] > 1, 1.0, 0.0)
    clf = abstaining(coverage=0.5).fit(X, y, sample_weight=weight.tolist())
    assert_array_equal(
        clf.estimator_.coef_, LogisticRegression().fit(X, y, sample_weight=weight).coef_
    )
    assert clf.accepts(X_new[X_new[:, 0] > 1]).mean() == pytest.approx(0.5, abs=0.05)
    # each sample keeps its own weight, in whatever order the folds come
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    weight = np.random.default_rng(0).exponential(size=len(X_new))
    clf = AbstainingClassifier(FrozenEstimator(clf.estimator_), coverage=0.5, cv=folds)
    accepted = clf.fit(X_new, y_new, sample_weight=weight).accepts(X_new)
    assert clf.coverage_ == pytest.approx(weight[accepted].sum() / weight.sum())


def test_splits_may_leave_samples_out(overlapping):
    X, y, X_new, _ = overlapping
    clf = abstaining(cv=ShuffleSplit(1, test_size=0.3, random_state=0)).fit(X, y)
    assert clf.accepts(X_new).mean() == pytest.approx(0.9, abs=0.04)


def test_folds_may_hold_groups_together(overlapping):
    X, y, X_new, _ = overlapping
    groups = np.arange(len(X)) // 10
    clf = abstaining(cv=GroupKFold(3)).fit(X, y, groups=groups)
    same = abstaining(cv=list(GroupKFold(3).split(X, y, groups))).fit(X, y)
    assert_array_equal(clf.accepts(X_new), same.accepts(X_new))


def test_it_can_be_cloned_searched_and_pickled(overlapping):
    X, y, X_new, y_new = overlapping
    clf = abstaining(reject_score=least_certain)
    assert clone(clf).get_params().keys() == clf.get_params().keys()
    search = GridSearchCV(clf, {"estimator__C": [0.1, 1.0], "coverage": [0.5, 0.9]}, cv=2)
    best = search.fit(X, y).best_estimator_
    assert best.coverage == 0.9  # a refused sample counts as an error
    assert_array_equal(pickle.loads(pickle.dumps(best)).predict(X_new), best.predict(X_new))
    assert best.score(X_new, y_new) == np.mean(best.predict(X_new) == y_new)


def test_missing_values_and_column_names_pass_through(table, quick):
    X, y = table
    X = X.copy()
    X.iloc[0, 0] = np.nan
    clf = AbstainingClassifier(quick(max_epochs=1, pretrain_epochs=1), cv=2).fit(X, y)
    assert clf.__sklearn_tags__().input_tags.allow_nan
    assert list(clf.feature_names_in_) == list(X.columns)
    assert clf.n_features_in_ == X.shape[1]
    assert clf.predict_proba(X).shape == (len(X), len(clf.classes_))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coverage": 0}, "'coverage' parameter"),
        ({"max_risk": 2}, "'max_risk' parameter"),
        ({"reject_score": "entropy"}, "'reject_score' parameter"),
        ({"reject_score": "total_energy"}, "needs a classifier with total_energy, but Logistic"),
        ({"estimator": LinearSVC()}, "with predict_proba, but LinearSVC does not"),
        ({"reject_score": lambda clf, X: 0.0}, r"expected shape \(\d+,\), got \(\)"),
        ({"reject_score": lambda clf, X: X[:, 0] * np.nan}, "NaN in 1500 sample"),
    ],
)
def test_wrong_parameters_are_explained(overlapping, change, message):
    X, y, *_ = overlapping
    with pytest.raises(ValueError, match=message):
        abstaining().set_params(**change).fit(X, y)


def test_score_of_a_fitted_classifier_without_a_threshold(overlapping):
    X, y, X_new, _ = overlapping
    clf = LogisticRegression().fit(X, y)
    expected = 1 - clf.predict_proba(X_new).max(axis=1)
    assert_array_equal(rejection_score(clf, X_new), expected)
    assert_array_equal(rejection_score(clf, X_new, least_certain), least_certain(clf, X_new))
    with pytest.raises(ValueError, match="'entropy' must be 'max_probability' or 'total_energy'"):
        rejection_score(clf, X_new, "entropy")


def test_a_fit_that_fails_leaves_the_model_as_it_was(overlapping):
    X, y, X_new, _ = overlapping
    clf = abstaining(coverage=0.8).fit(X, y)
    before = clf.predict(X_new)
    with pytest.raises(ValueError, match="which is one of the classes"):
        clf.set_params(abstain_label=7).fit(X, np.where(y, 7, 8))
    assert_array_equal(clf.predict(X_new), before)
    assert clf.classes_.tolist() == [0, 1]


def test_the_score_set_after_a_fit_waits_for_the_next_one(overlapping):
    X, y, X_new, _ = overlapping
    clf = abstaining(coverage=0.8).fit(X, y)
    expected = clf.accepts(X_new)
    assert not expected.all()
    clf.set_params(reject_score=lambda clf, X: np.zeros(len(X)))
    assert_array_equal(clf.accepts(X_new), expected)
    assert clf.fit(X, y).accepts(X_new).all()


def test_one_weight_for_all_samples_is_no_weight(overlapping):
    X, y, X_new, _ = overlapping
    plain, weighted = abstaining().fit(X, y), abstaining().fit(X, y, sample_weight=2.0)
    assert weighted.coverage_ == pytest.approx(plain.coverage_)


def test_metadata_is_routed_to_the_fits_and_the_splitter(overlapping):
    X, y, X_new, _ = overlapping
    weight, groups = np.where(y, 5.0, 1.0), np.arange(len(y)) // 10
    plain = abstaining(cv=GroupKFold(3)).fit(X, y, sample_weight=weight, groups=groups)
    with config_context(enable_metadata_routing=True):
        inner = LogisticRegression().set_fit_request(sample_weight=True)
        routed = AbstainingClassifier(inner, cv=GroupKFold(3))
        routed.fit(X, y, sample_weight=weight, groups=groups)
    assert_array_equal(routed.predict(X_new), plain.predict(X_new))


def test_samples_without_any_value_are_refused_first(table, fitted):
    X, y = table
    clf = AbstainingClassifier(FrozenEstimator(fitted), reject_score="total_energy").fit(X, y)
    gone = X[:3] * np.nan
    assert (clf.rejection_score(gone) == np.inf).all()
    assert not clf.accepts(gone).any()
