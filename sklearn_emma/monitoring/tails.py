r"""Extrapolate how rare large likelihood ratios are in clean samples.

Let :math:`t = \max_k \log s_k` be the largest log likelihood ratio of a modality, u its
:math:`(m + 1)`-th largest value among N clean samples, where m is a tenth of N but at least 2 and
at most 20, and :math:`\Sigma` the sum of the m excesses :math:`t - u`. Excesses over u are assumed
to be exponentially distributed with an unknown rate. Its prior has the weight of one observed
excess of one nat, which is the largest mean excess of the ratios of a correct model. Then a clean
sample exceeds t with the probability

.. math:: \hat p(t) = \frac{m + 1}{N + 1} \Bigl(1 + \frac{t - u}{1 + \Sigma}\Bigr)^{-(m + 1)},

This is a generalized Pareto tail with the shape :math:`1 / (m + 1)`, which is heavier if there are
fewer samples (Pickands, J. (1975). Statistical inference using extreme order statistics. Annals of
Statistics 3). It is the Bayesian predictive distribution of an exponential distribution (Gelman, A.
et al. (2013). Bayesian data analysis, section 2.6). If the excesses of log s are exponential, s has
a Pareto tail. As most statistics are logarithms, columns with power-law tails also meet the
assumption.

N samples show nothing about outliers that are far rarer than 1 / N, such as those of a column whose
core is Gaussian and whose tail follows a power law. Therefore :math:`\hat p` is at least
1 / (10 N). With fewer than several thousand clean samples, a single sample then hardly raises an
alarm, two successive ones do.

The assumption makes no sense for a discrete modality, such as one of switches and flags: a rare
combination of flags has a ratio of its own, which may be far above all others. A modality counts as
discrete if more than a quarter of its clean samples are equal to another one, apart from the most
frequent sample. Then nothing is extrapolated: :math:`\hat p` is at least 1 / N.
"""

import numpy as np

__all__ = ["UpperTail", "is_discrete"]

# Fraction of the clean samples that form the tail, and the largest and smallest number of them.
_SHARE, _MOST, _FEWEST = 0.1, 20, 2
# Probabilities are extrapolated down to this fraction of 1 / N.
_LEAST = 0.1
# A modality is discrete if this fraction of its samples is equal to another one.
_EQUAL = 0.25


class UpperTail:
    """Fitted upper tail of the values of each modality in clean samples.

    Parameters
    ----------
    clean : ndarray of shape (n_samples, n_modalities)
        Values of more than two clean samples, in nats.
    discrete : ndarray of bool of shape (n_modalities,), default=None
        Whether a modality is discrete. None means that no modality is.

    Attributes
    ----------
    n_excesses_ : int
        Number m of excesses.
    threshold_ : ndarray of shape (n_modalities,)
        Threshold u.
    total_ : ndarray of shape (n_modalities,)
        One plus the sum of the excesses, :math:`1 + \\Sigma`.
    discrete_ : ndarray of bool of shape (n_modalities,)
        Whether a modality is discrete.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.monitoring.tails import UpperTail
    >>> tail = UpperTail(np.random.RandomState(0).exponential(size=(99, 1)))
    >>> np.exp(tail.log_probability(np.array([[2.3], [6.9], [20.0]]))).round(5).tolist()
    [[0.09338], [0.003], [0.00101]]
    """

    def __init__(self, clean: np.ndarray, discrete: np.ndarray | None = None) -> None:
        self._n_clean = len(clean)
        self.n_excesses_ = int(np.clip(_SHARE * len(clean), _FEWEST, _MOST))
        largest = np.sort(clean, axis=0)[-self.n_excesses_ - 1 :]
        self.threshold_ = largest[0]
        self.total_ = 1.0 + (largest - largest[0]).sum(axis=0)
        self.discrete_ = np.zeros(clean.shape[1], dtype=bool) if discrete is None else discrete

    def log_probability(self, values: np.ndarray) -> np.ndarray:
        r"""Return the log probability :math:`\log \hat p` that a clean sample exceeds each value.

        Parameters
        ----------
        values : ndarray of shape (n_samples, n_modalities)
            Values, in nats. Values below u are treated as u.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Log probabilities.
        """
        excess = np.maximum(values - self.threshold_, 0.0)
        shape = self.n_excesses_ + 1
        log_p = np.log(shape / (self._n_clean + 1)) - shape * np.log1p(excess / self.total_)
        least = np.where(self.discrete_, 1.0, _LEAST) / self._n_clean
        return np.maximum(log_p, np.log(least))

    def draw(self, values: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        """Replace values above u by random draws from the tail.

        Parameters
        ----------
        values : ndarray of shape (n_samples, n_modalities)
            Values of clean samples, in nats.
        rng : RandomState
            Random number generator.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Draws where the given values are above u and not discrete, else the given values.
        """
        excess = self.total_ * np.expm1(rng.exponential(size=values.shape) / (self.n_excesses_ + 1))
        beyond = (values > self.threshold_) & ~self.discrete_
        return np.where(beyond, self.threshold_ + excess, values)


def is_discrete(samples: np.ndarray) -> bool:
    """Return whether many samples of a modality are equal, apart from the most frequent one.

    Parameters
    ----------
    samples : ndarray of shape (n_samples, n_features)
        Clean samples of a modality.

    Returns
    -------
    bool
        True if more than a quarter of the other samples are equal to another one.
    """
    counts = np.sort(np.unique(samples, axis=0, return_counts=True)[1])[:-1]
    return bool(counts[counts > 1].sum() > _EQUAL * counts.sum())
