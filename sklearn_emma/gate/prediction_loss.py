"""Prediction losses of classifiers and regressors."""

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

# Lower bound of the mean loss of standardized values, in logarithms.
_TINY = 1e-12


class PredictionLoss(ABC):
    """Base class of prediction losses."""

    @abstractmethod
    def __call__(self, output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the weighted loss of the outputs of a network, averaged over samples."""

    def of_several(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the mean loss of several outputs for the same targets.

        Parameters
        ----------
        outputs : Tensor of shape (..., n_samples, n_outputs)
            Outputs of networks.
        target : Tensor of shape (n_samples, ...)
            Targets.
        weight : Tensor of shape (..., n_samples)
            Sample weights, with leading dimensions that broadcast with those of the outputs.

        Returns
        -------
        Tensor of shape ()
            Mean loss.
        """
        leading = outputs.shape[:-2]
        targets = target.expand(*leading, *target.shape).flatten(0, len(leading))
        weights = weight.expand(*leading, weight.shape[-1]).flatten()
        return self(outputs.flatten(0, -2), targets, weights)

    @abstractmethod
    def divergence(self, expected: Tensor, outputs: Tensor) -> Tensor:
        """Return the mean divergence of predictions from expected predictions."""

    @abstractmethod
    def baseline_loss(self, target: Tensor, weight: Tensor) -> float:
        """Return the loss of a constant prediction, to detect divergence."""

    @abstractmethod
    def log_likelihood(self, loss: Tensor, n_samples: float) -> Tensor:
        """Return the log likelihood of n_samples samples, given their mean loss."""


class ClassLoss(PredictionLoss):
    """Cross entropy of classes."""

    def __call__(self, output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the weighted cross entropy of unnormalized log probabilities."""
        return weighted_cross_entropy(output, target, weight)

    def divergence(self, expected: Tensor, outputs: Tensor) -> Tensor:
        """Return the Kullback-Leibler divergence from expected probabilities."""
        log_p, log_q = expected.log_softmax(-1), outputs.log_softmax(-1)
        return F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1).mean()

    def baseline_loss(self, target: Tensor, weight: Tensor) -> float:
        """Return the cross entropy of equal probabilities of all classes that occur."""
        n_classes = len(target.unique())
        return float(weight.mean()) * math.log(max(n_classes, 2))

    def log_likelihood(self, loss: Tensor, n_samples: float) -> Tensor:
        """Return the log probability of the classes."""
        return -n_samples * loss


class ValueLoss(PredictionLoss):
    """Loss of values standardized with :func:`~sklearn_emma.energy.column_scale.target_scale`.

    Parameters
    ----------
    loss : {"squared_error", "absolute_error", "quantile"}
        Name of the loss.
    quantiles : sequence of float, default=()
        Levels of the quantiles that the network predicts. Only for "quantile".
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
        """Return half the mean squared difference, the divergence of unit-variance normals."""
        return 0.5 * (outputs - expected).square().mean()

    def baseline_loss(self, target: Tensor, weight: Tensor) -> float:
        """Return the loss of a prediction of zero, but at least that of errors of one."""
        center = self(target.new_zeros(target.shape), target, weight)
        # all targets may be equal, but no network predicts them exactly
        one_off = self(target + 1.0, target, weight)
        return max(float(center), float(one_off))

    def log_likelihood(self, loss: Tensor, n_samples: float) -> Tensor:
        """Return the log likelihood of normal or Laplace errors at the best scale."""
        power = 0.5 if self.loss == "squared_error" else 1.0
        return -power * n_samples * loss.clamp(min=_TINY).log()
