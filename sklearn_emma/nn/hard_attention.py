r"""Hard attention: of each sample, at most k modalities pass.

.. math:: \beta_i' = \begin{cases} \beta_i & i \in \mathrm{top}_k(\log\alpha_j - c_j) \\
    0 & \text{else} \end{cases}

with costs :math:`c_j` in nats: modality j is chosen before one without cost if its importance is
more than :math:`e^{c_j}` times as large. In training the gradient is that of :math:`\beta` for all
modalities, also those that were not chosen (straight-through estimator; Bengio, Y., Léonard, N. and
Courville, A. (2013). Estimating or propagating gradients through stochastic neurons for conditional
computation. arXiv:1308.3432).
"""

import torch
from torch import Tensor, nn

__all__ = ["HardAttention"]


class HardAttention(nn.Module):
    """Keep the attention to the most important modalities of each sample, less their costs.

    Parameters
    ----------
    max_modalities : int
        How many are kept.
    cost : Tensor of shape (n_modalities,)
        Cost of each, in nats.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import HardAttention
    >>> importance = torch.tensor([[0.5, 0.3, 0.2]])
    >>> attention = torch.tensor([[0.9, 0.8, 0.7]])
    >>> HardAttention(2, torch.zeros(3))(importance.log(), attention)
    tensor([[0.9000, 0.8000, 0.0000]])
    >>> HardAttention(2, torch.tensor([1.0, 0.0, 0.0]))(importance.log(), attention)
    tensor([[0.0000, 0.8000, 0.7000]])
    """

    cost: Tensor
    earlier: Tensor

    def __init__(self, max_modalities: int, cost: Tensor):
        super().__init__()
        self.max_modalities = max_modalities
        m = len(cost)
        self.register_buffer("cost", cost, persistent=False)
        earlier = torch.ones(m, m, dtype=torch.bool).tril(-1)
        self.register_buffer("earlier", earlier, persistent=False)

    def forward(self, log_importance: Tensor, attention: Tensor) -> Tensor:
        """Close what is not chosen.

        Parameters
        ----------
        log_importance : Tensor of shape (..., n_samples, n_modalities)
            Logarithm of the importance; minus infinity where a modality is missing.
        attention : Tensor of shape (..., n_samples, n_modalities)
            Attention without a choice.

        Returns
        -------
        Tensor of shape (..., n_samples, n_modalities)
            The attention to what is chosen, zero to the others.
        """
        worth = log_importance - self.cost
        own, other = worth.unsqueeze(-1), worth.unsqueeze(-2)
        # of equal ones the first; sorting could not be exported
        ahead = (other > own) | ((other == own) & self.earlier)
        kept = attention * (ahead.sum(-1) < self.max_modalities)
        if not self.training:
            return kept
        return kept.detach() + (attention - attention.detach())
