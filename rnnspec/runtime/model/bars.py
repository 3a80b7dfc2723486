"""The bar of a training, an evaluation or a prediction on a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

Clock = Callable[[], float]


def bar_of_batches(console: Console, clock: Clock = time.perf_counter) -> Progress:
    """A bar over batches, with what is known so far before it and its task's field `pace` behind it; ImportError without rich."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column

    values, pace = (  # go on in a line below, uncut
        TextColumn(text, markup=False, table_column=Column(overflow="fold")) for text in ("{task.description}", "{task.fields[pace]}")
    )
    numbers = (column(table_column=Column(no_wrap=True)) for column in (MofNCompleteColumn, TimeElapsedColumn))
    shown = console.is_terminal or console.is_jupyter
    return Progress(values, BarColumn(), *numbers, pace, console=console, get_time=clock, disable=not shown)
