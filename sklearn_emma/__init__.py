"""Predictions from several sensors that stay right when one of them fails."""

from ._classifier import EMMAClassifier
from ._regressor import EMMARegressor
from ._scorer import DAEEnergyScorer
from ._training.views import EnergyView

__all__ = ["DAEEnergyScorer", "EMMAClassifier", "EMMARegressor", "EnergyView"]
