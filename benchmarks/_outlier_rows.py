"""The training and test samples of the outlier benchmark."""

from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.io import loadmat
from sklearn.metrics import pairwise_distances_argmin_min
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sklearn_emma.datasets import fetch_htru2, make_circle, make_spiral, make_wave

PROTOCOLS = ("contaminated", "clean")
CURVES = {"circle": make_circle, "wave": make_wave, "spiral": make_spiral}
MODALITIES = ("IP", "DM")
SIGMAS = (0.5, 1, 2, 4, 8)
N_POINTS = 2000  # of a curve
N_STEPS = 80  # of the grid around it, in each direction
FAR = 0.5


@dataclass(frozen=True)
class Rows:
    """Training samples, and for each protocol test samples and labels (1 is an outlier)."""

    X: np.ndarray
    tests: dict


def _standardized(X, tests):
    """Standardize on the training samples; a constant column is centered and keeps its scale."""
    scaler = StandardScaler().fit(X)
    tests = {key: (scaler.transform(rows), y) for key, (rows, y) in tests.items()}
    return Rows(scaler.transform(X), tests)


def odds_folder(data):
    """Give the folder of the outlier detection sets, or None."""
    folder = Path(data) / "odds" if data else None
    return folder if folder and any(folder.glob("*.mat")) else None


def odds_names(data):
    """Name the outlier detection sets."""
    return sorted(path.stem for path in odds_folder(data).glob("*.mat"))


@cache
def _load_odds(path):
    content = loadmat(path)
    return content["X"].astype(float), content["y"].ravel().astype(int)


def odds_rows(data, name, protocol, seed, max_train):
    """Split 60/40; training samples with outliers ("contaminated") or without ("clean")."""
    X, y = _load_odds(odds_folder(data) / f"{name}.mat")
    for attempt in count():
        X_train, X_test, y_train, y_test = train_test_split(
            X, y, test_size=0.4, random_state=seed + 1000 * attempt
        )
        if 0 < y_test.sum() < len(y_test):  # the smallest sets have few outliers
            break
    if protocol == "clean":
        X_train = X_train[y_train == 0]
    if len(X_train) > max_train:
        X_train = X_train[np.random.RandomState(seed).permutation(len(X_train))[:max_train]]
    return _standardized(X_train, {protocol: (X_test, y_test)})


def published_roc(data):
    """Give the ROC AUC that PyOD's documentation prints: sets x detectors, NaN if not run."""
    table = pd.read_csv(odds_folder(data) / "pyod_published_roc.csv", index_col="Data")
    return table.rename(columns=str.strip).where(lambda t: t != 0)


def curve_rows(name, seed):
    """Give points of a curve, and as outliers the points of a grid that are far from it."""
    make_curve = CURVES[name]
    X, _ = make_curve(N_POINTS, random_state=seed)
    fresh, _ = make_curve(N_POINTS, random_state=seed + 1000)
    dense, _ = make_curve(20_000, random_state=0)
    low, high = X.min(axis=0) - 2, X.max(axis=0) + 2
    axes = [np.linspace(*ends, N_STEPS) for ends in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    far = grid[pairwise_distances_argmin_min(grid, dense)[1] > FAR]
    y = np.repeat([0, 1], [len(fresh), len(far)])
    return _standardized(X, {"curve": (np.vstack([fresh, far]), y)})


@cache
def _load_htru2(data):
    bunch = fetch_htru2(path=data)
    return {m: bunch.data[c].to_numpy(float) for m, c in bunch.modalities.items()}, bunch.target


def htru2_rows(data, modality, seed):
    """Split 67/33; outliers are the test samples with noise, a protocol for each sigma."""
    columns, target = _load_htru2(data)
    X_train, X_test = train_test_split(
        columns[modality], test_size=0.33, stratify=target, random_state=seed
    )
    deviation = X_train.std(axis=0)
    y = np.repeat([0, 1], len(X_test))
    tests = {}
    for sigma in SIGMAS:
        stream = [seed, MODALITIES.index(modality), int(10 * sigma)]
        noise = np.random.RandomState(stream).standard_normal(X_test.shape)
        tests[f"sigma {sigma}"] = np.vstack([X_test, X_test + sigma * deviation * noise]), y
    return _standardized(X_train, tests)
