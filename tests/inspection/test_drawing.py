"""What all Displays share: matplotlib only when it is needed, and never pyplot."""

import subprocess
import sys

import numpy as np
import pytest

from sklearn_emma.inspection import (
    AttentionDisplay,
    AttentionFunctionDisplay,
    TrainingHistoryDisplay,
)
from sklearn_emma.inspection.drawing import choose_colors

SCRIPT = """
import sys
from sklearn_emma.inspection import AttentionFunctionDisplay
assert "matplotlib" not in sys.modules
display = AttentionFunctionDisplay.from_parameters(5.0, 0.5)
assert display._repr_png_().startswith(b"\\x89PNG")
assert "matplotlib.pyplot" not in sys.modules
"""


def test_matplotlib_is_imported_when_drawing_and_pyplot_never():
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: AttentionFunctionDisplay.from_parameters(5.0, 0.5),
        lambda: TrainingHistoryDisplay.from_history({"gain": [1.0]}),
    ],
)
def test_missing_matplotlib_names_the_extra(draw, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"Display draws with .* 'sklearn_emma\[plot\]'"):
        draw()


def test_draws_on_the_axes_of_the_user_and_leaves_showing_to_them():
    from matplotlib.figure import Figure

    figure = Figure()
    left, right = figure.subplots(1, 2)
    display = AttentionFunctionDisplay.from_parameters(5.0, 0.5, ax=right)
    assert display.ax_ is right
    assert display.figure_ is figure
    assert right.lines
    assert not left.lines
    assert display._repr_png_() is None
    assert display.plot().figure_ is not figure  # drawn again, by itself
    assert display._repr_png_().startswith(b"\x89PNG")


def test_many_groups_still_have_colours_of_their_own():
    assert len(set(choose_colors(5))) == 5
    assert len(set(choose_colors(20))) == 20


def test_long_names_of_modalities_do_not_overlap(legible):
    values = np.full((3, 6), 0.5)
    names = [f"a rather long name, {i}" for i in range(6)]
    for kind in ("distribution", "strip"):
        legible(AttentionDisplay.from_predictions(values, values, modality_names=names, kind=kind))
