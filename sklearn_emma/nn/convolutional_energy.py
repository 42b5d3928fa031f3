r"""Potential energy of signals and images: a convolutional denoising autoencoder.

.. math::

    \Psi(x) = \tfrac12 \lVert x - b_r \rVert^2 - \sum_{k, t} H(u_{kt}(x)) - \sum_j H(v_j(x)),
    \qquad r(x) = x - \nabla\Psi(x)

    u_{kt} = (w_k * x)_t + b_{kt}, \qquad v = V\, \mathrm{pool}(\tanh u) + c, \qquad H = \log\cosh

A filter :math:`w_k` is shared by all positions t, and learns local patterns, within a channel and
across channels, from all of them. Its bias :math:`b_{kt}` depends on the position, so the energy
depends on where in the window a pattern occurs. The units :math:`v_j` see the whole window. In long
windows, their inputs are averages over neighboring positions.

The reconstruction r is defined by the gradient of a potential, as for any network of this kind
[1]_. It is computed by automatic differentiation. The network is trained to remove Gaussian noise,
so that a low energy means a likely sample. :class:`~sklearn_emma.nn.DAEEnergy` is the same
potential without convolutions.

References
----------
.. [1] Zhai, S. et al. (2016). Deep structured energy based models for anomaly detection. ICML.
"""

import math
from collections.abc import Sequence
from numbers import Integral

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklearn_emma.nn.numerics import sum_log_cosh_

__all__ = ["ConvolutionalEnergy"]

# Largest number of positions along each axis that the units of the whole window see.
_MOST_READ = {1: 64, 2: 16}


def signal_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Validate the shape of signals or images.

    Parameters
    ----------
    shape : sequence of int
        (channels, length) or (channels, height, width).

    Returns
    -------
    tuple of int
        The shape as a tuple.

    Raises
    ------
    ValueError
        If the shape does not have two or three positive sizes.
    """
    sizes = tuple(shape) if hasattr(shape, "__len__") else ()
    numbers = (isinstance(n, Integral) and not isinstance(n, bool) and n > 0 for n in sizes)
    if len(sizes) not in (2, 3) or not all(numbers):
        raise ValueError(
            "shape must be (channels, length) or (channels, height, width), of positive integers, "
            f"got {shape!r}."
        )
    return tuple(map(int, sizes))


class ConvolutionalEnergy(nn.Module):
    r"""Potential energy of a convolutional denoising autoencoder.

    Parameters
    ----------
    shape : tuple of int
        (channels, length) of a signal, or (channels, height, width) of an image.
    n_filters : int, default=8
        Number of filters.
    kernel_size : int, default=7
        Size of a filter along each axis. It is limited to the size of the window, and an even size
        is reduced by one.
    n_units : int, default=32
        Number of units that see the whole window.
    generator : torch.Generator, optional
        Source of the initial weights. None uses the global generator of torch.

    Raises
    ------
    ValueError
        If the shape does not have two or three positive sizes.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import ConvolutionalEnergy
    >>> energy = ConvolutionalEnergy((3, 50), generator=torch.Generator().manual_seed(0))
    >>> x = torch.zeros(4, 150)
    >>> energy(x).shape, energy.reconstruct(x).shape
    (torch.Size([4]), torch.Size([4, 150]))
    """

    n_prototypes = 0

    def __init__(
        self,
        shape: Sequence[int],
        n_filters: int = 8,
        kernel_size: int = 7,
        n_units: int = 32,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.shape = signal_shape(shape)
        channels, *sizes = self.shape
        kernel = [_odd(min(kernel_size, size)) for size in sizes]
        self.pool = [math.ceil(size / _MOST_READ[len(sizes)]) for size in sizes]
        n_read = n_filters * math.prod(n // p for n, p in zip(sizes, self.pool, strict=True))
        n_in, n_out = channels * math.prod(kernel), n_filters * math.prod(kernel)
        self.filters = _glorot((n_filters, channels, *kernel), n_in + n_out, generator)
        self.filter_biases = nn.Parameter(torch.zeros(n_filters, *sizes, dtype=torch.float32))
        self.weights = _glorot((n_units, n_read), n_units + n_read, generator)
        self.biases = nn.Parameter(torch.zeros(n_units, dtype=torch.float32))
        n_features = math.prod(self.shape)
        self.visible_bias = nn.Parameter(torch.zeros(n_features, dtype=torch.float32))

    def freeze(self) -> None:
        """Do nothing, as no part of the potential can be precomputed from the weights alone."""

    def _inputs_of_units(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return u and v."""
        image = len(self.shape) == 3
        convolve = F.conv2d if image else F.conv1d
        padding = [size // 2 for size in self.filters.shape[2:]]
        u = convolve(x.unflatten(1, self.shape), self.filters, None, 1, padding)
        u = u + self.filter_biases
        read = u.tanh()
        if max(self.pool) > 1:
            read = F.avg_pool2d(read, self.pool) if image else F.avg_pool1d(read, self.pool)
        return u, F.linear(read.flatten(1), self.weights, self.biases)

    def potential(self, x: Tensor) -> Tensor:
        r"""Return the potential :math:`\Psi(x)`, which is lower for more likely samples.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Flattened signals, channel after channel.

        Returns
        -------
        Tensor of shape (n_samples,)
            Energy of each sample, independent of the other samples.
        """
        u, v = self._inputs_of_units(x)
        hidden = sum_log_cosh_(torch.cat([u.flatten(1), v], 1))
        return 0.5 * (x - self.visible_bias).square().sum(1) - hidden

    def gradient(self, x: Tensor) -> Tensor:
        r"""Return the gradient :math:`\nabla\Psi(x) = x - r(x)`, by automatic differentiation.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Flattened signals.

        Returns
        -------
        Tensor of shape (n_samples, n_features)
            Gradient, which can itself be differentiated if gradients are enabled.
        """
        recording = torch.is_grad_enabled()
        with torch.inference_mode(False), torch.enable_grad():
            # tensors created in inference mode do not support gradients
            at = x.clone() if x.is_inference() else x
            at = at if at.requires_grad else at.detach().requires_grad_(True)
            units = self._inputs_of_units(at)
            responses = [u.tanh() for u in units]
            back = torch.autograd.grad(units, at, responses, create_graph=recording)[0]
            return at - self.visible_bias - back

    def reconstruct(self, x: Tensor) -> Tensor:
        r"""Return the denoised samples :math:`r(x) = x - \nabla\Psi(x)`.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Flattened signals.

        Returns
        -------
        Tensor of shape (n_samples, n_features)
            The reconstruction.
        """
        return x - self.gradient(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return :meth:`potential`."""
        return self.potential(x)


def _odd(size: int) -> int:
    """Return the largest odd number up to size, as filters must have a center."""
    return size - 1 + size % 2


def _glorot(
    shape: Sequence[int], n_in_and_out: int, generator: torch.Generator | None
) -> nn.Parameter:
    """Draw weights from the Glorot uniform distribution."""
    bound = math.sqrt(6.0 / n_in_and_out)
    uniform = torch.rand(*shape, generator=generator, dtype=torch.float32)
    return nn.Parameter((2.0 * uniform - 1.0) * bound)
