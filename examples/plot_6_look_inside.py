r"""
Watching a night of measurements
================================

A classifier that ignores a failing instrument should report when and why it does so. The energies,
the attention sample by sample, the coupling and the training history can all be plotted. Each plot
is a Display as in scikit-learn. It is created with one call, on new axes or on axes that you pass.

Three instruments observe objects of four classes. During the night, the second instrument becomes
noisy. Towards the morning, the third stops sending values.
"""

# %%
import matplotlib.pyplot as plt
import pandas as pd
from thesis_figures import draw_attention_function

from sklearn_emma import EMMAClassifier
from sklearn_emma.corruption import Missing, Noise
from sklearn_emma.datasets import make_multimodal_classification
from sklearn_emma.inspection import (
    AttentionDisplay,
    CouplingDisplay,
    EnergyDisplay,
    TrainingHistoryDisplay,
    modality_report,
)

X, y = make_multimodal_classification(
    1500, n_features=4, n_classes=4, redundancy=0.5, random_state=0, return_X_y=True
)
X_train, y_train, night = X[:1000], y[:1000], X[1000:]
noisy, _ = Noise(3, only="modality1").corrupt(
    night[200:350], "prefix", random_state=0, reference=X_train
)
silent, _ = Missing(only="modality2").corrupt(night[350:], "prefix", random_state=0)
night = pd.concat([night[:200], noisy, silent])

clf = EMMAClassifier("prefix", max_epochs=50, random_state=0).fit(X_train, y_train)

# %%
# The report has a sample per measurement; its summary a line per instrument.
# ``report.to_html`` writes a page to sort and filter in a browser.

report = modality_report(clf, night, reference=X_train)
print(report.summary[["failing", "missing", "mean_attention"]].round(2))

# %%
# What was learned: losses, the gain of the gate, and how open it is.

figure, axes = plt.subplots(3, 1, figsize=(7, 7), layout="constrained")
TrainingHistoryDisplay.from_estimator(clf, ax=list(axes))
plt.show()

# %%
# The fitted gate: the attention as a function of the importance, and the coupling, the effect of
# the energy of one instrument on that of another.

figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
draw_attention_function(clf, axes[0])
CouplingDisplay.from_estimator(clf, ax=axes[1])
plt.show()

# %%
# And the night itself: energies of the measurements with the noisy instrument against those of
# training, and the attention to each instrument, measurement by measurement.

figure, axes = plt.subplots(2, 1, figsize=(9, 7), layout="constrained")
EnergyDisplay.from_estimator(clf, X_train, X_corrupted=noisy, ax=axes[0])
AttentionDisplay.from_estimator(clf, night, kind="strip", ax=axes[1])
plt.show()
