"""How well do classifiers survive the failure of one modality? See README.md of this folder.

python benchmarks/robustness.py --data ../shared/data --jobs 2
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: parallel over seeds, not inside

import numpy as np
from _baselines import MODELS, score_specialists
from _protocol import LEVELS, Rows, load_task
from joblib import Parallel, delayed

TASKS = ("htru2", "mfeat", "breast_cancer")
SPECIALIST = "specialist"


def default_data():
    """Give the folder with the csv files, or None to download."""
    local = os.environ.get("SKLEARN_EMMA_DATA", "../shared/data")
    return local if Path(local).exists() else None


def run_model(rows, name):
    """Fit one model and score it in all cells; also give the seconds it took."""
    start = time.perf_counter()
    if name == SPECIALIST:
        scores = score_specialists(rows)
    else:
        predict = rows.decide(MODELS[name](rows))
        scores = {cell: rows.score(predict, cell) for cell in rows.cells}
    return scores, time.perf_counter() - start


def run_seed(task, seed, names):
    """Run all models on one split: dict name -> scores, in the order of the cells."""
    rows = Rows(task, seed)
    results = {}
    for name in names:
        scores, seconds = run_model(rows, name)
        results[name] = [scores[cell] for cell in rows.cells]
        print(
            f"{task.name}, seed {seed}, {name}: mean {task.metric} "
            f"{np.mean(results[name]):.3f} in {seconds:.0f} s",
            file=sys.stderr,
            flush=True,
        )
    return results


def table(header, lines):
    """Format a Markdown table with aligned columns."""
    lines = [header, *lines]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    text = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    text.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(text)


def spread(values):
    """Format mean and standard deviation over seeds."""
    return f"{np.mean(values):.3f} ±{np.std(values, ddof=min(1, len(values) - 1)):.3f}"


def report(task, scores):
    """Print all cells, then the means; `scores` is a dict name -> array (seeds, cells)."""
    n_levels = len(LEVELS)
    levels = [level if level == "missing" else f"sigma {level}" for level in LEVELS]
    for i, modality in enumerate(task.modalities):
        print(f"\n{task.name}: {task.metric} when {modality} fails\n")
        cells = slice(i * n_levels, (i + 1) * n_levels)
        print(
            table(
                ["model", *levels],
                [[name, *map(spread, s[:, cells].T)] for name, s in scores.items()],
            )
        )
    print(f"\n{task.name}: {task.metric} over all {len(task.modalities) * n_levels} cells\n")
    lines = []
    for name, s in scores.items():
        ratio = "-"
        if SPECIALIST in scores:
            ratio = spread((s / scores[SPECIALIST]).mean(axis=1))
        worst = s.mean(axis=0).min()
        lines.append([name, spread(s.mean(axis=1)), spread(s[:, 0]), f"{worst:.3f}", ratio])
    print(table(["model", "mean", "clean", "worst cell", "robustness ratio"], lines), flush=True)


def main(argv=None):
    """Run the benchmark from the command line."""
    known = [*MODELS, SPECIALIST]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS, metavar="TASK")
    parser.add_argument("--models", nargs="+", choices=known, default=known, metavar="MODEL")
    parser.add_argument("--seeds", type=int, default=5, help="number of splits (default 5)")
    parser.add_argument("--jobs", type=int, default=1, help="processes, over seeds (default 1)")
    parser.add_argument("--data", default=default_data(), help="folder with the csv files")
    parser.add_argument("--json", type=Path, help="file for the scores of every seed")
    args = parser.parse_args(argv)

    output = {}
    for name in args.tasks:
        task = load_task(name, args.data)
        runs = Parallel(n_jobs=args.jobs)(
            delayed(run_seed)(task, seed, args.models) for seed in range(args.seeds)
        )
        scores = {model: np.array([run[model] for run in runs]) for model in args.models}
        report(task, scores)
        output[name] = {
            "cells": [[m, str(level)] for m in task.modalities for level in LEVELS],
            "scores": {model: s.tolist() for model, s in scores.items()},
        }
        if args.json:
            args.json.write_text(json.dumps(output, indent=1))


if __name__ == "__main__":
    main()
