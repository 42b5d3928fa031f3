"""Is attention of columns, modalities and energies better than the default? See README.md here.

python benchmarks/unified.py --seeds 3
"""

import argparse
import json
import os
import sys
import time
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the time of one core

import numpy as np
from _baselines import ATTENTIVE, BOOSTING, EMMA, fit_boosting, fit_emma
from _protocol import Rows, default_data
from _robustness_failures import CLEAN
from _tables import spread, table
from gated import load
from sklearn.model_selection import train_test_split

TASKS = ("breast_cancer", "simulated", "digits", "htru2")
FROM_FILES = ("htru2",)
fit_transformer = partial(fit_emma, module="transformer")
MODELS = {
    EMMA: fit_emma,
    ATTENTIVE: partial(fit_emma, column_attention=True),
    # with a coldness of zero the energies say nothing, and all gates are open
    "transformer, open gates": partial(fit_transformer, coldness=0.0),
    "transformer": fit_transformer,
    "transformer, column attention": partial(fit_transformer, column_attention=True),
    BOOSTING: fit_boosting,
}
MOST_SAMPLES = 3000
COLUMN, MODALITY, BOTH = "one column", "one modality", "mean of both"
# columns of the tables, by the group of a cell
GROUPS = {
    "core": "noise, missing",
    "plausible": "stuck, swapped",
    "other": "drift, scaled, ...",
    "column": COLUMN,
}


def split(task, seed):
    """Split a task, with a stratified draw of the training samples where they are many."""
    rows = Rows(task, seed, "columns")
    if len(rows.X) > MOST_SAMPLES:
        rows.X, _, rows.y, _ = train_test_split(
            rows.X, rows.y, train_size=MOST_SAMPLES, stratify=rows.y, random_state=seed
        )
    return rows


def measure(rows, model):
    """Score a model: clean, and the mean over the cells of each group."""
    decide = rows.decide(model)
    groups = {}
    for cell, X in rows.cells.items():
        name = "clean" if cell.level == CLEAN else GROUPS[cell.group]
        groups.setdefault(name, []).append(rows.score(decide(model.predict_proba(X))))
    found = {name: float(np.mean(values)) for name, values in groups.items()}
    whole = [v for name in groups if name not in ("clean", COLUMN) for v in groups[name]]
    found[MODALITY] = float(np.mean(whole))
    return found | {BOTH: (found[MODALITY] + found[COLUMN]) / 2}


def run_seed(task, seed, models):
    """Fit all models on one split; give a record for each."""
    rows, records = split(task, seed), []
    for name in models:
        start = time.process_time()
        model = MODELS[name](rows)
        seconds = time.process_time() - start
        record = {"task": task.name, "metric": task.metric, "seed": seed, "model": name}
        records.append(record | {"seconds": seconds, "scores": measure(rows, model)})
        both = records[-1]["scores"][BOTH]
        print(task.name, seed, name, f"{both:.3f}", f"{seconds:.1f} s", file=sys.stderr)
    return records


def of_model(records, model, task):
    """Give the records of a model on a task, by seed."""
    chosen = [r for r in records if r["model"] == model and r["task"] == task]
    return sorted(chosen, key=lambda r: r["seed"])


def scores(records, model, task, name):
    """Give the scores of a model on a task, by seed."""
    return np.array([r["scores"][name] for r in of_model(records, model, task)])


def report(records):
    """Print the differences to the default, and a table for each task."""
    tasks = list(dict.fromkeys(record["task"] for record in records))
    models = list(dict.fromkeys(record["model"] for record in records))
    for name in ("clean", MODALITY, COLUMN):
        print(f"\n### {name[0].upper()}{name[1:]}: difference to EMMA\n")
        lines = []
        for model in models:
            pairs = [[scores(records, m, t, name) for m in (model, EMMA)] for t in tasks]
            by_task = [ours - default for ours, default in pairs]
            cells = [spread(values) for values in by_task]
            lines.append([model, *cells, f"{np.mean([v.mean() for v in by_task]):.3f}"])
        print(table(["model", *tasks, "mean"], lines))
    for task in tasks:
        those = [record for record in records if record["task"] == task]
        n_seeds = len({record["seed"] for record in those})
        names = ["clean", *(n for n in GROUPS.values() if n != COLUMN), MODALITY, COLUMN]
        print(f"\n### {task}: {those[0]['metric']}, {n_seeds} splits\n")
        lines = []
        for model in models:
            cells = [spread(scores(those, model, task, name)) for name in names]
            seconds = np.mean([r["seconds"] for r in of_model(those, model, task)])
            lines.append([model, *cells, f"{seconds:.1f}"])
        print(table(["model", *names, "seconds"], lines))


def main(argv=None):
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS, metavar="TASK")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seeds", type=int, default=3, help="number of splits (default 3)")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--data", default=default_data(), help="folder with the csv files")
    parser.add_argument("--json", type=Path, help="file for the scores of every seed")
    parser.add_argument("--load", type=Path, nargs="+", help="files of --json: print their tables")
    args = parser.parse_args(argv)
    models = list(dict.fromkeys([EMMA, *args.models]))
    records = [record for path in args.load or () for record in json.loads(path.read_text())]
    for name in () if args.load else args.tasks:
        if name in FROM_FILES and args.data is None:
            print(f"{name} skipped: set SKLEARN_EMMA_DATA to the folder of its file")
            continue
        task = load(name, args.data)
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            records += run_seed(task, seed, models)
            if args.json:
                args.json.write_text(json.dumps(records))
    report(records)


if __name__ == "__main__":
    main()
