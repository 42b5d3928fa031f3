r"""Adversarial attacks on a modality, and random changes of the same size for comparison.

An adversarial attack is a small change of the input that increases the loss J of the prediction as
much as possible. With standardized values :math:`u = x / \sigma`, the fast gradient sign method
[1]_ changes a modality by

.. math:: \Delta u = \epsilon\, \mathrm{sign}(\nabla_u J) \quad (\ell_\infty), \qquad
    \Delta u = \epsilon\, \nabla_u J / \lVert \nabla_u J \rVert \quad (\ell_2)

Projected gradient descent [2]_ takes several smaller steps from a random start. After each step,
the change is projected onto the ball of radius :math:`\epsilon`.

References
----------
.. [1] Goodfellow, I., Shlens, J. and Szegedy, C. (2015). Explaining and harnessing adversarial
   examples. ICLR.
.. [2] Madry, A. et al. (2018). Towards deep learning models resistant to adversarial attacks. ICLR.
"""

import math
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.frozen import FrozenEstimator
from torch import Tensor

from sklearn_emma.corruption.base import Corruption, Reference, is_number
from sklearn_emma.corruption.failures import check_range, draw_uniform
from sklearn_emma.corruption.tables import replace_columns

#: Function that returns the gradient of the loss with respect to each modality.
Gradient = Callable[[list[Tensor]], list[Tensor]]

# Total length of all steps of projected gradient descent, in radii of the ball. Crossing the whole
# ball takes a length of 2.
_REACH = 2.5


