"""What the tests of model selection share: samples of which one modality tells the class."""

import numpy as np
import pytest


@pytest.fixture
def samples():
    """The modality "a" tells the class, "b" says nothing; column 4 is in no modality."""
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=300)
    X = rng.normal(size=(300, 5)) * [1, 2, 3, 4, 5] + 10
    X[:, :2] += 5 * y[:, None]
    return X, y
