"""What predictions do and do not depend on."""

import numpy as np
import pandas as pd

from sklearn_emma.gate import inputs


def test_predictions_are_independent_of_the_other_samples(fitted, table):
    X = np.tile(table[0].to_numpy(), (14, 1)) + np.random.default_rng(0).normal(size=(2240, 9))
    X[3, :3] = np.nan
    X[5, 4] = np.nan
    X = pd.DataFrame(X, columns=table[0].columns)
    methods = ["predict_proba", "energies", "attention", "importance", "total_energy", "transform"]
    for method in methods:
        together = getattr(fitted, method)(X)
        for i in (0, 3, 5, 1023, 1024, 2239):
            alone = getattr(fitted, method)(X.iloc[[i]])
            np.testing.assert_allclose(
                alone[0], together[i], rtol=1e-9, atol=1e-12, err_msg=f"{method} of sample {i}"
            )
        order = np.random.default_rng(1).permutation(len(X))
        np.testing.assert_allclose(
            getattr(fitted, method)(X.iloc[order]), together[order], rtol=1e-9, atol=1e-12
        )


def test_blocks_of_any_size_give_the_same_and_float32_nearly_so(fitted, table, monkeypatch):
    X = table[0].copy()
    X.iloc[3, :3] = np.nan
    methods = ["predict_proba", "energies", "attention", "total_energy", "transform"]
    for method in methods:
        whole = getattr(fitted, method)(X)
        with monkeypatch.context() as patch:
            patch.setattr(inputs, "evaluation_block", lambda *args: 50)
            np.testing.assert_allclose(getattr(fitted, method)(X), whole, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(
            getattr(fitted, method)(X.astype(np.float32)), whole, rtol=1e-3, atol=1e-4
        )


def test_far_away_values_give_finite_predictions(fitted, table):
    far = table[0][:4].copy()
    far.iloc[0, 0], far.iloc[1, 4], far.iloc[2, 8] = 1e30, -1e100, 1e307
    assert np.isfinite(fitted.predict_proba(far)).all()
    attention = fitted.attention(far)
    assert (attention[[0, 1, 2], [0, 1, 2]] < 1e-9).all()


def test_the_units_of_the_features_do_not_matter(table, quick, fitted):
    X, y = table
    factors = np.array([1e-6, 1.0, 1e6] * 3)
    scaled = X * factors + 3 * factors
    classifier = quick().fit(scaled, y)
    np.testing.assert_allclose(classifier.predict_proba(scaled), fitted.predict_proba(X), atol=1e-3)
