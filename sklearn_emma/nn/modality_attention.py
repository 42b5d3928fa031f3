r"""Attention across modalities, in which closed modalities are ignored.

.. math::

    A^h_{ji} = \frac{\beta_i \exp(s^h_{ji})}{e^{c_h} + \sum_l \beta_l \exp(s^h_{jl})}, \qquad
    s^h_{ji} = q^h_j \cdot k^h_i / \sqrt{d_h}, \qquad
    u_j = z_j + W_O \Bigl[\sum_i A^1_{ji} v^1_i, \dots, \sum_i A^H_{ji} v^H_i\Bigr]

The tokens are the embeddings z of the modalities (:mod:`sklearn_emma.nn.multi_head`). The gate
:math:`\beta_i` of a modality, which is computed from its energy, is an exogenous factor: it adds
:math:`\log \beta_i` to the logits of its key. Therefore the attention to a closed modality is
exactly zero, and the attention changes continuously while a gate closes. The attention sink
:math:`e^{c_h}` [1]_ is an additional key whose value is zero. It receives the attention if all
gates are almost closed.

References
----------
.. [1] Xiao, G., Tian, Y., Chen, B., Han, S. and Lewis, M. (2024). Efficient streaming language
   models with attention sinks. ICLR.
"""

import math

import torch
from torch import Tensor, nn

from sklearn_emma.nn.multi_head import MultiHeadAttention

__all__ = ["ModalityAttention"]


class ModalityAttention(MultiHeadAttention):
    """Multi-head attention of the modalities of a sample to each other, weighted by their gates.

    Parameters
    ----------
    n_units : int
        Size of an embedding. There are two heads if it is even, else one.
    generator : torch.Generator, optional
        Source of the initial weights. None uses the global generator of torch.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import ModalityAttention
    >>> attend = ModalityAttention(8)
    >>> z, beta = torch.randn(3, 1, 8), torch.tensor([[1.0, 0.5, 0.0]])
    >>> u = attend(z, beta)
    >>> z[2] += 1.0  # the third modality is closed
    >>> bool((attend(z, beta)[:2] == u[:2]).all())
    True
    """

    def __init__(self, n_units: int, generator: torch.Generator | None = None):
        super().__init__(n_units, generator)
        #: Logit :math:`c_h` of the attention sink.
        self.sink_bias = nn.Parameter(torch.zeros(1, self.n_heads, 1, 1, dtype=torch.float32))

    def forward(self, tokens: Tensor, attention: Tensor) -> Tensor:  # type: ignore[override]
        """Apply the attention across modalities.

        Parameters
        ----------
        tokens : Tensor of shape (..., n_modalities, n_samples, n_units)
            Embeddings z of the modalities.
        attention : Tensor of shape (..., n_samples, n_modalities)
            Attention :math:`\\beta` of one or several gates.

        Returns
        -------
        Tensor of shape (..., n_modalities, n_samples, n_units)
            New embeddings u of the modalities.
        """
        scores, value = self.scores_and_values(tokens)
        return tokens + self.mix_heads(self.weights(scores, attention) @ value)

    def weights(self, scores: Tensor, attention: Tensor) -> Tensor:
        """Return the attention weights A of each modality (row) to each modality (column).

        Parameters
        ----------
        scores : Tensor of shape (..., n_samples, n_heads, n_modalities, n_modalities)
            Scores s.
        attention : Tensor of shape (..., n_samples, n_modalities)
            Attention :math:`\\beta` of one or several gates.

        Returns
        -------
        Tensor of shape (..., n_samples, n_heads, n_modalities, n_modalities)
            Attention weights A. The columns of closed modalities are zero.
        """
        # the gate is a factor, because its logarithm has infinite gradients if the gate is closed
        beta = attention.unsqueeze(-2).unsqueeze(-2)
        scores = torch.where(beta > 0, scores, -math.inf)
        top = torch.maximum(scores.amax(-1, keepdim=True), self.sink_bias).detach()
        mass = beta * torch.exp(scores - top)
        return mass / (mass.sum(-1, keepdim=True) + torch.exp(self.sink_bias - top))
