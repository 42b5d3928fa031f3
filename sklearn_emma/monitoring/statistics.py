r"""Compute ten statistics of each modality from a single sample.

Let :math:`z_i` be the standardized values of the :math:`D_i` features of modality i,
:math:`\Sigma_i` their covariance, :math:`\hat z_i` their linear prediction from the other
modalities, :math:`r_i = z_i - \hat z_i` the residual and :math:`S_i` its covariance. The statistics
are:

1. own energy, on the scale of the gate, and 2. disagreement with the other modalities, in nats, as
   measured by the estimator or by :mod:`sklearn_emma.monitoring.agreement`;
3. 4. the largest own energy, and the largest disagreement, among the other modalities;
5. the matched filter of a common offset of all features,
   :math:`1^T \Sigma_i^{-1} z_i / \sqrt{1^T \Sigma_i^{-1} 1}`;
6. scale: :math:`\log \overline{z_i^2}`; 7. :math:`\log z_i^T \Sigma_i^{-1} z_i / D_i`;
8. to 10. location and scale given the other modalities: :math:`\overline{z_i \hat z_i}`,
   :math:`\log r_i^T S_i^{-1} r_i / D_i`, :math:`\log \overline{\hat z_i^2}`.

Single missing values are filled with their conditional mean given the other values of their
modality (:mod:`sklearn_emma.nn.conditional_mean`), and missing modalities with the mean. In 6., 7.
and 9., the mean a of n known squares is replaced by :math:`1 + \sqrt{n / D_i}\, (a - 1)`, which has
about the same mean and variance in clean samples as the mean of :math:`D_i` squares.

The matched filter, T² and the regression on other sensors are standard in multivariate process
control (Montgomery, D. C. (2009). Introduction to statistical quality control, chapter 11).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.linalg import block_diag
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import RidgeCV

from sklearn_emma.compat import _safe_indexing
from sklearn_emma.energy.column_scale import mean_and_deviation
from sklearn_emma.monitoring.agreement import Agreement
from sklearn_emma.monitoring.tables import as_samples
from sklearn_emma.nn.conditional_mean import ConditionalMean, fill_gaps
from sklearn_emma.nn.evidence_energy import evidence_of_potential, relative_potential

#: Values are clipped to this many standard deviations before they predict other modalities.
_LIMIT = 4.0
_FLOOR = 0.01
# Standardized values are clipped to this size, so that their squares are finite.
_MOST = 1e50
#: Positions of the statistics that describe other modalities.
OF_OTHERS = (2, 3)


class SampleStatistics:
    """Statistics of samples, relative to the distribution of clean samples.

    Parameters
    ----------
    table : ndarray of shape (n_samples, n_features)
        Clean samples. The features are sorted by modality. NaN marks missing values.
    sizes : sequence of int
        Number of features of each modality.

    Attributes
    ----------
    sizes_, starts_ : ndarray of int of shape (n_modalities,)
        Number of features of each modality, and position of its first feature.
    mean_, scale_ : ndarray of shape (n_features,)
        Mean and standard deviation of each feature. The scale of constant features is one.
    varies_ : ndarray of bool of shape (n_features,)
        False for constant features.
    center_ : ndarray of shape (n_features,)
        Mean of the standardized features, from which missing values are predicted.
    gap_precision_ : ndarray of shape (n_features, n_features)
        Precision matrices of the modalities with which missing values are predicted, as a
        block-diagonal matrix.
    precision_ : ndarray of shape (n_features, n_features)
        Inverse of the shrunken covariance of each modality, as a block-diagonal matrix.
    regression_ : ndarray of shape (n_features, n_features)
        Coefficients of the ridge regressions of each modality on the others.
    residual_precision_ : ndarray of shape (n_features, n_features)
        Inverse of the shrunken covariance of the residuals of each modality, as a block-diagonal
        matrix.
    agreement_ : Agreement or None
        Measures the disagreement of modalities instead of the estimator. None until
        :meth:`learn_agreement` is called.
    """

    agreement_: Agreement | None = None

    def __init__(self, table: np.ndarray, sizes: Sequence[int]) -> None:
        self.sizes_ = np.asarray(sizes)
        self.starts_ = np.cumsum(self.sizes_) - self.sizes_
        known = np.where(np.isnan(table).all(axis=0), 0.0, table)
        self.mean_, deviation, constant = mean_and_deviation(known, np.ones(len(known)))
        self.varies_ = ~constant
        self.scale_ = np.where(self.varies_, deviation, 1.0)
        self.center_, self.gap_precision_ = self._learn_to_fill(table)
        z = self.filled(self.relative(table))
        soft = np.clip(z, -_LIMIT, _LIMIT)
        self.precision_ = self._precision(z)
        self.regression_ = np.zeros_like(self.precision_)
        for own in self.positions(np.ones_like(self.varies_)):
            others = np.setdiff1d(np.arange(z.shape[1]), own)
            if len(others):
                ridge = RidgeCV(np.logspace(-1, 4, 11)).fit(soft[:, others], z[:, own])
                weights = ridge.coef_.reshape(len(own), -1)
                self.regression_[np.ix_(others, own)] = weights.T
        self.residual_precision_ = self._precision(z - self.predicted(z))
        squares = self.over_modalities(np.add, self.precision_.sum(0))
        self._norm = np.sqrt(np.maximum(squares, np.finfo(float).tiny))

    def _learn_to_fill(self, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and precision matrix with which missing values are predicted."""
        learned = []
        for x in self.split(self.relative(table)):
            conditional = ConditionalMean(x.shape[1]).double()
            conditional.learn(torch.from_numpy(x))
            learned.append((conditional.mean.numpy(), conditional.precision.numpy()))
        means, precisions = zip(*learned, strict=True)
        return np.concatenate(means), block_diag(*precisions)

    def _precision(self, z: np.ndarray) -> np.ndarray:
        """Return the inverse covariances of all modalities, as a block-diagonal matrix."""
        return block_diag(*(LedoitWolf().fit(x).precision_ for x in self.split(z)))

    def split(self, values: np.ndarray) -> list[np.ndarray]:
        """Split features by modality.

        Parameters
        ----------
        values : ndarray of shape (n_samples, n_features)
            One value per sample and feature.

        Returns
        -------
        list of ndarray of shape (n_samples, n_features_i)
            One array per modality.
        """
        return np.split(values, self.starts_[1:], axis=1)

    def over_modalities(self, ufunc: np.ufunc, values: np.ndarray) -> np.ndarray:
        """Reduce the values of all features of each modality to one value.

        Parameters
        ----------
        ufunc : numpy ufunc
            Reduction, such as ``numpy.add``.
        values : ndarray of shape (..., n_features)
            One value per feature, or per sample and feature.

        Returns
        -------
        ndarray of shape (..., n_modalities)
            One value per modality, or per sample and modality.
        """
        return ufunc.reduceat(values, self.starts_, axis=-1)

    def any_feature(self, flags: np.ndarray) -> np.ndarray:
        """Return for which modalities something is true of at least one feature.

        Parameters
        ----------
        flags : ndarray of bool of shape (..., n_features)
            Whether it is true of each feature.

        Returns
        -------
        ndarray of bool of shape (..., n_modalities)
            Whether it is true of any feature.
        """
        return self.over_modalities(np.logical_or, flags)

    def all_features(self, flags: np.ndarray) -> np.ndarray:
        """Return for which modalities something is true of all features.

        Parameters
        ----------
        flags : ndarray of bool of shape (..., n_features)
            Whether it is true of each feature.

        Returns
        -------
        ndarray of bool of shape (..., n_modalities)
            Whether it is true of all features.
        """
        return self.over_modalities(np.logical_and, flags)

    def absent(self, values: np.ndarray) -> np.ndarray:
        """Return which modalities are missing: all of their values are.

        Parameters
        ----------
        values : ndarray of shape (n_samples, n_features)
            Samples. NaN marks missing values.

        Returns
        -------
        ndarray of bool of shape (n_samples, n_modalities)
            Whether the modality is missing.
        """
        return self.all_features(np.isnan(values))

    def mostly_missing(self, values: np.ndarray) -> np.ndarray:
        """Return of which modalities more than half of the values are missing.

        Parameters
        ----------
        values : ndarray of shape (n_samples, n_features)
            Samples. NaN marks missing values. Features that do not vary are not counted.

        Returns
        -------
        ndarray of bool of shape (n_samples, n_modalities)
            True if more than half are missing.
        """
        gaps = (np.isnan(values) & self.varies_).astype(int)
        n_values = self.over_modalities(np.add, self.varies_.astype(int))
        return self.over_modalities(np.add, gaps) > 0.5 * n_values

    def positions(self, features: np.ndarray) -> list[np.ndarray]:
        """Return the positions of some features, by modality.

        Parameters
        ----------
        features : ndarray of bool of shape (n_features,)
            Which features.

        Returns
        -------
        list of ndarray of int
            Their positions in each modality, as positions in the table.
        """
        columns = np.split(np.arange(len(features)), self.starts_[1:])
        return [own[features[own]] for own in columns]

    def filled(self, values: np.ndarray) -> np.ndarray:
        """Fill the missing values of standardized samples.

        Parameters
        ----------
        values : ndarray of shape (n_samples, n_features)
            Standardized samples. NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Complete samples. Single missing values are predicted from the other values of their
            modality. The values of missing modalities are zero, the mean.
        """
        gaps = np.isnan(values)
        if not gaps.any():
            return values
        predicted = _fill(values, gaps, self.center_, self.gap_precision_)
        absent = np.repeat(self.all_features(gaps), self.sizes_, axis=1)
        return np.where(absent, 0.0, predicted)

    def relative(self, table: np.ndarray) -> np.ndarray:
        """Standardize samples. Missing values remain NaN.

        Parameters
        ----------
        table : ndarray of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Values in standard deviations of the clean samples, relative to their mean.
        """
        with np.errstate(over="ignore"):
            z = (table - self.mean_) / self.scale_
        return np.minimum(np.maximum(z, -_MOST), _MOST)

    def learn_agreement(self, table: np.ndarray, rng: np.random.RandomState) -> None:
        """Learn to measure the disagreement of modalities, for estimators that do not.

        Parameters
        ----------
        table : ndarray of shape (n_samples, n_features)
            Clean samples.
        rng : RandomState
            Random number generator.
        """
        self.agreement_ = Agreement(self.split(self.filled(self.relative(table))), rng)

    def __call__(
        self,
        values: np.ndarray,
        energy: np.ndarray,
        disagreement: np.ndarray,
        filled: np.ndarray | None = None,
    ) -> np.ndarray:
        """Compute the statistics of samples.

        Parameters
        ----------
        values : ndarray of shape (n_samples, n_features)
            Standardized samples, with NaN for missing values.
        energy, disagreement : ndarray of shape (n_samples, n_modalities)
            As :func:`read_energies` returns them.
        filled : ndarray of shape (n_samples, n_features), default=None
            The result of :meth:`filled` for `values`, if it is already known.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities, 10)
            The statistics.
        """
        z = self.filled(values) if filled is None else filled
        if self.agreement_ is not None:
            present = ~self.absent(values)
            disagreement = self.agreement_.disagreement(self.split(z), present)
        energy = np.arcsinh(energy)
        predicted = self.predicted(z)
        residual = z - predicted
        gaps = np.isnan(values)
        known: Any = 1.0
        if gaps.any():
            known = 1.0 - self.over_modalities(np.add, gaps.astype(int)) / self.sizes_
            residual = _fill(residual, gaps, np.zeros_like(self.center_), self.residual_precision_)
        weighted = z @ self.precision_
        statistics = [
            energy,
            disagreement,
            _largest_other(energy),
            _largest_other(disagreement),
            np.arcsinh(self.over_modalities(np.add, weighted) / self._norm),
            self._log_mean(np.where(gaps, 0.0, z * z), known),
            self._log_mean(weighted * z, known),
            np.arcsinh(3 * self.over_modalities(np.add, z * predicted) / self.sizes_),
            self._log_mean(residual @ self.residual_precision_ * residual, known),
            self._log_mean(predicted * predicted),
        ]
        return np.stack(statistics, axis=-1)

    def of_table(self, table: np.ndarray) -> np.ndarray:
        """Compute the statistics of samples without an estimator.

        Parameters
        ----------
        table : ndarray of shape (n_samples, n_features)
            Samples. NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities, 10)
            The statistics, with the mean squares of the standardized values as energies, and
            without disagreement.
        """
        values = self.relative(table)
        filled = self.filled(values)
        energy = self.over_modalities(np.add, filled**2) / self.sizes_
        return self(values, energy, np.zeros_like(energy), filled)

    def predicted(self, z: np.ndarray) -> np.ndarray:
        """Return the predictions of each modality from the others.

        Parameters
        ----------
        z : ndarray of shape (n_samples, n_features)
            Standardized samples.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The predictions.
        """
        return np.minimum(np.maximum(z, -_LIMIT), _LIMIT) @ self.regression_

    def _log_mean(self, squares: np.ndarray, known: Any = 1.0) -> np.ndarray:
        """Return the log of the mean square of each modality plus a small constant.

        If only a fraction q of the values is known, the squares of the others are zero. The
        difference between the mean of the known squares and its expected value of one is multiplied
        by the root of q, so that the mean has about the same distribution as for complete samples.
        """
        mean = self.over_modalities(np.add, squares) / self.sizes_
        root = np.sqrt(np.maximum(known, np.finfo(float).tiny))
        mean = np.where(known < 1.0, mean / root + 1.0 - root, mean)
        return np.log(np.maximum(mean, 0.0) + _FLOOR)


