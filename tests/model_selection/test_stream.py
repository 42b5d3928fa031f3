"""stream_curve: scores, delays and names in episodes of failure."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from sklearn_emma.corruption import Episodes, Missing, Noise
from sklearn_emma.model_selection import stream_curve


class Watch(ClassifierMixin, BaseEstimator):
    """Takes three samples to notice what is missing, and predicts 1 if anything is."""

    modality_names_ = ["a", "b"]
    modality_columns_ = [np.array([0]), np.array([1])]

    def __sklearn_is_fitted__(self):
        return True

    @property
    def estimator_(self):
        return self

    def fit(self, X, y=None):
        return self

    def reset(self):
        self.seen = np.zeros(2)
        return self

    def decide(self, X):
        return self.predict(X)

    def update(self, X):
        gone = np.isnan(X)
        counts = self.seen + np.cumsum(gone, axis=0)
        self.seen = counts[-1]
        alarm = gone & (counts >= 3)
        return SimpleNamespace(
            failing=alarm * 1.0, alarm=alarm, kind=np.where(alarm, "missing", "")
        )

    def predict(self, X):
        return np.isnan(X).any(axis=1).astype(int)


X = np.random.RandomState(0).standard_normal((400, 2))


def test_delay_modality_kind_and_scores_are_those_of_the_monitor():
    curve = stream_curve(
        Watch(),
        X,
        np.ones(400),
        corruption=Missing(),
        kind="missing",
        length=40,
        n_episodes=3,
        edges=(0, 5, 1000),
        random_state=0,
    )
    assert curve.summary.to_dict() == {
        "median_delay": 3,
        "missed": 0,
        "right_modality": 1,
        "right_kind": 1,
        "false_alarms": 0,
    }
    assert curve.episodes["modality"].tolist() == ["a", "b"] * 3
    assert curve.scores.to_dict("list") == {"first": [0, 5], "last": [5, 40], "score": [1.0, 1.0]}


class Nervous(Watch):
    """Has an alarm of modality "b" from the start, whatever happens."""

    def update(self, X):
        health = super().update(X)
        health.alarm[:, 1], health.failing[:, 1] = True, 1.0
        return health


def test_an_alarm_that_was_up_before_detects_nothing():
    params = {"corruption": Missing(), "n_episodes": 2, "only": "a", "random_state": 0}
    curve = stream_curve(Nervous(), X, **params)
    assert curve.episodes["delay"].tolist() == [3, 3]
    assert curve.episodes["named"].tolist() == ["a", "a"]
    assert curve.episodes["false_alarms"].tolist() == [1, 1]
    missed = stream_curve(Nervous(), X, **params | {"corruption": Noise()})
    assert missed.summary["missed"] == 1.0


def test_the_stream_of_the_monitor_goes_on():
    monitor = Watch().reset()
    monitor.seen[:] = 2
    stream_curve(monitor, X, corruption=Missing(), n_episodes=1, random_state=0)
    assert monitor.seen.tolist() == [2, 2]


def test_a_classifier_is_no_monitor(fitted):
    with pytest.raises(TypeError, match="must be a ModalityMonitor, got EMMAClassifier"):
        stream_curve(fitted, X, corruption=Missing())


def test_episodes_have_a_length_of_their_own():
    with pytest.raises(ValueError, match="Episodes has a length and a rate in time"):
        stream_curve(Watch(), X, corruption=Episodes(Missing()))


def test_kinds_have_names():
    with pytest.raises(ValueError, match="kind='frozen' must be None or one of 'noise'"):
        stream_curve(Watch(), X, corruption=Noise(), kind="frozen")


def test_what_is_missed_has_no_delay():
    curve = stream_curve(Watch(), X, corruption=Noise(), n_episodes=1, only="b", random_state=0)
    assert curve.summary["missed"] == 1
    assert curve.summary["median_delay"] == np.inf
    assert curve.scores is None
    assert curve.episodes["modality"].tolist() == ["b"]


def test_wrong_numbers_are_explained():
    with pytest.raises(ValueError, match="needs 450 samples, 50 of them .* but X has only 400"):
        stream_curve(Watch(), X, corruption=Missing(), length=400)
    with pytest.raises(ValueError, match="length=0 must be a positive integer"):
        stream_curve(Watch(), X, corruption=Missing(), length=0)
    with pytest.raises((TypeError, ValueError), match=r"[Cc]orruption"):
        stream_curve(Watch(), X, corruption="missing")


def test_intervals_start_at_zero():
    curve = stream_curve(
        Watch(), X, np.ones(400), corruption=Missing(), length=10, edges=(5,), random_state=0
    )
    assert curve.scores[["first", "last"]].to_numpy().tolist() == [[0, 5], [5, 10]]


@pytest.mark.parametrize(
    ("y", "params", "match"),
    [
        (np.ones(20), {}, "inconsistent numbers of samples"),
        (np.ones(400), {"method": "foo"}, "method='foo': a monitor of"),
        (np.ones(400), {"method": "decide"}, "method='decide' needs a metric"),
        (np.ones(400), {"edges": (-3, 5)}, "must hold positions"),
    ],
)
def test_wrong_arguments_are_explained(y, params, match):
    with pytest.raises(ValueError, match=match):
        stream_curve(Watch(), X, y, corruption=Missing(), **params)
