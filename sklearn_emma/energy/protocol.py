"""Protocol of energies: scorers of this package, of scikit-learn, and detectors of PyOD.

An energy scorer of this package has two methods (:class:`TensorEnergy`): ``begin_fit``, so that the
energies of many modalities can be trained as one stack, and ``tensor_energy``, so that they can be
evaluated on tensors. Any other estimator is fitted with ``fit``. Its energies are computed by
``score_samples`` or, if it is a PyOD detector, by ``decision_function``. :class:`ArrayEnergy`
evaluates it on tensors.
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
    """Energy of one modality that is evaluated on tensors."""

    def potential(self, x: Tensor) -> Tensor:
        """Return the energies of complete samples, of shape (n_samples,)."""


class PendingFit(Protocol):
    """Pending fit, whose energies can be trained together with those of other fits."""

    @property
    def tasks(self) -> Sequence[EnergyTask]:
        """Energies to be trained."""

    def finish(self, trained: Sequence[TrainedEnergy]) -> Any:
        """Store the trained energies, and return the fitted estimator."""


class Precision(NamedTuple):
    """Device and dtypes in which energies are evaluated.

    Attributes
    ----------
    device : torch.device or str
        Device of the samples.
    inputs : torch.dtype
        Dtype of the samples, in which they are centered and scaled.
    weights : torch.dtype
        Dtype of the weights.
    """

    device: torch.device | str = "cpu"
    inputs: torch.dtype = torch.float64
    weights: torch.dtype = torch.float64


def load_energy(module: Any, weights: Mapping[str, np.ndarray], precision: Precision) -> Any:
    """Load fitted weights into an energy, and prepare it for scoring samples.

    Parameters
    ----------
    module : EnergyEnsemble or SignalEnergy
        Newly built energy, which is changed in place.
    weights : mapping of str to ndarray
        Fitted weights.
    precision : Precision
        Device and dtypes of the evaluation.

    Returns
    -------
    torch.nn.Module
        The same module.
    """
    load_arrays(module, weights)
    module.to(device=precision.device, dtype=precision.inputs).requires_grad_(False)
    module.prepare(precision.weights)
    return module


class TensorEnergy(Protocol):
    """Estimator whose energies can be trained together, and are evaluated on tensors."""

    def begin_fit(self, X: Any, sample_weight: Any = None, *, is_part: bool = False) -> PendingFit:
        """Validate the data, and return the pending fit."""

    def tensor_energy(self, precision: Precision) -> Potential:
        """Return the fitted energy as a function of tensors."""


class ArrayEnergy:
    """Energy of an arbitrary fitted estimator, evaluated on tensors.

    Parameters
    ----------
    scorer : estimator
        Fitted estimator, see :func:`potential_of`.
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
            Energies, with the dtype and device of `x`.

        Raises
        ------
        ValueError
            If the estimator does not return one number per sample, or an energy of minus infinity.
            An infinite energy is that of a missing modality.
        """
        energy = potential_of(self.scorer, x.cpu().double().numpy())
        method = _method_of(self.scorer)
        if energy.shape != (len(x),):
            raise ValueError(
                f"{method} of the energy of modality {self.name!r} must return one number per "
                f"sample, of shape ({len(x)},), but returned shape {energy.shape}."
            )
        bad = np.isnan(energy) | (energy == -np.inf)
        if bad.any():
            what = "NaN" if np.isnan(energy).any() else "an energy of minus infinity"
            raise ValueError(
                f"The energy of modality {self.name!r}, {type(self.scorer).__name__}, returned "
                f"{what} for {bad.sum()} of {len(x)} samples. {method} must return numbers."
            )
        return torch.as_tensor(energy, dtype=x.dtype, device=x.device)


def tensor_energy(scorer: Any, name: str, precision: Precision) -> Potential:
    """Return the energy of any fitted estimator as a function of tensors.

    Parameters
    ----------
    scorer : estimator
        Estimator that is fitted on the samples of one modality.
    name : str
        Name of the modality, for messages.
    precision : Precision
        Device and dtypes of the evaluation. Estimators of other libraries always take float64.

    Returns
    -------
    Potential
        Energy of the modality.
    """
    if is_tensor_energy(scorer):
        energy: Potential = scorer.tensor_energy(precision)
        return energy
    return ArrayEnergy(scorer, name)


def is_tensor_energy(scorer: Any) -> bool:
    """Return whether an estimator is a :class:`TensorEnergy`.

    Parameters
    ----------
    scorer : estimator
        Any estimator.

    Returns
    -------
    bool
        True for a :class:`TensorEnergy`. False for a subclass that overrides only ``fit`` or
        ``score_samples``, so that the overridden methods are used.
    """
    return _defined_first(scorer, "tensor_energy", "score_samples") and _defined_first(
        scorer, "begin_fit", "fit"
    )


def _defined_first(scorer: Any, method: str, other: str) -> bool:
    """Return whether `method` is defined in a class at least as derived as that of `other`."""
    for kind in type(scorer).__mro__:
        if method in vars(kind):
            return True
        if other in vars(kind):
            return False
    return False


def potential_of(scorer: Any, x: np.ndarray) -> np.ndarray:
    """Return the energies of samples, computed by any fitted estimator.

    Parameters
    ----------
    scorer : estimator
        Fitted estimator. For an estimator with ``score_samples`` as in scikit-learn, whose scores
        are high for normal samples, the energy is the negative score. For a PyOD detector, whose
        ``decision_function`` is high for outliers, the energy is its value.
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
    """Raise an error unless energy is a scorer, or a dict of scorers of known modalities.

    Parameters
    ----------
    energy : object
        Parameter of the estimator.
    names : list of str
        Names of the modalities.

    Raises
    ------
    ValueError
        If a dict names an unknown modality, or if `modalities` of a scorer is not None.
    TypeError
        If a scorer is a class, or has no ``fit`` or ``score_samples``.
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
        scores = hasattr(scorer, "fit") and hasattr(scorer, "score_samples")
        if not (scores or _is_pyod(scorer)):
            raise TypeError(
                "energy must be an estimator with the methods fit and score_samples, or a PyOD "
                f"detector, got {scorer!r}. GaussianMixture, KernelDensity and IsolationForest of "
                "scikit-learn have them. Wrap any other detector in a class whose score_samples "
                "returns minus the outlier score."
            )
        if is_tensor_energy(scorer) and getattr(scorer, "modalities", None) is not None:
            raise ValueError(
                f"A {type(scorer).__name__} that is passed as energy gets the columns of one "
                "modality only: set its modalities to None, got "
                f"{scorer.modalities!r}. Pass the modalities to the classifier instead."
            )


def _method_of(scorer: Any) -> str:
    return "decision_function" if _is_pyod(scorer) else "score_samples"


def _is_pyod(scorer: Any) -> bool:
    base = sys.modules.get("pyod.models.base")  # there if a detector is
    return base is not None and isinstance(scorer, base.BaseDetector)
