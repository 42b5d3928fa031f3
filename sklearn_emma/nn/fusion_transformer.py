r"""Predictor with attention among columns, across modalities, and by energies.

.. math::

    z_i = \mathrm{columns}_i(f(x_i)), \qquad u = \mathrm{modalities}(z, \beta), \qquad
    \hat y = \sum_i \beta_i (A_i f(x_i) + a_i)
        + \mathrm{head}(\beta_1 [u_1, 1], \dots, \beta_M [u_M, 1])

Self-attention among the columns of each modality (:mod:`sklearn_emma.nn.self_attention`) computes
its embedding. In the attention across modalities (:mod:`sklearn_emma.nn.modality_attention`), each
modality attends to the others, weighted by their gates :math:`\beta`. Linear model, head and
:math:`f` are those of :class:`~sklearn_emma.nn.FusionNetwork`. A modality with
:math:`\beta_i = 0` has no effect at all. If all gates are closed, the prediction is a constant.

This was proposed as future work by Werenne, A. (2019), Energy-based multi-modal attention,
University of Liege: endogenous attention within and between modalities, combined with exogenous
attention by energies.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sklearn_emma.nn.fusion import FusionNetwork, weighted_sum
from sklearn_emma.nn.modality_attention import ModalityAttention
from sklearn_emma.nn.self_attention import SelfAttentionEncoders

__all__ = ["FusionTransformer"]


class FusionTransformer(FusionNetwork):
    """Self-attention among columns, attention across modalities, and a head on gated embeddings.

    Parameters
    ----------
    n_features : sequence of int
        Number of columns of each modality.
    n_outputs : int
        Number of classes, or of target values.
    encoder_sizes : sequence of int, default=(64, 32)
        Number of units of each layer after the pooled tokens. The last one is the size of the
        embedding.
    head_sizes : sequence of int, default=(32,)
        Number of units of each hidden layer of the head.
    generator : torch.Generator, optional
        Source of the initial weights. None uses the global generator of torch.
    normal_scores, periodic : bool, default=False
        What is read of each column, as for :class:`FusionNetwork`.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import FusionTransformer
    >>> network = FusionTransformer([4, 2], 3)
    >>> x, beta = [torch.randn(5, 4), torch.randn(5, 2)], torch.tensor([[1.0, 0.0]]).repeat(5, 1)
    >>> logits = network(x, beta)
    >>> logits.shape
    torch.Size([5, 3])
    >>> x[1] += 1.0  # the second modality is closed
    >>> bool((network(x, beta) == logits).all())
    True
    """

    def __init__(
        self,
        n_features: Sequence[int],
        n_outputs: int,
        encoder_sizes: Sequence[int] = (64, 32),
        head_sizes: Sequence[int] = (32,),
        generator: torch.Generator | None = None,
        normal_scores: bool = False,
        periodic: bool = False,
    ):
        read = normal_scores, periodic
        super().__init__(n_features, n_outputs, encoder_sizes, head_sizes, generator, *read)
        self.cross = ModalityAttention(encoder_sizes[-1], generator)

    def make_encoders(
        self, n_features: Sequence[int], sizes: Sequence[int], generator: torch.Generator | None
    ) -> nn.Module:
        """Create the self-attention of each modality, see :meth:`FusionNetwork.make_encoders`."""
        n_values = sum(self.widths) // sum(n_features)
        return SelfAttentionEncoders(n_features, n_values, sizes, generator)

    @torch.no_grad()
    def divide_first_layer(self, factor: float) -> None:
        """Divide the weights of all gated terms by a factor.

        The prediction is then unchanged if the attention is multiplied by the same factor.

        Parameters
        ----------
        factor : float
            Positive factor.
        """
        super().divide_first_layer(factor)
        self.cross.sink_bias.add_(math.log(factor))

    def numbers_per_sample(self) -> int:
        """Estimate the number of activations of all layers for one sample."""
        return super().numbers_per_sample() + self.encoders.numbers_per_sample()

    def encode(self, modalities: Sequence[Tensor]) -> Tensor:
        """Return the embedding of each modality and its terms of the linear model.

        Parameters
        ----------
        modalities : sequence of Tensor of shape (n_samples, n_features)
            One tensor per modality.

        Returns
        -------
        Tensor of shape (n_modalities, n_samples, n_units + n_outputs)
            Embeddings, followed by the terms of the linear model.
        """
        read = self.read(modalities)
        return torch.cat([self.encoders(read), self.linear(read)], -1)

    def fuse(self, encoded: Tensor, attention: Tensor) -> Tensor:
        """Apply the attention across modalities, gate the modalities and predict.

        Parameters
        ----------
        encoded : Tensor of shape (n_modalities, n_samples, n_units + n_outputs)
            Result of :meth:`encode`. For a stack of networks it has an additional first dimension.
        attention : Tensor of shape (..., n_samples, n_modalities)
            Attention of one or several gates. All networks of a stack have the same attention.

        Returns
        -------
        Tensor of shape (..., n_samples, n_outputs)
            Unnormalized log probabilities of classes, or predicted values. For a stack of networks
            there is an additional dimension before the samples.
        """
        n_outputs = self.head.layers()[-1][1].shape[-1]
        embeddings, linear = encoded.split([encoded.shape[-1] - n_outputs, n_outputs], -1)
        linear = weighted_sum(linear, attention)
        if encoded.ndim > 3:
            attention = attention.unsqueeze(-3)
        gated = attention.mT.unsqueeze(-1) * self.cross(embeddings, attention)
        side_by_side = gated.movedim(-3, -2).flatten(-2)
        open_gates = attention.expand(*side_by_side.shape[:-1], attention.shape[-1])
        return self.head(torch.cat([side_by_side, open_gates], -1)) + linear
