"""The gate that `attention_score` names: that of the energies, or one that scores embeddings."""

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
from sklearn_emma.validation import stacklevel_of_user

#: The gate of the energies alone.
ENERGY = "energy"
#: Scores by name; with "+energy" behind it, the gate adds its energies.
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
    """Tell whether a gate goes by energies alone.

    Parameters
    ----------
    attention_score : str, torch.nn.Module instance, class or callable
        What the user passed.

    Returns
    -------
    bool
        False where it scores embeddings.
    """
    return isinstance(attention_score, str) and attention_score == ENERGY


def build_gate(
    attention_score: Any,
    n_units: int,
    coldness: float,
    n_modalities: int,
    gain: float | None = None,
    generator: torch.Generator | None = None,
) -> EnergyAttention:
    """Make a gate.

    Parameters
    ----------
    attention_score : str, torch.nn.Module instance, class or callable
        One of :data:`ATTENTION_SCORES`, or what makes a score of the user's own.
    n_units : int
        Numbers of an embedding; any number for a gate of energies alone.
    coldness : float
        Inverse temperature of the energies.
    n_modalities : int
        Number of modalities.
    gain : float, default=None
        Gain at the start.
    generator : torch.Generator, default=None
        Source of initial weights, on the CPU. None takes one of a fixed seed.

    Returns
    -------
    EnergyAttention
        On the CPU, in float32.
    """
    generator = make_generator(0) if generator is None else generator
    params: dict[str, Any] = {"coldness": coldness, "gain": gain, "generator": generator}
    if is_energy(attention_score):
        return EnergyAttention(n_modalities, **params)
    if isinstance(attention_score, str):
        name = attention_score.removesuffix(_PLUS)
        score: nn.Module = SCORES[name](
            n_modalities, n_units, attention_score.endswith(_PLUS), generator=generator
        )
    else:
        score = _own_score(attention_score, n_modalities, n_units)
    return SoftmaxAttention(n_modalities, score, **params)


def _own_score(attention_score: Any, n_modalities: int, n_units: int) -> nn.Module:
    """Make a score of the user's own, and check what it returns."""
    cpu = torch.device("cpu")
    with seeded_layers(attention_score, 0, cpu):
        if isinstance(attention_score, nn.Module):
            score = copy.deepcopy(attention_score)
        else:
            score = attention_score(n_modalities, n_units)
        if not isinstance(score, nn.Module):
            raise TypeError(
                "attention_score must be a torch.nn.Module, or a callable that takes the numbers "
                "of modalities and of units of an embedding and returns one; it returned "
                f"{type(score).__name__}."
            )
        score = score.float().cpu()
        keys = torch.zeros(n_modalities, 3, n_units)
        present = torch.ones(2, 3, n_modalities, dtype=torch.bool)
        try:
            with torch.no_grad():
                found: Any = score(keys, present)
        except Exception as error:
            raise ValueError(
                f"attention_score failed on embeddings of shape {tuple(keys.shape)} (n_modalities, "
                f"n_samples, n_units) and a mask of shape {tuple(present.shape)}: {error}"
            ) from error
    if tuple(getattr(found, "shape", ())) != tuple(present.shape):
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(
            f"attention_score must return scores of the shape of the mask, {tuple(present.shape)} "
            f"(..., n_samples, n_modalities), but returned {shape}."
        )
    return score


def hard_attention(max_modalities: int | None, costs: np.ndarray) -> HardAttention | None:
    """Make what lets only some modalities of a sample pass a gate.

    Parameters
    ----------
    max_modalities : int or None
        How many.
    costs : ndarray of shape (n_modalities,)
        Cost of each, in nats.

    Returns
    -------
    HardAttention or None
        None where all may pass.
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
        What the user passed.
    names : sequence of str
        Names of the modalities.
    max_modalities : int or None
        How many modalities of a sample pass.

    Returns
    -------
    ndarray of shape (n_modalities,)
        Zero for those that are not named.

    Raises
    ------
    ValueError
        If there is no modality of a name, a cost is negative or not finite, or all modalities pass
        whatever they cost.

    Warns
    -----
    UserWarning
        If more modalities may pass than there are.
    """
    given = {} if costs is None else dict(costs)
    unknown = sorted(set(given) - set(names), key=str)
    if unknown:
        raise ValueError(
            f"modality_costs names {unknown}, but the modalities are {list(names)}. Give a cost of "
            "zero or more for each of these, or leave it out."
        )
    wrong = {
        k: v for k, v in given.items() if not isinstance(v, Real) or not 0 <= float(v) < math.inf
    }
    if wrong:
        raise ValueError(f"modality_costs must be finite numbers of zero or more, got {wrong}.")
    found = np.array([float(given.get(name, 0.0)) for name in names])
    if max_modalities is None and found.any():
        raise ValueError(
            "modality_costs decides on the modalities that max_modalities keeps, which is None. "
            "Set max_modalities to how many may be used for a sample."
        )
    if max_modalities is not None and max_modalities > len(names):
        warnings.warn(
            f"max_modalities={max_modalities} is more than the {len(names)} modalities that there "
            "are, so none is left out. Set it to fewer, or to None.",
            UserWarning,
            stacklevel=stacklevel_of_user(),
        )
    return found


def check_gate(
    attention_score: Any, module: Any, coldness_schedule: str, max_modalities: int | None
) -> None:
    """Raise ValueError unless a gate goes with the other parameters of an estimator.

    Parameters
    ----------
    attention_score : str, torch.nn.Module instance, class or callable
        What the user passed.
    module : torch.nn.Module instance, class, callable, str or None
        The predictor.
    coldness_schedule : str
        How the gate cools.
    max_modalities : int or None
        How many modalities of a sample pass.
    """
    what = f"attention_score={attention_score!r}"
    if not is_energy(attention_score) and not is_built_in(module):
        raise ValueError(
            f"{what} scores the embeddings of a network of this library, and a module of your own "
            'has none. Use attention_score="energy", or module=None.'
        )
    if max_modalities is not None:
        what = f"max_modalities={max_modalities}"
    elif is_energy(attention_score):
        return
    if coldness_schedule != "constant":
        raise ValueError(
            f"coldness_schedule={coldness_schedule!r} starts with a gate without coldness as the "
            f"identity, which a gate with {what} is not. Use "
            'coldness_schedule="constant", or leave the other out.'
        )


@torch.no_grad()
def count_units(predictor: GatedPredictor, modalities: Sequence[Tensor]) -> int:
    """Count the numbers of an embedding.

    Parameters
    ----------
    predictor : GatedPredictor
        The predictor.
    modalities : sequence of Tensor of shape (n_samples, n_features)
        At least one sample.

    Returns
    -------
    int
        The last dimension of what the predictor encodes; 0 where there are no embeddings.
    """
    if isinstance(predictor, GatedInputs):
        return 0
    return int(predictor.encode([x[:1] for x in modalities]).shape[-1])
