"""From the parameters of a DAEEnergyScorer to the trainings of its energies."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from sklearn_emma.energy.training import Architecture, EnergyConfig, EnergyTask
from sklearn_emma.energy.views import resolve_views
from sklearn_emma.engine.batches import auto_batch_size
from sklearn_emma.engine.device import resolve_device
from sklearn_emma.engine.objective import TrainingConfig
from sklearn_emma.indicators import feature_columns, least_scales_of


def architecture_of(scorer: Any, n_samples: int) -> Architecture:
    """Return the structure of the energies.

    Parameters
    ----------
    scorer : DAEEnergyScorer
        With its parameters.
    n_samples : int
        Number of training samples.

    Returns
    -------
    Architecture
        The same for every modality.
    """
    views = resolve_views(scorer.views)
    return Architecture(
        tuple(scorer.hidden_layer_sizes),
        scorer.activation,
        tuple(float(view.clip) for view in views),
        tuple(view.count_prototypes(n_samples) for view in views),
    )


def modality_tasks(
    scorer: Any,
    architecture: Architecture,
    samples: np.ndarray,
    weight: np.ndarray,
    seed: int,
    max_epochs: int,
    start: Sequence[dict[str, np.ndarray]] | None = None,
) -> list[EnergyTask]:
    """Return one training per modality.

    Parameters
    ----------
    scorer : DAEEnergyScorer
        With its parameters, its modalities and the levels of its categorical columns.
    architecture : Architecture
        Of the energies.
    samples : ndarray of shape (n_samples, n_features)
        Training samples, with indicators of categories.
    weight : ndarray of shape (n_samples,)
        Their weights.
    seed : int
        Determines all that is random.
    max_epochs : int
        Passes over the samples.
    start : sequence of dict of str to ndarray, default=None
        Weights of each modality to start from.

    Returns
    -------
    list of EnergyTask
        In the order of the modalities.
    """
    stop = None
    if scorer.early_stopping:
        samples, stop, weight, _ = train_test_split(
            samples, weight, test_size=scorer.validation_fraction, random_state=seed
        )
    training = TrainingConfig(
        batch_size=auto_batch_size(scorer.batch_size, len(samples)),
        learning_rate=float(scorer.learning_rate),
        max_epochs=max_epochs,
        early_stopping=scorer.early_stopping,
        n_iter_no_change=scorer.n_iter_no_change,
        tol=scorer.tol,
        verbose=scorer.verbose,
        schedule=scorer.learning_rate_schedule,
    )
    views, device = resolve_views(scorer.views), resolve_device(scorer.device)
    config = EnergyConfig(architecture, views, training, device, scorer.scale_energies)
    least_scales = least_scales_of(scorer)
    return [
        EnergyTask(
            scorer.modality_names_[i],
            samples[:, positions],
            weight / weight.mean(),
            None if stop is None else stop[:, positions],
            config,
            seed + i,
            None if start is None else start[i],
            least_scales[i],
        )
        for i, positions in enumerate(feature_columns(scorer))
    ]
