"""Every example runs by itself, without a display."""

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sklearn_emma.datasets import fetch_htru2

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
ON_HTRU2 = ["plot_2_energies_htru2.py", "plot_3_failing_modalities.py", "plot_7_settings.py"]


def run(name, *arguments):
    """Run an example as a user does, and give what it printed."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    process = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.fixture
def htru2():
    local = ROOT.parent / "shared" / "data"
    try:
        fetch_htru2(path=local if local.exists() else None, download_if_missing=False)
    except OSError:
        pytest.skip("HTRU2 is not at hand")


@pytest.mark.slow
def test_plain_torch_loop_closes_the_failing_modality():
    last = run("plain_torch_loop.py").splitlines()[-1]
    failing, *others = (float(share) for share in last.split("attention ")[1].split(","))
    assert failing < 0.1 < 0.5 < min(others)


@pytest.mark.slow
def test_manifolds_center_of_the_circle_is_suspicious_to_the_energy_alone():
    error, energy = run("plot_1_manifolds.py").splitlines()[-2:]
    assert error.startswith("reconstruction error")
    assert error.endswith("not suspicious")
    assert energy.startswith("energy")
    assert energy.endswith(", suspicious")


@pytest.mark.slow
def test_demo_prints_its_table_and_draws_its_picture(tmp_path):
    picture = tmp_path / "picture.png"
    out = run("demo.py", "--splits", "1", "--picture", str(picture))
    assert "identified by attention" in out
    assert picture.stat().st_size > 10_000


@pytest.mark.slow
def test_prediction_sets_hold_where_the_total_energy_is_high():
    pytest.importorskip("mapie")
    last = run("plot_4_prediction_sets.py").split("highest total energy\n")[1].splitlines()
    coverage = {line.rpartition(" ")[0].strip(): float(line.split()[-1]) for line in last}
    assert coverage["boosting, by total energy"] > 0.92 > coverage["boosting, failing samples too"]
    assert coverage["EMMA, by total energy"] > 0.92 > coverage["EMMA, clean samples"]


@pytest.mark.slow
def test_refusing_by_probability_and_energy_leaves_fewer_errors():
    table = run("plot_5_abstaining.py").split("rejected by")[1].splitlines()[1:]
    errors = {line[:26].strip(): float(line.split()[-2].rstrip("%")) for line in table}
    assert errors["boosting, both"] < errors["boosting, probability"]
    assert max(errors.values()) < 7


@pytest.mark.slow
def test_signals_example_finds_more_failures_by_order_than_by_columns():
    columns, signal = (
        ast.literal_eval(line[line.index("{") :])
        for line in run("plot_8_signals.py").splitlines()[-2:]
    )
    assert min(signal[kind] for kind in ("stuck", "late", "hum", "dropout")) > 0.95
    assert all(signal[kind] > columns[kind] + 0.05 for kind in ("hum", "dropout", "noisy"))


@pytest.mark.slow
@pytest.mark.usefixtures("htru2")
@pytest.mark.parametrize("name", ON_HTRU2)
def test_examples_on_htru2_run(name):
    assert run(name)


def test_without_htru2_examples_say_how_to_get_it(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setenv("SKLEARN_EMMA_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(SystemExit) as end:
        importlib.import_module("pulsars").load_pulsars()
    assert end.value.code == 0
    assert "download htru2.zip" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_HTRU2)
def test_examples_on_htru2_end_without_it(name, tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARN_EMMA_DATA", str(tmp_path / "nowhere"))
    assert "download htru2.zip" in run(name)


@pytest.mark.slow
def test_the_report_of_a_night_tells_the_noisy_and_the_silent_instrument():
    rows = [line.split() for line in run("plot_6_look_inside.py").splitlines()[-3:]]
    failing = {name: float(share) for name, share, *_ in rows}
    assert failing["modality0"] < 0.1
    assert failing["modality1"] == pytest.approx(0.3, abs=0.05)  # of the night
    assert failing["modality2"] == pytest.approx(0.3, abs=0.05)


@pytest.mark.slow
def test_mixed_table_notices_what_was_never_seen():
    pytest.importorskip("vega_datasets")
    sources = [line.split() for line in run("mixed_table.py").splitlines()[-4:-1]]
    failing = {name: float(share) for name, share in sources}
    assert failing["papers"] == 1.0
    assert failing["engine"] < 0.1
