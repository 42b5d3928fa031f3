r"""Ensemble of predictors with a common gate. Its mean has a lower variance than each predictor.

.. math:: \hat y = \frac{1}{K} \sum_k \hat y_k, \qquad L = \frac{1}{K} \sum_k L(y, \hat y_k)

The networks differ in their initial weights. They are trained on the same samples with the same
attention. Each network has its own loss, so that the networks do not learn to correct each other's
errors (deep ensembles, Lakshminarayanan et al., 2017). Energies and gate are computed only once for
all networks. Averaging unnormalized log probabilities corresponds to the geometric mean of the
probabilities, the logarithmic opinion pool.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from sklearn_emma.nn.fusion import FusionNetwork, GatedPredictor
from sklearn_emma.nn.module_stack import stack

__all__ = ["FusionEnsemble"]


class FusionEnsemble(GatedPredictor):
    """Mean of several fusion networks of the same architecture.

    Parameters
    ----------
    networks : sequence of FusionNetwork
        K networks. Their parameters are copied. All use the normal scores of the first network.

    Raises
    ------
    ValueError
        If there is no network, or if they are not of the same architecture.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import FusionEnsemble, FusionNetwork
    >>> ensemble = FusionEnsemble([FusionNetwork([4, 2], 3) for _ in range(5)])
    >>> ensemble([torch.zeros(7, 4), torch.zeros(7, 2)], torch.ones(7, 2)).shape
    torch.Size([7, 3])
    """

    def __init__(self, networks: Sequence[FusionNetwork]):
        super().__init__()
        if len({_architecture(network) for network in networks}) != 1:
            raise ValueError(
                "networks must be one or several networks of the same architecture, got "
                f"{list(map(_architecture, networks))}."
            )
        self.networks = stack(networks)
        self.n_networks = len(networks)

    def first(self) -> FusionNetwork:
        """Return a copy of the first network."""
        network = copy.deepcopy(self.networks)
        for parameter in network.parameters():
            parameter.data = parameter.data[0]
        return network

    def divide_first_layer(self, factor: float) -> None:
        """Divide the weights of all gated terms by a factor.

        The prediction is then unchanged if the attention is multiplied by the same factor.

        Parameters
        ----------
        factor : float
            Positive factor.
        """
        self.networks.divide_first_layer(factor)

    def encode(self, modalities: Sequence[Tensor]) -> Tensor:
        """Compute the terms of each modality that are multiplied by its gate, in each network.

        Parameters
        ----------
        modalities : sequence of Tensor of shape (n_samples, n_features)
            One tensor per modality.

        Returns
        -------
        Tensor of shape (n_networks, n_modalities, n_samples, n_units + n_outputs)
            Results of :meth:`FusionNetwork.encode` of all networks.
        """
        return self.networks.encode(modalities)

    def fuse_each(self, encoded: Tensor, attention: Tensor) -> Tensor:
        """Gate the encoded modalities and return the prediction of each network.

        Parameters
        ----------
        encoded : Tensor of shape (n_networks, n_modalities, n_samples, n_units + n_outputs)
            Result of :meth:`encode`.
        attention : Tensor of shape (..., n_samples, n_modalities)
            Attention of one or several gates.

        Returns
        -------
        Tensor of shape (..., n_networks, n_samples, n_outputs)
            Unnormalized log probabilities of classes, or predicted values.
        """
        return self.networks.fuse(encoded, attention)

    def fuse(self, encoded: Tensor, attention: Tensor) -> Tensor:
        """Return the mean prediction of the networks, of shape (..., n_samples, n_outputs)."""
        return self.fuse_each(encoded, attention).mean(-3)

    def hidden_weights(self) -> list[Tensor]:
        """Return the weight matrices of the hidden layers of all networks."""
        return self.networks.hidden_weights()

    def numbers_per_sample(self) -> int:
        """Estimate the number of activations of all networks for one sample."""
        return self.networks.numbers_per_sample()

    def embeddings(self, encoded: Tensor) -> Tensor:
        """Return the embeddings for gates with attention scores: the mean over networks.

        Parameters
        ----------
        encoded : Tensor of shape (n_networks, n_modalities, n_samples, n_units + n_outputs)
            Result of :meth:`encode`.

        Returns
        -------
        Tensor of shape (n_modalities, n_samples, n_units + n_outputs)
            Mean of the encoded modalities over networks.
        """
        return torch.mean(encoded, 0)


def _architecture(network: FusionNetwork) -> tuple:
    """Return the type of a network, the widths of its modalities, and the shapes of its weights."""
    shapes = tuple(tuple(parameter.shape) for parameter in network.parameters())
    return type(network).__name__, tuple(network.widths), network.columns.n_values, shapes
