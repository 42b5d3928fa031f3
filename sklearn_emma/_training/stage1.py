"""Stage 1 from start to end: choose coordinates and noise, train the energy of one modality."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from sklearn_emma._training.batches import blockwise
from sklearn_emma._training.columns import column_scale, noise_range
from sklearn_emma._training.denoising import Corruption, Denoising
from sklearn_emma._training.net import EpochNet
from sklearn_emma._training.progress import progress_callbacks
from sklearn_emma._training.seeding import make_generator
from sklearn_emma._training.views import EnergyView
from sklearn_emma._training.weights import load_arrays, to_arrays
from sklearn_emma.nn import DAEEnergy, EnergyEnsemble, SoftClip


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
    batch_size: Callable[[int], int]
    max_epochs: int
    early_stopping: bool
    n_iter_no_change: int
    tol: float
    verbose: int


def train_energy(
    x: np.ndarray,
    weight: np.ndarray,
    held_out: np.ndarray | None,
    architecture: Architecture,
    settings: Settings,
    seed: int,
    device: torch.device,
    name: str,
    start: dict[str, np.ndarray] | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Train the energy of one modality.

    Parameters
    ----------
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
    name : str
        Name of the modality, for messages.
    start : dict of str to ndarray, or None
        Weights to start from.

    Returns
    -------
    weights : dict of str to ndarray
        Of the trained energy.
    history : dict of str to ndarray of shape (n_epochs,)
        Losses.
    """
    energy = architecture.build(x.shape[1], make_generator(seed))
    if start is not None:
        load_arrays(energy, start)
    rows, held_rows, corruptions = [], [], []
    for view, see, member in zip(settings.views, energy.coordinates, energy.members, strict=True):
        centre, scale = column_scale(x, weight, view.scaling)
        see.centre, see.scale = torch.from_numpy(centre), torch.from_numpy(scale)
        z = see(torch.from_numpy(x))
        low, high = noise_range(z.numpy(), view, seed)
        if member.n_prototypes and start is None:
            chosen = np.random.RandomState(seed).permutation(len(x))
            member.place_prototypes(z[np.resize(chosen, member.n_prototypes)], low * high)
        corruptions.append(Corruption(low, high, view.lost_fraction))
        rows.append(z.float().to(device))
        if held_out is not None:
            held_rows.append(see(torch.from_numpy(held_out)).float().to(device))
    energy.to(device)
    task = Denoising(
        list(energy.members),
        rows,
        torch.tensor(weight, dtype=torch.float32, device=device),
        held_rows or None,
        corruptions,
        [view.loss == "robust" for view in settings.views],
        make_generator(seed, device, stream=1),
    )
    net = EpochNet(
        task,
        batch_size=settings.batch_size(len(x)),
        lr=settings.learning_rate,
        max_epochs=settings.max_epochs,
        early_stopping=settings.early_stopping,
        n_iter_no_change=settings.n_iter_no_change,
        tol=settings.tol,
        callbacks=progress_callbacks(settings.verbose, f"energy of {name}", settings.max_epochs),
    )
    history = net.train()
    weights = to_arrays(energy)
    energy = architecture.build(x.shape[1], make_generator(seed)).double()
    load_arrays(energy, weights)
    potentials = blockwise(energy.potentials, torch.from_numpy(x)).numpy()
    weights["level"] = np.median(potentials, axis=0)
    spread = np.subtract(*np.quantile(potentials, [0.75, 0.25], axis=0))
    weights["spread"] = np.where(spread > 1e-9, spread, 1.0)
    return weights, history
