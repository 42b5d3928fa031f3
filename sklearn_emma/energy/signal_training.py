"""Training tasks of the energy of a signal, one per view."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from sklearn_emma.energy.column_scale import column_scale
from sklearn_emma.energy.training import (
    AnyArchitecture,
    EnergyArchitecture,
    EnergyConfig,
    EnergyTask,
)
from sklearn_emma.energy.views import VIEWS
from sklearn_emma.engine.objective import TrainingConfig
from sklearn_emma.engine.seeding import make_generator
from sklearn_emma.nn import ConvolutionalEnergy, EnergyEnsemble, SignalEnergy, SoftClip
from sklearn_emma.nn.convolutional_energy import signal_shape
from sklearn_emma.nn.signal_energy import SIGNAL_VIEWS
from sklearn_emma.user_warnings import warn_uninformative

# View of the convolutional energy, which has filters instead of prototypes.
_CONVOLUTIONAL_VIEW = replace(VIEWS["fine"], n_prototypes=0)
# Smallest scale of a column of a view: of a position, in standard deviations of its channel, and of
# a logarithm of power. Columns that vary less differ by rounding errors or quantization only.
_LEAST_SCALES = {"signal": 0.1, "spectrum": 0.01, "power": 0.01}
# Hidden layers of the energies of spectrum and power, as in a DAEEnergyScorer.
_HIDDEN_LAYER_SIZES = (48, 32)


class ConvolutionalArchitecture(NamedTuple):
    """Structure of the convolutional energy: the shape of its signals, and its filters."""

    shape: tuple[int, ...]
    n_filters: int
    kernel_size: int

    @property
    def stackable(self) -> bool:
        """Whether energies can be trained as one stack, which is not possible for convolutions."""
        return False

    def build(self, n_features: int, generator: torch.Generator) -> EnergyEnsemble:
        """Build an energy with initial weights.

        Parameters
        ----------
        n_features : int
            Number of values of a signal.
        generator : torch.Generator
            Source of the weights, on the CPU.

        Returns
        -------
        EnergyEnsemble
            Energy with one member.
        """
        energy = ConvolutionalEnergy(*self, generator=generator)
        return EnergyEnsemble([energy], [SoftClip(n_features, _CONVOLUTIONAL_VIEW.clip)])


class SignalArchitecture(NamedTuple):
    """Structure of the energy of a signal.

    Attributes
    ----------
    shape : tuple of int
        (channels, length) or (channels, height, width).
    n_filters, kernel_size : int
        Number and size of the filters of the convolutional energy.
    n_prototypes : int
        Number of prototypes of the energies of spectrum and power.
    views : tuple of str
        Names of the views, see :data:`~sklearn_emma.nn.signal_energy.SIGNAL_VIEWS`.
    """

    shape: tuple[int, ...]
    n_filters: int
    kernel_size: int
    n_prototypes: int
    views: tuple[str, ...]

    def of_view(self, view: str) -> AnyArchitecture:
        """Return the architecture of the energy of a view.

        Parameters
        ----------
        view : str
            Name of the view.

        Returns
        -------
        ConvolutionalArchitecture or EnergyArchitecture
            Convolutional architecture for the signal itself, else an autoencoder of columns.
        """
        if view == "signal":
            return ConvolutionalArchitecture(self.shape, self.n_filters, self.kernel_size)
        views = VIEWS.values()
        prototypes = tuple(self.n_prototypes if v.n_prototypes else 0 for v in views)
        clips = tuple(float(v.clip) for v in views)
        return EnergyArchitecture(_HIDDEN_LAYER_SIZES, "tanh", clips, prototypes)

    def build(self) -> SignalEnergy:
        """Build an energy, whose weights are to be loaded.

        Returns
        -------
        SignalEnergy
            Energy in float64.
        """
        generator, empty = make_generator(0), torch.zeros(1, *self.shape, dtype=torch.float32)
        energies = {
            view: self.of_view(view).build(SIGNAL_VIEWS[view](empty).shape[1], generator)
            for view in self.views
        }
        return SignalEnergy(self.shape, energies).double()


def channel_scale(
    table: np.ndarray, weight: np.ndarray, n_channels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of the channels of signals, with clipped extreme values.

    Parameters
    ----------
    table : ndarray of shape (n_samples, n_features)
        Flattened signals, channel by channel. NaN is ignored.
    weight : ndarray of shape (n_samples,)
        Weights of the samples.
    n_channels : int
        Number of channels.

    Returns
    -------
    mean, scale : ndarray of shape (n_channels,)
        Mean and standard deviation of each channel. The scale of a constant channel is one.
    """
    values = table.reshape(len(table), n_channels, -1).transpose(0, 2, 1)
    weight = np.repeat(weight, values.shape[1])
    return column_scale(values.reshape(-1, n_channels), weight, "standard")


