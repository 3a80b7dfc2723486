"""What makes a layer and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from rnnspec.diagnostics import Label
from rnnspec.frontend import ast
from rnnspec.frontend.arguments import Bindings
from rnnspec.frontend.graph import Flowing, Layer, LayerWeight, Value
from rnnspec.runtime.signature import Configured
from rnnspec.source import Span


@dataclass(frozen=True, slots=True)
class Origins:
    """Where the inputs are declared, for remarks on them."""

    inputs: Mapping[str, tuple[Span, Flowing]]

    def label(self, value: Value) -> tuple[Label, ...]:
        """A remark on the input that a value is the content of; on the only one, whatever the value."""
        name = value.type.source or (next(iter(self.inputs)) if len(self.inputs) == 1 else "")
        if name not in self.inputs:
            return ()
        span, type_ = self.inputs[name]
        return (Label(span, f"this input is {type_}"),)


@dataclass(frozen=True, slots=True)
class Made:
    """A layer with what it takes and what it gives; `operands` are those it was given, then initial states."""

    layer: Layer
    operands: tuple[Value, ...]
    results: tuple[Flowing, ...]


@dataclass(frozen=True, slots=True)
class Needs:
    """What layers ask of what flows in, raising `Fault`.

    `numbers`: a fixed number of features, which it is. `sequence`: a sequence. `row`: none. `weight`: a weight of a possible size.
    """

    numbers: Callable[[ast.Call, Value], int]
    sequence: Callable[[ast.Call, Value], Flowing]
    row: Callable[[ast.Call, Value], None]
    weight: Callable[[str, str, tuple[int, ...], Configured, ast.Call], LayerWeight]
    origins: Origins


Maker: TypeAlias = Callable[[str, Bindings, ast.Call, Value], Made]
JoinMaker: TypeAlias = Callable[[str, Bindings, ast.Call, tuple[Value, ...]], Made]
