"""Create the training tasks of a DAEEnergyScorer from its parameters."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from sklearn_emma.energy.samples import EnergySamples
from sklearn_emma.energy.training import EnergyArchitecture, EnergyConfig, EnergyTask
from sklearn_emma.energy.views import resolve_views
from sklearn_emma.engine.batches import auto_batch_size
from sklearn_emma.engine.device import resolve_device
from sklearn_emma.engine.objective import TrainingConfig
from sklearn_emma.indicators import least_scales_of


def architecture_of(scorer: Any, n_samples: int) -> EnergyArchitecture:
    """Return the architecture of the energy of a modality.

    Parameters
    ----------
    scorer : DAEEnergyScorer
        Scorer, whose parameters are used.
    n_samples : int
        Number of training samples of the modality.

    Returns
    -------
    EnergyArchitecture
        Architecture of its energy.
    """
    views = resolve_views(scorer.views)
    return EnergyArchitecture(
        tuple(scorer.hidden_layer_sizes),
        scorer.activation,
        tuple(float(view.clip) for view in views),
        tuple(view.count_prototypes(n_samples) for view in views),
    )


def modality_tasks(
    scorer: Any,
    architectures: Sequence[EnergyArchitecture],
    samples: Sequence[EnergySamples],
    seed: int,
    max_epochs: int,
    start: Sequence[dict[str, np.ndarray] | None],
) -> list[EnergyTask]:
    """Return one training task per modality.

    Parameters
    ----------
    scorer : DAEEnergyScorer
        Scorer whose modalities and levels of categorical columns are already determined.
    architectures : sequence of EnergyArchitecture
        Architecture of the energy of each modality.
    samples : sequence of EnergySamples
        Training samples of each modality.
    seed : int
        Seed of all random numbers.
    max_epochs : int
        Largest number of passes over the samples, if there are initial weights. Otherwise it is
        that of the scorer.
    start : sequence of dict of str to ndarray, or None
        Initial weights of each modality. None draws random ones.

    Returns
    -------
    list of EnergyTask
        Training tasks, in the order of the modalities.
    """
    training = TrainingConfig(
        batch_size=1,  # set below, as it depends on the number of samples of each modality
        learning_rate=float(scorer.learning_rate),
        max_epochs=scorer.max_epochs,
        early_stopping=scorer.early_stopping,
        n_iter_no_change=scorer.n_iter_no_change,
        tol=scorer.tol,
        verbose=scorer.verbose,
        schedule=scorer.learning_rate_schedule,
    )
    views, device = resolve_views(scorer.views), resolve_device(scorer.device)
    least_scales = least_scales_of(scorer)
    tasks = []
    for i, (x, weight) in enumerate(samples):
        stop = stop_weight = None
        if scorer.early_stopping:
            x, stop, weight, stop_weight = train_test_split(
                x, weight, test_size=scorer.validation_fraction, random_state=seed
            )
            stop_weight = stop_weight / stop_weight.mean()
        of_modality = replace(training, batch_size=auto_batch_size(scorer.batch_size, len(x)))
        if start[i] is not None:
            of_modality = replace(of_modality, max_epochs=max_epochs)
        task = EnergyTask(
            scorer.modality_names_[i],
            x,
            weight / weight.mean(),
            stop,
            EnergyConfig(architectures[i], views, of_modality, device, scorer.scale_energies),
            seed + i,
            start[i],
            least_scales[i],
            stop_weight,
        )
        tasks.append(task)
    return tasks
