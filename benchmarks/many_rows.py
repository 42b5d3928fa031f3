"""How much time and memory do predictions of a million samples need? See README.md.

python benchmarks/many_rows.py --rows 1000000
"""

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the time of one core

import numpy as np
import torch
from _memory import peak_memory
from _tables import table
from sklearn.ensemble import HistGradientBoostingClassifier

from sklearn_emma import EMMAClassifier
from sklearn_emma.datasets import make_multimodal_classification
from sklearn_emma.energy.protocol import Precision

N_TREES = 200


def bare_products(classifier, n_rows, dtype, block=1024):
    """Give the seconds of only the matrix products that the energies need."""
    dtype = getattr(torch, dtype)
    modules = [
        scorer.tensor_energy(Precision()).module for scorer in classifier.energy_scorers_.values()
    ]
    shapes = []
    for module in modules:
        for member in module.members:
            shapes += [weight.shape for weight in member.weights]
            shapes += [member.prototypes.shape] if member.n_prototypes else []
    pairs = [
        (torch.randn(block, n_in, dtype=dtype), torch.randn(n_in, n, dtype=dtype))
        for n, n_in in shapes
    ]
    start = time.process_time()
    for _ in range(n_rows // block):
        for x, w in pairs:
            torch.mm(x, w)
    return time.process_time() - start


def main(argv=None):
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="samples to read (default 1e6)")
    parser.add_argument("--columns", type=int, nargs="+", default=[8, 64], help="default 8 64")
    args = parser.parse_args(argv)

    torch.set_num_threads(1)
    lines = []
    for n_columns in args.columns:
        X, y = make_multimodal_classification(
            5000,
            n_modalities=2,
            n_features=n_columns // 2,
            random_state=0,
            return_X_y=True,
            as_frame=False,
        )
        halves = {"left": slice(0, n_columns // 2), "right": slice(n_columns // 2, n_columns)}
        boosting = HistGradientBoostingClassifier(max_iter=N_TREES, early_stopping=False).fit(X, y)
        emma = EMMAClassifier(halves, max_epochs=10, random_state=0).fit(X, y)
        for dtype in ("float64", "float32"):
            rows = np.random.default_rng(0).normal(size=(args.rows, n_columns)).astype(dtype)
            products = bare_products(emma, args.rows, dtype)
            reference = None
            for name, method in {
                "boosting, predict_proba": boosting.predict_proba,
                "EMMA, predict_proba": emma.predict_proba,
                "EMMA, energies": emma.energies,
                "EMMA, attention": emma.attention,
            }.items():
                method(rows[:8192])
                before, start = peak_memory(), time.process_time()
                method(rows)
                seconds = time.process_time() - start
                reference = reference or seconds
                share = f"{products / seconds:.0%}" if name == "EMMA, energies" else "-"
                memory = f"{peak_memory() - before:.0f}"
                line = [str(n_columns), dtype, name, f"{seconds:.2f}", f"{reference / seconds:.1f}"]
                lines.append([*line, share, memory])
                print(lines[-1], flush=True)
    header = [
        "columns",
        "rows",
        "method",
        "seconds",
        "times as fast",
        "of bare products",
        "more MB",
    ]
    print("\n" + table(header, lines))


if __name__ == "__main__":
    main()
