"""Fill the missing values of a modality."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sklearn_emma.nn.conditional_mean import ConditionalMean

__all__ = ["GapFilling"]

# Largest number of features whose covariance is estimated.
_MOST_FEATURES = 512
# A feature with mostly usual values is predicted only if the others explain this share of its
# variance.
_LEAST_EXPLAINED = 0.5


class GapFilling(nn.Module):
    """Fill the missing values of a modality with values that fit those that are present.

    A missing value is replaced by its conditional mean given the other values of the modality
    (:class:`ConditionalMean`). The conditional means of the indicators of a category are replaced
    by the indicators of the nearest level, which is about the most likely one.

    Usual values are used if all values of the modality are missing, or if it has more than 512
    features. They are also used for features such as an amount that is mostly zero: if more than
    half of the values are equal to the usual one, the rest differ from each other, and the other
    features explain less than half of the variance.

    Parameters
    ----------
    usual : Tensor of shape (n_features,)
        Usual values: medians, and indicators of the most frequent level.
    categories : sequence of (Tensor of shape (n_indicators,), Tensor of shape (n_levels, \
            n_indicators)), default=()
        Positions of the indicators of each category, and the indicators of each of its levels.

    Attributes
    ----------
    conditional : ConditionalMean or None
        Prediction of missing values.
    keeps_usual : Tensor of bool of shape (n_features,)
        True for features that are not predicted. All False before :meth:`learn` is called.
    """

    usual: Tensor
    keeps_usual: Tensor

    def __init__(self, usual: Tensor, categories: Sequence[tuple[Tensor, Tensor]] = ()):
        super().__init__()
        # they follow from other fitted attributes
        self.register_buffer("usual", usual, persistent=False)
        self.n_categories = len(categories)
        for k, (places, levels) in enumerate(categories):
            self.register_buffer(f"places{k}", places, persistent=False)
            self.register_buffer(f"levels{k}", levels, persistent=False)
        n_features = len(usual)
        self.register_buffer("keeps_usual", torch.zeros(n_features, dtype=torch.bool))
        self.conditional = None
        if n_features <= _MOST_FEATURES:
            self.conditional = ConditionalMean(n_features).to(usual.dtype)

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
            explained = self.conditional.explained_variance() >= _LEAST_EXPLAINED
            self.keeps_usual.copy_(self._is_mostly_usual(x, weight) & ~explained)

    def _is_mostly_usual(self, x: Tensor, weight: Tensor | None) -> Tensor:
        """Return for which features most values are the usual one, and the rest differ."""
        share = x.new_ones(len(x)) if weight is None else weight.to(x.dtype)
        at_usual = x == self.usual
        unusual = ~(at_usual | x.isnan()) & (share > 0).unsqueeze(1)
        least = torch.where(unusual, x, torch.inf).amin(0)
        largest = torch.where(unusual, x, -torch.inf).amax(0)
        return (share @ at_usual.to(x.dtype) > share @ unusual.to(x.dtype)) & (least < largest)

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
        gaps = x.isnan()
        tracing = torch.jit.is_tracing()  # must not depend on the values of the example
        if not tracing and not gaps.any():
            return x
        filled = torch.where(gaps, self.usual, x)
        some = gaps.any(1) & ~gaps.all(1)
        if tracing:
            return torch.where(some.unsqueeze(1), self._predict(filled, gaps), filled)
        rows = some.nonzero().squeeze(1)
        return filled.index_copy(0, rows, self._predict(filled[rows], gaps[rows]))

    def _predict(self, x: Tensor, gaps: Tensor) -> Tensor:
        """Predict missing values, which are filled with usual values in `x`."""
        if self.conditional is None:
            return x
        found = self.conditional.fill(x, gaps)
        for k in range(self.n_categories):
            places, levels = getattr(self, f"places{k}"), getattr(self, f"levels{k}")
            # the level with the smallest squared distance
            closeness = found[:, places] @ levels.mT - 0.5 * levels.square().sum(1)
            found = found.index_copy(1, places, levels[closeness.argmax(1)])
        return torch.where(gaps & ~self.keeps_usual, found, x)
