"""EMMARegressor: a scikit-learn regressor with energies, a gate and a predictor."""

from collections.abc import Sequence
from numbers import Real
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import column_or_1d

from sklearn_emma.base import BaseEMMA
from sklearn_emma.compat import Interval, StrOptions, _fit_context
from sklearn_emma.corruption import Adversarial, Corruption, VirtualAdversarial
from sklearn_emma.energy.column_scale import target_scale
from sklearn_emma.gate.prediction_loss import PredictionLoss, ValueLoss
from sklearn_emma.lazy import LazyScore, is_lazy, map_chunks
from sklearn_emma.nn.coordinates import standardize
from sklearn_emma.targets import check_quantiles, check_values
from sklearn_emma.user_warnings import warn_of_one_modality
from sklearn_emma.validation import all_or_nothing


def _predicts_quantiles(estimator: Any) -> bool:
    """Return whether a regressor predicts quantiles, or will do so after it is fitted."""
    fitted = hasattr(estimator, "quantiles_")
    if estimator.quantiles_ is None if fitted else estimator.loss != "quantile":
        raise AttributeError('Quantiles are predicted with loss="quantile" only.')
    return True


class EMMARegressor(LazyScore, RegressorMixin, BaseEMMA):
    r"""Regressor for several modalities that remains accurate when one of them fails.

    The method is energy-based multi-modal attention [1]_. First, one energy model per modality
    learns how much the values of a sample differ from the training data. Then a gate converts the
    energies of a sample to an attention :math:`\beta_i \in [0, 1)` to each modality. The gate and
    the predictor are trained together on clean and corrupted samples; see :doc:`/guide/gate` for
    the equations.

    Columns and y are standardized internally. Values may be missing. A modality without any value
    gets no attention. If only some values are missing, they are predicted from the other values of
    the modality (:class:`~sklearn_emma.nn.GapFilling`), and its energy increases by
    :math:`-3 s_i \log(1 - n/D_i)`, where n of its :math:`D_i` values are missing. Columns may be
    categorical, as in :class:`EMMAClassifier`.

    Read more in the :doc:`user guide </guide/regression>`.

    Parameters
    ----------
    modalities : dict, list of (name, columns), callable, "prefix" or None, default=None
        The groups of columns. In a dict or list, columns are specified as in
        :class:`~sklearn.compose.ColumnTransformer`. A callable takes the name of a column and
        returns the name of its modality. "prefix" uses the part of a column's name before the first
        ``__`` as the name of its modality. None means one modality, "all", of all columns. For a
        signal or an image, pass a :class:`Modality`, which has a shape.

    loss : {"squared_error", "absolute_error", "quantile"}, default="squared_error"
        Loss function. "squared_error" predicts the mean. "absolute_error" predicts the median,
        which is robust to outliers in y. "quantile" predicts the quantiles given by `quantile`
        [2]_.

    quantile : float or array-like of float, default=(0.05, 0.5, 0.95)
        Levels of the quantiles that are predicted with ``loss="quantile"``, between 0 and 1 and in
        increasing order. The same network predicts all quantiles. They are sorted, so that they
        never cross [3]_. On small data sets the network overfits; without `early_stopping`, the
        quantiles are then too close together.

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
        (n_samples, :math:`D_i`) and standardized. It returns predictions of shape (n_samples,
        n_outputs), or quantiles of shape (n_samples, n_quantiles), standardized with
        ``target_center_`` and ``target_scale_``. An instance is copied. A class or callable is
        called with the list of all :math:`D_i` and the number of outputs. A
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
        prediction differs most. Both need numeric columns.

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
        Optimizer of the hidden layers of the default predictor. Muon [4]_ needs fewer epochs than
        Adam. All other parameters, and a custom `module`, are always trained by Adam.

    l2_regularization : float or "auto", default="auto"
        Strength :math:`\lambda` of the penalty :math:`\frac{\lambda}{2N} \lVert W \rVert^2` on the
        weights of the predictor, without biases, with N training samples. "auto" chooses it by
        cross-validation on at most 2000 samples. It is s N, or :math:`s\, 2000^2 / N` for more than
        2000 samples, with s between 0.0005 and 0.03 (0.003 for fewer than 30 samples). Noisy
        targets need a stronger penalty. The folds are contiguous, so do not shuffle samples that
        were recorded one after the other. A custom `module` has no penalty unless a number is
        given.

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
        Fraction of the training samples that are held out if `early_stopping` is True.

    n_iter_no_change : int, default=10
        Number of epochs without improvement after which training stops early.

    tol : float, default=1e-4
        Smallest relative improvement of the loss that counts as an improvement for early stopping.

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
        scales are kept, even if `energy` and `corruption` have changed, and so are the mean and
        scale of y. The training of gate and predictor is continued. The penalty on the weights is
        chosen again. `attention_score`, `cross_modal`, `column_attention` and
        `potential_calibration` must not change.

    device : str or torch.device, default="auto"
        Device for training. "auto" is CUDA if available, otherwise the CPU.

    random_state : int, RandomState instance or None, default=None
        Controls all random numbers. Pass an int for reproducible output across multiple function
        calls. The global random number generators of torch are not used.

    verbose : bool, default=False
        Whether to print progress messages.

    Attributes
    ----------
    n_outputs_ : int
        Number of columns of y.
    quantiles_ : ndarray of shape (n_quantiles,) or None
        Levels of the predicted quantiles. None unless ``loss="quantile"``.
    target_center_, target_scale_ : ndarray of shape (n_outputs,)
        Center and scale with which y is standardized. For ``loss="squared_error"`` they are mean
        and standard deviation, for other losses median and interquartile range divided by 1.349.
        The scale of a constant output is zero: it is predicted exactly.
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
    EMMAClassifier : The corresponding classifier.
    DAEEnergyScorer : The default energy.
    sklearn_emma.corruption : How a modality can fail.

    References
    ----------
    .. [1] Werenne, A. (2019). Energy-based multi-modal attention. University of Liege.
    .. [2] Koenker, R. and Bassett, G. (1978). Regression quantiles. Econometrica 46(1), 33-50.
    .. [3] Chernozhukov, V., Fernandez-Val, I. and Galichon, A. (2010). Quantile and probability
       curves without crossing. Econometrica 78(3), 1093-1125.
    .. [4] Jordan, K. et al. (2024). Muon: an optimizer for hidden layers in neural networks.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma import EMMARegressor
    >>> rng = np.random.default_rng(0)
    >>> y = rng.normal(20.0, 5.0, size=600)
    >>> X = y[:, None] + rng.normal(size=(600, 6))  # two instruments of three thermometers
    >>> instruments = {"roof": [0, 1, 2], "wall": [3, 4, 5]}
    >>> reg = EMMARegressor(instruments, max_epochs=20, random_state=0).fit(X[:400], y[:400])
    >>> bool(reg.score(X[400:], y[400:]) > 0.95)
    True
    >>> broken = X[400:] + 30.0 * rng.normal(size=(200, 6)) * [1, 1, 1, 0, 0, 0]
    >>> reg.attention(broken).mean(axis=0).round(1), bool(reg.score(broken, y[400:]) > 0.9)
    (array([0., 1.]), True)
    """

    _parameter_constraints: dict = {
        **BaseEMMA._parameter_constraints,
        "loss": [StrOptions({"squared_error", "absolute_error", "quantile"})],
        "quantile": [Interval(Real, 0, 1, closed="neither"), "array-like"],
    }
    _target_checks = {"multi_output": True}
    _output_attributes = ("n_outputs_", "quantiles_")

    target_center_: np.ndarray
    target_scale_: np.ndarray

    def __init__(
        self,
        modalities: Any = None,
        *,
        loss: str = "squared_error",
        quantile: float | Sequence[float] = (0.05, 0.5, 0.95),
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
        self.loss = loss
        self.quantile = quantile

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = self.loss != "quantile"
        return tags

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the energies, the gate and the predictor.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Training samples; NaN marks missing values. Of more than about a million samples, a
            random million is used. Memory-mapped arrays are not copied.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target values. With ``loss="quantile"``, only one output is supported.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights. Samples with zero weight are ignored.

        Returns
        -------
        EMMARegressor
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
        y = check_values(y)
        if self.loss != "quantile":
            return y
        if y.ndim == 2 and y.shape[1] > 1:
            raise ValueError(
                f'loss="quantile" predicts one output, but y has {y.shape[1]} columns. Fit one '
                "regressor per column, as sklearn.multioutput.MultiOutputRegressor does."
            )
        return column_or_1d(y, warn=True)

    def _learn_outputs(self, y: np.ndarray) -> None:
        self._target_ndim = y.ndim
        self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
        self.quantiles_ = check_quantiles(self.quantile) if self.loss == "quantile" else None

    def _encode(
        self, y: np.ndarray, weight: np.ndarray, fresh: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        # training cannot be continued for an output that was constant
        learned = np.ones(self.n_outputs_, dtype=bool) if fresh else self.target_scale_ == 0
        if learned.any():
            columns = y.reshape(len(y), self.n_outputs_)
            with np.errstate(over="ignore", invalid="ignore"):
                center, scale = target_scale(columns, weight, self.loss)
            if not fresh:
                center = np.where(learned, center, self.target_center_)
                scale = np.where(learned, scale, self.target_scale_)
            self.target_center_, self.target_scale_ = center, scale
            if not np.isfinite([self.target_center_, self.target_scale_]).all():
                raise ValueError(
                    f"The values of y, up to {np.abs(y).max():g}, are so large that their mean or "
                    "standard deviation is not finite. Divide y by a constant."
                )
        return self._as_target(y).astype(np.float32), weight

    def _as_target(self, y: np.ndarray) -> np.ndarray:
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        if n_outputs != self.n_outputs_:
            raise ValueError(
                f"y has {n_outputs} output(s), but the regressor was fitted with "
                f"{self.n_outputs_}. Pass y with the outputs of fit."
            )
        scale = np.where(self.target_scale_ > 0, self.target_scale_, 1.0)
        return standardize(y.reshape(len(y), self.n_outputs_), self.target_center_, scale)

    def _prediction_loss(self) -> PredictionLoss:
        levels = [] if self.quantiles_ is None else self.quantiles_.tolist()
        return ValueLoss(self.loss, levels)

    @property
    def _n_outputs(self) -> int:
        return self.n_outputs_ if self.quantiles_ is None else len(self.quantiles_)

    @property
    def _returns(self) -> str:
        what = "outputs" if self.quantiles_ is None else "quantiles"
        return f"{what} of shape (n_samples, n_{what})"

    def tensor_predictions(self, output: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute predictions from the output of the network.

        Parameters
        ----------
        output : Tensor of shape (n_samples, n_outputs) or (n_samples, n_quantiles)
            Standardized values.

        Returns
        -------
        dict of str to Tensor of shape (n_samples, ...)
            Predictions by method: "predict" and, with ``loss="quantile"``, "predict_quantiles".
        """
        center, scale = torch.from_numpy(self.target_center_), torch.from_numpy(self.target_scale_)
        if self.quantiles_ is None:
            values = center + scale * output
            return {"predict": values[:, 0] if self._target_ndim == 1 else values}
        values = center + scale * output.sort(-1).values
        share = [np.interp(0.5, self.quantiles_, unit) for unit in np.eye(len(self.quantiles_))]
        median = (values * torch.tensor(share, dtype=torch.float64)).sum(1)
        return {"predict": median, "predict_quantiles": values}

    def _predictions(self, X: Any, evidence: Any) -> dict[str, torch.Tensor]:
        """Return the predictions of all methods for samples."""
        output = self._finite(self._run(X, "output", evidence=evidence)["output"])
        return self.tensor_predictions(torch.from_numpy(output))

    def predict(self, X: Any, evidence: Any = None) -> np.ndarray:
        """Predict the target of each sample.

        With ``loss="quantile"`` the prediction is the median. If 0.5 is not among the levels, the
        median is interpolated linearly between the neighboring quantiles. If all levels are above
        0.5, or all are below it, the quantile nearest to the median is returned.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.
        evidence : array-like of shape (n_samples, n_modalities), default=None
            Additional evidence against each modality, in nats; see :meth:`readings`.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions, with as many dimensions as y had during fit, always float64. Samples in
            float32 are evaluated in single precision, which is twice as fast.
        """
        if is_lazy(X):
            return map_chunks(self.predict, X, evidence)
        return self._predictions(X, evidence)["predict"].numpy()

    @available_if(_predicts_quantiles)
    def predict_quantiles(self, X: Any, evidence: Any = None) -> np.ndarray:
        """Predict the quantiles of each sample, for ``loss="quantile"``.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.
        evidence : array-like of shape (n_samples, n_modalities), default=None
            Additional evidence against each modality, in nats; see :meth:`readings`.

        Returns
        -------
        ndarray of shape (n_samples, n_quantiles)
            Quantiles in the order of ``quantiles_``. They do not decrease along a row.
        """
        if is_lazy(X):
            return map_chunks(self.predict_quantiles, X, evidence)
        return self._predictions(X, evidence)["predict_quantiles"].numpy()
