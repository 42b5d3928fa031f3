"""Tensors in, batches out: shuffled batches for training, blocks for evaluation.

Every rule for how many samples are computed together is in this module.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

# Samples evaluated together, by precision: more are faster until the output of a layer no longer
# fits into the cache.
_BLOCK = {torch.float64: 1024, torch.float32: 4096}
# So many times as many where a few samples of each block take many small steps.
_MORE_OF_A_SEARCH = 4
# Samples evaluated together by estimators of others, which may take long per call.
_BLOCK_OF_OTHERS = 2**15
# Numbers of a block that has one for every pair of modalities: what fits into the cache, and what
# fits into memory; and the fewest samples for which a block is worth its calls.
_PAIRS_IN_CACHE, _PAIRS_IN_MEMORY, _FEWEST = 2**18, 2**22, 32
# Modalities that train as one stack at most, and the numbers in their tables at most: more are
# hardly faster, and larger tables need the memory more, and have large batches anyway.
_MOST_STACKED, _MOST_STACKED_NUMBERS = 16, 2**24
# Numbers that a step of stacked settings may keep, by device; much smaller chunks cost time.
_STEP_NUMBERS = {"cpu": 2**24, "cuda": 2**27}


def shuffled(tensors: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
    """Shuffle samples.

    Parameters
    ----------
    tensors : sequence of Tensor of shape (n_samples, ...)
        What a sample consists of.
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
    """Return the samples per step.

    Parameters
    ----------
    batch_size : int or "auto"
        "auto" takes a sixth of the samples but 32 to 1024, and a hundredth of them but no more
        than 4096 when that is more: small tables get enough steps, large ones not too many.
    n_samples : int
        Number of training samples.

    Returns
    -------
    int
        The batch size, not above the number of samples.
    """
    if batch_size == "auto":
        batch_size = max(32, min(1024, n_samples // 6), min(4096, n_samples // 100))
    return min(int(batch_size), n_samples)


def slices(tensors: Sequence[Tensor], batch_size: int) -> Iterator[list[Tensor]]:
    """Slice samples into batches of nearly equal size.

    A small remainder would be a noisy step, and a single sample too few for batch normalisation.

    Parameters
    ----------
    tensors : sequence of Tensor of shape (n_samples, ...)
        What a batch consists of.
    batch_size : int
        Samples per batch at most.

    Yields
    ------
    list of Tensor of shape (n_batch, ...)
        Views.
    """
    n_batches = math.ceil(len(tensors[0]) / batch_size)
    yield from map(list, zip(*(tensor.tensor_split(n_batches) for tensor in tensors), strict=True))


def precision_of(table: np.ndarray) -> torch.dtype:
    """Return the precision in which samples are evaluated: single for tables in float32.

    Parameters
    ----------
    table : ndarray
        The samples.

    Returns
    -------
    torch.dtype
        The precision.
    """
    return torch.float32 if table.dtype == np.float32 else torch.float64


def evaluation_block(
    precision: torch.dtype, n_modalities: int = 1, others: bool = False, search: bool = False
) -> int:
    """Return how many samples of a table to evaluate together.

    Parameters
    ----------
    precision : torch.dtype
        Of the evaluation.
    n_modalities : int, default=1
        Number of modalities, for what has a number for every pair of them.
    others : bool, default=False
        Whether energies of other libraries take part.
    search : bool, default=False
        Whether a few samples are searched, as for bad columns.

    Returns
    -------
    int
        At least one.
    """
    if others:
        return max(_FEWEST, min(_BLOCK_OF_OTHERS, _PAIRS_IN_MEMORY // n_modalities**2))
    size = max(_FEWEST, min(_BLOCK[precision], _PAIRS_IN_CACHE // n_modalities**2))
    return _MORE_OF_A_SEARCH * size if search else size


def pair_block(n_modalities: int) -> int:
    """Return how many training samples may have a number for every pair of modalities.

    Parameters
    ----------
    n_modalities : int
        Number of modalities.

    Returns
    -------
    int
        At least one.
    """
    return max(1, min(_BLOCK[torch.float32], _PAIRS_IN_MEMORY // n_modalities**2))


def energy_block() -> int:
    """Return how many training samples get their energies together.

    Returns
    -------
    int
        An energy keeps many more numbers of a sample than the sample has.
    """
    return _BLOCK_OF_OTHERS


def stacked_modalities(n_samples: int, width: int) -> int:
    """Return how many modalities train as one stack.

    Parameters
    ----------
    n_samples, width : int
        Shape of the table of each.

    Returns
    -------
    int
        At least one.
    """
    return max(1, min(_MOST_STACKED, _MOST_STACKED_NUMBERS // (n_samples * width)))


def stacked_settings(device_type: str, numbers_of_step: int) -> int:
    """Return how many settings take a step together.

    Parameters
    ----------
    device_type : str
        "cpu" or "cuda".
    numbers_of_step : int
        Numbers that a step of one setting keeps.

    Returns
    -------
    int
        At least one.
    """
    return max(1, _STEP_NUMBERS.get(device_type, _STEP_NUMBERS["cuda"]) // numbers_of_step)


def blocks(table: np.ndarray, n_samples: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Cut a table into blocks of consecutive samples.

    Parameters
    ----------
    table : ndarray of shape (n_samples, n_features)
        The table.
    n_samples : int
        Samples per block at most.

    Yields
    ------
    where : slice
        Positions of the samples.
    block : ndarray of shape (n_block, n_features)
        A view of them.
    """
    for start in range(0, len(table), n_samples):
        where = slice(start, start + n_samples)
        yield where, table[where]
