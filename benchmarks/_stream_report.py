"""The tables of the benchmark of streams."""

import json
import sys
from pathlib import Path

import pandas as pd
from _tables import spread, table

DIAGNOSIS = ("median_delay", "missed", "right_modality", "right_kind")


def _value(part, system, failure, name):
    """Format mean and spread over seeds, "-" where there are none."""
    values = part[(part["system"] == system) & (part["failure"] == failure)][name].dropna()
    if values.empty or not (values < float("inf")).all():
        return "-"
    return spread(values.to_numpy())


def _print(title, part, failures, columns):
    """Print a table with a line per failure; columns are pairs of system and value."""
    lines = [[f, *(_value(part, system, f, name) for system, name in columns)] for f in failures]
    header = ["failure", *(f"{system}: {name}" for system, name in columns)]
    print(f"\n### {title}\n\n{table(header, lines)}")


def report(records):
    """Print the tables."""
    frame = pd.DataFrame(records)
    for name, task in frame.groupby("task", sort=False):
        systems = [s for s in task["system"].unique() if s != "time"]
        for length, part in task[task["length"] > 0].groupby("length"):
            failures = [f for f in part["failure"].unique() if f != "none"]
            title = f"{name}, episodes of {length}"
            _print(f"{title}: score", part, failures, [(s, "score") for s in systems])
            _print(title, part, failures, [("monitor", value) for value in DIAGNOSIS])
            others = [s for s in systems if not part[part["system"] == s]["missed"].eq(1).all()]
            others = [s for s in others if s not in ("monitor", "specialist")]
            if others:
                columns = [(s, value) for value in DIAGNOSIS[:2] for s in ("monitor", *others)]
                _print(f"{title}: other monitors", part, failures, columns)
        part = task[task["length"] == 0]
        columns = [(s, v) for s in systems for v in ("score", "false_alarms") if s != "specialist"]
        _print(f"{name}: clean streams, alarms in 10,000 samples", part, ["none"], columns)
        time = part[part["system"] == "time"][["update", "predict_proba"]].mean() * 1e3
        print(
            f"\nOne sample: update {time['update']:.2f} ms, predict_proba "
            f"{time['predict_proba']:.2f} ms"
        )


if __name__ == "__main__":
    report([r for file in sys.argv[1:] for r in json.loads(Path(file).read_text())])
