"""Curves under failure: what fails, in which units, and what is returned."""

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
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_emma.corruption import (
    Drift,
    Missing,
    Mixture,
    Noise,
    NoiseSNR,
    Scaling,
    SomeColumns,
    Stuck,
    Swapped,
)
from sklearn_emma.model_selection import robustness_curve

GROUPS = {"a": [0, 1], "b": [2, 3]}
LINEAR = make_pipeline(StandardScaler(), LogisticRegression())


class Witness(ClassifierMixin, BaseEstimator):
    """Remembers what it was fitted on."""

    def fit(self, X, y, sample_weight=None):
        self.X_, self.classes_, self.weight_ = X, np.unique(y), sample_weight
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def record(seen):
    """A scorer that keeps what it was called with."""

    def score(estimator, X, y, **_):
        seen.append((estimator, X))
        return 0.0

    return score


def curve(X, y, estimator=LINEAR, **params):
    defaults = {"modalities": GROUPS, "levels": [0, 1, 4], "cv": 3, "random_state": 0}
    return robustness_curve(estimator, X, y, **(defaults | params))


def test_score_falls_with_the_modality_that_matters_and_with_no_other(samples):
    result = curve(*samples)
    assert result.modality_names == ["a", "b"]
    assert_array_equal(result.levels, [0, 1, 4])
    assert result.test_scores.shape == (2, 3, 3)
    a, b = result.test_scores.mean(axis=2)
    assert a[0] > 0.95 > a[1] > a[2] + 0.03
    assert_allclose(b, b[0], atol=0.02)
    assert result.fit_times.shape == result.score_times.shape == (3,)
    assert (result.fit_times > 0).all()
    assert (result.score_times > 0).all()


def test_level_zero_is_what_cross_val_score_gives(samples):
    X, y = samples
    for failing in curve(X, y).test_scores:
        assert_allclose(failing[0], cross_val_score(LINEAR, X, y, cv=3))


@pytest.mark.parametrize(
    ("corruption", "level"), [(Noise, 0), (Drift, 0), (NoiseSNR, np.inf), (Scaling, 1)]
)
def test_samples_are_left_alone_at_the_level_where_nothing_fails(samples, corruption, level):
    X, y = samples
    seen = []
    split = [(range(200), range(200, 300))]
    curve(X, y, Witness(), levels=[level], corruption=corruption, cv=split, scoring=record(seen))
    ((_, table),) = seen  # scored once, not per modality
    assert_array_equal(table, X[200:])


@pytest.mark.parametrize(
    ("corruption", "level", "harmless"),
    [
        (Stuck, 0, False),
        (lambda db: Mixture([NoiseSNR(db), NoiseSNR(db)]), 0, False),
        (lambda db: SomeColumns(NoiseSNR(db)), 0, False),
        (lambda f: Mixture([Scaling(f)]), 1, True),
        (lambda s: SomeColumns(Noise(s)), 0, True),
        (lambda s: Mixture([Noise(s), Drift(s)]), 0, True),
        (lambda s: Mixture([Noise(s), Noise(2)]), 0, False),
        (lambda _: Swapped(), 0, False),
        (lambda p: Scaling(2, fraction=p), 1, False),
        (lambda p: Stuck(fraction=p), 0, True),
    ],
)
def test_zero_may_be_a_failure_and_parts_of_corruptions_count(samples, corruption, level, harmless):
    X, y = samples
    seen = []
    split = [(range(200), range(200, 300))]
    curve(X, y, Witness(), levels=[level], corruption=corruption, cv=split, scoring=record(seen))
    assert all(np.array_equal(table, X[200:]) for _, table in seen) == harmless


def test_only_one_modality_fails_in_units_of_the_training_samples(samples):
    X, y = samples
    split = [(np.arange(200), np.arange(200, 300))]
    seen = []
    X[200:] *= 100  # so that units of the test samples would be noticed
    curve(X, y, Witness(), levels=[0, 2], cv=split, scoring=record(seen))
    clean, *broken = [table for _, table in seen]
    assert_array_equal(clean, X[200:])
    for table, columns in zip(broken, GROUPS.values(), strict=True):
        others = np.setdiff1d(range(5), columns)
        assert_array_equal(table[:, others], X[200:, others])
        noise = (table - X[200:])[:, columns] / X[:200, columns].std(axis=0)
        assert_allclose(noise.std(axis=0), 2, rtol=0.25)


def test_donors_are_training_samples(samples):
    X, y = samples
    split = [(np.arange(200), np.arange(200, 300))]
    seen = []
    curve(X, y, Witness(), corruption=lambda _: Swapped(), levels=[1], cv=split,
          scoring=record(seen))  # fmt: skip
    first = seen[0][1][:, 0]
    assert np.isin(first, X[:200, 0]).all()
    assert not np.isin(first, X[200:, 0]).any()


def test_each_split_fits_once_and_levels_share_their_random_numbers(samples):
    X, y = samples
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


def test_fraction_of_the_corruption_is_kept(samples):
    seen = []
    curve(*samples, Witness(), corruption=lambda p: Missing(fraction=p), levels=[0, 0.25, 0.5],
          cv=[(range(200), range(200, 300))], scoring=record(seen), only="b")  # fmt: skip
    gone = [np.isnan(table[:, 2:4]).all(axis=1) for _, table in seen]
    assert [g.sum() for g in gone] == [0, 25, 50]
    assert gone[2][gone[1]].all()  # the failing samples of a lower level fail at a higher one


