r"""Judge samples by an event that is rare in clean samples.

With f the probability of the event in a clean sample, and q = 0.2 its assumed probability in a
failing one, the likelihood ratio

.. math:: e = \frac{q}{f} \text{ if it occurs}, \qquad \frac{1 - q}{1 - f} \text{ if not,}

is an e-value. If the event is more frequent than q, little evidence is lost. If it occurs in c of n
clean samples, f is the upper bound two standard errors above the estimate,

.. math:: f = \frac{c + 1 + 2 \sqrt{c + 1}}{n + 2}.
"""

import numpy as np

#: Assumed probability q of the event in a failing sample, and largest useful f: then e is one.
EXPECTED_RATE = 0.2


def upper_rate(count: np.ndarray, n_samples: float) -> np.ndarray:
    """Return an upper bound of the probability of an event, two standard errors above its estimate.

    Parameters
    ----------
    count : ndarray of shape (n_modalities,)
        Number of samples in which the event occurred.
    n_samples : float
        Number of samples.

    Returns
    -------
    ndarray of shape (n_modalities,)
        Upper bounds, which may be greater than one.
    """
    one_more = count + 1
    return (one_more + 2.0 * np.sqrt(one_more)) / (n_samples + 2)


def e_value_of_event(occurs: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """Return the e-values of samples in which a rare event occurs or not.

    Parameters
    ----------
    occurs : ndarray of bool of shape (n_samples, n_modalities)
        Whether the event occurs.
    rate : ndarray of shape (n_modalities,)
        Probability f of the event in a clean sample.

    Returns
    -------
    ndarray of shape (n_samples, n_modalities)
        E-values.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.monitoring.rare_events import e_value_of_event
    >>> e_value_of_event(np.array([[True], [False]]), np.array([0.01])).round(2)
    array([[20.  ],
           [ 0.81]])
    """
    return np.where(occurs, EXPECTED_RATE / rate, (1.0 - EXPECTED_RATE) / (1.0 - rate))
