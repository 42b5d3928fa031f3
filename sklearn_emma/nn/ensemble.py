r"""Combine the energies of several views of a modality by a soft maximum.

.. math:: \Psi(x) = \log \frac{1}{K} \sum_k e^{u_k(x)}, \qquad
    u_k(x) = \frac{\Psi_k(z_k(x)) - m_k}{q_k}

Each view has its own potential :math:`\Psi_k` in its own coordinates :math:`z_k`. The median
:math:`m_k` and the interquartile range :math:`q_k` of the potentials of the training samples make
views comparable. The logarithm of the mean of exponentials is a soft maximum: a sample has a high
energy if it is unusual in any view, even if it is very likely in all others. The soft maximum is
differentiable, so the energy is again a potential with an explicit gradient.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_emma.nn.convolutional_energy import ConvolutionalEnergy
from sklearn_emma.nn.coordinates import SoftClip
from sklearn_emma.nn.energy import DAEEnergy
from sklearn_emma.nn.module_stack import stack, width_class

__all__ = ["EnergyEnsemble"]


class EnergyEnsemble(nn.Module):
    """Soft maximum of the potentials of several denoising autoencoders.

    Parameters
    ----------
    members : sequence of DAEEnergy or ConvolutionalEnergy
        Potential of each view.
    coordinates : sequence of SoftClip
        Coordinates of each view, which are computed from the columns.

    Notes
    -----
    The buffers ``level`` and ``spread``, of shape (n_members,), hold :math:`m_k` and :math:`q_k`.
    They are initialized to zeros and ones.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import DAEEnergy, EnergyEnsemble, SoftClip
    >>> members = [DAEEnergy(2, (8,), "tanh"), DAEEnergy(2, (8,), "tanh", n_prototypes=4)]
    >>> energy = EnergyEnsemble(members, [SoftClip(2), SoftClip(2, limit=3.0)])
    >>> energy(torch.zeros(3, 2)).shape
    torch.Size([3])
    """

    members: Any
    coordinates: Any
    level: Tensor
    spread: Tensor

    def __init__(
        self, members: Sequence[DAEEnergy | ConvolutionalEnergy], coordinates: Sequence[SoftClip]
    ):
        super().__init__()
        self.members = nn.ModuleList(members)
        self.coordinates = nn.ModuleList(coordinates)
        self.register_buffer("level", torch.zeros(len(members), dtype=torch.float32))
        self.register_buffer("spread", torch.ones(len(members), dtype=torch.float32))

    def prepare(self, precision: torch.dtype) -> None:
        """Prepare for scoring samples. The weights must not change afterwards.

        Parameters
        ----------
        precision : torch.dtype
            Dtype in which the members are evaluated. Samples are centered and scaled, and members
            are compared, in the dtype of the coordinates.
        """
        self.members.to(precision)
        for member, see in zip(self.members, self.coordinates, strict=True):
            member.freeze()
            see.precision = precision

    def stack_key(self) -> tuple:
        """Return a key that is equal for ensembles that can be stacked by `stack_ensembles`."""
        shapes = [
            (name, value.shape[:-1] if name.endswith("weights.0") else value.shape)
            for member in self.members
            for name, value in member.named_parameters()
            if not name.startswith(("visible", "prototypes"))
        ]
        kinds = [(member.activation, member.n_prototypes) for member in self.members]
        limits = [see.limit for see in self.coordinates]
        width = width_class(self.members[0].visible_bias.shape[-1])
        return width, tuple(shapes), tuple(kinds), tuple(limits)

    def potentials(self, x: Tensor) -> Tensor:
        """Return the potential of each member before scaling.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Samples of the modality, in the units of the table.

        Returns
        -------
        Tensor of shape (n_samples, n_members)
            Potential of each member.
        """
        found = []
        for member, see in zip(self.members, self.coordinates, strict=True):
            found.append(member.potential(see(x)))
        # contiguous in memory for each member, as they are processed member by member
        return torch.stack(found).movedim(0, -1)

    def _unusual(self, x: Tensor) -> Tensor:
        """Return the scaled potential of each member, u_k(x)."""
        return (self.potentials(x) - self.level.unsqueeze(-2)) / self.spread.unsqueeze(-2)

    def potential(self, x: Tensor) -> Tensor:
        r"""Return the potential :math:`\Psi(x)`, which is lower for more likely samples.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Samples of the modality, in the units of the table.

        Returns
        -------
        Tensor of shape (n_samples,)
            Energy of each sample, independent of the other samples.
        """
        unusual = self._unusual(x)
        return unusual.logsumexp(-1) - math.log(unusual.shape[-1])

    def gradient(self, x: Tensor) -> Tensor:
        r"""Return :math:`\nabla\Psi(x) = \sum_k \mathrm{softmax}_k(u(x))\, \nabla u_k(x)`.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Samples of the modality.

        Returns
        -------
        Tensor of shape (n_samples, n_features)
            Gradient with respect to the columns in the units of the table.
        """
        share = self._unusual(x).softmax(1) / self.spread
        pairs = zip(self.members, self.coordinates, strict=True)
        gradients = torch.stack([m.gradient(see(x)) * see.slope(x) for m, see in pairs], 1)
        return (share.unsqueeze(2) * gradients).sum(1)

    def reconstruct(self, x: Tensor) -> Tensor:
        r"""Return denoised samples :math:`\sum_k \mathrm{softmax}_k(u(x)) z_k^{-1}(r_k(z_k(x)))`.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Samples of the modality.

        Returns
        -------
        Tensor of shape (n_samples, n_features)
            Reconstructions, in the units of the table.
        """
        share = self._unusual(x).softmax(1)
        pairs = zip(self.members, self.coordinates, strict=True)
        samples = torch.stack([see.inverse(m.reconstruct(see(x))) for m, see in pairs], 1)
        return (share.unsqueeze(2) * samples).sum(1)

    def reconstruction_error(self, x: Tensor) -> Tensor:
        """Return the squared reconstruction error, averaged over the members.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Samples of the modality.

        Returns
        -------
        Tensor of shape (n_samples,)
            Squared errors, in the coordinates of the members.
        """
        pairs = zip(self.members, self.coordinates, strict=True)
        errors = [member.gradient(see(x)).square().sum(1) for member, see in pairs]
        return torch.stack(errors).mean(0)

    def forward(self, x: Tensor) -> Tensor:
        """Return :meth:`potential`."""
        return self.potential(x)


def stack_ensembles(ensembles: Sequence[EnergyEnsemble]) -> EnergyEnsemble:
    """Stack several ensembles to one, for evaluation.

    Parameters
    ----------
    ensembles : sequence of EnergyEnsemble
        Prepared ensembles with the same :meth:`~EnergyEnsemble.stack_key`.

    Returns
    -------
    EnergyEnsemble
        Stacked ensemble. It takes samples of shape (n_ensembles, n_samples, n_features), where
        padded features may have any finite value, and returns potentials of shape
        (n_ensembles, n_samples).
    """
    first = ensembles[0]
    views = range(len(first.members))
    width = max(ensemble.coordinates[0].center.shape[-1] for ensemble in ensembles)
    coordinates = []
    for k in views:
        sees = [ensemble.coordinates[k] for ensemble in ensembles]
        stacked = SoftClip(width, sees[0].limit)
        stacked.center = torch.stack([_padded(see.center, width, 0.0) for see in sees])[:, None]
        # padded features have an infinite scale, so their coordinates are zero
        stacked.scale = torch.stack([_padded(see.scale, width, math.inf) for see in sees])[:, None]
        coordinates.append(stacked)
    members = [stack([ensemble.members[k] for ensemble in ensembles]) for k in views]
    result = EnergyEnsemble(members, coordinates).requires_grad_(False)
    result.level = torch.stack([ensemble.level for ensemble in ensembles])
    result.spread = torch.stack([ensemble.spread for ensemble in ensembles])
    result.prepare(next(first.members.parameters()).dtype)
    return result


def _padded(values: Tensor, width: int, fill: float) -> Tensor:
    return torch.cat([values, values.new_full((width - len(values),), fill)])
