"""EMMAClassifier: a scikit-learn classifier with energies, a gate and a predictor."""

from collections.abc import Sequence
from numbers import Real
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight

from sklearn_emma.base import BaseEMMA
from sklearn_emma.compat import StrOptions, _fit_context
from sklearn_emma.corruption import Adversarial, Corruption, VirtualAdversarial
from sklearn_emma.gate.prediction_loss import ClassLoss, PredictionLoss
from sklearn_emma.lazy import LazyScore, is_lazy, map_chunks
from sklearn_emma.log_probabilities import LogProbabilities
from sklearn_emma.targets import check_labels, labeled_before_fit
from sklearn_emma.user_warnings import warn_of_one_modality
from sklearn_emma.validation import all_or_nothing


class EMMAClassifier(LazyScore, ClassifierMixin, LogProbabilities, BaseEMMA):
    r"""Classifier for several modalities that remains accurate when one of them fails.

    The method is energy-based multi-modal attention [1]_. First, one energy model per modality
    learns how much the values of a sample differ from the training data. Then a gate converts the
    energies of a sample to an attention :math:`\beta_i \in [0, 1)` to each modality. The gate and
    the predictor are trained together on clean and corrupted samples; see :doc:`/guide/gate` for
    the equations.

    Columns are standardized internally. Values may be missing. A modality without any value gets no
    attention. If only some values are missing, they are predicted from the other values of the
    modality (:class:`~sklearn_emma.nn.GapFilling`), and its energy increases by
    :math:`-3 s_i \log(1 - n/D_i)`, where n of its :math:`D_i` values are missing.

    Columns may be numeric, including nullable types, or categorical: text, booleans (in a
    DataFrame), or the pandas type ``category``. A categorical column is replaced by indicators of
    its levels, scaled such that together they have unit variance, like a numeric column. Infrequent
    levels share one indicator. A level is infrequent if it has fewer than 10 training samples (with
    fewer than 1000 training samples: fewer than 1 % of them, or only one), or if it is not among
    the 100 most frequent levels. A level that does not occur in the training data increases the
    energy of its modality by :math:`3 s_i \log\frac{n_{min} + 1}{n_1 + 1}`, where :math:`n_{min}`
    is the number of samples of the rarest level with an indicator of its own, and :math:`n_1` the
    number of levels that occur once.

    Read more in the :doc:`tutorial </tutorial>`.

    Parameters
    ----------
    modalities : dict, list of (name, columns), callable, "prefix" or None, default=None
        The groups of columns. In a dict or list, columns are specified as in
        :class:`~sklearn.compose.ColumnTransformer`. A callable takes the name of a column and
        returns the name of its modality. "prefix" uses the part of a column's name before the first
        ``__`` as the name of its modality. None means one modality, "all", of all columns. For a
        signal or an image, pass a :class:`Modality`, which has a shape.

    remainder : "error", "drop" or str, default="error"
        What to do with columns that do not belong to any modality. "error" raises an error. "drop"
        ignores them; ignored columns may have values of any type. With any other string, these
        columns form a further modality with this name.

    missing_modalities : {"error", "allow"}, default="error"
        What to do at prediction time if a DataFrame has no column of a modality. "error" raises an
        error; "allow" treats the modality as missing.

    energy : estimator with ``score_samples``, dict of them by modality or None, default=None
        Estimator of the energy of a modality, which is high for unlikely samples. The energy is
        ``-score_samples(X)``. For a PyOD detector it is ``decision_function(X)``, which has the
        opposite sign. The estimator is cloned for each modality, and fitted on its standardized
        columns. It is fitted on the samples without missing values in the modality. If fewer than
        half of the samples with any value in the modality are complete, it is fitted on all samples
        with any value, after missing values are filled. If None, and for modalities that are not in
        the dict, the energy is a :class:`DAEEnergyScorer` that is trained for 50 epochs, or a
        :class:`SignalEnergyScorer` for signals and images. Both are trained on all samples
        (``calibration_fraction=0``). More epochs only help for outlier detection. Any other
        estimator has to score the failing samples of every epoch, so it should be fast.

    module : torch.nn.Module instance, class or callable, "transformer" or None, default=None
        The predictor, whose input comes from the gate. None means `n_networks` networks of the
        class :class:`~sklearn_emma.nn.FusionNetwork`. "transformer" means `n_networks` networks of
        the class :class:`~sklearn_emma.nn.FusionTransformer`, which has self-attention among the
        columns of each modality, and attention across modalities; see :doc:`/guide/unified`. A
        custom predictor takes the list of gated modalities :math:`\beta_i x_i`, each of shape
        (n_samples, :math:`D_i`) and standardized. It returns unnormalized log probabilities of
        shape (n_samples, n_classes). An instance is copied. A class or callable is called with the
        list of all :math:`D_i` and the number of classes. A
        :class:`~sklearn_emma.nn.GatedPredictor` gets the modalities and their attention separately.

    hidden_layer_sizes : tuple of int, default=(64, 48, 32)
        Number of units in each layer of the encoder of a modality in the default predictor. With
        "transformer", they are the layers after its self-attention. The last number is also the
        width of the head. `hidden_layer_sizes`, `n_networks` and `periodic_features` have no effect
        on a custom `module`.

    n_networks : int, default=4
        Number of networks whose predictions are averaged; see
        :class:`~sklearn_emma.nn.FusionEnsemble`. With a single network, fitting is faster, but
        predictions depend more on the random state.

    periodic_features : bool or "auto", default="auto"
        Whether the default predictor uses periodic features: six periodic functions of the normal
        score of each column, in addition to its value and its normal score; see
        :class:`~sklearn_emma.nn.ColumnFeatures`. Periodic features help if thresholds or peaks
        within a column are relevant, as with data on which decision trees perform well. They reduce
        the accuracy if the target is a smooth function of the columns. "auto" decides by the same
        cross-validation that chooses `l2_regularization`. It only selects periodic features if the
        evidence for them is strong, and never if there are more than 256 columns.

    coldness : float, default=0.3
        Inverse temperature :math:`\rho` of the gate. If 0, all modalities are equally important,
        independent of their energies.

    coldness_schedule : {"constant", "annealed"}, default="constant"
        "annealed" starts with a gate that does not change its input, and increases the coldness
        from 0 to `coldness` in the first half of the training. With `early_stopping`, the final
        coldness is that of the best epoch. A fit that continues another one (`warm_start`) keeps
        the coldness constant.

    attention_score : str or callable, default="energy"
        What determines the importance of a modality. "energy" means only the energies. "additive",
        "bilinear", "dot", "scaled_dot", "multi_head" and "key_value" are attention scores from the
        literature, computed from embeddings of the modalities. Both can be combined, as in
        "additive+energy". See :class:`~sklearn_emma.nn.SoftmaxAttention`. A custom score is an
        instance of :class:`torch.nn.Module`, which is copied, or a class or callable, which is
        called with the number of modalities and the number of units of an embedding. Without
        energies, only modalities that are missing completely are sure to be closed. Single missing
        values, inconsistency with other modalities and unseen levels have no effect, and additional
        evidence (:meth:`readings`) raises an error. Scores require a constant coldness and the
        default `module` or "transformer". Their weights are not penalized. The two regularization
        terms below have the same effect on every gate.

    max_modalities : int, default=None
        Largest number of modalities that pass the gate for a sample. These are the modalities with
        the highest importance; see :class:`~sklearn_emma.nn.HardAttention`. None means no limit.
        Energies measure the reliability of a modality, but not its relevance. To learn both, use a
        score such as "additive+energy".

    modality_costs : dict of str to float, default=None
        Costs of modalities for the selection by `max_modalities`, in nats. A modality with cost c
        is preferred to one without cost if its importance is more than :math:`e^c` times as large.
        Modalities that are not in the dict have no cost.

    potential_calibration : {"failures", "minimum"}, default="failures"
        How the constants of the gate are computed. "failures" uses the potentials of clean and of
        failing training samples. "minimum", as in the thesis [1]_, uses the minimum potential of
        the training samples, with :math:`s_i = 1`, no largest potential, and no bound on the
        coupling.

    initial_gain : float, default=None
        Gain :math:`g_a` at the start of training. None means twice the number of modalities, with
        which all modalities of a clean sample pass the gate. The thesis [1]_ uses 1.

    lambda_capacity : float, default=0.0
        Strength of the regularization term that keeps the capacity of the gate low.

    lambda_energy : float, default=0.02
        Strength of the regularization term that rewards the importance of clean modalities and
        penalizes the importance of corrupted modalities.

    importance_floor : float, default=0.01
        Importance of a corrupted modality below which the energy regularization term gives no
        further reward. With 0, as in the thesis [1]_, the reward is unbounded.

    cross_modal : bool, default=True
        Whether the energy of a modality also measures its consistency with the other modalities
        (:class:`~sklearn_emma.nn.CrossModalEnergy`), which detects stuck or swapped modalities.
        This has no effect with fewer than three modalities: if two modalities are inconsistent,
        there is no way to know which of them is wrong.

    column_attention : bool, default=False
        Whether there is also attention to single columns. If the energy of a modality is high
        because of a few columns, these columns are treated as missing, and the modality stays open;
        see :class:`~sklearn_emma.nn.ColumnAttention`. In a quarter of the training samples without
        a failing modality, some columns fail in the way given by `corruption`; it need not have
        larger noise for this. Column attention reduces the accuracy when whole modalities fail.

    corruption : Corruption or None, default=None
        How training samples are corrupted, in units of their standard deviations. Half of the
        samples are corrupted, unless its parameter `fraction` is set. None means
        ``Mixture([Noise((0.25, 2.0)), Missing(), Swapped()], [0.375, 0.375, 0.25])``.

    redraw_corruption : bool, default=True
        Whether new failures are drawn in every epoch. If False, all epochs use the same corrupted
        copy of the samples.

    adversarial : Adversarial or VirtualAdversarial, default=None
        Adversarial training. With an :class:`~sklearn_emma.corruption.Adversarial` attack, such as
        ``Adversarial((0.0, 1.0))``, every step adds the loss of the uncorrupted samples of the
        batch after an attack, which changes modalities in order to mislead the current model. With
        :class:`~sklearn_emma.corruption.VirtualAdversarial`, every step adds the divergence between
        the predictions for a sample and for a changed sample nearby, which is chosen such that its
        prediction differs most. This needs no labels; samples with the label -1 are then
        unlabeled. Both need numeric columns.

    subset_weight : float, default=2.0
        Weight of the subset loss, a second prediction loss for which the predictor gets a random
        subset of the modalities of each sample. It trains the predictor for all combinations of
        modalities.

    pretrain_epochs : int, default=0
        Number of epochs in which the predictor is trained on clean samples with an open gate,
        before gate and predictor are trained together.

    learning_rate : float, default=0.004
        Learning rate if the schedule is constant, otherwise the largest learning rate of the cycle.

    learning_rate_schedule : {"one_cycle", "constant"}, default="one_cycle"
        Learning rate schedule. With "one_cycle", the learning rate increases and then decreases.

    solver : {"muon", "adam"}, default="muon"
        Optimizer of the hidden layers of the default predictor. Muon [2]_ needs fewer epochs than
        Adam. All other parameters, and a custom `module`, are always trained by Adam.

    l2_regularization : float or "auto", default="auto"
        Strength :math:`\lambda` of the penalty :math:`\frac{\lambda}{2N} \lVert W \rVert^2` on the
        weights of the predictor, without biases, with N training samples. "auto" chooses it by
        cross-validation on at most 2000 samples. It is s N, or :math:`s\, 2000^2 / N` for more than
        2000 samples, with s between 0.0005 and 0.03 (0.003 for fewer than 30 samples). Overlapping
        classes need a stronger penalty than separable ones. The folds are contiguous, so do not
        shuffle samples that were recorded one after the other. A custom `module` has no penalty
        unless a number is given.

    max_epochs : int, default=50
        Number of epochs. With ``solver="adam"``, about 100 epochs with a learning rate of 0.006 are
        needed. The cross-modal energy is trained for at most 50 epochs. If there are more than
        65,536 training samples, each epoch uses a random subset of this size.

    batch_size : int or "auto", default="auto"
        Number of samples per training step. "auto" is 1/6 of the samples, limited to the range from
        32 to 1024.

    early_stopping : bool, default=False
        Whether to stop training when the loss on held-out samples no longer improves, and to return
        to the best epoch.

    validation_fraction : float, default=0.1
        Fraction of the training samples that are held out if `early_stopping` is True, stratified
        by class if possible.

    n_iter_no_change : int, default=10
        Number of epochs without improvement after which training stops early.

    tol : float, default=1e-4
        Smallest relative improvement of the loss that counts as an improvement for early stopping.

    class_weight : dict, "balanced" or None, default=None
        Class weights, as in scikit-learn, for the training of gate and predictor. The energies do
        not depend on them.

    n_jobs : int, default=None
        Number of energies that are fitted in parallel, as in joblib. Independent of `n_jobs`,
        energies of modalities with similar numbers of columns are trained together.

    memory : str, joblib.Memory or None, default=None
        Cache for all results that do not depend on the gate: the energies, including the
        cross-modal energy, the choice of `periodic_features` and `l2_regularization`, and the first
        `pretrain_epochs`. In a search over parameters of the gate, they are then computed only once
        per fold. `random_state` must be an int. Empty the cache after an upgrade of the package.

    warm_start : bool, default=False
        Whether to start from the solution of the previous call to fit. Its energies and their
        scales are kept, even if `energy` and `corruption` have changed. The training of gate and
        predictor is continued. The penalty on the weights is chosen again. `attention_score`,
        `cross_modal`, `column_attention` and `potential_calibration` must not change.

    device : str or torch.device, default="auto"
        Device for training. "auto" is CUDA if available, otherwise the CPU.

    random_state : int, RandomState instance or None, default=None
        Controls all random numbers. Pass an int for reproducible output across multiple function
        calls. The global random number generators of torch are not used.

    verbose : bool, default=False
        Whether to print progress messages.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    modality_names_ : list of str
        Names of the modalities.
    modality_shapes_ : list of tuple of int or None
        Shape of each modality that is a signal or an image; None for other modalities.
    modality_columns_ : list of ndarray of int
        Positions of each modality's columns.
    energy_scorers_ : dict of str to estimator
        Fitted energies by modality.
    gain_, bias_ : float
        :math:`g_a` and :math:`b_a` of the gate.
    capacity_ : float
        Capacity of the gate, a measure of how much of its input it lets pass.
    coldness_ : float
        Inverse temperature of the gate at the end of the training.
    self_weight_, self_bias_ : ndarray of shape (n_modalities,)
        :math:`w_i` and :math:`b_i`.
    coupling_weight_, coupling_degree_ : ndarray of shape (n_modalities, n_modalities)
        :math:`w_{ij}` and :math:`\gamma_{ij}`: direction and degree of the coupling.
    potential_min_, potential_scale_, potential_max_ : ndarray of shape (n_modalities,)
        Constants of the gate. With ``potential_calibration="failures"``, :math:`\Psi_{min,i}` is
        the potential that nine tenths of the training samples do not exceed; differences below it
        have no effect. The scale :math:`s_i` is the increase of the median potential under the
        training corruption, but at least the interquartile range of the training samples. The
        largest potential is that of a typical failure in training; a higher potential of a modality
        has no further effect on the other modalities.
    attention_score_ : str or callable
        Attention score of the fitted gate.
    score_weights_ : dict of str to ndarray, or None
        Weights of the attention score. None with ``attention_score="energy"``.
    n_units_ : int
        Number of units of the embeddings that attention scores use; 0 with a custom `module`.
    max_modalities_ : int or None
        Largest number of modalities that pass the gate.
    modality_costs_ : ndarray of shape (n_modalities,)
        Cost of each modality, zero if no cost was given.
    l2_regularization_ : float
        Strength of the penalty with which the predictor was trained.
    periodic_features_ : bool
        Whether the predictor uses periodic features.
    cross_modal_weights_ : dict of str to ndarray, or None
        Weights of the cross-modal energy.
    column_weights_ : dict of str to ndarray, or None
        If `column_attention` is True, mean, precision matrix and highest usual energy of each
        modality, otherwise None. A key is the position of the modality, a dot, and the name of a
        buffer of :class:`~sklearn_emma.nn.ColumnAttention`.
    network_weights_ : dict of str to ndarray
        Weights of the predictor.
    mean_, scale_, median_ : ndarray of shape (`n_features_in_`,)
        Mean and scale with which columns are standardized, and the standardized median. For a
        categorical column they are 0, 1 and the code of the most frequent level.
    gap_weights_ : dict of str to ndarray
        Mean and precision matrix with which the missing values of each modality are predicted. A
        key is the position of the modality, a dot, and the name of a buffer of
        :class:`~sklearn_emma.nn.GapFilling`.
    history_ : dict of str to ndarray of shape (n_epochs,)
        Losses, and gain, bias and capacity of the gate, for each epoch.
    n_iter_ : int
        Number of epochs of training.
    categories_ : dict of int to list
        Levels of each categorical column, by its position. It is empty if no column is categorical.
    category_counts_ : dict of int to ndarray of int of shape (n_levels,)
        Number of training samples of each level, by the position of the column.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during fit. Defined only if all names are strings.

    See Also
    --------
    EMMARegressor : The corresponding regressor.
    DAEEnergyScorer : The default energy.
    sklearn_emma.corruption : How a modality can fail.

    References
    ----------
    .. [1] Werenne, A. (2019). Energy-based multi-modal attention. University of Liege.
    .. [2] Jordan, K. et al. (2024). Muon: an optimizer for hidden layers in neural networks.

    Examples
    --------
    >>> from sklearn_emma import EMMAClassifier
    >>> from sklearn_emma.datasets import load_breast_cancer_modalities
    >>> X, y = load_breast_cancer_modalities(return_X_y=True)
    >>> clf = EMMAClassifier("prefix", max_epochs=20, random_state=0).fit(X[:400], y[:400])
    >>> bool(clf.score(X[400:], y[400:]) > 0.9)
    True
    >>> broken = X[400:].copy()
    >>> broken.loc[:, broken.columns.str.startswith("mean__")] = 0.0
    >>> attention = clf.attention(broken).mean(axis=0)
    >>> clf.modality_names_[attention.argmin()], bool(clf.score(broken, y[400:]) > 0.9)
    ('mean', True)
    """

    _parameter_constraints: dict = {
        **BaseEMMA._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }
    _output_attributes = ("classes_",)
    _returns = "unnormalized log probabilities of shape (n_samples, n_classes)"

    def __init__(
        self,
        modalities: Any = None,
        *,
        remainder: str = "error",
        missing_modalities: str = "error",
        energy: Any = None,
        module: Any = None,
        hidden_layer_sizes: Sequence[int] = (64, 48, 32),
        n_networks: int = 4,
        periodic_features: bool | str = "auto",
        coldness: float = 0.3,
        coldness_schedule: str = "constant",
        attention_score: Any = "energy",
        max_modalities: int | None = None,
        modality_costs: dict[str, float] | None = None,
        potential_calibration: str = "failures",
        initial_gain: float | None = None,
        lambda_capacity: float = 0.0,
        lambda_energy: float = 0.02,
        importance_floor: float = 0.01,
        cross_modal: bool = True,
        column_attention: bool = False,
        corruption: Corruption | None = None,
        redraw_corruption: bool = True,
        adversarial: Adversarial | VirtualAdversarial | None = None,
        subset_weight: float = 2.0,
        pretrain_epochs: int = 0,
        learning_rate: float = 0.004,
        learning_rate_schedule: str = "one_cycle",
        solver: str = "muon",
        l2_regularization: float | str = "auto",
        max_epochs: int = 50,
        batch_size: int | str = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        class_weight: Any = None,
        n_jobs: int | None = None,
        memory: Any = None,
        warm_start: bool = False,
        device: str | torch.device = "auto",
        random_state: Any = None,
        verbose: int | bool = False,
    ) -> None:
        super().__init__(
            modalities=modalities,
            remainder=remainder,
            missing_modalities=missing_modalities,
            energy=energy,
            module=module,
            hidden_layer_sizes=hidden_layer_sizes,
            n_networks=n_networks,
            periodic_features=periodic_features,
            coldness=coldness,
            coldness_schedule=coldness_schedule,
            attention_score=attention_score,
            max_modalities=max_modalities,
            modality_costs=modality_costs,
            potential_calibration=potential_calibration,
            initial_gain=initial_gain,
            lambda_capacity=lambda_capacity,
            lambda_energy=lambda_energy,
            importance_floor=importance_floor,
            cross_modal=cross_modal,
            column_attention=column_attention,
            corruption=corruption,
            redraw_corruption=redraw_corruption,
            adversarial=adversarial,
            subset_weight=subset_weight,
            pretrain_epochs=pretrain_epochs,
            learning_rate=learning_rate,
            learning_rate_schedule=learning_rate_schedule,
            solver=solver,
            l2_regularization=l2_regularization,
            max_epochs=max_epochs,
            batch_size=batch_size,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            n_jobs=n_jobs,
            memory=memory,
            warm_start=warm_start,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
        self.class_weight = class_weight

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the energies, the gate and the predictor.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Training samples; NaN marks missing values. Of more than about a million samples, a
            random million is used. Memory-mapped arrays are not copied.
        y : array-like of shape (n_samples,)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights. Samples with zero weight are ignored.

        Returns
        -------
        EMMAClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, y, a parameter or the modalities are not valid, or if training diverges.
        TypeError
            If `energy` has no ``score_samples``.
        """
        with all_or_nothing(self) as previous:
            self._fit(X, y, sample_weight, previous)
        warn_of_one_modality(self)
        return self

    def _check_target(self, y: np.ndarray) -> np.ndarray:
        check_labels(y)
        return y

    def _learn_outputs(self, y: np.ndarray) -> None:
        known = self._has_target(y)
        self.classes_ = np.unique(y[known])
        if len(self.classes_) < 2:
            found = ", ".join(map(repr, self.classes_.tolist())) or -1
            rest = "" if known.all() else " Samples of class -1 count as unlabeled."
            raise ValueError(
                "EMMAClassifier needs samples of at least two classes, but all samples of positive "
                f"weight are of one class, {found}.{rest}"
            )

    def _has_target(self, y: np.ndarray) -> np.ndarray:
        """Return which samples have a label."""
        # EMMAClassifierCV has no parameter `adversarial`
        return labeled_before_fit(y, getattr(self, "adversarial", None))

    def _encode(
        self, y: np.ndarray, weight: np.ndarray, fresh: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        known = self._has_target(y)
        weight = weight * known
        of_classes = self.class_weight.values() if isinstance(self.class_weight, dict) else ()
        valid = all(isinstance(value, Real) for value in of_classes)
        if valid:
            weight[known] *= compute_sample_weight(self.class_weight, y[known])
            valid = bool(np.isfinite(weight).all() and (weight >= 0).all() and weight.any())
        if not valid:
            raise ValueError(
                "class_weight must hold finite numbers that are not negative, and not zero for all "
                f"classes, got {self.class_weight!r}."
            )
        # unlabeled samples have zero weight in the loss, so any class can stand in for theirs
        return self._as_target(np.where(known, y, self.classes_[0])), weight

    def _as_target(self, y: np.ndarray) -> np.ndarray:
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y holds the labels {unknown.tolist()}, which are none of the classes "
                f"{self.classes_.tolist()}."
            )
        return np.searchsorted(self.classes_, y)

    def _prediction_loss(self) -> PredictionLoss:
        return ClassLoss()

    @property
    def _n_outputs(self) -> int:
        return len(self.classes_)

    def _strata(self, target: np.ndarray) -> np.ndarray:
        return target

    def predict_proba(self, X: Any, evidence: Any = None) -> np.ndarray:
        """Predict class probabilities.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.
        evidence : array-like of shape (n_samples, n_modalities), default=None
            Additional evidence against each modality, in nats; see :meth:`readings`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Class probabilities, in the order of ``classes_``. Samples in float32 are evaluated in
            single precision, which is twice as fast, and their probabilities are float32. All other
            samples are evaluated in double precision, and their probabilities are float64.
        """
        if is_lazy(X):
            return map_chunks(self.predict_proba, X, evidence)
        logits = torch.from_numpy(self._finite(self._run(X, "output", evidence=evidence)["output"]))
        return self.tensor_predictions(logits)["predict_proba"].contiguous().numpy()

    def tensor_predictions(self, output: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute class probabilities from the output of the network.

        Parameters
        ----------
        output : Tensor of shape (n_samples, n_classes)
            Unnormalized log probabilities.

        Returns
        -------
        dict of str to Tensor of shape (n_samples, n_classes)
            Dictionary with the class probabilities, with the key "predict_proba".
        """
        # with few classes, softmax over the first dimension is much faster
        return {"predict_proba": output.mT.softmax(0).mT}

    def predict(self, X: Any, evidence: Any = None) -> np.ndarray:
        """Predict the most probable class of each sample.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.
        evidence : array-like of shape (n_samples, n_modalities), default=None
            Additional evidence against each modality, in nats; see :meth:`readings`.

        Returns
        -------
        ndarray of shape (n_samples,)
            Class labels.
        """
        if is_lazy(X):
            return map_chunks(self.predict, X, evidence)
        probabilities = self.predict_proba(X, evidence)
        return self.classes_[probabilities.argmax(axis=1)]
