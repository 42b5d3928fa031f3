r"""One energy from several views of a modality: a sample is unusual when any view finds it so.

.. math:: \Psi(x) = \log \frac{1}{K} \sum_k e^{u_k(x)}, \qquad
    u_k(x) = \frac{\Psi_k(z_k(x)) - m_k}{q_k}

Each view is a potential :math:`\Psi_k` in coordinates :math:`z_k` of its own; median :math:`m_k`
and interquartile range :math:`q_k` of its potentials over the training samples make views
comparable. The logarithm of the mean of exponentials is a soft maximum: a view in which a sample
looks ordinary, or even likelier than most, does not make up for one in which it stands out. It is
smooth, so the energy stays a potential with an explicit gradient.
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
        The potentials.
    coordinates : sequence of SoftClip
        What each of them sees the columns through.

    Notes
    -----
    The buffers ``level`` and ``spread``, of shape (n_members,), hold :math:`m_k` and :math:`q_k`:
    zeros and ones until they are set.

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
        """Get ready to score samples; the weights must not change any more.

        Parameters
        ----------
        precision : torch.dtype
            What members are evaluated in. Samples are centred and scaled, and members compared, in
            the precision of the coordinates.
        """
        self.members.to(precision)
        for member, see in zip(self.members, self.coordinates, strict=True):
            member.freeze()
            see.precision = precision

    def stack_key(self) -> tuple:
        """Return what ensembles have in common that ``stack_ensembles`` can stack."""
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
        """Potential of each member, as it is.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Samples of the modality, in the units of the table.

        Returns
        -------
        Tensor of shape (n_samples, n_members)
            Potentials.
        """
        found = []
        for member, see in zip(self.members, self.coordinates, strict=True):
            found.append(member.potential(see(x)))
        # one member after another in memory, which is how they are compared
        return torch.stack(found).movedim(0, -1)

    def _unusual(self, x: Tensor) -> Tensor:
        """Return u_k(x)."""
        return (self.potentials(x) - self.level.unsqueeze(-2)) / self.spread.unsqueeze(-2)

    def potential(self, x: Tensor) -> Tensor:
        r""":math:`\Psi(x)`, lower for likelier samples.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Samples of the modality, in the units of the table.

        Returns
        -------
        Tensor of shape (n_samples,)
            Each sample's energy, independent of the other samples.
        """
        unusual = self._unusual(x)
        return unusual.logsumexp(-1) - math.log(unusual.shape[-1])

    def gradient(self, x: Tensor) -> Tensor:
        r""":math:`\nabla\Psi(x) = \sum_k \mathrm{softmax}_k(u(x))\, \nabla u_k(x)`.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Samples of the modality.

        Returns
        -------
        Tensor of shape (n_samples, n_features)
            The gradient, by the columns in their own units.
        """
        share = self._unusual(x).softmax(1) / self.spread
        pairs = zip(self.members, self.coordinates, strict=True)
        gradients = torch.stack([m.gradient(see(x)) * see.slope(x) for m, see in pairs], 1)
        return (share.unsqueeze(2) * gradients).sum(1)

    def reconstruct(self, x: Tensor) -> Tensor:
        r"""Denoised samples, :math:`\sum_k \mathrm{softmax}_k(u(x))\, z_k^{-1}(r_k(z_k(x)))`.

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
        """Mean of the members' squared reconstruction norms.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Samples of the modality.

        Returns
        -------
        Tensor of shape (n_samples,)
            Errors, in the members' coordinates.
        """
        pairs = zip(self.members, self.coordinates, strict=True)
        errors = [member.gradient(see(x)).square().sum(1) for member, see in pairs]
        return torch.stack(errors).mean(0)

    def forward(self, x: Tensor) -> Tensor:
        """Return :meth:`potential`."""
        return self.potential(x)


def stack_ensembles(ensembles: Sequence[EnergyEnsemble]) -> EnergyEnsemble:
    """Several ensembles as one, for evaluation.

    Parameters
    ----------
    ensembles : sequence of EnergyEnsemble
        Of one :meth:`~EnergyEnsemble.stack_key`, prepared.

    Returns
    -------
    EnergyEnsemble
        Takes samples of shape (n_ensembles, n_samples, n_features), where features beyond those of
        an ensemble may have any finite value, and returns potentials (n_ensembles, n_samples).
    """
    first = ensembles[0]
    views = range(len(first.members))
    width = max(ensemble.coordinates[0].centre.shape[-1] for ensemble in ensembles)
    coordinates = []
    for k in views:
        sees = [ensemble.coordinates[k] for ensemble in ensembles]
        stacked = SoftClip(width, sees[0].limit)
        stacked.centre = torch.stack([_padded(see.centre, width, 0.0) for see in sees])[:, None]
        # padding is divided by infinity: whatever it holds, its coordinate is zero
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
