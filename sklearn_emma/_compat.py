"""Every private scikit-learn import, in one place, each with the reason for it."""

# Parameters validated at fit with scikit-learn's own messages.
from sklearn.base import _fit_context

# Column specifications must mean exactly what they mean to ColumnTransformer.
from sklearn.utils._indexing import _get_column_indices
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

# Weights and feature names of the right length and type, with scikit-learn's messages.
from sklearn.utils.validation import _check_feature_names_in, _check_sample_weight

__all__ = [
    "HasMethods",
    "Interval",
    "StrOptions",
    "_check_feature_names_in",
    "_check_sample_weight",
    "_fit_context",
    "_get_column_indices",
]
