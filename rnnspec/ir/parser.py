"""Reads the tensor IR's text form; inverse of `rnnspec.ir.printer`.

The result is well scoped (every value read is defined before) but not verified. Imports lark: the
compiler proper does without this module.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, cast

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from rnnspec.contract.dimensions import parse_dim
from rnnspec.contract.location import UNKNOWN, Line, Location, fused
from rnnspec.diagnostics import InternalError
from rnnspec.ir.fields import LAYOUTS, SPELLINGS
from rnnspec.ir.inference import step_of
from rnnspec.ir.ops import (
    Concat,
    Function,
    Matmul,
    Module,
    Operation,
    Parameter,
    Region,
    Result,
    Role,
    Scan,
    Split,
    Value,
)
from rnnspec.ir.types import ROWS, Dim, DType, IndexType, TensorType, Type
from rnnspec.resources import read_resource

Node = Tree[Token]


class IRSyntaxError(ValueError):
    """The text is not tensor IR; the message tells the line."""


def parse_module(text: str) -> Module:
    """The module that `text` prints; raises `IRSyntaxError`."""
    try:
        tree: Node = _parser().parse(text)
    except UnexpectedInput as error:
        raise IRSyntaxError(f"line {error.line}, column {error.column}: not tensor IR\n{error.get_context(text)}") from None
    name, *functions = tree.children
    return Module(str(name), tuple(_FunctionReader().function(_tree(function)) for function in functions))


@cache
def _parser() -> Any:
    return Lark(read_resource("grammar", "ir.lark"), parser="lalr", maybe_placeholders=False, propagate_positions=True)


class _FunctionReader:
    """The reader of one function, with the values that it has defined so far."""

    def __init__(self) -> None:
        self._values: dict[str, Value] = {}

    def function(self, node: Node) -> Function:
        name, parameters, *operations, results = node.children
        return Function(
            str(name)[1:],
            tuple(self._parameter(child) for child in _trees(parameters)),
            tuple(self._operation(_tree(child)) for child in operations),
            tuple(self._result(child) for child in _trees(results)),
        )

    def _parameter(self, node: Node) -> Parameter:
        role, name, type_, location = node.children
        return Parameter(_role(_token(role)), self._define(_token(name), _type(_tree(type_)), _location(_tree(location))))

    def _result(self, node: Node) -> Result:
        role, name, value = (_token(child) for child in node.children)
        return Result(_role(role), _string(name), self._read(value))

    def _operation(self, node: Node) -> Operation:
        return self._scan(node) if node.data == "scan" else self._simple(node)

    def _simple(self, node: Node) -> Operation:
        names, spelling, operands, attributes, types, location = node.children
        name = _token(spelling)
        kind, fields = self._class(name)
        fields |= _attributes(kind, _tree(attributes), name)
        fields |= self._operands(kind, _trees(operands), name)
        results = self._results(_tree(names), _tree(types), name, _location(_tree(location)))
        if kind is Split:
            fields["results"] = results
        elif len(results) == 1:
            fields["result"] = results[0]
        else:
            raise _error(name, f"{name} has one result")
        return cast(Callable[..., Operation], kind)(**fields)

    @staticmethod
    def _class(name: Token) -> tuple[type[Operation], dict[str, Any]]:
        if name in SPELLINGS:
            operation, kind = SPELLINGS[name]
            return operation, {} if kind is None else {"kind": kind}
        raise _error(name, f"no operation is called {name}")

    def _operands(self, kind: type[Operation], nodes: Sequence[Node], name: Token) -> dict[str, Any]:
        initial = [self._read(_token(node.children[0])) for node in nodes if node.data == "initial"]
        nodes = [node for node in nodes if node.data != "initial"]
        values = tuple(self._read(_token(node.children[0])) for node in nodes)
        transposed = [node.data == "transposed" for node in nodes]
        if any(transposed) and kind is not Matmul:
            raise _error(name, f"{name} doesn't transpose its operands")
        if initial and kind is not Matmul:
            raise _error(name, f"{name} doesn't start from a value")
        if kind is Concat:
            return {"operands": values}
        wanted = LAYOUTS[kind].operands
        if len(values) != len(wanted):
            raise _error(name, f"{name} takes {len(wanted)} operands, not {len(values)}")
        fields: dict[str, Any] = dict(zip(wanted, values, strict=True))
        if kind is Matmul:
            fields["transpose_left"], fields["transpose_right"] = transposed
            fields["init"] = initial[0] if initial else None
        return fields

    def _scan(self, node: Node) -> Scan:
        names, index_name, attributes, carry, over, body, types, location = node.children
        place = _token(index_name)
        index = self._read(place)
        if not isinstance(index.type, IndexType):
            raise _error(place, f"{place} is no index but {index.type}")
        extent = index.type
        carried, inits = self._bindings(_trees(carry), extent.batch)
        slices, sequences = self._bindings(_trees(over), extent.tokens)
        *operations, carries, stacks, sums = _trees(body)
        inner = tuple(self._operation(operation) for operation in operations)
        yields = [tuple(self._read(_token(value)) for value in group.children) for group in (carries, stacks, sums)]
        region = Region(carried, slices, inner, *yields)
        results = self._results(_tree(_tree(names).children[0]), _tree(types), place, _location(_tree(location)))
        if len(results) != sum(len(group) for group in yields):
            raise _error(place, f"{len(results)} results of a scan that yields {sum(len(group) for group in yields)}")
        first, second = len(region.carries), len(region.carries) + len(region.stacks)
        fields = _attributes(Scan, _tree(attributes), place)
        return Scan(results[:first], results[first:second], results[second:], index, inits, sequences, region, **fields)

    def _bindings(self, nodes: Sequence[Node], rows: Dim) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
        outside = tuple(self._read(_token(node.children[1])) for node in nodes)
        inside = tuple(self._inside(_token(node.children[0]), value, rows) for node, value in zip(nodes, outside, strict=True))
        return inside, outside

    def _inside(self, name: Token, outside: Value, rows: Dim) -> Value:
        """A region's parameter that is bound to a value outside."""
        try:
            type_ = step_of(outside.type, rows, ROWS, f"%{outside.name}")
        except InternalError as error:
            raise _error(name, error.args[0]) from None
        return self._define(name, type_)

    def _results(self, names: Node, types: Node, place: Token, location: Location) -> tuple[Value, ...]:
        if len(names.children) != len(types.children):
            raise _error(place, f"{len(names.children)} results with {len(types.children)} types")
        pairs = zip(names.children, types.children, strict=True)
        return tuple(self._define(_token(name), _type(_tree(type_)), location) for name, type_ in pairs)

    def _define(self, name: Token, type_: Type, location: Location = UNKNOWN) -> Value:
        if name in self._values:
            raise _error(name, f"{name} is defined twice")
        value = Value(str(name)[1:], type_, location)
        self._values[str(name)] = value
        return value

    def _read(self, name: Token) -> Value:
        if name not in self._values:
            raise _error(name, f"{name} is not defined before it is read")
        return self._values[name]


