"""How well do classifiers predict when views of a sample conflict? See README.md of this folder.

python benchmarks/multi_view.py --seeds 10
"""

import argparse
import json
import os
import sys
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the time of one core

import numpy as np
from _protocol import default_data
from _real_models import MODELS
from _tables import table
from sklearn.preprocessing import MinMaxScaler

TASKS = ("handwritten", "scene15")
COLUMNS = ("clean", "conflict", "noise", "unaligned")
DEFAULT_MODELS = ("EMMA", "late fusion", "logistic regression", "random forest")

# Accuracy in %, means of ten splits: Duan, S. et al. (2025), Deep fuzzy multi-view learning for
# reliable classification, ICML, tables 3, 9 and 11.
PUBLISHED = {"handwritten": (99.2, 98.8, 91.7, 99.1), "scene15": (79.4, 72.7, 69.0, 74.0)}


def load(name, folder):
    """Give samples, classes from 0, and the columns of each view."""
    with np.load(Path(folder) / "real" / f"mv_{name}.npz") as data:
        X, groups = data["X"].astype(float), json.loads(str(data["groups"]))
        return X, np.unique(data["y"], return_inverse=True)[1], groups


def split(X, seed):
    """Draw 80 % of the samples for training; scale all by the ranges of these.

    Returns
    -------
    X : ndarray
        All samples, scaled.
    train, test : ndarray of int
        Positions.
    """
    train, test = np.split(np.random.RandomState(seed).permutation(len(X)), [int(0.8 * len(X))])
    return MinMaxScaler().fit(X[train]).transform(X), train, test


def add_noise(X, views, fraction, sigma, rng):
    """Add normal noise to a fraction of the samples, each in a random number of its views.

    The number is uniform between none and all but one.
    """
    X, views = X.copy(), list(views.values())
    for i in rng.choice(len(X), int(fraction * len(X)), replace=False):
        for v in rng.choice(len(views), rng.randint(len(views)), replace=False):
            X[i, views[v]] += rng.normal(0, sigma, len(views[v]))
    return X


def replace_view(X, y, views, donors, fraction, rng):
    """In a fraction of the samples, take one random view from the donor of the next class."""
    X, views = X.copy(), list(views.values())
    for i in rng.choice(len(X), int(fraction * len(X)), replace=False):
        columns = views[rng.randint(len(views))]
        X[i, columns] = donors[(y[i] + 1) % len(donors), columns]
    return X


def corrupt(X, y, views, test, seed):
    """Give the test samples of each column of the tables.

    As in the published program, the donor of a class is its first sample in the table.
    """
    donors = X[np.unique(y, return_index=True)[1]]
    X, y = X[test], y[test]
    streams = [np.random.RandomState([seed, i]) for i in range(len(COLUMNS))]
    noisy = add_noise(X, views, 0.1, 0.5, streams[1])
    samples = [
        X,
        replace_view(noisy, y, views, donors, 0.4, streams[1]),
        add_noise(X, views, 0.5, 10.0, streams[2]),
        replace_view(X, y, views, donors, 0.5, streams[3]),
    ]
    return dict(zip(COLUMNS, samples, strict=True))


def run(task, X, y, views, seed, names):
    """Fit models on one split; give a record for each."""
    X, train, test = split(X, seed)
    tests = corrupt(X, y, views, test, seed)
    for name in names:
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # iterations
            model = MODELS[name](X[train], y[train], views, seed)
        seconds = time.process_time() - start
        accuracy = {
            column: float((model.predict_proba(part).argmax(axis=1) == y[test]).mean())
            for column, part in tests.items()
        }
        print(task, seed, name, accuracy, f"{seconds:.0f} s", file=sys.stderr, flush=True)
        record = {"task": task, "seed": seed, "model": name}
        yield record | {"accuracy": accuracy, "seconds": seconds}


def report(records):
    """Print the tables."""
    for task in dict.fromkeys(r["task"] for r in records):
        those = [r for r in records if r["task"] == task]
        print(f"\n### {task}: accuracy in %, {len({r['seed'] for r in those})} splits\n")
        lines = []
        for name in dict.fromkeys(r["model"] for r in those):
            of_model = [r for r in those if r["model"] == name]
            values = 100 * np.array([[r["accuracy"][c] for c in COLUMNS] for r in of_model])
            spread = values.std(axis=0, ddof=min(1, len(values) - 1))
            cells = [f"{m:.1f} ±{s:.1f}" for m, s in zip(values.mean(axis=0), spread, strict=True)]
            lines.append([name, *cells, f"{np.mean([r['seconds'] for r in of_model]):.1f}"])
        lines.append(["FUML, published", *(f"{p:.1f}" for p in PUBLISHED[task]), ""])
        print(table(["model", *COLUMNS, "s"], lines))


def main(argv=None):
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument(
        "--models", nargs="+", choices=MODELS, default=list(DEFAULT_MODELS), metavar="MODEL"
    )
    parser.add_argument("--seeds", type=int, default=10, help="number of splits (default 10)")
    parser.add_argument("--first-seed", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--data", default=default_data(), help="folder with the folder real")
    parser.add_argument("--json", type=Path, help="file for the figures of every split")
    parser.add_argument("--load", type=Path, nargs="+", help="files of --json: print their tables")
    args = parser.parse_args(argv)

    records = [record for path in args.load or () for record in json.loads(path.read_text())]
    for task in () if args.load else args.tasks:
        if args.data is None or not (Path(args.data) / "real" / f"mv_{task}.npz").exists():
            print(f"{task} skipped: set SKLEARN_EMMA_DATA to the folder with real/mv_{task}.npz")
            continue
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            for record in run(task, *load(task, args.data), seed, args.models):
                records.append(record)
                if args.json:
                    args.json.write_text(json.dumps(records))
    report(records)


if __name__ == "__main__":
    main()
