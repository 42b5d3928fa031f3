"""EMMAClassifierCV: settings of gate and loss chosen by cross-validation, trained together."""

import time

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, ParameterGrid, check_cv
from sklearn.utils import indexable
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.classifier import EMMAClassifier
from sklearn_emma.compat import _check_sample_weight, _fit_context, _safe_split
from sklearn_emma.engine.seeding import draw_seed
from sklearn_emma.gate.fold import FittedElsewhere, check_param_grid, train_fold
from sklearn_emma.validation import all_or_nothing, check_labels, check_table

_SHARED = {k: v for k, v in EMMAClassifier._parameter_constraints.items() if k != "warm_start"}


class EMMAClassifierCV(EMMAClassifier):
    r"""EMMAClassifier with settings of gate and loss chosen by cross-validation.

    Does what :class:`~sklearn.model_selection.GridSearchCV` over :class:`EMMAClassifier` does, in a
    fraction of the time: in every fold the energies are learned once, and all settings train
    together, as one model with stacked parameters that goes through the data once. Every setting
    sees what it would see alone, with the same random numbers, so that results are those of
    GridSearchCV.

    Parameters
    ----------
    modalities : dict, list of (name, columns), callable, "prefix" or None, default=None
        The groups of columns, as for :class:`EMMAClassifier`.

    param_grid : dict or list of dict, default=None
        What to choose from: a dict of lists, a list of such dicts, or a list of settings, such as
        :class:`~sklearn.model_selection.ParameterSampler` gives. The parameters may be `coldness`,
        `lambda_capacity`, `lambda_energy` and `subset_weight`. None stands for the 125 settings of
        the thesis: a `coldness` of 1e-4, 1e-3, 1e-2, 0.1 or 1, and 0, 1e-4, 1e-3, 1e-2 or 0.1 for
        both `lambda_capacity` and `lambda_energy`.

    cv : int, cross-validation generator or iterable, default=None
        How to split, as for GridSearchCV. None stands for five stratified folds.

    scoring : str, callable, list, tuple, dict or None, default=None
        How to score, as for GridSearchCV. None stands for the accuracy.

    refit : bool, str or callable, default=True
        Whether to fit a classifier with the best setting on all rows, as for GridSearchCV; with
        several scores, the name of the one that decides, or a callable from ``cv_results_`` to the
        best index.

    remainder, energy, module, hidden_layer_sizes : objects
        As for :class:`EMMAClassifier`. A `module` must be made of layers that
        :func:`torch.func.vmap` can batch, as those of torch are.

    coldness, lambda_capacity, lambda_energy : float
        As for :class:`EMMAClassifier`, where `param_grid` does not say.

    cross_modal, corruption : objects
        As for :class:`EMMAClassifier`.

    subset_weight : float, default=2.0
        As for :class:`EMMAClassifier`, where `param_grid` does not say.

    pretrain_epochs, learning_rate, l2_regularization, max_epochs, batch_size : objects
        As for :class:`EMMAClassifier`.

    early_stopping, validation_fraction, n_iter_no_change, tol : objects
        As for :class:`EMMAClassifier`; every setting stops by itself, and costs nothing any more.

    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, as in scikit-learn.

    n_jobs : int, default=None
        Folds trained at the same time, as in joblib.

    memory, device : objects
        As for :class:`EMMAClassifier`.

    random_state : int, RandomState instance or None, default=None
        Determines everything random: an int is the `random_state` of every fit, otherwise one int
        is drawn.

    verbose : bool, default=False
        Whether to show progress.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray of shape (n_settings,)
        Scores and times as in GridSearchCV. The time of a fit is the time of its fold, divided by
        the number of settings.
    best_params_ : dict
        The best setting.
    best_score_ : float
        Its mean score.
    best_index_ : int
        Its place in ``cv_results_``.
    best_estimator_ : EMMAClassifier
        The classifier fitted with it on all rows, with `refit`. This object has all attributes of
        that classifier too: ``coldness_``, ``energy_scorers_``, ...
    refit_time_ : float
        Seconds that took.
    scorer_ : callable or dict
        What scored.
    multimetric_ : bool
        Whether there are several scores.
    n_splits_ : int
        Number of folds.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_features_in_ : int
        Number of columns seen at fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, when all are strings.

    See Also
    --------
    EMMAClassifier : One setting.

    Notes
    -----
    Every setting goes through the same operations as alone: usually, its probabilities are those
    of GridSearchCV to the last bit. Where the library behind torch adds up a product of stacked
    matrices in another order than that of single ones, they differ by rounding, and many epochs
    can amplify that.

    Examples
    --------
    >>> from sklearn_emma import EMMAClassifierCV
    >>> from sklearn_emma.datasets import load_breast_cancer_modalities
    >>> X, y = load_breast_cancer_modalities(return_X_y=True)
    >>> grid = {"coldness": [0.01, 0.1, 1.0], "lambda_energy": [0.0, 0.1]}
    >>> clf = EMMAClassifierCV("prefix", param_grid=grid, cv=2, max_epochs=10, random_state=0)
    >>> bool(clf.fit(X[:400], y[:400]).best_score_ > 0.9)
    True
    >>> len(clf.cv_results_["params"]), bool(clf.score(X[400:], y[400:]) > 0.9)
    (6, True)
    """

    _parameter_constraints = {
        **_SHARED,
        "param_grid": "no_validation",  # check_param_grid says more
        "cv": ["cv_object"],
        "scoring": "no_validation",  # GridSearchCV says more
        "refit": ["boolean", str, callable],
    }

    def __init__(
        self,
        modalities=None,
        *,
        param_grid=None,
        cv=None,
        scoring=None,
        refit=True,
        remainder="error",
        energy=None,
        module=None,
        hidden_layer_sizes=(64, 48, 32),
        coldness=0.3,
        lambda_capacity=0.0,
        lambda_energy=0.02,
        cross_modal=True,
        corruption=None,
        subset_weight=2.0,
        pretrain_epochs=10,
        learning_rate=0.003,
        l2_regularization="auto",
        max_epochs=100,
        batch_size="auto",
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        class_weight=None,
        n_jobs=None,
        memory=None,
        device="auto",
        random_state=None,
        verbose=False,
    ):
        self.modalities = modalities
        self.param_grid = param_grid
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.remainder = remainder
        self.energy = energy
        self.module = module
        self.hidden_layer_sizes = hidden_layer_sizes
        self.coldness = coldness
        self.lambda_capacity = lambda_capacity
        self.lambda_energy = lambda_energy
        self.cross_modal = cross_modal
        self.corruption = corruption
        self.subset_weight = subset_weight
        self.pretrain_epochs = pretrain_epochs
        self.learning_rate = learning_rate
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
    def fit(self, X, y, sample_weight=None, groups=None):
        """Score every setting by cross-validation, and fit a classifier with the best one.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Training rows; NaN marks missing values.
        y : array-like of shape (n_samples,)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, for fits and, where the scorer takes them, as GridSearchCV does,
            for scores.
        groups : array-like of shape (n_samples,), default=None
            Groups of the rows, for splitters such as :class:`~sklearn.model_selection.GroupKFold`.

        Returns
        -------
        EMMAClassifierCV
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, y, a parameter or the modalities are not valid, or training diverges with every
            setting.
        TypeError
            If `param_grid` is no grid, or `energy` has no ``score_samples``.
        """
        with all_or_nothing(self):
            for name in [name for name in vars(self) if name.endswith("_")]:
                delattr(self, name)
            return self._search(X, y, sample_weight, groups)

    def _search(self, X, y, sample_weight, groups):
        grid = check_param_grid(self.param_grid)
        table, labels = check_table(self, X, y, ensure_all_finite="allow-nan", ensure_min_samples=2)
        check_labels(labels)
        self._learn_outputs(labels)
        (X,) = indexable(X)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, table)
        params = {
            name: value
            for name, value in self.get_params(deep=False).items()
            if name in EMMAClassifier().get_params(deep=False)
        }
        if not isinstance(self.random_state, (int, np.integer)):
            params["random_state"] = draw_seed(self.random_state)
        cv = check_cv(self.cv, labels, classifier=True)
        splits = list(cv.split(X, labels, groups))
        folds = [np.arange(len(table))[rows] for rows, _ in splits]
        one = EMMAClassifier(**params)
        outcomes = Parallel(n_jobs=self.n_jobs)(
            delayed(train_fold)(
                params | {"n_jobs": None},
                grid,
                *_safe_split(one, X, labels, rows),
                None if sample_weight is None else sample_weight[rows],
            )
            for rows in folds
        )
        fits = [fit for fitted, _ in outcomes for fit in fitted]
        if all(isinstance(fit, ValueError) for fit in fits):
            raise fits[0]
        search = GridSearchCV(
            FittedElsewhere.holding(
                params, list(ParameterGrid(grid)), folds, [fitted for fitted, _ in outcomes]
            ),
            grid,
            scoring=self.scoring,
            refit=self.refit,
            cv=[(rows, test) for rows, (_, test) in zip(folds, splits, strict=True)],
        )
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        search.fit(X, labels, rows=np.arange(len(table)), **weights)
        self._take_over(search, np.array([seconds for _, seconds in outcomes]))
        if self.refit:
            best = one.set_params(**search.best_params_)
            start = time.perf_counter()
            best.fit(X, y, sample_weight=sample_weight)
            self.refit_time_ = time.perf_counter() - start
            own = self.get_params(deep=False)
            for name, value in vars(best).items():
                if name not in own and name not in best.get_params(deep=False):
                    setattr(self, name, value)
            self.best_estimator_ = best
        return self

    def _take_over(self, search, seconds):
        """Take over what GridSearchCV has found."""
        self.cv_results_ = search.cv_results_
        n_settings = len(self.cv_results_["params"])
        self.cv_results_["mean_fit_time"] = np.full(n_settings, seconds.mean() / n_settings)
        self.cv_results_["std_fit_time"] = np.full(n_settings, seconds.std() / n_settings)
        names = "best_params_", "best_score_", "best_index_", "scorer_", "multimetric_", "n_splits_"
        for name in names:
            if hasattr(search, name):
                setattr(self, name, getattr(search, name))

    def _check_refitted(self):
        check_is_fitted(self)
        if not hasattr(self, "best_estimator_"):
            raise NotFittedError(
                "This EMMAClassifierCV was fitted with refit=False, so that there is no classifier "
                "to predict with. Set refit=True, or fit an EMMAClassifier with best_params_."
            )

    def _evaluate(self, X, function):
        self._check_refitted()
        return super()._evaluate(X, function)

    def _gate(self):
        self._check_refitted()
        return super()._gate()

    def score(self, X, y, sample_weight=None):
        """Return the score of the best setting on other rows.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows; NaN marks missing values.
        y : array-like of shape (n_samples,)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            By `scoring`; the one that `refit` names, where there are several.
        """
        self._check_refitted()
        if self.scoring is None:
            return super().score(X, y, sample_weight)
        scoring = self.scorer_
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        if isinstance(scoring, dict):
            return scoring[self.refit](self.best_estimator_, X, y, **weights)
        score = scoring(self.best_estimator_, X, y, **weights)
        return score[self.refit] if self.multimetric_ else score
