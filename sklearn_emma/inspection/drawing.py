"""Common functions of displays: figures, colors, legends and grouped boxes."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np

#: Palette that is also distinguishable for color-blind readers (Okabe and Ito, 2008).
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GRAY = "#767676"


class Display:
    """Base class of all displays.

    Attributes
    ----------
    ax_, figure_ : Axes, Figure
        Axes and figure of the plot.
    """

    ax_: Any
    figure_: Any

    def _prepare(
        self,
        ax: Any = None,
        *,
        figsize: tuple[float, float] = (6.4, 4.4),
        projection: str | None = None,
    ) -> Any:
        """Set ``ax_`` and ``figure_`` to the given axes, or to those of a new pyplot figure."""
        require_matplotlib(type(self).__name__)
        if ax is None:
            ax = make_axes(figsize=figsize, subplot_kw={"projection": projection})
        if not hasattr(ax, "figure"):
            raise TypeError(
                f"{type(self).__name__} draws into a single Axes of matplotlib, but ax is of type "
                f"{type(ax).__name__}. Pass one of the axes."
            )
        self.ax_, self.figure_ = ax, ax.figure
        return ax


def make_axes(*shape: int, **settings: Any) -> Any:
    """Create a pyplot figure, and return its axes.

    Parameters
    ----------
    *shape : int
        Number of rows and columns of axes. By default there is a single one.
    **settings : dict
        Parameters of :func:`matplotlib.pyplot.subplots`.

    Returns
    -------
    Axes or ndarray of Axes
        Axes of the figure.
    """
    import matplotlib.pyplot as plt

    return plt.subplots(*shape, layout="constrained", **settings)[1]


def require_matplotlib(who: str) -> None:
    """Raise an ImportError that names the extra to install if matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{who} draws with matplotlib, which is not installed: pip install 'sklearn_emma[plot]'"
        ) from error


def despine(ax: Any) -> None:
    """Hide the frame at the top and on the right."""
    ax.spines[["top", "right"]].set_visible(False)


def legend(ax: Any, handles: Sequence, labels: Sequence[str] | None = None) -> Any:
    """Put a legend above the axes, with as many columns as fit."""
    labels = [handle.get_label() for handle in handles] if labels is None else labels
    labels = [plain_text(label) for label in labels]
    width = max(map(len, labels)) + 7
    return ax.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=max(1, min(len(labels), 70 // width)),
        frameon=False,
        borderaxespad=0.2,
    )


def long_names(style: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties of a line by their long names, such as "linewidth" for "lw"."""
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.lines import Line2D

    found: dict[str, Any] = normalize_kwargs(dict(style), Line2D)
    return found


def choose_colors(n: int) -> list:
    """Return n different colors, from a sequential color map if there are more than seven."""
    if n <= len(COLORS):
        return list(COLORS[:n])
    from matplotlib import colormaps

    return [colormaps["viridis"](x) for x in np.linspace(0, 0.95, n)]


def label_powers(axis: Any, low: float, high: float, most: int = 8) -> None:
    """Label zero and powers of ten of either sign on an axis with an asinh scale."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    powers = 10.0 ** np.arange(0, 16)
    shown = [v for v in [*-powers[::-1], 0.0, *powers] if low <= v <= high]
    if len(shown) > 1:
        step = -(-len(shown) // most)
        zero = shown.index(0.0) if 0.0 in shown else 0
        axis.set_major_locator(FixedLocator(shown[zero % step :: step]))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def level_labels(levels: np.ndarray) -> list[str]:
    """Return the labels of levels on an axis."""
    return [f"{level:g}" for level in levels]


def plain_text(text: Any) -> str:
    """Return text as matplotlib needs it to show dollar signs, which otherwise enclose formulas."""
    return str(text).replace("$", r"\$")


def name_modalities(ax: Any, names: list[str], axis: str = "x") -> None:
    """Label the positions 0, 1, ... of an axis with names, which are rotated if they are long."""
    how: dict[str, Any] = {"fontsize": 7} if len(names) > 15 else {}
    if axis == "x" and sum(len(name) + 2 for name in names) > 50:
        rotation = 90 if len(names) > 15 else 30
        how |= {"rotation": rotation, "ha": "right", "rotation_mode": "anchor"}
        if rotation == 90:
            how["va"] = "center"
    ticks = ax.set_xticks if axis == "x" else ax.set_yticks
    ticks(range(len(names)), [plain_text(name) for name in names], **how)


def draw_boxes(ax: Any, groups: Sequence[Sequence[np.ndarray]], colors: Sequence) -> list[dict]:
    """Draw one box per group and modality, with whiskers from the 5 % to the 95 % quantile.

    Parameters
    ----------
    ax : Axes
        Axes to draw on.
    groups : list of list of ndarray
        Values of each group and modality.
    colors : list of color
        Colors of the groups.

    Returns
    -------
    list of dict of str to list of artists
        The artists that ``Axes.boxplot`` returned for each group.
    """
    width = 0.8 / len(groups)
    drawn = []
    for i, (values, color) in enumerate(zip(groups, cycle(colors))):
        positions = np.arange(len(values)) + (i - (len(groups) - 1) / 2) * width
        line = {"color": color, "linewidth": 1.2}
        drawn.append(
            ax.boxplot(
                values,
                positions=positions,
                widths=0.8 * width,
                whis=(5, 95),
                showfliers=False,
                patch_artist=True,
                manage_ticks=False,
                boxprops={"facecolor": (*_rgb(color), 0.35), "edgecolor": color},
                medianprops={"color": color, "linewidth": 2.4},
                whiskerprops=line,
                capprops=line,
            )
        )
    ax.set_xlim(-0.6, len(groups[0]) - 0.4)
    return drawn


def _rgb(color: Any) -> tuple[float, float, float]:
    """Return a color as red, green and blue."""
    from matplotlib.colors import to_rgb

    return to_rgb(color)
