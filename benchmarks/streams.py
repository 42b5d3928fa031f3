"""How well does a monitor handle modalities that fail for a while? See README.md.

python benchmarks/streams.py --seeds 5 --json streams.json
"""

import argparse
import json
import os
import pickle
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy

import numpy as np
from _baselines import SPECIALIST, _fit_specialist, fit_boosting, fit_emma, fit_mask_then_boost
from _protocol import TASKS, Rows, default_data, load_task
from _robustness_masks import MahalanobisDistance
from _stream_failures import FAILURES, resample
from _stream_peers import PEERS, NoMonitor, at_equal_alarms
from _stream_report import report
from sklearn.metrics import accuracy_score, f1_score

from sklearn_emma import EMMAClassifier
from sklearn_emma.corruption import Missing
from sklearn_emma.model_selection import stream_curve
from sklearn_emma.monitoring import ModalityMonitor

MONITOR, ROW, BOOSTING, MASKED = "monitor", "sample by sample", "boosting", "mask-then-boost"
EQUAL = "monitor at equal alarms"
EDGES = (0, 10, 50, 100, 1000)
# groups of the real data sets that are for training
TRAINING_SPLITS = {
    "occupancy": [0],
    "hydraulic": [0, 1, 2, 3, 4, 5, 6],
    "gas_drift": [1, 2, 3],
    "skab": list(range(17)),
}


def fit_or_load(rows, name, folder):
    """Fit EMMA with its defaults, or load what was saved."""
    file = folder and Path(folder) / f"{name}_{rows.training}_{rows.seed}.pkl"
    if file and file.exists():
        return pickle.loads(file.read_bytes())
    emma = fit_emma(rows)
    if file:
        file.write_bytes(pickle.dumps(emma))
    return emma


def make_metric(rows, decide):
    """Give the score of probabilities: F1 with a tuned threshold, or accuracy."""
    metric = f1_score if rows.task.binary else accuracy_score
    return lambda y, proba: metric(y, decide(proba))


def measure(system, metric, stream, episode, length, n_episodes, seed):
    """Give scores and diagnosis of a system in episodes of one failure, over all modalities."""
    X, y = stream
    curve = stream_curve(
        system,
        X,
        y if metric else None,
        corruption=episode.corruption,
        growing=episode.growing,
        kind=episode.kind,
        length=length,
        n_episodes=n_episodes,
        metric=metric,
        method="predict_proba",
        edges=EDGES,
        random_state=seed,
    )
    record = {k: float(v) for k, v in curve.summary.items()}
    if metric:
        weight = (curve.scores["last"] - curve.scores["first"]).to_numpy()
        record["score"] = float(np.average(curve.scores["score"], weights=weight))
        late = curve.scores["first"] >= 50
        if late.any():
            record["late score"] = float(curve.scores["score"][late].mean())
    return record


def count_false_alarms(system, X, y, seed, n_samples):
    """Give alarms per 10,000 clean samples of a resampled stream."""
    system.reset()
    count, up, done = 0, None, 0
    while done < n_samples:
        part, _ = resample(X, y, 10_000, [seed, done])
        alarm = system.update(part).alarm
        before = np.vstack([alarm[:1] if up is None else up, alarm[:-1]])
        count += int((alarm & ~before).sum())
        up, done = alarm[-1:], done + len(part)
    return 1e4 * count / done


def time_of(method, X, n=200):
    """Give the median processor seconds of a call with one sample."""
    seconds = []
    for i in range(n):
        start = time.process_time()
        method(X[i % len(X)][None])
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


