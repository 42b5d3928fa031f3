"""Stage 1 from start to end: choose coordinates and noise, train the energies of modalities."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from sklearn.utils.parallel import Parallel, delayed

from sklearn_emma.energy.denoising import Corruption, Denoising
from sklearn_emma.energy.scaling import column_scale, noise_range
from sklearn_emma.energy.stacked import SideBySide
from sklearn_emma.energy.views import EnergyView
from sklearn_emma.engine.batches import blockwise
from sklearn_emma.engine.objective import train
from sklearn_emma.engine.seeding import make_generator
from sklearn_emma.engine.weights import load_arrays, to_arrays
from sklearn_emma.nn import DAEEnergy, EnergyEnsemble, SoftClip
from sklearn_emma.nn.module_stack import width_class

# So many modalities train side by side at most, and while their rows are no more numbers than this:
# more are hardly faster, and larger tables need the memory more, and have large batches anyway.
_MOST, _MOST_NUMBERS = 16, 2**24


class Architecture(NamedTuple):
    """What an energy is made of: hidden layers, and for each view its clip and prototypes."""

    hidden_layer_sizes: tuple[int, ...]
    activation: str
    clips: tuple[float, ...]
    n_prototypes: tuple[int, ...]

    def build(self, n_features: int, generator: torch.Generator) -> EnergyEnsemble:
        """Make an energy with initial weights.

        Parameters
        ----------
        n_features : int
            Number of columns.
        generator : torch.Generator
            Source of the weights, on the CPU.

        Returns
        -------
        EnergyEnsemble
            One member for each view.
        """
        sizes, activation = self.hidden_layer_sizes, self.activation
        return EnergyEnsemble(
            [DAEEnergy(n_features, sizes, activation, generator, n) for n in self.n_prototypes],
            [SoftClip(n_features, clip) for clip in self.clips],
        )


@dataclass(frozen=True)
class Settings:
    """How to train, under the names of the estimator's parameters."""

    views: tuple[EnergyView, ...]
    learning_rate: float
    batch_size: int
    max_epochs: int
    early_stopping: bool
    n_iter_no_change: int
    tol: float
    verbose: int


@dataclass(frozen=True)
class Job:
    """One modality whose energy is to be trained.

    Attributes
    ----------
    name : str
        Its name, for messages.
    x : ndarray of shape (n_samples, n_features)
        Training rows.
    weight : ndarray of shape (n_samples,)
        Their weights, of mean one.
    held_out : ndarray of shape (n_held_out, n_features) or None
        Rows that decide on early stopping.
    architecture : Architecture
        Of the energy.
    settings : Settings
        How to train.
    seed : int
        Determines all that is random.
    device : torch.device
        Where to train.
    start : dict of str to ndarray, or None
        Weights to start from.
    """

    name: str
    x: np.ndarray
    weight: np.ndarray
    held_out: np.ndarray | None
    architecture: Architecture
    settings: Settings
    seed: int
    device: torch.device
    start: dict[str, np.ndarray] | None = None

    def shape(self) -> tuple:
        """Return what jobs have in common that can train side by side."""
        n_samples, n_features = self.x.shape
        return n_samples, width_class(n_features), self.architecture, self.settings, self.device


