r"""Likelihood ratios larger than those of all clean samples: how rare they are.

Let :math:`t = \max_k \log s_k` be the largest log likelihood ratio of a modality, u its
:math:`(m + 1)`-th largest value among N clean samples, m a tenth of N but at most 20, and
:math:`\Sigma` the sum of the m excesses :math:`t - u`. Beyond u excesses are taken to be
exponential with an unknown rate, the prior of which is worth one excess of one nat, the most that
the ratios of a correct model have on average. Then a clean sample exceeds t with the probability

.. math:: \hat p(t) = \frac{m + 1}{N + 1} \Bigl(1 + \frac{t - u}{1 + \Sigma}\Bigr)^{-(m + 1)},

a generalised Pareto tail with the shape :math:`1 / (m + 1)`, the heavier the fewer samples there
are (Pickands, J. (1975). Statistical inference using extreme order statistics. Annals of Statistics
3; the Bayesian predictive distribution of an exponential one: Gelman, A. et al. (2013). Bayesian
data analysis, section 2.6). Exponential excesses of log s are Pareto ones of s: the statistics are
logarithms, so columns with a power law in their tails meet the assumption, too.
"""

import numpy as np

__all__ = ["UpperTail"]

# Share of the clean samples in the tail, and the largest and smallest number of them.
_SHARE, _MOST, _FEWEST = 0.1, 20, 2


class UpperTail:
    """The largest values of every modality in clean samples, and how rare larger ones are.

    Parameters
    ----------
    clean : ndarray of shape (n_samples, n_modalities)
        Values of clean samples, in nats; more than two.

    Attributes
    ----------
    n_excesses_ : int
        m.
    threshold_ : ndarray of shape (n_modalities,)
        u.
    total_ : ndarray of shape (n_modalities,)
        :math:`1 + \\Sigma`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.monitoring.tails import UpperTail
    >>> tail = UpperTail(np.random.RandomState(0).exponential(size=(99, 1)))
    >>> np.exp(tail.log_probability(np.array([[2.3], [6.9], [20.0]]))).round(5).tolist()
    [[0.09338], [0.003], [1e-05]]
    """

    def __init__(self, clean: np.ndarray) -> None:
        self._n_clean = len(clean)
        self.n_excesses_ = int(np.clip(_SHARE * len(clean), _FEWEST, _MOST))
        largest = np.sort(clean, axis=0)[-self.n_excesses_ - 1 :]
        self.threshold_ = largest[0]
        self.total_ = 1.0 + (largest - largest[0]).sum(axis=0)

    def log_probability(self, values: np.ndarray) -> np.ndarray:
        r"""Log probability :math:`\log \hat p` that a clean sample exceeds values.

        Parameters
        ----------
        values : ndarray of shape (n_samples, n_modalities)
            Values, in nats. Those below u count as u.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Logarithms of probabilities.
        """
        excess = np.maximum(values - self.threshold_, 0.0)
        shape = self.n_excesses_ + 1
        return np.log(shape / (self._n_clean + 1)) - shape * np.log1p(excess / self.total_)

    def draw(self, values: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        """Draw values above u anew, from the tail.

        Parameters
        ----------
        values : ndarray of shape (n_samples, n_modalities)
            Values of clean samples.
        rng : RandomState
            Draws.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Other values where they are above u, else the same.
        """
        excess = self.total_ * np.expm1(rng.exponential(size=values.shape) / (self.n_excesses_ + 1))
        return np.where(values > self.threshold_, self.threshold_ + excess, values)
