"""Build the predictor: the default one, or a custom one."""

import copy
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn

from sklearn_emma.engine.seeding import make_generator
from sklearn_emma.nn import (
    FusionEnsemble,
    FusionNetwork,
    FusionTransformer,
    GatedInputs,
    GatedPredictor,
    SignalFusionNetwork,
)

#: The name of :class:`~sklearn_emma.nn.FusionTransformer`.
TRANSFORMER = "transformer"
# How messages describe a failure in double precision.
_IN_DOUBLE = (
    " in double precision, in which samples of float64 are evaluated (create tensors with "
    "x.new_zeros or similar, and register constants as buffers)"
)
# torch initializes layers from its global generator only, which all threads share
_GLOBAL_GENERATOR = threading.RLock()


def is_built_in(module: Any) -> bool:
    """Return whether a predictor is built into the library.

    Parameters
    ----------
    module : torch.nn.Module instance, class, callable, str or None
        Parameter of the estimator.

    Returns
    -------
    bool
        False for a custom predictor.
    """
    return module is None or isinstance(module, str)


@contextmanager
def seeded_layers(module: Any, seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generator of torch for custom layers, and restore it afterwards.

    Layers such as dropout use only the global generator of torch. Therefore a lock prevents that
    several threads use it at the same time.

    Parameters
    ----------
    module : torch.nn.Module instance, class, callable, str or None
        Parameter of the estimator. For a name or None, this context does nothing.
    seed : int
        Seed of the random numbers.
    device : torch.device
        Device of the layers.
    """
    if is_built_in(module):
        yield
        return
    cuda = [device] if device.type == "cuda" else []
    with _GLOBAL_GENERATOR, torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


class PredictorArchitecture(NamedTuple):
    """What a predictor is built from, apart from the data.

    Attributes
    ----------
    module : torch.nn.Module instance, class, callable, "transformer" or None
        Parameter of the estimator.
    hidden_layer_sizes : tuple of int
        Number of units of each layer of the encoders of the default predictor.
    n_networks : int, default=1
        Number of networks that the default predictor averages.
    periodic : bool, default=False
        Whether the default predictor reads periodic features of the columns.
    """

    module: Any
    hidden_layer_sizes: tuple[int, ...]
    n_networks: int = 1
    periodic: bool = False


def build_predictor(
    architecture: PredictorArchitecture,
    n_features: Sequence[int],
    n_outputs: int,
    seed: int = 0,
    shapes: Sequence[tuple[int, ...] | None] = (),
) -> GatedPredictor:
    """Build a predictor with the methods ``encode`` and ``fuse``.

    Parameters
    ----------
    architecture : PredictorArchitecture
        Module, sizes and features.
    n_features : list of int
        Number of features of each modality.
    n_outputs : int
        Number of outputs per sample.
    seed : int, default=0
        Seed of the initial weights.
    shapes : sequence of tuple of int or None, default=()
        Shape of each modality that is a signal, else None. The default predictor uses features of
        signals.

    Returns
    -------
    torch.nn.Module
        Predictor on the CPU, in float32.
    """
    module, sizes, n_networks, periodic = architecture
    if is_built_in(module):
        generator = make_generator(seed)
        params: tuple[Any, ...] = sizes, sizes[-1:], generator, True, periodic

        def make() -> FusionNetwork:
            if module == TRANSFORMER:
                return FusionTransformer(n_features, n_outputs, *params)
            if any(shapes):
                return SignalFusionNetwork(n_features, n_outputs, shapes, *params)
            return FusionNetwork(n_features, n_outputs, *params)

        return FusionEnsemble([make() for _ in range(n_networks)])
    if isinstance(module, nn.Module):
        return _behind_gate(copy.deepcopy(module))
    with seeded_layers(module, seed, torch.device("cpu")):
        try:
            network = module(list(n_features), n_outputs)
        except TypeError as error:
            raise TypeError(
                f"module({list(n_features)}, {n_outputs}), called with the list of the number of "
                f"columns of each modality and the number of outputs, failed: {error}"
            ) from error
    if not isinstance(network, nn.Module):
        raise TypeError(
            "module must be a torch.nn.Module, or a callable that takes the list of the number of "
            "columns of each modality and the number of outputs, and returns one; it returned "
            f"{type(network).__name__}."
        )
    return _behind_gate(network)


def _behind_gate(network: nn.Module) -> GatedPredictor:
    """Wrap a network without gate support as a predictor of gated inputs."""
    network = network.float().cpu()
    return network if isinstance(network, GatedPredictor) else GatedInputs(network)


def shares_parameters(network: nn.Module) -> bool:
    """Return whether some layers of a network have the same parameters (tied weights).

    Parameters
    ----------
    network : torch.nn.Module
        A network.

    Returns
    -------
    bool
        True if a parameter has several names.
    """
    named = list(network.named_parameters(remove_duplicate=False))
    return len(named) > len(list(network.parameters()))


def check_predictor(
    predictor: GatedPredictor,
    modalities: Sequence[torch.Tensor],
    n_outputs: int,
    returns: str,
) -> None:
    """Raise ValueError if the predictor does not return a tensor of the expected shape.

    A custom network is also tested in training mode, and in double precision, in which samples of
    float64 are evaluated.

    Parameters
    ----------
    predictor : torch.nn.Module
        Predictor with the methods ``encode`` and ``fuse``.
    modalities : list of Tensor of shape (n_samples, n_features)
        A few samples without missing values.
    n_outputs : int
        Expected number of outputs per sample.
    returns : str
        Description of the outputs and of their shape, for the message.
    """
    if not any(parameter.requires_grad for parameter in predictor.parameters()):
        raise ValueError("module has no parameters that can be trained.")
    n_samples = len(modalities[0])
    attention = torch.ones_like(modalities[0][:, :1]).repeat(1, len(modalities))
    expected = (n_samples, n_outputs)
    output = _output(predictor.eval(), (modalities, attention), expected, returns)
    if not isinstance(predictor, FusionEnsemble):
        training = copy.deepcopy(predictor).train()
        _output(training, (modalities, attention), expected, returns, " in training mode")
        inputs = [x.double() for x in modalities], attention.double()
        _output(copy.deepcopy(predictor).double(), inputs, expected, returns, _IN_DOUBLE)
    if isinstance(predictor, GatedInputs):
        return
    several = torch.stack([attention, torch.zeros_like(attention)])
    problem = ""
    with torch.no_grad():
        try:
            both: Any = predictor.fuse(predictor.encode(modalities), several)
            again: Any = predictor(modalities, attention)
        except Exception as error:
            problem = f"it failed: {error}"
    if not problem and tuple(getattr(both, "shape", ())) != (2, *expected):
        problem = f"it returned {tuple(getattr(both, 'shape', ())) or type(both).__name__}"
    # outputs with random numbers cannot be compared
    elif not problem and _alike(again, output) and not _alike(both[0], output):
        problem = "its outputs for the first gate differ from those for this gate alone"
    if problem:
        raise ValueError(
            "In training, fuse of module gets the attention of two gates at once, of shape "
            f"{tuple(several.shape)} (..., n_samples, n_modalities), and must return outputs of "
            f"shape {(2, *expected)}, but {problem}."
        )


def _output(
    network: GatedPredictor,
    inputs: tuple[Sequence[torch.Tensor], torch.Tensor],
    expected: tuple[int, ...],
    returns: str,
    where: str = "",
) -> Any:
    """Return the output of a network. Raise ValueError unless it has the expected shape."""
    try:
        with torch.no_grad():
            output: Any = network(*inputs)
    except Exception as error:
        sizes = ", ".join(str(tuple(x.shape)) for x in inputs[0])
        raise ValueError(
            f"module failed on a list of {len(inputs[0])} gated modalities of shapes {sizes}"
            f"{where}: {error}. It must take that list and return a tensor of shape {expected}."
        ) from error
    shape = tuple(getattr(output, "shape", ()))
    if shape != expected:
        got = f"shape {shape}" if isinstance(output, torch.Tensor) else type(output).__name__
        raise ValueError(f"module must return {returns} = {expected}, but returned {got}{where}.")
    return output


def _alike(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Return whether two outputs are equal up to rounding."""
    tolerance = 1e-3 * float(b.nan_to_num().abs().max())
    return torch.allclose(a, b, atol=tolerance, rtol=0.0, equal_nan=True)
