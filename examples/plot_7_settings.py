r"""
What coldness and the two regularization terms do
=================================================

Three hyperparameters determine the behavior of the gate. The thesis studies the effect of each of
them (Werenne, 2019, sections 7.4.3 and 7.4.4): F1 on clean samples and on samples with a failing
modality against ``lambda_capacity``, ``lambda_energy`` and ``coldness``, and the capacity of the
gate against ``coldness``. Here for the method of the thesis and for the defaults of this library,
on HTRU2.

Run as it is, this takes a few minutes: a third of the samples and few epochs.
``python examples/plot_7_settings.py --full`` takes all samples and full training.
"""

# %%
# Both models are trained with the failures of the thesis: noise of half a standard deviation on one
# of the two modalities in half of the samples. In each split,
# :class:`~sklearn_emma.EMMAClassifierCV` trains all settings side by side, and a scorer reads F1 on
# clean samples, F1 with noise on each modality in turn, and the capacity.

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: one thread is fastest here

import matplotlib.pyplot as plt
import numpy as np
from pulsars import load_pulsars
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedShuffleSplit, train_test_split

from sklearn_emma import (
    DAEEnergyScorer,
    EMMAClassifier,
    EMMAClassifierCV,
    make_thesis_classifier,
    make_thesis_scorer,
)
from sklearn_emma.corruption import Noise

parser = argparse.ArgumentParser()
parser.add_argument("--full", action="store_true", help="all samples, full training")
# a gallery runs this file without a command line of its own
arguments = sys.argv[1:] if Path(sys.argv[0]).stem == "plot_7_settings" else []
FULL = parser.parse_args(arguments).full
N_SEEDS = 3
SHORT = {"max_epochs": 10, "pretrain_epochs": 5, "batch_size": 64}
STRENGTHS = [0.0, 1e-3, 1e-2, 1e-1]
GRIDS = {
    "coldness": [1e-4, 1e-3, 1e-2, 1e-1, 1.0],
    "lambda_capacity": STRENGTHS,
    "lambda_energy": STRENGTHS,
}


def load():
    """Give the samples, or a third of them."""
    X, y = load_pulsars()
    if FULL:
        return X, y
    return train_test_split(X, y, train_size=6000, stratify=y, random_state=0)[::2]


X, y = load()

# %%
# One hyperparameter is varied at a time. The other two keep the values of the model.

TRAINING = Noise(0.5, n_corrupted=1, fraction=0.5)
MODELS = {
    "thesis": make_thesis_classifier("prefix", corruption=TRAINING),
    "defaults": EMMAClassifier("prefix", corruption=TRAINING),
}
if not FULL:
    MODELS["thesis"].set_params(energy=make_thesis_scorer(max_epochs=10), **SHORT)
    MODELS["defaults"].set_params(energy=DAEEnergyScorer(max_epochs=15), **SHORT)


def read(estimator, X, y):
    """Give F1 on clean samples, with noise on each modality, and the capacity."""
    broken = [Noise(0.5, only=name).corrupt(X, "prefix", 0)[0] for name in ("IP", "DM")]
    return {
        "clean": f1_score(y, estimator.predict(X)),
        "corrupted": np.mean([f1_score(y, estimator.predict(table)) for table in broken]),
        "capacity": estimator.capacity_,
    }


def measure(model):
    """Give what `read` returns for every value of every parameter, of shape (n_seeds, n_values)."""
    params = model.get_params(deep=False)
    del params["warm_start"], params["adversarial"]  # which a search does not have
    params |= {"random_state": 0, "param_grid": [{k: v} for k, v in GRIDS.items()]}
    folds = StratifiedShuffleSplit(N_SEEDS, test_size=0.33, random_state=0)
    search = EMMAClassifierCV(**params, scoring=read, cv=folds, refit=False).fit(X, y)
    results, found = search.cv_results_, {}
    for name, values in GRIDS.items():
        places = [i for i, p in enumerate(results["params"]) if list(p) == [name]]
        assert [results["params"][i][name] for i in places] == values
        for score in ("clean", "corrupted", "capacity"):
            splits = [results[f"split{s}_test_{score}"][places] for s in range(N_SEEDS)]
            found[name, score] = np.array(splits)
    return found


found = {name: measure(model) for name, model in MODELS.items()}

# %%
# The numbers: mean and standard deviation over the splits.

for model, scores in found.items():
    for name, values in GRIDS.items():
        print(f"\n{model}, {name}\n" + " " * 10 + "".join(f"{value:>15g}" for value in values))
        for score in ("clean", "corrupted", "capacity"):
            each = scores[name, score]
            cells = zip(each.mean(axis=0), each.std(axis=0, ddof=1), strict=True)
            print(f"{score:>10}" + "".join(f"{m:9.3f} ±{s:.3f}" for m, s in cells))

# %%
# The figures.

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
figure, panels = plt.subplots(2, 4, figsize=(15, 7), layout="constrained", sharey="col")
for row, (model, scores) in zip(panels, found.items(), strict=True):
    for axes, (name, values) in zip(row, GRIDS.items(), strict=False):
        for score, color in (("clean", "#0072B2"), ("corrupted", "#D55E00")):
            each = scores[name, score]
            axes.errorbar(
                range(len(values)),
                each.mean(axis=0),
                each.std(axis=0, ddof=1),
                color=color,
                marker="o" if score == "clean" else "s",
                label=score,
            )
        axes.set_xticks(range(len(values)), [f"{value:g}" for value in values])
        axes.set(xlabel=name, ylabel="F1", title=model)
        axes.grid(axis="y", alpha=0.3)
    each = scores["coldness", "capacity"]
    row[3].errorbar(
        range(each.shape[1]), each.mean(axis=0), each.std(axis=0, ddof=1), color="#009E73"
    )
    row[3].set_xticks(range(each.shape[1]), [f"{value:g}" for value in GRIDS["coldness"]])
    row[3].set(xlabel="coldness", ylabel="capacity", title=model)
panels[0, 0].legend(frameon=False)
plt.show()

# %%
# Summary: the range of F1 over the values of each parameter (highest minus lowest mean), compared
# with the standard deviation over the splits at one value.

print("\nrange of F1 over the values (spread over splits)")
for model, scores in found.items():
    for name in GRIDS:
        cells = []
        for score in ("clean", "corrupted"):
            each = scores[name, score]
            spread = each.std(axis=0, ddof=1).mean()
            cells.append(f"{score} {np.ptp(each.mean(axis=0)):.3f} ({spread:.3f})")
        best = GRIDS[name][scores[name, "corrupted"].mean(axis=0).argmax()]
        print(f"{model:>9}, {name:<16}" + ", ".join(cells) + f"; best on corrupted at {best:g}")

# %%
# * With the potentials of the thesis and its coldness of 1e-4 the gate hardly depends on the
#   energies: ``lambda_energy``, whose gradient is proportional to the coldness, has no visible
#   effect.
# * ``lambda_capacity`` lowers the capacity. It lowers F1 only at the largest value. With the
#   default network, which is trained behind the gate, F1 does not change.
# * Capacity depends on ``lambda_capacity`` far more than on ``coldness``.
# * In the default model the energies are scaled, and a coldness of 1 or a ``lambda_energy`` of 0.1
#   close a modality that has noise of half a standard deviation: with so little noise the modality
#   is still useful, so F1 on corrupted samples decreases. The example on failing modalities has
#   stronger failures, for which a high coldness is intended.
# * Most differences are smaller than the spread over splits. One split does not choose a setting.
