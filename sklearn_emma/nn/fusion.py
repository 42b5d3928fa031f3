r"""Predictor of gated modalities: a linear model plus a head on gated embeddings.

.. math::

    h_i = \mathrm{encoder}_i(f(x_i)), \qquad
    \hat y = \sum_i \beta_i (A_i f(x_i) + a_i)
        + \mathrm{head}(\beta_1 [h_1, 1], \dots, \beta_M [h_M, 1])

With a strong weight penalty, the embeddings vanish and the predictor reduces to the linear model.
The first layer of the head is also linear, so it can be applied before the gate:

.. math:: W (\beta_1 [h_1, 1], \dots, \beta_M [h_M, 1]) = \sum_i \beta_i (W_i h_i + w_i)

It is thus computed only once for several gates. :math:`f(x_i)` are the features of the columns, see
:class:`~sklearn_emma.nn.ColumnFeatures`: the values, with extreme ones compressed, and optionally
normal scores and periodic functions of these.

A predictor works in two steps, ``encode(modalities)`` and ``fuse(encoded, attention)``, so that the
result of the first step can be used for several gates. :class:`FusionNetwork` gates embeddings. A
constant one is appended to each embedding, which tells the head how far the gate is open.
:class:`GatedInputs` gates the modalities themselves, :math:`x'_i = \beta_i x_i`, and passes the
list of gated modalities to an arbitrary network.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_emma.nn.column_features import ColumnFeatures
from sklearn_emma.nn.encoders import Encoders, Perceptron
from sklearn_emma.nn.module_stack import affine

__all__ = ["Concatenated", "FusionNetwork", "GatedInputs", "GatedPredictor"]


class GatedPredictor(nn.Module, ABC):
    """Base class of predictors of gated modalities, which predict in two steps.

    Attributes
    ----------
    n_networks : int
        Number of networks whose predictions are averaged.
    """

    n_networks: int = 1

    @abstractmethod
    def encode(self, modalities: Sequence[Tensor]) -> Any:
        """Compute the part of the prediction that does not depend on the gate.

        Parameters
        ----------
        modalities : sequence of Tensor of shape (n_samples, n_features)
            One tensor per modality.

        Returns
        -------
        object
            Encoded modalities, the input of :meth:`fuse`.
        """

    @abstractmethod
    def fuse(self, encoded: Any, attention: Tensor) -> Tensor:
        """Gate the modalities and predict.

        Parameters
        ----------
        encoded : object
            Result of :meth:`encode`.
        attention : Tensor of shape (..., n_samples, n_modalities)
            Attention of one or several gates.

        Returns
        -------
        Tensor of shape (..., n_samples, n_outputs)
            Unnormalized log probabilities of classes, or predicted values.
        """

    def fuse_each(self, encoded: Any, attention: Tensor) -> Tensor:
        """Return the prediction of each of the networks that are averaged.

        Parameters
        ----------
        encoded : object
            Result of :meth:`encode`.
        attention : Tensor of shape (..., n_samples, n_modalities)
            Attention of one or several gates.

        Returns
        -------
        Tensor of shape (..., n_networks, n_samples, n_outputs)
            Unnormalized log probabilities of classes, or predicted values.
        """
        return self.fuse(encoded, attention).unsqueeze(-3)

    def embeddings(self, encoded: Any) -> Any:
        """Return the embeddings of the modalities, for gates with attention scores.

        Parameters
        ----------
        encoded : object
            Result of :meth:`encode`.

        Returns
        -------
        Tensor of shape (n_modalities, n_samples, n_units)
            Embeddings. Predictors without embeddings cannot be used with such gates.
        """
        return encoded

    def embeddings_for(self, gate: nn.Module, encoded: Any) -> Any:
        """Return the embeddings of the modalities, or None if the gate does not use them.

        Parameters
        ----------
        gate : EnergyAttention
            The gate.
        encoded : object
            Result of :meth:`encode`.

        Returns
        -------
        Tensor of shape (n_modalities, n_samples, n_units) or None
            The embeddings.
        """
        return self.embeddings(encoded) if gate.reads_embeddings else None

    def hidden_weights(self) -> list[Tensor]:
        """Return the weight matrices of hidden layers, which can be trained with Muon.

        Returns
        -------
        list of Tensor of shape (..., n_out, n_in)
            Weight matrices, with leading dimensions for stacked layers. Empty in this base class.
        """
        return []

    def numbers_per_sample(self) -> int:
        """Estimate the number of activations of all layers for one sample."""
        return sum(p.numel() // p.shape[-1] for p in self.parameters() if p.ndim > 1)

    def forward(self, modalities: Sequence[Tensor], attention: Tensor) -> Tensor:
        """Return ``fuse(encode(modalities), attention)``."""
        return self.fuse(self.encode(modalities), attention)


class FusionNetwork(GatedPredictor):
    r"""Linear model of gated modalities plus a head on gated embeddings.

    Parameters
    ----------
    n_features : sequence of int
        Number of columns of each modality.
    n_outputs : int
        Number of classes, or of target values.
    encoder_sizes : sequence of int, default=(64, 64, 32)
        Number of units of each layer of an encoder. The last one is the size of the embedding.
    head_sizes : sequence of int, default=(32,)
        Number of units of each hidden layer of the head.
    generator : torch.Generator, optional
        Source of the initial weights. None uses the global generator of torch.
    normal_scores : bool, default=False
        Whether the normal score of each column is an input, too. The points of
        ``columns.normal_scores`` must be set.
    periodic : bool, default=False
        Whether periodic features of each column are inputs, too. They need normal scores.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import FusionNetwork
    >>> network = FusionNetwork([4, 2], 3)
    >>> logits = network([torch.zeros(5, 4), torch.zeros(5, 2)], torch.ones(5, 2))
    >>> logits.shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        n_features: Sequence[int],
        n_outputs: int,
        encoder_sizes: Sequence[int] = (64, 64, 32),
        head_sizes: Sequence[int] = (32,),
        generator: torch.Generator | None = None,
        normal_scores: bool = False,
        periodic: bool = False,
    ):
        super().__init__()
        self.columns = ColumnFeatures(sum(n_features), normal_scores, periodic)
        self.widths = [d * self.columns.n_values for d in n_features]
        self.encoders: Any = self.make_encoders(n_features, encoder_sizes, generator)
        self.linear = Encoders(self.widths, (n_outputs,), False, generator)
        for parameter in self.linear.parameters():
            nn.init.zeros_(parameter)
        n_embedded = len(n_features) * (encoder_sizes[-1] + 1)
        self.head = Perceptron([n_embedded, *head_sizes, n_outputs], generator=generator)

    def make_encoders(
        self, n_features: Sequence[int], sizes: Sequence[int], generator: torch.Generator | None
    ) -> nn.Module:
        """Create the encoders of all modalities, with inputs of the sizes ``self.widths``.

        Parameters
        ----------
        n_features : sequence of int
            Number of columns of each modality.
        sizes : sequence of int
            Number of units of each layer of an encoder.
        generator : torch.Generator or None
            Source of the initial weights.

        Returns
        -------
        torch.nn.Module
            Encoders of all modalities.
        """
        return Encoders(self.widths, sizes, True, generator)

    def hidden_weights(self) -> list[Tensor]:
        """Return the weights of the encoders, and of the hidden layers of the head."""
        perceptrons = [part for part in self.encoders.modules() if isinstance(part, Perceptron)]
        return [*(w for part in perceptrons for w in part.weights), *self.head.weights[:-1]]

    @torch.no_grad()
    def divide_first_layer(self, factor: float) -> None:
        """Divide the weights of all gated terms by a factor.

        The prediction is then unchanged if the attention is multiplied by the same factor.

        Parameters
        ----------
        factor : float
            Positive factor.
        """
        self.head.weights[0].div_(factor)
        for parameter in self.linear.parameters():
            parameter.div_(factor)

    def encode(self, modalities: Sequence[Tensor]) -> Tensor:
        """Compute the terms of each modality that are multiplied by its gate.

        Parameters
        ----------
        modalities : sequence of Tensor of shape (n_samples, n_features)
            One tensor per modality.

        Returns
        -------
        Tensor of shape (n_modalities, n_samples, n_units + n_outputs)
            Terms of the first layer of the head, followed by those of the linear model.
        """
        samples = self.encoders.gather(self.read(modalities))  # same groups in the linear model
        embeddings, linear = self.encoders.apply_groups(samples), self.linear.apply_groups(samples)
        m, size = embeddings.shape[-3], embeddings.shape[-1]
        of_embeddings, of_ones = self.head.layers()[0][0].split([m * size, m], -1)
        by_modality = of_embeddings.unflatten(-1, (m, size)).movedim(-2, -3)
        return torch.cat([affine(embeddings, by_modality, of_ones.mT), linear], -1)

    def read(self, modalities: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the inputs of the encoders and of the linear model for each modality.

        Parameters
        ----------
        modalities : sequence of Tensor of shape (n_samples, n_features)
            One tensor per modality.

        Returns
        -------
        sequence of Tensor of shape (n_samples, n_features * n_values)
            The features of the columns.
        """
        # all columns at once: many modalities are many small tensors
        return self.columns(torch.cat(list(modalities), 1)).split(self.widths, 1)

    def fuse(self, encoded: Tensor, attention: Tensor) -> Tensor:
        """Gate the encoded modalities and predict.

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
        gated = weighted_sum(encoded, attention)
        bias = self.head.layers()[0][1]
        n_units = bias.shape[-1]
        first, linear = gated.split([n_units, gated.shape[-1] - n_units], -1)
        return self.head.after_first(first + bias.unsqueeze(-2)) + linear


def weighted_sum(encoded: Tensor, attention: Tensor) -> Tensor:
    r"""Return the sum over modalities :math:`\sum_i \beta_i e_i`.

    Parameters
    ----------
    encoded : Tensor of shape (*stack, n_modalities, n_samples, n_units)
        Terms :math:`e_i`.
    attention : Tensor of shape (*gates, n_samples, n_modalities)
        Weights :math:`\beta_i`.

    Returns
    -------
    Tensor of shape (*gates, *stack, n_samples, n_units)
        Weighted sums.
    """
    gates, stack = attention.shape[:-2], encoded.shape[:-3]
    if torch.is_grad_enabled():
        # one matrix product per sample, whose gradient is three times as fast as that of the sum
        terms = encoded.movedim((-2, -3), (0, 1)).flatten(2)
        weights = attention.movedim(-2, 0).flatten(1, -2) if gates else attention.unsqueeze(1)
        sums = weights.contiguous() @ terms
        by_gate = sums.view(len(terms), *gates, *stack, encoded.shape[-1])
        return by_gate.movedim(0, -2).contiguous()
    weights = attention.mT.unsqueeze(-1)
    return (encoded * weights.reshape(*gates, *[1] * len(stack), *weights.shape[-3:])).sum(-3)


class Concatenated(nn.Module):
    r"""Multilayer perceptron on the concatenated gated modalities, the predictor of the thesis.

    It can be used as `module` of an estimator, or as `network` of :class:`GatedInputs`.

    Parameters
    ----------
    n_features : sequence of int
        Number of columns of each modality.
    n_outputs : int
        Number of classes, or of target values.
    hidden_sizes : sequence of int, default=(8, 4)
        Number of units of each hidden layer. The activation is ReLU.
    generator : torch.Generator, optional
        Source of the initial weights. None uses the global generator of torch.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import Concatenated
    >>> Concatenated([4, 2], 3)([torch.zeros(5, 4), torch.zeros(5, 2)]).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        n_features: Sequence[int],
        n_outputs: int,
        hidden_sizes: Sequence[int] = (8, 4),
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.layers = Perceptron([sum(n_features), *hidden_sizes, n_outputs], generator=generator)

    @torch.no_grad()
    def divide_first_layer(self, factor: float) -> None:
        """Divide the weights of the first layer by a factor.

        The prediction is then unchanged if the inputs are multiplied by the same factor.

        Parameters
        ----------
        factor : float
            Positive factor.
        """
        self.layers.weights[0].div_(factor)

    def forward(self, modalities: Sequence[Tensor]) -> Tensor:
        """Predict from gated modalities.

        Parameters
        ----------
        modalities : sequence of Tensor of shape (n_samples, n_features)
            Gated modalities, one tensor per modality.

        Returns
        -------
        Tensor of shape (n_samples, n_outputs)
            Unnormalized log probabilities of classes, or predicted values.
        """
        return self.layers(torch.cat(list(modalities), 1))


class GatedInputs(GatedPredictor):
    r"""Predictor that applies an arbitrary network to gated modalities :math:`x'_i = \beta_i x_i`.

    Parameters
    ----------
    network : torch.nn.Module
        Module that takes the list of gated modalities, each of shape (n_samples, n_features), and
        returns unnormalized log probabilities or values of shape (n_samples, n_outputs).

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import GatedInputs
    >>> class Sum(torch.nn.Module):
    ...     def forward(self, modalities):
    ...         return sum(x.sum(1, keepdim=True) for x in modalities)
    >>> network = GatedInputs(Sum())
    >>> network([torch.ones(1, 2), torch.ones(1, 3)], torch.tensor([[0.5, 0.0]]))
    tensor([[1.]])
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def encode(self, modalities: Sequence[Tensor]) -> list[Tensor]:
        """Return the modalities unchanged, as a list."""
        return list(modalities)

    def fuse(self, encoded: Sequence[Tensor], attention: Tensor) -> Tensor:
        """Gate the modalities and predict.

        Parameters
        ----------
        encoded : sequence of Tensor of shape (n_samples, n_features)
            One tensor per modality.
        attention : Tensor of shape (..., n_samples, n_modalities)
            Attention of one or several gates.

        Returns
        -------
        Tensor of shape (..., n_samples, n_outputs)
            Outputs of the network for each gate.
        """
        pairs = zip(encoded, attention.unbind(-1), strict=True)
        gated = [(x * beta.unsqueeze(-1)).flatten(0, -2) for x, beta in pairs]
        output = self.network(gated)
        return output if attention.ndim == 2 else output.unflatten(0, attention.shape[:-1])
