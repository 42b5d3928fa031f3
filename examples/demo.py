"""Corrupt one modality of the breast cancer data, and compare the predictions of three classifiers.

The breast cancer data that come with scikit-learn have three modalities: the mean over the cell
nuclei in a picture, its standard error, and the mean of the three worst nuclei. Three classifiers
learn from samples of which half are clean and half have one modality noisy (half a standard
deviation) or missing:

* EMMA. The modality with the lowest attention is the one that EMMA identifies as failing.
* The same network without EMMA: the same initial weights and the same kinds of failures in
  training, but a gate that ignores the energies (``coldness=0``).
* Histogram gradient boosting, on ten corrupted copies of the training samples.

Then one modality fails in all test samples, with much stronger noise than in training. Each
modality fails in turn, on three splits of the data. `make demo` runs this.
"""

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: one thread is fastest here
os.environ.setdefault("MPLBACKEND", "agg")  # the picture goes to a file

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split

from sklearn_emma import EMMAClassifier
from sklearn_emma.corruption import Missing, Mixture, Noise
from sklearn_emma.datasets import load_breast_cancer_modalities

LEVELS = (0, 0.5, 1, 2, 4, 8, "missing")
LABELS = ("none", "0.5", "1", "2", "4", "8", "missing")
MODELS = ("EMMA", "without EMMA", "boosting")
SHOWN = "worst"  # the modality whose failure the right half of the picture shows
# What the models may learn of failures; sigma is in standard deviations of the training samples.
TRAINING = Mixture([Noise(0.5), Missing()], n_corrupted=1, fraction=0.5)
N_COPIES = 10


def fail(X, modality, level, reference, random_state):
    """Corrupt one modality of every sample by noise of this level, or by missing values."""
    failure = Missing(only=modality) if level == "missing" else Noise(level, only=modality)
    return failure.corrupt(X, "prefix", random_state, reference=reference)[0]


def fit(X, y, seed):
    """Fit the three models on samples with the same kinds of failures."""
    emma = EMMAClassifier(
        "prefix",
        corruption=TRAINING,
        random_state=seed,
        verbose=sys.stderr.isatty(),
    )
    without = clone(emma).set_params(coldness=0.0)
    copies = [TRAINING.corrupt(X, "prefix", N_COPIES * seed + i)[0] for i in range(N_COPIES)]
    boosting = HistGradientBoostingClassifier(random_state=seed)
    print("  EMMA", flush=True)
    emma.fit(X, y)
    print("  the same network without EMMA", flush=True)
    without.fit(X, y)
    print("  boosting", flush=True)
    boosting.fit(pd.concat(copies), np.tile(y, N_COPIES))
    return emma, without, boosting


def evaluate(models, X, y, reference, seed):
    """Score the models, and read EMMA's attention, for every failure of the test samples.

    Returns arrays (failing modality, level, ...): F1 (..., model), mean attention (..., modality)
    and the fraction of samples in which the failing modality gets the least attention.
    """
    emma = models[0]
    f1, attention, named = [], [], []
    for i, modality in enumerate(emma.modality_names_):
        for level in LEVELS:
            broken = fail(X, modality, level, reference, random_state=1000 + seed)
            f1.append([f1_score(y, model.predict(broken)) for model in models])
            beta = emma.attention(broken)
            attention.append(beta.mean(axis=0))
            named.append((beta.argmin(axis=1) == i).mean())
    shape = len(emma.modality_names_), len(LEVELS), -1
    return np.reshape(f1, shape), np.reshape(attention, shape), np.reshape(named, shape[:2])


def report(f1, named, names):
    """Print the table: means over splits and over which modality fails."""
    print(
        "\nF1 on test samples when one of three modalities fails (mean over modalities and splits)."
    )
    print("Noise is in standard deviations of the training samples.\n")
    print(f"{'failure':>8}{MODELS[0]:>8}{MODELS[1]:>15}{MODELS[2]:>11}   identified by attention")
    f1, named = f1.mean(axis=(0, 1)), named.mean(axis=0)
    for j, label in enumerate(LABELS):
        found = "-" if j == 0 else f"{named[:, j].mean():.0%} of samples"
        print(f"{label:>8}{f1[j, 0]:8.3f}{f1[j, 1]:15.3f}{f1[j, 2]:11.3f}   {found}")
    print("\nFraction of samples in which the failing modality has the lowest attention:\n")
    print(f"{'fails':>8}" + "".join(f"{label:>9}" for label in LABELS[1:]))
    for name, shares in zip(names, named, strict=True):
        print(f"{name:>8}" + "".join(f"{share:9.0%}" for share in shares[1:]))


def draw(f1, attention, names, path):
    """Draw F1 of the models, and EMMA's attention when one modality fails."""
    plt.rcParams.update({"font.size": 12, "axes.spines.top": False, "axes.spines.right": False})
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    # the last level is of another kind: set it apart
    positions = np.r_[np.arange(len(LEVELS) - 1.0), len(LEVELS) - 0.6]

    def curve(axes, values, label, color, marker, shift=0.0):
        style = {"color": color, "marker": marker, "markersize": 7, "linewidth": 2.2}
        axes.plot(positions[:-1], values[:-1], label=label, **style)
        axes.plot(positions[-1] + shift, values[-1], **style)

    # colors that color-blind readers can tell apart (Okabe and Ito), and markers besides
    models = zip(MODELS, ("#0072B2", "#D55E00", "#009E73"), "os^", strict=True)
    for k, (name, color, marker) in enumerate(models):
        curve(left, f1.mean(axis=(0, 1))[:, k], name, color, marker, 0.16 * (k - 1))
    left.set(title="One of three modalities fails", ylabel="F1 on test samples")
    modalities = zip(names, ("#56B4E9", "#E69F00", "#000000"), "DvP", strict=True)
    for k, (name, color, marker) in enumerate(modalities):
        curve(right, attention.mean(axis=0)[names.index(SHOWN), :, k], name, color, marker)
    right.set(title=f"Attention of EMMA when “{SHOWN}” fails", ylabel="mean attention")
    right.set_ylim(-0.03, 1.03)
    for axes in (left, right):
        axes.legend(frameon=False)
        axes.set_xticks(positions, LABELS)
        axes.set_xlabel("noise, in standard deviations")
        axes.grid(axis="y", alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main():
    """Run the demonstration from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--picture", type=Path, default=Path("demo.png"), help="where to put the picture"
    )
    parser.add_argument("--splits", type=int, default=3, help="number of splits (default 3)")
    args = parser.parse_args()
    start = time.perf_counter()

    X, y = load_breast_cancer_modalities(return_X_y=True)
    results = []
    for seed in range(args.splits):
        print(f"Split {seed + 1} of {args.splits}: fitting", flush=True)
        X_train, X_test, y_train, y_test = train_test_split(
            X, y, test_size=1 / 3, stratify=y, random_state=seed
        )
        models = fit(X_train, y_train, seed)
        results.append(evaluate(models, X_test, y_test, X_train, seed))
    f1, attention, named = map(np.array, zip(*results, strict=True))
    names = models[0].modality_names_
    report(f1, named, names)
    draw(f1, attention, names, args.picture)
    print(f"\nPicture: {args.picture.resolve()}")
    print(f"Done in {time.perf_counter() - start:.0f} s.")


if __name__ == "__main__":
    main()
