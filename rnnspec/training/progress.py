"""How a training looks on a terminal, in a notebook, and where there is neither; rich is loaded only when it is shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rnnspec.training.callbacks import Callback, Logs
from rnnspec.training.pace import Pace

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from rnnspec.contract.executable import Array


MOST_NUMBERS = 10
"""The most numbers of a metric that a short line has."""

_PATIENCE = 0.1
"""Seconds between two updates of a notebook's bar."""

Clock = Callable[[], float]


def progress(console: Console | None = None, *, lines: bool = False, clock: Clock = time.perf_counter) -> Callback:
    """A progress bar with a line for each epoch on a terminal, one bar that changes in a notebook, the lines alone elsewhere.

    `lines`: the lines alone everywhere. `clock` gives seconds.
    """
    console = _console() if console is None else console
    if console.is_jupyter and not lines:
        return NotebookBar(console, clock)
    return ProgressBar(console, clock) if console.is_terminal and not lines else EpochLines(console, clock)


def evaluation(console: Console | None = None, *, lines: bool = False, clock: Clock = time.perf_counter) -> Callback:
    """What shows an evaluation; arguments as for `progress`."""
    return Evaluation(_console() if console is None else console, lines=lines, clock=clock)


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


class Shown(Callback):
    """A callback that only shows the training: one that goes on from a checkpoint may be shown in another way."""

    writes = True

    def __init__(self, console: Console, clock: Clock = time.perf_counter) -> None:
        self._console = console
        self._clock = clock
        self._pace = Pace(clock)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begins to measure."""
        self._pace.begin(self.params)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Begins to measure the epoch."""
        self._pace.begin_epoch(epoch)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Counts the batch."""
        self._pace.count_batch()

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Knows that the epoch's batches are over."""
        self._pace.end_batches()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Shows the epoch's line."""
        self._pace.end_epoch()
        self.show(epoch, logs or {})

    def show(self, epoch: int, logs: Logs) -> None:
        """Shows the line of an epoch that is over."""

    def line(self, epoch: int, logs: Logs, *, short: bool) -> str:
        """The line of an epoch that is over."""
        return f"{epoch_line(epoch, self.params['epochs'], logs, short=short)} ({self._pace.text()})"


class EpochLines(Shown):
    """One plain line for each epoch, on a terminal with short numbers, elsewhere with all digits."""

    def show(self, epoch: int, logs: Logs) -> None:
        """Prints the epoch's line."""
        _print_line(self._console, self.line(epoch, logs, short=self._console.is_terminal))


class ProgressBar(Shown):
    """A bar over all updates, and above it a line for each finished epoch."""

    def __init__(self, console: Console, clock: Clock = time.perf_counter) -> None:
        super().__init__(console, clock)
        self._progress = _bar(console, clock)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Shows the bar."""
        super().on_train_begin(logs)
        steps = self.params["steps"]
        self._task = self._progress.add_task("training", total=None if steps is None else self.params["epochs"] * steps, pace="")
        self._progress.start()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Moves the bar to the epoch's beginning."""
        super().on_epoch_begin(epoch, logs)
        if (steps := self.params["steps"]) is not None:
            self._progress.update(self._task, completed=epoch * steps)

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Moves the bar, and shows the epoch's means so far."""
        self._progress.update(self._task, advance=1, description=_values(logs or {}, short=True), pace=self._pace.text(within=True))

    def show(self, epoch: int, logs: Logs) -> None:
        """Prints the epoch's line above the bar."""
        self._console.print(self.line(epoch, logs, short=True), markup=False, highlight=False)

    def close(self) -> None:
        """Ends the bar."""
        self._progress.stop()


