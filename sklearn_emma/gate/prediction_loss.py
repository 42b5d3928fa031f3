"""The prediction loss: the one place in stage 2 that knows what is predicted."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from sklearn_emma.nn import (
    weighted_absolute_error,
    weighted_cross_entropy,
    weighted_pinball_loss,
    weighted_squared_error,
)

# A mean loss, of standardised values, that leaves nothing to be explained.
_TINY = 1e-12


class PredictionLoss(ABC):
    """The loss of a prediction."""

    @abstractmethod
    def __call__(self, output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the loss of what a network returned, averaged over samples with their weights."""

    def of_several(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the mean loss of several outputs for the same targets.

        Parameters
        ----------
        outputs : Tensor of shape (..., n_samples, n_outputs)
            What networks returned.
        target : Tensor of shape (n_samples, ...)
            The targets.
        weight : Tensor of shape (..., n_samples)
            The weights, with leading dimensions that go with those of the outputs.

        Returns
        -------
        Tensor of shape ()
            The loss.
        """
        leading = outputs.shape[:-2]
        targets = target.expand(*leading, *target.shape).flatten(0, len(leading))
        weights = weight.expand(*leading, weight.shape[-1]).flatten()
        return self(outputs.flatten(0, -2), targets, weights)

    @abstractmethod
    def divergence(self, expected: Tensor, outputs: Tensor) -> Tensor:
        """Return how much predictions differ from expected ones, on the mean."""

    @abstractmethod
    def baseline_loss(self, target: Tensor, weight: Tensor) -> float:
        """Return the loss of a constant prediction, to recognise divergence."""

    @abstractmethod
    def log_likelihood(self, loss: Tensor, n_samples: float) -> Tensor:
        """Return the log likelihood of so many samples of this mean loss, up to a constant."""


class ClassLoss(PredictionLoss):
    """Cross entropy of class indices."""

    def __call__(self, output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the weighted cross entropy of unnormalised log probabilities."""
        return weighted_cross_entropy(output, target, weight)

    def divergence(self, expected: Tensor, outputs: Tensor) -> Tensor:
        """Return the Kullback-Leibler divergence of the probabilities from expected ones."""
        log_p, log_q = expected.log_softmax(-1), outputs.log_softmax(-1)
        return F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1).mean()

    def baseline_loss(self, target: Tensor, weight: Tensor) -> float:
        """Return the cross entropy of equal probabilities for the classes that occur."""
        n_classes = len(target.unique())
        return float(weight.mean()) * math.log(max(n_classes, 2))

    def log_likelihood(self, loss: Tensor, n_samples: float) -> Tensor:
        """Return the log of the probability of the classes."""
        return -n_samples * loss


class ValueLoss(PredictionLoss):
    """Loss of values standardised with :func:`~sklearn_emma.energy.column_scale.target_scale`.

    Parameters
    ----------
    loss : {"squared_error", "absolute_error", "quantile"}
        Which.
    quantiles : sequence of float, default=()
        Levels of the quantiles that the network returns, for the last.
    """

    def __init__(self, loss: str, quantiles: Sequence[float] = ()):
        self.loss = loss
        self.quantiles = tuple(quantiles)

    def __call__(self, output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the weighted loss of values or quantiles."""
        if self.loss == "quantile":
            return weighted_pinball_loss(output, target, weight, self.quantiles)
        error = {
            "squared_error": weighted_squared_error,
            "absolute_error": weighted_absolute_error,
        }[self.loss]
        return error(output, target, weight)

    def divergence(self, expected: Tensor, outputs: Tensor) -> Tensor:
        """Return half the squared distance: the divergence of normal laws of unit variance."""
        return 0.5 * (outputs - expected).square().mean()

    def baseline_loss(self, target: Tensor, weight: Tensor) -> float:
        """Return the loss of the centre of all targets, but no less than of an error of one."""
        centre = self(target.new_zeros(target.shape), target, weight)
        # all targets may be the same, and no network hits them exactly
        one_off = self(target + 1.0, target, weight)
        return max(float(centre), float(one_off))

    def log_likelihood(self, loss: Tensor, n_samples: float) -> Tensor:
        """Return that of errors from the normal or Laplace's law, of the scale that fits best."""
        power = 0.5 if self.loss == "squared_error" else 1.0
        return -power * n_samples * loss.clamp(min=_TINY).log()
