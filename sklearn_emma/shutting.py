"""Tables with modalities shut, for estimators behind a gate."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from sklearn_emma.gate.objective import NOTHING_LEFT

#: Weights of a mean over thresholds that are too small to pay for a prediction.
_NEGLIGIBLE = 0.01


def shut_modalities(
    table: np.ndarray, columns: Sequence[np.ndarray], shut: np.ndarray
) -> np.ndarray:
    """Return a copy of a table with NaN in what is shut.

    Parameters
    ----------
    table : ndarray of float of shape (n_samples, n_features)
        The table.
    columns : sequence of ndarray of int
        Positions of the columns of each modality.
    shut : ndarray of bool of shape (n_samples, n_modalities)
        What is shut.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
        The copy.
    """
    table = table.copy()
    for positions, closed in zip(columns, shut.T, strict=True):
        table[np.ix_(closed, positions)] = np.nan
    return table


def leave_out_columns(
    table: np.ndarray, columns: Sequence[np.ndarray], attention: np.ndarray
) -> np.ndarray:
    """Return a copy of a table with NaN in columns without attention.

    Parameters
    ----------
    table : ndarray of float of shape (n_samples, n_features)
        The table.
    columns : sequence of ndarray of int
        Positions of the columns of each modality.
    attention : ndarray of shape (n_samples, n_used_features)
        Attention to the columns of modalities, in the order of the table.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
        The copy.
    """
    table = table.copy()
    used = np.sort(np.concatenate(columns))
    table[:, used] = np.where(attention > 0, table[:, used], np.nan)
    return table


def masks(attention: np.ndarray, threshold: float | str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Find what is shut, at one threshold or at all of them.

    Parameters
    ----------
    attention : ndarray of shape (n_samples, n_modalities)
        From 0 to 1.
    threshold : float or "mean"
        Modalities of at most this attention are shut. "mean" goes through all thresholds below the
        highest attention of a sample: the share of them at which a modality is open is its
        attention, divided by the highest one.

    Yields
    ------
    weight : ndarray of shape (n_samples,)
        Share of thresholds with this mask; of a sample all weights add up to one.
    shut : ndarray of bool of shape (n_samples, n_modalities)
        The mask.
    """
    if not isinstance(threshold, str):
        yield np.ones(len(attention)), attention <= threshold
        return
    edges = np.sort(np.column_stack([attention, np.zeros(len(attention))]), axis=1)
    # how much is shut between one edge and the next; above the highest all modalities are
    share = np.diff(edges, axis=1)
    share = np.where(share < _NEGLIGIBLE, 0.0, share)
    total = share.sum(axis=1)
    nothing = total == 0  # all attention is negligible
    for lower, weight in zip(edges.T, share.T, strict=False):
        weight = weight / np.where(nothing, 1.0, total)
        yield weight, attention <= lower[:, None]
    yield nothing.astype(float), np.ones(attention.shape, dtype=bool)


def random_shut(
    n_samples: int, n_modalities: int, random_state: np.random.RandomState
) -> np.ndarray:
    """Draw which modalities of which samples are shut: 1 to M - 1 of M, and sometimes all.

    Parameters
    ----------
    n_samples, n_modalities : int
        Number of samples and of modalities M.
    random_state : RandomState
        Source of random numbers.

    Returns
    -------
    ndarray of bool of shape (n_samples, n_modalities)
        True where shut.
    """
    n_shut = random_state.randint(1, max(n_modalities, 2), size=n_samples)
    n_shut[random_state.uniform(size=n_samples) < NOTHING_LEFT] = n_modalities
    if n_modalities == 1:
        n_shut[:] = 0
    rank = random_state.uniform(size=(n_samples, n_modalities)).argsort(axis=1).argsort(axis=1)
    return rank < n_shut[:, None]


def takes_nan(estimator: Any) -> bool:
    """Tell whether an estimator says that it takes missing values; of a Pipeline, every step.

    Parameters
    ----------
    estimator : estimator
        The estimator.

    Returns
    -------
    bool
        By its tag ``input_tags.allow_nan``.
    """
    if isinstance(estimator, Pipeline):
        steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
        return all(map(takes_nan, steps))
    return bool(get_tags(estimator).input_tags.allow_nan)


def takes_categories(estimator: Any) -> bool:
    """Tell whether an estimator takes columns of the type ``category`` of pandas.

    Parameters
    ----------
    estimator : estimator
        The estimator; of a Pipeline, the first step counts.

    Returns
    -------
    bool
        True for encoders and ColumnTransformers; for estimators that take categories by the type of
        a column, as histogram gradient boosting does by ``categorical_features="from_dtype"``.
    """
    while isinstance(estimator, Pipeline):
        steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
        if not steps:
            return False
        estimator = steps[0]
    if isinstance(estimator, ColumnTransformer):
        return True
    tags, params = get_tags(estimator).input_tags, estimator.get_params(deep=False)
    by_type = isinstance(params.get("categorical_features"), str)
    by_library = type(estimator).__module__.startswith("lightgbm")
    return bool(tags.categorical or tags.string or by_type or by_library) or bool(
        params.get("enable_categorical")
    )


def weight_params(estimator: Any, weight: np.ndarray) -> dict[str, np.ndarray]:
    """Return what passes sample weights to ``fit`` of an estimator.

    Parameters
    ----------
    estimator : estimator
        Takes `sample_weight`, or is a Pipeline whose last step does.
    weight : ndarray of shape (n_samples,)
        The weights.

    Returns
    -------
    dict of str to ndarray
        Empty where all weights are equal.

    Raises
    ------
    ValueError
        If the estimator takes no weights.
    """
    if np.ptp(weight) == 0:
        return {}
    prefix = ""
    while isinstance(estimator, Pipeline):
        step, estimator = estimator.steps[-1]
        prefix += f"{step}__"
    if not has_fit_parameter(estimator, "sample_weight"):
        raise ValueError(
            f"sample_weight was given, but {type(estimator).__name__} does not take it. Leave it "
            "out, or choose another estimator."
        )
    return {f"{prefix}sample_weight": weight}
