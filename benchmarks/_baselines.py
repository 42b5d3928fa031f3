"""The models of the robustness benchmark.

Every entry of `MODELS` is a function from :class:`_protocol.Samples` to something with a
``predict_proba``, which takes standardized samples with NaN for missing values. All are trained on
the same corruption.
"""

import warnings
from functools import partial

import numpy as np
from _robustness_failures import CLEAN, OrColumns
from _robustness_fusion import fit_per_modality, fuse
from _robustness_masks import MahalanobisDistance, Masked, NeighborDistance
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

from sklearn_emma import EMMAClassifier
from sklearn_emma.corruption import Missing

N_COPIES = 10
EMMA, WITHOUT_EMMA = "EMMA", "network without EMMA"
ATTENTIVE, COLUMNWISE = "EMMA, column attention", "EMMA, columns as modalities"
BOOSTING, WIDE_BOOSTING = "boosting", "boosting, wide noise"
SPECIALIST = "specialist"


def fit_emma(rows, **params):
    """Fit EMMA with its defaults, which draws new corruption in every epoch."""
    corruption = rows.corruption()
    if isinstance(corruption, OrColumns) and params.get("column_attention"):
        corruption = corruption.corruption  # in its training columns fail already
    emma = EMMAClassifier(rows.modalities, corruption=corruption, random_state=rows.seed, **params)
    return emma.fit(rows.X, rows.y)


def fit_columns_as_modalities(rows):
    """Fit EMMA with every column as a modality, and failures of these modalities in training."""
    if rows.task.wide:
        raise ValueError(f"{rows.task.name} has too many columns to make each a modality.")
    columns = {f"{name} {j}": [j] for name, those in rows.modalities.items() for j in those}
    return EMMAClassifier(columns, random_state=rows.seed).fit(rows.X, rows.y)


def make_boosting(rows):
    """Make gradient boosting; with hundreds of columns, it has fewer and smaller trees."""
    if not rows.task.wide:
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
    """Fit histogram gradient boosting on ten corrupted copies."""
    return _boost(rows, *rows.copies(N_COPIES), rows.validation())


def _grow(make, rows, n_trees=100):
    """Fit trees whose leaves hold at least ten samples, one of each copy."""
    return make(n_trees, min_samples_leaf=_n_copies(rows), random_state=rows.seed)


def _n_copies(rows):
    return 5 if rows.task.wide else N_COPIES


def fit_forest(rows):
    """Fit a random forest on corrupted copies."""
    return _grow(RandomForestClassifier, rows).fit(*rows.copies(_n_copies(rows)))


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
        # stops after twenty epochs over ten copies on purpose
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make_pipeline(imputer, mlp).fit(X, y)


def fit_mlp(rows):
    """Fit a multilayer perceptron on ten corrupted copies, with indicators of missing values."""
    return _fit_mlp(rows, *rows.copies(N_COPIES), SimpleImputer(add_indicator=True))


def fit_modality_dropout(rows):
    """Fit the perceptron; in addition, in half of the samples a whole modality is set to zero."""
    X, y = rows.copies(N_COPIES)
    X = rows.corrupt(X, Missing(n_corrupted=1, fraction=0.5), (4,))
    return _fit_mlp(rows, X, y, SimpleImputer(strategy="constant", fill_value=0.0))


def _logistic_per_modality(rows):
    """Make logistic regressions, with a stronger penalty for wide data."""
    C = 0.03 if rows.task.wide else 1.0
    return fit_per_modality(
        rows, lambda rows: LogisticRegression(C=C, max_iter=500), _n_copies(rows)
    )


def _trees_per_modality(rows):
    return fit_per_modality(rows, partial(_grow, ExtraTreesClassifier), _n_copies(rows))


def _boosting_per_modality(rows):
    return fit_per_modality(rows, make_boosting, _n_copies(rows))


def fit_late_fusion(rows, per_modality, product):
    """Fit one classifier per modality, and fuse them."""
    return fuse(rows, per_modality(rows), product)


def fit_mask_then_boost(rows, make_distance):
    """Fit boosting behind a mask."""
    return Masked(rows, fit_boosting(rows), make_distance)


def fit_mask_then_fuse(rows):
    """Fit a product of logistic regressions behind a mask."""
    fusion = fit_late_fusion(rows, _logistic_per_modality, product=True)
    return Masked(rows, fusion, MahalanobisDistance)


def _late_fusions():
    kinds = {
        "logistic": _logistic_per_modality,
        "extra trees": _trees_per_modality,
        "boosting": _boosting_per_modality,
    }
    return {
        f"late fusion, {rule} of {kind}": partial(
            fit_late_fusion, per_modality=per_modality, product=rule == "product"
        )
        for kind, per_modality in kinds.items()
        for rule in ("mean", "product")
    }


MODELS = {
    EMMA: fit_emma,
    ATTENTIVE: partial(fit_emma, column_attention=True),
    COLUMNWISE: fit_columns_as_modalities,
    # the same network, trained in the same way, behind a gate that ignores the energies
    WITHOUT_EMMA: partial(fit_emma, coldness=0.0),
    BOOSTING: fit_boosting,
    WIDE_BOOSTING: fit_boosting,
    "mask-then-boost, kNN": partial(fit_mask_then_boost, make_distance=NeighborDistance),
    "mask-then-boost, Mahalanobis": partial(fit_mask_then_boost, make_distance=MahalanobisDistance),
    "mask + product of logistic": fit_mask_then_fuse,
    "random forest": fit_forest,
    "MLP (scikit-learn)": fit_mlp,
    "modality dropout": fit_modality_dropout,
    **_late_fusions(),
}
# model -> its own training corruption, if not that of the others; specialists have one per cell
OWN_TRAINING = {WIDE_BOOSTING: "wide", SPECIALIST: "wide"}


class _Filled:
    """A classifier that gets 0 for missing values."""

    def __init__(self, model):
        self.model = model

    def predict_proba(self, X):
        """Fill missing values, then predict."""
        return self.model.predict_proba(np.nan_to_num(X))


def _fit_specialist(rows, failure, n_copies):
    X, y = rows.copies(n_copies, failure)
    X_val, y_val = rows.validation(failure)
    # a modality that is missing in every sample becomes constant, and so is left out
    X, X_val = np.nan_to_num(X), np.nan_to_num(X_val)
    if rows.task.wide:
        # on hundreds of columns and ten classes better than boosting, and much faster
        return _Filled(ExtraTreesClassifier(100, random_state=rows.seed).fit(X, y))
    return _Filled(_boost(rows, X, y, (X_val, y_val)))


def score_specialists(rows):
    """Score, for each cell, a classifier trained and tuned on exactly that failure."""
    decisions = {}
    scores = {}
    for cell, X in rows.cells.items():
        # A sample does not tell whether its values come from a stuck sensor or another sample, and
        # clean samples are the same for every modality.
        level = "swapped" if cell.level == "stuck" else cell.level
        key = level if level == CLEAN else (cell.who, level)
        if key not in decisions:
            trained_for = next(c for c in rows.cells if (c.who, c.level) == (cell.who, level))
            failure = trained_for.failure(len(rows.modalities))
            n_copies = 1 if level == CLEAN else 2 if rows.task.wide else N_COPIES
            model = _fit_specialist(rows, failure, n_copies)
            decisions[key] = model, rows.decide(model, rows.validation(failure))
        model, decide = decisions[key]
        scores[cell] = rows.score(decide(model.predict_proba(X)))
    return scores
