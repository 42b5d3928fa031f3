"""The lean skorch net: a task trained epoch by epoch from tensors that stay on the device."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from skorch import NeuralNet
from torch import Tensor, nn

from sklearn_emma.engine.batches import slices
from sklearn_emma.engine.objective import Task
from sklearn_emma.engine.optimizer import FusedAdam

# A fit is called diverged when it ends this many times worse than a model that knows nothing.
_HOPELESS = 10.0


class EpochNet(NeuralNet):
    """The net of skorch without what tiny tables cannot afford.

    Batches are slices of tensors shuffled once per epoch, losses are read back from the device
    once per epoch, and the learning rate follows one cycle.

    Parameters
    ----------
    module : Task
        What to train.
    batch_size : int
        Rows per step.
    lr : float
        Largest learning rate.
    max_epochs : int
        Epochs to train.
    weight_decay : float, default=0.0
        Of Adam: strength of an L2 penalty on the parameters.
    early_stopping : bool, default=False
        Whether to stop when the validation loss has not improved for `n_iter_no_change` epochs,
        and go back to the best epoch.
    n_iter_no_change : int, default=10
        Patience in epochs.
    tol : float, default=0.0
        Smallest relative improvement that counts.
    callbacks : list of skorch callbacks, default=None
        Notified of the beginning and end of training and of epochs.
    """

    def __init__(
        self,
        module: Task,
        *,
        batch_size: int,
        lr: float,
        max_epochs: int,
        weight_decay: float = 0.0,
        early_stopping: bool = False,
        n_iter_no_change: int = 10,
        tol: float = 0.0,
        callbacks: list[Any] | None = None,
    ):
        super().__init__(
            module,
            criterion=nn.Identity,
            optimizer=FusedAdam,
            batch_size=batch_size,
            lr=lr,
            max_epochs=max_epochs,
            callbacks=callbacks,
            device=None,  # the task is where its data is
            train_split=None,
        )
        self.weight_decay = weight_decay
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol

    @property
    def _default_callbacks(self) -> list[Any]:
        return []

    def initialize_optimizer(self, *args: Any, **kwargs: Any) -> "EpochNet":
        """Make the fused optimizer."""
        self.optimizer_ = FusedAdam(self.module_.parameter_groups(), self.lr, self.weight_decay)
        return self

    def train(self) -> dict[str, np.ndarray]:
        """Train the task.

        Returns
        -------
        dict of str to ndarray of shape (n_epochs,) or (n_epochs, n_models)
            ``train_loss``, with held-out rows ``valid_loss``, and what the task has to tell.

        Raises
        ------
        ValueError
            If the loss stops being finite, or ends far above that of a model that knows nothing.
        """
        self.initialize()
        self.notify("on_train_begin")
        try:
            self.fit_loop(None)
        finally:
            self.notify("on_train_end")
        names = [name for name in self.history[0] if name not in ("batches", "epoch")]
        history = {name: np.array(self.history[:, name]) for name in names}
        self._check(history["train_loss"][-1], self._bound(self.module_.ignorant_loss))
        return history

    def fit_loop(self, X: None, y: None = None, epochs: int | None = None, **_: Any) -> "EpochNet":
        """Run the epochs."""
        task: Task = self.module_
        cycle = self._cycle()
        best_loss, best_state, stale = math.inf, None, 0
        for _epoch in range(self.max_epochs):
            self.notify("on_epoch_begin")
            task.train()
            train_loss = self._run_epoch(task, cycle)
            task.eval()
            with torch.no_grad():
                valid = task.validation_loss()
                state = task.state_of_interest()
            self._record("train_loss", train_loss)
            if valid is not None:
                self._record("valid_loss", valid)
            for name, value in state.items():
                self.history.record(name, value)
            self.notify("on_epoch_end")
            if not self.early_stopping or valid is None:
                continue
            if self._improves(float(valid), best_loss) or best_state is None:
                best_loss, stale = float(valid), 0
                best_state = {k: v.detach().clone() for k, v in task.state_dict().items()}
            else:
                stale += 1
                if stale >= self.n_iter_no_change:
                    break
        if best_state is not None:
            task.load_state_dict(best_state)
        return self

    def _cycle(self) -> torch.optim.lr_scheduler.LRScheduler:
        """Make the schedule of the learning rate."""
        batches_per_epoch = math.ceil(self.module_.n_samples / self.batch_size)
        total_steps = max(3, self.max_epochs * batches_per_epoch)
        return torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer_,
            max_lr=[group["lr"] for group in self.optimizer_.param_groups],
            total_steps=total_steps,
            pct_start=max(0.1, 2 / total_steps),  # a rise of no step would divide by zero
        )

    def _run_epoch(self, task: Task, cycle: torch.optim.lr_scheduler.LRScheduler) -> Tensor:
        """Take one step per batch; the mean loss stays on the device until the epoch ends."""
        optimizer = self.optimizer_
        total, n_rows = torch.zeros(()), 0
        for batch in slices(task.shuffled_data(), self.batch_size):
            loss = self._backward(task, batch)
            optimizer.step()
            task.after_step()
            cycle.step()
            total = total + loss * len(batch[0])
            n_rows += len(batch[0])
        return total / n_rows

    def _backward(self, task: Task, batch: list[Tensor]) -> Tensor:
        """Return the loss of a batch, and leave its gradient in the parameters."""
        loss = task.loss(*batch)
        self.optimizer_.zero_grad()
        loss.sum().backward()
        return loss.detach()

    def _improves(self, loss: float, best_loss: float) -> bool:
        return loss < best_loss - self.tol * abs(best_loss)

    def _record(self, name: str, loss: Tensor) -> None:
        self.history.record(name, loss.tolist())
        self._check(loss.tolist(), math.inf)

    def _bound(self, ignorant_loss: ArrayLike) -> ArrayLike:
        return _HOPELESS * np.asarray(ignorant_loss)

    def _check(self, loss: ArrayLike, bound: ArrayLike) -> None:
        """Raise ValueError for a loss, or the first of several, that is not below its bound."""
        reached, bound = np.broadcast_arrays(loss, bound)
        too_much = reached[~(reached < bound)]
        if len(too_much):
            raise ValueError(
                f"Training diverged: the loss was {too_much[0]:.3g} after epoch "
                f"{len(self.history)}. "
                f"Lower learning_rate, which was {self.lr:g}, or look for extreme values in the "
                "data."
            )
