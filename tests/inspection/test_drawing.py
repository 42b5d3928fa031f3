"""What all Displays share: pyplot figures, and matplotlib only when it is needed."""

import itertools
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from sklearn_emma.inspection import (
    AttentionDisplay,
    AttentionSurfaceDisplay,
    CouplingDisplay,
    EnergyDisplay,
    TrainingHistoryDisplay,
)
from sklearn_emma.inspection.drawing import choose_colors


def draw(**params):
    return CouplingDisplay.from_parameters(np.full((2, 2), 0.3), np.full((2, 2), 0.5), **params)


DRAWN = {
    "one axes": draw,
    "one axes per panel": lambda: TrainingHistoryDisplay.from_history({"gain": [1], "bias": [0]}),
    "axes in 3D": lambda: AttentionSurfaceDisplay.from_grid(np.ones((2, 2, 2)), [0, 1]),
}
drawn = pytest.mark.parametrize("make", DRAWN.values(), ids=DRAWN)


@pytest.mark.parametrize("make", [DRAWN["one axes"], DRAWN["one axes per panel"]])
def test_missing_matplotlib_names_the_extra(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"Display draws with .* 'sklearn_emma\[plot\]'"):
        make()


@drawn
def test_without_axes_the_figure_is_the_current_one_of_pyplot(make, tmp_path):
    before = set(plt.get_fignums())
    display = make()
    assert plt.gcf() is display.figure_
    assert len(set(plt.get_fignums()) - before) == 1
    plt.savefig(tmp_path / "picture.png")
    assert plt.imread(tmp_path / "picture.png").std() > 0.05  # not blank


def test_axes_of_the_user_are_drawn_on_and_no_figure_is_made():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    display = draw(ax=right)
    assert display.ax_ is right
    assert display.figure_ is figure
    assert right.images
    assert not left.images
    assert not plt.get_fignums()
    assert display.plot().figure_ is not figure  # drawn again, on a new one


def test_many_groups_have_different_colors():
    assert len(set(choose_colors(5))) == 5
    assert len(set(choose_colors(20))) == 20


def test_long_names_of_modalities_do_not_overlap(legible):
    values = np.full((3, 6), 0.5)
    names = [f"a rather long name, {i}" for i in range(6)]
    for kind in ("distribution", "strip"):
        legible(AttentionDisplay.from_predictions(values, values, modality_names=names, kind=kind))


@pytest.mark.parametrize("names", [["$a^{$", "cost in $", "$x_1$"], [f"${i}$" for i in range(30)]])
def test_dollar_signs_in_names_are_no_formulas(names):
    energies = np.random.default_rng(0).normal(size=(20, len(names)))
    groups = np.repeat(["$a^{$", "b"], 10)
    display = EnergyDisplay.from_predictions(energies, groups=groups, modality_names=names)
    display.figure_.canvas.draw()
    shown = [label.get_text().replace("\\$", "$") for label in display.ax_.get_xticklabels()]
    assert shown == names


def test_names_of_many_modalities_do_not_overlap():
    names = [f"instrument {i}" for i in range(30)]
    energies = np.random.default_rng(0).normal(size=(20, 30))
    display = EnergyDisplay.from_predictions(energies, modality_names=names)
    display.figure_.canvas.draw()
    boxes = [label.get_window_extent() for label in display.ax_.get_xticklabels()]
    assert all(left.x1 <= right.x0 + 1 for left, right in itertools.pairwise(boxes))
