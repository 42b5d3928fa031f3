"""What is shown of training: nothing, lines in a log, or a bar on a terminal."""

import io
import re
import sys

import pytest
import torch
from torch import nn

from sklearn_emma.engine.objective import Objective, TrainingConfig
from sklearn_emma.engine.progress import progress_callbacks
from sklearn_emma.engine.trainer import Trainer


class Constant(Objective):
    n_samples = 4
    baseline_loss = 1.0

    def __init__(self, valid=False):
        super().__init__(torch.Generator().manual_seed(0))
        self.shift = nn.Parameter(torch.zeros(()))
        self.valid = valid

    def epoch_data(self):
        return (torch.zeros(4),)

    def loss(self, *batch):
        return (batch[0] - self.shift).square().mean() + 0.5

    def validation_loss(self):
        return torch.tensor(0.25) if self.valid else None


def train(verbose, max_epochs=20, valid=False):
    config = TrainingConfig(batch_size=4, learning_rate=0.01, max_epochs=max_epochs)
    callbacks = progress_callbacks(verbose, "energy of radar", max_epochs)
    Trainer(Constant(valid), config, callbacks).train()


@pytest.mark.parametrize("verbose", [0, False])
def test_silence_by_default(verbose, capsys):
    train(verbose)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("verbose", [1, True])
def test_a_log_gets_ten_lines(verbose, capsys):
    train(verbose, valid=True)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("energy of radar: epoch 2/20, train_loss 0.5, valid_loss 0.25, ")
    assert re.search(r", \d+\.\d s left$", lines[0])
    assert re.search(r"epoch 20/20, .*, \d+\.\d s$", lines[-1])


def test_what_is_left_takes_as_long_as_what_is_done(monkeypatch, capsys):
    seconds = iter([0.0, *(30.0 * i for i in range(1, 11))])
    monkeypatch.setattr("sklearn_emma.engine.progress.time.perf_counter", lambda: next(seconds))
    train(1, max_epochs=10)
    ends = [line.split(", ")[-1] for line in capsys.readouterr().err.splitlines()]
    assert ends[0] == "4 min left"  # 9 epochs of 30 s, rounded to even
    assert ends[6:] == ["90.0 s left", "60.0 s left", "30.0 s left", "5 min"]


def test_a_short_training_gets_a_line_per_epoch(capsys):
    train(1, max_epochs=3)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        f"energy of radar: epoch {i}/3" for i in (1, 2, 3)
    ]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar(monkeypatch):
    pytest.importorskip("rich")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    train(1)
    shown = terminal.getvalue()
    assert "energy of radar" in shown
    assert "20/20 epochs" in shown
    assert "train_loss 0.5" in shown


def test_a_terminal_without_rich_gets_lines(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    train(1)
    assert len(terminal.getvalue().splitlines()) == 10
