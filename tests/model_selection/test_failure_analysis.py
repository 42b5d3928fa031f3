"""failure_mode_analysis: what failures cost, what is redundant, and the page."""

import copy
import io
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import balanced_accuracy_score, fbeta_score, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_emma.corruption import Adversarial, Missing, Noise, RandomSigns, Stuck
from sklearn_emma.metrics import expected_calibration_error
from sklearn_emma.model_selection import (
    PatternConformalClassifier,
    failure_mode_analysis,
)
from sklearn_emma.model_selection.failure_analysis import _warn_of_dependence

MODALITIES = {"main": [0], "copy": [1], "twin": [2], "nothing": [3]}


@pytest.fixture(scope="module")
def data():
    """The class is in "main"; "copy" and "twin" hold the same half of the rest."""
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=3000)
    X = rng.normal(size=(3000, 4))
    X[:, 0] += 2.0 * y
    X[:, 1] += 2.5 * y
    X[:, 2] = X[:, 1] + rng.normal(scale=0.01, size=3000)
    return X[:1500], y[:1500], X[1500:], y[1500:]


class Naive:
    """Means of the columns that are present, over a threshold."""

    _estimator_type = "classifier"
    classes_ = np.array([0, 1])

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        pull = 2 * np.nansum(np.column_stack([X[:, 0] - 1, np.nanmean(X[:, 1:3] - 1.25, 1)]), 1)
        return np.column_stack([1 / (1 + np.exp(pull)), 1 / (1 + np.exp(-pull))])

    def predict(self, X):
        return self.predict_proba(X).argmax(axis=1)

    def __sklearn_tags__(self):
        return LogisticRegression().__sklearn_tags__()

    def __sklearn_is_fitted__(self):
        return True


@pytest.fixture(scope="module")
def analysis(data):
    with pytest.warns(RuntimeWarning, match="Mean of empty slice"):  # of Naive, without both
        return failure_mode_analysis(
            Naive(),
            *data[2:],
            modalities=MODALITIES,
            failures={"noise": Noise(3.0)},
            random_state=0,
        )


def test_importance_is_the_drop_without_the_modality(analysis, data):
    X, y = data[2:]
    clean = (Naive().predict(X) == y).mean()
    assert analysis.clean["score"] == clean
    assert analysis.clean["n_samples"] == 1500
    lost = X.copy()
    lost[:, 0] = np.nan
    drop = clean - (Naive().predict(lost) == y).mean()
    row = analysis.importance.loc["main"]
    assert row["drop"] == pytest.approx(drop)
    assert row["low"] < drop < row["high"]
    assert analysis.importance.index[0] == "main"
    assert analysis.importance["drop"].is_monotonic_decreasing


def test_several_outputs_are_refused(data):
    X, y = data[:2]
    with pytest.raises(ValueError, match=r"one column, got an array of shape \(1500, 2\).*robust"):
        failure_mode_analysis(LinearRegression().fit(X, y), X, np.column_stack([y, y]))


def test_two_that_hold_the_same_are_redundant_singly_but_not_together(analysis):
    redundant = analysis.importance["redundant"]
    assert redundant.to_dict() == {"main": False, "copy": True, "twin": True, "nothing": True}
    pairs = analysis.pairs["redundant"].to_dict()
    assert pairs == {("copy", "twin"): False, ("copy", "nothing"): True, ("twin", "nothing"): True}
    row = analysis.importance.loc["nothing", ["drop", "low", "high"]].tolist()
    # a loss of this frequency is absent from the samples with a probability of 2.5 %
    assert row == pytest.approx([0, 0, 1 - 0.025 ** (1 / 1500)], abs=1e-5)


def test_effects_have_a_row_for_each_failure_of_each_modality(analysis, data):
    effects = analysis.effects
    assert effects[["modality", "failure"]].to_numpy().tolist() == [
        [name, failure] for name in MODALITIES for failure in ("absent", "noise")
    ]
    np.testing.assert_allclose(effects["drop"], analysis.clean["score"] - effects["score"])
    X, y = data[2:]
    lost = X.copy()
    lost[:, 0] = np.nan
    ece = expected_calibration_error(y, Naive().predict_proba(lost))
    assert effects["calibration_error"][0] == pytest.approx(ece)
    assert "coverage" not in effects
    assert "closed" not in effects


