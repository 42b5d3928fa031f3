"""How long does a fit take, against plain torch, MLPClassifier and boosting? See README.md.

python benchmarks/fit_time.py --data ../shared/data
"""

import argparse
import os
import time
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the time of one core

import numpy as np
import torch
from _plain_loops import fit_classifier, fit_energies
from _protocol import TASKS, default_data, load_task
from _tables import table
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from sklearn_emma import DAEEnergyScorer, EMMAClassifier
from sklearn_emma.energy.views import VIEWS
from sklearn_emma.engine.batches import auto_batch_size

ENCODERS = (64, 48, 32)


def peers(task, epochs):
    """Give, by name, the fits to time, each a function without arguments."""
    X, y = StandardScaler().fit_transform(task.data), task.target
    batch_size = auto_batch_size("auto", len(y))
    tensors = [torch.tensor(X[:, c], dtype=torch.float32) for c in task.modalities.values()]
    target = torch.tensor(y)
    n_prototypes = VIEWS["fine"].count_prototypes(len(y))
    layers = [len(task.modalities) * units for units in ENCODERS] + [ENCODERS[-1]]
    of_adam = 2 * epochs
    mlp = MLPClassifier(
        layers, batch_size=batch_size, max_iter=of_adam, n_iter_no_change=of_adam + 1, tol=0.0
    )
    scorer = DAEEnergyScorer(task.modalities, max_epochs=epochs, calibration_fraction=0.0)
    emma = EMMAClassifier(
        task.modalities,
        energy=DAEEnergyScorer(max_epochs=epochs, calibration_fraction=0.0),
        hidden_layer_sizes=ENCODERS,
        n_networks=1,  # as in plain torch
        cross_modal=False,
        l2_regularization=1.0,  # given, as for MLPClassifier
        periodic_features=False,
        max_epochs=epochs,
        batch_size=batch_size,
    )
    return {
        "DAEEnergyScorer": lambda: scorer.fit(X),
        "energies in plain torch": lambda: fit_energies(tensors, batch_size, epochs, n_prototypes),
        "EMMAClassifier": lambda: emma.fit(X, y),
        "choosing penalty and features": lambda: (
            clone(emma).set_params(l2_regularization="auto", periodic_features="auto").fit(X, y)
        ),
        "EMMA in plain torch": lambda: fit_classifier(
            tensors, target, batch_size, epochs, n_prototypes, ENCODERS
        ),
        "MLPClassifier": lambda: mlp.fit(X, y),
        "EMMA, defaults": lambda: EMMAClassifier(task.modalities).fit(X, y),
        "boosting": lambda: HistGradientBoostingClassifier(max_iter=200, early_stopping=False).fit(
            X, y
        ),
    }


def measure(fits, repeats):
    """Give processor seconds of every fit, the least of several rounds over all fits."""
    seconds = {name: [] for name in fits}
    for _ in range(repeats):
        for name, fit in fits.items():
            start = time.process_time()
            fit()
            seconds[name].append(time.process_time() - start)
    return {name: np.min(values) for name, values in seconds.items()}


def main(argv=None):
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS, metavar="TASK")
    parser.add_argument(
        "--epochs", type=int, default=50, help="of all but MLPClassifier (default 50)"
    )
    parser.add_argument("--repeats", type=int, default=1, help="rounds, least counts (default 1)")
    parser.add_argument("--data", default=default_data(), help="folder with the csv files")
    args = parser.parse_args(argv)

    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    # the first fit imports skorch, and parts of torch
    DAEEnergyScorer(max_epochs=1).fit(np.random.RandomState(0).normal(size=(50, 2)))
    lines = []
    for name in args.tasks:
        task = load_task(name, args.data)
        seconds = measure(peers(task, args.epochs), args.repeats)
        scorer, plain_scorer, emma, _, plain_emma, mlp, default, boosting = seconds.values()
        ratios = (scorer / plain_scorer, emma / plain_emma, emma / mlp, default / boosting)
        lines.append([name, *(f"{s:.2f}" for s in seconds.values()), *(f"{r:.2f}" for r in ratios)])
        print(lines[-1], flush=True)
    header = ["data", *seconds, "scorer / plain", "EMMA / plain", "EMMA / MLP"]
    header.append("defaults / boosting")
    print("\n" + table(header, lines))


if __name__ == "__main__":
    main()
