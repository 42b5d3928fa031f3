"""Choose the strength of the L2 regularization of the predictor by cross-validation.

The best strength differs by orders of magnitude between tables. Therefore several strengths are
compared by cross-validation of the predictor alone, with all models in one stack. Clean samples
with random subsets of their modalities take the place of corrupted samples whose corrupted
modalities are closed by the gate.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sklearn_emma.engine.batches import auto_batch_size, slices
from sklearn_emma.engine.objective import Objective, TrainingConfig
from sklearn_emma.engine.training_memory import train_once
from sklearn_emma.gate.objective import (
    penalised_parameters,
    predictor_groups,
    random_subset,
)
from sklearn_emma.gate.prediction_loss import PredictionLoss
from sklearn_emma.gate.samples import Samples, fill
from sklearn_emma.nn import FusionNetwork
from sklearn_emma.nn.module_stack import stack

# Candidate strengths, for a loss averaged over samples.
_STRENGTHS = (0.001, 0.003, 0.01)
# Smallest number of samples for a selection, and strength that is used if there are fewer.
_MIN_SAMPLES, _OF_FEW_SAMPLES = 30, 0.003
# Largest number of samples that are used for the selection.
_MAX_SAMPLES = 2000
# Number of folds. They are left out in turn, until this number of samples was left out.
_N_FOLDS, _MIN_LEFT_OUT = 3, 1000
_MAX_EPOCHS = 20
# Weight of the subset loss, and number of draws of subsets in the comparison of strengths.
_SUBSET_WEIGHT, _N_DRAWS = 2.0, 3


class PenaltyObjective(Objective):
    """Objective of copies of a predictor, one for each strength of the penalty and left-out fold.

    Parameters
    ----------
    network : FusionNetwork
        Network from which all copies start. It is not changed.
    prediction_loss : PredictionLoss
        The prediction loss.
    samples : sequence of Tensor of shape (n_samples, ...)
        Mask of available modalities of shape (n_samples, n_modalities), target, sample weights, and
        the modalities without missing values.
    generator : torch.Generator
        Random number generator on the device of the samples.
    """

    def __init__(
        self,
        network: FusionNetwork,
        prediction_loss: PredictionLoss,
        samples: Sequence[Tensor],
        generator: torch.Generator,
    ):
        super().__init__(generator)
        present, target, weight, *_ = samples
        device = target.device
        self.n_samples = len(target)
        n_left_out = min(_N_FOLDS, math.ceil(_MIN_LEFT_OUT * _N_FOLDS / self.n_samples))
        folds = torch.arange(n_left_out, device=device)
        strengths = torch.tensor(_STRENGTHS, dtype=torch.float32, device=device)
        self.left_out = folds.repeat(len(strengths)).unsqueeze(1)
        self.strength = strengths.repeat_interleave(len(folds))
        self.network = stack([network] * len(self.strength))
        weights = penalised_parameters(network)
        self.weights = [p for name, p in self.network.named_parameters() if name in weights]
        self.prediction_loss = prediction_loss
        self.samples = [_folds(target, generator), *samples]
        # there is no subset of one modality
        self.subset_weight = _SUBSET_WEIGHT if present.shape[1] > 1 else 0.0
        loss = prediction_loss.baseline_loss(target, weight)
        self.baseline_loss = (1.0 + self.subset_weight) * loss * len(self.strength)
        self.baseline_loss += float(self._penalty().detach())

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return separate groups for weights of hidden layers, other weights, and biases."""
        return predictor_groups(self.network)

    def epoch_data(self) -> Sequence[Tensor]:
        """Return fold, mask of available modalities, target, weight and the modalities."""
        return self.samples

    def loss(self, *batch: Tensor) -> Tensor:
        """Return the sum of the losses of all copies."""
        fold, present, target, weight, *modalities = batch
        seen = (fold != self.left_out) * weight * (_N_FOLDS / (_N_FOLDS - 1))
        attention, weights = present.unsqueeze(0), seen.unsqueeze(0)
        if self.subset_weight:
            attention = torch.stack([present, present & self._subset(present)])
            weights = torch.stack([seen, self.subset_weight * seen])
        encoded = self.network.encode(modalities)
        outputs = self.network.fuse(encoded, attention.to(weight.dtype))
        # each copy has outputs with all modalities and with a subset of them
        n_means = len(outputs) * len(self.strength)
        return n_means * self.prediction_loss.of_several(outputs, target, weights) + self._penalty()

    def _penalty(self) -> Tensor:
        """Return the sum of the penalties of all copies."""
        squares = torch.stack([w.square().flatten(1).sum(1) for w in self.weights]).sum(0)
        return (0.5 * self.strength * squares).sum()

    def _subset(self, present: Tensor) -> Tensor:
        return random_subset(len(present), present.shape[1], self.generator)

    @torch.no_grad()
    def log_likelihoods(self, batch_size: int) -> Tensor:
        """Return the log likelihood of the left-out samples, for each strength.

        Parameters
        ----------
        batch_size : int
            Number of samples that are evaluated together.

        Returns
        -------
        Tensor of shape (n_strengths,)
            Log likelihoods, up to a constant.
        """
        total, n_unseen = torch.zeros_like(self.strength), 0.0
        for fold, present, target, weight, *modalities in slices(self.samples, batch_size):
            encoded = self.network.encode(modalities)
            unseen = (fold == self.left_out) * weight
            n_unseen += float(unseen.sum()) / len(_STRENGTHS)
            kept = [(1.0, present)]
            if self.subset_weight:
                share = self.subset_weight / _N_DRAWS
                kept += [(share, present & self._subset(present)) for _ in range(_N_DRAWS)]
            for share, attention in kept:
                outputs = self.network.fuse(encoded, attention.to(weight.dtype))
                pairs = zip(outputs, unseen, strict=True)
                losses = [self.prediction_loss(output, target, w) for output, w in pairs]
                total += share * len(fold) * torch.stack(losses)
        mean = total.view(len(_STRENGTHS), -1).sum(1) / ((1.0 + self.subset_weight) * n_unseen)
        return self.prediction_loss.log_likelihood(mean, n_unseen)


