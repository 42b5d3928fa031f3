"""Training of the energy that a modality has beside the others."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sklearn_emma.engine.objective import Task, train
from sklearn_emma.nn import CrossModalEnergy, noise_contrastive_loss

# Rows are shown with noise of up to so many standard deviations, so that the log ratios are smooth
# and a small table is not learned by heart.
_NOISE = 0.5
# Shuffled rows for every row of the table.
_N_SHUFFLES = 2
_EPOCHS = 50
_LEARNING_RATE = 3e-3
# Rows evaluated together at most, and the numbers that they have, one for every pair of modalities.
_BLOCK, _MOST_NUMBERS = 4096, 2**22


def block_size(n_modalities: int) -> int:
    """Return how many rows to evaluate together where they have a number for every pair.

    Parameters
    ----------
    n_modalities : int
        Number of modalities.

    Returns
    -------
    int
        At least one.
    """
    return max(1, min(_BLOCK, _MOST_NUMBERS // n_modalities**2))


class Contrast(Task):
    """Tell the rows of the table from rows whose modalities were shuffled.

    Parameters
    ----------
    cross_modal : CrossModalEnergy
        Trained in place.
    modalities : list of Tensor of shape (n_samples, n_features)
        Standardised rows without gaps.
    weight : Tensor of shape (n_samples,)
        Weights of the rows.
    generator : torch.Generator
        On the device of the rows.
    """

    def __init__(
        self,
        cross_modal: CrossModalEnergy,
        modalities: list[Tensor],
        weight: Tensor,
        generator: torch.Generator,
    ):
        super().__init__(generator)
        self.cross_modal = cross_modal
        self.modalities = modalities
        self.weight = weight
        self.n_samples = len(weight)
        self.ignorant_loss = 2.0 * math.log(2.0)

    def epoch_data(self) -> Sequence[Tensor]:
        """Return weight and modalities, with fresh noise."""
        g, device = self.generator, self.weight.device
        sigma = _NOISE * torch.rand(self.n_samples, 1, generator=g, device=device)
        noise = [torch.randn(x.shape, generator=g, device=device) for x in self.modalities]
        noisy = [torch.addcmul(x, sigma, z) for x, z in zip(self.modalities, noise, strict=True)]
        return self.weight, *noisy

    def loss(self, *batch: Tensor) -> Tensor:
        """Return the contrastive loss."""
        weight, *modalities = batch
        embeddings = self.cross_modal.encode(modalities)
        together = self.cross_modal.fit_together(embeddings)
        order = torch.cat([self._shuffle(embeddings) for _ in range(_N_SHUFFLES)])
        shuffled = embeddings.gather(0, order.unsqueeze(2).expand(-1, -1, embeddings.shape[2]))
        apart = self.cross_modal.fit_together(shuffled)
        return noise_contrastive_loss(together, apart, weight, weight[order])

    def _shuffle(self, embeddings: Tensor) -> Tensor:
        """Draw another row for every modality."""
        n, m = embeddings.shape[:2]
        return torch.rand(n, m, generator=self.generator, device=embeddings.device).argsort(0)

    def validation_loss(self) -> None:
        """Return nothing: the number of epochs is fixed."""
        return


def train_cross_modal(
    modalities: list[Tensor],
    weight: Tensor,
    batch_size: int,
    generator: torch.Generator,
    weights_generator: torch.Generator,
    verbose: int | bool = False,
) -> CrossModalEnergy:
    """Learn how well modalities fit together.

    Parameters
    ----------
    modalities : list of Tensor of shape (n_samples, n_features)
        Standardised rows without gaps.
    weight : Tensor of shape (n_samples,)
        Weights of the rows.
    batch_size : int
        Rows per step.
    generator : torch.Generator
        Source of shuffling and noise, on the device of the rows.
    weights_generator : torch.Generator
        Source of initial weights, on the CPU.
    verbose : int or bool, default=False
        Whether to show progress.

    Returns
    -------
    CrossModalEnergy
        Trained, on the device of the rows.
    """
    cross_modal = CrossModalEnergy(
        [x.shape[1] for x in modalities], bound=math.log(len(weight)), generator=weights_generator
    ).to(weight.device)
    train(
        Contrast(cross_modal, modalities, weight, generator),
        "cross-modal energy",
        verbose,
        batch_size=batch_size,
        lr=_LEARNING_RATE,
        max_epochs=_EPOCHS,
    )
    return cross_modal.requires_grad_(False)


@torch.no_grad()
def in_company(
    cross_modal: CrossModalEnergy,
    modalities: Sequence[Tensor],
    potential: Tensor,
    minimum: Tensor,
    scale: Tensor,
) -> Tensor:
    """Evaluate a cross-modal energy on many rows; see :class:`~sklearn_emma.nn.CrossModalEnergy`.

    Parameters
    ----------
    cross_modal : CrossModalEnergy
        Trained.
    modalities : sequence of Tensor of shape (n_samples, n_features)
        Standardised rows without gaps.
    potential : Tensor of shape (n_samples, n_modalities)
        Potential of each modality by itself.
    minimum, scale : Tensor of shape (n_modalities,)
        Constants of the gate.

    Returns
    -------
    Tensor of shape (n_samples, n_modalities)
        Potentials in company.
    """
    size = block_size(len(modalities))
    blocks = zip(potential.split(size), *(x.split(size) for x in modalities), strict=True)
    return torch.cat([cross_modal(rows, psi, minimum, scale) for psi, *rows in blocks])
