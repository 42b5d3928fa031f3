"""Evidence over time: monitor the modalities of a stream, and predict with what is known of them.

The samples are in the order of time. See the user guide for the equations.
"""

from sklearn_emma.monitoring.health import ModalityHealth
from sklearn_emma.monitoring.monitor import ModalityMonitor

__all__ = ["ModalityHealth", "ModalityMonitor"]