def test_only_chooses_the_modalities_in_their_own_order(samples):
    assert curve(*samples, only=["b", "a"]).modality_names == ["a", "b"]
    result = curve(*samples, only="b")
    assert result.modality_names == ["b"]
    assert_array_equal(result.test_scores[0], curve(*samples, only=["b"]).test_scores[0])


def test_random_state_decides_and_n_jobs_does_not(samples):
    scores = curve(*samples).test_scores
    assert_array_equal(scores, curve(*samples).test_scores)
    with parallel_config(backend="threading"):
        assert_array_equal(scores, curve(*samples, n_jobs=2).test_scores)
    assert (scores != curve(*samples, random_state=1).test_scores).any()
    assert (scores != curve(*samples, random_state=None).test_scores).any()


def test_repeats_are_averaged(samples):
    seen = []
    scorer = make_scorer(accuracy_score)

    def score(estimator, X, y):
        seen.append(scorer(estimator, X, y))
        return seen[-1]

    result = curve(*samples, levels=[4], only="a", cv=2, n_repeats=5, scoring=score)
    assert len(set(seen[:5])) > 1
    assert_allclose(result.test_scores[0, 0], [np.mean(seen[:5]), np.mean(seen[5:])])


def test_frame_holds_every_score_once(samples):
    result = curve(*samples)
    frame = result.frame
    assert list(frame.columns) == ["modality", "level", "split", "score"]
    assert len(frame) == result.test_scores.size
    row = frame.query("modality == 'b' and level == 4 and split == 2")
    assert row["score"].item() == result.test_scores[1, 2, 2]


def test_polars_pandas_and_arrays_give_the_same(samples):
    polars = pytest.importorskip("polars")
    X, y = samples
    names = ["a__0", "a__1", "b__0", "b__1", "c__0"]
    boosting = HistGradientBoostingClassifier(max_iter=5)
    of_array = curve(X, y, boosting).test_scores
    for frame in (pd.DataFrame(X, columns=names), polars.DataFrame(X, schema=names)):
        of_frame = curve(frame, y, boosting, modalities="prefix", only=["a", "b"])
        assert_array_equal(of_frame.test_scores, of_array)


def test_estimators_that_take_nan_are_scored_on_missing_modalities(samples):
    boosting = HistGradientBoostingClassifier(max_iter=5)
    result = curve(*samples, boosting, corruption=lambda p: Missing(fraction=p), levels=[0, 1])
    assert result.test_scores[0, 1].mean() < 0.7 < result.test_scores[1, 1].mean()


def test_groups_weights_and_score_weights_go_where_they_belong(samples):
    X, y = samples
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


def test_estimators_without_targets_are_welcome(samples):
    class Mean(BaseEstimator):
        def fit(self, X):
            self.mean_ = X.mean(axis=0)
            return self

        def score(self, X, y=None):
            return -np.square(X - self.mean_).mean()

    scores = curve(samples[0], None, Mean()).test_scores.mean(axis=2)
    assert (np.diff(scores, axis=1) < 0).all()


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"levels": []}, ValueError, "at least one number"),
        ({"levels": ["low"]}, ValueError, "at least one number"),
        ({"levels": [np.nan]}, ValueError, "must not contain NaN"),
        ({"only": "c"}, ValueError, r"only='c' must name .* The modalities are \['a', 'b'\]"),
        ({"only": []}, ValueError, "must name at least one"),
        ({"n_repeats": 0}, ValueError, "n_repeats=0"),
        ({"corruption": Noise(2)}, TypeError, "such as the class Noise itself"),
        ({"corruption": Missing}, TypeError, r"lambda p: Missing\(fraction=p\)"),
        ({"corruption": lambda level: level}, TypeError, r"instance of Corruption.*got 0\.0"),
        ({"modalities": {"a": ["p"]}}, ValueError, "no column names that are strings"),
        ({"levels": [-1]}, ValueError, "must not be negative"),
    ],
)
def test_wrong_parameters_of_the_curve_are_explained(samples, change, kind, message):
    with pytest.raises(kind, match=message):
        curve(*samples, **change)


@pytest.mark.slow
def test_curve_in_processes_of_their_own_is_the_same(samples):
    by_lambda = {"corruption": lambda sigma: Noise(sigma)}
    assert_array_equal(
        curve(*samples, **by_lambda).test_scores,
        curve(*samples, **by_lambda, n_jobs=2).test_scores,
    )


def test_metadata_is_routed_to_fit_scorer_and_splitter(samples):
    X, y = samples
    weight, groups = np.where(np.arange(300) % 2, 100.0, 1e-3), np.arange(300) // 10
    params = {"cv": GroupKFold(3), "levels": [0]}
    with config_context(enable_metadata_routing=True):
        for fits, scores in ((True, False), (False, True)):
            clf = LogisticRegression().set_fit_request(sample_weight=fits)
            clf.set_score_request(sample_weight=scores)
            routed = curve(X, y, clf, **params, params={"sample_weight": weight, "groups": groups})
            wanted = cross_val_score(
                clf, X, y, cv=GroupKFold(3), params={"sample_weight": weight, "groups": groups}
            )
            assert_allclose(routed.test_scores[0, 0], wanted)
        with pytest.raises(ValueError, match="not explicitly set as requested"):
            curve(X, y, LogisticRegression(), params={"sample_weight": weight})
        with pytest.raises(ValueError, match="belong in `params`"):
            curve(X, y, LogisticRegression(), groups=groups)
