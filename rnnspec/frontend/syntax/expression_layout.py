"""Expressions as text with no more parentheses than needed, and lists broken over lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from rnnspec.frontend.syntax import ast

PRECEDENCE = {
    "or": 1, "and": 2, "not": 3, "<": 4, "<=": 4, ">": 4, ">=": 4, "==": 4, "!=": 4, "+": 5, "-": 5, "*": 6, "/": 6, "@": 6,
}  # fmt: skip
"""How tightly an operator binds; a choice (`a if p else b`) binds least, a sign more than all of these."""
SIGN, POSTFIX = 7, 8
COMPARISON = PRECEDENCE["<"]


def expression_text(expression: ast.Expression, least: int = 0) -> str:
    """On one line; in parentheses if it binds less tightly than `least`."""
    text, own = _text(expression)
    return f"({text})" if own < least else text


def _text(expression: ast.Expression) -> tuple[str, int]:
    """The text and how tightly it binds. Numbers and texts stay as they were written."""
    match expression:
        case ast.Number() | ast.Text():
            return expression.span.text, POSTFIX
        case ast.Boolean(value=value):
            return "true" if value else "false", POSTFIX
        case ast.Nothing():
            return "none", POSTFIX
        case ast.Name():
            return expression.spelling, POSTFIX
        case ast.List(items=items):
            return f"[{', '.join(map(expression_text, items))}]", POSTFIX
        case ast.Call(callee=callee, arguments=arguments):
            return f"{callee.text}({', '.join(map(argument_text, arguments))})", POSTFIX
        case ast.Unary(operator="not", operand=operand):
            return f"not {expression_text(operand, PRECEDENCE['not'])}", PRECEDENCE["not"]
        case ast.Unary(operand=operand):
            return f"-{expression_text(operand, SIGN)}", SIGN
        case ast.Binary(operator=operator, left=left, right=right):
            own = PRECEDENCE[operator]
            first = expression_text(left, own + 1 if own == COMPARISON or _unclear(operator, left) else own)
            return f"{first} {operator} {expression_text(right, own + 1)}", own
        case ast.Conditional(on_true=on_true, condition=condition, on_false=on_false):
            return f"{expression_text(on_true, 1)} if {expression_text(condition, 1)} else {expression_text(on_false)}", 0
        case ast.Subscript(value=value, position=position):
            return f"{expression_text(value, POSTFIX)}[{expression_text(position)}]", POSTFIX
        case _:
            assert_never(expression)


def _unclear(operator: str, left: ast.Expression) -> bool:
    """`r * h @ u` is written `(r * h) @ u`: few know that both bind alike."""
    return isinstance(left, ast.Binary) and PRECEDENCE[left.operator] == PRECEDENCE["@"] and (operator == "@") != (left.operator == "@")


def argument_text(argument: ast.Argument) -> str:
    """An argument on one line: `value`, or `name = value`."""
    value = expression_text(argument.value)
    return value if argument.name is None else f"{argument.name.text} = {value}"


def parameter_text(parameter: ast.Parameter) -> str:
    """A parameter on one line: `name`, `name = value`, `name: kind = value`."""
    kind = f": {' or '.join(map(alternative_text, parameter.kind))}" if parameter.kind else ""
    default = "" if parameter.default is None else f" = {expression_text(parameter.default)}"
    return f"{parameter.name.text}{kind}{default}"


def alternative_text(alternative: ast.Alternative) -> str:
    """What a parameter may be, on one line: a lower bound alone stands behind its word."""
    if not isinstance(alternative, ast.Range):
        return expression_text(alternative)
    length = "" if alternative.length is None else f"[{expression_text(alternative.length)}]"
    word, low, high = f"{alternative.word.text}{length}", alternative.low, alternative.high
    above = "" if high is None else f" {'<' if high.strict else '<='} {_bound(high)}"
    if low is not None and high is None:
        return f"{word} {'>' if low.strict else '>='} {_bound(low)}"
    below = "" if low is None else f"{_bound(low)} {'<' if low.strict else '<='} "
    return f"{below}{word}{above}"


def _bound(bound: ast.Bound) -> str:
    return expression_text(bound.value, COMPARISON + 1)


def call_text(head: str, call: ast.Call, width: int) -> list[str]:
    """A call behind `head`, in as few lines as fit."""
    return wrapped(f"{head}{call.callee.text}(", [argument_text(argument) for argument in call.arguments], ")", width)


def wrapped(opening: str, parts: Sequence[str], closing: str, width: int) -> list[str]:
    """`opening`, the parts with commas between, `closing`; further lines begin below the first part."""
    lines = [opening]
    for place, part in enumerate(parts):
        text = part + (closing if place == len(parts) - 1 else ",")
        if place and len(lines[-1]) + 1 + len(text) > width:
            lines.append(" " * len(opening) + text)
        else:
            lines[-1] += f" {text}" if place else text
    return lines if parts else [opening + closing]
