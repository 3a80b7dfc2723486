"""Constructors with advice: a wrong argument's error lists the known ones, and what became of Keras's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import wraps
from opcode import opmap
from types import FrameType, MappingProxyType
from typing import Any, Protocol, TypeVar, assert_never, cast

from rnnspec.contract.arguments import Argument, Flag, Float, Floats, Int, OneOf, Rate, Texts, Unused
from rnnspec.contract.executable import Array, Family
from rnnspec.contract.signature import Config
from rnnspec.diagnostics import InternalError
from rnnspec.locks import LLVM
from rnnspec.runtime.data.validate import finite_number, true_or_false, whole_number

Made = TypeVar("Made")

_NO_ORDER: Mapping[str, Sequence[Argument]] = MappingProxyType({})


def clear_arguments(family: str, order: Mapping[str, Sequence[Argument]] = _NO_ORDER) -> Callable[[type[Made]], type[Made]]:
    """A decorator for classes of one of Keras's families: the TypeError for an unknown argument lists the known ones.

    `order`: by the name of a class its arguments in the order in which they may be given without a name, where it isn't that of the class.
    The objects of a class with an attribute `arguments` get theirs, by name.
    """

    def decorated(cls: type[Made]) -> type[Made]:
        made = cls.__init__
        ordered = cls.__name__ in order
        parameters = list(inspect.signature(made).parameters.values())[1:]
        known = [parameter.name for parameter in parameters]
        positional = [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
        signature = inspect.signature(made)
        if ordered:
            positional = [argument.name for argument in order[cls.__name__] if argument.positional]
            known = [*positional, *(name for name in known if name not in positional)]
            free = dict.fromkeys(("self", *positional), inspect.Parameter.POSITIONAL_OR_KEYWORD)
            shown = [signature.parameters[each] for each in ("self", *known)]
            signature = signature.replace(
                parameters=[each.replace(kind=free.get(each.name, inspect.Parameter.KEYWORD_ONLY)) for each in shown]
            )

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
            if ordered:
                given, named = (), dict(zip(positional, given, strict=False)) | named
            made(self, *given, **named)
            if hasattr(cls, "arguments"):
                vars(self)["arguments"] = dict(zip(positional, given, strict=False)) | named

        vars(checked)["__signature__"] = signature
        type.__setattr__(cls, "__init__", checked)
        return cls

    return decorated


def take_flags(made: object) -> None:
    """Makes bools of the fields of a frozen object that have one as their default, numpy's and 1 and 0 for two; ValueError for others."""
    for each in fields(cast(Any, made)):
        if isinstance(each.default, bool):
            object.__setattr__(made, each.name, true_or_false(f"{type(made).__name__}: {each.name}", getattr(made, each.name)))


class OfEquations(Protocol):
    """A loss or a metric whose equations are text."""

    @property
    def config(self) -> Config:
        """Its name, with its arguments."""
        ...


def check_equation_arguments(family: Family, made: OfEquations) -> None:
    """Checks the fields of a loss or a metric, which are its arguments, by what its text says that they may be; ValueError.

    The defaults, which are the text's, need no check, and so no compiler is loaded for them.
    """
    take_flags(made)
    given = [(each, getattr(made, each.name)) for each in fields(cast(Any, made))]
    if any(value is not each.default for each, value in given):
        with LLVM:  # a fork waits for who imports
            from rnnspec.frontend.binding.python_choice import check_arguments
        check_arguments(family, made.config)


def checked_argument(what: str, value: object, argument: Argument) -> object:
    """The value as its kind has it, numbers as Python's floats, which leave float32 arrays float32; ValueError, naming `what`, else."""
    kind = argument.kind
    if value is None and argument.optional:
        return None
    match kind:
        case Float():
            if (number := finite_number(value)) is not None and kind.holds(number):
                return number
            raise ValueError(f"{what}: expected {f'a finite number {kind.interval}'.strip()}, got {value!r}")
        case Int():
            return whole_number(what, value, kind.minimum)
        case Flag():
            return true_or_false(what, value)
        case OneOf():
            if isinstance(value, str) and value in kind.words:
                return value
            raise ValueError(f"{what}: expected {' or '.join(map(repr, kind.words))}, got {value!r}")
        case Floats():
            numbers = [finite_number(each) for each in _items(value)]
            if numbers and None not in numbers:
                return tuple(numbers)
            raise ValueError(f"{what}: expected a list of finite numbers, got {value!r}")
        case Texts():
            texts = _items(value)
            if all(isinstance(each, str) and each for each in texts) and len(set(texts)) == len(texts):
                return tuple(texts)
            raise ValueError(f"{what}: expected a list of different texts, got {value!r}")
        case Unused():
            if value is None:
                return None
            raise ValueError(f"{what}: {kind.reason}: {kind.advice}, got {value!r}")
        case Rate():
            raise InternalError("learning rates are checked where they are set")
        case _:
            assert_never(kind)


def _items(value: object) -> Sequence[object]:
    """The elements of a list, a tuple or an array; for anything else one that is no number and no text."""
    given = cast(Array, value).tolist() if type(value).__name__ == "ndarray" else value
    return cast(Sequence[object], given) if isinstance(given, (list, tuple)) else (None,)


def absent(module: str, family: str, name: str) -> AttributeError | ImportError:
    """The error to raise in a module's `__getattr__` for a name that it lacks, with advice if Keras has it; see `keras_advice.absent`."""
    if name.startswith("__"):  # an import asks for these itself
        return AttributeError(f"module {module!r} has no attribute {name!r}")
    with LLVM:  # a fork waits for who imports
        from rnnspec.training.keras_advice import absent

    frame = inspect.currentframe()
    asking = None if frame is None or frame.f_back is None else frame.f_back.f_back
    return absent(module, family, name, imported=_imports(asking))


def _imports(frame: FrameType | None) -> bool:
    """Whether a frame is at `from module import name`.

    That statement swallows every AttributeError, subclasses too, and raises an ImportError without a reason; `hasattr` swallows nothing
    else. A module's `__getattr__` isn't told who asks, and no class can be both errors: what is left to look at is the instruction under
    way. An interpreter that has no such instruction loses the advice in imports alone.
    """
    return frame is not None and frame.f_code.co_code[frame.f_lasti] == opmap.get("IMPORT_FROM")
