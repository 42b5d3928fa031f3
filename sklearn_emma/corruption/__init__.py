"""Corruptions: noise, missing values, swapped samples, stuck sensors, drift, gain and attacks."""

from sklearn_emma.corruption.adversarial import Adversarial, RandomSigns
from sklearn_emma.corruption.base import Corruption, Reference
from sklearn_emma.corruption.columns import SomeColumns
from sklearn_emma.corruption.episodes import Episodes
from sklearn_emma.corruption.failures import (
    Drift,
    Missing,
    Noise,
    NoiseSNR,
    Scaling,
    Stuck,
    Swapped,
)
from sklearn_emma.corruption.mixture import Mixture
from sklearn_emma.corruption.virtual_adversarial import VirtualAdversarial

__all__ = [
    "Adversarial",
    "Corruption",
    "Drift",
    "Episodes",
    "Missing",
    "Mixture",
    "Noise",
    "NoiseSNR",
    "RandomSigns",
    "Reference",
    "Scaling",
    "SomeColumns",
    "Stuck",
    "Swapped",
    "VirtualAdversarial",
]
