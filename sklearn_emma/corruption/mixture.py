"""Mixture: for each sample, one of several corruptions is drawn."""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from sklearn_emma.corruption.base import Corruption, is_number
from sklearn_emma.corruption.failures import draw_uniform


class Mixture(Corruption):
    """Mixture of corruptions: each failing modality of each sample has one of them at random.

    Parameters
    ----------
    corruptions : list of Corruption
        The corruptions. Their parameters `n_corrupted`, `fraction` and `only` are ignored; those of
        the mixture are used instead.

    probabilities : list of float, default=None
        Probability of each corruption. They must sum to one. None means equal probabilities.

    n_corrupted, fraction, only : int, float, str or list of str
        How many modalities fail in a corrupted sample, which fraction of the samples is corrupted,
        and which modalities may fail. See :class:`Corruption`.

    Examples
    --------
    >>> from sklearn_emma.corruption import Missing, Mixture, Noise
    >>> X = [[1.0], [2.0], [3.0], [4.0]]
    >>> Mixture([Noise(0.5), Missing()]).corrupt(X, random_state=0)[0].round(2)
    array([[0.45],
           [ nan],
           [ nan],
           [4.82]])
    """

    def __init__(
        self,
        corruptions: Sequence[Corruption],
        probabilities: Sequence[float] | None = None,
        *,
        n_corrupted: int | None = None,
        fraction: float | None = None,
        only: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(n_corrupted=n_corrupted, fraction=fraction, only=only)
        self.corruptions = corruptions
        self.probabilities = probabilities

    @property
    def uses_reference(self) -> bool:
        """Whether any of the corruptions reads the reference."""
        return any(corruption.uses_reference for corruption in self.corruptions)

    def _check_params(self) -> None:
        members = self.corruptions
        if not isinstance(members, (list, tuple)) or not members:
            raise ValueError(f"corruptions={members!r} must be a list of at least one corruption.")
        for corruption in members:
            if not isinstance(corruption, Corruption):
                raise ValueError(
                    f"corruptions must hold instances such as Noise(0.5), got {corruption!r}."
                )
            corruption.check_nesting()
            corruption.check_params()
        if self.probabilities is None:
            return
        weights = list(self.probabilities)
        if len(weights) != len(members):
            raise ValueError(
                f"probabilities={self.probabilities!r} must have one number per corruption: "
                f"expected {len(members)}, got {len(weights)}."
            )
        if not all(is_number(p) and p >= 0 for p in weights) or abs(sum(weights) - 1) > 1e-6:
            raise ValueError(
                f"probabilities={self.probabilities!r} must be non-negative and sum to 1."
            )

    def fail(
        self,
        x: Tensor,
        mean: Tensor,
        std: Tensor,
        donors: Tensor,
        generator: torch.Generator,
        blocks: Sequence[Tensor] = (),
    ) -> Tensor:
        """Return the values of a failing modality, with one of the corruptions in each sample.

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
            Values of the failing modality, or a tensor that can be broadcast to this shape.
        """
        probabilities = self.probabilities
        if probabilities is None:
            probabilities = [1 / len(self.corruptions)] * len(self.corruptions)
        members = [
            (corruption, below)
            for corruption, p, below in zip(
                self.corruptions, probabilities, accumulate(probabilities), strict=True
            )
            if p > 0
        ]
        u = draw_uniform(self._drawn_for(x), 0, 1, generator)
        failed: Tensor | None = None
        for corruption, below in reversed(members):
            values = corruption.fail(x, mean, std, donors, generator, blocks)
            failed = values if failed is None else torch.where(u < below, values, failed)
        assert failed is not None  # the probabilities sum to one
        return failed

    def in_episode(self) -> Corruption:
        """Return the corruption for consecutive samples with one lasting failure.

        Returns
        -------
        Corruption
            A copy, which draws one of the corruptions per call.
        """
        lasting = super().in_episode()
        lasting.corruptions = [corruption.in_episode() for corruption in self.corruptions]
        return lasting

    def _is_harmless(self, level: float) -> bool:
        return all(corruption.is_harmless(level) for corruption in self.corruptions)

    def _fail(
        self, x: Tensor, mean: Tensor, std: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        return self.fail(x, mean, std, donors, generator)
