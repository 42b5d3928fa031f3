r"""The method of the thesis, as parameter settings of the estimators.

.. math:: \Psi'_i = \max(e, \Psi_i - \Psi_{min,i} + e), \qquad x'_i = \beta_i x_i, \qquad
    \mathcal{L} = L(y, \hat y) + \lambda_c (g_a - b_a) - \lambda_e \Omega

All parameters that these functions set have other default values in this library. The functions are
meant for comparisons with the thesis; see :doc:`/guide/thesis`.
"""

from typing import Any

from sklearn_emma.classifier import EMMAClassifier
from sklearn_emma.corruption import Noise
from sklearn_emma.energy.scorer import DAEEnergyScorer
from sklearn_emma.energy.views import EnergyView
from sklearn_emma.nn import Concatenated

# Training parameters of both stages of the thesis.
_TRAINING: dict[str, Any] = {
    "learning_rate": 1e-3,
    "learning_rate_schedule": "constant",
    "max_epochs": 30,
    "batch_size": 64,
}


def make_thesis_scorer(modalities: Any = None, **params: Any) -> DAEEnergyScorer:
    r"""Make an energy scorer with the settings of the thesis.

    The energy model has one hidden layer of 12 sigmoid units with tied weights. It learns to remove
    noise with a standard deviation of 0.01. It is trained for 30 epochs with a batch size of 64, by
    Adam with a constant learning rate of 0.001. The energy is the potential :math:`\Psi_i` itself
    [1]_.

    Parameters
    ----------
    modalities : dict, list of (name, columns), callable, "prefix" or None, default=None
        The groups of columns.
    **params : dict
        Further parameters of :class:`DAEEnergyScorer`, which may also replace the settings above.

    Returns
    -------
    DAEEnergyScorer
        Unfitted scorer.

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
    r"""Make a classifier with the settings of the thesis.

    The energies are those of :func:`make_thesis_scorer`. The minimum over the training samples is
    subtracted from the potentials, which are not scaled (:math:`s_i = 1`). The effect of a failing
    modality on the other modalities is unbounded. The gate has the initial gain :math:`g_a = 1` and
    multiplies the standardized features by the attention, :math:`x'_i = \beta_i x_i`. A small
    network takes the concatenated modalities. First the network is trained on clean samples. Then
    network and gate are trained together on one corrupted copy of the samples. In half of its
    samples, one modality has noise of half a standard deviation (with M > 3 modalities,
    :math:`\lfloor M/2 \rfloor` of them have noise). The loss consists of the prediction loss and
    the two regularization terms, without a floor in :math:`\Omega`. Both trainings have 30 epochs
    with a batch size of 64, by Adam with a constant learning rate of 0.001 [1]_.

    Parameters
    ----------
    modalities : dict, list of (name, columns), callable, "prefix" or None, default=None
        The groups of columns.
    **params : dict
        Further parameters of :class:`EMMAClassifier`, such as `random_state`, which may also
        replace the settings above. Examples are `coldness` (1e-4 to 1 in the thesis, here 1e-4),
        `lambda_capacity` and `lambda_energy` (0 to 1e-1 in the thesis, here 1e-3 and 1e-2).

    Returns
    -------
    EMMAClassifier
        Unfitted classifier.

    See Also
    --------
    EMMAClassifier : Classifier with other default values.

    Notes
    -----
    Three details differ from the thesis, without changing the method. Extreme values are limited
    before means and standard deviations are computed (two of 143,184 values of HTRU2). For two
    classes, there are two outputs with a softmax instead of one output with a sigmoid. Batches have
    nearly equal sizes.

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
