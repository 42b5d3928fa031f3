"""Do energies of signals detect more failures than those of columns? See README.md.

python benchmarks/signals.py
"""

import argparse
import os
import sys
import time
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy

import _signal_tasks
import numpy as np
from _robustness_failures import TRAININGS
from _signal_tasks import KINDS, TASKS, fail, import_aeon
from _tables import spread, table
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from sklearn_emma import DAEEnergyScorer, EMMAClassifier, SignalEnergyScorer

N_COPIES = 4
SIGNALS, COLUMNS = "EMMA, signals", "EMMA, columns"
BOOSTING, ROCKET = "boosting", "MiniRocket, boosting"


class Split:
    """A task with half of its samples for training, the others for the test."""

    def __init__(self, task, seed):
        self.task, self.seed = task, seed
        parts = train_test_split(
            task.data, task.target, test_size=0.5, stratify=task.target, random_state=seed
        )
        self.X, self.X_test, self.y, self.y_test = parts

    def failed(self, kind, name, strong):
        """Give test samples in which one modality fails."""
        columns, X = self.task.columns[name], self.X_test.copy()
        rng = np.random.RandomState([self.seed, KINDS.index(kind)])
        options = self.task.aligned, strong, rng
        shape = self.task.shapes[name]
        X[:, columns] = fail(kind, X[:, columns], shape, self.X[:, columns], options)
        return X

    def copies(self):
        """Give copies of the training samples with the default failures of EMMA."""
        corruption, rng = TRAININGS["default"](), np.random.RandomState(self.seed)
        X = [
            corruption.corrupt(self.X, self.task.columns, rng, reference=self.X)[0]
            for _ in range(N_COPIES)
        ]
        return np.vstack(X), np.tile(self.y, N_COPIES)


def seen(split):
    """Give the area under the ROC curve of each energy, by kind of failure."""
    found = {}
    # all samples are for training, as in a classifier
    params = {"calibration_fraction": 0.0, "random_state": split.seed}
    for kind_of_energy, make in {
        "signals": lambda shape: SignalEnergyScorer(shape, **params),
        "columns": lambda shape: DAEEnergyScorer(**params),
    }.items():
        areas = {kind: [] for kind in KINDS}
        for name, shape in split.task.shapes.items():
            columns = split.task.columns[name]
            scorer = make(shape).fit(split.X[:, columns])
            clean = scorer.score_samples(split.X_test[:, columns])
            for kind in KINDS:
                if kind == "shift" and not split.task.aligned and shape[0] == 1:
                    continue  # the shifted window is as likely as before
                bad = scorer.score_samples(split.failed(kind, name, False)[:, columns])
                labels = np.repeat([1, 0], len(clean))
                areas[kind].append(roc_auc_score(labels, np.r_[clean, bad]))
        found[kind_of_energy] = {kind: float(np.mean(each)) for kind, each in areas.items()}
    return found


def make_boosting(seed):
    """Give gradient boosting with few trees, since there are many columns."""
    return HistGradientBoostingClassifier(
        max_iter=40, learning_rate=0.2, max_leaf_nodes=15, max_bins=63, random_state=seed
    )


class RocketBoosting:
    """Boosting on MiniRocket features of corrupted copies of the signals."""

    def __init__(self, split, n_kernels=336):
        rocket = import_aeon("transformations.collection.convolution_based").MiniRocket
        self.split = split
        self.transformers = {
            name: rocket(n_kernels, random_state=split.seed).fit(self._signals(split.X, name))
            for name in split.task.shapes
        }
        X, y = split.copies()
        self.model = make_boosting(split.seed).fit(self._features(X), y)

    def _signals(self, X, name):
        channels, *_ = self.split.task.shapes[name]
        x = np.nan_to_num(X[:, self.split.task.columns[name]])
        return x.reshape(len(X), channels, -1).astype(np.float32)

    def _features(self, X):
        parts = []
        for name, transformer in self.transformers.items():
            features = np.asarray(transformer.transform(self._signals(X, name)))
            gone = np.isnan(X[:, self.split.task.columns[name]]).all(axis=1)
            parts.append(np.where(gone[:, None], np.nan, features))
        return np.hstack(parts)

    def predict(self, X):
        """Predict classes."""
        return self.model.predict(self._features(X))


MODELS = {
    SIGNALS: lambda s: EMMAClassifier(s.task.modalities, random_state=s.seed).fit(s.X, s.y),
    COLUMNS: lambda s: EMMAClassifier(s.task.columns, random_state=s.seed).fit(s.X, s.y),
    BOOSTING: lambda s: make_boosting(s.seed).fit(*s.copies()),
    ROCKET: RocketBoosting,
}


def predicted(split, models):
    """Give the accuracy of each model: clean, by kind of failure, and over all failures."""
    found = {}
    for name in models:
        start = time.perf_counter()
        try:
            model = MODELS[name](split)
        except ImportError as error:
            print(f"{name} left out: {error}", file=sys.stderr)
            continue
        seconds = time.perf_counter() - start
        scores = {"clean": float((model.predict(split.X_test) == split.y_test).mean())}
        for kind in KINDS:
            each = [split.failed(kind, modality, True) for modality in split.task.shapes]
            hits = [(model.predict(X) == split.y_test).mean() for X in each]
            scores[kind] = float(np.mean(hits))
        scores["all failures"] = float(np.mean([scores[kind] for kind in KINDS]))
        found[name] = scores
        print(f"{split.task.name} {split.seed} {name}: {seconds:.0f} s", file=sys.stderr)
    return found


def rows(task, runs):
    """Give the lines of a table: mean and spread over seeds of every entry."""
    return [
        [task, entry, *(spread([run[entry][k] for run in runs]) for k in runs[0][entry])]
        for entry in runs[0]
    ]


def main():
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=MODELS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--hum", type=float, default=_signal_tasks.HUM, help="cycles per reading")
    args = parser.parse_args()
    _signal_tasks.HUM = args.hum
    # constant pixels
    warnings.filterwarnings("ignore", message="Constant in the training samples")
    areas, scores = [], []
    for name in args.tasks:
        try:
            task = TASKS[name]()
        except ImportError as error:
            print(f"{name} left out: {error}", file=sys.stderr)
            continue
        splits = [Split(task, seed) for seed in range(args.seeds)]
        areas += rows(name, [seen(split) for split in splits])
        if args.models:
            scores += rows(name, [predicted(split, args.models) for split in splits])
        print(table(["task", "energy", *KINDS], areas), file=sys.stderr, flush=True)
    print("Area under the ROC curve of the energy of the modality that fails:\n")
    print(table(["task", "energy", *KINDS], areas))
    if scores:
        print("\nAccuracy while one modality fails:\n")
        print(table(["task", "model", "clean", *KINDS, "all failures"], scores))


if __name__ == "__main__":
    main()
