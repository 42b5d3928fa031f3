r"""Hard attention: open the gates of at most k modalities of each sample.

.. math:: \beta_i' = \begin{cases} \beta_i & i \in \mathrm{top}_k(\log\alpha_j - c_j) \\
    0 & \text{else} \end{cases}

with costs :math:`c_j` in nats: modality j is preferred to a modality without cost if its importance
is more than :math:`e^{c_j}` times as large. In training, the gradient is that of :math:`\beta` for
all modalities, including those that are closed (straight-through estimator; Bengio, Y., Léonard,
N. and Courville, A. (2013). Estimating or propagating gradients through stochastic neurons for
conditional computation. arXiv:1308.3432).
"""

import torch
from torch import Tensor, nn

__all__ = ["HardAttention"]


class HardAttention(nn.Module):
    """Keep the attention to the k modalities with the largest log importance minus cost.

    Parameters
    ----------
    max_modalities : int
        Number k of modalities that are kept.
    cost : Tensor of shape (n_modalities,)
        Cost of each modality, in nats.

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
        """Set the attention to all but the chosen modalities to zero.

        Parameters
        ----------
        log_importance : Tensor of shape (..., n_samples, n_modalities)
            Logarithm of the importance, minus infinity for missing modalities.
        attention : Tensor of shape (..., n_samples, n_modalities)
            Attention to all modalities.

        Returns
        -------
        Tensor of shape (..., n_samples, n_modalities)
            Attention to the chosen modalities, zero for the others.
        """
        worth = log_importance - self.cost
        own, other = worth.unsqueeze(-1), worth.unsqueeze(-2)
        # ties are broken in favor of the first modality; sorting could not be exported
        ahead = (other > own) | ((other == own) & self.earlier)
        kept = attention * (ahead.sum(-1) < self.max_modalities)
        if not self.training:
            return kept
        return kept.detach() + (attention - attention.detach())