def run(name, seed, args):
    """Evaluate all systems on one split: a list of records."""
    rows = Rows(load_task(name, default_data()), seed, "default")
    emma = fit_or_load(rows, name, args.models)
    monitor = ModalityMonitor(emma, random_state=seed).fit(rows._clean_val, reference=rows.X)
    decide = rows.decide(emma)
    metrics = {MONITOR: make_metric(rows, decide), ROW: make_metric(rows, decide)}
    systems = {MONITOR: monitor, ROW: NoMonitor(emma, rows.modalities)}
    systems[EQUAL] = at_equal_alarms(monitor, rows.X_test, seed=[seed, 1])
    metrics[EQUAL] = make_metric(rows, decide)
    if not args.quick:
        for label, model in {
            BOOSTING: fit_boosting(rows),
            MASKED: fit_mask_then_boost(rows, MahalanobisDistance),
        }.items():
            systems[label] = NoMonitor(model, rows.modalities)
            metrics[label] = make_metric(rows, rows.decide(model))
        for label, make in PEERS.items():
            systems[label] = make(emma, rows._clean_val, rows.X_test, seed=[seed, 1])
            metrics[label] = make_metric(rows, decide)
    stream = resample(rows.X_test, rows.y_test, max(4000, 8 * max(args.lengths)), seed)
    records = []
    for length in args.lengths:
        n_episodes = args.episodes if length < 1000 else max(1, args.episodes // 4)
        for failure, episode in FAILURES.items():
            for label, system in systems.items():
                found = measure(system, metrics[label], stream, episode, length, n_episodes, seed)
                records.append({"system": label, "failure": failure, "length": length, **found})
    records += [
        {"system": SPECIALIST, "failure": "missing", "length": length, **found}
        for length in args.lengths
        for found in [specialist(rows, stream)]
    ]
    clean = rows.X_test, rows.y_test, seed, args.clean
    for label, system in systems.items():
        metric, (X, y) = metrics[label], stream
        system.reset()
        records.append(
            {
                "system": label,
                "failure": "none",
                "length": 0,
                "score": float(metric(y, system.predict_proba(X))),
                "false_alarms": count_false_alarms(system, *clean)
                if label in (MONITOR, EQUAL, *PEERS)
                else 0.0,
            }
        )
    X = np.ascontiguousarray(stream[0])
    update, predict = time_of(monitor.update, X), time_of(emma.predict_proba, X)
    times = {"update": update, "predict_proba": predict}
    records.append({"system": "time", "failure": "none", "length": 0, **times})
    return [{"task": name, "seed": seed, **record} for record in records]


def specialist(rows, stream):
    """Give the mean score, over modalities, of classifiers that are told which one to drop."""
    X, y = stream
    scores = []
    for i, modality in enumerate(rows.modalities):
        failure = Missing(n_corrupted=1, only=modality, fraction=1.0)
        model = _fit_specialist(rows, failure, 1)
        decide = rows.decide(model, _filled(rows.validation(failure)))
        dropped = X.copy()
        dropped[:, rows.columns[i]] = 0.0
        scores.append(make_metric(rows, decide)(y, model.predict_proba(dropped)))
    return {"score": float(np.mean(scores)), "late score": float(np.mean(scores))}


def _filled(validation):
    return np.nan_to_num(validation[0]), validation[1]


def run_real(name, path):
    """Run a real data set in its order; give scores with and without the monitor, and alarms."""
    data = np.load(path, allow_pickle=False)
    X, y, split = data["X"].astype(float), data["y"], data["split"]
    train = np.isin(split, TRAINING_SPLITS[name])
    n_fitted = round(0.7 * train.sum())
    X_train, y_train, X, y = X[train], y[train], X[~train], y[~train]
    emma = EMMAClassifier(json.loads(str(data["groups"])), random_state=0)
    emma.fit(X_train[:n_fitted], y_train[:n_fitted])
    found = {"task": name, "row": round(float(np.mean(emma.predict(X) == y)), 4)}
    for ordered in (True, False):
        monitor = ModalityMonitor(emma, ordered=ordered, random_state=0)
        monitor.fit(X_train[n_fitted:], reference=X_train[:n_fitted])
        health = monitor.update(X)
        up = np.vstack([health.alarm[:1], health.alarm[1:] & ~health.alarm[:-1]])
        share = health.alarm.mean(axis=0)
        named = zip(monitor.modality_names_, share.round(3).tolist(), strict=True)
        found["ordered" if ordered else "shuffled"] = {
            "score": round(float(np.mean(emma.predict(X, evidence=health.evidence) == y)), 4),
            "alarms per 10,000": round(1e4 * float(up.sum()) / len(X), 1),
            "share of time": {modality: value for modality, value in named if value > 0},
        }
    return found


def main():
    """Run the benchmark, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=20)
    parser.add_argument("--clean", type=int, default=200_000, help="clean samples for false alarms")
    parser.add_argument("--lengths", type=int, nargs="+", default=[20, 100, 1000])
    parser.add_argument("--episodes", type=int, default=8, help="per modality, failure and length")
    parser.add_argument("--quick", action="store_true", help="without the other monitors")
    parser.add_argument("--models", help="folder for fitted models")
    parser.add_argument("--json", help="file for the results")
    parser.add_argument("--real", nargs="*", default=[], choices=TRAINING_SPLITS)
    args = parser.parse_args()
    for name in args.real:
        path = Path(default_data() or ".") / "real" / f"{name}.npz"
        if path.exists():
            print(run_real(name, path), flush=True)
        else:
            print(f"{name} is skipped: there is no {path} (see SKLEARN_EMMA_DATA)")
    records = []
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        for name in args.tasks:
            if name in ("htru2", "mfeat") and default_data() is None:
                print(f"{name} is skipped: there is no folder with data (see SKLEARN_EMMA_DATA)")
                continue
            start = time.perf_counter()
            records += run(name, seed, args)
            print(f"{name}, seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
            if args.json:
                Path(args.json).write_text(json.dumps(records))
    if records:
        report(records)


if __name__ == "__main__":
    main()
