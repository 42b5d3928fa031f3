"""Print what every estimator predicts, so that two versions of the library can be compared.

Refactoring must not change energies, attention or probabilities, except by rounding. Save the
results of one version, then compare those of the other with them::

    python benchmarks/same_results.py --save before.npz
    python benchmarks/same_results.py --compare before.npz
"""

import argparse
import sys
import warnings

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.mixture import GaussianMixture

from sklearn_emma import (
    DAEEnergyScorer,
    EMMAClassifier,
    EMMAClassifierCV,
    EMMARegressor,
    EnergyView,
)
from sklearn_emma.corruption import Noise
from sklearn_emma.datasets import load_breast_cancer_modalities, make_multimodal_classification

READ_OUTS = (
    "energies",
    "importance",
    "attention",
    "modal_energy",
    "total_energy",
    "energy_threshold",
    "transform",
)
SCORER_READ_OUTS = (
    "transform",
    "score_samples",
    "p_values",
    "reconstruct",
    "reconstruction_error",
    "energy_gradient",
    "nearest_typical",
    "attribution",
)


def with_gaps(X):
    """Return a copy in which some values, and some whole modalities, are missing."""
    X = X.copy()
    X.iloc[::7, 0] = np.nan
    X.iloc[::11, : X.shape[1] // 3] = np.nan
    return X


def cases():
    """Yield names, fitted estimators, the input tables, and the methods to call."""
    X, y = load_breast_cancer_modalities(return_X_y=True)
    train, test = X[:300], X[300:360]
    single = test.astype(np.float32)
    tables = {"clean": test, "single": single, "gaps": with_gaps(test), "wild": test * 50.0}
    complete = {name: tables[name] for name in ("clean", "single", "wild")}
    short = {"max_epochs": 12, "random_state": 0}
    scorers = {
        "scorer": DAEEnergyScorer("prefix", **short),
        "scorer, thesis": DAEEnergyScorer(
            "prefix", views=EnergyView(0.1), hidden_layer_sizes=(12,), activation="sigmoid", **short
        ),
        "scorer, early stopping": DAEEnergyScorer("prefix", early_stopping=True, **short),
    }
    for name, scorer in scorers.items():
        yield name, scorer.fit(train), complete, SCORER_READ_OUTS
    stream = DAEEnergyScorer("prefix", **short).partial_fit(train[:100]).partial_fit(train[100:])
    yield "scorer, stream", stream, complete, SCORER_READ_OUTS
    classifiers = {
        "classifier": EMMAClassifier("prefix", **short),
        "classifier, early stopping": EMMAClassifier(
            "prefix", early_stopping=True, class_weight="balanced", **short
        ),
        "classifier, other energy": EMMAClassifier(
            "prefix", energy={"mean": GaussianMixture(2)}, cross_modal=False, **short
        ),
        "classifier, one modality": EMMAClassifier(corruption=Noise((0, 2.0)), **short),
    }
    for name, classifier in classifiers.items():
        classifier.fit(with_gaps(train), y[:300])
        yield name, classifier, tables, (*READ_OUTS, "predict_proba")
    weights = np.random.RandomState(0).uniform(size=300)
    warm = EMMAClassifier("prefix", warm_start=True, **short).fit(train, y[:300], weights)
    yield "classifier, warm", warm.fit(train, y[:300]), tables, (*READ_OUTS, "predict_proba")
    grid = {"coldness": [0.1, 1.0], "lambda_energy": [0.0, 0.1]}
    search = EMMAClassifierCV("prefix", param_grid=grid, cv=2, **short).fit(train, y[:300])
    yield "search", search, tables, (*READ_OUTS, "predict_proba")
    X, y = make_multimodal_classification(
        400, n_modalities=5, n_classes=3, random_state=0, return_X_y=True
    )
    five = EMMAClassifier("prefix", **short).fit(X[:300], y[:300])
    yield "classifier, five", five, {"clean": X[300:]}, (*READ_OUTS, "predict_proba")
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    halves = {"a": [0, 1, 2, 3], "b": [4, 5, 6, 7, 8, 9]}
    tables = {"clean": X[300:], "gaps": with_gaps(X[300:])}
    for loss in ("squared_error", "quantile"):
        regressor = EMMARegressor(halves, loss=loss, **short).fit(X[:300], y[:300])
        yield f"regressor, {loss}", regressor, tables, (*READ_OUTS, "predict")


def results():
    """Return every result by name."""
    found = {}
    for name, estimator, tables, methods in cases():
        for table_name, table in tables.items():
            for method in methods:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    found[f"{name}/{table_name}/{method}"] = getattr(estimator, method)(table)
        for key in ("mean_test_score", "std_test_score", "rank_test_score"):
            if hasattr(estimator, "cv_results_"):
                found[f"{name}/{key}"] = estimator.cv_results_[key]
    return found


def difference(a, b):
    """Return the largest difference, relative for numbers larger than one."""
    if a.shape != b.shape or (np.isfinite(a) != np.isfinite(b)).any():
        return np.inf
    finite = np.isfinite(a)
    if not finite.any():
        return 0.0
    a, b = a[finite].astype(float), b[finite].astype(float)
    return float((np.abs(a - b) / np.maximum(1.0, np.abs(a))).max())


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--save", metavar="FILE")
    parser.add_argument("--compare", metavar="FILE")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    args = parser.parse_args()
    found = results()
    if args.save:
        np.savez_compressed(args.save, **found)
        print(f"saved {len(found)} results")
    if args.compare:
        before = np.load(args.compare)
        differences = {name: difference(before[name], value) for name, value in found.items()}
        by_case = {}
        for name, value in differences.items():
            case, _, method = name.partition("/")[0], None, name.rpartition("/")[2]
            by_case.setdefault((case, method), []).append(value)
        for (case, method), values in by_case.items():
            print(f"{case:28s} {method:22s} largest difference {max(values):.1e}")
        worst = max(differences.values())
        print(f"{len(found)} results, largest difference {worst:.1e}")
        sys.exit(worst > args.tolerance)


if __name__ == "__main__":
    main()
