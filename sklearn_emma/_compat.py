"""Every private scikit-learn import, in one place, each with the reason for it."""

# Column specifications must mean exactly what they mean to ColumnTransformer.
from sklearn.utils._indexing import _get_column_indices

__all__ = [
    "_get_column_indices",
]
