"""What a search over settings that train together is made of: folds, and fits to look up."""

import time
from numbers import Real

import joblib
import numpy as np
from sklearn import get_config
from sklearn.model_selection import ParameterGrid

from sklearn_emma.classifier import EMMAClassifier
from sklearn_emma.compat import Interval
from sklearn_emma.gate.grid import STACKABLE

#: The grid of the thesis.
DEFAULT_GRID = {
    "coldness": (1e-4, 1e-3, 1e-2, 1e-1, 1.0),
    "lambda_capacity": (0.0, 1e-4, 1e-3, 1e-2, 1e-1),
    "lambda_energy": (0.0, 1e-4, 1e-3, 1e-2, 1e-1),
}

# Tables whose energies are kept while the settings of a fold are scored.
_N_TABLES = 64


def check_param_grid(param_grid):
    """Return a grid as a list of dicts of lists.

    Parameters
    ----------
    param_grid : dict, list of dict or None
        What the user passed: values of a parameter are a list, or one number.

    Returns
    -------
    list of dict of str to list
        As GridSearchCV takes it.

    Raises
    ------
    ValueError
        If it holds a parameter that cannot be stacked, or a value that is not valid.
    TypeError
        If it is neither a dict nor a list of dicts.
    """
    if param_grid is None:
        param_grid = DEFAULT_GRID
    grids = [param_grid] if isinstance(param_grid, dict) else param_grid
    if isinstance(grids, str) or not hasattr(grids, "__iter__"):
        raise TypeError(_not_a_grid(param_grid))
    grids = list(grids)
    if not grids or not all(isinstance(grid, dict) for grid in grids):
        raise TypeError(_not_a_grid(param_grid))
    allowed = Interval(Real, 0, None, closed="left")
    checked = []
    for grid in grids:
        unknown = sorted(set(grid) - set(STACKABLE), key=str)
        if unknown:
            raise ValueError(
                f"param_grid holds {unknown}, but settings that train together differ in "
                f"{list(STACKABLE)} only. Search other parameters with "
                "sklearn.model_selection.GridSearchCV over EMMAClassifier or over "
                "EMMAClassifierCV."
            )
        checked.append({})
        for name, values in grid.items():
            values = [values] if np.ndim(values) == 0 else list(values)
            wrong = [
                v
                for v in values
                if isinstance(v, (bool, np.bool_)) or not allowed.is_satisfied_by(v)
            ]
            if wrong or not values or not np.isfinite(np.asarray(values, dtype=float)).all():
                raise ValueError(
                    f"param_grid[{name!r}] must hold at least one finite number that is not "
                    f"negative, and nothing else, got {values!r}."
                )
            checked[-1][name] = values
    return checked


def _not_a_grid(param_grid):
    return (
        "param_grid must be a dict of lists, a list of such dicts, or a list of settings, such as "
        f"a ParameterSampler gives, got {param_grid!r}."
    )


def train_fold(params, grid, X, y, sample_weight):
    """Fit a classifier for every setting on the rows of one fold.

    Parameters
    ----------
    params : dict
        Parameters of EMMAClassifier.
    grid : list of dict of str to list
        The settings.
    X, y, sample_weight : array-like of shape (n_samples, ...)
        The rows; the weights may be None.

    Returns
    -------
    fitted : list of EMMAClassifier or ValueError
        In the order of ParameterGrid; an error where training diverged, and in all places where the
        rows cannot be learned from at all.
    seconds : float
        How long it took.
    """
    start = time.perf_counter()
    fold = _Fold(**params)
    fold._candidates = list(ParameterGrid(grid))
    try:
        fitted = fold.fit(X, y, sample_weight=sample_weight)._fitted
    except ValueError as error:
        fitted = [error] * len(fold._candidates)
    return fitted, time.perf_counter() - start


class _Fold(EMMAClassifier):
    """Fits its candidates instead of itself."""

    def _train_task(self, task, settings):
        # needs skorch, which takes longer to import than this package
        from sklearn_emma.gate.grid_trainer import load_state, train_stacked

        outcomes = train_stacked(task, settings, self._candidates)
        self._fitted = []
        shared = {k: v for k, v in vars(self).items() if k not in self.get_params(deep=False)}
        del shared["_candidates"], shared["_fitted"]
        for candidate, outcome in zip(self._candidates, outcomes, strict=True):
            if isinstance(outcome, ValueError):
                self._fitted.append(outcome)
                continue
            state, history = outcome
            load_state(task, state)
            classifier = EMMAClassifier(**self.get_params(deep=False) | candidate)
            vars(classifier).update(shared)
            classifier._keep(task.gate, task.network, task.cross_modal, history)
            self._fitted.append(classifier)
        # of no consequence: the fold itself is thrown away
        return {"train_loss": np.zeros(0)}


class FittedElsewhere(EMMAClassifier):
    """A classifier whose fit is to look the fit up; GridSearchCV scores it as any other.

    Its parameters are those of EMMAClassifier; :meth:`holding` makes one.
    """

    @classmethod
    def holding(cls, params, candidates, folds, fitted):
        """Return a classifier that knows fits.

        Parameters
        ----------
        params : dict
            Parameters of EMMAClassifier.
        candidates : list of dict
            The settings.
        folds : list of ndarray of int
            Positions of the training rows of each fold.
        fitted : list of list of EMMAClassifier or ValueError
            For each fold, the fit of each setting.

        Returns
        -------
        FittedElsewhere
            Not fitted.
        """
        found = cls(**params)
        found._fits = {
            rows.tobytes(): (
                _Reader(),
                {_key(params | c): fit for c, fit in zip(candidates, of, strict=True)},
            )
            for rows, of in zip(folds, fitted, strict=True)
        }
        if get_config()["enable_metadata_routing"]:
            found.set_fit_request(rows=True, sample_weight=True)
            found.set_score_request(sample_weight=True)
        return found

    def __sklearn_clone__(self):
        twin = type(self)(**self.get_params(deep=False))
        twin._fits = self._fits
        if hasattr(self, "_metadata_request"):
            twin._metadata_request = self._metadata_request
        return twin

    def fit(self, X, y, sample_weight=None, rows=None):
        """Look the fit up.

        Parameters
        ----------
        X, y, sample_weight : array-like of shape (n_samples, ...)
            Not used.
        rows : ndarray of int of shape (n_samples,)
            Positions of the training rows.

        Returns
        -------
        FittedElsewhere
            Fitted, except to rows that are not known.
        """
        reader, fits = self._fits.get(rows.tobytes(), (None, {}))
        if reader is None:
            return self
        fit = fits[_key(self.get_params(deep=False))]
        if isinstance(fit, ValueError):
            raise fit
        vars(self).update({k: v for k, v in vars(fit).items() if k not in self.get_params(False)})
        self._readings = reader
        return self

    def _reader(self, precision):
        read = super()._reader(precision)
        return lambda rows: self._readings.read(rows, read)


def _key(params):
    return tuple(float(params[name]) for name in STACKABLE)


class _Reader:
    """Reads a table for the first setting of a fold: its energies are those of all."""

    def __init__(self):
        self.tables = {}

    def read(self, X, read):
        """Return what `read` returned for the same table."""
        key = joblib.hash(X)
        if key not in self.tables:
            if len(self.tables) == _N_TABLES:
                self.tables.clear()
            self.tables[key] = read(X)
        return self.tables[key]
