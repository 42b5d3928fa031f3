"""Base class of GatedClassifier and GatedRegressor: the steps of a fit."""

import warnings
from abc import abstractmethod
from numbers import Integral, Real
from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin

from sklearn_emma.base import BaseEMMA
from sklearn_emma.categories import decode_table
from sklearn_emma.compat import HasMethods, Interval, StrOptions, _fit_context
from sklearn_emma.engine.seeding import draw_seed, seeded
from sklearn_emma.gate.fitted import GATE
from sklearn_emma.gated.blending import Loss, best_blend, held_out_samples
from sklearn_emma.gated.closing import close_modalities
from sklearn_emma.gated.estimator_input import estimator_input
from sklearn_emma.gated.estimator_traits import refuse_positions, refuse_selectors, takes_nan
from sklearn_emma.gated.read_outs import GatedReadOuts
from sklearn_emma.gated.sample_weights import weight_params
from sklearn_emma.gated.training_tables import training_tables
from sklearn_emma.gated.unfitted_gate import unfitted_gate, with_choices_of
from sklearn_emma.modalities import resolve_modalities
from sklearn_emma.targets import check_weights
from sklearn_emma.user_warnings import stacklevel_of_user
from sklearn_emma.validation import all_or_nothing, check_table

# Fitted attributes that are copied from the gate, because the read-outs need them.
_COPIED_FROM_GATE = (
    *(f"{name}_" for name in GATE),
    "attention_score_",
    "capacity_",
    "categories_",
    "category_counts_",
    "coldness_",
    "cross_modal_weights_",
    "column_weights_",
    "energy_scorers_",
    "gap_weights_",
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
# Number of corrupted copies of the held-out samples that the blend is chosen on.
_N_COPIES = 4
# If at most this fraction of the samples is held out, gate and estimator are not fitted on all.
_SMALL_FRACTION = 0.1


class _TrainingData(NamedTuple):
    """Training data of a gated estimator.

    Attributes
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples as passed by the user.
    table : ndarray of shape (n_samples, n_features)
        Validated samples.
    y : ndarray of shape (n_samples, ...)
        Validated target.
    sample_weight : array-like of shape (n_samples,), number or None
        Sample weights.
    """

    X: Any
    table: np.ndarray
    y: np.ndarray
    sample_weight: Any

    def used(self) -> np.ndarray:
        """Return the positions of the samples with positive weight."""
        return np.arange(len(self.table))[check_weights(self.sample_weight, self.table)[1]]

    def weights(self) -> np.ndarray:
        """Return the weights of all samples; their mean is one over those of positive weight."""
        weights = np.zeros(len(self.table))
        positive, keep = check_weights(self.sample_weight, self.table)
        weights[keep] = positive
        return weights

    def without(self, positions: np.ndarray) -> "_TrainingData":
        """Return the same samples, in which those at the given positions have zero weight."""
        weights = self.weights()
        weights[positions] = 0.0
        return self._replace(sample_weight=weights)


class BaseGated(GatedReadOuts, MetaEstimatorMixin, BaseEstimator):
    """Base class of gated estimators; subclasses define the target and document the parameters."""

    _parameter_constraints: dict = {
        # an unfitted StackingClassifier hides predict; _check_estimator tests the rest
        "estimator": [HasMethods(["fit"]), None],
        "modalities": [dict, list, tuple, callable, StrOptions({"prefix"}), None],
        "remainder": [str],
        "missing_modalities": [StrOptions({"error", "allow"})],
        "gate": "no_validation",  # unfitted_gate validates it
        "threshold": [Interval(Real, 0, 1, closed="left"), StrOptions({"mean"})],
        "blend": [Interval(Real, 0, 1, closed="both"), StrOptions({"auto"})],
        "n_copies": [Interval(Integral, 0, None, closed="left")],
        "closed_value": [StrOptions({"auto", "nan", "median"})],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any = None,
        modalities: Any = None,
        *,
        remainder: str = "error",
        missing_modalities: str = "error",
        gate: Any = None,
        threshold: float | str = 0.5,
        blend: float | str = "auto",
        n_copies: int = 10,
        closed_value: str = "auto",
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
        self.closed_value = closed_value
        self.random_state = random_state

    # --- what a subclass defines ---

    #: Class of the gate.
    _gate_type: type[BaseEMMA]
    #: Further fitted attributes that are copied from the gate.
    _also_copied_from_gate: tuple[str, ...] = ()
    _target_checks: dict = {}

    @abstractmethod
    def _default_estimator(self) -> BaseEstimator:
        """Return the estimator that is used for ``estimator=None``."""

    @abstractmethod
    def _check_estimator(self) -> None:
        """Raise TypeError unless the estimator is a classifier or regressor, as required."""

    @abstractmethod
    def _check_target(self, y: np.ndarray) -> np.ndarray:
        """Return y in the form that training needs. Raise ValueError if y is not valid."""

    def _has_target(self, y: np.ndarray) -> np.ndarray:
        """Return which samples the estimator can learn from; the gate may learn from others."""
        return np.ones(len(y), dtype=bool)

    def _target_of_estimator(self, y: np.ndarray) -> np.ndarray:
        """Return y in the form that the estimator needs."""
        return y

    def _with_shared_settings(self, gate: BaseEMMA) -> BaseEMMA:
        """Return the unfitted gate with the settings that it shares with the estimator."""
        return gate

    def _blend_to_use(self) -> float | str:
        """Return the blend to use: a number, or "auto" to choose it on held-out samples.

        It is 0 if the predictions of the estimator cannot be averaged with those of the network.
        """
        return self.blend

    @abstractmethod
    def _strata(self, y: np.ndarray) -> np.ndarray:
        """Return the stratum of each sample: its class, or its range of target values."""

    @abstractmethod
    def _loss(self, y: np.ndarray, weight: np.ndarray) -> Loss:
        """Return the loss that is minimized to choose the blend."""

    def unfitted_estimator(self) -> Any:
        """Return the unfitted estimator, or the default estimator if `estimator` is None.

        Returns
        -------
        estimator
            The estimator that was passed, which is not copied, or a new default estimator.
        """
        return self._default_estimator() if self.estimator is None else self.estimator

    # --- fit ---

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the energies and the gate, then the estimator on samples that passed the gate.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Training samples; NaN marks missing values.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target. Several outputs are only possible for a regressor that supports them.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights. Samples with zero weight are ignored.

        Returns
        -------
        GatedClassifier or GatedRegressor
            The fitted estimator.

        Raises
        ------
        TypeError
            If the estimator or the gate is of the wrong type.
        ValueError
            If X, y, a parameter or the modalities are not valid, if training diverges, or if
            weights are given that the estimator does not support.
        """
        self._check_estimator()
        with all_or_nothing(self):
            data = self._check(X, y, sample_weight)
            seed = draw_seed(self.random_state)
            blend = self._blend_to_use()
            held_out = np.zeros(0, dtype=np.intp)
            if blend == "auto":
                held_out = self._held_out_positions(data)
            # with too few samples for a choice, both models have the same weight
            self.blend_ = 0.5 if blend == "auto" else float(blend)
            self.threshold_ = self.threshold
            gate = unfitted_gate(self, self._gate_type, blend == 0, seed)
            self._fit_and_blend(self._with_shared_settings(gate), data, held_out, seed)
        return self

    def _check(self, X: Any, y: Any, sample_weight: Any) -> _TrainingData:
        """Validate the data. What the estimator does not support is refused before any fit."""
        table, y = check_table(
            self,
            X,
            y,
            ensure_all_finite="allow-nan",
            ensure_min_samples=2,
            **self._target_checks,
        )
        y = self._check_target(y)
        estimator = self.unfitted_estimator()
        weight_params(estimator, check_weights(sample_weight, table)[0])
        _, columns = resolve_modalities(self.modalities, X, remainder=self.remainder)
        used = np.sort(np.concatenate(columns))
        ignored = len(used) < table.shape[1]
        refuse_positions(estimator, ignored=ignored, categorical=bool(self.categories_))
        names = getattr(self, "feature_names_in_", None)
        if names is not None:
            behind_gate = decode_table(table[:1], self.categories_, names).iloc[:, used]
            refuse_selectors(estimator, X, behind_gate)
        return _TrainingData(X, table, y, sample_weight)

    def _held_out_positions(self, data: _TrainingData) -> np.ndarray:
        """Return the positions of the held-out samples that the blend is chosen on."""
        used = data.used()
        usable = used[self._has_target(data.y[used])]
        return usable[held_out_samples(self._strata(data.y[usable]))]

    def _fit_and_blend(
        self, gate: BaseEMMA, data: _TrainingData, held_out: np.ndarray, seed: int
    ) -> None:
        """Fit gate and estimator, and choose the blend if samples are held out for this choice."""
        n_samples = len(data.used())
        if not len(held_out):
            self._fit_both(gate, data, seed)
        elif len(held_out) <= _SMALL_FRACTION * n_samples:
            self._fit_both(gate, data.without(held_out), seed)
            self.blend_ = self._choose_blend(data, held_out, seed)
        else:
            self._fit_both(gate, data, seed)
            fitted_on_all = vars(self).copy()
            gate = with_choices_of(self.gate_, n_samples, n_samples - len(held_out))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the first fit has issued them
                self._fit_both(gate, data.without(held_out), seed)
            blend = self._choose_blend(data, held_out, seed)
            self.__dict__.update(fitted_on_all, blend_=blend)

    def _fit_both(self, gate: BaseEMMA, data: _TrainingData, seed: int) -> None:
        """Fit the gate, then the estimator on samples that passed the gate."""
        weight, keep = check_weights(data.sample_weight, data.table)
        self.gate_ = gate.fit(data.X, data.y, data.sample_weight)
        for name in (*_COPIED_FROM_GATE, *self._also_copied_from_gate):
            setattr(self, name, getattr(self.gate_, name))
        estimator = seeded(self.unfitted_estimator(), seed)
        takes_gaps = (
            takes_nan(estimator) if self.closed_value == "auto" else self.closed_value == "nan"
        )
        self.fills_nan_ = not takes_gaps
        y, learned = data.y[keep], data.table[keep]
        known, random = self._has_target(y), np.random.RandomState(seed)
        tables = training_tables(self.gate_, learned[known], self.n_copies, seed, learned)
        samples = np.vstack([self._behind_gate(samples, random) for samples in tables])
        self._fill_never_open(samples)
        params = weight_params(estimator, np.tile(weight[known], len(tables)))
        target = np.concatenate([y[known]] * len(tables))
        inputs = estimator_input(samples, self, estimator)
        self.estimator_ = estimator.fit(inputs, self._target_of_estimator(target), **params)

    def _fill_never_open(self, samples: np.ndarray) -> None:
        """Warn of modalities without any value, and set them to zero, in place.

        An estimator learns nothing from a constant column, and some estimators fail on a column
        without any value.
        """
        never = np.isnan(samples).all(axis=0)
        samples[:, never] = 0.0
        named = zip(self.modality_names_, self.modality_columns_, strict=True)
        closed = [name for name, columns in named if never[columns].all()]
        if closed:
            warnings.warn(
                f"The gate is closed for the modality or modalities {', '.join(closed)} in all "
                "training samples, so the estimator learns nothing from them. A lower threshold, "
                "or a larger max_modalities of the gate, opens it.",
                UserWarning,
                stacklevel=stacklevel_of_user(),
            )

    def _behind_gate(self, table: np.ndarray, random: np.random.RandomState) -> np.ndarray:
        """Close modalities of training samples.

        With ``threshold="mean"``, the threshold of each sample is drawn at random.
        """
        found = self._read_gate(table, ("attention", "column_attention"))
        attention, threshold = found["attention"], self.threshold_
        if isinstance(threshold, str):
            threshold = random.uniform(size=(len(table), 1)) * attention.max(axis=1, keepdims=True)
        table = self._without_columns(table, found)
        return close_modalities(table, self.modality_columns_, attention <= threshold)

    def _choose_blend(self, data: _TrainingData, held_out: np.ndarray, seed: int) -> float:
        """Choose the blend on clean and corrupted held-out samples."""
        y, weight = data.y[held_out], data.weights()[held_out]
        reference = data.table[data.without(held_out).weights() > 0]
        tables = training_tables(self.gate_, data.table[held_out], _N_COPIES, seed, reference)
        samples = np.vstack(tables)
        found = self._read_gate(samples, ("attention", "column_attention", "output"))
        samples = self._without_columns(samples, found)
        return best_blend(
            self._predict_behind(samples, found["attention"]),
            self._of_network(found["output"]),
            self._loss(np.concatenate([y] * len(tables)), np.tile(weight, len(tables))),
        )
