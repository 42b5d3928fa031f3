"""The gate that `attention_score` names: that of the energies, or one that scores embeddings."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_emma.engine.seeding import make_generator
from sklearn_emma.gate.build_predictor import seeded_layers
from sklearn_emma.nn import (
    AdditiveScore,
    AttentionScore,
    BilinearScore,
    DotScore,
    EnergyAttention,
    FusionNetwork,
    GatedInputs,
    KeyValueScore,
    MultiHeadScore,
    ScaledDotScore,
    SoftmaxAttention,
)

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


def check_attention_score(
    attention_score: Any, module: Any, coldness_schedule: str = "constant"
) -> None:
    """Raise ValueError unless a gate goes with the other parameters of an estimator.

    Parameters
    ----------
    attention_score : str, torch.nn.Module instance, class or callable
        What the user passed.
    module : torch.nn.Module instance, class, callable or None
        The predictor.
    coldness_schedule : str, default="constant"
        How the gate cools.
    """
    if is_energy(attention_score):
        return
    what = f"attention_score={attention_score!r}"
    if module is not None:
        raise ValueError(
            f"{what} scores the embeddings of the default network, and a module of your own has "
            'none. Use attention_score="energy", or module=None.'
        )
    if coldness_schedule != "constant":
        raise ValueError(
            f"coldness_schedule={coldness_schedule!r} starts with a gate without coldness as the "
            f'identity, which {what} is not. Use attention_score="energy", or '
            'coldness_schedule="constant".'
        )


@torch.no_grad()
def count_units(predictor: FusionNetwork | GatedInputs, modalities: Sequence[Tensor]) -> int:
    """Count the numbers of an embedding.

    Parameters
    ----------
    predictor : FusionNetwork or GatedInputs
        The predictor.
    modalities : sequence of Tensor of shape (n_samples, n_features)
        At least one sample.

    Returns
    -------
    int
        The last dimension of what the predictor encodes; 0 where there are no embeddings.
    """
    if not isinstance(predictor, FusionNetwork):
        return 0
    return int(predictor.encode([x[:1] for x in modalities]).shape[-1])