def test_interval_is_that_of_a_paired_bootstrap(data):
    """Of a modality that changes few predictions the interval is narrow, unlike that of scores."""
    X, y = data[2:]
    found = failure_mode_analysis(
        Naive(), X, y, modalities=MODALITIES, failures={}, only=["copy"], random_state=0
    )
    effect = found.effects.iloc[0]
    width = effect["high"] - effect["low"]
    lost = X.copy()
    lost[:, 1] = np.nan
    change = (Naive().predict(X) == y).astype(float) - (Naive().predict(lost) == y)
    assert width == pytest.approx(2 * 1.96 * change.std() / np.sqrt(1500), abs=2e-3)
    wider = failure_mode_analysis(
        Naive(),
        X[:200],
        y[:200],
        modalities=MODALITIES,
        failures={},
        only="main",
        confidence_level=0.99,
        tolerance=0.1,
        random_state=0,
    )
    assert np.ptp(wider.importance.loc["main", ["low", "high"]].astype(float)) > 0.05


def test_any_metric_and_method(data):
    X, y = data[2:]
    boosting = HistGradientBoostingClassifier(max_iter=5, random_state=0).fit(*data[:2])
    params = {"modalities": MODALITIES, "failures": {}, "n_bootstrap": 5, "random_state": 0}
    found = failure_mode_analysis(boosting, X, y, metric=balanced_accuracy_score, **params)
    assert found.score_name == "balanced accuracy"
    assert found.clean["score"] == balanced_accuracy_score(y, boosting.predict(X))

    beta = partial(fbeta_score, beta=2.0)
    found = failure_mode_analysis(boosting, X, y, metric=beta, **params)
    assert found.score_name == "fbeta"
    assert found.clean["score"] == beta(y, boosting.predict(X))

    def auc(y_true, y_pred):
        return roc_auc_score(y_true, y_pred[:, 1])

    found = failure_mode_analysis(boosting, X, y, metric=auc, method="predict_proba", **params)
    assert found.clean["score"] == roc_auc_score(y, boosting.predict_proba(X)[:, 1])


def test_r2_needs_targets_that_differ(data):
    reg = HistGradientBoostingRegressor(max_iter=2).fit(data[0], data[0][:, 0])
    with pytest.raises(ValueError, match="R² is not defined.* every y is 3"):
        failure_mode_analysis(reg, data[2], np.full(1500, 3.0), modalities=MODALITIES)


def test_regressors_have_r2_and_no_calibration_error(data):
    X, _, X_test, _ = data
    reg = HistGradientBoostingRegressor(max_iter=20, random_state=0).fit(X, X[:, 0] + X[:, 3])
    y = X_test[:, 0] + X_test[:, 3]
    found = failure_mode_analysis(reg, X_test, y, modalities=MODALITIES, failures={})
    assert found.clean["score"] == pytest.approx(reg.score(X_test, y))
    assert found.score_name == "r2"
    assert "calibration_error" not in found.effects
    assert found.importance["redundant"].to_dict()["twin"]
    assert not found.importance["redundant"]["main"]


@pytest.mark.filterwarnings("ignore:Mean of empty slice")  # Naive without both columns
@pytest.mark.parametrize("unit", [1.0, 1e-9, 100.0])
def test_verdicts_on_a_classifier_do_not_depend_on_the_unit_of_the_score(data, unit):
    params = {"modalities": MODALITIES, "failures": {}, "tolerance": 0.02 * unit}
    found = failure_mode_analysis(
        Naive(), *data[2:], metric=lambda y, p: unit * (y == p).mean(), random_state=0, **params
    )
    assert found.importance["redundant"].to_dict() == {
        "main": False,
        "copy": True,
        "twin": True,
        "nothing": True,
    }
    rare = (found.importance["high"]["nothing"] - found.importance["drop"]["nothing"]) / unit
    assert rare == pytest.approx(0.004, abs=0.002)  # -log(.025) / 741 samples, all wrong


