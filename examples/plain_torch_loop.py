"""
The torch modules by themselves
===============================

If you have a training loop already, you do not need the estimators. The modules of
:mod:`sklearn_emma.nn` are plain torch: an energy per modality, the gate that turns energies into
attention, and a network behind it. Here they learn in two short loops, on simulated data of three
modalities of which one may be noisy or missing.
"""

# %%
# A task of two classes. In half of the training samples, one modality fails. New failures are drawn
# for every batch: :meth:`~sklearn_emma.corruption.Corruption.corrupt_tensors` needs the means and
# standard deviations of clean samples, and returns an indicator of the corrupted modalities.

import torch

from sklearn_emma.corruption import Missing, Mixture, Noise, Reference
from sklearn_emma.datasets import make_multimodal_classification
from sklearn_emma.nn import (
    DAEEnergy,
    EnergyAttention,
    FusionNetwork,
    capacity_penalty,
    energy_alignment,
    weighted_cross_entropy,
)

WIDTHS = (5, 5, 5)
generator = torch.Generator().manual_seed(0)
X, y = make_multimodal_classification(
    3000, n_modalities=3, n_features=WIDTHS, random_state=0, return_X_y=True, as_frame=False
)
X = torch.tensor((X - X.mean(0)) / X.std(0), dtype=torch.float32)
y = torch.tensor(y)
train = [x[:2000] for x in X.split(WIDTHS, dim=1)]
test = [x[2000:] for x in X.split(WIDTHS, dim=1)]
y_train, y_test = y[:2000], y[2000:]
reference = Reference.from_tensors(train)
failures = Mixture([Noise((0.5, 2.0)), Missing()], n_corrupted=1, fraction=0.5)

# %%
# Stage 1: one energy per modality learns to undo small noise on clean samples, and is frozen.

energies = [DAEEnergy(width, (32,), "tanh", generator=generator) for width in WIDTHS]
for energy, x in zip(energies, train, strict=True):
    optimizer = torch.optim.Adam(energy.parameters(), lr=0.01)
    for _ in range(300):
        rows = x[torch.randint(len(x), (256,), generator=generator)]
        noisy = rows + 0.3 * torch.randn(rows.shape, generator=generator)
        loss = (energy.reconstruct(noisy) - rows).square().sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    energy.requires_grad_(False)


def potentials(modalities):
    """Return the energies of all modalities, infinite for missing modalities."""
    columns = []
    for energy, x in zip(energies, modalities, strict=True):
        missing = x.isnan().any(1)
        columns.append(torch.where(missing, torch.inf, energy(x.nan_to_num())))
    return torch.stack(columns, 1)


# %%
# Stage 2: gate and network learn together. The gate treats all energies below the 90 % quantile of
# the clean samples as equal. Higher energies are divided by the interquartile range over the clean
# samples. ``project_`` puts its parameters back within their constraints after each step.

psi = potentials(train)
low, high, usual = psi.quantile(torch.tensor([0.25, 0.75, 0.9]), dim=0)
gate = EnergyAttention(
    len(WIDTHS),
    coldness=0.5,
    potential_min=usual,
    potential_scale=high - low,
    generator=generator,
)
network = FusionNetwork(WIDTHS, n_outputs=2, encoder_sizes=(32, 16), generator=generator)
optimizer = torch.optim.Adam([*gate.parameters(), *network.parameters()], lr=3e-3)
for step in range(800):
    batch = torch.randint(len(y_train), (256,), generator=generator)
    modalities, indicator = failures.corrupt_tensors(
        [x[batch] for x in train], generator=generator, reference=reference
    )
    state = gate.state(potentials(modalities))
    logits = network([x.nan_to_num() for x in modalities], state.attention)
    weight = torch.ones(len(batch))
    loss = (
        weighted_cross_entropy(logits, y_train[batch], weight)
        + 1e-3 * capacity_penalty(gate)
        - 1e-2 * energy_alignment(state.log_importance, indicator, weight)
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    gate.project_()
    if step % 200 == 0:
        print(f"step {step}: loss {loss.item():.3f}")

# %%
# Corrupt one modality of all test samples. The attention to this modality decreases, so the
# accuracy hardly decreases with more noise.


@torch.no_grad()
def evaluate(sigma):
    """Give accuracy and mean attention when the first modality has this much noise."""
    modalities, _ = Noise(sigma, only="0").corrupt_tensors(
        test, generator=generator, reference=reference, names=["0", "1", "2"]
    )
    attention = gate(potentials(modalities))
    accuracy = (network(modalities, attention).argmax(1) == y_test).double().mean()
    return accuracy.item(), attention.mean(0).tolist()


results = {sigma: evaluate(sigma) for sigma in (0.0, 1.0, 4.0)}
for sigma, (accuracy, attention) in results.items():
    shares = ", ".join(f"{beta:.2f}" for beta in attention)
    print(f"noise {sigma:g} on modality 0: accuracy {accuracy:.3f}, attention {shares}")

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
for k, (color, hatch) in enumerate(
    zip(("#0072B2", "#E69F00", "#999999"), ("", "//", "."), strict=True)
):
    heights = [attention[k] for _, attention in results.values()]
    positions = [j + 0.27 * (k - 1) for j in range(len(results))]
    label = f"modality {k}" + (" (fails)" if k == 0 else "")
    axes.bar(positions, heights, 0.25, color=color, hatch=hatch, edgecolor="white", label=label)
ticks = [f"{sigma:g}\n(accuracy {accuracy:.2f})" for sigma, (accuracy, _) in results.items()]
axes.set_xticks(range(len(results)), ticks)
axes.set(xlabel="noise on modality 0, in standard deviations", ylabel="mean attention")
axes.set_ylim(0, 1.3)
axes.legend(ncols=3, frameon=False, loc="upper center")
plt.show()
