r"""The unified attention of columns, modalities and energies, as one predictor.

.. math::

    z_i = \mathrm{columns}_i(\phi(x_i)), \qquad u = \mathrm{modalities}(z, \beta), \qquad
    \hat y = \sum_i \beta_i (A_i \phi(x_i) + a_i)
        + \mathrm{head}(\beta_1 [u_1, 1], \dots, \beta_M [u_M, 1])

Self-attention among the columns of each modality (:mod:`sklearn_emma.nn.self_attention`) gives its
embedding. Attention across the modalities (:mod:`sklearn_emma.nn.modality_attention`) lets them
read each other, as far as the gate :math:`\beta` is open. Linear model, head and :math:`\phi` are
those of :class:`~sklearn_emma.nn.FusionNetwork`. A modality with :math:`\beta_i = 0` has no effect
at all; with nothing left, the prediction is a constant.

Proposed as future work by Werenne, A. (2019), Energy-based multi-modal attention, University of
Liege: endogenous attention inside the modalities and between them, exogenous attention by energies
on top.
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
    """Self-attention among columns, attention across modalities, and a head on what is gated.

    Parameters
    ----------
    n_features : sequence of int
        Number of columns of each modality.
    n_outputs : int
        Number of classes, or of values to predict.
    encoder_sizes : sequence of int, default=(64, 32)
        Units of each layer behind the pooled tokens; the last is the size of the embedding.
    head_sizes : sequence of int, default=(32,)
        Units of each hidden layer of the head.
    generator : torch.Generator, optional
        Source of the initial weights. None takes torch's global generator.
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
        """Make the self-attention of each modality; see :meth:`FusionNetwork.make_encoders`."""
        n_values = sum(self.widths) // sum(n_features)
        return SelfAttentionEncoders(n_features, n_values, sizes, generator)

    @torch.no_grad()
    def divide_first_layer(self, factor: float) -> None:
        """Divide what is multiplied by the gate: attention times the factor then gives the same.

        Parameters
        ----------
        factor : float
            Positive.
        """
        super().divide_first_layer(factor)
        self.cross.sink_bias.add_(math.log(factor))

    def numbers_per_sample(self) -> int:
        """Return how many numbers all layers together have for a sample, roughly."""
        return super().numbers_per_sample() + self.encoders.numbers_per_sample()

    def encode(self, modalities: Sequence[Tensor]) -> Tensor:
        """Embed each modality.

        Parameters
        ----------
        modalities : sequence of Tensor of shape (n_samples, n_features)
            One tensor per modality.

        Returns
        -------
        Tensor of shape (n_modalities, n_samples, n_units + n_outputs)
            Embeddings, and terms of the linear model.
        """
        read = self.read(modalities)
        return torch.cat([self.encoders(read), self.linear(read)], -1)

    def fuse(self, encoded: Tensor, attention: Tensor) -> Tensor:
        """Let modalities read each other, gate them and predict.

        Parameters
        ----------
        encoded : Tensor of shape (n_modalities, n_samples, n_units + n_outputs)
            What :meth:`encode` returned; a stack of networks has one more dimension in front.
        attention : Tensor of shape (..., n_samples, n_modalities)
            The gate, or several, each for all networks of a stack.

        Returns
        -------
        Tensor of shape (..., n_samples, n_outputs)
            Unnormalised log probabilities of classes, or values; those of a stack have one more
            dimension before the samples.
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
