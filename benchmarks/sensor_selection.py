"""Are k modalities, chosen for every sample, as good as all? See README.md of this folder.

python benchmarks/sensor_selection.py --seeds 2
"""

import argparse
import os
import sys
import time
from itertools import combinations

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the time of one core

import numpy as np
from _protocol import Rows, default_data
from _robustness_failures import CLEAN
from _tables import spread, table
from gated import load

from sklearn_emma import EMMAClassifier

TASKS = ("simulated", "digits", "mfeat")
FROM_FILES = ("mfeat",)
ALL, STATIC, HARD = "all", "best {} for all samples", "{} for every sample, {}"
SCORES = ("energy", "additive+energy")


def fit(rows, modalities=None, **params):
    """Fit EMMA, with a part of the modalities if need be."""
    model = EMMAClassifier(
        modalities or rows.modalities, remainder="drop", random_state=rows.seed, **params
    )
    return model.fit(rows.X, rows.y)


def best_subset(rows, model, k):
    """Give the k modalities with which a model is best on validation samples, clean and failing."""
    X, y = rows.validation()

    def score(names):
        lost = np.ones(X.shape[1], dtype=bool)
        lost[np.concatenate([rows.modalities[name] for name in names])] = False
        return rows.best_score(y, model.predict_proba(np.where(lost, np.nan, X)))

    names = max(combinations(rows.modalities, k), key=score)
    return {name: rows.modalities[name] for name in names}


def measure(rows, model):
    """Score a model on clean samples and in the mean over the cells in which something fails."""
    decide = rows.decide(model)
    found = {c: rows.score(decide(model.predict_proba(X))) for c, X in rows.cells.items()}
    clean = [score for cell, score in found.items() if cell.level == CLEAN]
    failing = [score for cell, score in found.items() if cell.level != CLEAN]
    return float(np.mean(clean)), float(np.mean(failing))


def run_seed(task, seed, numbers):
    """Fit all models on one split; give the scores of each."""
    rows = Rows(task, seed, "default")
    everything = fit(rows)
    scores = {(len(rows.modalities), ALL): measure(rows, everything)}
    l2 = {"l2_regularization": everything.l2_regularization_}
    for k in numbers:
        static = fit(rows, best_subset(rows, everything, k))
        scores[k, STATIC.format(k)] = measure(rows, static)
        for name in SCORES:
            start = time.process_time()
            hard = fit(rows, attention_score=name, max_modalities=k, **l2)
            scores[k, HARD.format(k, name)] = measure(rows, hard)
            print(task.name, seed, k, name, f"{time.process_time() - start:.0f} s", file=sys.stderr)
    return scores


def main(argv=None):
    """Measure and print the table of each task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS, metavar="TASK")
    parser.add_argument("--seeds", type=int, default=2, help="number of splits (default 2)")
    parser.add_argument("--numbers", type=int, nargs="+", default=(1, 2, 3), metavar="K")
    parser.add_argument("--data", default=default_data(), help="folder with the csv files")
    args = parser.parse_args(argv)
    for name in args.tasks:
        if name in FROM_FILES and args.data is None:
            print(f"{name} skipped: set SKLEARN_EMMA_DATA to the folder of its file")
            continue
        task = load(name, args.data)
        runs = [run_seed(task, seed, args.numbers) for seed in range(args.seeds)]
        print(f"\n### {name}: {task.metric}, {args.seeds} splits\n")
        lines = [
            [str(k), model, *map(spread, zip(*(run[k, model] for run in runs), strict=True))]
            for k, model in runs[0]
        ]
        print(table(["k", "modalities", "clean", "mean over failures"], lines), flush=True)


if __name__ == "__main__":
    main()
