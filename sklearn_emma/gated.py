"""GatedClassifier and GatedRegressor: any scikit-learn estimator behind EMMA's gate."""

from abc import abstractmethod
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    MetaEstimatorMixin,
    RegressorMixin,
    clone,
)
from sklearn.utils import column_or_1d, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.base import BaseEMMA, predictor_of
from sklearn_emma.blending import Loss, best_blend, judging_samples, log_loss_of, squared_error_of
from sklearn_emma.categories import decode_table, encode
from sklearn_emma.classifier import EMMAClassifier
from sklearn_emma.compat import HasMethods, Interval, StrOptions, _fit_context
from sklearn_emma.corruption import SomeColumns
from sklearn_emma.energy.fit import seeded
from sklearn_emma.engine.seeding import draw_seed
from sklearn_emma.gate.columns import FAILING_COLUMNS
from sklearn_emma.gate.fitted import GATE
from sklearn_emma.gate.training_failures import training_corruption
from sklearn_emma.indicators import feature_columns, indicators_of
from sklearn_emma.lazy import is_lazy, map_chunks
from sklearn_emma.nn import GatedPredictor
from sklearn_emma.read_outs import GateReadOuts
from sklearn_emma.regressor import EMMARegressor
from sklearn_emma.shutting import (
    leave_out_columns,
    masks,
    random_shut,
    shut_modalities,
    takes_categories,
    takes_nan,
    weight_params,
)
from sklearn_emma.validation import (
    all_or_nothing,
    check_labels,
    check_table,
    check_values,
    check_weights,
)

# What the read-outs need of a fitted gate.
_OF_GATE = (
    *(f"{name}_" for name in GATE),
    "attention_score_",
    "capacity_",
    "categories_",
    "category_counts_",
    "coldness_",
    "cross_modal_weights_",
    "column_weights_",
    "energy_scorers_",
    "mean_",
    "max_modalities_",
    "median_",
    "modality_columns_",
    "modality_costs_",
    "modality_names_",
    "n_units_",
    "scale_",
    "score_weights_",
)
# Corrupted copies of the samples that the blend is chosen on.
_JUDGING_COPIES = 4
# Where these are at most this fraction of all samples, nothing is fitted again with them.
_LITTLE = 0.1
# Without a blend, the gate needs a predictor to be trained with, and not the best one.
_QUICK_GATE: dict[str, Any] = {
    "hidden_layer_sizes": (16,),
    "l2_regularization": 3.0,
    "pretrain_epochs": 3,
    "max_epochs": 10,
}


def _gives_probabilities(gated: Any) -> bool:
    """Tell whether the classifier behind a gate gives probabilities."""
    return hasattr(getattr(gated, "estimator_", gated.estimator), "predict_proba")


