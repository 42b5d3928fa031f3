"""The benchmark of signals: what fails, and what it prints."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def tasks():
    """The tasks, imported as the program imports them."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield importlib.import_module("_signal_tasks")
    sys.path.remove(str(ROOT / "benchmarks"))
    sys.modules.pop("_signal_tasks", None)


@pytest.mark.parametrize("name", ["waves", "beats", "digits"])
def test_columns_of_a_task_are_those_of_its_shapes(tasks, name):
    task = tasks.TASKS[name]()
    places = [np.array(columns) for columns in task.columns.values()]
    assert [len(p) for p in places] == [np.prod(shape) for shape in task.shapes.values()]
    np.testing.assert_array_equal(np.concatenate(places), np.arange(task.data.shape[1]))
    assert len(task.target) == len(task.data)


@pytest.mark.parametrize("shape", [(2, 40), (1, 8, 4)])
@pytest.mark.parametrize("strong", [False, True])
def test_failures_do_what_their_names_say(tasks, shape, strong):
    X = np.random.RandomState(0).standard_normal((50, int(np.prod(shape)))) + 2.0

    def fail(kind, aligned=True):
        options = aligned, strong, np.random.RandomState(1)
        return tasks.fail(kind, X, shape, X, options).reshape(-1, *shape)

    signal = X.reshape(-1, *shape)
    stuck = fail("stuck").reshape(50, shape[0], -1)
    assert (stuck == stuck[:, :, :1]).all()
    np.testing.assert_array_equal(np.sort(fail("shift"), axis=-1), np.sort(signal, axis=-1))
    assert (fail("shift") != signal).mean() > 0.9
    if shape[0] > 1:
        one_channel = fail("shift", aligned=False)
        np.testing.assert_array_equal(one_channel[:, 1:], signal[:, 1:])
        assert (one_channel[:, 0] != signal[:, 0]).mean() > 0.9
    lost = (fail("dropout") == 0).mean()
    assert lost == pytest.approx(0.75 if strong else 0.25, abs=0.01)
    size = 2.0 if strong else 0.3
    for kind in "hum", "noise":
        difference = fail(kind) - signal
        assert np.sqrt((difference**2).mean()) == pytest.approx(size * X.std(), rel=0.2)
