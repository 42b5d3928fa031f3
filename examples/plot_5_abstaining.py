r"""
Abstaining from uncertain predictions, and robustness curves
============================================================

Before a classifier is used, it is useful to know how well it predicts when an instrument fails, and
to let it abstain when it is uncertain. :mod:`sklearn_emma.model_selection` has a function for the
first, which accepts any scikit-learn estimator, and a wrapper for the second, which rejects samples
with a high total energy or a low maximum probability.
"""

# %%
# First the curve: cross-validated accuracy against the noise on one modality, each in turn. Every
# estimator is fitted on clean samples as they come, and scored on the same failing samples.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_emma import EMMAClassifier
from sklearn_emma.corruption import Noise
from sklearn_emma.datasets import load_breast_cancer_modalities
from sklearn_emma.metrics import area_under_risk_coverage, risk_coverage_curve
from sklearn_emma.model_selection import AbstainingClassifier, robustness_curve

X, y = load_breast_cancer_modalities(return_X_y=True)
models = {
    "EMMA": EMMAClassifier("prefix", max_epochs=40, random_state=0),
    "boosting": HistGradientBoostingClassifier(random_state=0),
    "logistic regression": make_pipeline(StandardScaler(), LogisticRegression()),
}
LEVELS = [0, 0.5, 1, 2, 4, 8]
curves = {
    name: robustness_curve(
        model, X, y, modalities="prefix", corruption=Noise, levels=LEVELS, cv=3, random_state=0
    )
    for name, model in models.items()
}
print("accuracy, mean over failing modalities and splits")
print(f"{'noise':>20}" + "".join(f"{level:8g}" for level in LEVELS))
for name, curve in curves.items():
    print(f"{name:>20}" + "".join(f"{v:8.3f}" for v in curve.test_scores.mean(axis=(0, 2))))

# %%
# Now abstention. The threshold is chosen on clean samples that the classifier has not seen, such
# that nine out of ten are accepted; a classifier that is fitted already is wrapped in
# :class:`~sklearn.frozen.FrozenEstimator`. Then two of three modalities fail in half of the test
# samples. How many are answered, and how many of the answers are wrong?  The two scores answer
# different questions. The largest probability is low near the boundary between classes, where clean
# samples are misclassified. The total energy is high for unusual samples, whether or not they are
# misclassified, and does not depend on the distance to the boundary. The probabilities of EMMA
# already take the closed modalities into account; those of boosting do not. A callable combines
# both scores: samples with a high total energy are rejected first, then those with a low
# probability.

X_train, X_rest, y_train, y_rest = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
X_held, X_test, y_held, y_test = train_test_split(X_rest, y_rest, test_size=0.6, random_state=0)
emma = models["EMMA"].fit(X_train, y_train)
boosting = models["boosting"].fit(X_train, y_train)
noise = Noise(4.0, n_corrupted=2, fraction=0.5)
X_many, labels = pd.concat([X_test] * 5), np.tile(y_test, 5)  # five draws of the failures
X_broken, indicator = noise.corrupt(X_many, "prefix", random_state=0, reference=X_train)
fails = (indicator == -1).any(axis=1)
limit = np.quantile(emma.total_energy(X_held), 0.95)


def probability_and_energy(clf, X):
    """Score samples by probability, and reject those of high total energy in any case."""
    return np.where(emma.total_energy(X) > limit, 1.0, 0.0) + 1 - clf.predict_proba(X).max(axis=1)


abstaining = {
    "EMMA, probability": (emma, "max_probability"),
    "EMMA, energy": (emma, "total_energy"),
    "EMMA, both": (emma, probability_and_energy),
    "boosting, probability": (boosting, "max_probability"),
    "boosting, energy": (boosting, lambda clf, X: emma.total_energy(X)),
    "boosting, both": (boosting, probability_and_energy),
}
risk_curves = {}
print(f"\n{'rejected by':>26}  accepted: clean, failing  errors: of all, of accepted    area")
for name, (model, score) in abstaining.items():
    clf = AbstainingClassifier(FrozenEstimator(model), reject_score=score, coverage=0.9)
    clf.fit(X_held, y_held)
    accepted = clf.accepts(X_broken)
    wrong = model.predict(X_broken) != labels
    rows = labels, model.predict(X_broken), clf.rejection_score(X_broken)
    risk_curves[name] = risk_coverage_curve(*rows)[:2]
    print(
        f"{name:>26}{accepted[~fails].mean():17.0%}{accepted[fails].mean():9.0%}"
        f"{wrong.mean():16.1%}{wrong[accepted].mean():13.1%}{area_under_risk_coverage(*rows):8.4f}"
    )

# %%
# For EMMA, the probability alone is the best score: it accounts for closed gates, and most samples
# with failing modalities are still classified correctly, which the energy rejects nevertheless. The
# probabilities of boosting do not account for failures: rejecting samples of high energy first
# leaves the fewest errors among the accepted samples.

figure, panels = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
for (name, curve), color in zip(curves.items(), ("#0072B2", "#E69F00", "#999999"), strict=True):
    mean = curve.test_scores.mean(axis=(0, 2))
    worst, best = curve.test_scores.mean(axis=2).min(axis=0), curve.test_scores.mean(axis=2).max(0)
    panels[0].plot(range(len(LEVELS)), mean, marker="o", color=color, label=name)
    panels[0].fill_between(range(len(LEVELS)), worst, best, color=color, alpha=0.15)
panels[0].set_xticks(range(len(LEVELS)), LEVELS)
panels[0].set(xlabel="noise, in standard deviations", ylabel="accuracy")
panels[0].set_title("One modality fails (mean; from worst to best)")
panels[0].legend(frameon=False)
colors = ("#0072B2", "#56B4E9", "#000000", "#E69F00", "#CC79A7", "#D55E00")
for (name, (coverage, risk)), color in zip(risk_curves.items(), colors, strict=True):
    panels[1].step(coverage, risk, where="post", color=color, label=name)
panels[1].set(xlabel="coverage", ylabel="risk")
panels[1].set_title("Half of the samples fail")
panels[1].legend(title="rejected by", frameon=False)
for axes in panels:
    axes.spines[["top", "right"]].set_visible(False)
plt.show()
