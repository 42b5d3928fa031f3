"""How much time and memory does a fit of a table on the disk need? See README.md.

python benchmarks/large_fits.py --rows 100000 1000000 10000000
"""

import argparse
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the time of one core

import numpy as np
import torch
from _memory import peak_memory
from _tables import table
from sklearn.ensemble import HistGradientBoostingClassifier

from sklearn_emma import DAEEnergyScorer, EMMAClassifier

BOOSTING, SCORER, EMMA, FEW = (
    "boosting",
    "DAEEnergyScorer",
    "EMMAClassifier",
    "EMMAClassifier, 10 epochs",
)
MODELS = BOOSTING, SCORER, EMMA, FEW
N_TREES = 200
N_COLUMNS, N_TEST, N_WARM, BLOCK = 8, 20_000, 500, 100_000
MODALITIES = {name: slice(2 * i, 2 * i + 2) for i, name in enumerate("abcd")}


def draw(n_rows, random):
    """Draw samples; their class depends on all modalities, partly by a product of two."""
    X = random.standard_normal((n_rows, N_COLUMNS), dtype=np.float32)
    signal = X[:, 0] * X[:, 2] + np.sin(2.0 * X[:, 4]) + X[:, 6]
    return X, (signal + 0.5 * random.standard_normal(n_rows) > 0).astype(np.int8)


def write(path, n_rows, random):
    """Write samples to a file, block by block, and give their classes."""
    rows = np.lib.format.open_memmap(path, "w+", np.float32, (n_rows, N_COLUMNS))
    y = np.empty(n_rows, dtype=np.int8)
    for start in range(0, n_rows, BLOCK):
        block = slice(start, min(start + BLOCK, n_rows))
        rows[block], y[block] = draw(block.stop - start, random)
    rows.flush()
    return y


def make_model(name):
    """Make a model by its name."""
    if name == BOOSTING:
        return HistGradientBoostingClassifier(max_iter=N_TREES, early_stopping=False)
    if name == SCORER:
        return DAEEnergyScorer(MODALITIES, random_state=0)
    params = {"random_state": 0}
    if name == FEW:
        energy = DAEEnergyScorer(max_epochs=10, calibration_fraction=0.0)
        params |= {"max_epochs": 10, "energy": energy}
    return EMMAClassifier(MODALITIES, **params)


def measure(name, path, y):
    """Fit a model to a table on the disk; give seconds, memory in tables, and accuracy."""
    torch.set_num_threads(1)
    model, rows = make_model(name), np.load(path, mmap_mode="r")
    model.fit(rows[:N_WARM], y[:N_WARM])
    np.asarray(rows).sum()  # pages of the file count as memory of the process
    before, start = peak_memory(), time.process_time()
    model.fit(rows, y)
    seconds = time.process_time() - start
    more = (peak_memory() - before) * 2**20 / rows.nbytes
    if name == SCORER:
        return seconds, more, None
    return seconds, more, model.score(*draw(N_TEST, np.random.default_rng(1)))


def main(argv=None):
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = [100_000, 1_000_000]
    parser.add_argument("--rows", type=int, nargs="+", default=default, help="default 1e5 1e6")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, metavar="MODEL")
    args = parser.parse_args(argv)

    lines = []
    for n_rows in args.rows:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.npy"
            y, reference = write(path, n_rows, np.random.default_rng(0)), None
            for name in args.models:
                # a process of its own, as a process only knows its own highest memory
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                    seconds, more, score = process.submit(measure, name, path, y).result()
                reference = reference or seconds
                times = f"{seconds / reference:.1f}"
                score = "-" if score is None else f"{score:.3f}"
                lines.append([str(n_rows), name, f"{seconds:.1f}", times, f"{more:.1f}", score])
                print(lines[-1], flush=True)
    header = ["samples", "model", "seconds", "times boosting", "more memory, in tables", "accuracy"]
    print("\n" + table(header, lines))


if __name__ == "__main__":
    main()
