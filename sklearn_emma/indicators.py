r"""Conversion of categorical columns to indicators of their levels, for networks and energies.

Each frequent level has an indicator; all infrequent levels of a column share one. A level is
*infrequent* if it has fewer than 10 training samples. With fewer than 1000 training samples, the
limit is 1 % of them, but at least 2. Levels that are not among the 100 most frequent ones are
infrequent as well. The indicators :math:`o_k` of a column are centered by the fractions :math:`p_k`
of the training samples, and divided by a common scale, such that the total variance of the column
is one, like that of a standardized numeric column:

.. math:: z_k = (o_k - p_k) \Big/ \sqrt{1 - \textstyle\sum_k p_k^2}

If there are two indicators, only one of them is kept, because they are redundant; it is
standardized. A level that does not occur in the training samples has the indicator of infrequent
levels or, if there is none, that of the most frequent level. In addition, it is evidence against
its modality (:mod:`sklearn_emma.nn.evidence_energy`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_emma.categories import Levels
from sklearn_emma.nn.evidence_energy import unseen_level_evidence

# Smallest number of training samples of a frequent level: 10, or 1 % of all training samples if
# this is less, but at least 2.
_USUAL, _USUAL_SHARE, _LEAST = 10, 0.01, 2
# Largest number of levels with an indicator of their own.
_MOST = 100
# Smallest scale of an indicator for an energy, in units of the difference of its two values.
_JUMPS = 4.0


@dataclass(frozen=True)
class Category:
    """A categorical column.

    Attributes
    ----------
    rows : ndarray of shape (n_levels + 1, n_indicators)
        Standardized indicators of each code. The last row is for unseen levels.
    groups : list of list of int
        Codes of the levels that share an indicator.
    evidence : ndarray of shape (n_levels + 1,)
        Evidence of each code against the modality, in nats. Zero for known levels.
    """

    rows: np.ndarray
    groups: list[list[int]]
    evidence: np.ndarray

    @classmethod
    def from_counts(cls, counts: np.ndarray) -> "Category":
        """Create the indicators of a column.

        Parameters
        ----------
        counts : ndarray of int of shape (n_levels,)
            Training samples of each level.

        Returns
        -------
        Category
            The column.
        """
        total = max(int(counts.sum()), 1)
        order = np.argsort(-counts, kind="stable")
        enough = max(min(_USUAL, _USUAL_SHARE * total), _LEAST)
        usual = np.sort([code for code in order[:_MOST] if counts[code] >= enough])
        groups = [[int(code)] for code in usual]
        infrequent = np.setdiff1d(np.flatnonzero(counts), usual)
        if len(infrequent):
            groups.append(infrequent.tolist())
        mode = int(order[0])
        # unseen levels, and levels that only occur in samples with zero weight
        of_code = np.full(
            len(counts) + 1, len(groups) - 1 if len(infrequent) else _group_of(mode, groups)
        )
        for group, codes in enumerate(groups):
            of_code[codes] = group
        share = np.array([counts[codes].sum() for codes in groups]) / total
        indicators = np.eye(len(groups))[of_code] - share
        spread = np.sqrt(max(1.0 - (share**2).sum(), 0.0))
        if len(groups) == 2:
            indicators, spread = indicators[:, 1:], np.sqrt(share.prod())
        rows = indicators / (spread if spread > 1e-9 else 1.0)
        rarest = int(counts[usual].min()) if len(usual) else 0
        unseen = unseen_level_evidence(rarest, int((counts == 1).sum()))
        return cls(rows, groups, np.where(np.append(counts, 0) > 0, 0.0, unseen))


def _read_codes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return integer codes, with zero for missing values, and a mask of missing values."""
    missing = np.isnan(values)
    return np.where(missing, 0, values).astype(np.intp), missing


def _group_of(code: int, groups: list[list[int]]) -> int:
    return next(i for i, codes in enumerate(groups) if code in codes)