def _location(node: Node) -> Location:
    """Lines, in their order, each once."""
    lines = [_tree(line).children for line in node.children]
    return fused([(Line(_string(_token(path)), _integer(_token(number))),) for path, number in lines])


def _attributes(kind: type[Operation], node: Node, name: Token) -> dict[str, Any]:
    given = {str(child.children[0]): _token(child.children[1]) for child in _trees(node)}
    layout = LAYOUTS[kind]
    wanted = {**layout.attributes, **{field: int for field in layout.defaults if field in given}}
    if set(given) != set(wanted) or len(given) != len(node.children):
        raise _error(name, f"{kind.__name__} has the attributes {', '.join(wanted) or 'none'}, not {', '.join(given) or 'none'}")
    return {field: _literal(given[field], type_) for field, type_ in wanted.items()}


def _literal(token: Token, wanted: type[float | int | bool]) -> float | int | bool:
    if (token.type == "BOOLEAN") != (wanted is bool):
        raise _error(token, f"{token} is no {wanted.__name__}")
    if wanted is bool:
        return token == "true"
    if wanted is float:
        # One NaN object, so that constants of NaN compare equal.
        return math.nan if token == "nan" else float(token)
    return _integer(token)


def _integer(token: Token) -> int:
    try:
        return int(token)
    except ValueError:
        raise _error(token, f"{token} is no integer") from None


def _string(token: Token) -> str:
    try:
        return str(json.loads(token))
    except ValueError:
        raise _error(token, f"{token} is no JSON string") from None


def _role(token: Token) -> Role:
    try:
        return Role(str(token))
    except ValueError:
        raise _error(token, f"no role is called {token}") from None


def _type(node: Node) -> Type:
    name, *dims = node.children
    shape = tuple(_dim(_token(_tree(dim).children[0])) for dim in dims)
    spelling = _token(name)
    if spelling == "index":
        if len(shape) != 3:
            raise _error(spelling, "an index has three dimensions")
        return IndexType(*shape)
    try:
        return TensorType(DType(str(spelling)), shape)
    except ValueError:
        raise _error(spelling, f"no element type is called {spelling}") from None


def _dim(token: Token) -> Dim:
    if token.type == "NUMBER":
        return _integer(token)
    try:
        return parse_dim(str(token))
    except ValueError as error:
        raise _error(token, error.args[0]) from None


def _error(token: Token, message: str) -> IRSyntaxError:
    return IRSyntaxError(f"line {token.line}, column {token.column}: {message}")


def _tree(child: Node | Token) -> Node:
    return cast(Node, child)


def _token(child: Node | Token) -> Token:
    return cast(Token, child)


def _trees(child: Node | Token) -> list[Node]:
    return cast("list[Node]", cast(Node, child).children)
