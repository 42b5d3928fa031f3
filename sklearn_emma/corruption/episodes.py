"""Persistent failures: a corruption of consecutive samples."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearn_emma.corruption.base import Corruption, Reference, is_number


class Episodes(Corruption):
    """Corruption in episodes of consecutive samples, for samples in temporal order.

    Between episodes nothing fails. The failing modalities are drawn for each episode, and so is
    what does not change while a failure lasts: the value of :class:`Stuck`, a random size of
    :class:`Noise`, the kind of a :class:`Mixture`, and the columns of :class:`SomeColumns`.
    :class:`Drift` is an offset of full size, upwards or downwards, and :class:`Scaling` multiplies
    or divides by the full factor.

    Parameters
    ----------
    corruption : Corruption
        How modalities fail in an episode. Its parameters `n_corrupted`, `fraction` and `only` are
        ignored; those of this object are used instead.

    length : int, default=100
        Number of samples in an episode.

    rate : float, default=0.002
        Probability, in (0, 1], that an episode starts at a sample that follows a clean sample. The
        first sample is always clean.

    growing : bool, default=False
        Whether the failure grows linearly during the episode and has its full size at the end. In a
        categorical column, and where a value is missing before or after the failure, the
        probability of the failure grows instead. If False, the failure is abrupt.

    n_corrupted : int, default=1
        Number of modalities that fail in an episode.

    only : str or list of str, default=None
        Names of the modalities that may fail. None means all modalities.

    See Also
    --------
    sklearn_emma.monitoring.ModalityMonitor : Detects persistent failures.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.corruption import Episodes, Stuck
    >>> X = np.arange(8.0).reshape(-1, 1)
    >>> Episodes(Stuck(9.0), length=3, rate=0.4).corrupt(X, random_state=0)[0].ravel()
    array([0., 1., 2., 9., 9., 9., 6., 7.])
    """

    def __init__(
        self,
        corruption: Corruption,
        length: int = 100,
        rate: float = 0.002,
        growing: bool = False,
        *,
        n_corrupted: int | None = 1,
        only: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(n_corrupted=n_corrupted, only=only)
        self.corruption = corruption
        self.length = length
        self.rate = rate
        self.growing = growing

    @property
    def uses_reference(self) -> bool:
        """Whether the corruption in episodes reads the reference."""
        return self.corruption.uses_reference

    def _check_params(self) -> None:
        if not isinstance(self.corruption, Corruption):
            raise ValueError(
                f"corruption must be an instance such as Stuck(), got {self.corruption!r}."
            )
        self.corruption.check_nesting()
        self.corruption.check_params()
        if not is_number(self.length, Integral) or self.length < 1:
            raise ValueError(f"length={self.length!r} must be a positive integer.")
        if not is_number(self.rate) or not 0 < self.rate <= 1:
            raise ValueError(f"rate={self.rate!r} must be a number in (0, 1].")
        if not isinstance(self.growing, (bool, np.bool_)):
            raise ValueError(f"growing={self.growing!r} must be True or False.")

    def corrupt_tensors(
        self,
        modalities: Sequence[Tensor],
        *,
        generator: torch.Generator,
        reference: Reference,
        names: Sequence[str] | None = None,
    ) -> tuple[list[Tensor], Tensor]:
        """Corrupt samples that are in temporal order.

        Parameters
        ----------
        modalities : list of Tensor of shape (n_samples, n_features)
            One tensor per modality, all with the same floating dtype and on the same device. They
            are not modified.

        generator : torch.Generator
            Random number generator on the device of the tensors.

        reference : Reference
            Means, standard deviations and donors of each modality.

        names : list of str, default=None
            Names of the modalities. Only needed if `only` is set.

        Returns
        -------
        corrupted : list of Tensor of shape (n_samples, n_features)
            The samples with failing modalities.

        indicator : Tensor of shape (n_samples, n_modalities)
            +1 if the modality is clean, -1 if it was corrupted, in the dtype of the samples.
        """
        self.check_params()
        first = modalities[0]
        may_fail = self._may_fail(len(modalities), names)
        starts = self._draw_starts(first, generator)
        # the failing modalities are drawn once per episode
        episodes = first.new_zeros(len(starts), 1)
        failing = self._draw_failing(episodes, len(modalities), may_fail, generator)
        corrupted = [x.clone() for x in modalities]
        indicator = torch.ones_like(first[:, :1]).repeat(1, len(modalities))
        for start, fails in zip(starts, failing.tolist(), strict=True):
            where = slice(start, start + self.length)
            for i in (i for i, fail in zip(may_fail, fails, strict=True) if fail):
                corrupted[i][where] = self._values(modalities[i][where], i, reference, generator)
                indicator[where, i] = -1.0
        return corrupted, indicator

    def _draw_starts(self, like: Tensor, generator: torch.Generator) -> list[int]:
        """Draw the starts of episodes, with at least one clean sample before each episode."""
        starts = _uniform(like, generator) < self.rate
        found: list[int] = []
        free = 1
        for start in starts.nonzero().ravel().tolist():
            if start >= free:
                found.append(start)
                free = start + self.length + 1
        return found

    def _values(
        self, x: Tensor, i: int, reference: Reference, generator: torch.Generator
    ) -> Tensor:
        """Return the values of a modality in an episode."""
        mean, std, donors, blocks = reference.of_modality(i)
        corruption = self.corruption.in_episode()
        failed = corruption.fail(x, mean, std, donors, generator, blocks).expand_as(x)
        if not self.growing:
            return failed
        size = torch.arange(1, len(x) + 1, dtype=x.dtype, device=x.device) / self.length
        grown = torch.lerp(x, failed, size[:, None])
        missing = grown.isnan()
        if missing.any():
            fails = _uniform(x, generator) < size
            grown = torch.where(missing, torch.where(fails[:, None], failed, x), grown)
        for block in blocks:
            fails = _uniform(x, generator) < size
            grown[:, block] = torch.where(fails[:, None], failed[:, block], x[:, block])
        return grown

    def _is_harmless(self, level: float) -> bool:
        return self.corruption.is_harmless(level)

    def check_nesting(self) -> None:
        """Raise ValueError, because episodes cannot be used inside another corruption."""
        raise ValueError(
            "Episodes has a length and a rate in time, and cannot be used inside another "
            "corruption, or in stream_curve, which has its own. Use Episodes(Mixture(...)), or "
            "pass the corruption of the episodes."
        )

    def _fail(
        self, x: Tensor, mean: Tensor, std: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Any:
        self.check_nesting()


def _uniform(x: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one number per sample uniformly from [0, 1), shape (n_samples,)."""
    return torch.rand(len(x), generator=generator, dtype=torch.float32, device=x.device)
