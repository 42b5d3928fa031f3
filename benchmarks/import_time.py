"""How much longer does the import take than that of scikit-learn and torch? See README.md.

python benchmarks/import_time.py
"""

import argparse
import subprocess
import sys

import numpy as np
from _tables import table

MEASURE = """
import time
start = time.perf_counter()
import sklearn, sklearn.linear_model, torch
between = time.perf_counter()
import sklearn_emma
print(between - start, time.perf_counter() - between)
"""


def main(argv=None):
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="new interpreters (default 7)")
    args = parser.parse_args(argv)

    runs = []
    for _ in range(args.repeats + 1):
        command = [sys.executable, "-c", MEASURE]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        runs.append([float(seconds) for seconds in output.split()])
    lines = [
        [name, f"{np.median(seconds):.3f}", f"{np.min(seconds):.3f}"]
        for name, seconds in zip(
            ("scikit-learn and torch", "sklearn_emma, on top"), np.transpose(runs[1:]), strict=True
        )
    ]
    print(table(["import", "median (s)", "least (s)"], lines))


if __name__ == "__main__":
    main()
