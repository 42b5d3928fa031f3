"""The failures of the robustness benchmark, and those that models may train on.

A cell of the benchmark is one way to fail: which modality, and at which level. The levels of
`FAILURES` happen to one modality at a time, in every sample; those of `SEVERAL` to a random pair of
modalities per sample, or to a random half of them; those of `COLUMNS` to one column of a modality,
drawn for every sample.
"""

from dataclasses import dataclass
from functools import partial

import torch

from sklearn_emma.corruption import (
    Corruption,
    Drift,
    Missing,
    Mixture,
    Noise,
    Scaling,
    SomeColumns,
    Stuck,
    Swapped,
)
from sklearn_emma.gate.columns import FAILING_COLUMNS
from sklearn_emma.gate.fit import training_corruption

CLEAN = "sigma 0"
PAIR, HALF = "two fail", "half fail"


class StuckSensors(Stuck):
    """Five stuck sensors in turn, each with the values of a different reference sample.

    With a single sensor the score would depend on which sample was chosen.
    """

    def _fail(self, x, mean, std, donors, generator):
        chosen = torch.randint(len(donors), (5,), generator=generator, device=x.device)
        return donors[chosen[torch.arange(len(x), device=x.device) * 5 // len(x)]]


class Saturated(Corruption):
    """Saturation: values are clipped half a standard deviation from the mean."""

    def _fail(self, x, mean, std, donors, generator):
        return x.clamp(mean - 0.5 * std, mean + 0.5 * std)


class HeavyTailed(Corruption):
    """Noise of Student's t distribution with 1.5 degrees of freedom, times the column's std."""

    def _fail(self, x, mean, std, donors, generator):
        # Bailey's polar method (1994)
        u, v = torch.rand((2, *x.shape), generator=generator, dtype=x.dtype, device=x.device)
        radius = (1.5 * ((1 - u) ** (-2 / 1.5) - 1)).sqrt()
        return x + std * radius * (2 * torch.pi * v).cos()


# group -> level -> function that makes the corruption
FAILURES = {
    "core": {
        **{f"sigma {sigma}": partial(Noise, sigma) for sigma in (0, 0.5, 1, 2, 4, 8)},
        "missing": Missing,
    },
    "plausible": {"stuck": StuckSensors, "swapped": Swapped},
    "other": {
        "drift": partial(Drift, 4),
        "scaled": partial(Scaling, 5),
        "saturated": Saturated,
        "heavy": HeavyTailed,
    },
}
SEVERAL = {"sigma 2": partial(Noise, 2), "missing": Missing, "swapped": Swapped}
COLUMNS = {
    f"column, {name}": make
    for name, make in {
        **{f"sigma {sigma}": partial(Noise, sigma) for sigma in (1, 2, 4, 8)},
        "missing": Missing,
        "stuck": StuckSensors,
        "swapped": Swapped,
        "drift": partial(Drift, 4),
        "heavy": HeavyTailed,
    }.items()
}
GROUPS = (*FAILURES, "several", "column")


@dataclass(frozen=True)
class Cell:
    """One way to fail; `who` is a modality, or "two fail" or "half fail"."""

    group: str
    who: str
    level: str

    def failure(self, n_modalities):
        """Give the corruption."""
        if self.group == "column":
            return SomeColumns(COLUMNS[self.level](), n_corrupted=1, only=self.who)
        if self.group != "several":
            return FAILURES[self.group][self.level](n_corrupted=1, only=self.who)
        return SEVERAL[self.level](n_corrupted=2 if self.who == PAIR else n_modalities // 2)


def list_cells(modalities, columns=False):
    """Give the cells of a task, as a dict from cell to the number of its random stream.

    With `columns=True` single columns fail too, but not several modalities at once.
    """
    levels = [(group, level) for group, those in FAILURES.items() for level in those]
    cells = {
        Cell(group, who, level): (3, i, j)
        for i, who in enumerate(modalities)
        for j, (group, level) in enumerate(levels)
    }
    n = len(modalities)
    if columns:
        for i, who in enumerate(modalities):
            for j, level in enumerate(COLUMNS):
                cells[Cell("column", who, level)] = 5, i, j
        return cells
    together = [PAIR] * (n >= 3) + [HALF] * (n // 2 >= 3)
    for i, who in enumerate(together):
        for j, level in enumerate(SEVERAL):
            cells[Cell("several", who, level)] = 3, n + i, j
    return cells


def _one_fails(noise):
    return Mixture([noise, Missing()], n_corrupted=1, fraction=0.5)


class OrColumns(Corruption):
    """A corruption, and failing columns in a quarter of the samples that it leaves clean.

    That is what `EMMAClassifier` with `column_attention` is trained on.
    """

    def __init__(self, corruption, *, n_corrupted=None, fraction=None, only=None):
        super().__init__(n_corrupted=n_corrupted, fraction=fraction, only=only)
        self.corruption = corruption

    def corrupt_tensors(self, modalities, *, generator, reference, names=None):
        """Corrupt a batch; the indicator says which modalities fail as a whole."""
        more = {"generator": generator, "reference": reference, "names": names}
        corrupted, indicator = self.corruption.corrupt_tensors(modalities, **more)
        some = SomeColumns(self.corruption, None, fraction=FAILING_COLUMNS)
        failed, _ = some.corrupt_tensors(modalities, **more)
        spared = (indicator > 0).all(1, keepdim=True)
        pairs = zip(corrupted, failed, strict=True)
        return [torch.where(spared, some, whole) for whole, some in pairs], indicator

    def _fail(self, x, mean, std, donors, generator):
        return self.corruption.fail(x, mean, std, donors, generator)


# marks models with a training corruption of their own
ANY = "any"
# name -> function that makes the training corruption
TRAININGS = {
    "narrow": lambda: _one_fails(Noise(0.5)),
    "wide": lambda: _one_fails(Noise((0.25, 8))),
    "default": lambda: training_corruption(None),
    # with this one, columns fail in the cells too
    "columns": lambda: OrColumns(training_corruption(None)),
}
