"""Measures of the robustness benchmark: score, calibration, rejection, failing modality."""

import numpy as np
from _robustness_failures import CLEAN

from sklearn_emma.metrics import area_under_risk_coverage, expected_calibration_error


class Suspects:
    """Names the modality whose energy ranks highest among those of the clean training samples.

    If the energies of several exceed all training samples, the one with the largest excess over the
    99th percentile, in interquartile ranges, is named.
    """

    def __init__(self, energies):
        self.energies = np.sort(energies, axis=0)
        low, high, self.limit = np.quantile(energies, [0.25, 0.75, 0.99], axis=0)
        self.scale = np.maximum(high - low, 1e-12)

    def name(self, energies):
        """Give the position of the most suspicious modality of each sample."""
        columns = zip(self.energies.T, energies.T, strict=True)
        rank = np.column_stack([np.searchsorted(known, new) for known, new in columns])
        excess = (energies - self.limit) / self.scale
        return np.where(rank == rank.max(axis=1, keepdims=True), excess, -np.inf).argmax(axis=1)


def _rejection(rows, proba, total_energy):
    """Give the area under the risk-coverage curve of each cell, and of all cells pooled.

    `proba` and `total_energy` are lists with an array per cell. Clean samples count once in the
    latter.
    """
    guesses = [p.argmax(axis=1) for p in proba]
    areas = [
        area_under_risk_coverage(rows.y_test, guess, score)
        for guess, score in zip(guesses, total_energy, strict=True)
    ]
    clean = [i for i, cell in enumerate(rows.cells) if cell.level == CLEAN]
    used = [i for i in range(len(areas)) if i not in clean[1:]]
    pooled = area_under_risk_coverage(
        np.tile(rows.y_test, len(used)),
        np.concatenate([guesses[i] for i in used]),
        np.concatenate([total_energy[i] for i in used]),
    )
    return areas, pooled


def measure(rows, model, decide):
    """Give the measures of any classifier: one number per cell, and the pooled ones."""
    proba = [model.predict_proba(X) for X in rows.cells.values()]
    labels = np.unique(rows.y)
    areas, pooled = _rejection(rows, proba, [-p.max(axis=1) for p in proba])
    return {
        "score": [rows.score(decide(p)) for p in proba],
        "calibration": [
            # means of probabilities may exceed 1 by rounding
            expected_calibration_error(rows.y_test, np.clip(p, 0, 1), labels=labels)
            for p in proba
        ],
        "rejection": areas,
        "pooled rejection": pooled,
    }


def measure_energies(rows, emma):
    """Give the measures of energies: rejection by their total, and the modality that fails."""
    proba = [emma.predict_proba(X) for X in rows.cells.values()]
    total_energy = [emma.total_energy(X) for X in rows.cells.values()]
    areas, pooled = _rejection(rows, proba, total_energy)
    suspects, names = Suspects(emma.energies(rows.X)), list(rows.modalities)
    named = [
        float((suspects.name(emma.energies(X)) == names.index(cell.who)).mean())
        if cell.who in names
        else None
        for cell, X in rows.cells.items()
    ]
    return {"energy rejection": areas, "pooled energy rejection": pooled, "named": named}
