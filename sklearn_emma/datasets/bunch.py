"""Return classification data sets as a Bunch or as data and target."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch


def make_bunch(
    frame: pd.DataFrame,
    target: np.ndarray,
    *,
    target_names: list[str],
    descr: str,
    return_X_y: bool,
    as_frame: bool,
    **extra: Any,
) -> Any:
    """Return a data set as scikit-learn does, with its modalities.

    Parameters
    ----------
    frame : DataFrame of shape (n_samples, n_features)
        Features. The columns are named ``<modality>__<column>``.
    target : ndarray of shape (n_samples,)
        Classes, as integers from 0.
    target_names : list of str
        Name of each class.
    descr : str
        Description of the data.
    return_X_y : bool
        Whether to return only the data and the target.
    as_frame : bool
        Whether these are a DataFrame and a Series, or arrays.
    **extra : dict
        Further entries of the Bunch.

    Returns
    -------
    data : Bunch or tuple of (data, target)
        Data set, as documented in the functions of :mod:`sklearn_emma.datasets`.
    """
    modalities: dict[str, list] = {}
    for position, column in enumerate(frame.columns):
        name = column.partition("__")[0]
        modalities.setdefault(name, []).append(column if as_frame else position)
    data = frame if as_frame else frame.to_numpy()
    labels = pd.Series(target, name="target", index=frame.index) if as_frame else target
    if return_X_y:
        return data, labels
    return Bunch(
        data=data,
        target=labels,
        modalities=modalities,
        frame=frame.assign(target=target) if as_frame else None,
        feature_names=list(frame.columns),
        target_names=np.array(target_names),
        DESCR=descr,
        **extra,
    )
