"""From tables to standardized, filled modalities with potentials, whatever is missing."""

import math
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator

from sklearn_emma import DAEEnergyScorer
from sklearn_emma.energy.modality_energies import ModalityEnergies
from sklearn_emma.energy.protocol import Precision, potential_of, tensor_energy
from sklearn_emma.gate import inputs
from sklearn_emma.gate.inputs import CachingReader, InputReader, read_modality
from sklearn_emma.indicators import Indicators
from sklearn_emma.nn import CrossModalEnergy
from sklearn_emma.nn.evidence_energy import NAT, gap_energy


class Norm(BaseEstimator):
    """Score: minus the squared norm."""

    def fit(self, X, y=None):
        return self

    def score_samples(self, X):
        return -(X**2).sum(axis=1)


def norm_energy():
    """The potential of Norm, with a list of what it was asked for."""
    asked = []

    def potential(x):
        asked.append(x)
        return x.square().sum(1)

    return SimpleNamespace(potential=potential, asked=asked)


def constant(values):
    """Gap filling by constants."""
    return lambda x: torch.where(x.isnan(), torch.as_tensor(values, dtype=x.dtype), x)


def dae():
    return DAEEnergyScorer(hidden_layer_sizes=(6,), max_epochs=3, random_state=0)


def make_samples(n_samples=60, n_features=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n_samples, n_features))


# --- one modality ---


def test_the_potential_of_complete_samples_is_that_of_the_energy():
    x = torch.tensor(make_samples())
    potential, filled = read_modality(norm_energy(), x, constant([9.0, 9.0, 9.0]), 5.0)
    torch.testing.assert_close(potential, x.square().sum(1))
    assert filled is x


def test_gaps_are_filled_and_cost():
    nan = math.nan
    x = torch.tensor([[0, 0, 0], [nan, 0, 0], [0, nan, nan], [nan, nan, nan]]).double()
    fill = constant([1.0, 2.0, 3.0])
    energy = norm_energy()
    potential, filled = read_modality(energy, x, fill, 5 / NAT)
    assert filled.tolist() == [[0, 0, 0], [1, 0, 0], [0, 2, 3], [1, 2, 3]]
    assert energy.asked[0] is filled
    price = [0, -5 * math.log(2 / 3), -5 * math.log(1 / 3), math.inf]
    np.testing.assert_allclose(potential, np.add([0, 1, 4 + 9, 1 + 4 + 9], price))
    # the samples themselves stay as they were
    assert x[1, 0].isnan()
    assert read_modality(energy, x[3:], fill, 5 / NAT)[0].tolist() == [math.inf]


def test_without_a_scale_only_a_missing_modality_has_a_price():
    x = torch.tensor([[math.nan, 0.0], [math.nan, math.nan]])
    assert read_modality(norm_energy(), x, constant([0.0, 0.0]), 0.0)[0].tolist() == [0.0, math.inf]
    assert gap_energy(torch.tensor([0.0, 0.5, 1.0]), 0.0).tolist() == [0.0, 0.0, math.inf]


def test_a_missing_modality_is_infinite_whatever_its_energy():
    energy = SimpleNamespace(potential=lambda x: torch.full((len(x),), -math.inf))
    x = torch.tensor([[math.nan], [0.0]])
    assert read_modality(energy, x, constant([0.0]), 1.0)[0].tolist() == [math.inf, -math.inf]


@pytest.mark.parametrize("scorer", [Norm(), dae()], ids=["any", "autoencoder"])
def test_tensors_of_either_precision_get_the_same_energies(scorer):
    x = make_samples()
    scorer.fit(x)
    x[0], x[1, 2], x[2, :2] = np.nan, np.nan, np.nan
    fill = np.array([0.1, 0.2, 0.3])
    expected = potential_of(scorer, np.where(np.isnan(x), fill, x))
    with np.errstate(divide="ignore"):
        expected -= NAT * 2.0 * np.log1p(-np.isnan(x).mean(axis=1))
    for dtype, rounding in ((torch.float32, 1e-4), (torch.float64, 1e-9)):
        energy = tensor_energy(scorer, "radar", Precision("cpu", dtype, dtype))
        samples = torch.tensor(x, dtype=dtype)
        read, _ = read_modality(energy, samples, constant(fill), 2.0)
        assert read.dtype == dtype
        assert read[0] == math.inf
        np.testing.assert_allclose(read, expected, rtol=rounding, atol=rounding)


# --- tables ---

COLUMNS = [np.array([3, 0]), np.array([1, 2, 4])]
MEAN, SCALE = np.array([0.0, 10.0, -5.0, 100.0, 1.0]), np.array([1.0, 2.0, 0.1, 50.0, 4.0])
MEDIAN = np.array([0.1, 0.2, 0.3, 0.4, 0.5])


def make_table(n_samples=20):
    table = MEAN + SCALE * make_samples(n_samples, 5)
    table[0] = np.nan
    table[1, [0, 3]] = np.nan
    table[2, [2, 3]] = np.nan
    return table


