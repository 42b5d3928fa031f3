r"""Features of a column that the predictor reads: value, normal score, periodic functions.

.. math::

    \phi(x), \quad \phi(q(x)), \quad
    \sin(2 \pi f_k\, \bar q(x)), \quad \cos(2 \pi f_k\, \bar q(x)), \quad k = 1, 2, 3

:math:`\phi` compresses values of more than a hundred standard deviations, as
:class:`~sklearn_emma.nn.SoftClip` does, so that extreme values of training samples cannot dominate
the loss. :math:`q` is the normal score of the column, see
:class:`~sklearn_emma.nn.NormalScores`. The periodic features have the frequencies
:math:`f_k = 1/4, 1/2, 1` per unit of the normal score. With them a network learns functions that
change quickly within a column, such as thresholds and peaks, which it learns slowly otherwise
(Gorishniy, Y., Rubachev, I. & Babenko, A. (2022). On embeddings for numerical features in tabular
deep learning. NeurIPS 35). :math:`\bar q` is the score within the range of the training samples:
beyond it, the periodic features are constant.
"""

import math

import torch
from torch import Tensor, nn

from sklearn_emma.nn.coordinates import soft_clip
from sklearn_emma.nn.normal_scores import HIGHEST_SCORE, NormalScores

__all__ = ["ColumnFeatures"]

# Values of more than this many standard deviations are compressed logarithmically.
_LIMIT = 100.0
# Periods per unit of the normal score.
_FREQUENCIES = (0.25, 0.5, 1.0)


class ColumnFeatures(nn.Module):
    """Value, normal score and periodic features of each column.

    Parameters
    ----------
    n_columns : int
        Number of columns.
    normal_scores : bool, default=False
        Whether to include the normal scores. Their points must be set.
    periodic : bool, default=False
        Whether to include the periodic features, which need normal scores.

    Attributes
    ----------
    n_values : int
        Number of features of each column.

    Raises
    ------
    ValueError
        If `periodic` is True and `normal_scores` is False.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import ColumnFeatures
    >>> features = ColumnFeatures(3, normal_scores=True, periodic=True)
    >>> features(torch.zeros(5, 3)).shape, features.n_values
    (torch.Size([5, 24]), 8)
    """

    def __init__(self, n_columns: int, normal_scores: bool = False, periodic: bool = False):
        super().__init__()
        if periodic and not normal_scores:
            raise ValueError("Periodic features need normal_scores=True.")
        self.normal_scores = NormalScores(n_columns) if normal_scores else None
        self.frequencies = _FREQUENCIES if periodic else ()
        self.n_values = 1 + normal_scores + 2 * len(self.frequencies)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the features.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_columns)
            Samples without gaps.

        Returns
        -------
        Tensor of shape (n_samples, n_columns * n_values)
            All features of the first column, then those of the second, and so on.
        """
        values = soft_clip(x, _LIMIT)
        if self.normal_scores is None:
            return values
        scores = soft_clip(self.normal_scores(x), _LIMIT)
        found = [values, scores]
        within = scores.clamp(-HIGHEST_SCORE, HIGHEST_SCORE)
        for frequency in self.frequencies:
            angle = (2.0 * math.pi * frequency) * within
            found += [angle.sin(), angle.cos()]
        return torch.stack(found, 2).flatten(1)
