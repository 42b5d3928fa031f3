"""Seeds, threads, and what a fit leaves alone."""

import joblib
import numpy as np
import pandas as pd
import pytest
import torch


def test_the_same_seed_gives_the_same_fit(table, quick, fitted, same_predictions):
    X, y = table
    assert same_predictions(quick().fit(X, y), fitted, X)
    assert same_predictions(quick().fit(X, y).fit(X, y), fitted, X)
    assert not same_predictions(quick(random_state=1).fit(X, y), fitted, X)


def test_a_generator_as_random_state_moves_on(table, quick, same_predictions):
    X, y = table
    shared = np.random.RandomState(0)
    first, second = quick(random_state=shared).fit(X, y), quick(random_state=shared).fit(X, y)
    again = quick(random_state=np.random.RandomState(0)).fit(X, y)
    assert not same_predictions(first, second, X)
    assert same_predictions(first, again, X)


def test_torch_is_left_alone(table, quick):
    state, n_threads = torch.get_rng_state(), torch.get_num_threads()
    quick(random_state=None).fit(*table).predict_proba(table[0])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == n_threads
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_energies_fitted_beside_each_other_are_the_same(
    table, quick, fitted, n_jobs, same_predictions
):
    X, y = table
    with joblib.parallel_config("threading"):
        parallel = quick(n_jobs=n_jobs).fit(X, y)
    assert same_predictions(parallel, fitted, X)


def test_silent_unless_verbose(table, quick, capsys):
    quick().fit(*table)
    assert capsys.readouterr() == ("", "")
    quick(verbose=True, energy=None, early_stopping=True).fit(*table)
    out, err = capsys.readouterr()
    assert out == ""
    assert "stage 1 of 2, energies of modality0, modality1, modality2: epoch 30/50" in err
    assert "stage 2 of 2, pretraining: epoch 5/5" in err
    assert "gate and predictor: epoch 10/10, train_loss" in err
    assert "valid_loss" in err


def test_inputs_are_not_changed(table, quick):
    X, y = (data.copy() for data in table)
    X.iloc[0, 0] = np.nan
    before = X.copy()
    params = {key: repr(value) for key, value in quick().get_params().items()}
    classifier = quick().fit(X, y)
    classifier.transform(X)
    pd.testing.assert_frame_equal(X, before)
    assert {key: repr(value) for key, value in classifier.get_params().items()} == params