def make_reader(kind=InputReader, cross_modal=False, precision=torch.float64, **changes):
    couple = CrossModalEnergy([2, 3], (6, 5), generator=torch.Generator().manual_seed(0))
    return kind(
        **{
            "columns": COLUMNS,
            "features": COLUMNS,
            "indicators": Indicators(5, {}),
            "mean": MEAN,
            "scale": SCALE,
            "fillings": [constant(MEDIAN[columns]) for columns in COLUMNS],
            "energies": ModalityEnergies([norm_energy(), norm_energy()], COLUMNS),
            "potential_min": torch.tensor([1.0, 2.0]).double(),
            "potential_scale": torch.tensor([0.5, 3.0]).double(),
            "cross_modal": couple.to(precision).requires_grad_(False) if cross_modal else None,
            "precision": precision,
            **changes,
        }
    )


def energies_of(reader):
    """The energy of each modality."""
    return [energy for energy, _ in reader.energies.others.values()]


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_tables_are_standardized_filled_and_cut(precision):
    table = make_table()
    reader = make_reader(precision=precision)
    read = reader.read(table)
    standard = (table - MEAN) / SCALE
    filled = np.where(np.isnan(standard), MEDIAN, standard)
    for x, energy, columns in zip(read.modalities, energies_of(reader), COLUMNS, strict=True):
        assert x.dtype == precision
        np.testing.assert_allclose(x, filled[:, columns], rtol=1e-6)
        # energies are of samples in double precision, whatever the predictor takes
        assert energy.asked[0].dtype == torch.float64
        np.testing.assert_allclose(energy.asked[0], filled[:, columns])
    own = [(filled[:, columns] ** 2).sum(axis=1) for columns in COLUMNS]
    share = [np.isnan(standard[:, columns]).mean(axis=1) for columns in COLUMNS]
    with np.errstate(divide="ignore"):
        gap = NAT * np.array([0.5, 3.0]) * -np.log1p(-np.column_stack(share))
    np.testing.assert_allclose(read.own_energy, np.column_stack(own))
    np.testing.assert_allclose(read.gap_energy, gap)
    assert not read.cross_modal_energy.any()
    assert read.potential.dtype == torch.float64
    np.testing.assert_allclose(read.potential, np.column_stack(own) + gap)
    assert read.potential[:2].tolist()[0] == [math.inf, math.inf]
    assert read.potential[1, 0] == math.inf > read.potential[1, 1]


def test_the_cross_modal_energy_is_added():
    table = make_table()
    plain, read = make_reader().read(table), make_reader(cross_modal=True).read(table)
    reader = make_reader(cross_modal=True)
    expected = reader.cross_modal.energy(
        read.modalities, plain.potential, reader.potential_min, reader.potential_scale
    )
    torch.testing.assert_close(read.cross_modal_energy, expected)
    assert expected.any()
    torch.testing.assert_close(read.potential, plain.potential + expected)
    for part in ("own_energy", "gap_energy"):
        assert torch.equal(getattr(read, part), getattr(plain, part))


@pytest.mark.parametrize("cross_modal", [False, True])
def test_samples_are_read_independently_of_each_other(cross_modal):
    table, reader = make_table(), make_reader(cross_modal=cross_modal)
    together = reader.read(table)
    parts = [reader.read(table[i : i + 3]) for i in range(0, 20, 3)]
    for i, whole in enumerate(together[1:], start=1):
        found = torch.cat([part[i] for part in parts])
        torch.testing.assert_close(found, whole, rtol=1e-12, atol=1e-12)


def test_memory_of_any_order_and_float32_tables_are_read():
    table, reader = make_table(), make_reader()
    expected = reader.read(table).potential
    for same in (np.asfortranarray(table), np.ascontiguousarray(table[::-1])[::-1]):
        torch.testing.assert_close(reader.read(same).potential, expected)
    single = reader.read(table.astype(np.float32)).potential
    assert single.dtype == torch.float64
    torch.testing.assert_close(single, expected, rtol=1e-4, atol=1e-4)


# --- cached ---


def test_the_same_samples_are_read_once():
    table = make_table()
    reader = make_reader(CachingReader)
    first = reader.read(table)
    assert reader.read(table.copy()) is first
    assert reader.read(np.asfortranarray(table)) is first
    assert len(energies_of(reader)[0].asked) == 1
    torch.testing.assert_close(first.potential, make_reader().read(table).potential)
    # one value that differs, and another block, are others
    other = table.copy()
    other[5, 1] += 1.0
    assert reader.read(other) is not first
    assert len(reader.read(table[:10]).potential) == 10
    assert len(energies_of(reader)[0].asked) == 3


def test_the_size_of_the_cache_is_limited(monkeypatch):
    table, reader = make_table(), make_reader(CachingReader)
    first = reader.read(table[:2])
    n_bytes = sum(x.nbytes for x in (*first.modalities, *first[1:]))
    monkeypatch.setattr(inputs, "_MOST_CACHED", 3 * n_bytes)
    for i in range(10):
        reader.read(table[i : i + 2])
        assert 1 <= len(reader.cache) <= 3
    # readers share no memory
    assert not make_reader(CachingReader).cache


def test_threads_share_the_cache(monkeypatch):
    table, reader = make_table(), make_reader(CachingReader)
    first = reader.read(table[:2])
    n_bytes = sum(x.nbytes for x in (*first.modalities, *first[1:]))
    monkeypatch.setattr(inputs, "_MOST_CACHED", 5 * n_bytes)
    parts = [table[i : i + 2] for i in range(len(table) - 1)] * 20
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(reader.read, parts))
    expected = make_reader()
    for part, each in zip(parts[:20], found, strict=False):
        torch.testing.assert_close(each.potential, expected.read(part).potential)
