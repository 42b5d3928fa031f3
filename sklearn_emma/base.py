"""What the estimators with a gate share: everything that does not depend on what is predicted."""

from abc import ABC, abstractmethod
from dataclasses import fields
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_memory

from sklearn_emma.compat import HasMethods, Interval, StrOptions
from sklearn_emma.corruption import Corruption
from sklearn_emma.energy.fit import check_energy, fit_scorers
from sklearn_emma.energy.scorer import DAEEnergyScorer
from sklearn_emma.engine.batches import auto_batch_size
from sklearn_emma.engine.device import resolve_device
from sklearn_emma.engine.seeding import draw_seed, make_generator
from sklearn_emma.engine.weights import load_arrays, to_arrays
from sklearn_emma.gate.failures import Rows, fill
from sklearn_emma.gate.fit import Settings, train_stage2, train_task, training_corruption
from sklearn_emma.gate.l2_selection import choose_penalty
from sklearn_emma.gate.predictor import build_predictor, check_predictor, seeded_layers
from sklearn_emma.modalities import resolve_modalities
from sklearn_emma.nn.cross_modal import NAT
from sklearn_emma.readouts import GATE, GatedEstimator
from sklearn_emma.validation import (
    check_layer_sizes,
    check_table,
    check_weights,
    column_statistics,
)


