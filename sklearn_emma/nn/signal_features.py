r"""What a signal or an image shows that its single values do not: spectrum and local power.

.. math::

    S_b = \log\Bigl(\epsilon + \mathrm{mean}_{f \in b} \frac{|\hat x_f|^2}{L}\Bigr), \qquad
    P_w = \log\bigl(\epsilon + \mathrm{var}_{t \in w}\, x_t\bigr), \qquad
    D_w = \log\bigl(\epsilon + \mathrm{mean}_{t \in w} (x_{t+1} - x_t)^2\bigr)

:math:`\hat x` is the Fourier transform of the signal less its mean, under a Hann window [1]_, whose
frequencies f are gathered in bands b. Windows w overlap by half; there are about sixteen along an
axis. All is computed channel by channel, and along both axes of an image.

A constant signal is likelier than any other to an energy of the values, if the training samples
spread around their mean: no other part of it is wrong. In the logarithm of its power it is far from
them. The same holds for a part of the signal that drops out, and interference of one frequency is a
small change of all values, but a large one of a single band.

References
----------
.. [1] Harris, F. J. (1978). On the use of windows for harmonic analysis with the discrete Fourier
   transform. Proceedings of the IEEE 66.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["local_power", "log_spectrum"]

# Power, in variances of the channel, below which a signal counts as silent.
_FLOOR = 1e-4
# Bands along each axis, for signals and for images. The power of noise at one frequency is an
# exponential variable: in a band of several it spreads less, and a tone is seen all the same.
_MOST_BANDS = {1: 16, 2: 8}
# Half as many windows along an axis, before they overlap.
_N_WINDOWS = 16


def log_spectrum(signal: Tensor, n_bands: int | None = None) -> Tensor:
    """Logarithm of the power in bands of frequencies.

    Parameters
    ----------
    signal : Tensor of shape (n_samples, channels, length) or (n_samples, channels, height, width)
        Signals of standardised channels, or images.
    n_bands : int, default=None
        Bands along each axis, at most as many as frequencies. None takes 16 of signals, 8 of
        images.

    Returns
    -------
    Tensor of shape (n_samples, n_features)
        Bands of one channel after another.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn.signal_features import log_spectrum
    >>> t = torch.arange(64)
    >>> slow, fast = torch.sin(0.2 * t), torch.sin(1.5 * t)
    >>> bands = log_spectrum(torch.stack([slow, fast]).unsqueeze(1))
    >>> bands.shape, bool(bands[0].argmax() < bands[1].argmax())
    (torch.Size([2, 16]), True)
    """
    axes = tuple(range(2, signal.ndim))
    tapered = signal - signal.mean(axes, keepdim=True)
    for axis in axes:
        tapered = tapered * _hann(signal, axis)
    power = torch.fft.rfftn(tapered, dim=axes).abs().square() / math.prod(signal.shape[2:])
    if len(axes) == 2:
        # bands gather neighbours, of negative frequencies along the first axis too
        power = torch.fft.fftshift(power, dim=2)
    most = n_bands or _MOST_BANDS[len(axes)]
    counts = [min(most, size) for size in power.shape[2:]]
    if len(axes) == 1:
        return _log(F.adaptive_avg_pool1d(power, counts[0]))
    return _log(F.adaptive_avg_pool2d(power, (counts[0], counts[1])))


def local_power(signal: Tensor) -> Tensor:
    """Logarithm of the variance of the signal in windows, and of its mean squared steps.

    Parameters
    ----------
    signal : Tensor of shape (n_samples, channels, length) or (n_samples, channels, height, width)
        Signals of standardised channels, or images.

    Returns
    -------
    Tensor of shape (n_samples, n_features)
        Variances of all windows, then steps along each axis.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn.signal_features import local_power
    >>> features = local_power(torch.sin(torch.arange(64.0)).expand(1, 1, 64))
    >>> features.shape
    torch.Size([1, 30])
    """
    sizes = signal.shape[2:]
    hop = [min(size, max(2, math.ceil(size / _N_WINDOWS))) for size in sizes]
    width = [min(size, 2 * step) for size, step in zip(sizes, hop, strict=True)]
    pool = F.avg_pool1d if len(sizes) == 1 else F.avg_pool2d
    mean = pool(signal, width, hop)
    # around the mean of the sample: less is lost to rounding
    axes = tuple(range(2, signal.ndim))
    centre = signal.mean(axes, keepdim=True)
    variance = pool((signal - centre).square(), width, hop) - (mean - centre).square()
    found = [_log(variance.clamp(min=0.0))]
    for axis in axes:
        if signal.shape[axis] == 1:
            continue
        within = list(width)
        within[axis - 2] -= 1
        found.append(_log(pool(signal.diff(dim=axis).square(), within, hop)))
    return torch.cat(found, 1)


def _hann(signal: Tensor, axis: int) -> Tensor:
    """Return a Hann window of mean square one, without its zeros at both ends."""
    size = signal.shape[axis]
    t = torch.arange(1, size + 1, dtype=signal.dtype, device=signal.device)
    window = torch.sin(math.pi * t / (size + 1)).square()
    window = window / window.square().mean().sqrt()
    return window.reshape(-1, *[1] * (signal.ndim - 1 - axis))


def _log(power: Tensor) -> Tensor:
    return (power + _FLOOR).log().flatten(1)
