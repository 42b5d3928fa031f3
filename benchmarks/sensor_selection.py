"""Are k modalities, chosen for every sample, as good as all? See README.md of this folder.

python benchmarks/sensor_selection.py --seeds 2
"""

import os
import sys
from functools import partial
from itertools import combinations

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the time of one core

import numpy as np
from _protocol import Rows
from _robustness_failures import CLEAN
from _studies import collect, command_line, fit_and_score, print_scores, scores_by

from sklearn_emma import EMMAClassifier

TASKS = ("simulated", "digits", "mfeat")
MEAN = "mean over failures"
ALL, STATIC, HARD = "all", "best {} for all samples", "{} for every sample, {}"
SCORES = ("energy", "additive+energy")


def fit(rows, modalities=None, **params):
    """Fit EMMA, on a subset of the modalities if one is given."""
    model = EMMAClassifier(
        modalities or rows.modalities, remainder="drop", random_state=rows.seed, **params
    )
    return model.fit(rows.X, rows.y)


def best_subset(rows, model, k):
    """Give the k modalities with the best score on validation samples, clean and corrupted."""
    X, y = rows.validation()

    def score(names):
        lost = np.ones(X.shape[1], dtype=bool)
        lost[np.concatenate([rows.modalities[name] for name in names])] = False
        return rows.best_score(y, model.predict_proba(np.where(lost, np.nan, X)))

    names = max(combinations(rows.modalities, k), key=score)
    return {name: rows.modalities[name] for name in names}


def measure(rows, model):
    """Score a model on clean samples and in the mean over the cells in which something fails."""
    scores = scores_by(rows, model, lambda cell: "clean" if cell.level == CLEAN else MEAN)
    return {name: float(np.mean(values)) for name, values in scores.items()}


def run_seed(task, seed, numbers):
    """Fit all models on one split; give a record for each."""
    rows, records = Rows(task, seed, "default"), []

    def keep(name, fit_model):
        """Fit and score a model."""
        model, record = fit_and_score(rows, name, fit_model, measure)
        records.append(record)
        print(task.name, seed, name, f"{record['seconds']:.0f} s", file=sys.stderr)
        return model

    everything = keep(ALL, fit)
    l2 = {"l2_regularization": everything.l2_regularization_}
    for k in numbers:
        keep(STATIC.format(k), partial(fit, modalities=best_subset(rows, everything, k)))
        for name in SCORES:
            hard = partial(fit, attention_score=name, max_modalities=k, **l2)
            keep(HARD.format(k, name), hard)
    return records


def main(argv=None):
    """Measure and print the table of each task."""
    parser = command_line(__doc__.splitlines()[0], TASKS, seeds=2)
    parser.add_argument("--numbers", type=int, nargs="+", default=(1, 2, 3), metavar="K")
    args = parser.parse_args(argv)
    print_scores(collect(args, run_seed, args.numbers), ("clean", MEAN))


if __name__ == "__main__":
    main()
