"""Any scikit-learn estimator behind EMMA's gate."""

from sklearn_emma.gated.classifier import GatedClassifier
from sklearn_emma.gated.regressor import GatedRegressor

__all__ = ["GatedClassifier", "GatedRegressor"]
