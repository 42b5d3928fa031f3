"""What every model of the robustness benchmark is given: rows, failures, thresholds, scores."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, precision_recall_curve
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sklearn_emma.corruption import Missing, Mixture, Noise
from sklearn_emma.datasets import fetch_htru2, fetch_mfeat, load_breast_cancer_modalities

LEVELS = (0, 0.5, 1, 2, 4, 8, "missing")
N_VALIDATION_COPIES = 4


def training_corruption():
    """Give what models may know: in half of the rows one modality has noise 0.5, or is missing."""
    return Mixture([Noise(0.5), Missing()], n_corrupted=1, fraction=0.5)


def failure(modality, level):
    """Give the failure of one test cell: this modality fails in every row, at this level."""
    if level == "missing":
        return Missing(n_corrupted=1, only=modality)
    return Noise(level, n_corrupted=1, only=modality)


@dataclass(frozen=True)
class Task:
    """A data set: rows, classes from 0, and the columns (positions) of each modality."""

    name: str
    data: np.ndarray
    target: np.ndarray
    modalities: dict

    @property
    def binary(self):
        """Tell whether there are two classes, so that F1 and a threshold make sense."""
        return self.target.max() == 1

    @property
    def metric(self):
        """Name the score of the tables."""
        return "F1" if self.binary else "accuracy"


def load_task(name, path=None):
    """Load "htru2", "mfeat" or "breast_cancer"."""
    if name == "breast_cancer":
        bunch = load_breast_cancer_modalities()
    else:
        bunch = {"htru2": fetch_htru2, "mfeat": fetch_mfeat}[name](path=path)
    position = {column: i for i, column in enumerate(bunch.data.columns)}
    return Task(
        name=name,
        data=bunch.data.to_numpy(dtype=float),
        target=np.unique(bunch.target, return_inverse=True)[1],
        modalities={m: [position[c] for c in columns] for m, columns in bunch.modalities.items()},
    )


class Rows:
    """One stratified split 67 / 16.5 / 16.5, standardised on the training rows.

    Validation rows are corrupted like training rows (half of them clean) and the same for all
    models; so are the test rows of each cell.
    """

    def __init__(self, task, seed):
        self.task, self.seed, self.modalities = task, seed, task.modalities
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

    def corrupt(self, X, corruption, stream):
        """Corrupt rows in units of the training rows; each stream has random numbers of its own."""
        random_state = np.random.RandomState([self.seed, *stream])
        return corruption.corrupt(X, self.modalities, random_state, reference=self.X)[0]

    def copies(self, n, corruption=None):
        """Give n training sets under each other, each with half of its rows corrupted."""
        corruption = training_corruption() if corruption is None else corruption
        X = [self.corrupt(self.X, corruption, (1, i)) for i in range(n)]
        return np.vstack(X), np.tile(self.y, n)

    def validation(self, corruption=None):
        """Give validation rows with what the training rows suffer, or with a given failure."""
        corruption = training_corruption() if corruption is None else corruption
        X = [self.corrupt(self._clean_val, corruption, (2, i)) for i in range(N_VALIDATION_COPIES)]
        return np.vstack(X), np.tile(self._y_val, N_VALIDATION_COPIES)

    @cached_property
    def cells(self):
        """Test rows by cell: dict (modality, level) -> array."""
        return {
            (modality, level): self.corrupt(self.X_test, failure(modality, level), (3, i, j))
            for i, modality in enumerate(self.modalities)
            for j, level in enumerate(LEVELS)
        }

    def decide(self, predict_proba, validation=None):
        """Give the function from rows to classes, with the threshold of best validation F1."""
        if not self.task.binary:
            return lambda X: predict_proba(X).argmax(axis=1)
        X_val, y_val = self.validation() if validation is None else validation
        threshold = best_threshold(y_val, predict_proba(X_val)[:, 1])[0]
        return lambda X: (predict_proba(X)[:, 1] >= threshold).astype(int)

    def score(self, predict, cell):
        """Score classes on the test rows of one cell."""
        metric = f1_score if self.task.binary else accuracy_score
        return float(metric(self.y_test, predict(self.cells[cell])))


def best_threshold(y, score):
    """Give the threshold of highest F1 and that F1."""
    precision, recall, thresholds = precision_recall_curve(y, score)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = f1[:-1].argmax()
    return thresholds[best], f1[best]
