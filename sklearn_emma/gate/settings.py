"""Grids of hyperparameters of the gate and its loss."""

from numbers import Real
from typing import Any

import numpy as np

from sklearn_emma.compat import Interval
from sklearn_emma.gate.grid import STACKABLE

#: Default grid of a search: the default values and values around them.
DEFAULT_GRID = {
    "coldness": (0.03, 0.1, 0.3, 1.0, 3.0),
    "lambda_capacity": (0.0, 0.01, 0.1),
    "lambda_energy": (0.0, 0.02, 0.1),
}
#: Grid of the thesis, in which potentials are not divided by a scale. See the page on the thesis in
#: the user guide.
THESIS_GRID = {
    "coldness": (1e-4, 1e-3, 1e-2, 1e-1, 1.0),
    "lambda_capacity": (0.0, 1e-4, 1e-3, 1e-2, 1e-1),
    "lambda_energy": (0.0, 1e-4, 1e-3, 1e-2, 1e-1),
}


def check_param_grid(param_grid: Any) -> list[dict[str, list]]:
    """Return a grid as a list of dicts of lists.

    Parameters
    ----------
    param_grid : dict, list of dict or None
        Grid. The values of a parameter are a list or a single number. None uses the default grid.

    Returns
    -------
    list of dict of str to list
        Grid in the format of GridSearchCV.

    Raises
    ------
    ValueError
        If the grid has a parameter that cannot be stacked, or an invalid value.
    TypeError
        If the grid is neither a dict nor a list of dicts.
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
    checked: list[dict[str, list]] = []
    for grid in grids:
        unknown = sorted(set(grid) - set(STACKABLE), key=str)
        if unknown:
            raise ValueError(
                f"param_grid holds {unknown}, but settings that are trained together may differ "
                f"in {list(STACKABLE)} only. Search other parameters with "
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


def _not_a_grid(param_grid: Any) -> str:
    return (
        "param_grid must be a dict of lists, a list of such dicts, or a list of settings, such as "
        f"a ParameterSampler gives, got {param_grid!r}."
    )
