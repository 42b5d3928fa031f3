"""Stage 1 for modalities of one shape: many small products become a few larger ones."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from sklearn_emma.energy.denoising import Denoising, denoising_loss
from sklearn_emma.engine.objective import Task
from sklearn_emma.nn.module_stack import stack, stack_rows, unstack


class SideBySide(Task):
    """Energies of several modalities, each trained as it would be by itself.

    Every modality has rows, noise and an order of its own, from its own generator; a step goes
    through the stacked parameters of all of them.

    Parameters
    ----------
    tasks : sequence of Denoising
        For each modality, of as many rows and energies of the same layers; none holds rows out.
    """

    def __init__(self, tasks: Sequence[Denoising]):
        super().__init__(tasks[0].generator)
        self.tasks = list(tasks)  # not modules of this one: what is trained are copies
        self.n_samples = tasks[0].n_samples
        views = zip(*(task.energies for task in tasks), strict=True)
        self.stacked = nn.ModuleList(map(stack, views))
        self.ignorant_loss = np.array([task.ignorant_loss for task in tasks]).tolist()

    def epoch_data(self) -> Sequence[Tensor]:
        """Return what the tasks do, each in its own order: (n_samples, n_modalities, ...)."""
        each = (task.shuffled_data() for task in self.tasks)
        return [
            stack_rows(tensors, 1) if tensors[0].ndim > 1 else torch.stack(tensors, 1)
            for tensors in zip(*each, strict=True)
        ]

    def shuffled_data(self) -> Sequence[Tensor]:
        """Return the same."""
        return self.epoch_data()

    def loss(self, *batch: Tensor) -> Tensor:
        """Return the loss of each modality."""
        by_modality = [tensor.transpose(0, 1) for tensor in batch]
        return denoising_loss(self.stacked, self.tasks[0].robust, by_modality)  # type: ignore[arg-type]

    def validation_loss(self) -> None:
        """Return nothing: no rows are held out."""
        return

    def hand_back(self) -> None:
        """Give the energies of the tasks the parameters that were trained."""
        views = zip(*(task.energies for task in self.tasks), strict=True)
        for stacked, energies in zip(self.stacked, views, strict=True):
            unstack(stacked, energies)
