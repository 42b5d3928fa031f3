"""Every private scikit-learn import, in one place, each with the reason for it."""

from inspect import signature
from typing import Any

from sklearn import get_config

# Parameters validated at fit with scikit-learn's own messages.
from sklearn.base import _fit_context

# Whether a scorer takes sample weights.
from sklearn.metrics._scorer import _BaseScorer, _PassthroughScorer

# Samples cut out of a table of any type.
from sklearn.utils import _safe_indexing

# Column specifications must mean exactly what they mean to ColumnTransformer.
from sklearn.utils._indexing import _get_column_indices
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

# Samples of a split, and what belongs to them, cut as cross_validate cuts them.
from sklearn.utils.metaestimators import _safe_split

# Weights, features and their names of the right number and type, with scikit-learn's messages.
from sklearn.utils.validation import (
    _check_feature_names_in,
    _check_method_params,
    _check_n_features,
    _check_sample_weight,
    _num_samples,
)

__all__ = [
    "HasMethods",
    "Interval",
    "StrOptions",
    "_check_feature_names_in",
    "_check_method_params",
    "_check_n_features",
    "_check_sample_weight",
    "_fit_context",
    "_get_column_indices",
    "_num_samples",
    "_safe_indexing",
    "_safe_split",
    "weighs_scores",
]


def weighs_scores(scorer: Any) -> bool:
    """Tell whether GridSearchCV passes sample weights on to a scorer.

    Parameters
    ----------
    scorer : callable
        What scores.

    Returns
    -------
    bool
        With metadata routing, whether the scorer requests them: ``score`` of a classifier does.
        Without, whether it takes them; before scikit-learn 1.7, never.
    """
    if get_config()["enable_metadata_routing"]:
        if isinstance(scorer, _PassthroughScorer):
            return True
        request = getattr(scorer, "_metadata_request", None)
        return request is not None and request.score.requests.get("sample_weight") is True
    accepts = getattr(scorer, "_accept_sample_weight", None)
    if accepts is not None:
        return bool(accepts())
    return hasattr(_BaseScorer, "_accept_sample_weight") and (
        "sample_weight" in signature(scorer).parameters
    )
