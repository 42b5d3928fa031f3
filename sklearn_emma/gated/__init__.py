"""Meta-estimators that combine any scikit-learn estimator with the gate of EMMA."""

from sklearn_emma.gated.classifier import GatedClassifier
from sklearn_emma.gated.regressor import GatedRegressor

__all__ = ["GatedClassifier", "GatedRegressor"]
