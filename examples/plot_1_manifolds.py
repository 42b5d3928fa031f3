r"""
Why the energy, and not the reconstruction error
================================================

A denoising autoencoder moves samples towards the training samples. Two quantities may therefore
distinguish likely from unlikely samples: the reconstruction error :math:`\lVert r(x) - x \rVert^2`,
and the potential :math:`\Psi(x)`, whose negative gradient is :math:`r(x) - x`. The difference is
visible for curves in the plane. At the center of a circle, far from all training samples, the
vector :math:`r(x) - x` is zero by symmetry. The reconstruction error has a spurious minimum there,
and the energy has a maximum. (Experiment I of Werenne, 2019.)
"""

# %%
# :class:`~sklearn_emma.DAEEnergyScorer` fits all three curves if it is trained with smaller batches
# than by default, that is, for more steps. This includes the spiral, for which the energy must be
# high between neighboring arms.

import matplotlib.pyplot as plt
import numpy as np
from thesis_figures import draw_energy_landscape, draw_vector_field

from sklearn_emma import DAEEnergyScorer
from sklearn_emma.datasets import make_circle, make_spiral, make_wave

curves, scorers = {}, {}
for name, make_curve in {"wave": make_wave, "circle": make_circle, "spiral": make_spiral}.items():
    curves[name], _ = make_curve(2000, random_state=0)
    scorers[name] = DAEEnergyScorer(batch_size=50, random_state=0).fit(curves[name])
    print(f"{name}: fitted, loss {scorers[name].loss_curve_[0][-1]:.4f}", flush=True)

# %%
# The center of the circle in numbers. A sample counts as suspicious if its value exceeds the 99 %
# quantile over the samples on the circle. By its energy, the center is suspicious; by its
# reconstruction error, it is not.

on_circle, _ = make_circle(2000, random_state=1)
center = [[0.0, 0.0]]
for what, measure in {
    "reconstruction error": scorers["circle"].reconstruction_error,
    "energy": scorers["circle"].transform,
}.items():
    limit = np.percentile(measure(on_circle), 99)
    value = measure(center)[0, 0]
    verdict = "suspicious" if value > limit else "not suspicious"
    print(f"{what}: 99 % of the circle below {limit:.2g}, center {value:.2g}, {verdict}")

# %%
# The field :math:`r(x) - x` (arrows as long as the square root of the pull), and heat maps of both
# measures: dark is likely, dots are training samples. Between the arms of the spiral the
# reconstruction error has false minima too.

figure, panels = plt.subplots(
    3, 3, figsize=(12, 10), height_ratios=[0.5, 1, 0.9], layout="constrained"
)
for row, (name, X) in zip(panels, curves.items(), strict=True):
    draw_vector_field(scorers[name], X, row[0])
    draw_energy_landscape(scorers[name], X, row[1], quantity="reconstruction_error")
    draw_energy_landscape(scorers[name], X, row[2])
    titles = "$r(x) - x$", r"$\|r(x) - x\|^2$", r"energy $\Psi(x)$, scaled"
    for axes, what in zip(row, titles, strict=True):
        axes.set_title(f"{name}: {what}")
for axes in panels.ravel():
    axes.set_aspect("equal")
    axes.set(xticks=[], yticks=[])
plt.show()
