"""Write a report as one HTML page: a template with script and style, and the data as JSON."""

import html
import json
import math
import re
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from sklearn_emma.model_selection.failure_page import write_section

#: Largest number of cells in a row of the overview.
_CELLS = 150


def write_page(report: Any, title: str, failures: Any = None) -> str:
    """Return the HTML page of a report.

    Parameters
    ----------
    report : ModalityReport
        Report to be written.
    title : str
        Title of the page.
    failures : FailureModeAnalysis, default=None
        Analysis of simulated failures that is added to the page. None adds nothing.

    Returns
    -------
    str
        HTML page that needs no other files.
    """
    template = files("sklearn_emma.inspection").joinpath("report.html").read_text(encoding="utf-8")
    # escape "<", which could end the script element
    data = json.dumps(_collect(report), allow_nan=False).replace("<", "\\u003c")
    section = "" if failures is None else write_section(failures)
    parts = {"title": html.escape(title), "data": data, "failures": section}
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _collect(report: Any) -> dict:
    """Collect the data of the page as lists, numbers and strings."""
    names = report.summary.index.tolist()
    failing = np.column_stack([report[name, "failing"] for name in names])
    attention = np.column_stack([report[name, "attention"] for name in names])
    gate = report.gate
    return {
        "names": names,
        "n_samples": len(report),
        "n_failing": int(failing.any(axis=1).sum()),
        "summary": [[_plain(value) for value in row] for row in report.summary.to_numpy()],
        "overview": _overview(report.index, attention, failing),
        "table": [[_plain(value) for value in row] for row in report.table.to_numpy()],
        "alarms": _alarms(report),
        "worst": [
            {
                "position": int(position),
                "sample": _text(row.Index),
                "prediction": _plain(row.prediction),
                "total_energy": _plain(row.total_energy),
                "modality": row.modality,
                "reason": row.reason,
                "columns": row.columns,
                "attention": [_plain(value) for value in attention[position]],
                "failing": [bool(value) for value in failing[position]],
            }
            for position, row in zip(report.worst_positions, report.worst.itertuples(), strict=True)
        ],
        "gain": _plain(gate["gain"]),
        "bias": _plain(gate["bias"]),
        "capacity": _plain(gate["capacity"]),
        "weight": [[_plain(value) for value in row] for row in gate["coupling_weight"].to_numpy()],
        "degree": [[_plain(value) for value in row] for row in gate["coupling_degree"].to_numpy()],
    }


def _overview(index: pd.Index, attention: np.ndarray, failing: np.ndarray) -> dict:
    """Return the labels and positions of the samples in each cell, and what is shown there."""
    starts = _cell_starts(len(index))
    stops = [*starts[1:], len(index)] if starts else []
    return {
        "first": [_text(index[start]) for start in starts],
        "last": [_text(index[stop - 1]) for stop in stops],
        "start": starts,
        "stop": stops,
        "attention": _cell_means(attention),
        "failing": _cell_means(failing),
    }


def _cell_starts(n_samples: int) -> list[int]:
    """Return the first sample of each cell, so that there are at most _CELLS cells in a row."""
    per_cell = max(1, -(-n_samples // _CELLS))
    return list(range(0, n_samples, per_cell))


def _cell_means(values: np.ndarray) -> list:
    """Average the consecutive samples of each cell, and return one row of means per modality."""
    starts = _cell_starts(len(values))
    if not starts:
        return []
    counts = np.diff([*starts, len(values)])[:, None]
    return (np.add.reduceat(values.astype(float), starts) / counts).T.round(4).tolist()


def _alarms(report: Any) -> dict | None:
    """Return the list of alarms and when they were active, or None without temporal order."""
    if report.alarms is None:
        return None
    rows = [
        [row.modality, row.kind, _text(row.first), _text(row.last), row.n_samples]
        for row in report.alarms.itertuples()
    ]
    return {
        "rows": rows,
        "up": _cell_means(report.health.alarm),
        "probability": _cell_means(report.health.failing),
    }


def _text(label: Any) -> str:
    """Return the label of a sample as a string."""
    return label.isoformat(sep=" ") if isinstance(label, pd.Timestamp) else str(label)


def _plain(value: Any) -> Any:
    """Convert a value to a JSON number or string, or to None if it is not finite."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, tuple):  # several outputs
        return ", ".join(f"{each:.4g}" for each in value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return value if math.isfinite(value) else None
