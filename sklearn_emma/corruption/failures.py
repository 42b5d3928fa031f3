"""Failures of a modality: noise, missing values, swapped samples, stuck sensors, drift, scaling.

A corruption draws which modalities of which samples fail, and computes the values of the failing
modalities. The first part is the same for all corruptions, and is implemented in
:class:`Corruption`. The second part is implemented in the classes of this module. Both parts work
on torch tensors, on any device and without a Python loop over samples, so that new failures can be
drawn in every step of the training of a network (:meth:`Corruption.corrupt_tensors`). Arrays and
DataFrames are converted to tensors (:meth:`Corruption.corrupt`).
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from sklearn_emma.corruption.base import Corruption, is_number

# Largest signal-to-noise ratio, in dB in absolute value.
_MAX_DB = 1000


class _GaussianNoise(Corruption):
    """Base class of Gaussian noise."""

    _in_deviations = True

    def _fail(
        self, x: Tensor, mean: Tensor, std: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        sigma = self._draw_sigma(x, generator)
        return torch.addcmul(x, _normal(x, generator), std * sigma)

    def _fail_category(
        self, x: Tensor, failed: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        return _replace_levels(x, donors, self._draw_sigma(x, generator), generator)

    @abstractmethod
    def _draw_sigma(self, x: Tensor, generator: torch.Generator) -> float | Tensor:
        """Return the size of the noise, in standard deviations: one number, or one per sample."""


class Noise(_GaussianNoise):
    r"""Gaussian noise in units of each feature's standard deviation.

    In a categorical column, the level of a sample is replaced by the level of a random reference
    sample, with the probability :math:`p = 1 - 1 / \sqrt{1 + \sigma^2}`. With this probability, the
    correlation between clean and corrupted levels is the same as for a number with noise of size
    sigma: 0.89 for a sigma of 0.5, 0.45 for 2, and 0.12 for 8.

    Parameters
    ----------
    sigma : float or (float, float), default=0.5
        Standard deviation of the noise, in standard deviations of the feature in the reference
        samples. For a pair (low, high), it is drawn for each sample, log-uniformly if ``low > 0``,
        and uniformly if ``low == 0``. Each categorical column has a draw of its own.

    n_corrupted, fraction, only : int, float, str or list of str
        How many modalities fail in a corrupted sample, which fraction of the samples is corrupted,
        and which modalities may fail. See :class:`Corruption`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.corruption import Noise
    >>> X = np.random.default_rng(0).normal(scale=10, size=(10_000, 2))
    >>> X_noisy, indicator = Noise(sigma=2).corrupt(X, random_state=0)
    >>> (X_noisy - X).std(axis=0).round()
    array([20., 20.])
    """

    level_name: ClassVar[str] = "noise, in standard deviations"

    def __init__(
        self,
        sigma: float | tuple[float, float] = 0.5,
        *,
        n_corrupted: int | None = None,
        fraction: float | None = None,
        only: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(n_corrupted=n_corrupted, fraction=fraction, only=only)
        self.sigma = sigma

    def _check_params(self) -> None:
        if check_range("sigma", self.sigma)[0] < 0:
            raise ValueError(f"sigma={self.sigma!r} must not be negative.")

    def _is_harmless(self, level: float) -> bool:
        return self.sigma == 0.0

    def _draw_sigma(self, x: Tensor, generator: torch.Generator) -> float | Tensor:
        low, high = check_range("sigma", self.sigma)
        if low == high:
            return low
        x = self._drawn_for(x)
        if low > 0:
            return draw_uniform(x, math.log(low), math.log(high), generator).exp()
        return draw_uniform(x, low, high, generator)


class NoiseSNR(_GaussianNoise):
    """Gaussian noise with a given signal-to-noise ratio.

    The noise has the standard deviation ``std * 10 ** (-snr_db / 20)``, where ``std`` is the
    standard deviation of the feature in the reference samples. At 0 dB, signal and noise have the
    same standard deviation. At 20 dB, that of the signal is ten times as large. Levels of
    categorical columns are replaced as by :class:`Noise` with ``sigma=10 ** (-snr_db / 20)``.

    Parameters
    ----------
    snr_db : float or (float, float), default=6.0
        Signal-to-noise ratio in decibels. For a pair (low, high), it is drawn uniformly for each
        sample.

    n_corrupted, fraction, only : int, float, str or list of str
        How many modalities fail in a corrupted sample, which fraction of the samples is corrupted,
        and which modalities may fail. See :class:`Corruption`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.corruption import NoiseSNR
    >>> X = np.random.default_rng(0).normal(scale=10, size=(10_000, 2))
    >>> X_noisy, indicator = NoiseSNR(snr_db=20).corrupt(X, random_state=0)
    >>> (X_noisy - X).std(axis=0).round(1)
    array([1., 1.])
    """

    level_name: ClassVar[str] = "signal-to-noise ratio, in decibels"

    def __init__(
        self,
        snr_db: float | tuple[float, float] = 6.0,
        *,
        n_corrupted: int | None = None,
        fraction: float | None = None,
        only: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(n_corrupted=n_corrupted, fraction=fraction, only=only)
        self.snr_db = snr_db

    def _check_params(self) -> None:
        low, high = check_range("snr_db", self.snr_db)
        if max(abs(low), abs(high)) > _MAX_DB:
            raise ValueError(f"snr_db={self.snr_db!r} must be between {-_MAX_DB} and {_MAX_DB} dB.")

    def _is_harmless(self, level: float) -> bool:
        return self.snr_db == math.inf

    def _draw_sigma(self, x: Tensor, generator: torch.Generator) -> float | Tensor:
        low, high = check_range("snr_db", self.snr_db)
        if low == high:
            return 10 ** (-low / 20)
        return 10 ** (draw_uniform(self._drawn_for(x), low, high, generator) / -20)


class Missing(Corruption):
    """All values of the modality are NaN.

    Parameters
    ----------
    n_corrupted, fraction, only : int, float, str or list of str
        How many modalities fail in a corrupted sample, which fraction of the samples is corrupted,
        and which modalities may fail. See :class:`Corruption`.

    Examples
    --------
    >>> from sklearn_emma.corruption import Missing
    >>> Missing(fraction=0.5).corrupt([[1, 2], [3, 4]], random_state=1)[0]
    array([[nan, nan],
           [ 3.,  4.]])
    """

    uses_reference = False

    def _is_harmless(self, level: float) -> bool:
        return False

    def _fail(
        self, x: Tensor, mean: Tensor, std: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        return torch.full_like(x, math.nan)

    def _fail_category(
        self, x: Tensor, failed: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        return failed


class Swapped(Corruption):
    """Replacement of a modality by its values in another sample.

    The new values are plausible by themselves, but not consistent with the other modalities. The
    other sample, or donor, is drawn uniformly from the reference samples. Its missing values are
    copied too. If the donor has the same values as the sample, the next donor is used.

    Parameters
    ----------
    n_corrupted, fraction, only : int, float, str or list of str
        How many modalities fail in a corrupted sample, which fraction of the samples is corrupted,
        and which modalities may fail. See :class:`Corruption`.

    Examples
    --------
    >>> from sklearn_emma.corruption import Swapped
    >>> Swapped().corrupt([[1, 2], [3, 4]], random_state=0)[0]
    array([[3., 4.],
           [1., 2.]])
    """

    def _is_harmless(self, level: float) -> bool:
        return False

    def _fail(
        self, x: Tensor, mean: Tensor, std: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        n_donors = len(donors)
        if n_donors < 2:
            raise ValueError(
                "Swapped takes the values of a modality from another sample, but only "
                f"{n_donors} reference sample(s) have values in this modality. Pass at least two "
                "reference samples."
            )
        donor = torch.randint(n_donors, (len(x),), generator=generator, device=x.device)
        values = donors[donor]
        same = ((values == x) | (values.isnan() & x.isnan())).all(1, keepdim=True)
        return torch.where(same, donors[(donor + 1) % n_donors], values)

    def _fail_category(
        self, x: Tensor, failed: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        return failed


class Stuck(Corruption):
    """Stuck sensor: all failing samples of a call have the same values.

    Parameters
    ----------
    value : float, default=None
        Value of all features. Categorical columns then keep the level of the first sample. If None,
        the values are those of a reference sample, which is drawn for each call and each modality.

    n_corrupted, fraction, only : int, float, str or list of str
        How many modalities fail in a corrupted sample, which fraction of the samples is corrupted,
        and which modalities may fail. See :class:`Corruption`.

    Examples
    --------
    >>> from sklearn_emma.corruption import Stuck
    >>> Stuck().corrupt([[1, 2], [3, 4], [5, 6]], random_state=0)[0]
    array([[5., 6.],
           [5., 6.],
           [5., 6.]])
    """

    def __init__(
        self,
        value: float | None = None,
        *,
        n_corrupted: int | None = None,
        fraction: float | None = None,
        only: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(n_corrupted=n_corrupted, fraction=fraction, only=only)
        self.value = value

    @property
    def uses_reference(self) -> bool:
        """Whether the values are those of a reference sample."""
        return self.value is None

    def _check_params(self) -> None:
        if self.value is not None and not is_number(self.value):
            raise ValueError(
                f"value={self.value!r} must be None or a finite number. For NaN use Missing."
            )

    def _is_harmless(self, level: float) -> bool:
        return False

    def _fail(
        self, x: Tensor, mean: Tensor, std: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        if self.value is not None:
            return torch.full_like(x, self.value)
        if len(donors) == 0:
            raise ValueError("Stuck takes the values of a reference sample, but there are none.")
        return donors[torch.randint(len(donors), (1,), generator=generator, device=x.device)]

    def _fail_category(
        self, x: Tensor, failed: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        return failed if self.value is None else x[:1].expand_as(x)


class Drift(Corruption):
    """Offset of all features of a modality, upwards or downwards.

    ``offset * t`` standard deviations are added to every feature or subtracted from it. Categorical
    columns do not change.

    Parameters
    ----------
    offset : float, default=2.0
        Largest offset, in standard deviations of each feature in the reference samples.

    ordered : bool, default=False
        Whether samples are in temporal order. If False, t is drawn uniformly from (0, 1] for each
        sample, and so is the sign. If True, t grows linearly and is 1 at the last sample; the sign
        is drawn once per call and modality. In :class:`Episodes`, False means that t is 1
        throughout the episode, which has one sign.

    n_corrupted, fraction, only : int, float, str or list of str
        How many modalities fail in a corrupted sample, which fraction of the samples is corrupted,
        and which modalities may fail. See :class:`Corruption`.

    Examples
    --------
    >>> from sklearn_emma.corruption import Drift
    >>> X = [[0.0], [2.0], [0.0], [2.0]]
    >>> Drift(offset=4, ordered=True).corrupt(X, random_state=0)[0].ravel()
    array([-1.,  0., -3., -2.])
    """

    level_name: ClassVar[str] = "drift, in standard deviations"
    _in_deviations = True

    def __init__(
        self,
        offset: float = 2.0,
        ordered: bool = False,
        *,
        n_corrupted: int | None = None,
        fraction: float | None = None,
        only: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(n_corrupted=n_corrupted, fraction=fraction, only=only)
        self.offset = offset
        self.ordered = ordered

    def _check_params(self) -> None:
        if not is_number(self.offset) or self.offset <= 0:
            raise ValueError(f"offset={self.offset!r} must be a positive number.")
        if not isinstance(self.ordered, (bool, np.bool_)):
            raise ValueError(f"ordered={self.ordered!r} must be True or False.")

    def _is_harmless(self, level: float) -> bool:
        return self.offset == 0.0

    def _fail(
        self, x: Tensor, mean: Tensor, std: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        n_samples = len(x)
        if self.ordered:
            time = torch.arange(1, n_samples + 1, dtype=x.dtype, device=x.device) / n_samples
            direction = draw_uniform(x[:1], -1, 1, generator)
            signed_time = torch.where(direction < 0, -time[:, None], time[:, None])
        else:
            # negative u are kept, and other u are mapped from [0, 1) to (0, 1]
            u = draw_uniform(self._drawn_for(x), -1, 1, generator)
            signed_time = torch.where(u < 0, u, 1 - u)
            if self._lasts:
                signed_time = signed_time.sign()
        return torch.addcmul(x, signed_time, std * self.offset)


class Scaling(Corruption):
    """Wrong gain: deviations from the reference mean are multiplied by a factor.

    Categorical columns do not change.

    Parameters
    ----------
    factor : float, default=3.0
        Largest factor. The factor of each sample is drawn log-uniformly from
        ``[1 / factor, factor]``. In :class:`Episodes`, it is `factor` or its inverse throughout the
        episode.

    n_corrupted, fraction, only : int, float, str or list of str
        How many modalities fail in a corrupted sample, which fraction of the samples is corrupted,
        and which modalities may fail. See :class:`Corruption`.

    Examples
    --------
    >>> from sklearn_emma.corruption import Scaling
    >>> X = [[-1.0, 9.0], [1.0, 11.0]]
    >>> Scaling(factor=5).corrupt(X, random_state=0)[0].round(2)
    array([[-0.6 ,  9.4 ],
           [ 0.88, 10.88]])
    """

    level_name: ClassVar[str] = "factor"

    def __init__(
        self,
        factor: float = 3.0,
        *,
        n_corrupted: int | None = None,
        fraction: float | None = None,
        only: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(n_corrupted=n_corrupted, fraction=fraction, only=only)
        self.factor = factor

    def _check_params(self) -> None:
        if not is_number(self.factor) or self.factor <= 1:
            raise ValueError(f"factor={self.factor!r} must be a number larger than 1.")

    def _is_harmless(self, level: float) -> bool:
        return self.factor == 1.0

    def _fail(
        self, x: Tensor, mean: Tensor, std: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        bound = math.log(self.factor)
        logarithm = draw_uniform(self._drawn_for(x), -bound, bound, generator)
        if self._lasts:
            logarithm = bound * logarithm.sign()
        return torch.addcmul(mean, x - mean, logarithm.exp())


def replaced_share(sigma: float | Tensor) -> Tensor:
    r"""Return the probability :math:`1 - 1/\sqrt{1 + \sigma^2}` with which noise replaces a level.

    Parameters
    ----------
    sigma : float or Tensor
        Standard deviation of the noise, in standard deviations of a numeric feature.

    Returns
    -------
    Tensor
        Probability of a replacement. Corrupted and clean levels then have the same correlation as
        corrupted and clean numbers.
    """
    return 1.0 - 1.0 / torch.sqrt(1.0 + torch.as_tensor(sigma) ** 2)


def _replace_levels(
    x: Tensor, donors: Tensor, sigma: float | Tensor, generator: torch.Generator
) -> Tensor:
    r"""Replace levels by levels of donors, with probability :math:`1 - 1/\sqrt{1 + \sigma^2}`."""
    if not len(donors):
        return x
    donor = torch.randint(len(donors), (len(x),), generator=generator, device=x.device)
    values = donors[donor]
    p = replaced_share(torch.as_tensor(sigma, dtype=x.dtype, device=x.device))
    replaced = (draw_uniform(x, 0, 1, generator) < p) & ~values.isnan() & ~x.isnan()
    return torch.where(replaced, values, x)


def _normal(x: Tensor, generator: torch.Generator) -> Tensor:
    """Draw standard normal numbers with the shape of x."""
    return torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)


def draw_uniform(x: Tensor, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Draw one number per sample uniformly from [low, high), shape (n_samples, 1)."""
    u = torch.rand(len(x), 1, generator=generator, dtype=x.dtype, device=x.device)
    return u * (high - low) + low


def check_range(name: str, value: Any) -> Sequence[float]:
    """Return (low, high) for a number or an ascending pair of numbers."""
    pair = value if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or not all(map(is_number, pair)) or pair[0] > pair[1]:
        raise ValueError(
            f"{name}={value!r} must be a finite number, or a pair (low, high) with low <= high."
        )
    return pair
