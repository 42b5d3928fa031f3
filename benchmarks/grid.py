"""How fast is a search that trains all settings together? See README.md of this folder.

python benchmarks/grid.py --settings 4 --jobs 2
python benchmarks/grid.py --grid nine --settings 0 --memory --jobs 2
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: parallel over fits, not inside

import joblib
import numpy as np
from _protocol import default_data, load_task
from _tables import table
from sklearn.model_selection import GridSearchCV, ParameterGrid, StratifiedKFold

from sklearn_emma import EMMAClassifier, EMMAClassifierCV

VALUES = (1e-4, 1e-3, 1e-2, 1e-1)
# The grid of the thesis, and a small one.
GRIDS = {
    "thesis": {
        "coldness": [*VALUES, 1.0],
        "lambda_capacity": [0.0, *VALUES],
        "lambda_energy": [0.0, *VALUES],
    },
    "nine": {"coldness": [0.1, 0.3, 1.0], "lambda_energy": [0.0, 0.02, 0.1]},
}
TASK_OF = {"thesis": "htru2", "nine": "simulated"}


class Keeper:
    """A scorer: accuracy, which also writes the probabilities to a file."""

    def __init__(self, folder, names):
        self.folder, self.names = Path(folder), names

    def __call__(self, estimator, X, y):
        proba = estimator.predict_proba(X)
        setting = [getattr(estimator, name) for name in self.names]
        np.save(self.folder / f"{joblib.hash((setting, np.asarray(X)))}.npy", proba)
        return np.mean(estimator.classes_[proba.argmax(axis=1)] == y)


def load(args):
    """Give samples, classes, modalities and splits."""
    task = load_task(TASK_OF[args.grid], args.data)
    X, y = task.data, task.target
    if args.rows:
        rows = np.random.RandomState(0).permutation(len(X))[: args.rows]
        X, y = X[rows], y[rows]
    return X, y, task.modalities, list(StratifiedKFold(5).split(X, y))[: args.splits]


def measure(search, X, y):
    """Fit a search, and give the wall-clock seconds."""
    start = time.perf_counter()
    search.fit(X, y)
    return time.perf_counter() - start


def run(args, folder):
    """Run both searches; give the seconds, and the differences of probabilities and scores."""
    X, y, modalities, splits = load(args)
    grid, params = GRIDS[args.grid], {"modalities": modalities, "random_state": 0}
    if args.epochs:
        params["max_epochs"] = args.epochs
    if args.hidden:
        params["hidden_layer_sizes"] = tuple(args.hidden)
    if args.batch:
        params["batch_size"] = args.batch
    common = {"cv": splits, "refit": False, "n_jobs": args.jobs}
    folders = [folder / "together", folder / "apart"]
    for each in folders:
        each.mkdir()

    together = EMMAClassifierCV(
        **params, param_grid=grid, scoring=Keeper(folders[0], grid), **common
    )
    seconds = measure(together, X, y)
    print(f"EMMAClassifierCV: {seconds:.0f} s", file=sys.stderr, flush=True)

    settings = list(ParameterGrid(grid))
    if args.memory:
        params["memory"] = str(folder / "memory")
    chosen = np.arange(len(settings))
    if args.settings:
        chosen = np.sort(np.random.RandomState(0).permutation(len(settings))[: args.settings])
    sample = [{name: [value] for name, value in settings[i].items()} for i in chosen]
    apart = GridSearchCV(
        EMMAClassifier(**params), sample, scoring=Keeper(folders[1], grid), **common
    )
    apart_seconds = measure(apart, X, y)
    print(f"GridSearchCV: {apart_seconds:.0f} s", file=sys.stderr, flush=True)

    differences = [
        np.abs(np.load(file) - np.load(folders[0] / file.name)).max()
        for file in folders[1].iterdir()
    ]
    scores = (
        together.cv_results_["mean_test_score"][chosen],
        apart.cv_results_["mean_test_score"],
    )
    same_ranking = np.array_equal(*(np.argsort(-s, kind="stable") for s in scores))
    return seconds, apart_seconds, len(chosen), len(settings), differences, same_ranking


def report(seconds, apart_seconds, n_chosen, n_settings, differences, same_ranking):
    """Print the table."""
    whole = apart_seconds * n_settings / n_chosen
    measured = "measured" if n_chosen == n_settings else f"from {n_chosen} settings"
    header = ["search", "settings", "seconds", "seconds of the grid", "ratio"]
    lines = [
        ["GridSearchCV", str(n_chosen), f"{apart_seconds:.0f}", f"{whole:.0f} ({measured})", "1"],
        [
            "EMMAClassifierCV",
            str(n_settings),
            f"{seconds:.0f}",
            f"{seconds:.0f} (measured)",
            f"{whole / seconds:.1f}",
        ],
    ]
    print(table(header, lines))
    print(
        f"\nLargest difference of a probability, in {len(differences)} fits: {max(differences):.1e}"
        f"\nSame ranking of the {n_chosen} settings: {'yes' if same_ranking else 'no'}"
    )


def main(argv=None):
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grid", choices=GRIDS, default="thesis", help="which (default thesis)")
    parser.add_argument(
        "--settings",
        type=int,
        default=4,
        help="settings of the grid that GridSearchCV fits, the others are assumed to take as long "
        "(default 4; 0 for all)",
    )
    parser.add_argument("--splits", type=int, default=5, help="folds of five (default 5)")
    parser.add_argument("--jobs", type=int, default=2, help="processes of both (default 2)")
    parser.add_argument("--rows", type=int, help="samples, for a short run")
    parser.add_argument("--epochs", type=int, help="epochs, for a short run")
    parser.add_argument("--hidden", type=int, nargs="+", help="units of the encoders' layers")
    parser.add_argument("--batch", type=int, help="samples per step")
    parser.add_argument(
        "--memory", action="store_true", help="GridSearchCV fits energies once per fold too"
    )
    parser.add_argument("--data", default=default_data(), help="folder with htru2.csv")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        report(*run(args, Path(folder)))


if __name__ == "__main__":
    main()
