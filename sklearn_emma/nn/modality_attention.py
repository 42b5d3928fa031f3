r"""Attention across modalities, with the gate as an exogenous factor.

.. math::

    A^h_{ji} = \frac{\beta_i \exp(s^h_{ji})}{e^{c_h} + \sum_l \beta_l \exp(s^h_{jl})}, \qquad
    s^h_{ji} = q^h_j \cdot k^h_i / \sqrt{d_h}, \qquad
    u_j = z_j + W_O \Bigl[\sum_i A^1_{ji} v^1_i, \sum_i A^2_{ji} v^2_i\Bigr]

Tokens are the embeddings z of the modalities (:mod:`sklearn_emma.nn.multi_head`). The gate
:math:`\beta_i` of a modality, which comes from outside, from its energy, enters as
:math:`\log \beta_i` in the logits of its key. So no modality reads a closed one, exactly, and
while a gate closes, its modality fades without a jump. What is left when all fade is the sink
:math:`e^{c_h}` [1]_, a key whose value is zero: where a single modality is hardly open, it is
hardly read.

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
    """Lets the modalities of a sample read each other, as far as their gates are open.

    Parameters
    ----------
    n_units : int
        Size of an embedding. There are two heads, or one if it is odd.
    generator : torch.Generator, optional
        Source of the initial weights. None takes torch's global generator.

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
        #: :math:`c_h`
        self.sink_bias = nn.Parameter(torch.zeros(1, self.n_heads, 1, 1, dtype=torch.float32))

    def forward(self, tokens: Tensor, attention: Tensor) -> Tensor:  # type: ignore[override]
        """Let modalities read each other.

        Parameters
        ----------
        tokens : Tensor of shape (..., n_modalities, n_samples, n_units)
            z.
        attention : Tensor of shape (..., n_samples, n_modalities)
            The gate, or several.

        Returns
        -------
        Tensor of shape (..., n_modalities, n_samples, n_units)
            u.
        """
        scores, value = self.scores_and_values(tokens)
        return tokens + self.mix_heads(self.weights(scores, attention) @ value)

    def weights(self, scores: Tensor, attention: Tensor) -> Tensor:
        """Return what modalities pay to each other.

        Parameters
        ----------
        scores : Tensor of shape (..., n_samples, n_heads, n_modalities, n_modalities)
            s.
        attention : Tensor of shape (..., n_samples, n_modalities)
            The gate, or several.

        Returns
        -------
        Tensor of shape (..., n_samples, n_heads, n_modalities, n_modalities)
            A: zero in the column of a modality that is closed.
        """
        # a logarithm would have infinite gradients where a gate is closed; as a factor it has none
        beta = attention.unsqueeze(-2).unsqueeze(-2)
        scores = torch.where(beta > 0, scores, -math.inf)
        top = torch.maximum(scores.amax(-1, keepdim=True), self.sink_bias).detach()
        mass = beta * torch.exp(scores - top)
        return mass / (mass.sum(-1, keepdim=True) + torch.exp(self.sink_bias - top))
