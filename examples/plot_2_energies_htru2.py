r"""
What energies detect in the pulsar data
=======================================

The gate can only be as good as the energies that it uses. This example tests the energies in two
ways, on the pulsar candidates of HTRU2, each described by two modalities, its integrated profile
(IP) and its dispersion curve (DM). Does the energy of a modality grow as the modality is buried in
noise? And are energies that learned from pulsars alone low for other pulsars and high for
everything else? (Experiment II of Werenne, 2019.)
"""

# %%
# The csv file is taken from the folder that ``SKLEARN_EMMA_DATA`` names, from ``../shared/data``,
# or downloaded; without it the example ends here.

import matplotlib.pyplot as plt
import numpy as np
from pulsars import load_pulsars
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from sklearn_emma import DAEEnergyScorer, EnergyView
from sklearn_emma.corruption import Noise

X, y = load_pulsars()
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.165, stratify=y, random_state=0
)

# %%
# First question. An energy is measured in interquartile ranges above the median training sample.
# How much does noise increase the energy, and how well does the energy distinguish noisy samples
# from clean ones?

SIGMAS = (0, 0.1, 0.25, 0.5, 1, 2, 4, 8)
scorer = DAEEnergyScorer("prefix", random_state=0).fit(X_train)
names = scorer.modality_names_
intact = scorer.transform(X_test)
growth = np.zeros((len(names), len(SIGMAS), 3))
for i, name in enumerate(names):
    for j, sigma in enumerate(SIGMAS):
        noise = Noise(sigma, only=name)
        noisy, _ = noise.corrupt(X_test, "prefix", random_state=0, reference=X_train)
        energy = scorer.transform(noisy)[:, i]
        growth[i, j] = np.quantile(energy, [0.25, 0.5, 0.75])
        labels = np.repeat([0, 1], len(energy))
        auc = roc_auc_score(labels, np.r_[intact[:, i], energy])
        print(f"{name}, sigma {sigma:<4}: median energy {growth[i, j, 1]:8.2f}, ROC AUC {auc:.3f}")

# %%
# Second question. The energies are trained on the pulsars among the training samples only. Pulsars
# are few, and most other samples are far from them. An autoencoder trained with low noise learns
# nothing about such distant regions, and its energy may have spurious minima there. With high
# noise, the energy is smoother and covers a wider region. For the first question the reverse is
# true: only low noise in training makes the energy sensitive to mild noise. The default is one view
# of each kind.

VIEWS = {
    "little noise": EnergyView(noise=0.1),
    "much noise": EnergyView(noise=1.0),
    "default views": ("fine", "coarse"),
}
for view, views in VIEWS.items():
    pulsars = DAEEnergyScorer("prefix", views=views, random_state=0).fit(X_train[y_train == 1])
    energy = pulsars.transform(X_test)
    measures = {**dict(zip(names, energy.T, strict=True)), "both": energy.sum(axis=1)}
    aucs = [f"{name} {roc_auc_score(1 - y_test, v):.3f}" for name, v in measures.items()]
    print(f"trained on pulsars, {view}: ROC AUC of the rest: {', '.join(aucs)}")

# %%
figure, panels = plt.subplots(1, 3, figsize=(14, 4.3), layout="constrained")
positions = np.arange(len(SIGMAS))
for i, (name, color) in enumerate(zip(names, ("#0072B2", "#D55E00"), strict=True)):
    low, median, high = growth[i].T
    panels[0].plot(positions, median, color=color, marker="os"[i], label=name)
    panels[0].fill_between(positions, low, high, color=color, alpha=0.2)
panels[0].set_xticks(positions, [f"{sigma:g}" for sigma in SIGMAS])
panels[0].set_yscale("asinh")
panels[0].set_ylim(-2, None)
panels[0].yaxis.set_minor_locator(plt.NullLocator())
panels[0].set_yticks([0, 1, 10, 100, 1000], ["0", "1", "10", "100", "1000"])
panels[0].set_title("Energy grows with noise")
panels[0].set(xlabel="noise, in standard deviations", ylabel="energy (median and quartiles)")
panels[0].legend(frameon=False)
for axes, name, values in zip(panels[1:], names, energy.T, strict=True):
    scaled = np.arcsinh(values)
    bins = np.linspace(scaled.min(), scaled.max(), 40)
    for label, kind, color in ((1, "pulsars", "#009E73"), (0, "the rest", "#999999")):
        axes.hist(scaled[y_test == label], bins, density=True, alpha=0.65, color=color, label=kind)
    ticks = [v for v in (-1, 0, 1, 10, 100, 1000) if scaled.min() <= np.arcsinh(v) <= scaled.max()]
    axes.set_xticks(np.arcsinh(ticks), ticks)
    axes.set_title(f"{name}: energy learned from pulsars")
    axes.set(xlabel="energy", ylabel="density", yticks=[])
    axes.legend(frameon=False)
for axes in panels:
    axes.spines[["top", "right"]].set_visible(False)
plt.show()
