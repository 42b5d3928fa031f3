"""The network that learns the likelihood ratios of failures against clean samples."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from sklearn_emma.engine.objective import Objective, TrainingConfig
from sklearn_emma.engine.seeding import make_generator
from sklearn_emma.engine.training import gradients, train
from sklearn_emma.nn.encoders import Perceptron
from sklearn_emma.nn.module_stack import stack

# Largest log ratio, so that ratios stay within the range of floating point numbers.
_LARGEST = 500.0
# Number of networks whose logits are averaged, and hidden units of each.
_N_NETWORKS, _N_HIDDEN = 3, 32
_LEARNING_RATE, _BATCH_SIZE = 0.05, 512
# Largest number of epochs and of steps, and smallest number of epochs.
_MAX_EPOCHS, _MAX_STEPS, _MIN_EPOCHS = 30, 2000, 5


class RatioNetwork:
    """Neural network that estimates the likelihood ratios of failures against clean samples.

    The logits of three networks with one hidden layer are averaged. The result is stored as a
    single network with three times as many hidden units.

    Parameters
    ----------
    features : ndarray of shape (n_examples, n_features)
        Features of the training examples.
    failure : ndarray of int of shape (n_examples,)
        Label: 0 for clean, 1 + k for failure k.
    random_state : int
        Seed of the training.

    Attributes
    ----------
    layers_ : list of (ndarray, ndarray)
        Weights and biases of both layers. The first layer includes the standardization of the
        features.
    """

    def __init__(self, features: np.ndarray, failure: np.ndarray, random_state: int) -> None:
        scaler = StandardScaler().set_output(transform="default").fit(features)
        networks = _train(scaler.transform(features), failure, random_state)
        (first, bias), (second, last_bias) = (
            (weight.detach().double().numpy(), bias.detach().double().numpy())
            for weight, bias in networks.layers()
        )
        first = np.concatenate(first).T / scaler.scale_[:, None]
        second = np.concatenate(second, axis=1).T / _N_NETWORKS
        # posterior odds are likelihood ratios times the class frequencies in training
        last_bias = last_bias.mean(axis=0) - np.log(np.bincount(failure))
        self.layers_ = [(first, bias.ravel() - scaler.mean_ @ first), (second, last_bias)]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return the log likelihood ratio of each failure against clean.

        Parameters
        ----------
        features : ndarray of shape (n_examples, n_features)
            Features of the examples.

        Returns
        -------
        ndarray of shape (n_examples, n_failures)
            Log likelihood ratios, in nats.
        """
        (first, bias), (second, last_bias) = self.layers_
        logits = np.maximum(features @ first + bias, 0.0) @ second + last_bias
        return (logits[:, 1:] - logits[:, :1]).clip(-_LARGEST, _LARGEST)


class _Classification(Objective):
    """Objective of a stack of networks that learn to classify the same examples.

    Parameters
    ----------
    networks : Perceptron
        Stack of networks, which are trained in place.
    features : Tensor of shape (n_examples, n_features)
        Standardized features.
    labels : Tensor of int of shape (n_examples,)
        Classes.
    generator : torch.Generator
        Random number generator of the order of the examples.
    """

    def __init__(
        self, networks: Perceptron, features: Tensor, labels: Tensor, generator: torch.Generator
    ):
        super().__init__(generator)
        self.networks = networks
        self.examples = [features, labels]
        self.n_samples = len(labels)
        self.baseline_loss = _N_NETWORKS * math.log(int(labels.max()) + 1)

    def epoch_data(self) -> Sequence[Tensor]:
        """Return features and classes."""
        return self.examples

    def loss(self, *batch: Tensor) -> Tensor:
        """Return the sum of the losses of all networks."""
        features, labels = batch
        logits = self.networks(features.expand(_N_NETWORKS, -1, -1))
        right = logits.gather(-1, labels.expand(_N_NETWORKS, -1).unsqueeze(-1)).squeeze(-1)
        # twice as fast as the cross entropy of torch with few classes
        return (logits.logsumexp(-1) - right).mean(-1).sum()


@gradients()
def _train(features: np.ndarray, labels: np.ndarray, seed: int) -> Perceptron:
    """Train a stack of networks."""
    generator = make_generator(seed)
    sizes = [features.shape[1], _N_HIDDEN, int(labels.max()) + 1]
    networks = stack([Perceptron(sizes, generator=generator) for _ in range(_N_NETWORKS)])
    batch_size = min(_BATCH_SIZE, len(labels))
    n_epochs = int(np.clip(_MAX_STEPS * batch_size / len(labels), _MIN_EPOCHS, _MAX_EPOCHS))
    objective = _Classification(
        networks, torch.from_numpy(features).float(), torch.from_numpy(labels), generator
    )
    train(
        objective, "failures of the monitor", TrainingConfig(batch_size, _LEARNING_RATE, n_epochs)
    )
    return networks
