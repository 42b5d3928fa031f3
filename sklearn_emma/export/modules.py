"""Wrap a fitted estimator as one torch module, from raw columns to predictions."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sklearn_emma.base import BaseEMMA
from sklearn_emma.energy.modality_energies import ModalityEnergies
from sklearn_emma.energy.p_values import p_value_of_rank, raise_by_rounding
from sklearn_emma.energy.protocol import Precision
from sklearn_emma.energy.scorer import DAEEnergyScorer
from sklearn_emma.export.categories import CategoryModule, sum_by_modality
from sklearn_emma.gap_fillings import gap_fillings_of
from sklearn_emma.gate.readings import gate_of, read_out, reader_of
from sklearn_emma.indicators import feature_columns, indicators_of
from sklearn_emma.modalities import signals_of
from sklearn_emma.nn.coordinates import standardize
from sklearn_emma.nn.evidence_energy import gap_energy, potential_of_evidence
from sklearn_emma.predictor_read_outs import predictor_of


class PredictorModule(nn.Module):
    """Torch module of a fitted classifier or regressor.

    Parameters
    ----------
    estimator : EMMAClassifier or EMMARegressor
        Fitted estimator.
    precision : torch.dtype
        Dtype of the samples.

    Raises
    ------
    ValueError
        If an energy is not a :class:`DAEEnergyScorer`, if a modality is a signal, or if there is
        attention to columns.
    """

    def __init__(self, estimator: BaseEMMA, precision: torch.dtype):
        super().__init__()
        if estimator.column_weights_ is not None:
            raise ValueError(
                "Attention to columns, which searches columns sample by sample, cannot be exported "
                "to ONNX. Fit the estimator with column_attention=False."
            )
        signals = [name for name, _, _ in signals_of(estimator)]
        if signals:
            raise ValueError(
                "Spectra of signals and images cannot be exported to ONNX, but modalities "
                f"{signals} have a shape. Fit the estimator with their columns alone."
            )
        self.reader = reader_of(estimator, precision)
        others = [estimator.modality_names_[i] for i in self.reader.energies.others]
        if others:
            kinds = ", ".join(
                f"{name!r} ({type(estimator.energy_scorers_[name]).__name__})" for name in others
            )
            raise ValueError(
                "Only energies of DAEEnergyScorer can be exported to ONNX, but this estimator has "
                f"another energy for modality {kinds}. Fit it with energy=None, or with "
                "a DAEEnergyScorer for these modalities."
            )
        self.estimator = estimator
        self.gate = gate_of(estimator)
        self.predictor = predictor_of(estimator, precision)
        self.mean: Any = torch.tensor(estimator.mean_)  # memory-mapped arrays are not writable
        self.scale: Any = torch.tensor(estimator.scale_)
        self.columns = list(estimator.modality_columns_)
        self.features = [torch.tensor(places) for places in feature_columns(estimator)]
        self.expand = _expansion(estimator)

    def forward(self, table: Tensor) -> dict[str, Tensor]:
        """Return predictions, attention and energies of samples.

        Parameters
        ----------
        table : Tensor of shape (n_samples, n_features)
            Samples, with codes in categorical columns. NaN marks missing values.

        Returns
        -------
        dict of str to Tensor of shape (n_samples, ...)
            Results. Each key is the name of the method of the estimator that returns the same.
        """
        values: Any = table.double()
        standard: Any = standardize(values, self.mean, self.scale)
        features, unseen = standard, None
        if self.expand is not None:
            features, unseen = self.expand(standard)
        complete = _fill(features, self.features, self.reader.fillings)
        own = self.reader.energies.potential(complete)
        if unseen is not None:
            evidence = sum_by_modality(unseen, self.columns)
            own = own + potential_of_evidence(evidence, self.reader.potential_scale)
        inputs = self.reader.join(complete, own, _missing(table, self.columns))
        found = read_out(inputs, self.gate, self.predictor, ("output", "attention", "energies"))
        predicted = self.estimator.tensor_predictions(found["output"])
        return {**predicted, "attention": found["attention"], "energies": found["energies"]}


class ScorerModule(nn.Module):
    """Torch module of a fitted energy scorer.

    Parameters
    ----------
    scorer : DAEEnergyScorer
        Fitted estimator.
    precision : torch.dtype
        Dtype of the samples. P-values are computed in double precision, as by the scorer.
    """

    def __init__(self, scorer: DAEEnergyScorer, precision: torch.dtype):
        super().__init__()
        self.mean: Any = torch.tensor(scorer.mean_)  # memory-mapped arrays are not writable
        self.scale: Any = torch.tensor(scorer.scale_)
        self.columns = list(scorer.modality_columns_)
        self.features = [torch.tensor(places) for places in feature_columns(scorer)]
        self.fillings = gap_fillings_of(scorer, torch.float64)
        self.expand = _expansion(scorer)
        # column that each feature is computed from
        widths = [len(places) for places in indicators_of(scorer).positions]
        self.column_of = torch.arange(len(widths)).repeat_interleave(torch.tensor(widths))
        self.energies = _energies(scorer, precision)
        self.exact, self.count_below = self.energies, None
        if len(scorer.calibration_energies_):
            self.exact = _energies(scorer, torch.float64)
            self.count_below = CountBelow(scorer.calibration_energies_)
        self.n_calibration = len(scorer.calibration_energies_)
        self.n_finite = torch.tensor(np.isfinite(scorer.calibration_energies_).sum(axis=0))

    def forward(self, table: Tensor) -> dict[str, Tensor]:
        """Return energies and scores of samples.

        Parameters
        ----------
        table : Tensor of shape (n_samples, n_features)
            Samples, with codes in categorical columns. NaN marks missing values.

        Returns
        -------
        dict of str to Tensor of shape (n_samples, ...)
            Results: "energies" as returned by ``transform``, "score_samples" and, if there are
            calibration energies, "p_values".
        """
        # the potential of a scorer has a scale of one
        further = gap_energy(_missing(table, self.columns), 1.0)
        features: Any = table.double()
        if self.expand is not None:
            features, unseen = self.expand(features)
            further = further + potential_of_evidence(sum_by_modality(unseen, self.columns), 1.0)
        complete = self._fill(features)
        energies = self.energies.potential(complete) + further
        absent = energies.isinf()
        total = energies.masked_fill(absent, 0.0).sum(1).masked_fill(absent.all(1), math.inf)
        found = {"energies": energies, "score_samples": -total}
        if self.count_below is not None:
            exact = energies
            if self.exact is not self.energies:
                exact = self.exact.potential(complete) + further
            n_compared = torch.where(absent, self.n_calibration, self.n_finite).double()
            found["p_values"] = p_value_of_rank(self.count_below(exact), n_compared)
        return found

    def _fill(self, features: Any) -> Tensor:
        """Return complete samples, in the units of the table."""
        mean, scale = self.mean[self.column_of], self.scale[self.column_of]
        filled = _fill(standardize(features, mean, scale), self.features, self.fillings)
        # energies need finite values: infinity becomes the largest number
        return torch.where(features.isnan(), mean + scale * filled, features.nan_to_num(0.0))


def _fill(
    features: Tensor, places: Sequence[Tensor], fillings: Sequence[Callable[[Tensor], Tensor]]
) -> Tensor:
    """Fill standardized samples. Missing values that belong to no modality are zero."""
    complete = features.nan_to_num(0.0)
    for where, fill in zip(places, fillings, strict=True):
        complete = complete.index_copy(1, where, fill(features[:, where]))
    return complete


def _missing(table: Tensor, modalities: Sequence[np.ndarray]) -> Tensor:
    """Return the fraction of the values of each modality that are missing."""
    gaps = table.isnan()
    return torch.stack([gaps[:, columns].double().mean(1) for columns in modalities], 1)


def _energies(scorer: DAEEnergyScorer, precision: torch.dtype) -> ModalityEnergies:
    """Return the energies of all modalities."""
    energies = scorer.tensor_energies(Precision(weights=precision))
    return ModalityEnergies(energies, feature_columns(scorer))


def _expansion(estimator: Any) -> CategoryModule | None:
    """Return the module that converts codes to indicators, or None if no column is categorical."""
    indicators = indicators_of(estimator)
    return CategoryModule(indicators) if indicators.categories else None


class CountBelow(nn.Module):
    """Count the numbers of a list that are lower than given values, by bisection.

    Parameters
    ----------
    numbers : ndarray of float64 of shape (n_numbers, n_columns)
        Lists of numbers, one per column.
    """

    def __init__(self, numbers: np.ndarray):
        super().__init__()
        n_numbers, n_columns = numbers.shape
        self.n_steps = n_numbers.bit_length()
        padded = np.full((2**self.n_steps - 1, n_columns), np.inf)
        padded[:n_numbers] = np.sort(raise_by_rounding(numbers), axis=0)
        # concatenate the lists
        self.ordered = torch.from_numpy(padded.T.reshape(-1).copy())
        self.starts = torch.arange(n_columns) * len(padded)

    def forward(self, values: Tensor) -> Tensor:
        """Return the number of list elements that are lower than each value.

        Parameters
        ----------
        values : Tensor of float64 of shape (n_samples, n_columns)
            Values that are compared with the list of their column.

        Returns
        -------
        Tensor of float64 of shape (n_samples, n_columns)
            Counts.
        """
        places = self.starts.expand_as(values)
        for exponent in reversed(range(self.n_steps)):
            step = 2**exponent
            lower = self.ordered[places + (step - 1)] < values
            places = places + step * lower
        return (places - self.starts).double()
