r"""Codes of categorical columns as indicators of their levels, which networks and energies take.

A level with fewer than ten training samples is *infrequent* (with fewer than one in a hundred of
them, where these are fewer than ten, but at least two), and so is every one beyond the hundred most
frequent; infrequent levels share one indicator. The indicators :math:`o_k` of a column are centred
with the shares :math:`p_k` of the training samples, and divided by one scale, so that the variance
of the column is one, as of a standardised number:

.. math:: z_k = (o_k - p_k) \Big/ \sqrt{1 - \textstyle\sum_k p_k^2}

Of two indicators, which say the same, there is only one, standardised. A level that no training
sample has shows as an infrequent one, or, where there is none, as the most frequent one; that it
was never seen is evidence against its modality (:mod:`sklearn_emma.nn.evidence_price`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_emma.categories import Levels
from sklearn_emma.nn.evidence_price import unseen_level_evidence

# Training samples of a level that has an indicator of its own: so many, or this share of all where
# that is fewer, but at least two.
_USUAL, _USUAL_SHARE, _LEAST = 10, 0.01, 2
# Levels that have indicators of their own at most.
_MOST = 100
# Least scale of an indicator for an energy, in its jumps.
_JUMPS = 4.0


@dataclass(frozen=True)
class Category:
    """A categorical column.

    Attributes
    ----------
    rows : ndarray of shape (n_levels + 1, n_indicators)
        Standardised indicators of each code; the last one is that of levels never seen.
    groups : list of list of int
        Codes of the levels that share an indicator.
    mode : int
        Code of the most frequent level.
    evidence : ndarray of shape (n_levels + 1,)
        Of each code, in nats: zero for levels that were seen.
    """

    rows: np.ndarray
    groups: list[list[int]]
    mode: int
    evidence: np.ndarray

    @classmethod
    def from_counts(cls, counts: np.ndarray) -> "Category":
        """Make the indicators of a column.

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
        # levels never seen, and those of samples without weight
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
        return cls(rows, groups, mode, np.where(np.append(counts, 0) > 0, 0.0, unseen))


def _read_codes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return codes, zero where missing, and where they are missing."""
    missing = np.isnan(values)
    return np.where(missing, 0, values).astype(np.intp), missing


def _group_of(code: int, groups: list[list[int]]) -> int:
    return next(i for i, codes in enumerate(groups) if code in codes)


@dataclass(frozen=True)
class Indicators:
    """The columns of a table as features: a number stays one, a category becomes indicators.

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
        positions = self.positions
        return np.concatenate([positions[column] for column in columns])

    def blocks(self, columns: np.ndarray) -> list[np.ndarray]:
        """Return the places of each categorical column among the features of some columns."""
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
            ``<column>_<level>`` for an indicator, ``<column>_infrequent`` for that of several
            levels.
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
        """Return the least scale, for an energy, of the features of some columns.

        Of an indicator it is four times its jump, so that levels are a quarter of a scale apart,
        within reach of the noise that an energy learns to remove. Levels farther apart are clusters
        with nothing in between, whose energies have no common level. Zero for numbers.

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
        """Replace codes by standardised indicators.

        Parameters
        ----------
        table : ndarray of shape (n_samples, n_columns)
            Samples, with codes in the categorical columns; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Of the dtype of the table; all indicators of a missing value are NaN.
        """
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
        """Evidence of levels that were never seen.

        Parameters
        ----------
        table : ndarray of shape (n_samples, n_columns)
            Samples, with codes in the categorical columns.

        Returns
        -------
        ndarray of shape (n_samples, n_columns)
            In nats; zero for any other value.
        """
        found = np.zeros(table.shape)
        for column, category in self.categories.items():
            codes, missing = _read_codes(table[:, column])
            found[:, column] = np.where(missing, 0.0, category.evidence[codes])
        return found

    def codes(self, features: np.ndarray) -> np.ndarray:
        """Return numbers as they are, and of indicators the code of the nearest level.

        Parameters
        ----------
        features : ndarray of shape (n_samples, n_features)
            Values of all features.

        Returns
        -------
        ndarray of shape (n_samples, n_columns)
            Of several levels that share an indicator the code of the first one.
        """
        found = self.numbers(features)
        for column, category in self.categories.items():
            values = features[:, self.positions[column]]
            distance = ((values[:, None] - category.rows[:-1]) ** 2).sum(axis=2)
            found[:, column] = distance.argmin(axis=1)
        return found

    def numbers(self, features: np.ndarray) -> np.ndarray:
        """Return numbers as they are, and zero for categories: (n_samples, n_columns)."""
        return np.column_stack(
            [
                np.zeros(len(features)) if column in self.categories else features[:, places[0]]
                for column, places in enumerate(self.positions)
            ]
        )

    def sums(self, features: np.ndarray) -> np.ndarray:
        """Return numbers as they are, and of indicators the sum: (n_samples, n_columns)."""
        return np.column_stack([features[:, places].sum(axis=1) for places in self.positions])


def indicators_of(estimator: Any) -> Indicators | None:
    """Return what turns the columns of a fitted estimator into features.

    Parameters
    ----------
    estimator : estimator
        With the attributes ``n_features_in_`` and ``category_counts_``.

    Returns
    -------
    Indicators or None
        None where no column is categorical: then columns are features.
    """
    counts = getattr(estimator, "category_counts_", None)
    if not counts:
        return None
    categories = {column: Category.from_counts(count) for column, count in counts.items()}
    return Indicators(estimator.n_features_in_, categories)


def least_scales_of(estimator: Any) -> list[np.ndarray | None]:
    """Return the least scales, for the energy of each modality, of its features.

    Parameters
    ----------
    estimator : estimator
        Fitted.

    Returns
    -------
    list of ndarray of shape (n_features,), or of None
        None where no column is categorical.
    """
    indicators = indicators_of(estimator)
    if indicators is None:
        return [None] * len(estimator.modality_columns_)
    return [indicators.least_scale(columns) for columns in estimator.modality_columns_]


def feature_columns(estimator: Any) -> list[np.ndarray]:
    """Return the positions of the features of each modality of a fitted estimator.

    Parameters
    ----------
    estimator : estimator
        Fitted.

    Returns
    -------
    list of ndarray of int
        Its ``modality_columns_`` where no column is categorical.
    """
    indicators = indicators_of(estimator)
    columns: Sequence[np.ndarray] = estimator.modality_columns_
    if indicators is None:
        return list(columns)
    return [indicators.of_modality(positions) for positions in columns]


def fill_values(estimator: Any) -> np.ndarray:
    """Return what gaps of each feature of a fitted estimator are filled with.

    Parameters
    ----------
    estimator : estimator
        Fitted.

    Returns
    -------
    ndarray of shape (n_features,)
        Its ``median_`` where no column is categorical.
    """
    indicators = indicators_of(estimator)
    median: np.ndarray = estimator.median_
    return median if indicators is None else indicators.expand(median[None])[0]
