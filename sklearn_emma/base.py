"""BaseEMMA: the steps of a fit, except what depends on what is predicted."""

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch

from sklearn_emma.categories import count_levels
from sklearn_emma.column_statistics import learn_medians, learn_scales
from sklearn_emma.energy.fit import fit_energies
from sklearn_emma.energy.samples import energy_samples
from sklearn_emma.engine.device import resolve_device
from sklearn_emma.engine.seeding import draw_seed
from sklearn_emma.engine.training_memory import open_cache
from sklearn_emma.estimator_energies import training_energies, unfitted_energies
from sklearn_emma.gap_fillings import gap_fillings_of, learn_gap_fillings
from sklearn_emma.gate.build_gate import check_gate, modality_costs
from sklearn_emma.gate.build_predictor import (
    PredictorArchitecture,
    check_predictor,
    is_built_in,
    seeded_layers,
    shares_parameters,
)
from sklearn_emma.gate.fit import GateProblem, GateStart, Generators, prepare_gate, train_gate
from sklearn_emma.gate.fitted import fitted_attributes
from sklearn_emma.gate.learn_features import learn_features
from sklearn_emma.gate.objective import GatedObjective
from sklearn_emma.gate.predictor_selection import (
    MAX_PERIODIC_COLUMNS,
    SelectionData,
    select_predictor,
)
from sklearn_emma.gate.readings import build_cross_modal, share_reader
from sklearn_emma.gate.training_failures import check_training_failures
from sklearn_emma.hyperparameters import gate_config, training_config
from sklearn_emma.indicators import least_scales_of
from sklearn_emma.modalities import modality_shapes, resolve_modalities
from sklearn_emma.nn import GatedPredictor
from sklearn_emma.nn.coordinates import standardize
from sklearn_emma.parameters import Parameters
from sklearn_emma.predictor_read_outs import PredictorReadOuts
from sklearn_emma.targets import check_weights
from sklearn_emma.training_data import (
    TrainingTable,
    check_signals,
    hold_out,
    split_features,
    training_samples,
)
from sklearn_emma.user_warnings import (
    warn_of_infrequent_levels,
    warn_of_numbers_as_text,
    warn_of_unused_memory,
)
from sklearn_emma.validation import check_layer_sizes, check_table
from sklearn_emma.warm_start import kept_parameters, load_previous, starting_gate


