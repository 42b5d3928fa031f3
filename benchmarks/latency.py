"""How long does a prediction take? See README.md of this folder.

Seconds of ``predict_proba`` for tables of 1 to 1,000 samples, arrays and DataFrames, beside
gradient boosting with 200 iterations and a multilayer perceptron, all in one process on one core::

    python benchmarks/latency.py
"""

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the time of one core

import numpy as np
import torch
from _tables import table
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neural_network import MLPClassifier

from sklearn_emma import EMMAClassifier
from sklearn_emma.datasets import load_breast_cancer_modalities

SIZES = (1, 10, 100, 1000)


def median_seconds(function, seconds):
    """Return the median time of a call, repeated for a number of seconds."""
    function()
    times = []
    start = time.perf_counter()
    while time.perf_counter() - start < seconds or len(times) < 5:
        before = time.perf_counter()
        function()
        times.append(time.perf_counter() - before)
    return float(np.median(times))


def main(argv=None):
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="per cell (default 2)")
    parser.add_argument("--epochs", type=int, default=5, help="of EMMA; does not affect the times")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    X, y = load_breast_cancer_modalities(return_X_y=True)
    array = X.to_numpy()
    emma = EMMAClassifier("prefix", max_epochs=args.epochs, random_state=0).fit(X, y)
    modalities = dict(zip(emma.modality_names_, emma.modality_columns_, strict=True))
    models = {
        "EMMA, array": (EMMAClassifier(modalities, max_epochs=args.epochs, random_state=0), array),
        "EMMA, DataFrame": (emma, X),
        "boosting, array": (HistGradientBoostingClassifier(max_iter=200), array),
        "MLPClassifier, array": (MLPClassifier(max_iter=500), array),
    }
    lines = []
    for name, (model, data) in models.items():
        if model is not emma:
            model.fit(data, y)
        cells = []
        for size in SIZES:
            rows = np.resize(np.arange(len(y)), size)
            samples = data.iloc[rows] if hasattr(data, "iloc") else data[rows]
            seconds = median_seconds(lambda m=model, s=samples: m.predict_proba(s), args.seconds)
            cells.append(f"{1000 * seconds:.2f}")
        lines.append([name, *cells])
    print("Milliseconds of predict_proba, medians.\n")
    print(table(["model", *(f"{size} samples" for size in SIZES)], lines))


if __name__ == "__main__":
    main()
