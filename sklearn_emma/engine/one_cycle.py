r"""Schedules of the learning rate: one cycle, or constant.

In one cycle, the learning rate rises and falls once, while momentum falls and rises. In a phase in
which a value changes from s to e, the value at the fraction p of the phase is

.. math:: e + \tfrac12 (s - e) (1 + \cos \pi p)

(Smith, L. N. and Topin, N. (2019). Super-convergence: very fast training of neural networks using
large learning rates. SPIE.) The values are the same as those of
``torch.optim.lr_scheduler.OneCycleLR``, which takes longer than a fused step of a small model.
"""

import math

# Fraction of the steps in which the learning rate rises.
_RISE = 0.1
# Learning rate at the start and at the end, as fractions of the largest one.
_START, _END = 1.0 / 25.0, 1.0 / 25.0 / 1e4
# First-moment decay of Adam, at the largest learning rate and at the start and end.
_LEAST_BETA, _LARGEST_BETA = 0.85, 0.95
# First-moment decay of the constant schedule, the default of Adam.
_PLAIN_BETA = 0.9

#: Names of the schedules.
SCHEDULES = ("one_cycle", "constant")


class OneCycle:
    """Learning rate and first-moment decay of every step, in one cycle.

    Parameters
    ----------
    largest : float
        Largest learning rate.
    n_steps : int
        Number of training steps. The schedule has at least three.
    """

    def __init__(self, largest: float, n_steps: int):
        self.largest = largest
        total = max(3, n_steps)
        self.peak = max(_RISE, 2 / total) * total - 1.0  # a rise of no step would divide by zero
        self.last = total - 1.0

    def at(self, step: int) -> tuple[float, float]:
        """Return the learning rate and the decay of a step.

        Parameters
        ----------
        step : int
            Number of the step, counted from 0.

        Returns
        -------
        learning_rate, beta : float
            Learning rate and first-moment decay.
        """
        start, end = self.largest * _START, self.largest * _END
        if step <= self.peak:
            share = step / self.peak
            return (
                _anneal(start, self.largest, share),
                _anneal(_LARGEST_BETA, _LEAST_BETA, share),
            )
        share = (step - self.peak) / (self.last - self.peak)
        return _anneal(self.largest, end, share), _anneal(_LEAST_BETA, _LARGEST_BETA, share)


class Constant:
    """Constant learning rate and first-moment decay, as in plain Adam.

    Parameters
    ----------
    learning_rate : float
        Learning rate of all steps.
    """

    def __init__(self, learning_rate: float):
        self.learning_rate = learning_rate

    def at(self, step: int) -> tuple[float, float]:
        """Return the learning rate and the decay of a step."""
        return self.learning_rate, _PLAIN_BETA


def _anneal(start: float, end: float, share: float) -> float:
    """Return the value at a fraction of a cosine transition from start to end."""
    return end + (start - end) / 2.0 * (1.0 + math.cos(math.pi * share))
