"""RobustnessCurveDisplay: plot scores against the severity of a failure."""

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from sklearn_emma.corruption import Corruption, Noise
from sklearn_emma.engine.seeding import draw_seeds
from sklearn_emma.inspection.drawing import (
    GRAY,
    Display,
    choose_colors,
    despine,
    legend,
    level_labels,
    plain_text,
)
from sklearn_emma.inspection.retrained import EvaluationProtocol, matched_training_scores


class RobustnessCurveDisplay(Display):
    """Scores of one or several estimators against the severity of a failure.

    Create it with :meth:`from_estimator`, which cross-validates estimators, or with
    :meth:`from_results`, which takes results of
    :func:`~sklearn_emma.model_selection.robustness_curve`. Levels are drawn at equal distances.

    Read more in the :doc:`tutorial </tutorial>`.

    Parameters
    ----------
    results : dict of str to Bunch
        Results of `robustness_curve`, by name of the estimator.
    specialist : ndarray of shape (n_modalities, n_levels), default=None
        Mean scores of specialists (matched training), that is, of models that are retrained on the
        failure of each modality and level. They are an upper bound for a single model.
    level_name, score_name : str
        Labels of the axes.

    Attributes
    ----------
    lines_ : dict of str to Line2D
        Curves of mean scores, by name of the estimator.
    bands_ : dict of str to PolyCollection
        Bands around the curves. For a mean over modalities, they range from the worst to the best
        modality. For a single modality, they show plus and minus one standard deviation over
        splits.
    specialist_ : Line2D or None
        Curve of matched training.
    ax_, figure_ : Axes, Figure
        Axes and figure of the plot.

    See Also
    --------
    sklearn_emma.model_selection.robustness_curve : Compute the scores.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_emma.datasets import make_multimodal_classification
    >>> from sklearn_emma.inspection import RobustnessCurveDisplay
    >>> X, y = make_multimodal_classification(300, random_state=0, return_X_y=True)
    >>> display = RobustnessCurveDisplay.from_estimator(
    ...     {"logistic": LogisticRegression()},
    ...     X,
    ...     y,
    ...     modalities="prefix",
    ...     levels=[0, 1, 4],
    ...     specialist=LogisticRegression(),
    ...     random_state=0,
    ... )
    >>> display.lines_["logistic"].get_ydata().round(2).tolist()
    [0.98, 0.95, 0.75]
    """

    def __init__(
        self,
        results: dict,
        *,
        specialist: np.ndarray | None = None,
        level_name: str = "failure level",
        score_name: str = "score",
    ) -> None:
        self.results = results
        self.specialist = specialist
        self.level_name = level_name
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        modalities: Any,
        corruption: Callable[[float], Corruption] = Noise,
        levels: Any = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0),
        specialist: Any = None,
        only: str | Sequence[str] | None = None,
        scoring: Any = None,
        cv: Any = None,
        n_repeats: int = 1,
        random_state: Any = None,
        n_jobs: int | None = None,
        modality: str | None = None,
        score_name: str | None = None,
        ax: Any = None,
    ) -> "RobustnessCurveDisplay":
        """Cross-validate one or several estimators while modalities fail, and draw their scores.

        Parameters
        ----------
        estimator : estimator or dict of str to estimator
            Estimator, or estimators by name. They are cloned.
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,), default=None
            Targets.
        modalities : dict, list of (name, columns), callable, "prefix" or None
            Columns of each modality.
        corruption : subclass of Corruption or callable, default=Noise
            Function that takes a level and returns a :class:`~sklearn_emma.corruption.Corruption`.
        levels : array-like of shape (n_levels,), default=(0, 0.5, 1, 2, 4, 8)
            Severity of the failure.
        specialist : estimator, default=None
            Estimator for matched training: it is retrained for every modality, level and split on
            training samples that are corrupted in the same way as the test samples.
        only : str or list of str, default=None
            Names of the modalities that fail, one at a time. None means all.
        scoring : str, callable or None, default=None
            A scorer. None uses ``score`` of the estimator.
        cv : int, cross-validation splitter, iterable or None, default=None
            Cross-validation splits. They are the same for all estimators, unless the splitter is
            random.
        n_repeats : int, default=1
            Number of random draws of each failure.
        random_state : int, RandomState instance or None, default=None
            Controls the random failures, which are the same for all estimators.
        n_jobs : int, default=None
            Number of splits that are computed in parallel, as in joblib.
        modality : str, default=None
            Modality whose curve is drawn. None draws the mean over all modalities that fail.
        score_name : str, default=None
            Label of the scores. None uses `scoring` if it is a string.
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a new figure.

        Returns
        -------
        RobustnessCurveDisplay
            The drawn display.
        """
        if not isinstance(estimator, Mapping):
            estimator = {type(estimator).__name__: estimator}
        # an int gives the scores of robustness_curve
        is_int = isinstance(random_state, Integral)
        seed = int(random_state if is_int else draw_seeds(random_state, 1)[0])
        protocol = EvaluationProtocol(modalities, corruption, scoring, cv, n_repeats, n_jobs, seed)
        results = {
            name: protocol.curve(model, X, y, levels, only) for name, model in estimator.items()
        }
        if specialist is not None:
            first = next(iter(results.values()))
            specialist = matched_training_scores(
                specialist, X, y, first.modality_names, first.levels, protocol
            )
        if score_name is None:
            score_name = scoring.replace("_", " ") if isinstance(scoring, str) else "score"
        return cls.from_results(
            results,
            specialist=specialist,
            level_name=getattr(corruption, "level_name", Corruption.level_name),
            score_name=score_name,
            modality=modality,
            ax=ax,
        )

    @classmethod
    def from_results(
        cls,
        results: Any,
        *,
        specialist: Any = None,
        level_name: str = "failure level",
        score_name: str = "score",
        modality: str | None = None,
        ax: Any = None,
    ) -> "RobustnessCurveDisplay":
        """Draw results of :func:`~sklearn_emma.model_selection.robustness_curve`.

        Parameters
        ----------
        results : Bunch or dict of str to Bunch
            Results for the same levels and modalities, by name of the estimator.
        specialist : array-like of shape (n_modalities, n_levels) or Bunch, default=None
            Mean scores of matched training for each modality and level, or the results of another
            estimator that is drawn as a reference.
        level_name, score_name : str
            Labels of the axes.
        modality : str, default=None
            Modality whose curve is drawn. None draws the mean over all modalities that fail.
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a new figure.

        Returns
        -------
        RobustnessCurveDisplay
            The drawn display.

        Raises
        ------
        ValueError
            If there are no results, or if they differ in levels or modalities.
        TypeError
            If `results` is neither a result nor a dict.
        """
        if hasattr(results, "test_scores"):
            results = {"score": results}
        if not isinstance(results, Mapping):
            raise TypeError(
                "results must be a result of robustness_curve, or a dict of names and results, "
                f"such as {{'EMMA': curve}}, got {type(results).__name__}."
            )
        if not results:
            raise ValueError("results must hold at least one result of robustness_curve.")
        if hasattr(specialist, "test_scores"):
            specialist = specialist.test_scores.mean(axis=2)
        first = next(iter(results.values()))
        for name, result in results.items():
            same = np.array_equal(result.levels, first.levels)
            if not same or result.modality_names != first.modality_names:
                raise ValueError(
                    "All results must be of the same levels and modalities, but those of "
                    f"{name!r} are {result.levels.tolist()} of {result.modality_names}, and "
                    f"those of the first {first.levels.tolist()} of {first.modality_names}."
                )
        if specialist is not None:
            specialist = np.asarray(specialist, dtype=float)
            shape = len(first.modality_names), len(first.levels)
            if specialist.shape != shape:
                raise ValueError(
                    f"specialist must hold a score per modality and level, of shape {shape}, got "
                    f"shape {specialist.shape}."
                )
        display = cls(
            dict(results), specialist=specialist, level_name=level_name, score_name=score_name
        )
        return display.plot(ax=ax, modality=modality)

    def plot(self, ax: Any = None, *, modality: str | None = None) -> "RobustnessCurveDisplay":
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a new figure.
        modality : str, default=None
            Modality whose curve is drawn. None draws the mean over all modalities that fail.

        Returns
        -------
        RobustnessCurveDisplay
            The drawn display.

        Raises
        ------
        ValueError
            If the modality did not fail in these results.
        """
        first = next(iter(self.results.values()))
        names = first.modality_names
        if modality is not None and modality not in names:
            raise ValueError(f"modality={modality!r} is none of those that failed: {names}.")
        if len(names) == 1:
            (modality,) = names
        chosen = slice(None) if modality is None else [names.index(modality)]
        ax = self._prepare(ax)
        places = np.arange(len(first.levels))
        self.lines_, self.bands_, self.specialist_ = {}, {}, None
        n_before = len(ax.lines)  # another display may have drawn on these axes
        colors = choose_colors(n_before + len(self.results))
        for i, (name, result) in enumerate(self.results.items(), n_before):
            scores = result.test_scores[chosen]
            mean = scores.mean(axis=(0, 2))
            if modality is None:
                by_modality = scores.mean(axis=2)
                low, high = by_modality.min(axis=0), by_modality.max(axis=0)
            else:
                spread = scores[0].std(axis=1)
                low, high = mean - spread, mean + spread
            style = {"color": colors[i], "marker": "osD^vP*X"[i % 8]}
            (self.lines_[name],) = ax.plot(places, mean, linewidth=2, label=name, **style)
            self.bands_[name] = ax.fill_between(
                places, low, high, color=colors[i], alpha=0.15, linewidth=0
            )
        if self.specialist is not None:
            (self.specialist_,) = ax.plot(
                places,
                self.specialist[chosen].mean(axis=0),
                color="black",
                linestyle="--",
                linewidth=1.6,
                label="specialist",
            )
        ax.set_xticks(places, level_labels(first.levels))
        what = "mean, from worst to best modality"
        if modality is not None:
            what = f"{plain_text(modality)} fails"
        ax.set(xlabel=self.level_name, ylabel=f"{self.score_name} ({what})")
        ax.grid(axis="y", color=GRAY, alpha=0.25)
        despine(ax)
        labeled, _ = ax.get_legend_handles_labels()
        if len(labeled) > 1:
            legend(ax, labeled)
        return self
