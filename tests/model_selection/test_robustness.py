"""Curves and scorers under failure: what fails, in which units, and that it fits scikit-learn."""

import pickle

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_emma.corruption import Drift, Missing, Noise, NoiseSNR, Scaling, Stuck, Swapped
from sklearn_emma.model_selection import make_failure_scorer, robustness_curve

GROUPS = {"a": [0, 1], "b": [2, 3]}
LINEAR = make_pipeline(StandardScaler(), LogisticRegression())


@pytest.fixture
def rows():
    """The modality "a" tells the class, "b" says nothing; column 4 is in no modality."""
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=300)
    X = rng.normal(size=(300, 5)) * [1, 2, 3, 4, 5] + 10
    X[:, :2] += 5 * y[:, None]
    return X, y


class Witness(ClassifierMixin, BaseEstimator):
    """Remembers what it was fitted on."""

    def fit(self, X, y, sample_weight=None):
        self.X_, self.classes_, self.weight_ = X, np.unique(y), sample_weight
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def curve(X, y, estimator=LINEAR, **params):
    defaults = {"modalities": GROUPS, "levels": [0, 1, 4], "cv": 3, "random_state": 0}
    return robustness_curve(estimator, X, y, **(defaults | params))


# ---------------------------------------------------------------- robustness_curve


def test_score_falls_with_the_modality_that_matters_and_with_no_other(rows):
    result = curve(*rows)
    assert result.modality_names == ["a", "b"]
    assert_array_equal(result.levels, [0, 1, 4])
    assert result.test_scores.shape == (2, 3, 3)
    a, b = result.test_scores.mean(axis=2)
    assert a[0] > 0.95 > a[1] > a[2] + 0.03
    assert_allclose(b, b[0], atol=0.02)
    assert result.fit_times.shape == result.score_times.shape == (3,)
    assert (result.fit_times > 0).all()
    assert (result.score_times > 0).all()


def test_level_zero_is_what_cross_val_score_gives(rows):
    X, y = rows
    for failing in curve(X, y).test_scores:
        assert_allclose(failing[0], cross_val_score(LINEAR, X, y, cv=3))


@pytest.mark.parametrize(
    ("corruption", "level"), [(Noise, 0), (Drift, 0), (NoiseSNR, np.inf), (Scaling, 1)]
)
def test_rows_are_left_alone_at_the_harmless_level_of_each_corruption(rows, corruption, level):
    X, y = rows
    seen = []
    split = [(range(200), range(200, 300))]
    curve(X, y, Witness(), levels=[level], corruption=corruption, cv=split, scoring=record(seen))
    ((_, table),) = seen  # scored once, not per modality
    assert_array_equal(table, X[200:])


def record(seen):
    """A scorer that keeps what it was called with."""

    def score(estimator, X, y, **_):
        seen.append((estimator, X))
        return 0.0

    return score


def test_only_one_modality_fails_in_units_of_the_training_rows(rows):
    X, y = rows
    split = [(np.arange(200), np.arange(200, 300))]
    seen = []
    X[200:] *= 100  # so that units of the test rows would be noticed
    curve(X, y, Witness(), levels=[0, 2], cv=split, scoring=record(seen))
    clean, *broken = [table for _, table in seen]
    assert_array_equal(clean, X[200:])
    for table, columns in zip(broken, GROUPS.values(), strict=True):
        others = np.setdiff1d(range(5), columns)
        assert_array_equal(table[:, others], X[200:, others])
        noise = (table - X[200:])[:, columns] / X[:200, columns].std(axis=0)
        assert_allclose(noise.std(axis=0), 2, rtol=0.25)


def test_donors_are_training_rows(rows):
    X, y = rows
    split = [(np.arange(200), np.arange(200, 300))]
    seen = []
    curve(X, y, Witness(), corruption=lambda _: Swapped(), levels=[1], cv=split,
          scoring=record(seen))  # fmt: skip
    first = seen[0][1][:, 0]
    assert np.isin(first, X[:200, 0]).all()
    assert not np.isin(first, X[200:, 0]).any()


def test_each_split_fits_once_and_levels_share_their_random_numbers(rows):
    X, y = rows
    seen = []
    curve(X, y, Witness(), levels=[1, 2, 4], cv=2, scoring=record(seen))
    assert len({id(estimator) for estimator, _ in seen}) == 2
    one, two, four = (table for _, table in seen[:3])
    assert_allclose(four - two, 2 * (two - one))
    # but modalities and splits do not
    first, second = (
        (strong - weak)[:, columns] / X[:, columns].std(axis=0)
        for (_, weak), (_, strong), columns in (
            (seen[0], seen[1], [0, 1]),
            (seen[3], seen[4], [2, 3]),
        )
    )
    assert not np.allclose(first, second, rtol=0.5)


