"""What the estimator behind a gate learns from."""

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from sklearn_emma import DAEEnergyScorer, EMMAClassifier, GatedClassifier
from sklearn_emma.corruption import Missing, Noise
from sklearn_emma.gated.read_outs import GatedReadOuts
from sklearn_emma.gated.training_tables import training_tables

QUICK = {
    "energy": DAEEnergyScorer(hidden_layer_sizes=(8,), max_epochs=2),
    "hidden_layer_sizes": (4,),
    "pretrain_epochs": 1,
    "max_epochs": 1,
    "l2_regularization": 1.0,
    "periodic_features": False,
}


@pytest.mark.parametrize("column_attention", [False, True])
def test_only_what_may_fail_fails(table, column_attention):
    X, y = table
    corruption = Missing(only="modality1", fraction=0.5)
    gate = EMMAClassifier(
        "prefix", corruption=corruption, column_attention=column_attention, **QUICK
    ).fit(X, y)
    clean = X.to_numpy()
    first, *copies = training_tables(gate, clean, 4, 0, clean)
    assert first is clean
    gaps = np.isnan(copies).reshape(-1, 3, 3)
    some = gaps.any(axis=2) & ~gaps.all(axis=2)
    if not column_attention:
        assert not some.any()
    else:
        # in a quarter of the samples in which modality1 does not fail, a column of it does
        np.testing.assert_allclose(some.mean(axis=0), [0, 0.125, 0], atol=0.04)
    values = np.concatenate(copies)
    np.testing.assert_array_equal(
        values[~np.isnan(values)], np.tile(clean, (4, 1))[~gaps.reshape(-1, 9)]
    )


def test_the_same_seed_gives_the_same_copies(table):
    X, y = table
    gate = EMMAClassifier("prefix", column_attention=True, **QUICK).fit(X, y)
    once, again, other = (
        training_tables(gate, X.to_numpy(), 2, seed, X.to_numpy()) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(once, again)
    assert (once[1] != other[1]).any()
    assert (once[1] != once[2]).any()


def test_failures_are_as_large_as_the_reference_says(table):
    X, y = table
    gate = EMMAClassifier("prefix", corruption=Noise(1.0, fraction=1.0), **QUICK).fit(X, y)
    clean = X.to_numpy()
    rough = clean * 100.0
    changes = []
    for reference in (clean, rough):
        _, copy = training_tables(gate, clean, 1, 0, reference)
        changes.append(np.nanmax(np.abs(copy - clean)))
    assert changes[1] > 50 * changes[0]


class Watched(DummyClassifier):
    """Keeps the samples of each prediction."""

    read: list = []

    def predict_proba(self, X):
        self.read.append(np.asarray(X))
        return super().predict_proba(X)


def test_the_blend_is_chosen_without_the_columns_that_the_gate_ignores(table, monkeypatch):
    X, y = table
    found, read_gate = [], vars(GatedReadOuts)["_read_gate"]

    def keep(self, *args):
        found.append(read_gate(self, *args))
        return found[-1]

    monkeypatch.setattr(GatedReadOuts, "_read_gate", keep)
    gate = EMMAClassifier(column_attention=True, **QUICK)
    params = {"gate": gate, "closed_value": "nan", "random_state": 0}
    GatedClassifier(Watched(), "prefix", **params).fit(X, y)
    ignored = found[-1]["column_attention"] == 0
    assert ignored.any()
    assert np.isnan(Watched.read[-1][ignored]).all()
