"""Export fitted estimators as ONNX models, which run without Python, torch and this package."""

from sklearn_emma.export.onnx_model import to_onnx

__all__ = ["to_onnx"]
