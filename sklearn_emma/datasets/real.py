"""Real data sets of scikit-learn, with columns grouped in modalities."""

from typing import Any

import pandas as pd
from sklearn.datasets import load_breast_cancer

from sklearn_emma.datasets.bunch import make_bunch


def load_breast_cancer_modalities(*, return_X_y: bool = False, as_frame: bool = True) -> Any:
    """Load the Wisconsin breast cancer data as three modalities.

    Ten properties of the cell nuclei in an image (radius, texture, perimeter, area, smoothness,
    compactness, concavity, concave points, symmetry and fractal dimension) are each described by
    three values: the mean over the nuclei, its standard error, and the mean of the three worst
    (largest) values. These are the modalities `mean`, `error` and `worst`.

    Unlike in :func:`sklearn.datasets.load_breast_cancer`, **malignant is 1**, the positive class of
    F1, precision and recall.

    Parameters
    ----------
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=True
        If True, data and target are a DataFrame, with columns named ``mean__radius`` and so on,
        and a Series. If False, they are arrays.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with the attributes

        data : DataFrame or ndarray of shape (569, 30)
            The columns, ten of each modality.
        target : Series or ndarray of shape (569,)
            1 for malignant (212 samples), 0 for benign (357).
        modalities : dict of str to list
            Columns of each modality, names or positions, to be passed as `modalities`. With a
            DataFrame ``modalities="prefix"`` does the same.
        frame : DataFrame of shape (569, 31) or None
            Data and target together, if `as_frame`.
        feature_names : list of str of length 30
            Names of the columns.
        target_names : ndarray of shape (2,)
            Names of the classes, ``benign`` and ``malignant``.
        DESCR : str
            Description by scikit-learn, preceded by the differences of this version.
    (data, target) : tuple, if `return_X_y`
        Only data and target.

    See Also
    --------
    fetch_htru2 : Two modalities, 17,898 samples.
    fetch_mfeat : Six modalities, ten classes.

    Examples
    --------
    >>> from sklearn_emma.datasets import load_breast_cancer_modalities
    >>> cancer = load_breast_cancer_modalities()
    >>> cancer.data.shape, list(cancer.modalities)
    ((569, 30), ['mean', 'error', 'worst'])
    >>> cancer.modalities["error"][:3]
    ['error__radius', 'error__texture', 'error__perimeter']
    >>> print(cancer.target_names[1], cancer.target.sum())
    malignant 212
    """
    original = load_breast_cancer()
    frame = pd.DataFrame(
        original.data, columns=[_prefixed(column) for column in original.feature_names]
    )
    descr = (
        "Modalities mean, error and worst, ten columns each; malignant is 1, benign 0.\n\n"
        f"{original.DESCR}"
    )
    return make_bunch(
        frame,
        1 - original.target,
        target_names=["benign", "malignant"],
        descr=descr,
        return_X_y=return_X_y,
        as_frame=as_frame,
    )


def _prefixed(column: str) -> str:
    """Rename "mean concave points" to "mean__concave_points", "area error" to "error__area"."""
    words = column.split()
    if words[-1] == "error":
        words = ["error", *words[:-1]]
    return f"{words[0]}__{'_'.join(words[1:])}"
