"""Find, download, read and check the file of a data set.

The file is searched in this order: the `path` argument, the folder given by the environment
variable SKLEARN_EMMA_DATA, the cache in the data home of scikit-learn, the UCI Machine Learning
Repository. It is either a CSV file with a known SHA-256, which is checked, or the archive from UCI.
UCI publishes no checksums, so the content of an archive is checked: the number of samples and
columns, that all values are finite numbers, and the number of samples per class.
"""

import hashlib
import logging
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
import pandas as pd
from sklearn.datasets import get_data_home

ENVIRONMENT_VARIABLE = "SKLEARN_EMMA_DATA"
TIMEOUT = 30  # seconds without an answer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """Source and expected content of a data set.

    Parameters
    ----------
    name : str
        Name of the data set, for messages.
    csv : str
        Name of the CSV file, with a header of column names and the class in the last column.
    csv_sha256 : str
        SHA-256 checksum of the CSV file.
    archive : str
        Name of the archive from UCI.
    read_archive : callable
        Function that takes the open :class:`zipfile.ZipFile`, and returns columns and classes as a
        DataFrame.
    url : str
        URL of the archive.
    columns : tuple of str
        Names of the columns, without the class.
    class_counts : tuple of int
        Number of samples of class 0, 1, ...
    """

    name: str
    csv: str
    csv_sha256: str
    archive: str
    read_archive: Callable[[zipfile.ZipFile], pd.DataFrame]
    url: str
    columns: tuple[str, ...]
    class_counts: tuple[int, ...]


def retrieve(
    source: Source,
    path: str | os.PathLike | None = None,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
) -> tuple[pd.DataFrame, np.ndarray, Path]:
    """Find a data set, download it if necessary, and read it.

    Parameters
    ----------
    source : Source
        Source of the data set.
    path : str or path-like, default=None
        Local copy, or the folder with it.
    data_home : str or path-like, default=None
        Folder for downloads. None uses that of scikit-learn.
    download_if_missing : bool, default=True
        If False, raise an OSError instead of downloading.

    Returns
    -------
    frame : DataFrame of shape (n_samples, n_features)
        The columns.
    target : ndarray of shape (n_samples,)
        The classes.
    file : Path
        The file that was read.
    """
    file = _find_local(source, path)
    if file is None:
        file = Path(get_data_home(data_home)) / "sklearn_emma" / source.archive
        if not file.is_file():
            if not download_if_missing:
                raise OSError(
                    f"{source.name} is not at {file}, and download_if_missing is False. Allow the "
                    f"download, or {_offline_advice(source)}"
                )
            _download(source, file)
    try:
        frame, target = _read(source, file)
    except ValueError as error:
        raise ValueError(
            f"{file} is damaged, or is not the {source.name} data set: {error}. Replace it, or "
            "delete it so that it is downloaded again."
        ) from error
    return frame, target, file


def read_htru2_archive(archive: zipfile.ZipFile) -> pd.DataFrame:
    """Read HTRU_2.csv, which has no column names.

    Parameters
    ----------
    archive : zipfile.ZipFile
        The archive.

    Returns
    -------
    table : DataFrame
        Columns and classes.
    """
    return pd.read_csv(_open_member(archive, "HTRU_2.csv"), header=None)


def read_mfeat_archive(archive: zipfile.ZipFile) -> pd.DataFrame:
    """Read and concatenate the files of all modalities, each with 200 samples per digit in order.

    Parameters
    ----------
    archive : zipfile.ZipFile
        The archive.

    Returns
    -------
    table : DataFrame
        Columns and classes.
    """
    blocks = [
        pd.read_csv(_open_member(archive, f"mfeat-{features}"), sep=r"\s+", header=None)
        for features in ("fou", "fac", "kar", "pix", "zer", "mor")
    ]
    digits = pd.DataFrame(np.arange(len(blocks[0])) // 200)
    return pd.concat([*blocks, digits], axis=1, ignore_index=True)


def _open_member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Open a file in an archive, in any of its folders."""
    for member in archive.namelist():
        if PurePosixPath(member).name == name:
            return archive.open(member)
    raise ValueError(f"there is no {name} in it")


