"""DAEEnergyScorer: stage 1 as a scikit-learn estimator."""

from functools import partial
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import BaseEstimator, OutlierMixin, TransformerMixin
from sklearn.model_selection import train_test_split
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from ._compat import Interval, StrOptions, _check_feature_names_in, _fit_context
from ._modalities import resolve_modalities
from ._training.batches import blockwise
from ._training.denoising import Denoising
from ._training.device import resolve_device
from ._training.net import EpochNet
from ._training.progress import progress_callbacks
from ._training.seeding import draw_seed, make_generator
from ._training.weights import load_arrays, to_arrays
from ._validation import (
    all_or_nothing,
    auto_batch_size,
    check_layer_sizes,
    check_noise,
    check_table,
    check_weights,
    column_statistics,
    standardise,
)
from .nn import DAEEnergy
from .nn.energy import ACTIVATIONS


class DAEEnergyScorer(OutlierMixin, TransformerMixin, BaseEstimator):
    r"""Energy of each modality: how unlike the training rows a row is.

    One denoising autoencoder with tied weights per modality learns to undo Gaussian noise; its
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

    hidden_layer_sizes : tuple of int, default=(64, 32)
        Units of each hidden layer of the energy. One layer is the tied autoencoder of the thesis
        [1]_; more layers are the deep energy [3]_.

    activation : {"tanh", "sigmoid", "relu", "identity"}, default="tanh"
        Response h of the hidden units. With the bounded ones, tanh and sigmoid, the energy grows
        without end as a row moves away from the training rows; with relu and identity it need not.

    noise : float or (float, float), default=(0.03, 3.0)
        Standard deviation of the noise to undo, in standard deviations of each column. With a range
        every row draws its own, log-uniformly, and every level matters as much: little noise makes
        the energy sharp near the training rows, much noise makes it rise far away from them.

    contamination : "auto" or float in (0, 0.5], default="auto"
        Fraction of training rows that :meth:`predict` calls outliers. "auto" takes as outliers
        what exceeds the third quartile of the training rows' total energies by more than 1.5
        interquartile ranges, but at least the most unusual row in a hundred.

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

    n_jobs : int, default=None
        Modalities trained at the same time, as in joblib.

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
    mean_, scale_ : ndarray of shape (n_features_in_,)
        What columns are standardised with.
    energy_weights_ : list of dict of str to ndarray
        Weights of each modality's :class:`~sklearn_emma.nn.DAEEnergy`.
    potential_median_, potential_iqr_ : ndarray of shape (n_modalities,)
        Location and scale of each modality's training potentials.
    offset_ : float
        Rows with a score below are outliers.
    loss_curve_ : list of ndarray of shape (n_epochs,)
        Training loss of each modality.
    validation_loss_curve_ : list of ndarray of shape (n_epochs,) or None
        Loss of each modality's held-out rows, None without `early_stopping`.
    n_iter_ : int
        Epochs of the modality trained longest.
    n_features_in_ : int
        Number of columns seen at fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, when all are strings.

    See Also
    --------
    EMMAClassifier : Turns energies into an attention gate, and predicts.

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
        "noise": [Interval(Real, 0, None, closed="neither"), tuple, list],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
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
        hidden_layer_sizes=(64, 32),
        activation="tanh",
        noise=(0.03, 3.0),
        contamination="auto",
        learning_rate=0.01,
        max_epochs=100,
        batch_size="auto",
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        n_jobs=None,
        device="auto",
        random_state=None,
        verbose=False,
    ):
        self.modalities = modalities
        self.remainder = remainder
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.noise = noise
        self.contamination = contamination
        self.learning_rate = learning_rate
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
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
            check_layer_sizes(self.hidden_layer_sizes)
            check_noise(self.noise)
            device = resolve_device(self.device)
            table = check_table(self, X, ensure_min_samples=2)
            weight, keep = check_weights(sample_weight, table)
            names, columns = resolve_modalities(self.modalities, X, remainder=self.remainder)
            table = table[keep]
            used = np.concatenate(columns)
            self.mean_, self.scale_ = column_statistics(table, weight, self, used)
            standard = self._standardise(table)
            seed = draw_seed(self.random_state)
            fits = Parallel(n_jobs=self.n_jobs)(
                delayed(self._fit_modality)(name, standard[:, group], weight, seed + i, device)
                for i, (name, group) in enumerate(zip(names, columns, strict=True))
            )
            self.modality_names_, self.modality_columns_ = names, columns
            self._architecture = tuple(self.hidden_layer_sizes), self.activation
            self.energy_weights_ = [weights for weights, _ in fits]
            self.loss_curve_ = [history["train_loss"] for _, history in fits]
            self.validation_loss_curve_ = (
                [history["valid_loss"] for _, history in fits] if self.early_stopping else None
            )
            self.n_iter_ = max(len(curve) for curve in self.loss_curve_)
            potentials = self._evaluate(table, DAEEnergy.potential)
            low, self.potential_median_, high = np.quantile(potentials, [0.25, 0.5, 0.75], axis=0)
            self.potential_iqr_ = np.where(high - low > 1e-9, high - low, 1.0)
            self.offset_ = self._find_offset(-self._on_scale(potentials).sum(axis=1))
        return self

    def _fit_modality(self, name, rows, weight, seed, device):
        """Train one energy; return its weights and the history of its losses."""
        held_out = None
        if self.early_stopping:
            rows, held_out, weight, _ = train_test_split(
                rows, weight, test_size=self.validation_fraction, random_state=seed
            )
        sizes = tuple(self.hidden_layer_sizes)
        energy = DAEEnergy(rows.shape[1], sizes, self.activation, make_generator(seed)).to(device)

        def tensor(array):
            return torch.tensor(array, dtype=torch.float32, device=device)

        task = Denoising(
            energy,
            tensor(rows),
            tensor(weight),
            None if held_out is None else tensor(held_out),
            check_noise(self.noise),
            make_generator(seed, device, stream=1),
        )
        net = EpochNet(
            task,
            batch_size=auto_batch_size(self.batch_size, len(rows)),
            lr=float(self.learning_rate),
            max_epochs=self.max_epochs,
            early_stopping=self.early_stopping,
            n_iter_no_change=self.n_iter_no_change,
            tol=self.tol,
            callbacks=progress_callbacks(self.verbose, f"energy of {name}", self.max_epochs),
        )
        history = net.train()
        return to_arrays(energy), history

    def _find_offset(self, scores):
        if self.contamination == "auto":
            low, high = np.quantile(scores, [0.25, 0.75])
            return float(max(low - 1.5 * (high - low), np.quantile(scores, 0.01)))
        return float(np.percentile(scores, 100.0 * self.contamination))

    def _module(self, i, device="cpu", dtype=torch.float64):
        """Rebuild the energy of modality i."""
        # as fitted, whatever the parameters are by now
        module = DAEEnergy(len(self.modality_columns_[i]), *self._architecture, make_generator(0))
        load_arrays(module, self.energy_weights_[i])
        return module.to(device=device, dtype=dtype).requires_grad_(False)

    def _evaluate(self, table, method):
        """Apply a method of the energies to raw rows: (n_samples, n_modalities) or columns."""
        standard = self._standardise(table)
        return np.column_stack(
            [
                blockwise(partial(method, self._module(i)), torch.tensor(standard[:, columns]))
                for i, columns in enumerate(self.modality_columns_)
            ]
        )

    def _standardise(self, table):
        return standardise(table, self.mean_, self.scale_)

    def _evaluate_columns(self, X, method):
        """Apply a method that gives a value per column, in the order of the columns of X."""
        table = self._check(X)
        values = np.zeros_like(table)
        values[:, np.concatenate(self.modality_columns_)] = self._evaluate(table, method)
        return values

    def _torch_energy(self, device):
        """Return the energy of a scorer of one modality on float32 tensors on the device."""
        module = self._module(0, device, torch.float32)
        mean, scale = (
            torch.tensor(values, dtype=torch.float32, device=device)
            for values in (self.mean_, self.scale_)
        )
        median, iqr = float(self.potential_median_[0]), float(self.potential_iqr_[0])

        @torch.no_grad()
        def energy(x):
            return (module.potential(standardise(x, mean, scale)) - median) / iqr

        return energy

    def _check(self, X):
        check_is_fitted(self)
        return check_table(self, X, reset=False)

    def _energies(self, table):
        return self._on_scale(self._evaluate(table, DAEEnergy.potential))

    def _on_scale(self, potentials):
        return (potentials - self.potential_median_) / self.potential_iqr_

    def transform(self, X):
        """Energies of each modality.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Energies, in interquartile ranges above the median training row.
        """
        return self._energies(self._check(X))

    def score_samples(self, X):
        """Minus the total energy of each row: high is normal.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            Scores.
        """
        return -self._energies(self._check(X)).sum(axis=1)

    def decision_function(self, X):
        """Score above the threshold: negative for outliers.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            ``score_samples(X) - offset_``.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Tell outliers.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            +1 for inliers, -1 for outliers.
        """
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def reconstruct(self, X):
        r"""Denoised rows :math:`r(x) = x - \nabla\Psi(x)`, in the units of X.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Reconstructions; columns of no modality are zero.
        """
        used = np.concatenate(self._fitted_columns())
        reconstruction = self._evaluate_columns(X, DAEEnergy.reconstruct)
        reconstruction[:, used] = reconstruction[:, used] * self.scale_[used] + self.mean_[used]
        return reconstruction

    def _fitted_columns(self):
        check_is_fitted(self)
        return self.modality_columns_

    def reconstruction_error(self, X):
        r"""Squared reconstruction norm :math:`\lVert r(x) - x \rVert^2` of each modality.

        The other measure of how unusual a row is, for comparison: it has false minima where the
        field vanishes off the data.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Errors, of standardised columns.
        """
        return self._evaluate(self._check(X), lambda module, x: module.gradient(x).square().sum(1))

    def energy_gradient(self, X):
        """Gradient of the energies with respect to the columns: which column is to blame.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Derivative of the energy of a column's modality, as :meth:`transform` gives it, by the
            column in the units of X; zero for columns of no modality.
        """
        gradient = self._evaluate_columns(X, DAEEnergy.gradient)
        for columns, iqr in zip(self.modality_columns_, self.potential_iqr_, strict=True):
            gradient[:, columns] /= iqr * self.scale_[columns]
        return gradient

    def get_feature_names_out(self, input_features=None):
        """Names of the columns of :meth:`transform`.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns seen at fit: checked, and not needed.

        Returns
        -------
        ndarray of str of shape (n_modalities,)
            ``energy_<modality>``.
        """
        check_is_fitted(self)
        _check_feature_names_in(self, input_features)
        return np.array([f"energy_{name}" for name in self.modality_names_], dtype=object)
