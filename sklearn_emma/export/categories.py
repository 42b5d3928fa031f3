"""Convert the codes of categorical columns to indicators inside an exported model."""

import math

import torch
from torch import Tensor, nn

from sklearn_emma.indicators import Indicators


class CategoryModule(nn.Module):
    """Convert a table of codes to features, as :class:`Indicators` does, for tensors.

    Parameters
    ----------
    indicators : Indicators
        Indicators of a fitted estimator.
    """

    def __init__(self, indicators: Indicators):
        super().__init__()
        self.n_columns = indicators.n_columns
        categories = indicators.categories.items()
        self.rows = {column: torch.from_numpy(category.rows) for column, category in categories}
        self.evidence = {
            column: torch.from_numpy(category.evidence) for column, category in categories
        }

    def forward(self, table: Tensor) -> tuple[Tensor, Tensor]:
        """Replace codes by standardized indicators.

        Parameters
        ----------
        table : Tensor of float64 of shape (n_samples, n_columns)
            Samples, with codes in the categorical columns. NaN marks missing values. Any number
            that is not the code of a level stands for an unseen level.

        Returns
        -------
        features : Tensor of shape (n_samples, n_features)
            Features. Numerical columns are unchanged. All indicators of a missing value are NaN.
        evidence : Tensor of shape (n_samples, n_columns)
            Evidence of unseen levels, in nats.
        """
        features, evidence = [], []
        for column in range(self.n_columns):
            values = table[:, column]
            if column not in self.rows:
                features.append(values.unsqueeze(1))
                evidence.append(torch.zeros_like(values))
                continue
            rows, missing = self.rows[column], values.isnan()
            n_levels = len(rows) - 1
            known = (values >= 0) & (values < n_levels) & (values == values.floor())
            codes = torch.where(known, values, torch.full_like(values, n_levels)).long()
            features.append(rows[codes].masked_fill(missing.unsqueeze(1), math.nan))
            evidence.append(self.evidence[column][codes].masked_fill(missing, 0.0))
        return torch.cat(features, 1), torch.stack(evidence, 1)


def sum_by_modality(values: Tensor, columns: list) -> Tensor:
    """Return the sum over the columns of each modality, of shape (n_samples, n_modalities)."""
    return torch.stack([values[:, positions].sum(1) for positions in columns], 1)
