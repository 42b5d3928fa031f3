"""Does annealing help, starting with an open gate? See README.md of this folder.

python benchmarks/annealing.py
"""

import argparse
import os
import sys
from itertools import product

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy

import numpy as np
from _protocol import TASKS, Rows, default_data, load_task
from _tables import spread, table

from sklearn_emma import EMMAClassifier

GAINS = {"2 M": None, "1": 1.0}
SCHEDULES = ("constant", "annealed")


def measure(task, seed, gain, params):
    """Give the scores on one split: clean, the mean over failures, and after the first epoch."""
    rows = Rows(task, seed)
    model = EMMAClassifier(task.modalities, initial_gain=gain, random_state=seed, **params)
    model.fit(rows.X, rows.y)
    decide = rows.decide(model)
    failing = [rows.score(decide(model.predict_proba(X))) for X in rows.cells.values()]
    clean = rows.score(decide(model.predict_proba(rows.X_test)))
    found = clean, float(np.mean(failing)), float(model.history_["train_loss"][0])
    print(task.name, seed, gain, params, found, file=sys.stderr, flush=True)
    return found


def main():
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--data", default=default_data())
    args = parser.parse_args()
    lines = []
    for name in args.tasks:
        task = load_task(name, args.data)
        for (gain, value), schedule in product(GAINS.items(), SCHEDULES):
            params = {"coldness_schedule": schedule, "max_epochs": args.epochs}
            runs = [measure(task, seed, value, params) for seed in range(args.seeds)]
            cells = [spread(values) for values in zip(*runs, strict=True)]
            lines.append([f"{name} ({task.metric})", gain, schedule, *cells])
    header = ["task", "start gain", "coldness", "clean", "mean over failures", "first epoch's loss"]
    print(table(header, lines))


if __name__ == "__main__":
    main()
