"""The callbacks that a spec names, made anew for each `fit`; imported for a spec that has some."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

import numpy as np

from rnnspec.contract.signature import ArgumentValue, Config
from rnnspec.contract.written_paths import path_problem
from rnnspec.training.backup import BackupAndRestore
from rnnspec.training.callbacks import Callback
from rnnspec.training.log_callbacks import CSVLogger, TensorBoard
from rnnspec.training.model_checkpoint import ModelCheckpoint
from rnnspec.training.monitors import EarlyStopping, ReduceLROnPlateau
from rnnspec.training.simple_callbacks import TerminateOnNaN

CALLBACKS: Mapping[str, type[Callback]] = MappingProxyType(
    {
        made.__name__: made
        for made in (EarlyStopping, ReduceLROnPlateau, ModelCheckpoint, BackupAndRestore, CSVLogger, TensorBoard, TerminateOnNaN)
    }
)
"""By Keras's names."""


def made_callbacks(chosen: Sequence[Callback | Config]) -> tuple[Callback, ...]:
    """The objects themselves, and new ones of those that a spec or a file names; a log of these empties no file but an older log."""
    made: list[Callback] = []
    for each in chosen:
        if isinstance(each, Callback):
            made.append(each)
            continue
        kind: Any = CALLBACKS[each.name]
        callback: Callback = kind(**dict(each.arguments))
        if isinstance(callback, CSVLogger):
            callback.keeps_others = True
        made.append(callback)
    return tuple(made)


PATHS = ("filepath", "backup_dir", "filename", "log_dir")
"""The arguments that are paths to be written."""


def callback_config(callback: Callback | Config) -> Config | str:
    """A callback by its name and its settings; in words if it can't be written to a file.

    What a model's file names is made by whoever loads it, so that its paths stay below the working folder, as those of a spec do.
    """
    if isinstance(callback, Config):
        return callback
    name = type(callback).__name__
    if CALLBACKS.get(name) is not type(callback):
        return f"the callback {name}"
    arguments = ((each, _plain(getattr(callback, each, given))) for each, given in callback.arguments.items())
    config = Config(name, tuple(arguments))
    return f"the callback {name}, whose {problem}," if (problem := _path_problem(config)) else config


def _plain(value: object) -> ArgumentValue:
    if isinstance(value, os.PathLike):
        return os.fspath(cast("os.PathLike[str]", value))
    return cast(ArgumentValue, cast(Any, value).item() if isinstance(value, np.generic) else value)


def check_saved(chosen: Sequence[Config]) -> None:
    """ValueError for callbacks of a file that a spec couldn't have, too."""
    for each in chosen:
        if each.name not in CALLBACKS:
            raise ValueError(f"there is no callback {each.name} to be saved")
        if problem := _path_problem(each):
            raise ValueError(f"callback {each.name}: {problem}")
    try:
        made_callbacks(chosen)
    except TypeError as error:
        raise ValueError(str(error)) from None


def _path_problem(config: Config) -> str | None:
    for name, value in config.arguments:
        if name in PATHS and (problem := path_problem(str(value), places=config.name == "ModelCheckpoint")):
            return f"{name} {problem}".replace("that folder", "the working folder")
    return None
