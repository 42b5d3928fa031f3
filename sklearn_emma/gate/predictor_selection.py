"""Choose features and L2 regularization of the predictor by cross-validation.

The best strength differs by orders of magnitude between tables, and periodic features help on some
tables and do harm on others. Therefore several strengths, with each kind of features, are compared
by cross-validation of the predictor alone, with all models of one kind in one stack. Clean samples
with random subsets of their modalities take the place of corrupted samples whose corrupted
modalities are closed by the gate.

Folds are contiguous within each class, as in scikit-learn's ``StratifiedKFold``. If samples are in
temporal order, or sorted by experiment, the selected model is the one that predicts
other times and experiments best, and not the one that recognizes samples close in time. If samples
are shuffled, contiguous folds are random folds.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sklearn_emma.engine.batches import auto_batch_size, slices
from sklearn_emma.engine.objective import Objective, TrainingConfig
from sklearn_emma.engine.seeding import make_generator
from sklearn_emma.engine.training_memory import train_once
from sklearn_emma.gate.objective import random_subset
from sklearn_emma.gate.plain_objective import penalized_parameters, predictor_groups
from sklearn_emma.gate.prediction_loss import PredictionLoss
from sklearn_emma.gate.samples import Samples
from sklearn_emma.nn import FusionNetwork
from sklearn_emma.nn.module_stack import stack

# Candidate strengths, for a loss averaged over samples: without periodic features, and with them.
_STRENGTHS = {False: (0.001, 0.003, 0.01, 0.03), True: (0.0005, 0.003)}
# Smallest number of samples for a selection, and strength that is used if there are fewer.
_MIN_SAMPLES, _OF_FEW_SAMPLES = 30, 0.003
# Largest number of samples that are used for the selection.
_MAX_SAMPLES = 2000
# Number of folds. They are left out in turn, until this number of samples was left out.
_N_FOLDS, _MIN_LEFT_OUT = 3, 1000
_MAX_EPOCHS = 20
# Weight of the subset loss, and number of draws of subsets in the comparison of strengths.
_SUBSET_WEIGHT, _N_DRAWS = 2.0, 3
#: Number of columns above which periodic features take too long to be tried.
MAX_PERIODIC_COLUMNS = 256
# Log likelihood by which periodic features have to be better.
_PREFERENCE = 3.0


class SelectionData(NamedTuple):
    """Samples for the choice of a predictor.

    Attributes
    ----------
    samples : Samples
        Training samples.
    held_out : Tensor of shape (n_held_out,) or None
        Positions of the held-out samples for early stopping, which are not used.
    fillings : list of GapFilling
        Gap filling of each modality, for samples in float32.
    """

    samples: Samples
    held_out: Tensor | None
    fillings: Sequence[Callable[[Tensor], Tensor]]

    def filled(self, index: Tensor | slice) -> list[Tensor]:
        """Return the modalities of some samples, with missing values filled."""
        pairs = zip(self.fillings, self.samples.modalities, strict=True)
        return [fill(x[index]) for fill, x in pairs]


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
    strengths : sequence of float
        Strengths of the penalty.
    generator : torch.Generator
        Random number generator on the device of the samples.
    """

    def __init__(
        self,
        network: FusionNetwork,
        prediction_loss: PredictionLoss,
        samples: Sequence[Tensor],
        strengths: Sequence[float],
        generator: torch.Generator,
    ):
        super().__init__(generator)
        present, target, weight, *_ = samples
        device = target.device
        self.n_samples = len(target)
        n_left_out = min(_N_FOLDS, math.ceil(_MIN_LEFT_OUT * _N_FOLDS / self.n_samples))
        folds = torch.arange(n_left_out, device=device)
        self.left_out = folds.repeat(len(strengths)).unsqueeze(1)
        each = torch.tensor(strengths, dtype=torch.float32, device=device)
        self.strength = each.repeat_interleave(len(folds))
        self.n_strengths = len(strengths)
        self.network = stack([network] * len(self.strength))
        weights = penalized_parameters(network)
        self.weights = [p for name, p in self.network.named_parameters() if name in weights]
        self.prediction_loss = prediction_loss
        self.samples = [contiguous_folds(target), *samples]
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
            n_unseen += float(unseen.sum()) / self.n_strengths
            kept = [(1.0, present)]
            if self.subset_weight:
                share = self.subset_weight / _N_DRAWS
                kept += [(share, present & self._subset(present)) for _ in range(_N_DRAWS)]
            for share, attention in kept:
                outputs = self.network.fuse(encoded, attention.to(weight.dtype))
                pairs = zip(outputs, unseen, strict=True)
                losses = [self.prediction_loss(output, target, w) for output, w in pairs]
                total += share * len(fold) * torch.stack(losses)
        mean = total.view(self.n_strengths, -1).sum(1) / ((1.0 + self.subset_weight) * n_unseen)
        return self.prediction_loss.log_likelihood(mean, n_unseen)


def contiguous_folds(target: Tensor) -> Tensor:
    """Return the fold of each sample: folds are contiguous parts of each class.

    Parameters
    ----------
    target : Tensor of int of shape (n_samples,), or of float of shape (n_samples, n_outputs)
        Positions of classes, or target values. The fifths of the first output then take the place
        of classes.

    Returns
    -------
    Tensor of int of shape (n_samples,)
        2 for the first part of a class, 1 for the next and 0 for the last. Fold 0 is always left
        out; the others may not be if there are many samples.
    """
    n, device = len(target), target.device
    group = target if target.ndim == 1 else fifths(target[:, 0])
    order = group.argsort(stable=True)
    size = group.bincount()
    start = (size.cumsum(0) - size).repeat_interleave(size)
    fold = torch.empty(n, dtype=torch.long, device=device)
    place = torch.arange(n, device=device) - start
    fold[order] = _N_FOLDS - 1 - place * _N_FOLDS // size.repeat_interleave(size)
    return fold


