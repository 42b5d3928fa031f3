r"""Attention gate: convert potential energies to the attention of each sample and modality.

.. math::

    \Psi'_i &= \max(e,\ (\Psi_i - \Psi_{min,i}) / s_i + e) \\
    e_i     &= w_i \Psi'_i + b_i, \qquad w_i \ge 1,\ b_i \ge 0 \\
    e_{ij}  &= w_{ij}\, e_i^{\gamma_{ij}}\, e_j^{1 - \gamma_{ij}}, \qquad
               w_{ij} \in [-1, 1],\ \gamma_{ij} \in [0, 1] \\
    E_i     &= e_i + \sum_{j \ne i} e_{ij} \\
    \alpha  &= \mathrm{softmax}(-\rho E) \\
    \beta_i &= \max(0, \tanh(g_a \alpha_i - b_a)), \qquad g_a > 0,\ b_a \in [0, 1]

with potential :math:`\Psi_i`, self energy :math:`e_i`, shared energy :math:`e_{ij}`, modal energy
:math:`E_i`, importance :math:`\alpha_i` and attention :math:`\beta_i` of modality i. A missing
modality has :math:`\Psi_i = \infty`: its importance is zero, and it does not affect the modal
energies of the others. The symbols are those of Werenne, A. (2019), Energy-based multi-modal
attention, University of Liege.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklearn_emma.nn.evidence_energy import relative_potential
from sklearn_emma.nn.numerics import log_cosh

__all__ = ["EnergyAttention", "GateState"]

_MIN_GAIN = 1e-3


class GateState(NamedTuple):
    """Intermediate and final results of the gate.

    Attributes
    ----------
    modal_energy : Tensor of shape (..., n_samples, n_modalities)
        Modal energy :math:`E_i`, infinite if the modality is missing or the energy overflows.
    log_importance : Tensor of shape (..., n_samples, n_modalities)
        Log importance :math:`\\log \\alpha_i`.
    importance : Tensor of shape (..., n_samples, n_modalities)
        Importance :math:`\\alpha_i`, summing to one over the available modalities.
    attention : Tensor of shape (..., n_samples, n_modalities)
        Attention :math:`\\beta_i` in [0, 1).
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
        Inverse temperature :math:`\rho`. At 0 all modalities have the same importance. At large
        values the modality with the lowest energy has all of it.
    gain : float, optional
        Initial value of :math:`g_a`. None uses ``2 * n_modalities``, so that modalities of equal
        importance (:math:`\alpha_i = 1/M`) have an attention of :math:`\tanh 2 = 0.96`.
    potential_min : Tensor of shape (n_modalities,), optional
        Minimum potential :math:`\Psi_{min,i}`. None uses zeros.
    potential_scale : Tensor of shape (n_modalities,), optional
        Scale :math:`s_i` of the potential. None uses ones.
    potential_max : Tensor of shape (n_modalities,), optional
        Upper limit of the potential :math:`\Psi_j` in the shared energies :math:`e_{ij}` of the
        other modalities. It bounds the effect of a failing modality on the others to what was seen
        in training. None uses infinity, as in the thesis.
    generator : torch.Generator, optional
        Source of the initial coupling weights. None uses the global generator of torch.
    min_slope : float, default=-inf
        Lower bound of :math:`1 + \sum_j \min(w_{ij}, 0)\, \gamma_{ij}`, less than one. This is
        the lowest slope of the modal energy :math:`E_i` in the self energy :math:`e_i` while no
        other self energy is higher. If it is positive, the coupling cannot cancel the self energy.
        If `potential_max` is also finite, the importance of a modality vanishes as its potential
        increases. In the thesis, there is no such bound.

    Raises
    ------
    ValueError
        If `min_slope` is not less than one.

    Notes
    -----
    Call :meth:`project_` after every optimizer step to enforce the constraints of the parameters.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import EnergyAttention
    >>> gate = EnergyAttention(2, generator=torch.Generator().manual_seed(0))
    >>> beta = gate(torch.tensor([[0.0, 0.0], [9.0, 0.0], [torch.inf, 0.0]]))
    >>> bool(beta[0, 0] > beta[1, 0] > beta[2, 0] == 0)
    True
    """

    #: Whether :meth:`state` uses `encoded`.
    reads_embeddings = False
    #: Whether the importance depends on the energies.
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
        min_slope: float = -math.inf,
    ):
        super().__init__()
        if not min_slope < 1.0:
            raise ValueError(f"min_slope={min_slope!r} must be less than one.")
        m = n_modalities
        self.coldness = coldness
        self.min_slope = min_slope
        #: Module that closes all but the most important modalities of a sample, or None.
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
        """Project every parameter onto its constraints, in place."""
        self.self_weight.clamp_(min=1.0)
        self.self_bias.clamp_(min=0.0)
        self.coupling_weight.clamp_(-1.0, 1.0).diagonal(dim1=-2, dim2=-1).zero_()
        self.coupling_degree.clamp_(0.0, 1.0)
        if self.min_slope > -math.inf:
            self._bound_slope_()
        self.gain.clamp_(min=_MIN_GAIN)
        self.bias.clamp_(0.0, 1.0)

    def _bound_slope_(self) -> None:
        """Reduce negative coupling weights, so that no slope is below ``min_slope``."""
        negative, most = self.coupling_weight.clamp(max=0.0), 1.0 - self.min_slope
        reduction = -(negative * self.coupling_degree).sum(-1, keepdim=True)
        excess = 1.0 - most / reduction.clamp(min=most)
        self.coupling_weight.sub_(negative * excess)

    # Private methods have samples on the last axis, where sums over modalities are much faster.

    def self_energy(self, potential: Tensor) -> Tensor:
        """Return the self energy :math:`e_i`, of shape (n_samples, n_modalities)."""
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
        """Return :math:`e_{ij}`, (n_samples, n_modalities, n_modalities) with a zero diagonal."""
        return self._energies(potential.mT)[1].movedim(-1, -3)

    def coupling(self, target: Tensor, source: Tensor) -> Tensor:
        r"""Return the shared energies :math:`e_{ij}`, given self energies.

        Parameters
        ----------
        target : Tensor of shape (..., n_modalities, 1, n_samples)
            Self energy :math:`e_i` of the affected modality.
        source : Tensor of shape (..., 1, n_modalities, n_samples)
            Self energy :math:`e_j` of the affecting modality, with the potential limited to
            ``potential_max``.

        Returns
        -------
        Tensor of shape (..., n_modalities, n_modalities, n_samples)
            Shared energies, with a zero diagonal.
        """
        degree, weight = self.coupling_degree.unsqueeze(-1), self.coupling_weight.unsqueeze(-1)
        return weight * torch.addcmul(degree * target.log(), 1.0 - degree, source.log()).exp()

    def _energies(self, potential: Tensor) -> tuple[Tensor, Tensor]:
        """Return self and shared energies."""
        limited = torch.minimum(potential, self.potential_max.unsqueeze(-1))
        both = self._shifted(torch.stack([potential, limited]))
        energy, source = self._self_energy(both).unbind()
        return energy, self.coupling(energy.unsqueeze(-2), source.unsqueeze(-3))

    def modal_energy(self, potential: Tensor) -> Tensor:
        """Return the modal energy :math:`E_i`, of shape (n_samples, n_modalities)."""
        energy, present = self._modal_energy(potential)
        return energy.masked_fill(~present, math.inf).mT

    def _modal_energy(self, potential: Tensor, kept: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return modal energies, and a mask of the available modalities with finite energy."""
        potential = potential.mT.contiguous()
        present = torch.isfinite(potential)
        minimum = self.potential_min.unsqueeze(-1)
        energy, shared = self._energies(torch.where(present, potential, minimum))
        if kept is not None:
            present = present & kept.mT.contiguous()
        if potential.shape[-2] > 1:
            energy = energy + torch.where(present.unsqueeze(-3), shared, 0.0).sum(-2)
        # modalities whose energy overflows are treated as missing
        return energy, present & torch.isfinite(energy)

    def logits(self, energy: Tensor, present: Tensor, encoded: Tensor | None) -> Tensor:
        r"""Return the log importance up to a constant per sample: :math:`-\rho E_i`.

        Parameters
        ----------
        energy : Tensor of shape (..., n_modalities, n_samples)
            Modal energies :math:`E_i`. The values of missing modalities are arbitrary.
        present : Tensor of bool of shape (..., n_modalities, n_samples)
            Whether each modality is available.
        encoded : Tensor of shape (n_modalities, n_samples, n_units) or None
            Embeddings of the modalities, which this gate does not use.

        Returns
        -------
        Tensor of shape (..., n_modalities, n_samples)
            Logits. The values of missing modalities are arbitrary.
        """
        return -self.coldness * energy

    def state(
        self, potential: Tensor, kept: Tensor | None = None, encoded: Tensor | None = None
    ) -> GateState:
        """Return modal energies, importance and attention.

        Parameters
        ----------
        potential : Tensor of shape (n_samples, n_modalities)
            Potential energies, infinite for missing modalities.
        kept : Tensor of shape (..., n_samples, n_modalities), optional
            False where a modality is treated as missing. Several masks may be passed in the leading
            dimensions, for which the self and shared energies are computed only once.
        encoded : Tensor of shape (n_modalities, n_samples, n_units), optional
            Embeddings of the modalities. Only :class:`SoftmaxAttention` uses them.

        Returns
        -------
        GateState
            Named tensors, each with the shape of `kept`, or of `potential` if `kept` is None.
        """
        energy, present = self._modal_energy(potential, kept)
        absent = ~present
        # a sample without any modality needs finite logits; its importance is set to zero below
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
        """Return the attention :math:`\\beta`, of shape (n_samples, n_modalities)."""
        return self.state(potential, encoded=encoded).attention

    def total_energy(self, potential: Tensor) -> Tensor:
        """Return the total energy :math:`\\sum_i E_i`, a proxy for the uncertainty of a prediction.

        Parameters
        ----------
        potential : Tensor of shape (n_samples, n_modalities)
            Potential energies. For a missing modality the potential is set to ``potential_max``,
            or, if that is infinite, to its minimum plus its scale :math:`s_i`.

        Returns
        -------
        Tensor of shape (n_samples,)
            Total energy.
        """
        typical = self.potential_min + self.potential_scale
        failing = torch.where(torch.isfinite(self.potential_max), self.potential_max, typical)
        present = torch.isfinite(potential)
        return self.modal_energy(torch.where(present, potential, failing)).sum(-1)

    def energy_threshold(self, potential: Tensor) -> Tensor:
        r"""Return the modal energy below which the gate of a modality is open, for each sample.

        .. math:: E_{thr} = (\log(g_a / b_a) - \log Z) / \rho, \qquad Z = \sum_i \exp(-\rho E_i)

        Parameters
        ----------
        potential : Tensor of shape (n_samples, n_modalities)
            Potential energies.

        Returns
        -------
        Tensor of shape (n_samples,)
            Threshold. It is infinite if the bias is zero, as all gates are then open. If the
            coldness is zero, it is infinite if all gates are open, and minus infinity if all are
            closed. It is NaN if the number of open gates is limited (``select``).
        """
        limit: int | None = getattr(self.select, "max_modalities", None)
        if limit is not None and limit < len(self.potential_min):
            return potential.new_full(potential.shape[:-1], math.nan)
        energy, present = self._modal_energy(potential)
        if self.coldness == 0:
            passes = self.gain / present.sum(-2) > self.bias
            return torch.where(passes, math.inf, -math.inf).to(potential.dtype)
        log_z = torch.logsumexp((-self.coldness * energy).masked_fill(~present, -math.inf), -2)
        return (torch.log(self.gain / self.bias) - log_z) / self.coldness

    def capacity(self) -> Tensor:
        r"""Return the capacity of the gate: the mean of :math:`\tanh(g_a \alpha - b_a)`.

        .. math:: \frac{1}{g_a} \log \frac{\cosh(g_a - b_a)}{\cosh b_a}
            = \int_0^1 \tanh(g_a \alpha - b_a)\, d\alpha

        Returns
        -------
        Tensor of shape ()
            Capacity, less than one.
        """
        return (log_cosh(self.gain - self.bias) - log_cosh(self.bias)) / self.gain


def _full(shape: tuple[int, ...], value: float) -> Tensor:
    """Return a constant float32 tensor, whatever the default dtype of torch is."""
    return torch.full(shape, float(value), dtype=torch.float32)
