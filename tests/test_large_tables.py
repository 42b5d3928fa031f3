"""Large tables: an epoch reads a part of the samples, and a fit does not copy the table."""

import tracemalloc

import numpy as np
import pytest
import torch

from sklearn_emma import DAEEnergyScorer, EMMARegressor, SignalEnergyScorer
from sklearn_emma.datasets import make_multimodal_classification
from sklearn_emma.engine import batches, training_memory
from sklearn_emma.engine.objective import TrainingConfig
from sklearn_emma.engine.seeding import draw_seed
from sklearn_emma.gate.cross_modal import Contrast
from sklearn_emma.nn import CrossModalEnergy

OTHER_PARTS = [{"pretrain_epochs": 2}, {"redraw_corruption": False}, {"early_stopping": True}]


@pytest.fixture
def short_epochs(monkeypatch):
    """Epochs of 100 samples."""
    monkeypatch.setattr(batches, "_MOST_PER_EPOCH", 100)


@pytest.fixture(scope="module")
def redundant():
    return make_multimodal_classification(
        1000, n_modalities=3, n_features=3, redundancy=0.5, random_state=0, return_X_y=True
    )


def test_short_epochs_see_other_samples_each_time(redundant, quick, short_epochs):
    X, y = redundant
    classifier = quick(max_epochs=40).fit(X[:800], y[:800])
    # a hundred samples alone are too few for this
    assert classifier.score(X[800:], y[800:]) > 0.9
    assert classifier.history_["train_loss"].shape == (40,)
    noisy = X[800:].copy()
    noisy.iloc[:, :3] += 20.0
    assert (classifier.attention(noisy).argmin(axis=1) == 0).mean() > 0.95


@pytest.mark.parametrize("params", OTHER_PARTS)
def test_all_parts_of_a_fit_have_short_epochs(params, redundant, quick, short_epochs):
    X, y = redundant
    classifier = quick(max_epochs=20, **params).fit(X[:800], y[:800])
    assert classifier.score(X[800:], y[800:]) > 0.8


def test_a_cache_notices_samples_that_an_epoch_does_not_read(short_epochs):
    config = TrainingConfig(batch_size=50, learning_rate=0.01, max_epochs=1)
    samples = torch.randn(120, 2, generator=torch.Generator().manual_seed(0))

    def key(samples):
        """Return the key in the cache of a cross-modal energy of two equal modalities."""
        energy = CrossModalEnergy([2, 2], bound=5.0, generator=torch.Generator().manual_seed(0))
        generator = torch.Generator().manual_seed(0)
        contrast = Contrast(energy, [samples, samples], torch.ones(len(samples)), generator)
        return training_memory._start_of(contrast, config)

    keys = {key(samples)}
    for i in range(len(samples)):
        changed = samples.clone()
        changed[i] += 1.0
        keys.add(key(changed))
    assert len(keys) == len(samples) + 1


def test_a_fit_of_a_large_table_is_that_of_the_samples_it_reads(redundant, quick, monkeypatch):
    X, y = redundant
    monkeypatch.setattr(batches, "_MOST_SAMPLES", 300)
    rows = batches.training_rows(len(X), draw_seed(0), y)
    large = quick(max_epochs=2).fit(X.astype(np.float32), y)
    monkeypatch.undo()
    assert len(rows) == 300
    few = quick(max_epochs=2).fit(X.astype(np.float32).iloc[rows], y[rows])
    np.testing.assert_array_equal(large.predict_proba(X), few.predict_proba(X))


@pytest.mark.parametrize(
    "kind", ["classifier", pytest.param("regressor", marks=pytest.mark.slow), "scorer", "signal"]
)
def test_a_fit_does_not_copy_a_table_on_the_disk(kind, quick, monkeypatch, tmp_path):
    monkeypatch.setattr(batches, "_MOST_SAMPLES", 500)
    shape = 100_000, 40
    table = np.lib.format.open_memmap(tmp_path / "table.npy", "w+", np.float32, shape)
    table[:] = np.random.default_rng(0).normal(size=shape)
    table.flush()
    table = np.load(tmp_path / "table.npy", mmap_mode="r")
    modalities = {"a": slice(20), "b": slice(20, 40)}
    scorer = DAEEnergyScorer(modalities, hidden_layer_sizes=(8,), max_epochs=1, random_state=0)
    few = {"energy": None, "max_epochs": 1}
    fits = {
        "classifier": lambda X: quick(modalities=modalities, **few).fit(X, X[:, 0] > 0),
        "regressor": lambda X: EMMARegressor(
            modalities, hidden_layer_sizes=(8,), l2_regularization=1.0, random_state=0, **few
        ).fit(X, X[:, 0]),
        "scorer": lambda X: scorer.fit(X),
        "signal": lambda X: SignalEnergyScorer(n_filters=2, max_epochs=1, random_state=0).fit(X),
    }
    fits[kind](table[:200])  # what is imported only now takes memory, too
    tracemalloc.start()
    try:
        fitted = fits[kind](table)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < table.nbytes / 2
    if kind == "scorer":
        assert fitted.n_samples_seen_ == len(table)
