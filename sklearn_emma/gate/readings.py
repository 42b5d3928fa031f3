"""What a fitted gate and predictor compute for samples.

The torch modules are built from the public attributes of a fitted estimator, once.
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
from sklearn_emma.gate.build_gate import build_gate, hard_attention
from sklearn_emma.gate.columns import ColumnReader, build_columns
from sklearn_emma.gate.fitted import GATE, gate_arrays
from sklearn_emma.gate.inputs import CategoryReader, InputReader, Inputs, RememberingReader
from sklearn_emma.indicators import feature_columns, fill_values, indicators_of
from sklearn_emma.modalities import as_slice
from sklearn_emma.nn import CrossModalEnergy, EnergyAttention, GatedPredictor
from sklearn_emma.nn.encoders import freeze
from sklearn_emma.nn.evidence_price import potential_of_evidence


class Readings(NamedTuple):
    r"""Everything that a fitted estimator computes for samples, in order of computation.

    Attributes
    ----------
    own_energy : ndarray of shape (n_samples, n_modalities)
        Potential of each modality, gaps filled.
    gap_energy : ndarray of shape (n_samples, n_modalities)
        What gaps add; infinite where the modality is missing altogether.
    cross_modal_energy : ndarray of shape (n_samples, n_modalities)
        What inconsistency with the other modalities adds.
    energies : ndarray of shape (n_samples, n_modalities)
        Their sum, the potential energies :math:`\Psi_i`, with any further evidence that was given.
    modal_energy : ndarray of shape (n_samples, n_modalities)
        Modal energies :math:`E_i`.
    importance : ndarray of shape (n_samples, n_modalities)
        :math:`\alpha_i`.
    attention : ndarray of shape (n_samples, n_modalities)
        :math:`\beta_i`.
    total_energy : ndarray of shape (n_samples,)
        :math:`\sum_i E_i`.
    energy_threshold : ndarray of shape (n_samples,)
        Modal energy below which a modality passes the gate; NaN for a gate of scores.
    column_attention : ndarray of shape (n_samples, n_used_features)
        :math:`a_{ij}`, of each column of a modality.
    output : ndarray of shape (n_samples, n_outputs)
        What the network returns: unnormalised log probabilities, or standardised values. Of another
        estimator behind a gate: probabilities, or values in the units of y.
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
    """Compute what is wanted of some samples.

    Parameters
    ----------
    inputs : Inputs
        The samples.
    gate : EnergyAttention
        In double precision.
    predictor : GatedPredictor or None
        In the precision of the inputs; None where no output is wanted and the gate scores no
        embeddings.
    wanted : collection of str
        Fields of :class:`Readings`, and "gated" for the gated features.
    evidence : Tensor of shape (n_samples, n_modalities), default=None
        Further evidence against each modality, in nats.

    Returns
    -------
    dict of str to Tensor of shape (n_samples, ...)
        What was wanted, and possibly more.
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
    """Return what reads samples for a fitted estimator, built once.

    Parameters
    ----------
    estimator : BaseEMMA
        Fitted.
    precision : torch.dtype
        Of the evaluation.

    Returns
    -------
    InputReader
        The reader.
    """

    def build() -> InputReader:
        """Build the reader."""
        weights = Precision(weights=precision)
        scorers = estimator.energy_scorers_.items()
        energies = [tensor_energy(scorer, name, weights) for name, scorer in scorers]
        columns, indicators = feature_columns(estimator), indicators_of(estimator)
        categories = None
        if indicators is not None:
            categories = CategoryReader(indicators, estimator.modality_columns_)
        return InputReader(
            [as_slice(positions) for positions in columns],
            estimator.mean_,
            estimator.scale_,
            fill_values(estimator),
            ModalityEnergies(energies, columns),
            torch.from_numpy(estimator.potential_min_.astype(np.float64)),
            torch.from_numpy(estimator.potential_scale_.astype(np.float64)),
            build_cross_modal(estimator, precision),
            precision,
            categories,
            _column_reader(estimator, energies),
        )

    return cached(estimator, ("reader", precision), _read_from(estimator), build)


def _column_reader(estimator: Any, energies: Sequence[Potential]) -> ColumnReader | None:
    """Return what reads columns, in double precision."""
    columns = build_columns(estimator, torch.float64)
    if columns is None:
        return None
    return ColumnReader(columns, energies, estimator.modality_columns_)


def _read_from(estimator: Any) -> tuple:
    """Return the attributes that the reader is built from."""
    return (
        estimator.modality_columns_,
        estimator.mean_,
        estimator.scale_,
        estimator.median_,
        estimator.potential_min_,
        estimator.potential_scale_,
        estimator.cross_modal_weights_,
        getattr(estimator, "category_counts_", None),
        estimator.column_weights_,
        *estimator.energy_scorers_.values(),
    )


def share_reader(estimators: Sequence[Any]) -> None:
    """Let fitted estimators that differ in gate and predictor only read samples once for all.

    Parameters
    ----------
    estimators : sequence of BaseEMMA
        Fitted on the same samples.
    """
    for precision in (torch.float64, torch.float32) if estimators else ():
        reader = reader_of(estimators[0], precision)
        shared = RememberingReader(**{f.name: getattr(reader, f.name) for f in fields(InputReader)})
        for estimator in estimators:
            preset(estimator, ("reader", precision), _read_from(estimator), shared)


def build_cross_modal(
    estimator: Any, precision: torch.dtype, device: torch.device | str = "cpu"
) -> CrossModalEnergy | None:
    """Build the cross-modal energy of a fitted estimator.

    Parameters
    ----------
    estimator : BaseEMMA
        Fitted.
    precision : torch.dtype
        Of its weights.
    device : torch.device or str, default="cpu"
        Where it is.

    Returns
    -------
    CrossModalEnergy or None
        None where there is none.
    """
    if estimator.cross_modal_weights_ is None:
        return None
    widths = [len(columns) for columns in feature_columns(estimator)]
    cross_modal = CrossModalEnergy(widths, generator=make_generator(0))
    load_arrays(cross_modal, estimator.cross_modal_weights_)
    return freeze(cross_modal.to(device=device, dtype=precision))


def gate_of(estimator: Any) -> EnergyAttention:
    """Return the gate of a fitted estimator in double precision, built once.

    Parameters
    ----------
    estimator : BaseEMMA
        Fitted.

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
