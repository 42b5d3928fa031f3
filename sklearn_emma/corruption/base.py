"""Base class of all corruptions, which draws the modalities that fail in each sample.

Its subclasses in :mod:`sklearn_emma.corruption` compute the values of failing modalities.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from torch import Tensor

from sklearn_emma.categories import may_hold_levels
from sklearn_emma.corruption.tables import (
    check_reference,
    codes_of,
    is_frame,
    levels_of,
    read_modalities,
    replace_columns,
)
from sklearn_emma.engine.seeding import draw_seed
from sklearn_emma.modalities import resolve_modalities
from sklearn_emma.tables import check_unique_names, plain_array, refuse_non_tables


@dataclass(frozen=True)
class Reference:
    """Reference samples of a corruption: their means, standard deviations and values.

    Parameters
    ----------
    means, stds : list of Tensor of shape (n_features,)
        Mean and standard deviation of each feature, one tensor per modality.
    donors : list of Tensor of shape (n_reference, n_features)
        Donors: samples whose values a failing modality may take, for instance with
        :class:`Swapped` or :class:`Stuck`. One tensor per modality.
    blocks : list of list of Tensor, or None
        For each modality, the positions of the features of each categorical column. These features
        are the code of the level, or the indicators of all levels. None if no column is
        categorical.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.corruption import Reference
    >>> reference = Reference.from_tensors([torch.tensor([[0.0, 5.0], [2.0, float("nan")]])])
    >>> reference.means, reference.stds
    ([tensor([1., 5.])], [tensor([1., 0.])])
    """

    means: list[Tensor]
    stds: list[Tensor]
    donors: list[Tensor]
    blocks: list[list[Tensor]] | None = None

    @classmethod
    def from_tensors(
        cls,
        modalities: Sequence[Tensor],
        weights: Tensor | None = None,
        names: Sequence[str] | None = None,
    ) -> "Reference":
        """Compute means and standard deviations, and find donors.

        Parameters
        ----------
        modalities : list of Tensor of shape (n_reference, n_features)
            One tensor per modality. NaN is ignored. A sample with only NaN in a modality is not a
            donor of this modality.

        weights : Tensor of shape (n_reference,), default=None
            Sample weights for means and standard deviations. Samples with zero weight are not
            donors. All other samples are donors with equal probability.

        names : list of str, default=None
            Names of the modalities for error messages. By default, their positions are used.

        Returns
        -------
        Reference
            The reference.

        Raises
        ------
        ValueError
            If all values of a column are NaN.
        """
        means, stds, donors = [], [], []
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
                    f"Column {column} of modality {name} has no value in the reference samples, "
                    "so its mean and standard deviation are unknown. Drop the column, or pass "
                    "reference samples in which it has values."
                )
            mean = (torch.where(present, x, 0) * weight).sum(0) / total
            deviation = torch.where(present, x - mean, 0)
            means.append(mean)
            # squares of very large or small float32 values are infinite or zero
            exponent = deviation.abs().amax(0).frexp().exponent
            scaled = deviation.ldexp(-exponent)
            stds.append(((scaled.square() * weight).sum(0) / total).sqrt().ldexp(exponent))
            donors.append(x[(weight > 0).any(1)])
        return cls(means, stds, donors)

    def of_modality(self, i: int) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        """Return means, standard deviations, donors and categorical columns of a modality."""
        blocks = [] if self.blocks is None else self.blocks[i]
        return self.means[i], self.stds[i], self.donors[i], blocks


class Corruption(BaseEstimator, ABC):
    """Base class of all corruptions.

    To write a new corruption, inherit from this class and implement ``_fail``, which returns the
    values of a failing modality. Categorical columns, which hold text, categories or booleans, do
    not fail unless ``_fail_category`` is implemented as well.

    Parameters
    ----------
    n_corrupted : int, default=None
        Number of modalities that fail in a corrupted sample. None means ``M - (M + 1) // 2`` of M
        modalities, but at least one, and not more than the number of modalities in `only`. With
        this number, the training of EMMA with its energy regularization term is stable.

    fraction : float, default=None
        Fraction of the samples that are corrupted, drawn without replacement. If it does not give
        an integer number of samples, the number is randomly rounded up or down, such that its
        expected value is correct. None means all samples, except in the training of
        :class:`~sklearn_emma.EMMAClassifier`, where it means half of the samples.

    only : str or list of str, default=None
        Names of the modalities that may fail. None means all modalities.
    """

    #: Label of the axis of levels in figures.
    level_name: ClassVar[str] = "failure level"
    # Whether a failure is measured in standard deviations of the reference samples.
    _in_deviations: ClassVar[bool] = False
    # Whether all samples of a call have one failure, which lasts.
    _lasts = False

    def __init__(
        self,
        *,
        n_corrupted: int | None = None,
        fraction: float | None = None,
        only: str | Sequence[str] | None = None,
    ) -> None:
        self.n_corrupted = n_corrupted
        self.fraction = fraction
        self.only = only

    def corrupt(
        self, X: Any, modalities: Any = None, random_state: Any = None, reference: Any = None
    ) -> tuple[Any, np.ndarray]:
        """Return a corrupted copy of samples.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples to corrupt. They are not modified. Columns that do not belong to a modality that
            may fail (`only`) are returned unchanged.

        modalities : dict, list, callable, "prefix" or None, default=None
            The groups of columns, in any form that :class:`~sklearn_emma.EMMAClassifier` accepts.

        random_state : int, RandomState instance or None, default=None
            Controls all random numbers. Pass an int for reproducible output across multiple
            function calls. Numbers drawn in single precision, for tables of float32, differ from
            those drawn in double precision.

        reference : array-like or DataFrame of shape (n_reference, n_features), default=None
            Samples from which means, standard deviations and values of other samples are taken,
            usually the training samples. NaN is ignored. None means `X`.

        Returns
        -------
        X_corrupted : ndarray or DataFrame of shape (n_samples, n_features)
            Corrupted samples, of the same type as `X`; for a pyarrow Table, a pandas DataFrame.
            Integers are converted to floats.
            Categorical columns of a DataFrame keep their dtype, except that boolean columns with
            missing values become nullable.

        indicator : ndarray of shape (n_samples, n_modalities)
            +1 if the modality is clean, -1 if it was corrupted.

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
        refuse_non_tables(X)
        if reference is not None:
            refuse_non_tables(reference, "reference")
        X, reference = plain_array(X), plain_array(reference)
        check_unique_names(X)
        if not is_frame(X) and not may_hold_levels(X):
            X = check_array(X, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan")
        self.check_params()
        names, columns = resolve_modalities(modalities, X, remainder="drop")
        used = np.concatenate(columns)
        levels = levels_of(X, reference, used)
        if not levels and not is_frame(X):
            X = check_array(X, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan")
        tensors = read_modalities(codes_of(X, levels), columns)
        may_fail = self._may_fail(len(names), names)
        if reference is None:
            donors = tensors
        else:
            check_reference(reference, X)
            given = read_modalities(codes_of(reference, levels), columns, name="reference")
            donors = [values.to(x.dtype) for values, x in zip(given, tensors, strict=True)]
        # A modality that cannot fail needs no reference samples, and all its values may be missing.
        donors = [
            values if self.uses_reference and i in may_fail else values[:, :0]
            for i, values in enumerate(donors)
        ]
        blocks = [
            [torch.tensor([place]) for place, column in enumerate(positions) if column in levels]
            for positions in columns
        ]
        generator = torch.Generator()
        generator.manual_seed(draw_seed(random_state))
        corrupted, indicator = self.corrupt_tensors(
            tensors,
            generator=generator,
            reference=replace(Reference.from_tensors(donors, names=names), blocks=blocks),
            names=names,
            **self._context(X, columns),
        )
        values = torch.cat([corrupted[i] for i in may_fail], dim=1).numpy()
        failing = np.concatenate([columns[i] for i in may_fail])
        levels = {column: known for column, known in levels.items() if column in failing}
        return replace_columns(X, failing, values, levels), indicator.numpy().astype(int)

    def corrupt_tensors(
        self,
        modalities: Sequence[Tensor],
        *,
        generator: torch.Generator,
        reference: Reference,
        names: Sequence[str] | None = None,
    ) -> tuple[list[Tensor], Tensor]:
        """Corrupt a batch inside a training loop.

        Parameters
        ----------
        modalities : list of Tensor of shape (n_samples, n_features)
            One tensor per modality, all with the same floating dtype and on the same device. They
            are not modified. A modality that cannot fail is returned without a copy.

        generator : torch.Generator
            Random number generator on the device of the tensors.

        reference : Reference
            Means, standard deviations and donors of each modality.

        names : list of str, default=None
            Names of the modalities. Only needed if `only` is set.

        Returns
        -------
        corrupted : list of Tensor of shape (n_samples, n_features)
            The batch with failing modalities.

        indicator : Tensor of shape (n_samples, n_modalities)
            +1 if the modality is clean, -1 if it was corrupted, in the dtype of the batch.

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
        self.check_params()
        may_fail = self._may_fail(len(modalities), names)
        failing = self._draw_failing(modalities[0], len(modalities), may_fail, generator)
        corrupted = list(modalities)
        for column, i in enumerate(may_fail):
            x = modalities[i]
            mean, std, donors, blocks = reference.of_modality(i)
            failed = self.fail(x, mean, std, donors, generator, blocks)
            corrupted[i] = torch.where(failing[:, column, None], failed, x)
        return corrupted, self._indicator(modalities, may_fail, failing)

    def fail(
        self,
        x: Tensor,
        mean: Tensor,
        std: Tensor,
        donors: Tensor,
        generator: torch.Generator,
        blocks: Sequence[Tensor] = (),
    ) -> Tensor:
        """Return the values of a modality when it fails.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Clean values of the modality. They are not modified.

        mean, std : Tensor of shape (n_features,)
            Mean and standard deviation of each feature in the reference samples.

        donors : Tensor of shape (n_reference, n_features)
            The reference samples.

        generator : torch.Generator
            Random number generator on the device of `x`.

        blocks : sequence of Tensor of int, default=()
            Positions of the features of each categorical column.

        Returns
        -------
        Tensor of shape (n_samples, n_features)
            Values of the failing modality, or a tensor that can be broadcast to this shape.
        """
        if self._in_deviations and len(donors) < 2 and not self.is_harmless(1.0):
            raise ValueError(
                f"The size of {type(self).__name__} is in standard deviations of the reference "
                f"samples, but there are only {len(donors)}. Pass at least two reference samples, "
                "for instance the training samples."
            )
        failed = self._checked(self._fail(x, mean, std, donors, generator), x)
        if not len(blocks):
            return failed
        failed = failed.expand_as(x).clone()
        for block in blocks:
            given = donors[:, block] if self.uses_reference else x[:0, block]
            values = self._fail_category(x[:, block], failed[:, block], given, generator)
            failed[:, block] = self._checked(values, x[:, block], "_fail_category")
        return failed

    def in_episode(self) -> "Corruption":
        """Return the corruption for consecutive samples with one lasting failure.

        What is drawn for each sample, but does not change while a failure lasts, is then drawn once
        per call: a sign, the kind of failure, or which columns fail. An offset and a factor have
        their full size.

        Returns
        -------
        Corruption
            A copy of the corruption.
        """
        lasting = copy(self)
        lasting._lasts = True  # noqa: SLF001 (a copy of itself)
        return lasting

    def _drawn_for(self, x: Tensor) -> Tensor:
        """Return the samples for which something is drawn that does not change in an episode."""
        return x[:1] if self._lasts else x

    def against(self, estimator: Any, y: Any = None) -> "Corruption":
        """Return the corruption to use for testing a fitted model.

        Parameters
        ----------
        estimator : estimator
            The model to test.
        y : array-like of shape (n_samples,), default=None
            Labels or values of the samples that will be corrupted.

        Returns
        -------
        Corruption
            This object, unless the corruption depends on the model, like :class:`Adversarial`.
        """
        return self

    def check_params(self) -> None:
        """Raise ValueError if a parameter is out of range."""
        fraction = self.fraction
        if fraction is not None and (not is_number(fraction) or not 0 <= fraction <= 1):
            raise ValueError(f"fraction={fraction!r} must be None or a number from 0 to 1.")
        self._check_params()

    def check_modalities(self, names: Sequence[str]) -> None:
        """Raise ValueError if `n_corrupted` or `only` does not fit the modalities.

        Parameters
        ----------
        names : list of str
            Names of all modalities.
        """
        self._n_failing(len(names), len(self._may_fail(len(names), names)))

    def check_nesting(self) -> None:
        """Raise ValueError if the corruption cannot be used inside another one."""

    def is_harmless(self, level: float) -> bool:
        """Return whether nothing fails.

        Parameters
        ----------
        level : float
            Level of a robustness curve for which the corruption was made. Only corruptions without
            a method ``_is_harmless`` of their own use it: nothing fails at level 0.

        Returns
        -------
        bool
            Whether the strength or the fraction of failing samples is such that nothing fails.
        """
        return self.fraction == 0 or self._is_harmless(level)

    @property
    def uses_reference(self) -> bool:
        """Whether ``_fail`` reads means, standard deviations or donors."""
        return True

    @abstractmethod
    def _fail(
        self, x: Tensor, mean: Tensor, std: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return the values of `x`, shape (n_samples, n_features), when the modality fails."""

    def _context(self, X: Any, columns: Sequence[np.ndarray]) -> dict[str, Any]:
        """Return further keyword arguments of :meth:`corrupt_tensors` of the subclass."""
        return {}

    def _fail_category(
        self, x: Tensor, failed: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return the values of a categorical column, shape (n_samples, n_codes), when it fails.

        `x` has its clean code or indicators, and `failed` what ``_fail`` returned for them.
        """
        return x

    def _check_params(self) -> None:
        """Raise ValueError if a parameter of the subclass is out of range."""

    def _is_harmless(self, level: float) -> bool:
        """Return whether nothing fails, whatever the fraction of failing samples is."""
        return level == 0

    def _checked(self, failed: Any, x: Tensor, method: str = "_fail") -> Tensor:
        """Return failing values in the dtype of x. Raise an error unless they can replace x."""
        name = type(self).__name__
        if not isinstance(failed, Tensor):
            raise TypeError(f"{method} of {name} must return a torch.Tensor, got {type(failed)}.")
        shape = tuple(x.shape)
        if failed.ndim > 2 or any(
            size not in (1, full)
            for size, full in zip(failed.shape[::-1], shape[::-1], strict=False)
        ):
            raise ValueError(
                f"{method} of {name} must return values of shape {shape}, (n_samples, n_features), "
                f"but returned {tuple(failed.shape)}."
            )
        failed = failed.to(x)
        if failed.isinf().any() and not x.isinf().any():
            raise ValueError(
                f"{name} returned infinite values. Values that are too large for single precision "
                "need a smaller strength; missing values are NaN."
            )
        return failed

    def _may_fail(self, n_modalities: int, names: Sequence[str] | None) -> list[int]:
        """Return the positions of the modalities that may fail."""
        if self.only is None:
            return list(range(n_modalities))
        known = [] if names is None else list(names)
        chosen = choose_modalities(known, self.only)
        return [i for i, name in enumerate(known) if name in chosen]

    def _n_failing(self, n_modalities: int, n_may_fail: int) -> int:
        """Return how many modalities of a corrupted sample fail."""
        n_corrupted: Any = self.n_corrupted
        if n_corrupted is None:
            return min(max(1, n_modalities - (n_modalities + 1) // 2), n_may_fail)
        if not is_number(n_corrupted, Integral) or not 1 <= n_corrupted <= n_may_fail:
            raise ValueError(
                f"n_corrupted={n_corrupted!r} must be None or an integer from 1 to the number of "
                f"modalities that may fail, which is {n_may_fail}."
            )
        return int(n_corrupted)

    def _draw_failing(
        self, like: Tensor, n_modalities: int, may_fail: list[int], generator: torch.Generator
    ) -> Tensor:
        """Draw a mask of shape (n_samples, n_may_fail), which is True if the modality fails."""
        n_samples, n_failing = len(like), self._n_failing(n_modalities, len(may_fail))
        fraction = 1.0 if self.fraction is None else self.fraction
        kind: dict[str, Any] = {"generator": generator, "device": like.device}
        score = torch.rand(n_samples, len(may_fail), dtype=torch.float32, **kind)
        failing = torch.zeros_like(score, dtype=torch.bool)
        failing.scatter_(1, score.topk(n_failing, dim=1).indices, True)
        if fraction < 1:
            place = torch.randperm(n_samples, generator=generator, device=like.device)
            rest = torch.rand((), dtype=torch.float64, **kind)
            failing &= (place < n_samples * fraction - rest)[:, None]
        return failing

    @staticmethod
    def _indicator(modalities: Sequence[Tensor], may_fail: list[int], failing: Tensor) -> Tensor:
        """Return +1 for clean and -1 for failing modalities, (n_samples, n_modalities)."""
        indicator = modalities[0].new_ones(len(failing), len(modalities))
        indicator[:, may_fail] -= 2 * failing
        return indicator


def is_number(value: Any, kind: type = Real) -> bool:
    """Return whether a value is a finite number of the given type, and not a bool."""
    if not isinstance(value, kind) or isinstance(value, bool):
        return False
    return math.isfinite(value)  # type: ignore[arg-type]


def check_corruption(corruption: Any) -> Corruption:
    """Return the argument. Raise TypeError if it is not a Corruption."""
    if not isinstance(corruption, Corruption):
        raise TypeError(
            f"corruption must be an instance of Corruption, such as Noise(2), got {corruption!r}."
        )
    return corruption


def choose_modalities(names: list[str], only: str | Sequence[str] | None) -> list[str]:
    """Return the modalities that are named in `only`, in the order of `names`.

    Parameters
    ----------
    names : list of str
        Names of all modalities.
    only : str, sequence of str or None
        Names of the modalities that may fail. None means all modalities.

    Returns
    -------
    list of str
        Names of the modalities that may fail.

    Raises
    ------
    ValueError
        If `only` is empty or contains an unknown name.
    """
    if only is None:
        return names
    given: Any = only
    chosen = [given] if isinstance(given, str) or not isinstance(given, Iterable) else list(given)
    if not chosen or any(name not in names for name in chosen):
        raise ValueError(
            f"only={only!r} must name at least one modality, and only known ones. The modalities "
            f"are {names}."
        )
    return [name for name in names if name in chosen]