class BaseEMMA(GatedEstimator, ABC):
    """Energies, gate and predictor; a subclass says what is predicted, and documents it."""

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
        modalities,
        remainder,
        energy,
        module,
        hidden_layer_sizes,
        coldness,
        lambda_capacity,
        lambda_energy,
        cross_modal,
        corruption,
        subset_weight,
        pretrain_epochs,
        learning_rate,
        l2_regularization,
        max_epochs,
        batch_size,
        early_stopping,
        validation_fraction,
        n_iter_no_change,
        tol,
        n_jobs,
        memory,
        warm_start,
        device,
        random_state,
        verbose,
    ):
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

    # --- what a subclass says ---

    #: Keywords for the validation of X and y.
    _target_checks: dict = {}
    #: Fitted attributes that a fit with warm_start=True must find as they were.
    _output_attributes: tuple = ()

    @abstractmethod
    def _check_target(self, y):
        """Return y as it is learned from; raise ValueError for what cannot be."""

    @abstractmethod
    def _learn_outputs(self, y):
        """Set the fitted attributes that say what the network returns."""

    @abstractmethod
    def _encode(self, y, weight, fresh):
        """Return what the network learns, and the weights of the rows.

        Unless `fresh`, a network is trained on: what it returns keeps its meaning.
        """

    @abstractmethod
    def _criterion(self):
        """Return the prediction loss."""

    @property
    @abstractmethod
    def _n_outputs(self):
        """Numbers that the fitted network returns for a row."""

    @property
    @abstractmethod
    def _returns(self):
        """What the network returns and of which shape, for messages."""

    def _strata(self, target):
        """Return the class of each row, or None when rows are held out at random."""
        return

    # --- what they share ---

    def _fit(self, X, y, sample_weight, previous):
        """Fit, anew or from the attributes of the previous fit."""
        check_layer_sizes(self.hidden_layer_sizes)
        device = resolve_device(self.device)
        table, y = check_table(
            self, X, y, ensure_all_finite="allow-nan", ensure_min_samples=2, **self._target_checks
        )
        y = self._check_target(y)
        weight, keep = check_weights(sample_weight, table)
        table, y = table[keep], y[keep]
        self._learn_outputs(y)
        self.modality_names_, self.modality_columns_ = resolve_modalities(
            self.modalities, X, remainder=self.remainder
        )
        start = self._start(previous)
        # One seed, and streams of it for weights and training: the energies are the same whatever
        # the other parameters, so that they can be cached.
        seed = draw_seed(self.random_state)
        if start is None:
            used = np.concatenate(self.modality_columns_)
            self.mean_, self.scale_ = column_statistics(table, weight, self, used)
        modalities = self._standardise(table)
        if start is None:
            self.median_ = np.zeros(self.n_features_in_)
            for columns, x in zip(self.modality_columns_, modalities, strict=True):
                self.median_[columns] = np.nanmedian(x, axis=0)
            self.energy_scorers_ = fit_scorers(
                self._scorers(device),
                modalities,
                weight,
                seed,
                n_jobs=self.n_jobs,
                memory=check_memory(self.memory),
            )
        target, weight = self._encode(y, weight, start is None)
        self._train(modalities, target, weight / weight.mean(), seed, device, start)
        return self

    def _start(self, previous):
        """Return the weights of the gate to start from, or None; check that they fit."""
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

    def _scorers(self, device):
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

    def _predictor(self, seed=0):
        """Make the network as it was fitted, whatever the parameters are by now."""
        return build_predictor(
            *self._architecture,
            [len(columns) for columns in self.modality_columns_],
            self._n_outputs,
            seed,
        )

    def _train(self, modalities, target, weight, seed, device, start):
        """Train gate and predictor, and keep their weights."""

        def tensor(array):
            return torch.tensor(array, dtype=torch.float32, device=device)

        fills = [tensor(self.median_[columns]) for columns in self.modality_columns_]
        rows = Rows(
            [tensor(x) for x in modalities],
            None,
            torch.tensor(target, device=device),
            tensor(weight),
        )
        self._architecture = self.module, tuple(self.hidden_layer_sizes)
        network = self._predictor(seed).to(device)
        held_out = None
        if self.early_stopping:
            strata = self._strata(target)
            held_out = _hold_out(len(target), strata, self.validation_fraction, seed)
        self.l2_regularization_ = self._penalty(network, rows, held_out, fills, seed)
        if start is not None:
            try:
                load_arrays(network, self.network_weights_)
            except RuntimeError as error:
                raise ValueError(
                    "warm_start=True needs the network of the previous fit, but module or "
                    "hidden_layer_sizes changed. Set warm_start=False to start anew."
                ) from error
        with seeded_layers(self.module, seed, device):
            few = fill([x[:2] for x in rows.modalities], fills)
            check_predictor(network, few, self._n_outputs, self._returns)
        if start is None:
            gap_costs, cross_modal = np.zeros(len(fills)), None
        else:
            gap_costs, cross_modal = NAT * self.potential_scale_, self._cross_modal()
            cross_modal = cross_modal and cross_modal.float().to(device)
        params = self.get_params(deep=False)
        params["batch_size"] = auto_batch_size(self.batch_size, len(target))
        params["weight_decay"] = self.l2_regularization_ / len(target)
        with seeded_layers(self.module, seed, device):
            gate, cross_modal, history = train_stage2(
                network,
                self._criterion(),
                rows,
                held_out,
                fills,
                self.modality_names_,
                self._energies(gap_costs),
                training_corruption(self.corruption),
                Settings(**{field.name: params[field.name] for field in fields(Settings)}),
                make_generator(seed, device, stream=1),
                make_generator(seed, stream=2),
                start,
                cross_modal,
                self._train_task,
            )
        self._keep(gate, network, cross_modal, history)

    def _penalty(self, network, rows, held_out, fills, seed):
        """Return the strength of the penalty on weights, chosen if it is for us to choose."""
        if self.l2_regularization != "auto":
            return float(self.l2_regularization)
        if self.module is not None:
            return 0.0
        return choose_penalty(
            network,
            self._criterion(),
            rows,
            held_out,
            fills,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            max_epochs=self.max_epochs,
            verbose=self.verbose,
            generator=make_generator(seed, rows.target.device, stream=3),
        )

    # how gate and predictor are trained, once all is prepared
    _train_task = staticmethod(train_task)

    def _keep(self, gate, network, cross_modal, history):
        """Keep what was trained."""
        for name, value in to_arrays(gate).items():
            setattr(self, f"{name}_", value if value.ndim else float(value))
        self.capacity_ = float(gate.capacity().detach())
        self.coldness_ = float(self.coldness)
        self.network_weights_ = to_arrays(network)
        self.cross_modal_weights_ = None if cross_modal is None else to_arrays(cross_modal)
        self.history_ = history
        self.n_iter_ = len(history["train_loss"])

    def _apply_network(self, X, finish):
        """Return what the network returns for rows, finished by a function of tensors."""
        gate, predictor = self._gate(), self._predictor()
        load_arrays(predictor, self.network_weights_)
        predictor.requires_grad_(False).eval()

        def predict(attention, *modalities):
            """Return the predictions of a block of rows."""
            return finish(predictor.fuse(predictor.encode(modalities), attention))

        def apply(modalities, potential):
            """Return the predictions of a chunk of rows."""
            attention = self._apply(gate, potential).astype(modalities[0].dtype, copy=False)
            predictor.to(torch.from_numpy(attention).dtype)
            return self._apply(predict, attention, *modalities)

        result = self._evaluate(X, apply)
        if not np.isfinite(result).all():
            raise ValueError(
                "The network returned values that are not finite for "
                f"{int((~np.isfinite(result)).any(axis=1).sum())} of {len(result)} rows. Check "
                f"module, which must return {self._returns}."
            )
        return result


def _same(a, b):
    """Tell whether two fitted attributes are equal."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(np.array_equal, a, b))
    return np.array_equal(a, b)


def _hold_out(n_samples, strata, fraction, seed):
    """Return positions of the rows held out, stratified by class where possible."""
    n_classes = 1 if strata is None else len(np.unique(strata))
    n_held_out = max(n_classes, round(fraction * n_samples))
    if n_samples - n_held_out < n_classes:
        what = "" if strata is None else f" {n_classes} classes"
        raise ValueError(
            f"early_stopping=True with validation_fraction={fraction:g} would hold out {n_held_out}"
            f" of {n_samples} rows, and leave too few to learn{what} from. Lower "
            "validation_fraction, or set early_stopping=False."
        )
    if strata is not None and np.bincount(strata).min() < 2:
        strata = None
    _, held_out = train_test_split(
        np.arange(n_samples), test_size=n_held_out, stratify=strata, random_state=seed
    )
    return torch.from_numpy(held_out)
