r"""Potential energy of a modality: a denoising autoencoder with tied weights, of any depth.

.. math::

    \Psi(x) = \tfrac12 \lVert x - b_r \rVert^2 - \sum_k H(g_k(x)), \qquad
    r(x) = x - \nabla\Psi(x) = b_r + J_g(x)^\top h(g(x)), \qquad H' = h

With one layer, :math:`g(x) = W x + b_h`, this is the tied autoencoder
:math:`r(x) = W^\top h(W x + b_h) + b_r` and its potential in closed form [1]_. With more layers, g
is a network and r is *defined* as :math:`x - \nabla\Psi(x)`, so that the vector field is integrable
by construction [2]_. After training to remove Gaussian noise, :math:`r(x) - x` points towards the
data [3]_: a low energy means a likely sample.

Prototypes are competing hidden units, with softmax for h and its integral logsumexp for H. They add
the term

.. math::

    - \tau \log \sum_k e^{u_k(x)}, \qquad
    u_k(x) = \frac{m_k^\top x - \tfrac12 \lVert m_k \rVert^2}{\tau} + c_k

to :math:`\Psi`, and :math:`\sum_k \mathrm{softmax}_k(u(x))\, m_k` to r. Without hidden layers, this
is the energy of a mixture of Gaussians of variance :math:`\tau` around the :math:`m_k`, and of a
modern Hopfield network [4]_. Prototypes give separate clusters, which are not connected by samples,
the correct relative energies.

References
----------
.. [1] Kamyshanska, H. and Memisevic, R. (2015). The potential energy of an autoencoder. IEEE TPAMI.
.. [2] Zhai, S. et al. (2016). Deep structured energy based models for anomaly detection. ICML.
.. [3] Alain, G. and Bengio, Y. (2014). What regularized auto-encoders learn from the
   data-generating distribution. JMLR 15.
.. [4] Ramsauer, H. et al. (2021). Hopfield networks is all you need. ICLR.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sklearn_emma.nn.module_stack import affine
from sklearn_emma.nn.numerics import LOG2_E, log_sum_exp2_, sum_log_cosh_, sum_softplus_

__all__ = ["ACTIVATIONS", "Activation", "DAEEnergy"]


class Activation(NamedTuple):
    """Activation function h, the sum over units of its integral H, and its derivative h'.

    The functions `response` and `integral` take u and may overwrite it. The function `slope` takes
    h(u).
    """

    response: Callable[[Tensor], Tensor]
    integral: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]


#: Activations by name.
ACTIVATIONS: dict[str, Activation] = {
    "sigmoid": Activation(torch.sigmoid_, sum_softplus_, lambda h: h * (1.0 - h)),
    "tanh": Activation(torch.tanh_, sum_log_cosh_, lambda h: 1.0 - h * h),
    "relu": Activation(
        torch.relu_, lambda u: 0.5 * (torch.relu(u) ** 2).sum(-1), lambda h: (h > 0).to(h.dtype)
    ),
    "identity": Activation(lambda u: u, lambda u: 0.5 * (u * u).sum(-1), torch.ones_like),
}


class _Scoring(NamedTuple):
    """Quantities that depend on the weights alone, from which potentials are computed."""

    weights: list[Tensor]
    biases: list[Tensor]
    response: Callable[[Tensor], Tensor]
    visible_bias: Tensor
    prototypes: tuple[Tensor, Tensor, Tensor] | None


class DAEEnergy(nn.Module):
    r"""Potential energy of a tied-weight denoising autoencoder.

    Parameters
    ----------
    n_features : int
        Number of columns D of the modality.
    hidden_layer_sizes : sequence of int, default=(64,)
        Number of units of each hidden layer. One layer is a tied autoencoder, more layers are a
        deep energy model.
    activation : {"sigmoid", "tanh", "relu", "identity"}, default="sigmoid"
        Activation function h of every hidden unit.
    generator : torch.Generator, optional
        Source of the initial weights. None uses the global generator of torch.
    n_prototypes : int, default=0
        Number of prototypes. They are drawn from a normal distribution, and should be placed by
        :meth:`place_prototypes`.

    Notes
    -----
    ``potential`` and ``reconstruct`` are explicit expressions. Scoring needs no automatic
    differentiation. Training differentiates r once, as for any autoencoder.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import DAEEnergy
    >>> energy = DAEEnergy(2, (8,), "tanh", generator=torch.Generator().manual_seed(0))
    >>> x = torch.zeros(3, 2)
    >>> energy(x).shape, energy.reconstruct(x).shape
    (torch.Size([3]), torch.Size([3, 2]))
    """

    def __init__(
        self,
        n_features: int,
        hidden_layer_sizes: Sequence[int] = (64,),
        activation: str = "sigmoid",
        generator: torch.Generator | None = None,
        n_prototypes: int = 0,
    ):
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {sorted(ACTIVATIONS)}, got {activation!r}."
            )
        if not hidden_layer_sizes or min(hidden_layer_sizes) < 1:
            raise ValueError(
                "hidden_layer_sizes must hold at least one positive number of units, got "
                f"{tuple(hidden_layer_sizes)!r}."
            )
        self.activation = activation
        self._frozen: _Scoring | None = None
        widths = [n_features, *hidden_layer_sizes]
        self.weights = nn.ParameterList()
        self.hidden_biases = nn.ParameterList()
        for n_in, n_out in zip(widths[:-1], widths[1:], strict=True):
            # Glorot's bound, as for any feed-forward layer
            bound = math.sqrt(6.0 / (n_in + n_out))
            weight = (
                2.0 * torch.rand(n_out, n_in, generator=generator, dtype=torch.float32) - 1.0
            ) * bound
            self.weights.append(nn.Parameter(weight))
            self.hidden_biases.append(nn.Parameter(torch.zeros(n_out, dtype=torch.float32)))
        self.visible_bias = nn.Parameter(torch.zeros(n_features, dtype=torch.float32))
        self.n_prototypes = n_prototypes
        if n_prototypes:
            start = torch.randn(n_prototypes, n_features, generator=generator, dtype=torch.float32)
            self.prototypes = nn.Parameter(start)
            self.prototype_biases = nn.Parameter(torch.zeros(n_prototypes, dtype=torch.float32))
            self.log_temperature = nn.Parameter(torch.zeros((), dtype=torch.float32))

    @torch.no_grad()
    def place_prototypes(self, samples: Tensor, temperature: float) -> None:
        r"""Place prototypes at samples, and reduce the weights of the last hidden layer.

        The hidden layers then start as a small correction to the prototypes.

        Parameters
        ----------
        samples : Tensor of shape (n_prototypes, n_features)
            Training samples.
        temperature : float
            Initial value of :math:`\tau`, the variance around a prototype.
        """
        self.prototypes.copy_(samples)
        self.log_temperature.fill_(math.log(temperature))
        self.weights[-1].mul_(0.1)

    @torch.no_grad()
    def freeze(self) -> None:
        """Precompute what depends on the weights alone. They must not change afterwards."""
        self._frozen = None
        self._frozen = self._scoring()

    def _scoring(self) -> _Scoring:
        """Return the quantities that depend on the weights alone, precomputed if frozen."""
        if self._frozen is not None:
            return self._frozen
        weights, biases = list(self.weights), list(self.hidden_biases)
        response = ACTIVATIONS[self.activation].response
        if self.activation == "tanh":
            weights, biases = _by_sigmoids(weights, biases)
            response = ACTIVATIONS["sigmoid"].response
        prototypes = None
        if self.n_prototypes:
            scaled, offsets, temperature = self._scaled_prototypes()
            # exp2 is faster than exp
            prototypes = scaled * LOG2_E, offsets * LOG2_E, temperature
        return _Scoring(weights, biases, response, self.visible_bias, prototypes)

    def _scaled_prototypes(self) -> tuple[Tensor, Tensor, Tensor]:
        r"""Return the slopes :math:`m_k / \tau` and the constants of u_k, and :math:`\tau`."""
        temperature = self.log_temperature.exp()[..., None]
        scaled = self.prototypes / temperature[..., None]
        offsets = self.prototype_biases - 0.5 * (scaled * self.prototypes).sum(-1)
        return scaled, offsets, temperature

    def potential(self, x: Tensor) -> Tensor:
        r"""Return the potential :math:`\Psi(x)`, which is lower for more likely samples.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Samples of the modality.

        Returns
        -------
        Tensor of shape (n_samples,)
            Energy of each sample, independent of the other samples.
        """
        weights, biases, response, visible_bias, prototypes = self._scoring()
        h = x
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            h = response(affine(h, weight, bias))
        hidden = ACTIVATIONS[self.activation].integral(affine(h, weights[-1], biases[-1]))
        if prototypes is not None:
            scaled, offsets, temperature = prototypes
            hidden = hidden + temperature * log_sum_exp2_(affine(x, scaled, offsets))
        return 0.5 * (x - visible_bias.unsqueeze(-2)).square().sum(-1) - hidden

    def reconstruct(self, x: Tensor) -> Tensor:
        r"""Return the denoised samples :math:`r(x) = x - \nabla\Psi(x)`.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Samples of the modality.

        Returns
        -------
        Tensor of shape (n_samples, n_features)
            The reconstruction.
        """
        response, _, slope = ACTIVATIONS[self.activation]
        responses = [x]
        for weight, bias in zip(self.weights, self.hidden_biases, strict=True):
            responses.append(response(affine(responses[-1], weight, bias)))
        back = responses.pop()
        for weight in list(self.weights)[:0:-1]:
            back = (back @ weight) * slope(responses.pop())
        reconstruction = affine(back, self.weights[0].mT, self.visible_bias)
        if self.n_prototypes:
            scaled, offsets, _ = self._scaled_prototypes()
            share = affine(x, scaled, offsets).softmax(-1)
            reconstruction = reconstruction + share @ self.prototypes
        return reconstruction

    def gradient(self, x: Tensor) -> Tensor:
        r"""Return the gradient :math:`\nabla\Psi(x) = x - r(x)`.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Samples of the modality.

        Returns
        -------
        Tensor of shape (n_samples, n_features)
            Gradient. Its squared norm is the squared reconstruction error.
        """
        return x - self.reconstruct(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return :meth:`potential`."""
        return self.potential(x)


def _by_sigmoids(weights: list[Tensor], biases: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    r"""Convert the weights and biases of tanh layers to those of equivalent sigmoid layers.

    They are equivalent because of :math:`\tanh u = 2\, \mathrm{sigmoid}(2 u) - 1`. The sigmoid is
    much faster to compute.
    """
    weights, biases = list(weights), list(biases)
    for layer in range(len(weights) - 1):
        weights[layer], biases[layer] = 2.0 * weights[layer], 2.0 * biases[layer]
        biases[layer + 1] = biases[layer + 1] - weights[layer + 1].sum(-1)
        weights[layer + 1] = 2.0 * weights[layer + 1]
    return weights, biases
