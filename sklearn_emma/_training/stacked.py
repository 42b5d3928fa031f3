"""Stage 2 for many settings at once: stacked gates and predictors, trained on the same batches.

With the same seed, settings of the gate and of the loss see the same energies, failures, shuffles
and initial weights; only what they learn differs. So their parameters are stacked, a batch goes
through all of them at once, and whatever they share is computed once. Every setting does what it
would do alone, in the same order, so that the results are the same up to rounding.
"""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from sklearn_emma._training.gating import GatedTask, Strengths, gated_loss, ignorant_loss
from sklearn_emma._training.net import Task

#: The parameters that settings may differ in.
STACKABLE = ("coldness", "lambda_capacity", "lambda_energy", "subset_weight")

# Numbers that a step of the models of a chunk may keep. On a CPU they should stay in its cache.
_CHUNK = {"cpu": 2**21, "cuda": 2**27}
# The fused optimizer rounds the numbers of a tensor differently that do not fill a whole register:
# the parameters of a model go through it stacked only where they do.
_REGISTER = 8


class Model(nn.Module):
    """Gate and predictor of one setting, as one module for functional calls.

    Parameters
    ----------
    task : GatedTask
        Gate, predictor and criterion; the gate is copied.
    """

    def __init__(self, task: GatedTask):
        super().__init__()
        self.gate = copy.deepcopy(task.gate)
        self.network = task.network
        self.criterion = task.criterion

    def forward(self, method: str, *args: Any) -> Any:
        """Call a method, with the parameters and buffers of the functional call."""
        return getattr(self, method)(*args)

    def loss(
        self, values: Mapping[str, Tensor], batch: Sequence[Tensor], part: Tensor | None
    ) -> Tensor:
        """Return the loss of a batch."""
        self.gate.coldness = values["coldness"]  # type: ignore[assignment]
        strong = Strengths(*(values.get(name, 0.0) for name in STACKABLE[1:]))
        return gated_loss(self.gate, self.network, self.criterion, strong, batch, part)

    def state_of_interest(self, values: Mapping[str, Tensor]) -> Tensor:
        """Return the gate's gain, bias and capacity."""
        return torch.stack([self.gate.gain, self.gate.bias, self.gate.capacity()])

    def project(self) -> None:
        """Project the gate's parameters, which may be stacked."""
        self.gate.project_()


class Chunk:
    """Settings that go through a step together.

    Parameters
    ----------
    model : Model
        The structure, and the parameters to start from.
    settings : dict of int to mapping
        :data:`STACKABLE` of each setting, by its number.
    """

    def __init__(self, model: Model, settings: Mapping[int, Mapping[str, float]]):
        self.model = model
        self.numbers = list(settings)
        device = next(model.parameters()).device
        self.values = {
            name: torch.tensor([setting[name] for setting in settings.values()], device=device)
            for name in STACKABLE
            # what is off in every setting is not computed
            if name == "coldness" or any(setting[name] for setting in settings.values())
        }
        n = len(settings)
        self.stacked = {
            name: parameter.detach().repeat(n, *[1] * parameter.ndim).requires_grad_()
            if parameter.requires_grad
            else parameter.detach().repeat(n, *[1] * parameter.ndim)
            for name, parameter in model.named_parameters()
        }
        # the buffers of the gate are constants, those of a network may change as it learns
        self.buffers = {
            name: buffer.repeat(n, *[1] * buffer.ndim)
            for name, buffer in model.named_buffers()
            if not name.startswith("gate.")
        }
        self._cut()

    def _cut(self) -> None:
        """Say how the optimizer sees each parameter: stacked, or model by model."""
        self.pieces = {}
        for name, stacked in self.stacked.items():
            if not stacked.requires_grad:
                continue
            if stacked.device.type != "cpu" or stacked[0].numel() % _REGISTER == 0:
                self.pieces[name] = [stacked]
                continue
            stacked.grad = torch.zeros_like(stacked)
            self.pieces[name] = list(stacked.detach().unbind())
            for piece, gradient in zip(self.pieces[name], stacked.grad.unbind(), strict=True):
                piece.grad = gradient

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for name, pieces in self.pieces.items():
            if pieces[0] is self.stacked[name]:
                self.stacked[name].grad = None
            else:
                self.stacked[name].grad.zero_()  # type: ignore[union-attr]

    def loss(self, batch: Sequence[Tensor], part: Tensor | None) -> Tensor:
        """Return the loss of each setting, of shape (n_settings,)."""
        return self._call("loss", self.values, batch, part)

    def _call(self, method: str, values: dict[str, Tensor], *shared: Any) -> Any:
        def call(parameters: dict, buffers: dict, values: dict) -> Any:
            return functional_call(self.model, {**parameters, **buffers}, (method, values, *shared))

        return vmap(call, randomness="same")(self.stacked, self.buffers, values)

    @torch.no_grad()
    def after_step(self) -> None:
        """Project the parameters of the gates."""
        functional_call(self.model, self.stacked, ("project",))

    @torch.no_grad()
    def state_of_interest(self) -> Tensor:
        """Return gain, bias and capacity of each setting, of shape (n_settings, 3)."""
        return self._call("state_of_interest", {})

    def state(self, place: int) -> dict[str, Tensor]:
        """Return parameters and buffers of the setting in a place."""
        return {
            name: values[place].detach().clone()
            for name, values in (self.stacked | self.buffers).items()
        }

    @torch.no_grad()
    def keep(self, places: list[int], optimizer: torch.optim.Optimizer) -> None:
        """Go on with some of the settings; the optimizer's groups are to be made anew."""
        self.numbers = [self.numbers[place] for place in places]
        self.values = {name: values[places] for name, values in self.values.items()}
        self.buffers = {name: values[places] for name, values in self.buffers.items()}
        before, old = self.pieces, self.stacked
        self.stacked = {
            name: values[places].requires_grad_(values.requires_grad)
            for name, values in old.items()
        }
        self._cut()
        for name, pieces in before.items():
            states = [optimizer.state.pop(piece, {}) for piece in pieces]
            if pieces[0] is old[name]:
                states = [
                    {k: v[places] if v.shape == old[name].shape else v for k, v in state.items()}
                    for state in states
                ]
            else:
                states = [states[place] for place in places]
            for piece, state in zip(self.pieces[name], states, strict=True):
                if state:  # none without a gradient
                    optimizer.state[piece] = state


