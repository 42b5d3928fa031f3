"""EMMAClassifier: energies, gate and predictor as a scikit-learn classifier."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight

from sklearn_emma.base import BaseEMMA
from sklearn_emma.compat import StrOptions, _fit_context
from sklearn_emma.corruption import Adversarial, Corruption, VirtualAdversarial
from sklearn_emma.gate.prediction_loss import ClassLoss, PredictionLoss
from sklearn_emma.lazy import is_lazy, map_chunks
from sklearn_emma.targets import check_labels
from sklearn_emma.validation import all_or_nothing, warn_of_one_modality


class EMMAClassifier(ClassifierMixin, BaseEMMA):
    r"""Classifier for tables of several modalities that stays accurate when one fails.

    Energy-based multi-modal attention [1]_. First an energy per modality learns how unlike the
    training data a sample is. Then a gate turns the energies of a sample into an attention
    :math:`\beta_i \in [0, 1)` per modality. Gate and predictor are trained together on clean and
    corrupted samples; see :class:`~sklearn_emma.nn.EnergyAttention` for the equations. Columns are
    standardised inside. Values may be missing: a modality without any value gets no attention,
    single gaps are filled with the training median, and raise the energy of their modality by
    :math:`-3 s_i \log(1 - n/D_i)` for n of :math:`D_i` values missing.

    Columns may be numbers, nullable ones too, and *categories*: text, booleans, and the type
    ``category`` of pandas. A categorical column becomes indicators of its levels, which together
    have the variance of one number. Infrequent levels, with fewer than 10 training samples (of
    fewer than 1000, 1 %; at least 2), share an indicator. A level that no training sample has
    raises the energy of its modality by :math:`3 s_i \log\frac{n_{min} + 1}{n_1 + 1}` with
    :math:`n_{min}` samples of the rarest level with an indicator of its own and :math:`n_1` levels
    that occur once.

    Parameters
    ----------
    modalities : dict, list of (name, columns), callable, "prefix" or None, default=None
        The groups of columns. Columns are given as to :class:`~sklearn.compose.ColumnTransformer`;
        a callable maps a column's name to its modality's; "prefix" takes the part of a column's
        name before ``__``. None makes one modality, "all", of all columns. For a signal or an
        image, pass a :class:`Modality`, which declares the shape.

    remainder : "error", "drop" or str, default="error"
        What to do with columns that belong to no modality: raise, ignore them, or gather them in a
        modality of this name. Ignored columns may hold anything.

    missing_modalities : {"error", "allow"}, default="error"
        What to do when predicting from a DataFrame without any column of a modality: raise, or take
        the modality as missing.

    energy : estimator with ``score_samples``, dict of them by modality or None, default=None
        Distinguishes likely samples from unlikely ones. The energy is ``-score_samples``, or for a
        PyOD detector its ``decision_function``, which has the opposite sign. It is cloned and
        fitted on the standardised columns of each modality, on the samples that have all of its
        values. If these are fewer than half of the samples that have any value, it is fitted on the
        latter, with gaps filled. With None, and for modalities that a dict leaves out, the energy
        is a :class:`DAEEnergyScorer` that trains on all samples (``calibration_fraction=0``) for 50
        epochs; more epochs help outlier detection only. Any other scorer scores the failing samples
        of every epoch, so its speed matters.

    module : torch.nn.Module instance, class or callable, "transformer" or None, default=None
        The predictor behind the gate. None takes `n_networks` times
        :class:`~sklearn_emma.nn.FusionNetwork`, and "transformer" as many times
        :class:`~sklearn_emma.nn.FusionTransformer`, which has self-attention among the columns of
        each modality and attention across modalities; see :doc:`/guide/unified`. A predictor of
        your own takes the list of gated modalities :math:`\beta_i x_i`, each of shape (n_samples,
        :math:`D_i`) and standardised, and returns unnormalised log probabilities of shape
        (n_samples, n_classes). An instance is copied; a class is called with the list of the
        :math:`D_i` and the number of classes. A :class:`~sklearn_emma.nn.GatedPredictor` gets the
        modalities and their attention as they are.

    hidden_layer_sizes : tuple of int, default=(64, 48, 32)
        Units of each layer of the encoder of a modality in the default predictor; with
        "transformer", of the layers behind its self-attention. The last is also the width of the
        head. A `module` of your own ignores these sizes, `n_networks` and `periodic_features`.

    n_networks : int, default=4
        Number of networks whose predictions are averaged; see
        :class:`~sklearn_emma.nn.FusionEnsemble`. With one, a fit is faster and predictions vary
        more with the seed.

    periodic_features : bool or "auto", default="auto"
        Whether the default predictor reads, besides the value of each column and its normal score,
        six periodic functions of the score; see :class:`~sklearn_emma.nn.ColumnFeatures`. They
        help where thresholds or peaks within a column matter, where trees are good, and they harm
        where smooth functions are right. "auto" decides by the cross-validation that chooses
        `l2_regularization`, in favour of them only if the evidence is strong, and not at all with
        more than 256 columns.

    coldness : float, default=0.3
        Inverse temperature :math:`\rho` of the gate: at 0 all modalities are equally important,
        whatever their energy.

    coldness_schedule : {"constant", "annealed"}, default="constant"
        "annealed" starts with the gate as the identity and raises the coldness from 0 to `coldness`
        in the first half of the training. With `early_stopping` the coldness is that of the best
        epoch.

    attention_score : str or callable, default="energy"
        What determines the importance of a modality: "energy", the energies alone; or a score of
        the modalities' embeddings, the attention of the literature: "additive", "bilinear", "dot",
        "scaled_dot", "multi_head" or "key_value"; or both, "additive+energy" and so on. See
        :class:`~sklearn_emma.nn.SoftmaxAttention`. A score of your own is a
        :class:`torch.nn.Module`, of which an instance is copied, or a class or callable, called
        with the numbers of modalities and of units of an embedding. Without energies only missing
        modalities are certain to be closed: gaps, inconsistency and levels never seen do not count,
        and further evidence (:meth:`readings`) is refused. Scores require the default `module` or
        "transformer" and a constant coldness, and their weights have no penalty. The two
        regularizers below act on every gate alike.

    max_modalities : int, default=None
        Largest number of modalities that pass the gate for a sample, those of highest importance;
        see :class:`~sklearn_emma.nn.HardAttention`. None lets all pass. Energies say how reliable a
        modality is and not how relevant; a score such as "additive+energy" learns both.

    modality_costs : dict of str to float, default=None
        Costs that `max_modalities` takes into account, in nats: a modality of cost c is preferred
        to one without cost if its importance is more than :math:`e^c` times as large. Modalities
        that are not named cost nothing.

    potential_calibration : {"failures", "minimum"}, default="failures"
        How the constants of the gate are computed: from the potentials of clean and of failing
        training samples; or, as in the thesis, from the minimum over the training samples, with
        :math:`s_i = 1` and no largest potential.

    initial_gain : float, default=None
        :math:`g_a` at the start of training. None stands for twice the number of modalities, which
        lets a clean sample pass; the thesis has 1.

    lambda_capacity : float, default=0.0
        Strength of the regularizer that keeps the capacity of the gate low.

    lambda_energy : float, default=0.02
        Strength of the regularizer that rewards importance of clean modalities and penalises
        importance of corrupted ones.

    importance_floor : float, default=0.01
        Importance of a corrupted modality below which that regularizer gives no further reward.
        With 0, as in the thesis, the reward has no bound.

    cross_modal : bool, default=True
        Whether the energy of a modality also measures its consistency with the others
        (:class:`~sklearn_emma.nn.CrossModalEnergy`), which detects stuck or swapped modalities. It
        needs at least three modalities: if two are inconsistent, nothing shows which of them is
        wrong.

    column_attention : bool, default=False
        Whether columns within a modality get attention too: if a few columns make the energy of a
        modality high, these are treated as missing, and the modality stays open; see
        :class:`~sklearn_emma.nn.ColumnAttention`. Missing values are then predicted from the other
        columns of the modality, instead of filled with the median. In a quarter of the training
        samples without a failing modality, some columns fail as `corruption` says, so `corruption`
        needs no larger noise. Column attention lowers the accuracy when whole modalities fail.

    corruption : Corruption or None, default=None
        How training samples are corrupted, in units of their standard deviations. Half of the
        samples are, unless its `fraction` says otherwise. None stands for
        ``Mixture([Noise((0.25, 2.0)), Missing(), Swapped()], [0.375, 0.375, 0.25])``.

    redraw_corruption : bool, default=True
        Whether every epoch draws other failures. If False, training sees one corrupted copy of the
        samples.

    adversarial : Adversarial or VirtualAdversarial, default=None
        Attack on training samples. Every step adds the loss of the uncorrupted samples of its batch
        after an attack that changes modalities to mislead the current model, such as
        ``Adversarial((0.0, 1.0))``. With :class:`~sklearn_emma.corruption.VirtualAdversarial` it
        adds the divergence of predictions for samples and their worst neighbours, for which no
        label is needed: class -1 marks unlabelled samples. Both need numeric columns.

    subset_weight : float, default=2.0
        Weight of the subset loss: a second prediction loss, computed with a random subset of the
        modalities of every sample. It trains the predictor for every combination of modalities.

    pretrain_epochs : int, default=0
        Passes over the clean samples with the gate open, before the gate is trained.

    learning_rate : float, default=0.004
        Largest learning rate of the cycle, or the constant one.

    learning_rate_schedule : {"one_cycle", "constant"}, default="one_cycle"
        Whether the learning rate rises and falls once, or stays as it is.

    solver : {"muon", "adam"}, default="muon"
        Optimizer of the hidden layers of the default predictor. Muon [2]_ needs fewer epochs than
        Adam, which trains all other parameters, and a `module` of your own.

    l2_regularization : float or "auto", default="auto"
        Strength :math:`\lambda` of the penalty :math:`\frac{\lambda}{2N} \lVert W \rVert^2` on the
        weights of the predictor, biases apart, with N training samples. "auto" chooses it by
        cross-validation on at most 2000 of them: s N, and :math:`s\, 2000^2 / N` for more than 2000
        samples, with s between 0.0005 and 0.03 (0.003 for fewer than 30 samples). Overlapping
        classes need a stronger penalty than separable ones. The folds are contiguous, so keep the
        order of samples that were recorded one after the other. A `module` of your own has no
        penalty unless you give a number.

    max_epochs : int, default=50
        Passes over the training samples. Adam needs about 100, at a learning rate of 0.006. The
        cross-modal energy takes at most 50.

    batch_size : int or "auto", default="auto"
        Samples per step. "auto" takes 1/6 of the samples, within 32 and 1024, or 1/100 of them up
        to 4096 when that is more.

    early_stopping : bool, default=False
        Whether to hold out samples, to stop when their loss no longer improves, and to go back to
        the best epoch.

    validation_fraction : float, default=0.1
        Fraction of samples held out with `early_stopping`, stratified by class where possible.

    n_iter_no_change : int, default=10
        Epochs without improvement before stopping early.

    tol : float, default=1e-4
        Smallest relative improvement that counts for early stopping.

    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, as in scikit-learn.

    n_jobs : int, default=None
        Number of processes that fit energies, as in joblib. Energies of modalities of similar width
        are trained together in any case.

    memory : str, joblib.Memory or None, default=None
        Cache for everything that does not depend on the gate: energies, also the cross-modal one,
        the choice of `periodic_features` and `l2_regularization`, and the first `pretrain_epochs`.
        A search over the parameters of the gate then does this once for each fold. Needs an int as
        `random_state`. Empty the folder after an upgrade of the package.

    warm_start : bool, default=False
        Whether to start from the solution of the previous call to fit: its energies and their
        scales are kept, even if `energy` and `corruption` have changed; gate and predictor are
        trained on, with a penalty on weights that is chosen anew.

    device : str or torch.device, default="auto"
        Where to train. "auto" takes CUDA when present, else the CPU.

    random_state : int, RandomState instance or None, default=None
        Determines all random numbers. Pass an int for the same result in every call; torch's global
        generators are not touched.

    verbose : bool, default=False
        Whether to show progress.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    modality_names_ : list of str
        Names of the modalities.
    modality_shapes_ : list of tuple of int or None
        Shape of each modality that is a signal or an image.
    modality_columns_ : list of ndarray of int
        Positions of each modality's columns.
    energy_scorers_ : dict of str to estimator
        Fitted energies by modality.
    gain_, bias_ : float
        :math:`g_a` and :math:`b_a` of the gate.
    capacity_ : float
        Capacity of the gate: how much it lets through.
    coldness_ : float
        Inverse temperature of the gate at the end of the training.
    self_weight_, self_bias_ : ndarray of shape (n_modalities,)
        :math:`w_i` and :math:`b_i`.
    coupling_weight_, coupling_degree_ : ndarray of shape (n_modalities, n_modalities)
        :math:`w_{ij}` and :math:`\gamma_{ij}`: direction and degree of the coupling.
    potential_min_, potential_scale_, potential_max_ : ndarray of shape (n_modalities,)
        With ``potential_calibration="failures"``: :math:`\Psi_{min,i}`, below which a modality is
        as good as any (nine tenths of the training samples are); the scale :math:`s_i`, which is
        the median rise of the potential under the training corruption, but at least the
        interquartile range of the training samples; and the potential of a typical failure of the
        training, above which it has no further effect on the others.
    attention_score_ : str or callable
        The score that the gate was fitted with.
    score_weights_ : dict of str to ndarray, or None
        Weights of the score; None with ``attention_score="energy"``.
    n_units_ : int
        How many numbers of an embedding a score reads; 0 with a `module` of your own.
    max_modalities_ : int or None
        Largest number of modalities that pass the gate.
    modality_costs_ : ndarray of shape (n_modalities,)
        Costs of the modalities, zero where none was given.
    l2_regularization_ : float
        Strength of the penalty that the predictor was trained with.
    periodic_features_ : bool
        Whether the predictor reads periodic features.
    cross_modal_weights_ : dict of str to ndarray, or None
        Weights of the cross-modal energy.
    column_weights_ : dict of str to ndarray, or None
        Mean, precision matrix and highest usual energy of each modality, with `column_attention`:
        buffers of a :class:`~sklearn_emma.nn.ColumnAttention`, after its position and a dot.
    network_weights_ : dict of str to ndarray
        Weights of the predictor.
    mean_, scale_, median_ : ndarray of shape (`n_features_in_`,)
        Mean and scale that columns are standardised with, and the values that gaps are filled with;
        for a categorical column 0, 1 and the code of its most frequent level.
    history_ : dict of str to ndarray of shape (n_epochs,)
        Losses, and the gate's gain, bias and capacity after each epoch.
    n_iter_ : int
        Epochs trained.
    categories_ : dict of int to list
        Levels of the categorical columns, by position; empty where there are none.
    category_counts_ : dict of int to ndarray of int of shape (n_levels,)
        Training samples of each level.
    n_features_in_ : int
        Number of columns seen at fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, when all are strings.

    See Also
    --------
    EMMARegressor : Predicts numbers.
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
    _returns = "unnormalised log probabilities of shape (n_samples, n_classes)"

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
        """Learn energies, gate and predictor.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Training samples; NaN marks missing values.
        y : array-like of shape (n_samples,)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples; a sample of weight zero is left out.

        Returns
        -------
        EMMAClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, y, a parameter or the modalities are not valid, or training diverges.
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
        known = ~self._unlabelled(y)
        self.classes_ = np.unique(y[known])
        if len(self.classes_) < 2:
            found = ", ".join(map(repr, self.classes_.tolist())) or -1
            rest = "" if known.all() else " Samples of class -1 count as unlabelled."
            raise ValueError(
                "EMMAClassifier needs samples of at least two classes, but all samples of positive "
                f"weight are of one class, {found}.{rest}"
            )

    def _unlabelled(self, y: np.ndarray) -> np.ndarray:
        """Tell which samples have no label: those of class -1, where training can use them."""
        # a search over settings has no such parameter
        training = getattr(self, "adversarial", None)
        if isinstance(training, VirtualAdversarial) and y.dtype.kind in "if":
            return y == -1
        return np.zeros(len(y), dtype=bool)

    def _encode(
        self, y: np.ndarray, weight: np.ndarray, fresh: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        known = ~self._unlabelled(y)
        weight = weight * known
        weight[known] *= compute_sample_weight(self.class_weight, y[known])
        if not np.isfinite(weight).all() or (weight < 0).any() or not weight.any():
            raise ValueError(
                "class_weight must hold finite numbers that are not negative, and not zero for all "
                f"classes, got {self.class_weight!r}."
            )
        # unlabelled samples weigh nothing in the loss, whatever their class
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
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.
        evidence : array-like of shape (n_samples, n_modalities), default=None
            Further evidence against each modality, in nats; see :meth:`readings`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of ``classes_``. Samples in float32 are evaluated in single
            precision, which is twice as fast, and their probabilities are float32; any others are
            evaluated, and returned, as float64.
        """
        if is_lazy(X):
            return map_chunks(self.predict_proba, X, evidence)
        logits = torch.from_numpy(self._finite(self._run(X, "output", evidence=evidence)["output"]))
        return self.tensor_predictions(logits)["predict_proba"].contiguous().numpy()

    def tensor_predictions(self, output: torch.Tensor) -> dict[str, torch.Tensor]:
        """Probabilities of the classes from what the network returned.

        Parameters
        ----------
        output : Tensor of shape (n_samples, n_classes)
            Unnormalised log probabilities.

        Returns
        -------
        dict of str to Tensor of shape (n_samples, n_classes)
            The probabilities, as "predict_proba".
        """
        # classes are few: softmax over the first dimension is much faster
        return {"predict_proba": output.mT.softmax(0).mT}

    def predict(self, X: Any, evidence: Any = None) -> np.ndarray:
        """Most probable class of each sample.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.
        evidence : array-like of shape (n_samples, n_modalities), default=None
            Further evidence against each modality, in nats; see :meth:`readings`.

        Returns
        -------
        ndarray of shape (n_samples,)
            Class labels.
        """
        if is_lazy(X):
            return map_chunks(self.predict, X, evidence)
        probabilities = self.predict_proba(X, evidence)
        return self.classes_[probabilities.argmax(axis=1)]
