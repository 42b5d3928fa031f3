"""LogProbabilities: logarithms of the probabilities of a classifier."""

from abc import abstractmethod
from typing import Any

import numpy as np
from sklearn.utils.metaestimators import available_if

from sklearn_emma.lazy import is_lazy, map_chunks


class LogProbabilities:
    """Mixin for classifiers whose probabilities may depend on additional evidence."""

    @abstractmethod
    def predict_proba(self, X: Any, evidence: Any = None) -> np.ndarray:
        """Return class probabilities of shape (n_samples, n_classes)."""

    @available_if(lambda self: hasattr(self, "predict_proba"))
    def predict_log_proba(self, X: Any, evidence: Any = None) -> np.ndarray:
        """Predict the logarithm of the class probabilities.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.
        evidence : array-like of shape (n_samples, n_modalities), default=None
            Additional evidence against each modality, in nats; see :meth:`readings`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Natural logarithms of the results of :meth:`predict_proba`. They are minus infinity
            where a probability is zero.
        """
        if is_lazy(X):
            return map_chunks(self.predict_log_proba, X, evidence)
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X, evidence))
