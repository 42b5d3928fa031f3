"""BaseEMMA: fit and read-outs, everything that does not depend on what is predicted."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, check_memory

from sklearn_emma.compat import HasMethods, Interval, StrOptions, _check_feature_names_in
from sklearn_emma.corruption import Corruption
from sklearn_emma.energy.fit import fit_energies
from sklearn_emma.energy.protocol import Precision, check_energy, tensor_energy
from sklearn_emma.energy.scorer import DAEEnergyScorer
from sklearn_emma.engine.batches import auto_batch_size, blocks, precision_of
from sklearn_emma.engine.cache import cached
from sklearn_emma.engine.device import resolve_device
from sklearn_emma.engine.objective import TrainingConfig
from sklearn_emma.engine.seeding import draw_seed, make_generator
from sklearn_emma.engine.weights import load_arrays, to_arrays
from sklearn_emma.gate.build_predictor import build_predictor, check_predictor, seeded_layers
from sklearn_emma.gate.fit import (
    GateConfig,
    GateProblem,
    GateStart,
    Generators,
    prepare_gate,
    train_gate,
)
from sklearn_emma.gate.l2_selection import select_l2
from sklearn_emma.gate.objective import GatedObjective, Predictor
from sklearn_emma.gate.prediction_loss import PredictionLoss
from sklearn_emma.gate.readings import (
    GATE,
    Readings,
    build_cross_modal,
    gate_of,
    read_out,
    reader_of,
    share_reader,
)
from sklearn_emma.gate.samples import Energies, Samples, fill
from sklearn_emma.modalities import resolve_modalities, split_columns
from sklearn_emma.validation import (
    check_evidence,
    check_layer_sizes,
    check_table,
    check_weights,
    column_statistics,
    hold_out,
    standardise,
)


class TrainingTable(NamedTuple):
    """Validated training data.

    Attributes
    ----------
    table : ndarray of shape (n_samples, n_columns)
        Samples of positive weight.
    y : ndarray of shape (n_samples, ...)
        What is predicted, as the user gave it.
    weight : ndarray of shape (n_samples,)
        Weights.
    """

    table: np.ndarray
    y: np.ndarray
    weight: np.ndarray


class BaseEMMA(TransformerMixin, BaseEstimator, ABC):
    """Energies, gate and predictor; a subclass says what is predicted, and documents it.

    Samples in float32 are evaluated in single precision, and any others in double.
    """

    _parameter_constraints: dict = {
        "modalities": [dict, list, callable, StrOptions({"prefix"}), None],
        "remainder": [str],
        "energy": "no_validation",  # check_energy says more
        "module": [callable, None],
        "hidden_layer_sizes": ["array-like"],
        "coldness": [Interval(Real, 0, None, closed="left")],
        "lambda_capacity": [Interval(Real, 0, None, closed="left")],
        "lambda_energy": [Interval(Real, 0, None, closed="left")],
        "cross_modal": ["boolean"],
        "corruption": [Corruption, None],
        "subset_weight": [Interval(Real, 0, None, closed="left")],
        "pretrain_epochs": [Interval(Integral, 0, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "l2_regularization": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_jobs": [None, Integral],
        "memory": [str, HasMethods(["cache"]), None],
        "warm_start": ["boolean"],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @abstractmethod
    def __init__(
        self,
        *,
        modalities: Any,
        remainder: str,
        energy: Any,
        module: Any,
        hidden_layer_sizes: Sequence[int],
        coldness: float,
        lambda_capacity: float,
        lambda_energy: float,
        cross_modal: bool,
        corruption: Corruption | None,
        subset_weight: float,
        pretrain_epochs: int,
        learning_rate: float,
        l2_regularization: float | str,
        max_epochs: int,
        batch_size: int | str,
        early_stopping: bool,
        validation_fraction: float,
        n_iter_no_change: int,
        tol: float,
        n_jobs: int | None,
        memory: Any,
        warm_start: bool,
        device: str | torch.device,
        random_state: Any,
        verbose: int | bool,
    ) -> None:
        self.modalities = modalities
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
        self.n_jobs = n_jobs
        self.memory = memory
        self.warm_start = warm_start
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    # --- what a subclass defines ---

    #: Keywords for the validation of X and y.
    _target_checks: dict = {}
    #: Fitted attributes that a fit with warm_start=True must find as they were.
    _output_attributes: tuple = ()

    @abstractmethod
    def _check_target(self, y: np.ndarray) -> np.ndarray:
        """Return y as it is learned from; raise ValueError for what cannot be."""

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

    @abstractmethod
    def _prediction_loss(self) -> PredictionLoss:
        """Return the prediction loss."""

    @property
    @abstractmethod
    def _n_outputs(self) -> int:
        """Numbers that the fitted network returns for a sample."""

    @property
    @abstractmethod
    def _returns(self) -> str:
        """What the network returns and of which shape, for messages."""

    def _strata(self, target: np.ndarray) -> np.ndarray | None:
        """Return the class of each sample, or None when samples are held out at random."""
        return None

    # --- fit ---

    def _fit(self, X: Any, y: Any, sample_weight: Any, previous: dict[str, Any]) -> Self:
        """Fit, anew or from the attributes of the previous fit."""
        data = self._check(X, y, sample_weight)
        start = self._start(previous)
        seed = draw_seed(self.random_state)
        problem = self._learn_inputs(data, seed, start)
        with seeded_layers(self.module, seed, problem.samples.target.device):
            objective = prepare_gate(problem)
            history = train_gate(objective, problem.config)
        return self._store(objective, history)

    def _check(self, X: Any, y: Any, sample_weight: Any) -> TrainingTable:
        """Validate the data; find modalities and outputs."""
        check_layer_sizes(self.hidden_layer_sizes)
        resolve_device(self.device)
        table, y = check_table(
            self, X, y, ensure_all_finite="allow-nan", ensure_min_samples=2, **self._target_checks
        )
        y = self._check_target(y)
        weight, keep = check_weights(sample_weight, table)
        self._learn_outputs(y[keep])
        self.modality_names_, self.modality_columns_ = resolve_modalities(
            self.modalities, X, remainder=self.remainder
        )
        return TrainingTable(table[keep], y[keep], weight)

    def _start(self, previous: Mapping[str, Any]) -> Mapping[str, np.ndarray] | None:
        """Return the gate to start from, or None; check that it fits."""
        if not self.warm_start or "network_weights_" not in previous:
            return None
        names = "modality_names_", "modality_columns_", "feature_names_in_"
        for attribute in (*self._output_attributes, *names):
            before, now = previous.get(attribute), getattr(self, attribute, None)
            if not _same(before, now):
                raise ValueError(
                    "warm_start=True needs the outputs and modalities of the previous fit: "
                    f"{attribute} was {before} and now is {now}. "
                    "Set warm_start=False to start anew."
                )
        return {name: previous[f"{name}_"] for name in GATE}

    def _learn_inputs(
        self, data: TrainingTable, seed: int, start: Mapping[str, np.ndarray] | None
    ) -> GateProblem:
        """Standardise, fit the energies, and return what gate and predictor learn from."""
        table, y, weight = data
        fresh, device = start is None, resolve_device(self.device)
        if fresh:
            used = np.concatenate(self.modality_columns_)
            self.mean_, self.scale_ = column_statistics(table, weight, self, used)
        standard = split_columns(
            standardise(table, self.mean_, self.scale_), self.modality_columns_
        )
        if fresh:
            self.median_ = np.zeros(self.n_features_in_)
            for columns, x in zip(self.modality_columns_, standard, strict=True):
                self.median_[columns] = np.nanmedian(x, axis=0)
            self.energy_scorers_ = fit_energies(
                self._scorers(device),
                standard,
                weight,
                seed,
                n_jobs=self.n_jobs,
                memory=check_memory(self.memory),
            )
        target, weight = self._encode(y, weight, fresh)

        def tensor(array: np.ndarray) -> torch.Tensor:
            return torch.tensor(array, dtype=torch.float32, device=device)

        samples = Samples(
            [tensor(x) for x in standard],
            torch.tensor(target, device=device),
            tensor(weight / weight.mean()),
        )
        held_out = None
        if self.early_stopping:
            held_out = torch.from_numpy(
                hold_out(len(target), self._strata(target), self.validation_fraction, seed)
            )
        fills = [tensor(self.median_[columns]) for columns in self.modality_columns_]
        network = self._initial_network(samples, fills, seed)
        self._set_l2_regularization(network, (samples, held_out), fills, seed)
        return GateProblem(
            self._warm(network) if start else network,
            self._prediction_loss(),
            samples,
            held_out,
            self._training_energies(fills, device, fresh),
            self._config(len(target)),
            Generators(make_generator(seed, device, stream=1), make_generator(seed, stream=2)),
            GateStart(start, build_cross_modal(self, torch.float32, device)) if start else None,
        )

    def _scorers(self, device: torch.device) -> dict[str, Any]:
        """Return the unfitted energy of each modality."""
        names = self.modality_names_
        default = DAEEnergyScorer(
            calibration_fraction=0.0, device=str(device), verbose=self.verbose
        )
        energy = default if self.energy is None else self.energy
        if isinstance(energy, dict):
            energy = {name: scorer for name, scorer in energy.items() if scorer is not None}
        check_energy(energy, names)
        if isinstance(energy, dict):
            return {name: energy.get(name, default) for name in names}
        return dict.fromkeys(names, energy)

    def _training_energies(
        self, fills: list[torch.Tensor], device: torch.device, fresh: bool
    ) -> Energies:
        """Return the fitted energies on the device of the samples."""
        single = Precision(device, torch.float32, torch.float32)
        scale = np.zeros(len(fills)) if fresh else self.potential_scale_.astype(np.float64)
        return Energies(
            self.modality_names_,
            [tensor_energy(self.energy_scorers_[n], n, single) for n in self.modality_names_],
            fills,
            torch.from_numpy(scale),
        )

    def _initial_network(self, samples: Samples, fills: list[torch.Tensor], seed: int) -> Predictor:
        """Make the predictor, and check that it returns what it has to."""
        device = samples.target.device
        self._architecture = self.module, tuple(self.hidden_layer_sizes)
        network = self._build_network(seed).to(device)
        with seeded_layers(self.module, seed, device):
            few = fill([x[:2] for x in samples.modalities], fills)
            check_predictor(network, few, self._n_outputs, self._returns)
        return network

    def _build_network(self, seed: int = 0) -> Predictor:
        """Make the network as it was fitted, whatever the parameters are by now."""
        widths = [len(columns) for columns in self.modality_columns_]
        return build_predictor(*self._architecture, widths, self._n_outputs, seed)

    def _warm(self, network: Predictor) -> Predictor:
        """Return the network with the weights of the previous fit."""
        try:
            load_arrays(network, self.network_weights_)
        except RuntimeError as error:
            raise ValueError(
                "warm_start=True needs the network of the previous fit, but module or "
                "hidden_layer_sizes changed. Set warm_start=False to start anew."
            ) from error
        return network

    def _set_l2_regularization(
        self,
        network: Predictor,
        data: tuple[Samples, torch.Tensor | None],
        fills: list[torch.Tensor],
        seed: int,
    ) -> None:
        """Set the strength of the L2 regularization, chosen by cross-validation if "auto"."""
        if self.l2_regularization != "auto":
            self.l2_regularization_ = float(self.l2_regularization)
        elif self.module is not None:
            self.l2_regularization_ = 0.0
        else:
            generator = make_generator(seed, data[0].target.device, stream=3)
            training = self._training_config(len(data[0].target), 0.0)
            self.l2_regularization_ = select_l2(
                network, self._prediction_loss(), data, fills, self.batch_size, training, generator
            )

    def _training_config(self, n_samples: int, weight_decay: float) -> TrainingConfig:
        return TrainingConfig(
            batch_size=auto_batch_size(self.batch_size, n_samples),
            learning_rate=self.learning_rate,
            max_epochs=self.max_epochs,
            weight_decay=weight_decay,
            early_stopping=self.early_stopping,
            n_iter_no_change=self.n_iter_no_change,
            tol=self.tol,
            verbose=self.verbose,
        )

    def _config(self, n_samples: int) -> GateConfig:
        """Return the hyperparameters of gate and predictor."""
        return GateConfig(
            coldness=self.coldness,
            lambda_capacity=self.lambda_capacity,
            lambda_energy=self.lambda_energy,
            subset_weight=self.subset_weight,
            cross_modal=self.cross_modal,
            corruption=self.corruption,
            pretrain_epochs=self.pretrain_epochs,
            training=self._training_config(n_samples, self.l2_regularization_ / n_samples),
        )

    def _store(self, objective: GatedObjective, history: dict[str, np.ndarray]) -> Self:
        """Keep what was trained."""
        gate, cross_modal = objective.gate, objective.cross_modal
        for name, value in to_arrays(gate).items():
            setattr(self, f"{name}_", value if value.ndim else float(value))
        self.capacity_ = float(gate.capacity().detach())
        self.coldness_ = float(self.coldness)
        self.network_weights_ = to_arrays(objective.network)
        self.cross_modal_weights_ = None if cross_modal is None else to_arrays(cross_modal)
        self.history_ = history
        self.n_iter_ = len(history["train_loss"])
        return self

    # --- evaluation ---

    def _run(self, X: Any, *wanted: str, evidence: Any = None) -> dict[str, np.ndarray]:
        """Read samples, block by block, and return fields of :class:`Readings`."""
        check_is_fitted(self)
        floats = [np.float64, np.float32]
        table = check_table(self, X, ensure_all_finite="allow-nan", reset=False, dtype=floats)
        if evidence is not None:
            evidence = check_evidence(evidence, len(table), len(self.modality_names_))
        precision = precision_of(table)
        reader, gate = reader_of(self, precision), gate_of(self)
        predictor = self._network(precision) if "output" in wanted else None
        found: dict[str, list[torch.Tensor]] = {name: [] for name in wanted}
        with torch.inference_mode():
            for where, block in blocks(table, reader.block_size):
                inputs = reader.read(block)
                more = None if evidence is None else torch.from_numpy(evidence[where])
                readings = read_out(inputs, gate, predictor, wanted, more)
                for name in wanted:
                    found[name].append(readings[name])
        return {name: _joined(parts) for name, parts in found.items()}

    def _finite(self, output: np.ndarray) -> np.ndarray:
        """Return what the network returned; raise ValueError unless it is finite."""
        if not np.isfinite(output).all():
            raise ValueError(
                "The network returned values that are not finite for "
                f"{int((~np.isfinite(output)).any(axis=1).sum())} of {len(output)} samples. Check "
                f"module, which must return {self._returns}."
            )
        return output

    def _network(self, precision: torch.dtype) -> Predictor:
        """Return the predictor, built once."""

        def build() -> Predictor:
            network = self._build_network()
            load_arrays(network, self.network_weights_)
            return network.to(precision).requires_grad_(False).eval()

        attributes = self._architecture, self.network_weights_
        return cached(self, ("network", precision), attributes, build)

    # --- read-outs ---

    def readings(self, X: Any, evidence: Any = None) -> Readings:
        """Everything that is computed for samples: energies, attention, output.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.
        evidence : array-like of shape (n_samples, n_modalities), default=None
            Further evidence against each modality, in nats, such as that of earlier samples
            (:class:`~sklearn_emma.monitoring.ModalityMonitor`). It enters the gate at the price of
            missing values: :math:`3 s_i` of potential energy per nat.

        Returns
        -------
        Readings
            A named tuple of arrays with one row per sample.
        """
        return Readings(**self._run(X, *Readings._fields, evidence=evidence))

    def energies(self, X: Any) -> np.ndarray:
        r"""Potential energies :math:`\Psi_i`: how unlike the training samples each modality is.

        By itself, and, with three or more modalities, beside the others; see
        :class:`~sklearn_emma.nn.CrossModalEnergy`.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Energies, always float64; infinite where a modality is missing altogether. Of samples in
            float32 they are evaluated in single precision, which is twice as fast.
        """
        return self._run(X, "energies")["energies"]

    def importance(self, X: Any) -> np.ndarray:
        r"""Importance :math:`\alpha_i` of each modality.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Sums to one over the modalities that are there, zero for the others.
        """
        return self._run(X, "importance")["importance"]

    def attention(self, X: Any) -> np.ndarray:
        r"""Attention :math:`\beta_i` to each modality: the gate.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            From 0 to 1; zero where a modality is missing altogether.
        """
        return self._run(X, "attention")["attention"]

    def total_energy(self, X: Any) -> np.ndarray:
        r"""Total energy :math:`\sum_i E_i`: how uncertain the prediction is.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples,)
            Total energies. A missing modality counts like a typical failing one of the training.
        """
        return self._run(X, "total_energy")["total_energy"]

    def energy_threshold(self, X: Any) -> np.ndarray:
        """Modal energy below which a modality of a sample passes the gate.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples,)
            Thresholds; infinite when everything passes.
        """
        return self._run(X, "energy_threshold")["energy_threshold"]

    def modal_energy(self, X: Any) -> np.ndarray:
        """Modal energies :math:`E_i`, which the gate compares.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Modal energies; infinite where a modality is missing altogether.
        """
        return self._run(X, "modal_energy")["modal_energy"]

    def transform(self, X: Any) -> np.ndarray:
        r"""Gated columns :math:`\beta_i x_i`, for another estimator to follow in a Pipeline.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_used_features)
            Standardised columns, gaps filled, times the attention to their modality, in the order
            and, if that is float32, in the dtype of X; columns of no modality are left out.
        """
        gated = self._run(X, "gated")["gated"]
        return gated[:, np.concatenate(self.modality_columns_).argsort()]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of :meth:`transform`.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns seen at fit; by default those known from fit.

        Returns
        -------
        ndarray of str of shape (n_used_features,)
            The names of the columns that belong to a modality.
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        return names[np.sort(np.concatenate(self.modality_columns_))]


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
        For the other parameters; left as it is.
    X, y : array-like of shape (n_samples, ...)
        The samples.
    settings : sequence of mapping of str to float
        Values of :data:`~sklearn_emma.gate.grid.STACKABLE`.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples.

    Returns
    -------
    list of BaseEMMA or ValueError
        In the order of the settings; the error where training diverged. The estimators share what
        does not depend on the settings, and remember the samples that one of them has read.

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
    with seeded_layers(shared.module, seed, problem.samples.target.device):
        objective = prepare_gate(problem)
        outcomes = train_settings(objective, problem.config, settings)
    attributes = {name: value for name, value in vars(shared).items() if name not in params}
    fits: list[BaseEMMA | ValueError] = []
    for setting, outcome in zip(settings, outcomes, strict=True):
        if isinstance(outcome, ValueError):
            fits.append(outcome)
            continue
        state, history = outcome
        load_state(objective, state)
        fitted = type(estimator)(**params | dict(setting))
        fitted.__dict__.update(attributes)
        fits.append(fitted._store(objective, history))
    share_reader([fit for fit in fits if isinstance(fit, BaseEMMA)])
    return fits


def _joined(parts: list[torch.Tensor]) -> np.ndarray:
    """Return the blocks of a result as one array, row by row in memory."""
    joined = parts[0] if len(parts) == 1 else torch.cat(parts)
    return np.ascontiguousarray(joined.numpy())


def _same(a: Any, b: Any) -> bool:
    """Tell whether two fitted attributes are equal."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(np.array_equal, a, b))
    return np.array_equal(a, b)
