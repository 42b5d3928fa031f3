"""One perceptron per modality. Those of similar width are computed in one batched product."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sklearn_emma.nn.module_stack import (
    ModalityStacks,
    Module,
    affine,
    flat_affine,
    stack_samples,
    width_class,
)


def initial_weights(
    shape: Sequence[int], n_in: int, generator: torch.Generator | None
) -> nn.Parameter:
    """Draw weights as torch does for linear layers: uniform within 1 / sqrt(n_in).

    Parameters
    ----------
    shape : sequence of int
        Shape of the weights.
    n_in : int
        Number of inputs of the layer.
    generator : torch.Generator or None
        Source of random numbers. None uses the global generator of torch.

    Returns
    -------
    Parameter
        Weights, in float32.
    """
    bound = 1.0 / math.sqrt(n_in)
    weights = torch.empty(*shape, dtype=torch.float32)
    return nn.Parameter(weights.uniform_(-bound, bound, generator=generator))


class Perceptron(nn.Module):
    """Fully connected layers with ReLU between them, initialized from one generator.

    Parameters
    ----------
    sizes : sequence of int
        Width of the input, of every hidden layer and of the output.
    activate_last : bool, default=False
        Whether the output passes through ReLU too.
    generator : torch.Generator, optional
        Source of the initial weights. None uses the global generator of torch.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activate_last: bool = False,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.activate_last = activate_last
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True):
            self.weights.append(initial_weights((n_out, n_in), n_in, generator))
            self.biases.append(initial_weights((n_out,), n_in, generator))
        self._frozen: list[tuple[Tensor, Tensor]] | None = None

    def freeze(self) -> None:
        """Cache the list of layers. The parameters must not be replaced afterwards."""
        self._frozen = list(zip(self.weights, self.biases, strict=True))

    def layers(self) -> list[tuple[Tensor, Tensor]]:
        """Return weight and bias of each layer."""
        # for a single sample, indexing a ParameterList takes as long as the matrix products
        if self._frozen is not None:
            return self._frozen
        return list(zip(self.weights, self.biases, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers to ``x`` of shape (..., n_samples, n_in)."""
        first, *others = self.layers()
        if first[0].ndim != 4:
            return self._through(affine(x, *first), others)
        # merge a stack of stacks: the gradient of an in-place ReLU is slow on a reshaped tensor
        shape = first[0].shape[:2]
        others = [(weight.flatten(0, 1), bias.flatten(0, 1)) for weight, bias in others]
        return self._through(flat_affine(x, *first), others).unflatten(0, shape)

    def after_first(self, x: Tensor) -> Tensor:
        """Apply all but the affine map of the first layer to its result, which is overwritten."""
        return self._through(x, self.layers()[1:])

    def _through(self, x: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
        for weight, bias in layers:
            x = affine(x.relu_(), weight, bias)
        return x.relu_() if self.activate_last else x


def freeze(module: Module) -> Module:
    """Prepare a module for evaluation: disable gradients and freeze its perceptrons.

    Parameters
    ----------
    module : torch.nn.Module
        Module with its final parameters. It is changed in place.

    Returns
    -------
    torch.nn.Module
        The same module.
    """
    for part in module.modules():
        if isinstance(part, Perceptron):
            part.freeze()
    return module.requires_grad_(False).eval()


class Encoders(ModalityStacks):
    """One perceptron per modality, all with the same layer sizes.

    Parameters
    ----------
    n_features : sequence of int
        Number of columns of each modality.
    sizes : sequence of int
        Number of units of each layer.
    activate_last : bool, default=False
        Whether the output passes through ReLU too.
    generator : torch.Generator, optional
        Source of the initial weights. None uses the global generator of torch.
    """

    def __init__(
        self,
        n_features: Sequence[int],
        sizes: Sequence[int],
        activate_last: bool = False,
        generator: torch.Generator | None = None,
    ):
        each = [Perceptron([d, *sizes], activate_last, generator) for d in n_features]
        super().__init__(each, [width_class(d) for d in n_features])

    def forward(self, modalities: Sequence[Tensor]) -> Tensor:
        """Apply each perceptron to its modality.

        Parameters
        ----------
        modalities : sequence of Tensor of shape (n_samples, n_features)
            Samples of each modality.

        Returns
        -------
        Tensor of shape (..., n_modalities, n_samples, n_units)
            Outputs. A stack of several encoders has an additional first dimension.
        """
        return self.apply_groups(self.gather(modalities))

    def gather(self, modalities: Sequence[Tensor]) -> list[Tensor]:
        """Return the samples of each group of modalities of similar width, as one tensor."""
        return [stack_samples([modalities[i] for i in group]) for group in self.groups]

    def apply_groups(self, samples: Sequence[Tensor]) -> Tensor:
        """Apply each perceptron to its modality, given the result of :meth:`gather`."""
        return self.join([encode(x) for encode, x in zip(self.stacks, samples, strict=True)])
