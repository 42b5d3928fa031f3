r"""Features of signals and images: smoothed values, attended patterns and spectrum.

.. math::

    u_{k}(t) = (g_k * s)(t), \qquad
    w_t = \frac{\epsilon + \sum_k u_k(t)^2}{\sum_{t'} (\epsilon + \sum_k u_k(t')^2)}, \qquad
    c_k = \mathbb{E}_{t \sim p_w} |u_k(t)|

The filters :math:`g_k` are derivatives of Gaussians, of several orders and widths [1]_. They are
applied to each channel. The power of their responses gives the attention weights :math:`w_t`, to
which a density p over continuous time or space is fitted
(:class:`~sklearn_emma.nn.ContinuousAttention`). The context :math:`c_k` is the expected absolute
response under this density. It does not depend on where in the window a pattern occurs. The
features are

* the values of each channel, as a smooth function V at a few positions,
* mean and standard deviation of the density, and the context,
* the logarithmic spectrum (:mod:`sklearn_emma.nn.signal_features`).

They replace the columns as the input of the default predictor, which would otherwise overfit if
there are few samples with many columns.

References
----------
.. [1] Lindeberg, T. (1994). Scale-space theory: a basic tool for analysing structures at different
   scales. Journal of Applied Statistics 21.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklearn_emma.nn.continuous_attention import ContinuousAttention
from sklearn_emma.nn.convolutional_energy import signal_shape
from sklearn_emma.nn.fusion import FusionNetwork
from sklearn_emma.nn.signal_features import log_spectrum

__all__ = ["SignalEncoder", "SignalFusionNetwork"]

# Standard deviations of the Gaussians, in positions, by the number of axes.
_WIDTHS = {1: (1.0, 2.0, 4.0), 2: (1.0, 2.0)}
_HIGHEST_ORDER = 2
# Number of basis functions along each axis.
_N_BASIS = {1: 16, 2: 8}
# Number of frequency bands along each axis. There are more than in the energy of a signal, because
# the spectra of classes differ less than those of failing sensors.
_N_BANDS = {1: 32, 2: 8}
# Constant that is added to the power of the responses.
_FLOOR = 1e-4


class SignalEncoder(nn.Module):
    """Fixed convolutional features of signals, pooled by continuous attention.

    Parameters
    ----------
    shape : tuple of int
        (channels, length) of a signal, or (channels, height, width) of an image.

    Notes
    -----
    The encoder has no trainable parameters. The buffers ``center`` and ``scale``, of shape
    (n_outputs,), are initialized to zeros and ones. They should be set to location and scale of the
    features of training samples.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import SignalEncoder
    >>> encoder = SignalEncoder((3, 50))
    >>> encoder(torch.zeros(4, 150)).shape[1] == encoder.n_outputs
    True
    """

    filters: Tensor
    center: Tensor
    scale: Tensor

    def __init__(self, shape: Sequence[int]):
        super().__init__()
        self.shape = signal_shape(shape)
        n_axes = len(self.shape) - 1
        self.register_buffer("filters", _gaussian_derivatives(n_axes), persistent=False)
        self.attention = ContinuousAttention(self.shape[1:], _N_BASIS[n_axes])
        empty = torch.zeros(1, math.prod(self.shape), dtype=torch.float32)
        n_outputs = self.features(empty).shape[1]
        self.register_buffer("center", torch.zeros(n_outputs, dtype=torch.float32))
        self.register_buffer("scale", torch.ones(n_outputs, dtype=torch.float32))

    @property
    def n_outputs(self) -> int:
        """Number of features."""
        return len(self.center)

    def responses(self, signal: Tensor) -> Tensor:
        """Return the responses of the filters.

        Parameters
        ----------
        signal : Tensor of shape (n_samples, channels, ...)
            Signals or images.

        Returns
        -------
        Tensor of shape (n_samples, channels * n_filters, n_positions)
            Response of each filter to each channel at each position.
        """
        each = signal.flatten(0, 1).unsqueeze(1)
        reach = self.filters.shape[-1] // 2
        convolve = F.conv1d if signal.ndim == 3 else F.conv2d
        padded = F.pad(each, [reach] * 2 * (signal.ndim - 2), mode="replicate")
        return (
            convolve(padded, self.filters).flatten(2).unflatten(0, signal.shape[:2]).flatten(1, 2)
        )

    def features(self, x: Tensor) -> Tensor:
        """Return the features before centering and scaling.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Flattened signals of standardized channels, with finite values.

        Returns
        -------
        Tensor of shape (n_samples, n_outputs)
            Features, in their own units.
        """
        signal = x.unflatten(1, self.shape)
        responses = self.responses(signal)
        power = responses.square().sum(1) + _FLOOR
        density = self.attention.density(power / power.sum(1, keepdim=True))
        context = self.attention.expect(responses.abs(), density)
        deviation = density.covariance.diagonal(dim1=-2, dim2=-1).sqrt()
        values = self.attention.smooth(signal.flatten(2)).flatten(1)
        attended = density.mean.flatten(1), deviation.flatten(1), context
        return torch.cat([values, *attended, self._spectrum(signal)], 1)

    def _spectrum(self, signal: Tensor) -> Tensor:
        return log_spectrum(signal, _N_BANDS[signal.ndim - 2])

    def forward(self, x: Tensor) -> Tensor:
        """Return the centered and scaled features.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Flattened signals of standardized channels, with finite values.

        Returns
        -------
        Tensor of shape (n_samples, n_outputs)
            Centered and scaled features.
        """
        return self.scaled(self.features(x))

    def scaled(self, features: Tensor) -> Tensor:
        """Center and scale features.

        Parameters
        ----------
        features : Tensor of shape (n_samples, n_outputs)
            Result of :meth:`features`.

        Returns
        -------
        Tensor of shape (n_samples, n_outputs)
            Centered and scaled features.
        """
        return (features - self.center) / self.scale


class SignalFusionNetwork(FusionNetwork):
    """Default predictor for modalities that are signals or images, from features of these.

    Parameters
    ----------
    n_features : sequence of int
        Number of columns of each modality.
    n_outputs : int
        Number of classes, or of target values.
    shapes : sequence of tuple of int or None
        Shape of the signals of each modality, or None if the modality is not a signal.
    *args, **params : objects
        Other parameters of :class:`FusionNetwork`.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import SignalFusionNetwork
    >>> network = SignalFusionNetwork([60, 2], 3, [(2, 30), None])
    >>> network([torch.zeros(5, 60), torch.zeros(5, 2)], torch.ones(5, 2)).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        n_features: Sequence[int],
        n_outputs: int,
        shapes: Sequence[tuple[int, ...] | None],
        *args: Any,
        **params: Any,
    ):
        encoders = {
            str(i): SignalEncoder(shape) for i, shape in enumerate(shapes) if shape is not None
        }
        widths = list(n_features)
        for i, encoder in encoders.items():
            widths[int(i)] = encoder.n_outputs
        super().__init__(widths, n_outputs, *args, **params)
        self.signals = nn.ModuleDict(encoders)

    def read_signals(self, modalities: Sequence[Tensor]) -> list[Tensor]:
        """Replace the columns of signals by their features.

        Parameters
        ----------
        modalities : sequence of Tensor of shape (n_samples, n_features)
            One tensor per modality.

        Returns
        -------
        list of Tensor of shape (n_samples, n_columns)
            One tensor per modality. Modalities that are not signals are unchanged.
        """
        found = list(modalities)
        for i, encode in self.signals.items():
            found[int(i)] = encode(found[int(i)])
        return found

    def encode(self, modalities: Sequence[Tensor]) -> Tensor:
        """Compute the terms of each modality that are multiplied by its gate.

        Parameters
        ----------
        modalities : sequence of Tensor of shape (n_samples, n_features)
            One tensor per modality.

        Returns
        -------
        Tensor of shape (n_modalities, n_samples, n_units + n_outputs)
            Encoded modalities, see :meth:`FusionNetwork.encode`.
        """
        return super().encode(self.read_signals(modalities))


def _gaussian_derivatives(n_axes: int) -> Tensor:
    """Return filters of shape (n_filters, 1, size, ...), each with a Euclidean norm of one."""
    reach = math.ceil(3 * max(_WIDTHS[n_axes]))
    t = torch.arange(-reach, reach + 1, dtype=torch.float64)
    filters = []
    for width in _WIDTHS[n_axes]:
        u = t / width
        bell = torch.exp(-0.5 * u.square())
        orders = [bell, -u * bell, (u.square() - 1.0) * bell]
        for chosen in itertools.product(range(_HIGHEST_ORDER + 1), repeat=n_axes):
            if sum(chosen) > _HIGHEST_ORDER:
                continue
            kernel = orders[chosen[0]]
            for order in chosen[1:]:
                kernel = kernel.unsqueeze(-1) * orders[order]
            filters.append(kernel / kernel.square().sum().sqrt())
    return torch.stack(filters).unsqueeze(1).float()
