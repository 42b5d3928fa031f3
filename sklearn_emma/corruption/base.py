"""What all corruptions share: which modalities of which rows fail, and how tables get through.

The classes that say what becomes of a failing modality are in :mod:`sklearn_emma.corruption`.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_array, check_random_state

from sklearn_emma.modalities import resolve_modalities


@dataclass(frozen=True)
class Reference:
    """Intact rows that give a corruption its units and its donors.

    Parameters
    ----------
    means, stds : list of Tensor of shape (n_features,)
        Mean and standard deviation of each column, one tensor per modality.
    rows : list of Tensor of shape (n_reference, n_features)
        Rows whose values :class:`Swapped` and :class:`Stuck` hand out, one tensor per modality.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.corruption import Reference
    >>> reference = Reference.from_tensors([torch.tensor([[0.0, 5.0], [2.0, float("nan")]])])
    >>> reference.means, reference.stds
    ([tensor([1., 5.])], [tensor([1., 0.])])
    """

    means: list
    stds: list
    rows: list

    @classmethod
    def from_tensors(cls, modalities, weights=None, names=None):
        """Take means, standard deviations and donor rows from data.

        Parameters
        ----------
        modalities : list of Tensor of shape (n_reference, n_features)
            One tensor per modality. NaN is ignored; a row whose values are all NaN in a modality
            is no donor for it.

        weights : Tensor of shape (n_reference,), default=None
            Weights of the rows in means and standard deviations. A row of weight zero is no donor;
            the others are donors with equal probability.

        names : list of str, default=None
            Names of the modalities for error messages; by default their positions.

        Returns
        -------
        Reference
            The reference.

        Raises
        ------
        ValueError
            If a column holds no value at all.
        """
        means, stds, rows = [], [], []
        for i, x in enumerate(modalities):
            present = ~x.isnan()
            weight = present.to(x.dtype)
            if weights is not None:
                weight = weight * weights.to(x)[:, None]
            total = weight.sum(0)
            if not bool((total > 0).all()):
                name = repr(names[i]) if names is not None else i
                column = int((total > 0).int().argmin())
                raise ValueError(
                    f"Column {column} of modality {name} holds no value in the reference rows, so "
                    "its mean and standard deviation are unknown. Drop the column, or pass "
                    "reference rows in which it is present."
                )
            mean = (torch.where(present, x, 0) * weight).sum(0) / total
            deviation = torch.where(present, x - mean, 0)
            means.append(mean)
            stds.append(((deviation.square() * weight).sum(0) / total).sqrt())
            rows.append(x[(weight > 0).any(1)])
        return cls(means, stds, rows)


class Corruption(BaseEstimator, ABC):
    """Base class of everything that can befall a modality.

    To write one of your own, inherit and implement ``_fail``: what becomes of the values of a
    modality that fails.

    Parameters
    ----------
    n_corrupted : int, default=None
        How many modalities fail in a corrupted row. None stands for ``M - (M + 1) // 2`` of M
        modalities, but at least one (and no more than ``only`` allows): the number for which
        training EMMA with its energy regularizer is stable.

    fraction : float, default=None
        Fraction of the rows that are corrupted, drawn without replacement. Where it does not make
        a whole number of rows, one of the two neighbouring numbers is drawn so that the
        mean is right. None stands for all rows, but for half of them when
        :class:`~sklearn_emma.EMMAClassifier` trains.

    only : str or list of str, default=None
        Names of the modalities that may fail. None stands for all.
    """

    _uses_reference = True

    def __init__(self, *, n_corrupted=None, fraction=None, only=None):
        self.n_corrupted = n_corrupted
        self.fraction = fraction
        self.only = only

    def corrupt(self, X, modalities=None, random_state=None, reference=None):
        """Corrupt a table.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows to corrupt, left as they are: a copy is returned. Columns that belong to no
            modality are passed on.

        modalities : dict, list, callable, "prefix" or None, default=None
            The groups of columns, in any form that :class:`~sklearn_emma.EMMAClassifier` takes.

        random_state : int, RandomState instance or None, default=None
            Determines what fails and how. Pass an int for the same result in every call.

        reference : array-like or DataFrame of shape (n_reference, n_features), default=None
            Rows from which means, standard deviations and donor values are taken, usually the
            training rows. NaN is ignored. By default `X` itself.

        Returns
        -------
        X_corrupted : ndarray or DataFrame of shape (n_samples, n_features)
            Of the same type as `X`; integers become floats.

        indicator : ndarray of shape (n_samples, n_modalities)
            +1 where a modality is intact, -1 where it was corrupted.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_emma.corruption import Missing
        >>> X = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
        >>> modalities = {"radar": [0, 1], "camera": [2]}
        >>> Missing(only="radar").corrupt(X, modalities, random_state=0)
        (array([[nan, nan,  3.],
               [nan, nan,  6.]]), array([[-1,  1],
               [-1,  1]]))
        """
        if not _is_frame(X):
            X = check_array(X, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan")
        self._check_params()
        names, columns = resolve_modalities(modalities, X, remainder="drop")
        used = np.concatenate(columns)
        tensors = _split(_read(X, used), columns)
        may_fail = self._may_fail(len(names), names)
        if reference is None:
            donors = tensors
        else:
            _check_reference(reference, X)
            block = _read(reference, used, name="reference")
            donors = [r.to(x.dtype) for r, x in zip(_split(block, columns), tensors, strict=True)]
        # Nothing is taken from a modality that cannot fail, so it may well be empty of values.
        donors = [
            rows if self._uses_reference and i in may_fail else rows[:, :0]
            for i, rows in enumerate(donors)
        ]
        generator = torch.Generator()
        generator.manual_seed(int(check_random_state(random_state).randint(2**31 - 1)))
        corrupted, indicator = self.corrupt_tensors(
            tensors,
            generator=generator,
            reference=Reference.from_tensors(donors, names=names),
            names=names,
        )
        values = torch.cat(corrupted, dim=1).numpy()
        return _replace_columns(X, used, values), indicator.numpy().astype(int)

    def corrupt_tensors(self, modalities, *, generator, reference, names=None):
        """Corrupt a batch inside a training loop.

        Parameters
        ----------
        modalities : list of Tensor of shape (n_samples, n_features)
            One tensor per modality, all of one floating dtype and on one device. They are not
            modified; a modality that cannot fail is returned as it is.

        generator : torch.Generator
            Source of all random numbers, on the device of the tensors.

        reference : Reference
            Means, standard deviations and donor rows, one each per modality.

        names : list of str, default=None
            Names of the modalities; only needed with `only`.

        Returns
        -------
        corrupted : list of Tensor of shape (n_samples, n_features)
            The batch with failing modalities.

        indicator : Tensor of shape (n_samples, n_modalities)
            +1 where a modality is intact, -1 where it was corrupted, in the dtype of the batch.

        Examples
        --------
        >>> import torch
        >>> from sklearn_emma.corruption import Noise, Reference
        >>> batch = [torch.randn(8, 3), torch.randn(8, 2)]
        >>> corrupted, indicator = Noise(sigma=0.5).corrupt_tensors(
        ...     batch,
        ...     generator=torch.Generator().manual_seed(0),
        ...     reference=Reference.from_tensors(batch),
        ... )
        >>> [x.shape for x in corrupted], indicator.sum(1)
        ([torch.Size([8, 3]), torch.Size([8, 2])], tensor([0., 0., 0., 0., 0., 0., 0., 0.]))
        """
        self._check_params()
        may_fail = self._may_fail(len(modalities), names)
        failing = self._draw_failing(modalities[0], len(modalities), may_fail, generator)
        corrupted = list(modalities)
        for column, i in enumerate(may_fail):
            x = modalities[i]
            failed = self._fail(
                x, reference.means[i], reference.stds[i], reference.rows[i], generator
            )
            corrupted[i] = torch.where(failing[:, column, None], failed, x)
        indicator = torch.ones_like(modalities[0][:, :1]).repeat(1, len(modalities))
        if len(may_fail) == len(modalities):
            indicator = torch.where(failing, -indicator, indicator)
        else:
            for column, i in enumerate(may_fail):
                indicator[:, i] -= 2 * failing[:, column]
        return corrupted, indicator

    @abstractmethod
    def _fail(self, x, mean, std, rows, generator):
        """Give the values (n_samples, n_features) that `x` takes where the modality fails."""

    def _check_params(self):
        """Raise ValueError for a parameter of the class that is out of range."""

    def _may_fail(self, n_modalities, names):
        """Give the positions of the modalities that may fail."""
        if self.only is None:
            return list(range(n_modalities))
        only = [self.only] if isinstance(self.only, str) else list(self.only)
        known = [] if names is None else list(names)
        unknown = [name for name in only if name not in known]
        if unknown or not only:
            raise ValueError(
                f"only={self.only!r} must name at least one modality, and no unknown one. "
                f"The modalities are {known}."
            )
        return [i for i, name in enumerate(known) if name in only]

    def _draw_failing(self, like, n_modalities, may_fail, generator):
        """Draw a mask (n_samples, n_may_fail): True where a modality fails."""
        n_samples, n_may_fail = len(like), len(may_fail)
        n_corrupted = self.n_corrupted
        if n_corrupted is None:
            n_corrupted = min(max(1, n_modalities - (n_modalities + 1) // 2), n_may_fail)
        elif not is_number(n_corrupted, Integral) or not 1 <= n_corrupted <= n_may_fail:
            raise ValueError(
                f"n_corrupted={n_corrupted!r} must be None or an integer from 1 to the number of "
                f"modalities that may fail, which is {n_may_fail}."
            )
        fraction = 1.0 if self.fraction is None else self.fraction
        if not is_number(fraction) or not 0 <= fraction <= 1:
            raise ValueError(f"fraction={self.fraction!r} must be None or a number from 0 to 1.")
        score = torch.rand(n_samples, n_may_fail, generator=generator, device=like.device)
        failing = torch.zeros_like(score, dtype=torch.bool)
        failing.scatter_(1, score.topk(int(n_corrupted), dim=1).indices, True)
        if fraction < 1:
            place = torch.randperm(n_samples, generator=generator, device=like.device)
            rest = torch.rand((), generator=generator, device=like.device, dtype=torch.float64)
            failing &= (place < n_samples * fraction - rest)[:, None]
        return failing


def is_number(value, kind=Real):
    """Tell whether value is a finite number of the kind, and no bool."""
    return isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)


def _is_frame(X):
    return hasattr(X, "columns")


def _read(X, columns, name="X"):
    """Read the columns of a table as a float array of its own memory."""
    if hasattr(X, "iloc"):
        block = X.iloc[:, columns]
    elif _is_frame(X):
        block = X[:, columns.tolist()]
    else:
        block = check_array(X, dtype=None, ensure_all_finite=False, input_name=name)[:, columns]
    return check_array(
        block,
        dtype=[np.float64, np.float32],
        ensure_all_finite="allow-nan",
        input_name=name,
        copy=True,
    )


def _check_reference(reference, X):
    """Raise ValueError if the reference rows are not a table like X."""
    shape = np.shape(reference)
    if len(shape) != 2 or shape[1] != X.shape[1]:
        raise ValueError(
            f"reference must be a table with the {X.shape[1]} columns of X, got shape {shape}."
        )
    if _is_frame(reference) and _is_frame(X) and list(reference.columns) != list(X.columns):
        raise ValueError(
            f"reference must have the columns of X in the same order: expected {list(X.columns)}, "
            f"got {list(reference.columns)}."
        )


def _split(block, columns):
    widths = [len(c) for c in columns]
    return list(torch.from_numpy(block).split(widths, dim=1))


def _replace_columns(X, columns, values):
    """Copy X with new values in some columns, in the type of X."""
    if not _is_frame(X):
        X = X.copy()
        X[:, columns] = values
        return X
    if hasattr(X, "isetitem"):
        X = X.copy()
        for column, new in zip(columns, values.T, strict=True):
            dtype = np.float32 if X.dtypes.iloc[column] == np.float32 else values.dtype
            X.isetitem(column, new.astype(dtype))
        return X
    series = [X.to_series(int(column)) for column in columns]
    return X.with_columns(
        [type(old)(old.name, new.copy()) for old, new in zip(series, values.T, strict=True)]
    )
