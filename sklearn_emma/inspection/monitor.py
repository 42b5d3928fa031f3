"""MonitorDisplay: plot the health of every modality over time."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.inspection.checks import check_names
from sklearn_emma.inspection.drawing import COLORS, Display, despine, plain_text
from sklearn_emma.inspection.time_line import intervals
from sklearn_emma.monitoring import ModalityHealth, ModalityMonitor


class MonitorDisplay(Display):
    """Timeline of every modality: the probability that it fails, and the alarms.

    The last row shows the probability that the process as a whole has changed, with all sensors
    intact. It is shaded where this probability exceeds one half. The row is omitted if there are
    only one or two modalities, because a change of the process can then not be distinguished from
    failures.

    Create it with :meth:`from_estimator` or :meth:`from_predictions`.

    Read more in the :doc:`how-to guide </howto/stream>`.

    Parameters
    ----------
    health : ModalityHealth
        Result of :meth:`~sklearn_emma.monitoring.ModalityMonitor.update`.
    modality_names : list of str, default=None
        Names of the modalities.

    Attributes
    ----------
    lines_ : list of Line2D
        Curves of the probability of failing, one per modality.
    alarms_ : list of list of PolyCollection
        Shaded areas of the alarms of each modality, from the first to the last sample.
    labels_ : list of list of Text
        Labels of the alarms of each modality: the kind of failure at the end of the alarm.
    process_line_ : Line2D or None
        Curve of the probability that the process has changed.
    changes_ : list of PolyCollection
        Shaded areas of the intervals in which this probability exceeds one half.
    ax_, figure_ : Axes, Figure
        Axes and figure of the plot.

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
        """Update a monitor with the next samples of its stream, and draw their health.

        Parameters
        ----------
        estimator : ModalityMonitor
            Fitted monitor. Its stream advances, as by ``update``.
        X : array-like or DataFrame of shape (n_samples, n_features)
            The next samples, in temporal order.
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a new figure.

        Returns
        -------
        MonitorDisplay
            The drawn display.

        Raises
        ------
        TypeError
            If the estimator is not a ModalityMonitor.
        """
        if not isinstance(estimator, ModalityMonitor):
            raise TypeError(
                f"{cls.__name__} needs a fitted ModalityMonitor, got {estimator!r}. Fit one around "
                "it, such as ModalityMonitor(estimator).fit(X, y)."
            )
        check_is_fitted(estimator)
        names = list(estimator.modality_names_)
        return cls.from_predictions(estimator.update(X), modality_names=names, ax=ax)

    @classmethod
    def from_predictions(
        cls, health: ModalityHealth, *, modality_names: list[str] | None = None, ax: Any = None
    ) -> "MonitorDisplay":
        """Draw the health of modalities that is already computed.

        Parameters
        ----------
        health : ModalityHealth
            Result of ``update`` of a monitor.
        modality_names : list of str, default=None
            Names of the modalities. None numbers them.
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a new figure.

        Returns
        -------
        MonitorDisplay
            The drawn display.

        Raises
        ------
        TypeError
            If `health` is not a ModalityHealth.
        """
        if not isinstance(health, ModalityHealth):
            raise TypeError(
                "health must be the ModalityHealth that update of a ModalityMonitor returns, got "
                f"{type(health).__name__}."
            )
        names = check_names(modality_names, health.failing.shape[1])
        return cls(health, modality_names=names).plot(ax=ax)

    def plot(self, ax: Any = None) -> "MonitorDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a new figure.

        Returns
        -------
        MonitorDisplay
            The drawn display.
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
        ax.set_yticks(bases, [plain_text(row) for row in rows])
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
    """Draw a probability and labeled shaded areas, and return line, areas and labels."""
    (line,) = ax.plot(np.arange(len(up)), base + 0.8 * probability, color=COLORS[0], lw=1.2)
    areas, labels = [], []
    for first, last in intervals(up):
        span = [first - 0.5, last + 0.5]
        areas.append(ax.fill_between(span, base, base + 0.8, color=color, alpha=0.25))
        where = ((first + last) / 2, base + 0.4)
        labels.append(ax.annotate(str(kind[last]), where, ha="center", va="center", fontsize=8))
    return line, areas, labels
