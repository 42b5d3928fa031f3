"""Train stage 2 for many hyperparameter settings at once, with stacked gates and predictors.

With the same seed, all settings of the gate and of the loss have the same energies, failures,
shuffled batches and initial weights. Therefore their parameters are stacked, all of them process
the same batch at once, and common quantities are computed only once. Every setting takes the same
steps as if it was trained alone, so the results are the same.
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

#: Hyperparameters in which stacked settings may differ.
STACKABLE = ("coldness", "lambda_capacity", "lambda_energy", "subset_weight")
# Buffers that all settings share.
_CONSTANTS = "gate.", "network.networks.columns.", "network.networks.signals."


class Model(nn.Module):
    """Gate and predictor of one setting, as one module for functional calls.

    Parameters
    ----------
    objective : GatedObjective
        Objective with gate, predictor and prediction loss. The gate is copied.
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
        """Return the loss, or the result of another method, with the current tensors.

        Parameters
        ----------
        method : str
            Method to be called: "loss", "monitored" or "project".
        *args : objects
            Arguments. For the loss, these are values of :data:`STACKABLE`, a batch, and whether
            there is a subset loss.

        Returns
        -------
        Tensor
            Result of the method.
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
        """Return gain, bias and capacity of the gate."""
        return torch.stack([self.gate.gain, self.gate.bias, self.gate.capacity()])

    def project(self) -> None:
        """Project the parameters of the gate, which may be stacked, onto their constraints."""
        self.gate.project_()


class Chunk:
    """Settings that are trained together in one stack.

    Parameters
    ----------
    model : Model
        Model with the initial parameters of all settings.
    settings : dict of int to mapping
        Values of :data:`STACKABLE` of each setting, by its number.
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
            # terms with a weight of zero in every setting are not computed
            if name == "coldness" or any(setting[name] for setting in settings.values())
        }

        def stack(x: Tensor) -> Tensor:
            """Return one copy per setting, stacked."""
            return x.detach().repeat(len(settings), *[1] * x.ndim)

        named = list(model.named_parameters())
        self.learned = {name: stack(p) for name, p in named if p.requires_grad}
        self.others = {name: stack(p) for name, p in named if not p.requires_grad}
        # the buffers of a custom network may change during training
        for name, buffer in model.named_buffers():
            if not name.startswith(_CONSTANTS):
                self.others[name] = stack(buffer)

    def backward(self, batch: Sequence[Tensor]) -> Tensor:
        """Compute the gradients of the loss of each setting, and return the losses."""
        # Vectorize the gradient of a single model, so that matrix products are rounded as for a
        # model that is trained alone. Training would amplify differences in rounding.
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
        """Return parameters and buffers of the setting at a position of the stack."""
        return {name: x[place].clone() for name, x in (self.learned | self.others).items()}

    def keep(self, places: list[int], optimizer: FusedOptimizer) -> None:
        """Keep only some settings. The groups of the optimizer must be rebuilt afterwards."""
        self.numbers = [self.numbers[place] for place in places]
        self.values = {name: x[places] for name, x in self.values.items()}
        self.others = {name: x[places] for name, x in self.others.items()}
        for name, x in self.learned.items():
            self.learned[name] = x[places]
            optimizer.replace(x, self.learned[name], places)


class StackedObjective(Objective):
    """Objective of the gates and predictors of many settings, on the same samples.

    Parameters
    ----------
    objective : GatedObjective
        Objective from which every setting starts. All settings use its random numbers.
    settings : dict of int to mapping
        Values of :data:`STACKABLE` of each setting, by its number. The `subset_weight` is zero in
        all of them or in none.
    batch_size : int
        Number of samples per step.
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
        """Return the parameter groups of the objective, for all settings."""
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
        """Set the coldness of the gates in an epoch."""
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
        """Compute the gradients of the loss of each setting, and return the losses."""
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
        """Yield number, chunk and position in the chunk of each setting, in the order of losses."""
        for chunk in self.chunks:
            for place, number in enumerate(chunk.numbers):
                yield number, chunk, place
