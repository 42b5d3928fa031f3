r"""A gate that goes by scores of the modalities' embeddings, with or without their energies.

.. math::

    \alpha  &= \mathrm{softmax}(s - \rho E) \quad \text{or} \quad \mathrm{softmax}(s) \\
    \beta_i &= \max(0, \tanh(g_a \alpha_i - b_a))

with the scores :math:`s_i` of :mod:`sklearn_emma.nn.attention_scores`, and the modal energies and
the last step of :mod:`sklearn_emma.nn.attention`. With scores of zero the first is the gate of the
energies. The attention of the literature weighs by :math:`\alpha` itself, which sums to one; the
last step lets modalities that are alike all pass (:math:`\alpha_i = 1/M` gives
:math:`\tanh 2 = 0.96` at the start), and is the same for every gate, so that gates can be compared.
"""

from typing import Any

from torch import Tensor, nn

from sklearn_emma.nn.attention import EnergyAttention

__all__ = ["SoftmaxAttention"]


class SoftmaxAttention(EnergyAttention):
    r"""Attention gate driven by scores of embeddings, and by energies if the score says so.

    Parameters
    ----------
    n_modalities : int
        Number of modalities M.
    score : torch.nn.Module
        Takes embeddings of shape (n_modalities, n_samples, n_units) and which modalities are there,
        of shape (..., n_samples, n_modalities), and returns scores of the latter's shape, such as
        an :class:`AttentionScore`. Its attribute ``with_energy``, true where it has none, says
        whether energies count too. If not, the gate has no coupling, and :meth:`modal_energy` is
        the energy of a gate at its start.
    **params : dict
        Other parameters of :class:`EnergyAttention`.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import DotScore, EnergyAttention, SoftmaxAttention
    >>> keys = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]], [[-1.0, 0.0]]])
    >>> gate = SoftmaxAttention(3, DotScore(3, 2, with_energy=False))
    >>> beta = gate(torch.zeros(1, 3), keys)  # the last one is unlike the mean
    >>> bool(beta[0, 0] == beta[0, 1] > beta[0, 2])
    True
    >>> gate(torch.tensor([[torch.inf, 0.0, 0.0]]), keys)[0, 0].item()
    0.0
    """

    reads_embeddings = True

    def __init__(self, n_modalities: int, score: nn.Module, **params: Any):
        super().__init__(n_modalities, **params)
        self.score = score
        if not self.reads_energies:
            self.coupling_weight.data.zero_()
            of_energies = "self_weight", "self_bias", "coupling_weight", "coupling_degree"
            for name in of_energies:
                self.get_parameter(name).requires_grad_(False)

    @property
    def reads_energies(self) -> bool:  # type: ignore[override]
        """Whether the energies decide on the importance too."""
        return bool(getattr(self.score, "with_energy", True))

    def logits(self, energy: Tensor, present: Tensor, encoded: Tensor | None) -> Tensor:
        r"""Log importance up to a constant per sample: :math:`s_i - \rho E_i`, or :math:`s_i`.

        Parameters
        ----------
        energy, present, encoded : Tensor
            As for :meth:`EnergyAttention.logits`.

        Returns
        -------
        Tensor of shape (..., n_modalities, n_samples)
            The logits.

        Raises
        ------
        ValueError
            If there are no embeddings.
        """
        if encoded is None:
            raise ValueError(
                "SoftmaxAttention scores embeddings: pass encoded, which the predictor's encode "
                "returned."
            )
        scores = self.score(encoded.to(energy.dtype), present.mT).mT
        return scores + super().logits(energy, present, None) if self.reads_energies else scores

    def energy_threshold(self, potential: Tensor) -> Tensor:
        """NaN: where scores decide too, there is no energy below which all modalities pass.

        Parameters
        ----------
        potential : Tensor of shape (n_samples, n_modalities)
            Potential energies.

        Returns
        -------
        Tensor of shape (n_samples,)
            NaN.
        """
        return potential.new_full(potential.shape[:-1], float("nan"))
