"""Data sets with modalities: simulated, included in scikit-learn, and downloaded."""

from sklearn_emma.datasets.fetch import fetch_htru2, fetch_mfeat
from sklearn_emma.datasets.real import load_breast_cancer_modalities
from sklearn_emma.datasets.simulated import (
    make_circle,
    make_multimodal_classification,
    make_spiral,
    make_wave,
)

__all__ = [
    "fetch_htru2",
    "fetch_mfeat",
    "load_breast_cancer_modalities",
    "make_circle",
    "make_multimodal_classification",
    "make_spiral",
    "make_wave",
]
