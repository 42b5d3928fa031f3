"""Classification from several sensors that stays right when one of them fails."""

from ._classifier import EMMAClassifier
from ._scorer import DAEEnergyScorer
from ._training.views import EnergyView

__all__ = ["DAEEnergyScorer", "EMMAClassifier", "EnergyView"]
