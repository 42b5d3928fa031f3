"""Training by one call: the configuration is followed, and progress has the name it is given."""

import pytest
import torch
from torch import nn

from sklearn_emma.engine.objective import Objective, TrainingConfig
from sklearn_emma.engine.trainer import Trainer
from sklearn_emma.engine.training import make_trainer, train


class Mean(Objective):
    n_samples = 30
    baseline_loss = 5.0

    def __init__(self):
        super().__init__(torch.Generator().manual_seed(0))
        self.mean = nn.Parameter(torch.zeros(()))

    def epoch_data(self):
        return (torch.linspace(1.0, 3.0, 30),)

    def loss(self, *batch):
        return (batch[0] - self.mean).square().mean()


CONFIG = TrainingConfig(batch_size=10, learning_rate=0.2, max_epochs=20)


def test_an_objective_is_trained_in_place():
    objective = Mean()
    history = train(objective, "mean", CONFIG)
    assert objective.mean.item() == pytest.approx(2.0, abs=0.1)
    assert list(history) == ["train_loss"]
    assert len(history["train_loss"]) == 20


@pytest.mark.parametrize("verbose", [0, 1])
def test_progress_is_shown_under_its_name_if_wanted(verbose, capsys):
    config = TrainingConfig(10, 0.2, 4, verbose=verbose)
    train(Mean(), "mean of radar", config)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4 * verbose
    assert all(line.startswith("mean of radar: epoch ") for line in lines)


def test_another_kind_of_trainer():
    class Other(Trainer):
        pass

    objective = Mean()
    for kind in (Other, None):
        trainer = make_trainer(objective, "mean", CONFIG, kind)
        assert type(trainer) is (kind or Trainer)
        assert trainer.module is objective
        assert trainer.config is CONFIG
        assert (trainer.batch_size, trainer.lr, trainer.max_epochs) == (10, 0.2, 20)
