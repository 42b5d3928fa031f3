"""How well does DAEEnergyScorer detect outliers, compared with the detectors of PyOD?

python benchmarks/outliers.py --data ../shared/data --save outliers.csv

Needs PyOD (`pip install ".[bench]"`). Tables go to stdout, progress to stderr; seconds are those of
the processor, one core. If it is interrupted, the same command continues; `--load more.csv` adds
the results of another run.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: parallel over fits, not inside

import numpy as np
import pandas as pd
from _outlier_detectors import DETECTORS, MIXTURE, PYOD, REFERENCES, fit_and_score
from _outlier_rows import (
    CURVES,
    FAR,
    MODALITIES,
    PROTOCOLS,
    SIGMAS,
    curve_rows,
    htru2_rows,
    odds_folder,
    odds_names,
    odds_rows,
    published_roc,
)
from _packages import require
from _protocol import default_data
from _tables import spread, table
from joblib import Parallel, delayed
from sklearn.metrics import average_precision_score, roc_auc_score

SECTIONS = ("odds", "manifolds", "htru2")
KEY = ["protocol", "set", "seed", "detector"]
COLUMNS = [
    *KEY,
    "roc_auc",
    "average_precision",
    "fit_seconds",
    "score_seconds",
    "prevalence",  # of outliers among the test samples: the average precision of guessing
    "n_train",
    "max_train",
    "error",
]


def make_rows(protocol, name, seed, data, max_train):
    """Give the samples of one problem."""
    if protocol == "curve":
        return curve_rows(name, seed)
    if protocol == "noise":
        return htru2_rows(data, name, seed)
    return odds_rows(data, name, protocol, seed, max_train)


def run(protocol, name, seed, detector, data, max_train):
    """Fit one detector on one problem; give a record for each protocol of its tests."""
    rows = make_rows(protocol, name, seed, data, max_train)
    X_tests = [X for X, _ in rows.tests.values()]
    n_tests = len(X_tests)
    scores, fit_seconds, score_seconds, error = [None] * n_tests, np.nan, [np.nan] * n_tests, ""
    try:
        scores, fit_seconds, score_seconds = fit_and_score(detector, rows.X, X_tests, seed)
    except Exception as exception:
        error = " ".join(f"{type(exception).__name__}: {exception}".split())[:200]
    records = []
    for (key, (_, y)), score, seconds in zip(
        rows.tests.items(), scores, score_seconds, strict=True
    ):
        record = {"protocol": key, "set": name, "seed": seed, "detector": detector}
        record |= {"fit_seconds": fit_seconds, "score_seconds": seconds, "error": error}
        record |= {"prevalence": y.mean(), "n_train": len(rows.X), "max_train": max_train}
        if score is not None:
            record["roc_auc"] = roc_auc_score(y, score)
            record["average_precision"] = average_precision_score(y, score)
        records.append(record)
    return pd.DataFrame(records, columns=COLUMNS)


def plan(args, sets, done):
    """List the fits to run, one detector after the other, without finished ones."""
    wanted = []
    for detector in args.detectors:
        problems = []
        if "odds" in args.only and detector in DETECTORS:
            problems += [(p, p, name) for p in PROTOCOLS for name in sets]
        if "manifolds" in args.only and detector in REFERENCES:
            problems += [("curve", "curve", name) for name in CURVES]
        if "htru2" in args.only and detector in REFERENCES:
            problems += [("noise", f"sigma {SIGMAS[-1]}", name) for name in MODALITIES]
        wanted += [
            (protocol, name, seed, detector, args.data, args.max_train)
            for protocol, key, name in problems
            for seed in range(args.seeds)
            if (key, name, seed, detector) not in done
        ]
    return wanted


def load(paths, max_train):
    """Read saved results; if a result occurs twice, the later one counts."""
    frames = [pd.read_csv(path, dtype={"error": str}) for path in paths if path.exists()]
    if not frames:
        return pd.DataFrame(columns=COLUMNS)
    results = pd.concat(frames).fillna({"error": ""}).drop_duplicates(KEY, keep="last")
    other = results["max_train"] != max_train
    if other.any():
        print(f"{other.sum()} results are of another --max-train, and left out", file=sys.stderr)
    return results[~other]


def compute(jobs, n_jobs, save):
    """Run, report and save one result after the other."""
    frames = []
    runs = Parallel(n_jobs=n_jobs, return_as="generator_unordered")(
        delayed(run)(*arguments) for arguments in jobs
    )
    for i, frame in enumerate(runs, start=1):
        frames.append(frame)
        if save:
            save.parent.mkdir(parents=True, exist_ok=True)
            frame.to_csv(save, mode="a", header=not save.exists(), index=False)
        for r in frame.itertuples():
            text = f"ROC AUC {r.roc_auc:.3f}, fit in {r.fit_seconds:.2f} s"
            text = f"failed, {r.error}" if r.error else f"{text}, scored in {r.score_seconds:.2f} s"
            print(
                f"{i}/{len(jobs)} {r.detector}, {r.protocol}, {r.set}, seed {r.seed}: {text}",
                file=sys.stderr,
                flush=True,
            )
    return frames


def heading(text):
    """Print a heading."""
    print(f"\n## {text}\n")


def order(results):
    """Put detectors with the greatest mean over sets first."""
    means = results.groupby(["detector", "set"])["roc_auc"].mean().groupby("detector").mean()
    return list(means.sort_values(ascending=False, kind="stable").index)


def complete(results, n_results):
    """Leave out detectors with missing results, and say so."""
    counts = results.groupby("detector").size()
    missing = counts[counts < n_results]
    if len(missing):
        text = ", ".join(f"{name} ({n} of {n_results} results)" for name, n in missing.items())
        print(f"Not finished and left out of the table that follows: {text}.\n")
    return results[~results["detector"].isin(missing.index)]


def report_failures(results):
    """Say which detectors failed on what."""
    for detector, failed in results[results["error"] != ""].groupby("detector"):
        counts = failed.groupby("set").size()
        text = ", ".join(f"{name} ({n} times)" for name, n in counts.items())
        print(f"\n{detector} failed on: {text}; such as {failed['error'].iloc[0]}")


def report_odds(results, protocol, n_sets, n_seeds, published):
    """Print means over data sets, then the figures of each."""
    results = results[results["protocol"] == protocol].copy()
    if results.empty:
        return
    failed = results["error"] != ""
    # a detector that fails gets the score of chance
    results.loc[failed, "roc_auc"] = 0.5
    results.loc[failed, "average_precision"] = results.loc[failed, "prevalence"]
    heading(f"Outlier detection sets, {protocol} training samples: means over {n_sets} sets")
    full = complete(results, n_sets * n_seeds)
    names = order(full)
    by_set = full.pivot_table("roc_auc", "set", "detector")
    ranks = by_set.rank(axis=1, ascending=False).mean()
    lines = []
    for name in names:
        own = full[full["detector"] == name]
        by_seed = own.groupby("seed")
        seconds = by_seed[["fit_seconds", "score_seconds"]].sum().mean()
        line = [
            name,
            spread(by_seed["roc_auc"].mean()),
            f"{by_seed['average_precision'].mean().mean():.3f}",
            f"{ranks[name]:.2f}",
            f"{seconds['fit_seconds']:.1f}",
            f"{seconds['score_seconds']:.1f}",
        ]
        if protocol == "contaminated":
            roc = published.loc[by_set.index, name].mean() if name in published else np.nan
            line.append("-" if np.isnan(roc) else f"{roc:.3f}")
        lines.append(line)
    header = ["detector", "ROC AUC", "average precision", "mean rank", "fit (s)", "score (s)"]
    print(table(header + ["published"] * (protocol == "contaminated"), lines))
    report_failures(results)
    capped = sorted(set(results.loc[results["n_train"] == results["max_train"], "set"]))
    if capped:
        n_rows = results["max_train"].iloc[0]
        print(
            f"\nTrained on {n_rows} of the training samples, drawn at random: {', '.join(capped)}"
        )
    heading(f"Outlier detection sets, {protocol} training samples: ROC AUC on each set")
    report_sets(results, "set", order(results))


def report_sets(results, rows, columns, index=None):
    """Print the mean ROC AUC over seeds, detectors in columns."""
    means = results.pivot_table("roc_auc", rows, "detector").reindex(index=index, columns=columns)
    lines = [
        [str(name), *("-" if np.isnan(value) else f"{value:.3f}" for value in values)]
        for name, values in zip(means.index, means.to_numpy(), strict=True)
    ]
    print(table([rows, *columns], lines))


def report_spread(results, column, names, title):
    """Print ROC AUC with its deviation over seeds, and the seconds of a fit."""
    if results.empty:
        return
    heading(title)
    lines = []
    for detector in [name for name in REFERENCES if name in set(results["detector"])]:
        own = results[results["detector"] == detector]
        values = [own.loc[own[column] == name, "roc_auc"].dropna() for name in names]
        line = [spread(v) if len(v) else "-" for v in values]
        lines.append([detector, *line, f"{own['fit_seconds'].mean():.2f}"])
    print(table(["detector", *names, "fit (s)"], lines))
    report_failures(results)


def report(results, args, sets, published):
    """Print the tables of all sections."""
    if "odds" in args.only:
        for protocol in PROTOCOLS:
            own = results[results["set"].isin(sets)]
            report_odds(own, protocol, len(sets), args.seeds, published)
    if "manifolds" in args.only:
        curves = results[results["protocol"] == "curve"]
        title = f"Manifolds: ROC AUC of points farther than {FAR} from a curve"
        report_spread(curves, "set", list(CURVES), title)
    if "htru2" in args.only:
        for modality in MODALITIES:
            own = results[(results["set"] == modality) & (results["protocol"] != "curve")]
            names = [f"sigma {sigma}" for sigma in SIGMAS]
            title = f"HTRU2: ROC AUC of test samples with noise on {modality}"
            report_spread(own, "protocol", names, title)


def parse(argv):
    """Read the command line."""

    def names(text):
        return [name for name in text.split(",") if name]

    known = [*DETECTORS, MIXTURE]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=names, default=SECTIONS, help="some of odds,manifolds,htru2")
    parser.add_argument(
        "--detectors", type=names, default=known, help=f"some of {','.join(known)}, in this order"
    )
    parser.add_argument("--sets", type=names, help="some of the outlier detection sets: glass,wbc")
    parser.add_argument("--seeds", type=int, default=5, help="number of splits (default 5)")
    parser.add_argument("--jobs", type=int, default=1, help="processes, over fits (default 1)")
    parser.add_argument(
        "--max-train", type=int, default=10_000, help="most training samples of a set"
    )
    parser.add_argument("--data", default=default_data(), help="folder with odds/ and htru2.csv")
    parser.add_argument("--save", type=Path, help="csv file for every result, to continue from")
    parser.add_argument("--load", type=Path, nargs="+", default=[], help="more such files, to read")
    parser.add_argument("--again", action="store_true", help="compute what is in the file anew")
    args = parser.parse_args(argv)
    for given, choices in ((args.only, SECTIONS), (args.detectors, known)):
        unknown = set(given) - set(choices)
        if unknown:
            parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(choices)}")
    return args


def main(argv=None):
    """Run the benchmark from the command line."""
    args = parse(argv)
    sets, published = [], None
    if "odds" in args.only:
        if odds_folder(args.data) is None:
            sys.exit(
                "No odds/*.mat files: give their folder with --data or in SKLEARN_EMMA_DATA, or "
                "do without them, --only manifolds,htru2."
            )
        known, published = odds_names(args.data), published_roc(args.data)
        sets = args.sets or known
        if set(sets) - set(known):
            sys.exit(f"Unknown sets; there are {', '.join(known)}.")
    results = load([*args.load, *([args.save] if args.save else [])], args.max_train)
    done = set() if args.again else set(results[KEY].itertuples(index=False, name=None))
    jobs = plan(args, sets, done)
    if any(job[3] in PYOD for job in jobs):
        require("pyod", 'pip install ".[bench]", or --detectors DAEEnergyScorer')
    frames = [frame for frame in (results, *compute(jobs, args.jobs, args.save)) if len(frame)]
    if not frames:
        sys.exit("None of these detectors is run in these sections.")
    results = pd.concat(frames).drop_duplicates(KEY, keep="last")
    report(results[results["seed"] < args.seeds], args, sets, published)


if __name__ == "__main__":
    main()
