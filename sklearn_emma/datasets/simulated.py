"""Simulated data: a classification task with modalities, and curves in the plane."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
import scipy.linalg
from sklearn.utils import check_random_state

from sklearn_emma.datasets.bunch import make_bunch


def make_multimodal_classification(
    n_samples: int = 500,
    *,
    n_modalities: int = 3,
    n_features: Any = 5,
    n_classes: int = 2,
    relevance: Any = 1.0,
    redundancy: float = 0.5,
    separation: float = 3.0,
    weights: Any = None,
    random_state: Any = None,
    return_X_y: bool = False,
    as_frame: bool = True,
) -> Any:
    r"""Generate a classification task with several modalities.

    The information of each modality about the class, and its redundancy with the other modalities,
    are parameters. The best possible accuracy is known in special cases (see Notes).

    Parameters
    ----------
    n_samples : int, default=500
        Number of samples.
    n_modalities : int, default=3
        Number of modalities, M. They are named ``modality0``, ``modality1``, ...
    n_features : int or array-like of shape (n_modalities,), default=5
        Number of columns of each modality, :math:`D_i`.
    n_classes : int, default=2
        Number of classes, K.
    relevance : float or array-like of shape (n_modalities,), default=1.0
        Information of each modality about the class, :math:`r_i` in [0, 1]: at 0 it is noise.
    redundancy : float, default=0.5
        Fraction q in [0, 1] of the noise variance that the modalities have in common. At 0 their
        errors are independent and each modality adds information. At 1, modalities of relevance
        1 contain the same information, so one of them suffices.
    separation : float, default=3.0
        Distance between any two class centers, :math:`\delta \ge 0`, in within-class standard
        deviations of a modality of relevance 1.
    weights : array-like of shape (n_classes,), default=None
        Proportions of the classes, which sum to 1. None makes them equal.
    random_state : int, RandomState instance or None, default=None
        Controls the random numbers. Pass an int for reproducible output.
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=True
        If True, data and target are a DataFrame, with columns named ``modality0__0`` and so on,
        and a Series. If False, they are arrays.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with the attributes

        data : DataFrame or ndarray of shape (n_samples, sum of n_features)
            The columns, modality after modality.
        target : Series or ndarray of shape (n_samples,)
            The classes, integers from 0 to ``n_classes - 1``.
        modalities : dict of str to list
            Columns of each modality, names or positions, to be passed as `modalities`. With a
            DataFrame ``modalities="prefix"`` does the same.
        frame : DataFrame or None
            Data and target together, if `as_frame`.
        feature_names : list of str
            Names of the columns.
        target_names : ndarray of shape (n_classes,)
            Names of the classes, ``class0``, ``class1``, ...
        DESCR : str
            Description of the simulation with all its parameters.
    (data, target) : tuple, if `return_X_y`
        Only data and target.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Notes
    -----
    The classes y have the proportions `weights`. Their centers :math:`\mu_y` are the corners of a
    regular simplex with edges of length 1 in K - 1 dimensions. Modality i holds a noisy copy of the
    class center of a sample. Part of the noise is common to all modalities, and the copy is
    weighted by the relevance:

    .. math::

        z_i &= \delta \mu_y + \sqrt{q}\, \varepsilon_0 + \sqrt{1 - q}\, \varepsilon_i \\
        h_i &= r_i z_i + \sqrt{1 - r_i^2}\, \eta_i \\
        x_i &= Q_i (h_i, \xi_i)

    with :math:`\varepsilon_0, \varepsilon_i, \eta_i, \xi_i` independent standard normal and
    :math:`Q_i` a random rotation that spreads the K - 1 informative dimensions and the
    :math:`D_i - K + 1` others, :math:`\xi_i`, over the columns. (If :math:`D_i < K - 1`, the
    columns are the first :math:`D_i` rotated dimensions, and information is lost.) Thus every
    column has unit variance within its class, whatever the parameters, and the relevance of a
    modality does not depend on `redundancy`.

    For two equally frequent classes, the best accuracy with modality i alone is
    :math:`\Phi(r_i \delta / 2)`. With M modalities of relevance 1 it is
    :math:`\Phi(\frac{\delta}{2} \sqrt{M / (1 + (M - 1) q)})`.

    Examples
    --------
    >>> from sklearn_emma.datasets import make_multimodal_classification
    >>> task = make_multimodal_classification(
    ...     200, n_modalities=2, n_features=[2, 3], relevance=[1.0, 0.2], random_state=0
    ... )
    >>> task.data.shape
    (200, 5)
    >>> task.modalities
    {'modality0': ['modality0__0', 'modality0__1'],
     'modality1': ['modality1__0', 'modality1__1', 'modality1__2']}
    """
    _check_count("n_samples", n_samples, 1)
    _check_count("n_modalities", n_modalities, 1)
    _check_count("n_classes", n_classes, 2)
    n_features = _per_modality("n_features", n_features, n_modalities)
    for count in n_features:
        _check_count("n_features", count, 1)
    relevance = _per_modality("relevance", relevance, n_modalities)
    for value in relevance:
        _check_real("relevance", value, 1.0)
    _check_real("redundancy", redundancy, 1.0)
    _check_real("separation", separation, np.inf)
    weights = _check_weights(weights, n_classes)
    rng = check_random_state(random_state)

    class_ends = np.round(np.cumsum(weights) * n_samples)
    y = np.searchsorted(class_ends[:-1], np.arange(n_samples), side="right")
    y = rng.permutation(y)

    n_latent = n_classes - 1
    centers = separation * _simplex(n_classes)[y]
    common = rng.standard_normal((n_samples, n_latent))
    blocks = []
    for r, width in zip(relevance, n_features, strict=True):
        own, eta = rng.standard_normal((2, n_samples, n_latent))
        z = centers + np.sqrt(redundancy) * common + np.sqrt(1 - redundancy) * own
        h = r * z + np.sqrt(1 - r**2) * eta
        xi = rng.standard_normal((n_samples, max(width - n_latent, 0)))
        rotation = _random_rotation(max(width, n_latent), rng)
        blocks.append((np.hstack([h, xi]) @ rotation.T)[:, :width])

    columns = [f"modality{i}__{j}" for i, width in enumerate(n_features) for j in range(width)]
    descr = (
        f"Simulated by make_multimodal_classification: {n_samples} samples, {n_classes} classes, "
        f"{n_modalities} modalities of {list(n_features)} columns, relevance {list(relevance)}, "
        f"redundancy {redundancy}, separation {separation}, weights {weights.tolist()}."
    )
    return make_bunch(
        pd.DataFrame(np.hstack(blocks), columns=columns),
        y,
        target_names=[f"class{k}" for k in range(n_classes)],
        descr=descr,
        return_X_y=return_X_y,
        as_frame=as_frame,
    )


def make_wave(
    n_samples: int = 100, *, noise: float | None = None, random_state: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    r"""Draw points from a wave, :math:`(t - \pi, \sin t)` with :math:`t \sim U[0, 2\pi]`.

    Parameters
    ----------
    n_samples : int, default=100
        Number of points.
    noise : float, default=None
        Standard deviation of Gaussian noise added to the points. None adds none.
    random_state : int, RandomState instance or None, default=None
        Controls the random numbers. Pass an int for reproducible output.

    Returns
    -------
    X : ndarray of shape (n_samples, 2)
        The points.
    t : ndarray of shape (n_samples,)
        The position of each along the curve.

    See Also
    --------
    make_circle : A closed curve.
    make_spiral : A curve that passes near itself.

    Examples
    --------
    >>> from sklearn_emma.datasets import make_wave
    >>> X, t = make_wave(50, noise=0.1, random_state=0)
    >>> X.shape, t.shape
    ((50, 2), (50,))
    """
    return _make_curve(lambda t: (t - np.pi, np.sin(t)), n_samples, noise, random_state)


def make_circle(
    n_samples: int = 100, *, noise: float | None = None, random_state: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    r"""Draw points from a circle, :math:`(3 \sin t, 3 \cos t)` with :math:`t \sim U[0, 2\pi]`.

    Parameters
    ----------
    n_samples : int, default=100
        Number of points.
    noise : float, default=None
        Standard deviation of Gaussian noise added to the points. None adds none.
    random_state : int, RandomState instance or None, default=None
        Controls the random numbers. Pass an int for reproducible output.

    Returns
    -------
    X : ndarray of shape (n_samples, 2)
        The points.
    t : ndarray of shape (n_samples,)
        The position of each along the curve.

    See Also
    --------
    make_wave : An open curve.
    make_spiral : A curve that passes near itself.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.datasets import make_circle
    >>> X, t = make_circle(50, random_state=0)
    >>> bool(np.allclose(np.hypot(*X.T), 3))
    True
    """
    return _make_curve(lambda t: (3 * np.sin(t), 3 * np.cos(t)), n_samples, noise, random_state)


def make_spiral(
    n_samples: int = 100, *, noise: float | None = None, random_state: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    r"""Draw points from a spiral of two turns.

    The points are :math:`\frac{t}{2} (\cos 2t, \sin 2t)` with :math:`t \sim U[0, 2\pi]`.

    Parameters
    ----------
    n_samples : int, default=100
        Number of points.
    noise : float, default=None
        Standard deviation of Gaussian noise added to the points. None adds none.
    random_state : int, RandomState instance or None, default=None
        Controls the random numbers. Pass an int for reproducible output.

    Returns
    -------
    X : ndarray of shape (n_samples, 2)
        The points.
    t : ndarray of shape (n_samples,)
        The position of each along the curve.

    See Also
    --------
    make_wave : An open curve.
    make_circle : A closed curve.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.datasets import make_spiral
    >>> X, t = make_spiral(50, random_state=0)
    >>> bool(np.allclose(np.hypot(*X.T), t / 2))
    True
    """
    return _make_curve(
        lambda t: (t / 2 * np.cos(2 * t), t / 2 * np.sin(2 * t)), n_samples, noise, random_state
    )


def _make_curve(
    curve: Callable, n_samples: int, noise: float | None, random_state: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Draw positions uniformly from [0, 2 pi], and return the points of `curve` there."""
    _check_count("n_samples", n_samples, 1)
    if noise is not None:
        _check_real("noise", noise, np.inf)
    rng = check_random_state(random_state)
    t = rng.uniform(0, 2 * np.pi, n_samples)
    X = np.column_stack(curve(t))
    if noise is not None:
        X += rng.normal(scale=noise, size=X.shape)
    return X, t


