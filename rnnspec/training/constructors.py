"""Constructors with advice: a wrong argument's error lists the known ones, and what became of Keras's."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from rnnspec.locks import LLVM

Made = TypeVar("Made")


def clear_arguments(family: str) -> Callable[[type[Made]], type[Made]]:
    """A decorator for classes of one of Keras's families: the TypeError for an unknown argument lists the known ones."""

    def decorated(cls: type[Made]) -> type[Made]:
        made = cls.__init__
        parameters = list(inspect.signature(made).parameters.values())[1:]
        known = [parameter.name for parameter in parameters]
        positional = [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]

        @wraps(made)
        def checked(self: Made, *given: object, **named: object) -> None:
            for name in named:
                if name not in known:
                    with LLVM:  # a fork waits for who imports
                        from rnnspec.training.keras_advice import unknown_argument

                    raise TypeError(unknown_argument(family, cls.__name__, name, known))
            if len(given) > len(positional):
                most = ", ".join(positional) or "none"
                raise TypeError(f"{cls.__name__}: too many arguments without a name, {len(given)}; those that need none: {most}")
            for name in positional[: len(given)]:
                if name in named:
                    raise TypeError(f"{cls.__name__}: {name} is given twice, by its place and by its name")
            made(self, *given, **named)

        type.__setattr__(cls, "__init__", checked)
        return cls

    return decorated


def true_or_false(what: str, value: object) -> bool:
    """The value as a bool; ValueError, naming `what`, if it isn't True, False, 1 or 0."""
    kind = type(value).__name__
    if kind in ("bool", "bool_") or (kind.rstrip("0123456789") in ("int", "uint") and value in (0, 1)):
        return bool(value)
    raise ValueError(f"{what}: expected True or False, got {value!r}")


def shows(what: str, value: object) -> bool:
    """Whether a training is shown; ValueError, naming `what`, for another value than True, False, 0, 1, 2 and "auto", Keras's."""
    if isinstance(value, str) and value == "auto":
        return True
    if isinstance(value, int) and value in (0, 1, 2):
        return bool(value)
    raise ValueError(f"{what}: expected True, False, 0, 1 or 2, got {value!r}")


def absent(module: str, family: str, name: str) -> AttributeError | ImportError:
    """The error to raise for a name that a module lacks, with advice if Keras has it; see `keras_advice.absent`."""
    if name.startswith("__"):  # an import asks for these itself
        return AttributeError(f"module {module!r} has no attribute {name!r}")
    with LLVM:  # a fork waits for who imports
        from rnnspec.training.keras_advice import absent

    return absent(module, family, name)
