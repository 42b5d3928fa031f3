"""What a fitted energy says of rows: energies, p-values, the columns to blame."""

import warnings
from functools import partial
from numbers import Real

import numpy as np
import torch
from sklearn.base import OutlierMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.compat import _check_feature_names_in
from sklearn_emma.energy.attribution import attribute, descend
from sklearn_emma.energy.training import Architecture
from sklearn_emma.engine.batches import BLOCK, blockwise, chunkwise, precision_of
from sklearn_emma.engine.seeding import make_generator
from sklearn_emma.engine.weights import load_arrays
from sklearn_emma.nn import EnergyEnsemble
from sklearn_emma.validation import check_table


class ScoredModalities(OutlierMixin, TransformerMixin):
    """Scores rows by the energy of each modality.

    Its fit sets ``modality_names_``, ``modality_columns_``, ``energy_weights_``,
    ``potential_median_``, ``potential_iqr_``, ``offset_``, ``calibration_energies_`` and
    ``_architecture``.
    """

    def _module(self, i, device="cpu", dtype=torch.float64):
        """Rebuild the energy of modality i."""
        # as fitted, whatever the parameters are by now
        architecture = Architecture(*self._architecture)
        module = architecture.build(len(self.modality_columns_[i]), make_generator(0))
        module.to(torch.float64)
        load_arrays(module, self.energy_weights_[i])
        return module.to(device=device, dtype=dtype).requires_grad_(False)

    def _evaluate(self, table, method, precision=torch.float64):
        """Apply a method of the energies to rows: (n_samples, n_modalities) or columns."""
        pairs = [
            (self._reader(i, method, precision), columns)
            for i, columns in enumerate(self.modality_columns_)
        ]

        def evaluate(rows):
            return np.column_stack([read(rows[:, columns]) for read, columns in pairs])

        return chunkwise(evaluate, table)

    def _reader(self, i, method, precision):
        """Return a method of the energy of modality i, as a function of rows of its columns."""
        module = self._module(i)
        module.prepare(precision)

        def read(rows):
            rows = torch.from_numpy(np.array(rows, dtype=np.float64, order="C"))
            return blockwise(partial(method, module), rows, n_rows=BLOCK[precision]).numpy()

        return read

    def _energy(self, precision):
        """Return the energy of a scorer of one modality, as a function of float64 rows."""
        read = self._reader(0, EnergyEnsemble.potential, precision)
        return lambda rows: self._on_scale(read(rows))

    def _evaluate_columns(self, X, method):
        """Apply a method that gives a value per column, in the order of the columns of X."""
        table = self._check(X)
        values = np.zeros(table.shape)
        values[:, np.concatenate(self.modality_columns_)] = self._evaluate(table, method)
        return values

    def _torch_energy(self, device):
        """Return the energy of a scorer of one modality on float32 tensors on the device."""
        module = self._module(0, device, torch.float32)
        module.prepare(torch.float32)
        median, iqr = float(self.potential_median_[0]), float(self.potential_iqr_[0])

        @torch.no_grad()
        def energy(x):
            return (module.potential(x) - median) / iqr

        return energy

    def _check(self, X):
        check_is_fitted(self)
        # rows are centred and scaled in float64 anyway
        return check_table(self, X, reset=False, dtype=[np.float64, np.float32])

    def _energies(self, table, precision=None):
        """Return energies as float64, evaluated in the precision of the rows unless in another."""
        precision = precision_of(table) if precision is None else precision
        return self._on_scale(self._evaluate(table, EnergyEnsemble.potential, precision))

    def _on_scale(self, potentials):
        return (potentials - self.potential_median_) / self.potential_iqr_

    def transform(self, X):
        """Energies of each modality.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Energies, in interquartile ranges above the median training row; always float64. Of rows
            in float32 they are evaluated in single precision, which is twice as fast.
        """
        return self._energies(self._check(X))

    def score_samples(self, X):
        """Minus the total energy of each row: high is normal.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            Scores.
        """
        return -self._energies(self._check(X)).sum(axis=1)

    def decision_function(self, X):
        """Score above the threshold: negative for outliers.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            ``score_samples(X) - offset_``.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Tell outliers.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            +1 for inliers, -1 for outliers.
        """
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def p_values(self, X):
        r"""How unusual each modality is, as conformal p-values.

        With n training rows that were held out of training for this,

        .. math:: p_i(x) = \frac{1 + \#\{k: E_i(x_k) \ge E_i(x)\}}{n + 1},

        which for a row drawn like the training rows is at most alpha with probability at most
        alpha, whatever the data and however good the energy [1]_.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            In (0, 1], small for modalities that are unlike the training rows.

        Raises
        ------
        ValueError
            If no row was held out, because of `calibration_fraction` or too few training rows.

        References
        ----------
        .. [1] Bates, S. et al. (2023). Testing for outliers with conformal p-values. Annals of
           Statistics 51.
        """
        # like those that they are compared with
        energies = self._energies(self._check(X), torch.float64)
        n_rows = len(self.calibration_energies_)
        if not n_rows:
            raise ValueError(
                "No training row was held out to calibrate p-values. Set calibration_fraction, for "
                "instance to 0.1, and fit on at least 20 rows."
            )
        ordered = np.sort(self.calibration_energies_, axis=0)
        below = [np.searchsorted(ordered[:, i], energies[:, i]) for i in range(energies.shape[1])]
        return (1.0 + n_rows - np.column_stack(below)) / (n_rows + 1.0)

    def predict_modality(self, X, alpha=0.05):
        """Tell which modalities of a row are outlying.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows.
        alpha : float, default=0.05
            False-alarm rate: the largest share of intact rows in which a modality is flagged.

        Returns
        -------
        ndarray of bool of shape (n_samples, n_modalities)
            True where the p-value is at most `alpha`.

        Raises
        ------
        ValueError
            If alpha is not between 0 and 1, or no row was held out to calibrate.

        Warns
        -----
        UserWarning
            If so few rows were held out that nothing can be flagged at this rate.
        """
        if not (isinstance(alpha, Real) and 0 < alpha < 1):
            raise ValueError(
                f"alpha must be a false-alarm rate between 0 and 1, such as 0.05, got {alpha!r}."
            )
        p_values = self.p_values(X)
        n_rows = len(self.calibration_energies_)
        if alpha * (n_rows + 1) < 1:
            warnings.warn(
                f"With {n_rows} rows held out to calibrate, no p-value is below "
                f"{1 / (n_rows + 1):.2g}, so that alpha={alpha:g} flags nothing. Raise alpha or "
                "calibration_fraction, or fit on more rows.",
                UserWarning,
                stacklevel=2,
            )
        return p_values <= alpha

    def reconstruct(self, X):
        r"""Denoised rows :math:`r(x)`, in the units of X.

        For an energy of one member :math:`r = x - \nabla\Psi(x)` in the member's coordinates; of
        several members the mean.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Reconstructions; columns of no modality are zero.
        """
        return self._evaluate_columns(X, EnergyEnsemble.reconstruct)

    def reconstruction_error(self, X):
        r"""Squared reconstruction norm :math:`\lVert r(x) - x \rVert^2` of each modality.

        The other measure of how unusual a row is, for comparison: it has false minima where the
        field vanishes off the data.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Errors, of columns as the energy sees them.
        """
        return self._evaluate(self._check(X), EnergyEnsemble.reconstruction_error)

    def energy_gradient(self, X):
        """Gradient of the energies with respect to the columns.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Derivative of the energy of a column's modality, as :meth:`transform` gives it, by the
            column in the units of X; zero for columns of no modality.
        """
        gradient = self._evaluate_columns(X, EnergyEnsemble.gradient)
        for columns, iqr in zip(self.modality_columns_, self.potential_iqr_, strict=True):
            gradient[:, columns] /= iqr
        return gradient

    def nearest_typical(self, X):
        r"""The typical row that each row came from: the fixed point of r reached from it.

        Denoising a row again and again, :math:`x \leftarrow r(x)`, leads down the energy into the
        valley that the row belongs to.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Typical rows, in the units of X; columns of no modality are those of X.
        """
        table = self._check(X)
        typical = table.astype(np.float64)
        typical[:, np.concatenate(self.modality_columns_)] = self._evaluate(table, descend)
        return typical

    def attribution(self, X):
        r"""Which columns a row's energy comes from.

        The energy that a modality has above that of its nearest typical row :math:`x^*`, see
        :meth:`nearest_typical`, divided among its columns: integrated gradients [1]_ along the
        straight line from there,

        .. math:: a_j = (x_j - x^*_j) \int_0^1 \frac{\partial E}{\partial x_j}
            \bigl(x^* + t (x - x^*)\bigr)\, dt, \qquad \sum_j a_j = E(x) - E(x^*).

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Contributions to the energies of :meth:`transform`; zero for columns of no modality.

        References
        ----------
        .. [1] Sundararajan, M. et al. (2017). Axiomatic attribution for deep networks. ICML.
        """
        contributions = self._evaluate_columns(X, attribute)
        for columns, iqr in zip(self.modality_columns_, self.potential_iqr_, strict=True):
            contributions[:, columns] /= iqr
        return contributions

    def get_feature_names_out(self, input_features=None):
        """Names of the columns of :meth:`transform`.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns seen at fit: checked, and not needed.

        Returns
        -------
        ndarray of str of shape (n_modalities,)
            ``energy_<modality>``.
        """
        check_is_fitted(self)
        _check_feature_names_in(self, input_features)
        return np.array([f"energy_{name}" for name in self.modality_names_], dtype=object)
