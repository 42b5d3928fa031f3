"""Predictions from several sensors that stay right when one of them fails."""

from ._classifier import EMMAClassifier
from ._classifier_cv import EMMAClassifierCV
from ._regressor import EMMARegressor
from ._scorer import DAEEnergyScorer
from ._training.views import EnergyView

__all__ = ["DAEEnergyScorer", "EMMAClassifier", "EMMAClassifierCV", "EMMARegressor", "EnergyView"]
