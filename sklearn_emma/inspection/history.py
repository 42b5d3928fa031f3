"""TrainingHistoryDisplay: plot losses and gate parameters by epoch."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sklearn_emma.inspection.checks import check_gated, check_member
from sklearn_emma.inspection.drawing import (
    COLORS,
    Display,
    despine,
    make_axes,
    require_matplotlib,
)
from sklearn_emma.model_selection.inside import unwrap

#: Panels: label of the axis, and the label of each curve.
_PANELS: dict[str, tuple[str, dict[str, str]]] = {
    "loss": ("loss", {"train_loss": "training", "valid_loss": "held-out samples"}),
    "gain": ("gain", {"gain": "gain"}),
    "gate": ("bias, capacity", {"bias": "bias", "capacity": "capacity"}),
}


class TrainingHistoryDisplay(Display):
    """Losses, and gain, bias and capacity of the gate, by epoch.

    Create it with :meth:`from_estimator` or :meth:`from_history`.

    Read more in the :doc:`user guide </guide/training>`.

    Parameters
    ----------
    history : dict of str to ndarray of shape (n_epochs,)
        Attribute ``history_`` of an estimator, with the keys ``"train_loss"``, ``"valid_loss"``
        (with early stopping), ``"gain"``, ``"bias"`` and ``"capacity"``.

    Attributes
    ----------
    lines_ : dict of str to Line2D
        Curves, by the keys of the history.
    axes_ : dict of str to Axes
        Axes of the panels ``"loss"``, ``"gain"`` and ``"gate"`` (bias and capacity).
    ax_, figure_ : Axes, Figure
        Axes of the first panel, and figure.

    See Also
    --------
    sklearn.model_selection.LearningCurveDisplay : Plot scores against the number of samples.

    Examples
    --------
    >>> from sklearn_emma.inspection import TrainingHistoryDisplay
    >>> history = {"train_loss": [0.7, 0.4, 0.3], "gain": [6.0, 5.8, 5.7]}
    >>> display = TrainingHistoryDisplay.from_history(history)
    >>> list(display.axes_), display.lines_["gain"].get_ydata().tolist()
    (['loss', 'gain'], [6.0, 5.8, 5.7])
    """

    def __init__(self, history: dict[str, np.ndarray]) -> None:
        self.history = history

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, panels: str | list[str] | None = None, ax: Any = None
    ) -> "TrainingHistoryDisplay":
        """Draw the history of a fitted estimator.

        Parameters
        ----------
        estimator : EMMAClassifier, EMMARegressor, GatedClassifier or GatedRegressor
            Fitted estimator, or a fitted Pipeline or search that ends in one.
        panels : {"loss", "gain", "gate"} or list of these, default=None
            Panels to draw. None draws all panels for which the history has data.
        ax : matplotlib Axes or list of Axes, default=None
            Axes to draw on, one per panel. None creates a new figure.

        Returns
        -------
        TrainingHistoryDisplay
            The drawn display.

        Raises
        ------
        TypeError
            If the estimator has no gate.
        """
        estimator, _ = unwrap(estimator)
        check_gated(estimator, cls.__name__)
        estimator = getattr(estimator, "gate_", estimator)  # that of a GatedClassifier
        return cls.from_history(estimator.history_, panels=panels, ax=ax)

    @classmethod
    def from_history(
        cls, history: Any, *, panels: str | list[str] | None = None, ax: Any = None
    ) -> "TrainingHistoryDisplay":
        """Draw a history.

        Parameters
        ----------
        history : dict of str to array-like of shape (n_epochs,)
            History, see the parameter `history` of the class.
        panels : {"loss", "gain", "gate"} or list of these, default=None
            Panels to draw. None draws all panels for which the history has data.
        ax : matplotlib Axes or list of Axes, default=None
            Axes to draw on, one per panel. None creates a new figure.

        Returns
        -------
        TrainingHistoryDisplay
            The drawn display.

        Raises
        ------
        ValueError
            If the history has no known key.
        """
        known = [key for _, curves in _PANELS.values() for key in curves]
        if not isinstance(history, Mapping) or not set(known) & set(history):
            raise ValueError(f"history must be a dict with some of the keys {known}.")
        history = {key: np.asarray(values, dtype=float) for key, values in history.items()}
        return cls(history).plot(ax=ax, panels=panels)

    def plot(
        self, ax: Any = None, *, panels: str | list[str] | None = None
    ) -> "TrainingHistoryDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes or list of Axes, default=None
            Axes to draw on, one per panel. None creates a new figure.
        panels : {"loss", "gain", "gate"} or list of these, default=None
            Panels to draw. None draws all panels for which the history has data.

        Returns
        -------
        TrainingHistoryDisplay
            The drawn display.

        Raises
        ------
        ValueError
            If a panel is unknown or none is named, if the history has no data for it, or if the
            number of axes differs from the number of panels.
        """
        there = [panel for panel, (_, curves) in _PANELS.items() if set(curves) & set(self.history)]
        panels = there if panels is None else [panels] if isinstance(panels, str) else list(panels)
        if not panels:
            raise ValueError(f"panels must name at least one of {there}.")
        for panel in panels:
            check_member(panel, there, "panels: each")
        axes = self._prepare_all(ax, len(panels))
        self.axes_ = dict(zip(panels, axes, strict=True))
        self.ax_, self.lines_ = axes[0], {}
        for panel, panel_ax in self.axes_.items():
            label, curves = _PANELS[panel]
            shown = {key: name for key, name in curves.items() if key in self.history}
            for (key, name), color in zip(shown.items(), COLORS, strict=False):
                values = self.history[key]
                (self.lines_[key],) = panel_ax.plot(
                    np.arange(1, len(values) + 1),
                    values,
                    color=color,
                    linewidth=2,
                    linestyle="-" if color == COLORS[0] else "--",
                    label=name,
                )
            panel_ax.set_ylabel(label if panel != "gate" or len(shown) > 1 else next(iter(shown)))
            if len(shown) > 1:
                panel_ax.legend(frameon=False)
            if panel == "gate":
                panel_ax.set_ylim(-0.03, 1.03)
            panel_ax.xaxis.get_major_locator().set_params(integer=True)
            despine(panel_ax)
        axes[-1].set_xlabel("epoch")
        self.figure_.align_ylabels(axes)
        return self

    def _prepare_all(self, ax: Any, n: int) -> list:
        """Return one Axes per panel, and set ``figure_``."""
        require_matplotlib(type(self).__name__)
        from matplotlib.axes import Axes

        if ax is None:
            column = make_axes(n, 1, figsize=(6.4, 1.2 + 1.9 * n), sharex=True, squeeze=False)
            axes = list(column[:, 0])
        else:
            axes = [ax] if isinstance(ax, Axes) else list(np.ravel(ax))
        if len(axes) != n:
            raise ValueError(
                f"There are {n} panels to draw, but {len(axes)} axes. Pass one for each, or choose "
                'panels, such as panels=["loss"].'
            )
        self.figure_ = axes[0].figure
        return axes
