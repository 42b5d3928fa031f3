"""Scorer for estimators under failures of modalities."""

from typing import Any

from sklearn import get_config
from sklearn.metrics import check_scoring, get_scorer
from sklearn.utils.metadata_routing import MetadataRequest

from sklearn_emma.compat import weighs_scores
from sklearn_emma.corruption import Corruption
from sklearn_emma.corruption.base import check_corruption, choose_modalities, is_number
from sklearn_emma.engine.seeding import draw_seeds
from sklearn_emma.lazy import load
from sklearn_emma.modalities import resolve_modalities
from sklearn_emma.model_selection.failing import break_modality, check_repeats, score_with
from sklearn_emma.model_selection.inside import with_categories
from sklearn_emma.model_selection.routing import requested_by


def make_failure_scorer(
    scoring: Any,
    corruption: Corruption,
    modalities: Any,
    *,
    clean_weight: float | None = None,
    reference: Any = None,
    n_repeats: int = 1,
    random_state: Any = 0,
) -> "_FailureScorer":
    """Make a scorer that evaluates an estimator on clean and on corrupted samples.

    The scorer returns a weighted mean of the score on the given samples and of the scores on
    corrupted copies of them. A different modality fails in each copy. Pass the scorer as `scoring`
    to :class:`~sklearn.model_selection.GridSearchCV` or
    :func:`~sklearn.model_selection.cross_validate` to select or evaluate estimators for the
    failures that you expect.

    Read more in the :doc:`how-to guide </howto/tune>`.

    Parameters
    ----------
    scoring : str, callable or None
        Score to average, as in scikit-learn. None means the method ``score`` of the estimator.

    corruption : Corruption
        How a modality fails, such as ``Noise(2)``. For several corruptions, pass a
        :class:`~sklearn_emma.corruption.Mixture`. The modalities named by its parameter `only` fail
        one at a time, by default all of them. They fail in all samples, unless its parameter
        `fraction` is set. Its parameter `n_corrupted` is ignored.

    modalities : dict, list of (name, columns), callable, "prefix" or None
        The groups of columns of the samples to score, in any form that
        :class:`~sklearn_emma.EMMAClassifier` accepts. None means one modality of all columns.

    clean_weight : float, default=None
        Weight, from 0 to 1, of the score on the given samples. The remaining weight is divided
        equally among the modalities. None means 1 / (n_modalities + 1), which is also the weight of
        each modality.

    reference : array-like or DataFrame of shape (n_reference, n_features), default=None
        Samples from which failures take means, standard deviations and values of other samples.
        None means the samples to score, because a scorer does not know the training samples.

    n_repeats : int, default=1
        Number of times that the failure of each modality is drawn.

    random_state : int, RandomState instance or None, default=0
        Controls the failures. It is used once, when the scorer is made. The scorer draws the same
        failures in every call, so that estimators are compared on the same samples.

    Returns
    -------
    callable
        A scorer with the signature ``scorer(estimator, X, y)``. It can be pickled if `scoring` and
        `modalities` can be pickled. Unlike the scorers of :func:`~sklearn.metrics.make_scorer`, it
        cannot be the `scoring` of :class:`~sklearn.model_selection.TunedThresholdClassifierCV`.

    Raises
    ------
    ValueError
        If a parameter is out of range. The scorer raises it if the modalities do not match the
        samples.
    TypeError
        If `corruption` is not a Corruption, or if `scoring` is neither a name nor a callable.

    See Also
    --------
    robustness_curve : One score for each modality and severity.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_emma.corruption import Noise
    >>> from sklearn_emma.datasets import load_breast_cancer_modalities
    >>> from sklearn_emma.model_selection import make_failure_scorer
    >>> X, y = load_breast_cancer_modalities(return_X_y=True)
    >>> clf = make_pipeline(StandardScaler(), LogisticRegression())
    >>> grid = {"logisticregression__C": [0.001, 0.01, 0.1, 1.0]}
    >>> GridSearchCV(clf, grid, scoring="neg_log_loss").fit(X, y).best_params_
    {'logisticregression__C': 1.0}
    >>> failing = make_failure_scorer("neg_log_loss", Noise(4), "prefix", reference=X)
    >>> GridSearchCV(clf, grid, scoring=failing).fit(X, y).best_params_
    {'logisticregression__C': 0.01}
    """
    seeds = draw_seeds(random_state, check_repeats(n_repeats)).tolist()
    return _FailureScorer(scoring, corruption, modalities, clean_weight, reference, seeds)


class _FailureScorer:
    """The scorer that make_failure_scorer returns."""

    def __init__(
        self,
        scoring: Any,
        corruption: Corruption,
        modalities: Any,
        clean_weight: float | None,
        reference: Any,
        seeds: list[int],
    ) -> None:
        if isinstance(scoring, str):
            get_scorer(scoring)
        elif scoring is not None and not callable(scoring):
            raise TypeError(f"scoring must be the name of a scorer or a callable, got {scoring!r}.")
        if clean_weight is not None and not (is_number(clean_weight) and 0 <= clean_weight <= 1):
            raise ValueError(f"clean_weight={clean_weight!r} must be None or a number from 0 to 1.")
        self.scoring = scoring
        self.corruption = check_corruption(corruption)
        self.modalities = modalities
        self.clean_weight = clean_weight
        self.reference = reference
        self.seeds = seeds

    def __repr__(self) -> str:
        return (
            f"make_failure_scorer({self.scoring!r}, {self.corruption!r}, {self.modalities!r}, "
            f"clean_weight={self.clean_weight!r}, n_repeats={len(self.seeds)})"
        )

    def __call__(self, estimator: Any, X: Any, y: Any = None, **score_params: Any) -> float:
        """Score an estimator on samples."""
        X = with_categories(estimator, load(X))
        scorer = check_scoring(estimator, scoring=self.scoring)
        if self.scoring is None and get_config()["enable_metadata_routing"]:
            score_params = requested_by(estimator, "score", score_params)
        names = resolve_modalities(self.modalities, X, remainder="drop")[0]
        names = choose_modalities(names, self.corruption.only)
        weight = 1 / (len(names) + 1) if self.clean_weight is None else self.clean_weight
        reference = X if self.reference is None else with_categories(estimator, self.reference)
        total = 0.0
        if weight > 0:
            total = weight * score_with(scorer, estimator, X, y, score_params)
        if weight < 1:
            share = (1 - weight) / (len(names) * len(self.seeds))
            corruption = self.corruption.against(estimator, y)
            for name in names:
                for table in break_modality(
                    corruption, X, self.modalities, name, self.seeds, reference
                ):
                    total += share * score_with(scorer, estimator, table, y, score_params)
        return total

    def _inner(self) -> Any:
        """Return the scorer that is averaged, or None for the method ``score``."""
        return get_scorer(self.scoring) if isinstance(self.scoring, str) else self.scoring

    def get_metadata_routing(self) -> Any:
        """Request the metadata that the inner scorer requests."""
        if hasattr(self._inner(), "get_metadata_routing"):
            return self._inner().get_metadata_routing()
        request = MetadataRequest(owner=type(self).__name__)
        if self.scoring is None:
            # whether the estimator requests them is only known when it is scored
            request.score.add_request(param="sample_weight", alias=True)
        return request

    def _accept_sample_weight(self) -> bool:
        """Return whether scikit-learn's searches should pass sample weights to this scorer."""
        return self.scoring is None or weighs_scores(self._inner())