def test_a_metric_without_a_bound_shows_no_redundancy(data):
    class Sure(Naive):
        def predict_proba(self, X):
            return np.eye(2)[(X[:, 0] > 1).astype(int)]

    def log_likelihood(y, p):
        with np.errstate(divide="ignore"):
            return np.log(p[np.arange(len(y)), y]).mean()

    X, y = data[2], (data[2][:, 0] > 1).astype(int)
    params = {"modalities": MODALITIES, "failures": {}, "only": "nothing", "n_bootstrap": 5}
    with pytest.warns(UserWarning, match="not finite if predictions are exchanged"):
        found = failure_mode_analysis(
            Sure(), X, y, metric=log_likelihood, method="predict_proba", random_state=0, **params
        )
    assert found.importance["drop"]["nothing"] == 0
    assert found.importance["high"]["nothing"] == np.inf
    assert not found.importance["redundant"]["nothing"]


@pytest.mark.parametrize("unit", [1.0, 1e-9, 1e6])
def test_verdicts_do_not_depend_on_the_unit_of_the_score(data, unit):
    X, _, X_test, _ = data
    reg = HistGradientBoostingRegressor(max_iter=20, random_state=0)
    reg.fit(X, unit * (X[:, 0] + X[:, 3]))

    def minus_error(y_true, y_pred):
        return -np.abs(y_true - y_pred).mean()

    params = {"modalities": MODALITIES, "failures": {}, "tolerance": 0.05 * unit}
    y = unit * (X_test[:, 0] + X_test[:, 3])
    found = failure_mode_analysis(reg, X_test, y, metric=minus_error, random_state=0, **params)
    assert found.importance["redundant"].sum() == 2
    assert found.importance["redundant"][["copy", "twin"]].all()
    allowance = (found.importance["high"]["copy"] - found.importance["drop"]["copy"]) / unit
    assert allowance == pytest.approx(0.005, abs=0.004)


def test_gate_and_prediction_sets_are_measured_too(fitted, table):
    X, y = table
    sets = PatternConformalClassifier(fitted, min_samples=20, random_state=0).conformalize(X, y)
    found = failure_mode_analysis(
        sets, X, y, failures={}, n_bootstrap=5, tolerance=0.1, random_state=0
    )
    effects = found.effects.set_index("modality")
    assert effects["closed"].tolist() == [1.0, 1.0, 1.0]
    X_lost, _ = Missing(only="modality1").corrupt(X, "prefix")
    mask = sets.predict_set(X_lost)
    assert effects["coverage"]["modality1"] == mask[np.arange(len(y)), y].mean()
    assert effects["set_size"]["modality1"] == mask.sum(axis=1).mean()
    assert found.clean["coverage"] == sets.predict_set(X)[np.arange(len(y)), y].mean()


@pytest.mark.parametrize("threshold", [0.05, 0.95])
def test_closed_is_what_the_estimator_calls_closed(fitted, table, threshold):
    X, y = table
    sets = PatternConformalClassifier(fitted, threshold=threshold, min_samples=20, random_state=0)
    sets.conformalize(X, y)
    params = {"failures": {"noise": Noise(1.0)}, "n_bootstrap": 5, "random_state": 0}
    params["tolerance"] = 0.1
    found = failure_mode_analysis(sets, X, y, only="modality1", n_repeats=1, **params)
    gated = copy.copy(fitted)
    gated.threshold_ = threshold
    same = failure_mode_analysis(gated, X, y, only="modality1", n_repeats=1, **params)
    assert found.effects["closed"].tolist() == same.effects["closed"].tolist()
    usual = failure_mode_analysis(fitted, X, y, only="modality1", n_repeats=1, **params)
    fewer = found.effects["closed"].iloc[-1] < usual.effects["closed"].iloc[-1]
    assert fewer == (threshold < 0.5)


