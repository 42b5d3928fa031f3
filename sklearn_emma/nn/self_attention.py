r"""Self-attention among the columns of a modality: every column is a token.

.. math::

    t_j  &= x_j w_j + b_j \\
    t'   &= \mathrm{attention}(t) \\
    h    &= \mathrm{perceptron}\Bigl(\sum_j a^1_j t'_j, \dots, \sum_j a^8_j t'_j\Bigr), \qquad
        a^k = \mathrm{softmax}_j\bigl(r_k^T \bar t'_j\bigr)

The tokens are those of Gorishniy et al. [1]_: the value of a column times a learned vector, plus
another one. One block of multi-head self-attention (:mod:`sklearn_emma.nn.multi_head`) lets columns
read each other. Eight learned queries :math:`r_k` then pool the tokens, and a perceptron makes of
what they find one embedding h of the modality.

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
from sklearn_emma.nn.multi_head import MultiHeadAttention, normalise

__all__ = ["ColumnSelfAttention", "SelfAttentionEncoders"]

# Units of a token, and learned queries that pool the tokens.
_N_UNITS, _N_QUERIES = 16, 8
# Tokens of a modality at most: the attention has a number for each pair of them.
_MOST_TOKENS = 64
# Numbers that samples embedded together may have: what fits into the cache.
_BLOCK_NUMBERS = 2**20


class ColumnSelfAttention(nn.Module):
    """The embedding of a modality, by self-attention among its columns.

    Parameters
    ----------
    n_features : int
        Number of columns. Of more than 64, each token holds as many successive columns as are
        needed to have 64 at most.
    n_values : int, default=1
        Numbers that each column comes with, side by side.
    sizes : sequence of int, default=(64, 32)
        Units of each layer of the perceptron; the last is the size of the embedding.
    generator : torch.Generator, optional
        Source of the initial weights. None takes torch's global generator.

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
        #: Tokens of the modality.
        self.n_tokens = math.ceil(n_features / columns)
        n_in = columns * n_values
        self.token_weight = initial_weights((self.n_tokens, n_in, _N_UNITS), n_in, generator)
        self.token_bias = initial_weights((self.n_tokens, 1, _N_UNITS), n_in, generator)
        self.attend = MultiHeadAttention(_N_UNITS, generator)
        self.query = initial_weights((1, _N_QUERIES, _N_UNITS), _N_UNITS, generator)
        self.embed = Perceptron([_N_QUERIES * _N_UNITS, *sizes], True, generator)

    def tokens(self, x: Tensor) -> Tensor:
        """Make the tokens.

        Parameters
        ----------
        x : Tensor of shape (..., n_samples, n_features * n_values)
            Samples.

        Returns
        -------
        Tensor of shape (..., n_tokens, n_samples, n_units)
            The tokens t.
        """
        n_tokens, n_in, _ = self.token_weight.shape[-3:]
        # the last token may have fewer columns
        x = F.pad(x, (0, n_tokens * n_in - x.shape[-1])).unflatten(-1, (n_tokens, n_in))
        return x.movedim(-2, -3) @ self.token_weight + self.token_bias

    def pool(self, tokens: Tensor) -> Tensor:
        """Pool tokens.

        Parameters
        ----------
        tokens : Tensor of shape (..., n_tokens, n_samples, n_units)
            Tokens t'.

        Returns
        -------
        Tensor of shape (..., n_samples, sizes[-1])
            The embedding h.
        """
        share = (normalise(tokens) @ self.query.mT).softmax(-3)
        pooled = share.movedim(-3, -1) @ tokens.movedim(-3, -2)
        return self.embed(pooled.flatten(-2))

    def forward(self, x: Tensor) -> Tensor:
        """Embed samples of shape (..., n_samples, n_features * n_values)."""
        return self.pool(self.attend(self.tokens(x)))

    def numbers_per_sample(self) -> int:
        """Return how many numbers the tokens of a sample and their pairs are, of all in a stack."""
        *stacked, n_tokens, _, n_units = self.token_bias.shape
        of_token = 4 * n_units + self.attend.n_heads * n_tokens
        return math.prod(stacked) * n_tokens * of_token


class SelfAttentionEncoders(ModalityStacks):
    """Self-attention among the columns of each modality: those of equal width at once.

    Parameters
    ----------
    n_features : sequence of int
        Number of columns of each modality.
    n_values : int, default=1
        Numbers that each column comes with, side by side.
    sizes : sequence of int, default=(64, 32)
        As for :class:`ColumnSelfAttention`.
    generator : torch.Generator, optional
        Source of the initial weights, modality by modality. None takes torch's global generator.
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
        """Embed each modality.

        Parameters
        ----------
        modalities : sequence of Tensor of shape (n_samples, n_features * n_values)
            Samples of each modality.

        Returns
        -------
        Tensor of shape (..., n_modalities, n_samples, n_units)
            The embeddings; those of a stack of several have one more dimension in front.
        """
        found = []
        for group, encode in zip(self.groups, self.stacks, strict=True):
            samples = torch.stack([modalities[i] for i in group])
            size = max(1, _BLOCK_NUMBERS // encode.numbers_per_sample())
            # an export, which traces a few samples, must not split them
            parts = [samples] if samples.shape[1] <= size else samples.split(size, 1)
            found.append(torch.cat([encode(x) for x in parts], -2))
        return self.join(found)

    def numbers_per_sample(self) -> int:
        """Return how many numbers the tokens of a sample and their pairs are."""
        return sum(encode.numbers_per_sample() for encode in self.stacks)
