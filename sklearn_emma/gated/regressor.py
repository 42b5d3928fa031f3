"""GatedRegressor: any scikit-learn regressor behind EMMA's gate."""

from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin, is_classifier
from sklearn.utils import column_or_1d, get_tags

from sklearn_emma.gate.predictor_selection import fifths
from sklearn_emma.gated.base import BaseGated
from sklearn_emma.gated.blending import Loss, squared_error_of
from sklearn_emma.regressor import EMMARegressor
from sklearn_emma.targets import check_values


class GatedRegressor(RegressorMixin, BaseGated):
    r"""Any regressor behind EMMA's gate, which removes modalities that fail.

    By default two models predict, and their predictions are averaged: the regressor, and the
    network of the :class:`EMMARegressor` whose gate is used. `blend` is the weight of the network.
    With ``blend=0`` the regressor alone predicts.

    Otherwise as :class:`GatedClassifier`, with energies and gate of :class:`EMMARegressor`.

    Parameters
    ----------
    estimator : regressor or None, default=None
        Takes numbers, and categories as for :class:`GatedClassifier`. None takes
        :class:`~sklearn.ensemble.HistGradientBoostingRegressor` with its defaults. Cloned; random
        states that are None are set.

    modalities : dict, list of (name, columns), callable, "prefix" or None, default=None
        The groups of columns, as for :class:`EMMARegressor`.

    remainder : "error", "drop" or str, default="error"
        What to do with columns that belong to no modality, as for :class:`EMMARegressor`. Ignored
        columns are not passed to the regressor either.

    missing_modalities : {"error", "allow"}, default="error"
        What to do when predicting from a DataFrame without any column of a modality: raise, or take
        the modality as missing.

    gate : EMMARegressor or None, default=None
        What learns energies and gate; unfitted, without modalities of its own. Its `corruption` is
        also that of the copies. None takes an :class:`EMMARegressor` with its defaults; with
        ``blend=0`` one with one hidden layer of 16 units, trained for 10 epochs, as the gate hardly
        depends on the network.
        With `column_attention` of the gate, columns that it ignores become missing too.

    threshold : float or "mean", default=0.5
        Modalities of at most this attention, from 0 to 1, are closed. "mean" predicts behind the
        masks of all thresholds below the sample's highest attention, at most one per modality, and
        takes the mean: the soft gate.

    blend : float or "auto", default="auto"
        Weight b, from 0 to 1, of the network that the gate is trained with:
        :math:`(1 - b)\, p + b\, p_{EMMA}` is predicted, an average of values. "auto" chooses
        what is best on held-out samples, clean and corrupted as in training: the last fifth of the
        samples with targets of similar size, about 1,000 samples at most, so keep the order of
        time. With fewer than 40 samples b is 1/2. If the held-out samples are more than a tenth,
        gate and regressor are then fitted again on all samples, the network of the gate with the
        features and the penalty of the first fit. 0 leaves the regressor alone, and fits in half of
        the time or less.

    n_copies : int, default=10
        Corrupted copies of the training samples that the regressor learns from besides.

    shut_value : {"auto", "nan", "median"}, default="auto"
        What takes the place of missing values and of the values of closed modalities: NaN, or the
        median of the training samples (of categories the most frequent level). "auto" takes NaN
        where the regressor says that it takes it, in a Pipeline where every step does.

    random_state : int, RandomState instance or None, default=None
        Determines everything random. Pass an int for the same result in every call.

    Attributes
    ----------
    gate_ : EMMARegressor
        What learned energies and gate.
    estimator_ : regressor
        The fitted regressor.
    blend_ : float
        Weight of the gate's network in the prediction.
    fills_nan_ : bool
        Whether missing values are filled: with the median, or the most frequent level.
    categories_, category_counts_ : dict
        As in :class:`EMMAClassifier`.
    modality_names_, modality_columns_, energy_scorers_ : objects
        As in :class:`EMMARegressor`.
    gain_, bias_, capacity_, coldness_, self_weight_, self_bias_ : objects
        As in :class:`EMMARegressor`.
    coupling_weight_, coupling_degree_, cross_modal_weights_, column_weights_ : objects
        As in :class:`EMMARegressor`.
    attention_score_, score_weights_, n_units_, max_modalities_, modality_costs_ : objects
        As in :class:`EMMARegressor`.
    potential_min_, potential_scale_, potential_max_ : ndarray of shape (n_modalities,)
        As in :class:`EMMARegressor`.
    mean_, scale_, median_ : ndarray of shape (`n_features_in_`,)
        What columns are standardised with for the energies, and the median of what results.
    n_features_in_ : int
        Number of columns seen at fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, when all are strings; the regressor then gets a pandas DataFrame.

    See Also
    --------
    EMMARegressor : Gate and network trained together.
    GatedClassifier : Predicts classes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma import GatedRegressor
    >>> rng = np.random.default_rng(0)
    >>> y = rng.normal(20.0, 5.0, size=600)
    >>> X = y[:, None] + rng.normal(size=(600, 6))  # two instruments of three thermometers
    >>> instruments = {"roof": [0, 1, 2], "wall": [3, 4, 5]}
    >>> reg = GatedRegressor(modalities=instruments, random_state=0)  # histogram gradient boosting
    >>> reg = reg.fit(X[:400], y[:400])
    >>> broken = X[400:] + 30.0 * rng.normal(size=(200, 6)) * [1, 1, 1, 0, 0, 0]
    >>> reg.attention(broken).mean(axis=0).round(1), bool(reg.score(broken, y[400:]) > 0.8)
    (array([0., 1.]), True)
    """

    _gate_type = EMMARegressor
    _target_checks = {"multi_output": True}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = get_tags(self.unfitted_estimator()).target_tags.multi_output
        return tags

    def _default_estimator(self) -> BaseEstimator:
        # imported when needed: the import takes long
        from sklearn.ensemble import HistGradientBoostingRegressor

        return HistGradientBoostingRegressor()

    def _check_estimator(self) -> None:
        if is_classifier(self.unfitted_estimator()):
            raise TypeError(
                f"estimator must be a regressor, got {self.estimator!r}. For a classifier take "
                "GatedClassifier."
            )

    def _check_target(self, y: np.ndarray) -> np.ndarray:
        y = check_values(y)
        if get_tags(self.unfitted_estimator()).target_tags.multi_output:
            return y
        return column_or_1d(y, warn=True)

    def _strata(self, y: np.ndarray) -> np.ndarray:
        return fifths(torch.from_numpy(y.reshape(len(y), -1)[:, 0])).numpy()

    def _loss(self, y: np.ndarray, weight: np.ndarray) -> Loss:
        return squared_error_of(y, weight)

    def _of_network(self, output: np.ndarray) -> np.ndarray:
        return self._network_prediction(output, "predict")

    def _call(self, X: Any) -> np.ndarray:
        values: np.ndarray = self.estimator_.predict(X)
        return values

    def predict(self, X: Any, evidence: Any = None) -> np.ndarray:
        """Predict a value for each sample.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.
        evidence : array-like of shape (n_samples, n_modalities), default=None
            Further evidence against each modality, in nats; see :meth:`readings`.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Values.
        """
        return self._run(X, "output", evidence=evidence)["output"]
