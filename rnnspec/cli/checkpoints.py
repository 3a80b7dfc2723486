"""The checkpoints of `rnnspec train`, in a folder beside the model's file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn

import typer

from rnnspec.cli.console import say
from rnnspec.training.backup import Checkpoints, checkpoints_in
from rnnspec.training.callbacks import Logs
from rnnspec.training.model import Model

_EVERY = re.compile(r"every=([1-9][0-9]{0,8})")
_KEPT = 3


class ToldCheckpoints(Checkpoints):
    """Checkpoints that say where the training goes on."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Goes on from the newest checkpoint that is whole, and says so."""
        super().on_train_begin(logs)
        if self.last is not None:
            say(f"going on after epoch {self.restored}, from {self.last}")


def checkpoints_for(output: Path, every: str | None, keep: int | None, resume: bool) -> ToldCheckpoints | None:
    """What the options ask for; None without any. BadParameter for options that don't fit, or if older checkpoints would be lost."""
    if every is None and not resume:
        if keep is not None:
            raise typer.BadParameter("it is of checkpoints: add --checkpoint every=1", param_hint="'--keep'")
        return None
    given = _EVERY.fullmatch("every=1" if every is None else every)
    if given is None:
        raise typer.BadParameter(f"expected every=NUMBER, of epochs from 1, got `{every}`", param_hint="'--checkpoint'")
    folder = output.with_name(f"{output.name}.checkpoints")
    if not resume and checkpoints_in(folder):
        message = f"`{folder}` has checkpoints of a training that was broken off: add --resume to go on, or remove the folder"
        raise typer.BadParameter(message, param_hint="'--checkpoint'")
    return ToldCheckpoints(folder, int(given[1]), _KEPT if keep is None else keep, delete=False)


def save_last_weights(model: Model, reason: str, output: Path, checkpoints: Checkpoints | None) -> NoReturn:
    """Saves a model whose training ended at a number that isn't finite, if it was updated before, and raises a ValueError of the reason."""
    if checkpoints is not None:
        checkpoints.save_rest()
    if not model.iterations:
        raise ValueError(f"{reason}; there was no update before, and {output} isn't written")
    model.save(output)
    raise ValueError(f"{reason}; wrote {output}, with the weights before this batch")


def save_interrupted(checkpoints: Checkpoints) -> None:
    """Saves what the last whole epoch left, and says where."""
    path = checkpoints.save_rest()
    say("no epoch was finished, there is no checkpoint" if path is None else f"saved {path}: go on with --resume")
