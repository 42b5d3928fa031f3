"""Train many settings of stage 2 together, each with its own end."""

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearn_emma.engine.objective import Task
from sklearn_emma.engine.optimizer import FusedAdam
from sklearn_emma.engine.progress import progress_callbacks
from sklearn_emma.engine.trainer import EpochNet
from sklearn_emma.gate.fit import GATE_AND_PREDICTOR, Settings, net_parameters
from sklearn_emma.gate.grid import STACKABLE, Chunk, StackedTask
from sklearn_emma.gate.objective import GatedTask
from sklearn_emma.nn import FusionNetwork


class StackedNet(EpochNet):
    """The net for a :class:`StackedTask`; its parameters are those of :class:`EpochNet`."""

    optimizer_: Any

    def train_all(self) -> dict[int, tuple[dict[str, Tensor], dict[str, np.ndarray]] | ValueError]:
        """Train the task.

        Returns
        -------
        dict of int to tuple or ValueError
            Parameters and buffers, and the history, of each setting by its number; the error where
            it diverged.
        """
        self.initialize()
        self.notify("on_train_begin")
        try:
            self.fit_loop(None)
        finally:
            self.notify("on_train_end")
        return self.outcomes_

    def initialize_optimizer(self, *args: Any, **kwargs: Any) -> "StackedNet":
        """Make the optimizer."""
        groups = self.module_.parameter_groups()
        self.optimizer_ = FusedAdam(groups, self.lr, self.weight_decay, stacked=True)
        return self

    def fit_loop(self, X: None, y: None = None, epochs: int | None = None, **_: Any) -> EpochNet:
        """Run the epochs; a setting that has stopped takes part no more."""
        task: StackedTask = self.module_
        cycle = self._cycle()
        self.outcomes_: dict[int, Any] = {}
        self.histories_: dict[int, dict[str, list[float]]] = {
            number: {} for number, _, _ in task.places()
        }
        self.best_: dict[int, tuple[float, dict[str, Tensor] | None, int]] = {
            number: (math.inf, None, 0) for number, _, _ in task.places()
        }
        for epoch in range(self.max_epochs):
            self.notify("on_epoch_begin")
            task.train()
            train_loss = self._run_epoch(task, cycle)
            task.eval()
            with torch.no_grad():
                valid = task.validation_loss()
            losses = {"train_loss": train_loss} | ({} if valid is None else {"valid_loss": valid})
            for name, values in losses.items():
                self.history.record(name, float(values.mean()))
            self.notify("on_epoch_end")
            self._end_epoch(task, {k: v.tolist() for k, v in losses.items()}, epoch)
            if not task.chunks:
                break
        return self

    def _backward(self, task: Task, batch: list[Tensor]) -> Tensor:
        return task.loss(*batch)  # gradients are there already: one chunk at a time needs memory

    def _end_epoch(self, task: StackedTask, losses: dict[str, list[float]], epoch: int) -> None:
        """Note what every setting has reached, and let those go that have stopped."""
        gates = torch.cat([chunk.state_of_interest() for chunk in task.chunks]).tolist()
        finished = set()
        for i, (number, chunk, place) in enumerate(list(task.places())):
            row = {name: values[i] for name, values in losses.items()}
            row |= dict(zip(("gain", "bias", "capacity"), gates[i], strict=True))
            history = self.histories_[number]
            for name, value in row.items():
                history.setdefault(name, []).append(value)
            try:
                for name in losses:
                    self._check(row[name], math.inf)
                stopped = self._has_stopped(number, row.get("valid_loss"), chunk, place)
                if stopped or epoch == self.max_epochs - 1:
                    finished.add(number)
                    self._finish(task, number, chunk, place)
            except ValueError as error:
                finished.add(number)
                self.outcomes_[number] = error
        if finished:
            self._go_on_without(task, finished)

    def _has_stopped(self, number: int, valid: float | None, chunk: Chunk, place: int) -> bool:
        if not self.early_stopping or valid is None:
            return False
        best_loss, best_state, stale = self.best_[number]
        if self._improves(valid, best_loss) or best_state is None:
            self.best_[number] = valid, chunk.state(place), 0
            return False
        self.best_[number] = best_loss, best_state, stale + 1
        return stale + 1 >= self.n_iter_no_change

    def _finish(self, task: StackedTask, number: int, chunk: Chunk, place: int) -> None:
        history = {name: np.array(values) for name, values in self.histories_[number].items()}
        self._check(history["train_loss"][-1], self._bound(task.ignorant_losses[number]))
        state = self.best_[number][1]
        self.outcomes_[number] = (chunk.state(place) if state is None else state), history

    def _go_on_without(self, task: StackedTask, finished: set[int]) -> None:
        task.chunks = [chunk for chunk in task.chunks if not finished.issuperset(chunk.numbers)]
        for chunk in task.chunks:
            places = [i for i, number in enumerate(chunk.numbers) if number not in finished]
            if len(places) < len(chunk.numbers):
                chunk.keep(places, self.optimizer_)
        groups = task.parameter_groups()
        for group, new in zip(self.optimizer_.param_groups, groups, strict=True):
            group["params"] = new["params"]


