r"""The method of the thesis to the letter, as settings of the estimators.

.. math:: \Psi'_i = \max(e, \Psi_i - \Psi_{min,i} + e), \qquad x'_i = \beta_i x_i, \qquad
    \mathcal{L} = L(y, \hat y) + \lambda_c (g_a - b_a) - \lambda_e \Omega

The defaults of this library differ in all that these functions set. They are for comparison: see
:doc:`/guide/thesis`.
"""

from typing import Any

from sklearn_emma.classifier import EMMAClassifier
from sklearn_emma.corruption import Noise
from sklearn_emma.energy.scorer import DAEEnergyScorer
from sklearn_emma.energy.views import EnergyView
from sklearn_emma.nn import Concatenated

# How both stages of the thesis are trained.
_TRAINING: dict[str, Any] = {
    "learning_rate": 1e-3,
    "learning_rate_schedule": "constant",
    "max_epochs": 30,
    "batch_size": 64,
}


def make_thesis_scorer(modalities: Any = None, **params: Any) -> DAEEnergyScorer:
    r"""Make the energies of the thesis.

    One layer of 12 sigmoid units with tied weights learns to undo noise of standard deviation 0.01,
    by Adam at a constant learning rate of 0.001, in 30 epochs of batches of 64. The energy is the
    potential :math:`\Psi_i` itself [1]_.

    Parameters
    ----------
    modalities : dict, list of (name, columns), callable, "prefix" or None, default=None
        The groups of columns.
    **params : dict
        Other parameters of :class:`DAEEnergyScorer`, or other values for those above.

    Returns
    -------
    DAEEnergyScorer
        Not fitted.

    References
    ----------
    .. [1] Werenne, A. (2019). Energy-based multi-modal attention. University of Liege.

    Examples
    --------
    >>> from sklearn_emma import make_thesis_scorer
    >>> from sklearn_emma.datasets import load_breast_cancer_modalities
    >>> X, _ = load_breast_cancer_modalities(return_X_y=True)
    >>> scorer = make_thesis_scorer("prefix", max_epochs=5, random_state=0).fit(X)
    >>> scorer.transform(X).shape
    (569, 3)
    """
    settings: dict[str, Any] = {
        "hidden_layer_sizes": (12,),
        "activation": "sigmoid",
        "views": EnergyView(noise=0.01),
        "scale_energies": False,
        "calibration_fraction": 0.0,
        **_TRAINING,
    }
    return DAEEnergyScorer(modalities, **settings | params)


def make_thesis_classifier(modalities: Any = None, **params: Any) -> EMMAClassifier:
    r"""Make the classifier of the thesis.

    The energies are those of :func:`make_thesis_scorer`. The potentials of the training samples are
    corrected by their minimum, and not scaled (:math:`s_i = 1`); a failing modality acts on the
    others without bound. The gate starts at :math:`g_a = 1` and multiplies the standardised
    features, :math:`x'_i = \beta_i x_i`, which a small network takes side by side. The network is
    trained on clean samples first, and then with the gate on one corrupted copy, in which half of
    the samples have noise of half a standard deviation on one modality: with two modalities, about
    a quarter on each. There is no other loss than prediction and the two regularizers, and no floor
    in :math:`\Omega`. Both trainings are 30 epochs of batches of 64, by Adam at a constant learning
    rate of 0.001 [1]_.

    Parameters
    ----------
    modalities : dict, list of (name, columns), callable, "prefix" or None, default=None
        The groups of columns.
    **params : dict
        Other parameters of :class:`EMMAClassifier`, such as `random_state`, or other values for
        those above, such as `coldness` (1e-4 to 1 in the thesis, here 1e-4), `lambda_capacity` and
        `lambda_energy` (0 to 1e-1, here 1e-3 and 1e-2).

    Returns
    -------
    EMMAClassifier
        Not fitted.

    See Also
    --------
    EMMAClassifier : Its defaults are not those of the thesis.

    Notes
    -----
    Three things differ without changing the method: columns are standardised with extreme values
    drawn in (two of 143,184 values of HTRU2), two classes have two outputs and a softmax instead of
    one and a sigmoid, and batches are of nearly equal size.

    References
    ----------
    .. [1] Werenne, A. (2019). Energy-based multi-modal attention. University of Liege.

    Examples
    --------
    >>> from sklearn_emma import make_thesis_classifier
    >>> from sklearn_emma.datasets import load_breast_cancer_modalities
    >>> X, y = load_breast_cancer_modalities(return_X_y=True)
    >>> clf = make_thesis_classifier("prefix", random_state=0).fit(X[:400], y[:400])
    >>> bool(clf.score(X[400:], y[400:]) > 0.9)
    True

    At this coldness the energies hardly move the attention:

    >>> bool(clf.attention(X).std(axis=0).max() < 0.01)
    True
    """
    settings: dict[str, Any] = {
        "energy": make_thesis_scorer(),
        "module": Concatenated,
        "coldness": 1e-4,
        "potential_calibration": "minimum",
        "initial_gain": 1.0,
        "lambda_capacity": 1e-3,
        "lambda_energy": 1e-2,
        "importance_floor": 0.0,
        "cross_modal": False,
        "corruption": Noise(0.5, fraction=0.5),
        "redraw_corruption": False,
        "subset_weight": 0.0,
        "pretrain_epochs": 30,
        "l2_regularization": 0.0,
        "solver": "adam",
        **_TRAINING,
    }
    return EMMAClassifier(modalities, **settings | params)