def _fill(x: np.ndarray, gaps: np.ndarray, mean: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Fill missing values with their conditional mean."""
    learned = torch.from_numpy(mean), torch.from_numpy(precision)
    return fill_gaps(torch.from_numpy(x), torch.from_numpy(gaps), *learned).numpy()


def _largest_other(values: np.ndarray) -> np.ndarray:
    """Return, for each column, the largest value of the other columns, row by row."""
    if values.shape[1] == 1:
        return np.zeros_like(values)
    ordered = np.sort(values, axis=1)
    largest, second = ordered[:, -1:], ordered[:, -2:-1]
    return np.where(values == largest, second, largest)


def measures_no_disagreement(estimator: Any) -> bool:
    """Return whether an estimator of several modalities does not measure their disagreement.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted estimator.

    Returns
    -------
    bool
        True if the disagreement of :func:`read_energies` is always zero.
    """
    several = len(estimator.modality_names_) > 1
    return several and getattr(estimator, "cross_modal_weights_", None) is None


def read_energies(
    estimator: Any, X: Any, table: np.ndarray, statistics: SampleStatistics
) -> tuple[np.ndarray, np.ndarray]:
    """Return the own energy and the cross-modal disagreement of each modality.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted estimator.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples. NaN marks missing values.
    table : ndarray of shape (n_samples, n_used_features)
        The same samples, as :func:`~sklearn_emma.monitoring.tables.read_table` returns them.
    statistics : SampleStatistics
        Statistics of clean samples, which fill missing values if the estimator has no gate.

    Returns
    -------
    energy : ndarray of shape (n_samples, n_modalities)
        Own energy: on the scale of the gate, or as returned by ``transform`` if the estimator has
        no gate. Missing values are filled, and add no energy.
    disagreement : ndarray of shape (n_samples, n_modalities)
        Disagreement with the other modalities, in nats. Zero if the estimator does not measure it.
    """
    if not hasattr(estimator, "energy_parts"):
        energy = _energies_with_gaps(estimator, X, table, statistics)
        return energy, np.zeros_like(energy)
    own, _, cross_modal = estimator.energy_parts(X)
    minimum, scale = estimator.potential_min_, estimator.potential_scale_
    return relative_potential(own, minimum, scale), evidence_of_potential(cross_modal, scale)


def _energies_with_gaps(
    scorer: Any, X: Any, table: np.ndarray, statistics: SampleStatistics
) -> np.ndarray:
    """Return the energies of a DAEEnergyScorer, without those of missing values."""
    gaps = np.isnan(table)
    complete = ~gaps.any(axis=1)
    if complete.all():
        return np.asarray(scorer.transform(X))
    samples = statistics.mean_ + statistics.scale_ * statistics.filled(
        statistics.relative(table[~complete])
    )
    filled = as_samples(scorer, np.where(gaps[~complete], samples, table[~complete]))
    energy = np.empty((len(table), len(scorer.modality_names_)))
    energy[~complete] = scorer.transform(filled)
    if complete.any():
        energy[complete] = scorer.transform(_safe_indexing(X, np.flatnonzero(complete)))
    return energy