class StackedTask(Task):
    """Gates and predictors of many settings, on the rows of one task.

    Parameters
    ----------
    task : GatedTask
        Where every setting starts from; its random numbers are those of all.
    settings : dict of int to mapping
        :data:`STACKABLE` of each setting, by its number; subset_weight is zero in all of them or in
        none.
    batch_size : int
        Rows per step.
    """

    def __init__(
        self, task: GatedTask, settings: Mapping[int, Mapping[str, float]], batch_size: int
    ):
        super().__init__(task.generator)
        self.task = task
        self.model = Model(task)
        self.n_samples = task.n_samples
        self.ignorant_losses = {}
        gate = copy.deepcopy(task.gate)
        for number, setting in settings.items():
            gate.coldness, *strengths = (setting[name] for name in STACKABLE)
            strong = Strengths(*strengths)
            self.ignorant_losses[number] = ignorant_loss(gate, task.criterion, strong, task.rows)
        device = task.rows.target.device
        limit = _CHUNK.get(device.type, _CHUNK["cuda"])
        per_row = sum(len(p) for p in task.network.parameters() if p.ndim > 1)
        per_row += 16 * task.rows.potential.shape[1] ** 2
        size = max(1, limit // (per_row * batch_size))
        n_chunks = math.ceil(len(settings) / size)
        self.chunks = [
            Chunk(self.model, {int(number): settings[number] for number in numbers})
            for numbers in np.array_split(list(settings), n_chunks)
        ]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the groups of the task, for all settings."""
        kinds = {id(p): i for i, g in enumerate(self.task.parameter_groups()) for p in g["params"]}
        gate = len(self.task.parameter_groups()) - 1  # the model has a copy of it
        groups = [{**group, "params": []} for group in self.task.parameter_groups()]
        for chunk in self.chunks:
            for name, parameter in self.model.named_parameters():
                kind = kinds.get(id(parameter), gate)
                groups[kind]["params"] += chunk.pieces.get(name, [])
        return groups

    def epoch_data(self) -> Sequence[Tensor]:
        """Return the rows of one epoch, the same for all settings."""
        return self.task.epoch_data()

    def loss(self, *batch: Tensor) -> Tensor:
        """Return the loss of each setting, and leave the gradients in the parameters."""
        part = self.task.draw_part(batch[0])
        losses = []
        for chunk in self.chunks:
            chunk.zero_grad()
            loss = chunk.loss(batch, part)
            loss.sum().backward()
            losses.append(loss.detach())
        return torch.cat(losses)

    def after_step(self) -> None:
        """Project the parameters of the gates."""
        for chunk in self.chunks:
            chunk.after_step()

    def validation_loss(self) -> Tensor | None:
        """Return the loss of each setting on the held-out rows."""
        if self.task.held_out is None:
            return None
        return torch.cat([chunk.loss(self.task.held_out, None) for chunk in self.chunks])

    def places(self) -> Iterator[tuple[int, Chunk, int]]:
        """Yield the number of each setting, its chunk and its place there, in order of losses."""
        for chunk in self.chunks:
            for place, number in enumerate(chunk.numbers):
                yield number, chunk, place
