"""Benchmarks that are quickly tried run, and fit what they say they fit."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def scaling(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    names = "scaling", "_scaling_report", "_tables", "_packages"
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module("scaling")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.fixture
def report(scaling):
    return sys.modules["_scaling_report"]


def grown(axis, method, sizes, power):
    """Records of a call that needs as much as some power of the size."""
    return [
        {"axis": axis, "size": size, "method": method, "seconds": size**power, "memory": 2.0 * size}
        for size in sizes
    ]


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_is_that_of_the_growth(report, power):
    curve = grown("rows", "EMMAClassifier.fit", [10, 100, 1000, 10_000], power)
    assert report.exponents(curve, "seconds") == pytest.approx((power, power))
    assert report.exponents(curve, "memory") == pytest.approx((1, 1))


def test_overhead_does_not_count_in_the_upper_half_of_the_sizes(report):
    curve = grown("rows", "EMMAClassifier.fit", [1, 10, 100, 1000, 10_000, 100_000], 1.0)
    for record in curve:
        record["seconds"] = max(record["seconds"], 500.0)
    upper, whole = report.exponents(curve[:1] + curve[3:], "seconds")
    assert upper == pytest.approx(1)
    assert whole < 0.9


def test_nothing_grows_where_nothing_is_needed(report):
    assert report.exponent([1, 10, 100], [0.0, 0.0, 3.0]) is None
    assert report.exponent([1, 10, 100], [0.0, 2.0, 20.0]) == pytest.approx(1)


def test_a_plan_keeps_to_the_sizes_allowed(scaling):
    for axis in scaling.AXES:
        planned = scaling.plan(axis, 1000, 4)
        assert planned
        for size, case in planned:
            assert size <= (1000 if axis == "rows" else 4)
            assert case["rows"] <= 1000
    assert {case["columns"] for _, case in scaling.plan("columns", 10, 16)} == {2, 4, 8}


def test_results_are_printed_and_drawn_from_files(scaling, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="needs Matplotlib, of the extra plot")
    files = [tmp_path / "first.json", tmp_path / "second.json"]
    old = grown("rows", "EMMAClassifier.fit", [1000, 10_000], 1.0)
    files[0].write_text(json.dumps(old))
    files[1].write_text(json.dumps(grown("rows", "EMMAClassifier.fit", [10_000], 0.5)))
    scaling.main(["--load", *map(str, files), "--plot", str(tmp_path / "figures")])
    printed = capsys.readouterr().out
    assert "| 1 000  | 1000                   | 2000  |" in printed
    assert "| 10 000 | 100                    | 20000 |" in printed
    assert (tmp_path / "figures" / "scaling.png").stat().st_size > 1000


def test_a_figure_without_matplotlib_is_refused_before_anything_runs(scaling, monkeypatch):
    monkeypatch.setattr(sys.modules["_packages"], "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r'matplotlib is missing: pip install "\.\[plot\]"'):
        scaling.main(["--plot", "figures"])


def test_entries_without_their_package_are_skipped_visibly(scaling, capsys):
    available = sys.modules["_packages"].available
    needed = {"a": "numpy", "b": "no_such_package", "c": "no_such_package"}
    assert available(["a", "b", "c", "d"], needed) == ["a", "d"]
    assert capsys.readouterr().err == "b, c skipped: pip install no_such_package\n"


@pytest.mark.slow
def test_every_call_is_measured_in_a_process_of_its_own(tmp_path):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    results = tmp_path / "results.json"
    limits = ["--max-rows", "1000", "--max-size", "4", "--repeats", "1"]
    process = subprocess.run(
        [sys.executable, str(BENCHMARKS / "scaling.py"), *limits, "--json", str(results)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    records = json.loads(results.read_text())
    assert {record["axis"] for record in records} == {"rows", "columns", "modalities", "settings"}
    assert all(record["seconds"] > 0 and record["memory"] >= 0 for record in records)
    rows = [record for record in records if record["axis"] == "rows"]
    assert {record["input"] for record in rows} == {1000 * 8 * 8 / 2**20}
    assert process.stdout.count("#### ") == 5
