"""Plots of energies and of the gate, and reports on the state of the modalities.

Plots are displays as in scikit-learn: a class method computes and draws them, ``plot`` draws them
again, and the artists are attributes that end in an underscore. They need matplotlib (the extra
``plot``), which is imported when something is drawn. Without `ax`, they draw on a new figure of
:mod:`matplotlib.pyplot`.
"""

from sklearn_emma.inspection.attention import AttentionDisplay
from sklearn_emma.inspection.coupling import CouplingDisplay
from sklearn_emma.inspection.energy import EnergyDisplay
from sklearn_emma.inspection.history import TrainingHistoryDisplay
from sklearn_emma.inspection.monitor import MonitorDisplay
from sklearn_emma.inspection.report import ModalityReport, modality_report
from sklearn_emma.inspection.risk_coverage import RiskCoverageDisplay
from sklearn_emma.inspection.robustness import RobustnessCurveDisplay
from sklearn_emma.inspection.surface import AttentionSurfaceDisplay

__all__ = [
    "AttentionDisplay",
    "AttentionSurfaceDisplay",
    "CouplingDisplay",
    "EnergyDisplay",
    "ModalityReport",
    "MonitorDisplay",
    "RiskCoverageDisplay",
    "RobustnessCurveDisplay",
    "TrainingHistoryDisplay",
    "modality_report",
]