def test_fraction_of_the_corruption_is_kept(rows):
    seen = []
    curve(*rows, Witness(), corruption=lambda p: Missing(fraction=p), levels=[0, 0.25, 0.5],
          cv=[(range(200), range(200, 300))], scoring=record(seen), only="b")  # fmt: skip
    gone = [np.isnan(table[:, 2:4]).all(axis=1) for _, table in seen]
    assert [g.sum() for g in gone] == [0, 25, 50]
    assert gone[2][gone[1]].all()  # the failing rows of a lower level fail at a higher one


def test_only_chooses_the_modalities_in_their_own_order(rows):
    assert curve(*rows, only=["b", "a"]).modality_names == ["a", "b"]
    result = curve(*rows, only="b")
    assert result.modality_names == ["b"]
    assert_array_equal(result.test_scores[0], curve(*rows, only=["b"]).test_scores[0])


def test_random_state_decides_and_n_jobs_does_not(rows):
    scores = curve(*rows).test_scores
    assert_array_equal(scores, curve(*rows).test_scores)
    with parallel_config(backend="threading"):
        assert_array_equal(scores, curve(*rows, n_jobs=2).test_scores)
    assert (scores != curve(*rows, random_state=1).test_scores).any()
    assert (scores != curve(*rows, random_state=None).test_scores).any()


def test_repeats_are_averaged(rows):
    seen = []
    scorer = make_scorer(accuracy_score)

    def score(estimator, X, y):
        seen.append(scorer(estimator, X, y))
        return seen[-1]

    result = curve(*rows, levels=[4], only="a", cv=2, n_repeats=5, scoring=score)
    assert len(set(seen[:5])) > 1
    assert_allclose(result.test_scores[0, 0], [np.mean(seen[:5]), np.mean(seen[5:])])


def test_frame_holds_every_score_once(rows):
    result = curve(*rows)
    frame = result.frame
    assert list(frame.columns) == ["modality", "level", "split", "score"]
    assert len(frame) == result.test_scores.size
    row = frame.query("modality == 'b' and level == 4 and split == 2")
    assert row["score"].item() == result.test_scores[1, 2, 2]


def test_polars_pandas_and_arrays_give_the_same(rows):
    polars = pytest.importorskip("polars")
    X, y = rows
    names = ["a__0", "a__1", "b__0", "b__1", "c__0"]
    boosting = HistGradientBoostingClassifier(max_iter=5)
    of_array = curve(X, y, boosting).test_scores
    for frame in (pd.DataFrame(X, columns=names), polars.DataFrame(X, schema=names)):
        of_frame = curve(frame, y, boosting, modalities="prefix", only=["a", "b"])
        assert_array_equal(of_frame.test_scores, of_array)


def test_estimators_that_take_gaps_are_scored_on_missing_modalities(rows):
    boosting = HistGradientBoostingClassifier(max_iter=5)
    result = curve(*rows, boosting, corruption=lambda p: Missing(fraction=p), levels=[0, 1])
    assert result.test_scores[0, 1].mean() < 0.7 < result.test_scores[1, 1].mean()


def test_groups_weights_and_score_weights_go_where_they_belong(rows):
    X, y = rows
    groups = np.arange(300) // 10
    weight = np.arange(300.0)
    seen = []

    def score(estimator, X, y, sample_weight):
        seen.append((estimator.weight_, sample_weight))
        return 0.0

    curve(X, y, Witness(), levels=[0], cv=GroupKFold(3), groups=groups, scoring=score,
          params={"sample_weight": weight}, score_params={"sample_weight": weight})  # fmt: skip
    for fitted, scored in seen:
        assert_array_equal(np.sort(np.r_[fitted, scored]), weight)
        assert not np.isin(fitted // 10, scored // 10).any()


def test_estimators_without_targets_are_welcome(rows):
    class Mean(BaseEstimator):
        def fit(self, X):
            self.mean_ = X.mean(axis=0)
            return self

        def score(self, X, y=None):
            return -np.square(X - self.mean_).mean()

    scores = curve(rows[0], None, Mean()).test_scores.mean(axis=2)
    assert (np.diff(scores, axis=1) < 0).all()


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"levels": []}, ValueError, "at least one number"),
        ({"levels": ["low"]}, ValueError, "at least one number"),
        ({"levels": [np.nan]}, ValueError, "must not be NaN"),
        ({"only": "c"}, ValueError, r"only='c' must name .* The modalities are \['a', 'b'\]"),
        ({"only": []}, ValueError, "must name at least one"),
        ({"n_repeats": 0}, ValueError, "n_repeats=0"),
        ({"corruption": Noise(2)}, TypeError, "such as the class Noise itself"),
        ({"corruption": Missing}, TypeError, r"lambda p: Missing\(fraction=p\)"),
        ({"corruption": lambda level: level}, TypeError, r"instance of Corruption.*got 0\.0"),
        ({"modalities": {"a": ["p"]}}, ValueError, "columns have no names"),
        ({"levels": [-1]}, ValueError, "must not be negative"),
    ],
)
def test_wrong_parameters_of_the_curve_are_explained(rows, change, kind, message):
    with pytest.raises(kind, match=message):
        curve(*rows, **change)


