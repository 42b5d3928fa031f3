"""GatedClassifier: any scikit-learn classifier combined with the gate of EMMA."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.classifier import EMMAClassifier
from sklearn_emma.gated.base import BaseGated
from sklearn_emma.gated.blending import Loss, log_loss_of
from sklearn_emma.gated.estimator_traits import class_weight_of, refuse_threshold
from sklearn_emma.lazy import LazyScore, is_lazy, map_chunks
from sklearn_emma.log_probabilities import LogProbabilities
from sklearn_emma.targets import check_labels, labeled_before_fit


def _gives_probabilities(gated: Any) -> bool:
    """Return whether the classifier behind the gate has ``predict_proba``."""
    fitted = getattr(gated, "estimator_", None)
    return _has_probabilities(gated.unfitted_estimator() if fitted is None else fitted)


def _has_probabilities(estimator: Any) -> bool:
    # an unfitted StackingClassifier hides the methods of its final estimator; None means logistic
    # regression
    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[-1][1]
    final = getattr(estimator, "final_estimator", estimator)
    return final is None or hasattr(final, "predict_proba")


class GatedClassifier(LazyScore, ClassifierMixin, LogProbabilities, BaseGated):
    r"""Meta-estimator that combines any classifier with a gate, which closes failing modalities.

    The gate and its energies are learned by an :class:`EMMAClassifier`. Modalities whose attention
    is at most `threshold` are closed: their values are missing in the input of the classifier. The
    classifier is trained on the training samples and on copies of them. In the copies, modalities
    fail as in the training of EMMA, or are closed at random. All these samples pass the gate before
    the classifier learns from them. In this way, the classifier learns to predict from any subset
    of the modalities, and to cope with failures that the gate does not detect.

    By default, the prediction is a weighted average of the probabilities of two models: the
    classifier, and the network of the :class:`EMMAClassifier` whose gate is used. `blend` is the
    weight of the network. With ``blend=0``, only the classifier predicts.

    Read more in the :doc:`how-to guide </howto/any_model>`.

    Parameters
    ----------
    estimator : classifier or None, default=None
        The classifier. None means :class:`~sklearn.ensemble.HistGradientBoostingClassifier` with
        default parameters. Categorical columns are passed with the pandas type ``category`` if the
        classifier supports it, like histogram gradient boosting, a ColumnTransformer, or a Pipeline
        that begins with an encoder. Otherwise they are passed as indicators of their levels. This,
        and columns that are ignored, change the positions of columns, so a classifier must refer to
        columns by name. All other columns are floating point numbers, so a ColumnTransformer cannot
        select text, booleans or integers by their type. A classifier without ``predict_proba``
        cannot be blended with the network; then :meth:`predict_proba` is not available, and
        ``threshold="mean"`` counts the predicted classes as votes. A decision threshold belongs
        around the gated classifier, as in ``TunedThresholdClassifierCV(GatedClassifier(...))``,
        unless `blend` is 0. If it has a parameter `class_weight`, this also weights the loss of the
        network, unless `gate` has class weights of its own, and the loss by which the blend is
        chosen. The classifier is cloned, and its random states that are None are set.

    modalities : dict, list of (name, columns), callable, "prefix" or None, default=None
        The groups of columns, as for :class:`EMMAClassifier`.

    remainder : "error", "drop" or str, default="error"
        What to do with columns that do not belong to any modality, as for :class:`EMMAClassifier`.
        Ignored columns are not passed to the classifier either.

    missing_modalities : {"error", "allow"}, default="error"
        What to do at prediction time if a DataFrame has no column of a modality. "error" raises an
        error; "allow" treats the modality as missing.

    gate : EMMAClassifier or None, default=None
        Unfitted estimator that learns the energies and the gate. Its parameter `modalities` must be
        None. Its parameter `corruption` also determines how modalities fail in the copies. Its
        parameter `class_weight` weights only the loss of its network, neither the classifier nor
        the loss by which the blend is chosen; set it for `estimator` instead. If its
        parameter `column_attention` is True, the values of columns that the gate ignores are
        missing for the classifier as well. None means an :class:`EMMAClassifier` with default
        parameters. With ``blend=0``, None means a smaller one, with one hidden layer of 16 units,
        because the gate hardly depends on the network.

    threshold : float or "mean", default=0.5
        Modalities whose attention is at most this threshold, a number in [0, 1), are closed. "mean"
        is a soft gate: the probabilities are averaged over all thresholds below the highest
        attention of the sample. This needs at most one prediction per modality, since other
        thresholds close the same modalities.

    blend : float or "auto", default="auto"
        Weight b, from 0 to 1, of the network that was trained together with the gate. The predicted
        probabilities are :math:`(1 - b)\, p + b\, p_{EMMA}`. "auto" chooses the weight with the
        lowest log loss on held-out samples, clean and corrupted as in training. The held-out
        samples are the last fifth of each class, about 1,000 samples at most, so do not shuffle
        samples that are in temporal order. If there are fewer than 40 samples, or fewer than 5
        samples of a class, b is 1/2. If more than a tenth of the samples is held out, gate and
        classifier are fitted twice: on all samples, and without the held-out samples, with the
        hyperparameters of the network that were chosen on all. With 0, only the classifier
        predicts, and fitting takes at most half the time.

    n_copies : int, default=10
        Number of corrupted copies of the training samples that the classifier is also trained on.

    closed_value : {"auto", "nan", "median"}, default="auto"
        Replacement of the values of closed modalities: NaN, or the median of the training samples
        (for categorical columns, the most frequent level). With the median, missing values of open
        modalities are filled as in the gate. "auto" means NaN if the classifier supports missing
        values according to its tags; for a Pipeline, all steps must support them.

    random_state : int, RandomState instance or None, default=None
        Controls the random numbers of the gate, and those of every estimator whose `random_state`
        is None. Pass an int for reproducible output across multiple function calls. Splitters
        inside `estimator`, such as a shuffled KFold, need a `random_state` of their own.

    Attributes
    ----------
    gate_ : EMMAClassifier
        The fitted estimator that learned the energies and the gate.
    estimator_ : classifier
        The fitted classifier.
    blend_ : float
        Weight of the gate's network in the prediction.
    threshold_ : float or "mean"
        The threshold that the estimator was trained with.
    fills_nan_ : bool
        Whether missing values are filled, instead of being passed as NaN.
    categories_, category_counts_ : dict
        As in :class:`EMMAClassifier`.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    modality_names_, modality_columns_, energy_scorers_ : objects
        As in :class:`EMMAClassifier`.
    gain_, bias_, capacity_, coldness_, self_weight_, self_bias_ : objects
        As in :class:`EMMAClassifier`.
    coupling_weight_, coupling_degree_, cross_modal_weights_, column_weights_ : objects
        As in :class:`EMMAClassifier`.
    attention_score_, score_weights_, n_units_, max_modalities_, modality_costs_ : objects
        As in :class:`EMMAClassifier`.
    potential_min_, potential_scale_, potential_max_ : ndarray of shape (n_modalities,)
        As in :class:`EMMAClassifier`.
    mean_, scale_, median_ : ndarray of shape (`n_features_in_`,)
        Mean and scale with which the energies standardize columns, and the median of each
        standardized column.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during fit. Defined only if all names are strings; the classifier
        then gets a pandas DataFrame.

    See Also
    --------
    EMMAClassifier : Gate and network that are trained together.
    GatedRegressor : The corresponding regressor.

    Examples
    --------
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn_emma import EMMAClassifier, GatedClassifier
    >>> from sklearn_emma.datasets import load_breast_cancer_modalities
    >>> X, y = load_breast_cancer_modalities(return_X_y=True)
    >>> forest = RandomForestClassifier(50)
    >>> gate = EMMAClassifier(max_epochs=10)  # a short training, for this example
    >>> clf = GatedClassifier(forest, "prefix", gate=gate, random_state=0).fit(X[:250], y[:250])
    >>> broken = X[250:].copy()
    >>> broken.loc[:, broken.columns.str.startswith("worst__")] = 0.0
    >>> attention = clf.attention(broken).mean(axis=0)
    >>> clf.modality_names_[attention.argmin()], bool(clf.score(broken, y[250:]) > 0.9)
    ('worst', True)
    """

    _gate_type = EMMAClassifier
    _also_copied_from_gate = ("classes_",)

    def _default_estimator(self) -> BaseEstimator:
        # imported when needed: the import takes long
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier()

    def _check_estimator(self) -> None:
        estimator = self.unfitted_estimator()
        if not _has_probabilities(estimator) and not is_classifier(estimator):
            raise TypeError(
                f"estimator must be a classifier, got {self.estimator!r}. For a regressor, use "
                "GatedRegressor."
            )
        if self.blend != 0 or isinstance(self.threshold, str):
            refuse_threshold(estimator)

    def _check_target(self, y: np.ndarray) -> np.ndarray:
        check_labels(y)
        return y

    def _blend_to_use(self) -> float | str:
        if _has_probabilities(self.unfitted_estimator()):
            return self.blend
        if self.blend not in ("auto", 0):
            raise ValueError(
                f"blend={self.blend!r} needs a classifier with predict_proba, but "
                f"{self.estimator!r} has none. Set blend=0, or use a classifier with "
                "predict_proba, for instance by wrapping this one in CalibratedClassifierCV."
            )
        return 0.0

    def _has_target(self, y: np.ndarray) -> np.ndarray:
        return labeled_before_fit(y, getattr(self.gate, "adversarial", None))

    def _with_shared_settings(self, gate: EMMAClassifier) -> EMMAClassifier:
        shared = class_weight_of(self.unfitted_estimator())
        return gate if gate.class_weight is not None else gate.set_params(class_weight=shared)

    def _strata(self, y: np.ndarray) -> np.ndarray:
        return np.unique(y, return_inverse=True)[1]

    def _loss(self, y: np.ndarray, weight: np.ndarray) -> Loss:
        weight = weight * compute_sample_weight(class_weight_of(self.unfitted_estimator()), y)
        return log_loss_of(np.searchsorted(self.classes_, y), weight)

    def _of_network(self, output: np.ndarray) -> np.ndarray:
        return self._network_prediction(output, "predict_proba")

    def _call(self, X: Any) -> np.ndarray:
        if _gives_probabilities(self):
            probabilities: np.ndarray = self.estimator_.predict_proba(X)
            return probabilities
        return np.asarray(self.estimator_.predict(X))[:, None] == self.classes_

    @available_if(_gives_probabilities)
    def predict_proba(self, X: Any, evidence: Any = None) -> np.ndarray:
        """Predict class probabilities.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.
        evidence : array-like of shape (n_samples, n_modalities), default=None
            Additional evidence against each modality, in nats; see :meth:`readings`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Class probabilities, in the order of ``classes_``.
        """
        return self._run(X, "output", evidence=evidence)["output"]

    def predict(self, X: Any, evidence: Any = None) -> np.ndarray:
        """Predict the class of each sample.

        If the blend is not zero, or with ``threshold="mean"``, the class with the highest averaged
        probability is predicted. Otherwise it is the class that the classifier predicts.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.
        evidence : array-like of shape (n_samples, n_modalities), default=None
            Additional evidence against each modality, in nats; see :meth:`readings`.

        Returns
        -------
        ndarray of shape (n_samples,)
            Class labels.
        """
        if is_lazy(X):
            return map_chunks(self.predict, X, evidence)
        check_is_fitted(self)
        if isinstance(self.threshold_, str) or self.blend_ > 0:
            output = self._run(X, "output", evidence=evidence)["output"]
            return self.classes_[output.argmax(axis=1)]
        return self._run(X, "prediction", evidence=evidence)["prediction"]
