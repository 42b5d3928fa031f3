"""GatedRegressor: any scikit-learn regressor combined with the gate of EMMA."""

from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin, is_classifier, is_regressor
from sklearn.utils import column_or_1d

from sklearn_emma.gate.predictor_selection import fifths
from sklearn_emma.gated.base import BaseGated
from sklearn_emma.gated.blending import Loss, squared_error_of
from sklearn_emma.gated.estimator_traits import (
    needs_columns,
    predicts_mean,
    takes_several_outputs,
)
from sklearn_emma.lazy import LazyScore
from sklearn_emma.regressor import EMMARegressor
from sklearn_emma.targets import check_values


class GatedRegressor(LazyScore, RegressorMixin, BaseGated):
    r"""Meta-estimator that combines any regressor with a gate, which closes failing modalities.

    The gate and its energies are learned by an :class:`EMMARegressor`. The regressor is trained and
    used as the classifier in :class:`GatedClassifier`.

    By default, the prediction is a weighted average of the predictions of two models: the
    regressor, and the network of the :class:`EMMARegressor` whose gate is used. `blend` is the
    weight of the network. With ``blend=0``, only the regressor predicts.

    Read more in the :doc:`how-to guide </howto/any_model>`.

    Parameters
    ----------
    estimator : regressor or None, default=None
        The regressor. None means :class:`~sklearn.ensemble.HistGradientBoostingRegressor` with
        default parameters. Categorical columns are passed to it as in :class:`GatedClassifier`, so
        it must refer to columns by name, not by position. The regressor is cloned, and its random
        states that are None are set.

    modalities : dict, list of (name, columns), callable, "prefix" or None, default=None
        The groups of columns, as for :class:`EMMARegressor`.

    remainder : "error", "drop" or str, default="error"
        What to do with columns that do not belong to any modality, as for :class:`EMMARegressor`.
        Ignored columns are not passed to the regressor either.

    missing_modalities : {"error", "allow"}, default="error"
        What to do at prediction time if a DataFrame has no column of a modality. "error" raises an
        error; "allow" treats the modality as missing.

    gate : EMMARegressor or None, default=None
        Unfitted estimator that learns the energies and the gate. Its parameter `modalities` must be
        None. Its parameter `corruption` also determines how modalities fail in the copies. If its
        parameter `column_attention` is True, the values of columns that the gate ignores are
        missing for the regressor as well. None means an :class:`EMMARegressor` with default
        parameters. With ``blend=0``, None means a smaller one, with one hidden layer of 16
        units, because the gate hardly depends on the network.

    threshold : float or "mean", default=0.5
        Modalities whose attention is at most this threshold, a number in [0, 1), are closed. "mean"
        is a soft gate: the predictions are averaged over all thresholds below the highest attention
        of the sample. This needs at most one prediction per modality, since other thresholds close
        the same modalities.

    blend : float or "auto", default="auto"
        Weight b, from 0 to 1, of the network that was trained together with the gate. The predicted
        values are :math:`(1 - b)\, p + b\, p_{EMMA}`. "auto" chooses the weight with the lowest
        squared error on held-out samples, clean and corrupted as in training. For the choice of
        held-out samples, the range of the target is divided into five intervals with equal numbers
        of samples. The last fifth of the samples of each interval is held out, about 1,000 samples
        at most, so do not shuffle samples that are in temporal order. If there are fewer than 40
        samples, b is 1/2. If the loss of the regressor is that of a quantile or of the absolute
        error, b is 0, because the network predicts the mean. If more than a tenth of the samples is
        held out, gate and regressor are fitted twice: on all samples, and without the held-out
        samples, with the hyperparameters of the network that were chosen on all. With 0, only the
        regressor predicts, and fitting takes at most half the time.

    n_copies : int, default=10
        Number of corrupted copies of the training samples that the regressor is also trained on.

    closed_value : {"auto", "nan", "median"}, default="auto"
        Replacement of the values of closed modalities: NaN, or the median of the training samples
        (for categorical columns, the most frequent level). With the median, missing values of open
        modalities are filled as in the gate. "auto" means NaN if the regressor supports missing
        values according to its tags; for a Pipeline, all steps must support them.

    random_state : int, RandomState instance or None, default=None
        Controls the random numbers of the gate, and those of every estimator whose `random_state`
        is None. Pass an int for reproducible output across multiple function calls. Splitters
        inside `estimator`, such as a shuffled KFold, need a `random_state` of their own.

    Attributes
    ----------
    gate_ : EMMARegressor
        The fitted estimator that learned the energies and the gate.
    estimator_ : regressor
        The fitted regressor.
    blend_ : float
        Weight of the gate's network in the prediction.
    threshold_ : float or "mean"
        The threshold that the estimator was trained with.
    fills_nan_ : bool
        Whether missing values are filled, instead of being passed as NaN.
    categories_, category_counts_ : dict
        As in :class:`EMMARegressor`.
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
        Mean and scale with which the energies standardize columns, and the median of each
        standardized column.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during fit. Defined only if all names are strings; the regressor then
        gets a pandas DataFrame.

    See Also
    --------
    EMMARegressor : Gate and network that are trained together.
    GatedClassifier : The corresponding classifier.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma import EMMARegressor, GatedRegressor
    >>> rng = np.random.default_rng(0)
    >>> y = rng.normal(20.0, 5.0, size=600)
    >>> X = y[:, None] + rng.normal(size=(600, 6))  # two instruments of three thermometers
    >>> instruments = {"roof": [0, 1, 2], "wall": [3, 4, 5]}
    >>> gate = EMMARegressor(max_epochs=10)  # a short training, for this example
    >>> reg = GatedRegressor(None, instruments, gate=gate, random_state=0)  # None: boosting
    >>> reg = reg.fit(X[:400], y[:400])
    >>> broken = X[400:] + 30.0 * rng.normal(size=(200, 6)) * [1, 1, 1, 0, 0, 0]
    >>> reg.attention(broken).mean(axis=0).round(1), bool(reg.score(broken, y[400:]) > 0.8)
    (array([0., 1.]), True)
    """

    gate_: EMMARegressor

    _gate_type = EMMARegressor
    _target_checks = {"multi_output": True}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = takes_several_outputs(self.unfitted_estimator())
        return tags

    def _default_estimator(self) -> BaseEstimator:
        # imported when needed: the import takes long
        from sklearn.ensemble import HistGradientBoostingRegressor

        return HistGradientBoostingRegressor()

    def _check_estimator(self) -> None:
        estimator = self.unfitted_estimator()
        predicts = hasattr(estimator, "predict") or is_regressor(estimator)
        if is_classifier(estimator) or not predicts:
            raise TypeError(
                f"estimator must be a regressor, got {self.estimator!r}. For a classifier, use "
                "GatedClassifier."
            )

    def _blend_to_use(self) -> float | str:
        # the network predicts the mean, and the blend is chosen by squared error
        if self.blend == "auto" and not predicts_mean(self.unfitted_estimator()):
            return 0.0
        return self.blend

    def _check_target(self, y: np.ndarray) -> np.ndarray:
        y = check_values(y)
        # for a single column, some regressors would return one dimension, and the network two
        if y.ndim == 1 or y.shape[1] == 1:
            return column_or_1d(y, warn=True)
        if not takes_several_outputs(self.unfitted_estimator()):
            name = type(self.unfitted_estimator()).__name__
            raise ValueError(
                f"y has {y.shape[1]} columns, but {name} predicts a single output, according to "
                "its tags. Pass a y of one dimension, or an estimator for several outputs, such as "
                f"MultiOutputRegressor({name}())."
            )
        return y

    def _target_of_estimator(self, y: np.ndarray) -> np.ndarray:
        return y[:, None] if y.ndim == 1 and needs_columns(self.unfitted_estimator()) else y

    def _strata(self, y: np.ndarray) -> np.ndarray:
        return fifths(torch.from_numpy(y.reshape(len(y), -1)[:, 0])).numpy()

    def _loss(self, y: np.ndarray, weight: np.ndarray) -> Loss:
        return squared_error_of(y, weight)

    def _of_network(self, output: np.ndarray) -> np.ndarray:
        return self._network_prediction(output, "predict")

    def _call(self, X: Any) -> np.ndarray:
        values = np.asarray(self.estimator_.predict(X))
        n_outputs = self.gate_.n_outputs_
        shape = (len(X),) if n_outputs == 1 else (len(X), n_outputs)
        if values.shape not in (shape, (len(X), n_outputs)):
            raise ValueError(
                f"estimator must predict values of shape {shape}, but {self.estimator_!r} predicts "
                f"values of shape {values.shape}. Choose an estimator whose predict returns one "
                "value per sample and output."
            )
        return values.reshape(shape)

    def predict(self, X: Any, evidence: Any = None) -> np.ndarray:
        """Predict the target of each sample.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.
        evidence : array-like of shape (n_samples, n_modalities), default=None
            Additional evidence against each modality, in nats; see :meth:`readings`.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predicted values.
        """
        return self._run(X, "output", evidence=evidence)["output"]
