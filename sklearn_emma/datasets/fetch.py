"""Load data sets that are downloaded once and cached, or read from a local copy."""

import os
from typing import Any

from sklearn_emma.datasets.bunch import make_bunch
from sklearn_emma.datasets.retrieve import (
    Source,
    read_htru2_archive,
    read_mfeat_archive,
    retrieve,
)

HTRU2 = Source(
    name="HTRU2",
    csv="htru2.csv",
    csv_sha256="0065496fca80131a319f68128407dcab69f5f662ff6bc49cae477f79c63351ed",
    archive="htru2.zip",
    read_archive=read_htru2_archive,
    url="https://archive.ics.uci.edu/static/public/372/htru2.zip",
    columns=tuple(
        f"{curve}__{statistic}"
        for curve in ("IP", "DM")
        for statistic in ("mean", "std", "kurtosis", "skewness")
    ),
    class_counts=(16_259, 1_639),
)
MFEAT = Source(
    name="Multiple Features",
    csv="mfeat.csv.gz",
    csv_sha256="4054d2667e4a9af56527b02563287297d3b273fe6ac64b826ad5945721ba4186",
    archive="multiple+features.zip",
    read_archive=read_mfeat_archive,
    url="https://archive.ics.uci.edu/static/public/72/multiple+features.zip",
    columns=tuple(
        f"{features}__{j}"
        for features, width in {
            "fou": 76,
            "fac": 216,
            "kar": 64,
            "pix": 240,
            "zer": 47,
            "mor": 6,
        }.items()
        for j in range(width)
    ),
    class_counts=(200,) * 10,
)


def fetch_htru2(
    *,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
    path: str | os.PathLike | None = None,
    return_X_y: bool = False,
    as_frame: bool = True,
) -> Any:
    """Load HTRU2, pulsar candidates of the High Time Resolution Universe survey.

    The modalities are two curves of each candidate: its integrated pulse profile (`IP`) and its
    signal-to-noise ratio against dispersion measure (`DM`). Each curve is described by its mean,
    standard deviation, excess kurtosis and skewness. 1,639 of the 17,898 candidates are pulsars.
    The others are noise or radio interference.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder for downloads. None uses that of scikit-learn, ``~/scikit_learn_data``.
    download_if_missing : bool, default=True
        If False, raise an OSError instead of downloading a missing file.
    path : str or path-like, default=None
        Local copy, or the folder with it: ``htru2.csv``, with a header of column names, or the
        archive ``htru2.zip`` from UCI. None searches the folder given by the environment variable
        ``SKLEARN_EMMA_DATA``, then the folder for downloads.
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=True
        If True, data and target are a DataFrame, with columns named ``IP__mean`` and so on, and
        a Series. If False, they are arrays.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with the attributes

        data : DataFrame or ndarray of shape (17898, 8)
            The columns, four of each modality.
        target : Series or ndarray of shape (17898,)
            1 for pulsars, 0 for the rest.
        modalities : dict of str to list
            Columns of each modality, names or positions, to be passed as `modalities`. With a
            DataFrame ``modalities="prefix"`` does the same.
        frame : DataFrame of shape (17898, 9) or None
            Data and target together, if `as_frame`.
        feature_names : list of str of length 8
            Names of the columns.
        target_names : ndarray of shape (2,)
            Names of the classes.
        DESCR : str
            Description, source and license.
        filename : str
            The file that was read.
    (data, target) : tuple, if `return_X_y`
        Only data and target.

    Raises
    ------
    OSError
        If there is no such file at `path`, if a download fails, or if it is needed but not allowed.
    ValueError
        If the file is damaged or is not this data set.
    ImportError
        If a download is needed and pooch is not installed.

    See Also
    --------
    fetch_mfeat : Six modalities, ten classes.
    load_breast_cancer_modalities : Three modalities, nothing to download.

    References
    ----------
    .. [1] R. J. Lyon et al. Fifty Years of Pulsar Candidate Selection: From simple filters to a
       new principled real-time classification approach. Monthly Notices of the Royal
       Astronomical Society 459 (1), 2016. Data: https://doi.org/10.24432/C5DK6R

    Examples
    --------
    >>> from sklearn_emma.datasets import fetch_htru2
    >>> pulsars = fetch_htru2()  # doctest: +SKIP
    >>> pulsars.data.shape, int(pulsars.target.sum())  # doctest: +SKIP
    ((17898, 8), 1639)
    """
    frame, target, file = retrieve(HTRU2, path, data_home, download_if_missing)
    return make_bunch(
        frame,
        target,
        target_names=["not a pulsar", "pulsar"],
        descr=(
            "HTRU2: pulsar candidates, eight columns in the modalities IP (integrated profile) and "
            "DM (DM-SNR curve); 1 = pulsar. R. Lyon, UCI Machine Learning Repository 372, doi "
            "10.24432/C5DK6R, CC BY 4.0."
        ),
        return_X_y=return_X_y,
        as_frame=as_frame,
        filename=str(file),
    )


