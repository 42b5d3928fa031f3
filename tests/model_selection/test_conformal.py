"""Prediction sets and intervals: their coverage, and that they fit scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import kstest
from sklearn import config_context
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GroupKFold, KFold
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_array

from sklearn_emma import DAEEnergyScorer, EMMAClassifier, GatedClassifier
from sklearn_emma.corruption import Adversarial, Missing, Noise, VirtualAdversarial
from sklearn_emma.datasets import make_multimodal_classification
from sklearn_emma.model_selection import (
    AbstainingClassifier,
    PatternConformalClassifier,
    PatternConformalRegressor,
)
from sklearn_emma.model_selection.conformity import uniform_of_samples
from sklearn_emma.model_selection.failing_copies import failing_copies
from sklearn_emma.model_selection.patterns import (
    CalibrationScores,
    PatternThresholds,
    conformal_threshold,
)


class WithGate:
    """Adds a gate that closes what is missing, or far from zero."""

    limit = 5.0

    def _tell(self, X):
        self.modality_columns_ = [np.array([i]) for i in range(np.shape(X)[1])]
        self.modality_names_ = [f"m{i}" for i in range(np.shape(X)[1])]

    def fit(self, X, y, sample_weight=None):
        super().fit(X, y, sample_weight)
        self._tell(X)
        return self

    def attention(self, X):
        X = check_array(X, ensure_all_finite="allow-nan")
        return (np.abs(np.nan_to_num(X, nan=np.inf)) < self.limit).astype(float)


class GatedLogistic(WithGate, LogisticRegression):
    """A classifier with a gate, fitted in no time; missing values count as zero."""

    def predict_proba(self, X):
        # scikit-learn's checks want their own errors for NaN
        return super().predict_proba(self._filled(X))

    def predict(self, X):
        return super().predict(self._filled(X))

    def _filled(self, X):
        if isinstance(X, np.ndarray) and X.dtype.kind == "f" and getattr(self, "fills", False):
            return np.nan_to_num(X)
        return X


class GatedLinear(WithGate, LinearRegression):
    """A regressor with a gate, fitted in no time."""

    def total_energy(self, X):
        return np.abs(check_array(X)).sum(axis=1)


QUICK = {"corruption": Noise(1), "cv": 2, "random_state": 0}


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_tables_of_pyarrow_are_calibrated_on(fitted, table):
    pyarrow = pytest.importorskip("pyarrow")
    X, y = table
    arrow = pyarrow.Table.from_pandas(X, preserve_index=False)
    sets = PatternConformalClassifier(fitted, min_samples=20, random_state=0)
    expected = sets.conformalize(X, y).predict_set(X)
    assert_array_equal(sets.conformalize(arrow, y).predict_set(arrow), expected)


@parametrize_with_checks([PatternConformalClassifier(GatedLogistic(), **QUICK)])
def test_estimator_check(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([PatternConformalRegressor(GatedLinear(), **QUICK)])
def test_estimator_check_of_the_regressor(estimator, check):
    check(estimator)


def missing_samples(seed, n=2000):
    """Three columns, of which the first tells most about three classes."""
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n)
    return rng.normal(size=(n, 3)) + np.outer(y, [1.5, 0.8, 0.3]), y


@pytest.fixture(scope="module")
def filling():
    """A classifier of `missing_samples` that fills what is missing."""
    clf = GatedLogistic()
    clf.fills = True
    clf.limit = np.inf
    return clf.fit(*missing_samples(0))


def lose(X, *columns):
    X = X.copy()
    X[:, columns] = np.nan
    return X


@pytest.mark.parametrize("score", ["lac", "aps"])
def test_every_pattern_has_its_coverage(filling, score):
    sets = PatternConformalClassifier(
        filling, conformity_score=score, corruption=Missing(), random_state=0
    )
    sets.conformalize(*missing_samples(1))
    X, y = missing_samples(2, 5000)
    sizes = []
    for lost in ((), (0,), (1,), (2,)):
        mask = sets.predict_set(lose(X, *lost))
        assert mask.shape == (5000, 3)
        assert mask.dtype == bool
        assert mask[np.arange(5000), y].mean() == pytest.approx(0.9, abs=0.03)
        sizes.append(mask.sum(axis=1).mean())
    assert sizes[1] > sizes[0] + 0.3  # honest sets without the best column are larger


def test_one_threshold_for_all_patterns_does_not_have_the_coverage_of_each(filling):
    """What the patterns are for."""
    together = PatternConformalClassifier(
        filling, corruption=Missing(), min_samples=10**6, random_state=0
    ).conformalize(*missing_samples(1))
    X, y = missing_samples(2, 5000)
    lost = together.predict_set(lose(X, 0))[np.arange(5000), y].mean()
    assert lost < 0.85
    assert together.pattern_thresholds_.table["closed"].tolist() == ["other"]


def test_aps_gives_the_same_sets_in_every_call(filling):
    X, y = missing_samples(1)
    sets = PatternConformalClassifier(filling, conformity_score="aps", random_state=0)
    sets.conformalize(X, y)
    assert_array_equal(sets.predict_set(X), sets.predict_set(X))


def test_aps_gives_the_same_sets_and_coverage_one_sample_at_a_time(filling):
    sets = PatternConformalClassifier(filling, conformity_score="aps", random_state=45)
    sets.conformalize(*missing_samples(1))
    X, y = missing_samples(2)
    together = sets.predict_set(X[:400])
    alone = np.vstack([sets.predict_set(X[[i]]) for i in range(400)])
    assert_array_equal(alone, together)
    assert 0.85 < alone[np.arange(400), y[:400]].mean() < 0.95


def test_the_random_number_of_a_sample_depends_on_its_values_and_the_seed():
    X = np.random.default_rng(0).normal(size=(2000, 3))
    uniform = uniform_of_samples(X, 0)
    assert kstest(uniform, "uniform").pvalue > 0.01
    assert_array_equal(uniform_of_samples(X[::-1], 0), uniform[::-1])
    assert_array_equal(uniform_of_samples(pd.DataFrame(X).astype("Float64"), 0), uniform)
    assert abs(np.corrcoef(uniform, uniform_of_samples(X, 1))[0, 1]) < 0.1
    assert abs(np.corrcoef(uniform, uniform_of_samples(X[:, [1, 0, 2]], 0))[0, 1]) < 0.1
    assert_array_equal(uniform_of_samples(X.astype(np.float32), 0), uniform)


def test_the_random_number_does_not_depend_on_the_type_of_a_batch():
    columns = {
        "level": pd.Categorical(["x", "y", None]),
        "word": ["u", None, "v"],
        "number": [1.5, None, -0.0],
        "count": pd.array([1, None, 3], dtype="Int64"),
        "on": pd.array([True, None, False], dtype="boolean"),
    }
    table = pd.DataFrame(columns)
    uniform = uniform_of_samples(table, 0)
    assert len(np.unique(uniform)) == 3
    records = table.astype(object).where(table.notna(), None).to_dict("records")
    for batch in (table.astype(object), pd.DataFrame(records)):
        assert_array_equal(uniform_of_samples(batch, 0), uniform)
    alone = [uniform_of_samples(pd.DataFrame([record]), 0)[0] for record in records]
    assert_array_equal(alone, uniform)


def test_sets_are_never_empty_unless_allowed(filling):
    X, y = missing_samples(1)
    params = {"confidence_level": 0.3, "corruption": Missing(), "random_state": 0}
    allowed = PatternConformalClassifier(filling, **params).conformalize(X, y)
    sets = PatternConformalClassifier(filling, **params, allow_empty=False).conformalize(X, y)
    empty = ~allowed.predict_set(X).any(axis=1)
    assert empty.any()
    assert_array_equal(sets.predict_set(X)[~empty], allowed.predict_set(X)[~empty])
    assert_array_equal(sets.predict_set(X)[empty].argmax(axis=1), sets.predict(X[empty]))
    assert (sets.predict_set(X)[empty].sum(axis=1) == 1).all()


@pytest.mark.parametrize("score", ["lac", "aps"])
def test_without_failures_it_is_the_split_conformal_prediction_of_mapie(filling, score):
    classification = pytest.importorskip("mapie.classification", reason="needs MAPIE")
    X, y = missing_samples(1, 500)
    X_new, y_new = missing_samples(2)
    threshold = np.sort(1 - filling.predict_proba(X)[np.arange(500), y])[450]  # 451 of 501
    clean = CalibrationScores(
        1 - filling.predict_proba(X)[np.arange(500), y],
        np.zeros((500, 3), dtype=bool),
        np.arange(500),
        np.ones(500),
        np.zeros(500),
    )
    assert PatternThresholds(clean, 0.9, 1, list("abc")).table["threshold"][0] == threshold
    if score == "lac":
        theirs = classification.SplitConformalClassifier(filling, confidence_level=0.9)
        theirs = theirs.conformalize(X, y).predict_set(X_new)[1][:, :, 0]
        assert_array_equal(1 - filling.predict_proba(X_new) <= threshold, theirs)


def test_fit_calibrates_on_samples_that_were_held_out():
    """A classifier that learns by heart is right in all training samples."""
    X, y = missing_samples(0, 600)

    class ByHeart(GatedLogistic):
        def fit(self, X, y, sample_weight=None):
            super().fit(X, y, sample_weight)
            self.known = {tuple(row): label for row, label in zip(X, y, strict=True)}
            return self

        def predict_proba(self, X):
            sure = [self.known.get(tuple(row), (hash(tuple(row)) % 3)) for row in X]
            return np.eye(3)[sure]

    by_fit = PatternConformalClassifier(ByHeart(), corruption=Noise(0.1), random_state=0).fit(X, y)
    assert by_fit.predict_set(X).all()  # right by chance in a third of the others
    assert by_fit.estimator_.known.keys() == {tuple(row) for row in X}


def test_fit_alone_gives_every_pattern_its_coverage():
    class Filling(GatedLogistic):
        fills, limit = True, np.inf

    sets = PatternConformalClassifier(Filling(), corruption=Missing(), random_state=0)
    sets.fit(*missing_samples(1))
    X, y = missing_samples(2, 5000)
    for lost in ((), (0,), (1,), (0, 1)):
        mask = sets.predict_set(lose(X, *lost))
        assert mask[np.arange(5000), y].mean() == pytest.approx(0.9, abs=0.03)


def test_conformalize_takes_a_fitted_estimator_and_leaves_it_alone(filling):
    X, y = missing_samples(1, 400)
    before = filling.coef_.copy()
    sets = PatternConformalClassifier(filling, random_state=0).conformalize(X, y)
    assert sets.estimator_ is filling
    prefit = PatternConformalClassifier(filling, cv="prefit", random_state=0).fit(X, y)
    assert_array_equal(prefit.predict_set(X), sets.predict_set(X))
    assert_array_equal(filling.coef_, before)
    frozen = PatternConformalClassifier(FrozenEstimator(filling), random_state=0).conformalize(X, y)
    assert_array_equal(frozen.predict_set(X), sets.predict_set(X))


def test_conformalize_after_fit_replaces_the_thresholds(filling):
    X, y = missing_samples(1, 900)
    sets = PatternConformalClassifier(GatedLogistic(), corruption=Noise(1), random_state=0)
    sets.fit(X[:300], y[:300])
    inside = sets.estimator_
    sets.conformalize(X[300:], y[300:])
    assert sets.estimator_ is inside
    assert sets.pattern_thresholds_.table["n_samples"].iloc[-1] == 600


def test_conformalize_uses_an_estimator_that_was_replaced(filling):
    X, y = missing_samples(1, 900)
    sets = PatternConformalClassifier(GatedLogistic(), corruption=Noise(1), random_state=0)
    sets.fit(X[:300], y[:300])
    sets.set_params(estimator=filling).conformalize(X[300:], y[300:])
    assert sets.estimator_ is filling


def test_works_around_the_estimators_of_the_package(fitted, table, quick):
    X, y = table
    sets = PatternConformalClassifier(fitted, min_samples=20, random_state=0).conformalize(X, y)
    assert_array_equal(sets.closed(X), fitted.attention(X) <= 0.5)
    assert_array_equal(sets.predict(X), fitted.predict(X))
    assert_array_equal(sets.predict_proba(X), fitted.predict_proba(X))
    assert sets.pattern_thresholds_.table["closed"].iloc[0] == "none"
    assert sets.feature_names_in_.tolist() == X.columns.tolist()
    gated = GatedClassifier(LogisticRegression(), "prefix", gate=quick(modalities=None))
    gated = gated.set_params(random_state=0).fit(X, y)
    sets = PatternConformalClassifier(gated, random_state=0).conformalize(X, y)
    assert sets.predict_set(X)[np.arange(len(y)), y].mean() > 0.8


def test_intervals_have_their_coverage_by_pattern():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(9000, 3))
    y = X @ [1.0, 1.0, 0.2] + rng.normal(scale=0.3, size=9000)
    reg = GatedLinear().fit(X[:1000], y[:1000])
    X_new = np.vstack([X[5000:], X[5000:]])
    y_new = np.tile(y[5000:], 2)
    X_new[4000:, 0] += 10 * rng.normal(size=4000)
    fails = np.arange(8000) >= 4000
    for score in ("absolute", "normalized"):
        intervals = PatternConformalRegressor(
            reg, conformity_score=score, corruption=Noise(10), random_state=0
        )
        intervals.conformalize(X[1000:5000], y[1000:5000])
        lower, upper = intervals.predict_interval(X_new).T
        inside, width = (lower <= y_new) & (y_new <= upper), upper - lower
        closed = intervals.closed(X_new)[:, 0]
        assert inside[~fails].mean() == pytest.approx(0.91, abs=0.04)
        assert inside[closed].mean() == pytest.approx(0.9, abs=0.04)
        assert width[closed].mean() > 3 * width[~fails].mean()
        assert (np.ptp(width[closed]) > 1e-9) == (score == "normalized")


def test_quantiles_are_widened_until_they_cover():
    class Quantiles(GatedLinear):
        def predict_quantiles(self, X):
            return np.column_stack([self.predict(X) - 0.1, self.predict(X) + 0.1])

    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 2))
    y = X.sum(axis=1) + rng.normal(size=4000)
    reg = Quantiles().fit(X[:1000], y[:1000])
    intervals = PatternConformalRegressor(
        reg, conformity_score="quantile", corruption=Noise(1), random_state=0
    )
    intervals.conformalize(X[1000:2000], y[1000:2000])
    lower, upper = intervals.predict_interval(X[2000:]).T
    clean = ~intervals.closed(X[2000:]).any(axis=1)
    inside = (lower <= y[2000:]) & (y[2000:] <= upper)
    assert inside[clean].mean() == pytest.approx(0.9, abs=0.04)
    without = clone(intervals).set_params(estimator=GatedLinear())
    with pytest.raises(TypeError, match="needs a regressor with predict_quantiles"):
        without.fit(X, y)


def test_bounds_of_intervals_are_in_order_if_the_quantiles_are_far_too_wide():
    class Quantiles(GatedLinear):
        def predict_quantiles(self, X):
            width = np.where(np.asarray(X)[:, 0] > 1.8, 1.0, 5.0)
            return np.column_stack([self.predict(X) - width, self.predict(X) + width])

    X = np.random.default_rng(0).normal(size=(600, 2))
    y = X.sum(axis=1)
    reg = Quantiles().fit(X, y)
    intervals = PatternConformalRegressor(
        reg, conformity_score="quantile", corruption=Noise(1), random_state=0
    )
    lower, upper = intervals.conformalize(X, y).predict_interval(X).T
    assert (lower <= upper).all()
    assert_allclose(np.abs(lower - y).min(), 0, atol=1e-9)  # only the midpoint is left


def test_too_few_samples_give_all_labels_and_endless_intervals(filling):
    X, y = missing_samples(1, 6)
    sets = PatternConformalClassifier(filling, random_state=0).conformalize(X, y)
    assert sets.predict_set(X).all()
    reg = GatedLinear().fit(X, y)
    intervals = PatternConformalRegressor(reg, corruption=Noise(1)).conformalize(X, y)
    assert_array_equal(intervals.predict_interval(X), np.tile([-np.inf, np.inf], (6, 1)))


def test_errors_say_what_to_do(filling):
    X, y = missing_samples(1, 100)
    with pytest.raises(
        TypeError, match="needs a fitted estimator with a gate, .* attribute attention"
    ):
        PatternConformalClassifier(LogisticRegression()).fit(X, y)
    with pytest.raises(ValueError, match=r"y contains \[3\], but the classifier was only fitted"):
        PatternConformalClassifier(filling).conformalize(X, np.where(y == 0, 3, y))
    with pytest.raises(ValueError, match="not fitted"):
        PatternConformalClassifier(GatedLogistic()).conformalize(X, y)
    with pytest.raises(TypeError, match="needs a regressor, but .* is a classifier"):
        PatternConformalRegressor(filling).conformalize(X, y)


# --- the parts ---


def test_each_sample_counts_once_however_many_copies_it_has():
    score = np.arange(10.0)
    once = conformal_threshold(score, np.arange(10), np.ones(10), 0.8)
    assert once == 8.0  # the ninth of ten: 0.8 * 11 = 8.8
    copies = np.repeat(score, np.arange(1, 11))
    sample = np.repeat(np.arange(10), np.arange(1, 11))
    assert conformal_threshold(copies, sample, 1 / np.bincount(sample)[sample], 0.8) == once
    assert conformal_threshold(score[:4], np.arange(4), np.ones(4), 0.8) == 3.0
    assert conformal_threshold(score[:3], np.arange(3), np.ones(3), 0.8) == np.inf


def test_coverage_is_exact_for_random_copies():
    """The mean over calibrations, against the promise of hierarchical conformal prediction."""
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(4000):
        center = rng.normal(size=25)
        scores = center[:, None] + rng.normal(size=(25, 3))
        q = conformal_threshold(
            scores[:24].ravel(), np.repeat(np.arange(24), 3), np.ones(72), level=0.8
        )
        hits.append(scores[24, 0] <= q)
    assert 0.79 < np.mean(hits) < 0.80 + 1 / 25 + 0.02


def test_copies_count_with_their_probability():
    """Few clean samples are in a group, but they are more likely than all the failing copies."""
    rng = np.random.default_rng(0)
    n, n_new, hits, total = 400, 4000, 0.0, 0.0
    for _ in range(50):
        closed = rng.uniform(size=n) < 0.05
        clean, failing = rng.normal(5.0, 1.0, n), rng.normal(size=n)
        score = np.concatenate([clean[closed], failing])
        sample = np.concatenate([np.flatnonzero(closed), np.arange(n)])
        weight = np.repeat([0.9, 0.1], [closed.sum(), n])
        q = conformal_threshold(score, sample, weight, 0.8)
        closed = rng.uniform(size=n_new) < 0.05
        new_clean, new_failing = rng.normal(5.0, 1.0, n_new), rng.normal(size=n_new)
        hits += 0.9 * (new_clean[closed] <= q).sum() + 0.1 * (new_failing <= q).sum()
        total += 0.9 * closed.sum() + 0.1 * n_new
    assert 0.79 < hits / total < 0.84


def test_patterns_with_few_samples_are_put_together():
    patterns = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 1, 1]]
    closed = np.repeat(np.array(patterns, dtype=bool), [50, 30, 12, 9, 15, 3], axis=0)
    n = len(closed)
    calibration = CalibrationScores(
        np.arange(float(n)), closed, np.arange(n), np.ones(n), np.zeros(n)
    )
    thresholds = PatternThresholds(calibration, 0.5, 20, list("abc"))
    assert thresholds.table["closed"].tolist() == ["none", "a", "1 of 3", "other"]
    assert thresholds.table["n_samples"].tolist() == [50, 30, 21, n]
    new = np.array(patterns + [[0, 1, 1]], dtype=bool)
    assert thresholds.group(new).tolist() == [0, 1, 2, 2, 3, 3, 3]
    assert_allclose(
        thresholds.of(new), thresholds.table["threshold"].to_numpy()[[0, 1, 2, 2, 3, 3, 3]]
    )


def test_patterns_without_a_group_get_the_largest_threshold():
    closed = np.repeat(np.array([[0, 0], [1, 0]], dtype=bool), [90, 30], axis=0)
    score = np.concatenate([np.arange(90.0), 1000 + np.arange(30.0)])
    sample = np.arange(120)
    calibration = CalibrationScores(score, closed, sample, np.ones(120), np.zeros(120))
    thresholds = PatternThresholds(calibration, 0.8, 20, list("ab"))
    alone, both = thresholds.of(np.array([[1, 0], [1, 1]], dtype=bool))
    assert both == alone > conformal_threshold(score, sample, np.ones(120), 0.8)


def test_every_number_of_modalities_fails_in_some_copy(filling):
    X, y = missing_samples(0, 50)
    copies = list(
        failing_copies(filling, X, y, corruption=Missing(), n_several=4, failure_rate=0.2, seed=0)
    )
    assert_array_equal(copies[0][1], X)
    assert copies[0][0] == 0.8
    assert sum(weight for weight, _ in copies) == pytest.approx(1)
    lost = [np.isnan(table).sum(axis=1) for _, table in copies]
    assert [set(number) for number in lost] == [{0}, {1}, {1}, {1}, {2}, {3}]
    for i in range(3):
        assert np.isnan(copies[i + 1][1][:, i]).all()


def test_folds_may_hold_groups_together():
    X, y = missing_samples(1, 300)
    groups = np.arange(300) // 10
    sets = PatternConformalClassifier(
        GatedLogistic(), corruption=Noise(1), cv=GroupKFold(3), random_state=0
    )
    by_group = sets.fit(X, y, groups=groups).predict_set(X)
    folds = list(GroupKFold(3).split(X, y, groups))
    assert_array_equal(by_group, clone(sets).set_params(cv=folds).fit(X, y).predict_set(X))


def test_samples_of_weight_zero_are_not_calibrated_on():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 2))
    y, weight = X.sum(axis=1) + rng.normal(size=600), np.ones(600)
    y[::4] += 100.0
    weight[::4] = 0.0
    intervals = PatternConformalRegressor(GatedLinear(), cv=3, corruption=Noise(1), random_state=0)
    width = np.diff(intervals.fit(X, y, sample_weight=weight).predict_interval(X))
    assert np.median(width) < 5
    assert intervals.pattern_thresholds_.table["n_samples"].iloc[-1] == 450
    fitted = GatedLinear().fit(X, y, weight)
    prefit = clone(intervals).set_params(estimator=FrozenEstimator(fitted), cv="prefit")
    assert np.median(np.diff(prefit.fit(X, y, weight).predict_interval(X))) < 5
    kept = clone(prefit).conformalize(X[weight > 0], y[weight > 0])
    assert_array_equal(kept.predict_interval(X), prefit.predict_interval(X))


@pytest.mark.parametrize(
    "params", [{"groups": np.zeros(60)}, {"depth": 3}], ids=["groups", "depth"]
)
def test_without_a_fit_parameters_of_fit_are_refused(params):
    X = np.random.default_rng(0).normal(size=(60, 2))
    prefit = PatternConformalRegressor(GatedLinear().fit(X, X[:, 0]), cv="prefit")
    with pytest.raises(TypeError, match=f"{next(iter(params))}: with cv='prefit' nothing is"):
        prefit.fit(X, X[:, 0], **params)
    with pytest.raises(ValueError, match="at least 2 samples, got 1"):
        prefit.conformalize(X[:1], X[:1, 0])


def test_metadata_is_routed_to_the_fits_and_the_splitter():
    X, y = missing_samples(1, 300)
    weight, groups = (np.arange(300) % 3 > 0).astype(float), np.arange(300) // 10
    params = {"corruption": Noise(1), "cv": GroupKFold(3), "random_state": 0}
    plain = PatternConformalClassifier(GatedLogistic(), **params)
    plain.fit(X, y, sample_weight=weight, groups=groups)
    with config_context(enable_metadata_routing=True):
        inner = GatedLogistic().set_fit_request(sample_weight=True)
        routed = PatternConformalClassifier(inner, **params)
        routed.fit(X, y, sample_weight=weight, groups=groups)
        with pytest.raises(ValueError, match="not explicitly set as requested"):
            clone(plain).fit(X, y, sample_weight=weight)
    assert_array_equal(routed.predict_set(X), plain.predict_set(X))


@pytest.mark.parametrize("score", ["lac", "aps"])
def test_parameters_set_after_calibration_wait_for_the_next_one(filling, score):
    sets = PatternConformalClassifier(filling, conformity_score=score, random_state=0)
    sets.conformalize(*missing_samples(1, 300))
    X = lose(missing_samples(2, 200)[0], 0)
    expected = sets.predict_set(X)
    other = {"lac": "aps", "aps": "lac"}[score]
    sets.set_params(conformity_score=other, threshold=0.99, random_state=1)
    assert_array_equal(sets.predict_set(X), expected)
    assert sets.conformalize(*missing_samples(1, 300)).conformity_score_ == other


def test_sets_are_the_same_in_every_call_whatever_the_random_state(filling):
    sets = PatternConformalClassifier(filling, conformity_score="aps")
    sets.conformalize(*missing_samples(1, 300))
    X = missing_samples(2, 200)[0]
    assert_array_equal(sets.predict_set(X)[:50], sets.predict_set(X[:50]))


def test_a_single_quantile_is_no_interval():
    class OneQuantile(GatedLinear):
        def predict_quantiles(self, X):
            return self.predict(X)[:, None]

    X = np.random.default_rng(0).normal(size=(60, 2))
    regressor = PatternConformalRegressor(OneQuantile(), conformity_score="quantile", cv=2)
    with pytest.raises(ValueError, match="at least two quantiles"):
        regressor.fit(X, X[:, 0])


def test_failures_may_be_attacks(table, fitted):
    X, y = table
    sets = PatternConformalClassifier(
        fitted, corruption=Adversarial(0.5), cv="prefit", min_samples=20, random_state=0
    )
    sets.conformalize(X, y)
    attacked, _ = Adversarial(0.5).against(fitted, y).corrupt(X, "prefix", random_state=0)
    covered = sets.predict_set(attacked)[np.arange(len(X)), np.searchsorted(sets.classes_, y)]
    assert covered.mean() > 0.6


def test_a_calibrated_classifier_can_be_saved_by_skops(table, quick):
    skops = pytest.importorskip("skops.io")
    X, y = table
    sets = PatternConformalClassifier(quick(max_epochs=2).fit(X[:80], y[:80]), random_state=0)
    sets.set_params(min_samples=20).conformalize(X[80:], y[80:])
    data = skops.dumps(sets)
    loaded = skops.loads(data, trusted=skops.get_untrusted_types(data=data))
    assert_array_equal(loaded.predict_set(X), sets.predict_set(X))
    assert loaded.pattern_thresholds_.table.equals(sets.pattern_thresholds_.table)


def test_what_is_always_missing_cannot_fail(filling):
    X, y = missing_samples(1, 300)
    X[:, 1] = np.nan
    sets = PatternConformalClassifier(filling, corruption=Missing(), min_samples=20, random_state=0)
    closed = sets.conformalize(X, y).pattern_thresholds_.table["closed"]
    assert closed.tolist()[:-1] == ["m1", "m1 + m2", "m0 + m1", "m0 + m1 + m2"]
    with pytest.raises(ValueError, match="no value in the modalities that may fail"):
        sets.conformalize(np.full_like(X, np.nan), y)


def test_a_column_without_values_cannot_be_simulated(table, quick):
    X, y = table
    classifier = quick(max_epochs=2).fit(X[:80], y[:80])
    empty = X[80:].assign(modality1__0=np.nan)
    with pytest.raises(
        ValueError, match="Column 0 of modality 'modality1' has no value in the cal"
    ):
        PatternConformalClassifier(classifier).conformalize(empty, y[80:])


def test_a_few_samples_of_much_weight_make_no_infinite_threshold():
    closed = np.repeat(np.array([[0, 0], [1, 0], [1, 0]], dtype=bool), [200, 5, 150], axis=0)
    weight = np.repeat([0.9, 0.9, 0.01], [200, 5, 150])
    score = np.arange(355.0)
    calibration = CalibrationScores(score, closed, np.arange(355), weight, np.zeros(355))
    assert conformal_threshold(score[200:], np.arange(155), weight[200:], 0.9) == np.inf
    table = PatternThresholds(calibration, 0.9, 100, list("ab")).table
    assert table["closed"].tolist() == ["none", "other"]
    assert np.isfinite(table["threshold"]).all()


def test_samples_without_a_label_are_not_calibrated_on():
    """Semi-supervised classifiers learn from samples of class -1, which is no class."""
    X, y = make_multimodal_classification(300, random_state=0, return_X_y=True)
    known = np.where(np.random.default_rng(0).uniform(size=300) < 0.5, -1, y)
    classifier = EMMAClassifier(
        "prefix",
        adversarial=VirtualAdversarial(),
        energy=DAEEnergyScorer(max_epochs=2),
        max_epochs=5,
        n_networks=1,
        l2_regularization=1.0,
        periodic_features=False,
        random_state=0,
    )
    known[:100] = -1
    folds = KFold(2)  # the classes differ between the folds
    calibrated = PatternConformalClassifier(classifier, cv=folds, random_state=0).fit(X, known)
    assert calibrated.classes_.tolist() == [0, 1]
    table = calibrated.pattern_thresholds_.table
    assert table["n_samples"].iloc[0] == (known >= 0).sum()
    assert np.isfinite(table["threshold"].iloc[0])
    abstaining = AbstainingClassifier(classifier, max_risk=0.3, cv=folds).fit(X, known)
    assert (abstaining.predict(X) == abstaining.abstain_label_).mean() < 0.3
    folds = [(np.arange(300), np.arange(100))]
    for estimator in (PatternConformalClassifier, AbstainingClassifier):
        with pytest.raises(ValueError, match="No held-out sample has a label"):
            estimator(classifier, cv=folds).fit(X, known)


@pytest.mark.parametrize(
    "estimator",
    [
        PatternConformalClassifier(GatedLogistic(), corruption=Noise(1), n_several=0, cv=2),
        AbstainingClassifier(GatedLogistic(), cv=2),
    ],
)
def test_a_fit_on_an_array_forgets_the_names_of_columns(estimator):
    X, y = make_multimodal_classification(60, random_state=0, return_X_y=True)
    estimator = clone(estimator).fit(X, y)
    assert len(estimator.feature_names_in_) == X.shape[1]
    estimator.fit(X.to_numpy()[:, :2], y)
    assert not hasattr(estimator, "feature_names_in_")
    assert estimator.n_features_in_ == 2
