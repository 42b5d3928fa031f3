"""Do energies gate better than attention scores, or both together? See README.md of this folder.

python benchmarks/gates.py --seeds 2
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the time of one core

import numpy as np
from _protocol import Rows, default_data
from _robustness_failures import CLEAN
from _tables import spread, table
from gated import load
from sklearn.model_selection import train_test_split

from sklearn_emma import EMMAClassifier
from sklearn_emma.gate.build_gate import ATTENTION_SCORES

TASKS = ("breast_cancer", "simulated", "digits", "htru2")
FROM_FILES = ("htru2",)
DEFAULT, OPEN = "energy", "none"
# with a coldness of zero the energies say nothing: modalities share the attention alike
GATES = {OPEN: {"coldness": 0.0}} | {name: {"attention_score": name} for name in ATTENTION_SCORES}
MOST_SAMPLES = 3000
MEAN = "mean over failures"
# columns of the tables, by the group of a cell
COLUMNS = {
    "core": "noise, missing",
    "plausible": "stuck, swapped",
    "other": "drift, scaled, ...",
    "several": "several fail",
}


def split(task, seed):
    """Split a task, with a stratified draw of the training samples where they are many."""
    rows = Rows(task, seed, "default")
    if len(rows.X) > MOST_SAMPLES:
        rows.X, _, rows.y, _ = train_test_split(
            rows.X, rows.y, train_size=MOST_SAMPLES, stratify=rows.y, random_state=seed
        )
    return rows


def fit(rows, params, l2, memory):
    """Fit EMMA with a gate; the energies and the penalty on weights do not depend on it."""
    model = EMMAClassifier(
        rows.modalities,
        l2_regularization=l2,
        memory=memory,
        random_state=rows.seed,
        **params,
    )
    return model.fit(rows.X, rows.y)


def measure(rows, model):
    """Score a model: clean, and the mean over the cells of each group."""
    decide = rows.decide(model)
    groups = {}
    for cell, X in rows.cells.items():
        name = "clean" if cell.level == CLEAN else COLUMNS[cell.group]
        groups.setdefault(name, []).append(rows.score(decide(model.predict_proba(X))))
    found = {name: float(np.mean(values)) for name, values in groups.items()}
    failing = [v for name, values in groups.items() if name != "clean" for v in values]
    return found | {MEAN: float(np.mean(failing))}


def run_seed(task, seed, gates):
    """Fit all gates on one split; give a record for each."""
    rows, records, l2 = split(task, seed), [], "auto"
    with tempfile.TemporaryDirectory() as memory:
        for name in gates:
            start = time.process_time()
            model = fit(rows, GATES[name], l2, memory)
            seconds, l2 = time.process_time() - start, model.l2_regularization_
            record = {"task": task.name, "metric": task.metric, "seed": seed, "gate": name}
            records.append(record | {"seconds": seconds, "scores": measure(rows, model)})
            mean = records[-1]["scores"][MEAN]
            print(task.name, seed, name, f"{mean:.3f}", f"{seconds:.1f} s", file=sys.stderr)
    return records


def pick(records, gate, task, name):
    """Give the scores of a gate on a task, by seed."""
    chosen = [r for r in records if r["gate"] == gate and r["task"] == task]
    return np.array([r["scores"][name] for r in sorted(chosen, key=lambda r: r["seed"])])


def report(records):
    """Print the differences to the default, and a table for each task."""
    tasks = list(dict.fromkeys(record["task"] for record in records))
    gates = list(dict.fromkeys(record["gate"] for record in records))
    for name in (MEAN, "clean"):
        print(f"\n### {name[0].upper()}{name[1:]}: difference to the gate of energies\n")
        lines = []
        for gate in gates:
            pairs = [[pick(records, g, t, name) for g in (gate, DEFAULT)] for t in tasks]
            by_task = [ours - default for ours, default in pairs]
            cells = [spread(values) for values in by_task]
            lines.append([gate, *cells, f"{np.mean([v.mean() for v in by_task]):.3f}"])
        print(table(["gate", *tasks, "mean"], lines))
    for task in tasks:
        those = [record for record in records if record["task"] == task]
        n_seeds = len({record["seed"] for record in those})
        names = [n for n in ("clean", MEAN, *COLUMNS.values()) if n in those[0]["scores"]]
        print(f"\n### {task}: {those[0]['metric']}, {n_seeds} splits\n")
        lines = [[gate, *(spread(pick(those, gate, task, n)) for n in names)] for gate in gates]
        print(table(["gate", *names], lines))


def main(argv=None):
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS, metavar="TASK")
    parser.add_argument("--gates", nargs="+", choices=GATES, default=list(GATES), metavar="GATE")
    parser.add_argument("--seeds", type=int, default=2, help="number of splits (default 2)")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--data", default=default_data(), help="folder with the csv files")
    parser.add_argument("--json", type=Path, help="file for the scores of every seed")
    parser.add_argument("--load", type=Path, nargs="+", help="files of --json: print their tables")
    args = parser.parse_args(argv)
    gates = list(dict.fromkeys([DEFAULT, *args.gates]))
    records = [record for path in args.load or () for record in json.loads(path.read_text())]
    for name in () if args.load else args.tasks:
        if name in FROM_FILES and args.data is None:
            print(f"{name} skipped: set SKLEARN_EMMA_DATA to the folder of its file")
            continue
        task = load(name, args.data)
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            records += run_seed(task, seed, gates)
            if args.json:
                args.json.write_text(json.dumps(records))
    report(records)


if __name__ == "__main__":
    main()