def _find_local(source: Source, path: str | os.PathLike | None) -> Path | None:
    """Return the local copy, or None if there is none and `path` is None."""
    if path is not None:
        place = Path(path).expanduser()
        file = _find_in_folder(source, place) if place.is_dir() else place
        if file is None or not file.is_file():
            raise FileNotFoundError(
                f"path={str(place)!r} has no copy of {source.name}. Expected {source.csv} or "
                f"{source.archive}, or a folder with one of them."
            )
        return file
    folder = os.environ.get(ENVIRONMENT_VARIABLE)
    if not folder:
        return None
    if not Path(folder).is_dir():
        raise FileNotFoundError(
            f"{ENVIRONMENT_VARIABLE}={folder!r} is not a folder. Set it to the folder with the "
            "data sets, or unset it."
        )
    return _find_in_folder(source, Path(folder))


def _find_in_folder(source: Source, folder: Path) -> Path | None:
    """Return the CSV file in a folder, else the archive, else None."""
    for name in (source.csv, source.archive):
        if (folder / name).is_file():
            return folder / name
    return None


def _download(source: Source, file: Path) -> None:
    """Download an archive to a temporary folder, and move it to `file` after it is checked."""
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            f"Downloading {source.name} needs pooch: pip install 'sklearn_emma[data]'. Or "
            f"{_offline_advice(source)}"
        ) from error

    file.parent.mkdir(parents=True, exist_ok=True)
    logger.info("Downloading %s from %s", source.name, source.url)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix="download-") as folder:
        part = Path(folder) / file.name
        try:
            pooch.HTTPDownloader(timeout=TIMEOUT)(source.url, str(part), None)
        except OSError as error:
            raise OSError(
                f"Downloading {source.name} from {source.url} failed: {error}. Try again later, "
                f"or {_offline_advice(source)}"
            ) from error
        try:
            _read(source, part)
        except ValueError as error:
            raise ValueError(
                f"The file from {source.url} is damaged, or is not the {source.name} data set, and "
                f"was not kept: {error}. Try again later, or {_offline_advice(source)}"
            ) from error
        os.replace(part, file)


def _offline_advice(source: Source) -> str:
    """Return advice for use without a download, for messages."""
    return (
        f"get {source.archive} or {source.csv} by other means and pass it as path, or set its "
        f"folder as the environment variable {ENVIRONMENT_VARIABLE}."
    )


def _read(source: Source, file: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Read a CSV file or archive, and raise ValueError if it is not the data set."""
    if not zipfile.is_zipfile(file):
        _check_sha256(source, file)
        return _check_content(source, pd.read_csv(file))
    try:
        with zipfile.ZipFile(file) as archive:
            table = source.read_archive(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"the archive cannot be unpacked ({error})") from error
    return _check_content(source, table)


def _check_sha256(source: Source, file: Path) -> None:
    """Raise ValueError if a CSV file does not have the checksum of the data set."""
    with open(file, "rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != source.csv_sha256:
        raise ValueError(
            f"it is no zip archive, and its SHA-256 is {found} where {source.csv} has "
            f"{source.csv_sha256}"
        )


def _check_content(source: Source, table: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Check size, values and classes, and return named columns and classes."""
    n_samples, n_columns = sum(source.class_counts), len(source.columns) + 1
    if table.shape != (n_samples, n_columns):
        raise ValueError(
            f"expected {n_samples} samples and {n_columns} columns, found {table.shape[0]} and "
            f"{table.shape[1]}"
        )
    values = table.to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("some of its values are missing")
    classes, counts = np.unique(values[:, -1], return_counts=True)
    if not np.array_equal(classes, np.arange(len(source.class_counts))) or not np.array_equal(
        counts, source.class_counts
    ):
        raise ValueError(
            f"expected {list(source.class_counts)} samples of classes 0 to "
            f"{len(source.class_counts) - 1}, found {counts.tolist()} of {classes.tolist()}"
        )
    frame = pd.DataFrame(values[:, :-1], columns=list(source.columns))
    return frame, values[:, -1].astype(np.int64)
