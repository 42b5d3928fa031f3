"""Fill the missing values of a modality."""

import torch
from torch import Tensor, nn

from sklearn_emma.nn.conditional_mean import ConditionalMean

__all__ = ["GapFilling"]

# Largest number of features whose covariance is estimated.
_MOST_FEATURES = 512


class GapFilling(nn.Module):
    """Fill the missing values of a modality with values that fit those that are present.

    A numeric feature is filled with its conditional mean given the other values of the modality
    (:class:`ConditionalMean`). It is filled with its usual value if all values of the modality are
    missing, or if the modality has more than 512 features. The indicators of a category always get
    their usual values, because values between two levels do not occur.

    Parameters
    ----------
    usual : Tensor of shape (n_features,)
        Usual values: medians, and indicators of the most frequent level.
    numeric : Tensor of bool of shape (n_features,)
        True for numeric features, False for indicators of categories.

    Attributes
    ----------
    conditional : ConditionalMean or None
        Prediction of missing values.
    """

    usual: Tensor
    numeric: Tensor

    def __init__(self, usual: Tensor, numeric: Tensor):
        super().__init__()
        # they are fitted attributes of their own
        self.register_buffer("usual", usual, persistent=False)
        self.register_buffer("numeric", numeric, persistent=False)
        n_features = len(usual)
        self.conditional = ConditionalMean(n_features) if n_features <= _MOST_FEATURES else None

    def learn(self, x: Tensor, weight: Tensor | None = None) -> None:
        """Learn to predict missing values.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Standardized samples. NaN marks missing values.
        weight : Tensor of shape (n_samples,), default=None
            Sample weights. None weights all samples equally.
        """
        if self.conditional is not None:
            self.conditional.learn(x, weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return complete samples.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Standardized values. NaN marks missing values.

        Returns
        -------
        Tensor of shape (n_samples, n_features)
            Complete values.
        """
        if torch.jit.is_tracing():  # whatever the values of the example are
            return self._fill(x)
        rows = x.isnan().any(1).nonzero().squeeze(1)
        return x.index_copy(0, rows, self._fill(x[rows])) if len(rows) else x

    def _fill(self, x: Tensor) -> Tensor:
        gaps = x.isnan()
        filled = torch.where(gaps, self.usual, x)
        if self.conditional is None:
            return filled
        predicted = self.numeric & ~gaps.all(1, keepdim=True)
        return torch.where(predicted, self.conditional.fill(filled, gaps), filled)
