"""RiskCoverageDisplay: plot the risk of a classifier that rejects samples."""

from collections.abc import Callable
from typing import Any

import numpy as np

from sklearn_emma.inspection.drawing import COLORS, Display, despine, legend, long_names
from sklearn_emma.metrics import area_under_risk_coverage, risk_coverage_curve
from sklearn_emma.model_selection.abstaining import AbstainingClassifier, rejection_score


class RiskCoverageDisplay(Display):
    """Risk of the accepted samples against coverage, for every threshold of a rejection score.

    Create it with :meth:`from_estimator` or :meth:`from_predictions`; pass ``ax=display.ax_`` to
    draw several on the same axes.

    Read more in the :doc:`how-to guide </howto/abstain>`.

    Parameters
    ----------
    coverage, risk : ndarray of shape (n_thresholds,)
        Results of :func:`~sklearn_emma.metrics.risk_coverage_curve`.
    area : float, default=None
        Area under the curve, for the legend.
    name : str, default=None
        Name of the classifier or score, for the legend.
    operating_point : (float, float), default=None
        Coverage and risk at the threshold in use.

    Attributes
    ----------
    line_ : Line2D
        Risk-coverage curve.
    point_ : Line2D or None
        Marker of the threshold in use.
    ax_, figure_ : Axes, Figure
        Axes and figure of the plot.

    See Also
    --------
    sklearn_emma.metrics.risk_coverage_curve : Compute the curve.
    sklearn_emma.model_selection.AbstainingClassifier : Choose a threshold.

    Examples
    --------
    >>> from sklearn_emma.inspection import RiskCoverageDisplay
    >>> display = RiskCoverageDisplay.from_predictions(
    ...     y_true=[0, 1, 1, 0], y_pred=[0, 1, 0, 1], reject_score=[0.1, 0.2, 0.9, 0.3]
    ... )
    >>> display.line_.get_xdata().tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """

    def __init__(
        self,
        coverage: np.ndarray,
        risk: np.ndarray,
        *,
        area: float | None = None,
        name: str | None = None,
        operating_point: tuple[float, float] | None = None,
    ) -> None:
        self.coverage = coverage
        self.risk = risk
        self.area = area
        self.name = name
        self.operating_point = operating_point

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        reject_score: Any = "max_probability",
        sample_weight: Any = None,
        loss: str | Callable = "zero_one",
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> "RiskCoverageDisplay":
        """Compute predictions and rejection scores of samples, and draw the curve.

        Parameters
        ----------
        estimator : classifier
            Fitted classifier. For an AbstainingClassifier its own rejection score is used, and its
            threshold is marked.
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples that the classifier was not trained on.
        y : array-like of shape (n_samples,)
            True labels.
        reject_score : "max_probability", "total_energy" or callable, default="max_probability"
            Rejection score, see :class:`~sklearn_emma.model_selection.AbstainingClassifier`.
            Samples with a high score are rejected first.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.
        loss : "zero_one" or callable, default="zero_one"
            The loss of each sample, as in :func:`~sklearn_emma.metrics.risk_coverage_curve`.
        name : str, default=None
            Name for the legend. None uses the name of the class.
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a new figure.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.plot`.

        Returns
        -------
        RiskCoverageDisplay
            The drawn display.
        """
        name = type(estimator).__name__ if name is None else name
        threshold = None
        if isinstance(estimator, AbstainingClassifier):
            score, threshold = estimator.rejection_score(X), estimator.threshold_
            estimator = estimator.estimator_
        else:
            score = rejection_score(estimator, X, reject_score)
        return cls.from_predictions(
            y,
            estimator.predict(X),
            score,
            sample_weight=sample_weight,
            loss=loss,
            threshold=threshold,
            name=name,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        reject_score: Any,
        *,
        sample_weight: Any = None,
        loss: str | Callable = "zero_one",
        threshold: float | None = None,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> "RiskCoverageDisplay":
        """Draw the curve of predictions and rejection scores.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True labels.
        y_pred : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Predictions.
        reject_score : array-like of shape (n_samples,)
            Rejection scores. Samples with a high score are rejected first.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.
        loss : "zero_one" or callable, default="zero_one"
            The loss of each sample, as in :func:`~sklearn_emma.metrics.risk_coverage_curve`.
        threshold : float, default=None
            Largest score of accepted samples, which is marked in the plot.
        name : str, default=None
            Name for the legend.
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a new figure.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.plot`.

        Returns
        -------
        RiskCoverageDisplay
            The drawn display.
        """
        how: dict[str, Any] = {"sample_weight": sample_weight, "loss": loss}
        coverage, risk, thresholds = risk_coverage_curve(y_true, y_pred, reject_score, **how)
        point = None
        if threshold is not None and threshold >= thresholds[0]:
            place = thresholds.searchsorted(threshold, side="right") - 1
            point = float(coverage[place]), float(risk[place])
        area = area_under_risk_coverage(y_true, y_pred, reject_score, **how)
        display = cls(coverage, risk, area=area, name=name, operating_point=point)
        return display.plot(ax=ax, **kwargs)

    def plot(
        self, ax: Any = None, *, name: str | None = None, **kwargs: Any
    ) -> "RiskCoverageDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a new figure.
        name : str, default=None
            Name for the legend. None uses the name of the display.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.plot`.

        Returns
        -------
        RiskCoverageDisplay
            The drawn display.
        """
        ax = self._prepare(ax)
        name = self.name if name is None else name
        area = None if self.area is None else f"area {self.area:.3f}"
        label = {
            (True, True): f"{name} ({area})",
            (True, False): name,
            (False, True): area,
            (False, False): None,
        }[name is not None, area is not None]
        style = {"label": label, "linewidth": 2, "drawstyle": "steps-pre", **long_names(kwargs)}
        style.setdefault("color", self._next_color(ax))
        # the area under these steps is the area in the legend
        (self.line_,) = ax.plot([0.0, *self.coverage], [self.risk[0], *self.risk], **style)
        self.point_ = None
        if self.operating_point is not None:
            (self.point_,) = ax.plot(
                *[[value] for value in self.operating_point],
                marker="o",
                markersize=8,
                linestyle="none",
                color=self.line_.get_color(),
                markeredgecolor="white",
                clip_on=False,
                zorder=5,
            )
        ax.set(xlabel="coverage (share of samples accepted)", ylabel="risk (mean loss of those)")
        ax.set_xlim(0, 1)
        highest = max(float(np.max(line.get_ydata())) for line in ax.lines)
        ax.set_ylim(min(0.0, float(self.risk.min())), 1.05 * highest if highest > 0 else 1.0)
        despine(ax)
        if label is not None:
            legend(ax, ax.get_legend_handles_labels()[0])
        return self

    @staticmethod
    def _next_color(ax: Any) -> str:
        """Return the next color that is not used by a curve on these axes."""
        curves = sum(line.get_linestyle() != "None" for line in ax.lines)  # no points
        return COLORS[curves % len(COLORS)]
