r"""
Finding pulsars when one of two instruments fails
=================================================

This example tests a claim: attention computed from energies keeps a classifier accurate while a
modality fails. It should be better than training on failures alone, and better than attention that
is learned from the inputs. On HTRU2, half of the training samples are clean, a quarter have noise
of half a standard deviation on the integrated profile (IP), a quarter on the dispersion curve (DM).
(Experiment III of Werenne, 2019, with settings and thresholds chosen on training samples only.)

Run as it is, this takes less than a minute: a third of the samples, two seeds, few epochs and two
settings. ``python examples/plot_3_failing_modalities.py --full`` takes all samples, five seeds,
full training and all settings, and much longer.
"""

# %%
# Six models. All are :class:`~sklearn_emma.EMMAClassifier`, so that they differ only in what their
# names say.
#
# * base: clean samples only, all modalities open;
# * without EMMA: trained on failures, but with a coldness of 0, so that the gate ignores the
#   energies;
# * attentive context: a custom network, in which a small network computes softmax weights of the
#   modalities from all inputs (Shon et al., 2019). Passed as ``module``, at coldness 0;
# * EMMA: coldness and ``lambda_energy`` chosen by cross-validation;
# * IP only, DM only: one modality.

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: one thread is fastest here

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from pulsars import load_pulsars
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import f1_score
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    train_test_split,
)

from sklearn_emma import DAEEnergyScorer, EMMAClassifier
from sklearn_emma.corruption import Noise

parser = argparse.ArgumentParser()
parser.add_argument("--full", action="store_true", help="five seeds, full training, the whole grid")
# a gallery runs this file without a command line of its own
arguments = sys.argv[1:] if Path(sys.argv[0]).stem == "plot_3_failing_modalities" else []
FULL = parser.parse_args(arguments).full
N_SEEDS, N_FOLDS = (5, 3) if FULL else (2, 2)
TRAINING_TIME = {} if FULL else {"max_epochs": 10, "pretrain_epochs": 3, "batch_size": 256}
ENERGY = None if FULL else DAEEnergyScorer(max_epochs=15)
GRID = {
    "coldness": [0.01, 0.1, 0.3, 1.0, 3.0] if FULL else [0.1, 1.0],
    "lambda_energy": [0.0, 0.01, 0.1] if FULL else [0.02],
}
SIGMAS = (0, 0.25, 0.5, 1, 2, 4, 8)
TRAINING = Noise(0.5, n_corrupted=1, fraction=0.5)
MODALITIES = ("IP", "DM")


class AttentiveContext(torch.nn.Module):
    """Modalities weighed by a softmax that a small network computes from all of them.

    Parameters
    ----------
    n_features : list of int
        Columns of each modality.
    n_classes : int
        Number of classes.
    """

    def __init__(self, n_features, n_classes):
        super().__init__()
        self.context = torch.nn.Sequential(
            torch.nn.Linear(sum(n_features), 16),
            torch.nn.Tanh(),
            torch.nn.Linear(16, len(n_features)),
        )
        self.encoders = torch.nn.ModuleList(
            torch.nn.Sequential(
                torch.nn.Linear(d, 64),
                torch.nn.ReLU(),
                torch.nn.Linear(64, 48),
                torch.nn.ReLU(),
                torch.nn.Linear(48, 32),
                torch.nn.ReLU(),
            )
            for d in n_features
        )
        self.head = torch.nn.Sequential(
            torch.nn.Linear(32 * len(n_features), 32),
            torch.nn.ReLU(),
            torch.nn.Linear(32, n_classes),
        )

    def forward(self, modalities):
        """Give logits (n_samples, n_classes) of modalities, each (n_samples, n_features)."""
        weights = self.context(torch.cat(modalities, 1)).softmax(1)
        encoded = [encode(x) for encode, x in zip(self.encoders, modalities, strict=True)]
        weighed = [h * weights[:, [i]] for i, h in enumerate(encoded)]
        return self.head(torch.cat(weighed, 1))