@pytest.mark.filterwarnings("ignore:160 test samples are too few")
def test_pipelines_are_seen_through(fitted, table):
    X, y = table
    params = {"failures": {"noise": Noise(1.0)}, "n_bootstrap": 2, "n_repeats": 1}
    modalities = {name: list(X.columns[c]) for name, c in zip(*of(fitted), strict=True)}
    back = FunctionTransformer(lambda X: X - 100.0)
    model = Pipeline([("first", back), ("last", fitted)])
    found = failure_mode_analysis(
        model, X + 100, y, modalities=modalities, random_state=0, **params
    )
    expected = failure_mode_analysis(fitted, X, y, random_state=0, **params)
    np.testing.assert_allclose(found.effects["closed"], expected.effects["closed"])
    renamed = {f"my {name}": columns for name, columns in modalities.items()}
    found = failure_mode_analysis(fitted, X, y, modalities=renamed, random_state=0, **params)
    assert "closed" not in found.effects


def of(estimator):
    return estimator.modality_names_, estimator.modality_columns_


def test_the_same_random_state_gives_the_same_analysis(data):
    X, y = data[2:]
    params = {"modalities": MODALITIES, "only": "main", "n_repeats": 2, "n_bootstrap": 10}
    one, two = (failure_mode_analysis(Naive(), X, y, **params, random_state=3) for _ in range(2))
    pd.testing.assert_frame_equal(one.effects, two.effects)


def test_redundant_is_what_costs_less_than_the_tolerance_with_confidence(data):
    X, y = data[2][:300], data[3][:300]
    params = {"modalities": MODALITIES, "failures": {}, "only": "main", "random_state": 0}
    found = failure_mode_analysis(Naive(), X, y, tolerance=0.05, **params)
    row = found.importance.loc["main"]
    for tolerance, redundant in (
        ((row["drop"] + row["high"]) / 2, False),
        (row["high"] + 1e-9, True),
    ):
        found = failure_mode_analysis(Naive(), X, y, tolerance=tolerance, **params)
        assert found.importance.loc["main", "redundant"] == redundant


def test_with_few_samples_no_modality_is_redundant(data):
    """A loss that is rarer than the tolerance may not be among them."""
    X, y = data[2:]
    params = {"modalities": MODALITIES, "failures": {}, "only": "nothing", "random_state": 0}
    match = "40 test samples are too few .* tolerance=0.01. At least 369 are needed"
    with pytest.warns(UserWarning, match=match):
        few = failure_mode_analysis(Naive(), X[:40], y[:40], **params)
    assert few.importance.loc["nothing", ["drop", "low"]].tolist() == [0, 0]
    assert not few.importance.loc["nothing", "redundant"]
    assert "needed, or too few samples" in few.to_html()
    assert failure_mode_analysis(Naive(), X[:369], y[:369], **params).importance["redundant"].all()


@pytest.mark.slow
def test_what_is_lost_more_often_than_tolerated_is_rarely_redundant():
    """The test samples of an analysis are few or many, but the promise is the same."""

    class Spoilt(Naive):
        def predict(self, X):
            return np.where(np.isnan(X[:, 0]), X[:, 1], 0.0).astype(int)

    rng = np.random.default_rng(0)
    redundant = []
    for _ in range(300):
        X = np.column_stack([np.zeros(400), rng.random(400) < 0.0101])
        found = failure_mode_analysis(
            Spoilt(),
            X,
            np.zeros(400, dtype=int),
            modalities={"a": [0]},
            failures={},
            n_bootstrap=200,
            n_repeats=1,
            random_state=0,
        )
        redundant.append(found.importance.loc["a", "redundant"])
    assert np.mean(redundant) < 0.05


def test_the_interval_includes_what_differs_between_repeats(data):
    """A sensor that is stuck at a typical value costs little, at another one more."""
    X, y = data[2][:400], data[3][:400]
    params = {"modalities": MODALITIES, "failures": {"stuck": Stuck()}, "only": "main"}
    found = [
        failure_mode_analysis(Naive(), X, y, n_bootstrap=200, random_state=seed, **params)
        .effects.set_index("failure")
        .loc["stuck"]
        for seed in range(40)
    ]
    typical = np.mean([effect["drop"] for effect in found])
    assert np.mean([effect["low"] < typical < effect["high"] for effect in found]) > 0.8
    assert np.std([effect["drop"] for effect in found]) > 0.01


