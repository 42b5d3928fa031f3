"""Packages that only some entries of a benchmark need."""

import sys
from importlib.util import find_spec


def available(entries, needed):
    """Give the entries that can run, and print those skipped; `needed` has packages by entry."""
    missing = [name for name in entries if name in needed and find_spec(needed[name]) is None]
    for package in dict.fromkeys(needed[name] for name in missing):
        skipped = [name for name in missing if needed[name] == package]
        print(f"{', '.join(skipped)} skipped: pip install {package}", file=sys.stderr)
    return [name for name in entries if name not in missing]


def require(package, advice):
    """Stop if a package is not installed, and say how to install it."""
    if find_spec(package) is None:
        sys.exit(f"The package {package} is missing: {advice}.")
