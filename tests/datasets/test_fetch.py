"""The fetchers give the published data sets, from any of their forms."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_emma.datasets import fetch_htru2, fetch_mfeat
from sklearn_emma.modalities import resolve_modalities

DATA = Path(os.environ.get("SKLEARN_EMMA_DATA") or Path(__file__).parents[3] / "shared" / "data")


@pytest.fixture
def folder():
    for name in ("htru2.csv", "mfeat.csv.gz"):
        if not (DATA / name).is_file():
            pytest.skip(f"no {name}: let SKLEARN_EMMA_DATA name the folder with the real data")
    return DATA


def test_htru2_is_the_published_data_set(folder):
    pulsars = fetch_htru2(path=folder)
    assert pulsars.data.shape == (17_898, 8)
    assert np.bincount(pulsars.target).tolist() == [16_259, 1_639]
    assert pulsars.target_names[1] == "pulsar"
    assert pulsars.data.iloc[0].to_dict() == {
        "IP__mean": 140.5625,
        "IP__std": 55.68378214,
        "IP__kurtosis": -0.234571412,
        "IP__skewness": -0.699648398,
        "DM__mean": 3.199832776,
        "DM__std": 19.11042633,
        "DM__kurtosis": 7.975531794,
        "DM__skewness": 74.24222492,
    }
    assert "CC BY 4.0" in pulsars.DESCR
    assert pulsars.filename == str(folder / "htru2.csv")


def test_mfeat_is_the_published_data_set(folder):
    digits = fetch_mfeat(path=folder / "mfeat.csv.gz")
    assert digits.data.shape == (2_000, 649)
    assert np.bincount(digits.target).tolist() == [200] * 10
    widths = {name: len(columns) for name, columns in digits.modalities.items()}
    assert widths == {"fou": 76, "fac": 216, "kar": 64, "pix": 240, "zer": 47, "mor": 6}


@pytest.mark.parametrize("fetch", [fetch_htru2, fetch_mfeat])
@pytest.mark.parametrize("as_frame", [True, False])
def test_modalities_can_be_passed_on(folder, fetch, as_frame):
    data = fetch(path=folder, as_frame=as_frame)
    names, columns = resolve_modalities(data.modalities, data.data)
    assert_array_equal(np.concatenate(columns), np.arange(len(data.feature_names)))
    if as_frame:
        assert resolve_modalities("prefix", data.data)[0] == names


def test_return_X_y(folder):
    pulsars = fetch_htru2(path=folder)
    X, y = fetch_htru2(path=folder, return_X_y=True, as_frame=False)
    assert_array_equal(X, pulsars.data)
    assert_array_equal(y, pulsars.target)


def test_environment_variable_serves_offline(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("SKLEARN_EMMA_DATA", str(folder))
    for fetch in (fetch_htru2, fetch_mfeat):
        data = fetch(data_home=tmp_path, download_if_missing=False)
        assert Path(data.filename).parent == folder
