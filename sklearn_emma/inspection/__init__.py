"""Look at what a gate and its energies do: pictures, and reports on the health of modalities.

Pictures are Displays as in scikit-learn: a class method computes and draws, ``plot`` draws
again, and the artists stay at hand as attributes that end in an underscore. They need matplotlib
(the extra ``plot``), which is imported when something is drawn. Without `ax` they draw on a figure
of their own, which pyplot knows nothing of; a notebook shows it, and elsewhere
``display.figure_.savefig("file.png")`` does.
"""

from ._attention import AttentionDisplay
from ._coupling import CouplingDisplay
from ._energy import EnergyDisplay
from ._field import VectorFieldDisplay
from ._function import AttentionFunctionDisplay
from ._history import TrainingHistoryDisplay
from ._landscape import EnergyLandscapeDisplay
from ._report import ModalityReport, modality_report
from ._risk_coverage import RiskCoverageDisplay
from ._robustness import RobustnessCurveDisplay
from ._surface import AttentionSurfaceDisplay

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
