r"""Multi-head self-attention among the tokens of a sample, such as columns or modalities [1]_.

.. math::

    t' = t + W_O\, [\, A^1 V^1, \dots, A^H V^H ], \qquad
        A^h = \mathrm{softmax}\bigl(Q^h {K^h}^T / \sqrt{d_h}\bigr)

with queries Q, keys K and values V, which are linear maps of the normalized tokens :math:`\bar t`.

References
----------
.. [1] Vaswani, A. et al. (2017). Attention is all you need. NeurIPS.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklearn_emma.nn.encoders import Perceptron

# Number of heads, if the size of a token is divisible by it.
_N_HEADS = 2


def normalize(tokens: Tensor) -> Tensor:
    r"""Normalize each token to mean 0 and variance 1 (layer normalization): :math:`\bar t`.

    Parameters
    ----------
    tokens : Tensor of shape (..., n_units)
        Tokens.

    Returns
    -------
    Tensor of shape (..., n_units)
        Normalized tokens. There is no trainable scale, as a linear map follows.
    """
    return F.layer_norm(tokens, tokens.shape[-1:])


class MultiHeadAttention(nn.Module):
    """Multi-head self-attention among the tokens of a sample, with a residual connection.

    Parameters
    ----------
    n_units : int
        Size of a token. There are two heads if it is even, else one.
    generator : torch.Generator, optional
        Source of the initial weights. None uses the global generator of torch.
    """

    def __init__(self, n_units: int, generator: torch.Generator | None = None):
        super().__init__()
        self.n_heads = math.gcd(_N_HEADS, n_units)
        self.project = Perceptron([n_units, 3 * n_units], generator=generator)
        self.mix = Perceptron([n_units, n_units], generator=generator)

    def forward(self, tokens: Tensor) -> Tensor:
        """Apply self-attention to the tokens.

        Parameters
        ----------
        tokens : Tensor of shape (..., n_tokens, n_samples, n_units)
            Tokens.

        Returns
        -------
        Tensor of shape (..., n_tokens, n_samples, n_units)
            New tokens.
        """
        scores, value = self.scores_and_values(tokens)
        return tokens + self.mix_heads(scores.softmax(-1) @ value)

    def scores_and_values(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        r"""Return the scores :math:`Q^h {K^h}^T / \sqrt{d_h}` and the values :math:`V^h`.

        Parameters
        ----------
        tokens : Tensor of shape (..., n_tokens, n_samples, n_units)
            Tokens.

        Returns
        -------
        scores : Tensor of shape (..., n_samples, n_heads, n_tokens, n_tokens)
            Score of each query token (row) and key token (column).
        values : Tensor of shape (..., n_samples, n_heads, n_tokens, n_units / n_heads)
            Values of the tokens.
        """
        heads = _of_tokens(self.project, normalize(tokens)).unflatten(-1, (3, self.n_heads, -1))
        query, key, value = (part.movedim(-4, -2) for part in heads.unbind(-3))
        return (query / math.sqrt(query.shape[-1])) @ key.mT, value

    def mix_heads(self, context: Tensor) -> Tensor:
        """Combine the outputs of all heads by a linear map.

        Parameters
        ----------
        context : Tensor of shape (..., n_samples, n_heads, n_tokens, n_units / n_heads)
            Output of each head.

        Returns
        -------
        Tensor of shape (..., n_tokens, n_samples, n_units)
            Combined output.
        """
        return _of_tokens(self.mix, context.movedim(-2, -4).flatten(-2))


def _of_tokens(layer: Perceptron, tokens: Tensor) -> Tensor:
    """Apply a layer, or a stack of them, to tokens of shape (..., n_tokens, n_samples, n_units)."""
    # a single product for all tokens; the number of samples is dynamic in an export
    return layer(tokens.flatten(-3, -2)).unflatten(-2, (tokens.shape[-3], -1))