def train_stacked(
    task: GatedTask, settings: Settings, candidates: Sequence[Mapping[str, float]]
) -> list[tuple[dict[str, Tensor], dict[str, np.ndarray]] | ValueError]:
    """Train gate and predictor for many settings of :data:`STACKABLE`.

    Parameters
    ----------
    task : GatedTask
        What :func:`~sklearn_emma.gate.fit.train_stage2` has prepared; left as it is.
    settings : Settings
        How to train; its own values of :data:`STACKABLE` hold for candidates that have none.
    candidates : sequence of mapping of str to float
        The settings.

    Returns
    -------
    list of tuple or ValueError
        For each candidate, what :func:`load_state` takes, and the history as
        :func:`~sklearn_emma.gate.fit.train_task` returns it; or the error, where training
        diverged.
    """
    complete = {
        i: {name: float(candidate.get(name, getattr(settings, name))) for name in STACKABLE}
        for i, candidate in enumerate(candidates)
    }
    if len(task.rows.modalities) == 1:  # there is no part of one modality
        complete = {i: {**setting, "subset_weight": 0.0} for i, setting in complete.items()}
    # random numbers are drawn for random parts, so that settings without them see others
    groups = [
        {i: s for i, s in complete.items() if bool(s["subset_weight"]) is with_parts}
        for with_parts in (True, False)
    ]
    start = task.generator.get_state()
    device = task.rows.target.device
    outcomes: dict[int, Any] = {}
    for group in filter(None, groups):
        task.generator.set_state(start)
        task.subset_weight = group[next(iter(group))]["subset_weight"]
        # layers of the user may draw from the global generators
        alone = isinstance(task.network, FusionNetwork) or len(group) == len(complete)
        cuda = [device] if device.type == "cuda" else []
        with nullcontext() if alone else torch.random.fork_rng(devices=cuda):
            stacked = StackedTask(task, group, settings.batch_size)
            callbacks = progress_callbacks(
                settings.verbose, GATE_AND_PREDICTOR, settings.max_epochs
            )
            net = StackedNet(stacked, callbacks=callbacks, **net_parameters(settings))
            outcomes |= net.train_all()
    return [outcomes[i] for i in range(len(candidates))]


def load_state(task: GatedTask, state: Mapping[str, Tensor]) -> None:
    """Give gate and predictor of a task the parameters of a setting.

    Parameters
    ----------
    task : GatedTask
        Changed in place.
    state : mapping of str to Tensor
        What :func:`train_stacked` returned for the setting.
    """
    for prefix, module in (("gate.", task.gate), ("network.", task.network)):
        own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        module.load_state_dict(own, strict=False)
