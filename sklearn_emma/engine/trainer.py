"""Minimal skorch net that trains an objective on tensors that stay on the device."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from skorch import NeuralNet
from torch import Tensor, nn

from sklearn_emma.engine.batches import epoch_size, slices
from sklearn_emma.engine.objective import Objective, TrainingConfig
from sklearn_emma.engine.one_cycle import Constant, OneCycle
from sklearn_emma.engine.optimizer import FusedOptimizer

# A fit has diverged if its final loss is this many times that of a constant prediction.
_DIVERGED = 10.0


class Trainer(NeuralNet):
    """Skorch net without the parts that are slow for small tables.

    Batches are slices of tensors that are shuffled once per epoch. Losses are read from the device
    once per epoch. The learning rate follows one cycle, or is constant.

    Parameters
    ----------
    module : Objective
        Training objective.
    config : TrainingConfig
        Training configuration.
    callbacks : list of skorch callbacks, default=None
        Callbacks for the beginning and end of training and of epochs.
    """

    def __init__(
        self, module: Objective, config: TrainingConfig, callbacks: list[Any] | None = None
    ):
        super().__init__(
            module,
            criterion=nn.Identity,
            optimizer=FusedOptimizer,
            batch_size=config.batch_size,
            lr=config.learning_rate,
            max_epochs=config.max_epochs,
            callbacks=callbacks,
            device=None,  # the objective is already on the device of its data
            train_split=None,
        )
        self.config = config

    #: Whether parameters have the shape (n_models, ...).
    stacked = False

    @property
    def _default_callbacks(self) -> list[Any]:
        return []

    def initialize_optimizer(self, *args: Any, **kwargs: Any) -> "Trainer":
        """Create the optimizer."""
        groups = self.module_.parameter_groups()
        self.optimizer_ = FusedOptimizer(
            groups, self.lr, self.config.weight_decay, self.config.solver, self.stacked
        )
        return self

    def train(self) -> dict[str, np.ndarray]:
        """Train the objective.

        Returns
        -------
        dict of str to ndarray of shape (n_epochs,) or (n_epochs, n_models)
            ``train_loss``, ``valid_loss`` if there are held-out samples, and the values that the
            objective monitors.

        Raises
        ------
        ValueError
            If the loss becomes infinite or NaN, or if the final loss is far above that of a
            constant prediction.
        """
        self.run()
        names = [name for name in self.history[0] if name not in ("batches", "epoch")]
        history = {name: np.array(self.history[:, name]) for name in names}
        self._check(history["train_loss"][-1], self._bound(self.module_.baseline_loss))
        return history

    def run(self) -> None:
        """Run the epochs, and notify the callbacks."""
        self.initialize()
        self.notify("on_train_begin")
        try:
            self.fit_loop(None)
        finally:
            self.notify("on_train_end")

    def fit_loop(self, X: None, y: None = None, epochs: int | None = None, **_: Any) -> "Trainer":
        """Run the epochs."""
        objective: Objective = self.module_
        cycle = self.cycle()
        best_loss, best_state, stale = math.inf, None, 0
        for epoch in range(self.max_epochs):
            self.notify("on_epoch_begin")
            train_loss, valid_loss = self._run_epoch(objective, cycle, epoch)
            self._record("train_loss", train_loss)
            if valid_loss is not None:
                self._record("valid_loss", valid_loss)
            with torch.no_grad():
                for name, value in objective.monitored().items():
                    self.history.record(name, value)
            self.notify("on_epoch_end")
            if not self.config.early_stopping or valid_loss is None:
                continue
            if self._improves(float(valid_loss), best_loss) or best_state is None:
                best_loss, stale = float(valid_loss), 0
                best_state = {k: v.detach().clone() for k, v in objective.state_dict().items()}
            else:
                stale += 1
                if stale >= self.config.n_iter_no_change:
                    break
        if best_state is not None:
            objective.load_state_dict(best_state)
        return self

    def cycle(self) -> OneCycle | Constant:
        """Return the schedule of the learning rate."""
        if self.config.schedule == "constant":
            return Constant(self.lr)
        batches_per_epoch = math.ceil(epoch_size(self.module_.n_samples) / self.batch_size)
        return OneCycle(self.lr, self.max_epochs * batches_per_epoch)

    def _run_epoch(
        self, objective: Objective, cycle: OneCycle | Constant, epoch: int
    ) -> tuple[Tensor, Tensor | None]:
        """Take one step per batch, and return the mean loss and the validation loss."""
        optimizer = self.optimizer_
        objective.train()
        objective.begin_epoch(epoch, self.max_epochs)
        total, n_samples = torch.zeros((), dtype=torch.float32), 0
        batches = list(slices(objective.shuffled_data(), self.batch_size))
        for step, batch in enumerate(batches, start=epoch * len(batches)):
            optimizer.zero_grad()
            loss = objective.backward(*batch)
            optimizer.update(*cycle.at(step))
            objective.after_step()
            total = total + loss * len(batch[0])  # stays on the device until the epoch ends
            n_samples += len(batch[0])
        objective.eval()
        with torch.no_grad():
            return total / n_samples, objective.validation_loss()

    def _improves(self, loss: float, best_loss: float) -> bool:
        return loss < best_loss - self.config.tol * abs(best_loss)

    def _record(self, name: str, loss: Tensor) -> None:
        self.history.record(name, loss.tolist())
        self._check(loss.tolist(), math.inf)

    def _bound(self, baseline_loss: ArrayLike) -> ArrayLike:
        return _DIVERGED * np.asarray(baseline_loss)

    def _check(self, loss: ArrayLike, bound: ArrayLike) -> None:
        """Raise ValueError if a loss, or any of several, is not below its bound."""
        reached, bound = np.broadcast_arrays(loss, bound)
        too_much = reached[~(reached < bound)]
        if len(too_much):
            raise ValueError(
                f"Training diverged: the loss was {too_much[0]:.3g} after epoch "
                f"{len(self.history)}. "
                f"Lower learning_rate, which was {self.lr:g}, or look for extreme values in the "
                "data."
            )
