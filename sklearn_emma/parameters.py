"""Parameters that classifier and regressor have in common, and their constraints."""

from abc import abstractmethod
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import torch
from sklearn.base import BaseEstimator

from sklearn_emma.compat import HasMethods, Interval, StrOptions
from sklearn_emma.corruption import Adversarial, Corruption, VirtualAdversarial
from sklearn_emma.engine.one_cycle import SCHEDULES
from sklearn_emma.engine.optimizer import SOLVERS
from sklearn_emma.gate.annealing import COLDNESS_SCHEDULES
from sklearn_emma.gate.build_gate import ATTENTION_SCORES
from sklearn_emma.gate.build_predictor import TRANSFORMER
from sklearn_emma.gate.calibration import CALIBRATIONS


class Parameters(BaseEstimator):
    """Stores the parameters. Subclasses define and document their default values."""

    _parameter_constraints: dict = {
        "modalities": [dict, list, tuple, callable, StrOptions({"prefix"}), None],
        "remainder": [str],
        "missing_modalities": [StrOptions({"error", "allow"})],
        "energy": "no_validation",  # check_energy validates it
        "module": [callable, StrOptions({TRANSFORMER}), None],
        "hidden_layer_sizes": ["array-like"],
        "n_networks": [Interval(Integral, 1, None, closed="left")],
        "periodic_features": [StrOptions({"auto"}), "boolean"],
        "coldness": [Interval(Real, 0, None, closed="left")],
        "potential_calibration": [StrOptions(set(CALIBRATIONS))],
        "initial_gain": [Interval(Real, 0, None, closed="neither"), None],
        "coldness_schedule": [StrOptions(set(COLDNESS_SCHEDULES))],
        "attention_score": [StrOptions(set(ATTENTION_SCORES)), callable],
        "max_modalities": [Interval(Integral, 1, None, closed="left"), None],
        "modality_costs": [dict, None],
        "lambda_capacity": [Interval(Real, 0, None, closed="left")],
        "lambda_energy": [Interval(Real, 0, None, closed="left")],
        "importance_floor": [Interval(Real, 0, 1, closed="left")],
        "cross_modal": ["boolean"],
        "column_attention": ["boolean"],
        "corruption": [Corruption, None],
        "redraw_corruption": ["boolean"],
        "adversarial": [Adversarial, VirtualAdversarial, None],
        "subset_weight": [Interval(Real, 0, None, closed="left")],
        "pretrain_epochs": [Interval(Integral, 0, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "learning_rate_schedule": [StrOptions(set(SCHEDULES))],
        "solver": [StrOptions(set(SOLVERS))],
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
        missing_modalities: str,
        energy: Any,
        module: Any,
        hidden_layer_sizes: Sequence[int],
        n_networks: int,
        periodic_features: bool | str,
        coldness: float,
        coldness_schedule: str,
        attention_score: Any,
        max_modalities: int | None,
        modality_costs: dict[str, float] | None,
        potential_calibration: str,
        initial_gain: float | None,
        lambda_capacity: float,
        lambda_energy: float,
        importance_floor: float,
        cross_modal: bool,
        column_attention: bool,
        corruption: Corruption | None,
        redraw_corruption: bool,
        adversarial: Adversarial | VirtualAdversarial | None,
        subset_weight: float,
        pretrain_epochs: int,
        learning_rate: float,
        learning_rate_schedule: str,
        solver: str,
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
        self.missing_modalities = missing_modalities
        self.energy = energy
        self.module = module
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_networks = n_networks
        self.periodic_features = periodic_features
        self.coldness = coldness
        self.coldness_schedule = coldness_schedule
        self.attention_score = attention_score
        self.max_modalities = max_modalities
        self.modality_costs = modality_costs
        self.potential_calibration = potential_calibration
        self.initial_gain = initial_gain
        self.lambda_capacity = lambda_capacity
        self.lambda_energy = lambda_energy
        self.importance_floor = importance_floor
        self.cross_modal = cross_modal
        self.column_attention = column_attention
        self.corruption = corruption
        self.redraw_corruption = redraw_corruption
        self.adversarial = adversarial
        self.subset_weight = subset_weight
        self.pretrain_epochs = pretrain_epochs
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.solver = solver
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
