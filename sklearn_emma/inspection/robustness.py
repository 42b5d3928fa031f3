"""RobustnessCurveDisplay: score against the severity of a failure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sklearn_emma.corruption import Corruption, Noise
from sklearn_emma.inspection.drawing import (
    GREY,
    Display,
    choose_colors,
    despine,
    legend,
    level_labels,
)
from sklearn_emma.inspection.retrained import EvaluationProtocol, matched_training_scores
from sklearn_emma.model_selection.failure_scorer import draw_seeds

_LEVEL_NAMES = {
    "Noise": "noise, in standard deviations",
    "NoiseSNR": "signal-to-noise ratio, in decibels",
    "Drift": "drift, in standard deviations",
    "Scaling": "factor",
}


class RobustnessCurveDisplay(Display):
    """Score of one or several estimators against the severity of a failure.

    Make one with :meth:`from_estimator`, which cross-validates, or :meth:`from_results` of
    :func:`~sklearn_emma.model_selection.robustness_curve`. Levels stand at equal distances.

    Parameters
    ----------
    results : dict of str to Bunch
        Results of `robustness_curve`, by name of the estimator.
    specialist : ndarray of shape (n_modalities, n_levels), default=None
        Mean scores of matched training: of models that were retrained on exactly the failure of
        each modality and level, as an upper bound for a single model.
    level_name, score_name : str
        Labels of the axes.

    Attributes
    ----------
    lines_ : dict of str to Line2D
        Mean scores, by name of the estimator.
    bands_ : dict of str to PolyCollection
        Around a mean over modalities, from the worst modality to the best; around a single one,
        the standard deviation over splits on either side.
    specialist_ : Line2D or None
        The scores of matched training.
    ax_, figure_ : Axes, Figure
        Where it is drawn.

    See Also
    --------
    sklearn_emma.model_selection.robustness_curve : The scores themselves.

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
    [0.98, 0.95, 0.77]
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
            Any estimators, cloned; a dict names them.
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,), default=None
            Targets.
        modalities : dict, list of (name, columns), callable, "prefix" or None
            The groups of columns.
        corruption : subclass of Corruption or callable, default=Noise
            Takes a level and returns a :class:`~sklearn_emma.corruption.Corruption`.
        levels : array-like of shape (n_levels,), default=(0, 0.5, 1, 2, 4, 8)
            Severity of the failure.
        specialist : estimator, default=None
            Retrained for every modality, level and split on training samples that are corrupted in
            the same way as the test samples (matched training).
        only : str or list of str, default=None
            Names of the modalities that fail in turn. None stands for all.
        scoring : str, callable or None, default=None
            A scorer. None stands for ``score`` of the estimator.
        cv : int, cross-validation splitter, iterable or None, default=None
            How samples are split: the same for all estimators, unless the splitter is random.
        n_repeats : int, default=1
            How often failures are drawn.
        random_state : int, RandomState instance or None, default=None
            Determines the failures, which are the same for all estimators.
        n_jobs : int, default=None
            Splits computed at the same time, as in joblib.
        modality : str, default=None
            Draw the curve of this modality. None draws the mean over all that fail.
        score_name : str, default=None
            Label of the scores. None takes `scoring` if that is a string.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        RobustnessCurveDisplay
            The drawn Display.
        """
        if not isinstance(estimator, Mapping):
            estimator = {type(estimator).__name__: estimator}
        seed = int(draw_seeds(random_state, 1)[0])
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
            level_name=_LEVEL_NAMES.get(getattr(corruption, "__name__", ""), "failure level"),
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
            Results of the same levels and modalities, by name of the estimator.
        specialist : array-like of shape (n_modalities, n_levels) or Bunch, default=None
            Mean scores of matched training, for each modality and level, or the results of another
            estimator to be drawn as the reference.
        level_name, score_name : str
            Labels of the axes.
        modality : str, default=None
            Draw the curve of this modality. None draws the mean over all that failed.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        RobustnessCurveDisplay
            The drawn Display.

        Raises
        ------
        ValueError
            If there are no results, or they differ in levels or modalities.
        """
        if hasattr(results, "test_scores"):
            results = {"score": results}
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
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.
        modality : str, default=None
            Draw the curve of this modality. None draws the mean over all that failed.

        Returns
        -------
        RobustnessCurveDisplay
            The drawn Display.

        Raises
        ------
        ValueError
            If the modality did not fail in these results.
        """
        first = next(iter(self.results.values()))
        names = first.modality_names
        if modality is not None and modality not in names:
            raise ValueError(f"modality={modality!r} is none of those that failed: {names}.")
        chosen = slice(None) if modality is None else [names.index(modality)]
        ax = self._prepare(ax)
        places = np.arange(len(first.levels))
        self.lines_, self.bands_, self.specialist_ = {}, {}, None
        if self.specialist is not None:
            (self.specialist_,) = ax.plot(
                places,
                self.specialist[chosen].mean(axis=0),
                color="black",
                linestyle="--",
                linewidth=1.6,
                label="specialist",
            )
        colors = choose_colors(len(self.results))
        for i, (name, result) in enumerate(self.results.items()):
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
        ax.set_xticks(places, level_labels(first.levels))
        what = "mean, from worst to best modality" if modality is None else f"{modality} fails"
        ax.set(xlabel=self.level_name, ylabel=f"{self.score_name} ({what})")
        ax.grid(axis="y", color=GREY, alpha=0.25)
        despine(ax)
        if len(self.results) > 1 or self.specialist_ is not None:
            legend(ax, [*self.lines_.values(), *filter(None, [self.specialist_])])
        return self