class BaseEMMA(PredictorReadOuts, Parameters):
    """Energies, gate and predictor. Subclasses define the target and document the parameters."""

    # --- what a subclass defines ---

    #: Fitted attributes that a fit with warm_start=True must find as they were.
    _output_attributes: tuple = ()

    @abstractmethod
    def _learn_outputs(self, y: np.ndarray) -> None:
        """Set the fitted attributes that say what the network returns."""

    @abstractmethod
    def _encode(
        self, y: np.ndarray, weight: np.ndarray, fresh: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what the network learns, and the weights of the samples.

        Unless `fresh`, a network is trained further: what it returns keeps its meaning.
        """

    def _strata(self, target: np.ndarray) -> np.ndarray | None:
        """Return the class of each sample, or None when samples are held out at random."""
        return None

    # --- fit ---

    def _fit(self, X: Any, y: Any, sample_weight: Any, previous: dict[str, Any]) -> Self:
        """Fit, anew or from the attributes of the previous fit."""
        data = self._check(X, y, sample_weight)
        start = starting_gate(self, previous, self._output_attributes)
        seed = draw_seed(self.random_state)
        return self._train(self._learn_inputs(data, seed, start), seed)

    def _train(self, problem: GateProblem, seed: int) -> Self:
        """Train gate and predictor, and store them."""
        with seeded_layers(self._own_layers, seed, problem.samples.target.device):
            objective = prepare_gate(problem)
            history = train_gate(objective, problem.config)
        return self._store(objective, history)

    @property
    def _own_layers(self) -> Any:
        """Return the custom module, or else the custom attention score, or None."""
        own_score = None if isinstance(self.attention_score, str) else self.attention_score
        return own_score if is_built_in(self.module) else self.module

    def _check(self, X: Any, y: Any, sample_weight: Any) -> TrainingTable:
        """Validate the data; find modalities and outputs."""
        check_layer_sizes(self.hidden_layer_sizes)
        warn_of_unused_memory(self)
        check_gate(self.attention_score, self.module, self.coldness_schedule, self.max_modalities)
        resolve_device(self.device)
        table, y = check_table(
            self,
            X,
            y,
            dtype=[np.float64, np.float32],  # a large table is not copied
            ensure_all_finite="allow-nan",
            ensure_min_samples=2,
            **self._target_checks,
        )
        warn_of_numbers_as_text(self, X)
        y = self._check_target(y)
        weight, keep = check_weights(sample_weight, table)
        self._learn_outputs(y[keep])
        self.modality_names_, self.modality_columns_ = resolve_modalities(
            self.modalities, X, remainder=self.remainder
        )
        self.modality_shapes_ = modality_shapes(
            self.modalities, self.modality_names_, self.modality_columns_
        )
        check_signals(self)
        check_training_failures(self.corruption, self.adversarial, self.modality_names_)
        self.modality_costs_ = modality_costs(
            self.modality_costs, self.modality_names_, self.max_modalities
        )
        for parameter in ("column_attention", "adversarial"):
            if getattr(self, parameter):
                self._refuse_categories(f"{parameter}={getattr(self, parameter)!r}")
        return TrainingTable(table[keep], y[keep], weight)

    def _learn_inputs(
        self, data: TrainingTable, seed: int, start: Mapping[str, np.ndarray] | None
    ) -> GateProblem:
        """Standardize, fit the energies, and return what gate and predictor learn from.

        The fit is *fresh* if there is no `start`: everything is learned from scratch.
        """
        table, y, weight = data.drawn(seed, self._strata(data.y))
        fresh, device = start is None, resolve_device(self.device)
        modalities = self._standardized_features(table, weight, fresh)
        if fresh:
            fillings = gap_fillings_of(self, torch.float64)
            self.energy_scorers_ = fit_energies(
                unfitted_energies(self, device),
                [
                    energy_samples(name, x, weight, fill)
                    for name, x, fill in zip(
                        self.modality_names_, modalities, fillings, strict=True
                    )
                ],
                seed,
                least_scales=least_scales_of(self),
                n_jobs=self.n_jobs,
                memory=open_cache(self.memory),
            )
        target, in_loss = self._encode(y, weight, fresh)
        samples = training_samples(self, modalities, target, (in_loss, weight), device)
        held_out = self._hold_out(target, in_loss, seed)
        energies = training_energies(self, samples, fresh)
        network = self._choose_network(
            SelectionData(samples, held_out, energies.fillings), seed, fresh
        )
        return GateProblem(
            network,
            self._prediction_loss(),
            samples,
            held_out,
            energies,
            gate_config(self, len(target), network.n_networks),
            Generators.of_seed(seed, device),
            self._load_previous(network, start, device),
        )

    def _standardized_features(
        self, table: np.ndarray, weight: np.ndarray, fresh: bool
    ) -> list[np.ndarray]:
        """Return the standardized features of each modality.

        If fresh, learn to standardize columns and to fill missing values.
        """
        if fresh:
            self.mean_, self.scale_ = learn_scales(self, table, weight)
            self.category_counts_ = count_levels(table, self.categories_)
            warn_of_infrequent_levels(self)
        standardized = standardize(table, self.mean_, self.scale_)
        if not fresh:
            return split_features(self, standardized)
        self.median_ = learn_medians(self, standardized, weight)
        modalities = split_features(self, standardized)
        self.gap_weights_ = learn_gap_fillings(self, modalities, weight)
        return modalities

    def _hold_out(self, target: np.ndarray, in_loss: np.ndarray, seed: int) -> torch.Tensor | None:
        """Return the positions of held-out samples, or None without early stopping."""
        if not self.early_stopping:
            return None
        # samples without weight have no loss, for instance unlabeled ones
        usable = np.flatnonzero(in_loss)
        strata = self._strata(target[usable])
        chosen = hold_out(len(usable), strata, self.validation_fraction, seed)
        return torch.from_numpy(usable[chosen])

    def _load_previous(
        self,
        network: GatedPredictor,
        start: Mapping[str, np.ndarray] | None,
        device: torch.device,
    ) -> GateStart | None:
        """Load the network of the previous fit, and return its gate; None if there is no start."""
        if start is None:
            return None
        load_previous(network, self.network_weights_)
        return GateStart(start, build_cross_modal(self, torch.float32, device))

    def _choose_network(self, data: SelectionData, seed: int, fresh: bool) -> GatedPredictor:
        """Make the predictor; its features and its penalty are chosen if they are "auto"."""
        choices = self._feature_choices(sum(x.shape[1] for x in data.samples.modalities), fresh)
        strength = None if self.l2_regularization == "auto" else float(self.l2_regularization)
        if not is_built_in(self.module):
            strength = strength or 0.0
        networks = {periodic: self._initial_network(data, seed, periodic) for periodic in choices}
        learn_features(list(networks.values()), data.samples, seed)
        training = training_config(self, len(data.samples.target), 0.0)
        loss = self._prediction_loss()
        self.periodic_features_, self.l2_regularization_ = select_predictor(
            networks, strength, loss, data, self.batch_size, training, seed
        )
        self._set_architecture(self.periodic_features_)
        return networks[self.periodic_features_]

    def _feature_choices(self, n_columns: int, fresh: bool) -> list[bool]:
        """Return the values of `periodic_features` that are compared."""
        if not is_built_in(self.module):
            return [False]
        if self.periodic_features != "auto":
            return [bool(self.periodic_features)]
        if not fresh:
            return [self.periodic_features_]
        return [False, True] if n_columns <= MAX_PERIODIC_COLUMNS else [False]

    def _initial_network(self, data: SelectionData, seed: int, periodic: bool) -> GatedPredictor:
        """Make a predictor, and check that it returns what it has to."""
        device = data.samples.target.device
        self._set_architecture(periodic)
        network = self._build_network(seed).to(device)
        with seeded_layers(self.module, seed, device):
            few = data.filled(slice(3))
            check_predictor(network, few, self._n_outputs, self._returns)
        return network

    def _set_architecture(self, periodic: bool) -> None:
        """Store the architecture as a plain tuple, a type that skops loads as trusted."""
        sizes = tuple(self.hidden_layer_sizes)
        self._architecture = tuple(
            PredictorArchitecture(self.module, sizes, self.n_networks, periodic)
        )

    def _store(self, objective: GatedObjective, history: dict[str, np.ndarray]) -> Self:
        """Keep what was trained."""
        for name, value in fitted_attributes(objective, self.coldness).items():
            setattr(self, name, value)
        self.attention_score_ = self.attention_score
        self._kept = kept_parameters(self)
        self.max_modalities_ = self.max_modalities
        self.history_ = history
        self.n_iter_ = len(history["train_loss"])
        return self


def fit_settings(
    estimator: BaseEMMA,
    X: Any,
    y: Any,
    settings: Sequence[Mapping[str, float]],
    sample_weight: Any = None,
) -> list[BaseEMMA | ValueError]:
    """Fit an estimator with many settings of gate and loss, trained together as one stack.

    Parameters
    ----------
    estimator : BaseEMMA
        Estimator with the other parameters. It is not modified.
    X, y : array-like of shape (n_samples, ...)
        The samples.
    settings : sequence of mapping of str to float
        Values of :data:`~sklearn_emma.gate.grid.STACKABLE`.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples.

    Returns
    -------
    list of BaseEMMA or ValueError
        Fitted estimators in the order of the settings, or the error if training diverged. They
        share everything that does not depend on the settings, and a cache of evaluated samples.

    Raises
    ------
    ValueError
        If the samples or a parameter are not valid.
    """
    # needs skorch, which takes longer to import than this package
    from sklearn_emma.gate.grid_trainer import load_state, train_settings

    params = estimator.get_params(deep=False)
    shared = type(estimator)(**params)
    data = shared._check(X, y, sample_weight)
    seed = draw_seed(shared.random_state)
    problem = shared._learn_inputs(data, seed, None)
    attributes = {name: value for name, value in vars(shared).items() if name not in params}

    def with_setting(setting: Mapping[str, float]) -> BaseEMMA:
        """Return an estimator with a setting, and with what does not depend on it."""
        fitted = type(estimator)(**params | dict(setting))
        fitted.__dict__.update(attributes)
        return fitted

    if shares_parameters(problem.network):  # a parameter has one place in a stack
        return [_train_alone(with_setting(setting), problem, seed) for setting in settings]
    with seeded_layers(shared._own_layers, seed, problem.samples.target.device):
        objective = prepare_gate(problem)
        outcomes = train_settings(objective, problem.config, settings)
    fits: list[BaseEMMA | ValueError] = []
    for setting, outcome in zip(settings, outcomes, strict=True):
        if isinstance(outcome, ValueError):
            fits.append(outcome)
            continue
        state, history = outcome
        load_state(objective, state)
        fits.append(with_setting(setting)._store(objective, history))
    share_reader([fit for fit in fits if isinstance(fit, BaseEMMA)])
    return fits


def _train_alone(estimator: BaseEMMA, problem: GateProblem, seed: int) -> BaseEMMA | ValueError:
    """Train gate and predictor of one setting; return the estimator, or the error of training."""
    samples, network = problem.samples, copy.deepcopy(problem.network)
    config = gate_config(estimator, len(samples.target), network.n_networks)
    generators = Generators.of_seed(seed, samples.target.device)
    own = replace(problem, network=network, config=config, generators=generators)
    try:
        return estimator._train(own, seed)
    except ValueError as error:
        return error
