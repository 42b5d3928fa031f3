r"""Attention scores of modalities, computed from their embeddings as in the literature.

The key :math:`k_i` of modality i is its embedding, a vector of length d. It is also the value of
this attention: the terms of the predictor that are multiplied by the gate. The query, if a score
needs one, is the mean key of the set P of available modalities,
:math:`q = \frac{1}{|P|} \sum_{i \in P} k_i`. The score is added to the logit of the importance, see
:class:`~sklearn_emma.nn.SoftmaxAttention`.

=================  ======================================================  =======================
class              score :math:`s_i`                                       source
=================  ======================================================  =======================
AdditiveScore      :math:`v^T \tanh(W k_i + U q)`                          Bahdanau et al. [1]_
BilinearScore      :math:`q^T W k_i`                                       "general", Luong [2]_
DotScore           :math:`q^T k_i`                                         "dot", Luong [2]_
ScaledDotScore     :math:`q^T k_i / \sqrt d`                               Vaswani et al. [3]_
MultiHeadScore     :math:`\log \frac{1}{H |P|} \sum_{h, j} A^h_{ji}`       Vaswani et al. [3]_
KeyValueScore      :math:`(W q)^T (W_i k_i + b_i) / \sqrt{d'}`             Daniluk et al. [4]_
=================  ======================================================  =======================

with :math:`A^h_{ji} = \mathrm{softmax}_{i \in P}((Q_h k_j)^T (K_h k_i) / \sqrt{d_h})`, the
attention of modality j to modality i in head h.

References
----------
.. [1] Bahdanau, D., Cho, K. and Bengio, Y. (2015). Neural machine translation by jointly learning
   to align and translate. ICLR.
.. [2] Luong, M.-T., Pham, H. and Manning, C. (2015). Effective approaches to attention-based neural
   machine translation. EMNLP.
.. [3] Vaswani, A. et al. (2017). Attention is all you need. NeurIPS.
.. [4] Daniluk, M., Rocktäschel, T., Welbl, J. and Riedel, S. (2017). Frustratingly short attention
   spans in neural language modeling. ICLR.
"""

import math

import torch
from torch import Tensor, nn

from sklearn_emma.nn.encoders import initial_weights

__all__ = [
    "AdditiveScore",
    "AttentionScore",
    "BilinearScore",
    "DotScore",
    "KeyValueScore",
    "MultiHeadScore",
    "ScaledDotScore",
]


