r"""Self-attention among the columns of a modality: every column is a token.

.. math::

    t_j  &= x_j w_j + b_j \\
    t'   &= \mathrm{attention}(t) \\
    h    &= \mathrm{perceptron}\Bigl(\sum_j a^1_j t'_j, \dots, \sum_j a^8_j t'_j\Bigr), \qquad
        a^k = \mathrm{softmax}_j\bigl(r_k^T \bar t'_j\bigr)

The tokens are those of Gorishniy et al. [1]_: the value of a column times a learned vector, plus
a learned bias vector. In one block of multi-head self-attention
(:mod:`sklearn_emma.nn.multi_head`), columns attend to each other. Eight learned queries :math:`r_k`
then pool the tokens, and a perceptron maps the pooled tokens to the embedding h of the modality.

References
----------
.. [1] Gorishniy, Y., Rubachev, I., Khrulkov, V. and Babenko, A. (2021). Revisiting deep learning
   models for tabular data. NeurIPS.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklearn_emma.nn.encoders import Perceptron, initial_weights
from sklearn_emma.nn.module_stack import ModalityStacks
from sklearn_emma.nn.multi_head import MultiHeadAttention, normalize

__all__ = ["ColumnSelfAttention", "SelfAttentionEncoders"]

# Size of a token, and number of learned queries that pool the tokens.
_N_UNITS, _N_QUERIES = 16, 8
# Largest number of tokens of a modality, as the attention is quadratic in it.
_MOST_TOKENS = 64
# Largest number of activations of a batch, so that they fit into the cache.
_BLOCK_NUMBERS = 2**20


class ColumnSelfAttention(nn.Module):
    """Embed a modality by self-attention among its columns.

    Parameters
    ----------
    n_features : int
        Number of columns. If there are more than 64, each token holds several successive columns,
        so that there are at most 64 tokens.
    n_values : int, default=1
        Number of values of each column, which are adjacent in the input.
    sizes : sequence of int, default=(64, 32)
        Number of units of each layer of the perceptron. The last one is the size of the embedding.
    generator : torch.Generator, optional
        Source of the initial weights. None uses the global generator of torch.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import ColumnSelfAttention
    >>> ColumnSelfAttention(5)(torch.zeros(7, 5)).shape
    torch.Size([7, 32])
    """

    def __init__(
        self,
        n_features: int,
        n_values: int = 1,
        sizes: Sequence[int] = (64, 32),
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        columns = math.ceil(n_features / _MOST_TOKENS)
        #: Number of tokens of the modality.
        self.n_tokens = math.ceil(n_features / columns)
        n_in = columns * n_values
        self.token_weight = initial_weights((self.n_tokens, n_in, _N_UNITS), n_in, generator)
        self.token_bias = initial_weights((self.n_tokens, 1, _N_UNITS), n_in, generator)
        self.attend = MultiHeadAttention(_N_UNITS, generator)
        self.query = initial_weights((1, _N_QUERIES, _N_UNITS), _N_UNITS, generator)
        self.embed = Perceptron([_N_QUERIES * _N_UNITS, *sizes], True, generator)

    def tokens(self, x: Tensor) -> Tensor:
        """Return the tokens of samples.

        Parameters
        ----------
        x : Tensor of shape (..., n_samples, n_features * n_values)
            Samples.

        Returns
        -------
        Tensor of shape (..., n_tokens, n_samples, n_units)
            Tokens t.
        """
        n_tokens, n_in, _ = self.token_weight.shape[-3:]
        # the last token may have fewer columns
        x = F.pad(x, (0, n_tokens * n_in - x.shape[-1])).unflatten(-1, (n_tokens, n_in))
        return x.movedim(-2, -3) @ self.token_weight + self.token_bias

    def pool(self, tokens: Tensor) -> Tensor:
        """Pool tokens, and return the embedding of the modality.

        Parameters
        ----------
        tokens : Tensor of shape (..., n_tokens, n_samples, n_units)
            Tokens t'.

        Returns
        -------
        Tensor of shape (..., n_samples, sizes[-1])
            Embedding h.
        """
        share = (normalize(tokens) @ self.query.mT).softmax(-3)
        pooled = share.movedim(-3, -1) @ tokens.movedim(-3, -2)
        return self.embed(pooled.flatten(-2))

    def forward(self, x: Tensor) -> Tensor:
        """Embed samples of shape (..., n_samples, n_features * n_values)."""
        return self.pool(self.attend(self.tokens(x)))

    def numbers_per_sample(self) -> int:
        """Return the number of activations of tokens and attention per sample, for all modules."""
        *stacked, n_tokens, _, n_units = self.token_bias.shape
        of_token = 4 * n_units + self.attend.n_heads * n_tokens
        return math.prod(stacked) * n_tokens * of_token


class SelfAttentionEncoders(ModalityStacks):
    """Self-attention among the columns of each modality, batched for modalities of equal width.

    Parameters
    ----------
    n_features : sequence of int
        Number of columns of each modality.
    n_values : int, default=1
        Number of values of each column, which are adjacent in the input.
    sizes : sequence of int, default=(64, 32)
        Number of units of each layer of the perceptron, see :class:`ColumnSelfAttention`.
    generator : torch.Generator, optional
        Source of the initial weights. None uses the global generator of torch.
    """

    def __init__(
        self,
        n_features: Sequence[int],
        n_values: int = 1,
        sizes: Sequence[int] = (64, 32),
        generator: torch.Generator | None = None,
    ):
        each = [ColumnSelfAttention(d, n_values, sizes, generator) for d in n_features]
        super().__init__(each, n_features)

    def forward(self, modalities: Sequence[Tensor]) -> Tensor:
        """Return the embedding of each modality.

        Parameters
        ----------
        modalities : sequence of Tensor of shape (n_samples, n_features * n_values)
            Samples of each modality.

        Returns
        -------
        Tensor of shape (..., n_modalities, n_samples, n_units)
            Embeddings. A stack of several encoders has an additional first dimension.
        """
        found = []
        for group, encode in zip(self.groups, self.stacks, strict=True):
            samples = torch.stack([modalities[i] for i in group])
            size = max(1, _BLOCK_NUMBERS // encode.numbers_per_sample())
            # small inputs are not split, as splitting must not be traced in an export
            parts = [samples] if samples.shape[1] <= size else samples.split(size, 1)
            found.append(torch.cat([encode(x) for x in parts], -2))
        return self.join(found)

    def numbers_per_sample(self) -> int:
        """Return the number of activations of tokens and attention per sample."""
        return sum(encode.numbers_per_sample() for encode in self.stacks)
