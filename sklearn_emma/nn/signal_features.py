r"""Features of signals and images that single values do not show: spectrum and local power.

.. math::

    S_b = \log\Bigl(\epsilon + \mathrm{mean}_{f \in b} \frac{|\hat x_f|^2}{L}\Bigr), \qquad
    P_w = \log\bigl(\epsilon + \mathrm{var}_{t \in w}\, x_t\bigr), \qquad
    D_w = \log\bigl(\epsilon + \mathrm{mean}_{t \in w} (x_{t+1} - x_t)^2\bigr)

:math:`\hat x` is the Fourier transform of the signal minus its mean, after multiplication by a Hann
window [1]_. Its frequencies f are averaged in bands b. The windows w overlap by half, with about
sixteen along an axis; the last one may be shorter. All features are computed for each channel, and
along both axes of an image.

If the training samples scatter around their mean, an energy of the values assigns the lowest energy
to a constant signal at this mean. The logarithm of its power, however, is far from that of the
training samples. The same holds for a signal that drops out for some time. Interference at one
frequency changes all values a little, but it changes one band of the spectrum a lot.

References
----------
.. [1] Harris, F. J. (1978). On the use of windows for harmonic analysis with the discrete Fourier
   transform. Proceedings of the IEEE 66.
"""

import math
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["local_power", "log_spectrum"]

# Constant that is added to the power before the logarithm, in variances of the channel.
_FLOOR = 1e-4
# Number of bands along each axis, by the number of axes. The power of noise at one frequency is
# exponentially distributed. Its average over a band varies less, and a tone remains visible.
_MOST_BANDS = {1: 16, 2: 8}
# Number of steps between windows along an axis. A window is two steps wide.
_N_WINDOWS = 16


def log_spectrum(signal: Tensor, n_bands: int | None = None) -> Tensor:
    """Return the logarithm of the power in frequency bands.

    Parameters
    ----------
    signal : Tensor of shape (n_samples, channels, length) or (n_samples, channels, height, width)
        Signals or images with standardized channels.
    n_bands : int, default=None
        Number of bands along each axis, limited to the number of frequencies. None uses 16 for
        signals and 8 for images.

    Returns
    -------
    Tensor of shape (n_samples, n_features)
        Log power of the bands, channel by channel.

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
        # order frequencies along the first axis, so that bands contain neighboring ones
        power = torch.fft.fftshift(power, dim=2)
    most = n_bands or _MOST_BANDS[len(axes)]
    counts = [min(most, size) for size in power.shape[2:]]
    if len(axes) == 1:
        return _log(F.adaptive_avg_pool1d(power, counts[0]))
    return _log(F.adaptive_avg_pool2d(power, (counts[0], counts[1])))


def local_power(signal: Tensor) -> Tensor:
    """Return the log variance and the log mean squared difference of the signal in windows.

    Parameters
    ----------
    signal : Tensor of shape (n_samples, channels, length) or (n_samples, channels, height, width)
        Signals or images with standardized channels.

    Returns
    -------
    Tensor of shape (n_samples, n_features)
        Log variances of all windows, followed by the log mean squared differences along each axis.

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
    # the last window may be shorter, so that all values are in a window
    pool = partial(F.avg_pool1d if len(sizes) == 1 else F.avg_pool2d, ceil_mode=True)
    mean = pool(signal, width, hop)
    # subtract the mean of the sample first, which reduces rounding errors
    axes = tuple(range(2, signal.ndim))
    center = signal.mean(axes, keepdim=True)
    variance = pool((signal - center).square(), width, hop) - (mean - center).square()
    found = [_log(variance.clamp(min=0.0))]
    for axis in axes:
        if signal.shape[axis] == 1:
            continue
        within = list(width)
        within[axis - 2] -= 1
        found.append(_log(pool(signal.diff(dim=axis).square(), within, hop)))
    return torch.cat(found, 1)


def _hann(signal: Tensor, axis: int) -> Tensor:
    """Return a Hann window with a mean square of one, without the zeros at both ends."""
    size = signal.shape[axis]
    t = torch.arange(1, size + 1, dtype=signal.dtype, device=signal.device)
    window = torch.sin(math.pi * t / (size + 1)).square()
    window = window / window.square().mean().sqrt()
    return window.reshape(-1, *[1] * (signal.ndim - 1 - axis))


def _log(power: Tensor) -> Tensor:
    return (power + _FLOOR).log().flatten(1)
