"""Calls of layers as plain data."""

from __future__ import annotations

from collections.abc import Mapping

from rnnspec.contract.signature import ArgumentValue, Config
from rnnspec.frontend.binding.values import CallValue, LocatedValue, Symbol, Value


def call_of(kind: str, values: Mapping[str, LocatedValue], **inner: ArgumentValue) -> Config:
    """A call of a layer with its checked arguments as plain data; a name is its text. `inner`: arguments that are layers themselves."""
    return Config(kind, tuple((name, inner[name] if name in inner else _as_data(given.value)) for name, given in values.items()))


def _as_data(value: Value) -> ArgumentValue:
    match value:
        case Symbol(name=name):
            return name
        case CallValue(call=call):
            return call.callee.text
        case tuple():
            return tuple(_as_data(each.value) for each in value)
        case _:
            return value