def train_energies(
    jobs: Sequence[Job], n_jobs: int | None = None
) -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Train the energies of some modalities: those of one shape side by side, others in processes.

    Every energy is, up to rounding, the one that it would be if it were trained by itself.

    Parameters
    ----------
    jobs : sequence of Job
        The modalities.
    n_jobs : int or None, default=None
        Processes, as in joblib.

    Returns
    -------
    list of (dict of str to ndarray, dict of str to ndarray)
        For each modality the weights of the trained energy, and its history: losses of shape
        (n_epochs,).
    """
    groups = list(_groups(jobs))
    trained = Parallel(n_jobs=n_jobs)(
        delayed(_train_group)([jobs[i] for i in group]) for group in groups
    )
    places = [i for group in groups for i in group]
    outcomes = [outcome for group in trained for outcome in group]
    return [outcomes[places.index(i)] for i in range(len(jobs))]


def _groups(jobs: Sequence[Job]) -> Iterator[list[int]]:
    """Yield positions of jobs that train side by side."""
    alike: list[tuple[tuple, list[int]]] = []
    for i, job in enumerate(jobs):
        group = next((group for shape, group in alike if shape == job.shape()), None)
        if group is None or job.settings.early_stopping:  # each has its own end
            alike.append((job.shape(), group := []))
        group.append(i)
    for (n_samples, width, *_), group in alike:
        most = max(1, min(_MOST, _MOST_NUMBERS // (n_samples * width)))
        # whatever n_jobs is: results must not depend on it
        n_parts = math.ceil(len(group) / most)
        yield from (part.tolist() for part in np.array_split(group, n_parts))


def _train_group(jobs: Sequence[Job]) -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Train the energies of modalities of one shape."""
    energies, tasks = zip(*map(_prepare, jobs), strict=True)
    together = SideBySide(tasks) if len(jobs) > 1 else None
    settings = jobs[0].settings
    what = f"energies of {len(jobs)} modalities" if together else f"energy of {jobs[0].name}"
    history = train(
        together or tasks[0],
        what,
        settings.verbose,
        batch_size=settings.batch_size,
        lr=settings.learning_rate,
        max_epochs=settings.max_epochs,
        early_stopping=settings.early_stopping,
        n_iter_no_change=settings.n_iter_no_change,
        tol=settings.tol,
    )
    if together is None:
        return [(_finish(jobs[0], energies[0]), history)]
    together.hand_back()
    return [
        (_finish(job, energy), {name: losses[:, i] for name, losses in history.items()})
        for i, (job, energy) in enumerate(zip(jobs, energies, strict=True))
    ]


def _prepare(job: Job) -> tuple[EnergyEnsemble, Denoising]:
    """Make the energy of a modality, and the task of training it."""
    x, settings = job.x, job.settings
    energy = job.architecture.build(x.shape[1], make_generator(job.seed))
    if job.start is not None:
        load_arrays(energy, job.start)
    rows, held_rows, corruptions = [], [], []
    for view, see, member in zip(settings.views, energy.coordinates, energy.members, strict=True):
        centre, scale = column_scale(x, job.weight, view.scaling)
        see.centre, see.scale = torch.from_numpy(centre), torch.from_numpy(scale)
        z = see(torch.from_numpy(x))
        low, high = noise_range(z.numpy(), view, job.seed)
        if member.n_prototypes and job.start is None:
            chosen = np.random.RandomState(job.seed).permutation(len(x))
            member.place_prototypes(z[np.resize(chosen, member.n_prototypes)], low * high)
        corruptions.append(Corruption(low, high, view.lost_fraction))
        rows.append(z.float().to(job.device))
        if job.held_out is not None:
            held_rows.append(see(torch.from_numpy(job.held_out)).float().to(job.device))
    energy.to(job.device)
    return energy, Denoising(
        list(energy.members),
        rows,
        torch.tensor(job.weight, dtype=torch.float32, device=job.device),
        held_rows or None,
        corruptions,
        [view.loss == "robust" for view in settings.views],
        make_generator(job.seed, job.device, stream=1),
    )


def _finish(job: Job, energy: EnergyEnsemble) -> dict[str, np.ndarray]:
    """Return the weights of a trained energy, and what makes its views comparable."""
    weights = to_arrays(energy)
    energy = job.architecture.build(job.x.shape[1], make_generator(job.seed)).double()
    load_arrays(energy, weights)
    potentials = blockwise(energy.potentials, torch.from_numpy(job.x)).numpy()
    weights["level"] = np.median(potentials, axis=0)
    spread = np.subtract(*np.quantile(potentials, [0.75, 0.25], axis=0))
    weights["spread"] = np.where(spread > 1e-9, spread, 1.0)
    return weights