class BaseGated(GateReadOuts, MetaEstimatorMixin, BaseEstimator):
    """Gate and an estimator behind it; a subclass says what is predicted, and documents it."""

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict"])],
        "modalities": [dict, list, callable, StrOptions({"prefix"}), None],
        "remainder": [str],
        "missing_modalities": [StrOptions({"error", "allow"})],
        "gate": "no_validation",  # _unfitted_gate says more
        "threshold": [Interval(Real, 0, 1, closed="left"), StrOptions({"mean"})],
        "blend": [Interval(Real, 0, 1, closed="both"), StrOptions({"auto"})],
        "n_copies": [Interval(Integral, 0, None, closed="left")],
        "shut_value": [StrOptions({"auto", "nan", "median"})],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any,
        modalities: Any = None,
        *,
        remainder: str = "error",
        missing_modalities: str = "error",
        gate: Any = None,
        threshold: float | str = 0.5,
        blend: float | str = "auto",
        n_copies: int = 10,
        shut_value: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.modalities = modalities
        self.remainder = remainder
        self.missing_modalities = missing_modalities
        self.gate = gate
        self.threshold = threshold
        self.blend = blend
        self.n_copies = n_copies
        self.shut_value = shut_value
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    # --- what a subclass defines ---

    #: The kind of gate that the default one is.
    _gate_type: type[BaseEMMA]
    #: Further fitted attributes of the gate that are also those of this estimator.
    _of_gate: tuple[str, ...] = ()
    _target_checks: dict = {}

    @abstractmethod
    def _check_target(self, y: np.ndarray) -> np.ndarray:
        """Return y as it is learned from; raise ValueError for what cannot be."""

    @abstractmethod
    def _call(self, X: Any) -> np.ndarray:
        """Return what the estimator predicts, as numbers of shape (n_samples, ...)."""

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        """Return the classes, if there are some."""
        return None

    @abstractmethod
    def _loss(self, y: np.ndarray, weight: np.ndarray) -> Loss:
        """Return the loss that the blend minimises."""

    @abstractmethod
    def _of_network(self, output: np.ndarray) -> np.ndarray:
        """Return what the gate's network predicts, of the shape of what :meth:`_call` returns."""

    @property
    def _can_blend(self) -> bool:
        """Whether the estimator predicts what can be averaged."""
        return True

    # --- fit ---

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn energies and gate, and fit the estimator behind them.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Training samples; NaN marks missing values.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            What is predicted; several outputs only if the estimator takes them.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples; a sample of weight zero is left out.

        Returns
        -------
        GatedClassifier or GatedRegressor
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, y, a parameter or the modalities are not valid, if training diverges, or if there
            are weights that the estimator does not take.
        """
        with all_or_nothing(self):
            table, y = check_table(
                self,
                X,
                y,
                ensure_all_finite="allow-nan",
                ensure_min_samples=2,
                **self._target_checks,
            )
            y = self._check_target(y)
            weight, keep = check_weights(sample_weight, table)
            seed = draw_seed(self.random_state)
            judging = self._judging_positions(y, keep, seed)
            # with too few samples to choose on, both count
            self.blend_ = 0.5 if self.blend == "auto" else float(self.blend)
            if not self._can_blend:
                self.blend_ = 0.0
            if len(judging):
                learning = np.zeros(len(table))
                learning[keep] = weight
                judging_weight = learning[judging]
                learning[judging] = 0.0
                self._fit_both(X, y, table, learning, seed)
                self.blend_ = self._choose_blend(table[judging], y[judging], judging_weight, seed)
            if not 0 < len(judging) <= _LITTLE * len(weight):
                self._fit_both(X, y, table, sample_weight, seed)
        return self

    def _judging_positions(self, y: np.ndarray, keep: np.ndarray, seed: int) -> np.ndarray:
        """Return positions of the samples that the blend is chosen on."""
        if self.blend != "auto" or not self._can_blend:
            return np.zeros(0, dtype=np.intp)
        return np.flatnonzero(keep)[judging_samples(self._strata(y[keep]), keep.sum(), seed)]

    def _fit_both(
        self, X: Any, y: np.ndarray, table: np.ndarray, sample_weight: Any, seed: int
    ) -> None:
        """Fit the gate, and the estimator on samples behind it."""
        weight, keep = check_weights(sample_weight, table)
        self.gate_ = self._unfitted_gate(seed).fit(X, y, sample_weight)
        for name in (*_OF_GATE, *self._of_gate):
            setattr(self, name, getattr(self.gate_, name))
        estimator = seeded(self.estimator, seed)
        self.fills_nan_ = self._fills_nan(estimator)
        self._takes_categories = takes_categories(estimator)
        tables = self._training_tables(table[keep], self.n_copies, seed)
        behind = np.random.RandomState(seed)
        samples = np.vstack([self._behind_gate(samples, behind) for samples in tables])
        params = weight_params(estimator, np.tile(weight, len(tables)))
        target = np.concatenate([y[keep]] * len(tables))
        self.estimator_ = estimator.fit(self._as_input(samples), target, **params)

    def _choose_blend(
        self, table: np.ndarray, y: np.ndarray, weight: np.ndarray, seed: int
    ) -> float:
        """Choose the blend on clean and corrupted samples that nothing was trained on."""
        tables = self._training_tables(table, _JUDGING_COPIES, seed)
        samples = np.vstack(tables)
        found = super()._read(samples, ("attention", "output"), None)
        return best_blend(
            self._mean_over_masks(samples, found["attention"]),
            self._of_network(found["output"]),
            self._loss(np.concatenate([y] * len(tables)), np.tile(weight, len(tables))),
        )

    def _unfitted_gate(self, seed: int) -> BaseEMMA:
        """Return the gate, with the modalities of this estimator."""
        if self.gate is None:
            alone = self.blend == 0 or not self._can_blend
            gate = self._gate_type(**(_QUICK_GATE if alone else {}))
        elif isinstance(self.gate, self._gate_type):
            gate = clone(self.gate)
        else:
            kind = self._gate_type.__name__
            raise TypeError(
                f"gate must be an unfitted {kind}, such as {kind}(coldness=0.3), or None, got "
                f"{self.gate!r}."
            )
        if gate.modalities is not None:
            raise ValueError(
                f"gate has modalities of its own, {gate.modalities!r}. Give them to "
                f"{type(self).__name__}, and set those of the gate to None."
            )
        gate.set_params(modalities=self.modalities, remainder=self.remainder)
        return gate if gate.random_state is not None else gate.set_params(random_state=seed)

    def _fills_nan(self, estimator: Any) -> bool:
        if self.shut_value == "auto":
            return not takes_nan(estimator)
        return self.shut_value == "median"

    def _training_tables(self, table: np.ndarray, n_copies: int, seed: int) -> list[np.ndarray]:
        """Return clean samples and corrupted copies of them, a table each."""
        random = np.random.RandomState(seed)
        modalities = dict(zip(self.modality_names_, self.modality_columns_, strict=True))
        corruption = training_corruption(self.gate_.corruption)
        categories = self.categories_
        clean = decode_table(table, categories) if categories else table
        tables = [table]
        for _ in range(n_copies):
            corrupted, indicator = corruption.corrupt(clean, modalities, random, reference=clean)
            if categories:
                corrupted = encode(corrupted, categories).to_numpy(dtype=float)
            # samples that nothing happened to lose random modalities
            shut = random_shut(len(table), len(modalities), random)
            intact = np.logical_and.reduce(indicator > 0, axis=1)
            corrupted = shut_modalities(corrupted, self.modality_columns_, shut & intact[:, None])
            if self.column_weights_ is not None:
                some = SomeColumns(corruption, None, fraction=FAILING_COLUMNS)
                failed, where = some.corrupt(table, modalities, random, reference=table)
                rows = intact & (where < 0).any(axis=1)
                corrupted[rows] = failed[rows]
            tables.append(corrupted)
        return tables

    def _behind_gate(self, table: np.ndarray, random: np.random.RandomState) -> np.ndarray:
        """Shut modalities of training samples; a random threshold stands for the mean over them."""
        found = super()._read(table, ("attention", "column_attention"), None)
        attention = found["attention"]
        table = self._without_columns(table, found)
        if isinstance(self.threshold, str):
            threshold = random.uniform(size=(len(table), 1)) * attention.max(axis=1, keepdims=True)
        else:
            threshold = np.full((len(table), 1), self.threshold)
        return shut_modalities(table, self.modality_columns_, attention <= threshold)

    def _without_columns(self, table: np.ndarray, found: dict[str, np.ndarray]) -> np.ndarray:
        """Leave out the columns that the gate does not read."""
        if self.column_weights_ is None:
            return table
        return leave_out_columns(table, self.modality_columns_, found["column_attention"])

    def _as_input(self, table: np.ndarray) -> Any:
        """Return samples as the estimator takes them: filled if need be, named if X was."""
        if self.fills_nan_:
            median = self.mean_ + self.scale_ * self.median_
            table = np.where(np.isnan(table), median.astype(table.dtype), table)
        used = np.sort(np.concatenate(self.modality_columns_))
        names = getattr(self, "feature_names_in_", None)
        indicators = indicators_of(self)
        if indicators is not None and self._takes_categories:
            return decode_table(table, self.categories_, names).iloc[:, used]
        if indicators is not None:
            table = indicators.expand(table)
            used = np.sort(np.concatenate(feature_columns(self)))
            names = None if names is None else indicators.names(names, self.categories_)
        if len(used) < table.shape[1]:
            table = table[:, used]
        return table if names is None else pd.DataFrame(table, columns=names[used])

    # --- evaluation ---

    def _read(
        self, table: np.ndarray, wanted: Collection[str], evidence: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        blended = "output" in wanted and self.blend_ > 0
        left = {"prediction", *(() if blended else ("output",))}
        of_gate = {"attention", "column_attention", *wanted} - left
        found = super()._read(table, of_gate, evidence)
        table = self._without_columns(table, found)
        if "output" in wanted:
            output = self._mean_over_masks(table, found["attention"])
            if blended:
                network = self._of_network(found["output"])
                output = (1.0 - self.blend_) * output + self.blend_ * network
            found["output"] = output
        if "prediction" in wanted:
            shut = found["attention"] <= self.threshold
            gated = shut_modalities(table, self.modality_columns_, shut)
            found["prediction"] = np.asarray(self.estimator_.predict(self._as_input(gated)))
        return found

    def _network(self, precision: torch.dtype) -> GatedPredictor:
        return predictor_of(self.gate_, precision)

    def _network_prediction(self, output: np.ndarray, method: str) -> np.ndarray:
        """Return what a method of the gate returns for the output of its network."""
        if not np.isfinite(output).all():
            raise ValueError(
                "The network of the gate returned values that are not finite for "
                f"{int((~np.isfinite(output)).any(axis=1).sum())} of {len(output)} samples. Check "
                "the module of the gate, or set blend=0."
            )
        return self.gate_.tensor_predictions(torch.from_numpy(output))[method].numpy()

    def _mean_over_masks(self, table: np.ndarray, attention: np.ndarray) -> np.ndarray:
        """Return the mean of what the estimator predicts behind each mask."""
        total: Any = None
        for weight, shut in masks(attention, self.threshold):
            rows = weight > 0
            if not rows.any():
                continue
            gated = shut_modalities(table[rows], self.modality_columns_, shut[rows])
            output = np.asarray(self._call(self._as_input(gated)))
            if total is None:
                total = np.zeros((len(table), *output.shape[1:]))
            total[rows] += weight[rows].reshape(-1, *[1] * (output.ndim - 1)) * output
        return total


class GatedClassifier(ClassifierMixin, BaseGated):
    r"""Any classifier behind EMMA's gate: what fails is shut before the classifier sees it.

    Energies and gate are those of :class:`EMMAClassifier`, which is trained with a small network of
    its own. Modalities of low attention are shut: their values become missing. The classifier
    learns from the training samples and from copies of them, in which modalities fail as in the
    training of EMMA, or random ones are shut, all of them behind the gate. So it is at home with
    every set of modalities, and with failures that the gate lets pass.

    Parameters
    ----------
    estimator : classifier
        Takes numbers. It gets categorical columns as the type ``category`` of pandas where it says
        that it takes them, as histogram gradient boosting, a ColumnTransformer, or a Pipeline that
        begins with an encoder do, and as indicators of their levels otherwise. Without
        ``predict_proba`` there is no :meth:`predict_proba`, and with ``threshold="mean"`` its
        predictions are votes; it cannot be blended then. Cloned; random states that are None are
        set.

    modalities : dict, list of (name, columns), callable, "prefix" or None, default=None
        The groups of columns, as for :class:`EMMAClassifier`.

    remainder : "error", "drop" or str, default="error"
        What to do with columns that belong to no modality, as for :class:`EMMAClassifier`. Columns
        that are left out are not passed to the classifier either.

    missing_modalities : {"error", "allow"}, default="error"
        What to do when predicting from a DataFrame without any column of a modality: raise, or take
        the modality as missing.

    gate : EMMAClassifier or None, default=None
        What learns energies and gate; unfitted, without modalities of its own. Its `corruption` is
        also that of the copies. None takes an :class:`EMMAClassifier` with its defaults; with
        ``blend=0`` one with one hidden layer of 16 units, trained for 10 epochs, as the gate hardly
        depends on the network.
        With `column_attention` of the gate, columns that it does not read become missing too.

    threshold : float or "mean", default=0.5
        Modalities of at most this attention, from 0 to 1, are shut. "mean" predicts behind the
        masks of all thresholds below the sample's highest attention, at most one per modality, and
        takes the mean of the probabilities: the soft gate.

    blend : float or "auto", default="auto"
        Weight b, from 0 to 1, of the network that the gate is trained with:
        :math:`(1 - b)\, p + b\, p_{EMMA}` is predicted, an average of probabilities. "auto" chooses
        what is best on held-out samples, clean and corrupted as in training: a fifth of the
        samples, at most 1,000. With fewer than 40 samples, or 5 of a class, b is 1/2. If the
        held-out samples are more than a tenth, gate and classifier are then fitted
        again on all samples. 0 leaves the classifier alone, and fits in half of the time or less.

    n_copies : int, default=10
        Corrupted copies of the training samples that the classifier learns from besides.

    shut_value : {"auto", "nan", "median"}, default="auto"
        What takes the place of missing values, among them those that are shut: NaN, or the median
        of the training samples (of categories the most frequent level). "auto" takes NaN where the
        classifier says that it takes it, in a Pipeline where every step does.

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
    >>> clf = GatedClassifier(forest, "prefix", random_state=0).fit(X[:400], y[:400])
    >>> broken = X[400:].copy()
    >>> broken.loc[:, broken.columns.str.startswith("worst__")] = 0.0
    >>> attention = clf.attention(broken).mean(axis=0)
    >>> clf.modality_names_[attention.argmin()], bool(clf.score(broken, y[400:]) > 0.9)
    ('worst', True)
    """

    _gate_type = EMMAClassifier
    _of_gate = ("classes_",)

    def _check_target(self, y: np.ndarray) -> np.ndarray:
        check_labels(y)
        return y

    @property
    def _can_blend(self) -> bool:
        return hasattr(self.estimator, "predict_proba")

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
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


class GatedRegressor(RegressorMixin, BaseGated):
    r"""Any regressor behind EMMA's gate: what fails is shut before the regressor sees it.

    As :class:`GatedClassifier`, with energies and gate of :class:`EMMARegressor`.

    Parameters
    ----------
    estimator : regressor
        Takes numbers, and categories as for :class:`GatedClassifier`. Cloned; random states that
        are None are set.

    modalities : dict, list of (name, columns), callable, "prefix" or None, default=None
        The groups of columns, as for :class:`EMMARegressor`.

    remainder : "error", "drop" or str, default="error"
        What to do with columns that belong to no modality, as for :class:`EMMARegressor`. Columns
        that are left out are not passed to the regressor either.

    missing_modalities : {"error", "allow"}, default="error"
        What to do when predicting from a DataFrame without any column of a modality: raise, or take
        the modality as missing.

    gate : EMMARegressor or None, default=None
        What learns energies and gate; unfitted, without modalities of its own. Its `corruption` is
        also that of the copies. None takes an :class:`EMMARegressor` with its defaults; with
        ``blend=0`` one with one hidden layer of 16 units, trained for 10 epochs, as the gate hardly
        depends on the network.
        With `column_attention` of the gate, columns that it does not read become missing too.

    threshold : float or "mean", default=0.5
        Modalities of at most this attention, from 0 to 1, are shut. "mean" predicts behind the
        masks of all thresholds below the sample's highest attention, at most one per modality, and
        takes the mean: the soft gate.

    blend : float or "auto", default="auto"
        Weight b, from 0 to 1, of the network that the gate is trained with:
        :math:`(1 - b)\, p + b\, p_{EMMA}` is predicted, an average of values. "auto" chooses
        what is best on held-out samples, clean and corrupted as in training: a fifth of the
        samples, at most 1,000. With fewer than 40 samples, or 5 of a class, b is 1/2. If the
        held-out samples are more than a tenth, gate and regressor are then fitted
        again on all samples. 0 leaves the regressor alone, and fits in half of the time or less.

    n_copies : int, default=10
        Corrupted copies of the training samples that the regressor learns from besides.

    shut_value : {"auto", "nan", "median"}, default="auto"
        What takes the place of missing values, among them those that are shut: NaN, or the median
        of the training samples (of categories the most frequent level). "auto" takes NaN where the
        regressor says that it takes it, in a Pipeline where every step does.

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
    >>> from sklearn.ensemble import HistGradientBoostingRegressor
    >>> from sklearn_emma import GatedRegressor
    >>> rng = np.random.default_rng(0)
    >>> y = rng.normal(20.0, 5.0, size=600)
    >>> X = y[:, None] + rng.normal(size=(600, 6))  # two instruments of three thermometers
    >>> instruments = {"roof": [0, 1, 2], "wall": [3, 4, 5]}
    >>> reg = GatedRegressor(HistGradientBoostingRegressor(), instruments, random_state=0)
    >>> reg = reg.fit(X[:400], y[:400])
    >>> broken = X[400:] + 30.0 * rng.normal(size=(200, 6)) * [1, 1, 1, 0, 0, 0]
    >>> reg.attention(broken).mean(axis=0).round(1), bool(reg.score(broken, y[400:]) > 0.8)
    (array([0., 1.]), True)
    """

    _gate_type = EMMARegressor
    _target_checks = {"multi_output": True}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = get_tags(self.estimator).target_tags.multi_output
        return tags

    def _check_target(self, y: np.ndarray) -> np.ndarray:
        y = check_values(y)
        if get_tags(self.estimator).target_tags.multi_output:
            return y
        return column_or_1d(y, warn=True)

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
