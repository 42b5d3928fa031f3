"""What a fitted gate tells of rows: energies, importance, attention, gated columns."""

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ._compat import _check_feature_names_in
from ._energies import ModalityEnergy
from ._training.batches import blockwise, chunkwise
from ._training.seeding import make_generator
from ._training.weights import load_arrays
from ._validation import check_table, standardise
from .nn import CrossModalEnergy, EnergyAttention
from .nn.crossmodal import NAT

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


class GatedEstimator(TransformerMixin, BaseEstimator):
    """An estimator with fitted energies and a fitted gate.

    Its fit sets the modalities, ``mean_``, ``scale_``, ``median_``, ``energy_scorers_``,
    ``coldness_``, ``cross_modal_weights_`` and the attributes of the gate.
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _standardise(self, table):
        """Return the standardised columns of each modality."""
        return [
            standardise(table[:, columns], self.mean_[columns], self.scale_[columns])
            for columns in self.modality_columns_
        ]

    def _energies(self, gap_costs):
        """Return the energy of each modality."""
        return [
            ModalityEnergy(name, self.energy_scorers_[name], self.median_[columns], gap_cost)
            for name, columns, gap_cost in zip(
                self.modality_names_, self.modality_columns_, gap_costs, strict=True
            )
        ]

    def _evaluate(self, X, function):
        """Apply a function of modalities, standardised and filled, and their potentials to rows."""
        check_is_fitted(self)
        floats = [np.float64, np.float32]  # chunks become float64 when they are standardised
        table = check_table(self, X, ensure_all_finite="allow-nan", reset=False, dtype=floats)
        return chunkwise(lambda rows: function(*self._read(rows)), table)

    def _read(self, table):
        """Return standardised modalities with their gaps filled, and their potentials."""
        modalities = self._standardise(table)
        energies = zip(self._energies(NAT * self.potential_scale_), modalities, strict=True)
        potential = np.column_stack([energy(x) for energy, x in energies])
        fills = [self.median_[columns] for columns in self.modality_columns_]
        filled = [np.where(np.isnan(x), f, x) for x, f in zip(modalities, fills, strict=True)]
        return filled, self._in_company(filled, potential)

    def _in_company(self, modalities, potential):
        """Return the potentials with the evidence of the other modalities."""
        cross_modal = self._cross_modal()
        if cross_modal is None:
            return potential
        minimum, scale = map(torch.from_numpy, (self.potential_min_, self.potential_scale_))

        def total(potential, *modalities):
            """Return the potentials of a block of rows."""
            return cross_modal(modalities, potential, minimum, scale)

        return self._apply(total, potential, *modalities)

    def _cross_modal(self):
        """Rebuild the cross-modal energy, in double precision; None where there is none."""
        if self.cross_modal_weights_ is None:
            return None
        widths = [len(columns) for columns in self.modality_columns_]
        cross_modal = CrossModalEnergy(widths, generator=make_generator(0))
        load_arrays(cross_modal, self.cross_modal_weights_)
        return cross_modal.double().requires_grad_(False)

    def _gate(self):
        """Rebuild the gate, in double precision."""
        check_is_fitted(self)
        gate = EnergyAttention(
            len(self.modality_names_), self.coldness_, generator=make_generator(0)
        )
        load_arrays(gate, {name: getattr(self, f"{name}_") for name in GATE})
        return gate.double().requires_grad_(False)

    def _apply(self, method, *arrays):
        """Evaluate a function of rows of arrays."""
        return blockwise(method, *map(torch.from_numpy, arrays)).numpy()

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
            Energies; infinite where a modality is missing altogether.
        """
        return self._evaluate(X, lambda _, potential: potential)

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
            of X; columns of no modality are left out.
        """
        gate = self._gate()
        order = np.concatenate(self.modality_columns_).argsort()

        def gated(modalities, potential):
            """Return the gated columns of a chunk of rows."""
            attention = self._apply(gate, potential)
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
