"""How much do attacks that know the model cost, and does training with them help? See README.md.

python benchmarks/adversarial.py
"""

import argparse
import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy

import numpy as np
from _protocol import TASKS, Rows, default_data, load_task
from _tables import spread, table

from sklearn_emma import EMMAClassifier
from sklearn_emma.corruption import Adversarial, RandomSigns

SIZES = (0.5, 1.0)
TRAININGS = {"default": None, "adversarial": Adversarial((0.0, 1.0))}
FAILURES = {
    "random signs": RandomSigns,
    "FGSM": Adversarial,
    "projected gradient": lambda eps: Adversarial(eps, steps=10),
}


def measure(task, seed, epochs):
    """Give the scores of every training on one split: clean, and by failure and size."""
    rows = Rows(task, seed)
    found = {}
    for training, attack in TRAININGS.items():
        start = time.perf_counter()
        model = EMMAClassifier(
            task.modalities, adversarial=attack, max_epochs=epochs, random_state=seed
        ).fit(rows.X, rows.y)
        seconds = time.perf_counter() - start
        decide = rows.decide(model)

        def score(X, model=model, decide=decide):
            return rows.score(decide(model.predict_proba(X)))

        scores = {"clean": score(rows.X_test)}
        for name, failure in FAILURES.items():
            for eps in SIZES:
                each = []
                for modality in task.modalities:
                    chosen = failure(eps).set_params(only=modality)
                    X = rows.corrupt(rows.X_test, chosen.against(model, rows.y_test), (9,))
                    each.append(score(X))
                scores[f"{name} {eps:g}"] = float(np.mean(each))
        found[training] = scores
        text = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
        print(
            f"{task.name} {seed} {training}: {seconds:.0f} s, {text}", file=sys.stderr, flush=True
        )
    return found


def main():
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--data", default=default_data())
    args = parser.parse_args()
    lines = []
    for name in args.tasks:
        task = load_task(name, args.data)
        runs = [measure(task, seed, args.epochs) for seed in range(args.seeds)]
        for training in TRAININGS:
            columns = list(runs[0][training])
            cells = [spread([run[training][k] for run in runs]) for k in columns]
            lines.append([f"{name} ({task.metric})", training, *cells])
    print(table(["task", "training", *columns], lines))


if __name__ == "__main__":
    main()
