"""Signals and images as modalities, and how they fail."""

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from sklearn_emma import Modality


@dataclass(frozen=True)
class SignalTask:
    """Samples of several signals, or parts of an image.

    `aligned` tells whether all samples have an event at the same position. Only then is a shift of
    the whole window unusual; a shift of a single channel always is.
    """

    name: str
    data: np.ndarray
    target: np.ndarray
    shapes: dict
    aligned: bool

    @property
    def columns(self):
        """Give the columns of each modality."""
        ends = np.cumsum([np.prod(shape) for shape in self.shapes.values()])
        starts = np.r_[0, ends[:-1]]
        return {
            name: list(range(*ends_of))
            for name, ends_of in zip(self.shapes, zip(starts, ends, strict=True), strict=True)
        }

    @property
    def modalities(self):
        """Declare the modalities with their shapes."""
        return {name: Modality(self.columns[name], shape) for name, shape in self.shapes.items()}


def make_waves(n=800, seed=0):
    """Simulate three sensors of waves of random phase, whose frequency depends on the class."""
    rng = np.random.RandomState(seed)
    y = rng.randint(0, 3, n)
    t = np.arange(64) / 64
    shapes = {"acceleration": (3, 64), "rotation": (3, 64), "sound": (2, 64)}
    blocks = []
    for octave, (channels, _) in zip((1.0, 1.5, 3.0), shapes.values(), strict=True):
        frequency = octave * (2.0 + 0.8 * y + 0.3 * rng.standard_normal(n))
        phase, size = rng.uniform(0, 2 * np.pi, n), np.exp(0.2 * rng.standard_normal(n))
        angle = 2 * np.pi * frequency[:, None] * t + phase[:, None]
        for channel in range(channels):
            wave = np.sin(angle + channel * np.pi / 3) + 0.4 * np.sin(2 * angle + channel)
            blocks.append(size[:, None] * wave + 0.3 * rng.standard_normal(angle.shape))
    return SignalTask("waves", np.hstack(blocks), y, shapes, False)


def make_beats(n=800, seed=0):
    """Simulate two sensors of beats after a trigger; the class is the position of a second bump."""
    rng = np.random.RandomState(seed)
    y = rng.randint(0, 3, n)
    t = np.arange(64)
    shapes = {"pressure": (1, 64), "flow": (2, 64)}
    blocks = []
    for channels, _ in shapes.values():
        start = 14 + rng.standard_normal(n)
        delay = 16 + 5 * y + 2.0 * rng.standard_normal(n)
        height = 0.6 + 0.15 * rng.standard_normal(n)
        for channel in range(channels):
            first = np.exp(-0.5 * ((t - start[:, None] - 3 * channel) / 3) ** 2)
            second = np.exp(-0.5 * ((t - (start + delay)[:, None]) / 5) ** 2)
            beat = (-1) ** channel * first + height[:, None] * second
            blocks.append(beat + 0.1 * rng.standard_normal(beat.shape))
    return SignalTask("beats", np.hstack(blocks), y, shapes, True)


def load_halves():
    """Load digits, with the left and the right half of the image as modalities."""
    X, y = load_digits(return_X_y=True)
    images = X.reshape(-1, 8, 8)
    data = np.hstack([images[:, :, half].reshape(len(X), -1) for half in (slice(4), slice(4, 8))])
    return SignalTask("digits", data, y, {"left": (1, 8, 4), "right": (1, 8, 4)}, True)


def import_aeon(module):
    """Import a module of aeon; a package that it imports has the same name as a file here."""
    paths, here = sys.path, Path(__file__).parent
    sys.path = [path for path in paths if Path(path).resolve() != here]
    try:
        return importlib.import_module(f"aeon.{module}")
    finally:
        sys.path = paths


def load_motions():
    """Load accelerometer and gyroscope of a smartwatch, from the package aeon."""
    X, y = import_aeon("datasets").load_basic_motions()
    y = np.unique(y, return_inverse=True)[1]
    shapes = {"accelerometer": (3, 100), "gyroscope": (3, 100)}
    return SignalTask("motions", X.reshape(len(X), -1), y, shapes, False)


TASKS = {"waves": make_waves, "beats": make_beats, "digits": load_halves, "motions": load_motions}


# Frequency of the hum, in cycles per reading: above those of the signals.
HUM = 0.4


def _stuck(signal, _strength, _scale, rng):
    """Set all positions to the value of one of them."""
    flat = signal.reshape(*signal.shape[:2], -1)
    held = rng.randint(flat.shape[2], size=len(signal))
    values = flat[np.arange(len(signal)), :, held]
    return np.broadcast_to(values.reshape(*values.shape, *[1] * (signal.ndim - 2)), signal.shape)


def _hum(signal, strength, scale, rng):
    """Add a wave of random phase; its root mean square is in standard deviations of the channel."""
    phase = rng.uniform(0, 2 * np.pi, (len(signal), *[1] * (signal.ndim - 1)))
    wave = np.sqrt(2) * np.sin(2 * np.pi * HUM * np.arange(signal.shape[-1]) + phase)
    return signal + strength * scale * wave


def _dropout(signal, strength, _scale, rng):
    """Set a share of the window to zero."""
    size = signal.shape[-1]
    lost = max(1, round(strength * size))
    start = rng.randint(0, size - lost + 1, len(signal))
    place = np.arange(size) - start.reshape(-1, *[1] * (signal.ndim - 1))
    return np.where((place >= 0) & (place < lost), 0.0, signal)


def _noise(signal, strength, scale, rng):
    """Add white noise."""
    return signal + strength * scale * rng.standard_normal(signal.shape)


# name -> function, its strength in tests of the energies, its strength in tests of predictions
_FAILURES = {
    "stuck": (_stuck, 0, 0),
    "hum": (_hum, 0.3, 2.0),
    "dropout": (_dropout, 0.25, 0.75),
    "noise": (_noise, 0.3, 2.0),
}
KINDS = ("stuck", "shift", "hum", "dropout", "noise")


def fail(kind, X, shape, reference, options):
    """Corrupt signals by one failure.

    X and reference hold flattened signals of one shape; the options are whether they are
    aligned, whether the failure is strong, and the random state.
    """
    aligned, strong, rng = options
    signal = X.reshape(-1, *shape).copy()
    if kind == "shift":
        steps = 8 if signal.ndim == 3 else 2
        late = slice(None) if aligned else slice(1)
        signal[:, late] = np.roll(signal[:, late], steps, axis=-1)
        return signal.reshape(X.shape)
    change, mild, severe = _FAILURES[kind]
    axes = (0, *range(2, signal.ndim))
    scale = reference.reshape(-1, *shape).std(axis=axes, keepdims=True)
    return change(signal, severe if strong else mild, scale, rng).reshape(X.shape)
