"""Conformal p-values of energies, which are valid for any data and any energy."""

from typing import Any

import numpy as np


def conformal_p_values(calibration: np.ndarray, energies: np.ndarray) -> np.ndarray:
    r"""Return the conformal p-values of energies.

    A p-value is the fraction of calibration energies that are at least as high:

    .. math:: p_i(x) = \frac{1 + \#\{k: E_i(x_k) \ge E_i(x)\}}{n + 1}

    Source: Bates, S. et al. (2023). Testing for outliers with conformal p-values. Annals of
    Statistics 51.

    Parameters
    ----------
    calibration : ndarray of shape (n_calibration, n_modalities)
        Energies of clean samples that the energy was not trained on.
    energies : ndarray of shape (n_samples, n_modalities)
        Energies to be judged.

    Returns
    -------
    ndarray of shape (n_samples, n_modalities)
        P-values, in (0, 1].
    """
    ordered = np.sort(calibration, axis=0)
    below = [np.searchsorted(ordered[:, i], energies[:, i]) for i in range(energies.shape[1])]
    return p_value_of_rank(np.column_stack(below), len(calibration))


def p_value_of_rank(below: Any, n_calibration: int) -> Any:
    """Return the p-value of an energy, given its rank among the calibration energies.

    Parameters
    ----------
    below : ndarray or Tensor of shape (...,)
        Number of calibration energies that are lower.
    n_calibration : int
        Number of calibration energies.

    Returns
    -------
    ndarray or Tensor of shape (...,)
        P-values, in (0, 1].
    """
    return (1.0 + n_calibration - below) / (n_calibration + 1.0)
