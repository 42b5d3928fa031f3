"""EnergyDisplay: plot the distribution of the energy of each modality."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_consistent_length, column_or_1d

from sklearn_emma.inspection.checks import check_matrix, check_names, read_energies
from sklearn_emma.inspection.drawing import (
    Display,
    choose_colors,
    despine,
    draw_boxes,
    label_powers,
    legend,
    name_modalities,
)
from sklearn_emma.model_selection.inside import unwrap


class EnergyDisplay(Display):
    """Box plot of the energy of each modality, by groups such as clean and corrupted or classes.

    Create it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    energies : ndarray of shape (n_samples, n_modalities)
        Energies, infinite for missing modalities.
    groups : ndarray of shape (n_samples,), default=None
        Group of each sample. Numerical groups are drawn in ascending order, others in the order of
        their first occurrence. None puts all samples in one group.
    modality_names : list of str, default=None
        Names of the modalities.
    usual : ndarray of shape (n_modalities,), default=None
        Usual limit of each energy, drawn as a dashed line: ``potential_min_`` of the estimator, by
        default the 90 % quantile of the training samples.

    Attributes
    ----------
    boxes_ : dict of group to dict of str to list of artists
        Result of :meth:`matplotlib.axes.Axes.boxplot` for each group, with ``"boxes"``,
        ``"medians"``, ``"whiskers"`` and ``"caps"``.
    missing_ : list of Text
        Texts with the fraction of samples in which a modality is missing, if it is not zero.
    usual_ : LineCollection or None
        Dashed lines at `usual`.
    ax_, figure_ : Axes, Figure
        Axes and figure of the plot.

    See Also
    --------
    AttentionDisplay : Importance and attention, which are computed from energies.

    Examples
    --------
    >>> from sklearn_emma import DAEEnergyScorer
    >>> from sklearn_emma.corruption import Noise
    >>> from sklearn_emma.datasets import make_multimodal_classification
    >>> from sklearn_emma.inspection import EnergyDisplay
    >>> X, _ = make_multimodal_classification(300, random_state=0, return_X_y=True)
    >>> scorer = DAEEnergyScorer("prefix", max_epochs=10, random_state=0).fit(X)
    >>> X_noisy, _ = Noise(2, only="modality0").corrupt(X, "prefix", random_state=0)
    >>> display = EnergyDisplay.from_estimator(scorer, X, X_corrupted=X_noisy)
    >>> list(display.boxes_)
    ['clean', 'corrupted']
    """

    def __init__(
        self,
        energies: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        modality_names: list[str] | None = None,
        usual: np.ndarray | None = None,
    ) -> None:
        self.energies = energies
        self.groups = groups
        self.modality_names = modality_names
        self.usual = usual

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, *, groups: Any = None, X_corrupted: Any = None, ax: Any = None
    ) -> "EnergyDisplay":
        """Compute energies of samples, and draw them.

        Parameters
        ----------
        estimator : EMMAClassifier, EMMARegressor, GatedClassifier, GatedRegressor, DAEEnergyScorer
            Fitted estimator, or a fitted Pipeline or search that ends in one.
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.
        groups : array-like of shape (n_samples,), default=None
            Group of each sample, such as its class.
        X_corrupted : array-like or DataFrame of shape (n_corrupted, n_features), default=None
            Further samples, drawn as the group "corrupted". The group of `X` is then "clean".
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a new figure.

        Returns
        -------
        EnergyDisplay
            The drawn display.

        Raises
        ------
        ValueError
            If both `groups` and `X_corrupted` are given.
        TypeError
            If the estimator has no energies.
        """
        if groups is not None and X_corrupted is not None:
            raise ValueError("Pass groups or X_corrupted, not both.")
        inner, samples = unwrap(estimator, X)
        energies = read_energies(inner, samples, cls.__name__)
        if X_corrupted is not None:
            corrupted = read_energies(*unwrap(estimator, X_corrupted), cls.__name__)
            groups = np.repeat(["clean", "corrupted"], [len(energies), len(corrupted)])
            energies = np.concatenate([energies, corrupted])
        return cls.from_predictions(
            energies,
            groups=groups,
            modality_names=inner.modality_names_,
            usual=getattr(inner, "potential_min_", None),
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        energies: Any,
        *,
        groups: Any = None,
        modality_names: list[str] | None = None,
        usual: Any = None,
        ax: Any = None,
    ) -> "EnergyDisplay":
        """Draw energies that are already computed.

        Parameters
        ----------
        energies : array-like of shape (n_samples, n_modalities)
            Energies, infinite for missing modalities.
        groups : array-like of shape (n_samples,), default=None
            Group of each sample, such as its class.
        modality_names : list of str, default=None
            Names of the modalities.
        usual : array-like of shape (n_modalities,), default=None
            Usual limit of each energy, drawn as a dashed line, such as a quantile of the energies
            of the training samples. None draws no line.
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a new figure.

        Returns
        -------
        EnergyDisplay
            The drawn display.

        Raises
        ------
        ValueError
            If shapes do not agree, or if an energy or a group is NaN.
        """
        energies = check_matrix(energies, "energies", allow_inf=True)
        names = check_names(modality_names, energies.shape[1])
        if groups is not None:
            groups = column_or_1d(np.asarray(groups))
            if groups.dtype == object:  # such as nullable integers
                groups = pd.Series(groups).infer_objects().to_numpy()
            check_consistent_length(energies, groups)
            if pd.isna(groups).any():
                raise ValueError(
                    f"groups must not be missing, but {int(pd.isna(groups).sum())} of them are. "
                    'Fill them, for instance with "unknown".'
                )
        if usual is not None:
            usual = column_or_1d(usual)
            if len(usual) != len(names):
                raise ValueError(
                    f"usual must hold one limit for each of the {len(names)} modalities, got "
                    f"{len(usual)}."
                )
        display = cls(energies, groups=groups, modality_names=names, usual=usual)
        return display.plot(ax=ax)

    def plot(self, ax: Any = None) -> "EnergyDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a new figure.

        Returns
        -------
        EnergyDisplay
            The drawn display.
        """
        ax = self._prepare(ax)
        names = check_names(self.modality_names, self.energies.shape[1])
        groups = np.zeros(len(self.energies)) if self.groups is None else np.asarray(self.groups)
        labels = np.sort(pd.unique(groups)) if groups.dtype.kind in "biuf" else pd.unique(groups)
        parts = [self.energies[groups == label] for label in labels]
        colors = choose_colors(len(labels))
        drawn = draw_boxes(ax, [[e[np.isfinite(e)] for e in part.T] for part in parts], colors)
        self.boxes_ = {
            (None if self.groups is None else label): boxes
            for label, boxes in zip(labels.tolist(), drawn, strict=True)
        }
        ax.set_yscale("asinh")
        label_powers(ax.yaxis, *ax.get_ylim())
        self.usual_ = None
        if self.usual is not None:
            places = np.arange(len(names))
            self.usual_ = ax.hlines(
                self.usual, places - 0.48, places + 0.48, colors="#333333", linestyles="--", lw=1.2
            )
            self.usual_.set_label("usual limit")
        self._write_missing(ax, parts, colors)
        name_modalities(ax, names)
        ax.set_ylabel("energy")
        despine(ax)
        handles = [boxes["boxes"][0] for boxes in drawn] if self.groups is not None else []
        texts = [str(label) for label in labels] if handles else []
        if self.usual_ is not None:
            handles, texts = handles + [self.usual_], texts + [self.usual_.get_label()]
        if handles:
            legend(ax, handles, texts)
        return self

    def _write_missing(self, ax: Any, parts: list[np.ndarray], colors: Sequence) -> None:
        """Write the fraction of samples in which a modality is missing above its box."""
        self.missing_ = []
        width = 0.8 / len(parts)
        for i, (part, color) in enumerate(zip(parts, colors, strict=True)):
            for j, share in enumerate(np.isinf(part).mean(axis=0)):
                if share > 0:
                    text = ax.text(
                        j + (i - (len(parts) - 1) / 2) * width,
                        0.99,
                        f"missing: {share:.0%}",
                        transform=ax.get_xaxis_transform(),
                        rotation=90,
                        ha="center",
                        va="top",
                        color=color,
                        fontsize="small",
                    )
                    self.missing_.append(text)
