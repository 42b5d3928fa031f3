"""Translations of torch's operations."""

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_emma.export.tracing import OPSET, trace

onnx = pytest.importorskip("onnx", reason="needs onnx, of the extra onnx")


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return {"y": self.function(x)}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x / 9).exp2(),
        lambda x: torch.stack([x, 2 * x, x]).mT,
        lambda x: torch.stack([x, 2 * x, x]).movedim(0, -1),
        lambda x: torch.stack([x, 2 * x, x]).movedim(-1, 0),
        lambda x: torch.stack([x, 2 * x, x]).movedim((0, 2), (-1, 0)),
        lambda x: torch.stack([x, 2 * x, x]).movedim((2, 0), (1, 2)),
        lambda x: torch.searchsorted(x.sort().values, x.round().contiguous()),
        lambda x: torch.searchsorted(x.sort().values, x.contiguous(), right=True),
        lambda x: torch.searchsorted(x.sort().values, x.contiguous(), side="right"),
        lambda x: torch.searchsorted(torch.arange(-3.0, 3.0, dtype=x.dtype), x, out_int32=True),
        lambda x: x.prod(-1),
        lambda x: x.prod(1, keepdim=True),
        lambda x: x[:, 0] * x.prod(),
        lambda x: x[:, np.array([[0, 1], [2, 0]])],
    ],
)
def test_translations_compute_the_same(run, function, dtype):
    x = torch.tensor([[1.5, -2.0, 0.5], [0.0, 3.0, -1.0], [-1.0, -1.0, -3.0]], dtype=dtype)
    model = onnx.load_from_string(trace(Function(function), x[:2]))
    found = run(model, x.numpy())["y"]
    expected = function(x).numpy()
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)


def test_constants_keep_double_precision(run):
    model = onnx.load_from_string(
        trace(Function(lambda x: x * 0.1 + 0.7), torch.zeros(1, 2).double())
    )
    x = np.array([[3.0, 0.0]])
    np.testing.assert_allclose(run(model, x)["y"], x * 0.1 + 0.7, rtol=1e-15)


def test_the_translations_are_gone_afterwards():
    from torch.onnx import unregister_custom_op_symbolic

    trace(Function(torch.exp2), torch.zeros(1, 1))
    with pytest.warns(UserWarning, match="No custom function"):
        unregister_custom_op_symbolic("aten::exp2", OPSET)


def test_python_code_that_depends_on_tensors_is_refused():
    x = torch.zeros(2, 1)
    for function in (lambda x: x if x.sum() > 0 else -x, lambda x: x + torch.zeros(len(x), 1)):
        with pytest.raises(ValueError, match=r"^Python code depends on .*test_tracing.py, line \d"):
            trace(Function(function), x)
    trace(Function(lambda x: x + torch.zeros(x.shape[0], 1)), x)
    trace(Function(lambda x: -x if torch.jit.is_tracing() or len(x) > 9 else x), x)
