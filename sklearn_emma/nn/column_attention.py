r"""Attention to the columns of one modality: ignore corrupted columns as if they were missing.

Let S be a set of columns that are treated as missing, and R the other columns. The values of S are
replaced by their conditional mean given R, :math:`\hat x^S`
(:mod:`sklearn_emma.nn.conditional_mean`). The modality then has the potential

.. math:: \Psi(S) = \Psi(\hat x^S) + 3\, s\, \bigl(-\log(1 - |S| / D)\bigr),

which is the energy of the filled values plus that of |S| missing values out of D
(:mod:`sklearn_emma.nn.evidence_energy`). The energy of a column j is the reduction of the energy if
this column is also treated as missing,

.. math:: \epsilon_j(S) = \Psi(\hat x^S) - \Psi(\hat x^{S \cup \{j\}}).

If the energy of a modality exceeds that of 99 % of the training samples, the columns with the
highest energy are added to S: first one column, then in each step as many as have been added so
far. This stops at a third of the columns, or as soon as :math:`\Psi(\hat x^S) \le \Psi_{min}`. It
gives the sets :math:`S_1, S_2, \dots`, starting from the missing values :math:`S_0` of the sample.
The potential of the modality and the attention to its columns are

.. math:: \Psi = \min_k \Psi(S_k), \qquad a_j = 0 \text{ if } j \in S_k, \text{ else } 1,

with the k of the minimum. Thus one corrupted column costs its modality no more than one missing
value. If the values of most columns are unlikely, the energy remains high, because it cannot be
explained by a third of the columns.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sklearn_emma.nn.conditional_mean import ConditionalMean
from sklearn_emma.nn.evidence_energy import gap_evidence, potential_of_evidence
from sklearn_emma.nn.numerics import quantile

__all__ = ["ColumnAttention", "ColumnReading"]

# Number of columns with the largest residuals, of which the one with the highest energy is chosen.
_SHORTLIST = 4
# Columns are examined if the energy exceeds that of this fraction of the training samples.
_CLEAN = 0.99

Energy = Callable[[Tensor], Tensor]


class ColumnReading(NamedTuple):
    """Values of a modality after corrupted columns are replaced.

    Attributes
    ----------
    values : Tensor of shape (n_samples, n_features)
        Values, replaced by their conditional mean where the attention is zero.
    attention : Tensor of shape (n_samples, n_features)
        Attention to each column: 0 for ignored or missing values, else 1.
    potential : Tensor of shape (n_samples,)
        Energy of the filled values, without the gap energy of missing values.
    """

    values: Tensor
    attention: Tensor
    potential: Tensor


class ColumnAttention(nn.Module):
    """Find the columns that make a modality unlikely, and treat them as missing.

    Parameters
    ----------
    n_features : int
        Number of columns of the modality. A single column is never ignored.

    Notes
    -----
    The module has the buffers ``mean``, of shape (n_features,), ``precision``, of shape
    (n_features, n_features), and ``highest``, the energy above which columns are examined. Before
    :meth:`learn` is called, the mean is zero, the precision is the identity and ``highest`` is
    zero.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import ColumnAttention
    >>> generator = torch.Generator().manual_seed(0)
    >>> cause = torch.randn(500, 1, generator=generator)
    >>> x = cause + 0.1 * torch.randn(500, 4, generator=generator)
    >>> def energy(x):
    ...     return (x - x.mean(1, keepdim=True)).square().sum(1)
    >>> columns = ColumnAttention(4)
    >>> columns.learn(energy, x)
    >>> x[:, 2] += 5.0
    >>> none = torch.zeros_like(x, dtype=torch.bool)
    >>> columns(energy, x, none, energy(x), minimum=0.05, scale=1.0).attention.mean(0)
    tensor([1., 1., 0., 1.])
    """

    highest: Tensor

    def __init__(self, n_features: int):
        super().__init__()
        self.conditional = ConditionalMean(n_features)
        #: Largest number of columns that may be treated as missing, including missing values.
        self.most = max(1, n_features // 3) if n_features > 1 else 0
        self.register_buffer("highest", torch.zeros((), dtype=torch.float32))

    @torch.no_grad()
    def learn(self, energy: Energy, x: Tensor, weight: Tensor | None = None) -> None:
        r"""Learn the conditional mean and the 99 % quantile of the energy from samples.

        Parameters
        ----------
        energy : callable
            Function :math:`\Psi` from samples (n_samples, n_features) to their energies
            (n_samples,).
        x : Tensor of shape (n_samples, n_features)
            Standardized samples without missing values.
        weight : Tensor of shape (n_samples,), default=None
            Sample weights. None weights all samples equally.
        """
        self.conditional.learn(x, weight)
        self.highest.fill_(quantile(energy(x), _CLEAN, weight))

    def forward(
        self,
        energy: Energy,
        x: Tensor,
        missing: Tensor,
        potential: Tensor,
        minimum: Tensor | float,
        scale: Tensor | float,
    ) -> ColumnReading:
        r"""Replace the corrupted columns of samples.

        Parameters
        ----------
        energy : callable
            Function :math:`\Psi` from samples (n, n_features) to their energies (n,).
        x : Tensor of shape (n_samples, n_features)
            Standardized samples whose missing values are filled.
        missing : Tensor of bool of shape (n_samples, n_features)
            True for missing values, the set :math:`S_0` of each sample.
        potential : Tensor of shape (n_samples,)
            Energies of the samples.
        minimum, scale : Tensor of shape () or float
            Minimum :math:`\Psi_{min}` and scale s of the potential in the gate.

        Returns
        -------
        ColumnReading
            Filled values, attention and energy.
        """
        attention = (~missing).to(x.dtype)
        n_missing = missing.sum(1)
        one_more = self._gap_energy(n_missing + 1, scale)
        total = potential + self._gap_energy(n_missing, scale)
        doubtful = (potential > self.highest) & (total > minimum + one_more)
        doubtful &= n_missing + 1 <= self.most
        rows = doubtful.nonzero().squeeze(1)
        if not len(rows):
            return ColumnReading(x, attention, potential)
        read = self._search(energy, x[rows], missing[rows], potential[rows], minimum, scale)
        return ColumnReading(
            x.index_copy(0, rows, read.values),
            attention.index_copy(0, rows, read.attention),
            potential.index_copy(0, rows, read.potential),
        )

    def _search(
        self,
        energy: Energy,
        x: Tensor,
        missing: Tensor,
        potential: Tensor,
        minimum: Tensor | float,
        scale: Tensor | float,
    ) -> ColumnReading:
        """Add columns to S step by step, and return the reading with the lowest potential."""
        best, best_missing, best_own = x, missing, potential
        lowest = potential + self._gap_energy(missing.sum(1), scale)
        rows, values, step = torch.arange(len(x), device=x.device), x, 1
        n_joined = 0
        while True:
            # samples are done if they are clean now, or if no more columns may be ignored
            goes_on = (potential > minimum) & (missing.sum(1) + step <= self.most)
            rows, values, missing = rows[goes_on], values[goes_on], missing[goes_on]
            if not len(rows):
                break
            missing = missing | self._worst(energy, values, missing, step)
            values = self.conditional.fill(x[rows], missing)
            potential = energy(values)
            total = potential + self._gap_energy(missing.sum(1), scale)
            better = total < lowest[rows]
            where = rows[better]
            lowest = lowest.index_copy(0, where, total[better])
            best = best.index_copy(0, where, values[better])
            best_missing = best_missing.index_copy(0, where, missing[better])
            best_own = best_own.index_copy(0, where, potential[better])
            n_joined += step
            step = n_joined
        return ColumnReading(best, (~best_missing).to(x.dtype), best_own)

    def _worst(self, energy: Energy, x: Tensor, missing: Tensor, n_worst: int) -> Tensor:
        """Return a mask of shape (n_samples, n_features) of the columns with the highest energy."""
        mean, precision = self.conditional.mean, self.conditional.precision
        deviation = self.conditional.deviation(x)
        force = deviation @ precision
        residual = force / precision.diagonal()
        # reduction of the squared Mahalanobis distance if a column is left out
        fall = (force * residual).masked_fill(missing, -1.0)
        if n_worst > 1:
            columns = fall.topk(n_worst, 1).indices
        else:
            fall, columns = fall.topk(min(_SHORTLIST, x.shape[1]), 1)
            explained = (mean + deviation - residual).gather(1, columns)
            trial = x.unsqueeze(1).repeat(1, columns.shape[1], 1)
            trial.scatter_(2, columns.unsqueeze(2), explained.unsqueeze(2))
            found = energy(trial.flatten(0, 1)).view(columns.shape)
            found = found.masked_fill(fall < 0, torch.inf)
            columns = columns.gather(1, found.argmin(1, keepdim=True))
        return torch.zeros_like(missing).scatter_(1, columns, True)

    def _gap_energy(self, n_missing: Tensor, scale: Tensor | float) -> Tensor:
        """Return the gap energy of missing columns, which is infinite if all are missing."""
        mean = self.conditional.mean
        share = n_missing.to(mean.dtype) / len(mean)
        return potential_of_evidence(gap_evidence(share), scale)
