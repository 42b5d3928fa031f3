"""The score below which samples are outliers."""

import numpy as np


def outlier_threshold(scores: np.ndarray, contamination: float | str) -> float:
    """Return the score that separates outliers from the other training samples.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        Of the training samples; high is normal.
    contamination : float or "auto"
        Fraction of outliers among them. "auto" takes what lies more than 1.5 interquartile ranges
        below the first quartile, but at least the lowest score in a hundred.

    Returns
    -------
    float
        The threshold.
    """
    if isinstance(contamination, str):
        low, high = np.quantile(scores, [0.25, 0.75])
        return float(max(low - 1.5 * (high - low), np.quantile(scores, 0.01)))
    return float(np.percentile(scores, 100.0 * contamination))
