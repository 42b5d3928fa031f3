"""Does the gate work better with energies, attention scores or both? See README.md.

python benchmarks/gates.py --seeds 2
"""

import os
import sys
import tempfile
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the time of one core

import numpy as np
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

from sklearn_emma import EMMAClassifier
from sklearn_emma.gate.build_gate import ATTENTION_SCORES

TASKS = ("breast_cancer", "simulated", "digits", "htru2")
DEFAULT, OPEN = "energy", "none"
# with a coldness of zero the energies are ignored: all modalities have equal attention
GATES = {OPEN: {"coldness": 0.0}} | {name: {"attention_score": name} for name in ATTENTION_SCORES}
MEAN = "mean over failures"
# columns of the tables, by the group of a cell
GROUPS = {
    "core": "noise, missing",
    "plausible": "stuck, swapped",
    "other": "drift, scaled, ...",
    "several": "several fail",
}


def fit(rows, params, l2, memory):
    """Fit EMMA with a gate; the energies and the penalty on weights do not depend on it."""
    model = EMMAClassifier(
        rows.modalities,
        l2_regularization=l2,
        memory=memory,
        random_state=rows.seed,
        **params,
    )
    return model.fit(rows.X, rows.y)


def measure(rows, model):
    """Score a model: clean, and the mean over the cells of each group."""
    groups = scores_by(rows, model, group_names(GROUPS))
    failing = [v for name, values in groups.items() if name != "clean" for v in values]
    return {name: float(np.mean(v)) for name, v in (groups | {MEAN: failing}).items()}


def run_seed(task, seed, gates):
    """Fit all gates on one split; give a record for each."""
    rows, records, l2 = few_rows(task, seed, "default"), [], "auto"
    with tempfile.TemporaryDirectory() as memory:
        for name in gates:
            fit_gate = partial(fit, params=GATES[name], l2=l2, memory=memory)
            model, record = fit_and_score(rows, name, fit_gate, measure)
            records.append(record)
            l2 = model.l2_regularization_
            mean, seconds = record["scores"][MEAN], record["seconds"]
            print(task.name, seed, name, f"{mean:.3f}", f"{seconds:.1f} s", file=sys.stderr)
    return records


def report(records):
    """Print the differences to the default, and a table for each task."""
    print_differences(records, (MEAN, "clean"), DEFAULT)
    print_scores(records, ("clean", MEAN, *GROUPS.values()))


def main(argv=None):
    """Run the benchmark from the command line."""
    parser = command_line(__doc__.splitlines()[0], TASKS, seeds=2)
    parser.add_argument("--gates", nargs="+", choices=GATES, default=list(GATES), metavar="GATE")
    args = parser.parse_args(argv)
    report(collect(args, run_seed, list(dict.fromkeys([DEFAULT, *args.gates]))))


if __name__ == "__main__":
    main()
