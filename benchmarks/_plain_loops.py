"""The computation of a fit in plain torch, with which fit_time.py compares.

The arithmetic and the batches are the same: views, noise, prototypes, gate, both predictions, and
failures drawn once per epoch. The code is not optimized for speed: it loops over the modalities,
recomputes every energy of a corrupted table, and uses torch's Adam with its defaults.
"""

import math

import torch

from sklearn_emma.corruption import Missing, Mixture, Noise, Reference, Swapped
from sklearn_emma.nn import (
    DAEEnergy,
    EnergyAttention,
    FusionNetwork,
    energy_alignment,
    weighted_cross_entropy,
)


def batches(tensors, batch_size, generator):
    """Shuffle once per epoch, then slice."""
    order = torch.randperm(len(tensors[0]), generator=generator)
    for rows in order.tensor_split(math.ceil(len(order) / batch_size)):
        yield [tensor[rows] for tensor in tensors]


def train(optimizer, cycle, loss):
    """Take an optimization step."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    cycle.step()


def make_optimizer(parameters, lr, n_rows, batch_size, epochs):
    """Give Adam with one cycle of the learning rate."""
    optimizer = torch.optim.Adam(parameters, lr=lr)
    steps = epochs * math.ceil(n_rows / batch_size)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=max(3, steps))
    return optimizer, cycle


def fit_energies(modalities, batch_size, epochs, n_prototypes, hidden=(48, 32), lr=0.01):
    """Train two denoising autoencoders on each modality, one with prototypes."""
    generator = torch.Generator().manual_seed(0)
    energies = []
    for x in modalities:
        fine = DAEEnergy(x.shape[1], hidden, "tanh", generator, n_prototypes)
        coarse = DAEEnergy(x.shape[1], hidden, "tanh", generator)
        parameters = [*fine.parameters(), *coarse.parameters()]
        optimizer, cycle = make_optimizer(parameters, lr, len(x), batch_size, epochs)
        for _ in range(epochs):
            for (clean,) in batches([x], batch_size, generator):
                losses = []
                for energy, ratio in ((fine, 4.0), (coarse, 10.0)):
                    level = torch.rand(len(clean), 1, generator=generator)
                    sigma = 0.1 * (level * math.log(ratio)).exp()
                    noise = torch.randn(clean.shape, generator=generator)
                    error = (energy.reconstruct(clean + sigma * noise) - clean).square().sum(1)
                    losses.append((error / sigma[:, 0].square()).clamp(min=1e-12).sqrt().mean())
                train(optimizer, cycle, sum(losses))
        energies.append((fine.requires_grad_(False), coarse.requires_grad_(False)))
    return energies


def fit_classifier(modalities, y, batch_size, epochs, n_prototypes, encoders):
    """Train energies, then gate and predictor."""
    energies = fit_energies(modalities, batch_size, epochs, n_prototypes)

    def potentials(rows):
        return torch.stack(
            [
                torch.logsumexp(torch.stack([fine(x.nan_to_num()), coarse(x.nan_to_num())]), 0)
                + torch.where(x.isnan().any(1), math.inf, 0.0)
                for (fine, coarse), x in zip(energies, rows, strict=True)
            ],
            1,
        )

    generator = torch.Generator().manual_seed(0)
    widths, m = [x.shape[1] for x in modalities], len(modalities)
    gate = EnergyAttention(m, generator=generator)
    network = FusionNetwork(widths, int(y.max()) + 1, encoders, encoders[-1:], generator)
    reference = Reference.from_tensors(modalities)
    failures = Mixture([Noise((0.25, 2.0)), Missing(), Swapped()], fraction=0.5)
    weight = torch.ones(len(y))
    parameters = [*network.parameters(), *gate.parameters()]
    optimizer, cycle = make_optimizer(parameters, 3e-3, len(y), batch_size, epochs)
    for _ in range(epochs):
        corrupted, xi = failures.corrupt_tensors(
            modalities, generator=generator, reference=reference
        )
        filled = [x.nan_to_num() for x in corrupted]
        data = [potentials(corrupted), xi, y, weight, *filled]
        for psi, indicator, target, w, *rows in batches(data, batch_size, generator):
            state = gate.state(psi)
            encoded = network.encode(rows)
            loss = weighted_cross_entropy(network.fuse(encoded, state.attention), target, w)
            loss = loss - 0.02 * energy_alignment(state.log_importance, indicator, w)
            size = torch.randint(0, m, (len(w), 1), generator=generator)
            part = torch.rand(len(w), m, generator=generator).argsort(1).argsort(1) <= size
            beta = gate(torch.where(part, psi, torch.inf))
            logits = network.fuse(encoded, beta)
            train(optimizer, cycle, loss + 2.0 * weighted_cross_entropy(logits, target, w))
            gate.project_()
    return energies, gate, network
