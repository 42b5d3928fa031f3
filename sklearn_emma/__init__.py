"""Prediction from several sensors that remains accurate when one of them fails."""

from sklearn_emma.classifier import EMMAClassifier
from sklearn_emma.energy.scorer import DAEEnergyScorer
from sklearn_emma.energy.signal_scorer import SignalEnergyScorer
from sklearn_emma.energy.views import EnergyView
from sklearn_emma.gated import GatedClassifier, GatedRegressor
from sklearn_emma.modalities import Modality
from sklearn_emma.regressor import EMMARegressor
from sklearn_emma.search import EMMAClassifierCV
from sklearn_emma.thesis import make_thesis_classifier, make_thesis_scorer

__all__ = [
    "DAEEnergyScorer",
    "EMMAClassifier",
    "EMMAClassifierCV",
    "EMMARegressor",
    "EnergyView",
    "GatedClassifier",
    "GatedRegressor",
    "Modality",
    "SignalEnergyScorer",
    "make_thesis_classifier",
    "make_thesis_scorer",
]
