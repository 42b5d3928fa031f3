"""From energy scorers to the potentials of rows that may have gaps."""

import math
import sys
from functools import cached_property, partial

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import has_fit_parameter

from sklearn_emma.energy.scorer import DAEEnergyScorer
from sklearn_emma.energy.training import train_energies


class ModalityEnergy:
    r"""Potential energy of one modality, gaps included.

    Gaps are filled with the training median, and count as evidence of failure: with n of D
    values missing the potential is

    .. math:: \Psi(x_{filled}) - c \log(1 - n / D),

    which grows to infinity as the modality disappears.

    Parameters
    ----------
    name : str
        Name of the modality.
    scorer : estimator
        Fitted; see :func:`energy_of`.
    fill : ndarray of shape (n_features,)
        What gaps are filled with.
    gap_cost : float, default=0.0
        The factor c, in units of the energy.
    precision : torch.dtype, default=torch.float64
        What a :class:`DAEEnergyScorer` is evaluated in; any other gets float64 rows.
    """

    def __init__(self, name, scorer, fill, gap_cost=0.0, precision=torch.float64):
        self.name = name
        self.scorer = scorer
        self.precision = precision
        self.fill = fill
        self.gap_cost = gap_cost

    def __call__(self, x):
        """Energies of rows.

        Parameters
        ----------
        x : ndarray of shape (n_samples, n_features)
            Standardised rows, NaN where a value is missing.

        Returns
        -------
        ndarray of shape (n_samples,)
            Energies, infinite where all values are missing.
        """
        if not np.isnan(x).any():
            return self._score(x)
        rows, fill = torch.from_numpy(x), torch.from_numpy(self.fill)
        return self._with_gaps(
            lambda x: torch.from_numpy(self._score(x.numpy())), rows, fill
        ).numpy()

    def _with_gaps(self, score, x, fill):
        """Return the energies of rows with gaps, given the energy of rows without."""
        gaps = x.isnan()
        share = gaps.to(x.dtype).mean(1)
        potential = score(torch.where(gaps, fill, x)) - self.gap_cost * torch.log1p(-share)
        return torch.where(share < 1, potential, math.inf)

    @cached_property
    def _own_energy(self):
        """Energy of rows without gaps, built once, or None where the scorer has to be asked."""
        # a subclass may score otherwise
        return self.scorer._energy(self.precision) if type(self.scorer) is DAEEnergyScorer else None

    def _score(self, x):
        if self._own_energy is not None:
            energy, method = self._own_energy(x), "potential"
        else:
            energy, method = energy_of(self.scorer, x)
        if energy.shape != (len(x),):
            raise ValueError(
                f"{method} of the energy of modality {self.name!r} must return one number "
                f"per row, of shape ({len(x)},), but returned shape {energy.shape}."
            )
        n_bad = int(np.isnan(energy).sum())
        if n_bad:
            raise ValueError(
                f"The energy of modality {self.name!r}, {type(self.scorer).__name__}, returned NaN "
                f"for {n_bad} of {len(x)} rows. {method} must return numbers."
            )
        return energy

    def on_tensors(self, device):
        """Return the same energy for float32 tensors on a device.

        Parameters
        ----------
        device : torch.device
            Where the rows are.

        Returns
        -------
        callable
            From rows (n_samples, n_features) to energies (n_samples,).
        """
        if type(self.scorer) is not DAEEnergyScorer:  # a subclass may score otherwise
            return lambda x: torch.tensor(
                self(x.cpu().double().numpy()), dtype=torch.float32, device=device
            )
        score = self.scorer._torch_energy(device)
        fill = torch.tensor(self.fill, dtype=torch.float32, device=device)
        return partial(self._with_gaps, score, fill=fill)


def energy_of(scorer, x):
    """Energies by any scorer.

    Parameters
    ----------
    scorer : estimator
        Fitted. With ``score_samples`` as in scikit-learn, high is normal, and the energy is its
        negative; the ``decision_function`` of a PyOD detector is high for outliers, and is the
        energy.
    x : ndarray of shape (n_samples, n_features)
        Rows.

    Returns
    -------
    energy : ndarray
        What it returned, with the sign of an energy.
    method : str
        The method that was asked.
    """
    if _is_pyod(scorer):
        return np.asarray(scorer.decision_function(x), dtype=float), "decision_function"
    return -np.asarray(scorer.score_samples(x), dtype=float), "score_samples"


def _is_pyod(scorer):
    base = sys.modules.get("pyod.models.base")  # there if a detector is
    return base is not None and isinstance(scorer, base.BaseDetector)


