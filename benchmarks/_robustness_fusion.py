"""Late fusion: a classifier per modality, whose probabilities are averaged or multiplied."""

import numpy as np

# Candidate floors of the factors of a product, in fractions of chance. A floor prevents a single
# modality from excluding a class.
FLOORS = (1e-12, 1e-6, 1e-4, 1e-3, 1e-2, 3e-2)


class LateFusion:
    """Fuse the predictions of the modalities that are present.

    Parameters
    ----------
    models : list of fitted classifiers
        One per modality.
    columns : list of list of int
        Their columns.
    log_prior : ndarray of shape (n_classes,)
        Logarithms of the class frequencies.
    product : bool
        Whether probabilities, relative to the prior, are multiplied; else they are averaged.
    floor : float, default=1e-12
        Smallest factor of a product.
    """

    def __init__(self, models, columns, log_prior, product, floor=1e-12):
        self.models, self.columns = models, columns
        self.log_prior, self.product, self.floor = log_prior, product, floor

    def predict_proba(self, X):
        """Give the fused probabilities; without any modality, the prior."""
        total = np.zeros((len(X), len(self.log_prior)))
        count = np.zeros((len(X), 1))
        for model, columns in zip(self.models, self.columns, strict=True):
            present = ~np.isnan(X[:, columns[0]])
            if not present.any():
                continue
            proba = model.predict_proba(X[present][:, columns])
            if self.product:
                proba = np.log(np.maximum(proba, self.floor)) - self.log_prior
            total[present] += proba
            count[present] += 1
        if not self.product:
            return np.where(count > 0, total / np.maximum(count, 1), np.exp(self.log_prior))
        logits = total + self.log_prior
        proba = np.exp(logits - logits.max(axis=1, keepdims=True))
        return proba / proba.sum(axis=1, keepdims=True)


def fuse(rows, models, product):
    """Fuse by the mean, or by the product with the floor that is best on validation samples."""
    log_prior = np.log(np.bincount(rows.y) / len(rows.y))
    fusions = [
        LateFusion(models, rows.columns, log_prior, product, floor / len(log_prior))
        for floor in (FLOORS[::-1] if product else FLOORS[:1])
    ]
    X, y = rows.validation()
    return max(fusions, key=lambda fusion: rows.best_score(y, fusion.predict_proba(X)))


def fit_per_modality(rows, make, n_copies):
    """Fit a classifier per modality, on the corrupted copies in which the modality is present."""
    X, y = rows.copies(n_copies)
    models = []
    for columns in rows.columns:
        present = ~np.isnan(X[:, columns[0]])
        models.append(make(rows).fit(X[present][:, columns], y[present]))
    return models
