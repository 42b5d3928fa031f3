"""Three figures of Werenne (2019), for the examples: an energy in the plane, and the gate.

Each function draws on axes that it is given, on which nothing is drawn yet.
"""

import numpy as np
from matplotlib.colors import AsinhNorm, LogNorm

from sklearn_emma.energy.protocol import potential_of


def draw_energy_landscape(scorer, X, ax, *, quantity="energy"):
    """Draw an energy over the plane of two features: dark is likely, dots are samples.

    Parameters
    ----------
    scorer : estimator
        Fitted on two features: a DAEEnergyScorer, another estimator with ``score_samples``, or a
        PyOD detector.
    X : ndarray of shape (n_samples, 2)
        Samples.
    ax : matplotlib Axes
        Where to draw.
    quantity : "energy" or "reconstruction_error", default="energy"
        The latter is that of a DAEEnergyScorer.

    Returns
    -------
    Colorbar
        The scale of the colors.
    """
    a, b, points = _grid(X, 200)
    if quantity == "energy":
        values, norm, ticks = potential_of(scorer, points), AsinhNorm(), [-1, 0, 1, 10, 100]
    else:
        values = scorer.reconstruction_error(points).sum(axis=1)
        norm, ticks = LogNorm(1e-5, clip=True), [1e-5, 1e-3, 1e-1, 10]
    image = ax.pcolormesh(a, b, values.reshape(a.shape), norm=norm, cmap="viridis", rasterized=True)
    ax.scatter(*X[:: max(1, len(X) // 100)].T, s=2, color="white")
    return ax.figure.colorbar(image, ax=ax, ticks=ticks)


def draw_vector_field(scorer, X, ax):
    r"""Draw the field :math:`r(x) - x`: arrows as long as the square root of its norm.

    Parameters
    ----------
    scorer : DAEEnergyScorer
        Fitted on two features.
    X : ndarray of shape (n_samples, 2)
        Samples, drawn as dots.
    ax : matplotlib Axes
        Where to draw.

    Returns
    -------
    Quiver
        The arrows.
    """
    a, b, points = _grid(X, 23)
    field = scorer.reconstruct(points) - points
    norm = np.linalg.norm(field, axis=1, keepdims=True)
    field = field / np.sqrt(np.where(norm > 0, norm, 1.0))
    ax.scatter(*X[:: max(1, len(X) // 500)].T, s=3, color="#D55E00")
    return ax.quiver(a, b, *field.T, color="#333333", angles="xy", width=0.004)


def draw_attention_function(estimator, ax):
    r"""Draw the gate :math:`\beta = \max(0, \tanh(g_a \alpha - b_a))` with its capacity.

    The capacity is the area under :math:`\tanh(g_a \alpha - b_a)`, which counts as negative below
    the threshold :math:`\alpha = b_a / g_a`, where the gate is closed.

    Parameters
    ----------
    estimator : EMMAClassifier or EMMARegressor
        Fitted.
    ax : matplotlib Axes
        Where to draw.

    Returns
    -------
    Line2D
        The attention.
    """
    importance = np.linspace(0, 1, 401)
    tanh = np.tanh(estimator.gain_ * importance - estimator.bias_)
    attention = np.maximum(tanh, 0)
    threshold = estimator.bias_ / estimator.gain_
    (line,) = ax.plot(importance, attention, color="#0072B2", linewidth=2.5, label="attention β")
    ax.fill_between(
        importance,
        attention,
        color="#0072B2",
        alpha=0.2,
        linewidth=0,
        label=f"capacity {estimator.capacity_:.2f}",
    )
    if estimator.bias_ > 0:
        ax.fill_between(
            importance,
            np.minimum(tanh, 0),
            facecolor="none",
            edgecolor="#D55E00",
            hatch="////",
            linewidth=0,
            label="its negative part",
        )
    ax.axvline(threshold, color="#767676", linestyle="--", label=f"threshold {threshold:.2f}")
    ax.set(xlabel="importance α", ylabel="attention β", ylim=(None, 1.03))
    ax.legend(frameon=False, loc="center right")
    return line


def _grid(X, n):
    """Return n x n points around samples, as coordinates and as samples."""
    low, high = X.min(axis=0) - 1.0, X.max(axis=0) + 1.0
    a, b = np.meshgrid(np.linspace(low[0], high[0], n), np.linspace(low[1], high[1], n))
    return a, b, np.column_stack([a.ravel(), b.ravel()])


if __name__ == "__main__":
    print(
        "This file draws nothing by itself: plot_1_manifolds.py and plot_6_look_inside.py use its "
        "functions. Run one of these."
    )
