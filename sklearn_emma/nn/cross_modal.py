r"""Cross-modal energy: how well a modality fits the other modalities of its sample.

.. math::

    c_{ij} &= \frac{z_i \cdot z_j}{\sqrt{K}} + b_{ij} + b_{ji} \approx
        \log \frac{p(x_i, x_j)}{p(x_i)\, p(x_j)}, \qquad z_i = \mathrm{encoder}_i(x_i) \\
    A_i &= -\frac{\sum_{j \ne i} v_j\, c_{ij}}{\max(1, \sum_{j \ne i} v_j)}, \qquad
        v_j = \exp\left(-\max(0, (\Psi_j - \Psi_{min,j}) / s_j) - \max(0, A_j) + \kappa\right) \\
    \Psi_i &\leftarrow \Psi_i + 3 s_i \max(0, A_i)

The potential of a single modality cannot detect values that are plausible but belong to another
sample. The log ratios :math:`c_{ij}`, the pointwise mutual information in nats, can. They are
learned by a classifier that distinguishes samples of the table from samples whose modalities were
shuffled (noise-contrastive estimation, Gutmann, M. and Hyvärinen, A. (2010), AISTATS). :math:`A_i`
is the disagreement of modality i with the others. :math:`v_j` is the weight of modality j: close to
zero if its own potential is high, and small if it disagrees with the others. The constant
:math:`\kappa` normalizes the weights of a sample: the largest weight is that of the modality with
the lowest relative potential, without disagreement. :math:`A_i` and :math:`v_j` depend on each
other. They are computed by fixed-point iteration.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sklearn_emma.nn.coordinates import SoftClip
from sklearn_emma.nn.encoders import Encoders
from sklearn_emma.nn.evidence_energy import potential_of_evidence, relative_potential

__all__ = ["CrossModalEnergy"]

# Values of more than this many standard deviations are compressed before they are encoded.
_LIMIT = 4.0
_N_ROUNDS = 3


class CrossModalEnergy(nn.Module):
    r"""Pairwise log density ratios of the modalities, and the energies computed from them.

    Parameters
    ----------
    n_features : sequence of int
        Number of columns of each modality.
    encoder_sizes : sequence of int, default=(64, 32)
        Number of units of each layer of an encoder. The last one is the size K of an embedding.
    bound : float, default=inf
        Largest absolute log ratio in :meth:`disagreement`. As N training samples cannot justify
        ratios larger than N, log N is a good choice.
    generator : torch.Generator, optional
        Source of the initial weights. None uses the global generator of torch.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import CrossModalEnergy
    >>> generator = torch.Generator().manual_seed(0)
    >>> cross_modal = CrossModalEnergy([4, 2, 3], generator=generator)
    >>> samples = [torch.zeros(5, 4), torch.zeros(5, 2), torch.zeros(5, 3)]
    >>> cross_modal.log_ratios(samples).shape
    torch.Size([5, 3, 3])
    """

    bound: Tensor
    diagonal: Tensor

    def __init__(
        self,
        n_features: Sequence[int],
        encoder_sizes: Sequence[int] = (64, 32),
        bound: float = math.inf,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        m = len(n_features)
        self.n_features = list(n_features)
        self.soften = SoftClip(sum(n_features), limit=_LIMIT)
        self.encoders = Encoders(n_features, encoder_sizes, generator=generator)
        self.pair_bias = nn.Parameter(torch.zeros(m, m, dtype=torch.float32))
        self.register_buffer("bound", torch.tensor(float(bound), dtype=torch.float32))
        self.register_buffer("diagonal", torch.eye(m, dtype=torch.bool), persistent=False)

    def encode(self, modalities: Sequence[Tensor]) -> Tensor:
        """Return the embedding of every modality.

        Parameters
        ----------
        modalities : sequence of Tensor of shape (n_samples, n_features)
            Standardized samples without missing values, one tensor per modality.

        Returns
        -------
        Tensor of shape (n_samples, n_modalities, K)
            Embeddings z.
        """
        soft = self.soften(torch.cat(list(modalities), 1)).split(self.n_features, 1)
        return self.encoders(soft).transpose(0, 1)

    @torch.no_grad()
    def scale_(self, factor: float) -> "CrossModalEnergy":
        """Multiply all log ratios by a factor, in place.

        Parameters
        ----------
        factor : float
            Factor, not negative.

        Returns
        -------
        CrossModalEnergy
            The module.
        """
        if factor != 1.0:
            for encoder in self.encoders.stacks:
                for parameter in encoder.weights[-1], encoder.biases[-1]:
                    parameter.mul_(math.sqrt(factor))
            self.pair_bias.mul_(factor)
        return self

    def pair_log_ratios(self, embeddings: Tensor) -> Tensor:
        """Return the log ratios of embeddings, which may come from different samples.

        Parameters
        ----------
        embeddings : Tensor of shape (n_samples, n_modalities, K)
            Embeddings z.

        Returns
        -------
        Tensor of shape (n_samples, n_modalities, n_modalities)
            Log ratios in nats, as symmetric matrices with a zero diagonal.
        """
        scaled = embeddings / math.sqrt(embeddings.shape[2])
        ratios = torch.baddbmm(self.pair_bias + self.pair_bias.T, scaled, embeddings.mT)
        return ratios.masked_fill_(self.diagonal, 0.0)

    def log_ratios(self, modalities: Sequence[Tensor]) -> Tensor:
        r"""Return the log ratios :math:`c_{ij}` of samples.

        Parameters
        ----------
        modalities : sequence of Tensor of shape (n_samples, n_features)
            Standardized samples without missing values, one tensor per modality.

        Returns
        -------
        Tensor of shape (n_samples, n_modalities, n_modalities)
            Log ratios in nats, positive if two modalities fit together. The diagonal is zero.
        """
        return self.pair_log_ratios(self.encode(modalities))

    def disagreement(self, modalities: Sequence[Tensor], trust: Tensor) -> Tensor:
        r"""Return the disagreement :math:`A_i` of each modality with the others.

        Parameters
        ----------
        modalities : sequence of Tensor of shape (n_samples, n_features)
            Standardized samples without missing values, one tensor per modality.
        trust : Tensor of shape (n_samples, n_modalities)
            Weight of each modality by its own potential, from 0 to 1, and 0 if it is missing. Its
            dtype may differ from that of the modalities.

        Returns
        -------
        Tensor of shape (n_samples, n_modalities)
            Disagreement in nats, with the dtype of `trust`.
        """
        ratios = self.log_ratios(modalities).clamp(-self.bound, self.bound).to(trust.dtype)
        most = trust.amax(1, keepdim=True)
        agreement = _weighted_mean(ratios, trust)
        for _ in range(_N_ROUNDS - 1):
            weight = trust * torch.exp(agreement.clamp(max=0.0))
            weight = weight * most / weight.amax(1, keepdim=True).clamp(min=1e-30)
            agreement = _weighted_mean(ratios, weight)
        return -agreement

    def energy(
        self, modalities: Sequence[Tensor], potential: Tensor, minimum: Tensor, scale: Tensor
    ) -> Tensor:
        r"""Return the potential energy that is added by the disagreement of the modalities.

        Parameters
        ----------
        modalities : sequence of Tensor of shape (n_samples, n_features)
            Standardized samples without missing values, one tensor per modality.
        potential : Tensor of shape (n_samples, n_modalities)
            Own potential of each modality, infinite if it is missing.
        minimum, scale : Tensor of shape (n_modalities,)
            Minimum :math:`\Psi_{min,i}` and scale :math:`s_i` of the potential in the gate.

        Returns
        -------
        Tensor of shape (n_samples, n_modalities)
            Added potential :math:`3 s_i \max(0, A_i)`.
        """
        trust = torch.exp(-relative_potential(potential, minimum, scale).clamp(min=0.0))
        return potential_of_evidence(self.disagreement(modalities, trust).clamp(min=0.0), scale)

    def forward(
        self, modalities: Sequence[Tensor], potential: Tensor, minimum: Tensor, scale: Tensor
    ) -> Tensor:
        """Return the potentials including the cross-modal energy.

        Parameters
        ----------
        modalities, potential, minimum, scale : objects
            Parameters of :meth:`energy`.

        Returns
        -------
        Tensor of shape (n_samples, n_modalities)
            Potentials ``potential + energy(...)``, which are never lower than `potential`.
        """
        return potential + self.energy(modalities, potential, minimum, scale)


def _weighted_mean(ratios: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean log ratio of each modality with the others."""
    others = weight.sum(1, keepdim=True) - weight
    return (ratios @ weight.unsqueeze(2)).squeeze(2) / others.clamp(min=1.0)
