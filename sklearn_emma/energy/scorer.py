"""DAEEnergyScorer: energies of modalities as a scikit-learn estimator."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator

from sklearn_emma.categories import count_levels
from sklearn_emma.compat import Interval, StrOptions, _fit_context
from sklearn_emma.energy.energy_scale import interquartile_range
from sklearn_emma.energy.outliers import outlier_threshold
from sklearn_emma.energy.read_outs import EnergyReadOuts
from sklearn_emma.energy.reservoir import Reservoir
from sklearn_emma.energy.tasks import architecture_of, modality_tasks
from sklearn_emma.energy.training import EnergyTask, TrainedEnergy, train_energies
from sklearn_emma.energy.views import EnergyView, resolve_views
from sklearn_emma.engine.device import resolve_device
from sklearn_emma.engine.one_cycle import SCHEDULES
from sklearn_emma.engine.seeding import draw_seed
from sklearn_emma.modalities import modality_shapes, resolve_modalities
from sklearn_emma.nn import EnergyEnsemble
from sklearn_emma.nn.energy import ACTIVATIONS
from sklearn_emma.targets import check_weights
from sklearn_emma.validation import (
    all_or_nothing,
    check_layer_sizes,
    check_table,
    warn_of_constants,
    warn_of_infrequent_levels,
)


@dataclass(frozen=True)
class EnergyFit:
    """A fit that waits for its energies to be trained.

    Attributes
    ----------
    scorer : DAEEnergyScorer
        What is fitted.
    tasks : list of EnergyTask
        What is to be trained.
    table : ndarray of shape (n_samples, n_features)
        All samples.
    held_out : ndarray of bool of shape (n_samples,)
        Those that calibrate.
    seed : int
        Determines everything random.
    """

    scorer: "DAEEnergyScorer"
    tasks: list[EnergyTask]
    table: np.ndarray
    held_out: np.ndarray
    seed: int

    def finish(self, trained: Sequence[TrainedEnergy]) -> "DAEEnergyScorer":
        """Store what was trained, and return the fitted scorer."""
        return self.scorer._store(self.table, self.held_out, trained)


class DAEEnergyScorer(EnergyReadOuts, BaseEstimator):
    r"""Energy of each modality: how unlike the training samples a sample is.

    Denoising autoencoders with tied weights learn, modality by modality, to undo noise; their
    potential :math:`\Psi`, in closed form, is low where the training samples are dense [1]_ [2]_.
    The energy is the potential on a scale that is the same for all modalities,

    .. math:: E_i(x) = \frac{\Psi_i(x_i) - \mathrm{median}\, \Psi_i}{\mathrm{IQR}\, \Psi_i},

    median and interquartile range taken over the training samples: 0 is typical, and larger is more
    unusual. A sample's score is minus the sum of its energies.

    Missing values are refused, both NaN and missing levels of categories. Drop these samples or
    impute their values, or use :class:`EMMAClassifier`, which accepts missing values and fits the
    energy of each modality on the samples without gaps.

    Parameters
    ----------
    modalities : dict, list of (name, columns), callable, "prefix" or None, default=None
        The groups of columns. Columns are given as to
        :class:`~sklearn.compose.ColumnTransformer`; a callable maps a column's name to its
        modality's; "prefix" takes the part of a column's name before ``__``. None makes one
        modality, "all", of all columns.

    remainder : "error", "drop" or str, default="error"
        What to do with columns that belong to no modality: raise, ignore them, or gather them in a
        modality of this name. Ignored columns may hold anything.

    hidden_layer_sizes : tuple of int, default=(48, 32)
        Units of each hidden layer of the energy. One layer is the tied autoencoder of the thesis
        [1]_; more layers are the deep energy [3]_.

    activation : {"tanh", "sigmoid", "relu", "identity"}, default="tanh"
        Response h of the hidden units. With the bounded ones, tanh and sigmoid, the energy grows
        without bound as a sample moves away from the training samples; with relu and identity it
        may not.

    views : {"fine", "coarse"}, EnergyView or tuple of them, default=("fine", "coarse")
        The views that the energy is learned from. Each view trains its own autoencoder, and a
        sample is unusual if any view finds it unusual (a soft maximum). "fine" removes noise of the
        size of the distance between neighbouring samples, and is sharp near them; "coarse" also
        removes much larger noise, is scaled by quartiles, which outliers affect less, and rises far
        away. For other views see :class:`EnergyView`; :func:`make_thesis_scorer` uses that of the
        thesis.

    scale_energies : bool, default=True
        Whether energies are in interquartile ranges above the median, as above. If False, they are
        the potentials :math:`\Psi_i` themselves, as in the thesis; several views are brought to a
        common scale in either case.

    contamination : "auto" or float in (0, 0.5], default="auto"
        Fraction of training samples that :meth:`predict` calls outliers. "auto" takes as outliers
        what exceeds the third quartile of the training samples' total energies by more than 1.5
        interquartile ranges, but at least the most unusual sample in a hundred.

    calibration_fraction : float, default=0.1
        Fraction of training samples that are held out to calibrate :meth:`p_values` and
        :meth:`predict_modality`, in [0, 1). 0 trains on all samples, and these methods raise.

    learning_rate : float, default=0.02
        Largest learning rate of the cycle, or the constant one.

    learning_rate_schedule : {"one_cycle", "constant"}, default="one_cycle"
        Whether the learning rate rises and falls once, or stays as it is.

    max_epochs : int, default=100
        Passes over the training samples.

    batch_size : int or "auto", default="auto"
        Samples per step. "auto" takes 1/6 of the samples, within 32 and 1024, or 1/100 of them up
        to 4096 when that is more.

    early_stopping : bool, default=False
        Whether to hold out samples, to stop when their loss no longer improves, and to go back to
        the best epoch.

    validation_fraction : float, default=0.1
        Fraction of samples held out with `early_stopping`.

    n_iter_no_change : int, default=10
        Epochs without improvement before stopping early.

    tol : float, default=1e-4
        Smallest relative improvement that counts for early stopping.

    buffer_size : int, default=10_000
        Samples that :meth:`fit` and :meth:`partial_fit` keep, a uniform sample of all they have
        seen.

    n_jobs : int, default=None
        Processes, as in joblib. Modalities of similar width are trained together anyway.

    device : str or torch.device, default="auto"
        Where to train. "auto" takes CUDA when present, else the CPU.

    random_state : int, RandomState instance or None, default=None
        Determines initial weights, shuffling and noise. Pass an int for the same result in
        every call; torch's global generators are not touched.

    verbose : bool, default=False
        Whether to show progress.

    Attributes
    ----------
    modality_names_ : list of str
        Names of the modalities.
    modality_columns_ : list of ndarray of int
        Positions of each modality's columns.
    energy_weights_ : list of dict of str to ndarray
        Weights of each modality's :class:`~sklearn_emma.nn.EnergyEnsemble`.
    potential_median_, potential_iqr_ : ndarray of shape (n_modalities,)
        Location and scale of each modality's training potentials; zeros and ones without
        `scale_energies`.
    offset_ : float
        Samples with a score below are outliers.
    calibration_energies_ : ndarray of shape (n_held_out, n_modalities)
        Energies of the samples held out to calibrate.
    loss_curve_ : list of ndarray of shape (n_epochs,)
        Training loss of each modality.
    validation_loss_curve_ : list of ndarray of shape (n_epochs,) or None
        Loss of each modality's held-out samples, None without `early_stopping`.
    n_iter_ : int
        Largest number of epochs of any modality.
    categories_ : dict of int to list
        Levels of the categorical columns, by position; empty where there are none.
    category_counts_ : dict of int to ndarray of int of shape (n_levels,)
        Training samples of each level; with :meth:`partial_fit`, of the first call.
    n_samples_seen_ : int
        Samples seen, by :meth:`fit` and by all calls of :meth:`partial_fit` after it.
    n_features_in_ : int
        Number of columns seen at fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, when all are strings.

    See Also
    --------
    EMMAClassifier, EMMARegressor : Turn energies into an attention gate, and predict.

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

        A uniform sample of at most `buffer_size` of the samples, whatever their weights, is stored
        in the estimator, so that :meth:`partial_fit` can continue.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Training samples, finite numbers.
        y : None
            Ignored, here for scikit-learn's conventions.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples in the training loss; a sample of weight zero is left out.

        Returns
        -------
        DAEEnergyScorer
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, a parameter or the modalities are not valid, or training diverges.
        """
        with all_or_nothing(self):
            pending = self.begin_fit(X, sample_weight)
            pending.finish(train_energies(pending.tasks, self.n_jobs))
            self._reservoir: Reservoir = Reservoir.of(
                pending.table, pending.held_out, pending.seed, self.buffer_size
            )
            return self

    def begin_fit(self, X: Any, sample_weight: Any = None, *, quiet: bool = False) -> EnergyFit:
        """Validate the data of a fit, and return what it has to train.

        With it, the energies of several scorers can be trained together.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Training samples, finite numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.
        quiet : bool, default=False
            Whether not to warn of constant columns.

        Returns
        -------
        EnergyFit
            Its ``tasks`` are to be trained, and its ``finish`` completes the fit.

        Raises
        ------
        ValueError
            If X, a parameter or the modalities are not valid.
        """
        self._validate_params()
        self.__dict__.pop("_reservoir", None)  # of the previous fit
        self._check_parameters()
        table = check_table(self, X, ensure_min_samples=2)
        weight, keep = check_weights(sample_weight, table)
        table = table[keep]
        self._learn_columns(X, table, quiet)
        table = self._features(table)
        self.n_samples_seen_ = len(table)
        seed = draw_seed(self.random_state)
        n_held_out = round(self.calibration_fraction * len(table))
        held_out = np.random.RandomState(seed).permutation(len(table)) < n_held_out
        self._check_enough(int((~held_out).sum()), len(table))
        tasks = self._tasks(table[~held_out], weight[~held_out], seed, self.max_epochs)
        return EnergyFit(self, tasks, table, held_out, seed)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> "DAEEnergyScorer":
        """Continue training with the next samples of a stream.

        A uniform sample of everything seen so far, by :meth:`fit` too, of at most `buffer_size`, is
        stored in the estimator, and every call trains on it, for as many steps as :meth:`fit` would
        take with the samples of the call. So the order of the samples hardly matters, and earlier
        samples are not forgotten.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples, finite numbers; at least two in the first call.
        y : None
            Ignored, here for scikit-learn's conventions.

        Returns
        -------
        DAEEnergyScorer
            The fitted estimator.

        Raises
        ------
        ValueError
            As :meth:`fit`, and if the estimator is the energy of an :class:`EMMAClassifier` or
            :class:`EMMARegressor`, which keep no samples.
        """
        first = not hasattr(self, "energy_weights_")
        if not first and not hasattr(self, "_reservoir"):
            raise ValueError(
                f"This {type(self).__name__} was fitted as the energy of another estimator, and "
                "keeps no samples that new ones could be mixed with. Clone it, and start with fit "
                "or partial_fit on the first samples."
            )
        with all_or_nothing(self):
            self._check_parameters()
            table = check_table(self, X, reset=first, ensure_min_samples=2 if first else 1)
            if first:
                self._learn_columns(X, table)
                self._reservoir = Reservoir(draw_seed(self.random_state), self.buffer_size)
            reservoir = self._reservoir.add(self._features(table), self.calibration_fraction)
            self._reservoir = reservoir
            self.n_samples_seen_ = reservoir.n_seen
            samples = reservoir.training_samples()
            self._check_enough(len(samples), len(reservoir.samples))
            share = min(1.0, len(table) / len(reservoir.samples))
            n_epochs = max(1, round(self.max_epochs * share))
            start = None if first else self.energy_weights_
            tasks = self._tasks(samples, np.ones(len(samples)), reservoir.seed, n_epochs, start)
            trained = train_energies(tasks, self.n_jobs)
            return self._store(reservoir.samples, reservoir.held_out, trained)

    def _learn_columns(self, X: Any, table: np.ndarray, quiet: bool = False) -> None:
        """Find the modalities and the levels of categories; warn of columns that tell nothing."""
        names, columns = resolve_modalities(self.modalities, X, remainder=self.remainder)
        self._refuse_shapes(names, columns)
        self.modality_names_, self.modality_columns_ = names, columns
        self.category_counts_ = count_levels(table, self.categories_)
        if not quiet:
            warn_of_constants(table, self, np.concatenate(columns))
            warn_of_infrequent_levels(self)

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
                f"Modalities {signals} have a shape, but a {type(self).__name__} knows no order of "
                "columns. Use a SignalEnergyScorer for each, or leave the shape out."
            )

    def _check_enough(self, n_training: int, n_samples: int) -> None:
        """Raise ValueError if too few samples are left to learn from."""
        if n_training < min(2, n_samples):
            raise ValueError(
                f"calibration_fraction={self.calibration_fraction:g} holds out "
                f"{n_samples - n_training} of {n_samples} samples and leaves {n_training} to learn "
                "from, but at least 2 are needed. Lower it, or fit on more samples."
            )

    def _tasks(
        self,
        samples: np.ndarray,
        weight: np.ndarray,
        seed: int,
        max_epochs: int,
        start: list[dict[str, np.ndarray]] | None = None,
    ) -> list[EnergyTask]:
        """Return one training per modality; a new architecture starts anew."""
        architecture = architecture_of(self, len(samples))
        if start is not None and tuple(architecture) != self._architecture:
            start, max_epochs = None, self.max_epochs
        self._architecture = tuple(architecture)
        return modality_tasks(self, architecture, samples, weight, seed, max_epochs, start)

    def _store(
        self, table: np.ndarray, held_out: np.ndarray, trained: Sequence[TrainedEnergy]
    ) -> "DAEEnergyScorer":
        """Store the trained energies, and find their scales."""
        self.energy_weights_ = [energy.weights for energy in trained]
        self.loss_curve_ = [energy.history["train_loss"] for energy in trained]
        self.validation_loss_curve_ = (
            [energy.history["valid_loss"] for energy in trained] if self.early_stopping else None
        )
        self.n_iter_ = max(len(curve) for curve in self.loss_curve_)
        potentials = self._evaluate(table, EnergyEnsemble.potential, torch.float64)
        median = np.quantile(potentials, 0.5, axis=0)
        self.potential_median_ = median if self.scale_energies else np.zeros_like(median)
        iqr = interquartile_range(potentials)
        self.potential_iqr_ = iqr if self.scale_energies else np.ones_like(iqr)
        energies = self._scaled(potentials)
        self.calibration_energies_ = energies[held_out]
        self.offset_ = outlier_threshold(-energies.sum(axis=1), self.contamination)
        return self
