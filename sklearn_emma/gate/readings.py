"""Compute the results of a fitted gate and predictor for samples.

The torch modules are built once from the public attributes of a fitted estimator.
"""

from collections.abc import Collection, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklearn_emma.energy.modality_energies import ModalityEnergies
from sklearn_emma.energy.protocol import Potential, Precision, tensor_energy
from sklearn_emma.engine.cache import cached, preset
from sklearn_emma.engine.seeding import make_generator
from sklearn_emma.engine.weights import load_arrays
from sklearn_emma.gap_fillings import gap_fillings_of
from sklearn_emma.gate.build_gate import build_gate, hard_attention
from sklearn_emma.gate.columns import ColumnReader, build_columns
from sklearn_emma.gate.fitted import GATE, gate_arrays
from sklearn_emma.gate.inputs import CachingReader, InputReader, Inputs
from sklearn_emma.indicators import feature_columns, indicators_of
from sklearn_emma.modalities import as_slice
from sklearn_emma.nn import CrossModalEnergy, EnergyAttention, GatedPredictor
from sklearn_emma.nn.encoders import freeze
from sklearn_emma.nn.evidence_energy import potential_of_evidence


class Readings(NamedTuple):
    r"""Results of a fitted estimator for samples, in the order of computation.

    Attributes
    ----------
    own_energy : ndarray of shape (n_samples, n_modalities)
        Own potential of each modality, with missing values filled.
    gap_energy : ndarray of shape (n_samples, n_modalities)
        Energy of missing values, infinite if all values of a modality are missing.
    cross_modal_energy : ndarray of shape (n_samples, n_modalities)
        Energy of the inconsistency with other modalities.
    energies : ndarray of shape (n_samples, n_modalities)
        Sum of these energies and of any additional evidence: the potential energies :math:`\Psi_i`.
    modal_energy : ndarray of shape (n_samples, n_modalities)
        Modal energies :math:`E_i`.
    importance : ndarray of shape (n_samples, n_modalities)
        Importance :math:`\alpha_i` of each modality.
    attention : ndarray of shape (n_samples, n_modalities)
        Attention :math:`\beta_i` to each modality.
    total_energy : ndarray of shape (n_samples,)
        Total energy :math:`\sum_i E_i`.
    energy_threshold : ndarray of shape (n_samples,)
        Modal energy below which the gate of a modality is open. NaN for gates with scores or with
        `max_modalities`.
    column_attention : ndarray of shape (n_samples, n_used_features)
        Attention :math:`a_{ij}` to each column of a modality.
    output : ndarray of shape (n_samples, n_outputs)
        Output of the network: unnormalized log probabilities, or standardized values. For another
        estimator with a gate: probabilities, or values in the units of y.
    """

    own_energy: np.ndarray
    gap_energy: np.ndarray
    cross_modal_energy: np.ndarray
    energies: np.ndarray
    modal_energy: np.ndarray
    importance: np.ndarray
    attention: np.ndarray
    total_energy: np.ndarray
    energy_threshold: np.ndarray
    column_attention: np.ndarray
    output: np.ndarray


_ENERGIES = frozenset(
    ("own_energy", "gap_energy", "cross_modal_energy", "energies", "column_attention")
)


def read_out(
    inputs: Inputs,
    gate: EnergyAttention,
    predictor: GatedPredictor | None,
    wanted: Collection[str],
    evidence: Tensor | None = None,
) -> dict[str, Tensor]:
    """Compute the requested results for a batch of samples.

    Parameters
    ----------
    inputs : Inputs
        Inputs of gate and predictor.
    gate : EnergyAttention
        Gate in double precision.
    predictor : GatedPredictor or None
        Predictor in the dtype of the inputs. None if no output is requested and the gate does not
        score embeddings.
    wanted : collection of str
        Requested results: names of the fields of :class:`Readings`, and "gated" for gated features.
    evidence : Tensor of shape (n_samples, n_modalities), default=None
        Additional evidence against each modality, in nats.

    Returns
    -------
    dict of str to Tensor of shape (n_samples, ...)
        Requested results, and possibly others.
    """
    potential = inputs.potential
    if evidence is not None:
        potential = potential + potential_of_evidence(evidence, gate.potential_scale)
    found = {
        "own_energy": inputs.own_energy,
        "gap_energy": inputs.gap_energy,
        "cross_modal_energy": inputs.cross_modal_energy,
        "energies": potential,
    }
    if inputs.column_attention is not None:
        found["column_attention"] = inputs.column_attention
    if _ENERGIES.issuperset(wanted):
        return found
    encoded: Any = None
    embeddings: Any = None
    if predictor is not None and ("output" in wanted or gate.reads_embeddings):
        encoded = predictor.encode(inputs.modalities)
        embeddings = predictor.embeddings_for(gate, encoded)
    state = gate.state(potential, encoded=embeddings)
    found["modal_energy"] = state.modal_energy
    found["importance"] = state.importance
    found["attention"] = state.attention
    if "total_energy" in wanted:
        found["total_energy"] = gate.total_energy(potential)
    if "energy_threshold" in wanted:
        found["energy_threshold"] = gate.energy_threshold(potential)
    attention = state.attention.to(inputs.modalities[0].dtype)
    if "gated" in wanted:
        pairs = zip(inputs.modalities, attention.unbind(1), strict=True)
        found["gated"] = torch.cat([x * beta.unsqueeze(1) for x, beta in pairs], 1)
    if predictor is not None and "output" in wanted:
        found["output"] = predictor.fuse(encoded, attention)
    return found


