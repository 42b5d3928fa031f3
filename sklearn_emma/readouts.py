"""What a fitted gate tells of rows: energies, importance, attention, gated columns."""

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.compat import _check_feature_names_in
from sklearn_emma.energy.fit import ModalityEnergy
from sklearn_emma.engine.batches import BLOCK, blockwise, chunkwise, precision_of
from sklearn_emma.engine.seeding import make_generator
from sklearn_emma.engine.weights import load_arrays
from sklearn_emma.nn import CrossModalEnergy, EnergyAttention
from sklearn_emma.nn.cross_modal import NAT
from sklearn_emma.validation import check_table, standardise

# The gate's parameters and constants, as they are called in nn.EnergyAttention.
GATE = (
    "potential_min",
    "potential_scale",
    "potential_max",
    "self_weight",
    "self_bias",
    "coupling_weight",
    "coupling_degree",
    "gain",
    "bias",
)

# Numbers of a block, one for every pair of modalities of a row, that still fit into the cache; and
# rows below which what is done per block takes longer than the rows.
_PAIRS, _FEWEST = 2**18, 32


class GatedEstimator(TransformerMixin, BaseEstimator):
    """An estimator with fitted energies and a fitted gate.

    Rows in float32 are evaluated in single precision, and any others in double.

    Its fit sets the modalities, ``mean_``, ``scale_``, ``median_``, ``energy_scorers_``,
    ``coldness_``, ``cross_modal_weights_`` and the attributes of the gate.
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _standardise(self, table):
        """Return the standardised columns of each modality."""
        return [
            standardise(table[:, columns], self.mean_[columns], self.scale_[columns])
            for columns in self.modality_columns_
        ]

    def _energies(self, gap_costs, precision=torch.float64):
        """Return the energy of each modality."""
        return [
            ModalityEnergy(
                name, self.energy_scorers_[name], self.median_[columns], gap_cost, precision
            )
            for name, columns, gap_cost in zip(
                self.modality_names_, self.modality_columns_, gap_costs, strict=True
            )
        ]

    def _evaluate(self, X, function):
        """Apply a function of modalities, standardised and filled, and their potentials to rows.

        The modalities are of the precision of X, in which rows are evaluated. The potentials, and
        what the gate makes of them, are double.
        """
        check_is_fitted(self)
        floats = [np.float64, np.float32]
        table = check_table(self, X, ensure_all_finite="allow-nan", reset=False, dtype=floats)
        read = self._reader(precision_of(table))
        return chunkwise(lambda rows: function(*read(rows)), table)

    def _reader(self, precision):
        """Return what reads rows: standardised modalities without gaps, and their potentials."""
        energies = self._energies(NAT * self.potential_scale_, precision)
        cross_modal = self._cross_modal(precision)
        dtype = np.float32 if precision == torch.float32 else np.float64

        def read(table):
            modalities = self._standardise(table)
            pairs = zip(energies, modalities, strict=True)
            # column by column in memory, which is how the gate reads them
            potential = np.array([energy(x) for energy, x in pairs]).T
            if np.isnan(table).any():
                pairs = zip(modalities, self.modality_columns_, strict=True)
                modalities = [np.where(np.isnan(x), self.median_[i], x) for x, i in pairs]
            modalities = [x.astype(dtype, copy=False) for x in modalities]
            return modalities, self._in_company(cross_modal, modalities, potential)

        return read

    def _in_company(self, cross_modal, modalities, potential):
        """Return the potentials with the evidence of the other modalities."""
        if cross_modal is None:
            return potential
        minimum, scale = map(torch.from_numpy, (self.potential_min_, self.potential_scale_))

        def total(potential, *modalities):
            """Return the potentials of a block of rows."""
            return cross_modal(modalities, potential, minimum, scale)

        return self._apply(total, potential, *modalities)

    def _cross_modal(self, precision=torch.float64):
        """Rebuild the cross-modal energy; None where there is none."""
        if self.cross_modal_weights_ is None:
            return None
        widths = [len(columns) for columns in self.modality_columns_]
        cross_modal = CrossModalEnergy(widths, generator=make_generator(0))
        load_arrays(cross_modal, self.cross_modal_weights_)
        return cross_modal.to(precision).requires_grad_(False)

    def _gate(self):
        """Rebuild the gate, in double precision."""
        check_is_fitted(self)
        gate = EnergyAttention(
            len(self.modality_names_), self.coldness_, generator=make_generator(0)
        )
        load_arrays(gate, {name: getattr(self, f"{name}_") for name in GATE})
        return gate.double().requires_grad_(False)

    def _apply(self, method, potential, *modalities):
        """Evaluate a function of rows of potentials, and of modalities if there are any."""
        tensors = [torch.from_numpy(x) for x in (potential, *modalities)]
        # potentials alone are few numbers
        n_rows = BLOCK[tensors[-1].dtype if modalities else torch.float32]
        n_rows = max(_FEWEST, min(n_rows, _PAIRS // potential.shape[1] ** 2))
        return blockwise(method, *tensors, n_rows=n_rows).numpy()

    def _ask_gate(self, X, method):
        """Apply a function of potentials to rows."""
        return self._evaluate(X, lambda _, potential: self._apply(method, potential))

    def energies(self, X):
        r"""Potential energies :math:`\Psi_i`: how unlike the training rows each modality is.

        By itself, and, with three or more modalities, beside the others; see
        :class:`~sklearn_emma.nn.CrossModalEnergy`.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Energies, always float64; infinite where a modality is missing altogether. Of rows in
            float32 they are evaluated in single precision, which is twice as fast.
        """
        return self._evaluate(X, lambda _, potential: np.ascontiguousarray(potential))

    def importance(self, X):
        r"""Importance :math:`\alpha_i` of each modality.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Sums to one over the modalities that are there, zero for the others.
        """
        gate = self._gate()
        return self._ask_gate(X, lambda potential: gate.state(potential).importance)

    def attention(self, X):
        r"""Attention :math:`\beta_i` to each modality: the gate.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            From 0 to 1; zero where a modality is missing altogether.
        """
        return self._ask_gate(X, self._gate())

    def total_energy(self, X):
        r"""Total energy :math:`\sum_i E_i`: how uncertain the prediction is.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples,)
            Total energies. A missing modality counts like a typical failing one of the training.
        """
        return self._ask_gate(X, self._gate().total_energy)

    def energy_threshold(self, X):
        """Modal energy below which a modality of a row passes the gate.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples,)
            Thresholds; infinite when everything passes.
        """
        return self._ask_gate(X, self._gate().energy_threshold)

    def modal_energy(self, X):
        """Modal energies :math:`E_i`, which the gate compares.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Modal energies; infinite where a modality is missing altogether.
        """
        return self._ask_gate(X, self._gate().modal_energy)

    def transform(self, X):
        r"""Gated columns :math:`\beta_i x_i`, for another estimator to follow in a Pipeline.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_used_features)
            Standardised columns, gaps filled, times the attention to their modality, in the order
            and, if that is float32, in the dtype of X; columns of no modality are left out.
        """
        gate = self._gate()
        order = np.concatenate(self.modality_columns_).argsort()

        def gated(modalities, potential):
            """Return the gated columns of a chunk of rows."""
            attention = self._apply(gate, potential).astype(modalities[0].dtype, copy=False)
            columns = [x * beta[:, None] for x, beta in zip(modalities, attention.T, strict=True)]
            return np.hstack(columns)[:, order]

        return self._evaluate(X, gated)

    def get_feature_names_out(self, input_features=None):
        """Names of the columns of :meth:`transform`.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns seen at fit; by default those known from fit.

        Returns
        -------
        ndarray of str of shape (n_used_features,)
            The names of the columns that belong to a modality.
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        return names[np.sort(np.concatenate(self.modality_columns_))]
