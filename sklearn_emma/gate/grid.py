"""Stage 2 for many settings at once: stacked gates and predictors, trained on the same batches.

With the same seed, settings of the gate and of the loss have the same energies, failures, shuffles
and initial weights; only what they learn differs. So their parameters are stacked, a batch goes
through all of them at once, and whatever they share is computed once. Every setting takes the same
steps as alone, in the same order, so that the results are the same.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from sklearn_emma.engine.batches import stacked_settings
from sklearn_emma.engine.objective import Objective
from sklearn_emma.engine.optimizer import FusedOptimizer
from sklearn_emma.gate.objective import GatedObjective, LossWeights, baseline_loss, gated_loss

#: The hyperparameters that settings may differ in.
STACKABLE = ("coldness", "lambda_capacity", "lambda_energy", "subset_weight")
# Buffers that all settings share.
_CONSTANTS = "gate.", "network.networks.columns.", "network.networks.signals."


class Model(nn.Module):
    """Gate and predictor of one setting, as one module for functional calls.

    Parameters
    ----------
    objective : GatedObjective
        Gate, predictor and prediction loss; the gate is copied.
    """

    cooled: Tensor

    def __init__(self, objective: GatedObjective):
        super().__init__()
        self.gate = copy.deepcopy(objective.gate)
        self.network = objective.network
        self.prediction_loss = objective.prediction_loss
        self.importance_floor = objective.weights.importance_floor
        self.register_buffer("cooled", objective.cooled.clone())

    def forward(self, method: str, *args: Any) -> Any:
        """Return the loss, or call a method, with the tensors of the functional call.

        Parameters
        ----------
        method : str
            "loss", "monitored" or "project".
        *args : objects
            For the loss: values of :data:`STACKABLE`, a batch, and whether there is a subset loss.

        Returns
        -------
        Tensor
            The loss, or what the method returned.
        """
        if method != "loss":
            return getattr(self, method)(*args)
        values, batch, with_subsets = args
        self.gate.coldness = values["coldness"] * self.cooled
        strengths = {name: values.get(name, 0.0) for name in STACKABLE[1:]}
        weights = LossWeights(**strengths, importance_floor=self.importance_floor)
        return gated_loss(
            self.gate, self.network, self.prediction_loss, weights, batch, with_subsets
        )

    def monitored(self) -> Tensor:
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
            name: torch.tensor(
                [setting[name] for setting in settings.values()], dtype=torch.float32, device=device
            )
            for name in STACKABLE
            # what is off in every setting is not computed
            if name == "coldness" or any(setting[name] for setting in settings.values())
        }

        def stack(x: Tensor) -> Tensor:
            """Return as many copies as there are settings."""
            return x.detach().repeat(len(settings), *[1] * x.ndim)

        named = list(model.named_parameters())
        self.learned = {name: stack(p) for name, p in named if p.requires_grad}
        self.others = {name: stack(p) for name, p in named if not p.requires_grad}
        # the buffers of a network of the user's may change as it learns
        for name, buffer in model.named_buffers():
            if not name.startswith(_CONSTANTS):
                self.others[name] = stack(buffer)

    def backward(self, batch: Sequence[Tensor]) -> Tensor:
        """Return the loss of each setting, and leave its gradient in the parameters."""
        # The gradient of one model, for all of them: its products are those of a model alone. The
        # gradient of all would round otherwise, and training amplifies that.
        with_subsets = "subset_weight" in self.values
        gradients, losses = self._call(grad_and_value(self._loss), batch, with_subsets)
        for name, gradient in gradients.items():
            self.learned[name].grad = gradient
        return losses

    @torch.no_grad()
    def loss(self, batch: Sequence[Tensor]) -> Tensor:
        """Return the loss of each setting, of shape (n_settings,)."""
        return self._call(self._loss, batch, False)

    def _loss(self, learned: dict, others: dict, *args: Any) -> Tensor:
        return functional_call(self.model, learned | others, ("loss", *args))

    @torch.no_grad()
    def monitored(self) -> Tensor:
        """Return gain, bias and capacity of each setting, of shape (n_settings, 3)."""
        return self._call(self._monitored)

    def _monitored(self, learned: dict, others: dict, _: dict) -> Tensor:
        return functional_call(self.model, learned | others, "monitored")

    def _call(self, function: Callable[..., Any], *shared: Any) -> Any:
        in_dims = (0, 0, 0, *[None] * len(shared))
        stacked = vmap(function, in_dims, randomness="same")
        return stacked(self.learned, self.others, self.values, *shared)

    @torch.no_grad()
    def after_step(self) -> None:
        """Project the parameters of the gates."""
        functional_call(self.model, self.learned, "project")

    def state(self, place: int) -> dict[str, Tensor]:
        """Return parameters and buffers of the setting in a place."""
        return {name: x[place].clone() for name, x in (self.learned | self.others).items()}

    def keep(self, places: list[int], optimizer: FusedOptimizer) -> None:
        """Keep some of the settings; the optimizer's groups are to be made anew."""
        self.numbers = [self.numbers[place] for place in places]
        self.values = {name: x[places] for name, x in self.values.items()}
        self.others = {name: x[places] for name, x in self.others.items()}
        for name, x in self.learned.items():
            self.learned[name] = x[places]
            optimizer.replace(x, self.learned[name], places)