def fifths(values: Tensor) -> Tensor:
    """Return the fifth that each target value belongs to, in the place of a class.

    Parameters
    ----------
    values : Tensor of float of shape (n_samples,)
        Target values.

    Returns
    -------
    Tensor of int of shape (n_samples,)
        From 0 for the lowest values to 4 for the highest.
    """
    return values.argsort(stable=True).argsort() * 5 // len(values)


def select_predictor(
    networks: Mapping[bool, Any],
    strength: float | None,
    prediction_loss: PredictionLoss,
    data: SelectionData,
    batch_size: int | str,
    config: TrainingConfig,
    seed: int,
) -> tuple[bool, float]:
    """Choose one of several predictors, and the strength of the L2 penalty on its weights.

    Parameters
    ----------
    networks : dict of bool to GatedPredictor
        Predictors with their initial weights, without and with periodic features, or one of the
        two. They are not changed. If there is something to select, each is a
        :class:`~sklearn_emma.nn.FusionEnsemble`, of which the first network is trained.
    strength : float or None
        Strength of the penalty, in the units in which it is returned. None selects it.
    prediction_loss : PredictionLoss
        The prediction loss.
    data : SelectionData
        Training samples.
    batch_size : int or "auto"
        Largest number of samples per step.
    config : TrainingConfig
        Training configuration of gate and predictor. The selection trains at most 20 epochs.
    seed : int
        Seed of the random numbers of the selection.

    Returns
    -------
    periodic : bool
        Key of the selected predictor. Periodic features are selected if they increase the
        log-likelihood of the samples left out by more than 3, where the likelihood is averaged over
        strengths. They are not selected with fewer than 30 samples.
    strength : float
        Strength, for a penalty that is divided by the number of samples.
    """
    first, unit = next(iter(networks)), strength_unit(len(data.samples.target))
    if len(networks) == 1 and strength is not None:
        return first, strength
    usable = _usable_samples(data)
    if len(usable) < _MIN_SAMPLES:
        return first, unit * _OF_FEW_SAMPLES if strength is None else strength
    generator = make_generator(seed, usable.device, stream=3)
    table = _draw_table(data, usable, generator)
    short = replace(
        config,
        batch_size=auto_batch_size(batch_size, len(table[0])),
        max_epochs=min(config.max_epochs, _MAX_EPOCHS),
        weight_decay=0.0,
        early_stopping=False,
    )
    found: dict[bool, tuple[float, float]] = {}
    state = generator.get_state()
    for periodic, ensemble in networks.items():
        generator.set_state(state)  # the same batches and subsets for every predictor
        strengths = _STRENGTHS[periodic] if strength is None else (strength / unit,)
        objective = PenaltyObjective(ensemble.first(), prediction_loss, table, strengths, generator)
        train_once(objective, "stage 2 of 2, choice of the predictor", short)
        evidence, best = _judge(objective.log_likelihoods(short.batch_size), strengths)
        found[periodic] = evidence - _PREFERENCE * periodic, unit * best
    chosen = max(found, key=lambda periodic: found[periodic][0])
    return chosen, found[chosen][1]


def _usable_samples(data: SelectionData) -> Tensor:
    """Return the positions of the samples of positive weight that are not held out."""
    usable = data.samples.weight > 0
    if data.held_out is not None:
        usable[data.held_out] = False
    return usable.nonzero().squeeze(1)


def _draw_table(data: SelectionData, usable: Tensor, generator: torch.Generator) -> list[Tensor]:
    """Draw at most _MAX_SAMPLES samples, and return them as in :class:`PenaltyObjective`."""
    samples = data.samples
    order = torch.randperm(len(usable), generator=generator, device=usable.device)
    drawn = usable[order[:_MAX_SAMPLES].sort().values]
    weight, modalities = samples.weight[drawn], [x[drawn] for x in samples.modalities]
    present = torch.stack([~x.isnan().all(1) for x in modalities], 1)
    return [present, samples.target[drawn], weight / weight.mean(), *data.filled(drawn)]


def _judge(log_likelihoods: Tensor, strengths: Sequence[float]) -> tuple[float, float]:
    """Return the log of the likelihood averaged over strengths, and the best strength."""
    log_likelihoods = log_likelihoods.double()
    evidence = float(log_likelihoods.logsumexp(0)) - math.log(len(strengths))
    # geometric mean weighted by likelihood, which is stable if several are about equally good
    likelihood = log_likelihoods.softmax(0).tolist()
    logs = (p * math.log(s) for p, s in zip(likelihood, strengths, strict=True))
    return evidence, min(max(math.exp(math.fsum(logs)), strengths[0]), strengths[-1])


def strength_unit(n_samples: int) -> float:
    """Return the unit of strengths: the more samples, the less regularization is needed.

    Parameters
    ----------
    n_samples : int
        Number of training samples.

    Returns
    -------
    float
        n for n up to 2,000 samples, and 2,000² / n above.
    """
    return n_samples * min(1.0, _MAX_SAMPLES / n_samples) ** 2
