"""EMMAClassifierCV: cross-validation of hyperparameters of the gate and the loss."""

import time
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from sklearn.exceptions import NotFittedError
from sklearn.metrics import check_scoring
from sklearn.model_selection import ParameterGrid, check_cv
from sklearn.utils import indexable
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.classifier import EMMAClassifier
from sklearn_emma.compat import _check_sample_weight, _fit_context, scorers_of, weighs_scores
from sklearn_emma.corruption import Corruption
from sklearn_emma.engine.seeding import draw_seed
from sklearn_emma.folds import (
    FoldData,
    FoldOutcome,
    check_best_index,
    check_failures,
    check_refit,
    format_results,
    score_fold,
    score_names,
)
from sklearn_emma.gate.settings import check_param_grid
from sklearn_emma.tables import plain_array, plain_target
from sklearn_emma.targets import check_labels
from sklearn_emma.validation import all_or_nothing, check_table

# Settings that are trained together support neither a warm start nor adversarial training.
_NOT_SHARED = ("warm_start", "adversarial")
_SHARED = {k: v for k, v in EMMAClassifier._parameter_constraints.items() if k not in _NOT_SHARED}


class EMMAClassifierCV(EMMAClassifier):
    r"""EMMAClassifier with hyperparameters of gate and loss selected by cross-validation.

    This estimator gives the same results as :class:`~sklearn.model_selection.GridSearchCV` with an
    :class:`EMMAClassifier`, in a fraction of the time. In each fold, the energies are learned only
    once, and all settings of the hyperparameters are trained together, as one model with stacked
    parameters. Each setting gets the same data and random numbers as in a separate training. (With
    custom layers, dropout and batch normalization may give slightly different results.)

    Read more in the :doc:`how-to guide </howto/tune>`.

    Parameters
    ----------
    modalities : dict, list of (name, columns), callable, "prefix" or None, default=None
        The groups of columns, as for :class:`EMMAClassifier`.

    param_grid : dict or list of dict, default=None
        Settings to try: a dict of lists, a list of such dicts, or a list of settings, for instance
        from :class:`~sklearn.model_selection.ParameterSampler`. Parameters can be `coldness`,
        `lambda_capacity`, `lambda_energy` and `subset_weight`. None means the 45 settings of
        ``sklearn_emma.gate.settings.DEFAULT_GRID``: a `coldness` of 0.03, 0.1, 0.3, 1 or 3, a
        `lambda_capacity` of 0, 0.01 or 0.1, and a `lambda_energy` of 0, 0.02 or 0.1. They include
        the default values. The grid of the thesis is ``sklearn_emma.gate.settings.THESIS_GRID``.
        Use it with the parameters of :func:`make_thesis_classifier`: most of its values of
        `coldness` have little effect on the default gate, whose potentials have other units.

    cv : int, cross-validation generator or iterable, default=None
        Cross-validation strategy, as in GridSearchCV. None means stratified 5-fold
        cross-validation.

    scoring : str, callable, list, tuple, dict or None, default=None
        Scoring, as in GridSearchCV. None means accuracy.

    refit : bool, str or callable, default=True
        Whether to fit a classifier with the best setting on all samples, as in GridSearchCV. With
        several scores, it is the name of the score that determines the best setting. A callable
        takes ``cv_results_`` and returns the best index.

    remainder, missing_modalities, energy, module, hidden_layer_sizes : objects
        As for :class:`EMMAClassifier`.

    n_networks, periodic_features : objects
        As for :class:`EMMAClassifier`. A custom `module` must consist of layers that
        :func:`torch.func.vmap` can batch, like those of torch. If some of its layers share
        parameters, gate and predictor of the settings are trained one after another.

    coldness : float
        As for :class:`EMMAClassifier`. Only used if the parameter is not in `param_grid`.

    coldness_schedule, attention_score, max_modalities, modality_costs : objects
        As for :class:`EMMAClassifier`.

    potential_calibration, initial_gain : objects
        As for :class:`EMMAClassifier`.

    lambda_capacity, lambda_energy : float
        As for :class:`EMMAClassifier`. Only used if the parameter is not in `param_grid`.

    importance_floor : float, default=0.01
        As for :class:`EMMAClassifier`.

    cross_modal, column_attention, corruption, redraw_corruption : objects
        As for :class:`EMMAClassifier`.

    subset_weight : float, default=2.0
        As for :class:`EMMAClassifier`. Only used if the parameter is not in `param_grid`.

    pretrain_epochs, learning_rate, learning_rate_schedule, solver, l2_regularization : objects
        As for :class:`EMMAClassifier`.

    max_epochs, batch_size : objects
        As for :class:`EMMAClassifier`.

    early_stopping, validation_fraction, n_iter_no_change, tol : objects
        As for :class:`EMMAClassifier`. Each setting stops separately, and then needs no more
        computing time.

    class_weight : dict, "balanced" or None, default=None
        Class weights, as in scikit-learn.

    n_jobs : int, default=None
        Number of folds that are trained in parallel, as in joblib.

    memory, device : objects
        As for :class:`EMMAClassifier`.

    random_state : int, RandomState instance or None, default=None
        Controls all random numbers but those of `cv`. All fits use the same int as `random_state`:
        the one that is passed, or otherwise one that is drawn.

    verbose : bool, default=False
        Whether to print progress messages.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray of shape (n_settings,)
        Scores and times as in GridSearchCV. The fit time of a setting is the fit time of the fold,
        divided by the number of settings.
    best_params_ : dict
        The best setting.
    best_score_ : float
        Mean cross-validated score of the best setting.
    best_index_ : int
        Position of the best setting in ``cv_results_``.
    best_estimator_ : EMMAClassifier
        Classifier with the best setting, fitted on all samples. Only available if `refit` is not
        False. Its fitted attributes, such as ``coldness_`` and ``energy_scorers_``, are also
        attributes of this object.
    refit_time_ : float
        Time for fitting ``best_estimator_``, in seconds.
    scorer_ : callable or dict
        The scorer, or a dict of several scorers.
    multimetric_ : bool
        Whether there are several scores.
    n_splits_ : int
        Number of folds.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during fit. Defined only if all names are strings.

    See Also
    --------
    EMMAClassifier : Classifier with a single setting.

    Notes
    -----
    The operations for each setting are the same as in a separate training, so probabilities are
    usually bit-identical to those of GridSearchCV. They differ by rounding errors if the linear
    algebra library of torch sums products of stacked matrices in another order than products of
    single matrices. Over many epochs, such differences can grow. They also decide between settings
    of equal score, such as several values of `lambda_energy` with a coldness of zero.

    Examples
    --------
    >>> from sklearn_emma import EMMAClassifierCV
    >>> from sklearn_emma.datasets import load_breast_cancer_modalities
    >>> X, y = load_breast_cancer_modalities(return_X_y=True)
    >>> grid = {"coldness": [0.01, 0.1, 1.0], "lambda_energy": [0.0, 0.1]}
    >>> clf = EMMAClassifierCV("prefix", param_grid=grid, cv=2, max_epochs=5, random_state=0)
    >>> bool(clf.fit(X[:200], y[:200]).best_score_ > 0.9)
    True
    >>> len(clf.cv_results_["params"]), bool(clf.score(X[200:], y[200:]) > 0.9)
    (6, True)
    """

    _parameter_constraints: dict = {
        **_SHARED,
        "param_grid": "no_validation",  # check_param_grid validates it
        "cv": ["cv_object"],
        "scoring": "no_validation",  # check_scoring validates it
        "refit": ["boolean", str, callable],
    }

    def __init__(
        self,
        modalities: Any = None,
        *,
        param_grid: Any = None,
        cv: Any = None,
        scoring: Any = None,
        refit: Any = True,
        remainder: str = "error",
        missing_modalities: str = "error",
        energy: Any = None,
        module: Any = None,
        hidden_layer_sizes: Sequence[int] = (64, 48, 32),
        n_networks: int = 4,
        periodic_features: bool | str = "auto",
        coldness: float = 0.3,
        coldness_schedule: str = "constant",
        attention_score: Any = "energy",
        max_modalities: int | None = None,
        modality_costs: dict[str, float] | None = None,
        potential_calibration: str = "failures",
        initial_gain: float | None = None,
        lambda_capacity: float = 0.0,
        lambda_energy: float = 0.02,
        importance_floor: float = 0.01,
        cross_modal: bool = True,
        column_attention: bool = False,
        corruption: Corruption | None = None,
        redraw_corruption: bool = True,
        subset_weight: float = 2.0,
        pretrain_epochs: int = 0,
        learning_rate: float = 0.004,
        learning_rate_schedule: str = "one_cycle",
        solver: str = "muon",
        l2_regularization: float | str = "auto",
        max_epochs: int = 50,
        batch_size: int | str = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        class_weight: Any = None,
        n_jobs: int | None = None,
        memory: Any = None,
        device: str | torch.device = "auto",
        random_state: Any = None,
        verbose: int | bool = False,
    ) -> None:
        self.modalities = modalities
        self.param_grid = param_grid
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.remainder = remainder
        self.missing_modalities = missing_modalities
        self.energy = energy
        self.module = module
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_networks = n_networks
        self.periodic_features = periodic_features
        self.coldness = coldness
        self.coldness_schedule = coldness_schedule
        self.attention_score = attention_score
        self.max_modalities = max_modalities
        self.modality_costs = modality_costs
        self.potential_calibration = potential_calibration
        self.initial_gain = initial_gain
        self.lambda_capacity = lambda_capacity
        self.lambda_energy = lambda_energy
        self.importance_floor = importance_floor
        self.cross_modal = cross_modal
        self.column_attention = column_attention
        self.corruption = corruption
        self.redraw_corruption = redraw_corruption
        self.subset_weight = subset_weight
        self.pretrain_epochs = pretrain_epochs
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.solver = solver
        self.l2_regularization = l2_regularization
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.class_weight = class_weight
        self.n_jobs = n_jobs
        self.memory = memory
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Self:
        """Score every setting by cross-validation, and fit a classifier with the best one.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Training samples; NaN marks missing values.
        y : array-like of shape (n_samples,)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights. They are passed to fits and, as in GridSearchCV, to scorers that support
            them.
        groups : array-like of shape (n_samples,), default=None
            Group labels of the samples, for splitters such as
            :class:`~sklearn.model_selection.GroupKFold`.

        Returns
        -------
        EMMAClassifierCV
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, y, a parameter or the modalities are not valid, or if training diverges with every
            setting.
        TypeError
            If `param_grid` is not a grid, or if `energy` has no ``score_samples``.
        """
        with all_or_nothing(self):
            for name in [name for name in vars(self) if name.endswith("_")]:
                delattr(self, name)
            return self._search(X, y, sample_weight, groups)

    def _search(self, X: Any, y: Any, sample_weight: Any, groups: Any) -> Self:
        grid = check_param_grid(self.param_grid)
        table, labels = check_table(self, X, y, ensure_all_finite="allow-nan", ensure_min_samples=2)
        check_labels(labels)
        self._learn_outputs(labels)
        (X,) = indexable(plain_array(X))
        # scorers may need the index of y
        targets = y if isinstance(y, pd.Series) else labels
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                plain_target(sample_weight, "sample_weight"), table
            )
        params = self._classifier_params()
        classifier = EMMAClassifier(**params | {"n_jobs": None})  # folds are the parallel jobs
        settings = list(ParameterGrid(grid))
        scorer = check_scoring(classifier, scoring=self.scoring)
        self.scorer_ = scorers_of(scorer)
        if isinstance(self.scorer_, dict):
            check_refit(self.refit, list(self.scorer_))
        weighted = sample_weight is not None and weighs_scores(scorer)
        if isinstance(self.cv, type):
            raise TypeError(f"cv={self.cv.__name__} is a class. Pass cv={self.cv.__name__}().")
        splitter = check_cv(self.cv, labels, classifier=True)
        folds = list(splitter.split(X, labels, groups))
        if not folds:
            raise ValueError(
                f"cv={self.cv!r} gives no split. Pass a number of folds, or a splitter."
            )
        data = FoldData(X, targets, sample_weight, weighted)
        outcomes = Parallel(n_jobs=self.n_jobs)(
            delayed(score_fold)(classifier, settings, scorer, data, fold) for fold in folds
        )
        check_failures(outcomes)
        self.n_splits_ = len(folds)
        self.cv_results_ = format_results(settings, outcomes)
        self._choose(outcomes)
        if self.refit:
            self._refit(EMMAClassifier(**params | self.best_params_), X, y, sample_weight)
        return self

    def _classifier_params(self) -> dict[str, Any]:
        """Return the parameters of the classifiers, with an int as random_state."""
        known = EMMAClassifier().get_params(deep=False)
        params = {k: v for k, v in self.get_params(deep=False).items() if k in known}
        if not isinstance(self.random_state, (int, np.integer)):
            params["random_state"] = draw_seed(self.random_state)
        return params

    def _choose(self, outcomes: Sequence[FoldOutcome]) -> None:
        """Set the best setting."""
        names = score_names(outcomes)
        self.multimetric_ = names != ["score"] or isinstance(self.scorer_, dict)
        deciding = "score"
        if self.multimetric_:
            check_refit(self.refit, names)
            if not self.refit:
                return
            deciding = self.refit
        results = self.cv_results_
        if callable(self.refit):
            self.best_index_ = self.refit(results)
            check_best_index(self.best_index_, len(results["params"]))
        else:
            self.best_index_ = int(results[f"rank_test_{deciding}"].argmin())
            self.best_score_ = results[f"mean_test_{deciding}"][self.best_index_]
        self.best_params_ = results["params"][self.best_index_]

    def _refit(self, best: EMMAClassifier, X: Any, y: Any, sample_weight: Any) -> None:
        """Fit the best classifier on all samples, and take over its fitted attributes."""
        start = time.perf_counter()
        best.fit(X, y, sample_weight=sample_weight)
        self.refit_time_ = time.perf_counter() - start
        params = set(self.get_params(deep=False)) | set(best.get_params(deep=False))
        self.__dict__.update({k: v for k, v in vars(best).items() if k not in params})
        self.best_estimator_ = best

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether there is a classifier to predict with."""
        if hasattr(self, "cv_results_") and not hasattr(self, "best_estimator_"):
            raise NotFittedError(
                "This EMMAClassifierCV was fitted with refit=False, so that there is no classifier "
                "to predict with. Set refit=True, or fit an EMMAClassifier with best_params_."
            )
        return hasattr(self, "best_estimator_")

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Score ``best_estimator_`` on the given samples.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.
        y : array-like of shape (n_samples,)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        float
            Score according to `scoring`. With several scores, it is the one named by `refit`.

        Raises
        ------
        ValueError
            If there are several scores, and `refit` does not name one of them.
        """
        check_is_fitted(self)
        if self.scoring is None:
            return super().score(X, y, sample_weight)
        if self.multimetric_ and not isinstance(self.refit, str):
            raise ValueError(
                f"There are several scores, but refit={self.refit!r} does not name one of them. "
                "Compute the score that you need with a function of sklearn.metrics."
            )
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        if isinstance(self.scorer_, dict):
            return self.scorer_[self.refit](self.best_estimator_, X, y, **weights)
        score = self.scorer_(self.best_estimator_, X, y, **weights)
        return score[self.refit] if self.multimetric_ else score
