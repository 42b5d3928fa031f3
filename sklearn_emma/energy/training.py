"""Train the energies of modalities, including coordinates, noise, and the scales of views."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from sklearn.utils.parallel import Parallel, delayed

from sklearn_emma.energy.column_scale import column_scale, noise_range
from sklearn_emma.energy.denoising import Denoising, StackedDenoising, TrainingNoise, View
from sklearn_emma.energy.energy_scale import median_and_range
from sklearn_emma.energy.views import EnergyView
from sklearn_emma.engine.batches import evaluation_block, stacked_modalities
from sklearn_emma.engine.objective import TrainingConfig
from sklearn_emma.engine.seeding import make_generator
from sklearn_emma.engine.training import train
from sklearn_emma.engine.weights import load_arrays, to_arrays
from sklearn_emma.nn import DAEEnergy, EnergyEnsemble, SoftClip
from sklearn_emma.nn.module_stack import width_class


class AnyArchitecture(Protocol):
    """Protocol of the architecture of an energy."""

    @property
    def stackable(self) -> bool:
        """Whether energies of this architecture can be trained as one stack."""

    def build(self, n_features: int, generator: torch.Generator) -> EnergyEnsemble:
        """Build an energy with initial weights."""


class EnergyArchitecture(NamedTuple):
    """Architecture of an energy: hidden layers, and clip and number of prototypes of each view."""

    hidden_layer_sizes: tuple[int, ...]
    activation: str
    clips: tuple[float, ...]
    n_prototypes: tuple[int, ...]

    @property
    def stackable(self) -> bool:
        """Whether energies of this architecture can be trained as one stack."""
        return True

    def build(self, n_features: int, generator: torch.Generator) -> EnergyEnsemble:
        """Build an energy with initial weights.

        Parameters
        ----------
        n_features : int
            Number of features.
        generator : torch.Generator
            Source of the weights, on the CPU.

        Returns
        -------
        EnergyEnsemble
            Energy with one member per view.
        """
        sizes, activation = self.hidden_layer_sizes, self.activation
        return EnergyEnsemble(
            [DAEEnergy(n_features, sizes, activation, generator, n) for n in self.n_prototypes],
            [SoftClip(n_features, clip) for clip in self.clips],
        )


# Largest number of modalities that the progress display names.
_MOST_NAMED = 4


@dataclass(frozen=True)
class EnergyConfig:
    """Configuration of the training of energies.

    Attributes
    ----------
    architecture : AnyArchitecture
        Architecture of the energies.
    views : tuple of EnergyView
        Views from which the energies are learned.
    training : TrainingConfig
        Training configuration.
    device : torch.device
        Device of the training.
    scaled : bool
        Whether the potential of a single view is scaled. Those of several views always are.
    """

    architecture: AnyArchitecture
    views: tuple[EnergyView, ...]
    training: TrainingConfig
    device: torch.device
    scaled: bool = True


@dataclass(frozen=True)
class EnergyTask:
    """Training task of the energy of one modality.

    Attributes
    ----------
    name : str
        Name of the modality, for messages.
    x : ndarray of shape (n_samples, n_features)
        Training samples.
    weight : ndarray of shape (n_samples,)
        Sample weights with a mean of one.
    held_out : ndarray of shape (n_held_out, n_features) or None
        Held-out samples for early stopping.
    config : EnergyConfig
        Configuration of the training.
    seed : int
        Seed of all random numbers.
    start : dict of str to ndarray, or None
        Initial weights. None draws random ones.
    least_scale : ndarray of shape (n_features,), or None
        Smallest scale of each feature.
    held_out_weight : ndarray of shape (n_held_out,), or None
        Weights of the held-out samples with a mean of one. None weights all of them equally.
    """

    name: str
    x: np.ndarray
    weight: np.ndarray
    held_out: np.ndarray | None
    config: EnergyConfig
    seed: int
    start: dict[str, np.ndarray] | None = None
    least_scale: np.ndarray | None = None
    held_out_weight: np.ndarray | None = None

    def stack_key(self) -> tuple:
        """Return a key that is equal for tasks that can be trained as one stack."""
        n_samples, n_features = self.x.shape
        return n_samples, width_class(n_features), self.config


class TrainedEnergy(NamedTuple):
    """Weights of a trained energy, and its losses by epoch."""

    weights: dict[str, np.ndarray]
    history: dict[str, np.ndarray]


def train_energies(
    tasks: Sequence[EnergyTask], n_jobs: int | None = None, stage: str = ""
) -> list[TrainedEnergy]:
    """Train the energies of modalities: those of the same shape as stacks, stacks in parallel.

    Up to rounding, every energy is the same as if it was trained alone.

    Parameters
    ----------
    tasks : sequence of EnergyTask
        Training tasks of the modalities.
    n_jobs : int or None, default=None
        Number of parallel processes, as in joblib.
    stage : str, default=""
        Prefix of the progress display.

    Returns
    -------
    list of TrainedEnergy
        Trained energy of each modality.
    """
    groups = list(_groups(tasks))
    trained = Parallel(n_jobs=n_jobs)(
        delayed(_train_group)(
            [tasks[i] for i in group],
            stage + (f"part {part} of {len(groups)}, " if len(groups) > 1 else ""),
        )
        for part, group in enumerate(groups, 1)
    )
    places = [i for group in groups for i in group]
    outcomes = [outcome for group in trained for outcome in group]
    return [outcomes[places.index(i)] for i in range(len(tasks))]


def _groups(tasks: Sequence[EnergyTask]) -> Iterator[list[int]]:
    """Yield the positions of the tasks of each stack."""
    alike: list[tuple[tuple, list[int]]] = []
    for i, task in enumerate(tasks):
        group = next((group for key, group in alike if key == task.stack_key()), None)
        # with early stopping, tasks end at different epochs
        alone = task.config.training.early_stopping or not task.config.architecture.stackable
        if group is None or alone:
            alike.append((task.stack_key(), group := []))
        group.append(i)
    for (n_samples, width, *_), group in alike:
        # the split must not depend on n_jobs, so that results do not either
        n_parts = math.ceil(len(group) / stacked_modalities(n_samples, width))
        yield from (part.tolist() for part in np.array_split(group, n_parts))


def _title(names: Sequence[str]) -> str:
    """Return the title of a stack for the progress display."""
    if len(names) > _MOST_NAMED:
        others = len(names) - _MOST_NAMED + 1
        names = [*names[: _MOST_NAMED - 1], f"{others} others"]
    return f"{'energy' if len(names) == 1 else 'energies'} of {', '.join(names)}"


def _train_group(tasks: Sequence[EnergyTask], stage: str = "") -> list[TrainedEnergy]:
    """Train the energies of modalities of the same shape."""
    what = stage + _title([task.name for task in tasks])
    energies, objectives = zip(*map(_prepare, tasks), strict=True)
    config = tasks[0].config.training
    if len(tasks) == 1:
        history = train(objectives[0], what, config)
        return [TrainedEnergy(_comparable(tasks[0], energies[0]), history)]
    stacked = StackedDenoising(objectives)
    history = train(stacked, what, config)
    stacked.unstack()
    return [
        TrainedEnergy(
            _comparable(task, energy), {name: losses[:, i] for name, losses in history.items()}
        )
        for i, (task, energy) in enumerate(zip(tasks, energies, strict=True))
    ]


def _prepare(task: EnergyTask) -> tuple[EnergyEnsemble, Denoising]:
    """Build the energy of a modality, and the objective of its training."""
    x, config = task.x, task.config
    energy = config.architecture.build(x.shape[1], make_generator(task.seed))
    if task.start is not None:
        load_arrays(energy, task.start)
    views = []
    for view, see, member in zip(config.views, energy.coordinates, energy.members, strict=True):
        center, scale = column_scale(x, task.weight, view.scaling, task.least_scale)
        see.center, see.scale = torch.from_numpy(center), torch.from_numpy(scale)
        z = see(torch.from_numpy(x))
        low, high = noise_range(z.numpy(), view, task.seed)
        if member.n_prototypes and task.start is None:
            chosen = _drawn_by_weight(task.weight, np.random.RandomState(task.seed))
            member.place_prototypes(z[np.resize(chosen, member.n_prototypes)], low * high)
        stop = None
        if task.held_out is not None:
            stop = see(torch.from_numpy(task.held_out)).float().to(config.device)
        noise = TrainingNoise(low, high, view.lost_fraction)
        robust = view.loss == "robust"
        views.append(View(member, z.float().to(config.device), stop, noise, robust))
    energy.to(config.device)
    kind: dict[str, Any] = {"dtype": torch.float32, "device": config.device}
    weight, held_out = torch.tensor(task.weight, **kind), None
    if task.held_out_weight is not None:
        held_out = torch.tensor(task.held_out_weight, **kind)
    generator = make_generator(task.seed, config.device, stream=1)
    return energy, Denoising(views, weight, generator, held_out)


def _comparable(task: EnergyTask, energy: EnergyEnsemble) -> dict[str, np.ndarray]:
    """Return the weights of a trained energy, with the level and spread of each view."""
    weights = to_arrays(energy)
    if len(task.config.views) == 1 and not task.config.scaled:
        return weights
    architecture = task.config.architecture
    energy = architecture.build(task.x.shape[1], make_generator(task.seed)).double()
    load_arrays(energy, weights)
    blocks = torch.from_numpy(task.x).split(evaluation_block(torch.float64))
    with torch.inference_mode():
        potentials = torch.cat([energy.potentials(block) for block in blocks]).numpy()
    weights["level"], weights["spread"] = median_and_range(potentials, task.weight)
    return weights


def _drawn_by_weight(weight: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Return all positions in random order. Samples of large weight tend to come first.

    Source: Efraimidis, P. S., & Spirakis, P. G. (2006). Weighted random sampling with a reservoir.
    Information Processing Letters 97(5), 181-185.
    """
    if (weight == weight[0]).all():
        return random.permutation(len(weight))
    return np.argsort(random.exponential(size=len(weight)) / weight)
