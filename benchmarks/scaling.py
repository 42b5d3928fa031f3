"""How do time and memory grow with samples, columns, modalities and settings? See README.md here.

python benchmarks/scaling.py --json scaling.json --plot benchmarks/figures
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from _packages import require
from _scaling_report import draw, report

CASES = Path(__file__).with_name("_scaling_cases.py")
SCORER, EMMA, SEARCH = "DAEEnergyScorer", "EMMAClassifier", "EMMAClassifierCV"
HALF_DECADES = [1, 3, 10, 30, 100, 300, 1000]
# Axis: its sizes, the parameters of all sizes, and the methods with their own parameters.
AXES = {
    "rows": (
        [*(1000 * size for size in HALF_DECADES), 3_000_000, 10_000_000],
        {"modalities": 2, "columns": 4, "epochs": 2},
        {
            f"{SCORER}.fit": {},
            # ten million take many minutes
            f"{EMMA}.fit": {"most": 3_000_000},
            f"{SCORER}.score_samples": {},
            f"{EMMA}.predict_proba": {},
        },
    ),
    "columns": (
        [4, 8, 16, 32, 64, 128, 256, 512],
        {"modalities": 2, "epochs": 4},
        {f"{EMMA}.fit": {"rows": 4000}, f"{EMMA}.predict_proba": {"rows": 32_768}},
    ),
    "modalities": (
        [2, 4, 8, 16, 32, 64, 128],
        {"columns": 4, "epochs": 4},
        {f"{EMMA}.fit": {"rows": 2000}, f"{EMMA}.predict_proba": {"rows": 8192}},
    ),
    "settings": (
        HALF_DECADES,
        {"rows": 200, "modalities": 2, "columns": 2, "epochs": 4},
        {f"{SEARCH}.fit": {}},
    ),
}
# Seconds after which a call is not repeated.
LONG = 4.0


def plan(axis, max_rows, max_size):
    """Give the sizes of an axis and what to measure at each of them, in order."""
    sizes, base, methods = AXES[axis]
    cases = []
    for size in sizes:
        if size > (max_rows if axis == "rows" else max_size):
            continue
        # `columns` is the total, which is divided among the modalities
        varied = {"columns": size // base["modalities"]} if axis == "columns" else {axis: size}
        for method, own in methods.items():
            case = {**base, **own, **varied, "method": method}
            if size <= case.pop("most", size):
                case["rows"] = min(case["rows"], max_rows)
                cases.append((size, case))
    return cases


def run_case(case):
    """Measure one call in a process of its own, on one thread: seconds and MiB."""
    process = subprocess.run(
        [sys.executable, str(CASES), json.dumps(case)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        # a negative status is a signal: -9 where memory ran out
        raise RuntimeError(f"{case} ended with {process.returncode}:\n{process.stderr}")
    return json.loads(process.stdout.splitlines()[-1])


def measure(case, repeats):
    """Give the least time and the largest memory of several runs."""
    runs = [run_case(case)]
    while len(runs) < repeats and runs[-1]["seconds"] < LONG:
        runs.append(run_case(case))
    seconds, memory = min(r["seconds"] for r in runs), max(r["memory"] for r in runs)
    return {**runs[0], "seconds": seconds, "memory": memory}


def run(args, folder):
    """Measure all requested cases, and save after every call."""
    records = []
    for axis in args.only:
        models = {}
        for size, case in plan(axis, args.max_rows, args.max_size):
            name, method = case["method"].split(".")
            if method == "fit":
                # predictions use the model that was fitted to the fewest samples
                if axis != "rows" or name not in models:
                    models[name] = case["save"] = str(folder / f"{axis} {name} {size}.pickle")
            else:
                case["model"] = models[name]
            record = {"axis": axis, "size": size, "method": case["method"]}
            records.append({**record, **measure(case, args.repeats)})
            print(*records[-1].values(), sep=", ", file=sys.stderr, flush=True)
            if args.json:
                args.json.write_text(json.dumps(records, indent=1))
    return records


def load(paths):
    """Merge the files of several runs; for the same call, the last counts."""
    records = {}
    for path in paths:
        for record in json.loads(path.read_text()):
            records[tuple(record[k] for k in ("axis", "method", "size"))] = record
    return list(records.values())


def parse(argv):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=AXES, default=list(AXES), metavar="AXIS")
    parser.add_argument("--max-rows", type=float, default=1e7, help="most samples (default 1e7)")
    parser.add_argument(
        "--max-size", type=int, default=1000, help="most columns, modalities, settings"
    )
    parser.add_argument("--repeats", type=int, default=2, help="runs, least counts (default 2)")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument(
        "--load", type=Path, nargs="+", help="files of --json: run nothing, print their tables"
    )
    parser.add_argument("--plot", type=Path, help="folder for the figure, scaling.png")
    args = parser.parse_args(argv)
    args.max_rows = int(args.max_rows)
    if args.plot:
        require("matplotlib", 'pip install ".[plot]", or leave out --plot')
    return args


def main(argv=None):
    """Run the benchmark from the command line."""
    args = parse(argv)
    if args.load:
        records = [r for r in load(args.load) if r["axis"] in args.only]
    else:
        with tempfile.TemporaryDirectory() as folder:
            records = run(args, Path(folder))
    report(records)
    if args.plot:
        draw(records, args.plot)


if __name__ == "__main__":
    main()
