"""Shared code of benchmarks that fit models on splits, and test them with failing modalities.

A record holds the task, its metric, the seed, the model and its scores.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from _protocol import Rows, Task, default_data, load_task
from _real_tables import SPLITS, load_cases, used_columns
from _robustness_failures import CLEAN
from _tables import spread, table
from joblib import Parallel, delayed
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

FROM_FILES = ("htru2", "mfeat", *SPLITS)
MOST_SAMPLES = 3000


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
    """Load at most 3,000 samples of a table of ``real_failures.py``, without its splits."""
    case = load_cases(name, data)[-1]
    everything = np.concatenate([case.train, *case.tests.values()])
    some = np.random.RandomState(0).permutation(everything)[:MOST_SAMPLES]
    X, modalities = used_columns(case)
    return Task(name, X[some], case.y[some], modalities)


def load(name, data):
    """Load a task by its name."""
    if name == "digits":
        return digits_in_quadrants()
    return real_table(name, data) if name in SPLITS else load_task(name, data)


def tasks(args):
    """Load the tasks of a command line one by one; skip those whose files are missing."""
    for name in args.tasks:
        if name in FROM_FILES and args.data is None:
            print(f"{name} skipped: set SKLEARN_EMMA_DATA to the folder of its file")
        else:
            yield load(name, args.data)


def few_rows(task, seed, training):
    """Split a task; if there are many training samples, draw a stratified subset."""
    rows = Rows(task, seed, training)
    if len(rows.X) > MOST_SAMPLES:
        rows.X, _, rows.y, _ = train_test_split(
            rows.X, rows.y, train_size=MOST_SAMPLES, stratify=rows.y, random_state=seed
        )
    return rows


def scores_by(rows, model, name_of):
    """Score a model in all cells, and give the scores by name; cells named None are left out."""
    decide, found = rows.decide(model), {}
    for cell, X in rows.cells.items():
        if (name := name_of(cell)) is not None:
            found.setdefault(name, []).append(rows.score(decide(model.predict_proba(X))))
    return found


def group_names(names):
    """Give the function from a cell to "clean" or the name of its group."""
    return lambda cell: "clean" if cell.level == CLEAN else names[cell.group]


def fit_and_score(rows, name, fit, measure):
    """Fit a model by ``fit(rows)``, score it by ``measure(rows, model)``, and give both."""
    start = time.process_time()
    model = fit(rows)
    seconds = time.process_time() - start
    record = {"task": rows.task.name, "metric": rows.task.metric, "seed": rows.seed, "model": name}
    return model, record | {"seconds": seconds, "scores": measure(rows, model)}


def command_line(description, names, seeds, default=None):
    """Give the parser of the options that the benchmarks share."""
    parser = argparse.ArgumentParser(description=description)
    default = default or names
    parser.add_argument("--tasks", nargs="+", choices=names, default=default, metavar="TASK")
    parser.add_argument(
        "--seeds", type=int, default=seeds, help=f"number of splits (default {seeds})"
    )
    parser.add_argument("--first-seed", type=int, default=0, help="the first split (default 0)")
    parser.add_argument("--data", default=default_data(), help="folder with the csv files")
    parser.add_argument("--jobs", type=int, default=1, help="processes, over seeds (default 1)")
    parser.add_argument("--json", type=Path, help="file for the scores of every seed")
    parser.add_argument("--load", type=Path, nargs="+", help="files of --json: print their tables")
    return parser


def collect(args, run_seed, *params):
    """Run ``run_seed(task, seed, *params)`` on all splits, or load records; give all of them."""
    records = [record for path in args.load or () for record in json.loads(path.read_text())]
    for task in () if args.load else tasks(args):
        seeds = range(args.first_seed, args.first_seed + args.seeds)
        runs = (delayed(run_seed)(task, seed, *params) for seed in seeds)
        for found in Parallel(n_jobs=args.jobs, return_as="generator")(runs):
            records += found
            if args.json:
                args.json.write_text(json.dumps(records))
    return records


def select(records, name, model, task):
    """Give one score of a model on a task, by seed."""
    chosen = [r for r in records if r["model"] == model and r["task"] == task]
    return np.array([r["scores"][name] for r in sorted(chosen, key=lambda r: r["seed"])])


def print_differences(records, names, default):
    """Print a table for each score, with the difference of every model from the default."""
    all_tasks, models = (list(dict.fromkeys(r[key] for r in records)) for key in ("task", "model"))
    for name in names:
        print(f"\n### {name[0].upper()}{name[1:]}: difference to {default}\n")
        lines = []
        for model in models:
            by_task = [
                select(records, name, model, task) - select(records, name, default, task)
                for task in all_tasks
            ]
            mean = np.mean([values.mean() for values in by_task])
            lines.append([model, *map(spread, by_task), f"{mean:.3f}"])
        print(table(["model", *all_tasks, "mean"], lines))


def print_scores(records, names):
    """Print a table of scores for each task, and the seconds if known."""
    for task in dict.fromkeys(r["task"] for r in records):
        those = [r for r in records if r["task"] == task]
        known = [name for name in names if name in those[0]["scores"]]
        n_seeds = len({r["seed"] for r in those})
        print(f"\n### {task}: {those[0]['metric']}, {n_seeds} splits\n")
        lines = []
        for model in dict.fromkeys(r["model"] for r in those):
            cells = [spread(select(those, name, model, task)) for name in known]
            seconds = np.mean([r["seconds"] for r in those if r["model"] == model])
            lines.append([model, *cells, f"{seconds:.1f}"])
        print(table(["model", *known, "s"], lines))