class AttentionScore(nn.Module):
    """Base class of attention scores. A subclass computes the score in ``forward``.

    Parameters
    ----------
    n_modalities : int
        Number of modalities M.
    n_units : int
        Size d of an embedding.
    with_energy : bool, default=True
        Whether the gate combines the score with the energies. If False, it uses the score alone.
    generator : torch.Generator, optional
        Source of the initial weights. None uses the global generator of torch.
    """

    def __init__(
        self,
        n_modalities: int,
        n_units: int,
        with_energy: bool = True,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.n_modalities = n_modalities
        self.n_units = n_units
        self.with_energy = with_energy

    def forward(self, keys: Tensor, present: Tensor) -> Tensor:
        """Score the modalities.

        Parameters
        ----------
        keys : Tensor of shape (n_modalities, n_samples, n_units)
            Embeddings of the modalities.
        present : Tensor of bool of shape (..., n_samples, n_modalities)
            Whether each modality is available. Several patterns of missing modalities may be passed
            in the leading dimensions, for the same keys.

        Returns
        -------
        Tensor of shape (..., n_samples, n_modalities)
            Scores. They are arbitrary finite numbers for missing modalities, and must not depend on
            the keys of missing modalities.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method forward.")


def mean_query(keys: Tensor, present: Tensor) -> Tensor:
    """Return the mean key of the available modalities.

    Parameters
    ----------
    keys : Tensor of shape (n_modalities, n_samples, n_units)
        Embeddings of the modalities.
    present : Tensor of bool of shape (..., n_samples, n_modalities)
        Whether each modality is available.

    Returns
    -------
    Tensor of shape (..., n_samples, n_units)
        Queries, zero for samples without any modality.
    """
    there = present.to(keys.dtype)
    total = torch.einsum("...nm,mnd->...nd", there, keys)
    return total / there.sum(-1, keepdim=True).clamp(min=1.0)


class AdditiveScore(AttentionScore):
    r"""Additive attention: :math:`v^T \tanh(W k_i + U q)`, with v initialized to zero.

    Parameters
    ----------
    n_modalities, n_units : int
        Number of modalities, and size d of an embedding.
    with_energy : bool, default=True
        Whether the gate combines the score with the energies.
    n_hidden : int, default=32
        Number of rows of W and U.
    generator : torch.Generator, optional
        Source of the initial weights. None uses the global generator of torch.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import AdditiveScore
    >>> score = AdditiveScore(3, 4)
    >>> score(torch.ones(3, 5, 4), torch.ones(5, 3, dtype=torch.bool)).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        n_modalities: int,
        n_units: int,
        with_energy: bool = True,
        n_hidden: int = 32,
        generator: torch.Generator | None = None,
    ):
        super().__init__(n_modalities, n_units, with_energy)
        self.of_key = initial_weights((n_hidden, n_units), n_units, generator)
        self.of_query = initial_weights((n_hidden, n_units), n_units, generator)
        self.direction = nn.Parameter(torch.zeros(n_hidden, dtype=torch.float32))

    def forward(self, keys: Tensor, present: Tensor) -> Tensor:
        """Score the modalities; see :class:`AttentionScore`."""
        query = mean_query(keys, present) @ self.of_query.mT
        of_key = (keys @ self.of_key.mT).movedim(0, 1)
        return torch.tanh(of_key + query.unsqueeze(-2)) @ self.direction


class DotScore(AttentionScore):
    """Dot-product attention: :math:`q^T k_i`, without trainable weights.

    Parameters
    ----------
    n_modalities, n_units : int
        Number of modalities, and size d of an embedding.
    with_energy : bool, default=True
        Whether the gate combines the score with the energies.
    generator : torch.Generator, optional
        Not used.
    """

    def forward(self, keys: Tensor, present: Tensor) -> Tensor:
        """Score the modalities; see :class:`AttentionScore`."""
        return torch.einsum("...nd,mnd->...nm", mean_query(keys, present), keys)


class ScaledDotScore(DotScore):
    r"""Scaled dot-product attention: :math:`q^T k_i / \sqrt d`, without trainable weights.

    Parameters
    ----------
    n_modalities, n_units : int
        Number of modalities, and size d of an embedding.
    with_energy : bool, default=True
        Whether the gate combines the score with the energies.
    generator : torch.Generator, optional
        Not used.
    """

    def forward(self, keys: Tensor, present: Tensor) -> Tensor:
        """Score the modalities; see :class:`AttentionScore`."""
        return super().forward(keys, present) / math.sqrt(self.n_units)


class BilinearScore(AttentionScore):
    """Bilinear attention: :math:`q^T W k_i`, with W initialized to zero.

    Parameters
    ----------
    n_modalities, n_units : int
        Number of modalities, and size d of an embedding.
    with_energy : bool, default=True
        Whether the gate combines the score with the energies.
    generator : torch.Generator, optional
        Not used.
    """

    def __init__(
        self,
        n_modalities: int,
        n_units: int,
        with_energy: bool = True,
        generator: torch.Generator | None = None,
    ):
        super().__init__(n_modalities, n_units, with_energy)
        self.weight = nn.Parameter(torch.zeros(n_units, n_units, dtype=torch.float32))

    def forward(self, keys: Tensor, present: Tensor) -> Tensor:
        """Score the modalities; see :class:`AttentionScore`."""
        query = mean_query(keys, present) @ self.weight
        return torch.einsum("...nd,mnd->...nm", query, keys)


