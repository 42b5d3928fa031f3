"""Fit one energy scorer per modality."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import joblib
import numpy as np
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import has_fit_parameter

from sklearn_emma.energy.protocol import is_tensor_energy
from sklearn_emma.energy.samples import EnergySamples
from sklearn_emma.energy.training import train_energies
from sklearn_emma.engine.seeding import seeded
from sklearn_emma.engine.training_memory import source_of


def fit_energies(
    scorers: dict[str, Any],
    samples: Sequence[EnergySamples],
    seed: int,
    *,
    least_scales: Sequence[np.ndarray | None] | None = None,
    n_jobs: int | None = None,
    memory: joblib.Memory,
) -> dict[str, Any]:
    """Fit one energy scorer per modality.

    Parameters
    ----------
    scorers : dict of str to estimator
        Unfitted scorers by modality. They are cloned.
    samples : sequence of EnergySamples
        Training samples of each modality, in the order of the scorers. Weights are passed to
        scorers whose fit takes them.
    seed : int
        Seed of scorers whose random state is None.
    least_scales : sequence of ndarray of shape (n_features,), default=None
        Smallest scale of each feature, for scorers that are trained as a stack.
    n_jobs : int or None, default=None
        Number of parallel processes.
    memory : joblib.Memory
        Cache of fits.

    Returns
    -------
    dict of str to estimator
        Fitted scorers by modality.
    """
    least_scales = least_scales or [None] * len(scorers)
    own: dict[str, tuple] = {}
    other: dict[str, tuple] = {}
    for i, ((name, scorer), of_modality) in enumerate(zip(scorers.items(), samples, strict=True)):
        unfitted = seeded(scorer, seed + i)
        if is_tensor_energy(unfitted):
            own[name] = unfitted, *of_modality, least_scales[i]
        else:
            other[name] = unfitted, *of_modality
    fit_cached = memory.cache(_fit_other)
    cached = memory.store_backend is not None
    codes = [source_of(scorer) if cached else None for scorer, *_ in other.values()]
    outcomes = Parallel(n_jobs=n_jobs)(
        delayed(_fit_other)(*args) if code is None else delayed(fit_cached)(*args, code)
        for args, code in zip(other.values(), codes, strict=True)
    )
    fitted = dict(zip(other, outcomes, strict=True))
    if own:
        fit_own = memory.cache(_fit_own, ignore=["names", "n_jobs"])
        columns = map(list, zip(*own.values(), strict=True))
        trained = fit_own(*columns, names=list(own), n_jobs=n_jobs)
        fitted |= dict(zip(own, trained, strict=True))
    return {name: fitted[name] for name in scorers}


def _fit_own(
    scorers: list[Any],
    tables: list[np.ndarray],
    weights: list[np.ndarray],
    least_scales: list[np.ndarray | None],
    names: list[str],
    n_jobs: int | None,
) -> list[Any]:
    """Fit scorers, each on its own table, and train energies of the same shape as a stack."""
    pending = [
        scorer.begin_fit(table, weight, is_part=True)
        for scorer, table, weight in zip(scorers, tables, weights, strict=True)
    ]
    # without categories, a task keeps its own smallest scale
    least_scales = [None if least is None or not least.any() else least for least in least_scales]
    tasks = [
        replace(task, name=name, least_scale=task.least_scale if least is None else least)
        for fit, name, least in zip(pending, names, least_scales, strict=True)
        for task in fit.tasks
    ]
    trained = train_energies(tasks, n_jobs, "stage 1 of 2, ")
    fitted = []
    for fit in pending:
        fitted.append(fit.finish(trained[: len(fit.tasks)]))
        trained = trained[len(fit.tasks) :]
    return fitted


def _fit_other(scorer: Any, x: np.ndarray, weight: np.ndarray, code: str = "") -> Any:
    """Fit an estimator of another library. Its code is part of the key of the cache."""
    if has_fit_parameter(scorer, "sample_weight") and (weight != 1).any():
        return scorer.fit(x, None, sample_weight=weight)
    return scorer.fit(x, None)
