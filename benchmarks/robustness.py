"""How well do classifiers predict when modalities fail? See README.md of this folder.

python benchmarks/robustness.py --data ../shared/data --jobs 2
"""

import argparse
import json
import os
import sys
import time
from dataclasses import astuple
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: parallel over seeds, not inside

import numpy as np
from _baselines import (
    ATTENTIVE,
    BOOSTING,
    COLUMNWISE,
    EMMA,
    MODELS,
    OWN_TRAINING,
    SPECIALIST,
    score_specialists,
)
from _protocol import TASKS, Rows, default_data, load_task
from _robustness_failures import ANY, TRAININGS, list_cells
from _robustness_measures import measure, measure_energies
from _robustness_report import report
from joblib import Parallel, delayed

KNOWN = (*MODELS, SPECIALIST)
# models to compare when columns fail, and when modalities fail
FOR_COLUMNS = (EMMA, ATTENTIVE, BOOSTING, COLUMNWISE)
FOR_MODALITIES = tuple(name for name in KNOWN if name not in (ATTENTIVE, COLUMNWISE))


def evaluate(rows, name):
    """Fit one model; give its measures in all cells, and the processor seconds."""
    start = time.process_time()
    if name == SPECIALIST:
        result = {"score": list(score_specialists(rows).values())}
        return {**result, "seconds": time.process_time() - start}
    model = MODELS[name](rows)
    decide = rows.decide(model)
    fit_seconds = time.process_time() - start
    result = measure(rows, model, decide)
    result["seconds"] = fit_seconds
    if name == EMMA:
        result.update(measure_energies(rows, model))
    return result


def run_seed(task, seed, names, trainings):
    """Evaluate all models on one split: a record for each, and for each training corruption."""
    rows, records = Rows(task, seed), []
    fits = dict.fromkeys(
        (name, ANY, OWN_TRAINING[name]) if name in OWN_TRAINING else (name, training, training)
        for training in trainings
        for name in names
    )
    for name, recorded, training in fits:
        rows.training = training
        result = evaluate(rows, name)
        key = {"task": task.name, "training": recorded, "model": name, "seed": seed}
        records.append({**key, **result})
        print(
            *key.values(),
            f"mean {task.metric} {np.mean(result['score']):.3f}",
            f"fit in {result['seconds']:.0f} s",
            sep=", ",
            file=sys.stderr,
            flush=True,
        )
    return records


def models_for(task, args):
    """Give the models to run on a task."""
    names = args.models or (FOR_COLUMNS if args.training == ["columns"] else FOR_MODALITIES)
    return [name for name in names if not (task.wide and name == COLUMNWISE)]


def run(args):
    """Evaluate all models on all splits of all tasks; give tasks and records, and save them."""
    content = {"tasks": {}, "records": []}
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    for name in args.tasks:
        task = load_task(name, args.data)
        cells = [
            astuple(cell) for cell in list_cells(task.modalities, args.training == ["columns"])
        ]
        content["tasks"][name] = {"metric": task.metric, "cells": cells}
        runs = Parallel(n_jobs=args.jobs, return_as="generator")(
            delayed(run_seed)(task, seed, models_for(task, args), args.training) for seed in seeds
        )
        for records in runs:
            content["records"] += records
            if args.json:
                args.json.write_text(json.dumps(content))
    return content


def load(paths):
    """Merge the files of several runs; for the same model and split, the last counts."""
    tasks, records = {}, {}
    for path in paths:
        content = json.loads(path.read_text())
        tasks.update(content["tasks"])
        for record in content["records"]:
            key = tuple(record[k] for k in ("task", "training", "model", "seed"))
            records[key] = record
    return {"tasks": tasks, "records": list(records.values())}


def parse(argv):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS, metavar="TASK")
    parser.add_argument("--models", nargs="+", choices=KNOWN, metavar="MODEL")
    parser.add_argument(
        "--training",
        nargs="+",
        choices=TRAININGS,
        default=["narrow"],
        help="failures in training (default narrow); with columns, single columns fail too",
    )
    parser.add_argument("--seeds", type=int, default=5, help="number of splits (default 5)")
    parser.add_argument("--first-seed", type=int, default=0, help="seed of the first (default 0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes, over seeds (default 1)")
    parser.add_argument("--data", default=default_data(), help="folder with the csv files")
    parser.add_argument("--details", action="store_true", help="also a table for each modality")
    parser.add_argument("--json", type=Path, help="file for the measures of every seed")
    parser.add_argument(
        "--load", type=Path, nargs="+", help="files of --json: run nothing, print their tables"
    )
    args = parser.parse_args(argv)
    if "columns" in args.training and len(args.training) > 1:
        parser.error("--training columns goes with no other: it has cells of its own")
    return args


def main(argv=None):
    """Run the benchmark from the command line."""
    args = parse(argv)
    report(load(args.load) if args.load else run(args), KNOWN, args.details)


if __name__ == "__main__":
    main()