class KeyValueScore(AttentionScore):
    r"""Key-value attention: keys are linear maps of the embeddings, separate from the gated values.

    The score is :math:`(W q)^T (W_i k_i + b_i) / \sqrt{d'}`, where W has :math:`d'` rows.

    Parameters
    ----------
    n_modalities, n_units : int
        Number of modalities, and size d of an embedding.
    with_energy : bool, default=True
        Whether the gate combines the score with the energies.
    n_hidden : int, default=16
        Size d' of a key.
    generator : torch.Generator, optional
        Source of the initial weights. None uses the global generator of torch.
    """

    def __init__(
        self,
        n_modalities: int,
        n_units: int,
        with_energy: bool = True,
        n_hidden: int = 16,
        generator: torch.Generator | None = None,
    ):
        super().__init__(n_modalities, n_units, with_energy)
        self.of_query = initial_weights((n_hidden, n_units), n_units, generator)
        self.of_key = initial_weights((n_modalities, n_hidden, n_units), n_units, generator)
        self.bias = nn.Parameter(torch.zeros(n_modalities, 1, n_hidden, dtype=torch.float32))

    def forward(self, keys: Tensor, present: Tensor) -> Tensor:
        """Score the modalities; see :class:`AttentionScore`."""
        query = mean_query(keys, present) @ self.of_query.mT
        own = keys @ self.of_key.mT + self.bias
        return torch.einsum("...nd,mnd->...nm", query, own) / math.sqrt(own.shape[-1])


class MultiHeadScore(AttentionScore):
    r"""Self-attention over the modalities: the log of the mean attention that each one receives.

    The attention is averaged over heads and over the available modalities it comes from. The
    softmax of the scores is therefore this average itself.

    Parameters
    ----------
    n_modalities, n_units : int
        Number of modalities, and size d of an embedding.
    with_energy : bool, default=True
        Whether the gate combines the score with the energies.
    n_heads : int, default=4
        Number of heads H.
    n_hidden : int, default=8
        Size of the keys and queries of a head.
    generator : torch.Generator, optional
        Source of the initial weights. None uses the global generator of torch.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import MultiHeadScore
    >>> score = MultiHeadScore(3, 4, generator=torch.Generator().manual_seed(0))
    >>> received = score(torch.randn(3, 5, 4), torch.ones(5, 3, dtype=torch.bool)).exp()
    >>> bool(torch.allclose(received.sum(1), torch.ones(5)))
    True
    """

    def __init__(
        self,
        n_modalities: int,
        n_units: int,
        with_energy: bool = True,
        n_heads: int = 4,
        n_hidden: int = 8,
        generator: torch.Generator | None = None,
    ):
        super().__init__(n_modalities, n_units, with_energy)
        self.of_query = initial_weights((n_heads, 1, n_hidden, n_units), n_units, generator)
        self.of_key = initial_weights((n_heads, 1, n_hidden, n_units), n_units, generator)

    def forward(self, keys: Tensor, present: Tensor) -> Tensor:
        """Score the modalities; see :class:`AttentionScore`."""
        n_hidden = self.of_key.shape[-2]
        queries, own = keys @ self.of_query.mT, keys @ self.of_key.mT  # (H, M, N, d_h)
        logits = torch.einsum("hjnd,hind->hnji", queries, own) / math.sqrt(n_hidden)
        # axes: heads, patterns of missing modalities, samples, pairs of modalities
        logits = logits.unflatten(1, (*[1] * (present.ndim - 2), -1))
        absent = ~present
        # if a sample has no modality, none is masked; the gate then sets their importance to zero
        hidden = (absent & present.any(-1, keepdim=True)).unsqueeze(-2)
        attention = logits.masked_fill(hidden, -math.inf).softmax(-1)
        attends = present.to(keys.dtype).unsqueeze(-1)
        received = (attention * attends).sum(-2).mean(0)
        received = received / attends.sum(-2).clamp(min=1.0)
        return received.clamp(min=torch.finfo(keys.dtype).tiny).log()
