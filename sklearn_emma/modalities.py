"""Modalities: conversion of user input to names and column positions.

A *modality* is a named group of columns. :func:`resolve_modalities` accepts all forms in which the
groups can be specified, and explains what is wrong with an invalid one. :func:`split_columns`
splits an array into its modalities.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_emma.column_lookup import find_columns, listed, why_no_names
from sklearn_emma.frames import frame_of_arrow, pandas_frame
from sklearn_emma.nn.convolutional_energy import signal_shape

SEPARATOR = "__"
DEFAULT_NAME = "all"


@dataclass(frozen=True, eq=False)
class Modality:
    """Declaration that the columns of a modality are a signal or an image.

    Pass it instead of the columns in a dict or list of modalities. Then the default energy of the
    modality is :class:`SignalEnergyScorer`, the default predictor uses features of the signal
    (:class:`~sklearn_emma.nn.SignalEncoder`), and all columns of a channel are standardized with
    the same mean and scale.

    Parameters
    ----------
    columns : str, int, slice, list or callable
        The columns, as in :class:`~sklearn.compose.ColumnTransformer`. They have to be in C order:
        one channel after the other and, in an image, one row after the other.
    shape : tuple of int, default=None
        (channels, length) of a signal, or (channels, height, width) of an image. None for columns
        without an order.

    Raises
    ------
    ValueError
        If the shape is not valid.

    Examples
    --------
    >>> from sklearn_emma import EMMAClassifier, Modality
    >>> clf = EMMAClassifier(
    ...     {"acceleration": Modality(slice(0, 300), shape=(3, 100)), "place": ["x", "y"]}
    ... )
    """

    columns: Any
    shape: Sequence[int] | None = None

    def __post_init__(self) -> None:
        if self.shape is not None:
            signal_shape(self.shape)


def modality_shapes(
    modalities: Any, names: Sequence[str], columns: Sequence[np.ndarray]
) -> list[tuple[int, ...] | None]:
    """Return the declared shapes of modalities.

    Parameters
    ----------
    modalities : None, dict, list of (str, columns), callable or "prefix"
        Specification of the modalities by the user.
    names : list of str of length n_modalities
        Names of the modalities.
    columns : list of ndarray of int
        Column positions of each modality.

    Returns
    -------
    list of tuple of int or None
        Shape of each modality that is a signal or an image; None for other modalities.

    Raises
    ------
    ValueError
        If the number of columns of a modality does not match its shape.
    """
    if modalities is None or callable(modalities) or isinstance(modalities, str):
        return [None] * len(names)
    written = dict(_as_pairs(modalities))
    shapes: list[tuple[int, ...] | None] = []
    for name, positions in zip(names, columns, strict=True):
        given = written.get(name)
        shape = given.shape if isinstance(given, Modality) else None
        shapes.append(None if shape is None else signal_shape(shape))
        if shape is not None and math.prod(shape) != len(positions):
            raise ValueError(
                f"Modality {name!r}: shape={tuple(shape)} needs {' x '.join(map(str, shape))} = "
                f"{math.prod(shape)} columns, but it has {len(positions)}."
            )
    return shapes


def signals_of(estimator: Any) -> list[tuple[str, np.ndarray, tuple[int, ...]]]:
    """Return the modalities of an estimator that are signals or images.

    Parameters
    ----------
    estimator : BaseEMMA or DAEEnergyScorer
        With ``modality_names_``, ``modality_columns_`` and, if there may be any, with
        ``modality_shapes_``.

    Returns
    -------
    list of tuple of str, ndarray of int and tuple of int
        Name, columns and shape of each.
    """
    names, columns = estimator.modality_names_, estimator.modality_columns_
    shapes = getattr(estimator, "modality_shapes_", [None] * len(names))
    each = zip(names, columns, shapes, strict=True)
    return [(name, places, shape) for name, places, shape in each if shape is not None]


def resolve_modalities(
    modalities: Any, X: Any, *, remainder: Any = "error"
) -> tuple[list[str], list[np.ndarray]]:
    """Convert a specification of modalities to names and column positions.

    Parameters
    ----------
    modalities : None, dict, list of (str, columns), callable or "prefix"
        - None: one modality, named ``"all"``, of all columns;
        - a dict or a list of pairs: name and columns of each modality, where columns is
          whatever :class:`~sklearn.compose.ColumnTransformer` takes: a name or names, a
          position or positions, a slice of either (one of names includes its end), a boolean
          mask, or a callable that is given `X` and returns any of these, such as
          :func:`~sklearn.compose.make_column_selector`, or a :class:`Modality` of them;
        - a callable: takes a column's name and returns the name of its modality, or None if
          it belongs to none;
        - ``"prefix"``: the part of a column's name before the first ``"__"``, which is what
          ColumnTransformer and FeatureUnion write.
    X : DataFrame or array-like of shape (n_samples, n_features)
        The data as the user passed them. Only a pandas or polars DataFrame has column names.
    remainder : str, default="error"
        Treatment of columns that do not belong to any modality. ``"error"`` raises an
        error, ``"drop"`` ignores them. Any other string is the name of an additional
        modality of these columns, which is the last one.

    Returns
    -------
    names : list of str of length n_modalities
        The modalities, in the user's order; for a callable and ``"prefix"`` in the order in
        which they first appear among the columns.
    columns : list of ndarray of shape (n_features_i,) and dtype intp
        Positions of the columns of each modality, in the user's order.

    Raises
    ------
    ValueError
        If there is no modality; if a modality is empty; if its name is not a string or is not
        unique; if a column is unknown, out of range or in two modalities; if columns do not
        belong to any modality and `remainder` is ``"error"``; if column names are needed and
        `X` has none.

    See Also
    --------
    split_columns : Split an array into modalities.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.modalities import resolve_modalities
    >>> names, columns = resolve_modalities({"radar": slice(0, 2), "sonar": [3, 2]}, np.eye(4))
    >>> names
    ['radar', 'sonar']
    >>> [positions.tolist() for positions in columns]
    [[0, 1], [3, 2]]

    >>> import pandas as pd
    >>> X = pd.DataFrame(np.eye(3), columns=["radar__x", "sonar__x", "radar__y"])
    >>> names, columns = resolve_modalities("prefix", X)
    >>> names, [positions.tolist() for positions in columns]
    (['radar', 'sonar'], [[0, 2], [1]])
    """
    X = frame_of_arrow(X)
    n_columns, column_names = _describe_columns(X)
    if modalities is None:
        return [DEFAULT_NAME], [np.arange(n_columns, dtype=np.intp)]
    if not (isinstance(remainder, str) and remainder):
        raise ValueError(
            f'remainder must be "error", "drop" or the name of a modality, got {remainder!r}.'
        )

    hint = ""
    if isinstance(modalities, str):
        if modalities != "prefix":
            raise ValueError(
                f'The only string that `modalities` can be is "prefix", got {modalities!r}. '
                f"{_accepted_forms()}"
            )
        hint = f' Their names have no "{SEPARATOR}", which modalities="prefix" looks for.'
        groups = _group_by_name(_prefix, X, column_names, 'modalities="prefix"')
    elif callable(modalities):
        hint = " The callable returned None for them."
        groups = _group_by_name(modalities, X, column_names, "A callable as `modalities`")
    else:
        groups = _group_by_columns(_as_pairs(modalities), X, n_columns, column_names)
        if _are_pairs_of_columns(modalities, groups, column_names):
            raise ValueError(_how_to_name(modalities))

    if not groups:
        raise ValueError(
            f"There is no modality: modalities={modalities!r} takes none of the columns.{hint} "
            f"{_accepted_forms()}"
        )

    labels: list = column_names or list(range(n_columns))
    leftover = _check_disjoint(groups, n_columns, labels)
    if remainder not in ("error", "drop") and remainder in groups:
        raise ValueError(
            f"remainder={remainder!r} is already the name of a modality. Choose another name "
            "for the leftover columns."
        )
    if leftover.size and remainder == "error":
        raise ValueError(
            f"{leftover.size} column(s) belong to no modality: "
            f"{listed(labels[i] for i in leftover)}.{hint} Add them to a modality, or set "
            'remainder="drop" to ignore them or remainder="<name>" to gather them in a '
            "modality of that name."
        )
    if leftover.size and remainder != "drop":
        groups[remainder] = leftover
    return list(groups), list(groups.values())


def split_columns(X: Any, columns: Sequence[np.ndarray]) -> list:
    """Split an array into one array per modality.

    Parameters
    ----------
    X : ndarray or Tensor of shape (n_samples, n_features)
        The columns of all modalities.
    columns : list of ndarray of shape (n_features_i,)
        Column positions of each modality, from :func:`resolve_modalities`.

    Returns
    -------
    blocks : list of ndarray or Tensor of shape (n_samples, n_features_i)
        One block per modality: a view of `X` where the positions are consecutive and
        increasing, a copy otherwise.

    See Also
    --------
    resolve_modalities : Find the positions.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.modalities import split_columns
    >>> X = np.arange(6).reshape(2, 3)
    >>> first, second = split_columns(X, [np.array([0, 1]), np.array([2])])
    >>> np.shares_memory(first, X), first.tolist(), second.tolist()
    (True, [[0, 1], [3, 4]], [[2], [5]])
    """
    return [X[:, as_slice(positions)] for positions in columns]


def as_slice(positions: np.ndarray) -> slice | np.ndarray:
    """Return consecutive increasing positions as a slice, any others as they are.

    Parameters
    ----------
    positions : ndarray of int
        Column positions.

    Returns
    -------
    slice or ndarray of int
        What selects the same columns; a slice selects a view.
    """
    positions = np.asarray(positions, dtype=np.intp)
    if positions.size and np.all(np.diff(positions) == 1):
        return slice(int(positions[0]), int(positions[-1]) + 1)
    return positions


def _describe_columns(X: Any) -> tuple[int, list[str] | None]:
    """Count the columns and list their names, None where not all of them are strings."""
    shape = X.shape if hasattr(X, "shape") else np.asarray(X).shape
    if len(shape) != 2:
        raise ValueError(
            f"Modalities are groups of columns of a table: expected 2D data, got {len(shape)}D "
            "data. Reshape a single column with X.reshape(-1, 1)."
        )
    names = list(X.columns) if hasattr(X, "columns") else []
    has_names = bool(names) and all(isinstance(name, str) for name in names)
    return shape[1], names if has_names else None


def _as_pairs(modalities: Any) -> list[tuple[str, Any]]:
    """Return a dict or list of pairs as a list of pairs, with valid and distinct names."""
    if isinstance(modalities, Mapping):
        pairs = list(modalities.items())
    elif not isinstance(modalities, (list, tuple)):
        raise ValueError(
            f"`modalities` has the wrong type: {type(modalities).__name__}, {modalities!r}. "
            f"{_accepted_forms()}"
        )
    elif any(_is_unnamed(group) for group in modalities):
        raise ValueError(_how_to_name(modalities))
    else:
        wrong = [pair for pair in modalities if not _is_pair(pair)]
        if wrong:
            raise ValueError(
                f"`modalities` must hold (name, columns) pairs, but {wrong[0]!r} is not one, in "
                f"{modalities!r}. {_accepted_forms()}"
            )
        pairs = list(modalities)
    seen: set[str] = set()
    for name, _ in pairs:
        _check_name(name)
        if name in seen:
            raise ValueError(
                f"The modality {name!r} is given twice. Give each modality its own name, or "
                "merge their columns."
            )
        seen.add(name)
    return pairs


def _check_name(name: Any) -> None:
    """Raise ValueError unless the name of a modality is a string with characters in it."""
    if not isinstance(name, str) or not name:
        raise ValueError(
            f"A modality's name must be a non-empty string, got {name!r} of type "
            f"{type(name).__name__}. In a dict the names come first, as in "
            '{"radar": [0, 1], "camera": [2, 3]}.'
        )


def _is_pair(item: Any) -> bool:
    return isinstance(item, (list, tuple)) and len(item) == 2


def _are_pairs_of_columns(
    modalities: Any, groups: dict[str, np.ndarray], column_names: list[str] | None
) -> bool:
    """Return whether pairs contain names of columns instead of names of modalities."""
    if isinstance(modalities, Mapping) or not groups or column_names is None:
        return False
    used = {column_names[i] for positions in groups.values() for i in positions}
    written = all(isinstance(columns, str) for _, columns in modalities)
    return written and set(groups) <= set(column_names) - used


def _is_unnamed(group: Any) -> bool:
    """Return whether an element of a list of modalities chooses columns and has no name."""
    if isinstance(group, (list, tuple)):
        n_strings = sum(isinstance(item, str) for item in group)
        return len(group) > 0 and (n_strings == 0 or (n_strings == len(group) > 2))
    return isinstance(group, (np.ndarray, slice, range, Modality))


def _how_to_name(groups: Sequence) -> str:
    """Say how to name groups of columns."""
    first = [f"modality{i}" for i in range(min(2, len(groups)))]
    more = ", ..." if len(groups) > 2 else ""
    named = ", ".join(f'"{name}": {group!r}' for name, group in zip(first, groups, strict=False))
    pairs = ", ".join(f'("{name}", {group!r})' for name, group in zip(first, groups, strict=False))
    return (
        f"`modalities` holds groups of columns without names, {groups!r}. Give each group the "
        f"name of its modality, in a dict, {{{named}{more}}}, or in a list of pairs, "
        f"[{pairs}{more}]."
    )


def _prefix(column: str) -> str | None:
    """Return the part of a name before the separator, None if there is none."""
    prefix, separator, _ = column.partition(SEPARATOR)
    return prefix if separator and prefix else None


def _group_by_name(
    modality_of: Callable[[str], Any], X: Any, column_names: list[str] | None, what: str
) -> dict[str, np.ndarray]:
    """Group columns by what `modality_of` returns for their names, in order of appearance."""
    if column_names is None:
        raise ValueError(f"{what} needs column names that are strings, but {why_no_names(X)}")
    groups: dict[str, list[int]] = {}
    for position, column in enumerate(column_names):
        name = modality_of(column)
        if name is not None:
            _check_name(name)
            groups.setdefault(name, []).append(position)
    return {name: np.array(positions, dtype=np.intp) for name, positions in groups.items()}


def _group_by_columns(
    pairs: list[tuple[str, Any]], X: Any, n_columns: int, column_names: list[str] | None
) -> dict[str, np.ndarray]:
    """Find the positions of each pair's columns."""
    groups = {}
    for name, columns in pairs:
        if isinstance(columns, Modality):
            columns = columns.columns
        if callable(columns):
            columns = columns(pandas_frame(X))
        positions = find_columns(name, columns, X, n_columns, column_names)
        if not positions:
            raise ValueError(
                f"The modality {name!r} is empty: {columns!r} selects no column. Give it at "
                "least one column or leave it out."
            )
        groups[name] = np.array(positions, dtype=np.intp)
    return groups


def _check_disjoint(groups: dict[str, np.ndarray], n_columns: int, labels: list) -> np.ndarray:
    """Check that no column is used twice; return the positions of those not used at all."""
    owner: list[str | None] = [None] * n_columns
    for name, positions in groups.items():
        for position in positions:
            if owner[position] == name:
                raise ValueError(
                    f"Modality {name!r} lists the column {labels[position]!r} twice. List it once."
                )
            if owner[position] is not None:
                raise ValueError(
                    f"The column {labels[position]!r} is in two modalities, "
                    f"{owner[position]!r} and {name!r}. Every column belongs to at most one: "
                    "remove it from one of them."
                )
            owner[position] = name
    return np.array([i for i, name in enumerate(owner) if name is None], dtype=np.intp)


def _accepted_forms() -> str:
    """Write out what `modalities` may be, for messages."""
    return (
        "Expected None, a dict or list of (name, columns), a callable from column name to "
        'modality name, or "prefix".'
    )
