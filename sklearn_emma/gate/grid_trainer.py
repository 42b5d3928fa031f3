"""Train many settings of stage 2 together, each with its own early stopping."""

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearn_emma.engine.trainer import Trainer
from sklearn_emma.engine.training import make_trainer
from sklearn_emma.gate.fit import GATE_AND_PREDICTOR, GateConfig
from sklearn_emma.gate.grid import STACKABLE, Chunk, StackedObjective
from sklearn_emma.gate.objective import GatedObjective
from sklearn_emma.nn import GatedInputs

#: Parameters and buffers of a trained setting and its history, or the error of its training.
Outcome = tuple[dict[str, Tensor], dict[str, np.ndarray]] | ValueError


class StackedTrainer(Trainer):
    """Trainer of a :class:`StackedObjective`, with the parameters of :class:`Trainer`."""

    stacked = True

    def fit_loop(self, X: None, y: None = None, epochs: int | None = None, **_: Any) -> Trainer:
        """Run the epochs. Settings that have stopped are removed."""
        objective: StackedObjective = self.module_
        cycle = self.cycle()
        self.outcomes_: dict[int, Outcome] = {}
        self.histories_: dict[int, dict[str, list[float]]] = {
            number: {} for number, _, _ in objective.places()
        }
        self.best_: dict[int, tuple[float, dict[str, Tensor] | None, int]] = {
            number: (math.inf, None, 0) for number, _, _ in objective.places()
        }
        for epoch in range(self.max_epochs):
            self.notify("on_epoch_begin")
            train_loss, valid_loss = self._run_epoch(objective, cycle, epoch)
            losses = {"train_loss": train_loss}
            if valid_loss is not None:
                losses["valid_loss"] = valid_loss
            for name, values in losses.items():
                self.history.record(name, float(values.mean()))
            self.notify("on_epoch_end")
            self._end_epoch(objective, {k: v.tolist() for k, v in losses.items()}, epoch)
            if not objective.chunks:
                break
        return self

    def _end_epoch(
        self, objective: StackedObjective, losses: dict[str, list[float]], epoch: int
    ) -> None:
        """Record the losses of every setting, and remove settings that have stopped."""
        gates = torch.cat([chunk.monitored() for chunk in objective.chunks]).tolist()
        finished = set()
        for i, (number, chunk, place) in enumerate(list(objective.places())):
            values = {name: losses[name][i] for name in losses}
            values |= dict(zip(("gain", "bias", "capacity"), gates[i], strict=True))
            history = self.histories_[number]
            for name, value in values.items():
                history.setdefault(name, []).append(value)
            try:
                for name in losses:
                    self._check(values[name], math.inf)
                stopped = self._has_stopped(number, values.get("valid_loss"), chunk, place)
                if stopped or epoch == self.max_epochs - 1:
                    finished.add(number)
                    self._finish(objective, number, chunk, place)
            except ValueError as error:
                finished.add(number)
                self.outcomes_[number] = error
        if finished:
            self._drop(objective, finished)

    def _has_stopped(self, number: int, valid: float | None, chunk: Chunk, place: int) -> bool:
        if not self.config.early_stopping or valid is None:
            return False
        best_loss, best_state, stale = self.best_[number]
        if self._improves(valid, best_loss) or best_state is None:
            self.best_[number] = valid, chunk.state(place), 0
            return False
        self.best_[number] = best_loss, best_state, stale + 1
        return stale + 1 >= self.config.n_iter_no_change

    def _finish(self, objective: StackedObjective, number: int, chunk: Chunk, place: int) -> None:
        history = {name: np.array(values) for name, values in self.histories_[number].items()}
        self._check(history["train_loss"][-1], self._bound(objective.baseline_losses[number]))
        state = self.best_[number][1]
        self.outcomes_[number] = (chunk.state(place) if state is None else state), history

    def _drop(self, objective: StackedObjective, finished: set[int]) -> None:
        objective.chunks = [
            chunk for chunk in objective.chunks if not finished.issuperset(chunk.numbers)
        ]
        for chunk in objective.chunks:
            places = [i for i, number in enumerate(chunk.numbers) if number not in finished]
            if len(places) < len(chunk.numbers):
                chunk.keep(places, self.optimizer_)
        groups = objective.parameter_groups()
        for group, new in zip(self.optimizer_.param_groups, groups, strict=True):
            group["params"] = new["params"]


def train_settings(
    objective: GatedObjective, config: GateConfig, settings: Sequence[Mapping[str, float]]
) -> list[Outcome]:
    """Train gate and predictor for many settings of :data:`~sklearn_emma.gate.grid.STACKABLE`.

    Parameters
    ----------
    objective : GatedObjective
        Result of :func:`~sklearn_emma.gate.fit.prepare_gate`.
    config : GateConfig
        Hyperparameters. They are used for values that a setting does not contain.
    settings : sequence of mapping of str to float
        Hyperparameter settings.

    Returns
    -------
    list of tuple or ValueError
        For each setting, the state for :func:`load_state`, and the history as returned by
        :func:`~sklearn_emma.gate.fit.train_gate`. If training diverged, the error instead.
    """
    complete = {
        i: {name: float(setting.get(name, getattr(config, name))) for name in STACKABLE}
        for i, setting in enumerate(settings)
    }
    if len(objective.samples.modalities) == 1:  # there is no subset of one modality
        complete = {i: {**setting, "subset_weight": 0.0} for i, setting in complete.items()}
    # random subsets need additional random numbers, so settings with and without are separated
    groups = [
        {i: s for i, s in complete.items() if bool(s["subset_weight"]) is with_subsets}
        for with_subsets in (True, False)
    ]
    start = objective.generator.get_state()
    outcomes: dict[int, Outcome] = {}
    for group in filter(None, groups):
        objective.generator.set_state(start)
        # custom layers may draw from the global generators
        alone = not isinstance(objective.network, GatedInputs) or len(group) == len(complete)
        with nullcontext() if alone else _forked(objective.generator.device):
            stacked = StackedObjective(objective, group, config.training.batch_size)
            trainer = make_trainer(stacked, GATE_AND_PREDICTOR, config.training, StackedTrainer)
            trainer.run()
            outcomes |= trainer.outcomes_
    return [outcomes[i] for i in range(len(settings))]


def _forked(device: torch.device) -> Any:
    """Return a context that restores the global generators of torch at the end."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def load_state(objective: GatedObjective, state: Mapping[str, Tensor]) -> None:
    """Load the parameters of a setting into the gate and predictor of an objective.

    Parameters
    ----------
    objective : GatedObjective
        Objective, which is changed in place.
    state : mapping of str to Tensor
        State of the setting, returned by :func:`train_settings`.
    """
    for prefix, module in (("gate.", objective.gate), ("network.", objective.network)):
        own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        module.load_state_dict(own, strict=False)
    objective.cooled.copy_(state["cooled"])
