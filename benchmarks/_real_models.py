"""The models of the benchmark of real failures."""

from functools import partial
from types import SimpleNamespace

import numpy as np
from _protocol import Rows
from _robustness_fusion import fit_per_modality, fuse
from _robustness_masks import Masked, NeighborDistance
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_emma import EMMAClassifier, GatedClassifier
from sklearn_emma.corruption import Missing
from sklearn_emma.monitoring import ModalityMonitor

N_COPIES = 4


class RealRows(Rows):
    """Training and validation samples for the other models of the robustness benchmark.

    They are standardized. If only some values of a modality are missing, they are set to the mean.
    """

    def __init__(self, X, y, modalities, seed):
        self.task = SimpleNamespace(binary=False, wide=False)  # accuracy decides
        self.seed, self.training, self.modalities = seed, "default", modalities
        counts = np.bincount(y)
        stratify = y if counts[counts > 0].min() > 1 else None
        X, X_val, self.y, self._y_val = train_test_split(
            X, y, test_size=0.2, stratify=stratify, random_state=seed
        )
        self._scaler = StandardScaler().fit(X)
        self.X, self._clean_val = self.prepare(X), self.prepare(X_val)

    def prepare(self, X):
        """Standardize, and fill modalities that are not missing altogether."""
        X = self._scaler.transform(X)
        for columns in self.columns:
            part = X[:, columns]
            some = ~np.isnan(part).all(axis=1)
            X[np.ix_(some, columns)] = np.nan_to_num(part[some])
        return X


class Prepared:
    """A model of the robustness benchmark that prepares raw samples itself."""

    def __init__(self, rows, model):
        self.rows, self.model = rows, model

    def predict_proba(self, X):
        """Prepare, then predict."""
        return self.model.predict_proba(self.rows.prepare(X))


def boosting(seed):
    """Give histogram gradient boosting with its defaults."""
    return HistGradientBoostingClassifier(random_state=seed)


def fit_emma(X, y, modalities, seed):
    """EMMA with its defaults."""
    return EMMAClassifier(modalities, random_state=seed).fit(X, y)


def fit_monitored(X, y, modalities, seed):
    """EMMA with a monitor, which follows the test samples in their order."""
    emma = EMMAClassifier(modalities, random_state=seed)
    return ModalityMonitor(emma, ordered=True, recalibrate=True, random_state=seed).fit(X, y)


def fit_gated(X, y, modalities, seed):
    """Boosting behind the gate."""
    return GatedClassifier(boosting(seed), modalities, random_state=seed).fit(X, y)


def fit_boosting(X, y, modalities, seed):
    """Fit boosting on the samples, without corruption."""
    return boosting(seed).fit(X, y)


def lightgbm(seed):
    """Give LightGBM with its defaults."""
    from lightgbm import LGBMClassifier

    return LGBMClassifier(random_state=seed, n_jobs=1, verbose=-1)


def fit_lightgbm(X, y, modalities, seed):
    """Fit LightGBM on the samples, without corruption."""
    return lightgbm(seed).fit(X, y)


def fit_copies(X, y, modalities, seed, make=boosting):
    """Boosting on the samples and on copies with the library's corruption."""
    rows = RealRows(X, y, modalities, seed)
    corruption = rows.corruption()
    copies = [
        corruption.corrupt(X, modalities, np.random.RandomState([seed, i]), reference=X)[0]
        for i in range(N_COPIES)
    ]
    return make(seed).fit(np.vstack([X, *copies]), np.tile(y, 1 + N_COPIES))


def fit_logistic(X, y, modalities, seed):
    """Fit logistic regression, with means for missing values."""
    steps = SimpleImputer(keep_empty_features=True), StandardScaler()
    return make_pipeline(*steps, LogisticRegression(max_iter=2000)).fit(X, y)


def fit_forest(X, y, modalities, seed):
    """Fit a random forest, which accepts missing values."""
    return RandomForestClassifier(200, random_state=seed).fit(X, y)


def fit_late_fusion(X, y, modalities, seed):
    """Product of a logistic regression per modality, on corrupted copies."""
    rows = RealRows(X, y, modalities, seed)
    models = fit_per_modality(rows, lambda _: LogisticRegression(max_iter=1000), N_COPIES)
    return Prepared(rows, fuse(rows, models, product=True))


def fit_mask_then_boost(X, y, modalities, seed):
    """Boosting behind a mask by the distance to the nearest training samples."""
    rows = RealRows(X, y, modalities, seed)
    # boosting that is trained on samples without some modality
    copies = [rows.corrupt(rows.X, Missing(fraction=0.5), (5, i)) for i in range(N_COPIES)]
    model = boosting(seed).fit(np.vstack([rows.X, *copies]), np.tile(rows.y, 1 + N_COPIES))
    complete = ~np.isnan(rows.X).any(axis=1)
    rows.X = rows.X[complete] if complete.sum() > 20 else np.nan_to_num(rows.X)
    return Prepared(rows, Masked(rows, model, NeighborDistance))


MODELS = {
    "EMMA": fit_emma,
    "EMMA with a monitor": fit_monitored,
    "boosting behind the gate": fit_gated,
    "boosting": fit_boosting,
    "boosting, corrupted copies": fit_copies,
    "LightGBM": fit_lightgbm,
    "LightGBM, corrupted copies": partial(fit_copies, make=lightgbm),
    "logistic regression": fit_logistic,
    "random forest": fit_forest,
    "late fusion": fit_late_fusion,
    "mask, then boost": fit_mask_then_boost,
}
PACKAGES = dict.fromkeys(["LightGBM", "LightGBM, corrupted copies"], "lightgbm")
