"""The detectors of the outlier benchmark: the energies, PyOD's, and a mixture of Gaussians."""

import contextlib
import importlib
import inspect
import io
import random
import time
import warnings
from functools import cache

import numpy as np
import torch
from sklearn.mixture import GaussianMixture

from sklearn_emma import DAEEnergyScorer

OURS = "DAEEnergyScorer"
MIXTURE = "GaussianMixture20"
# Cheap ones first, in the order in which they run; class -> module of pyod.models.
PYOD = {
    "HBOS": "hbos",
    "ECOD": "ecod",
    "COPOD": "copod",
    "PCA": "pca",
    "GMM": "gmm",
    "KNN": "knn",
    "LOF": "lof",
    "IForest": "iforest",
    "OCSVM": "ocsvm",
    "INNE": "inne",
    "AutoEncoder": "auto_encoder",
    "VAE": "vae",
    "DeepSVDD": "deep_svdd",
    "LUNAR": "lunar",
}
DETECTORS = [OURS, *PYOD]
# Detectors of the last two parts: the energies, and those to compare them with.
REFERENCES = [OURS, "IForest", "KNN", MIXTURE]


def make_detector(name, n_features, seed):
    """Return an unfitted detector with its defaults, and the function for its outlier scores."""
    if name == OURS:
        detector = DAEEnergyScorer(random_state=seed)
        return detector, lambda X: -detector.score_samples(X)
    if name == MIXTURE:
        detector = GaussianMixture(20, random_state=seed)
        return detector, lambda X: -detector.score_samples(X)
    make = getattr(importlib.import_module(f"pyod.models.{PYOD[name]}"), name)
    wanted = {"random_state": seed, "verbose": 0, "n_features": n_features}
    known = inspect.signature(make).parameters
    detector = make(**{key: value for key, value in wanted.items() if key in known})
    return detector, detector.decision_function


@contextlib.contextmanager
def _quiet():
    """Suppress warnings, progress bars and all other output."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


def _fit_and_score(name, X, tests, seed):
    """Fit, then score every set of samples: scores, seconds to fit, seconds to score each.

    Seconds are processor time, which depends little on what else the machine does.
    """
    # not every detector takes a random state
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    detector, score = make_detector(name, X.shape[1], seed)
    start = time.process_time()
    detector.fit(X)
    fit_seconds = time.process_time() - start
    scores, seconds = [], []
    for rows in tests:
        start = time.process_time()
        scores.append(np.asarray(score(rows), dtype=float).ravel())
        seconds.append(time.process_time() - start)
    return scores, fit_seconds, seconds


@cache
def _warm_up(name):
    """Import and compile what the detector needs, once per process, before anything is timed."""
    X = np.random.RandomState(0).normal(size=(200, 5))
    with contextlib.suppress(Exception):  # a real error is raised again later
        _fit_and_score(name, X, [X], 0)


def fit_and_score(name, X, tests, seed):
    """Fit a detector on X and score each of a list of tables, without any output.

    Parameters
    ----------
    name : str
        One of `DETECTORS` or `REFERENCES`.
    X : ndarray of shape (n_samples, n_features)
        Training samples.
    tests : list of ndarray of shape (n_rows, n_features)
        Samples to be scored.
    seed : int
        Seed of the random numbers of the detector.

    Returns
    -------
    scores : list of ndarray of shape (n_rows,)
        High for outliers.
    fit_seconds : float
        Processor time it took to fit.
    score_seconds : list of float
        Processor time it took to score each table.

    Raises
    ------
    ValueError
        If a score is NaN, or all are infinite. Whatever the detector raises passes through.
    """
    with _quiet():
        _warm_up(name)
        scores, fit_seconds, score_seconds = _fit_and_score(name, X, tests, seed)
    for s in scores:
        if np.isnan(s).any():
            raise ValueError(f"the score of {np.isnan(s).sum()} of {len(s)} samples is NaN")
        if np.isinf(s).all():
            raise ValueError("the score of every sample is infinite")
    # infinite scores are the highest; metrics need finite ones
    return [np.nan_to_num(s) for s in scores], fit_seconds, score_seconds