class Evaluation(Callback):
    """A line for an evaluation that is over, on a terminal with a bar before it, elsewhere with all digits."""

    def __init__(self, console: Console, *, lines: bool = False, clock: Clock = time.perf_counter) -> None:
        self._console = console
        self._bar = None if lines or not console.is_terminal or console.is_jupyter else _bar(console, clock)
        self._pace = Pace(clock)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Shows the bar."""
        self._pace.begin(self.params)
        self._pace.begin_epoch(0)
        if self._bar is not None:
            self._task = self._bar.add_task("evaluation", total=self.params["steps"], pace="")
            self._bar.start()

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Moves the bar, and shows the means so far."""
        self._pace.count_batch()
        if self._bar is not None:
            self._bar.update(self._task, advance=1, description=_values(logs or {}, short=True), pace=self._pace.text(within=True))

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Shows the line."""
        self._pace.end_epoch()
        short = self._console.is_terminal
        self.close()
        _print_line(self._console, f"evaluation: {_values(logs or {}, short=short)} ({self._pace.text()})")

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.stop()


class NotebookBar(Shown):
    """One output of a notebook that changes: a bar over all updates, and the values so far."""

    def __init__(self, console: Console, clock: Clock = time.perf_counter) -> None:
        super().__init__(console, clock)
        self._handle: Any = None
        self._batches = 0
        self._next = 0.0
        self._text, self._ended = "", False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Shows the bar."""
        super().on_train_begin(logs)
        self._batches, self._next, self._text, self._ended = 0, 0.0, "training", False
        self._handle = import_module("IPython.display").display(self, display_id=True)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Moves the bar to the epoch's beginning."""
        super().on_epoch_begin(epoch, logs)
        self._epoch = epoch
        if (steps := self.params["steps"]) is not None:
            self._batches = epoch * steps

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Moves the bar and shows the epoch's means so far, at most ten times a second."""
        self._batches += 1
        if self._handle is not None and (now := self._clock()) >= self._next:
            self._next = now + _PATIENCE
            text = epoch_line(self._epoch, self.params["epochs"], logs or {})
            self._text = f"{text} ({self._pace.text(within=True)})"
            self._handle.update(self)

    def show(self, epoch: int, logs: Logs) -> None:
        """Shows the epoch's line."""
        self._text = self.line(epoch, logs, short=True)
        if self._handle is None:  # no notebook shows the bar after all
            print(self._text)
        else:
            self._handle.update(self)

    def close(self) -> None:
        """Ends the bar."""
        if self._handle is not None and not self._ended:
            self._ended = True
            self._handle.update(self)

    def _repr_html_(self) -> str:
        steps = self.params["steps"]
        value, end = (self._batches, self.params["epochs"] * steps) if steps is not None else (1, 1)
        moving = "" if steps is None and not self._ended else f' value="{value}" max="{end}"'
        return f'<progress{moving} style="width: 20em"></progress> <code>{escape(self._text)}</code>'

    def __repr__(self) -> str:
        return self._text


def _bar(console: Console, clock: Clock) -> Progress:
    """A bar over batches, with what is known so far before it and the pace behind it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column

    values, pace = (  # go on in a line below, uncut
        TextColumn(text, markup=False, table_column=Column(overflow="fold")) for text in ("{task.description}", "{task.fields[pace]}")
    )
    numbers = (column(table_column=Column(no_wrap=True)) for column in (MofNCompleteColumn, TimeElapsedColumn))
    return Progress(values, BarColumn(), *numbers, pace, console=console, get_time=clock)


def _print_line(console: Console, text: str) -> None:
    """A line of results, uncut."""
    if console.is_jupyter:  # where rich makes a block of each line
        print(text)
    else:
        console.out(text, highlight=False)


def epoch_line(epoch: int, epochs: int, logs: Mapping[str, Any], *, short: bool = True) -> str:
    """For the epoch counted from 0: "epoch 3/60: loss 0.4123, accuracy 0.9012"; numbers with all digits unless it is `short`."""
    return f"epoch {epoch + 1:{len(str(epochs))}}/{epochs}: {_values(logs, short=short)}"


def _values(logs: Mapping[str, Any], *, short: bool) -> str:
    return ", ".join(f"{name} {value_text(value, short=short)}" for name, value in logs.items())


def value_text(value: float | Array, *, short: bool = True) -> str:
    """The value of a loss or a metric in a line; of one with many numbers the first ones if it is `short`, and how many there are."""
    if isinstance(value, int | float) or value.ndim == 0:
        return f"{value:.4f}" if short else repr(float(value))
    shown = value[:MOST_NUMBERS] if short else value
    rest = len(value) - len(shown)
    return f"[{', '.join(value_text(number, short=short) for number in shown)}{f', and {rest} more' if rest else ''}]"
