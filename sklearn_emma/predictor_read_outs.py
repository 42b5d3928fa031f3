"""PredictorReadOuts: methods that need the fitted predictor behind a gate."""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.energy.protocol import Precision, tensor_energy
from sklearn_emma.engine.batches import blocks
from sklearn_emma.engine.cache import cached
from sklearn_emma.engine.weights import load_arrays
from sklearn_emma.gate.build_predictor import PredictorArchitecture, build_predictor
from sklearn_emma.gate.objective import GateModel
from sklearn_emma.gate.prediction_loss import PredictionLoss
from sklearn_emma.gate.readings import gate_of, reader_of
from sklearn_emma.gate.white_box import WhiteBox
from sklearn_emma.indicators import feature_columns
from sklearn_emma.nn import GatedPredictor
from sklearn_emma.nn.encoders import freeze
from sklearn_emma.read_outs import GateReadOuts
from sklearn_emma.validation import read_samples


class PredictorReadOuts(GateReadOuts):
    """Methods of an estimator with a gate and a predictor. Subclasses define the target.

    Samples in float32 are evaluated in single precision, all others in double precision.
    """

    #: Keyword arguments for the validation of X and y.
    _target_checks: dict = {}

    energy_scorers_: dict[str, Any]
    modality_shapes_: list
    network_weights_: dict[str, np.ndarray]
    periodic_features_: bool
    scale_: np.ndarray
    _architecture: tuple

    @abstractmethod
    def _check_target(self, y: np.ndarray) -> np.ndarray:
        """Return y in the form that training needs. Raise ValueError if y is not valid."""

    @abstractmethod
    def _as_target(self, y: np.ndarray) -> np.ndarray:
        """Convert y to the target of the network."""

    @abstractmethod
    def _prediction_loss(self) -> PredictionLoss:
        """Return the prediction loss."""

    @property
    @abstractmethod
    def _n_outputs(self) -> int:
        """Number of values that the network returns for a sample."""

    @property
    @abstractmethod
    def _returns(self) -> str:
        """Description of the output of the network and its shape, for error messages."""

    # --- read-outs ---

    @abstractmethod
    def tensor_predictions(self, output: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute the predictions of all methods from the output of the network.

        Parameters
        ----------
        output : Tensor of shape (n_samples, n_outputs)
            Output of the network.

        Returns
        -------
        dict of str to Tensor of shape (n_samples, ...)
            Predictions by the name of the method.
        """

    def loss_gradient(self, X: Any, y: Any) -> np.ndarray:
        """Compute the gradient of the prediction loss of each sample with respect to its columns.

        It is the gradient of the whole model, including energies and gate.
        :class:`~sklearn_emma.corruption.Adversarial` uses it.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Labels or values.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Gradient with respect to the columns in their original units, up to a positive factor.
            It is zero for missing values, and in columns that do not belong to any modality.
            Energies of other libraries are treated as constants, and so are the values that
            replace missing or ignored ones.

        Raises
        ------
        ValueError
            If X or y is not valid, if y contains a label that did not occur during fit, or if a
            column is categorical.
        """
        check_is_fitted(self)
        self._refuse_categories("The gradient of the loss")
        table, y = read_samples(self, X, y, **self._target_checks)
        reader, network = reader_of(self, torch.float64), self._network(torch.float64)
        box = WhiteBox(
            GateModel(gate_of(self), network, reader.cross_modal, self._prediction_loss()),
            [tensor_energy(self.energy_scorers_[n], n, Precision()) for n in self.modality_names_],
        )
        gradient = np.zeros(table.shape)
        with torch.inference_mode(False):
            target = torch.as_tensor(self._as_target(self._check_target(y)))
            for where, block in blocks(table, reader.block_size):
                inputs = reader.read(block)
                slopes = box.gradient(inputs.modalities, inputs.gap_energy, target[where])
                for columns, slope in zip(self.modality_columns_, slopes, strict=True):
                    gradient[where, columns] = len(block) * slope.numpy() / self.scale_[columns]
        return np.where(np.isnan(table), 0.0, gradient)

    def _finite(self, output: np.ndarray) -> np.ndarray:
        """Return the output of the network. Raise ValueError unless it is finite."""
        check_finite(output, "The network", f"Check module, which must return {self._returns}.")
        return output

    def _network(self, precision: torch.dtype) -> GatedPredictor:
        """Return the predictor, which is built once and cached."""

        def build() -> GatedPredictor:
            network = self._build_network()
            load_arrays(network, self.network_weights_)
            return freeze(network.to(precision))

        attributes = self._architecture, self.network_weights_
        return cached(self, ("network", precision), attributes, build)

    def _build_network(self, seed: int = 0) -> GatedPredictor:
        """Build the network with the fitted architecture, even if parameters have changed since."""
        widths = [len(columns) for columns in feature_columns(self)]
        architecture = PredictorArchitecture(*self._architecture)
        shapes = self.modality_shapes_
        return build_predictor(architecture, widths, self._n_outputs, seed, shapes)

    def _refuse_categories(self, what: str) -> None:
        """Raise ValueError if a column is categorical."""
        if self.categories_:
            raise ValueError(
                f"{what} needs columns of numbers, and {len(self.categories_)} column(s) of X are "
                "categorical. Encode them, for instance with OneHotEncoder, or leave them out."
            )


def check_finite(output: np.ndarray, network: str, advice: str) -> None:
    """Raise ValueError unless the output of a network is finite.

    Parameters
    ----------
    output : ndarray of shape (n_samples, n_outputs)
        Output of the network.
    network : str
        What the error message calls the network.
    advice : str
        Last sentence of the error message.
    """
    invalid = ~np.isfinite(output)
    if invalid.any():
        raise ValueError(
            f"{network} returned values that are not finite for {int(invalid.any(axis=1).sum())} "
            f"of {len(output)} samples. {advice}"
        )


def predictor_of(estimator: PredictorReadOuts, precision: torch.dtype) -> GatedPredictor:
    """Return the predictor of a fitted estimator, which is built once and cached.

    Parameters
    ----------
    estimator : PredictorReadOuts
        Fitted estimator.
    precision : torch.dtype
        Dtype of its weights.

    Returns
    -------
    GatedPredictor
        The predictor, on the CPU.
    """
    return estimator._network(precision)
