"""Do unlabeled samples help, by virtual adversarial training? See README.md of this folder.

python benchmarks/unlabeled.py
"""

import argparse
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the time of one core

import numpy as np
from _protocol import default_data
from _studies import load
from _tables import spread, table
from sklearn.model_selection import train_test_split

from sklearn_emma import EMMAClassifier
from sklearn_emma.corruption import VirtualAdversarial

# Data set, and the number of its training samples with a label.
N_LABELED = {"breast_cancer": 20, "digits": 100}
SIZES = (0.5, 1.0, 2.0)


def accuracies(model, X, y, modalities):
    """Give the accuracy on clean samples, and with one modality missing (mean over modalities)."""
    lost = []
    for columns in modalities.values():
        missing = X.copy()
        missing[:, columns] = np.nan
        lost.append(model.score(missing, y))
    return model.score(X, y), np.mean(lost)


def run_seed(task, seed):
    """Give the accuracies of each training on one split."""
    X, y = np.asarray(task.data, dtype=float), task.target
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.4, random_state=seed, stratify=y)
    n = N_LABELED[task.name]
    known = np.where(np.arange(len(y)) < n, y, -1)
    make = {"labeled samples": EMMAClassifier(task.modalities, random_state=seed)}
    for eps in SIZES:
        make[f"and unlabeled, eps={eps:g}"] = EMMAClassifier(
            task.modalities, adversarial=VirtualAdversarial(eps), random_state=seed
        )
    make["all samples labeled"] = EMMAClassifier(task.modalities, random_state=seed)
    found = {}
    for name, model in make.items():
        if "eps" in name:
            model.fit(X, known)
        else:
            size = len(y) if name.startswith("all") else n
            model.fit(X[:size], y[:size])
        found[name] = accuracies(model, X_test, y_test, task.modalities)
        print(task.name, seed, name, *(f"{a:.3f}" for a in found[name]), file=sys.stderr)
    return found


def main(argv=None):
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", nargs="+", choices=N_LABELED, default=list(N_LABELED))
    parser.add_argument("--seeds", type=int, default=5, help="number of splits (default 5)")
    parser.add_argument("--data", default=default_data(), help="folder with the csv files")
    args = parser.parse_args(argv)
    lines = []
    for name in args.tasks:
        task = load(name, args.data)
        runs = [run_seed(task, seed) for seed in range(args.seeds)]
        for training in runs[0]:
            cells = [spread([run[training][i] for run in runs]) for i in (0, 1)]
            lines.append([f"{name}, {N_LABELED[name]} labels", training, *cells])
    print(table(["data", "learns from", "clean", "a modality missing"], lines))


if __name__ == "__main__":
    main()
