"""The curves of `rnnspec train`."""

from __future__ import annotations

from pathlib import Path

from rnnspec.cli.console import say
from rnnspec.training.callbacks import History


def draw_curves(history: History | None, path: Path) -> None:
    """Writes a training's curves; a warning, in place of an error that would hide how the training ended, says why not."""
    if history is None or not history.epoch:
        say("warning: no epoch was finished, there are no curves")
        return
    try:
        history.plot(path)
    except OSError as error:
        say(f"warning: {path}: the curves can't be written: {error.strerror}")
    else:
        say(f"wrote {path}")
