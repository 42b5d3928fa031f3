"""Learn what the default predictor needs to read columns and signals: quantiles and scales."""

from collections.abc import Sequence

import torch

from sklearn_emma.gate.normal_scores import learn_normal_scores
from sklearn_emma.gate.samples import Samples
from sklearn_emma.gate.signals import learn_signals
from sklearn_emma.nn import FusionEnsemble, GatedPredictor


@torch.no_grad()
def learn_features(predictors: Sequence[GatedPredictor], samples: Samples, seed: int) -> None:
    """Set the buffers of predictors: of the first from the samples, of the others as in the first.

    Parameters
    ----------
    predictors : sequence of GatedPredictor
        Predictors with the same buffers. Only those of a :class:`FusionEnsemble` are set.
    samples : Samples
        Training samples.
    seed : int
        Seed of the draw of samples for the quantiles, if there are many.
    """
    networks = [p.networks for p in predictors if isinstance(p, FusionEnsemble)]
    if not networks:
        return
    first, *others = networks
    samples = learn_signals(first, samples)
    if first.columns.normal_scores is not None:
        learn_normal_scores(first.columns.normal_scores, samples, seed)
    for other in others:
        for buffer, learned in zip(other.buffers(), first.buffers(), strict=True):
            buffer.copy_(learned)
