"""Monitor the modalities of a data stream over time, and predict with the accumulated evidence.

The samples of a stream are in temporal order. See the user guide for the equations.
"""

from sklearn_emma.monitoring.health import ModalityHealth
from sklearn_emma.monitoring.monitor import ModalityMonitor

__all__ = ["ModalityHealth", "ModalityMonitor"]
