"""How well do classifiers predict if single values are missing? See README.md of this folder.

python benchmarks/gaps.py --seeds 3
"""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the time of one core

import numpy as np
from _studies import collect, command_line, select
from _tables import spread, table
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_emma import EMMAClassifier

TASKS = ("breast_cancer", "simulated", "digits", "htru2")
FRACTIONS = (0.0, 0.1, 0.3, 0.5)
MOST_SAMPLES = 2000


def fit_emma(X, y, modalities, seed):
    """EMMA with its defaults."""
    return EMMAClassifier(modalities, random_state=seed).fit(X, y)


def fit_boosting(X, y, modalities, seed):
    """Boosting, which takes missing values as they are."""
    return HistGradientBoostingClassifier(random_state=seed).fit(X, y)


def fit_on_copies(X, y, modalities, seed):
    """Boosting, trained on the samples and on copies with the gaps of each test."""
    random = np.random.RandomState(seed)
    copies = [with_gaps(X, fraction, random) for fraction in FRACTIONS]
    return fit_boosting(np.concatenate(copies), np.tile(y, len(copies)), modalities, seed)


def fit_linear(X, y, modalities, seed):
    """Logistic regression on values imputed from all other columns."""
    imputer = IterativeImputer(max_iter=5, random_state=seed)
    model = make_pipeline(StandardScaler(), imputer, LogisticRegression(max_iter=1000))
    return model.fit(X, y)


MODELS = {
    "EMMA": fit_emma,
    "boosting": fit_boosting,
    "boosting, copies with gaps": fit_on_copies,
    "imputed logistic regression": fit_linear,
}


def with_gaps(X, fraction, random):
    """Remove a fraction of the values, at random."""
    return np.where(random.random_sample(X.shape) < fraction, np.nan, X)


def run_seed(task, seed, names):
    """Fit the models on complete samples, and on samples with gaps; give a record for each."""
    X, y = np.asarray(task.data, dtype=float), np.asarray(task.target)
    size = min(len(y) // 2, MOST_SAMPLES)
    split = StratifiedShuffleSplit(1, train_size=size, test_size=size, random_state=seed)
    train, test = next(split.split(X, y))
    random = np.random.RandomState(seed)
    tests = {fraction: with_gaps(X[test], fraction, random) for fraction in FRACTIONS}
    trainings = {fraction: with_gaps(X[train], fraction, random) for fraction in FRACTIONS}
    records = []
    for name in names:
        scores = {}
        complete = MODELS[name](X[train], y[train], task.modalities, seed)
        for fraction in FRACTIONS:
            scores |= measure(complete, tests[fraction], y[test], f"{fraction:g}")
            if fraction:
                alike = MODELS[name](trainings[fraction], y[train], task.modalities, seed)
                scores |= measure(alike, tests[fraction], y[test], f"{fraction:g} alike")
        print(task.name, seed, name, scores, file=sys.stderr, flush=True)
        records.append({"task": task.name, "seed": seed, "model": name, "scores": scores})
    return records


def measure(model, X, y, name):
    """Give accuracy and log loss of a model."""
    proba = model.predict_proba(X)
    right = model.classes_[proba.argmax(axis=1)] == y
    loss = log_loss(y, proba, labels=model.classes_)
    return {name: float(right.mean()), f"{name} loss": float(loss)}


def report(records):
    """Print the tables."""
    models = list(dict.fromkeys(r["model"] for r in records))
    for title, suffix in (("complete training samples", ""), ("gaps in training", " alike")):
        print(f"\n### {title}: accuracy (log loss)\n")
        lines = []
        for task in dict.fromkeys(r["task"] for r in records):
            for fraction in FRACTIONS:
                name = f"{fraction:g}{suffix}"
                if name not in records[0]["scores"]:
                    continue
                cells = [
                    f"{spread(select(records, name, model, task))} "
                    f"({select(records, f'{name} loss', model, task).mean():.3f})"
                    for model in models
                ]
                lines.append([task, f"{fraction:g}", *cells])
        print(table(["data", "missing", *models], lines))


def main(argv=None):
    """Run the benchmark from the command line."""
    parser = command_line(__doc__.splitlines()[0], TASKS, seeds=3)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, metavar="MODEL")
    args = parser.parse_args(argv)
    report(collect(args, run_seed, args.models))


if __name__ == "__main__":
    main()
