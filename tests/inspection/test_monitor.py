"""MonitorDisplay: the time line of a monitor."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from sklearn_emma import DAEEnergyScorer, EMMAClassifier
from sklearn_emma.inspection import MonitorDisplay, modality_report
from sklearn_emma.inspection.time_line import list_alarms
from sklearn_emma.monitoring import ModalityHealth, ModalityMonitor

ALARM = np.zeros((60, 2), dtype=bool)
ALARM[10:20, 0] = ALARM[30:60, 1] = True
HEALTH = ModalityHealth(
    failing=np.where(ALARM, 0.99, 0.01),
    alarm=ALARM,
    since=np.where(ALARM, 5, -1),
    kind=np.where(ALARM, "noise", ""),
    evidence=ALARM * 4.0,
)


def test_every_alarm_is_an_area_with_its_kind(legible):
    display = legible(MonitorDisplay.from_predictions(HEALTH, modality_names=["radar", "camera"]))
    assert [[label.get_text() for label in labels] for labels in display.labels_] == [["noise"]] * 2
    box = display.alarms_[0][0].get_paths()[0].get_extents()
    assert (box.x0, box.x1) == (9.5, 19.5)
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["radar", "camera"]
    shown = display.lines_[1].get_ydata()
    np.testing.assert_allclose(shown / 0.8, HEALTH.failing[:, 1], atol=1e-12)


def test_reads_on_the_stream_of_a_monitor(legible):
    X = np.random.RandomState(0).standard_normal((200, 4))
    scorer = DAEEnergyScorer({"a": [0, 1], "b": [2, 3]}, max_epochs=2, random_state=0).fit(X)
    monitor = ModalityMonitor(scorer, random_state=0).fit(X[:100])
    display = legible(MonitorDisplay.from_estimator(monitor, X[100:]))
    assert monitor.state_.n_samples == 100
    assert len(display.lines_) == 2


def test_a_change_of_the_process_is_drawn_below_the_modalities(legible):
    changed = np.zeros(60)
    changed[40:] = 0.9
    three = ModalityHealth(*(np.hstack([v, v[:, :1]]) for v in HEALTH[:5]), changed=changed)
    names = ["radar", "camera", "lidar"]
    display = legible(MonitorDisplay.from_predictions(three, modality_names=names))
    shown = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert shown == [*names, "process"]
    np.testing.assert_allclose(display.process_line_.get_ydata() / 0.8, changed)
    (area,) = display.changes_
    box = area.get_paths()[0].get_extents()
    assert (box.x0, box.x1) == (39.5, 59.5)
    assert box.y1 < display.lines_[-1].get_ydata().min()
    assert len(display.lines_) == len(display.alarms_) == 3


def test_alarms_of_the_same_failure_are_one():
    alarm = np.zeros((12, 1), dtype=bool)
    alarm[2:4] = alarm[6:8] = alarm[10:] = True
    since = np.where(alarm, 2, -1)
    since[10:] = 9  # another failure
    kind = np.where(alarm, "mismatch", "")
    health = ModalityHealth(alarm * 1.0, alarm, since, kind, alarm * 1.0)
    alarms = list_alarms(health, ["radar"], pd.RangeIndex(12))
    assert alarms[["first", "last", "n_samples"]].to_numpy().tolist() == [[2, 7, 6], [9, 11, 3]]


def test_the_report_of_a_monitor_is_one_of_a_stream():
    X = np.random.RandomState(0).standard_normal((200, 4))
    clf = EMMAClassifier({"a": [0, 1], "b": [2, 3]}, max_epochs=1, pretrain_epochs=1)
    clf.set_params(
        energy=DAEEnergyScorer(max_epochs=2),
        l2_regularization=1.0,
        periodic_features=False,
        random_state=0,
    )
    clf.fit(X[:100], (X[:100, 0] > 0).astype(int))
    monitor = ModalityMonitor(clf, random_state=0).fit(X[:100])
    report = modality_report(monitor, X[100:])
    np.testing.assert_array_equal(report.health.failing, monitor.update(X[100:]).failing)
    assert "alarm" in report["a"]


def test_of_two_modalities_a_change_of_the_process_is_unknown():
    health = HEALTH._replace(changed=np.zeros(60))
    display = MonitorDisplay.from_predictions(health)
    assert display.process_line_ is None
    assert len(display.ax_.get_yticks()) == 2


def test_wrong_names_are_explained():
    with pytest.raises(ValueError, match="2 name"):
        MonitorDisplay.from_predictions(HEALTH, modality_names=["radar"])


def test_other_objects_are_refused():
    with pytest.raises(TypeError, match="needs a fitted ModalityMonitor, got EMMAClassifier"):
        MonitorDisplay.from_estimator(EMMAClassifier(), np.ones((3, 2)))
    with pytest.raises(NotFittedError):
        MonitorDisplay.from_estimator(ModalityMonitor(EMMAClassifier()), np.ones((3, 2)))
    with pytest.raises(TypeError, match="that update of a ModalityMonitor returns, got ndarray"):
        MonitorDisplay.from_predictions(np.ones((3, 2)))