def warn_of_constant_channels(table: np.ndarray, n_channels: int, of: str = "") -> None:
    """Warn about channels of signals that are constant. Constant positions are common in images.

    Parameters
    ----------
    table : ndarray of shape (n_samples, n_features)
        Flattened signals, channel by channel. NaN is ignored.
    n_channels : int
        Number of channels.
    of : str, default=""
        Name of the modality.
    """
    channels = table.reshape(len(table), n_channels, -1)
    low, high = np.fmin.reduce(channels, (0, 2)), np.fmax.reduce(channels, (0, 2))
    constant = np.flatnonzero(low == high)
    if len(constant):
        listed = ", ".join(map(str, constant))
        warn_uninformative(f"channel(s) {listed}{f' of {of}' if of else ''}")


def scale_of_signals(
    table: np.ndarray, weight: np.ndarray, n_channels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return :func:`channel_scale` for each column.

    Parameters
    ----------
    table, weight, n_channels : objects
        Parameters of :func:`channel_scale`.

    Returns
    -------
    mean, scale : ndarray of shape (n_features,)
        Mean and scale of the channel of each column.
    """
    return for_columns(channel_scale(table, weight, n_channels), table.shape[1])


def for_columns(
    channels: tuple[np.ndarray, np.ndarray], n_features: int
) -> tuple[np.ndarray, np.ndarray]:
    """Repeat mean and scale of each channel for its columns.

    Parameters
    ----------
    channels : (ndarray, ndarray)
        Mean and scale of each channel, from :func:`channel_scale`.
    n_features : int
        Number of columns.

    Returns
    -------
    mean, scale : ndarray of shape (n_features,)
        Mean and scale of the channel of each column.
    """
    mean, scale = (np.repeat(values, n_features // len(values)) for values in channels)
    return mean, scale


def signal_tasks(
    table: np.ndarray,
    weight: np.ndarray,
    architecture: SignalArchitecture,
    training: TrainingConfig,
    place: tuple[torch.device, int],
) -> list[EnergyTask]:
    """Return one training task per view of a signal.

    Parameters
    ----------
    table : ndarray of shape (n_samples, n_features)
        Flattened signals of standardized channels.
    weight : ndarray of shape (n_samples,)
        Sample weights with a mean of one.
    architecture : SignalArchitecture
        Structure of the energy.
    training : TrainingConfig
        Training configuration of the energies.
    place : (torch.device, int)
        Device and seed of the training.

    Returns
    -------
    list of EnergyTask
        Training tasks, in the order of the views.
    """
    device, seed = place
    signal = torch.from_numpy(table.reshape(-1, *architecture.shape))
    tasks = []
    for i, view in enumerate(architecture.views):
        x = SIGNAL_VIEWS[view](signal).numpy()
        learned = (_CONVOLUTIONAL_VIEW,) if view == "signal" else tuple(VIEWS.values())
        config = EnergyConfig(architecture.of_view(view), learned, training, device)
        least = np.full(x.shape[1], _LEAST_SCALES[view])
        tasks.append(EnergyTask(view, x, weight, None, config, seed + i, least_scale=least))
    return tasks


def joined_weights(
    trained: Mapping[str, Mapping[str, np.ndarray]], scales: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """Combine the weights of the energies of views to those of one energy, with unscaled views.

    Parameters
    ----------
    trained : mapping of str to dict of str to ndarray
        Weights of the energy of each view.
    scales : (ndarray, ndarray)
        Mean and standard deviation of the channels.

    Returns
    -------
    dict of str to ndarray
        Weights of a :class:`~sklearn_emma.nn.SignalEnergy`.
    """
    center, scale = scales
    weights = {"center": center, "scale": scale}
    weights |= {"level": np.zeros(len(trained)), "spread": np.ones(len(trained))}
    for view, arrays in trained.items():
        weights |= {f"energies.{view}.{name}": value for name, value in arrays.items()}
    return weights


def check_shape(shape: Sequence[int] | None, n_features: int) -> tuple[int, ...]:
    """Validate the shape of the signals in the rows of a table.

    Parameters
    ----------
    shape : sequence of int or None
        (channels, length) or (channels, height, width). None means one channel.
    n_features : int
        Number of columns.

    Returns
    -------
    tuple of int
        Shape of the signals.

    Raises
    ------
    ValueError
        If the shape is not valid, or if it does not match the number of columns.
    """
    if shape is None:
        return (1, n_features)
    sizes = signal_shape(shape)
    if math.prod(sizes) != n_features:
        product = " x ".join(map(str, sizes))
        raise ValueError(
            f"shape={sizes} needs {product} = {math.prod(sizes)} columns, one channel after the "
            f"other, but there are {n_features}."
        )
    return sizes
