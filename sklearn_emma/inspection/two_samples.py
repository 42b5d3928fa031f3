r"""Compare samples with clean ones, by tests for independent samples or for samples in time.

If samples are in temporal order, their number is divided by the autocorrelation time of the clean
samples (:mod:`sklearn_emma.monitoring.autocorrelation`). With fewer than 10 autocorrelation times
of clean samples, nothing can be said; the p-value is 1.
"""

import numpy as np
from scipy.stats import betabinom, ks_2samp, kstwobign

# Number of autocorrelation times that clean samples must cover.
_LEAST_TIMES = 10


def more_frequent(event: np.ndarray, clean: np.ndarray, time: float = 1.0) -> float:
    """Test whether an event is more frequent than in clean samples.

    The number of events has a beta-binomial distribution, given the number among the clean samples
    and a uniform prior of the probability.

    Parameters
    ----------
    event, clean : ndarray of bool of shape (n_samples,)
        Whether the event occurs in each sample, and in each clean sample.
    time : float, default=1.0
        Autocorrelation time of the clean samples, one if they are independent.

    Returns
    -------
    float
        P-value.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.inspection.two_samples import more_frequent
    >>> round(more_frequent(np.arange(100) < 8, np.arange(100) < 2), 3)
    0.049
    """
    if time > 1 and len(clean) < _LEAST_TIMES * time:
        return 1.0
    count, n_samples, expected, n_clean = (
        number / time for number in (event.sum(), len(event), clean.sum(), len(clean))
    )
    # the probability of as few samples without the event, which is exact if it is tiny
    total, without = np.ceil(n_samples), np.ceil(n_samples) - np.floor(count)
    return float(betabinom.cdf(without, total, n_clean - expected + 1, expected + 1))


def distance(values: np.ndarray, clean: np.ndarray, time: float = 1.0) -> tuple[float, float]:
    """Compare two distributions by the two-sample Kolmogorov-Smirnov test.

    Parameters
    ----------
    values, clean : ndarray of shape (n_samples,)
        Values, and values of clean samples. NaN is ignored.
    time : float, default=1.0
        Autocorrelation time of the clean samples, one if they are independent.

    Returns
    -------
    statistic : float
        Largest difference between the distribution functions.
    p_value : float
        P-value.
    """
    known, known_clean = values[np.isfinite(values)], clean[np.isfinite(clean)]
    test = ks_2samp(known, known_clean, method="asymp")
    if time == 1:
        return float(test.statistic), float(test.pvalue)
    if len(known_clean) < _LEAST_TIMES * time:
        return float(test.statistic), 1.0
    size = len(known) * len(known_clean) / (len(known) + len(known_clean)) / time
    return float(test.statistic), float(kstwobign.sf(np.sqrt(size) * test.statistic))
