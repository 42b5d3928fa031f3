"""How good is EMMA with few training samples, when nothing fails? See README.md of this folder.

python benchmarks/small_tables.py --seeds 3
"""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the time of one core

import numpy as np
from _real_models import MODELS
from _real_tables import SPLITS
from _studies import collect, command_line, select
from _tables import spread, table
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedShuffleSplit

TASKS = ("breast_cancer", "simulated", "digits", "mfeat", *SPLITS)
SIZES = (100, 200, 500)
OURS, PEERS = ("EMMA", "boosting behind the gate"), ("logistic regression", "boosting")
NAMES = OURS + PEERS
MOST_TEST_SAMPLES = 2000


def run_seed(task, seed, names):
    """Fit the models on few samples of a task; give a record for each of them."""
    X, y = np.asarray(task.data, dtype=float), np.asarray(task.target)
    scores = {name: {} for name in names}
    for n in SIZES:
        n_test = min(len(y) - n, MOST_TEST_SAMPLES)
        if n_test < n // 2:
            continue
        split = StratifiedShuffleSplit(1, train_size=n, test_size=n_test, random_state=seed)
        train, test = next(split.split(X, y))
        for name in names:
            model = MODELS[name](X[train], y[train], task.modalities, seed)
            proba = np.clip(model.predict_proba(X[test]), 1e-7, 1)
            proba /= proba.sum(axis=1, keepdims=True)
            accuracy = np.mean(np.unique(y)[proba.argmax(axis=1)] == y[test])
            scores[name][str(n)] = float(accuracy)
            scores[name][f"{n} loss"] = float(log_loss(y[test], proba, labels=np.unique(y)))
            print(task.name, seed, n, name, f"{accuracy:.3f}", file=sys.stderr, flush=True)
    record = {"task": task.name, "metric": "accuracy", "seed": seed}
    return [record | {"model": name, "scores": scores[name]} for name in names]


def report(records):
    """Print the tables."""
    names = [name for name in NAMES if any(r["model"] == name for r in records)]
    ours = [name for name in OURS if name in names]
    for size in map(str, SIZES):
        if not any(size in r["scores"] for r in records):
            continue
        print(f"\n### {size} training samples: accuracy (log loss)\n")
        lines = []
        for task in dict.fromkeys(r["task"] for r in records if size in r["scores"]):
            found = [select(records, size, name, task) for name in names]
            losses = [select(records, f"{size} loss", name, task).mean() for name in names]
            cells = [f"{spread(a)} ({b:.3f})" for a, b in zip(found, losses, strict=True)]
            means = dict(zip(names, [a.mean() for a in found], strict=True))
            best = max(means[name] for name in PEERS)
            lines.append([task, *cells, *[f"{means[name] - best:+.3f}" for name in ours]])
        differences = [f"{name} less the better of the last two" for name in ours]
        print(table(["data", *names, *differences], lines))


def main(argv=None):
    """Run the benchmark from the command line."""
    parser = command_line(__doc__.splitlines()[0], TASKS, seeds=3)
    parser.add_argument("--models", nargs="+", choices=NAMES, default=NAMES, metavar="MODEL")
    args = parser.parse_args(argv)
    report(collect(args, run_seed, args.models))


if __name__ == "__main__":
    main()
