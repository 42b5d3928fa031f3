"""Samples that fail in the ways that a model has to survive, and a runtime for ONNX models."""

import numpy as np
import pytest

from sklearn_emma.datasets import make_multimodal_classification


@pytest.fixture(scope="session")
def data():
    """Training samples of four modalities of different width, and their classes."""
    X, y = make_multimodal_classification(
        200, n_modalities=4, n_features=3, random_state=0, return_X_y=True
    )
    return X.to_numpy()[:, :11], y


@pytest.fixture(scope="session")
def modalities():
    return {"a": [0, 1, 2], "b": [5, 4, 3], "c": [6, 7], "d": [8, 9]}


@pytest.fixture(scope="session")
def samples(data):
    """Clean samples, noisy ones, gaps, missing modalities, nothing at all, extreme values."""
    X = data[0]
    random = np.random.RandomState(0)
    noisy = X + 5.0 * random.normal(size=X.shape)
    gappy = np.where(random.uniform(size=X.shape) < 0.3, np.nan, X)
    missing = X.copy()
    missing[:100, :3] = missing[100:, 6:8] = np.nan
    nothing = np.full((1, X.shape[1]), np.nan)
    return np.vstack([X, noisy, gappy, missing, nothing, 1e12 * X[:5]])


@pytest.fixture(scope="session")
def run():
    """Return a function that runs a model on samples, and gives its outputs by name."""
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime, of the extra onnx")

    def outputs(model, X):
        session = runtime.InferenceSession(model.SerializeToString())
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(None, {"X": X}), strict=True))

    return outputs
