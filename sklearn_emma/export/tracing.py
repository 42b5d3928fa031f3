"""Convert torch modules to ONNX models.

This uses the exporter of torch that is based on tracing. Its models agree with torch to the last
digits, while the other exporter rounds constants to single precision. It works with all versions of
torch that this package supports, and needs no additional package. This module adds operators that
it does not support or translates incorrectly.
"""

import io
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit import TracerWarning
from torch.onnx import register_custom_op_symbolic, unregister_custom_op_symbolic

# The exporter of torch changes global settings.
_LOCK = threading.Lock()
#: Version of the ONNX operator set, which every runtime since 2022 supports.
OPSET = 17


def trace(module: nn.Module, example: Tensor) -> bytes:
    """Convert a module to an ONNX model.

    Parameters
    ----------
    module : torch.nn.Module
        Module that takes a table, and returns a dict of tensors with one row per sample.
    example : Tensor of shape (n_samples, n_features)
        Example of a table.

    Returns
    -------
    bytes
        ONNX model with the input "X". The names of the outputs are the keys of the dict.

    Raises
    ------
    ValueError
        If Python code outside this package and torch depends on values or sizes of tensors.
    """
    file: Any = io.BytesIO()
    flat = _Flat(module).eval()
    with (
        _LOCK,
        torch.inference_mode(False),
        torch.no_grad(),
        _tracer_warnings() as found,
        _operators(),
    ):
        names = list(module(example))
        torch.onnx.export(
            flat,
            (example,),
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=["X"],
            output_names=names,
            dynamic_axes={name: {0: "n_samples"} for name in ("X", *names)},
        )
    if found:
        raise ValueError(
            "Python code depends on values or sizes of tensors in "
            f"{found[0].filename}, line {found[0].lineno}, but an ONNX model repeats the "
            f"operations for one example ({str(found[0].message).partition('. ')[0]}). Use "
            "operations of torch instead, such as torch.where for if, x.shape[0] for len(x), and "
            "x.unbind() for loops. "
            "Skip checks of tensors if torch.jit.is_tracing()."
        )
    return file.getvalue()


@contextmanager
def _tracer_warnings() -> Iterator[list]:
    """Collect the warnings that custom code cannot be traced, and hide all other warnings."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("ignore")  # about the older exporter
        warnings.filterwarnings("always", category=TracerWarning)
        # these modules do not depend on the example
        warnings.filterwarnings("ignore", category=TracerWarning, module=r"(sklearn_emma|torch)\.")
        yield found


class _Flat(nn.Module):
    """Wrap a module that returns a dict, to return the values as a tuple."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, table: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.module(table).values())


@contextmanager
def _operators() -> Iterator[None]:
    """Use operators that can be translated, and the translations of this module, temporarily."""
    translations: dict[str, Callable] = {
        "aten::exp2": _exp2,
        "aten::lift_fresh": _same,
        "aten::mT": _transpose_matrices,
        "aten::movedim": _move_dimension,
        "aten::prod": _product,
        "aten::searchsorted": _search_sorted,
    }
    # the exporter does not know the fused operators of attention layers
    fused = torch.backends.mha.get_fastpath_enabled()
    for name, function in translations.items():
        register_custom_op_symbolic(name, function, OPSET)
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for name in translations:
            unregister_custom_op_symbolic(name, OPSET)


def _same(g: Any, x: Any) -> Any:
    return x


def _exp2(g: Any, x: Any) -> Any:
    return g.op("Pow", _number(g, 2.0, x), x)


def _transpose_matrices(g: Any, x: Any) -> Any:
    order = list(range(_rank(x)))
    order[-2:] = reversed(order[-2:])
    return g.op("Transpose", x, perm_i=order)


def _move_dimension(g: Any, x: Any, source: Any, destination: Any) -> Any:
    rank = _rank(x)
    pairs = zip(_constants(destination), _constants(source), strict=True)
    moved = sorted((to % rank, where % rank) for to, where in pairs)
    order = [dimension for dimension in range(rank) if dimension not in dict(moved).values()]
    for to, where in moved:
        order.insert(to, where)
    return g.op("Transpose", x, perm_i=order)


def _product(g: Any, x: Any, *how: Any) -> Any:
    """Compute a product by logarithms, as older runtimes have no product in double precision."""
    keepdims, axes = 0, []
    if len(how) == 3:  # dim, keepdim, dtype; else dtype only
        keepdims = _constant(how[1])
        axes = [g.op("Constant", value_t=torch.tensor([_constant(how[0])]))]

    def total(terms: Any) -> Any:
        return g.op("ReduceSum", terms, *axes, keepdims_i=keepdims)

    size = g.op("Exp", total(g.op("Log", g.op("Abs", x))))
    n_negative = total(g.op("CastLike", g.op("Less", x, _number(g, 0.0, x)), x))
    odd = g.op("Mod", n_negative, _number(g, 2.0, x), fmod_i=1)
    return g.op("Mul", size, g.op("Sub", _number(g, 1.0, x), g.op("Mul", _number(g, 2.0, x), odd)))


def _search_sorted(
    g: Any, ordered: Any, x: Any, out_int32: Any, right: Any, side: Any, sorter: Any
) -> Any:
    """Count, row by row, the elements of `ordered` that are lower than each element of `x`.

    With ``right=True``, elements that are equal are counted as well.
    """
    if not sorter.node().mustBeNone():
        raise ValueError("the argument sorter of torch.searchsorted is not supported")
    column, row = (g.op("Constant", value_t=torch.tensor([axis])) for axis in (-1, -2))
    if _rank(ordered) > 1:
        ordered = g.op("Unsqueeze", ordered, row)
    x = g.op("Unsqueeze", x, column)
    if _constant(right) or (not side.node().mustBeNone() and side.node().s("value") == "right"):
        counted = g.op("Not", g.op("Greater", ordered, x))
    else:
        counted = g.op("Less", ordered, x)
    types = torch.onnx.TensorProtoDataType
    count = g.op("Cast", counted, to_i=types.INT32 if _constant(out_int32) else types.INT64)
    return g.op("ReduceSum", count, column, keepdims_i=0)


def _rank(x: Any) -> int:
    rank: int = x.type().dim()
    return rank


def _constant(value: Any) -> int:
    (constant,) = _constants(value)
    return constant


def _constants(value: Any) -> list[int]:
    """Return the values of a constant, which is a number or a list of numbers."""
    node = value.node()
    if node.kindOf("value") == "t":
        return [int(number) for number in node.t("value").flatten()]
    return [node.i("value")]


def _number(g: Any, value: float, like: Any) -> Any:
    constant = g.op("Constant", value_t=torch.tensor(value, dtype=torch.float64))
    return g.op("CastLike", constant, like)