# %%
# A split is 67 % training, 16.5 % validation and 16.5 % test samples. EMMA's settings are chosen by
# cross-validation on the training samples: in each fold, the model is fitted on clean samples. Its
# score is the average precision on held-out samples with failures as in training, which needs no
# threshold. ``memory`` keeps the energies, so that they are fitted once per fold and not once per
# setting. The threshold of every model then maximizes F1 on the validation samples; those of the
# base model are clean.


def load():
    """Give the samples, or a third of them."""
    X, y = load_pulsars()
    if FULL:
        return X, y
    return train_test_split(X, y, train_size=6000, stratify=y, random_state=0)[::2]


def choose(emma, X, y, seed):
    """Give the settings with the best score on failing samples in cross-validation."""
    broken = TRAINING.corrupt(X, "prefix", seed)[0]
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed).split(X, y)
    splits = [(learn, len(y) + judge) for learn, judge in folds]
    search = GridSearchCV(emma, GRID, scoring="average_precision", cv=splits, refit=False)
    return search.fit(pd.concat([X, broken]), pd.concat([y, y])).best_params_


def fit_models(X, y, X_val, y_val, seed, memory):
    """Fit the six models, each with its threshold."""
    emma = EMMAClassifier(
        "prefix",
        energy=ENERGY,
        corruption=TRAINING,
        memory=memory,
        random_state=seed,
        **TRAINING_TIME,
    )
    settings = choose(emma, X, y, seed)
    print(f"  settings of EMMA: {settings}", flush=True)
    blind = clone(emma).set_params(coldness=0.0)
    models = {
        "base": clone(blind).set_params(corruption=Noise(0.0, fraction=0.0), subset_weight=0.0),
        "without EMMA": blind,
        "attentive context": clone(blind).set_params(module=AttentiveContext),
        "EMMA": clone(emma).set_params(**settings),
    }
    for name in MODALITIES:
        columns = [column for column in X if column.startswith(name)]
        one = Noise(0.5, fraction=0.25)  # a quarter of the samples, as in the others
        models[f"{name} only"] = clone(blind).set_params(
            modalities={name: columns}, remainder="drop", corruption=one
        )
    copies = [TRAINING.corrupt(X_val, "prefix", seed + i, reference=X)[0] for i in range(4)]
    for name, model in models.items():
        model.fit(X, y)
        rows, labels = (X_val, y_val) if name == "base" else (pd.concat(copies), [*y_val] * 4)
        tuned = TunedThresholdClassifierCV(
            FrozenEstimator(model), scoring="f1", cv="prefit", refit=False
        )
        models[name] = tuned.fit(rows, labels)
        print(f"  {name} fitted", flush=True)
    return models


# %%
# Run it: F1 of each model for each sigma on each modality, and the importance and attention of EMMA
# for the last seed.

X, y = load()
f1 = {}  # (model, failing modality, sigma) -> F1 of every seed
gate = {}  # (failing modality, sigma) -> importance and attention, of the last seed
by_energy = []  # (total energy, label, prediction) of all samples of the last seed
start = time.perf_counter()
with tempfile.TemporaryDirectory() as memory:
    for seed in range(N_SEEDS):
        print(f"seed {seed + 1} of {N_SEEDS}, {time.perf_counter() - start:.0f} s", flush=True)
        X_rest, X_test, y_rest, y_test = train_test_split(
            X, y, test_size=0.165, stratify=y, random_state=seed
        )
        X_train, X_val, y_train, y_val = train_test_split(
            X_rest, y_rest, test_size=0.165 / 0.835, stratify=y_rest, random_state=seed
        )
        models = fit_models(X_train, y_train, X_val, y_val, seed, memory)
        emma = models["EMMA"].estimator_.estimator
        by_energy.clear()
        for modality in MODALITIES:
            for sigma in SIGMAS:
                noise = Noise(sigma, only=modality)
                broken, _ = noise.corrupt(X_test, "prefix", seed, reference=X_train)
                predictions = {name: model.predict(broken) for name, model in models.items()}
                for name, predicted in predictions.items():
                    score = f1_score(y_test, predicted)
                    f1.setdefault((name, modality, sigma), []).append(score)
                gate[modality, sigma] = emma.importance(broken), emma.attention(broken)
                by_energy.append((emma.total_energy(broken), y_test, predictions["EMMA"]))

