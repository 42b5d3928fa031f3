"""What Displays share: a figure without pyplot, colours for all eyes, boxes side by side."""

from io import BytesIO
from itertools import cycle

import numpy as np

#: Colours that people with any kind of colour vision tell apart (Okabe and Ito, 2008).
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#767676"


class Display:
    """Base of all Displays: where they draw, and how a notebook shows them."""

    _own_figure = False

    def _prepare(self, ax, **figure):
        """Set ``ax_`` and ``figure_``: the user's, or a new figure unknown to pyplot."""
        require_matplotlib(type(self).__name__)
        from matplotlib.figure import Figure

        self._own_figure = ax is None
        if ax is None:
            projection = figure.pop("projection", None)
            figure = Figure(**{"figsize": (6.4, 4.4), "layout": "constrained", **figure})
            ax = figure.add_subplot(projection=projection)
        self.ax_, self.figure_ = ax, ax.figure
        return ax

    def _repr_png_(self):
        """Picture for notebooks, unless somebody else shows the figure."""
        if not self._own_figure:
            return None
        buffer = BytesIO()
        self.figure_.savefig(buffer, format="png", dpi=100)
        return buffer.getvalue()


def require_matplotlib(who):
    """Raise ImportError that names the extra to install where matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{who} draws with matplotlib, which is not installed: pip install 'sklearn_emma[plot]'"
        ) from error


def despine(ax):
    """Take away the frame on the sides without an axis."""
    ax.spines[["top", "right"]].set_visible(False)


def legend(ax, handles, labels=None):
    """Put a legend above the axes, where it hides no data, in as many columns as have room."""
    labels = [handle.get_label() for handle in handles] if labels is None else labels
    width = max(len(str(label)) for label in labels) + 7
    return ax.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=max(1, min(len(labels), 70 // width)),
        frameon=False,
        borderaxespad=0.2,
    )


def choose_colors(n):
    """Return n colours that can be told apart; shades of one scale where they are many."""
    if n <= len(COLORS):
        return list(COLORS[:n])
    from matplotlib import colormaps

    return [colormaps["viridis"](x) for x in np.linspace(0, 0.95, n)]


def label_powers(axis, low, high, most=8):
    """Label zero and powers of ten of either sign, of an axis or colour bar on an asinh scale."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    powers = 10.0 ** np.arange(0, 16)
    shown = [v for v in (*-powers[::-1], 0.0, *powers) if low <= v <= high]
    if len(shown) > 1:
        step = -(-len(shown) // most)
        zero = shown.index(0.0) if 0.0 in shown else 0
        axis.set_major_locator(FixedLocator(shown[zero % step :: step]))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def level_labels(levels):
    """Write numbers for an axis on which they stand at equal distances."""
    return [f"{level:g}" for level in levels]


def name_modalities(ax, names, axis="x"):
    """Label the positions 0, 1, ... of an axis with names, slanted where they are long."""
    long = axis == "x" and sum(len(name) + 2 for name in names) > 50
    slant = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if long else {}
    ticks = ax.set_xticks if axis == "x" else ax.set_yticks
    ticks(range(len(names)), names, **slant)


def draw_boxes(ax, groups, colors):
    """Draw a box per group and modality: quartiles, and whiskers from 5 to 95 per cent.

    Parameters
    ----------
    ax : Axes
        Where.
    groups : list of list of ndarray
        Values by group and modality.
    colors : list of color
        One per group.

    Returns
    -------
    list of dict of str to list of artists
        What ``Axes.boxplot`` returned for each group.
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


def _rgb(color):
    from matplotlib.colors import to_rgb

    return to_rgb(color)
