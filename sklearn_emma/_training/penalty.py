"""How strongly to penalise the weights of the predictor: cross-validation on the training rows.

The best strength differs by orders of magnitude between tables. So several are tried in several
folds, side by side in one stack, on the predictor alone: intact rows that lose random modalities
are what a gate that does its work will make of failing ones.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sklearn_emma._training.batches import slices
from sklearn_emma._training.criteria import Criterion
from sklearn_emma._training.failures import Rows, fill
from sklearn_emma._training.gating import names_of_weights, random_part
from sklearn_emma._training.task import Task, train
from sklearn_emma.nn import FusionNetwork
from sklearn_emma.nn.stacking import stack

#: Of more rows so many decide, and the strength found is divided by how many times more there are.
MOST_ROWS = 2000

# Strengths to choose from, by row; what tables of fewer than so many rows take, which cannot tell.
_STRENGTHS, _UNKNOWN, _FEWEST = (0.001, 0.003, 0.01), 0.003, 30
# Folds, of which so many are left out in turn as make this number of rows together.
_N_FOLDS, _ENOUGH = 3, 1000
_MOST_EPOCHS = 20
# Weight of the loss of random parts, and how often they are drawn to compare strengths.
_PART_WEIGHT, _N_DRAWS = 2.0, 3


class PenaltyTask(Task):
    """Copies of a predictor, each with a penalty and a fold that it does not see.

    Parameters
    ----------
    network : FusionNetwork
        Where they all start from; left as it is.
    criterion : Criterion
        The prediction loss.
    rows : sequence of Tensor of shape (n_samples, ...)
        Which modalities are there, of shape (n_samples, n_modalities), the target, the weight, and
        the modalities without gaps.
    generator : torch.Generator
        On the device of the rows.
    """

    def __init__(
        self,
        network: FusionNetwork,
        criterion: Criterion,
        rows: Sequence[Tensor],
        generator: torch.Generator,
    ):
        super().__init__(generator)
        _, target, weight, *_ = rows
        device = target.device
        self.n_samples = len(target)
        n_left_out = min(_N_FOLDS, math.ceil(_ENOUGH * _N_FOLDS / self.n_samples))
        folds = torch.arange(n_left_out, device=device)
        strengths = torch.tensor(_STRENGTHS, device=device)
        self.left_out = folds.repeat(len(strengths)).unsqueeze(1)
        self.strength = strengths.repeat_interleave(len(folds))
        self.network = stack([network] * len(self.strength))
        weights = names_of_weights(network)
        self.weights = [p for name, p in self.network.named_parameters() if name in weights]
        self.criterion = criterion
        self.rows = [_folds(target, generator), *rows]
        loss = criterion.ignorant_loss(target, weight)
        self.ignorant_loss = (1.0 + _PART_WEIGHT) * loss * len(self.strength)

    def epoch_data(self) -> Sequence[Tensor]:
        """Return fold, presence, target, weight and the modalities."""
        return self.rows

    def loss(self, *batch: Tensor) -> Tensor:
        """Return the sum of the losses of all copies."""
        fold, present, target, weight, *modalities = batch
        seen = (fold != self.left_out) * weight * (_N_FOLDS / (_N_FOLDS - 1))
        encoded = self.network.encode(modalities)

        def predicted(attention: Tensor) -> Tensor:
            """Return the sum of the prediction losses."""
            output = self.network.fuse(encoded, attention.to(weight.dtype))
            n_copies = len(output)
            targets = target.expand(n_copies, *target.shape).flatten(0, 1)
            return n_copies * self.criterion(output.flatten(0, 1), targets, seen.flatten())

        loss = predicted(present)
        if present.shape[1] > 1:
            loss = loss + _PART_WEIGHT * predicted(present & self._part(present))
        squares = sum(w.square().flatten(1).sum(1) for w in self.weights)
        return loss + (0.5 * self.strength * squares).sum()

    def _part(self, present: Tensor) -> Tensor:
        return random_part(len(present), present.shape[1], self.generator)

    def validation_loss(self) -> None:
        """Return nothing: what counts comes at the end."""
        return

    @torch.no_grad()
    def held_out_losses(self, batch_size: int) -> Tensor:
        """Return the loss of each strength on the rows that its copies have not seen.

        Parameters
        ----------
        batch_size : int
            Rows evaluated together.

        Returns
        -------
        Tensor of shape (n_strengths,)
            The losses, summed over these rows.
        """
        total = torch.zeros_like(self.strength)
        for fold, present, target, weight, *modalities in slices(self.rows, batch_size):
            encoded = self.network.encode(modalities)
            kept, importance = [present], [1.0]
            if present.shape[1] > 1:
                kept += [present & self._part(present) for _ in range(_N_DRAWS)]
                importance += [_PART_WEIGHT / _N_DRAWS] * _N_DRAWS
            for attention, factor in zip(kept, importance, strict=True):
                outputs = self.network.fuse(encoded, attention.to(weight.dtype))
                unseen = (fold == self.left_out) * weight
                losses = [
                    self.criterion(output, target, w)
                    for output, w in zip(outputs, unseen, strict=True)
                ]
                total += factor * len(fold) * torch.stack(losses)
        return total.view(len(_STRENGTHS), -1).sum(1)


def _folds(target: Tensor, generator: torch.Generator) -> Tensor:
    """Deal the rows out, in the order of their targets so that folds are alike."""
    n, device = len(target), target.device
    order = torch.randperm(n, generator=generator, device=device)
    first = target.view(n, -1)[order, 0]
    order = order[first.argsort(stable=True)]
    fold = torch.empty(n, dtype=torch.long, device=device)
    fold[order] = torch.arange(n, device=device) % _N_FOLDS
    return fold


def choose_penalty(
    network: FusionNetwork,
    criterion: Criterion,
    rows: Rows,
    fills: list[Tensor],
    *,
    learning_rate: float,
    batch_size: int,
    max_epochs: int,
    verbose: int,
    generator: torch.Generator,
) -> float:
    """Choose the strength of the penalty on the weights of a predictor.

    Parameters
    ----------
    network : FusionNetwork
        The predictor as it starts; left as it is.
    criterion : Criterion
        The prediction loss.
    rows : Rows
        Training rows; their potentials are not used.
    fills : list of Tensor of shape (n_features,)
        What stands in for missing values.
    learning_rate : float
        Largest learning rate.
    batch_size : int
        Rows per step.
    max_epochs : int
        Most epochs to train.
    verbose : int
        Whether to show progress.
    generator : torch.Generator
        On the device of the rows.

    Returns
    -------
    float
        The strength, for a penalty that is divided by the number of rows.
    """
    n_samples = len(rows.target)
    if n_samples < _FEWEST:
        return _UNKNOWN * n_samples
    n = min(n_samples, MOST_ROWS)
    present = torch.stack([~x.isnan().all(1) for x in rows.modalities], 1)
    tensors = [present, rows.target, rows.weight, *fill(rows.modalities, fills)]
    if n < n_samples:
        some = torch.randperm(n_samples, generator=generator, device=rows.target.device)[:n]
        tensors = [tensor[some] for tensor in tensors]
    task = PenaltyTask(network, criterion, tensors, generator)
    train(
        task,
        "penalty on weights",
        verbose,
        batch_size=batch_size,
        lr=learning_rate,
        max_epochs=min(max_epochs, _MOST_EPOCHS),
    )
    # the mean over what is likely, so that chance does not decide between equals
    likelihood = -task.held_out_losses(batch_size) / (1.0 + _PART_WEIGHT)
    log_strength = torch.tensor(_STRENGTHS, device=likelihood.device).log()
    strength = n * float((likelihood.softmax(0) @ log_strength).exp())
    # the more rows there are, the more of the network they can bear
    return strength * n / n_samples
