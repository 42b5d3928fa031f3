"""Is attention among columns and across modalities better than the default? See README.md.

python benchmarks/unified.py --seeds 3
"""

import os
import sys
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the time of one core

import numpy as np
from _baselines import ATTENTIVE, BOOSTING, EMMA, fit_boosting, fit_emma
from _studies import (
    collect,
    command_line,
    few_rows,
    fit_and_score,
    group_names,
    print_differences,
    print_scores,
    scores_by,
)

TASKS = ("breast_cancer", "simulated", "digits", "htru2")
fit_transformer = partial(fit_emma, module="transformer")
MODELS = {
    EMMA: fit_emma,
    ATTENTIVE: partial(fit_emma, column_attention=True),
    # with a coldness of zero the energies are ignored, and all gates are open
    "transformer, open gates": partial(fit_transformer, coldness=0.0),
    "transformer": fit_transformer,
    "transformer, column attention": partial(fit_transformer, column_attention=True),
    BOOSTING: fit_boosting,
}
COLUMN, MODALITY, BOTH = "one column", "one modality", "mean of both"
# columns of the tables, by the group of a cell
GROUPS = {
    "core": "noise, missing",
    "plausible": "stuck, swapped",
    "other": "drift, scaled, ...",
    "column": COLUMN,
}


def measure(rows, model):
    """Score a model: clean, and the mean over the cells of each group."""
    groups = scores_by(rows, model, group_names(GROUPS))
    whole = [v for name in groups if name not in ("clean", COLUMN) for v in groups[name]]
    found = {name: float(np.mean(v)) for name, v in (groups | {MODALITY: whole}).items()}
    return found | {BOTH: (found[MODALITY] + found[COLUMN]) / 2}


def run_seed(task, seed, models):
    """Fit all models on one split; give a record for each."""
    rows, records = few_rows(task, seed, "columns"), []
    for name in models:
        _, record = fit_and_score(rows, name, MODELS[name], measure)
        records.append(record)
        both, seconds = record["scores"][BOTH], record["seconds"]
        print(task.name, seed, name, f"{both:.3f}", f"{seconds:.1f} s", file=sys.stderr)
    return records


def report(records):
    """Print the differences to the default, and a table for each task."""
    print_differences(records, ("clean", MODALITY, COLUMN), EMMA)
    groups = [name for name in GROUPS.values() if name != COLUMN]
    print_scores(records, ("clean", *groups, MODALITY, COLUMN))


def main(argv=None):
    """Run the benchmark from the command line."""
    parser = command_line(__doc__.splitlines()[0], TASKS, seeds=3)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    args = parser.parse_args(argv)
    report(collect(args, run_seed, list(dict.fromkeys([EMMA, *args.models]))))


if __name__ == "__main__":
    main()
