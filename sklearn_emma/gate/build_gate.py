"""Build the gate given by `attention_score`: by energies, or by scores of embeddings."""

import copy
import math
import warnings
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sklearn_emma.engine.seeding import make_generator
from sklearn_emma.gate.build_predictor import is_built_in, seeded_layers
from sklearn_emma.nn import (
    AdditiveScore,
    AttentionScore,
    BilinearScore,
    DotScore,
    EnergyAttention,
    GatedInputs,
    GatedPredictor,
    HardAttention,
    KeyValueScore,
    MultiHeadScore,
    ScaledDotScore,
    SoftmaxAttention,
)
from sklearn_emma.user_warnings import stacklevel_of_user

#: Name of the gate that uses energies alone.
ENERGY = "energy"
#: Scores by name. With the suffix "+energy", the gate combines the score with energies.
SCORES: dict[str, type[AttentionScore]] = {
    "additive": AdditiveScore,
    "bilinear": BilinearScore,
    "dot": DotScore,
    "key_value": KeyValueScore,
    "multi_head": MultiHeadScore,
    "scaled_dot": ScaledDotScore,
}
_PLUS = f"+{ENERGY}"
#: All names of `attention_score`.
ATTENTION_SCORES = (ENERGY, *SCORES, *(f"{name}{_PLUS}" for name in SCORES))


def is_energy(attention_score: Any) -> bool:
    """Return whether a gate uses energies alone.

    Parameters
    ----------
    attention_score : str, torch.nn.Module instance, class or callable
        Parameter of the estimator.

    Returns
    -------
    bool
        False if the gate scores embeddings.
    """
    return isinstance(attention_score, str) and attention_score == ENERGY


def build_gate(
    attention_score: Any,
    n_units: int,
    coldness: float,
    n_modalities: int,
    gain: float | None = None,
    generator: torch.Generator | None = None,
    min_slope: float = -math.inf,
) -> EnergyAttention:
    """Build a gate.

    Parameters
    ----------
    attention_score : str, torch.nn.Module instance, class or callable
        One of :data:`ATTENTION_SCORES`, or a custom score or its constructor.
    n_units : int
        Size of an embedding. Ignored by a gate that uses energies alone.
    coldness : float
        Inverse temperature of the energies.
    n_modalities : int
        Number of modalities.
    gain : float, default=None
        Initial gain.
    generator : torch.Generator, default=None
        Source of initial weights, on the CPU. None uses a generator with a fixed seed.
    min_slope : float, default=-inf
        Lower bound of the slope of a modal energy during training.

    Returns
    -------
    EnergyAttention
        Gate on the CPU, in float32.
    """
    generator = make_generator(0) if generator is None else generator
    params: dict[str, Any] = {
        "coldness": coldness,
        "gain": gain,
        "generator": generator,
        "min_slope": min_slope,
    }
    if is_energy(attention_score):
        return EnergyAttention(n_modalities, **params)
    if isinstance(attention_score, str):
        name = attention_score.removesuffix(_PLUS)
        score: nn.Module = SCORES[name](
            n_modalities, n_units, attention_score.endswith(_PLUS), generator=generator
        )
    else:
        score = _own_score(attention_score, n_modalities, n_units, generator)
    return SoftmaxAttention(n_modalities, score, **params)


def _own_score(
    attention_score: Any, n_modalities: int, n_units: int, generator: torch.Generator
) -> nn.Module:
    """Build a custom score, and validate its output."""
    cpu, seed = torch.device("cpu"), int(torch.randint(2**31, (), generator=generator))
    with seeded_layers(attention_score, seed, cpu):
        if isinstance(attention_score, nn.Module):
            score = copy.deepcopy(attention_score)
        else:
            score = _call_score(attention_score, n_modalities, n_units)
        if not isinstance(score, nn.Module):
            raise TypeError(
                "attention_score must be a torch.nn.Module, or a callable that takes the number of "
                "modalities and the size of an embedding and returns one; it returned "
                f"{type(score).__name__}."
            )
        score = score.float().cpu()
        keys = torch.zeros(n_modalities, 3, n_units, dtype=torch.float32)
        present = torch.ones(2, 3, n_modalities, dtype=torch.bool)
        try:
            with torch.no_grad():
                found: Any = score(keys, present)
                copy.deepcopy(score).double()(keys.double(), present)  # samples of float64
        except Exception as error:
            raise ValueError(
                f"attention_score failed on embeddings of shape {tuple(keys.shape)} (n_modalities, "
                f"n_samples, n_units) and a mask of shape {tuple(present.shape)}, in single or in "
                f"double precision: {error}. Create tensors in the dtype of the embeddings, and "
                "register constants as buffers."
            ) from error
    if tuple(getattr(found, "shape", ())) != tuple(present.shape):
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(
            f"attention_score must return scores of the shape of the mask, {tuple(present.shape)} "
            f"(..., n_samples, n_modalities), but returned {shape}."
        )
    return score


