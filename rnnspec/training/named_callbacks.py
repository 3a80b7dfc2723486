"""The callbacks that a spec names, made anew for each `fit`; imported for a spec that has some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from rnnspec.contract.signature import Config
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


def made_callbacks(chosen: Sequence[Config]) -> tuple[Callback, ...]:
    """New objects of a spec's callbacks; a log among them empties no file but an older log."""
    made: list[Callback] = []
    for each in chosen:
        kind: Any = CALLBACKS[each.name]
        callback: Callback = kind(**dict(each.arguments))
        if isinstance(callback, CSVLogger):
            callback.keeps_others = True
        made.append(callback)
    return tuple(made)
