"""AttentionSurfaceDisplay: plot the attention while two modalities fail."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sklearn_emma.corruption import Corruption, Noise
from sklearn_emma.engine.seeding import draw_seeds
from sklearn_emma.inspection.checks import check_gated, check_member, check_names, check_weights
from sklearn_emma.inspection.drawing import COLORS, Display, legend, level_labels, plain_text
from sklearn_emma.model_selection.failing import break_modality
from sklearn_emma.model_selection.inside import unwrap
from sklearn_emma.model_selection.robustness import corruption_at
from sklearn_emma.tables import add_missing_modalities


class AttentionSurfaceDisplay(Display):
    """Mean attention against the failure levels of two modalities, as surfaces or as a map.

    Create it with :meth:`from_estimator` or :meth:`from_grid`.

    Parameters
    ----------
    attention : ndarray of shape (n_levels, n_levels, n_modalities)
        Mean attention to each modality. The first axis is the level of the first failing modality,
        the second axis that of the second one.
    levels : ndarray of shape (n_levels,)
        Failure levels.
    modality_names : list of str
        Names of all modalities.
    failing : (str, str)
        Names of the two modalities that fail.
    level_name : str, default="noise"
        Name of the levels.

    Attributes
    ----------
    surfaces_ : dict of str to Poly3DCollection
        Only for surfaces: one surface per modality drawn.
    image_ : QuadMesh
        Only for a map: the attention to one modality.
    colorbar_ : Colorbar
        Only for a map: the color bar.
    ax_, figure_ : Axes, Figure
        Axes and figure of the plot.

    References
    ----------
    .. [1] Werenne, A. (2019). Energy-based multi-modal attention. University of Liege.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.inspection import AttentionSurfaceDisplay
    >>> first = np.array([[0.9, 0.95], [0.2, 0.8]])
    >>> display = AttentionSurfaceDisplay.from_grid(
    ...     np.stack([first, first.T], axis=2), [0, 4], modality_names=["IP", "DM"]
    ... )
    >>> list(display.surfaces_)
    ['IP', 'DM']
    """

    def __init__(
        self,
        attention: np.ndarray,
        levels: np.ndarray,
        *,
        modality_names: list[str],
        failing: tuple[str, str],
        level_name: str = "noise",
    ) -> None:
        self.attention = attention
        self.levels = levels
        self.modality_names = modality_names
        self.failing = failing
        self.level_name = level_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        failing: Sequence[str] | None = None,
        corruption: Callable[[float], Corruption] = Noise,
        levels: Any = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0),
        reference: Any = None,
        random_state: Any = None,
        kind: str = "surface",
        modality: str | None = None,
        ax: Any = None,
    ) -> "AttentionSurfaceDisplay":
        """Corrupt two modalities at all pairs of levels, and draw the mean attention.

        Parameters
        ----------
        estimator : EMMAClassifier, EMMARegressor, GatedClassifier or GatedRegressor
            Fitted estimator, or a fitted Pipeline or search that ends in one. The modalities are
            corrupted after the previous steps of a Pipeline.
        X : array-like or DataFrame of shape (n_samples, n_features)
            Clean samples. A few hundred are enough.
        failing : (str, str), default=None
            Names of the two modalities that fail. None means the first two.
        corruption : subclass of Corruption or callable, default=Noise
            Function that takes a level and returns a :class:`~sklearn_emma.corruption.Corruption`.
        levels : array-like of shape (n_levels,), default=(0, 0.5, 1, 2, 4, 8)
            Severity of the failures.
        reference : array-like or DataFrame of shape (n_reference, n_features), default=None
            Samples that define the units of the corruption, usually the training samples. None uses
            `X`.
        random_state : int, RandomState instance or None, default=None
            Controls the random failures.
        kind : "surface" or "map", default="surface"
            Surfaces in 3D, or the attention to one modality in colors.
        modality : str, default=None
            Modality whose attention is shown. None shows both failing ones (a map only the first).
        ax : matplotlib Axes, default=None
            Axes to draw on. Surfaces need ``projection="3d"``. None creates a new figure.

        Returns
        -------
        AttentionSurfaceDisplay
            The drawn display.

        Raises
        ------
        ValueError
            If `failing` is not a pair of modalities.
        TypeError
            If the estimator has no gate, or `corruption` does not return a Corruption.
        """
        if reference is not None:
            _, reference = unwrap(estimator, reference)
        estimator, X = unwrap(estimator, X)
        check_gated(estimator, cls.__name__)
        names = list(estimator.modality_names_)
        pair = _check_pair(failing, names)
        groups = dict(zip(names, estimator.modality_columns_, strict=True))
        X = add_missing_modalities(estimator, X)
        reference = X if reference is None else add_missing_modalities(estimator, reference)
        levels = np.asarray(levels, dtype=float)
        failures = [corruption_at(corruption, level) for level in levels.tolist()]
        attention = np.empty((len(levels), len(levels), len(names)))
        seeds = draw_seeds(random_state, 2).tolist()
        for i, one in enumerate(failures):
            first = _corrupt(one, X, groups, pair[0], seeds[0], reference)
            for j, other in enumerate(failures):
                both = _corrupt(other, first, groups, pair[1], seeds[1], reference)
                attention[i, j] = estimator.attention(both).mean(axis=0)
        return cls.from_grid(
            attention,
            levels,
            modality_names=names,
            failing=pair,
            level_name=getattr(corruption, "level_name", Corruption.level_name),
            kind=kind,
            modality=modality,
            ax=ax,
        )

    @classmethod
    def from_grid(
        cls,
        attention: Any,
        levels: Any,
        *,
        modality_names: list[str] | None = None,
        failing: Sequence[str] | None = None,
        level_name: str = "noise",
        kind: str = "surface",
        modality: str | None = None,
        ax: Any = None,
    ) -> "AttentionSurfaceDisplay":
        """Draw attention that is already computed.

        Parameters
        ----------
        attention : array-like of shape (n_levels, n_levels, n_modalities)
            Mean attention to each modality.
        levels : array-like of shape (n_levels,)
            Failure levels.
        modality_names : list of str, default=None
            Names of all modalities.
        failing : (str, str), default=None
            Names of the two modalities that fail. None means the first two.
        level_name : str, default="noise"
            Name of the levels.
        kind : "surface" or "map", default="surface"
            Surfaces in 3D, or the attention to one modality in colors.
        modality : str, default=None
            Modality whose attention is shown. None shows both failing ones (a map only the first).
        ax : matplotlib Axes, default=None
            Axes to draw on. Surfaces need ``projection="3d"``. None creates a new figure.

        Returns
        -------
        AttentionSurfaceDisplay
            The drawn display.

        Raises
        ------
        ValueError
            If shapes do not agree, if `failing` is not a pair of modalities, or if an attention is
            NaN or outside [0, 1].
        """
        attention, levels = np.asarray(attention, dtype=float), np.asarray(levels, dtype=float)
        if attention.ndim != 3 or attention.shape[:2] != (len(levels),) * 2 or len(levels) < 2:
            raise ValueError(
                "attention must be of shape (n_levels, n_levels, n_modalities) with at least two "
                f"levels, got shape {attention.shape} and {len(levels)} level(s)."
            )
        names = check_names(modality_names, attention.shape[2])
        display = cls(
            check_weights(attention, "attention"),
            levels,
            modality_names=names,
            failing=_check_pair(failing, names),
            level_name=level_name,
        )
        return display.plot(ax=ax, kind=kind, modality=modality)

    def plot(
        self, ax: Any = None, *, kind: str = "surface", modality: str | None = None
    ) -> "AttentionSurfaceDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. Surfaces need ``projection="3d"``. None creates a new figure.
        kind : "surface" or "map", default="surface"
            Surfaces in 3D, or the attention to one modality in colors.
        modality : str, default=None
            Modality whose attention is shown. None shows both failing ones (a map only the first).

        Returns
        -------
        AttentionSurfaceDisplay
            The drawn display.

        Raises
        ------
        ValueError
            If `kind` or `modality` is unknown, or if surfaces are drawn on 2D axes.
        """
        check_member(kind, ("surface", "map"), "kind")
        if modality is not None:
            check_member(modality, self.modality_names, "modality")
        shown = list(self.failing) if modality is None else [modality]
        if kind == "map":
            return self._plot_map(ax, shown[0])
        if getattr(ax, "name", "3d") != "3d":
            raise ValueError(
                'Surfaces need axes with projection="3d". Pass such axes, or pass kind="map".'
            )
        ax = self._prepare(ax, projection="3d", figsize=(6.4, 5.4))
        places = np.arange(len(self.levels))
        first, second = np.meshgrid(places, places, indexing="ij")
        self.surfaces_ = {}
        for name, color in zip(shown, COLORS, strict=False):
            self.surfaces_[name] = ax.plot_surface(
                first,
                second,
                self.attention[:, :, self.modality_names.index(name)],
                color=color,
                alpha=0.7,
                edgecolor=color,
                linewidth=0.6,
                rstride=1,
                cstride=1,
            )
        ticks = level_labels(self.levels)
        ax.set_xticks(places, ticks)
        ax.set_yticks(places, ticks)
        ax.set_zlim(0, 1)
        labels = [f"{plain_text(name)}: {self.level_name}" for name in self.failing]
        ax.set(xlabel=labels[0], ylabel=labels[1], zlabel="attention β")
        ax.view_init(elev=24, azim=-50)
        ax.set_box_aspect((1, 1, 0.75), zoom=0.88)
        legend(ax, _swatches(shown), [f"attention to {name}" for name in shown])
        return self

    def _plot_map(self, ax: Any, name: str) -> "AttentionSurfaceDisplay":
        """Draw the attention to one modality as a color map."""
        ax = self._prepare(ax, figsize=(5.8, 4.6))
        places = np.arange(len(self.levels))
        self.image_ = ax.pcolormesh(
            places,
            places,
            self.attention[:, :, self.modality_names.index(name)].T,
            cmap="cividis",
            vmin=0,
            vmax=1,
        )
        ax.set_xticks(places, level_labels(self.levels))
        ax.set_yticks(places, level_labels(self.levels))
        labels = [f"{plain_text(name)}: {self.level_name}" for name in self.failing]
        ax.set(xlabel=labels[0], ylabel=labels[1], aspect="equal")
        self.colorbar_ = self.figure_.colorbar(
            self.image_, ax=ax, label=plain_text(f"attention to {name}")
        )
        return self


def _check_pair(failing: Sequence[str] | None, names: list[str]) -> tuple[str, str]:
    """Return the names of the two modalities that fail, by default the first two."""
    pair = names[:2] if failing is None else np.atleast_1d(failing).tolist()
    if len(pair) != 2 or len(set(pair)) < 2 or not set(pair) <= set(names):
        raise ValueError(f"failing={failing!r} must name two different modalities out of {names}.")
    return pair[0], pair[1]


def _corrupt(failure: Any, X: Any, modalities: dict, name: str, seed: int, reference: Any) -> Any:
    """Return samples in which one modality is corrupted."""
    if failure is None:
        return X
    return next(break_modality(failure, X, modalities, name, [seed], reference))


def _swatches(names: list[str]) -> list:
    """Return patches in the colors of the surfaces, for a legend."""
    from matplotlib.patches import Patch

    return [Patch(color=color, alpha=0.7) for _, color in zip(names, COLORS, strict=False)]
