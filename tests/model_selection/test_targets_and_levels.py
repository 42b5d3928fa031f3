"""Labels, values and levels of the tools: what is missing or of another type is not used."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from sklearn_emma import DAEEnergyScorer, EMMAClassifier
from sklearn_emma.corruption import Missing, Noise
from sklearn_emma.datasets import make_multimodal_classification
from sklearn_emma.metrics import expected_calibration_error, risk_coverage_curve
from sklearn_emma.model_selection import (
    AbstainingClassifier,
    PatternConformalClassifier,
    failure_mode_analysis,
    make_failure_scorer,
    robustness_curve,
)

FEW = {"failures": {}, "n_bootstrap": 50, "n_repeats": 1, "tolerance": 0.2, "random_state": 0}


@pytest.fixture(scope="module")
def table():
    X, y = make_multimodal_classification(400, random_state=0, return_X_y=True)
    return X, y.to_numpy()


@pytest.fixture(scope="module")
def boosting(table):
    return HistGradientBoostingClassifier(max_iter=10).fit(*table)


def analyze(estimator, X, y, **params):
    return failure_mode_analysis(estimator, X, y, **(FEW | {"modalities": "prefix"} | params))


@pytest.fixture(scope="module")
def wards():
    """The class is in codes of wards, of which some look like numbers; and a classifier."""
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=400)
    ward = np.where(y == 1, rng.choice(["12", "7B"], 400), rng.choice(["7", "3A"], 400))
    lab = rng.normal(size=(400, 2))
    X = pd.DataFrame({"ward__code": ward, "lab__x": lab[:, 0], "lab__y": lab[:, 1]})
    energy = DAEEnergyScorer(hidden_layer_sizes=(8,), max_epochs=5)
    clf = EMMAClassifier(
        "prefix", energy=energy, max_epochs=10, l2_regularization=0.01, random_state=0
    )
    return X[200:], y[200:], clf.fit(X[:200], y[:200])


def test_a_modality_that_does_not_fail_stays_as_it_is(wards):
    X = wards[0][wards[0]["ward__code"].isin(["12", "7"])]
    failed, _ = Missing(only="lab").corrupt(X, "prefix")
    pd.testing.assert_series_equal(failed["ward__code"], X["ward__code"])
    assert failed["lab__x"].isna().all()


@pytest.mark.parametrize("kind", [list, "U8", object])
def test_arrays_of_text_hold_numbers_that_fail(kind):
    table = [["red", "1.25"], ["blue", "2.5"], ["red", "3.5"]]
    X = table if kind is list else np.array(table, dtype=kind)
    modalities = {"color": [0], "size": [1]}
    failed, _ = Missing(only="size").corrupt(X, modalities)
    assert failed.dtype == object
    assert failed[:, 0].tolist() == ["red", "blue", "red"]
    assert np.isnan(failed[:, 1].astype(float)).all()
    noisy, _ = Noise(1.0, only="size").corrupt(X, modalities, random_state=0)
    assert (noisy[:, 1].astype(float) % 0.25 != 0).all()


def test_columns_are_categorical_if_they_are_for_the_estimator(wards):
    X, y, clf = wards
    numbers = X["ward__code"].isin(["12", "7"]).to_numpy()
    some = np.append(np.flatnonzero(numbers), np.flatnonzero(~numbers)[:30])
    some = np.random.default_rng(0).permutation(some)
    few, labels = X.iloc[some], y[some]  # most of the codes look like numbers
    assert clf.score(few, labels) > 0.95
    for samples, target in ((X[numbers], y[numbers]), (few, labels)):
        drop = failure_mode_analysis(clf, samples, target, **FEW).importance["drop"]
        assert abs(drop["lab"]) < 0.05 < 0.3 < drop["ward"]
        scorer = make_failure_scorer("accuracy", Noise(8.0, only="lab"), "prefix")
        assert scorer(clf, samples, target) > 0.95
        conformal = PatternConformalClassifier(clf, random_state=0).conformalize(samples, target)
        assert conformal.predict_set(samples)[np.arange(len(target)), target].mean() > 0.85


def test_unreadable_text_is_named(table):
    X = table[0].astype({"modality1__0": object})
    X.loc[3, "modality1__0"] = "?"
    for call in (
        lambda: Noise(2.0, only="modality0").corrupt(X, "prefix"),
        lambda: Noise(2.0).corrupt(table[0], "prefix", reference=X),
    ):
        with pytest.raises(ValueError, match="column.*modality1__0.*could not convert.*category"):
            call()


def test_columns_of_booleans_of_numpy_are_categories(table):
    X = table[0].assign(modality0__0=pd.Series(list(np.arange(400) % 3 == 0), dtype=object))
    X["modality0__0"] = pd.Series([np.bool_(v) for v in X["modality0__0"]], dtype=object)
    energy = DAEEnergyScorer(max_epochs=1)
    clf = EMMAClassifier("prefix", energy=energy, max_epochs=1, l2_regularization=1.0)
    assert list(clf.fit(X, table[1]).categories_) == [0]


def test_labels_that_are_no_classes_are_refused(table):
    X, y = table
    svc = make_pipeline(SimpleImputer(), SVC()).fit(X, y)
    for wrong in (y.astype(str), y + 10):
        with pytest.raises(
            ValueError, match="none of which is a class of the estimator.*type that fit got"
        ):
            analyze(svc, X, wrong)


def test_labels_of_an_estimator_without_tags(table):
    class Votes(BaseEstimator):
        def fit(self, X, y):
            self.fitted_ = True
            return self

        def predict(self, X):
            return np.where(np.nan_to_num(X.iloc[:, 0]) > 0, "v", "u")

    X, y = table
    labels = np.array(["u", "v"])[y]
    found = analyze(Votes().fit(X, labels), X, labels, metric=lambda a, b: (a == b).mean())
    assert found.clean["score"] == (Votes().predict(X) == labels).mean()


def test_masked_and_missing_targets_are_refused_everywhere(table, boosting):
    X, y = table
    hidden = np.arange(len(y)) < 100
    masked = np.ma.masked_array(y, hidden)
    missing = np.where(hidden, np.nan, y)
    objects = np.where(hidden, None, y)
    for wrong, match in ((masked, "masked array"), (missing, "NaN"), (objects, "NaN")):
        for use in (
            lambda y: analyze(boosting, X, y),
            lambda y: expected_calibration_error(y, boosting.predict_proba(X)),
            lambda y: risk_coverage_curve(y, boosting.predict(X), np.arange(len(X))),
            lambda y: AbstainingClassifier(boosting).fit(X, y),
        ):
            with pytest.raises(ValueError, match=match):
                use(wrong)
    with pytest.raises(ValueError, match="masked array"):
        robustness_curve(boosting, X, masked, modalities="prefix", levels=[0])
    regressor = HistGradientBoostingRegressor(max_iter=5).fit(X, y)
    with pytest.raises(ValueError, match="NaN"):
        analyze(regressor, X, missing)


def test_a_metric_that_ignores_an_exchange_of_predictions_shows_nothing(table, boosting):
    X, y = table
    same = np.flatnonzero(y == 0)[:3]
    with pytest.warns(UserWarning, match="metric does not change if predictions are exchanged"):
        found = analyze(boosting, X.iloc[same], y[same], metric=accuracy_score)
    assert not found.importance["redundant"].any()


def test_every_bootstrap_sample_has_every_class(boosting):
    X, y = make_multimodal_classification(400, n_classes=8, random_state=0, return_X_y=True)
    y = y.to_numpy()
    clf = HistGradientBoostingClassifier(max_iter=5).fit(X, y)
    some = [np.flatnonzero(y == c)[: 1 if c < 3 else 6] for c in range(8)]
    chosen = np.random.default_rng(0).permutation(np.concatenate(some))

    def auc(y_true, y_proba):
        return roc_auc_score(y_true, y_proba, multi_class="ovr")

    samples, more = (X.iloc[chosen], y[chosen]), {"method": "predict_proba", "n_bootstrap": 40}
    with pytest.warns(UserWarning, match="1 test samples of the smallest class are too few"):
        found = analyze(clf, *samples, metric=auc, **more)
    assert np.isfinite(found.importance[["low", "high"]].to_numpy(float)).all()


@pytest.mark.parametrize(
    ("weight", "match"),
    [(np.ones(5), r"\(400,\)"), (np.linspace(-1, 1, 400), "must not be negative")],
)
def test_weights_of_an_abstaining_classifier_are_checked_first(table, boosting, weight, match):
    with pytest.raises(ValueError, match=match):
        AbstainingClassifier(boosting).fit(*table, sample_weight=weight)


def test_a_metric_must_return_a_number(table, boosting):
    for metric in (lambda a, b: a == b, lambda a, b: None):
        with pytest.raises(ValueError, match="metric must return a single number"):
            analyze(boosting, *table, metric=metric)


def test_sets_do_not_depend_on_how_a_modality_is_missing(table):
    X, y = make_multimodal_classification(400, n_classes=4, random_state=0, return_X_y=True)
    energy = DAEEnergyScorer(hidden_layer_sizes=(8,), max_epochs=3)
    clf = EMMAClassifier(
        "prefix", energy=energy, max_epochs=2, l2_regularization=1.0, missing_modalities="allow"
    ).fit(X[:150], y[:150])
    sets = PatternConformalClassifier(clf, conformity_score="aps", random_state=0)
    sets.conformalize(X[150:300], y[150:300])
    absent = X[300:].drop(columns=[name for name in X if name.startswith("modality1")])
    empty = absent.reindex(columns=X.columns)
    np.testing.assert_array_equal(sets.predict_set(absent), sets.predict_set(empty))
