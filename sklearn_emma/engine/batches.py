"""Shuffled batches for training, and blocks of samples for evaluation.

This module has the rules for the number of samples that are computed together, except those of
single networks.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

# Largest number of samples per epoch. In larger tables, an epoch has a random part of the samples,
# so that the time of a training does not increase further.
_MOST_PER_EPOCH = 2**16
# Approximate largest number of training samples, and smallest number of samples per class if not
# all samples are used. Training reads about as many samples, and memory does not increase further.
_MOST_SAMPLES, _LEAST_OF_CLASS = 2**20, 100
# Number of samples per block, by precision. Larger blocks are faster until the output of a layer no
# longer fits into the cache.
_BLOCK = {torch.float64: 1024, torch.float32: 4096}
# Factor for blocks in which only a few samples are searched, in many small steps.
_MORE_OF_A_SEARCH = 4
# Number of samples per block for energies of other libraries, whose calls may be expensive.
_BLOCK_OF_OTHERS = 2**15
# Largest size of arrays with one number per sample and pair of modalities, to fit into the cache
# and into memory, and smallest number of samples per block.
_PAIRS_IN_CACHE, _PAIRS_IN_MEMORY, _FEWEST = 2**18, 2**22, 32
# Largest number of modalities that are trained as one stack, and largest size of their epochs.
# Larger stacks are hardly faster, and large tables have large batches anyway.
_MOST_STACKED, _MOST_STACKED_NUMBERS = 16, 2**24
# Largest total size of the activations in a step of stacked settings, by device.
_STEP_NUMBERS = {"cpu": 2**24, "cuda": 2**27}


def shuffled(tensors: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
    """Shuffle the samples of several tensors in the same way.

    Parameters
    ----------
    tensors : sequence of Tensor of shape (n_samples, ...)
        Tensors with the same samples, such as features and targets.
    generator : torch.Generator
        Random number generator on the device of the tensors.

    Returns
    -------
    list of Tensor of shape (n_samples, ...)
        Shuffled copies.
    """
    order = torch.randperm(len(tensors[0]), generator=generator, device=tensors[0].device)
    return [tensor[order] for tensor in tensors]


def training_rows(
    n_samples: int, seed: int, classes: np.ndarray | None = None
) -> slice | np.ndarray:
    """Draw the training samples from a table.

    Parameters
    ----------
    n_samples : int
        Number of samples of the table.
    seed : int
        Seed of the draw.
    classes : ndarray of shape (n_samples,), default=None
        Class of each sample.

    Returns
    -------
    slice or ndarray of int of shape (n_drawn,)
        All samples, or the positions, in ascending order, of about a million of them, drawn at
        random. Each class has about the same fraction of the samples as before, but at least 100
        samples if there are as many.
    """
    if n_samples <= _MOST_SAMPLES:
        return slice(None)
    order = np.random.RandomState(seed).permutation(n_samples)
    groups = [order]
    if classes is not None:
        _, number, size = np.unique(classes, return_inverse=True, return_counts=True)
        groups = np.split(order[number[order].argsort(kind="stable")], size.cumsum()[:-1])
    share = _MOST_SAMPLES / n_samples
    drawn = [group[: max(_LEAST_OF_CLASS, round(share * len(group)))] for group in groups]
    return np.sort(np.concatenate(drawn))


def epoch_size(n_samples: int) -> int:
    """Return the number of samples per epoch.

    Parameters
    ----------
    n_samples : int
        Number of training samples.

    Returns
    -------
    int
        Number of training samples, but at most 65,536.
    """
    return min(n_samples, _MOST_PER_EPOCH)


def auto_batch_size(batch_size: int | str, n_samples: int) -> int:
    """Return the number of samples per training step.

    Parameters
    ----------
    batch_size : int or "auto"
        Batch size. "auto" is a sixth of the samples, limited to the range from 32 to 1024. Thus
        small tables have enough steps per epoch, and large tables not too many.
    n_samples : int
        Number of training samples.

    Returns
    -------
    int
        Batch size, at most the number of samples per epoch.
    """
    if batch_size == "auto":
        batch_size = max(32, min(1024, n_samples // 6))
    return min(int(batch_size), epoch_size(n_samples))


def slices(tensors: Sequence[Tensor], batch_size: int) -> Iterator[list[Tensor]]:
    """Slice samples into batches of nearly equal size.

    A small last batch would give a noisy step, and a batch of one sample is too small for batch
    normalization.

    Parameters
    ----------
    tensors : sequence of Tensor of shape (n_samples, ...)
        Tensors with the same samples.
    batch_size : int
        Largest number of samples per batch.

    Yields
    ------
    list of Tensor of shape (n_batch, ...)
        Views of the samples of a batch.
    """
    n_batches = math.ceil(len(tensors[0]) / batch_size)
    yield from map(list, zip(*(tensor.tensor_split(n_batches) for tensor in tensors), strict=True))


def precision_of(table: np.ndarray) -> torch.dtype:
    """Return the dtype in which samples are evaluated: single precision for tables in float32.

    Parameters
    ----------
    table : ndarray
        Table of samples.

    Returns
    -------
    torch.dtype
        Dtype of the evaluation.
    """
    return torch.float32 if table.dtype == np.float32 else torch.float64


def evaluation_block(
    precision: torch.dtype, n_modalities: int = 1, others: bool = False, search: bool = False
) -> int:
    """Return the number of samples that are evaluated together.

    Parameters
    ----------
    precision : torch.dtype
        Dtype of the evaluation.
    n_modalities : int, default=1
        Number of modalities, if there are arrays with one number per pair of modalities.
    others : bool, default=False
        Whether there are energies of other libraries.
    search : bool, default=False
        Whether a few samples of each block are searched, for instance for corrupted columns.

    Returns
    -------
    int
        Number of samples per block.
    """
    if others:
        return max(_FEWEST, min(_BLOCK_OF_OTHERS, _PAIRS_IN_MEMORY // n_modalities**2))
    size = max(_FEWEST, min(_BLOCK[precision], _PAIRS_IN_CACHE // n_modalities**2))
    return _MORE_OF_A_SEARCH * size if search else size


def pair_block(n_modalities: int) -> int:
    """Return the block size for arrays with one number per training sample and modality pair.

    Parameters
    ----------
    n_modalities : int
        Number of modalities.

    Returns
    -------
    int
        Number of samples per block.
    """
    return max(1, min(_BLOCK[torch.float32], _PAIRS_IN_MEMORY // n_modalities**2))


def energy_block() -> int:
    """Return the number of training samples whose energies are computed together.

    An energy has many more activations per sample than a sample has values.

    Returns
    -------
    int
        Number of samples per block.
    """
    return _BLOCK_OF_OTHERS


def stacked_modalities(n_samples: int, width: int) -> int:
    """Return the number of modalities that are trained as one stack.

    Parameters
    ----------
    n_samples, width : int
        Shape of the table of each modality.

    Returns
    -------
    int
        Number of modalities per stack, at least one.
    """
    numbers = epoch_size(n_samples) * width
    return max(1, min(_MOST_STACKED, _MOST_STACKED_NUMBERS // numbers))


def stacked_settings(device_type: str, numbers_of_step: int) -> int:
    """Return the number of hyperparameter settings that are trained together.

    Parameters
    ----------
    device_type : str
        Type of the device, "cpu" or "cuda".
    numbers_of_step : int
        Number of activations in a step of one setting.

    Returns
    -------
    int
        Number of settings per stack, at least one.
    """
    return max(1, _STEP_NUMBERS.get(device_type, _STEP_NUMBERS["cuda"]) // numbers_of_step)


def blocks(table: np.ndarray, n_samples: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Cut a table into blocks of consecutive samples.

    Parameters
    ----------
    table : ndarray of shape (n_samples, n_features)
        Table of samples.
    n_samples : int
        Largest number of samples per block.

    Yields
    ------
    where : slice
        Positions of the samples.
    block : ndarray of shape (n_block, n_features)
        View of the samples.
    """
    for start in range(0, len(table), n_samples):
        where = slice(start, start + n_samples)
        yield where, table[where]
