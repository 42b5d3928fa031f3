"""Stage 2 from start to end: scale the energies, warm the predictor up, train it with the gate."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearn_emma.corruption import Corruption, Missing, Mixture, Noise, Reference, Swapped
from sklearn_emma.engine.objective import train
from sklearn_emma.engine.weights import load_arrays
from sklearn_emma.gate.cross_modal import train_cross_modal
from sklearn_emma.gate.failures import Failures, Rows, fill
from sklearn_emma.gate.objective import GatedTask, PlainTask, Predictor
from sklearn_emma.gate.prediction_loss import Criterion
from sklearn_emma.nn import CrossModalEnergy, EnergyAttention
from sklearn_emma.nn.cross_modal import NAT

# Fraction of the training rows that are corrupted unless the corruption says otherwise.
_FRACTION = 0.5
# Fraction of the intact rows whose potential is below potential_min: what is as good as it gets.
_INTACT = 0.9
# Of two modalities that do not fit together, nobody knows which is wrong.
_MIN_WITNESSES = 3


def training_corruption(corruption: Corruption | None) -> Corruption:
    """Return the corruption of training rows, the default one for None.

    Parameters
    ----------
    corruption : Corruption or None
        What the user passed.

    Returns
    -------
    Corruption
        With a `fraction`.
    """
    if corruption is None:
        return Mixture(
            [Noise((0.25, 2.0)), Missing(), Swapped()],
            [0.375, 0.375, 0.25],
            fraction=_FRACTION,
        )
    if corruption.fraction is None:
        return _with_fraction(corruption, _FRACTION)
    return corruption


def _with_fraction(corruption: Corruption, fraction: float) -> Corruption:
    # not clone: a corruption of the user's own may take its parameters as it likes
    corruption = copy.copy(corruption)
    corruption.fraction = fraction
    return corruption


#: What is being trained, for the display of progress.
GATE_AND_PREDICTOR = "gate and predictor"


@dataclass(frozen=True)
class Settings:
    """How to train, under the names of the estimator's parameters."""

    coldness: float
    lambda_capacity: float
    lambda_energy: float
    cross_modal: bool
    subset_weight: float
    learning_rate: float
    weight_decay: float
    batch_size: int
    max_epochs: int
    pretrain_epochs: int
    early_stopping: bool
    n_iter_no_change: int
    tol: float
    verbose: int


def calibrate(
    rows: Rows, energies: Sequence[Any], failures: Failures
) -> tuple[dict[str, np.ndarray], Rows]:
    r"""Give coldness the same meaning for every table.

    :math:`\Psi_{min,i}` is a high quantile of the intact rows: below it, differences of potential
    say nothing of failures, and would only disturb the comparison of modalities. The scale
    :math:`s_i` is the median rise of the potential from intact rows to failing ones, but at least
    the interquartile range of the intact rows, so that failures that do not show in the energy
    (swapped rows, say) do not blow up the differences between intact rows. Gaps cost so many nats
    as the modality has lost.

    Parameters
    ----------
    rows : Rows
        Training rows; their potentials are computed here.
    energies : sequence of ModalityEnergy
        Their ``gap_cost`` is set.
    failures : Failures
        Draws the corruption of every row; its potentials are set.

    Returns
    -------
    constants : dict of str to ndarray of shape (n_modalities,)
        ``potential_min``, ``potential_scale`` and ``potential_max`` of the gate.
    rows : Rows
        With potentials.
    """
    device = rows.target.device
    rows = failures.score(rows, [energy.on_tensors(device) for energy in energies])
    failed, indicator = failures.draw(rows)
    constants: dict[str, list[float]] = {"min": [], "scale": [], "max": []}
    for i, energy in enumerate(energies):
        intact = rows.potential[:, i]
        intact = intact[torch.isfinite(intact)]
        if not len(intact):
            raise ValueError(
                f"The energy of modality {energy.name!r}, {type(energy.scorer).__name__}, is "
                "infinite for every training row. Use an energy that is finite where there are "
                "rows, such as a wider kernel."
            )
        failing = failed.potential[indicator[:, i] < 0, i]
        failing = failing[torch.isfinite(failing)]
        scale = quantile(intact, 0.75) - quantile(intact, 0.25)
        if len(failing):
            scale = max(scale, quantile(failing, 0.5) - quantile(intact, 0.5))
        scale = scale if scale > 1e-6 else 1.0
        energy.gap_cost = NAT * scale
        constants["min"].append(quantile(intact, _INTACT))
        constants["scale"].append(scale)
        # as much as a typical failure says of the others: what training did not show says no more
        typical = quantile(failing, 0.5) if len(failing) else -math.inf
        constants["max"].append(max(typical, constants["min"][i] + scale))
    # gaps have their price only now
    gaps = torch.stack([x.isnan().any(1) for x in rows.modalities], 1)
    rows = failures.rescore(rows, gaps)
    return {f"potential_{name}": np.array(values) for name, values in constants.items()}, rows


def quantile(values: Tensor, q: float) -> float:
    """Return the q-th quantile; torch.quantile takes no more than 2**24 values."""
    return float(values.sort().values[round(q * (len(values) - 1))])


