"""Evaluate and select estimators by their scores while a modality fails.

Everything here works with any scikit-learn estimator, not only those of this package.
"""

from sklearn_emma.model_selection.abstaining import AbstainingClassifier
from sklearn_emma.model_selection.conformal import (
    PatternConformalClassifier,
    PatternConformalRegressor,
)
from sklearn_emma.model_selection.failure_analysis import (
    FailureModeAnalysis,
    failure_mode_analysis,
)
from sklearn_emma.model_selection.failure_scorer import make_failure_scorer
from sklearn_emma.model_selection.robustness import robustness_curve
from sklearn_emma.model_selection.stream import stream_curve

__all__ = [
    "AbstainingClassifier",
    "FailureModeAnalysis",
    "PatternConformalClassifier",
    "PatternConformalRegressor",
    "failure_mode_analysis",
    "make_failure_scorer",
    "robustness_curve",
    "stream_curve",
]