def _folds(target: Tensor, generator: torch.Generator) -> Tensor:
    """Assign samples to folds that are stratified by the target."""
    n, device = len(target), target.device
    order = torch.randperm(n, generator=generator, device=device)
    first = target.view(n, -1)[order, 0]
    order = order[first.argsort(stable=True)]
    fold = torch.empty(n, dtype=torch.long, device=device)
    fold[order] = torch.arange(n, device=device) % _N_FOLDS
    return fold


def select_l2(
    network: Any,
    prediction_loss: PredictionLoss,
    data: tuple[Samples, Tensor | None],
    fills: list[Tensor],
    batch_size: int | str,
    config: TrainingConfig,
    generator: torch.Generator,
) -> float:
    """Choose the strength of the L2 penalty on the weights of a predictor.

    Parameters
    ----------
    network : FusionNetwork
        Predictor with its initial weights. It is not changed.
    prediction_loss : PredictionLoss
        The prediction loss.
    data : tuple of Samples and Tensor of shape (n_held_out,) or None
        Training samples, and the positions of held-out samples, which are not used.
    fills : list of Tensor of shape (n_features,)
        Values that replace missing ones.
    batch_size : int or "auto"
        Largest number of samples per step.
    config : TrainingConfig
        Training configuration of gate and predictor. The selection trains at most 20 epochs.
    generator : torch.Generator
        Random number generator on the device of the samples.

    Returns
    -------
    float
        Strength, for a penalty that is divided by the number of samples.
    """
    samples, held_out = data
    usable = samples.weight > 0
    if held_out is not None:
        usable[held_out] = False
    some = usable.nonzero().squeeze(1)
    some = some[torch.randperm(len(some), generator=generator, device=some.device)[:_MAX_SAMPLES]]
    strength = _OF_FEW_SAMPLES
    if len(some) >= _MIN_SAMPLES:
        weight, modalities = samples.weight[some], [x[some] for x in samples.modalities]
        present = torch.stack([~x.isnan().all(1) for x in modalities], 1)
        weight = weight / weight.mean()
        table = [present, samples.target[some], weight, *fill(modalities, fills)]
        short = replace(
            config,
            batch_size=auto_batch_size(batch_size, len(some)),
            max_epochs=min(config.max_epochs, _MAX_EPOCHS),
            weight_decay=0.0,
            early_stopping=False,
        )
        objective = PenaltyObjective(network, prediction_loss, table, generator)
        train_once(objective, "stage 2 of 2, L2 regularization", short)
        # geometric mean weighted by likelihood, which is stable if several are about equally good
        likelihood = objective.log_likelihoods(short.batch_size).double().softmax(0).tolist()
        logs = (p * math.log(s) for p, s in zip(likelihood, _STRENGTHS, strict=True))
        strength = min(max(math.exp(math.fsum(logs)), _STRENGTHS[0]), _STRENGTHS[-1])
    # the more samples there are, the less regularization the network needs
    n_samples = len(samples.target)
    return strength * n_samples * min(1.0, _MAX_SAMPLES / n_samples) ** 2
