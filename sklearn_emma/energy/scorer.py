"""DAEEnergyScorer: stage 1 as a scikit-learn estimator."""

from functools import partial
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split

from sklearn_emma.compat import Interval, StrOptions, _fit_context
from sklearn_emma.energy.readouts import ScoredModalities
from sklearn_emma.energy.reservoir import Reservoir
from sklearn_emma.energy.training import Architecture, Job, Settings, train_energies
from sklearn_emma.energy.views import EnergyView, resolve_views
from sklearn_emma.engine.batches import auto_batch_size
from sklearn_emma.engine.device import resolve_device
from sklearn_emma.engine.seeding import draw_seed
from sklearn_emma.modalities import resolve_modalities
from sklearn_emma.nn import EnergyEnsemble
from sklearn_emma.nn.energy import ACTIVATIONS
from sklearn_emma.validation import (
    all_or_nothing,
    check_layer_sizes,
    check_table,
    check_weights,
    warn_of_constants,
)


class DAEEnergyScorer(ScoredModalities, BaseEstimator):
    r"""Energy of each modality: how unlike the training rows a row is.

    Denoising autoencoders with tied weights learn, modality by modality, to undo noise; their
    potential :math:`\Psi`, in closed form, is low where the training rows are dense [1]_ [2]_. The
    energy is the potential on a scale that is the same for all modalities,

    .. math:: E_i(x) = \frac{\Psi_i(x_i) - \mathrm{median}\, \Psi_i}{\mathrm{IQR}\, \Psi_i},

    median and interquartile range taken over the training rows: 0 is typical, and larger is more
    unusual. A row's score is minus the sum of its energies.

    Parameters
    ----------
    modalities : dict, list of (name, columns), callable, "prefix" or None, default=None
        The groups of columns. Columns are given as to
        :class:`~sklearn.compose.ColumnTransformer`; a callable maps a column's name to its
        modality's; "prefix" takes the part of a column's name before ``__``. None makes one
        modality, "all", of all columns.

    remainder : "error", "drop" or str, default="error"
        What to do with columns that belong to no modality: raise, leave them out, or gather them in
        a modality of this name. Columns that are left out must hold numbers all the same.

    hidden_layer_sizes : tuple of int, default=(48, 32)
        Units of each hidden layer of the energy. One layer is the tied autoencoder of the thesis
        [1]_; more layers are the deep energy [3]_.

    activation : {"tanh", "sigmoid", "relu", "identity"}, default="tanh"
        Response h of the hidden units. With the bounded ones, tanh and sigmoid, the energy grows
        without end as a row moves away from the training rows; with relu and identity it need not.

    views : {"fine", "coarse"}, EnergyView or tuple of them, default=("fine", "coarse")
        What to learn the energy from. Each view trains an autoencoder of its own, and a row is
        unusual when any of them finds it so (a soft maximum). "fine" undoes noise of the size of
        the distance between neighbouring rows, and is sharp near them; "coarse" also undoes much
        more, in quartiles that outliers stretch less, and rises far away. For others, the plain
        autoencoder of the thesis among them, see :class:`EnergyView`.

    contamination : "auto" or float in (0, 0.5], default="auto"
        Fraction of training rows that :meth:`predict` calls outliers. "auto" takes as outliers
        what exceeds the third quartile of the training rows' total energies by more than 1.5
        interquartile ranges, but at least the most unusual row in a hundred.

    calibration_fraction : float, default=0.1
        Fraction of training rows that are held out to calibrate :meth:`p_values` and
        :meth:`predict_modality`, in [0, 1). 0 trains on all rows, and these methods raise.

    learning_rate : float, default=0.01
        Largest learning rate of the cycle.

    max_epochs : int, default=100
        Passes over the training rows.

    batch_size : int or "auto", default="auto"
        Rows per step. "auto" takes 1/40 of the rows, within 32 and 256, or 1/100 of them up to
        4096 when that is more.

    early_stopping : bool, default=False
        Whether to hold out rows, to stop when their loss no longer improves, and to go back to the
        best epoch.

    validation_fraction : float, default=0.1
        Fraction of rows held out with `early_stopping`.

    n_iter_no_change : int, default=10
        Epochs without improvement before stopping early.

    tol : float, default=1e-4
        Smallest relative improvement that counts for early stopping.

    buffer_size : int, default=10_000
        Rows that :meth:`partial_fit` keeps, a uniform sample of all it has seen.

    n_jobs : int, default=None
        Processes, as in joblib. Modalities of like width train side by side in one anyway.

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
        Location and scale of each modality's training potentials.
    offset_ : float
        Rows with a score below are outliers.
    calibration_energies_ : ndarray of shape (n_held_out, n_modalities)
        Energies of the rows held out to calibrate.
    loss_curve_ : list of ndarray of shape (n_epochs,)
        Training loss of each modality.
    validation_loss_curve_ : list of ndarray of shape (n_epochs,) or None
        Loss of each modality's held-out rows, None without `early_stopping`.
    n_iter_ : int
        Epochs of the modality trained longest.
    n_samples_seen_ : int
        Rows seen, by :meth:`partial_fit` in all calls.
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

    _parameter_constraints = {
        "modalities": [dict, list, callable, StrOptions({"prefix"}), None],
        "remainder": [str],
        "hidden_layer_sizes": ["array-like"],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "views": [str, EnergyView, tuple, list],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "calibration_fraction": [Interval(Real, 0, 1, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
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
        modalities=None,
        *,
        remainder="error",
        hidden_layer_sizes=(48, 32),
        activation="tanh",
        views=("fine", "coarse"),
        contamination="auto",
        calibration_fraction=0.1,
        learning_rate=0.01,
        max_epochs=100,
        batch_size="auto",
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        buffer_size=10_000,
        n_jobs=None,
        device="auto",
        random_state=None,
        verbose=False,
    ):
        self.modalities = modalities
        self.remainder = remainder
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.views = views
        self.contamination = contamination
        self.calibration_fraction = calibration_fraction
        self.learning_rate = learning_rate
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

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Learn the energy of each modality.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Training rows, finite numbers.
        y : None
            Ignored, here for scikit-learn's conventions.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the training loss; a row of weight zero is left out.

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
            jobs, finish = self._begin(X, sample_weight)
            finish(train_energies(jobs, self.n_jobs))
        return self

    def _begin(self, X, sample_weight):
        """Return the trainings that a fit needs, and what finishes the fit with their outcomes."""
        vars(self).pop("_reservoir", None)
        self._check_parameters()
        table = check_table(self, X, ensure_min_samples=2)
        weight, keep = check_weights(sample_weight, table)
        names, columns = resolve_modalities(self.modalities, X, remainder=self.remainder)
        self.modality_names_, self.modality_columns_ = names, columns
        table = table[keep]
        warn_of_constants(table, self, np.concatenate(columns), depth=1)
        self.n_samples_seen_ = len(table)
        seed = draw_seed(self.random_state)
        held_out = np.random.RandomState(seed).permutation(len(table))
        held_out = held_out < round(self.calibration_fraction * len(table))
        jobs = self._jobs(table[~held_out], weight[~held_out], len(table), seed, self.max_epochs)
        return jobs, partial(self._finish, table, held_out)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None):
        """Go on learning from the next rows of a stream.

        A uniform sample of all rows so far, of at most `buffer_size`, stays with the estimator, and
        every call trains on it: for as many steps as its own rows would get in :meth:`fit`. So the
        order of the rows hardly matters, and nothing is forgotten.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows, finite numbers; at least two in the first call.
        y : None
            Ignored, here for scikit-learn's conventions.

        Returns
        -------
        DAEEnergyScorer
            The fitted estimator.

        Raises
        ------
        ValueError
            As :meth:`fit`, and if the estimator was fitted by :meth:`fit`, which keeps no rows.
        """
        first = not hasattr(self, "energy_weights_")
        if not first and not hasattr(self, "_reservoir"):
            raise ValueError(
                f"This {type(self).__name__} was fitted with fit, which keeps no rows that new "
                "ones could be mixed with. Clone it, and start with partial_fit on the first rows."
            )
        with all_or_nothing(self):
            self._check_parameters()
            table = check_table(self, X, reset=first, ensure_min_samples=2 if first else 1)
            if first:
                names, columns = resolve_modalities(self.modalities, X, remainder=self.remainder)
                self.modality_names_, self.modality_columns_ = names, columns
                reservoir = Reservoir(draw_seed(self.random_state), self.buffer_size)
            else:
                reservoir = self._reservoir
            self._reservoir = reservoir = reservoir.add(table, self.calibration_fraction)
            self.n_samples_seen_ = reservoir.n_seen
            n_rows = len(reservoir.rows)
            if first:
                warn_of_constants(table, self, np.concatenate(columns))
            rows = reservoir.rows[~reservoir.held_out]
            jobs = self._jobs(
                rows,
                np.ones(len(rows)),
                n_rows,
                reservoir.seed,
                max(1, round(self.max_epochs * min(1.0, len(table) / n_rows))),
                None if first else self.energy_weights_,
            )
            self._finish(reservoir.rows, reservoir.held_out, train_energies(jobs, self.n_jobs))
        return self

    def _check_parameters(self):
        check_layer_sizes(self.hidden_layer_sizes)
        resolve_views(self.views)
        resolve_device(self.device)

    def _jobs(self, rows, weight, n_samples, seed, max_epochs, start=None):
        """Return one training per modality, on the rows that are not held out."""
        if len(rows) < min(2, n_samples):
            raise ValueError(
                f"calibration_fraction={self.calibration_fraction:g} holds out "
                f"{n_samples - len(rows)} of {n_samples} rows and leaves {len(rows)} to learn "
                "from, but at least 2 are needed. Lower it, or fit on more rows."
            )
        views = resolve_views(self.views)
        architecture = Architecture(
            tuple(self.hidden_layer_sizes),
            self.activation,
            tuple(float(view.clip) for view in views),
            tuple(view.count_prototypes(len(rows)) for view in views),
        )
        if start is not None and tuple(architecture) != self._architecture:
            start, max_epochs = None, self.max_epochs  # it has outgrown its weights
        self._architecture = tuple(architecture)  # plain, so that it can be saved anywhere
        stop = None
        if self.early_stopping:
            rows, stop, weight, _ = train_test_split(
                rows, weight, test_size=self.validation_fraction, random_state=seed
            )
        settings = Settings(
            views=views,
            learning_rate=float(self.learning_rate),
            batch_size=auto_batch_size(self.batch_size, len(rows)),
            max_epochs=max_epochs,
            early_stopping=self.early_stopping,
            n_iter_no_change=self.n_iter_no_change,
            tol=self.tol,
            verbose=self.verbose,
        )
        return [
            Job(
                self.modality_names_[i],
                rows[:, columns],
                weight / weight.mean(),
                None if stop is None else stop[:, columns],
                architecture,
                settings,
                seed + i,
                resolve_device(self.device),
                start and start[i],
            )
            for i, columns in enumerate(self.modality_columns_)
        ]

    def _finish(self, table, held_out, fits):
        """Keep the trained energies, and find their scales."""
        self.energy_weights_ = [weights for weights, _ in fits]
        self.loss_curve_ = [history["train_loss"] for _, history in fits]
        self.validation_loss_curve_ = (
            [history["valid_loss"] for _, history in fits] if self.early_stopping else None
        )
        self.n_iter_ = max(len(curve) for curve in self.loss_curve_)
        potentials = self._evaluate(table, EnergyEnsemble.potential)
        low, self.potential_median_, high = np.quantile(potentials, [0.25, 0.5, 0.75], axis=0)
        self.potential_iqr_ = np.where(high - low > 1e-9, high - low, 1.0)
        energies = self._on_scale(potentials)
        self.calibration_energies_ = energies[held_out]
        self.offset_ = self._find_offset(-energies.sum(axis=1))

    def _find_offset(self, scores):
        if self.contamination == "auto":
            low, high = np.quantile(scores, [0.25, 0.75])
            return float(max(low - 1.5 * (high - low), np.quantile(scores, 0.01)))
        return float(np.percentile(scores, 100.0 * self.contamination))
