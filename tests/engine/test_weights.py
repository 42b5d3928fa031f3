"""Modules come back from plain arrays exactly as they were."""

import numpy as np
import torch

from sklearn_emma.engine.weights import load_arrays, to_arrays
from sklearn_emma.nn import DAEEnergy, EnergyAttention


def test_round_trip_with_parameters_and_buffers():
    for make in (lambda: DAEEnergy(3, (4, 2)), lambda: EnergyAttention(3)):
        source, target = make(), make()
        arrays = to_arrays(source)
        assert all(type(array) is np.ndarray for array in arrays.values())
        load_arrays(target, arrays)
        torch.testing.assert_close(target.state_dict(), source.state_dict(), rtol=0, atol=0)


def test_arrays_and_modules_share_no_memory():
    source, target = EnergyAttention(2), EnergyAttention(2)
    arrays = to_arrays(source)
    load_arrays(target, arrays)
    arrays["self_weight"][:] = 7.0
    assert (source.self_weight == 1.0).all()
    assert (target.self_weight == 1.0).all()
