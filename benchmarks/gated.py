"""What does the gate do for boosting? See README.md of this folder.

python benchmarks/gated.py --seeds 5
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the time of one core

import numpy as np
from _protocol import Rows, Task, default_data, load_task
from _real_tables import SPLITS, load_cases, used_columns
from _robustness_failures import CLEAN, FAILURES
from _tables import spread, table
from joblib import Parallel, delayed
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier

from sklearn_emma import EMMAClassifier, GatedClassifier

FROM_FILES = ("htru2", "mfeat", *SPLITS)
TASKS = ("htru2", "digits", "breast_cancer", "simulated", "mfeat", *SPLITS)
DEFAULT_TASKS = TASKS[:4]
N_REAL = 3000
LEVELS = [level for levels in FAILURES.values() for level in levels]
BARE, COPIES = "boosting", "boosting, ten copies"
GATED, ALONE, EMMA = "GatedClassifier", "GatedClassifier, blend=0", "EMMAClassifier"


def digits_in_quadrants():
    """Load the digits of scikit-learn; each quadrant of the picture is a modality."""
    X, y = load_digits(return_X_y=True)
    varies = X.std(axis=0) > 0
    position = np.cumsum(varies) - 1
    pixels = np.arange(64).reshape(8, 8)
    quadrants = {
        f"{vertical} {horizontal}": pixels[rows, columns].ravel()
        for vertical, rows in (("upper", slice(4)), ("lower", slice(4, 8)))
        for horizontal, columns in (("left", slice(4)), ("right", slice(4, 8)))
    }
    modalities = {name: position[p[varies[p]]].tolist() for name, p in quadrants.items()}
    return Task("digits", X[:, varies], y, modalities)


def real_table(name, data):
    """Load a table of ``real_failures.py``, at most 3,000 samples of it, whatever its splits."""
    case = load_cases(name, data)[-1]
    everything = np.concatenate([case.train, *case.tests.values()])
    some = np.random.RandomState(0).permutation(everything)[:N_REAL]
    X, modalities = used_columns(case)
    return Task(name, X[some], case.y[some], modalities)


def load(name, data):
    """Load one of `TASKS`."""
    if name == "digits":
        return digits_in_quadrants()
    return real_table(name, data) if name in SPLITS else load_task(name, data)


def boosting(rows):
    """Give the model: histogram gradient boosting with its defaults."""
    return HistGradientBoostingClassifier(random_state=rows.seed)


def fit_gated(rows, **params):
    """Boosting behind the gate."""
    model = GatedClassifier(boosting(rows), rows.modalities, random_state=rows.seed, **params)
    return model.fit(rows.X, rows.y)


def fit_emma(rows):
    """EMMA with its defaults."""
    return EMMAClassifier(rows.modalities, random_state=rows.seed).fit(rows.X, rows.y)


def models(with_emma):
    """Give what fits each model."""
    found = {
        BARE: lambda rows: boosting(rows).fit(rows.X, rows.y),
        COPIES: lambda rows: boosting(rows).fit(*rows.copies(10)),
        GATED: fit_gated,
        ALONE: lambda rows: fit_gated(rows, blend=0.0),
    }
    return found | ({EMMA: fit_emma} if with_emma else {})


def run_seed(task, seed, with_emma):
    """Fit all models on one split; give a record for each."""
    rows, records = Rows(task, seed, "default"), []
    for name, fit in models(with_emma).items():
        start = time.process_time()
        model = fit(rows)
        seconds = time.process_time() - start
        decide = rows.decide(model)
        levels = {level: [] for level in LEVELS}
        for cell, X in rows.cells.items():
            if cell.level in levels and cell.group != "several":
                levels[cell.level].append(rows.score(decide(model.predict_proba(X))))
        record = {"task": task.name, "metric": task.metric, "seed": seed, "model": name}
        record |= {"seconds": seconds, "levels": {k: float(np.mean(v)) for k, v in levels.items()}}
        records.append(record)
        mean = np.mean(list(record["levels"].values()))
        print(task.name, seed, name, f"{mean:.3f}", f"{seconds:.1f} s", file=sys.stderr, flush=True)
    return records


def report(records):
    """Print the tables."""
    for task in dict.fromkeys(record["task"] for record in records):
        those = [record for record in records if record["task"] == task]
        n_seeds = len({record["seed"] for record in those})
        print(f"\n### {task}: {those[0]['metric']}, {n_seeds} splits\n")
        lines = []
        for name in dict.fromkeys(record["model"] for record in those):
            of_model = [record for record in those if record["model"] == name]
            by_level = {k: [record["levels"][k] for record in of_model] for k in LEVELS}
            means = np.mean(list(by_level.values()), axis=0)
            lines.append(
                [
                    name,
                    spread(means),
                    spread(by_level[CLEAN]),
                    *(f"{np.mean(by_level[level]):.3f}" for level in LEVELS if level != CLEAN),
                    f"{np.mean([record['seconds'] for record in of_model]):.1f}",
                ]
            )
        print(table(["model", "mean", "clean", *(v for v in LEVELS if v != CLEAN), "s"], lines))


def main(argv=None):
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=DEFAULT_TASKS, metavar="TASK")
    parser.add_argument("--seeds", type=int, default=5, help="number of splits (default 5)")
    parser.add_argument("--emma", action="store_true", help="fit EMMAClassifier too")
    parser.add_argument("--jobs", type=int, default=1, help="processes, over seeds (default 1)")
    parser.add_argument("--data", default=default_data(), help="folder with the csv files")
    parser.add_argument("--json", type=Path, help="file for the scores of every seed")
    parser.add_argument("--load", type=Path, nargs="+", help="files of --json: print their tables")
    args = parser.parse_args(argv)

    records = [record for path in args.load or () for record in json.loads(path.read_text())]
    for name in () if args.load else args.tasks:
        if name in FROM_FILES and args.data is None:
            print(f"{name} skipped: set SKLEARN_EMMA_DATA to the folder of its file")
            continue
        task = load(name, args.data)
        for found in Parallel(n_jobs=args.jobs, return_as="generator")(
            delayed(run_seed)(task, seed, args.emma) for seed in range(args.seeds)
        ):
            records += found
            if args.json:
                args.json.write_text(json.dumps(records))
    report(records)


if __name__ == "__main__":
    main()
