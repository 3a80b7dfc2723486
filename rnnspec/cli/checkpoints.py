"""The checkpoints of `rnnspec train`, in a folder beside the model's file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import typer

from rnnspec.cli.console import say
from rnnspec.datafiles.content import STANDARD_INPUT
from rnnspec.files import CHUNK, SPEC_LIMIT, large_limit, open_file, read_file, write_beside
from rnnspec.training.backup import Checkpoints, checkpoints_in
from rnnspec.training.callbacks import Logs
from rnnspec.training.model import Model

_EVERY = re.compile(r"every=([1-9][0-9]{0,8})")
_KEPT = 3

_SETTINGS = "training.json"
"""What the options of a training were, beside its checkpoints."""


class ToldCheckpoints(Checkpoints):
    """Checkpoints that say where the training goes on, of one that had the same options and data.

    What counts of the options is what `check` was given.
    """

    def __init__(self, folder: Path, every: int, keep: int) -> None:
        super().__init__(folder, every, keep, delete=False)
        self._settings: Mapping[str, object] = {}

    def check(self, settings: Mapping[str, object]) -> None:
        """Takes the options' values, as JSON has them; ValueError if the training that left checkpoints was begun with others."""
        self._settings = settings
        if not checkpoints_in(self.folder):
            return
        try:
            before: dict[str, object] = json.loads(read_file(self.folder / _SETTINGS, SPEC_LIMIT))
        except (OSError, ValueError):
            return
        for option, value in settings.items():
            if option in before and before[option] != value:
                begun, now = _told(option, before[option]), _told(option, value)
                ways = f"to go on, give what the training was begun with, to begin anew, remove {self.folder}"
                told = "is another than it was" if option in FILES else f"was begun {begun}, and is now {now}"
                what = option if option in FILES else f"the training in {self.folder}"
                raise ValueError(f"--resume: {what} {told}: {ways}")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Goes on from the newest checkpoint that is whole, and says so."""
        if self.leads:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_beside(self.folder.resolve() / _SETTINGS, f"{json.dumps(dict(self._settings), indent=1)}\n".encode())
        super().on_train_begin(logs)
        if self.last is not None:
            say(f"going on after epoch {self.restored}, from {self.last}")

    def remove(self) -> None:
        """Removes all checkpoints, and what is beside them."""
        if self.leads:
            (self.folder / _SETTINGS).unlink(missing_ok=True)
        super().remove()


def _told(option: str, value: object) -> str:
    if isinstance(value, bool):
        return f"with {option if value else option.replace('--', '--no-', 1)}"
    return f"without {option}" if value is None else f"with {option} {value}"


FILES = ("--data", "--validation-data")


def digest_of(path: Path) -> str | None:
    """A digest of a file's content; None of standard input, which is read once."""
    if str(path) == STANDARD_INPUT:
        return None
    digest = hashlib.sha256()
    with open_file(path, large_limit()) as file:
        while part := file.read(CHUNK):
            digest.update(part)
    return digest.hexdigest()


def checkpoints_for(output: Path, every: str | None, keep: int | None, resume: bool) -> ToldCheckpoints | None:
    """What the options ask for; None without any. BadParameter for options that don't fit, or if older checkpoints would be lost."""
    folder = output.with_name(f"{output.name}.checkpoints")
    if not resume and checkpoints_in(folder):
        message = f"`{folder}` has checkpoints of a training that was broken off: add --resume to go on, or remove the folder"
        raise typer.BadParameter(message, param_hint="'--output'" if every is None else "'--checkpoint'")
    if every is None and not resume:
        if keep is not None:
            raise typer.BadParameter("it is of checkpoints: add --checkpoint every=1", param_hint="'--keep'")
        return None
    given = _EVERY.fullmatch("every=1" if every is None else every)
    if given is None:
        raise typer.BadParameter(f"expected every=NUMBER, of epochs from 1, got `{every}`", param_hint="'--checkpoint'")
    return ToldCheckpoints(folder, int(given[1]), _KEPT if keep is None else keep)


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
