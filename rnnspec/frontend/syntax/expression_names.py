"""The names that expressions read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rnnspec.frontend.syntax import ast


def names_in(expressions: Iterable[ast.Expression]) -> Iterator[ast.Name | ast.Identifier]:
    """The names in expressions, as often as they stand there; of a call its callee too."""
    pending = list(expressions)
    while pending:
        match pending.pop():
            case ast.Name() as name:
                yield name
            case ast.Call(callee=callee, arguments=arguments):
                yield callee
                pending += [argument.value for argument in arguments]
            case ast.Unary(operand=operand):
                pending.append(operand)
            case ast.Binary(left=left, right=right):
                pending += [left, right]
            case ast.Conditional() as choice:
                pending += [choice.on_true, choice.condition, choice.on_false]
            case ast.Subscript(value=value, position=position):
                pending += [value, position]
            case ast.List(items=items):
                pending += items
            case ast.Number() | ast.Text() | ast.Boolean() | ast.Nothing():
                pass
