"""Tables in which one modality fails at a time, and scores of an estimator for them."""

from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import clone

from sklearn_emma.corruption import Corruption
from sklearn_emma.corruption.base import is_number
from sklearn_emma.folds import check_score


def break_modality(
    corruption: Corruption,
    X: Any,
    modalities: Any,
    name: str | Sequence[str],
    seeds: Iterable[int],
    reference: Any,
) -> Iterator[Any]:
    """Corrupt one or several modalities of all samples.

    Parameters
    ----------
    corruption : Corruption
        How the modality fails. Its parameters `only` and `n_corrupted` are ignored.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples. They are not modified.
    modalities : dict, list of (name, columns), callable, "prefix" or None
        The groups of columns.
    name : str or sequence of str
        The modality that fails, or the modalities that fail together.
    seeds : iterable of int
        Seeds of the failures, one for each table.
    reference : array-like or DataFrame of shape (n_reference, n_features)
        Reference samples of the corruption.

    Yields
    ------
    ndarray or DataFrame of shape (n_samples, n_features)
        The corrupted samples.
    """
    failing = [name] if isinstance(name, str) else list(name)
    only = clone(corruption).set_params(only=failing, n_corrupted=len(failing))
    for seed in seeds:
        yield only.corrupt(X, modalities, int(seed), reference)[0]


def failing_tables(
    failures: Sequence[Corruption | None],
    X: Any,
    modalities: Any,
    names: Sequence[str],
    seeds: np.ndarray,
    reference: Any,
) -> Iterator[tuple[int, int, Iterator[Any]]]:
    """Corrupt one modality at a time, with one corruption at a time.

    Parameters
    ----------
    failures : sequence of Corruption or None
        How a modality fails. None is skipped.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples. They are not modified.
    modalities : dict, list of (name, columns), callable, "prefix" or None
        The groups of columns.
    names : sequence of str
        The modalities that fail, one at a time.
    seeds : ndarray of int of shape (n_modalities, n_repeats)
        Seeds of the failures.
    reference : array-like or DataFrame of shape (n_reference, n_features)
        Reference samples of the corruption.

    Yields
    ------
    i, j : int
        Positions of the modality in `names` and of the corruption in `failures`.
    tables : iterator of ndarray or DataFrame of shape (n_samples, n_features)
        The corrupted samples, one table for each repeat.
    """
    for i, name in enumerate(names):
        for j, failure in enumerate(failures):
            if failure is not None:
                yield i, j, break_modality(failure, X, modalities, name, seeds[i], reference)


def score_with(scorer: Any, estimator: Any, X: Any, y: Any, score_params: dict) -> float:
    """Score an estimator on samples, with or without targets.

    Parameters
    ----------
    scorer : callable
        A scorer.
    estimator : estimator
        Fitted estimator.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples.
    y : array-like of shape (n_samples,) or None
        Targets. If None, no targets are passed to the scorer.
    score_params : dict
        Further parameters of the scorer.

    Returns
    -------
    float
        The score.
    """
    return check_score(scorer(estimator, X, *([] if y is None else [y]), **score_params))


def check_repeats(n_repeats: Any) -> int:
    """Return the number of draws as an int. Raise ValueError unless it is a positive integer."""
    if not is_number(n_repeats, Integral) or n_repeats < 1:
        raise ValueError(f"n_repeats={n_repeats!r} must be a positive integer.")
    return int(n_repeats)
