"""MonitorDisplay: the health of every modality over time."""

from typing import Any

import numpy as np

from sklearn_emma.inspection.checks import check_names
from sklearn_emma.inspection.drawing import COLORS, Display, despine
from sklearn_emma.inspection.time_line import intervals
from sklearn_emma.monitoring import ModalityHealth


class MonitorDisplay(Display):
    """Time line of every modality: the probability that it fails, and the alarms.

    Below the modalities is the process: the probability that it has changed as a whole, with all
    sensors intact, shaded where that is more likely than not. It is left out where the monitor does
    not know it: of one or two modalities, none is outvoted.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    health : ModalityHealth
        What :meth:`~sklearn_emma.monitoring.ModalityMonitor.update` returned.
    modality_names : list of str, default=None
        Names of the modalities.

    Attributes
    ----------
    lines_ : list of Line2D
        Probability of failing, by modality.
    alarms_ : list of list of PolyCollection
        A shaded area for each alarm, by modality, from its first sample to its last.
    labels_ : list of list of Text
        The kind of failure at the end of each alarm.
    process_line_ : Line2D or None
        Probability that the process has changed.
    changes_ : list of PolyCollection
        A shaded area for each time in which that is more likely than not.
    ax_, figure_ : Axes, Figure
        Where it is drawn.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.inspection import MonitorDisplay
    >>> from sklearn_emma.monitoring import ModalityHealth
    >>> failing = np.array([[0.0, 0.01], [0.0, 0.99], [0.0, 0.02]])
    >>> alarm = failing > 0.9
    >>> health = ModalityHealth(
    ...     failing=failing,
    ...     alarm=alarm,
    ...     since=np.where(alarm, 1, -1),
    ...     kind=np.where(alarm, "stuck", ""),
    ...     evidence=-np.log(1 - failing),
    ... )
    >>> display = MonitorDisplay.from_predictions(health, modality_names=["radar", "camera"])
    >>> [[label.get_text() for label in labels] for labels in display.labels_]
    [[], ['stuck']]
    """

    def __init__(self, health: ModalityHealth, *, modality_names: list[str] | None = None) -> None:
        self.health = health
        self.modality_names = modality_names

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, *, ax: Any = None) -> "MonitorDisplay":
        """Let a monitor read the next samples of its stream, and draw their health.

        Parameters
        ----------
        estimator : ModalityMonitor
            Fitted. The stream advances, as with ``update``.
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples in the order of time.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        MonitorDisplay
            The drawn Display.
        """
        names = list(estimator.modality_names_)
        return cls.from_predictions(estimator.update(X), modality_names=names, ax=ax)

    @classmethod
    def from_predictions(
        cls, health: ModalityHealth, *, modality_names: list[str] | None = None, ax: Any = None
    ) -> "MonitorDisplay":
        """Draw a given state of health.

        Parameters
        ----------
        health : ModalityHealth
            What ``update`` of a monitor returned.
        modality_names : list of str, default=None
            Names of the modalities. None numbers them.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        MonitorDisplay
            The drawn Display.
        """
        names = check_names(modality_names, health.failing.shape[1])
        return cls(health, modality_names=names).plot(ax=ax)

    def plot(self, ax: Any = None) -> "MonitorDisplay":
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        MonitorDisplay
            The Display.
        """
        health = self.health
        n_samples, n_modalities = health.failing.shape
        names = list(check_names(self.modality_names, n_modalities))
        changed = health.changed if n_modalities > 2 else None
        rows = names if changed is None else [*names, "process"]
        ax = self._prepare(ax, figsize=(9.0, 1.0 + 0.7 * len(rows)))
        bases = np.arange(len(rows))[::-1]
        self.lines_, self.alarms_, self.labels_ = [], [], []
        for base, failing, alarm, kind in zip(
            bases, health.failing.T, health.alarm.T, health.kind.T, strict=False
        ):
            line, areas, labels = _draw_row(ax, base, failing, alarm, kind, COLORS[1])
            self.lines_.append(line)
            self.alarms_.append(areas)
            self.labels_.append(labels)
        self.process_line_: Any = None
        self.changes_: list = []
        if changed is not None:
            no_kind = np.full(n_samples, "")
            self.process_line_, self.changes_, _ = _draw_row(
                ax, 0, changed, changed > 0.5, no_kind, COLORS[2]
            )
        ax.set_yticks(bases, rows)
        ax.set_ylim(-0.1, len(rows))
        ax.set_xlim(-0.5, n_samples - 0.5)
        ax.set_xlabel(
            "sample (line: probability of failing or of a change; shaded: alarm or change)"
        )
        despine(ax)
        return self


def _draw_row(
    ax: Any, base: int, probability: np.ndarray, up: np.ndarray, kind: np.ndarray, color: str
) -> tuple[Any, list, list]:
    """Draw a probability as a line, and shaded areas with labels; return line, areas, labels."""
    (line,) = ax.plot(np.arange(len(up)), base + 0.8 * probability, color=COLORS[0], lw=1.2)
    areas, labels = [], []
    for first, last in intervals(up):
        span = [first - 0.5, last + 0.5]
        areas.append(ax.fill_between(span, base, base + 0.8, color=color, alpha=0.25))
        where = ((first + last) / 2, base + 0.4)
        labels.append(ax.annotate(str(kind[last]), where, ha="center", va="center", fontsize=8))
    return line, areas, labels