def fit_scorers(scorers, modalities, weight, seed, *, n_jobs, memory):
    """Fit one energy scorer per modality, on the rows that have all of its values.

    Where these are less than half of the rows that have any, on those, gaps filled with the median.

    Parameters
    ----------
    scorers : dict of str to estimator
        Unfitted scorers by modality; they are cloned.
    modalities : list of ndarray of shape (n_samples, n_features)
        Standardised columns, NaN where missing, in the order of the scorers.
    weight : ndarray of shape (n_samples,)
        Weights, passed on to scorers whose fit takes them.
    seed : int
        Random state of scorers that have none of their own.
    n_jobs : int or None
        Processes.
    memory : joblib.Memory
        Where fits are cached.

    Returns
    -------
    dict of str to estimator
        Fitted scorers by modality.
    """
    own, other = [], []  # own energies learn side by side
    for i, ((name, scorer), x) in enumerate(zip(scorers.items(), modalities, strict=True)):
        gaps = np.isnan(x)
        present, complete = ~gaps.all(axis=1), ~gaps.any(axis=1)
        if present.sum() < 2:
            raise ValueError(
                f"Modality {name!r} has values in {int(present.sum())} row(s); at least 2 are "
                "needed to learn its energy. Leave the modality out."
            )
        # rows with gaps look likelier than they are once filled, but too few rows are worse
        chosen = complete if complete.sum() >= max(2, present.sum() / 2) else present
        x = np.where(gaps, np.nanmedian(x, axis=0), x)[chosen]
        scorer = clone(scorer)
        if type(scorer) is DAEEnergyScorer:
            scorer._warns_of_constants = False  # the classifier did, and knows the columns' names
        for key, value in scorer.get_params().items():
            if value is None and key.rpartition("__")[2] == "random_state":
                scorer.set_params(**{key: seed + i})
        kind = own if type(scorer) is DAEEnergyScorer else other
        kind.append((name, scorer, x, weight[chosen]))
    fit, fit_own = memory.cache(_fit_scorer), memory.cache(_fit_side_by_side, ignore=["n_jobs"])
    fitted = dict(
        zip(
            (name for name, *_ in other),
            Parallel(n_jobs=n_jobs)(delayed(fit)(*job) for _, *job in other),
            strict=True,
        )
    )
    if own:
        names, *jobs = zip(*own, strict=True)
        fitted.update(zip(names, fit_own(*map(list, jobs), n_jobs=n_jobs), strict=True))
    return {name: fitted[name] for name in scorers}


def _fit_side_by_side(scorers, tables, weights, n_jobs):
    """Fit scorers, each on a table of its own, training those of one shape side by side.

    Parameters
    ----------
    scorers : list of DAEEnergyScorer
        Unfitted; they are fitted in place.
    tables : list of ndarray of shape (n_samples, n_features)
        Training rows of each.
    weights : list of ndarray of shape (n_samples,)
        Their weights.
    n_jobs : int or None
        Processes for the rest, as in joblib.

    Returns
    -------
    list of DAEEnergyScorer
        The scorers.
    """
    begun = []
    for scorer, table, weight in zip(scorers, tables, weights, strict=True):
        scorer._validate_params()
        begun.append(scorer._begin(table, weight))
    outcomes = train_energies([job for jobs, _ in begun for job in jobs], n_jobs)
    for jobs, finish in begun:
        finish(outcomes[: len(jobs)])
        outcomes = outcomes[len(jobs) :]
    return scorers


def _fit_scorer(scorer, x, weight):
    if has_fit_parameter(scorer, "sample_weight") and (weight != 1).any():
        return scorer.fit(x, None, sample_weight=weight)
    return scorer.fit(x, None)


def check_energy(energy, names):
    """Raise unless energy is a scorer, or a dict of scorers of known modalities.

    Parameters
    ----------
    energy : object
        What the user passed.
    names : list of str
        Names of the modalities.
    """
    if isinstance(energy, dict):
        unknown = sorted(set(energy) - set(names), key=str)
        if unknown:
            raise ValueError(
                f"energy names unknown modalities {unknown}. The modalities are {list(names)}."
            )
    scorers = energy.values() if isinstance(energy, dict) else [energy]
    for scorer in scorers:
        if isinstance(scorer, type):
            raise TypeError(
                f"energy must be an instance, got the class {scorer.__name__}. Pass "
                f"{scorer.__name__}() instead."
            )
        if isinstance(scorer, DAEEnergyScorer) and scorer.modalities is not None:
            raise ValueError(
                "A DAEEnergyScorer passed as energy sees the columns of one modality, and must "
                f"leave their grouping to the classifier: set its modalities to None, got "
                f"{scorer.modalities!r}."
            )
        if not (hasattr(scorer, "score_samples") or _is_pyod(scorer)):
            raise TypeError(
                f"energy must be an estimator with a score_samples method, or a PyOD detector, got "
                f"{scorer!r}. sklearn's GaussianMixture, KernelDensity and IsolationForest have "
                "one; wrap another detector with decision_function in a class whose score_samples "
                "returns minus the outlier score."
            )
