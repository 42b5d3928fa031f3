"""How strongly to penalise the weights of the predictor: cross-validation on the training rows.

The best strength differs by orders of magnitude between tables. So several are tried in several
folds, side by side in one stack, on the predictor alone: intact rows that lose random modalities
are what a gate that does its work will make of failing ones.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sklearn_emma.engine.batches import auto_batch_size, slices
from sklearn_emma.engine.objective import Task, train
from sklearn_emma.gate.failures import Rows, fill
from sklearn_emma.gate.objective import names_of_weights, random_part
from sklearn_emma.gate.prediction_loss import Criterion
from sklearn_emma.nn import FusionNetwork
from sklearn_emma.nn.module_stack import stack

# Strengths to choose from, for a loss averaged over rows.
_STRENGTHS = (0.001, 0.003, 0.01)
# Fewer rows cannot tell, and take this one.
_MIN_ROWS, _OF_FEW_ROWS = 30, 0.003
# Of more rows so many decide.
_MAX_ROWS = 2000
# Folds; so many are left out in turn as make this number of rows together.
_N_FOLDS, _MIN_LEFT_OUT = 3, 1000
_MAX_EPOCHS = 20
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
        present, target, weight, *_ = rows
        device = target.device
        self.n_samples = len(target)
        n_left_out = min(_N_FOLDS, math.ceil(_MIN_LEFT_OUT * _N_FOLDS / self.n_samples))
        folds = torch.arange(n_left_out, device=device)
        strengths = torch.tensor(_STRENGTHS, device=device)
        self.left_out = folds.repeat(len(strengths)).unsqueeze(1)
        self.strength = strengths.repeat_interleave(len(folds))
        self.network = stack([network] * len(self.strength))
        weights = names_of_weights(network)
        self.weights = [p for name, p in self.network.named_parameters() if name in weights]
        self.criterion = criterion
        self.rows = [_folds(target, generator), *rows]
        # there is no part of one modality
        self.part_weight = _PART_WEIGHT if present.shape[1] > 1 else 0.0
        loss = criterion.ignorant_loss(target, weight)
        self.ignorant_loss = (1.0 + self.part_weight) * loss * len(self.strength)
        self.ignorant_loss += float(self._penalty().detach())

    def epoch_data(self) -> Sequence[Tensor]:
        """Return fold, presence, target, weight and the modalities."""
        return self.rows

    def loss(self, *batch: Tensor) -> Tensor:
        """Return the sum of the losses of all copies."""
        fold, present, target, weight, *modalities = batch
        seen = (fold != self.left_out) * weight * (_N_FOLDS / (_N_FOLDS - 1))
        attention, weights = present.unsqueeze(0), seen.unsqueeze(0)
        if self.part_weight:
            attention = torch.stack([present, present & self._part(present)])
            weights = torch.stack([seen, self.part_weight * seen])
        encoded = self.network.encode(modalities)
        output = self.network.fuse(encoded, attention.to(weight.dtype).unsqueeze(1))
        # of every copy, whole rows and their parts
        n_means = len(output) * len(self.strength)
        targets = target.expand(n_means, *target.shape).flatten(0, 1)
        return (
            n_means * self.criterion(output.flatten(0, 2), targets, weights.flatten())
            + self._penalty()
        )

    def _penalty(self) -> Tensor:
        """Return the sum of the penalties of all copies."""
        squares = torch.stack([w.square().flatten(1).sum(1) for w in self.weights]).sum(0)
        return (0.5 * self.strength * squares).sum()

    def _part(self, present: Tensor) -> Tensor:
        return random_part(len(present), present.shape[1], self.generator)

    def validation_loss(self) -> None:
        """Return nothing: what counts comes at the end."""
        return

    @torch.no_grad()
    def log_likelihoods(self, batch_size: int) -> Tensor:
        """Return how likely each strength makes the rows that its copies have not seen.

        Parameters
        ----------
        batch_size : int
            Rows evaluated together.

        Returns
        -------
        Tensor of shape (n_strengths,)
            The logarithms, up to a constant.
        """
        total, n_unseen = torch.zeros_like(self.strength), 0.0
        for fold, present, target, weight, *modalities in slices(self.rows, batch_size):
            encoded = self.network.encode(modalities)
            unseen = (fold == self.left_out) * weight
            n_unseen += float(unseen.sum()) / len(_STRENGTHS)
            kept = [(1.0, present)]
            if self.part_weight:
                share = self.part_weight / _N_DRAWS
                kept += [(share, present & self._part(present)) for _ in range(_N_DRAWS)]
            for share, attention in kept:
                outputs = self.network.fuse(encoded, attention.to(weight.dtype))
                pairs = zip(outputs, unseen, strict=True)
                losses = [self.criterion(output, target, w) for output, w in pairs]
                total += share * len(fold) * torch.stack(losses)
        mean = total.view(len(_STRENGTHS), -1).sum(1) / ((1.0 + self.part_weight) * n_unseen)
        return self.criterion.log_likelihood(mean, n_unseen)


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
    held_out: Tensor | None,
    fills: list[Tensor],
    *,
    learning_rate: float,
    batch_size: int | str,
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
    held_out : Tensor of shape (n_held_out,) or None
        Positions of rows that are to take no part.
    fills : list of Tensor of shape (n_features,)
        What stands in for missing values.
    learning_rate : float
        Largest learning rate.
    batch_size : int or "auto"
        Rows per step, at most.
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
    usable = rows.weight > 0
    if held_out is not None:
        usable[held_out] = False
    some = usable.nonzero().squeeze(1)
    some = some[torch.randperm(len(some), generator=generator, device=some.device)[:_MAX_ROWS]]
    strength = _OF_FEW_ROWS
    if len(some) >= _MIN_ROWS:
        weight, modalities = rows.weight[some], [x[some] for x in rows.modalities]
        present = torch.stack([~x.isnan().all(1) for x in modalities], 1)
        weight = weight / weight.mean()
        table = [present, rows.target[some], weight, *fill(modalities, fills)]
        batch_size = auto_batch_size(batch_size, len(some))
        task = PenaltyTask(network, criterion, table, generator)
        train(
            task,
            "penalty on weights",
            verbose,
            batch_size=batch_size,
            lr=learning_rate,
            max_epochs=min(max_epochs, _MAX_EPOCHS),
        )
        # the mean over what is likely, so that chance does not decide between equals
        likely = task.log_likelihoods(batch_size).double().softmax(0).tolist()
        logs = (p * math.log(s) for p, s in zip(likely, _STRENGTHS, strict=True))
        strength = min(max(math.exp(math.fsum(logs)), _STRENGTHS[0]), _STRENGTHS[-1])
    # the more rows there are, the more of the network they can bear
    n_samples = len(rows.target)
    return strength * n_samples * min(1.0, _MAX_ROWS / n_samples) ** 2
