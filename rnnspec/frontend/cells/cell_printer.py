"""A cell's step as text: one line an assignment, terms as the language would write them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from rnnspec.frontend.binding.printed_values import plain
from rnnspec.frontend.cells.cell_ir import (
    Applied,
    Assignment,
    Choice,
    Combined,
    Compared,
    Condition,
    Joined,
    Literal,
    Negation,
    Pairwise,
    Positions,
    Product,
    Reduced,
    Row,
    Spread,
    Step,
    Term,
    Variable,
    WeightTerm,
    Zeros,
)


def step_lines(step: Step) -> Iterator[str]:
    """The states with their widths, if there are some, the assignments, the output."""
    if step.states:
        yield "state " + ", ".join(f"{state.name} [{state.width}]" for state in step.states)
    yield from (_assignment(assignment) for assignment in step.assignments)
    yield f"return {print_term(step.output)}"


def _assignment(assignment: Assignment) -> str:
    value = print_term(assignment.value)
    parts = len(assignment.targets)
    return f"{', '.join(assignment.targets)} = {f'split({value}, {parts})' if parts > 1 else value}"


def print_term(term: Term) -> str:
    """A term as the language would write it; what was chosen when the spec was compiled is gone."""
    match term:
        case Literal(value):
            return plain(value)
        case Variable(name) | WeightTerm(name):
            return name
        case Zeros():
            return "0"
        case Positions(shape):
            return f"positions({shape.dimensions[0]})"
        case Pairwise(kind, left, right):
            named = kind.value.isalpha()
            return f"{kind.value}({print_term(left)}, {print_term(right)})" if named else f"{_inner(left)} {kind.value} {_inner(right)}"
        case Negation(operand):
            return f"-{_inner(operand)}"
        case Applied(function, operand):
            return f"{function}({print_term(operand)})"
        case Product(left, right):
            return f"{_inner(left)} @ {_inner(right)}"
        case Reduced(kind, operand):
            return f"{kind.value}({print_term(operand)})"
        case Row(matrix, position):
            return f"{_inner(matrix)}[{position}]"
        case Choice(condition, on_true, on_false):
            return f"where({_condition(condition)}, {print_term(on_true)}, {print_term(on_false)})"
        case Joined(parts):
            return f"concat({', '.join(map(print_term, parts))})"
        case Spread(operand):
            return print_term(operand)
        case _:
            assert_never(term)


def _inner(term: Term) -> str:
    """In parentheses if it is a sum or the like."""
    while isinstance(term, Spread):
        term = term.operand
    text = print_term(term)
    named = isinstance(term, Pairwise) and term.kind.value.isalpha()
    return f"({text})" if isinstance(term, Pairwise | Negation) and not named else text


def _condition(condition: Condition) -> str:
    match condition:
        case Compared(kind, left, right):
            return f"{_inner(left)} {kind.value} {_inner(right)}"
        case Combined(both, left, right):
            return f"({_condition(left)}) {'and' if both else 'or'} ({_condition(right)})"
        case _:
            assert_never(condition)
