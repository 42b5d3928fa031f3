"""Look at what a gate and its energies do: pictures, and reports on the health of modalities.

Pictures are Displays as in scikit-learn: a class method computes and draws, ``plot`` draws
again, and the artists stay at hand as attributes that end in an underscore. They need matplotlib
(the extra ``plot``), which is imported when something is drawn. Without `ax` they draw on a figure
of their own, which pyplot knows nothing of; a notebook shows it, and elsewhere
``display.figure_.savefig("file.png")`` does.
"""

from sklearn_emma.inspection.attention import AttentionDisplay
from sklearn_emma.inspection.coupling import CouplingDisplay
from sklearn_emma.inspection.energy import EnergyDisplay
from sklearn_emma.inspection.field import VectorFieldDisplay
from sklearn_emma.inspection.function import AttentionFunctionDisplay
from sklearn_emma.inspection.history import TrainingHistoryDisplay
from sklearn_emma.inspection.landscape import EnergyLandscapeDisplay
from sklearn_emma.inspection.report import ModalityReport, modality_report
from sklearn_emma.inspection.risk_coverage import RiskCoverageDisplay
from sklearn_emma.inspection.robustness import RobustnessCurveDisplay
from sklearn_emma.inspection.surface import AttentionSurfaceDisplay

__all__ = [
    "AttentionDisplay",
    "AttentionFunctionDisplay",
    "AttentionSurfaceDisplay",
    "CouplingDisplay",
    "EnergyDisplay",
    "EnergyLandscapeDisplay",
    "ModalityReport",
    "RiskCoverageDisplay",
    "RobustnessCurveDisplay",
    "TrainingHistoryDisplay",
    "VectorFieldDisplay",
    "modality_report",
]
