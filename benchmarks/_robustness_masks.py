"""Masks, which set a modality that is far from the training samples to missing."""

import numpy as np
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors

QUANTILES = (0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0)


class NeighborDistance:
    """Mean distance to the ten nearest training samples."""

    def __init__(self, X):
        self.neighbors = NearestNeighbors(n_neighbors=10).fit(X)
        self.own = self.neighbors.kneighbors()[0].mean(axis=1)

    def __call__(self, X):
        """Give the distance of each sample."""
        return self.neighbors.kneighbors(X)[0].mean(axis=1)


class MahalanobisDistance:
    """Mahalanobis distance with the covariance estimate of Ledoit and Wolf."""

    def __init__(self, X):
        self.covariance = LedoitWolf().fit(X)
        self.own = self(X)

    def __call__(self, X):
        """Give the (squared) distance of each sample."""
        return self.covariance.mahalanobis(X)


class Masked:
    """A classifier behind a mask.

    The cut of each modality is a quantile of the distances of the training samples. It is tuned on
    the validation samples with the other cuts fixed, in two rounds.

    Parameters
    ----------
    samples : Samples
        Training and validation samples.
    model : object with ``predict_proba``
        Takes NaN for missing modalities.
    make_distance : callable
        Takes clean training samples of one modality.
    """

    def __init__(self, rows, model, make_distance):
        self.model, self.columns = model, rows.columns
        self.distances_from = [make_distance(rows.X[:, columns]) for columns in self.columns]
        grid = [np.quantile(distance.own, QUANTILES) for distance in self.distances_from]
        self.cuts = np.array([cuts[-1] for cuts in grid])
        X, y = rows.validation()
        distances = self.distances(X)
        for i in [*range(len(grid)), *range(len(grid))]:
            scores = []
            for cut in grid[i]:
                self.cuts[i] = cut
                scores.append(rows.best_score(y, model.predict_proba(self.mask(X, distances))))
            self.cuts[i] = grid[i][int(np.argmax(scores))]

    def distances(self, X):
        """Give the distance of each modality of each sample; that of a missing one is 0."""
        distances = np.zeros((len(X), len(self.columns)))
        for i, columns in enumerate(self.columns):
            present = ~np.isnan(X[:, columns[0]])
            if present.any():
                distances[present, i] = self.distances_from[i](X[present][:, columns])
        return distances

    def mask(self, X, distances):
        """Set modalities whose distance exceeds their cut to NaN."""
        X = X.copy()
        for i, columns in enumerate(self.columns):
            X[np.ix_(distances[:, i] > self.cuts[i], columns)] = np.nan
        return X

    def predict_proba(self, X):
        """Mask, then predict."""
        return self.model.predict_proba(self.mask(X, self.distances(X)))
