r"""From potential energies to an attention gate per sample and modality.

.. math::

    \Psi'_i &= \max(e,\ (\Psi_i - \Psi_{min,i}) / s_i + e) \\
    e_i     &= w_i \Psi'_i + b_i, \qquad w_i \ge 1,\ b_i \ge 0 \\
    e_{ij}  &= w_{ij}\, e_i^{\gamma_{ij}}\, e_j^{1 - \gamma_{ij}}, \qquad
               w_{ij} \in [-1, 1],\ \gamma_{ij} \in [0, 1] \\
    E_i     &= e_i + \sum_{j \ne i} e_{ij} \\
    \alpha  &= \mathrm{softmax}(-\rho E) \\
    \beta_i &= \max(0, \tanh(g_a \alpha_i - b_a)), \qquad g_a > 0,\ b_a \in [0, 1]

A missing modality has :math:`\Psi_i = \infty`: it takes no importance and leaves the modal energies
of the others alone. Symbols as in Werenne, A. (2019), Energy-based multi-modal attention,
University of Liege.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklearn_emma.nn.evidence_price import relative_potential
from sklearn_emma.nn.numerics import log_cosh

__all__ = ["EnergyAttention", "GateState"]

_MIN_GAIN = 1e-3


class GateState(NamedTuple):
    """Everything the gate computes on the way from energies to attention.

    Attributes
    ----------
    modal_energy : Tensor of shape (..., n_samples, n_modalities)
        :math:`E_i`, infinite where the modality is missing or the energy is beyond all numbers.
    log_importance : Tensor of shape (..., n_samples, n_modalities)
        :math:`\\log \\alpha_i`.
    importance : Tensor of shape (..., n_samples, n_modalities)
        :math:`\\alpha_i`, summing to one over the modalities that are there.
    attention : Tensor of shape (..., n_samples, n_modalities)
        :math:`\\beta_i` in [0, 1).
    """

    modal_energy: Tensor
    log_importance: Tensor
    importance: Tensor
    attention: Tensor


class EnergyAttention(nn.Module):
    r"""Attention gate driven by the potential energies of the modalities.

    Parameters
    ----------
    n_modalities : int
        Number of modalities M.
    coldness : float, default=1.0
        Inverse temperature :math:`\rho`: 0 gives every modality the same importance, large values
        give all of it to the modality of lowest energy.
    gain : float, optional
        Start value of :math:`g_a`. None takes ``2 * n_modalities``, so that a sample whose
        modalities are all alike (:math:`\alpha_i = 1/M`) passes at :math:`\tanh 2 = 0.96`.
    potential_min : Tensor of shape (n_modalities,), optional
        :math:`\Psi_{min,i}`; zeros by default.
    potential_scale : Tensor of shape (n_modalities,), optional
        :math:`s_i`; ones by default.
    potential_max : Tensor of shape (n_modalities,), optional
        Largest potential :math:`\Psi_j` with which a modality acts on the others through
        :math:`e_{ij}`: beyond what training showed, a failing modality says no more about the
        others. Infinite by default, which is the thesis' gate.
    generator : torch.Generator, optional
        Source of the initial coupling weights. None takes torch's global generator.

    Notes
    -----
    Call :meth:`project_` after every optimizer step: it puts the parameters back within their
    constraints.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import EnergyAttention
    >>> gate = EnergyAttention(2, generator=torch.Generator().manual_seed(0))
    >>> beta = gate(torch.tensor([[0.0, 0.0], [9.0, 0.0], [torch.inf, 0.0]]))
    >>> bool(beta[0, 0] > beta[1, 0] > beta[2, 0] == 0)
    True
    """

    #: Whether :meth:`state` reads `encoded`.
    reads_embeddings = False
    #: Whether the energies decide on the importance.
    reads_energies = True

    potential_min: Tensor
    potential_scale: Tensor
    potential_max: Tensor

    def __init__(
        self,
        n_modalities: int,
        coldness: float = 1.0,
        gain: float | None = None,
        potential_min: Tensor | None = None,
        potential_scale: Tensor | None = None,
        potential_max: Tensor | None = None,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        m = n_modalities
        self.coldness = coldness
        #: Lets only some modalities of a sample pass; None lets all.
        self.select: nn.Module | None = None
        constants = {
            "potential_min": (potential_min, 0.0),
            "potential_scale": (potential_scale, 1.0),
            "potential_max": (potential_max, math.inf),
        }
        for name, (given, default) in constants.items():
            self.register_buffer(name, _full((m,), default) if given is None else given)
        self.self_weight = nn.Parameter(_full((m,), 1.0))
        self.self_bias = nn.Parameter(_full((m,), 0.0))
        bound = 1.0 / max(m - 1, 1)
        coupling = (2.0 * torch.rand(m, m, generator=generator, dtype=torch.float32) - 1.0) * bound
        self.coupling_weight = nn.Parameter(coupling.fill_diagonal_(0.0))
        self.coupling_degree = nn.Parameter(_full((m, m), 0.5))
        self.gain = nn.Parameter(_full((), 2.0 * m if gain is None else gain))
        self.bias = nn.Parameter(_full((), 0.0))

    @torch.no_grad()
    def project_(self) -> None:
        """Put every parameter back within its constraints, in place."""
        self.self_weight.clamp_(min=1.0)
        self.self_bias.clamp_(min=0.0)
        self.coupling_weight.clamp_(-1.0, 1.0).diagonal(dim1=-2, dim2=-1).zero_()
        self.coupling_degree.clamp_(0.0, 1.0)
        self.gain.clamp_(min=_MIN_GAIN)
        self.bias.clamp_(0.0, 1.0)

    # Inside, samples come last: sums over modalities are then much faster.

    def self_energy(self, potential: Tensor) -> Tensor:
        """:math:`e_i`, of the shape of ``potential`` (n_samples, n_modalities)."""
        return self._self_energy(self._shifted(potential.mT)).mT

    def _shifted(self, potential: Tensor) -> Tensor:
        """Return :math:`\\Psi'_i`."""
        minimum, scale = self.potential_min.unsqueeze(-1), self.potential_scale.unsqueeze(-1)
        return (relative_potential(potential, minimum, scale) + math.e).clamp(min=math.e)

    def _self_energy(self, shifted: Tensor) -> Tensor:
        """Return :math:`e_i`."""
        weight, bias = self.self_weight.unsqueeze(-1), self.self_bias.unsqueeze(-1)
        return torch.addcmul(bias, weight, shifted)

    def shared_energy(self, potential: Tensor) -> Tensor:
        """:math:`e_{ij}`, of shape (n_samples, n_modalities, n_modalities) with a zero diagonal."""
        return self._energies(potential.mT)[1].movedim(-1, -3)

    def coupling(self, target: Tensor, source: Tensor) -> Tensor:
        r""":math:`e_{ij}` from self energies, samples last.

        Parameters
        ----------
        target : Tensor of shape (..., n_modalities, 1, n_samples)
            :math:`e_i` of the modality that is acted on.
        source : Tensor of shape (..., 1, n_modalities, n_samples)
            :math:`e_j` of the one that acts, of no more than ``potential_max``.

        Returns
        -------
        Tensor of shape (..., n_modalities, n_modalities, n_samples)
            The shared energies, with a zero diagonal.
        """
        degree, weight = self.coupling_degree.unsqueeze(-1), self.coupling_weight.unsqueeze(-1)
        return weight * torch.addcmul(degree * target.log(), 1.0 - degree, source.log()).exp()

    def _energies(self, potential: Tensor) -> tuple[Tensor, Tensor]:
        """Return self and shared energies."""
        shifted = self._shifted(potential)
        limited = torch.minimum(shifted, self._shifted(self.potential_max.unsqueeze(-1)))
        energy, source = self._self_energy(torch.stack([shifted, limited])).unbind()
        return energy, self.coupling(energy.unsqueeze(-2), source.unsqueeze(-3))

    def modal_energy(self, potential: Tensor) -> Tensor:
        """:math:`E_i`, of the shape of ``potential`` (n_samples, n_modalities)."""
        energy, present = self._modal_energy(potential)
        return energy.masked_fill(~present, math.inf).mT

    def _modal_energy(self, potential: Tensor, kept: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return modal energies and what is there."""
        potential = potential.mT.contiguous()
        present = torch.isfinite(potential)
        minimum = self.potential_min.unsqueeze(-1)
        energy, shared = self._energies(torch.where(present, potential, minimum))
        if kept is not None:
            present = present & kept.mT.contiguous()
        if potential.shape[-2] > 1:
            energy = energy + torch.where(present.unsqueeze(-3), shared, 0.0).sum(-2)
        # overflowing ones are as good as missing
        return energy, present & torch.isfinite(energy)

    def logits(self, energy: Tensor, present: Tensor, encoded: Tensor | None) -> Tensor:
        r"""Log importance up to a constant per sample: :math:`-\rho E_i`.

        Parameters
        ----------
        energy : Tensor of shape (..., n_modalities, n_samples)
            Modal energies :math:`E_i`; any number where the modality is not there.
        present : Tensor of bool of shape (..., n_modalities, n_samples)
            Whether it is there.
        encoded : Tensor of shape (n_modalities, n_samples, n_units) or None
            Embeddings of the modalities.

        Returns
        -------
        Tensor of shape (..., n_modalities, n_samples)
            The logits; any where the modality is not there.
        """
        return -self.coldness * energy

    def state(
        self, potential: Tensor, kept: Tensor | None = None, encoded: Tensor | None = None
    ) -> GateState:
        """Modal energies, importance and attention.

        Parameters
        ----------
        potential : Tensor of shape (n_samples, n_modalities)
            Potential energies; infinite where a modality is missing.
        kept : Tensor of shape (..., n_samples, n_modalities), optional
            False where a modality is to be taken for missing. What does not depend on it is
            computed once for all leading dimensions.
        encoded : Tensor of shape (n_modalities, n_samples, n_units), optional
            What the predictor's ``encode`` returned. This gate does without;
            :class:`SoftmaxAttention` needs it.

        Returns
        -------
        GateState
            Named tensors, each of the shape of `kept`, by default of `potential`.
        """
        energy, present = self._modal_energy(potential, kept)
        absent = ~present
        # a sample without any modality needs finite logits; it loses its importance below
        closed = absent & present.any(-2, keepdim=True)
        logits = self.logits(energy, present, encoded)
        logits = logits.masked_fill(absent, 0.0).masked_fill(closed, -math.inf)
        log_importance = F.log_softmax(logits, -2)
        importance = log_importance.exp() * present
        attention = torch.tanh(self.gain * importance - self.bias).clamp(min=0.0)
        if self.select is not None:
            attention = self.select(log_importance.mT, attention.mT).mT
        modal_energy = energy.masked_fill(absent, math.inf)
        return GateState(*(x.mT for x in (modal_energy, log_importance, importance, attention)))

    def forward(self, potential: Tensor, encoded: Tensor | None = None) -> Tensor:
        """Attention :math:`\\beta`, of the shape of ``potential`` (n_samples, n_modalities)."""
        return self.state(potential, encoded=encoded).attention

    def total_energy(self, potential: Tensor) -> Tensor:
        """:math:`\\sum_i E_i`, a proxy for the uncertainty of the prediction.

        Parameters
        ----------
        potential : Tensor of shape (n_samples, n_modalities)
            Potential energies. A missing modality counts like one at ``potential_max``, or where
            that is infinite, like one a scale :math:`s_i` above its minimum.

        Returns
        -------
        Tensor of shape (n_samples,)
            The total energy.
        """
        typical = self.potential_min + self.potential_scale
        failing = torch.where(torch.isfinite(self.potential_max), self.potential_max, typical)
        present = torch.isfinite(potential)
        return self.modal_energy(torch.where(present, potential, failing)).sum(-1)

    def energy_threshold(self, potential: Tensor) -> Tensor:
        r"""Modal energy below which a modality of this sample passes the gate.

        .. math:: E_{thr} = (\log(g_a / b_a) - \log Z) / \rho, \qquad Z = \sum_i \exp(-\rho E_i)

        Parameters
        ----------
        potential : Tensor of shape (n_samples, n_modalities)
            Potential energies.

        Returns
        -------
        Tensor of shape (n_samples,)
            The threshold; infinite where the bias is zero and everything passes. At a coldness of
            zero all modalities pass or none, and it is infinite or minus infinite.
        """
        energy, present = self._modal_energy(potential)
        if self.coldness == 0:
            passes = self.gain / present.sum(-2) > self.bias
            return torch.where(passes, math.inf, -math.inf).to(potential.dtype)
        log_z = torch.logsumexp((-self.coldness * energy).masked_fill(~present, -math.inf), -2)
        return (torch.log(self.gain / self.bias) - log_z) / self.coldness

    def capacity(self) -> Tensor:
        r"""How much the gate lets through: the area under it over all importances.

        .. math:: \frac{1}{g_a} \log \frac{\cosh(g_a - b_a)}{\cosh b_a}
            = \int_0^1 \tanh(g_a \alpha - b_a)\, d\alpha

        Returns
        -------
        Tensor of shape ()
            The capacity, below one.
        """
        return (log_cosh(self.gain - self.bias) - log_cosh(self.bias)) / self.gain


def _full(shape: tuple[int, ...], value: float) -> Tensor:
    """Return a tensor of one value in float32, whatever torch's default dtype is."""
    return torch.full(shape, float(value), dtype=torch.float32)