class FirstElseSecond(Naive):
    """The first column over a threshold, or the second if the first is missing."""

    def predict_proba(self, X):
        second = (np.where(np.isnan(X[:, 0]), X[:, 1], X[:, 0]) > 0.5).astype(float)
        return np.column_stack([1 - second, second])


def slow_stream(seed, n_samples, run=100):
    """Samples whose state lasts; in some states only the first column knows the class."""
    rng = np.random.default_rng(seed)
    state = np.repeat(rng.integers(4, size=-(-n_samples // run)), run)[:n_samples]
    y = rng.integers(2, size=n_samples)
    X = rng.normal(size=(n_samples, 4)) * 0.2 + y[:, None]
    X[state == 0, 1:] = 0.5
    return np.column_stack([X, state]), y


def test_in_slow_streams_blocks_of_samples_are_drawn():
    modalities = {"main": [0], "others": [1, 2, 3, 4]}
    params = {"modalities": modalities, "failures": {}, "n_bootstrap": 200, "random_state": 0}
    params["tolerance"] = 0.0
    drops, widths = [], {1: [], 300: []}
    for seed in range(1, 21):
        X, y = slow_stream(seed, 2000)
        with pytest.warns(UserWarning, match="Neighboring test samples are similar"):
            single = failure_mode_analysis(FirstElseSecond(), X, y, **params).importance.loc["main"]
        of_blocks = failure_mode_analysis(FirstElseSecond(), X, y, block_size=300, **params)
        blocks = of_blocks.importance.loc["main"]
        drops.append(single["drop"])
        for size, of_size in ((1, single), (300, blocks)):
            widths[size].append(of_size["drop"] - of_size["low"])
    spread = 1.96 * np.std(drops)
    assert np.mean(widths[1]) < 0.5 * spread
    assert np.mean(widths[300]) == pytest.approx(spread, rel=0.4)


@pytest.mark.parametrize("kind", ["object", "category", "bool", "text", "duration"])
def test_similar_neighbors_are_noticed_in_any_column(kind):
    blocks = np.repeat(np.random.default_rng(0).integers(3, size=8), 50)
    columns = {
        "object": blocks.astype(float).astype(object),
        "category": pd.Categorical(blocks),
        "bool": blocks > 0,
        "text": np.array(["low", "mid", "high"])[blocks],
        "duration": pd.to_timedelta(blocks, unit="s"),
    }
    X, y = pd.DataFrame({"a": columns[kind]}), np.arange(400) % 2
    with pytest.warns(UserWarning, match="Neighboring test samples are similar"):
        _warn_of_dependence(X, y)
    shuffled = X.sample(frac=1, random_state=0)
    _warn_of_dependence(shuffled, y)


def test_predictions_may_be_a_column(data):
    X, _, X_test, _ = data
    y, y_test = X[:, 0] + X[:, 3], X_test[:, 0] + X_test[:, 3]
    model = make_pipeline(SimpleImputer(), LinearRegression()).fit(X, y[:, None])
    found = failure_mode_analysis(model, X_test, y_test, modalities=MODALITIES, failures={})
    assert found.clean["score"] == pytest.approx(1.0)
    assert not found.importance["redundant"]["main"]


def test_rare_classes_are_in_every_bootstrap_sample():
    X = np.random.default_rng(0).normal(size=(200, 2))
    y = np.repeat([0, 1], [197, 3])
    model = HistGradientBoostingClassifier(max_iter=2, random_state=0).fit(X, y)
    found = failure_mode_analysis(
        model,
        X,
        y,
        modalities={"a": [0], "b": [1]},
        failures={},
        method="predict_proba",
        metric=lambda y, p: roc_auc_score(y, p[:, 1]),
        tolerance=2.0,
        n_bootstrap=50,
    )
    assert found.effects[["low", "high"]].notna().all(axis=None)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"failures": {"absent": Noise(1)}},
            "failures has the name 'absent', which is the failure",
        ),
        ({"tolerance": -1}, "tolerance=-1 must be a number that is not negative"),
        ({"confidence_level": 1.0}, "confidence_level=1.0 must be between 0 and 1"),
        ({"n_bootstrap": 0}, "n_bootstrap=0 must be a positive integer"),
        ({"block_size": 0}, "block_size=0 must be an integer from 1 to half"),
        ({"block_size": 751}, "number of test samples, which is 1500"),
        ({"only": "radar"}, "only='radar' must name at least one modality"),
        ({"modalities": None}, "has no modalities of its own. Pass modalities"),
    ],
)
def test_bad_parameters(data, params, message):
    with pytest.raises(ValueError, match=message):
        failure_mode_analysis(Naive(), *data[2:], **{"modalities": MODALITIES, **params})


