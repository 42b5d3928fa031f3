"""Where a fit runs: what is there, or an error that names what to pass."""

import pytest
import torch

from sklearn_emma.engine.device import resolve_device


def test_auto_takes_cuda_when_present():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert resolve_device("auto") == torch.device(expected)


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_a_device_that_is_there(device):
    assert resolve_device(device) == torch.device("cpu")


@pytest.mark.parametrize("device", ["nonsense", "cuda:99", torch.device("cuda:99")], ids=str)
def test_a_device_that_is_not_there(device):
    with pytest.raises(ValueError, match="is not available here. Pass device='auto'"):
        resolve_device(device)