class Adversarial(Corruption):
    r"""Adversarial attack: a small change of a modality that misleads a given model.

    The attacked model is a fitted estimator, which is set with the method :meth:`against`.
    :func:`~sklearn_emma.model_selection.robustness_curve` and
    :func:`~sklearn_emma.model_selection.make_failure_scorer` set it automatically. The attack uses
    the gradient of the whole model, including energies and gate. To train a model that is robust to
    the attack, pass it as `adversarial` to :class:`~sklearn_emma.EMMAClassifier` or
    :class:`~sklearn_emma.EMMARegressor`.

    Parameters
    ----------
    eps : float or (float, float), default=0.5
        Size of the change, in standard deviations of each feature in the reference samples. For a
        pair (low, high), the size is drawn uniformly for each sample.

    norm : {"inf", 2}, default="inf"
        Norm in which the size is measured. "inf" limits the change of each feature to `eps`. 2
        limits the Euclidean norm of the change of the modality to `eps`.

    steps : int, default=1
        Number of gradient steps. One step is the fast gradient sign method [1]_. Several steps are
        projected gradient descent [2]_, which starts from a random change and is a stronger attack.

    estimator : estimator with ``loss_gradient``, default=None
        The attacked model, set by :meth:`against`.

    y : array-like of shape (n_samples,), default=None
        Labels or values of the samples. The attack increases the loss of their prediction. None
        means the predictions of the estimator.

    n_corrupted, fraction, only : int, float, str or list of str
        How many modalities fail in a corrupted sample, which fraction of the samples is corrupted,
        and which modalities may fail. See :class:`Corruption`. By default, one modality fails.

    See Also
    --------
    RandomSigns : A change of the same size without knowledge of the model.

    References
    ----------
    .. [1] Goodfellow, I., Shlens, J. and Szegedy, C. (2015). Explaining and harnessing adversarial
       examples. ICLR.
    .. [2] Madry, A. et al. (2018). Towards deep learning models resistant to adversarial attacks.
       ICLR.

    Examples
    --------
    >>> from sklearn_emma import EMMAClassifier
    >>> from sklearn_emma.corruption import Adversarial, RandomSigns
    >>> from sklearn_emma.datasets import make_multimodal_classification
    >>> X, y = make_multimodal_classification(600, random_state=0, return_X_y=True)
    >>> clf = EMMAClassifier("prefix", max_epochs=20, random_state=0).fit(X[:400], y[:400])
    >>> attack = Adversarial(1.0).against(clf, y[400:])
    >>> attacked, _ = attack.corrupt(X[400:], "prefix", random_state=0, reference=X[:400])
    >>> random, _ = RandomSigns(1.0).corrupt(X[400:], "prefix", random_state=0, reference=X[:400])
    >>> bool(clf.score(attacked, y[400:]) < clf.score(random, y[400:]))
    True
    """

    def __init__(
        self,
        eps: float | Sequence[float] = 0.5,
        norm: str | int = "inf",
        steps: int = 1,
        *,
        estimator: Any = None,
        y: Any = None,
        n_corrupted: int | None = 1,
        fraction: float | None = None,
        only: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(n_corrupted=n_corrupted, fraction=fraction, only=only)
        self.eps = eps
        self.norm = norm
        self.steps = steps
        self.estimator = estimator
        self.y = y

    def against(self, estimator: Any, y: Any = None) -> "Adversarial":
        """Return a copy that attacks a fitted model.

        Parameters
        ----------
        estimator : estimator with ``loss_gradient``
            Fitted model, such as an :class:`~sklearn_emma.EMMAClassifier`.
        y : array-like of shape (n_samples,), default=None
            Labels or values of the samples that will be corrupted. None means the predictions of
            the model.

        Returns
        -------
        Adversarial
            Copy of this object with the given model and labels.

        Raises
        ------
        TypeError
            If the estimator has no ``loss_gradient``.
        """
        if not hasattr(estimator, "loss_gradient"):
            raise TypeError(
                "Adversarial needs the gradient of the loss, and thus an estimator with the method "
                "loss_gradient(X, y), such as EMMAClassifier or EMMARegressor, got "
                f"{type(estimator).__name__}. For other estimators, use RandomSigns, a random "
                "change of the same size."
            )
        params = self.get_params(deep=False) | {"estimator": FrozenEstimator(estimator), "y": y}
        return type(self)(**params)

    def corrupt_tensors(
        self,
        modalities: Sequence[Tensor],
        *,
        generator: torch.Generator,
        reference: Reference,
        names: Sequence[str] | None = None,
        gradient: Gradient | None = None,
    ) -> tuple[list[Tensor], Tensor]:
        """Corrupt a batch inside a training loop.

        Parameters
        ----------
        modalities : list of Tensor of shape (n_samples, n_features)
            One tensor per modality. They are not modified.
        generator : torch.Generator
            Random number generator on the device of the tensors.
        reference : Reference
            Standard deviations, one tensor per modality.
        names : list of str, default=None
            Names of the modalities. Only needed if `only` is set.
        gradient : callable
            Function that takes the list of modalities, and returns the gradient of the loss with
            respect to each of them. It is required.

        Returns
        -------
        corrupted : list of Tensor of shape (n_samples, n_features)
            The batch with attacked modalities.
        indicator : Tensor of shape (n_samples, n_modalities)
            +1 if the modality is clean, -1 if it was attacked.

        Raises
        ------
        ValueError
            If `gradient` is None, or if a parameter is out of range.
        """
        self.check_params()
        if gradient is None:
            raise ValueError(NO_MODEL)
        may_fail = self._may_fail(len(modalities), names)
        failing = self._draw_failing(modalities[0], len(modalities), may_fail, generator)
        fails = {i: failing[:, place, None] for place, i in enumerate(may_fail)}
        moved = self._attack(modalities, fails, reference, generator, gradient)
        return moved, self._indicator(modalities, may_fail, failing)

    def _attack(
        self,
        modalities: Sequence[Tensor],
        fails: dict[int, Tensor],
        reference: Reference,
        generator: torch.Generator,
        gradient: Gradient,
    ) -> list[Tensor]:
        """Return the modalities after the attack.

        `fails` has, for each modality that may fail, a mask of the samples in which it fails.
        """
        # the same random numbers are drawn for every eps, so that sizes can be compared
        low, high = check_range("eps", self.eps)
        eps = draw_uniform(modalities[0], low, high, generator)
        shifts = {i: torch.zeros_like(modalities[i]) for i in fails}
        if self.steps > 1:
            shifts = {i: eps * self._random(modalities[i], generator) for i in fails}
        size = eps if self.steps == 1 else eps * _REACH / self.steps
        moved = list(modalities)
        for step in range(self.steps + 1):
            for i, where in fails.items():
                shifted = torch.addcmul(modalities[i], shifts[i], reference.stds[i])
                moved[i] = torch.where(where, shifted, modalities[i])
            if step == self.steps:
                break
            slopes = gradient(moved)
            for i in fails:
                ahead = unit(slopes[i].nan_to_num() * reference.stds[i], self.norm)
                shifts[i] = within(shifts[i] + size * ahead, eps, self.norm)
        return moved

    def _random(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Draw changes uniformly from the ball of radius one."""
        kind: dict[str, Any] = {"generator": generator, "dtype": x.dtype, "device": x.device}
        if self.norm == "inf":
            return 2.0 * torch.rand(x.shape, **kind) - 1.0
        radius = torch.rand(len(x), 1, **kind) ** (1.0 / x.shape[1])
        return radius * unit(torch.randn(x.shape, **kind), 2)

    def _context(self, X: Any, columns: Sequence[np.ndarray]) -> dict[str, Any]:
        if self.estimator is None:
            raise ValueError(NO_MODEL)
        used, widths = np.concatenate(columns), [len(c) for c in columns]
        y = self.estimator.predict(X) if self.y is None else self.y

        def gradient(modalities: list[Tensor]) -> list[Tensor]:
            """Return the gradient with respect to the columns of each modality."""
            table = replace_columns(X, used, torch.cat(modalities, 1).numpy())
            slope = np.asarray(self.estimator.loss_gradient(table, y))[:, used]
            return list(torch.from_numpy(slope).to(modalities[0].dtype).split(widths, 1))

        return {"gradient": gradient}

    def _check_params(self) -> None:
        low, high = check_range("eps", self.eps)
        if low < 0 or high == 0:
            raise ValueError(f"eps={self.eps!r} must be positive.")
        check_norm(self.norm)
        if not is_number(self.steps, Integral) or self.steps < 1:
            raise ValueError(f"steps={self.steps!r} must be a positive integer.")

    def _is_harmless(self, level: float) -> bool:
        return self.eps == 0.0

    def check_nesting(self) -> None:
        """Raise ValueError, because an attack cannot be used inside another corruption."""
        raise ValueError(
            "Adversarial attacks a model, and cannot be used inside another corruption such as "
            "Mixture or Episodes. To train with it, pass it as adversarial to EMMAClassifier or "
            "EMMARegressor."
        )

    def _fail(
        self, x: Tensor, mean: Tensor, std: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Any:
        self.check_nesting()


NO_MODEL = (
    "Adversarial attacks a model, but no model is set. Call against(estimator, y) with a fitted "
    "estimator. To train with it, pass it as adversarial, not as corruption, to EMMAClassifier or "
    "EMMARegressor."
)


class RandomSigns(Corruption):
    r"""A change of all features by the same number of standard deviations, with random signs.

    Use it for comparison with :class:`Adversarial`: the change has the same size, but does not
    depend on a model.

    Parameters
    ----------
    eps : float or (float, float), default=0.5
        Size of the change, in standard deviations of each feature in the reference samples. For a
        pair (low, high), the size is drawn uniformly for each sample.

    norm : {"inf", 2}, default="inf"
        Norm in which the size is measured. "inf" means that each feature changes by `eps`. 2 means
        that the change of the modality has the Euclidean norm `eps`.

    n_corrupted, fraction, only : int, float, str or list of str
        How many modalities fail in a corrupted sample, which fraction of the samples is corrupted,
        and which modalities may fail. See :class:`Corruption`.

    Examples
    --------
    >>> from sklearn_emma.corruption import RandomSigns
    >>> RandomSigns(0.5).corrupt([[1.0, 5.0], [3.0, 9.0]], random_state=0)[0]
    array([[ 1.5,  6. ],
           [ 2.5, 10. ]])
    """

    _in_deviations = True

    def __init__(
        self,
        eps: float | Sequence[float] = 0.5,
        norm: str | int = "inf",
        *,
        n_corrupted: int | None = None,
        fraction: float | None = None,
        only: str | Sequence[str] | None = None,
    ) -> None:
        super().__init__(n_corrupted=n_corrupted, fraction=fraction, only=only)
        self.eps = eps
        self.norm = norm

    def _check_params(self) -> None:
        if check_range("eps", self.eps)[0] < 0:
            raise ValueError(f"eps={self.eps!r} must not be negative.")
        check_norm(self.norm)

    def _is_harmless(self, level: float) -> bool:
        return self.eps == 0.0

    def _fail(
        self, x: Tensor, mean: Tensor, std: Tensor, donors: Tensor, generator: torch.Generator
    ) -> Tensor:
        low, high = check_range("eps", self.eps)
        eps = draw_uniform(x, low, high, generator)
        coin = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
        signs = torch.where(coin < 0.5, -1.0, 1.0).to(x.dtype)
        return torch.addcmul(x, eps * unit(signs, self.norm), std)


def unit(direction: Tensor, norm: str | int) -> Tensor:
    """Return the step of size one that increases the loss most, to first order.

    Parameters
    ----------
    direction : Tensor of shape (n_samples, n_features)
        A gradient.
    norm : {"inf", 2}
        Norm in which the step has size one.

    Returns
    -------
    Tensor of shape (n_samples, n_features)
        The step. It is zero if the gradient is zero.
    """
    if norm == "inf":
        return direction.sign()
    # scaling avoids underflow of the squares of very small gradients
    scaled = direction / direction.abs().amax(1, keepdim=True).clamp(min=_TINY)
    return scaled / scaled.norm(dim=1, keepdim=True).clamp(min=_TINY)


def within(shift: Tensor, eps: Tensor, norm: str | int) -> Tensor:
    """Project changes of samples onto the ball of radius eps.

    Parameters
    ----------
    shift : Tensor of shape (n_samples, n_features)
        Change of each sample, in standard deviations.
    eps : Tensor of shape (n_samples, 1)
        Radius of the ball of each sample.
    norm : {"inf", 2}
        Norm of the ball.

    Returns
    -------
    Tensor of shape (n_samples, n_features)
        Nearest point in the ball.
    """
    if norm == "inf":
        return torch.maximum(torch.minimum(shift, eps), -eps)
    length = shift.norm(dim=1, keepdim=True)
    return shift * (eps / length.clamp(min=_TINY)).clamp(max=1.0)


# Lower bound of divisors, to avoid a division by zero in single precision.
_TINY = 1e-37


def check_norm(norm: Any) -> None:
    """Raise ValueError unless a norm is "inf" or 2."""
    infinite = isinstance(norm, float) and math.isinf(norm)
    if isinstance(norm, bool) or infinite or norm not in ("inf", 2):
        raise ValueError(f'norm={norm!r} must be "inf" or 2.')
