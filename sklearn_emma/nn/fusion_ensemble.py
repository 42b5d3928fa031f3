r"""Several predictors behind one gate: their mean varies less than each of them.

.. math:: \hat y = \frac{1}{K} \sum_k \hat y_k, \qquad L = \frac{1}{K} \sum_k L(y, \hat y_k)

The networks differ in their initial weights, see the same samples and the same attention, and each
has a loss of its own, so that they do not make up for each other's errors (deep ensembles,
Lakshminarayanan et al., 2017). Energies and gate are computed once for all. Averaging unnormalised
log probabilities is a geometric mean of probabilities: the logarithmic opinion pool.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from sklearn_emma.nn.fusion import FusionNetwork, GatedPredictor
from sklearn_emma.nn.module_stack import stack

__all__ = ["FusionEnsemble"]


class FusionEnsemble(GatedPredictor):
    """The mean of several fusion networks of the same sizes.

    Parameters
    ----------
    networks : sequence of FusionNetwork
        K networks; their parameters are copied, and they share the normal scores of the first.

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
        self.networks = stack(networks)
        self.n_networks = len(networks)

    def first(self) -> FusionNetwork:
        """Return a copy of the first network."""
        network = copy.deepcopy(self.networks)
        for parameter in network.parameters():
            parameter.data = parameter.data[0]
        return network

    def divide_first_layer(self, factor: float) -> None:
        """Divide what is multiplied by the gate: attention times the factor then gives the same.

        Parameters
        ----------
        factor : float
            Positive.
        """
        self.networks.divide_first_layer(factor)

    def encode(self, modalities: Sequence[Tensor]) -> Tensor:
        """Work out what each modality has to say to each network when its gate is open.

        Parameters
        ----------
        modalities : sequence of Tensor of shape (n_samples, n_features)
            One tensor per modality.

        Returns
        -------
        Tensor of shape (n_networks, n_modalities, n_samples, n_units + n_outputs)
            See :meth:`FusionNetwork.encode`.
        """
        return self.networks.encode(modalities)

    def fuse_each(self, encoded: Tensor, attention: Tensor) -> Tensor:
        """Gate what the modalities say, and let each network predict.

        Parameters
        ----------
        encoded : Tensor of shape (n_networks, n_modalities, n_samples, n_units + n_outputs)
            What :meth:`encode` returned.
        attention : Tensor of shape (..., n_samples, n_modalities)
            The gate, or several.

        Returns
        -------
        Tensor of shape (..., n_networks, n_samples, n_outputs)
            Unnormalised log probabilities of classes, or values.
        """
        return self.networks.fuse(encoded, attention)

    def fuse(self, encoded: Tensor, attention: Tensor) -> Tensor:
        """Return the mean of what the networks predict, of shape (..., n_samples, n_outputs)."""
        return self.fuse_each(encoded, attention).mean(-3)

    def hidden_weights(self) -> list[Tensor]:
        """Return the weights of hidden layers of all networks."""
        return self.networks.hidden_weights()

    def numbers_per_sample(self) -> int:
        """Return how many numbers all layers of all networks together have for a sample."""
        return self.networks.numbers_per_sample()

    def embeddings(self, encoded: Tensor) -> Tensor:
        """Return what a gate may score: the mean of what :meth:`encode` returned over networks.

        Parameters
        ----------
        encoded : Tensor of shape (n_networks, n_modalities, n_samples, n_units + n_outputs)
            What :meth:`encode` returned.

        Returns
        -------
        Tensor of shape (n_modalities, n_samples, n_units + n_outputs)
            The mean.
        """
        return torch.mean(encoded, 0)
