"""How a training looks on a terminal, and where there is none; rich is loaded only when it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rnnspec.training.callbacks import Callback, Logs

if TYPE_CHECKING:
    from rich.console import Console

    from rnnspec.contract.executable import Array


MOST_NUMBERS = 10
"""The most numbers of a metric that a line has."""


def progress(console: Console | None = None) -> Callback:
    """A progress bar with a line for each epoch on a terminal, the lines alone elsewhere."""
    if console is None:
        from rich.console import Console

        console = Console(highlight=False)
    return ProgressBar(console) if console.is_terminal else EpochLines(console)


class Shown(Callback):
    """A callback that only shows the training: one that goes on from a checkpoint may be shown in another way."""


class EpochLines(Shown):
    """One plain line for each epoch."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Prints the epoch's line."""
        self._console.out(epoch_line(epoch, self.params["epochs"], logs or {}), highlight=False)


class ProgressBar(Shown):
    """A bar over all updates, and above it a line for each finished epoch."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.table import Column

        self._console = console
        values = TextColumn("{task.description}", markup=False, table_column=Column(overflow="fold"))  # goes on in a line below, uncut
        numbers = (column(table_column=Column(no_wrap=True)) for column in (MofNCompleteColumn, TimeElapsedColumn))
        self._progress = Progress(values, BarColumn(), *numbers, console=console)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Shows the bar."""
        steps = self.params["steps"]
        self._task = self._progress.add_task("training", total=None if steps is None else self.params["epochs"] * steps)
        self._progress.start()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Moves the bar to the epoch's beginning."""
        if (steps := self.params["steps"]) is not None:
            self._progress.update(self._task, completed=epoch * steps)

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Moves the bar, and shows the epoch's means so far."""
        self._progress.update(self._task, advance=1, description=_values(logs or {}))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Prints the epoch's line above the bar."""
        self._console.print(epoch_line(epoch, self.params["epochs"], logs or {}), markup=False, highlight=False)

    def close(self) -> None:
        """Ends the bar."""
        self._progress.stop()


def epoch_line(epoch: int, epochs: int, logs: Mapping[str, Any]) -> str:
    """For the epoch counted from 0: "epoch 3/60: loss 0.4123, accuracy 0.9012"."""
    return f"epoch {epoch + 1:{len(str(epochs))}}/{epochs}: {_values(logs)}"


def _values(logs: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value_text(value)}" for name, value in logs.items())


def value_text(value: float | Array) -> str:
    """The value of a loss or a metric in a line; of one with many numbers the first ones, and how many there are."""
    if isinstance(value, int | float) or value.ndim == 0:
        return f"{value:.4f}"
    numbers = [f"{number:.4f}" for number in value[:MOST_NUMBERS]]
    rest = len(value) - len(numbers)
    return f"[{', '.join(numbers)}{f', and {rest} more' if rest else ''}]"
