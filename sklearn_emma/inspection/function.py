"""AttentionFunctionDisplay: from importance to attention."""

import numpy as np

from sklearn_emma.corruption.base import is_number
from sklearn_emma.inspection.checks import check_gated, open_up
from sklearn_emma.inspection.drawing import COLORS, GREY, Display, despine, legend
from sklearn_emma.nn import EnergyAttention


class AttentionFunctionDisplay(Display):
    r"""The gate :math:`\beta = \max(0, \tanh(g_a \alpha - b_a))`, its threshold and its capacity.

    The capacity is the area under :math:`\tanh(g_a \alpha - b_a)`, which counts as negative below
    the threshold :math:`\alpha = b_a / g_a`, where the gate is shut.

    Make one with :meth:`from_estimator` or :meth:`from_parameters`.

    Parameters
    ----------
    gain, bias : float
        :math:`g_a > 0` and :math:`b_a` in [0, 1].

    Attributes
    ----------
    threshold_ : float
        Importance below which a modality is shut out.
    capacity_ : float
        The area.
    line_ : Line2D
        The gate.
    threshold_line_ : Line2D
        The threshold.
    area_ : list of PolyCollection
        The shaded areas that make up the capacity: the positive one, and if there is any the
        negative one.
    ax_, figure_ : Axes, Figure
        Where it is drawn.

    Examples
    --------
    >>> from sklearn_emma.inspection import AttentionFunctionDisplay
    >>> display = AttentionFunctionDisplay.from_parameters(gain=5.0, bias=0.5)
    >>> display.threshold_, round(display.capacity_, 2)
    (0.1, 0.74)
    """

    def __init__(self, gain, bias):
        self.gain = gain
        self.bias = bias

    @classmethod
    def from_estimator(cls, estimator, *, ax=None):
        """Draw the function of a fitted gate.

        Parameters
        ----------
        estimator : EMMAClassifier or EMMARegressor
            Fitted; may be the last step of a Pipeline, or in a search.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        AttentionFunctionDisplay
            The drawn Display.

        Raises
        ------
        TypeError
            If the estimator has no gate.
        """
        estimator, _ = open_up(estimator)
        check_gated(estimator, cls.__name__)
        return cls.from_parameters(estimator.gain_, estimator.bias_, ax=ax)

    @classmethod
    def from_parameters(cls, gain, bias, *, ax=None):
        """Draw the function of given parameters.

        Parameters
        ----------
        gain, bias : float
            :math:`g_a > 0` and :math:`b_a` in [0, 1].
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        AttentionFunctionDisplay
            The drawn Display.

        Raises
        ------
        ValueError
            If gain or bias is out of range.
        """
        if not is_number(gain) or gain <= 0:
            raise ValueError(f"gain={gain!r} must be a positive number.")
        if not is_number(bias) or not 0 <= bias <= 1:
            raise ValueError(f"bias={bias!r} must be a number from 0 to 1.")
        return cls(float(gain), float(bias)).plot(ax=ax)

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        AttentionFunctionDisplay
            The drawn Display.
        """
        ax = self._prepare(ax)
        gate = _gate(self.gain, self.bias)
        self.capacity_ = float(gate.capacity())
        self.threshold_ = self.bias / self.gain
        edge = min(self.threshold_, 1.0)
        importance = np.unique(np.r_[np.linspace(0, 1, 401), edge])
        tanh = np.tanh(self.gain * importance - self.bias)
        (self.line_,) = ax.plot(
            importance, np.maximum(tanh, 0), color=COLORS[0], linewidth=2.5, label="attention β"
        )
        positive = ax.fill_between(
            importance,
            0,
            np.maximum(tanh, 0),
            color=COLORS[0],
            alpha=0.2,
            linewidth=0,
            label=f"capacity {self.capacity_:.2f}",
        )
        self.area_ = [positive]
        if self.bias > 0:
            negative = ax.fill_between(
                importance,
                np.minimum(tanh, 0),
                0,
                facecolor="none",
                edgecolor=COLORS[1],
                hatch="////",
                linewidth=0,
                label="its negative part",
            )
            self.area_.append(negative)
        self.threshold_line_ = ax.axvline(
            self.threshold_,
            color=GREY,
            linestyle="--",
            label=f"threshold {self.threshold_:.2f}",
        )
        ax.axhline(0, color=GREY, linewidth=0.8, zorder=0)
        ax.set(xlim=(-0.02, max(1.0, self.threshold_) + 0.02), ylim=(None, 1.03))
        ax.set(xlabel="importance α", ylabel="attention β")
        despine(ax)
        legend(ax, [self.line_, self.threshold_line_, *self.area_])
        return self


def _gate(gain, bias):
    """Return a gate that knows its capacity."""
    gate = EnergyAttention(1, gain=gain).double().requires_grad_(False)
    gate.bias.fill_(bias)
    return gate