# %%
# The table of the thesis: F1 on clean samples, and with sigma 0.5 on one modality.

print("\nF1, mean and standard deviation over seeds")
print(f"{'':>18}{'clean':>15}{'IP noisy':>15}{'DM noisy':>15}")
for name in models:
    cells = [f1[name, m, sigma] for m, sigma in (("IP", 0), ("IP", 0.5), ("DM", 0.5))]
    print(f"{name:>18}" + "".join(f"{np.mean(c):8.3f} ±{np.std(c, ddof=1):.3f}" for c in cells))
print(f"\nF1 over all sigmas ({', '.join(f'{sigma:g}' for sigma in SIGMAS)}), mean")
for name in models:
    means = [np.mean([f1[name, m, sigma] for sigma in SIGMAS]) for m in MODALITIES]
    print(f"{name:>18}" + "".join(f"  {m} {v:.3f}" for m, v in zip(MODALITIES, means, strict=True)))

# %%
# F1 at noise levels that do not occur in training, and F1 against the total energy. Where the total
# energy is high, the predictions of EMMA are less reliable. (True negatives do not affect F1, so
# they are left out.)

STYLES = {
    "base": {"color": "#999999", "marker": "v"},
    "without EMMA": {"color": "#D55E00", "marker": "s"},
    "attentive context": {"color": "#CC79A7", "marker": "D"},
    "EMMA": {"color": "#0072B2", "marker": "o", "linewidth": 2.5},
    "IP only": {"color": "#E69F00", "linestyle": "--"},
    "DM only": {"color": "#009E73", "linestyle": "--"},
}
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
figure, panels = plt.subplots(1, 3, figsize=(15, 4.8), layout="constrained")
positions = np.arange(len(SIGMAS))
for axes, modality in zip(panels, MODALITIES, strict=False):
    for name, style in STYLES.items():
        scores = np.array([f1[name, modality, sigma] for sigma in SIGMAS])
        axes.plot(positions, scores.mean(axis=1), label=name, **style)
    axes.set_xticks(positions, [f"{sigma:g}" for sigma in SIGMAS])
    axes.set_title(f"{modality} fails")
    axes.set(xlabel=f"noise on {modality}, in standard deviations", ylabel="F1", ylim=(0, 1))
    axes.grid(axis="y", alpha=0.3)
panels[0].legend(frameon=False, ncols=2)
energy, label, predicted = map(np.concatenate, zip(*by_energy, strict=True))
counts = np.flatnonzero(label | predicted)
order = np.array_split(counts[energy[counts].argsort()], 10)
panels[2].bar(
    range(1, 11), [f1_score(label[part], predicted[part]) for part in order], color="#0072B2"
)
panels[2].set_title("F1 of EMMA by total energy")
panels[2].set(xlabel="tenth of the samples, by total energy", ylabel="F1", ylim=(0, 1))
panels[2].set_xticks(range(1, 11))
plt.show()

# %%
# Importance and attention of a modality, sample by sample, as noise on it grows.

SHOWN = (0, 0.5, 2)
figure, panels = plt.subplots(2, 2, figsize=(10, 7), layout="constrained", sharey=True)
bins = np.linspace(0, 1, 41)
for i, (row, modality) in enumerate(zip(panels, MODALITIES, strict=True)):
    for axes, k, what in zip(row, (0, 1), ("importance", "attention"), strict=True):
        for sigma, color in zip(SHOWN, ("#009E73", "#E69F00", "#000000"), strict=True):
            values = gate[modality, sigma][k][:, i]
            weights = np.full(len(values), 1 / len(values))
            kind = {"histtype": "step", "linewidth": 2, "color": color}
            axes.hist(values, bins, weights=weights, label=f"sigma {sigma:g}", **kind)
        axes.set_title(f"{what} of {modality} when it fails")
        axes.set(xlabel=what, ylabel="fraction of samples")
panels[0, 0].legend(frameon=False)
plt.show()
