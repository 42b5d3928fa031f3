r"""Attention gate by scores of embeddings, with or without energies.

.. math::

    \alpha  &= \mathrm{softmax}(s - \rho E) \quad \text{or} \quad \mathrm{softmax}(s) \\
    \beta_i &= \max(0, \tanh(g_a \alpha_i - b_a))

with the scores :math:`s_i` of :mod:`sklearn_emma.nn.attention_scores`, and the modal energies and
the last step of :mod:`sklearn_emma.nn.attention`. If all scores are zero, the first variant is the
energy gate. In the literature, the weights of attention are :math:`\alpha` itself, which sums to
one. The last step opens the gates of all modalities if they have the same importance
(:math:`\alpha_i = 1/M` gives :math:`\tanh 2 = 0.96` initially). It is the same for all gates of
this package, so that they can be compared.
"""

from typing import Any

from torch import Tensor, nn

from sklearn_emma.nn.attention import EnergyAttention

__all__ = ["SoftmaxAttention"]


class SoftmaxAttention(EnergyAttention):
    r"""Attention gate driven by scores of embeddings, and optionally by energies.

    Parameters
    ----------
    n_modalities : int
        Number of modalities M.
    score : torch.nn.Module
        Module such as an :class:`AttentionScore`. It takes embeddings of shape
        (n_modalities, n_samples, n_units) and a mask of available modalities of shape
        (..., n_samples, n_modalities), and returns scores with the shape of the mask. Its attribute
        ``with_energy`` (True if it has none) tells whether the importance also depends on energies.
        If not, the gate has no coupling, its energy parameters are not trained, and
        :meth:`modal_energy` returns the energy of an untrained gate.
    **params : dict
        Other parameters of :class:`EnergyAttention`.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import DotScore, EnergyAttention, SoftmaxAttention
    >>> keys = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]], [[-1.0, 0.0]]])
    >>> gate = SoftmaxAttention(3, DotScore(3, 2, with_energy=False))
    >>> beta = gate(torch.zeros(1, 3), keys)  # the last key differs from the mean
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
        """Whether the importance also depends on the energies."""
        return bool(getattr(self.score, "with_energy", True))

    def logits(self, energy: Tensor, present: Tensor, encoded: Tensor | None) -> Tensor:
        r"""Return the log importance up to a constant: :math:`s_i - \rho E_i`, or :math:`s_i`.

        Parameters
        ----------
        energy, present, encoded : Tensor
            Parameters of :meth:`EnergyAttention.logits`. The embeddings `encoded` are required.

        Returns
        -------
        Tensor of shape (..., n_modalities, n_samples)
            Logits.

        Raises
        ------
        ValueError
            If `encoded` is None.
        """
        if encoded is None:
            raise ValueError(
                "SoftmaxAttention scores embeddings: pass encoded, which the predictor's encode "
                "returned."
            )
        scores = self.score(encoded.to(energy.dtype), present.mT).mT
        return scores + super().logits(energy, present, None) if self.reads_energies else scores

    def energy_threshold(self, potential: Tensor) -> Tensor:
        """Return NaN, because the gates do not depend on energies alone.

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