def reader_of(estimator: Any, precision: torch.dtype) -> InputReader:
    """Return the cached reader of samples of a fitted estimator.

    Parameters
    ----------
    estimator : BaseEMMA
        Fitted estimator.
    precision : torch.dtype
        Dtype of the evaluation.

    Returns
    -------
    InputReader
        Reader of samples.
    """

    def build() -> InputReader:
        """Build the reader."""
        weights = Precision(weights=precision)
        scorers = estimator.energy_scorers_.items()
        energies = [tensor_energy(scorer, name, weights) for name, scorer in scorers]
        features = feature_columns(estimator)
        return InputReader(
            [as_slice(positions) for positions in estimator.modality_columns_],
            [as_slice(positions) for positions in features],
            indicators_of(estimator),
            estimator.mean_,
            estimator.scale_,
            gap_fillings_of(estimator, torch.float64),
            ModalityEnergies(energies, features),
            torch.from_numpy(estimator.potential_min_.astype(np.float64)),
            torch.from_numpy(estimator.potential_scale_.astype(np.float64)),
            build_cross_modal(estimator, precision),
            precision,
            _column_reader(estimator, energies),
        )

    return cached(estimator, ("reader", precision), _read_from(estimator), build)


def _column_reader(estimator: Any, energies: Sequence[Potential]) -> ColumnReader | None:
    """Return the attention to columns in double precision, or None if it is not used."""
    columns = build_columns(estimator, torch.float64)
    if columns is None:
        return None
    return ColumnReader(columns, energies, estimator.modality_columns_)


def _read_from(estimator: Any) -> tuple:
    """Return the attributes from which the reader is built."""
    scorers = estimator.energy_scorers_.values()
    return (
        estimator.modality_columns_,
        estimator.mean_,
        estimator.scale_,
        estimator.median_,
        estimator.gap_weights_,
        estimator.potential_min_,
        estimator.potential_scale_,
        estimator.cross_modal_weights_,
        getattr(estimator, "category_counts_", None),
        estimator.column_weights_,
        *scorers,
        *(getattr(scorer, "energy_weights_", None) for scorer in scorers),
    )


def share_reader(estimators: Sequence[Any]) -> None:
    """Share one caching reader among fitted estimators that differ only in gate and predictor.

    Parameters
    ----------
    estimators : sequence of BaseEMMA
        Estimators that are fitted on the same samples.
    """
    for precision in (torch.float64, torch.float32) if estimators else ():
        reader = reader_of(estimators[0], precision)
        shared = CachingReader(**{f.name: getattr(reader, f.name) for f in fields(InputReader)})
        for estimator in estimators:
            preset(estimator, ("reader", precision), _read_from(estimator), shared)


def build_cross_modal(
    estimator: Any, precision: torch.dtype, device: torch.device | str = "cpu"
) -> CrossModalEnergy | None:
    """Build the cross-modal energy of a fitted estimator.

    Parameters
    ----------
    estimator : BaseEMMA
        Fitted estimator.
    precision : torch.dtype
        Dtype of the weights.
    device : torch.device or str, default="cpu"
        Device of the module.

    Returns
    -------
    CrossModalEnergy or None
        Cross-modal energy, or None if the estimator has none.
    """
    if estimator.cross_modal_weights_ is None:
        return None
    widths = [len(columns) for columns in feature_columns(estimator)]
    cross_modal = CrossModalEnergy(widths, generator=make_generator(0))
    load_arrays(cross_modal, estimator.cross_modal_weights_)
    return freeze(cross_modal.to(device=device, dtype=precision))


def gate_of(estimator: Any) -> EnergyAttention:
    """Return the cached gate of a fitted estimator, in double precision.

    Parameters
    ----------
    estimator : BaseEMMA
        Fitted estimator.

    Returns
    -------
    EnergyAttention
        The gate.
    """
    names = "score_weights_", *(f"{name}_" for name in GATE)
    attributes = {name: getattr(estimator, name) for name in names}
    architecture = estimator.attention_score_, estimator.n_units_, estimator.coldness_
    choice = estimator.max_modalities_, estimator.modality_costs_

    def build() -> EnergyAttention:
        """Build the gate."""
        gate = build_gate(*architecture, n_modalities=len(estimator.modality_names_))
        gate.select = hard_attention(*choice)
        load_arrays(gate, gate_arrays(attributes))
        return freeze(gate.double())

    return cached(estimator, "gate", (*architecture, *choice, *attributes.values()), build)
