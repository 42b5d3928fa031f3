"""The models of the robustness benchmark.

Every entry of `MODELS` is a function from :class:`_protocol.Rows` to ``predict_proba``, which takes
standardised rows with NaN for what is missing. Everything is trained on the same corruption.
"""

import warnings

import numpy as np
from _protocol import LEVELS, best_threshold, failure, training_corruption
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.neighbors import NearestNeighbors
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

from sklearn_emma import EMMAClassifier
from sklearn_emma.corruption import Missing

N_COPIES = 10


def make_emma(rows, **params):
    """Give EMMA with its defaults, and the corruption that all models are trained on."""
    return EMMAClassifier(
        modalities=rows.modalities,
        corruption=training_corruption(),
        random_state=rows.seed,
        **params,
    )


def fit_emma(rows):
    """EMMA draws its corruption itself, afresh in every epoch."""
    return make_emma(rows).fit(rows.X, rows.y).predict_proba


def fit_network_without_emma(rows):
    """The same network, trained in the same way, behind a gate that does not look at energies."""
    return make_emma(rows, coldness=0.0).fit(rows.X, rows.y).predict_proba


def make_boosting(rows):
    """Give gradient boosting; ten classes and 649 columns get fewer and smaller trees."""
    if rows.task.binary:
        return HistGradientBoostingClassifier(
            max_iter=200, early_stopping=True, n_iter_no_change=10, random_state=rows.seed
        )
    return HistGradientBoostingClassifier(
        max_iter=15,
        learning_rate=0.3,
        max_leaf_nodes=15,
        max_bins=63,
        early_stopping=False,
        random_state=rows.seed,
    )


def _boost(rows, X, y, validation):
    model = make_boosting(rows)
    if model.early_stopping:
        return model.fit(X, y, X_val=validation[0], y_val=validation[1])
    return model.fit(X, y)


def fit_boosting(rows):
    """Histogram gradient boosting on ten corrupted copies."""
    # shared with mask-then-boost, which masks in front of the same model
    if not hasattr(rows, "boosting_"):
        rows.boosting_ = _boost(rows, *rows.copies(N_COPIES), rows.validation())
    return rows.boosting_.predict_proba


def _fit_mlp(rows, X, y, imputer):
    n_rows = len(rows.y) * N_COPIES
    mlp = MLPClassifier(
        hidden_layer_sizes=(64, 64),
        batch_size=256 if n_rows > 50_000 else 64,
        max_iter=20,
        early_stopping=True,
        n_iter_no_change=4,
        random_state=rows.seed,
    )
    with warnings.catch_warnings():
        # twenty epochs over ten copies are meant to be enough
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make_pipeline(imputer, mlp).fit(X, y).predict_proba


def fit_mlp(rows):
    """Multi-layer perceptron on ten corrupted copies, told which values are missing."""
    return _fit_mlp(rows, *rows.copies(N_COPIES), SimpleImputer(add_indicator=True))


def fit_modality_dropout(rows):
    """Multi-layer perceptron for which, on top, a whole modality of half the rows is zeroed."""
    X, y = rows.copies(N_COPIES)
    X = rows.corrupt(X, Missing(n_corrupted=1, fraction=0.5), (4,))
    return _fit_mlp(rows, X, y, SimpleImputer(strategy="constant", fill_value=0.0))


class LateFusion:
    """A classifier per modality; what is present is averaged or multiplied."""

    def __init__(self, rows, make, product):
        self.columns, self.product = list(rows.modalities.values()), product
        X, y = rows.copies(N_COPIES if rows.task.binary else 5)
        self.log_prior = np.log(np.bincount(rows.y) / len(rows.y))
        self.models = []
        for columns in self.columns:
            present = ~np.isnan(X[:, columns[0]])
            self.models.append(make(rows).fit(X[present][:, columns], y[present]))

    def predict_proba(self, X):
        """Fuse the probabilities of the modalities that are present."""
        total = np.zeros((len(X), len(self.log_prior)))
        count = np.zeros((len(X), 1))
        for model, columns in zip(self.models, self.columns, strict=True):
            present = ~np.isnan(X[:, columns[0]])
            if not present.any():
                continue
            proba = model.predict_proba(X[present][:, columns])
            if self.product:
                proba = np.log(np.maximum(proba, 1e-12)) - self.log_prior
            total[present] += proba
            count[present] += 1
        if not self.product:
            return total / np.maximum(count, 1)
        proba = np.exp(total + self.log_prior - (total + self.log_prior).max(axis=1, keepdims=True))
        return proba / proba.sum(axis=1, keepdims=True)


