r"""Virtual adversarial training: small changes of a sample should not change its prediction.

The loss :math:`\mathcal{L}` of the training is extended by a penalty on changes of the prediction:

.. math::

    \mathcal{L} + w \, \frac1N \sum_n \mathrm{KL}\bigl(p(y \mid x_n) \,\|\, p(y \mid x_n + r_n)
    \bigr), \qquad r_n = \epsilon \, \frac{g_n}{\lVert g_n \rVert}, \quad
    g_n = \nabla_r \mathrm{KL}\bigl(p(y \mid x_n) \,\|\, p(y \mid x_n + r)\bigr)\Big|_{r = \xi d_n}

where the :math:`d_n` are random directions, and :math:`\xi` is a small number. One step of power
iteration approximates the direction in which the prediction changes most [1]_. The penalty does not
depend on labels, so unlabeled samples contribute as well.

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
    r"""Virtual adversarial training, to be passed as `adversarial` to an estimator.

    The predictor learns to give similar predictions for a sample and for a changed sample nearby,
    whose prediction differs as much as possible. The changed sample gets the same attention as the
    sample. :class:`~sklearn_emma.EMMAClassifier` then treats samples with the label -1 as
    unlabeled, like scikit-learn's semi-supervised estimators do. The energies and the penalty are
    learned from labeled and unlabeled samples.

    Parameters
    ----------
    eps : float, default=1.0
        Euclidean norm :math:`\epsilon` of the change of a sample, over all modalities, in standard
        deviations.
    weight : float, default=1.0
        Weight w of the penalty.
    ramp : float, default=0.3
        Fraction of the epochs in which the weight increases linearly from zero to `weight`.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    See Also
    --------
    Adversarial : Attacks that use the labels.

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
            raise ValueError(f"weight must be a non-negative number, got {self.weight!r}.")
        if not (isinstance(self.ramp, Real) and 0 <= self.ramp <= 1):
            raise ValueError(f"ramp must be a fraction of the epochs in [0, 1], got {self.ramp!r}.")

    def weight_in(self, epoch: int, n_epochs: int) -> float:
        """Return the weight of the penalty in an epoch.

        Parameters
        ----------
        epoch : int
            Index of the epoch, starting from 0.
        n_epochs : int
            Number of epochs.

        Returns
        -------
        float
            The weight. It increases linearly from ``weight / (ramp * n_epochs)`` in the first epoch
            to ``weight``, and then stays constant.
        """
        rising = self.ramp * n_epochs
        return self.weight * min(1.0, (epoch + 1) / rising) if rising else self.weight
