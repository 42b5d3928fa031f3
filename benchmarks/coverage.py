"""Do prediction sets keep their coverage when modalities fail? See README.md of this folder.

python benchmarks/coverage.py --seeds 5
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy

import numpy as np
from _protocol import TASKS, default_data, load_task
from _robustness_failures import FAILURES
from _studies import digits_in_quadrants
from _tables import spread, table
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split

from sklearn_emma import EMMAClassifier, GatedClassifier
from sklearn_emma.model_selection import PatternConformalClassifier
from sklearn_emma.model_selection.failing_copies import failing_copies

LEVEL = 0.9
LEAST = 300  # calibration and test samples of the patterns that are reported
BY_PATTERN, MIXED, CLEAN_ONLY = "by pattern", "all together", "clean only"
METHODS = (BY_PATTERN, MIXED, CLEAN_ONLY)
NEW = {
    level: make
    for levels in FAILURES.values()
    for level, make in levels.items()
    if level not in ("sigma 0", "sigma 0.5", "sigma 1", "sigma 2", "missing", "swapped")
}
MODELS = {
    "EMMA": lambda modalities, seed: EMMAClassifier(modalities, random_state=seed),
    "boosting behind the gate": lambda modalities, seed: GatedClassifier(
        HistGradientBoostingClassifier(), modalities, random_state=seed
    ),
}


def split_conformal(model, X, y):
    """Calibrate on clean samples, with MAPIE where it is installed."""
    try:
        from mapie.classification import SplitConformalClassifier
    except ImportError:
        score = 1 - model.predict_proba(X)[np.arange(len(y)), y]
        rank = int(np.ceil(LEVEL * (len(y) + 1))) - 1
        limit = np.sort(score)[rank]
        return lambda X: 1 - model.predict_proba(X) <= limit
    sets = SplitConformalClassifier(model, confidence_level=LEVEL).conformalize(X, y)
    return lambda X: sets.predict_set(X)[1][:, :, 0]


class Run:
    """One split: a fitted model, and three ways to calibrate its prediction sets."""

    def __init__(self, task, model, score, seed):
        X, X_test, y, self.y = train_test_split(
            task.data, task.target, test_size=0.25, stratify=task.target, random_state=seed
        )
        self.reference, X_cal, y_train, y_cal = train_test_split(
            X, y, test_size=1 / 3, stratify=y, random_state=seed
        )
        self.X, self.modalities, self.seed = X_test, task.modalities, seed
        self.model = MODELS[model](task.modalities, seed).fit(self.reference, y_train)
        params = {"conformity_score": score, "confidence_level": LEVEL, "random_state": seed}
        self.by_pattern = PatternConformalClassifier(self.model, **params).conformalize(
            X_cal, y_cal
        )
        together = PatternConformalClassifier(self.model, min_samples=len(y_cal) + 1, **params)
        self.methods = {
            BY_PATTERN: self.by_pattern.predict_set,
            MIXED: together.conformalize(X_cal, y_cal).predict_set,
            CLEAN_ONLY: split_conformal(self.model, X_cal, y_cal),
        }

    def judge(self, X):
        """Tell whether the sets contain the true label, and give their sizes, by method."""
        found = {}
        for name, predict in self.methods.items():
            sets = predict(X)
            found[name] = sets[np.arange(len(X)), self.y], sets.sum(axis=1)
        return found

    def patterns(self):
        """Measure each pattern, on clean and corrupted copies like those of the calibration."""
        copies = failing_copies(
            self.model,
            self.X,
            corruption=None,
            n_several=4,
            failure_rate=self.by_pattern.failure_rate,
            seed=self.seed + 10_000,
        )
        parts = [(weight, self.by_pattern.closed(X), self.judge(X)) for weight, X in copies]
        weight = np.concatenate([np.full(len(closed), weight) for weight, closed, _ in parts])
        closed = np.concatenate([closed for _, closed, _ in parts])
        sample = np.tile(np.arange(len(self.y)), len(parts))
        group = self.by_pattern.pattern_thresholds_.group(closed)
        records = []
        for i, row in self.by_pattern.pattern_thresholds_.table.iterrows():
            here = group == i
            n_test = len(np.unique(sample[here]))
            if min(row["n_samples"], n_test) < LEAST or row["closed"] == "other":
                continue
            record = {"closed": row["closed"], "n_samples": int(row["n_samples"]), "n_test": n_test}
            share = weight[here] / weight[here].sum()
            for method in METHODS:
                hit, size = (
                    np.concatenate([judged[method][k] for *_, judged in parts]) for k in (0, 1)
                )
                record[method] = [float(share @ hit[here]), float(share @ size[here])]
            records.append(record)
        return records

    def failures(self):
        """Measure failures that are not among those of the calibration, one modality at a time."""
        cases = {"clean": [self.X]}
        for i, (level, make) in enumerate(NEW.items()):
            cases[level] = [
                make(only=name, n_corrupted=1).corrupt(
                    self.X, self.modalities, 1000 * self.seed + i, reference=self.reference
                )[0]
                for name in self.modalities
            ]
        records = []
        for level, tables in cases.items():
            judged = [self.judge(X) for X in tables]
            record = {"level": level}
            for method in METHODS:
                record[method] = [float(np.mean([j[method][k] for j in judged])) for k in (0, 1)]
            records.append(record)
        return records


def run_seed(task, model, score, seed):
    """Give the records of one split."""
    start = time.perf_counter()
    run = Run(task, model, score, seed)
    record = {"task": task.name, "model": model, "score": score, "seed": seed}
    record |= {"accuracy": float((run.model.predict(run.X) == run.y).mean())}
    record |= {"patterns": run.patterns(), "failures": run.failures()}
    print(
        task.name,
        model,
        score,
        seed,
        f"{time.perf_counter() - start:.0f} s",
        file=sys.stderr,
        flush=True,
    )
    return record


def cells(records, what, key):
    """Group the measurements of all splits by pattern or failure."""
    found = {}
    for record in records:
        for part in record[what]:
            found.setdefault(part[key], []).append(part)
    return found


def report(records):
    """Print the tables."""
    keys = dict.fromkeys((r["task"], r["model"], r["score"]) for r in records)
    summary = []
    for key in keys:
        those = [r for r in records if (r["task"], r["model"], r["score"]) == key]
        accuracy = np.mean([r["accuracy"] for r in those])
        print(f"\n### {key[0]}, {key[1]}, {key[2].upper()}: {len(those)} splits, ", end="")
        print(f"accuracy {accuracy:.3f}\n")
        lines = []
        for closed, parts in cells(those, "patterns", "closed").items():
            calibrated = np.mean([part["n_samples"] for part in parts])
            lines.append([closed, str(len(parts)), f"{calibrated:.0f}", *_figures(parts)])
        header = ["closed", "splits", "samples", *METHODS, *(f"labels, {m}" for m in METHODS)]
        print(table(header, lines))
        print()
        lines = [[c, *_figures(p)] for c, p in cells(those, "failures", "level").items()]
        print(table(["failure", *header[3:]], lines))
        means = [
            [np.mean([p[m][0] for p in parts]) for m in METHODS]
            for parts in cells(those, "patterns", "closed").values()
        ]
        found = cells(those, "patterns", "closed").values()
        single = [part[BY_PATTERN][0] for parts in found for part in parts]
        summary.append(
            [*key, f"{_within(single):.0%}", str(len(means))]
            + [f"{_within(v):.0%}, {v.min():.3f} to {v.max():.3f}" for v in np.transpose(means)]
        )
    header = ["task", "model", "score", f"single splits, {BY_PATTERN}", "patterns", *METHODS]
    print("\n### Mean coverage of the patterns over the splits: share within .02, range\n")
    print(table(header, summary))


def _within(coverages):
    """Give the share of coverages that are close enough to the nominal one."""
    return np.mean(np.abs(np.array(coverages) - LEVEL) <= 0.02)


def _figures(parts):
    """Format coverages and sizes of all methods."""
    coverages = [spread([part[m][0] for part in parts]) for m in METHODS]
    return coverages + [f"{np.mean([part[m][1] for part in parts]):.2f}" for m in METHODS]


def main(argv=None):
    """Run the benchmark from the command line."""
    tasks = (*TASKS, "digits")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--tasks",
        nargs="+",
        choices=tasks,
        default=("htru2", "simulated", "digits"),
        metavar="TASK",
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["EMMA"], metavar="MODEL")
    parser.add_argument("--scores", nargs="+", choices=("lac", "aps"), default=["lac"])
    parser.add_argument("--seeds", type=int, default=5, help="number of splits (default 5)")
    parser.add_argument("--first-seed", type=int, default=0, help="the first split (default 0)")
    parser.add_argument("--data", default=default_data(), help="folder with the csv files")
    parser.add_argument("--json", type=Path, help="file for the figures of every split")
    parser.add_argument("--load", type=Path, nargs="+", help="files of --json: print their tables")
    args = parser.parse_args(argv)

    records = [record for path in args.load or () for record in json.loads(path.read_text())]
    for name in () if args.load else args.tasks:
        if name in ("htru2", "mfeat") and args.data is None:
            print(f"{name} skipped: set SKLEARN_EMMA_DATA to the folder of its file")
            continue
        task = digits_in_quadrants() if name == "digits" else load_task(name, args.data)
        for model in args.models:
            for score in args.scores:
                for seed in range(args.first_seed, args.first_seed + args.seeds):
                    records.append(run_seed(task, model, score, seed))
                    if args.json:
                        args.json.write_text(json.dumps(records))
    report(records)


if __name__ == "__main__":
    main()
