"""One measured call of the scaling benchmark, in a process of its own.

python benchmarks/_scaling_cases.py '{"method": "EMMAClassifier.fit", "samples": 1000, ...}'

prints processor time and memory as json. `scaling.py` runs this file.
"""

import json
import os
import pickle
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the time of one core

import numpy as np
import torch
from _memory import peak_memory

from sklearn_emma import DAEEnergyScorer, EMMAClassifier, EMMAClassifierCV

WARM_ROWS = 64


def draw(case, n_rows):
    """Draw samples and classes in place; a freed copy would hide memory of the measured call."""
    rng = np.random.default_rng(0)
    X = np.empty((n_rows, case["modalities"] * case["columns"]))
    rng.standard_normal(out=X)
    return X, (X[:, 0] > 0).astype(np.int8)


def modalities(case):
    """Give the columns of each modality."""
    m, d = case["modalities"], case["columns"]
    return {f"m{i}": slice(i * d, (i + 1) * d) for i in range(m)}


def scorer(case, **params):
    """Make the scorer, with few epochs."""
    return DAEEnergyScorer(max_epochs=case["epochs"], random_state=0, **params)


def classifier(case):
    """Make the classifier, with few epochs."""
    epochs = case["epochs"]
    params = {
        "energy": scorer(case, calibration_fraction=0.0),
        "max_epochs": epochs,
        "random_state": 0,
    }
    if "settings" not in case:
        return EMMAClassifier(modalities(case), **params)
    return EMMAClassifierCV(
        modalities(case),
        param_grid={"coldness": np.linspace(0.1, 1.0, case["settings"])},
        cv=2,
        refit=False,
        hidden_layer_sizes=(16, 8),
        **params,
    )


def prepare(case):
    """Give the function to be measured, of samples and classes."""
    if case["method"] == "DAEEnergyScorer.fit":
        return lambda X, y: scorer(case, modalities=modalities(case)).fit(X)
    if case["method"].endswith(".fit"):
        return lambda X, y: classifier(case).fit(X, y)
    model = pickle.loads(Path(case["model"]).read_bytes())
    method = getattr(model, case["method"].partition(".")[2])
    return lambda X, y: method(X)


def size(result):
    """Give the size of a result in MiB."""
    n_bytes = result.nbytes if hasattr(result, "nbytes") else len(pickle.dumps(result))
    return n_bytes / 2**20


def measure(case):
    """Call once to import what is needed and once to measure; keep a fitted model if asked."""
    torch.set_num_threads(1)
    call = prepare(case)
    few = {**case, "settings": 1} if "settings" in case else case
    prepare(few)(*draw(case, WARM_ROWS))
    X, y = draw(case, case["rows"])
    before, start = peak_memory(), time.process_time()
    result = call(X, y)
    seconds, after = time.process_time() - start, peak_memory()
    if "save" in case:
        Path(case["save"]).write_bytes(pickle.dumps(result))
    output = size(result)
    more = max(0.0, after - before - output)
    return {"seconds": seconds, "memory": more, "input": size(X), "output": output}


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
