r"""Learn how well the modalities of a sample fit together, if the estimator does not measure it.

A gate measures the disagreement of modalities only if there are at least three of them, since it
must know which one is wrong. Over many samples, disagreement is evidence of a failure even with two
modalities, and for estimators without a gate. The pointwise mutual information :math:`c_{ij}` of
each pair of modalities is learned from clean samples, as by
:class:`~sklearn_emma.nn.CrossModalEnergy`. The disagreement of modality i with the others is

.. math:: A_i = -\frac{\sum_{j \ne i} v_j\, c_{ij}}{\max(1, \sum_{j \ne i} v_j)}.

Unlike in a gate, the weight :math:`v_j` does not depend on the potential of modality j. It is zero
if modality j is missing, and small if modality j itself disagrees with the others.
"""

from collections.abc import Sequence

import numpy as np
import torch

from sklearn_emma.engine.batches import pair_block
from sklearn_emma.engine.objective import TrainingConfig
from sklearn_emma.engine.seeding import draw_seed, make_generator
from sklearn_emma.engine.training import gradients
from sklearn_emma.gate.cross_modal import train_cross_modal
from sklearn_emma.nn.encoders import freeze

__all__ = ["Agreement"]

_MOST_SAMPLES, _BATCH_SIZE, _N_EPOCHS = 10_000, 512, 50


class Agreement:
    """Learn the disagreement of modalities.

    Parameters
    ----------
    modalities : sequence of ndarray of shape (n_samples, n_features)
        Standardized clean samples of each modality, with missing values replaced by zero. At most
        10,000 of them are used.
    rng : RandomState
        Random number generator.

    Attributes
    ----------
    cross_modal_ : CrossModalEnergy
        Trained network, in double precision.
    """

    @gradients()
    def __init__(self, modalities: Sequence[np.ndarray], rng: np.random.RandomState) -> None:
        chosen = np.sort(rng.permutation(len(modalities[0]))[:_MOST_SAMPLES])
        samples = [torch.from_numpy(x[chosen]).float() for x in modalities]
        config = TrainingConfig(
            min(_BATCH_SIZE, len(chosen)), learning_rate=3e-3, max_epochs=_N_EPOCHS
        )
        weight = torch.ones(len(chosen), dtype=torch.float32)
        first, second = (make_generator(draw_seed(rng)) for _ in range(2))
        # small errors of the log ratios would add up over time, so a part is always held out
        network = train_cross_modal(samples, weight, config, first, second, few_columns=0)
        self.cross_modal_ = freeze(network.double())

    def disagreement(self, modalities: Sequence[np.ndarray], present: np.ndarray) -> np.ndarray:
        """Return the disagreement of each modality with the others.

        Parameters
        ----------
        modalities : sequence of ndarray of shape (n_samples, n_features)
            Standardized samples of each modality, with missing values replaced by zero.
        present : ndarray of bool of shape (n_samples, n_modalities)
            False where all values of a modality are missing.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Disagreement in nats. It is negative if modalities fit together.
        """
        tensors = [torch.from_numpy(x) for x in (present.astype(float), *modalities)]
        blocks = zip(*(x.split(pair_block(len(modalities))) for x in tensors), strict=True)
        with torch.inference_mode():
            found = [self.cross_modal_.disagreement(x, weight) for weight, *x in blocks]
        return torch.cat(found).numpy()
