"""Show the progress of a fit: a bar on a terminal, lines in a log, or nothing.

It shows what is trained, the number of epochs done, and the remaining time if all epochs are done.
"""

import sys
import time
from typing import Any

import numpy as np
from skorch.callbacks import Callback


class Progress(Callback):
    """Callback that shows the progress of one training.

    Parameters
    ----------
    what : str
        Name of the trained model in the display.
    max_epochs : int
        Number of epochs.
    """

    def __init__(self, what: str, max_epochs: int):
        self.what = what
        self.max_epochs = max_epochs

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Open the display."""
        self.started_ = time.perf_counter()
        self.bar_ = _terminal_bar()
        if self.bar_ is not None:
            self.row_ = self.bar_.add_task(self.what, total=self.max_epochs, loss="")
            self.bar_.start()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Show the last losses."""
        epoch = net.history[-1]
        losses = ", ".join(
            f"{k} {np.mean(epoch[k]):.4g}" for k in ("train_loss", "valid_loss") if k in epoch
        )
        n_epochs = len(net.history)
        elapsed = time.perf_counter() - self.started_
        if self.bar_ is not None:
            self.bar_.update(self.row_, completed=n_epochs, loss=losses)
        elif n_epochs == self.max_epochs or n_epochs % max(1, self.max_epochs // 10) == 0:
            n_left = self.max_epochs - n_epochs
            rest = f"{duration(elapsed / n_epochs * n_left)} left" if n_left else duration(elapsed)
            line = f"{self.what}: epoch {n_epochs}/{self.max_epochs}, {losses}, {rest}\n"
            sys.stderr.write(line)

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Close the display."""
        if self.bar_ is not None:
            self.bar_.stop()


def duration(seconds: float) -> str:
    """Format a duration.

    Parameters
    ----------
    seconds : float
        Duration in seconds.

    Returns
    -------
    str
        Duration in seconds, or in minutes from two minutes on.
    """
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _terminal_bar() -> Any:
    """Return a rich progress bar on a terminal where rich is installed, else None."""
    if not sys.stderr.isatty():
        return None
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        return None
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} epochs {task.fields[loss]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(stderr=True),
    )


def progress_callbacks(verbose: int | bool, what: str, max_epochs: int) -> list[Any]:
    """Return the callbacks that show progress.

    Parameters
    ----------
    verbose : int or bool
        Whether to show progress.
    what : str
        Name of the trained model in the display.
    max_epochs : int
        Number of epochs.

    Returns
    -------
    list of skorch callbacks
        At most one callback.
    """
    return [("progress", Progress(what, max_epochs))] if verbose else []
