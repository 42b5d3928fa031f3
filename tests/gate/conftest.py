"""What the tests of the gate share: samples of three modalities, their energies, and failures."""

import pytest
import torch

from sklearn_emma.corruption import Reference
from sklearn_emma.gate.samples import Energies, Samples
from sklearn_emma.gate.training_failures import Failures

NAMES = ["a", "b", "c"]


class Norm:
    """An energy: the squared norm, times a factor, plus an offset."""

    def __init__(self, factor=1.0, offset=0.0):
        self.factor = factor
        self.offset = offset

    def potential(self, x):
        return self.factor * x.square().sum(1) + self.offset


@pytest.fixture(scope="session")
def make_samples():
    """Make samples of two classes that all modalities show."""

    def make(n_samples=40, widths=(2, 3, 1), shift=0.0):
        g = torch.Generator().manual_seed(7)
        target = torch.randint(0, 2, (n_samples,), generator=g)
        center = shift * (2 * target[:, None] - 1)
        modalities = [torch.randn(n_samples, d, generator=g) + center for d in widths]
        return Samples(modalities, target, torch.rand(n_samples, generator=g) + 0.5)

    return make


@pytest.fixture(scope="session")
def make_energies():
    """Make the energies of samples: squared norms, gaps filled with zeros."""

    def make(samples, scale=0.0, **params):
        widths = [x.shape[1] for x in samples.modalities]
        return Energies(
            NAMES[: len(widths)],
            [Norm(**params) for _ in widths],
            [torch.nan_to_num] * len(widths),
            torch.full((len(widths),), scale, dtype=torch.float64),
        )

    return make


@pytest.fixture(scope="session")
def make_failures(make_energies):
    """Make a source of failures of samples."""

    def make(samples, corruption, seed=0, energies=None):
        names = NAMES[: len(samples.modalities)]
        reference = Reference.from_tensors(samples.modalities, samples.weight, names)
        g = torch.Generator().manual_seed(seed)
        return Failures(corruption, reference, energies or make_energies(samples), g)

    return make


@pytest.fixture
def scored(make_samples, make_energies):
    """Forty samples with their potentials."""
    samples = make_samples()
    return make_energies(samples).score(samples)
