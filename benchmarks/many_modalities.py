"""How does EMMA scale with the number of modalities? See README.md of this folder.

python benchmarks/many_modalities.py --modalities 2 6 20 64 --jobs 2
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: parallel over seeds, not inside

import numpy as np
from _baselines import BOOSTING, EMMA, MODELS, WITHOUT_EMMA
from _protocol import Rows, Task
from _robustness_failures import TRAININGS
from _tables import spread, table
from joblib import Parallel, delayed
from sklearn.pipeline import Pipeline

from sklearn_emma.corruption import Missing, Noise, Swapped
from sklearn_emma.datasets import make_multimodal_classification

NAMES = (EMMA, WITHOUT_EMMA, BOOSTING, "modality dropout", "late fusion, product of logistic")
# half of the modalities fail at once
FAILURES = {"sigma 4": Noise(4), "missing": Missing(), "swapped": Swapped()}
GATE = ("self_weight_", "self_bias_", "coupling_weight_", "coupling_degree_")
N_CLASSES = 4


def simulate(n_modalities, n_rows, seed):
    """Draw modalities of four columns that share half of their noise, so that half suffice."""
    bunch = make_multimodal_classification(
        n_rows,
        n_modalities=n_modalities,
        n_features=4,
        n_classes=N_CLASSES,
        redundancy=0.5,
        separation=4.0,
        random_state=seed,
    )
    return Task.from_bunch(f"{n_modalities} modalities", bunch)


def count_parameters(model):
    """Count the parameters of a network; None for other models."""
    if hasattr(model, "network_weights_"):
        gate = sum(getattr(model, name).size for name in GATE) + 2  # gain and bias
        return gate + sum(w.size for w in model.network_weights_.values())
    if isinstance(model, Pipeline):
        return sum(w.size for w in model[-1].coefs_ + model[-1].intercepts_)
    if hasattr(model, "models"):
        return sum(m.coef_.size + m.intercept_.size for m in model.models)
    return None


def evaluate(rows, name):
    """Fit one model; give accuracy, number of parameters and seconds of the processor."""
    start = time.process_time()
    model = MODELS[name](rows)
    fitted = time.process_time()
    result = {"clean": np.mean(model.predict_proba(rows.X_test).argmax(axis=1) == rows.y_test)}
    predicted = time.process_time()
    for i, (level, corruption) in enumerate(FAILURES.items()):
        corruption.set_params(n_corrupted=len(rows.modalities) // 2)
        proba = model.predict_proba(rows.corrupt(rows.X_test, corruption, (3, i)))
        result[level] = np.mean(proba.argmax(axis=1) == rows.y_test)
    return {
        **{level: float(accuracy) for level, accuracy in result.items()},
        "parameters": count_parameters(model),
        "fit (s)": fitted - start,
        "predict (s)": predicted - fitted,
    }


def run_seed(n_modalities, seed, args):
    """Evaluate all models on one simulation: a list of records."""
    rows = Rows(simulate(n_modalities, args.rows, seed), seed, args.training)
    records = []
    for name in args.models:
        key = {"modalities": n_modalities, "seed": seed, "model": name}
        records.append({**key, **evaluate(rows, name)})
        print(*records[-1].values(), sep=", ", file=sys.stderr, flush=True)
    return records


def report(n_modalities, records):
    """Print one table."""
    lines = []
    for name in dict.fromkeys(record["model"] for record in records):
        mine = [record for record in records if record["model"] == name]
        line = [name]
        line += [spread([r[level] for r in mine]) for level in ("clean", *FAILURES)]
        line.append(str(mine[0]["parameters"] or "-"))
        line.append(f"{np.mean([r['fit (s)'] for r in mine]):.1f}")
        line.append(f"{np.mean([r['predict (s)'] for r in mine]):.3f}")
        lines.append(line)
    failing = [f"half: {level}" for level in FAILURES]
    header = ["model", "clean", *failing, "parameters", "fit (s)", "predict (s)"]
    print(f"\n#### {n_modalities} modalities: accuracy\n\n{table(header, lines)}", flush=True)


def main(argv=None):
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modalities", type=int, nargs="+", default=[2, 6, 20, 64])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=NAMES, metavar="MODEL")
    parser.add_argument("--training", choices=TRAININGS, default="default")
    parser.add_argument("--seeds", type=int, default=3, help="number of simulations (default 3)")
    parser.add_argument("--rows", type=int, default=3000, help="samples of each (default 3000)")
    parser.add_argument("--jobs", type=int, default=1, help="processes, over seeds (default 1)")
    parser.add_argument("--json", type=Path, help="file for the results of every seed")
    args = parser.parse_args(argv)

    records = []
    for n_modalities in args.modalities:
        runs = Parallel(n_jobs=args.jobs)(
            delayed(run_seed)(n_modalities, seed, args) for seed in range(args.seeds)
        )
        here = [record for run in runs for record in run]
        report(n_modalities, here)
        records += here
        if args.json:
            args.json.write_text(json.dumps(records, indent=1))


if __name__ == "__main__":
    main()
