"""MonitorDisplay: the time line of a monitor."""

import numpy as np
import pytest

from sklearn_emma import DAEEnergyScorer
from sklearn_emma.inspection import MonitorDisplay
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


def test_of_two_modalities_a_change_of_the_process_is_unknown():
    health = HEALTH._replace(changed=np.zeros(60))
    display = MonitorDisplay.from_predictions(health)
    assert display.process_line_ is None
    assert len(display.ax_.get_yticks()) == 2


def test_wrong_names_are_explained():
    with pytest.raises(ValueError, match="2 name"):
        MonitorDisplay.from_predictions(HEALTH, modality_names=["radar"])
