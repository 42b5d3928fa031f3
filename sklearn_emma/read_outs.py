"""GateReadOuts: everything that a fitted gate has to say of samples."""

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
from sklearn_emma.lazy import is_lazy, map_chunks
from sklearn_emma.nn import GatedPredictor
from sklearn_emma.targets import check_evidence
from sklearn_emma.validation import check_table


class GateReadOuts(TransformerMixin, ABC):
    """Read-outs of an estimator with energies and a gate; a subclass has the predictor.

    The fitted attributes are those of :class:`~sklearn_emma.EMMAClassifier`, from
    ``modality_names_`` to ``median_``.
    """

    modality_names_: list[str]
    modality_columns_: list[np.ndarray]
    categories_: dict[int, list]

    # --- evaluation ---

    def _network(self, precision: torch.dtype) -> GatedPredictor | None:
        """Return the predictor; None where it does not take tensors."""
        return None

    def _run(self, X: Any, *wanted: str, evidence: Any = None) -> dict[str, np.ndarray]:
        """Validate samples, and return fields of :class:`Readings`, lazy ones of lazy samples."""
        check_is_fitted(self)
        if is_lazy(X):
            return {n: map_chunks(partial(self._run_one, n), X, evidence) for n in wanted}
        floats = [np.float64, np.float32]
        table = check_table(self, X, ensure_all_finite="allow-nan", reset=False, dtype=floats)
        if evidence is not None:
            evidence = check_evidence(evidence, len(table), len(self.modality_names_))
        return self._read(table, wanted, evidence)

    def _run_one(self, name: str, X: Any) -> np.ndarray:
        """Return one field of :class:`Readings`."""
        return self._run(X, name)[name]

    def _read(
        self, table: np.ndarray, wanted: Collection[str], evidence: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """Read a validated table, block by block."""
        precision = precision_of(table)
        reader, gate = reader_of(self, precision), gate_of(self)
        if evidence is not None and not gate.reads_energies:
            raise ValueError(
                "Evidence enters the gate through its energies, and this gate goes by scores "
                'alone. Fit with attention_score="energy", or with "+energy" behind the score.'
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
        """Everything that is computed for samples: energies, attention, output.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.
        evidence : array-like of shape (n_samples, n_modalities), default=None
            Further evidence against each modality, in nats, such as that of earlier samples
            (:class:`~sklearn_emma.monitoring.ModalityMonitor`). It enters the gate at the price of
            missing values: :math:`3 s_i` of potential energy per nat.

        Returns
        -------
        Readings
            A named tuple of arrays with one row per sample.

        Raises
        ------
        ValueError
            If there is evidence, and the gate goes by scores alone (`attention_score`).
        """
        return Readings(**self._run(X, *Readings._fields, evidence=evidence))

    def energy_parts(self, X: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the potential energies are made of, without evaluating gate and network.

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
        r"""Potential energies :math:`\Psi_i`: how unlike the training samples each modality is.

        By itself, and, with three or more modalities, beside the others; see
        :class:`~sklearn_emma.nn.CrossModalEnergy`.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Energies, always float64; infinite where a modality is missing altogether. Of samples in
            float32 they are evaluated in single precision, which is twice as fast.
        """
        return self._run(X, "energies")["energies"]

    def importance(self, X: Any) -> np.ndarray:
        r"""Importance :math:`\alpha_i` of each modality.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Sums to one over the modalities that are there, zero for the others.
        """
        return self._run(X, "importance")["importance"]

    def attention(self, X: Any) -> np.ndarray:
        r"""Attention :math:`\beta_i` to each modality: the gate.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            From 0 to 1; zero where a modality is missing altogether.
        """
        return self._run(X, "attention")["attention"]

    def attention_to_columns(self, X: Any) -> np.ndarray:
        r"""Attention :math:`a_{ij}` to each column: which values are used, and which are ignored.

        With ``column_attention=True`` it is also zero for columns that make their modality
        unlikely; see :class:`~sklearn_emma.nn.ColumnAttention`.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_used_features)
            Zero where a value is missing or treated as missing, else one; in the order of X,
            without columns of no modality.
        """
        return self._run(X, "column_attention")["column_attention"]

    def total_energy(self, X: Any) -> np.ndarray:
        r"""Total energy :math:`\sum_i E_i`: how uncertain the prediction is.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples,)
            Total energies. A missing modality counts like a typical failing one of the training.
        """
        return self._run(X, "total_energy")["total_energy"]

    def energy_threshold(self, X: Any) -> np.ndarray:
        """Modal energy below which a modality of a sample passes the gate.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples,)
            Thresholds; infinite when everything passes. NaN where scores of embeddings decide too
            (`attention_score`): then every modality has a threshold of its own.
        """
        return self._run(X, "energy_threshold")["energy_threshold"]

    def modal_energy(self, X: Any) -> np.ndarray:
        """Modal energies :math:`E_i`, which the gate compares.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Modal energies; infinite where a modality is missing altogether.
        """
        return self._run(X, "modal_energy")["modal_energy"]

    def transform(self, X: Any) -> np.ndarray:
        r"""Gated columns :math:`\beta_i x_i`, for another estimator to follow in a Pipeline.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_used_features)
            Standardised columns, gaps filled, times the attention to their modality, in the order
            and, if that is float32, in the dtype of X; columns of no modality are left out. A
            categorical column becomes indicators of its levels.
        """
        gated = self._run(X, "gated")["gated"]
        return gated[:, np.concatenate(feature_columns(self)).argsort()]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of :meth:`transform`.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns seen at fit; by default those known from fit.

        Returns
        -------
        ndarray of str of shape (n_used_features,)
            The names of the columns that belong to a modality, for a categorical one with those of
            its levels.
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        indicators = indicators_of(self)
        if indicators is not None:
            names = indicators.names(names, self.categories_)
        return names[np.sort(np.concatenate(feature_columns(self)))]


def _joined(parts: list[torch.Tensor]) -> np.ndarray:
    """Return the blocks of a result as one array, row by row in memory."""
    joined = parts[0] if len(parts) == 1 else torch.cat(parts)
    return np.ascontiguousarray(joined.numpy())