# --- the page ---


def test_page_says_what_can_be_lost(analysis, tmp_path):
    page = analysis.to_html(title="Pump <3>")
    assert page.startswith("<!DOCTYPE html>")
    assert "<title>Pump &lt;3&gt;</title>" in page
    assert "by itself: <b>copy</b>, <b>twin</b>, <b>nothing</b>." in page
    assert "that they are not: <b>main</b>." in page
    assert "absent together: <b>copy and nothing</b>, <b>twin and nothing</b>." in page
    assert "<h2>Calibration error, by failure</h2>" in page
    assert "prediction sets" not in page
    assert "<script" not in page
    assert analysis.to_html(tmp_path / "page.html", title="Pump <3>") is None
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    buffer = io.StringIO()
    analysis.to_html(buffer, title="Pump <3>")
    assert buffer.getvalue() == page


def test_names_that_look_like_html_stay_names(data):
    evil = "</table><script>document.title='evil'</script>{{data}}"
    found = failure_mode_analysis(
        Naive(), *data[2:], modalities={evil: [3]}, failures={evil: Noise(1)}, n_bootstrap=2
    )
    page = found.to_html(title=evil)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 4


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"metric": "accuracy"}, "metric='accuracy' must be a function"),
        ({"method": "predict_all"}, "LogisticRegression has no such method"),
        ({"method": "predict_proba"}, "method='predict_proba' needs a metric"),
        ({"failures": [Noise(1)]}, "failures must be a dict"),
    ],
)
def test_parameters_of_the_wrong_kind(params, match):
    X, y = np.arange(40.0).reshape(20, 2), np.arange(20) % 2
    model = LogisticRegression().fit(X, y)
    with pytest.raises((TypeError, ValueError), match=match):
        failure_mode_analysis(model, X, y, modalities={"a": [0], "b": [1]}, **params)


def test_failures_may_be_attacks(table, fitted):
    X, y = table
    attack = {"attack": Adversarial(1.0), "random": RandomSigns(1.0)}
    effects = failure_mode_analysis(
        fitted, X, y, failures=attack, n_repeats=1, n_bootstrap=20, tolerance=0.05, random_state=0
    ).effects
    loss = effects.groupby("failure")["drop"].mean()
    assert loss["attack"] > loss["random"]


def test_columns_of_a_modality_may_be_absent(table, quick):
    X, y = table
    X = X.assign(more__0=np.arange(len(X)), more__1=0.0)
    modalities = {f"modality{i}": [f"modality{i}__{j}" for j in range(3)] for i in range(3)}
    classifier = quick(
        modalities=modalities, remainder="drop", missing_modalities="allow", max_epochs=3
    ).fit(X, y)
    missing = X.copy()
    missing[modalities["modality0"]] = np.nan
    absent = X.drop(columns=modalities["modality0"])
    params = {"tolerance": 0.05, "n_bootstrap": 20, "random_state": 0, "failures": {}}
    expected = failure_mode_analysis(classifier, missing, y, reference=X, **params)
    found = failure_mode_analysis(classifier, absent, y, reference=X, **params)
    pd.testing.assert_frame_equal(found.effects, expected.effects)
    first, second = (
        PatternConformalClassifier(
            classifier, corruption=Noise(8, only="modality1"), cv="prefit", random_state=0
        ).conformalize(each, y)
        for each in (missing, absent)
    )
    np.testing.assert_array_equal(first.predict_set(X), second.predict_set(X))
