"""A scorer that scores an estimator while modalities fail."""

from inspect import signature
from numbers import Integral, Real

from sklearn.base import clone
from sklearn.metrics import check_scoring, get_scorer
from sklearn.utils import check_random_state
from sklearn.utils.metadata_routing import MetadataRequest

from sklearn_emma.corruption import Corruption
from sklearn_emma.corruption.base import is_number
from sklearn_emma.modalities import resolve_modalities


def make_failure_scorer(
    scoring,
    corruption,
    modalities,
    *,
    clean_weight=None,
    reference=None,
    n_repeats=1,
    random_state=0,
):
    """Make a scorer that scores an estimator while modalities fail.

    The result is the mean of the score on the rows as they come and of those with each modality
    failing in turn. Passed as `scoring` to :class:`~sklearn.model_selection.GridSearchCV` or
    :func:`~sklearn.model_selection.cross_validate`, it chooses or judges by the failures that are
    to be feared.

    Parameters
    ----------
    scoring : str, callable or None
        What is scored, as in scikit-learn. None stands for ``score`` of the estimator.

    corruption : Corruption
        What befalls a modality, such as ``Noise(2)``; a
        :class:`~sklearn_emma.corruption.Mixture` for several things. The modalities in its `only`
        fail in turn, by default all, in all rows unless it sets a `fraction`; its `n_corrupted`
        does not matter.

    modalities : dict, list of (name, columns), callable, "prefix" or None
        The groups of columns of the rows that are scored, in any form that
        :class:`~sklearn_emma.EMMAClassifier` takes. None is one modality of all columns.

    clean_weight : float, default=None
        Weight, from 0 to 1, of the score on the rows as they come; the rest is divided equally
        among the modalities. None weighs these rows like a failing modality, as
        1 / (n_modalities + 1).

    reference : array-like or DataFrame of shape (n_reference, n_features), default=None
        Rows that give means, standard deviations and donors. A scorer never sees the training rows:
        by default the rows that are scored take their place.

    n_repeats : int, default=1
        How often failures are drawn for each modality.

    random_state : int, RandomState instance or None, default=0
        Determines the failures. It is read once, here: the scorer draws the same failures in every
        call, so that estimators are compared on the same rows.

    Returns
    -------
    callable
        A scorer, to be called as ``scorer(estimator, X, y)``. It can be pickled, if `scoring` and
        `modalities` can.

    Raises
    ------
    ValueError
        If a parameter is out of range; when the scorer is called, if the modalities do not fit the
        rows.
    TypeError
        If `corruption` is no Corruption, or `scoring` neither a name nor callable.

    See Also
    --------
    robustness_curve : One score per modality and severity.

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
    >>> feared = make_failure_scorer("neg_log_loss", Noise(4), "prefix", reference=X)
    >>> GridSearchCV(clf, grid, scoring=feared).fit(X, y).best_params_
    {'logisticregression__C': 0.01}
    """
    return _FailureScorer(
        scoring, corruption, modalities, clean_weight, reference, n_repeats, random_state
    )


class _FailureScorer:
    """What make_failure_scorer makes."""

    def __init__(
        self, scoring, corruption, modalities, clean_weight, reference, n_repeats, random_state
    ):
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
        self.seeds = draw_seeds(random_state, check_repeats(n_repeats))

    def __repr__(self):
        return (
            f"make_failure_scorer({self.scoring!r}, {self.corruption!r}, {self.modalities!r}, "
            f"clean_weight={self.clean_weight!r}, n_repeats={len(self.seeds)})"
        )

    def __call__(self, estimator, X, y=None, **score_params):
        """Score an estimator on rows."""
        scorer = check_scoring(estimator, scoring=self.scoring)
        names = resolve_modalities(self.modalities, X, remainder="drop")[0]
        names = choose_modalities(names, self.corruption.only)
        weight = 1 / (len(names) + 1) if self.clean_weight is None else self.clean_weight
        reference = X if self.reference is None else self.reference
        tables = [(weight, X)] if weight > 0 else []
        if weight < 1:
            share = (1 - weight) / (len(names) * len(self.seeds))
            tables += [
                (share, rows)
                for name in names
                for rows in break_modality(
                    self.corruption, X, self.modalities, name, self.seeds, reference
                )
            ]
        return sum(
            weight * score_rows(scorer, estimator, rows, y, score_params) for weight, rows in tables
        )

    def _inner(self):
        return get_scorer(self.scoring) if isinstance(self.scoring, str) else self.scoring

    def get_metadata_routing(self):
        """Ask for the metadata that the inner scorer asks for."""
        if hasattr(self._inner(), "get_metadata_routing"):
            return self._inner().get_metadata_routing()
        return MetadataRequest(owner=type(self).__name__)

    def _accept_sample_weight(self):
        """Tell scikit-learn's searches whether to pass weights on."""
        if self.scoring is None:
            return True
        accepts = getattr(self._inner(), "_accept_sample_weight", None)
        if accepts is not None:
            return accepts()
        return "sample_weight" in signature(self._inner()).parameters


def break_modality(corruption, X, modalities, name, seeds, reference):
    """Yield rows in which one modality fails, one table per seed."""
    corruption = clone(corruption)
    corruption.only, corruption.n_corrupted = name, None
    for seed in seeds:
        yield corruption.corrupt(X, modalities, int(seed), reference)[0]


def score_rows(scorer, estimator, X, y, score_params):
    """Score rows, with or without targets."""
    score = scorer(estimator, X, *([] if y is None else [y]), **score_params)
    if not isinstance(score, Real):
        raise ValueError(f"scoring must return a single number, got {score!r}.")
    return score


def check_corruption(corruption):
    """Return a corruption, and raise TypeError if it is none."""
    if not isinstance(corruption, Corruption):
        raise TypeError(
            f"corruption must be an instance of Corruption, such as Noise(2), got {corruption!r}."
        )
    return corruption


def check_repeats(n_repeats):
    """Return how often failures are drawn."""
    if not is_number(n_repeats, Integral) or n_repeats < 1:
        raise ValueError(f"n_repeats={n_repeats!r} must be a positive integer.")
    return int(n_repeats)


def choose_modalities(names, only):
    """Return the modalities that fail in turn, in their own order."""
    if only is None:
        return names
    chosen = [only] if isinstance(only, str) else list(only)
    if not chosen or not set(chosen) <= set(names):
        raise ValueError(
            f"only={only!r} must name at least one modality, and no unknown one. The modalities "
            f"are {names}."
        )
    return [name for name in names if name in chosen]


def draw_seeds(random_state, size):
    """Return integers to be used as random states."""
    return check_random_state(random_state).randint(2**31 - 1, size=size)
