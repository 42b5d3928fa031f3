"""Does an exported model give the same results, and how fast? See README.md of this folder.

Prints the largest difference between the estimator and onnxruntime on clean, noisy and incomplete
samples, the size of the file, and the milliseconds of a call, on one core::

    python benchmarks/onnx_export.py
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the time of one core

import numpy as np
import onnxruntime
import torch
from _tables import table
from latency import median_seconds

from sklearn_emma import DAEEnergyScorer, EMMAClassifier, EMMARegressor
from sklearn_emma.datasets import load_breast_cancer_modalities
from sklearn_emma.export import to_onnx

SIZES = (1, 1000)
# Outputs of a model, and the methods that return the same.
METHODS = {"energies": ("energies", "transform")}


def damaged(X, seed=0):
    """Return clean and noisy samples, some with missing values, some without a modality."""
    random = np.random.default_rng(seed)
    noisy = X + 3.0 * X.std(axis=0) * random.normal(size=X.shape)
    gappy = np.where(random.random(X.shape) < 0.2, np.nan, X)
    missing = X.copy()
    missing[:, :10] = np.nan
    return {"clean": X, "noisy": noisy, "with gaps": gappy, "one modality missing": missing}


def method_of(model, output):
    """Return the method of an estimator that computes an output."""
    names = METHODS.get(output, (output,))
    return next(getattr(model, name) for name in names if hasattr(model, name))


def largest_difference(model, session, samples):
    """Return the largest difference of any output, relative to values above one."""
    worst = 0.0
    names = [output.name for output in session.get_outputs()]
    for name, found in zip(names, session.run(None, {"X": samples}), strict=True):
        expected = method_of(model, name)(samples)
        finite = np.isfinite(expected)
        if (found[~finite] != expected[~finite]).any():
            return np.inf
        difference = np.abs(found[finite] - expected[finite])
        worst = max(worst, (difference / np.maximum(1.0, np.abs(expected[finite]))).max())
    return worst


def main(argv=None):
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="per time (default 2)")
    parser.add_argument("--epochs", type=int, default=100, help="of the fits (default 100)")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1

    frame, y = load_breast_cancer_modalities(return_X_y=True)
    X = frame.to_numpy()
    groups = {"mean": range(10), "error": range(10, 20), "worst": range(20, 30)}
    modalities = {name: list(columns) for name, columns in groups.items()}
    settings = {"max_epochs": args.epochs, "random_state": 0}
    models = {
        "EMMAClassifier": (EMMAClassifier(modalities, **settings).fit(X, y), "predict_proba"),
        "EMMARegressor": (EMMARegressor(modalities, **settings).fit(X, X[:, 0]), "predict"),
        "DAEEnergyScorer": (DAEEnergyScorer(modalities, **settings).fit(X), "transform"),
    }
    differences, speed = [], []
    for name, (model, method) in models.items():
        for dtype in ("float64", "float32"):
            file = to_onnx(model, dtype).SerializeToString()
            session = onnxruntime.InferenceSession(file, options)
            kinds = damaged(X) if name != "DAEEnergyScorer" else dict(list(damaged(X).items())[:2])
            found = [largest_difference(model, session, x.astype(dtype)) for x in kinds.values()]
            cells = [f"{value:.0e}" for value in found] + ["-"] * (4 - len(found))
            differences.append([name, dtype, *cells])
            line = [name, dtype, f"{len(file) / 2**20:.2f}"]
            for size in SIZES:
                samples = np.resize(X, (size, X.shape[1])).astype(dtype)
                for call in (
                    lambda x=samples, s=session: s.run(None, {"X": x}),
                    lambda x=samples, m=model, how=method: getattr(m, how)(x),
                ):
                    line.append(f"{1000 * median_seconds(call, args.seconds):.2f}")
            speed.append(line)
    print("Largest difference of any output, relative to values above one.\n")
    print(table(["model", "samples in", *damaged(X)], differences))
    header = ["model", "samples in", "file (MiB)"]
    for size in SIZES:
        header += [f"{size} sample(s), onnxruntime (ms)", f"{size} sample(s), estimator (ms)"]
    print("\nAll outputs by onnxruntime, one method of the estimator; medians.\n")
    print(table(header, speed))


if __name__ == "__main__":
    main()