def _simplex(n_corners: int) -> np.ndarray:
    """Return the corners of a regular simplex with unit edges, (n_corners, n_corners - 1).

    The rows of the Helmert matrix are an orthonormal basis of the hyperplane that holds the
    corners. A basis from a singular value decomposition would differ between processors, because
    all its singular values are equal.
    """
    return -scipy.linalg.helmert(n_corners).T / np.sqrt(2)


def _random_rotation(n_dims: int, rng: np.random.RandomState) -> np.ndarray:
    """Draw a uniformly distributed orthogonal matrix (Mezzadri, 2007)."""
    Q, R = np.linalg.qr(rng.standard_normal((n_dims, n_dims)))
    return Q * np.sign(np.diag(R))


def _check_count(name: str, value: Any, least: int) -> None:
    """Raise ValueError unless a value is an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}.")


def _check_real(name: str, value: Any, most: float) -> None:
    """Raise ValueError unless a value is a finite number from 0 to `most`."""
    if not isinstance(value, Real) or not 0 <= float(value) <= most or np.isinf(float(value)):
        expected = "finite number of at least 0" if np.isinf(most) else f"number in [0, {most:g}]"
        raise ValueError(f"{name} must be a {expected}, got {value!r}.")


def _per_modality(name: str, value: Any, n_modalities: int) -> tuple:
    """Return one value per modality, as a tuple of Python numbers."""
    values = np.asarray(value)
    if values.ndim == 0:
        values = np.full(n_modalities, values)
    if values.shape != (n_modalities,):
        raise ValueError(
            f"{name} must be one number, or one for each of the {n_modalities} modalities, got "
            f"{value!r}."
        )
    return tuple(values.tolist())


def _check_weights(weights: Any, n_classes: int) -> np.ndarray:
    """Return the proportions of the classes, and raise ValueError if they do not sum to one."""
    if weights is None:
        return np.full(n_classes, 1 / n_classes)
    try:
        values = np.asarray(weights, dtype=float)
    except (TypeError, ValueError):
        values = np.zeros(0)
    if values.shape != (n_classes,) or not np.all(values >= 0) or not np.isclose(values.sum(), 1):
        raise ValueError(
            f"weights must be {n_classes} proportions, one per class, that are not negative and "
            f"add up to 1, got {weights!r}."
        )
    return values