def _standard(reference: Reference) -> Reference:
    """Return the reference of standardised rows without what wild values do to its units."""
    means = [torch.zeros_like(mean) for mean in reference.means]
    return Reference(means, [std.clamp(max=1.0) for std in reference.stds], reference.rows)


def train_task(task: GatedTask, settings: Settings) -> dict[str, np.ndarray]:
    """Train gate and predictor from where they start.

    Parameters
    ----------
    task : GatedTask
        Trained in place.
    settings : Settings
        How to train.

    Returns
    -------
    dict of str to ndarray of shape (n_epochs,)
        Losses, and the gate's gain, bias and capacity after each epoch.
    """
    return train(task, GATE_AND_PREDICTOR, settings.verbose, **net_parameters(settings))


def net_parameters(settings: Settings) -> dict[str, Any]:
    """Return how a net trains gate and predictor.

    Parameters
    ----------
    settings : Settings
        How to train.

    Returns
    -------
    dict
        Keywords of :class:`~sklearn_emma.engine.trainer.EpochNet`.
    """
    return {
        "batch_size": settings.batch_size,
        "lr": settings.learning_rate,
        "weight_decay": settings.weight_decay,
        "max_epochs": settings.max_epochs,
        "early_stopping": settings.early_stopping,
        "n_iter_no_change": settings.n_iter_no_change,
        "tol": settings.tol,
    }


def train_stage2(
    network: Predictor,
    criterion: Criterion,
    rows: Rows,
    held_out: Tensor | None,
    fills: list[Tensor],
    names: list[str],
    energies: Sequence[Any],
    corruption: Corruption,
    settings: Settings,
    generator: torch.Generator,
    gate_generator: torch.Generator,
    start: Mapping[str, np.ndarray] | None,
    cross_modal: CrossModalEnergy | None,
    train_gated: Callable[[GatedTask, Settings], dict[str, np.ndarray]] = train_task,
) -> tuple[EnergyAttention, CrossModalEnergy | None, dict[str, np.ndarray]]:
    """Train gate and predictor.

    Parameters
    ----------
    network : FusionNetwork or GatedInputs
        Trained in place.
    criterion : Criterion
        The prediction loss.
    rows : Rows
        Rows to learn from, potentials not yet known.
    held_out : Tensor of shape (n_held_out,) or None
        Positions of the rows that decide on early stopping instead.
    fills : list of Tensor of shape (n_features,)
        What stands in for missing values.
    names : list of str
        Names of the modalities.
    energies : sequence of ModalityEnergy
        Potential energies of the modalities. Their ``gap_cost`` is set, unless `start` is given.
    corruption : Corruption
        What befalls training rows.
    settings : Settings
        How to train.
    generator : torch.Generator
        Source of shuffling and failures, on the device of the rows.
    gate_generator : torch.Generator
        Source of the gate's initial weights, on the CPU.
    start : mapping of str to ndarray, or None
        Weights of a gate to start from, together with the network's: then the predictor is not
        warmed up.
    cross_modal : CrossModalEnergy or None
        What goes with `start`; otherwise it is trained here.
    train_gated : callable, default=train_task
        Trains gate and predictor once the energies are scaled and the predictor is warm.

    Returns
    -------
    gate : EnergyAttention
        The trained gate.
    cross_modal : CrossModalEnergy or None
        What the gate was trained with; None with less than three modalities, or if not wanted.
    history : dict of str to ndarray of shape (n_epochs,)
        Losses, and the gate's gain, bias and capacity after each epoch.
    """
    device = rows.target.device
    reference = _standard(Reference.from_tensors(rows.modalities, rows.weight, names))
    probe = Failures(_with_fraction(corruption, 1.0), names, reference, generator)
    start_values: Mapping[str, np.ndarray]
    if start is None:
        start_values, rows = calibrate(rows, energies, probe)
    else:
        start_values = start
        rows = probe.score(rows, [energy.on_tensors(device) for energy in energies])
    failures = Failures(corruption, names, reference, generator, probe.potentials)
    gate = EnergyAttention(len(names), settings.coldness, generator=gate_generator)
    load_arrays(gate, start_values, strict=False)
    gate.to(device)
    if start is None and settings.cross_modal and len(names) >= _MIN_WITNESSES:
        cross_modal = train_cross_modal(
            fill(rows.modalities, fills),
            rows.weight,
            settings.batch_size,
            generator,
            gate_generator,
            settings.verbose,
        )
    kept_back = None
    if held_out is not None:
        learn = torch.ones(len(rows.target), dtype=torch.bool, device=device)
        learn[held_out] = False
        rows, kept_back = rows.take(learn.nonzero().squeeze(1)), rows.take(held_out)
    if start is None and settings.pretrain_epochs:
        train(
            PlainTask(network, criterion, rows, fills, generator),
            "warm start",
            settings.verbose,
            batch_size=settings.batch_size,
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            max_epochs=settings.pretrain_epochs,
        )
    task = GatedTask(
        gate,
        network,
        criterion,
        rows,
        kept_back,
        fills,
        failures,
        cross_modal,
        lambda_capacity=settings.lambda_capacity,
        lambda_energy=settings.lambda_energy,
        subset_weight=settings.subset_weight,
        generator=generator,
    )
    return gate, cross_modal, train_gated(task, settings)
