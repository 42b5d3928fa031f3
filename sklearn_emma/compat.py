"""Every private scikit-learn import, in one place, each with the reason for it."""

# Parameters validated at fit with scikit-learn's own messages.
from sklearn.base import _fit_context

# Column specifications must mean exactly what they mean to ColumnTransformer.
from sklearn.utils._indexing import _get_column_indices
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

# Rows of a split, and what belongs to them, cut as cross_validate cuts them.
from sklearn.utils.metaestimators import _safe_split

# Weights and feature names of the right length and type, with scikit-learn's messages.
from sklearn.utils.validation import (
    _check_feature_names_in,
    _check_method_params,
    _check_sample_weight,
    _num_samples,
)

__all__ = [
    "HasMethods",
    "Interval",
    "StrOptions",
    "_check_feature_names_in",
    "_check_method_params",
    "_check_sample_weight",
    "_fit_context",
    "_get_column_indices",
    "_num_samples",
    "_safe_split",
]
