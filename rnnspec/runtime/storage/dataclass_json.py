"""Plain data as JSON and back: dataclasses of numbers, texts, tuples and mappings, checked against their types when they are read."""

from __future__ import annotations

import json
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeAlias, TypeVar, cast

from rnnspec.contract.dimensions import Size, parse_dim
from rnnspec.contract.signature import Config

Data = TypeVar("Data")

Read: TypeAlias = Callable[[Any], Any]
"""From what JSON holds to the value; `Unfit` if it isn't of the type."""

SCALARS = (bool, int, float, str)


class Unfit(ValueError):
    """JSON that isn't a value of the expected type."""


def to_json(value: object) -> bytes:
    """The text of a dataclass; `from_json` with its class gives an equal one."""
    return json.dumps(_plain(value), separators=(",", ":")).encode()


def from_json(kind: type[Data], content: bytes) -> Data:
    """A dataclass from its text; `Unfit` for any other text."""
    try:
        return _reader(kind)(json.loads(content))
    except (ValueError, RecursionError) as error:
        raise Unfit(f"not a {kind.__name__}: {error}") from None


def _plain(value: object) -> object:
    kind = type(value)
    if isinstance(value, Size):
        return value.key
    if is_dataclass(kind):
        return {name: _plain(getattr(value, name)) for name in _fields(kind)}
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Enum():
            return value.value
        case bytes():
            return value.hex()
        case tuple():
            return [_plain(each) for each in cast(tuple[object, ...], value)]
        case Mapping():
            return {key: _plain(each) for key, each in cast(Mapping[str, object], value).items()}
        case _:
            raise TypeError(f"{type(value).__name__} isn't plain data")


@cache
def _fields(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


@cache
def _later(kind: type) -> frozenset[str]:
    """The fields that a file of before may lack: those with defaults."""
    return frozenset(field.name for field in fields(kind) if field.default is not MISSING or field.default_factory is not MISSING)


@cache
def _reader(kind: Any) -> Read:
    """The reader of a type: of a class, or of an annotation's generic or union."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, (str, typing.ForwardRef)):
        return _argument  # an alias in its own definition: of those in plain data only `signature.ArgumentValue`
    if origin in (typing.Union, types.UnionType):
        return _union(tuple(map(_reader, arguments)))
    if origin is tuple:
        return _sequence(_reader(arguments[0])) if arguments[1:] == (...,) else _tuple(tuple(map(_reader, arguments)))
    if origin is typing.Literal:
        return _one_of(arguments)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(_reader(arguments[1]))
    if kind is bytes:
        return lambda value: bytes.fromhex(_scalar(str)(value))
    if kind is types.NoneType or kind in SCALARS:
        return _scalar(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind
    if kind in typing.get_args(Size):
        return _size
    if isinstance(kind, type) and is_dataclass(kind):
        return _dataclass(kind)
    raise TypeError(f"{kind} isn't plain data")


def _scalar(kind: type) -> Read:
    def read(value: object) -> object:
        if type(value) is not kind:
            raise Unfit(f"expected {kind.__name__}, found {type(value).__name__}")
        return value

    return read


def _one_of(words: tuple[object, ...]) -> Read:
    def read(value: object) -> object:
        if value not in words:
            raise Unfit(f"expected one of {words}, found {value!r}")
        return value

    return read


def _size(value: object) -> object:
    """A size by its key; the numbers of a dimension stand as numbers."""
    size = parse_dim(value) if type(value) is str else value
    if not isinstance(size, Size):
        raise Unfit(f"expected a size, found {type(value).__name__}")
    return size


def _argument(value: object) -> object:
    if isinstance(value, list):
        return tuple(_argument(each) for each in cast(list[object], value))
    if isinstance(value, dict):
        return _dataclass(Config)(cast(object, value))
    if value is not None and type(value) not in SCALARS:
        raise Unfit(f"expected an argument, found {type(value).__name__}")
    return value


def _union(readers: tuple[Read, ...]) -> Read:
    def read(value: object) -> object:
        for reader in readers:
            try:
                return reader(value)
            except ValueError:
                pass
        raise Unfit(f"unexpected {type(value).__name__}")

    return read


def _items(value: object) -> list[object]:
    if not isinstance(value, list):
        raise Unfit(f"expected a list, found {type(value).__name__}")
    return cast(list[object], value)


def _named(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise Unfit(f"expected an object, found {type(value).__name__}")
    return cast(dict[str, object], value)


def _sequence(each: Read) -> Read:
    return lambda value: tuple(map(each, _items(value)))


def _tuple(readers: tuple[Read, ...]) -> Read:
    def read(value: object) -> object:
        items = _items(value)
        if len(items) != len(readers):
            raise Unfit(f"expected {len(readers)} values, found {len(items)}")
        return tuple(reader(item) for reader, item in zip(readers, items, strict=True))

    return read


def _mapping(each: Read) -> Read:
    return lambda value: {key: each(item) for key, item in _named(value).items()}


def _dataclass(kind: type) -> Read:
    readers: dict[str, Read] = {}

    def read(value: object) -> object:
        if not readers:  # not before: a class may hold others of itself
            readers.update({name: _annotated(kind.__module__, kind.__annotations__[name]) for name in _fields(kind)})
        named = _named(value)
        if not named.keys() <= readers.keys() or not readers.keys() - named.keys() <= _later(kind):
            raise Unfit(f"{kind.__name__} has other fields")
        return kind(**{name: readers[name](found) for name, found in named.items()})

    return read


@cache
def _annotated(module: str, annotation: str) -> Read:
    """The reader of a field's annotation. `typing.get_type_hints` would evaluate each field of a class again, over a millisecond in all."""
    return _SCALAR_READERS.get(annotation) or _reader(eval(annotation, vars(sys.modules[module])))


_SCALAR_READERS = {kind.__name__: _scalar(kind) for kind in SCALARS}
