"""Constructors that say what they take, and what became of an argument that they don't."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from rnnspec.diagnostics import nearest
from rnnspec.keras_names.advice import instead, instead_of_argument, named_today
from rnnspec.keras_names.names import callbacks, keras_name

Made = TypeVar("Made")


def clear_arguments(family: str) -> Callable[[type[Made]], type[Made]]:
    """For a class of one of Keras's families: a TypeError for an argument that it doesn't have names what there is."""

    def decorated(cls: type[Made]) -> type[Made]:
        made = cls.__init__
        parameters = list(inspect.signature(made).parameters.values())[1:]
        known = [parameter.name for parameter in parameters]
        positional = [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]

        @wraps(made)
        def checked(self: Made, *given: object, **named: object) -> None:
            for name in named:
                if name not in known:
                    raise TypeError(_unknown(family, cls.__name__, name, known))
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


def _unknown(family: str, callee: str, name: str, known: list[str]) -> str:
    found = keras_name(family, callee)
    if (today := named_today(name, frozenset(known))) is not None:
        return f"{callee} has no argument {name}: it is called {today} here"
    if found is not None and name in found.arguments:
        advice = instead_of_argument(name)
        return f"{callee}: Keras has the argument {name}, this version doesn't{f'; {advice}' if advice else ''}"
    guess = nearest(name, known)
    return f"{callee} has no argument {name}; {f'{guess} ' if guess else ''}it has {', '.join(known) or 'none'}"


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
    """What to raise for a name that a module doesn't have: that Keras has it, if so, where it would be imported from."""
    if family == "callback" and name in callbacks():
        advice = "a class of your own that inherits `Callback` can do it"
    elif family != "callback" and not name.startswith("_") and (found := keras_name(family, name)) is not None:
        advice = instead(found)
    else:
        return AttributeError(f"module {module!r} has no attribute {name!r}")
    return ImportError(f"Keras has the {family} {name}, this version doesn't{f': {advice}' if advice else ''}", name=module)
