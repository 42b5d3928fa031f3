"""SomeColumns: failures of single columns."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from sklearn_emma.corruption.base import Corruption, is_number


class SomeColumns(Corruption):
    r"""Corruption of some columns of a failing modality, drawn separately for each sample.

    A categorical column counts as one column and fails as `corruption` defines it.

    Parameters
    ----------
    corruption : Corruption
        How the drawn columns fail. Its parameters `n_corrupted`, `fraction` and `only` are ignored.

    n_columns : int or None, default=1
        Number of columns that fail in a failing modality. If the modality has fewer columns, all of
        them fail. None means that the number is drawn for each sample, between 1 and half the
        number of columns D. Small numbers are more likely: it is
        :math:`1 + \lfloor u^2 \lfloor D / 2 \rfloor \rfloor`, with u drawn uniformly from [0, 1).

    n_corrupted, fraction, only : int, float, str or list of str
        In how many modalities of a corrupted sample columns fail, which fraction of the samples is
        corrupted, and in which modalities columns may fail. See :class:`Corruption`.

    Examples
    --------
    >>> from sklearn_emma.corruption import Missing, SomeColumns
    >>> X = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    >>> SomeColumns(Missing()).corrupt(X, random_state=0)[0]
    array([[ 1.,  2., nan],
           [ 4., nan,  6.]])
    """

    def __init__(
        self,
        corruption: Corruption,
        n_columns: int | None = 1,
        *,
        n_corrupted: int | None = None,
        fraction: float | None = None,
        only: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(n_corrupted=n_corrupted, fraction=fraction, only=only)
        self.corruption = corruption
        self.n_columns = n_columns

    @property
    def uses_reference(self) -> bool:
        """Whether the corruption of the columns reads the reference."""
        return self.corruption.uses_reference

    def _check_params(self) -> None:
        if not isinstance(self.corruption, Corruption):
            raise ValueError(
                f"corruption must be an instance such as Noise(0.5), got {self.corruption!r}."
            )
        self.corruption.check_nesting()
        self.corruption.check_params()
        n_columns = self.n_columns
        if n_columns is not None and not (is_number(n_columns, Integral) and n_columns > 0):
            raise ValueError(f"n_columns={n_columns!r} must be None or a positive integer.")

    def fail(
        self,
        x: Tensor,
        mean: Tensor,
        std: Tensor,
        donors: Tensor,
        generator: torch.Generator,
        blocks: Sequence[Tensor] = (),
    ) -> Tensor:
        """Return the values of a modality when some of its columns fail.

        Parameters
        ----------
        x, mean, std, donors : Tensor
            As for :meth:`Corruption.fail`.
        generator : torch.Generator
            Random number generator on the device of `x`.
        blocks : sequence of Tensor of int, default=()
            Positions of the features of each categorical column.

        Returns
        -------
        Tensor of shape (n_samples, n_features)
            Values of the failing modality.
        """
        kind: dict[str, Any] = {"generator": generator, "device": x.device, "dtype": torch.float32}
        column = torch.arange(x.shape[1], device=x.device)
        for block in blocks:
            column[block] = block[0].to(column)
        column = column.unique(return_inverse=True)[1]
        n_columns = int(column.max()) + 1
        n_failing: Tensor | int | None = self.n_columns
        n_draws = len(self._drawn_for(x))
        if n_failing is None:
            n_failing = 1 + (torch.rand(n_draws, 1, **kind).square() * (n_columns // 2)).long()
        rank = torch.rand(n_draws, n_columns, **kind).argsort(1).argsort(1)
        values = self.corruption.fail(x, mean, std, donors, generator, blocks)
        return torch.where(rank[:, column] < n_failing, values, x)

    def in_episode(self) -> Corruption:
        """Return the corruption for consecutive samples with one lasting failure.

        Returns
        -------
        Corruption
            A copy, which draws the failing columns once per call.
        """
        lasting = super().in_episode()
        lasting.corruption = self.corruption.in_episode()
        return lasting

    def _is_harmless(self, level: float) -> bool:
        return self.corruption.is_harmless(level)

    def _fail(
        self, x: Tensor, mean: Tensor, std: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        return self.fail(x, mean, std, donors, generator)
