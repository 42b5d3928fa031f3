r"""Virtual adversarial training: small changes of a sample should not change its prediction.

.. math::

    \mathcal{L} + w \, \frac1N \sum_n \mathrm{KL}\bigl(p(y \mid x_n) \,\|\, p(y \mid x_n + r_n)
    \bigr), \qquad r_n = \epsilon \, \frac{g_n}{\lVert g_n \rVert}, \quad
    g_n = \nabla_r \mathrm{KL}\bigl(p(y \mid x_n) \,\|\, p(y \mid x_n + r)\bigr)\Big|_{r = \xi d_n}

with random directions :math:`d_n`: one step of power iteration towards the direction in which the
prediction changes most [1]_. No label is used, so unlabelled samples contribute too.

References
----------
.. [1] Miyato, T., Maeda, S., Koyama, M. and Ishii, S. (2018). Virtual adversarial training: a
   regularization method for supervised and semi-supervised learning. IEEE Transactions on Pattern
   Analysis and Machine Intelligence.
"""

import math
from dataclasses import dataclass
from numbers import Real


@dataclass(frozen=True)
class VirtualAdversarial:
    r"""Virtual adversarial training, as `adversarial` of an estimator.

    The predictor learns to predict the same for a sample and for the neighbour whose prediction
    differs most. The neighbour gets the attention of the sample. In
    :class:`~sklearn_emma.EMMAClassifier` samples of class -1 are then unlabelled, by the convention
    of scikit-learn's semi-supervised estimators: energies and this term learn from them.

    Parameters
    ----------
    eps : float, default=1.0
        Length :math:`\epsilon` of the change of a sample, all modalities together, in standard
        deviations.
    weight : float, default=1.0
        Weight w of the term.
    ramp : float, default=0.3
        Fraction of the epochs in which the weight rises from zero to `weight`, linearly.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    See Also
    --------
    Adversarial : Attacks that know the labels.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma import EMMAClassifier
    >>> from sklearn_emma.corruption import VirtualAdversarial
    >>> from sklearn_emma.datasets import make_multimodal_classification
    >>> X, y = make_multimodal_classification(400, random_state=0, return_X_y=True)
    >>> known = np.where(np.arange(400) < 40, y, -1)
    >>> smooth = VirtualAdversarial(eps=1.0)
    >>> clf = EMMAClassifier("prefix", adversarial=smooth, max_epochs=20, random_state=0)
    >>> clf.fit(X, known).classes_
    array([0, 1])
    """

    eps: float = 1.0
    weight: float = 1.0
    ramp: float = 0.3

    def __post_init__(self) -> None:
        if not (isinstance(self.eps, Real) and 0 < self.eps < math.inf):
            raise ValueError(f"eps must be a positive number, got {self.eps!r}.")
        if not (isinstance(self.weight, Real) and 0 <= self.weight < math.inf):
            raise ValueError(f"weight must be a number of at least zero, got {self.weight!r}.")
        if not (isinstance(self.ramp, Real) and 0 <= self.ramp <= 1):
            raise ValueError(f"ramp must be a fraction of the epochs in [0, 1], got {self.ramp!r}.")

    def weight_in(self, epoch: int, n_epochs: int) -> float:
        """Return the weight in an epoch.

        Parameters
        ----------
        epoch : int
            Its number, from 0 on.
        n_epochs : int
            Number of epochs.

        Returns
        -------
        float
            The weight: it rises from ``weight / (ramp * n_epochs)`` in the first epoch to
            ``weight``.
        """
        rising = self.ramp * n_epochs
        return self.weight * min(1.0, (epoch + 1) / rising) if rising else self.weight