def make_logistic(rows):
    """Give logistic regression, with a penalty for wide data."""
    return LogisticRegression(C=1.0 if rows.task.binary else 0.03, max_iter=500)


def _fuse(make, product):
    return lambda rows: LateFusion(rows, make, product).predict_proba


class MaskThenBoost:
    """Modalities far from the clean training rows become NaN; boosting does the rest.

    The distance is the mean one to the ten nearest training rows; the cut of each modality is a
    quantile of the training rows' own distances, tuned on the validation rows with the others
    fixed, two rounds long.
    """

    quantiles = (0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0)

    def __init__(self, rows):
        self.columns = list(rows.modalities.values())
        self.predict = fit_boosting(rows)
        self.neighbors = [NearestNeighbors(n_neighbors=10).fit(rows.X[:, c]) for c in self.columns]
        own = [n.kneighbors()[0].mean(axis=1) for n in self.neighbors]
        grid = [np.quantile(d, self.quantiles) for d in own]
        X_val, y_val = rows.validation()
        distances = self.distances(X_val)
        self.cuts = np.array([cuts[-1] for cuts in grid])
        for _ in range(2):
            for i in range(len(self.columns)):
                scores = []
                for cut in grid[i]:
                    self.cuts[i] = cut
                    proba = self.predict(self.mask(X_val, distances))
                    if rows.task.binary:
                        scores.append(best_threshold(y_val, proba[:, 1])[1])
                    else:
                        scores.append(accuracy_score(y_val, proba.argmax(axis=1)))
                self.cuts[i] = grid[i][int(np.argmax(scores))]

    def distances(self, X):
        """Give the distance of each modality of each row; that of a missing one is 0."""
        distances = np.zeros((len(X), len(self.columns)))
        for i, columns in enumerate(self.columns):
            present = ~np.isnan(X[:, columns[0]])
            if present.any():
                near = self.neighbors[i].kneighbors(X[present][:, columns])[0]
                distances[present, i] = near.mean(axis=1)
        return distances

    def mask(self, X, distances):
        """Set modalities beyond their cut to NaN."""
        X = X.copy()
        for i, columns in enumerate(self.columns):
            X[np.ix_(distances[:, i] > self.cuts[i], columns)] = np.nan
        return X

    def predict_proba(self, X):
        """Mask, then predict."""
        return self.predict(self.mask(X, self.distances(X)))


def fit_mask_then_boost(rows):
    """Mask-then-boost."""
    return MaskThenBoost(rows).predict_proba


MODELS = {
    "EMMA": fit_emma,
    "network without EMMA": fit_network_without_emma,
    "boosting": fit_boosting,
    "mask-then-boost": fit_mask_then_boost,
    "MLP (scikit-learn)": fit_mlp,
    "modality dropout": fit_modality_dropout,
    "late fusion, mean of boosting": _fuse(make_boosting, product=False),
    "late fusion, mean of logistic": _fuse(make_logistic, product=False),
    "late fusion, product of logistic": _fuse(make_logistic, product=True),
}


def score_specialists(rows):
    """Score, for each cell, a classifier trained and tuned on exactly that failure."""
    scores = {}
    for modality in rows.modalities:
        for level in LEVELS:
            cell = modality, level
            if level == 0 and scores:
                scores[cell] = scores[next(iter(rows.modalities)), 0]
                continue
            n_copies = 1 if level == 0 else N_COPIES if rows.task.binary else 2
            X, y = rows.copies(n_copies, failure(modality, level))
            X_val, y_val = rows.validation(failure(modality, level))
            # a modality that is missing in every row becomes constant, and so is left out
            X, X_val = np.nan_to_num(X), np.nan_to_num(X_val)
            if rows.task.binary:
                model = _boost(rows, X, y, (X_val, y_val))
            else:
                # on hundreds of columns and ten classes better than boosting, and much faster
                model = ExtraTreesClassifier(100, random_state=rows.seed).fit(X, y)
            predict = rows.decide(model.predict_proba, (X_val, y_val))
            scores[cell] = rows.score(lambda X, f=predict: f(np.nan_to_num(X)), cell)
    return scores
