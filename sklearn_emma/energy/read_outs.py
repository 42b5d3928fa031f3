"""EnergyReadOuts: methods that compute results from the fitted energies of modalities."""

import warnings
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
import torch
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from sklearn_emma.compat import _check_feature_names_in
from sklearn_emma.energy.attribution import attribute, descend
from sklearn_emma.energy.modality_energies import ScaledEnergy
from sklearn_emma.energy.outliers import ThresholdMixin
from sklearn_emma.energy.p_values import check_held_out, conformal_p_values
from sklearn_emma.energy.protocol import Precision, load_energy
from sklearn_emma.energy.training import EnergyArchitecture
from sklearn_emma.engine.batches import blocks, evaluation_block, precision_of
from sklearn_emma.engine.cache import cached
from sklearn_emma.engine.seeding import make_generator
from sklearn_emma.gap_fillings import fill_table, missing_shares
from sklearn_emma.indicators import Indicators, feature_columns, indicators_of
from sklearn_emma.lazy import is_lazy, map_chunks, refuse_container
from sklearn_emma.nn import EnergyEnsemble
from sklearn_emma.nn.evidence_energy import gap_energy, potential_of_evidence
from sklearn_emma.user_warnings import stacklevel_of_user
from sklearn_emma.validation import check_table

Method = Callable[[EnergyEnsemble, Tensor], Tensor]
Join = Callable[[Indicators, np.ndarray], np.ndarray]
# Scale of the energies of a scorer, which are in units of interquartile ranges.
_UNIT = 1.0


def energy_of_gaps(missing: np.ndarray) -> np.ndarray:
    """Return the energy of missing values, given their fractions: (n_samples, n_modalities)."""
    return gap_energy(torch.from_numpy(missing), _UNIT).numpy()


def total_energy(energies: np.ndarray) -> np.ndarray:
    """Return the total energy of the modalities that are not missing.

    Parameters
    ----------
    energies : ndarray of shape (n_samples, n_modalities)
        Energies, infinite for missing modalities.

    Returns
    -------
    ndarray of shape (n_samples,)
        Sums of the finite energies, infinite for samples without any value.
    """
    missing = np.isinf(energies)
    total: np.ndarray = np.where(missing, 0.0, energies).sum(axis=1)
    total[missing.all(axis=1)] = np.inf
    return total