@dataclass(frozen=True)
class Indicators:
    """Conversion of columns to features: numeric columns are kept, others become indicators.

    Without categorical columns, the features are the columns, and no method copies them.

    Attributes
    ----------
    n_columns : int
        Number of columns.
    categories : dict of int to Category
        Categorical columns by position.
    """

    n_columns: int
    categories: Mapping[int, Category]

    @property
    def n_features(self) -> int:
        """Number of features."""
        return int(self.positions[-1][-1]) + 1

    @property
    def positions(self) -> list[np.ndarray]:
        """Positions of the features of each column."""
        widths = np.ones(self.n_columns, dtype=np.intp)
        for column, category in self.categories.items():
            widths[column] = category.rows.shape[1]
        ends = widths.cumsum()
        return [np.arange(end - width, end) for end, width in zip(ends, widths, strict=True)]

    def of_modality(self, columns: np.ndarray) -> np.ndarray:
        """Return the positions of the features of some columns, in their order."""
        if not self.categories:
            return columns
        positions = self.positions
        return np.concatenate([positions[column] for column in columns])

    def blocks(self, columns: np.ndarray) -> list[np.ndarray]:
        """Return the positions of each categorical column among the features of some columns."""
        positions, blocks, start = self.positions, [], 0
        for column in columns:
            end = start + len(positions[column])
            if column in self.categories:
                blocks.append(np.arange(start, end))
            start = end
        return blocks

    def names(self, column_names: Sequence, levels: Levels) -> np.ndarray:
        """Return the names of the features.

        Parameters
        ----------
        column_names : sequence of str of length n_columns
            Names of the columns.
        levels : dict of int to list
            Levels of the categorical columns.

        Returns
        -------
        ndarray of str of shape (n_features,)
            ``<column>_<level>`` for the indicator of one level, and ``<column>_infrequent`` for the
            indicator of several levels.
        """
        names = []
        for column, name in enumerate(column_names):
            if column not in self.categories:
                names.append(name)
                continue
            groups = self.categories[column].groups
            shown = groups[-self.categories[column].rows.shape[1] :]  # one of two
            for codes in shown:
                level = "infrequent" if len(codes) > 1 else levels[column][codes[0]]
                names.append(f"{name}_{level}")
        return np.array(names, dtype=object)

    def least_scale(self, columns: np.ndarray) -> np.ndarray:
        """Return the smallest scale, for an energy, of the features of some columns.

        The smallest scale of an indicator is four times the difference of its two values. Then the
        distance between levels is a quarter of the scale, which is comparable to the noise that an
        energy learns to remove. If levels were farther apart, they would form separate clusters
        whose energies are not comparable. The smallest scale of numeric columns is zero.

        Parameters
        ----------
        columns : ndarray of int of shape (n_chosen,)
            Positions of the columns.

        Returns
        -------
        ndarray of shape (n_chosen_features,)
            The scales.
        """
        least = [
            _JUMPS * np.ptp(self.categories[column].rows, axis=0)
            if column in self.categories
            else np.zeros(1)
            for column in columns
        ]
        return np.concatenate(least)

    def expand(self, table: np.ndarray) -> np.ndarray:
        """Replace codes by standardized indicators.

        Parameters
        ----------
        table : ndarray of shape (n_samples, n_columns)
            Samples, with codes in the categorical columns; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Features in the dtype of the table. All indicators of a missing value are NaN.
        """
        if not self.categories:
            return table
        parts = []
        for column in range(self.n_columns):
            category = self.categories.get(column)
            if category is None:
                parts.append(table[:, [column]])
                continue
            codes, missing = _read_codes(table[:, column])
            parts.append(np.where(missing[:, None], np.nan, category.rows[codes]))
        return np.concatenate(parts, axis=1).astype(table.dtype)

    def unseen(self, table: np.ndarray) -> np.ndarray:
        """Return the evidence of unseen levels against their modality.

        Parameters
        ----------
        table : ndarray of shape (n_samples, n_columns)
            Samples, with codes in the categorical columns.

        Returns
        -------
        ndarray of shape (n_samples, n_columns)
            Evidence in nats. Zero for all other values.
        """
        found = np.zeros(table.shape)
        for column, category in self.categories.items():
            codes, missing = _read_codes(table[:, column])
            found[:, column] = np.where(missing, 0.0, category.evidence[codes])
        return found

    def unseen_by_modality(self, table: np.ndarray, modalities: Sequence) -> np.ndarray:
        """Return the sum of :meth:`unseen` over the columns of each modality.

        Parameters
        ----------
        table : ndarray of shape (n_samples, n_columns)
            Samples, with codes in the categorical columns.
        modalities : sequence of ndarray of int
            Columns of each modality.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Evidence in nats.
        """
        unseen = self.unseen(table)
        return np.column_stack([unseen[:, columns].sum(axis=1) for columns in modalities])

    def codes(self, features: np.ndarray) -> np.ndarray:
        """Convert indicators to the code of the nearest level, and keep numeric features.

        Parameters
        ----------
        features : ndarray of shape (n_samples, n_features)
            Values of all features.

        Returns
        -------
        ndarray of shape (n_samples, n_columns)
            Values of numeric columns, and codes of categorical columns. For levels that share an
            indicator, the code is that of the first of them.
        """
        found = self.numbers(features)
        for column, category in self.categories.items():
            values = features[:, self.positions[column]]
            distance = ((values[:, None] - category.rows[:-1]) ** 2).sum(axis=2)
            found[:, column] = distance.argmin(axis=1)
        return found

    def numbers(self, features: np.ndarray) -> np.ndarray:
        """Return numeric columns, and zeros for categorical ones: (n_samples, n_columns)."""
        if not self.categories:
            return features
        return np.column_stack(
            [
                np.zeros(len(features)) if column in self.categories else features[:, places[0]]
                for column, places in enumerate(self.positions)
            ]
        )

    def sums(self, features: np.ndarray) -> np.ndarray:
        """Return numeric columns, and the sum of the indicators of each categorical column."""
        if not self.categories:
            return features
        return np.column_stack([features[:, places].sum(axis=1) for places in self.positions])


def indicators_of(estimator: Any) -> Indicators:
    """Return the conversion of columns to features of a fitted estimator.

    Parameters
    ----------
    estimator : estimator
        Estimator with the attributes ``n_features_in_`` and ``category_counts_``.

    Returns
    -------
    Indicators
        The conversion.
    """
    counts = getattr(estimator, "category_counts_", {})
    categories = {column: Category.from_counts(count) for column, count in counts.items()}
    return Indicators(estimator.n_features_in_, categories)


def least_scales_of(estimator: Any) -> list[np.ndarray | None]:
    """Return the smallest scales of the features of each modality, for its energy.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator.

    Returns
    -------
    list of ndarray of shape (n_features,), or of None
        Smallest scales for each modality. All are None if no column is categorical.
    """
    indicators = indicators_of(estimator)
    if not indicators.categories:
        return [None] * len(estimator.modality_columns_)
    return [indicators.least_scale(columns) for columns in estimator.modality_columns_]


def feature_columns(estimator: Any) -> list[np.ndarray]:
    """Return the positions of the features of each modality of a fitted estimator.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator.

    Returns
    -------
    list of ndarray of int
        Its ``modality_columns_`` where no column is categorical.
    """
    indicators = indicators_of(estimator)
    return [indicators.of_modality(columns) for columns in estimator.modality_columns_]
