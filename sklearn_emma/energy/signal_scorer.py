"""SignalEnergyScorer: a scikit-learn estimator of the energy of signals or images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.compat import Interval, StrOptions, _check_feature_names_in, _fit_context
from sklearn_emma.energy.energy_scale import median_and_range
from sklearn_emma.energy.modality_energies import ScaledEnergy
from sklearn_emma.energy.outliers import ThresholdMixin, outlier_threshold
from sklearn_emma.energy.p_values import check_held_out, conformal_p_values
from sklearn_emma.energy.protocol import Precision, load_energy
from sklearn_emma.energy.signal_training import (
    SignalArchitecture,
    channel_scale,
    check_shape,
    for_columns,
    joined_weights,
    signal_tasks,
    warn_of_constant_channels,
)
from sklearn_emma.energy.training import EnergyTask, TrainedEnergy, train_energies
from sklearn_emma.energy.views import VIEWS
from sklearn_emma.engine.batches import (
    auto_batch_size,
    blocks,
    evaluation_block,
    training_rows,
)
from sklearn_emma.engine.cache import cached
from sklearn_emma.engine.device import resolve_device
from sklearn_emma.engine.objective import TrainingConfig
from sklearn_emma.engine.one_cycle import SCHEDULES
from sklearn_emma.engine.seeding import draw_seed
from sklearn_emma.lazy import is_lazy, map_chunks, refuse_container
from sklearn_emma.nn import SignalEnergy
from sklearn_emma.nn.signal_energy import SIGNAL_VIEWS
from sklearn_emma.targets import check_weights
from sklearn_emma.validation import all_or_nothing, check_table

Method = Callable[[SignalEnergy, torch.Tensor], torch.Tensor]
# Number of samples that are held out of a small table, and the smallest useful number.
_USUAL_HELD_OUT, _FEWEST_HELD_OUT = 20, 10


@dataclass(frozen=True)
class SignalFit:
    """Pending fit of a scorer, whose energies are yet to be trained.

    Attributes
    ----------
    scorer : SignalEnergyScorer
        Scorer to be fitted.
    tasks : list of EnergyTask
        Energies to be trained, one per view.
    table : ndarray of shape (n_samples, n_features)
        All samples.
    weight : ndarray of shape (n_samples,)
        Weights of the samples.
    held_out : ndarray of bool of shape (n_samples,)
        Whether each sample is held out for calibration.
    channels : (ndarray, ndarray)
        Mean and scale of the channels.
    """

    scorer: "SignalEnergyScorer"
    tasks: list[EnergyTask]
    table: np.ndarray
    weight: np.ndarray
    held_out: np.ndarray
    channels: tuple[np.ndarray, np.ndarray]

    def finish(self, trained: Sequence[TrainedEnergy]) -> "SignalEnergyScorer":
        """Store the trained energies, and return the fitted scorer."""
        return self.scorer._store(self, trained)


class SignalEnergyScorer(ThresholdMixin, TransformerMixin, BaseEstimator):
    r"""Energy of a signal or an image, which measures how unlike the training samples it is.

    A signal can fail in ways that single values do not show: it stops, a part of it drops out, it
    is delayed, or mains hum is added. Therefore each of three views of the signal has an energy,
    and a sample is unusual if it is unusual in any view:

    * "signal": a convolutional denoising autoencoder
      (:class:`~sklearn_emma.nn.ConvolutionalEnergy`) learns patterns of values within a channel and
      across channels, and where in the window they occur;
    * "spectrum": an autoencoder of the logarithmic power in frequency bands;
    * "power": an autoencoder of the logarithms of the variance and of the mean squared difference
      between neighboring values, both in short windows.

    Energies are in interquartile ranges above the median of samples that were held out from the
    training, as the energies of the training samples are clearly lower than those of new ones. For
    modalities that are signals, this class replaces :class:`DAEEnergyScorer`. A delay of
    the whole window is detected only if the training windows are aligned, for instance with
    heartbeats. A delay of one channel is detected only if it is related to the other channels.

    Read more in the :doc:`how-to guide </howto/signals>`.

    Parameters
    ----------
    shape : tuple of int, default=None
        (channels, length) of a signal, or (channels, height, width) of an image. The columns hold
        its values in C order: channel by channel, and row by row for an image. None treats all
        columns as one channel; as energy of a modality with a shape, None means this shape.

    views : tuple of {"signal", "spectrum", "power"}, default=("signal", "spectrum", "power")
        Views whose energies are learned.

    n_filters : int, default=8
        Number of filters of the convolutional energy.

    kernel_size : int, default=7
        Size of a filter along each axis. It is limited to the size of the window, and an even size
        is reduced by one.

    contamination : "auto" or float in (0, 0.5], default="auto"
        Fraction of training samples that :meth:`predict` considers as outliers, as in scikit-learn.
        Of new samples, a larger fraction are outliers, and a much larger one if there are few
        training samples. With "auto", outliers are samples whose energy exceeds the third quartile
        of the held-out samples by more than 1.5 interquartile ranges, but at least the most unusual
        1 % of them. For a given rate of false alarms among new samples, use :meth:`p_values`.

    calibration_fraction : float, default=0.1
        Fraction of training samples in [0, 1) that are held out to compute medians, interquartile
        ranges, the threshold of "auto" and p-values. At least 20 samples are held out, but at most
        a third of all; from fewer than 30 samples, or if it is 0, none. Then the training samples
        are used in their place, and :meth:`p_values` raises an error.

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

    n_jobs : int, default=None
        Number of parallel processes that train the views, as in joblib.

    device : str or torch.device, default="auto"
        Device of the training. "auto" uses CUDA if it is available, else the CPU.

    random_state : int, RandomState instance or None, default=None
        Controls initial weights, shuffling and noise.

    verbose : bool, default=False
        Whether to show progress.

    Attributes
    ----------
    shape_ : tuple of int
        Shape of a sample.
    energy_weights_ : dict of str to ndarray
        Weights of the :class:`~sklearn_emma.nn.SignalEnergy`.
    potential_median_, potential_iqr_ : float
        Median and interquartile range of the potentials of held-out samples.
    calibration_energies_ : ndarray of shape (n_held_out,)
        Energies of the samples that were held out for calibration.
    offset_ : float
        Threshold of the score. Samples with a lower score are outliers.
    loss_curve_ : dict of str to ndarray of shape (n_epochs,)
        Training loss of each view.
    n_iter_ : int
        Number of epochs.
    n_features_in_ : int
        Number of columns seen at fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if all are strings.

    See Also
    --------
    DAEEnergyScorer : Energies of columns that are not ordered.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma import SignalEnergyScorer
    >>> rng = np.random.default_rng(0)
    >>> phase = rng.uniform(0, 2 * np.pi, (300, 1))
    >>> X = np.sin(0.4 * np.arange(50) + phase) + 0.1 * rng.normal(size=(300, 50))
    >>> scorer = SignalEnergyScorer(shape=(1, 50), max_epochs=20, random_state=0).fit(X)
    >>> stuck = np.repeat(X[:5, :1], 50, axis=1)
    >>> scorer.predict(stuck)
    array([-1, -1, -1, -1, -1])
    """

    _parameter_constraints: dict = {
        "shape": [tuple, list, None],
        "views": [tuple, list],
        "n_filters": [Interval(Integral, 1, None, closed="left")],
        "kernel_size": [Interval(Integral, 1, None, closed="left")],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "calibration_fraction": [Interval(Real, 0, 1, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "learning_rate_schedule": [StrOptions(set(SCHEDULES))],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "n_jobs": [None, Integral],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        *,
        views: Sequence[str] = ("signal", "spectrum", "power"),
        n_filters: int = 8,
        kernel_size: int = 7,
        contamination: str | float = "auto",
        calibration_fraction: float = 0.1,
        learning_rate: float = 0.02,
        learning_rate_schedule: str = "one_cycle",
        max_epochs: int = 100,
        batch_size: int | str = "auto",
        n_jobs: int | None = None,
        device: str | torch.device = "auto",
        random_state: Any = None,
        verbose: int | bool = False,
    ) -> None:
        self.shape = shape
        self.views = views
        self.n_filters = n_filters
        self.kernel_size = kernel_size
        self.contamination = contamination
        self.calibration_fraction = calibration_fraction
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    # --- fit ---

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "SignalEnergyScorer":
        """Learn the energy.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Training samples: flattened signals with finite values. Of more than about a million, a
            random million is used.
        y : None
            Ignored, for compatibility with scikit-learn.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, in the training loss and in all statistics of the training
            samples. Samples with a weight of zero are ignored.

        Returns
        -------
        SignalEnergyScorer
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or a parameter is not valid, if the shape does not match the number of columns, or
            if training diverges.
        """
        with all_or_nothing(self):
            pending = self.begin_fit(X, sample_weight)
            return pending.finish(train_energies(pending.tasks, self.n_jobs))

    def begin_fit(self, X: Any, sample_weight: Any = None, *, is_part: bool = False) -> SignalFit:
        """Validate the data of a fit, and return the energies to be trained.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Training samples, with finite values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.
        is_part : bool, default=False
            Whether the scorer is the energy of a modality of another estimator, which warns about
            constant channels.

        Returns
        -------
        SignalFit
            Pending fit. Its ``tasks`` must be trained, and its ``finish`` completes the fit.

        Raises
        ------
        ValueError
            If X or a parameter is not valid.
        """
        self._validate_params()
        views = self._check_views()
        device = resolve_device(self.device)
        table = self._check(X, reset=True)
        weight, keep = check_weights(sample_weight, table)
        seed = draw_seed(self.random_state)
        rows = training_rows(len(weight), seed)
        table, weight = np.ascontiguousarray(table[keep][rows], dtype=float), weight[rows]
        self.shape_ = check_shape(self.shape, table.shape[1])
        if not is_part:
            warn_of_constant_channels(table, self.shape_[0])
        held_out = _hold_out(len(table), self.calibration_fraction, seed)
        samples, sample_weights = table[~held_out], weight[~held_out]
        architecture = SignalArchitecture(
            self.shape_,
            self.n_filters,
            self.kernel_size,
            VIEWS["fine"].count_prototypes(len(samples)),
            views,
        )
        # a plain tuple, which can be serialized anywhere
        self._architecture: Any = tuple(architecture)
        training = TrainingConfig(
            batch_size=auto_batch_size(self.batch_size, len(samples)),
            learning_rate=float(self.learning_rate),
            max_epochs=self.max_epochs,
            verbose=self.verbose,
            schedule=self.learning_rate_schedule,
        )
        channels = channel_scale(samples, sample_weights, self.shape_[0])
        center, scale = for_columns(channels, table.shape[1])
        standard = (samples - center) / scale
        tasks = signal_tasks(standard, sample_weights, architecture, training, (device, seed))
        return SignalFit(self, tasks, table, weight, held_out, channels)

    def _check_views(self) -> tuple[str, ...]:
        views = tuple(self.views)
        if not views or len(set(views)) < len(views) or not set(views) <= set(SIGNAL_VIEWS):
            raise ValueError(
                f"views must hold one or more of {', '.join(map(repr, SIGNAL_VIEWS))}, each once, "
                f"got {self.views!r}."
            )
        return views

    def _check(self, X: Any, reset: bool = False) -> np.ndarray:
        """Validate samples, and return them as an array."""
        if not reset:
            check_is_fitted(self)
        # a large table in single precision is not converted as a whole
        dtypes: Any = [np.float64, np.float32] if reset else np.float64
        table = check_table(
            self, X, dtype=dtypes, reset=reset, ensure_min_samples=2 if reset else 1
        )
        if self.categories_:
            raise ValueError(
                f"A signal consists of numbers, but {len(self.categories_)} column(s) of X are "
                "categorical. Omit them, or put them in a separate modality."
            )
        return table if reset else np.ascontiguousarray(table)  # reversed arrays cannot be tensors

    def _store(self, fit: SignalFit, trained: Sequence[TrainedEnergy]) -> "SignalEnergyScorer":
        """Store the trained energies, and compute their scales and the threshold."""
        views = SignalArchitecture(*self._architecture).views
        pairs = dict(zip(views, trained, strict=True))
        self.loss_curve_ = {view: energy.history["train_loss"] for view, energy in pairs.items()}
        self.n_iter_ = max(map(len, self.loss_curve_.values()))
        by_view = {view: energy.weights for view, energy in pairs.items()}
        weights = joined_weights(by_view, fit.channels)
        self.energy_weights_ = weights
        calibrates = fit.held_out if fit.held_out.any() else ~fit.held_out
        weight = fit.weight[calibrates]
        potentials = self._evaluate(fit.table[calibrates], SignalEnergy.unusual)
        weights["level"], weights["spread"] = median_and_range(potentials, weight)
        self.energy_weights_ = dict(weights)  # a new object, so that cached modules are rebuilt
        potentials = self._evaluate(fit.table, SignalEnergy.potential)
        (median,), (iqr,) = median_and_range(potentials[calibrates, None], weight)
        self.potential_median_, self.potential_iqr_ = float(median), float(iqr)
        scores = self._scores(potentials)
        self.calibration_energies_ = -scores[fit.held_out]
        # a given fraction is one of the training samples, as scikit-learn requires
        judged = calibrates if isinstance(self.contamination, str) else slice(None)
        self.offset_ = outlier_threshold(scores[judged], self.contamination, fit.weight[judged])
        return self

    # --- evaluation ---

    def tensor_energy(self, precision: Precision) -> ScaledEnergy:
        """Return the fitted energy as a function of tensors.

        Parameters
        ----------
        precision : Precision
            Device and dtypes of the evaluation.

        Returns
        -------
        ScaledEnergy
            Energy, whose method ``potential`` takes complete samples.
        """
        return ScaledEnergy(self._module(precision), self.potential_median_, self.potential_iqr_)

    def _module(self, precision: Precision) -> SignalEnergy:
        """Return the cached module of the energy."""

        def build() -> SignalEnergy:
            # the fitted architecture, even if parameters have changed since
            module = SignalArchitecture(*self._architecture).build()
            return load_energy(module, self.energy_weights_, precision)

        return cached(self, precision, (self.energy_weights_,), build)

    def _scores(self, potentials: np.ndarray) -> np.ndarray:
        """Convert potentials to scores."""
        return (self.potential_median_ - potentials) / self.potential_iqr_

    def _evaluate(self, table: np.ndarray, method: Method) -> np.ndarray:
        """Return the results of a method of the energy for samples."""
        module = self._module(Precision())
        with torch.inference_mode():
            found = [
                method(module, torch.tensor(block)).numpy()
                for _, block in blocks(table, evaluation_block(torch.float64))
            ]
        return np.concatenate(found)

    def transform(self, X: Any) -> np.ndarray:
        """Return the energy of each view, which shows in what way a sample is unusual.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_views)
            Energies, in interquartile ranges above the median of the held-out samples.
        """
        refuse_container(self, X)
        if is_lazy(X):
            return map_chunks(self.transform, X)
        return self._evaluate(self._check(X), SignalEnergy.unusual)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return minus the energy of each sample. High scores are normal.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            Scores.
        """
        if is_lazy(X):
            return map_chunks(self.score_samples, X)
        return self._scores(self._evaluate(self._check(X), SignalEnergy.potential))

    def p_values(self, X: Any) -> np.ndarray:
        r"""Return the conformal p-value of each sample [1]_.

        The probability that the p-value of a new clean sample is at most :math:`\alpha` is at most
        :math:`\alpha`, whatever the distribution of the samples.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            P-values in (0, 1], small for samples that are unlike the training samples.

        Raises
        ------
        ValueError
            If no sample was held out for calibration.

        References
        ----------
        .. [1] Bates, S. et al. (2023). Testing for outliers with conformal p-values. Annals of
           Statistics 51.
        """
        if is_lazy(X):
            return map_chunks(self.p_values, X)
        energies = -self.score_samples(X)
        check_held_out(len(self.calibration_energies_), fewest=3 * _FEWEST_HELD_OUT)
        return conformal_p_values(self.calibration_energies_[:, None], energies[:, None])[:, 0]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns of :meth:`transform`.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns seen at fit. They are validated, but not needed.

        Returns
        -------
        ndarray of str of shape (n_views,)
            Names ``energy_<view>``.
        """
        check_is_fitted(self)
        _check_feature_names_in(self, input_features)
        views = SignalArchitecture(*self._architecture).views
        return np.array([f"energy_{view}" for view in views], dtype=object)


def _hold_out(n_samples: int, fraction: float, seed: int) -> np.ndarray:
    """Choose the samples that are held out for calibration, as a mask of shape (n_samples,)."""
    held_out = np.zeros(n_samples, dtype=bool)
    number = min(max(round(fraction * n_samples), _USUAL_HELD_OUT), n_samples // 3)
    if fraction > 0 and number >= _FEWEST_HELD_OUT:
        held_out[np.random.RandomState(seed).permutation(n_samples)[:number]] = True
    return held_out
