"""GatedClassifier: any scikit-learn classifier behind EMMA's gate."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, is_classifier
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.classifier import EMMAClassifier
from sklearn_emma.gated.base import BaseGated
from sklearn_emma.gated.blending import Loss, log_loss_of
from sklearn_emma.lazy import is_lazy, map_chunks
from sklearn_emma.targets import check_labels


def _gives_probabilities(gated: Any) -> bool:
    """Tell whether the classifier behind a gate gives probabilities."""
    fitted = getattr(gated, "estimator_", None)
    return hasattr(gated.unfitted_estimator() if fitted is None else fitted, "predict_proba")


class GatedClassifier(ClassifierMixin, BaseGated):
    r"""Any classifier behind EMMA's gate, which removes modalities that fail.

    By default two models predict, and their probabilities are averaged: the classifier, and the
    network of the :class:`EMMAClassifier` whose gate is used. `blend` is the weight of the network.
    With ``blend=0`` the classifier alone predicts.

    Energies and gate are those of the :class:`EMMAClassifier`. Modalities with an attention of at
    most `threshold` are closed: the classifier gets their values as missing. It learns from the
    training samples and from copies of them. In the copies modalities fail as in the training of
    EMMA, or are closed at random, and all of them pass the gate. So the classifier learns to
    predict from any subset of the modalities, and with failures that the gate does not detect.

    Parameters
    ----------
    estimator : classifier or None, default=None
        Takes numbers. None takes :class:`~sklearn.ensemble.HistGradientBoostingClassifier` with its
        defaults. The classifier gets categorical columns as the type ``category`` of pandas where
        it says that it takes them, as histogram gradient boosting, a ColumnTransformer, or a
        Pipeline that begins with an encoder do, and as indicators of their levels otherwise.
        Without ``predict_proba`` there is no :meth:`predict_proba`, and with ``threshold="mean"``
        its predictions are votes; it cannot be blended then. Cloned; random states that are None
        are set.

    modalities : dict, list of (name, columns), callable, "prefix" or None, default=None
        The groups of columns, as for :class:`EMMAClassifier`.

    remainder : "error", "drop" or str, default="error"
        What to do with columns that belong to no modality, as for :class:`EMMAClassifier`. Ignored
        columns are not passed to the classifier either.

    missing_modalities : {"error", "allow"}, default="error"
        What to do when predicting from a DataFrame without any column of a modality: raise, or take
        the modality as missing.

    gate : EMMAClassifier or None, default=None
        What learns energies and gate; unfitted, without modalities of its own. Its `corruption` is
        also that of the copies. None takes an :class:`EMMAClassifier` with its defaults; with
        ``blend=0`` one with one hidden layer of 16 units, trained for 10 epochs, as the gate hardly
        depends on the network.
        With `column_attention` of the gate, columns that it ignores become missing too.

    threshold : float or "mean", default=0.5
        Modalities of at most this attention, from 0 to 1, are closed. "mean" predicts behind the
        masks of all thresholds below the sample's highest attention, at most one per modality, and
        takes the mean of the probabilities: the soft gate.

    blend : float or "auto", default="auto"
        Weight b, from 0 to 1, of the network that the gate is trained with:
        :math:`(1 - b)\, p + b\, p_{EMMA}` is predicted, an average of probabilities. "auto" chooses
        what is best on held-out samples, clean and corrupted as in training: the last fifth of
        each class, about 1,000 samples at most, so keep the order of time. With fewer than 40
        samples, or 5 of a class, b is 1/2. If the held-out samples are more than a tenth, gate and
        classifier are then fitted again on all samples, the network of the gate with the features
        and the penalty of the first fit. 0 leaves the classifier alone, and fits in half of the
        time or less.

    n_copies : int, default=10
        Corrupted copies of the training samples that the classifier learns from besides.

    shut_value : {"auto", "nan", "median"}, default="auto"
        What takes the place of missing values and of the values of closed modalities: NaN, or the
        median of the training samples (of categories the most frequent level). "auto" takes NaN
        where the classifier says that it takes it, in a Pipeline where every step does.

    random_state : int, RandomState instance or None, default=None
        Determines everything random. Pass an int for the same result in every call.

    Attributes
    ----------
    gate_ : EMMAClassifier
        What learned energies and gate.
    estimator_ : classifier
        The fitted classifier.
    blend_ : float
        Weight of the gate's network in the prediction.
    fills_nan_ : bool
        Whether missing values are filled: with the median, or the most frequent level.
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
        What columns are standardised with for the energies, and the median of what results.
    n_features_in_ : int
        Number of columns seen at fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, when all are strings; the classifier then gets a pandas DataFrame.

    See Also
    --------
    EMMAClassifier : Gate and network trained together.
    GatedRegressor : Predicts numbers.

    Examples
    --------
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn_emma import GatedClassifier
    >>> from sklearn_emma.datasets import load_breast_cancer_modalities
    >>> X, y = load_breast_cancer_modalities(return_X_y=True)
    >>> forest = RandomForestClassifier(50)
    >>> clf = GatedClassifier(forest, "prefix", random_state=0).fit(X[:250], y[:250])
    >>> broken = X[250:].copy()
    >>> broken.loc[:, broken.columns.str.startswith("worst__")] = 0.0
    >>> attention = clf.attention(broken).mean(axis=0)
    >>> clf.modality_names_[attention.argmin()], bool(clf.score(broken, y[250:]) > 0.9)
    ('worst', True)
    """

    _gate_type = EMMAClassifier
    _of_gate = ("classes_",)

    def _default_estimator(self) -> BaseEstimator:
        # imported when needed: the import takes long
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier()

    def _check_estimator(self) -> None:
        if not self._can_blend and not is_classifier(self.unfitted_estimator()):
            raise TypeError(
                f"estimator must be a classifier, got {self.estimator!r}. For a regressor take "
                "GatedRegressor."
            )

    def _check_target(self, y: np.ndarray) -> np.ndarray:
        check_labels(y)
        return y

    @property
    def _can_blend(self) -> bool:
        return hasattr(self.unfitted_estimator(), "predict_proba")

    def _strata(self, y: np.ndarray) -> np.ndarray:
        return np.unique(y, return_inverse=True)[1]

    def _loss(self, y: np.ndarray, weight: np.ndarray) -> Loss:
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
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.
        evidence : array-like of shape (n_samples, n_modalities), default=None
            Further evidence against each modality, in nats; see :meth:`readings`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of ``classes_``.
        """
        return self._run(X, "output", evidence=evidence)["output"]

    def predict(self, X: Any, evidence: Any = None) -> np.ndarray:
        """Class of each sample; with a blend, or ``threshold="mean"``, the most probable one.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.
        evidence : array-like of shape (n_samples, n_modalities), default=None
            Further evidence against each modality, in nats; see :meth:`readings`.

        Returns
        -------
        ndarray of shape (n_samples,)
            Class labels.
        """
        if is_lazy(X):
            return map_chunks(self.predict, X, evidence)
        check_is_fitted(self)
        if isinstance(self.threshold, str) or self.blend_ > 0:
            output = self._run(X, "output", evidence=evidence)["output"]
            return self.classes_[output.argmax(axis=1)]
        return self._run(X, "prediction", evidence=evidence)["prediction"]
