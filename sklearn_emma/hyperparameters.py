"""Conversion of the parameters of an estimator to hyperparameters of the training."""

from typing import Any

from sklearn_emma.engine.batches import auto_batch_size
from sklearn_emma.engine.objective import TrainingConfig
from sklearn_emma.engine.training_memory import open_cache
from sklearn_emma.gate.fit import GateConfig


def training_config(estimator: Any, n_samples: int, weight_decay: float) -> TrainingConfig:
    """Return the hyperparameters of the training of gate and predictor.

    Parameters
    ----------
    estimator : BaseEMMA
        Estimator with valid parameters.
    n_samples : int
        Number of training samples.
    weight_decay : float
        Strength of the L2 penalty in the loss.

    Returns
    -------
    TrainingConfig
        The hyperparameters.
    """
    return TrainingConfig(
        batch_size=auto_batch_size(estimator.batch_size, n_samples),
        learning_rate=estimator.learning_rate,
        max_epochs=estimator.max_epochs,
        weight_decay=weight_decay,
        early_stopping=estimator.early_stopping,
        n_iter_no_change=estimator.n_iter_no_change,
        tol=estimator.tol,
        verbose=estimator.verbose,
        schedule=estimator.learning_rate_schedule,
        solver=estimator.solver,
        memory=None if estimator.memory is None else open_cache(estimator.memory),
    )


def gate_config(estimator: Any, n_samples: int, n_networks: int) -> GateConfig:
    """Return the hyperparameters of gate and predictor.

    Parameters
    ----------
    estimator : BaseEMMA
        Estimator with valid parameters, and with the fitted attributes ``l2_regularization_`` and
        ``modality_costs_``.
    n_samples : int
        Number of training samples.
    n_networks : int
        Number of networks of the predictor.

    Returns
    -------
    GateConfig
        The hyperparameters.
    """
    # the loss is a mean over networks, and so is the penalty
    weight_decay = estimator.l2_regularization_ / (n_samples * n_networks)
    return GateConfig(
        coldness=estimator.coldness,
        lambda_capacity=estimator.lambda_capacity,
        lambda_energy=estimator.lambda_energy,
        subset_weight=estimator.subset_weight,
        cross_modal=estimator.cross_modal,
        column_attention=estimator.column_attention,
        corruption=estimator.corruption,
        pretrain_epochs=estimator.pretrain_epochs,
        training=training_config(estimator, n_samples, weight_decay),
        potential_calibration=estimator.potential_calibration,
        initial_gain=estimator.initial_gain,
        importance_floor=estimator.importance_floor,
        redraw_corruption=estimator.redraw_corruption,
        adversarial=estimator.adversarial,
        coldness_schedule=estimator.coldness_schedule,
        attention_score=estimator.attention_score,
        max_modalities=estimator.max_modalities,
        modality_costs=estimator.modality_costs_,
    )
