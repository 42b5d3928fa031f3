"""Real tables with their natural splits, for the benchmark of real failures."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Case:
    """A split of a table: positions of the training samples and of each set of test samples."""

    name: str
    X: np.ndarray
    y: np.ndarray
    modalities: dict
    train: np.ndarray
    tests: dict


def _gas_drift(split):
    first = split <= 3
    return {
        "gas: batch 1": (split == 1, {"later": split > 1}),
        "gas: batches 1-3": (first, {"later": ~first}),
    }


def _heart(split):
    sites = {"Hungary": split == 1, "Switzerland": split == 2, "VA": split == 3}
    return {"heart: Cleveland": (split == 0, sites)}


def _skab(split):
    return {"skab": (split % 3 != 2, {"other experiments": split % 3 == 2})}


def _hydraulic(split):
    return {"hydraulic": (split < 7, {"last 30 %": split >= 7})}


def _ozone(split):
    return {"ozone": (split <= 2001, {"2002-04": split > 2001})}


def _occupancy(split):
    return {"occupancy": (split == 0, {"test 1": split == 1, "test 2": split == 2})}


#: table -> function from its groups to its splits, by the name of the case
SPLITS = {
    "gas_drift": _gas_drift,
    "heart_4sites": _heart,
    "skab": _skab,
    "hydraulic": _hydraulic,
    "ozone_8h": _ozone,
    "occupancy": _occupancy,
}


def load_cases(name, folder):
    """Load a table; give a case for each natural split of it."""
    with np.load(Path(folder) / "real" / f"{name}.npz") as data:
        X, split, groups = data["X"].astype(float), data["split"], str(data["groups"])
        y = np.unique(data["y"], return_inverse=True)[1]
    modalities = {key: list(columns) for key, columns in json.loads(groups).items()}
    # columns that are missing or constant in the training samples are uninformative
    return [
        _case(case, X, y, modalities, np.flatnonzero(train), tests)
        for case, (train, tests) in SPLITS[name](split).items()
    ]


def _case(name, X, y, modalities, train, tests):
    """Make a case without uninformative columns and modalities that have only such columns."""
    part = X[train]
    useful = np.array([len(np.unique(v[~np.isnan(v)])) > 1 for v in part.T])
    kept = {k: [c for c in columns if useful[c]] for k, columns in modalities.items()}
    tests = {key: np.flatnonzero(chosen) for key, chosen in tests.items()}
    return Case(name, X, y, {k: v for k, v in kept.items() if v}, train, tests)


def used_columns(case):
    """Give the samples with the columns of modalities only, and the new positions of these."""
    used = np.sort(np.concatenate(list(case.modalities.values())))
    place = {column: i for i, column in enumerate(used)}
    return case.X[:, used], {k: [place[c] for c in v] for k, v in case.modalities.items()}


def random_case(case, seed):
    """Split the same samples at random, with the same number for training."""
    everything = np.concatenate([case.train, *case.tests.values()])
    order = np.random.RandomState(seed).permutation(everything)
    n = len(case.train)
    return Case(case.name, case.X, case.y, case.modalities, order[:n], {"random": order[n:]})