def fetch_mfeat(
    *,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
    path: str | os.PathLike | None = None,
    return_X_y: bool = False,
    as_frame: bool = True,
) -> Any:
    """Load the multiple features data set: handwritten digits in six descriptions.

    2,000 digits from Dutch utility maps, 200 of each, are described by six modalities: Fourier
    coefficients of the shape (`fou`, 76 columns), profile correlations (`fac`, 216),
    Karhunen-Loeve coefficients (`kar`, 64), pixel averages in 2 x 3 windows (`pix`, 240), Zernike
    moments (`zer`, 47) and morphological features (`mor`, 6).

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder for downloads. None uses that of scikit-learn, ``~/scikit_learn_data``.
    download_if_missing : bool, default=True
        If False, raise an OSError instead of downloading a missing file.
    path : str or path-like, default=None
        Local copy, or the folder with it: ``mfeat.csv.gz``, with a header of column names, or the
        archive ``multiple+features.zip`` from UCI. None searches the folder given by the
        environment variable ``SKLEARN_EMMA_DATA``, then the folder for downloads.
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=True
        If True, data and target are a DataFrame, with columns named ``fou__0`` and so on, and a
        Series. If False, they are arrays.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with the attributes

        data : DataFrame or ndarray of shape (2000, 649)
            The columns, modality after modality.
        target : Series or ndarray of shape (2000,)
            The digits.
        modalities : dict of str to list
            Columns of each modality, names or positions, to be passed as `modalities`. With a
            DataFrame ``modalities="prefix"`` does the same.
        frame : DataFrame of shape (2000, 650) or None
            Data and target together, if `as_frame`.
        feature_names : list of str of length 649
            Names of the columns.
        target_names : ndarray of shape (10,)
            Names of the classes.
        DESCR : str
            Description, source and license.
        filename : str
            The file that was read.
    (data, target) : tuple, if `return_X_y`
        Only data and target.

    Raises
    ------
    OSError
        If there is no such file at `path`, if a download fails, or if it is needed but not allowed.
    ValueError
        If the file is damaged or is not this data set.
    ImportError
        If a download is needed and pooch is not installed.

    See Also
    --------
    fetch_htru2 : Two modalities, 17,898 samples.
    load_breast_cancer_modalities : Three modalities, nothing to download.

    References
    ----------
    .. [1] R. Duin. Multiple Features. UCI Machine Learning Repository.
       https://archive.ics.uci.edu/dataset/72/multiple+features

    Examples
    --------
    >>> from sklearn_emma.datasets import fetch_mfeat
    >>> digits = fetch_mfeat()  # doctest: +SKIP
    >>> {name: len(columns) for name, columns in digits.modalities.items()}  # doctest: +SKIP
    {'fou': 76, 'fac': 216, 'kar': 64, 'pix': 240, 'zer': 47, 'mor': 6}
    """
    frame, target, file = retrieve(MFEAT, path, data_home, download_if_missing)
    return make_bunch(
        frame,
        target,
        target_names=[str(digit) for digit in range(10)],
        descr=(
            "Multiple Features: handwritten digits, 649 columns in the modalities fou, fac, kar, "
            "pix, zer and mor. R. Duin, UCI Machine Learning Repository 72, CC BY 4.0."
        ),
        return_X_y=return_X_y,
        as_frame=as_frame,
        filename=str(file),
    )
