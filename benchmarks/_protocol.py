"""The samples, failures and thresholds that all models of the robustness benchmark share."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from _robustness_failures import TRAININGS, list_cells
from sklearn.metrics import accuracy_score, f1_score, precision_recall_curve
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sklearn_emma.datasets import (
    fetch_htru2,
    fetch_mfeat,
    load_breast_cancer_modalities,
    make_multimodal_classification,
)

TASKS = ("htru2", "mfeat", "breast_cancer", "simulated")
N_VALIDATION_COPIES = 4


def default_data():
    """Give the folder with the csv files, or None to download."""
    local = os.environ.get("SKLEARN_EMMA_DATA", "../shared/data")
    return local if Path(local).exists() else None


@dataclass(frozen=True)
class Task:
    """A data set: samples, classes from 0, and the columns (positions) of each modality."""

    name: str
    data: np.ndarray
    target: np.ndarray
    modalities: dict

    @classmethod
    def from_bunch(cls, name, bunch):
        """Make a task from a data set of the package."""
        position = {column: i for i, column in enumerate(bunch.data.columns)}
        return cls(
            name=name,
            data=bunch.data.to_numpy(dtype=float),
            target=np.unique(bunch.target, return_inverse=True)[1],
            modalities={m: [position[c] for c in cols] for m, cols in bunch.modalities.items()},
        )

    @property
    def binary(self):
        """Tell whether there are two classes; then F1 and a threshold are used."""
        return self.target.max() == 1

    @property
    def wide(self):
        """Tell whether there are so many columns that models are kept small."""
        return self.data.shape[1] > 300

    @property
    def metric(self):
        """Name the score of the tables."""
        return "F1" if self.binary else "accuracy"


def _simulate():
    """Simulate four modalities of decreasing relevance that share half of their noise."""
    return make_multimodal_classification(
        3000,
        n_modalities=4,
        n_classes=3,
        relevance=[1.0, 0.9, 0.8, 0.7],
        random_state=0,
    )


def load_task(name, path=None):
    """Load one of `TASKS`."""
    if name == "simulated":
        bunch = _simulate()
    elif name == "breast_cancer":
        bunch = load_breast_cancer_modalities()
    else:
        bunch = {"htru2": fetch_htru2, "mfeat": fetch_mfeat}[name](path=path)
    return Task.from_bunch(name, bunch)


class Rows:
    """One stratified split 67 / 16.5 / 16.5, standardized on the training samples.

    Validation samples are corrupted like training samples (half of them clean) and the same for all
    models; so are the test samples of each cell. `training`, one of `TRAININGS`, may be changed.
    """

    def __init__(self, task, seed, training="narrow"):
        self.task, self.seed, self.training = task, seed, training
        self.modalities = task.modalities
        X, self.X_test, y, self.y_test = train_test_split(
            task.data, task.target, test_size=0.165, stratify=task.target, random_state=seed
        )
        self.X, X_val, self.y, y_val = train_test_split(
            X, y, test_size=0.165 / 0.835, stratify=y, random_state=seed
        )
        scaler = StandardScaler().fit(self.X)
        self.X, self.X_test = scaler.transform(self.X), scaler.transform(self.X_test)
        self._clean_val = scaler.transform(X_val)
        self._y_val = y_val

    @property
    def columns(self):
        """Give the columns of each modality."""
        return list(self.modalities.values())

    def corruption(self):
        """Give the corruption that models may train on."""
        return TRAININGS[self.training]()

    def corrupt(self, X, corruption, stream):
        """Corrupt samples, relative to the training samples; each stream has its own seed."""
        random_state = np.random.RandomState([self.seed, *stream])
        return corruption.corrupt(X, self.modalities, random_state, reference=self.X)[0]

    def copies(self, n, corruption=None):
        """Concatenate n copies of the training set, each with half of its samples corrupted."""
        corruption = corruption or self.corruption()
        X = [self.corrupt(self.X, corruption, (1, i)) for i in range(n)]
        return np.vstack(X), np.tile(self.y, n)

    def validation(self, corruption=None):
        """Return validation samples with the training failures, or with a given one."""
        corruption = corruption or self.corruption()
        X = [self.corrupt(self._clean_val, corruption, (2, i)) for i in range(N_VALIDATION_COPIES)]
        return np.vstack(X), np.tile(self._y_val, N_VALIDATION_COPIES)

    @cached_property
    def cells(self):
        """Give the test samples of each cell."""
        return {
            cell: self.corrupt(self.X_test, cell.failure(len(self.modalities)), stream)
            for cell, stream in list_cells(self.modalities, self.training == "columns").items()
        }

    def decide(self, model, validation=None):
        """Give the function from probabilities to classes; for two, the threshold maximizes F1."""
        if not self.task.binary:
            return lambda proba: proba.argmax(axis=1)
        X_val, y_val = validation or self.validation()
        threshold = best_threshold(y_val, model.predict_proba(X_val)[:, 1])[0]
        return lambda proba: (proba[:, 1] >= threshold).astype(int)

    def score(self, classes):
        """Score predictions of the classes of the test samples."""
        metric = f1_score if self.task.binary else accuracy_score
        return float(metric(self.y_test, classes))

    def best_score(self, y, proba):
        """Score probabilities, with the best of all thresholds."""
        if self.task.binary:
            return best_threshold(y, proba[:, 1])[1]
        return accuracy_score(y, proba.argmax(axis=1))


def best_threshold(y, score):
    """Give the threshold of highest F1 and that F1."""
    precision, recall, thresholds = precision_recall_curve(y, score)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = f1[:-1].argmax()
    return thresholds[best], f1[best]
