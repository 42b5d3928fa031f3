"""GateReadOuts: methods that return energies, attention and other results of a fitted gate."""

from abc import ABC
from collections.abc import Collection
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.compat import _check_feature_names_in
from sklearn_emma.engine.batches import blocks, precision_of
from sklearn_emma.gate.readings import Readings, gate_of, read_out, reader_of
from sklearn_emma.indicators import feature_columns, indicators_of
from sklearn_emma.lazy import is_lazy, map_chunks, refuse_container
from sklearn_emma.nn import GatedPredictor
from sklearn_emma.targets import check_evidence
from sklearn_emma.validation import read_samples


class GateReadOuts(TransformerMixin, ABC):
    """Methods of an estimator with energies and a gate. Subclasses define the predictor.

    The fitted attributes are those of :class:`~sklearn_emma.EMMAClassifier`, from
    ``modality_names_`` to ``median_``.
    """

    modality_names_: list[str]
    modality_columns_: list[np.ndarray]
    categories_: dict[int, list]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    # --- evaluation ---

    def _network(self, precision: torch.dtype) -> GatedPredictor | None:
        """Return the predictor, or None if it does not take tensors."""
        return None

    def _run(self, X: Any, *wanted: str, evidence: Any = None) -> dict[str, np.ndarray]:
        """Validate samples, and return fields of :class:`Readings`; dask arrays for dask input."""
        check_is_fitted(self)
        if is_lazy(X):
            return {n: map_chunks(partial(self._run_one, n), X, evidence) for n in wanted}
        floats = [np.float64, np.float32]
        table = read_samples(self, X, dtype=floats)
        if evidence is not None:
            evidence = check_evidence(evidence, len(table), len(self.modality_names_))
        return self._read(table, wanted, evidence)

    def _run_one(self, name: str, X: Any) -> np.ndarray:
        """Return one field of :class:`Readings`."""
        return self._run(X, name)[name]

    def _read(
        self, table: np.ndarray, wanted: Collection[str], evidence: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """Evaluate a validated table in blocks of samples."""
        precision = precision_of(table)
        reader, gate = reader_of(self, precision), gate_of(self)
        if evidence is not None and not gate.reads_energies:
            raise ValueError(
                "Evidence is added to the energies, but this gate uses attention scores alone. "
                'Fit with attention_score="energy", or append "+energy" to the name of the score.'
            )
        reads_network = "output" in wanted or gate.reads_embeddings
        predictor = self._network(precision) if reads_network else None
        found: dict[str, list[torch.Tensor]] = {name: [] for name in wanted}
        with torch.inference_mode():
            for where, block in blocks(table, reader.block_size):
                inputs = reader.read(block)
                more = None if evidence is None else torch.from_numpy(evidence[where])
                readings = read_out(inputs, gate, predictor, wanted, more)
                for name in wanted:
                    found[name].append(readings[name])
        return {name: _joined(parts) for name, parts in found.items()}

    # --- read-outs ---

    def readings(self, X: Any, evidence: Any = None) -> Readings:
        """Compute all results for samples: energies, attention, output of the network, etc.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.
        evidence : array-like of shape (n_samples, n_modalities), default=None
            Additional evidence against each modality, in nats, such as evidence from earlier
            samples (:class:`~sklearn_emma.monitoring.ModalityMonitor`). It is converted to
            potential energy like the evidence of missing values, with :math:`3 s_i` per nat.

        Returns
        -------
        Readings
            A named tuple of arrays with one row per sample.

        Raises
        ------
        ValueError
            If evidence is given, and the gate does not use energies (`attention_score`).
        """
        return Readings(**self._run(X, *Readings._fields, evidence=evidence))

    def energy_parts(self, X: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Compute the parts of the potential energies, without evaluating gate and network.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        own_energy, gap_energy, cross_modal_energy : ndarray of shape (n_samples, n_modalities)
            As in :meth:`readings`.
        """
        own, gap, cross_modal = "own_energy", "gap_energy", "cross_modal_energy"
        found = self._run(X, own, gap, cross_modal)
        return found[own], found[gap], found[cross_modal]

    def energies(self, X: Any) -> np.ndarray:
        r"""Compute potential energies :math:`\Psi_i`, which are high for unlikely modalities.

        The potential energy of a modality measures how much its values differ from the training
        samples. With at least three modalities, it may also measure how inconsistent they are with
        the other modalities; see :class:`~sklearn_emma.nn.CrossModalEnergy`.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Energies, always float64. They are infinite if all values of the modality are missing.
            Samples in float32 are evaluated in single precision, which is twice as fast.
        """
        return self._run(X, "energies")["energies"]

    def importance(self, X: Any) -> np.ndarray:
        r"""Compute the importance :math:`\alpha_i` of each modality.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Importance, from 0 to 1. It is zero if all values of the modality are missing. The
            values of a sample sum to one, unless all modalities are missing.
        """
        return self._run(X, "importance")["importance"]

    def attention(self, X: Any) -> np.ndarray:
        r"""Compute the attention :math:`\beta_i` to each modality.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Attention, from 0 to 1. It is zero if all values of the modality are missing.
        """
        return self._run(X, "attention")["attention"]

    def attention_to_columns(self, X: Any) -> np.ndarray:
        r"""Compute the attention :math:`a_{ij}` to each column: one if it is used, otherwise zero.

        Missing values are not used. With ``column_attention=True``, columns that make their
        modality unlikely are ignored as well; see :class:`~sklearn_emma.nn.ColumnAttention`.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_used_features)
            Zero if the value is missing or treated as missing, otherwise one. Columns are in the
            order of X, without those that do not belong to any modality.
        """
        return self._run(X, "column_attention")["column_attention"]

    def total_energy(self, X: Any) -> np.ndarray:
        r"""Compute the total energy :math:`\sum_i E_i`, a measure of uncertainty.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples,)
            Total energies. A missing modality contributes as much as a typical failing modality in
            training.
        """
        return self._run(X, "total_energy")["total_energy"]

    def energy_threshold(self, X: Any) -> np.ndarray:
        """Compute the modal energy below which a modality of a sample passes the gate.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples,)
            Thresholds. They are infinite if all modalities pass. They are NaN if the gate uses
            attention scores (`attention_score`), because then each modality has another threshold,
            or limits the number of modalities (`max_modalities`).
        """
        return self._run(X, "energy_threshold")["energy_threshold"]

    def modal_energy(self, X: Any) -> np.ndarray:
        """Compute the modal energies :math:`E_i`, which the gate compares.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Modal energies. They are infinite if all values of the modality are missing.
        """
        return self._run(X, "modal_energy")["modal_energy"]

    def transform(self, X: Any) -> np.ndarray:
        r"""Compute gated columns :math:`\beta_i x_i`, as input of another estimator in a Pipeline.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_used_features)
            Standardized columns, multiplied by the attention to their modality. Missing values are
            filled before, and categorical columns are replaced by indicators of their levels.
            Columns are in the order of X, without those that do not belong to any modality. The
            dtype is float32 if X is float32, otherwise float64.
        """
        refuse_container(self, X)
        gated = self._run(X, "gated")["gated"]
        return gated[:, np.concatenate(feature_columns(self)).argsort()]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Get output feature names of :meth:`transform`.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the input features. None means the names seen during fit.

        Returns
        -------
        ndarray of str of shape (n_used_features,)
            Names of the columns that belong to a modality. The indicators of a categorical column
            are named after the column and the level.
        """
        check_is_fitted(self)
        columns = _check_feature_names_in(self, input_features)
        names = indicators_of(self).names(columns, self.categories_)
        return names[np.sort(np.concatenate(feature_columns(self)))]


def _joined(parts: list[torch.Tensor]) -> np.ndarray:
    """Return the blocks of a result as one C-contiguous array."""
    joined = parts[0] if len(parts) == 1 else torch.cat(parts)
    return np.ascontiguousarray(joined.numpy())
