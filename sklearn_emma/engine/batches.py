"""Tensors in, batches out: shuffled ones for training, equal blocks for evaluation."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

# Rows of a table that are worked on at a time: all that lies between a table and its results needs
# memory for no more of them.
_CHUNK = 2**15
#: Rows evaluated together, by precision. Always this many: a matrix product rounds differently in
#: other shapes, and a row's result must not depend on the rows beside it. More are faster, until
#: what a layer returns no longer fits into the cache.
BLOCK = {torch.float64: 1024, torch.float32: 4096}


def shuffled(tensors: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
    """Shuffle the rows.

    Parameters
    ----------
    tensors : sequence of Tensor of shape (n_samples, ...)
        What a row consists of.
    generator : torch.Generator
        On the device of the tensors.

    Returns
    -------
    list of Tensor of shape (n_samples, ...)
        Copies in the same new order.
    """
    order = torch.randperm(len(tensors[0]), generator=generator, device=tensors[0].device)
    return [tensor[order] for tensor in tensors]


def auto_batch_size(batch_size: int | str, n_samples: int) -> int:
    """Return the rows per step.

    Parameters
    ----------
    batch_size : int or "auto"
        "auto" takes a fortieth of the rows but 32 to 256, and a hundredth of them but no more than
        4096 when that is more: small tables get enough steps, large ones not too many.
    n_samples : int
        Number of training rows.

    Returns
    -------
    int
        The batch size, not above the number of rows.
    """
    if batch_size == "auto":
        batch_size = max(32, min(256, n_samples // 40), min(4096, n_samples // 100))
    return min(int(batch_size), n_samples)


def slices(tensors: Sequence[Tensor], batch_size: int) -> Iterator[list[Tensor]]:
    """Slice rows into batches as equal as can be.

    A small rest would be a noisy step, and a rest of one row too few for batch normalisation.

    Parameters
    ----------
    tensors : sequence of Tensor of shape (n_samples, ...)
        What a batch consists of.
    batch_size : int
        Rows per batch at most.

    Yields
    ------
    list of Tensor of shape (n_rows, ...)
        Views.
    """
    n_batches = math.ceil(len(tensors[0]) / batch_size)
    yield from map(list, zip(*(tensor.tensor_split(n_batches) for tensor in tensors), strict=True))


@torch.inference_mode()
def blockwise(
    function: Callable[..., Tensor], *tensors: Tensor, n_rows: int = BLOCK[torch.float64]
) -> Tensor:
    """Evaluate a function of rows in blocks of equal shape.

    Parameters
    ----------
    function : callable
        Takes a block of each tensor and returns a tensor with one row per row.
    *tensors : Tensor of shape (n_samples, ...)
        Arguments.
    n_rows : int, default=1024
        Rows of a block.

    Returns
    -------
    Tensor of shape (n_samples, ...)
        Independent of how many rows were passed together; where a row stands in its block may round
        it differently on some processors.
    """
    n_samples = len(tensors[0])
    output: Tensor | None = None
    for start in range(0, n_samples, n_rows):
        block = [tensor[start : start + n_rows] for tensor in tensors]
        n_missing = n_rows - len(block[0])
        if n_missing:
            block = [
                torch.cat([rows, rows.new_zeros(n_missing, *rows.shape[1:])]) for rows in block
            ]
        result = function(*block)[: n_rows - n_missing]
        if output is None:
            output = result.new_empty(n_samples, *result.shape[1:])
        output[start : start + len(result)] = result
    if output is None:
        raise ValueError("Expected at least one row, got none.")
    return output


def precision_of(table: np.ndarray) -> torch.dtype:
    """Return the precision in which rows are evaluated: single for tables in single precision.

    Parameters
    ----------
    table : ndarray
        The rows.

    Returns
    -------
    torch.dtype
        The precision.
    """
    return torch.float32 if table.dtype == np.float32 else torch.float64


def chunkwise(function: Callable[[np.ndarray], np.ndarray], table: np.ndarray) -> np.ndarray:
    """Apply a function of rows to a table of any length.

    Parameters
    ----------
    function : callable
        Takes rows and returns an array with one row per row.
    table : ndarray of shape (n_samples, n_features)
        The table.

    Returns
    -------
    ndarray of shape (n_samples, ...)
        The results.
    """
    first = function(table[:_CHUNK])
    if len(table) <= _CHUNK:
        return first
    results = np.empty((len(table), *first.shape[1:]), first.dtype)
    results[:_CHUNK] = first
    for start in range(_CHUNK, len(table), _CHUNK):
        results[start : start + _CHUNK] = function(table[start : start + _CHUNK])
    return results
