"""DAEEnergyScorer: a scikit-learn estimator of the energies of modalities."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator

from sklearn_emma.categories import count_levels
from sklearn_emma.column_statistics import learn_medians, learn_scales
from sklearn_emma.compat import Interval, StrOptions, _fit_context
from sklearn_emma.energy.energy_scale import median_and_range
from sklearn_emma.energy.outliers import outlier_threshold
from sklearn_emma.energy.read_outs import EnergyReadOuts, energy_of_gaps, total_energy
from sklearn_emma.energy.reservoir import Reservoir
from sklearn_emma.energy.samples import EnergySamples, rows_to_learn
from sklearn_emma.energy.tasks import architecture_of, modality_tasks
from sklearn_emma.energy.training import EnergyTask, TrainedEnergy, train_energies
from sklearn_emma.energy.views import EnergyView, resolve_views
from sklearn_emma.engine.batches import training_rows
from sklearn_emma.engine.device import resolve_device
from sklearn_emma.engine.one_cycle import SCHEDULES
from sklearn_emma.engine.seeding import draw_seed
from sklearn_emma.gap_fillings import learn_gap_fillings
from sklearn_emma.indicators import feature_columns, indicators_of
from sklearn_emma.modalities import modality_shapes, resolve_modalities, split_columns
from sklearn_emma.nn import EnergyEnsemble
from sklearn_emma.nn.coordinates import standardize
from sklearn_emma.nn.energy import ACTIVATIONS
from sklearn_emma.targets import check_weights
from sklearn_emma.user_warnings import (
    warn_of_infrequent_levels,
    warn_of_new_levels,
    warn_of_numbers_as_text,
)
from sklearn_emma.validation import all_or_nothing, check_layer_sizes, check_table


@dataclass(frozen=True)
class EnergyFit:
    """Pending fit of a scorer, whose energies are yet to be trained.

    Attributes
    ----------
    scorer : DAEEnergyScorer
        Scorer to be fitted.
    tasks : list of EnergyTask
        Energies to be trained.
    table : ndarray of shape (n_samples, n_columns)
        Samples for training and calibration. NaN marks missing values.
    held_out : ndarray of bool of shape (n_samples,)
        Whether each sample is held out for calibration.
    weight : ndarray of shape (n_samples,)
        Weights of the samples.
    seed : int
        Seed of all random numbers.
    """

    scorer: "DAEEnergyScorer"
    tasks: list[EnergyTask]
    table: np.ndarray
    held_out: np.ndarray
    weight: np.ndarray
    seed: int

    def finish(self, trained: Sequence[TrainedEnergy]) -> "DAEEnergyScorer":
        """Store the trained energies, and return the fitted scorer."""
        return self.scorer._store(self.table, self.held_out, trained, self.weight)


class DAEEnergyScorer(EnergyReadOuts, BaseEstimator):
    r"""Energy of each modality, which measures how unlike the training samples a sample is.

    Denoising autoencoders with tied weights are trained for each modality to remove noise. Their
    potential :math:`\Psi`, which has a closed form, is low where the training samples are dense
    [1]_ [2]_. The energy is the potential on a common scale for all modalities,

    .. math:: E_i(x) = \frac{\Psi_i(x_i) - \mathrm{median}\, \Psi_i}{\mathrm{IQR}\, \Psi_i},

    where the median and the interquartile range are taken over the training samples. An energy of 0
    is typical, and higher energies are more unusual. The score of a sample is minus the sum of its
    energies.

    Missing values are accepted. A modality is learned from the samples in which it is complete or,
    if these are fewer than half, from all samples in which it has any value. Missing values are
    filled with values that fit the other values of their modality, and n of D missing values add
    the energy :math:`-3 \log(1 - n / D)`. The energy of a modality without any value is infinite;
    the score of a sample is that of its other modalities.

    Read more in the :doc:`how-to guide </howto/only_energies>`.

    Parameters
    ----------
    modalities : dict, list of (name, columns), callable, "prefix" or None, default=None
        Columns of each modality. They are specified as in
        :class:`~sklearn.compose.ColumnTransformer`. A callable maps the name of a column to the
        name of its modality. "prefix" uses the part of the column name before ``__``. None puts all
        columns in one modality, "all".

    remainder : "error", "drop" or str, default="error"
        Handling of columns that belong to no modality: raise an error, ignore them, or put them in
        a modality of this name. Ignored columns may have any content.

    hidden_layer_sizes : tuple of int, default=(48, 32)
        Number of units of each hidden layer of the energy. One layer is the tied autoencoder of the
        thesis [1]_. More layers are a deep energy model [3]_.

    activation : {"tanh", "sigmoid", "relu", "identity"}, default="tanh"
        Activation function h of the hidden units. With the bounded functions tanh and sigmoid, the
        energy increases without bound as a sample moves away from the training samples. With relu
        and identity it may not.

    views : {"fine", "coarse"}, EnergyView or tuple of them, default=("fine", "coarse")
        Views from which the energy is learned. Each view has its own autoencoder, and a sample is
        unusual if it is unusual in any view (a soft maximum). "fine" removes noise of the size of
        the distance between neighboring samples, so its energy is sharp near the data. "coarse"
        also removes much larger noise and is scaled by quartiles, which are less affected by
        outliers. Its energy increases far from the data. For other views see :class:`EnergyView`.
        :func:`make_thesis_scorer` uses the view of the thesis.

    scale_energies : bool, default=True
        Whether energies are in interquartile ranges above the median, as in the formula above. If
        False, they are the potentials :math:`\Psi_i` themselves, as in the thesis. Several views
        are scaled to make them comparable in both cases.

    contamination : "auto" or float in (0, 0.5], default="auto"
        Fraction of training samples that :meth:`predict` considers as outliers. With "auto",
        outliers are samples whose total energy exceeds the third quartile of the training samples
        by more than 1.5 interquartile ranges, but at least the most unusual 1 % of them. Of new
        samples, a larger fraction are outliers, because the energies were trained on the others.
        For a given rate of false alarms among new samples, use :meth:`predict_modality`.

    calibration_fraction : float, default=0.1
        Fraction of training samples in [0, 1) that are held out to calibrate :meth:`p_values` and
        :meth:`predict_modality`. If it is 0, all samples are used for training, and these methods
        raise an error.

    learning_rate : float, default=0.02
        Largest learning rate of the cycle, or the constant learning rate.

    learning_rate_schedule : {"one_cycle", "constant"}, default="one_cycle"
        Schedule of the learning rate: it rises and falls once, or is constant.

    max_epochs : int, default=100
        Number of passes over the training samples. If there are more than 65,536, a pass reads a
        random part of them, of this size.

    batch_size : int or "auto", default="auto"
        Number of samples per step. "auto" is 1/6 of the samples, limited to the range from 32 to
        1024.

    early_stopping : bool, default=False
        Whether to hold out samples, to stop training when their loss no longer improves, and to
        restore the weights of the best epoch.

    validation_fraction : float, default=0.1
        Fraction of samples that are held out for `early_stopping`.

    n_iter_no_change : int, default=10
        Number of epochs without improvement before training stops early.

    tol : float, default=1e-4
        Smallest relative improvement of the loss that counts for early stopping.

    buffer_size : int, default=10_000
        Number of samples that :meth:`fit` and :meth:`partial_fit` store. They are a uniform random
        sample of all samples so far.

    n_jobs : int, default=None
        Number of parallel processes, as in joblib. Modalities of similar width are trained together
        in any case.

    device : str or torch.device, default="auto"
        Device of the training. "auto" uses CUDA if it is available, else the CPU.

    random_state : int, RandomState instance or None, default=None
        Controls initial weights, shuffling and noise. Pass an int for reproducible results. The
        global generators of torch are not used.

    verbose : bool, default=False
        Whether to show progress.

    Attributes
    ----------
    modality_names_ : list of str
        Names of the modalities.
    modality_columns_ : list of ndarray of int
        Positions of the columns of each modality.
    mean_, scale_, median_ : ndarray of shape (`n_features_in_`,)
        Mean and standard deviation of each column, and its median in standardized units, with which
        missing values are filled. For categorical columns they are 0, 1 and the position of the
        most frequent level in ``categories_``.
    gap_weights_ : dict of str to ndarray
        Weights of the :class:`~sklearn_emma.nn.GapFilling` of each modality.
    energy_weights_ : list of dict of str to ndarray
        Weights of the :class:`~sklearn_emma.nn.EnergyEnsemble` of each modality.
    potential_median_, potential_iqr_ : ndarray of shape (n_modalities,)
        Median and interquartile range of the training potentials of each modality. Zeros and ones
        if `scale_energies` is False.
    offset_ : float
        Threshold of the score. Samples with a lower score are outliers.
    calibration_energies_ : ndarray of shape (n_held_out, n_modalities)
        Energies of the samples that were held out for calibration.
    loss_curve_ : list of ndarray of shape (n_epochs,)
        Training loss of each modality.
    validation_loss_curve_ : list of ndarray of shape (n_epochs,) or None
        Loss of the held-out samples of each modality. None without `early_stopping`.
    n_iter_ : int
        Largest number of epochs of any modality.
    categories_ : dict of int to list
        Levels of the categorical columns, by position. Empty if no column is categorical.
    category_counts_ : dict of int to ndarray of int of shape (n_levels,)
        Number of training samples of each level. With :meth:`partial_fit`, only the samples of the
        first call are counted.
    n_samples_seen_ : int
        Number of samples so far, in :meth:`fit` and in all calls of :meth:`partial_fit` after it.
    n_features_in_ : int
        Number of columns seen at fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if all are strings.

    See Also
    --------
    EMMAClassifier, EMMARegressor : Predict with an attention gate that is driven by energies.

    References
    ----------
    .. [1] Werenne, A. (2019). Energy-based multi-modal attention. University of Liege.
    .. [2] Kamyshanska, H. and Memisevic, R. (2015). The potential energy of an autoencoder. IEEE
       TPAMI 37.
    .. [3] Zhai, S. et al. (2016). Deep structured energy based models for anomaly detection. ICML.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma import DAEEnergyScorer
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 4))
    >>> scorer = DAEEnergyScorer({"left": [0, 1], "right": [2, 3]}, random_state=0).fit(X)
    >>> energies = scorer.transform([[0, 0, 0, 0], [0, 0, 6, 6]])
    >>> bool(energies[1, 1] > 3 > energies[0].max())
    True
    >>> scorer.predict([[0, 0, 0, 0], [0, 0, 6, 6]])
    array([ 1, -1])
    """

    _parameter_constraints: dict = {
        "modalities": [dict, list, tuple, callable, StrOptions({"prefix"}), None],
        "remainder": [str],
        "hidden_layer_sizes": ["array-like"],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "views": [str, EnergyView, tuple, list],
        "scale_energies": ["boolean"],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "calibration_fraction": [Interval(Real, 0, 1, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "learning_rate_schedule": [StrOptions(set(SCHEDULES))],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "buffer_size": [Interval(Integral, 2, None, closed="left")],
        "n_jobs": [None, Integral],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        modalities: Any = None,
        *,
        remainder: str = "error",
        hidden_layer_sizes: Sequence[int] = (48, 32),
        activation: str = "tanh",
        views: Any = ("fine", "coarse"),
        scale_energies: bool = True,
        contamination: str | float = "auto",
        calibration_fraction: float = 0.1,
        learning_rate: float = 0.02,
        learning_rate_schedule: str = "one_cycle",
        max_epochs: int = 100,
        batch_size: int | str = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        buffer_size: int = 10_000,
        n_jobs: int | None = None,
        device: str | torch.device = "auto",
        random_state: Any = None,
        verbose: int | bool = False,
    ) -> None:
        self.modalities = modalities
        self.remainder = remainder
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.views = views
        self.scale_energies = scale_energies
        self.contamination = contamination
        self.calibration_fraction = calibration_fraction
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.buffer_size = buffer_size
        self.n_jobs = n_jobs
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    # --- fit ---

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "DAEEnergyScorer":
        """Learn the energy of each modality.

        A uniform random sample of at most `buffer_size` samples, independent of their weights, is
        stored in the estimator, so that :meth:`partial_fit` can continue training.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Training samples; NaN marks missing values. Of more than about a million samples, a
            random million is used. Memory-mapped arrays are not copied.
        y : None
            Ignored, for compatibility with scikit-learn.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, in the training loss and in all statistics of the training
            samples. Samples with a weight of zero are ignored.

        Returns
        -------
        DAEEnergyScorer
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, a parameter or the modalities are not valid, if a modality has values in fewer
            than two samples, or if training diverges.
        """
        with all_or_nothing(self):
            pending = self.begin_fit(X, sample_weight)
            pending.finish(train_energies(pending.tasks, self.n_jobs))
            reservoir = Reservoir.of(
                pending.table, pending.held_out, pending.seed, self.buffer_size
            )
            self._reservoir: Reservoir = replace(reservoir, n_seen=self.n_samples_seen_)
            return self

    def begin_fit(self, X: Any, sample_weight: Any = None, *, is_part: bool = False) -> EnergyFit:
        """Validate the data of a fit, and return the energies to be trained.

        This allows the energies of several scorers to be trained together.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Training samples; NaN marks missing values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.
        is_part : bool, default=False
            Whether the scorer is the energy of a modality of another estimator, which warns about
            constant columns and fills missing values. Then X must be complete.

        Returns
        -------
        EnergyFit
            Pending fit. Its ``tasks`` must be trained, and its ``finish`` completes the fit.

        Raises
        ------
        ValueError
            If X, a parameter or the modalities are not valid.
        """
        self._validate_params()
        self.__dict__.pop("_reservoir", None)  # remove that of a previous fit
        self._check_parameters()
        table = check_table(
            self,
            X,
            dtype=[np.float64, np.float32],
            ensure_all_finite=True if is_part else "allow-nan",
            ensure_min_samples=2,
        )
        weight, keep = check_weights(sample_weight, table)
        seed, self.n_samples_seen_ = draw_seed(self.random_state), len(weight)
        rows = training_rows(len(weight), seed)
        table, weight = np.ascontiguousarray(table[keep][rows], dtype=float), weight[rows]
        self._learn_columns(X, table, is_part)
        n_held_out = round(self.calibration_fraction * len(table))
        held_out = np.random.RandomState(seed).permutation(len(table)) < n_held_out
        self._check_enough(int((~held_out).sum()), len(table))
        if not is_part:
            self._learn_to_fill(table[~held_out], weight[~held_out])
        tasks = self._tasks(table[~held_out], weight[~held_out], seed, self.max_epochs)
        return EnergyFit(self, tasks, table, held_out, weight, seed)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> "DAEEnergyScorer":
        """Continue training with the next samples of a stream.

        A uniform random sample of at most `buffer_size` of all samples so far, including those of
        :meth:`fit`, is stored in the estimator. Every call trains on this sample, for about as many
        steps as :meth:`fit` would take with the samples of the call. Therefore the order of the
        samples hardly matters, and earlier samples are not forgotten.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values. At least two in the first call, which also determines
            the levels of categorical columns. In the first call, every column needs a value in a
            sample that is not held out.
        y : None
            Ignored, for compatibility with scikit-learn.

        Returns
        -------
        DAEEnergyScorer
            The fitted estimator.

        Raises
        ------
        ValueError
            In the same cases as :meth:`fit`, and if the estimator is the energy of an
            :class:`EMMAClassifier` or :class:`EMMARegressor`, which do not store samples.

        Warns
        -----
        UserWarning
            If a categorical column has levels that are not among those of the first call. They
            remain unseen levels.
        """
        first = not hasattr(self, "energy_weights_")
        if not first and not hasattr(self, "_reservoir"):
            raise ValueError(
                f"This {type(self).__name__} was fitted as the energy of another estimator, and "
                "does not store earlier samples, which partial_fit needs. Clone it, and start with "
                "fit or partial_fit on the first samples."
            )
        with all_or_nothing(self):
            self._check_parameters()
            table = check_table(
                self,
                X,
                reset=first,
                ensure_all_finite="allow-nan",
                ensure_min_samples=2 if first else 1,
            )
            if first:
                self._learn_columns(X, table)
                self._reservoir = Reservoir(draw_seed(self.random_state), self.buffer_size)
            else:
                self._refuse_changes(X)
                warn_of_new_levels(self, table)
            reservoir = self._reservoir.add(table, self.calibration_fraction)
            self._reservoir = reservoir
            self.n_samples_seen_ = reservoir.n_seen
            samples = reservoir.training_samples()
            self._check_enough(len(samples), len(reservoir.samples))
            share = min(1.0, len(table) / len(reservoir.samples))
            n_epochs = max(1, round(self.max_epochs * share))
            start = None if first else self.energy_weights_
            equal = np.ones(len(samples))
            self._learn_to_fill(samples, equal, warn=first)
            tasks = self._tasks(samples, equal, reservoir.seed, n_epochs, start)
            trained = train_energies(tasks, self.n_jobs)
            samples = reservoir.samples
            equal = np.ones(len(samples))
            return self._store(samples, reservoir.held_out, trained, equal)

    def _refuse_changes(self, X: Any) -> None:
        """Raise ValueError if a parameter has changed that prevents partial_fit from continuing."""
        names, columns = resolve_modalities(self.modalities, X, remainder=self.remainder)
        same = names == self.modality_names_ and all(
            np.array_equal(*both) for both in zip(columns, self.modality_columns_, strict=True)
        )
        for parameter, kept in {
            "modalities": same,
            "buffer_size": self.buffer_size == self._reservoir.size,
        }.items():
            if not kept:
                raise ValueError(
                    f"{parameter} has changed since the first fit, which partial_fit continues. "
                    "Clone the scorer, and start with its first samples."
                )

    def _learn_columns(self, X: Any, table: np.ndarray, is_part: bool = False) -> None:
        """Determine modalities and levels of categories, and warn about the latter."""
        names, columns = resolve_modalities(self.modalities, X, remainder=self.remainder)
        self._refuse_shapes(names, columns)
        self.modality_names_, self.modality_columns_ = names, columns
        self.category_counts_ = count_levels(table, self.categories_)
        if not is_part:
            warn_of_infrequent_levels(self)
            warn_of_numbers_as_text(self, X)

    def _learn_to_fill(self, table: np.ndarray, weight: np.ndarray, warn: bool = True) -> None:
        """Learn to fill missing values, and warn about constant columns."""
        self.mean_, self.scale_ = learn_scales(self, table, weight, warn)
        standard = standardize(table, self.mean_, self.scale_)
        self.median_ = learn_medians(self, standard, weight)
        features = indicators_of(self).expand(standard)
        modalities = split_columns(features, feature_columns(self))
        self.gap_weights_ = learn_gap_fillings(self, modalities, weight)

    def _check_parameters(self) -> None:
        check_layer_sizes(self.hidden_layer_sizes)
        resolve_views(self.views)
        resolve_device(self.device)

    def _refuse_shapes(self, names: Sequence[str], columns: Sequence[np.ndarray]) -> None:
        """Raise ValueError if a modality has been declared a signal."""
        shapes = modality_shapes(self.modalities, names, columns)
        signals = [name for name, shape in zip(names, shapes, strict=True) if shape is not None]
        if signals:
            raise ValueError(
                f"Modalities {signals} have a shape, but a {type(self).__name__} does not use the "
                "order of columns. Use a SignalEnergyScorer for each of them, or omit the shape."
            )

    def _check_enough(self, n_training: int, n_samples: int) -> None:
        """Raise ValueError if too few samples are left for training."""
        if n_training < min(2, n_samples):
            raise ValueError(
                f"calibration_fraction={self.calibration_fraction:g} holds out "
                f"{n_samples - n_training} of {n_samples} samples and leaves {n_training} for "
                "training, but at least 2 are needed. Lower it, or fit on more samples."
            )

    def _tasks(
        self,
        table: np.ndarray,
        weight: np.ndarray,
        seed: int,
        max_epochs: int,
        start: list[dict[str, np.ndarray]] | None = None,
    ) -> list[EnergyTask]:
        """Return one training task per modality. A new architecture is trained from scratch."""
        features, missing = self._complete(table)
        samples = []
        for i, positions in enumerate(feature_columns(self)):
            rows = rows_to_learn(self.modality_names_[i], missing[:, i])
            samples.append(EnergySamples(features[rows][:, positions], weight[rows]))
        architectures = [architecture_of(self, len(x)) for x, _ in samples]
        starts: list[dict[str, np.ndarray] | None] = [None] * len(samples)
        if start is not None:
            known = zip(start, architectures, self._architectures, strict=True)
            starts = [old if tuple(new) == kept else None for old, new, kept in known]
        self._architectures = [tuple(architecture) for architecture in architectures]
        return modality_tasks(self, architectures, samples, seed, max_epochs, starts)

    def _store(
        self,
        table: np.ndarray,
        held_out: np.ndarray,
        trained: Sequence[TrainedEnergy],
        weight: np.ndarray,
    ) -> "DAEEnergyScorer":
        """Store the trained energies, and compute their scales."""
        self.energy_weights_ = [energy.weights for energy in trained]
        self.loss_curve_ = [energy.history["train_loss"] for energy in trained]
        self.validation_loss_curve_ = (
            [energy.history["valid_loss"] for energy in trained] if self.early_stopping else None
        )
        self.n_iter_ = max(len(curve) for curve in self.loss_curve_)
        features, missing = self._complete(table)
        potentials = self._evaluate(features, EnergyEnsemble.potential, torch.float64)
        learned = np.column_stack(
            [rows_to_learn(name, missing[:, i]) for i, name in enumerate(self.modality_names_)]
        )
        median, iqr = median_and_range(np.where(learned, potentials, np.nan), weight)
        self.potential_median_ = median if self.scale_energies else np.zeros_like(median)
        self.potential_iqr_ = iqr if self.scale_energies else np.ones_like(iqr)
        energies = self._scaled(potentials) + energy_of_gaps(missing)
        self.calibration_energies_ = energies[held_out]
        score = -total_energy(energies)
        score[np.isinf(score)] = np.nan  # samples without any value
        self.offset_ = outlier_threshold(score, self.contamination, weight)
        return self
