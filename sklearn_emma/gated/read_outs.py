"""GatedReadOuts: evaluation of a fitted gate and of the estimator behind it."""

from abc import abstractmethod
from collections.abc import Collection
from typing import Any

import numpy as np
import torch

from sklearn_emma.base import BaseEMMA
from sklearn_emma.gated.closing import close_modalities, leave_out_columns, mean_over_masks
from sklearn_emma.gated.estimator_input import estimator_input
from sklearn_emma.nn import GatedPredictor
from sklearn_emma.predictor_read_outs import check_finite, predictor_of
from sklearn_emma.read_outs import GateReadOuts


class GatedReadOuts(GateReadOuts):
    """Read-outs of a gate, with an estimator behind it. Subclasses define the predictions."""

    gate_: BaseEMMA
    estimator_: Any
    blend_: float
    column_weights_: Any
    threshold_: float | str

    @abstractmethod
    def _call(self, X: Any) -> np.ndarray:
        """Return the predictions of the estimator as numbers of shape (n_samples, ...)."""

    @abstractmethod
    def _of_network(self, output: np.ndarray) -> np.ndarray:
        """Return the predictions of the gate's network, in the same form as :meth:`_call`."""

    def _read(
        self, table: np.ndarray, wanted: Collection[str], evidence: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        read_from_gate = {"attention", "column_attention", *wanted} - {"prediction"}
        if self.blend_ == 0:
            read_from_gate -= {"output"}
        found = self._read_gate(table, read_from_gate, evidence)
        table = self._without_columns(table, found)
        if "output" in wanted:
            output = self._predict_behind(table, found["attention"])
            if self.blend_ > 0:
                network = self._of_network(found["output"])
                output = (1.0 - self.blend_) * output + self.blend_ * network
            found["output"] = output
        if "prediction" in wanted:
            closed = found["attention"] <= self.threshold_
            table = close_modalities(table, self.modality_columns_, closed)
            inputs = estimator_input(table, self, self.estimator_)
            found["prediction"] = np.asarray(self.estimator_.predict(inputs))
        return found

    def _read_gate(
        self, table: np.ndarray, wanted: Collection[str], evidence: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Evaluate a validated table with the gate and the network of the gate."""
        return super()._read(table, wanted, evidence)

    def _network(self, precision: torch.dtype) -> GatedPredictor:
        return predictor_of(self.gate_, precision)

    def _network_prediction(self, output: np.ndarray, method: str) -> np.ndarray:
        """Return the predictions of a method of the gate, given the output of its network."""
        advice = "Check the parameter module of the gate, or set blend=0."
        check_finite(output, "The network of the gate", advice)
        return self.gate_.tensor_predictions(torch.from_numpy(output))[method].numpy()

    def _predict_behind(self, table: np.ndarray, attention: np.ndarray) -> np.ndarray:
        """Return the predictions of the estimator, averaged over the masks of the gate."""

        def predict(gated: np.ndarray) -> np.ndarray:
            """Return the predictions of the estimator for samples with closed modalities."""
            return np.asarray(self._call(estimator_input(gated, self, self.estimator_)))

        return mean_over_masks(predict, table, self.modality_columns_, attention, self.threshold_)

    def _without_columns(self, table: np.ndarray, found: dict[str, np.ndarray]) -> np.ndarray:
        """Replace the values of columns that the gate ignores by NaN."""
        if self.column_weights_ is None:
            return table
        return leave_out_columns(table, self.modality_columns_, found["column_attention"])
