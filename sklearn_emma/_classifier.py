"""EMMAClassifier: energies, gate and predictor as a scikit-learn estimator."""

from dataclasses import fields
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import check_memory

from ._compat import HasMethods, Interval, StrOptions, _fit_context
from ._energies import check_energy, fit_scorers
from ._gated import GATE, GatedEstimator
from ._modalities import resolve_modalities
from ._predictor import build_predictor, check_predictor, seeded_layers
from ._scorer import DAEEnergyScorer
from ._training.device import resolve_device
from ._training.gating import Rows, fill
from ._training.seeding import draw_seed, make_generator
from ._training.stage2 import Settings, train_stage2, training_corruption
from ._training.weights import load_arrays, to_arrays
from ._validation import (
    all_or_nothing,
    auto_batch_size,
    check_labels,
    check_layer_sizes,
    check_table,
    check_weights,
    column_statistics,
)
from .corruption import Corruption


class EMMAClassifier(ClassifierMixin, GatedEstimator):
    r"""Classifier for tables of several modalities that stays right when one of them fails.

    Energy-based multi-modal attention [1]_. First an energy per modality learns how unlike the
    training rows a row is. Then a gate, which turns the energies of a row into an attention
    :math:`\beta_i \in [0, 1)` per modality, and a predictor behind it learn together from clean and
    corrupted rows; see :class:`~sklearn_emma.nn.EnergyAttention` for the equations. Columns are
    standardised inside, and may have gaps: a modality without any value is shut off, single gaps
    are filled with the training median, and raise the energy of their modality by
    :math:`-s_i \log(1 - n/D_i)` for n of :math:`D_i` values missing.

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

    energy : estimator with ``score_samples``, dict of them by modality or None, default=None
        What tells likely rows from unlikely ones; its energy is ``-score_samples``, or for a PyOD
        detector its ``decision_function``, which has the opposite sign. Cloned and
        fitted on the standardised columns of each modality, on the rows that have all of its values
        (where these are less than half of the rows that have any: on those, gaps filled). None, and
        modalities that a dict leaves out, stand for :class:`DAEEnergyScorer`, all of whose rows
        train (``calibration_fraction=0``). Any other scorer
        scores the failing rows of every epoch: mind its speed.

    module : torch.nn.Module instance, class or callable, default=None
        A predictor of your own: takes the list of gated modalities :math:`\beta_i x_i`, each of
        shape (n_samples, :math:`D_i`) and standardised, and returns unnormalised log probabilities
        of shape (n_samples, n_classes). An instance is copied; a class is called with the list of
        the :math:`D_i` and the number of classes. None takes
        :class:`~sklearn_emma.nn.FusionNetwork`.

    hidden_layer_sizes : tuple of int, default=(64, 48, 32)
        Units of each layer of the encoder that a modality has in the default predictor. The last is
        also the width of the head.

    coldness : float, default=1.0
        Inverse temperature :math:`\rho` of the gate: at 0 all modalities are equally important,
        whatever their energy.

    lambda_capacity : float, default=0.0
        Strength of the regularizer that keeps the capacity of the gate low.

    lambda_energy : float, default=0.1
        Strength of the regularizer that keeps importance in line with the failures put in.

    corruption : Corruption or None, default=None
        What befalls training rows, drawn afresh in every epoch, in units of the training rows'
        standard deviations; half of the rows unless its `fraction` says otherwise. None stands for
        ``Mixture([Noise((0.25, 2.0)), Missing()])``.

    subset_weight : float, default=2.0
        Weight of a second prediction loss, for which every row loses a random part of its
        modalities behind the encoders. It makes the predictor at home with every combination of
        modalities shut off.

    pretrain_epochs : int, default=10
        Passes over the clean rows with the gate open, before the gate is trained.

    learning_rate : float, default=0.003
        Largest learning rate of the cycle.

    weight_decay : float, default=1e-4
        Weight decay of the predictor.

    max_epochs : int, default=100
        Passes over the training rows.

    batch_size : int or "auto", default="auto"
        Rows per step. "auto" takes 1/40 of the rows, within 32 and 256, or 1/100 of them up to
        4096 when that is more.

    early_stopping : bool, default=False
        Whether to hold out rows, to stop when their loss no longer improves, and to go back to the
        best epoch.

    validation_fraction : float, default=0.1
        Fraction of rows held out with `early_stopping`, stratified by class where possible.

    n_iter_no_change : int, default=10
        Epochs without improvement before stopping early.

    tol : float, default=1e-4
        Smallest relative improvement that counts for early stopping.

    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, as in scikit-learn.

    n_jobs : int, default=None
        Energies fitted at the same time, as in joblib.

    memory : str, joblib.Memory or None, default=None
        Where fitted energies are cached, so that a search over the gate's parameters fits them
        once. Needs an int as `random_state` to be of use.

    warm_start : bool, default=False
        Whether to start from the solution of the previous call to fit: its energies and their
        scales are kept, whatever `energy` and `corruption` are by now; gate and predictor are
        trained on.

    device : str or torch.device, default="auto"
        Where to train. "auto" takes CUDA when present, else the CPU.

    random_state : int, RandomState instance or None, default=None
        Determines everything random. Pass an int for the same result in every call; torch's global
        generators are not touched.

    verbose : bool, default=False
        Whether to show progress.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    modality_names_ : list of str
        Names of the modalities.
    modality_columns_ : list of ndarray of int
        Positions of each modality's columns.
    energy_scorers_ : dict of str to estimator
        Fitted energies by modality.
    gain_, bias_ : float
        :math:`g_a` and :math:`b_a` of the gate.
    capacity_ : float
        How much the gate lets through.
    coldness_ : float
        Inverse temperature that the gate was trained with.
    self_weight_, self_bias_ : ndarray of shape (n_modalities,)
        :math:`w_i` and :math:`b_i`.
    coupling_weight_, coupling_degree_ : ndarray of shape (n_modalities, n_modalities)
        :math:`w_{ij}` and :math:`\gamma_{ij}`: direction and degree of the coupling.
    potential_min_, potential_scale_, potential_max_ : ndarray of shape (n_modalities,)
        :math:`\Psi_{min,i}`; the scale :math:`s_i`, which is the median rise of the potential under
        the training corruption, but at least the interquartile range of the training rows; and the
        potential of a typical failure of the training, beyond which a modality says no more about
        the others.
    network_weights_ : dict of str to ndarray
        Weights of the predictor.
    mean_, scale_, median_ : ndarray of shape (n_features_in_,)
        What columns are standardised with, and what gaps are filled with.
    history_ : dict of str to ndarray of shape (n_epochs,)
        Losses, and the gate's gain, bias and capacity after each epoch.
    n_iter_ : int
        Epochs trained.
    n_features_in_ : int
        Number of columns seen at fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, when all are strings.

    See Also
    --------
    DAEEnergyScorer : The default energy.
    sklearn_emma.corruption : What can befall a modality.

    References
    ----------
    .. [1] Werenne, A. (2019). Energy-based multi-modal attention. University of Liege.

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

    _parameter_constraints = {
        "modalities": [dict, list, callable, StrOptions({"prefix"}), None],
        "remainder": [str],
        "energy": "no_validation",  # check_energy says more
        "module": [callable, None],
        "hidden_layer_sizes": ["array-like"],
        "coldness": [Interval(Real, 0, None, closed="left")],
        "lambda_capacity": [Interval(Real, 0, None, closed="left")],
        "lambda_energy": [Interval(Real, 0, None, closed="left")],
        "corruption": [Corruption, None],
        "subset_weight": [Interval(Real, 0, None, closed="left")],
        "pretrain_epochs": [Interval(Integral, 0, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "n_jobs": [None, Integral],
        "memory": [str, HasMethods(["cache"]), None],
        "warm_start": ["boolean"],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        modalities=None,
        *,
        remainder="error",
        energy=None,
        module=None,
        hidden_layer_sizes=(64, 48, 32),
        coldness=1.0,
        lambda_capacity=0.0,
        lambda_energy=0.1,
        corruption=None,
        subset_weight=2.0,
        pretrain_epochs=10,
        learning_rate=0.003,
        weight_decay=1e-4,
        max_epochs=100,
        batch_size="auto",
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        class_weight=None,
        n_jobs=None,
        memory=None,
        warm_start=False,
        device="auto",
        random_state=None,
        verbose=False,
    ):
        self.modalities = modalities
        self.remainder = remainder
        self.energy = energy
        self.module = module
        self.hidden_layer_sizes = hidden_layer_sizes
        self.coldness = coldness
        self.lambda_capacity = lambda_capacity
        self.lambda_energy = lambda_energy
        self.corruption = corruption
        self.subset_weight = subset_weight
        self.pretrain_epochs = pretrain_epochs
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.class_weight = class_weight
        self.n_jobs = n_jobs
        self.memory = memory
        self.warm_start = warm_start
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None):
        """Learn energies, gate and predictor.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Training rows; NaN marks missing values.
        y : array-like of shape (n_samples,)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; a row of weight zero is left out.

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
            return self._fit(X, y, sample_weight, previous if "classes_" in previous else None)

    def _fit(self, X, y, sample_weight, previous):
        check_layer_sizes(self.hidden_layer_sizes)
        device = resolve_device(self.device)
        table, y = check_table(self, X, y, ensure_all_finite="allow-nan", ensure_min_samples=2)
        check_labels(y)
        weight, keep = check_weights(sample_weight, table)
        table, y = table[keep], y[keep]
        self.classes_, target = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                "EMMAClassifier needs rows of at least two classes, but all rows of positive "
                f"weight are of one class, {self.classes_.tolist()[0]!r}."
            )
        self.modality_names_, self.modality_columns_ = resolve_modalities(
            self.modalities, X, remainder=self.remainder
        )
        start = self._start(previous) if self.warm_start else None
        # One seed, and streams of it for weights and training: the energies are the same whatever
        # the other parameters, so that they can be cached.
        seed = draw_seed(self.random_state)
        if start is None:
            used = np.concatenate(self.modality_columns_)
            self.mean_, self.scale_ = column_statistics(table, weight, self, used)
        modalities = self._standardise(table)
        if start is None:
            self.median_ = np.zeros(self.n_features_in_)
            for columns, x in zip(self.modality_columns_, modalities, strict=True):
                self.median_[columns] = np.nanmedian(x, axis=0)
            self.energy_scorers_ = fit_scorers(
                self._scorers(device),
                modalities,
                weight,
                seed,
                n_jobs=self.n_jobs,
                memory=check_memory(self.memory),
            )
        weight = weight * compute_sample_weight(self.class_weight, y)
        if (weight < 0).any() or not weight.any():
            raise ValueError(
                "class_weight must hold weights that are not negative, and not zero for all "
                f"classes, got {self.class_weight!r}."
            )
        self._train(modalities, target, weight / weight.mean(), seed, device, start)
        return self

    def _start(self, previous):
        """Return the weights of the gate to start from, or None; check that they fit."""
        if previous is None:
            return None
        for attribute in ("classes_", "modality_names_", "modality_columns_", "feature_names_in_"):
            before, now = previous.get(attribute, ()), getattr(self, attribute, ())
            if not _same(before, now):
                raise ValueError(
                    "warm_start=True needs the classes and modalities of the previous fit: "
                    f"{attribute} was {before} and now is {now}. "
                    "Set warm_start=False to start anew."
                )
        return {name: previous[f"{name}_"] for name in GATE}

    def _scorers(self, device):
        """Return the unfitted energy of each modality."""
        names = self.modality_names_
        default = DAEEnergyScorer(
            calibration_fraction=0.0, device=str(device), verbose=self.verbose
        )
        energy = default if self.energy is None else self.energy
        if isinstance(energy, dict):
            energy = {name: scorer for name, scorer in energy.items() if scorer is not None}
        check_energy(energy, names)
        if isinstance(energy, dict):
            return {name: energy.get(name, default) for name in names}
        return dict.fromkeys(names, energy)

    def _predictor(self, seed=0):
        """Make the network as it was fitted, whatever the parameters are by now."""
        return build_predictor(
            *self._architecture,
            [len(columns) for columns in self.modality_columns_],
            len(self.classes_),
            seed,
        )

    def _train(self, modalities, target, weight, seed, device, start):
        """Train gate and predictor, and keep their weights."""

        def tensor(array):
            return torch.tensor(array, dtype=torch.float32, device=device)

        fills = [tensor(self.median_[columns]) for columns in self.modality_columns_]
        rows = Rows([tensor(x) for x in modalities], None, tensor(target).long(), tensor(weight))
        self._architecture = self.module, tuple(self.hidden_layer_sizes)
        network = self._predictor(seed)
        if start is not None:
            try:
                load_arrays(network, self.network_weights_)
            except RuntimeError as error:
                raise ValueError(
                    "warm_start=True needs the network of the previous fit, but module or "
                    "hidden_layer_sizes changed. Set warm_start=False to start anew."
                ) from error
        network.to(device)
        with seeded_layers(self.module, seed, device):
            few = fill([x[:2] for x in rows.modalities], fills)
            check_predictor(network, few, len(self.classes_))
        held_out = None
        if self.early_stopping:
            held_out = _hold_out(target, self.validation_fraction, seed)
        params = self.get_params(deep=False)
        params["batch_size"] = auto_batch_size(self.batch_size, len(target))
        with seeded_layers(self.module, seed, device):
            gate, self.history_ = train_stage2(
                network,
                rows,
                held_out,
                fills,
                self.modality_names_,
                self._energies(np.zeros(len(fills)) if start is None else self.potential_scale_),
                training_corruption(self.corruption),
                Settings(**{field.name: params[field.name] for field in fields(Settings)}),
                make_generator(seed, device, stream=1),
                make_generator(seed, stream=2),
                start,
            )
        for name, value in to_arrays(gate).items():
            setattr(self, f"{name}_", value if value.ndim else float(value))
        self.capacity_ = float(gate.capacity().detach())
        self.coldness_ = float(self.coldness)
        self.network_weights_ = to_arrays(network)
        self.n_iter_ = len(self.history_["train_loss"])

    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of ``classes_``.
        """
        modalities, potential = self._read(X)
        gate, predictor = self._gate(), self._predictor()
        load_arrays(predictor, self.network_weights_)
        predictor.double().eval()

        def probabilities(potential, *modalities):
            """Return the probabilities of a block of rows."""
            logits = predictor.fuse(predictor.encode(modalities), gate(potential))
            return logits.softmax(1)

        result = self._apply(probabilities, potential, *modalities)
        if not np.isfinite(result).all():
            raise ValueError(
                "The network returned values that are not finite for "
                f"{int((~np.isfinite(result)).any(axis=1).sum())} of {len(result)} rows. Check "
                "module, which must return unnormalised log probabilities."
            )
        return result

    def predict(self, X):
        """Most probable class of each row.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows; NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples,)
            Class labels.
        """
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]


def _same(a, b):
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def _hold_out(target, fraction, seed):
    """Return positions of the rows held out, stratified by class where possible."""
    stratify = target if np.bincount(target).min() > 1 else None
    n_classes = len(np.unique(target))
    n_held_out = max(n_classes, round(fraction * len(target)))
    if len(target) - n_held_out < n_classes:
        raise ValueError(
            f"early_stopping=True with validation_fraction={fraction:g} would hold out {n_held_out}"
            f" of {len(target)} rows, and leave too few to learn {n_classes} classes from. Lower "
            "validation_fraction, or set early_stopping=False."
        )
    _, held_out = train_test_split(
        np.arange(len(target)), test_size=n_held_out, stratify=stratify, random_state=seed
    )
    return torch.from_numpy(held_out)
