"""Importing the package imports no more than it needs."""

import subprocess
import sys

LATER = ("dask", "matplotlib", "pooch", "rich", "sklearn.neighbors", "skops", "skorch")
REPORT = """
import sys
import sklearn.linear_model, torch
before = set(sys.modules)
import sklearn_emma
print(*set(sys.modules) - before)
"""


def test_what_only_fits_and_pictures_need_is_imported_by_them():
    run = subprocess.run([sys.executable, "-c", REPORT], capture_output=True, text=True, check=True)
    added = run.stdout.split()
    assert "sklearn_emma.search" in added
    assert sorted(set(LATER) & set(added)) == []
