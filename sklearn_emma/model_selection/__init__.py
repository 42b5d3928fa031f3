"""Evaluation and selection of estimators under failures of modalities.

:func:`robustness_curve`, :func:`make_failure_scorer` and :func:`failure_mode_analysis` work with
any scikit-learn estimator, if it accepts NaN wherever values are missing or a modality is absent.
:class:`AbstainingClassifier` works with any classifier. Conformal prediction needs an estimator
with a gate, and :func:`stream_curve` a monitor.
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