class EnergyReadOuts(ThresholdMixin, TransformerMixin):
    """Base class of estimators with fitted energies of modalities.

    The fitted attributes are those of :class:`~sklearn_emma.DAEEnergyScorer`, from
    ``modality_names_`` to ``calibration_energies_``.
    """

    n_features_in_: int
    modality_names_: list[str]
    modality_columns_: list[np.ndarray]
    energy_weights_: list[dict[str, np.ndarray]]
    potential_median_: np.ndarray
    potential_iqr_: np.ndarray
    calibration_energies_: np.ndarray
    # architectures of the fitted energies, as plain tuples that can be serialized anywhere
    _architectures: list[tuple]

    # --- evaluation ---

    def tensor_energy(self, precision: Precision) -> ScaledEnergy:
        """Return the energy of a scorer of one modality, as a function of tensors.

        Parameters
        ----------
        precision : Precision
            Device and dtypes of the evaluation.

        Returns
        -------
        ScaledEnergy
            Energy, whose method ``potential`` takes complete samples.
        """
        return self.tensor_energies(precision)[0]

    def tensor_energies(self, precision: Precision) -> list[ScaledEnergy]:
        """Return the energy of each modality, as a function of tensors.

        Parameters
        ----------
        precision : Precision
            Device and dtypes of the evaluation.

        Returns
        -------
        list of ScaledEnergy
            Energies in the order of ``modality_names_``.
        """
        scales = zip(self.potential_median_.tolist(), self.potential_iqr_.tolist(), strict=True)
        modules = self._modules(precision)
        return [ScaledEnergy(m, *scale) for m, scale in zip(modules, scales, strict=True)]

    def _modules(self, precision: Precision) -> list[EnergyEnsemble]:
        """Return the cached modules of the energies of all modalities."""

        def build() -> list[EnergyEnsemble]:
            modules = []
            for architecture, positions, weights in zip(
                self._architectures, feature_columns(self), self.energy_weights_, strict=True
            ):
                blank = EnergyArchitecture(*architecture).build(len(positions), make_generator(0))
                modules.append(load_energy(blank.double(), weights, precision))
            return modules

        return cached(self, precision, (self.energy_weights_,), build)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._fills_gaps()
        return tags

    def _fills_gaps(self) -> bool:
        """Return whether missing values are accepted: not by the energy of another estimator."""
        return hasattr(self, "gap_weights_") or not hasattr(self, "energy_weights_")

    def _check(self, X: Any) -> np.ndarray:
        """Validate samples, and return them as an array of float64 or float32."""
        check_is_fitted(self)
        finite = "allow-nan" if self._fills_gaps() else True
        dtypes = [np.float64, np.float32]
        return check_table(self, X, reset=False, dtype=dtypes, ensure_all_finite=finite)

    def _complete(self, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fill missing values.

        Returns the features of the complete samples, and the fraction of the values of each
        modality that were missing.
        """
        gaps = np.isnan(table)
        missing = np.zeros((len(table), len(self.modality_columns_)))
        if gaps.any():
            missing = missing_shares(gaps, self.modality_columns_).numpy()
            table = fill_table(table.astype(np.float64), self)
        return indicators_of(self).expand(table), missing

    def _energies(self, X: Any, precision: torch.dtype | None = None) -> np.ndarray:
        """Return the energies of samples, evaluated in a dtype (by default that of the samples)."""
        table, indicators = self._check(X), indicators_of(self)
        features, missing = self._complete(table)
        precision = precision or precision_of(table)
        energies = self._scaled(self._evaluate(features, EnergyEnsemble.potential, precision))
        if indicators.categories:
            unseen = indicators.unseen_by_modality(table, self.modality_columns_)
            energies += potential_of_evidence(unseen, _UNIT)
        return energies + energy_of_gaps(missing) if missing.any() else energies

    def _evaluate(self, table: np.ndarray, method: Method, precision: torch.dtype) -> np.ndarray:
        """Return the results of a method of the energies, concatenated over modalities.

        Samples are centered and scaled in double precision.
        """
        modules, where = self._modules(Precision(weights=precision)), feature_columns(self)
        results = []
        with torch.inference_mode():
            for _, block in blocks(table, evaluation_block(precision)):
                found = []
                for module, positions in zip(modules, where, strict=True):
                    x = np.ascontiguousarray(block[:, positions], dtype=np.float64)
                    found.append(method(module, torch.from_numpy(x)).numpy())
                results.append(np.column_stack(found))
        return np.concatenate(results)

    def _run_features(
        self, table: np.ndarray, method: Method, join: Join = Indicators.codes
    ) -> np.ndarray:
        """Apply a method of the energies that returns one number per feature.

        Columns that belong to no modality are zero. The numbers of the indicators of a category are
        combined to one number by `join`.
        """
        indicators = indicators_of(self)
        features, _ = self._complete(table)
        values = np.zeros(features.shape)
        found = self._evaluate(features, method, torch.float64)
        values[:, np.concatenate(feature_columns(self))] = found
        return join(indicators, values)

    def _scaled(self, potentials: np.ndarray) -> np.ndarray:
        return (potentials - self.potential_median_) / self.potential_iqr_

    def _per_feature_scale(self) -> np.ndarray:
        """Return the scale of the energy of the modality that each column belongs to."""
        scale = np.ones(self.n_features_in_)
        for columns, iqr in zip(self.modality_columns_, self.potential_iqr_, strict=True):
            scale[columns] = iqr
        return scale

    # --- read-outs ---

    def transform(self, X: Any) -> np.ndarray:
        """Return the energy of each modality.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Energies, in interquartile ranges above the median of the training samples, or unscaled
            with ``scale_energies=False``. They are infinite for modalities without any value. The
            dtype is always float64. Samples in float32 are evaluated in single precision, which is
            twice as fast.
        """
        refuse_container(self, X)
        if is_lazy(X):
            return map_chunks(self.transform, X)
        return self._energies(X)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return minus the total energy of each sample. High scores are normal.

        Modalities without any value do not count. To detect them, use :meth:`transform`.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            Scores, minus infinity for samples without any value.
        """
        if is_lazy(X):
            return map_chunks(self.score_samples, X)
        return -total_energy(self._energies(X))

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the score relative to the threshold, which is negative for outliers.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            Relative scores ``score_samples(X) - offset_``, always evaluated in double precision, so
            that :meth:`predict` does not depend on the dtype of X.
        """
        if type(self).score_samples is not EnergyReadOuts.score_samples:
            return super().decision_function(X)
        if is_lazy(X):
            return map_chunks(self.decision_function, X)
        # in the dtype of the threshold
        return -total_energy(self._energies(X, torch.float64)) - self.offset_

    def p_values(self, X: Any) -> np.ndarray:
        r"""Return the conformal p-value of each modality.

        With n training samples that are held out of training for calibration,

        .. math:: p_i(x) = \frac{1 + \#\{k: E_i(x_k) \ge E_i(x)\}}{n + 1}.

        For a sample from the distribution of the training samples, the p-value is at most alpha
        with a probability of at most alpha, whatever the data and the quality of the energy [1]_.
        This holds among the samples that have a value of the modality, and n is the number of those
        that were held out. The p-value of a missing modality is the fraction of all held-out
        samples in which it is missing, too, with the sample itself.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            P-values in (0, 1], small for modalities that are unlike the training samples.

        Raises
        ------
        ValueError
            If no sample was held out for calibration, because `calibration_fraction` or the number
            of training samples is too small.

        References
        ----------
        .. [1] Bates, S. et al. (2023). Testing for outliers with conformal p-values. Annals of
           Statistics 51.
        """
        if is_lazy(X):
            return map_chunks(self.p_values, X)
        # in the dtype of the calibration energies
        energies = self._energies(X, torch.float64)
        check_held_out(len(self.calibration_energies_), fewest=20)
        return conformal_p_values(self.calibration_energies_, energies)

    def predict_modality(self, X: Any, alpha: float = 0.05) -> np.ndarray:
        """Predict which modalities of a sample are outliers.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.
        alpha : float, default=0.05
            False-alarm rate: largest fraction of clean samples with a modality in which it is
            flagged.

        Returns
        -------
        ndarray of bool of shape (n_samples, n_modalities)
            True where the p-value is at most `alpha`.

        Raises
        ------
        ValueError
            If alpha is not between 0 and 1, or if no sample was held out for calibration.

        Warns
        -----
        UserWarning
            If too few samples were held out to flag any modality at this rate.
        """
        if not (isinstance(alpha, Real) and 0 < alpha < 1):
            raise ValueError(
                f"alpha must be a false-alarm rate between 0 and 1, such as 0.05, got {alpha!r}."
            )
        p_values = self.p_values(X)
        n_held_out = len(self.calibration_energies_)
        if alpha * (n_held_out + 1) < 1:
            warnings.warn(
                f"With {n_held_out} samples held out to calibrate, no p-value is below "
                f"{1 / (n_held_out + 1):.2g}, so that alpha={alpha:g} flags nothing. Raise alpha "
                "or calibration_fraction, or fit on more samples.",
                UserWarning,
                stacklevel=stacklevel_of_user(),
            )
        return p_values <= alpha

    def reconstruct(self, X: Any) -> np.ndarray:
        r"""Return denoised samples :math:`r(x)`, in the units of X.

        For an energy with one view, :math:`r = x - \nabla\Psi(x)` in the coordinates of the view.
        For several views it is their mean, weighted by how unusual the sample is in each view.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Reconstructions. Missing values are filled before. Columns that belong to no modality
            are zero. For a categorical column, this is the code of the nearest level: its position
            in ``categories_``.
        """
        if is_lazy(X):
            return map_chunks(self.reconstruct, X)
        return self._run_features(self._check(X), EnergyEnsemble.reconstruct)

    def reconstruction_error(self, X: Any) -> np.ndarray:
        r"""Return the reconstruction error :math:`\lVert r(x) - x \rVert^2` of each modality.

        This is an alternative measure of how unusual a sample is, for comparison. It has spurious
        minima at points far from the data where the gradient of the energy vanishes.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Squared errors, in the coordinates of the energy. Missing values are filled before. The
            errors of modalities without any value are infinite.
        """
        if is_lazy(X):
            return map_chunks(self.reconstruction_error, X)
        features, missing = self._complete(self._check(X))
        error = self._evaluate(features, EnergyEnsemble.reconstruction_error, torch.float64)
        return np.where(missing < 1, error, np.inf)

    def energy_gradient(self, X: Any) -> np.ndarray:
        """Return the gradient of the energies with respect to the columns.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Derivative of the energy of the modality, as returned by :meth:`transform`, with respect
            to the value of the column in the units of X. Zero for categorical columns, for missing
            values, and for columns that belong to no modality. The values that replace missing ones
            are treated as constants.
        """
        if is_lazy(X):
            return map_chunks(self.energy_gradient, X)
        table = self._check(X)
        gradient = self._run_features(table, EnergyEnsemble.gradient, Indicators.numbers)
        return np.where(np.isnan(table), 0.0, gradient / self._per_feature_scale())

    def nearest_typical(self, X: Any) -> np.ndarray:
        r"""Return the nearest typical sample of each sample: the fixed point of r reached from it.

        Denoising a sample repeatedly, :math:`x \leftarrow r(x)`, decreases its energy until a local
        minimum of the energy is reached.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Typical samples, in the units of X. Missing values are filled before. Columns that
            belong to no modality are unchanged. For a categorical column, this is the code of the
            nearest level.
        """
        if is_lazy(X):
            return map_chunks(self.nearest_typical, X)
        table = self._check(X)
        typical = self._run_features(table, descend)
        unused = np.setdiff1d(
            np.arange(self.n_features_in_), np.concatenate(self.modality_columns_)
        )
        if len(unused):
            typical[:, unused] = table[:, unused]
        return typical

    def attribution(self, X: Any) -> np.ndarray:
        r"""Return the contribution of each column to the energy of its modality.

        The difference between the energy of a modality and that of its nearest typical sample
        :math:`x^*` (see :meth:`nearest_typical`) is divided among its columns by integrated
        gradients [1]_ along the straight line between them,

        .. math:: a_j = (x_j - x^*_j) \int_0^1 \frac{\partial E}{\partial x_j}
            \bigl(x^* + t (x - x^*)\bigr)\, dt, \qquad \sum_j a_j = E(x) - E(x^*).

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Contributions to the energies of :meth:`transform`. The energy of missing values is
            divided equally among them; it is infinite for a missing modality. Zero for columns that
            belong to no modality.

        References
        ----------
        .. [1] Sundararajan, M. et al. (2017). Axiomatic attribution for deep networks. ICML.
        """
        if is_lazy(X):
            return map_chunks(self.attribution, X)
        table = self._check(X)
        found = self._run_features(table, attribute, Indicators.sums) / self._per_feature_scale()
        found = found + potential_of_evidence(indicators_of(self).unseen(table), _UNIT)
        gaps = np.isnan(table)
        of_gaps = energy_of_gaps(missing_shares(gaps, self.modality_columns_).numpy())
        for columns, energy in zip(self.modality_columns_, of_gaps.T, strict=True):
            here = gaps[:, columns]
            n_missing = np.maximum(here.sum(axis=1), 1)
            found[:, columns] += np.where(here, (energy / n_missing)[:, None], 0.0)
        return found

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns of :meth:`transform`.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns seen at fit. They are validated, but not needed.

        Returns
        -------
        ndarray of str of shape (n_modalities,)
            Names ``energy_<modality>``.
        """
        check_is_fitted(self)
        _check_feature_names_in(self, input_features)
        return np.array([f"energy_{name}" for name in self.modality_names_], dtype=object)
