"""Run an exported model once, to see whether it answers as the torch module does."""

from typing import Any

import numpy as np
import torch
from torch import nn

# Largest difference, relative to each value, or to the largest one if that is more.
_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-2}


def check_in_runtime(model: bytes, module: nn.Module, samples: torch.Tensor) -> None:
    """Raise an error if onnxruntime cannot run a model, or computes something else than torch.

    Without onnxruntime, nothing is checked.

    Parameters
    ----------
    model : bytes
        ONNX model with the input "X".
    module : torch.nn.Module
        The module that was exported. It returns a dict of tensors.
    samples : Tensor of shape (n_samples, n_features)
        Samples that both are compared on.

    Raises
    ------
    ValueError
        If the runtime does not know an operator, or if a result differs.
    """
    try:
        import onnxruntime
    except ImportError:
        return
    quiet: Any = onnxruntime.SessionOptions()
    quiet.log_severity_level = 4  # the error is raised anyway
    try:
        session = onnxruntime.InferenceSession(model, quiet, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        found = dict(zip(names, session.run(names, {"X": samples.numpy()}), strict=True))
    except Exception as error:  # onnxruntime has many classes of errors, but no common one
        single = samples.dtype == torch.float32
        advice = "" if single else ' It supports more with to_onnx(..., dtype="float32").'
        reason = " ".join(str(error).split())
        raise ValueError(
            f"onnxruntime does not support an operation in it ({reason}).{advice}"
        ) from error
    with torch.inference_mode(False), torch.no_grad():
        expected = {name: value.numpy() for name, value in module(samples).items()}
    tolerance = _TOLERANCE[samples.dtype]
    for name, values in expected.items():
        finite = np.abs(values[np.isfinite(values)])
        least = tolerance * finite.max(initial=0.0)
        if not np.allclose(found[name], values, rtol=tolerance, atol=least, equal_nan=True):
            raise ValueError(
                f"onnxruntime computes other values of {name!r} than torch. Replace the operations "
                "in it that are unusual or random."
            )