# ---------------------------------------------------------------- make_failure_scorer


def test_score_is_the_mean_of_clean_rows_and_each_failing_modality(rows):
    X, y = rows
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


def test_units_are_those_of_the_reference_or_else_of_the_rows_scored(rows):
    X, y = rows
    for reference, unit in ((None, X.std(axis=0)), (X * 50, 50 * X.std(axis=0))):
        seen = []
        scorer = make_failure_scorer(
            record(seen), Noise(2, only="b"), GROUPS, clean_weight=0, reference=reference
        )
        scorer(Witness().fit(X, y), X, y)
        ((_, broken),) = seen
        assert_array_equal(broken[:, [0, 1, 4]], X[:, [0, 1, 4]])
        assert_allclose(((broken - X) / unit)[:, 2:4].std(axis=0), 2, rtol=0.2)


def test_every_call_draws_the_same_failures(rows):
    X, y = rows
    fitted = LINEAR.fit(X, y)
    for state in (0, None, np.random.RandomState(3)):
        scorer = make_failure_scorer("neg_log_loss", Noise(3), GROUPS, random_state=state)
        score = scorer(fitted, X, y)
        assert scorer(fitted, X, y) == score
        assert pickle.loads(pickle.dumps(scorer))(fitted, X, y) == score
    other = make_failure_scorer("neg_log_loss", Noise(3), GROUPS, random_state=1)
    assert other(fitted, X, y) != score
    assert "Noise(sigma=3)" in repr(scorer)


def test_a_search_chooses_for_the_failures_that_are_feared():
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=400)
    X = (2 * y[:, None] - 1) + rng.normal(size=(400, 4)) * [0.3, 1.0, 1.0, 1.0]
    groups = {"sharp": [0], "blunt": [1, 2, 3]}
    search = {"estimator": LogisticRegression(), "param_grid": {"C": [1e-4, 1.0]}, "cv": 3}
    by_hope = GridSearchCV(**search, scoring="neg_log_loss").fit(X, y)
    feared = make_failure_scorer("neg_log_loss", Noise(6), groups, reference=X)
    by_fear = GridSearchCV(**search, scoring=feared).fit(X, y)
    assert by_hope.best_params_["C"] > by_fear.best_params_["C"]


def test_scorer_stands_beside_others(rows):
    X, y = rows
    feared = make_failure_scorer(None, Noise(4), GROUPS)
    scores = cross_validate(LINEAR, X, y, scoring={"clean": "accuracy", "failing": feared})
    assert (scores["test_failing"] < scores["test_clean"]).all()


def test_weights_reach_the_inner_scorer(rows):
    X, y = rows
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
        feared = make_failure_scorer(scoring, Noise(4), GROUPS)
        search = GridSearchCV(LogisticRegression(max_iter=1000), {"C": [1.0]}, scoring=feared)
        search.fit(X, y, sample_weight=half + 0.5)


def test_metadata_routing_asks_the_inner_scorer(rows):
    X, y = rows
    with config_context(enable_metadata_routing=True):
        inner = make_scorer(accuracy_score).set_score_request(sample_weight=True)
        feared = make_failure_scorer(inner, Stuck(value=10), GROUPS)
        estimator = LogisticRegression().set_fit_request(sample_weight=False)
        weight = (np.arange(300) % 2).astype(float)
        weighted = cross_val_score(
            estimator, X, y, scoring=feared, params={"sample_weight": weight}, cv=KFold(3)
        )
        plain = cross_val_score(estimator, X, y, scoring=feared, cv=KFold(3))
    assert (weighted != plain).any()


@pytest.mark.slow
def test_processes_of_their_own_give_the_same(rows):
    feared = make_failure_scorer("neg_log_loss", Noise(6), GROUPS)
    grid = {"logisticregression__C": [1e-4, 1.0]}
    alone, together = (
        GridSearchCV(LINEAR, grid, scoring=feared, n_jobs=n_jobs).fit(*rows) for n_jobs in (1, 2)
    )
    scores = "mean_test_score"
    assert_array_equal(alone.cv_results_[scores], together.cv_results_[scores])
    by_lambda = {"corruption": lambda sigma: Noise(sigma)}
    assert_array_equal(
        curve(*rows, **by_lambda).test_scores, curve(*rows, **by_lambda, n_jobs=2).test_scores
    )


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


def test_what_does_not_fit_the_rows_is_explained_when_they_are_scored(rows):
    X, y = rows
    fitted = LINEAR.fit(X, y)
    with pytest.raises(ValueError, match="only='z' must name"):
        make_failure_scorer("accuracy", Noise(2, only="z"), GROUPS)(fitted, X, y)
    with pytest.raises(ValueError, match="scoring must return a single number"):
        make_failure_scorer(lambda *_: {"a": 1}, Noise(2), GROUPS)(fitted, X, y)
    with pytest.raises(ValueError, match="reference must be a table with the 5 columns"):
        make_failure_scorer("accuracy", Noise(2), GROUPS, reference=X[:, :3])(fitted, X, y)
