r"""
Prediction sets that keep their coverage when an instrument fails
=================================================================

Conformal prediction turns any classifier into one that predicts a set of labels. The set contains
the true label with a given probability, for example 95 %. This coverage is guaranteed only for
samples like the calibration samples. It is lost when a modality fails. If the calibration samples
include failing samples, the guarantee holds only on average: the coverage is too high for clean
samples and too low for failing ones. The total energy distinguishes failing samples from clean ones
without the label. It can therefore be used for the calibration: one calibration per range of total
energy (Mondrian conformal prediction; Vovk et al., 2003).

The prediction sets are those of `MAPIE <https://mapie.readthedocs.io>`_, which takes
:class:`~sklearn_emma.EMMAClassifier` like any other classifier:
``pip install "sklearn_emma[conformal,plot]"``. The example takes about half a minute.
:class:`~sklearn_emma.model_selection.PatternConformalClassifier` does something similar without
MAPIE: it calibrates each set of closed modalities separately.
"""

# %%
# Four classes, and three modalities, of which the first is the most informative. In half of the
# samples, one modality is noisy or missing. Boosting is shown for comparison. It is trained on
# clean samples, but can be calibrated with the total energy of EMMA.

import sys

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split

from sklearn_emma import EMMAClassifier
from sklearn_emma.corruption import Missing, Mixture, Noise
from sklearn_emma.datasets import make_multimodal_classification

try:
    from mapie.classification import SplitConformalClassifier
except ImportError:
    print('This example needs MAPIE: pip install "sklearn_emma[conformal,plot]"')
    sys.exit(0)

LEVEL = 0.95
FAILURES = Mixture([Noise((0.5, 8.0)), Missing()], n_corrupted=1, fraction=0.5)

data = make_multimodal_classification(
    9000,
    n_features=4,
    n_classes=4,
    relevance=[1.0, 0.5, 0.5],
    redundancy=0.3,
    separation=4.0,
    random_state=0,
    as_frame=False,  # MAPIE hands arrays on
)
X, y, modalities = data.data, data.target, data.modalities
X_train, X_rest, y_train, y_rest = train_test_split(X, y, train_size=1000, random_state=0)
X_cal, X_test, y_cal, y_test = train_test_split(X_rest, y_rest, train_size=0.5, random_state=0)
emma = EMMAClassifier(modalities, max_epochs=25, random_state=0).fit(X_train, y_train)
boosting = HistGradientBoostingClassifier(random_state=0).fit(X_train, y_train)
X_broken = FAILURES.corrupt(X_cal, modalities, random_state=1, reference=X_train)[0]

# %%
# Three ways to calibrate a fitted classifier. All give a function from samples to sets, as a mask
# (n_samples, n_classes). The last one is a loop over ranges of the total energy. There are ten
# ranges with equal numbers of calibration samples, or fewer if many samples share the lowest total
# energy (samples in which all potentials are at most ``potential_min_``).


def conformal(model, X, y):
    """Calibrate on all samples together."""
    sets = SplitConformalClassifier(model, confidence_level=LEVEL, prefit=True).conformalize(X, y)
    return lambda rows: sets.predict_set(rows)[1][:, :, 0]


def conformal_by_energy(model, X, y, n_ranges=10):
    """Calibrate on the samples of each range of total energy by themselves."""
    energy = emma.total_energy(X)
    edges = np.unique(np.quantile(energy, np.arange(1, n_ranges) / n_ranges))
    place = np.searchsorted(edges, energy)
    parts = [conformal(model, X[place == k], y[place == k]) for k in range(len(edges) + 1)]

    def predict(rows):
        place = np.searchsorted(edges, emma.total_energy(rows))
        sets = np.zeros((len(rows), len(model.classes_)), dtype=bool)
        for k in np.unique(place):
            sets[place == k] = parts[k](rows[place == k])
        return sets

    return predict


METHODS = {
    (name, how): sets
    for name, model in (("boosting", boosting), ("EMMA", emma))
    for how, sets in (
        ("clean samples", conformal(model, X_cal, y_cal)),
        ("failing samples too", conformal(model, X_broken, y_cal)),
        ("by total energy", conformal_by_energy(model, X_broken, y_cal)),
    )
}

# %%
# The table shows the coverage and the mean size of the sets. In the second-to-last column, two of
# three modalities fail. This failure does not occur in the calibration samples, so no method
# guarantees the coverage for it.

CASES = {
    "clean": Noise(0.0),
    "noise 1": Noise(1.0, n_corrupted=1),
    "noise 2": Noise(2.0, n_corrupted=1),
    "noise 4": Noise(4.0, n_corrupted=1),
    "noise 8": Noise(8.0, n_corrupted=1),
    "missing": Missing(n_corrupted=1),
    "two noisy": Noise(4.0, n_corrupted=2),
    "as calibrated": FAILURES,
}
tables = {
    case: failure.corrupt(X_test, modalities, random_state=2, reference=X_train)[0]
    for case, failure in CASES.items()
}
sets = {
    (method, case): predict(rows)
    for method, predict in METHODS.items()
    for case, rows in tables.items()
}
hit = {key: mask[np.arange(len(y_test)), y_test] for key, mask in sets.items()}
LABELS = {method: ", ".join(method) for method in METHODS}
WIDTH = max(map(len, LABELS.values()))
print(f"coverage (promised: {LEVEL}) and mean size of the sets")
print(" " * WIDTH + "".join(f"{case:>15}" for case in CASES))
for method, label in LABELS.items():
    cells = [
        f"{hit[method, case].mean():9.3f} {sets[method, case].sum(axis=1).mean():5.2f}"
        for case in CASES
    ]
    print(f"{label:<{WIDTH}}" + "".join(cells))

# %%
# Only calibration by total energy keeps the coverage in every range of the total energy, including
# the highest.

energy = emma.total_energy(tables["as calibrated"])
tenths = np.array_split(energy.argsort(), 10)
by_energy = {
    method: [hit[method, "as calibrated"][rows].mean() for rows in tenths] for method in METHODS
}
print("\ncoverage in the tenth of the samples of highest total energy")
for method, values in by_energy.items():
    print(f"{LABELS[method]:<{WIDTH}} {values[-1]:8.3f}")

STYLES = {
    "clean samples": {"color": "#D55E00", "marker": "s"},
    "failing samples too": {"color": "#999999", "marker": "v"},
    "by total energy": {"color": "#0072B2", "marker": "o", "linewidth": 2.5},
}
shown = list(CASES)[:6]
figure, panels = plt.subplots(2, 2, figsize=(11, 7.5), layout="constrained", sharey=True)
for row, name in zip(panels, ("boosting", "EMMA"), strict=True):
    for how, style in STYLES.items():
        method = name, how
        row[0].plot(shown, [hit[method, case].mean() for case in shown], label=how, **style)
        row[1].plot(range(1, 11), by_energy[method], label=how, **style)
    row[0].set_title(f"{name}: one modality fails")
    row[1].set_title(f"{name}: half of the samples fail")
    row[0].set(ylabel="samples whose set holds the label")
    row[1].set(xlabel="tenth of the samples, by total energy", xticks=range(1, 11))
    for axes in row:
        axes.axhline(LEVEL, color="black", linewidth=1, linestyle=":")
        axes.spines[["top", "right"]].set_visible(False)
panels[0, 0].legend(title="calibrated on", frameon=False, loc="lower left")
plt.show()
