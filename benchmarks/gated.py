"""What does the gate do for boosting? See README.md of this folder.

python benchmarks/gated.py --seeds 5
"""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the time of one core

import numpy as np
from _protocol import Rows
from _real_tables import SPLITS
from _robustness_failures import CLEAN, FAILURES
from _studies import collect, command_line, fit_and_score, scores_by, select
from _tables import spread, table
from sklearn.ensemble import HistGradientBoostingClassifier

from sklearn_emma import EMMAClassifier, GatedClassifier

TASKS = ("htru2", "digits", "breast_cancer", "simulated", "mfeat", *SPLITS)
DEFAULT_TASKS = TASKS[:4]
LEVELS = [level for levels in FAILURES.values() for level in levels]
BARE, COPIES = "boosting", "boosting, ten copies"
GATED, ALONE, EMMA = "GatedClassifier", "GatedClassifier, blend=0", "EMMAClassifier"


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


def level_of(cell):
    """Give the level of a cell in which one modality fails as the tables name it, or None."""
    return cell.level if cell.level in LEVELS and cell.group != "several" else None


def measure(rows, model):
    """Score a model at each level, in the mean over the modalities."""
    levels = scores_by(rows, model, level_of)
    return {level: float(np.mean(values)) for level, values in levels.items()}


def run_seed(task, seed, with_emma):
    """Fit all models on one split; give a record for each."""
    rows, records = Rows(task, seed, "default"), []
    for name, fit in models(with_emma).items():
        _, record = fit_and_score(rows, name, fit, measure)
        records.append(record)
        mean, seconds = np.mean(list(record["scores"].values())), record["seconds"]
        print(task.name, seed, name, f"{mean:.3f}", f"{seconds:.1f} s", file=sys.stderr, flush=True)
    return records


def report(records):
    """Print the tables."""
    failing = [level for level in LEVELS if level != CLEAN]
    for task in dict.fromkeys(record["task"] for record in records):
        those = [record for record in records if record["task"] == task]
        n_seeds = len({record["seed"] for record in those})
        print(f"\n### {task}: {those[0]['metric']}, {n_seeds} splits\n")
        lines = []
        for name in dict.fromkeys(record["model"] for record in those):
            by_level = {level: select(those, level, name, task) for level in LEVELS}
            means = np.mean(list(by_level.values()), axis=0)
            cells = [f"{by_level[level].mean():.3f}" for level in failing]
            seconds = np.mean([record["seconds"] for record in those if record["model"] == name])
            lines.append([name, spread(means), spread(by_level[CLEAN]), *cells, f"{seconds:.1f}"])
        print(table(["model", "mean", "clean", *failing, "s"], lines))


def main(argv=None):
    """Run the benchmark from the command line."""
    parser = command_line(__doc__.splitlines()[0], TASKS, seeds=5, default=DEFAULT_TASKS)
    parser.add_argument("--emma", action="store_true", help="fit EMMAClassifier too")
    args = parser.parse_args(argv)
    report(collect(args, run_seed, args.emma))


if __name__ == "__main__":
    main()
