"""What counts as an energy: our own scorers, those of scikit-learn, and PyOD's detectors.

An estimator of this package has two methods (:class:`TensorEnergy`): ``begin_fit``, so that the
energies of many modalities train as one stack, and ``tensor_energy``, so that they are evaluated on
tensors. Any other estimator is fitted with ``fit`` and asked for ``score_samples`` or, if it is a
PyOD detector, for ``decision_function``; :class:`ArrayEnergy` evaluates it on tensors.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from sklearn_emma.energy.training import EnergyTask, TrainedEnergy
from sklearn_emma.engine.weights import load_arrays


class Potential(Protocol):
    """An energy of one modality on tensors."""

    def potential(self, x: Tensor) -> Tensor:
        """Return the energies (n_samples,) of complete samples (n_samples, n_features)."""


class PendingFit(Protocol):
    """A fit that waits for its energies to be trained, possibly together with those of others."""

    @property
    def tasks(self) -> Sequence[EnergyTask]:
        """What is to be trained."""

    def finish(self, trained: Sequence[TrainedEnergy]) -> Any:
        """Store what was trained, and return the fitted estimator."""


class Precision(NamedTuple):
    """Where and how precisely energies are evaluated.

    Attributes
    ----------
    device : torch.device or str
        Where the samples are.
    inputs : torch.dtype
        Of the samples: in this precision they are centred and scaled.
    weights : torch.dtype
        Of the weights.
    """

    device: torch.device | str = "cpu"
    inputs: torch.dtype = torch.float64
    weights: torch.dtype = torch.float64


def load_energy(module: Any, weights: Mapping[str, np.ndarray], precision: Precision) -> Any:
    """Get an energy ready to score samples.

    Parameters
    ----------
    module : EnergyEnsemble or SignalEnergy
        As built; changed in place.
    weights : mapping of str to ndarray
        What was fitted.
    precision : Precision
        Where and how precisely it is to be evaluated.

    Returns
    -------
    torch.nn.Module
        The module.
    """
    load_arrays(module, weights)
    module.to(device=precision.device, dtype=precision.inputs).requires_grad_(False)
    module.prepare(precision.weights)
    return module


class TensorEnergy(Protocol):
    """An estimator whose energies train together and are evaluated on tensors."""

    def begin_fit(self, X: Any, sample_weight: Any = None, *, quiet: bool = False) -> PendingFit:
        """Validate the data, and return the fit."""

    def tensor_energy(self, precision: Precision) -> Potential:
        """Return the fitted energy."""


class ArrayEnergy:
    """The energy of any fitted estimator, on tensors.

    Parameters
    ----------
    scorer : estimator
        Fitted; see :func:`potential_of`.
    name : str
        Name of the modality, for messages.
    """

    def __init__(self, scorer: Any, name: str):
        self.scorer = scorer
        self.name = name

    def potential(self, x: Tensor) -> Tensor:
        """Return the energies of samples.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Complete samples.

        Returns
        -------
        Tensor of shape (n_samples,)
            Energies, of the dtype and on the device of `x`.

        Raises
        ------
        ValueError
            If the estimator does not return one number per sample.
        """
        energy = potential_of(self.scorer, x.cpu().double().numpy())
        method = _method_of(self.scorer)
        if energy.shape != (len(x),):
            raise ValueError(
                f"{method} of the energy of modality {self.name!r} must return one number per "
                f"sample, of shape ({len(x)},), but returned shape {energy.shape}."
            )
        n_bad = int(np.isnan(energy).sum())
        if n_bad:
            raise ValueError(
                f"The energy of modality {self.name!r}, {type(self.scorer).__name__}, returned NaN "
                f"for {n_bad} of {len(x)} samples. {method} must return numbers."
            )
        return torch.as_tensor(energy, dtype=x.dtype, device=x.device)


def tensor_energy(scorer: Any, name: str, precision: Precision) -> Potential:
    """Return the energy of any fitted estimator, on tensors.

    Parameters
    ----------
    scorer : estimator
        Fitted on the samples of one modality.
    name : str
        Name of the modality, for messages.
    precision : Precision
        Where and how precisely our own energies are evaluated; those of others take float64.

    Returns
    -------
    Potential
        The energy.
    """
    if speaks_tensors(scorer):
        energy: Potential = scorer.tensor_energy(precision)
        return energy
    return ArrayEnergy(scorer, name)


def speaks_tensors(scorer: Any) -> bool:
    """Tell whether an estimator is a :class:`TensorEnergy`.

    Parameters
    ----------
    scorer : estimator
        Any.

    Returns
    -------
    bool
        False too for a subclass that overrides ``fit`` or ``score_samples`` only: what it overrides
        is asked.
    """
    return _defined_first(scorer, "tensor_energy", "score_samples") and _defined_first(
        scorer, "begin_fit", "fit"
    )


def _defined_first(scorer: Any, method: str, other: str) -> bool:
    """Tell which of two methods the more derived class defines; the first where one has both."""
    for kind in type(scorer).__mro__:
        if method in vars(kind):
            return True
        if other in vars(kind):
            return False
    return False


def potential_of(scorer: Any, x: np.ndarray) -> np.ndarray:
    """Energies by any fitted estimator.

    Parameters
    ----------
    scorer : estimator
        With ``score_samples`` as in scikit-learn, high is normal, and the energy is its negative;
        the ``decision_function`` of a PyOD detector is high for outliers, and is the energy.
    x : ndarray of shape (n_samples, n_features)
        Samples.

    Returns
    -------
    ndarray of shape (n_samples,)
        Energies, as the estimator returns them.
    """
    if _is_pyod(scorer):
        return np.asarray(scorer.decision_function(x), dtype=float)
    return -np.asarray(scorer.score_samples(x), dtype=float)


def check_energy(energy: Any, names: Sequence[str]) -> None:
    """Raise unless energy is a scorer, or a dict of scorers of known modalities.

    Parameters
    ----------
    energy : object
        What the user passed.
    names : list of str
        Names of the modalities.

    Raises
    ------
    ValueError
        If a dict names an unknown modality, or a scorer has modalities of its own.
    TypeError
        If a scorer is a class, or has no ``score_samples``.
    """
    if isinstance(energy, dict):
        unknown = sorted(set(energy) - set(names), key=str)
        if unknown:
            raise ValueError(
                f"energy names unknown modalities {unknown}. The modalities are {list(names)}."
            )
    scorers = energy.values() if isinstance(energy, dict) else [energy]
    for scorer in scorers:
        if isinstance(scorer, type):
            raise TypeError(
                f"energy must be an instance, got the class {scorer.__name__}. Pass "
                f"{scorer.__name__}() instead."
            )
        if not (hasattr(scorer, "score_samples") or _is_pyod(scorer)):
            raise TypeError(
                f"energy must be an estimator with a score_samples method, or a PyOD detector, got "
                f"{scorer!r}. sklearn's GaussianMixture, KernelDensity and IsolationForest have "
                "one; wrap another detector with decision_function in a class whose score_samples "
                "returns minus the outlier score."
            )
        if speaks_tensors(scorer) and getattr(scorer, "modalities", None) is not None:
            raise ValueError(
                f"A {type(scorer).__name__} passed as energy sees the columns of one modality, and "
                "must leave their grouping to the classifier: set its modalities to None, got "
                f"{scorer.modalities!r}."
            )


def _method_of(scorer: Any) -> str:
    return "decision_function" if _is_pyod(scorer) else "score_samples"


def _is_pyod(scorer: Any) -> bool:
    base = sys.modules.get("pyod.models.base")  # there if a detector is
    return base is not None and isinstance(scorer, base.BaseDetector)
