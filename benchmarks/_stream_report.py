"""The tables of the benchmark of streams."""

import sys
import json
from pathlib import Path

import numpy as np
import pandas as pd
from _tables import spread, table


def _cells(frame, value):
    """Give mean and spread over seeds, by sample and column."""
    return frame.groupby(["failure", "system"], sort=False)[value].apply(
        lambda v: spread(v.to_numpy())
    )


def _print(title, frame, value, systems, failures):
    cells = _cells(frame, value)
    lines = [
        [failure, *(cells.get((failure, system), "-") for system in systems)]
        for failure in failures
        if any((failure, system) in cells for system in systems)
    ]
    print(f"\n### {title}\n\n{table(['failure', *systems], lines)}")


def report(records):
    """Print the tables."""
    frame = pd.DataFrame(records)
    systems = [s for s in frame["system"].unique() if s != "time"]
    failures = frame["failure"].unique()
    for name, task in frame.groupby("task", sort=False):
        for length, part in task[task["length"] > 0].groupby("length"):
            _print(f"{name}, episodes of {length}: score", part, "score", systems, failures)
        part = task[task["length"] == 0]
        _print(f"{name}: clean streams, score", part, "score", systems, ["none"])
        _print(f"{name}: false alarms per 10,000", part, "false_alarms", systems, ["none"])
        watching = [
            s
            for s in systems
            if s not in ("sample by sample", "boosting", "mask-then-boost", "specialist")
        ]
        part = task[task["length"] == 100] if (task["length"] == 100).any() else task
        for value in ("median_delay", "missed"):
            _print(f"{name}, episodes of 100: {value}", part, value, watching, failures)
        mine = part[part["system"] == "monitor"]
        for value in ("right_modality", "right_kind"):
            _print(f"{name}, episodes of 100: {value}", mine, value, ["monitor"], failures)
        t = task[task["system"] == "time"]
        print(
            f"\n{name}: update of one sample {1e3 * t['update'].mean():.2f} ms, "
            f"predict_proba {1e3 * t['predict_proba'].mean():.2f} ms"
        )


if __name__ == "__main__":
    report([r for file in sys.argv[1:] for r in json.loads(Path(file).read_text())])
