"""Importing the package imports no more than it needs."""

import subprocess
import sys

LATER = ("dask", "matplotlib", "pooch", "rich", "sklearn.neighbors", "skops", "skorch")
REPORT = """
import sys
import sklearn.linear_model, torch
before = set(sys.modules)
import sklearn_emma, sklearn_emma.inspection
print(*set(sys.modules) - before)
"""


def test_what_only_fits_and_pictures_need_is_imported_by_them():
    run = subprocess.run([sys.executable, "-c", REPORT], capture_output=True, text=True, check=True)
    added = run.stdout.split()
    assert "sklearn_emma.search" in added
    assert sorted(set(LATER) & set(added)) == []


FIRST_FIT = """
import sys
import numpy as np
from sklearn_emma import EMMAClassifier
X = np.random.default_rng(0).normal(size=(40, 4))
EMMAClassifier(modalities={"a": [0, 1], "b": [2, 3]}, max_epochs=1).fit(X, X[:, 0] > 0)
print("torch._dynamo" in sys.modules)
"""


def test_a_fit_does_not_import_the_compiler_of_torch():
    # it takes seconds, and would be most of the time of a small fit
    run = subprocess.run([sys.executable, "-c", FIRST_FIT], capture_output=True, text=True)
    assert run.stdout.split() == ["False"], run.stderr