class StackedObjective(Objective):
    """Gates and predictors of many settings, on the samples of one objective.

    Parameters
    ----------
    objective : GatedObjective
        Where every setting starts from; its random numbers are those of all.
    settings : dict of int to mapping
        :data:`STACKABLE` of each setting, by its number; subset_weight is zero in all of them or in
        none.
    batch_size : int
        Samples per step.
    """

    def __init__(
        self,
        objective: GatedObjective,
        settings: Mapping[int, Mapping[str, float]],
        batch_size: int,
    ):
        super().__init__(objective.generator)
        self.objective = objective
        self.model = Model(objective)
        self.n_samples = objective.n_samples
        self.with_subsets = any(setting["subset_weight"] for setting in settings.values())
        self.baseline_losses = {}
        gate = copy.deepcopy(objective.gate)
        for number, setting in settings.items():
            gate.coldness = setting["coldness"]
            strengths = {name: setting[name] for name in STACKABLE[1:]}
            weights = replace(objective.weights, **strengths)
            self.baseline_losses[number] = baseline_loss(
                gate, objective.network, objective.prediction_loss, weights, objective.samples
            )
        per_sample = objective.network.numbers_per_sample()
        per_sample += 16 * objective.samples.potential.shape[1] ** 2
        size = stacked_settings(objective.generator.device.type, per_sample * batch_size)
        n_chunks = math.ceil(len(settings) / size)
        self.chunks = [
            Chunk(self.model, {int(number): settings[number] for number in numbers})
            for numbers in np.array_split(list(settings), n_chunks)
        ]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the groups of the objective, for all settings."""
        kinds = {
            id(p): i for i, g in enumerate(self.objective.parameter_groups()) for p in g["params"]
        }
        gate = len(self.objective.parameter_groups()) - 1  # the model has a copy of it
        groups = [{**group, "params": []} for group in self.objective.parameter_groups()]
        for chunk in self.chunks:
            for name, parameter in self.model.named_parameters():
                kind = kinds.get(id(parameter), gate)
                if name in chunk.learned:
                    groups[kind]["params"].append(chunk.learned[name])
        return groups

    def begin_epoch(self, epoch: int, n_epochs: int) -> None:
        """Cool the gates."""
        self.objective.begin_epoch(epoch, n_epochs)
        for chunk in self.chunks:
            chunk.others["cooled"].copy_(self.objective.cooled)

    def epoch_data(self) -> Sequence[Tensor]:
        """Return the samples of one epoch, the same for all settings."""
        return self.objective.draw_epoch(self.with_subsets)

    def loss(self, *batch: Tensor) -> Tensor:
        """Return the loss of each setting."""
        return torch.cat([chunk.loss(batch) for chunk in self.chunks])

    def backward(self, *batch: Tensor) -> Tensor:
        """Return the loss of each setting, and leave the gradients in the parameters."""
        losses = []  # chunk by chunk, to save memory
        for chunk in self.chunks:
            losses.append(chunk.backward(batch))
        return torch.cat(losses)

    def after_step(self) -> None:
        """Project the parameters of the gates."""
        for chunk in self.chunks:
            chunk.after_step()

    def validation_loss(self) -> Tensor | None:
        """Return the loss of each setting on the held-out samples."""
        if self.objective.held_out is None:
            return None
        return self.loss(*self.objective.held_out)

    def places(self) -> Iterator[tuple[int, Chunk, int]]:
        """Yield the number of each setting, its chunk and its place there, in order of losses."""
        for chunk in self.chunks:
            for place, number in enumerate(chunk.numbers):
                yield number, chunk, place
