"""The fields of every operation, read off its dataclass: operands, attributes, spelling.

A field of type `Value` is an operand, as is each value of a tuple; `Value | None` is an operand that may be missing. `result`,
`results`, and a scan's `finals`, `stacks` and `sums`, are results. A kind is part of the spelling. What is left are attributes, in the
order of the fields; a number with a default is one where it isn't the default, any other field with a default is written beside the
operands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, TypeAlias, get_args

from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen
from rnnspec.ir.elementwise import BinaryKind, CompareKind, UnaryKind
from rnnspec.ir.ops import Operation, ReduceKind

Kind: TypeAlias = UnaryKind | BinaryKind | CompareKind | ReduceKind
AttributeType: TypeAlias = type[float] | type[int] | type[bool]

_RESULTS = frozenset({"result", "results", "finals", "stacks", "sums"})
_KINDS: Mapping[str, type[Kind]] = {each.__name__: each for each in (UnaryKind, BinaryKind, CompareKind, ReduceKind)}
_ATTRIBUTES: Mapping[str, AttributeType] = {each.__name__: each for each in (float, int, bool)}


@frozen
class Layout:
    """The fields of one class of operations, by their names.

    `results`: those that hold results, one or several. `operands`: those that hold one value each; `listed`: a tuple of values;
    `optional`: a value or None. `attributes`: their types. `defaults`: of numbers that are attributes where they differ. `kind`: the
    enumeration of its kinds, if it has some.
    """

    results: tuple[str, ...]
    operands: tuple[str, ...]
    listed: tuple[str, ...]
    optional: tuple[str, ...]
    attributes: Mapping[str, AttributeType]
    defaults: Mapping[str, int]
    kind: type[Kind] | None


def layout_of(operation: type[Any]) -> Layout:
    """The layout of a dataclass of values, kinds and attributes; a field of any other type is an `InternalError`."""
    names: dict[str, list[str]] = {"result": [], "Value": [], "tuple[Value, ...]": [], "Value | None": []}
    attributes: dict[str, AttributeType] = {}
    defaults: dict[str, int] = {}
    kind: type[Kind] | None = None
    known: tuple[Field[Any], ...] = fields(operation)
    for field in known:
        match field.type:
            case "Value" | "tuple[Value, ...]" | "Value | None" as type_:
                names["result" if field.name in _RESULTS else type_].append(field.name)
            case str(type_) if type_ in _KINDS:
                kind = _KINDS[type_]
            case str(type_) if type_ in _ATTRIBUTES:
                if field.default is MISSING:
                    attributes[field.name] = _ATTRIBUTES[type_]
                elif isinstance(default := field.default, int) and not isinstance(default, bool):
                    defaults[field.name] = default
            case "Region":
                pass
            case _:
                raise InternalError(f"{operation.__name__}.{field.name}: a field of type {field.type} is neither a value nor an attribute")
    results, operands, listed, optional = (tuple(found) for found in names.values())
    return Layout(results, operands, listed, optional, attributes, defaults, kind)


OPERATIONS: tuple[type[Operation], ...] = get_args(Operation)

LAYOUTS: Mapping[type[Operation], Layout] = {operation: layout_of(operation) for operation in OPERATIONS}


def _words(name: str) -> str:
    """`ScatterAdd` as `scatter_add`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _spellings(operation: type[Operation]) -> dict[str, Kind | None]:
    kind = LAYOUTS[operation].kind
    if kind is None:
        return {_words(operation.__name__): None}
    stem = "reduce_" if kind is ReduceKind else ""
    return {f"{stem}{member.value}": member for member in kind}


SPELLINGS: Mapping[str, tuple[type[Operation], Kind | None]] = {
    spelling: (operation, kind) for operation in OPERATIONS for spelling, kind in _spellings(operation).items()
}
"""Every operation by its spelling in the text, with its kind if it has one."""

_SPELLED: Mapping[tuple[type[Operation], Kind | None], str] = {operation: spelling for spelling, operation in SPELLINGS.items()}


def mnemonic(operation: Operation) -> str:
    """The operation's spelling: `add`, `reduce_sum`, `scan`."""
    kind: Kind | None = getattr(operation, "kind", None)
    return _SPELLED[type(operation), kind]
