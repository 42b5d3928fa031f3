r"""Muon: momentum with orthogonalized updates, for the weights of hidden layers.

.. math::

    M_t = \beta M_{t-1} + (1 - \beta) G_t, \qquad
    N_t = (1 - \beta) G_t + \beta M_t, \qquad
    W_t = W_{t-1} - \eta \sqrt{\max(m, n)}\, U V^\top, \qquad N_t = U \Sigma V^\top

for weights W of shape (m, n) with gradient G, as proposed by Jordan et al. [1]_. All singular
values of a step are equal, so it also moves in directions in which the gradient is small. Training
needs fewer epochs than with Adam for the same loss. The entries of :math:`U V^\top` have a root
mean square of :math:`1 / \sqrt{\max(m, n)}`, so :math:`\eta` is the typical size of a change, as in
Adam [2]_. :math:`U V^\top` is approximated by the Newton-Schulz iteration with the coefficients of
[1]_,

.. math:: X \leftarrow a X + (b X X^\top + c (X X^\top)^2) X, \qquad X_0 = N / \lVert N \rVert_F

References
----------
.. [1] Jordan, K. et al. (2024). Muon: an optimizer for hidden layers in neural networks.
.. [2] Liu, J. et al. (2025). Muon is scalable for LLM training. arXiv:2502.16982.
"""

import torch
from torch import Tensor

# Coefficients a, b, c of the iteration, and number of iterations. More have no effect on training.
_COEFFICIENTS = 3.4445, -4.7750, 2.0315
_N_ITERATIONS = 3


def orthogonal(x: Tensor) -> Tensor:
    r"""Return matrices with the same singular vectors, and with singular values close to one.

    Parameters
    ----------
    x : Tensor of shape (n_matrices, m, n)
        Matrices. Columns or rows of zeros remain zero.

    Returns
    -------
    Tensor of shape (n_matrices, m, n)
        Approximation of :math:`U V^\top` of each matrix. Singular values that are far below the
        largest one result in values below one.
    """
    tall = x.shape[-2] > x.shape[-1]
    wide = x.mT if tall else x
    # a matrix of zeros remains unchanged
    wide = wide / wide.flatten(1).norm(dim=1).clamp(min=1e-12).view(-1, 1, 1)
    a, b, c = _COEFFICIENTS
    for _ in range(_N_ITERATIONS):
        gram = wide @ wide.mT
        wide = torch.baddbmm(wide, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.mT if tall else wide


def muon_step(
    parameter: Tensor,
    gradient: Tensor,
    mean: Tensor,
    *,
    lr: float,
    beta: float,
    weight_decay: float,
) -> None:
    """Update weights by one step of Muon.

    Parameters
    ----------
    parameter : Tensor of shape (..., m, n)
        Weights, with leading dimensions for stacked layers. They are changed in place.
    gradient : Tensor of shape (..., m, n)
        Gradient of the loss.
    mean : Tensor of shape (..., m, n)
        Momentum, zero before the first step. Changed in place.
    lr : float
        Learning rate.
    beta : float
        Decay of the momentum.
    weight_decay : float
        Strength of an L2 penalty, whose gradient is added to that of the loss.
    """
    # rounding in products depends on the memory layout, which differs in a stack
    gradient = gradient.contiguous().add(parameter, alpha=weight_decay)
    mean.lerp_(gradient, 1.0 - beta)
    m, n = parameter.shape[-2:]
    step = orthogonal(gradient.lerp_(mean, beta).reshape(-1, m, n)).reshape(parameter.shape)
    parameter.sub_(step, alpha=lr * max(m, n) ** 0.5)