def _call_score(attention_score: Any, n_modalities: int, n_units: int) -> Any:
    """Call what builds a custom score."""
    try:
        return attention_score(n_modalities, n_units)
    except TypeError as error:
        raise TypeError(
            f"attention_score({n_modalities}, {n_units}), called with the number of modalities and "
            f"the size of an embedding, failed: {error}"
        ) from error


def hard_attention(max_modalities: int | None, costs: np.ndarray) -> HardAttention | None:
    """Build the module that limits the number of open gates of a sample.

    Parameters
    ----------
    max_modalities : int or None
        Largest number of open gates.
    costs : ndarray of shape (n_modalities,)
        Cost of each modality, in nats.

    Returns
    -------
    HardAttention or None
        Module, or None if there is no limit.
    """
    if max_modalities is None:
        return None
    return HardAttention(max_modalities, torch.tensor(costs, dtype=torch.float32))


def modality_costs(
    costs: Mapping[str, Any] | None, names: Sequence[str], max_modalities: int | None
) -> np.ndarray:
    """Return the cost of each modality.

    Parameters
    ----------
    costs : mapping of str to float or None
        Parameter of the estimator.
    names : sequence of str
        Names of the modalities.
    max_modalities : int or None
        Largest number of open gates of a sample.

    Returns
    -------
    ndarray of shape (n_modalities,)
        Costs, zero for modalities that are not named.

    Raises
    ------
    ValueError
        If a name is not that of a modality, if a cost is negative or not finite, or if there are
        costs although `max_modalities` is None.

    Warns
    -----
    UserWarning
        If `max_modalities` is larger than the number of modalities.
    """
    given = {} if costs is None else dict(costs)
    unknown = sorted(set(given) - set(names), key=str)
    if unknown:
        raise ValueError(
            f"modality_costs names {unknown}, but the modalities are {list(names)}. Pass costs of "
            "zero or more for these. Modalities without a cost may be omitted."
        )
    wrong = {
        k: v for k, v in given.items() if not isinstance(v, Real) or not 0 <= float(v) < math.inf
    }
    if wrong:
        raise ValueError(f"modality_costs must be finite numbers of zero or more, got {wrong}.")
    found = np.array([float(given.get(name, 0.0)) for name in names])
    if max_modalities is None and found.any():
        raise ValueError(
            "modality_costs has no effect without max_modalities, which is None. Set "
            "max_modalities to the largest number of modalities to use for a sample."
        )
    if max_modalities is not None and max_modalities > len(names):
        warnings.warn(
            f"max_modalities={max_modalities} is more than the number of modalities, "
            f"{len(names)}, so it has no effect. Set it to a smaller number, or to None.",
            UserWarning,
            stacklevel=stacklevel_of_user(),
        )
    return found


def check_gate(
    attention_score: Any, module: Any, coldness_schedule: str, max_modalities: int | None
) -> None:
    """Raise ValueError if a gate is not compatible with the other parameters of an estimator.

    Parameters
    ----------
    attention_score : str, torch.nn.Module instance, class or callable
        Parameter of the estimator.
    module : torch.nn.Module instance, class, callable, str or None
        Parameter of the estimator: the predictor.
    coldness_schedule : str
        Schedule of the coldness.
    max_modalities : int or None
        Largest number of open gates of a sample.
    """
    what = f"attention_score={attention_score!r}"
    if not is_energy(attention_score) and not is_built_in(module):
        raise ValueError(
            f"{what} needs the embeddings of a network of this library, which a custom module does "
            'not have. Use attention_score="energy", or module=None.'
        )
    if max_modalities is not None:
        what = f"max_modalities={max_modalities}"
    elif is_energy(attention_score):
        return
    if coldness_schedule != "constant":
        raise ValueError(
            f"coldness_schedule={coldness_schedule!r} requires that all gates are equal at a "
            f"coldness of zero, which is not the case with {what}. Use "
            'coldness_schedule="constant", or omit the other parameter.'
        )


@torch.no_grad()
def count_units(predictor: GatedPredictor, modalities: Sequence[Tensor]) -> int:
    """Return the size of the embeddings of a predictor.

    Parameters
    ----------
    predictor : GatedPredictor
        The predictor.
    modalities : sequence of Tensor of shape (n_samples, n_features)
        At least one sample.

    Returns
    -------
    int
        Size of the last dimension of encoded modalities, or 0 if there are no embeddings.
    """
    encoded: Any = None
    if not isinstance(predictor, GatedInputs):
        encoded = predictor.embeddings(predictor.encode([x[:1] for x in modalities]))
    return int(encoded.shape[-1]) if isinstance(encoded, Tensor) else 0
