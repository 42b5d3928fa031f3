"""Conformal p-values of energies, which are valid for any data and any energy."""

from typing import Any

import numpy as np

# Energies of equal samples differ by rounding errors, since these depend on the samples that are
# evaluated together. Energies that differ by less than this fraction count as equal.
_ROUNDING = 1e-9


def raise_by_rounding(values: Any) -> np.ndarray:
    """Return slightly higher values, which no equal value exceeds because of rounding errors.

    Parameters
    ----------
    values : array-like of any shape
        Energies, scores or thresholds. They may be infinite.

    Returns
    -------
    ndarray
        The higher values.
    """
    largest = np.finfo(np.float64).max
    return values + _ROUNDING * np.clip(np.abs(values), 1.0, largest)


def conformal_p_values(calibration: np.ndarray, energies: np.ndarray) -> np.ndarray:
    r"""Return the conformal p-values of energies.

    A p-value is the fraction of calibration energies that are at least as high, up to rounding:

    .. math:: p_i(x) = \frac{1 + \#\{k: E_i(x_k) \ge E_i(x)\}}{n + 1}

    The energies of missing modalities are infinite. Finite energies are compared with the n finite
    ones, infinite energies with all.

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
    n_finite = np.isfinite(calibration).sum(axis=0)
    n_compared = np.where(np.isinf(energies), len(calibration), n_finite)
    return p_value_of_rank(count_below(calibration, energies), n_compared)


def check_held_out(n_held_out: int, fewest: int) -> None:
    """Raise ValueError if no sample was held out to calibrate p-values.

    Parameters
    ----------
    n_held_out : int
        Number of training samples that were held out.
    fewest : int
        Number of training samples from which some are held out, for the message.
    """
    if not n_held_out:
        raise ValueError(
            "No training sample was held out to calibrate p-values. Set calibration_fraction, "
            f"for instance to 0.1, and fit on at least {fewest} samples."
        )


def count_below(reference: np.ndarray, energies: np.ndarray) -> np.ndarray:
    """Count the reference energies that are lower than given energies, by more than rounding.

    Parameters
    ----------
    reference : ndarray of shape (n_reference, n_modalities)
        Energies to compare with.
    energies : ndarray of shape (n_samples, n_modalities)
        Energies.

    Returns
    -------
    ndarray of int of shape (n_samples, n_modalities)
        Counts.
    """
    ordered = np.sort(raise_by_rounding(reference), axis=0)
    return np.column_stack(
        [np.searchsorted(r, e) for r, e in zip(ordered.T, energies.T, strict=True)]
    )


def p_value_of_rank(below: Any, n_calibration: Any) -> Any:
    """Return the p-value of an energy, given its rank among the calibration energies.

    Parameters
    ----------
    below : ndarray or Tensor of shape (...,)
        Number of calibration energies that are lower.
    n_calibration : ndarray or Tensor of shape (...,)
        Number of calibration energies that it is compared with.

    Returns
    -------
    ndarray or Tensor of shape (...,)
        P-values, in (0, 1].
    """
    return (1.0 + n_calibration - below) / (n_calibration + 1.0)
