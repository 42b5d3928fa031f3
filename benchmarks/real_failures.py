"""How well do classifiers predict when sensors really failed? See README.md of this folder.

python benchmarks/real_failures.py --seeds 3
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
from _packages import available
from _protocol import default_data
from _real_models import MODELS, PACKAGES
from _real_tables import SPLITS, load_cases, random_case, used_columns
from _tables import table

from sklearn_emma.metrics import expected_calibration_error

MEASURES = ("accuracy", "balanced", "AUC", "calibration")
N_BOOTSTRAP = 200


def measure(y, proba, weights=None):
    """Give all measures of the probabilities of classes 0, 1, ... of test samples.

    With weights of shape (n_draws, n_samples), for instance how often a bootstrap drew each sample,
    there is one line of measures for each draw, else a single line.
    """
    weights = np.ones((1, len(y))) if weights is None else weights
    right = proba.argmax(axis=1) == y
    present, labels = np.unique(y), np.arange(proba.shape[1])
    # for two classes, the AUC of the second one is enough
    ranked = present[-1:] if len(labels) == 2 else present
    measures = [
        weights @ right / weights.sum(axis=1),
        np.nanmean([weights @ (right & (y == c)) / (weights @ (y == c)) for c in present], axis=0),
        np.nanmean([area(y == c, proba[:, c], weights) for c in ranked], axis=0),
        [
            expected_calibration_error(
                y[w > 0], proba[w > 0], labels=labels, sample_weight=w[w > 0]
            )
            for w in weights
        ],
    ]
    return np.column_stack(measures)


def area(positive, score, weights):
    """Give the area under the ROC curve for each line of weights; NaN without both classes."""
    order = np.argsort(score)
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    sums = [
        np.add.reduceat(weights[:, order] * chosen[order], starts, axis=1)
        for chosen in (positive, ~positive)
    ]
    ones, zeros = sums
    below = zeros.cumsum(axis=1) - zeros / 2
    pairs = ones.sum(axis=1) * zeros.sum(axis=1)
    return np.where(pairs > 0, (ones * below).sum(axis=1) / np.maximum(pairs, 1), np.nan)


def bootstrap(y, proba):
    """Give all measures of bootstrap samples, the same ones for all models and seeds."""
    drawn = np.random.RandomState(0).randint(len(y), size=(N_BOOTSTRAP, len(y)))
    return measure(y, proba, np.array([np.bincount(i, minlength=len(y)) for i in drawn]))


def probabilities(model, X, y_train, n_classes):
    """Give probabilities of all classes; zero for classes without training samples."""
    proba = np.zeros((len(X), n_classes))
    found = np.clip(model.predict_proba(X), 0, 1)
    proba[:, np.unique(y_train)] = found / found.sum(axis=1, keepdims=True)
    return proba


def run(case, names, seed, most):
    """Fit models on one split; give a record for each model and set of test samples."""
    train = case.train
    if len(train) > most:
        # in the order of the table, which for most tables is temporal order
        train = np.sort(np.random.RandomState(seed).permutation(train)[:most])
    (X, modalities), y = used_columns(case), case.y
    _, y_train = np.unique(y[train], return_inverse=True)
    for name in names:
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # columns of few values, iterations
            model = MODELS[name](X[train], y_train, modalities, seed)
        seconds = time.process_time() - start
        for test, positions in case.tests.items():
            n_classes = int(y.max()) + 1
            proba = probabilities(model, X[positions], y[train], n_classes)
            record = {"case": case.name, "test": test, "seed": seed, "model": name}
            record |= {"n_train": len(train), "n_test": len(positions), "seconds": seconds}
            record |= {"measures": measure(y[positions], proba)[0].tolist()}
            record |= {"bootstrap": bootstrap(y[positions], proba).tolist()}
            print(
                case.name,
                test,
                seed,
                name,
                f"{record['measures'][0]:.3f}",
                f"{seconds:.0f} s",
                file=sys.stderr,
                flush=True,
            )
            yield record


def report(records):
    """Print the tables."""
    scores = {"natural": [], "random": []}
    for case, test in dict.fromkeys((r["case"], r["test"]) for r in records):
        those = [r for r in records if (r["case"], r["test"]) == (case, test)]
        sizes = f"{those[0]['n_train']} training and {those[0]['n_test']} test samples"
        print(f"\n### {case} -> {test}: {sizes}, {len({r['seed'] for r in those})} seeds\n")
        lines, means = [], {}
        for name in MODELS:
            of_model = [r for r in those if r["model"] == name]
            if of_model:
                line, means[name] = summarize(of_model)
                lines.append([name, *line])
        print(table(["model", *MEASURES, "s"], lines))
        scores["random" if test == "random" else "natural"].append(means)
    for kind, found in scores.items():
        names = [name for name in MODELS if found and all(name in means for means in found)]
        if names:
            print(f"\n### Mean rank and mean over {len(found)} tests, {kind} splits\n")
            values = [np.array([means[name] for name in names]) for means in found]
            ranks = np.mean([rank(value) for value in values], axis=0)
            cells = zip(names, ranks, np.mean(values, axis=0), strict=True)
            lines = [
                [name, *(f"{r:.2f} ({m:.3f})" for r, m in zip(*both, strict=True))]
                for name, *both in cells
            ]
            print(table(["model", *MEASURES], lines))


def summarize(records):
    """Give the printed figures of a model on one test, and the means over the seeds."""
    measures = np.array([r["measures"] for r in records])
    drawn = np.mean([r["bootstrap"] for r in records], axis=0)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    mean, spread = measures.mean(axis=0), measures.std(axis=0)
    cells = [
        f"{m:.3f} ({a:.3f} to {b:.3f})" + (f" ±{s:.3f}" if len(records) > 1 else "")
        for m, a, b, s in zip(mean, low, high, spread, strict=True)
    ]
    return [*cells, f"{np.mean([r['seconds'] for r in records]):.1f}"], mean


def rank(scores):
    """Rank models by each measure, the best first; equal models get the same mean rank."""
    better = np.column_stack([scores[:, :3], -scores[:, 3]])
    above = (better[None] > better[:, None]).sum(axis=1)
    equal = (better[None] == better[:, None]).sum(axis=1)
    return above + (equal + 1) / 2


def main(argv=None):
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=SPLITS, default=list(SPLITS), metavar="TASK")
    parser.add_argument(
        "--models", nargs="+", choices=MODELS, default=list(MODELS), metavar="MODEL"
    )
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (default 3)")
    parser.add_argument("--first-seed", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument(
        "--most",
        type=int,
        default=3000,
        help="most training samples, drawn at random (default 3000)",
    )
    parser.add_argument(
        "--splits", nargs="+", choices=("natural", "random"), default=["natural", "random"]
    )
    parser.add_argument("--data", default=default_data(), help="folder with the folder real")
    parser.add_argument("--json", type=Path, help="file for the figures of every seed")
    parser.add_argument("--load", type=Path, nargs="+", help="files of --json: print their tables")
    args = parser.parse_args(argv)

    models = [] if args.load else available(args.models, PACKAGES)
    records = [record for path in args.load or () for record in json.loads(path.read_text())]
    for name in () if args.load else args.tasks:
        if args.data is None or not (Path(args.data) / "real" / f"{name}.npz").exists():
            print(f"{name} skipped: set SKLEARN_EMMA_DATA to the folder that has real/{name}.npz")
            continue
        for case in load_cases(name, args.data):
            for seed in range(args.first_seed, args.first_seed + args.seeds):
                for kind in args.splits:
                    split = case if kind == "natural" else random_case(case, seed)
                    records += run(split, models, seed, args.most)
                    if args.json:
                        args.json.write_text(json.dumps(records))
    report(records)


if __name__ == "__main__":
    main()
