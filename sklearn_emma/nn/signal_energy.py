r"""Energy of signals and images: the soft maximum of the energies of several views.

.. math:: \Psi(x) = \log \frac{1}{K} \sum_k e^{u_k(x)}, \qquad
    u_k(x) = \frac{\Psi_k(\varphi_k(s)) - m_k}{q_k}, \qquad s = \frac{x - c}{d}

Each channel is centered by one number c and scaled by one number d, which preserves the shape of
the signal. The views :math:`\varphi_k` are the signal itself, its spectrum and its local power
(:mod:`sklearn_emma.nn.signal_features`). Each view has its own potential :math:`\Psi_k`. A sample
has a high energy if the energy of any view is high. All views are differentiable, so the soft
maximum is again a potential with a gradient.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from sklearn_emma.nn.coordinates import standardize
from sklearn_emma.nn.ensemble import EnergyEnsemble
from sklearn_emma.nn.signal_features import local_power, log_spectrum

__all__ = ["SIGNAL_VIEWS", "SignalEnergy"]

#: Functions from signals (n_samples, channels, ...) to views (n_samples, n_features), by name.
SIGNAL_VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "signal": lambda signal: signal.flatten(1),
    "spectrum": log_spectrum,
    "power": local_power,
}
# Number of samples per batch, which limits the memory of convolutions.
_BLOCK = 1024


class SignalEnergy(nn.Module):
    """Soft maximum of the energies of several views of a signal.

    Parameters
    ----------
    shape : tuple of int
        (channels, length) of a signal, or (channels, height, width) of an image.
    energies : mapping of str to EnergyEnsemble
        Energy of each view. The keys are names of ``SIGNAL_VIEWS``.

    Notes
    -----
    The buffers ``center`` and ``scale``, of shape (n_channels,), and ``level`` and ``spread``, of
    shape (n_views,), hold c, d, :math:`m_k` and :math:`q_k`. They are initialized to zeros (c and
    :math:`m_k`) and ones (d and :math:`q_k`).

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import ConvolutionalEnergy, EnergyEnsemble, SignalEnergy, SoftClip
    >>> convolutional = EnergyEnsemble([ConvolutionalEnergy((2, 30))], [SoftClip(60)])
    >>> energy = SignalEnergy((2, 30), {"signal": convolutional})
    >>> energy(torch.zeros(3, 60)).shape
    torch.Size([3])
    """

    center: Tensor
    scale: Tensor
    level: Tensor
    spread: Tensor

    def __init__(self, shape: Sequence[int], energies: Mapping[str, EnergyEnsemble]):
        super().__init__()
        self.shape = tuple(shape)
        self.energies = nn.ModuleDict(energies)
        for name, size in ("center", shape[0]), ("level", len(energies)):
            self.register_buffer(name, torch.zeros(size, dtype=torch.float32))
        for name, size in ("scale", shape[0]), ("spread", len(energies)):
            self.register_buffer(name, torch.ones(size, dtype=torch.float32))

    def prepare(self, precision: torch.dtype) -> None:
        """Prepare for scoring samples. The weights must not change afterwards.

        Parameters
        ----------
        precision : torch.dtype
            Dtype in which the potentials are evaluated.
        """
        for energy in self.energies.values():
            assert isinstance(energy, EnergyEnsemble)
            energy.prepare(precision)

    def potentials(self, x: Tensor) -> Tensor:
        r"""Return the potential of each view before scaling, :math:`\Psi_k(\varphi_k(s))`.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Flattened signals, channel after channel.

        Returns
        -------
        Tensor of shape (n_samples, n_views)
            Potential of each view.
        """
        signal = x.unflatten(1, self.shape)
        by_channel = -1, *[1] * (signal.ndim - 2)
        center, scale = self.center.reshape(by_channel), self.scale.reshape(by_channel)
        signal = standardize(signal, center, scale)
        found = [energy(SIGNAL_VIEWS[view](signal)) for view, energy in self.energies.items()]
        return torch.stack(found, 1)

    def unusual(self, x: Tensor) -> Tensor:
        """Return the energy of each view on the scale of the training samples, :math:`u_k(x)`.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Flattened signals, channel after channel.

        Returns
        -------
        Tensor of shape (n_samples, n_views)
            Scaled energy of each view.
        """
        found = [self.potentials(block) for block in x.split(_BLOCK)]
        return (torch.cat(found) - self.level) / self.spread

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
        unusual = self.unusual(x)
        return unusual.logsumexp(1) - math.log(unusual.shape[1])

    def gradient(self, x: Tensor) -> Tensor:
        r"""Return the gradient :math:`\nabla\Psi(x)`, by automatic differentiation.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Flattened signals, channel after channel.

        Returns
        -------
        Tensor of shape (n_samples, n_features)
            The gradient.
        """
        with torch.inference_mode(False), torch.enable_grad():
            at = x.clone().detach().requires_grad_(True)
            return torch.autograd.grad(self.potential(at).sum(), at)[0]

    def forward(self, x: Tensor) -> Tensor:
        """Return :meth:`potential`."""
        return self.potential(x)
