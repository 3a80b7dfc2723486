"""The catalogue of callbacks, with Keras's argument names, order and defaults (keras.callbacks, 3.15)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rnnspec.contract.arguments import Flag, Float
from rnnspec.frontend.catalogue.argument_types import ArgumentSpec, DefaultOnly, Either, Entry, Int, OneOf, Text, WrittenPath
from rnnspec.frontend.catalogue.entries import Refusal, catalogue

_MONITOR = ArgumentSpec("monitor", Text("the name of a value in the logs, such as `val_loss`", bare=True), "val_loss")
_MODE = ArgumentSpec("mode", OneOf(("auto", "min", "max")), "auto")
_VERBOSE = ArgumentSpec("verbose", Either((Flag(), Int(0, 2)), "true or false, or 0, 1 or 2"), 0)


def _flag(name: str, default: bool) -> ArgumentSpec:
    return ArgumentSpec(name, Flag(), default)


def _epochs(name: str, default: int) -> ArgumentSpec:
    return ArgumentSpec(name, Int(0), default)


def _often(name: str, *words: str, positional: bool = True) -> ArgumentSpec:
    shown = "".join(f"`{word}`, " for word in words)
    return ArgumentSpec(
        name, Either((OneOf(words), Int(1)), f"{shown}or a whole number of batches of at least 1"), "epoch", positional=positional
    )


CALLBACKS = catalogue(
    [
        Entry(
            "EarlyStopping",
            (
                _MONITOR,
                ArgumentSpec("min_delta", Float(), 0.0),
                _epochs("patience", 0),
                _VERBOSE,
                _MODE,
                ArgumentSpec("baseline", Float(), None, optional=True),
                _flag("restore_best_weights", False),
                _epochs("start_from_epoch", 0),
            ),
        ),
        Entry(
            "ReduceLROnPlateau",
            (
                _MONITOR,
                ArgumentSpec("factor", Float(0.0, 1.0, below_maximum=True), 0.1),
                _epochs("patience", 10),
                _VERBOSE,
                _MODE,
                ArgumentSpec("min_delta", Float(), 1e-4),
                _epochs("cooldown", 0),
                ArgumentSpec("min_lr", Float(0.0), 0.0),
            ),
        ),
        Entry(
            "ModelCheckpoint",
            (
                ArgumentSpec("filepath", WrittenPath(places=True)),
                _MONITOR,
                _VERBOSE,
                _flag("save_best_only", False),
                _flag("save_weights_only", False),
                _MODE,
                _often("save_freq", "epoch"),
                ArgumentSpec("initial_value_threshold", Float(), None, optional=True),
            ),
        ),
        Entry(
            "BackupAndRestore",
            (
                ArgumentSpec("backup_dir", WrittenPath()),
                ArgumentSpec("save_freq", DefaultOnly("between two epochs nothing is saved", "leave it out: each epoch is saved"), "epoch"),
                _flag("double_checkpoint", False),
                _flag("delete_checkpoint", True),
            ),
        ),
        Entry(
            "CSVLogger",
            (
                ArgumentSpec("filename", WrittenPath()),
                ArgumentSpec("separator", Text("a single character in quotes", r'[^\r\n"]'), ","),
                _flag("append", False),
            ),
        ),
        Entry(
            "TensorBoard",
            (
                ArgumentSpec("log_dir", WrittenPath(), "logs"),
                ArgumentSpec("write_steps_per_second", Flag(), False, positional=False),
                _often("update_freq", "batch", "epoch", positional=False),
            ),
        ),
        Entry("TerminateOnNaN", (_flag("raise_error", False),)),
    ]
)

_FUNCTIONS = Refusal(
    "it is made of functions of Python, and a spec has none", "in Python give it to `model.fit`: `model.fit(..., callbacks = [...])`"
)

REFUSED_CALLBACKS: Mapping[str, Refusal] = MappingProxyType(
    {
        "Callback": Refusal("it does nothing: classes of your own inherit it", "give an object of such a class to `model.fit` in Python"),
        "CallbackList": Refusal("`fit` makes one of all callbacks", "write a list, `callbacks = [...]`"),
        "History": Refusal("each `fit` makes one, and returns it", "leave it out; `CSVLogger` writes the same to a file"),
        "LambdaCallback": _FUNCTIONS,
        "LearningRateScheduler": _FUNCTIONS,
        "ProgbarLogger": Refusal("`fit` and `rnnspec train` show how far they are by themselves", "leave it out"),
    }
)
