"""AttentionDisplay: plot the importance of each modality and the attention to it."""

from typing import Any

import numpy as np

from sklearn_emma.inspection.checks import (
    check_gated,
    check_matrix,
    check_member,
    check_names,
    check_weights,
)
from sklearn_emma.inspection.drawing import (
    COLORS,
    Display,
    despine,
    draw_boxes,
    legend,
    name_modalities,
)
from sklearn_emma.model_selection.inside import unwrap


class AttentionDisplay(Display):
    r"""Importance :math:`\alpha` and attention :math:`\beta`, as distributions or sample by sample.

    Create it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    importance, attention : ndarray of shape (n_samples, n_modalities)
        Importance and attention of samples.
    modality_names : list of str, default=None
        Names of the modalities.

    Attributes
    ----------
    boxes_ : dict of str to dict of str to list of artists
        Only for distributions: the results of :meth:`matplotlib.axes.Axes.boxplot` for
        ``"importance"`` and ``"attention"``.
    image_ : AxesImage
        Only for strips: one row per modality and one column per sample. If there are more than two
        thousand samples, a column is the mean of several consecutive samples.
    colorbar_ : Colorbar
        Only for strips: the color bar.
    ax_, figure_ : Axes, Figure
        Axes and figure of the plot.

    See Also
    --------
    EnergyDisplay : The energies that importance and attention are computed from.

    Examples
    --------
    >>> from sklearn_emma.inspection import AttentionDisplay
    >>> display = AttentionDisplay.from_predictions(
    ...     importance=[[0.5, 0.5], [0.9, 0.1]],
    ...     attention=[[0.9, 0.9], [0.99, 0.2]],
    ...     modality_names=["radar", "camera"],
    ...     kind="strip",
    ... )
    >>> display.image_.get_array().shape
    (2, 2)
    """

    def __init__(
        self,
        importance: np.ndarray,
        attention: np.ndarray,
        *,
        modality_names: list[str] | None = None,
    ) -> None:
        self.importance = importance
        self.attention = attention
        self.modality_names = modality_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        kind: str = "distribution",
        quantity: str = "attention",
        ax: Any = None,
    ) -> "AttentionDisplay":
        """Compute importance and attention of samples, and draw them.

        Parameters
        ----------
        estimator : EMMAClassifier, EMMARegressor, GatedClassifier or GatedRegressor
            Fitted estimator, or a fitted Pipeline or search that ends in one.
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples. For a strip they should be in the order in which they were recorded.
        kind : "distribution" or "strip", default="distribution"
            Boxes per modality, or one color per modality and sample, which shows when a modality
            fails.
        quantity : "attention" or "importance", default="attention"
            Quantity shown in a strip. Distributions show both.
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a new figure.

        Returns
        -------
        AttentionDisplay
            The drawn display.

        Raises
        ------
        TypeError
            If the estimator has no gate.
        """
        estimator, X = unwrap(estimator, X)
        check_gated(estimator, cls.__name__)
        return cls.from_predictions(
            estimator.importance(X),
            estimator.attention(X),
            modality_names=estimator.modality_names_,
            kind=kind,
            quantity=quantity,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        importance: Any,
        attention: Any,
        *,
        modality_names: list[str] | None = None,
        kind: str = "distribution",
        quantity: str = "attention",
        ax: Any = None,
    ) -> "AttentionDisplay":
        """Draw importance and attention that are already computed.

        Parameters
        ----------
        importance, attention : array-like of shape (n_samples, n_modalities)
            Importance and attention of samples.
        modality_names : list of str, default=None
            Names of the modalities.
        kind : "distribution" or "strip", default="distribution"
            Boxes per modality, or one color per modality and sample.
        quantity : "attention" or "importance", default="attention"
            Quantity shown in a strip. Distributions show both.
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a new figure.

        Returns
        -------
        AttentionDisplay
            The drawn display.

        Raises
        ------
        ValueError
            If shapes do not agree, or if a value is NaN or outside [0, 1].
        """
        importance = check_weights(check_matrix(importance, "importance"), "importance")
        attention = check_weights(check_matrix(attention, "attention"), "attention")
        if importance.shape != attention.shape:
            raise ValueError(
                "importance and attention must be of the same shape, got "
                f"{importance.shape} and {attention.shape}."
            )
        names = check_names(modality_names, importance.shape[1])
        display = cls(importance, attention, modality_names=names)
        return display.plot(ax=ax, kind=kind, quantity=quantity)

    def plot(
        self, ax: Any = None, *, kind: str = "distribution", quantity: str = "attention"
    ) -> "AttentionDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a new figure.
        kind : "distribution" or "strip", default="distribution"
            Boxes per modality, or one color per modality and sample.
        quantity : "attention" or "importance", default="attention"
            Quantity shown in a strip. Distributions show both.

        Returns
        -------
        AttentionDisplay
            The drawn display.

        Raises
        ------
        ValueError
            If `kind` or `quantity` is unknown.
        """
        check_member(kind, ("distribution", "strip"), "kind")
        check_member(quantity, ("attention", "importance"), "quantity")
        names = check_names(self.modality_names, self.attention.shape[1])
        if kind == "strip":
            return self._plot_strip(ax, names, quantity)
        ax = self._prepare(ax)
        both = [self.importance, self.attention]
        drawn = draw_boxes(ax, [list(values.T) for values in both], COLORS[:2])
        self.boxes_ = dict(zip(("importance", "attention"), drawn, strict=True))
        ax.set_ylim(-0.02, 1.02)
        name_modalities(ax, names)
        despine(ax)
        legend(ax, [boxes["boxes"][0] for boxes in drawn], ["importance α", "attention β"])
        return self

    def _plot_strip(self, ax: Any, names: list[str], quantity: str) -> "AttentionDisplay":
        """Draw one quantity over the order of the samples."""
        height = 1.1 + 0.45 * len(names)
        ax = self._prepare(ax, figsize=(8.0, max(2.0, height)))
        values = getattr(self, quantity)
        # matplotlib drops columns if there are more than pixels, so means of columns are drawn
        per_column = -(-len(values) // 2000)
        starts = np.arange(0, len(values), per_column)
        counts = np.diff(starts, append=len(values))[:, None]
        self.image_ = ax.imshow(
            (np.add.reduceat(values, starts) / counts).T,
            interpolation="nearest",
            aspect="auto",
            cmap="cividis",
            vmin=0,
            vmax=1,
            extent=(-0.5, len(values) - 0.5, len(names) - 0.5, -0.5),
        )
        name_modalities(ax, names, axis="y")
        for place in np.arange(1, len(names)) - 0.5:
            ax.axhline(place, color="white", linewidth=2)
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        ax.set_xlabel("sample")
        self.colorbar_ = self.figure_.colorbar(self.image_, ax=ax, label=quantity, pad=0.01)
        return self
