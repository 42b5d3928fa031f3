"""How a modality fails: noise, missing values, swapped samples, stuck sensors, drift, scaling.

A corruption does two things: it draws which modalities of which samples fail, and computes the
values that they take. The first is the same for all of them and lives in :class:`Corruption`; the
second is one short method per class here. Both work on torch tensors, on the device where the
tensors are and without a Python loop over samples, so that a network can be trained on corruption
drawn afresh every time (:meth:`Corruption.corrupt_tensors`); arrays and DataFrames go through the
same code (:meth:`Corruption.corrupt`).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearn_emma.corruption.base import Corruption, is_number


class Noise(Corruption):
    r"""Gaussian noise in units of each feature's standard deviation.

    The level of a categorical column is replaced by that of a random reference sample, with the
    probability :math:`p = 1 - 1 / \sqrt{1 + \sigma^2}`: so its correlation with the clean level
    equals that of a number with noise of this size: .89 for a sigma of a half, .45 for two and .12
    for eight.

    Parameters
    ----------
    sigma : float or (float, float), default=0.5
        Standard deviation of the noise, in standard deviations of the feature in the reference
        samples. For a pair (low, high) every sample draws its own: log-uniformly if ``low > 0``,
        uniformly if ``low == 0``.

    n_corrupted, fraction, only : int, float, str or list of str
        How many modalities fail, in which fraction of the samples, and which of them may. See
        :class:`Corruption`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.corruption import Noise
    >>> X = np.random.default_rng(0).normal(scale=10, size=(10_000, 2))
    >>> X_noisy, indicator = Noise(sigma=2).corrupt(X, random_state=0)
    >>> (X_noisy - X).std(axis=0).round()
    array([20., 20.])
    """

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

    def _fail(
        self, x: Tensor, mean: Tensor, std: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        sigma = self._draw_sigma(x, generator)
        return torch.addcmul(x, _normal(x, generator), std * sigma)

    def _fail_category(
        self, x: Tensor, failed: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        return _replace_levels(x, donors, self._draw_sigma(x, generator), generator)

    def _draw_sigma(self, x: Tensor, generator: torch.Generator) -> float | Tensor:
        low, high = check_range("sigma", self.sigma)
        if low == high:
            return low
        if low > 0:
            return draw_uniform(x, math.log(low), math.log(high), generator).exp()
        return draw_uniform(x, low, high, generator)


class NoiseSNR(Corruption):
    """Gaussian noise by signal-to-noise ratio.

    The noise has the standard deviation ``std * 10 ** (-snr_db / 20)``, with that of the feature in
    the reference samples as the signal: at 0 dB signal and noise are equally strong, at 20 dB the
    signal is ten times as strong. Levels of categorical columns are replaced as by :class:`Noise`
    of this size.

    Parameters
    ----------
    snr_db : float or (float, float), default=6.0
        Signal-to-noise ratio in decibels. For a pair (low, high) every sample draws its own,
        uniformly.

    n_corrupted, fraction, only : int, float, str or list of str
        How many modalities fail, in which fraction of the samples, and which of them may. See
        :class:`Corruption`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.corruption import NoiseSNR
    >>> X = np.random.default_rng(0).normal(scale=10, size=(10_000, 2))
    >>> X_noisy, indicator = NoiseSNR(snr_db=20).corrupt(X, random_state=0)
    >>> (X_noisy - X).std(axis=0).round(1)
    array([1., 1.])
    """

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
        check_range("snr_db", self.snr_db)

    def _fail(
        self, x: Tensor, mean: Tensor, std: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        sigma = self._draw_sigma(x, generator)
        return torch.addcmul(x, _normal(x, generator), std * sigma)

    def _fail_category(
        self, x: Tensor, failed: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        return _replace_levels(x, donors, self._draw_sigma(x, generator), generator)

    def _draw_sigma(self, x: Tensor, generator: torch.Generator) -> float | Tensor:
        low, high = check_range("snr_db", self.snr_db)
        if low == high:
            return 10 ** (-low / 20)
        return 10 ** (draw_uniform(x, low, high, generator) / -20)


class Missing(Corruption):
    """All values of the modality are NaN.

    Parameters
    ----------
    n_corrupted, fraction, only : int, float, str or list of str
        How many modalities fail, in which fraction of the samples, and which of them may. See
        :class:`Corruption`.

    Examples
    --------
    >>> from sklearn_emma.corruption import Missing
    >>> Missing(fraction=0.5).corrupt([[1, 2], [3, 4]], random_state=1)[0]
    array([[nan, nan],
           [ 3.,  4.]])
    """

    _uses_reference = False

    def _fail(
        self, x: Tensor, mean: Tensor, std: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        return torch.full_like(x, math.nan)

    def _fail_category(
        self, x: Tensor, failed: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        return failed


class Swapped(Corruption):
    """The modality's values of another sample: plausible alone, but not beside the others.

    Donors are drawn uniformly from the reference samples; the missing values of a donor come with
    it. A sample that draws a donor equal to itself takes the next donor.

    Parameters
    ----------
    n_corrupted, fraction, only : int, float, str or list of str
        How many modalities fail, in which fraction of the samples, and which of them may. See
        :class:`Corruption`.

    Examples
    --------
    >>> from sklearn_emma.corruption import Swapped
    >>> Swapped().corrupt([[1, 2], [3, 4]], random_state=0)[0]
    array([[3., 4.],
           [1., 2.]])
    """

    def _fail(
        self, x: Tensor, mean: Tensor, std: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        n_donors = len(donors)
        if n_donors < 2:
            raise ValueError(
                f"Swapped takes a modality's values from another sample, but the reference has "
                f"{n_donors} sample(s) with values in it. Pass at least two reference samples."
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
    """A sensor that keeps showing one value: all failing samples of a call take the same value.

    Parameters
    ----------
    value : float, default=None
        The value of all features; categorical columns keep the level of the first sample instead.
        None draws, in every call and for every modality, one reference sample and takes its values.

    n_corrupted, fraction, only : int, float, str or list of str
        How many modalities fail, in which fraction of the samples, and which of them may. See
        :class:`Corruption`.

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
    def _uses_reference(self) -> bool:
        return self.value is None

    def _check_params(self) -> None:
        if self.value is not None and not is_number(self.value):
            raise ValueError(
                f"value={self.value!r} must be None or a finite number. For NaN use Missing."
            )

    def _fail(
        self, x: Tensor, mean: Tensor, std: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        if self.value is not None:
            return torch.full_like(x, self.value)
        if len(donors) == 0:
            raise ValueError("Stuck takes the values of a reference sample, but there is none.")
        return donors[torch.randint(len(donors), (1,), generator=generator, device=x.device)]

    def _fail_category(
        self, x: Tensor, failed: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        return failed if self.value is None else x[:1].expand_as(x)


class Drift(Corruption):
    """An offset of all features of the modality, upwards or downwards.

    ``offset * t`` standard deviations are added to or subtracted from every feature. Categorical
    columns stay as they are.

    Parameters
    ----------
    offset : float, default=2.0
        Largest offset, in standard deviations of each feature in the reference samples.

    ordered : bool, default=False
        If False, every sample draws its own t, uniform in (0, 1], and its own sign. If True,
        samples are in order of time: t grows linearly to 1 at the last one, and the sign is drawn
        once per call and modality.

    n_corrupted, fraction, only : int, float, str or list of str
        How many modalities fail, in which fraction of the samples, and which of them may. See
        :class:`Corruption`.

    Examples
    --------
    >>> from sklearn_emma.corruption import Drift
    >>> X = [[0.0], [2.0], [0.0], [2.0]]
    >>> Drift(offset=4, ordered=True).corrupt(X, random_state=0)[0].ravel()
    array([-1.,  0., -3., -2.])
    """

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

    def _fail(
        self, x: Tensor, mean: Tensor, std: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        n_samples = len(x)
        if self.ordered:
            time = torch.arange(1, n_samples + 1, dtype=x.dtype, device=x.device) / n_samples
            direction = draw_uniform(x[:1], -1, 1, generator)
            signed_time = torch.where(direction < 0, -time[:, None], time[:, None])
        else:
            # u in [0, 1) -> (0, 1] with a sign: the halves of [-1, 1) without a hole at zero
            u = draw_uniform(x, -1, 1, generator)
            signed_time = torch.where(u < 0, u, 1 - u)
        return torch.addcmul(x, signed_time, std * self.offset)


class Scaling(Corruption):
    """A wrong gain: deviations from the reference mean times a factor.

    Categorical columns stay as they are.

    Parameters
    ----------
    factor : float, default=3.0
        Largest factor. Every sample draws its own, log-uniformly from ``[1 / factor, factor]``.

    n_corrupted, fraction, only : int, float, str or list of str
        How many modalities fail, in which fraction of the samples, and which of them may. See
        :class:`Corruption`.

    Examples
    --------
    >>> from sklearn_emma.corruption import Scaling
    >>> X = [[-1.0, 9.0], [1.0, 11.0]]
    >>> Scaling(factor=5).corrupt(X, random_state=0)[0].round(2)
    array([[-0.6 ,  9.4 ],
           [ 0.88, 10.88]])
    """

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

    def _fail(
        self, x: Tensor, mean: Tensor, std: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        bound = math.log(self.factor)
        return torch.addcmul(mean, x - mean, draw_uniform(x, -bound, bound, generator).exp())


def replaced_share(sigma: float | Tensor) -> Tensor:
    r"""Probability :math:`1 - 1/\sqrt{1 + \sigma^2}` with which noise replaces a level.

    Parameters
    ----------
    sigma : float or Tensor
        Standard deviation of the noise, in units of that of a number.

    Returns
    -------
    Tensor
        The probability with which levels keep the same correlation with the clean ones as numbers
        with this noise.
    """
    return 1.0 - 1.0 / torch.sqrt(1.0 + torch.as_tensor(sigma) ** 2)


def _replace_levels(
    x: Tensor, donors: Tensor, sigma: float | Tensor, generator: torch.Generator
) -> Tensor:
    r"""Replace levels by those of donors, with probability :math:`1 - 1/\sqrt{1 + \sigma^2}`."""
    if not len(donors):
        return x
    donor = torch.randint(len(donors), (len(x),), generator=generator, device=x.device)
    values = donors[donor]
    p = replaced_share(torch.as_tensor(sigma, dtype=x.dtype, device=x.device))
    replaced = (draw_uniform(x, 0, 1, generator) < p) & ~values.isnan() & ~x.isnan()
    return torch.where(replaced, values, x)


def _normal(x: Tensor, generator: torch.Generator) -> Tensor:
    """Draw standard normal numbers in the shape of x."""
    return torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)


def draw_uniform(x: Tensor, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Draw one number per sample from U[low, high), as a column."""
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
