"""Declarations of equations before their parameters have values: declared names, names read, and parameters used as widths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rnnspec.frontend.syntax import ast
from rnnspec.frontend.syntax.expression_names import names_in


def every_statement(statements: Sequence[ast.CellStatement]) -> Iterator[ast.CellStatement]:
    """All statements, those on both sides of a `when` included."""
    for statement in statements:
        if isinstance(statement, ast.When):
            sides = (statement.body, statement.otherwise)
            yield from every_statement([inner for side in sides if side is not None for inner in side.statements])
        else:
            yield statement


def names_read(statements: Sequence[ast.CellStatement]) -> Iterator[str]:
    """The names in equations and conditions, as often as they stand there, callees included."""
    yield from (name.text for name in names_in(equation_expressions(statements)))


def equation_expressions(statements: Sequence[ast.CellStatement]) -> Iterator[ast.Expression]:
    """The values of equations and the conditions between them, on both sides of each `when`."""
    blocks = [statements]
    while blocks:
        for statement in blocks.pop():
            match statement:
                case ast.Equation() | ast.Return():
                    yield statement.value
                case ast.When(condition=condition, body=body, otherwise=otherwise):
                    yield condition
                    blocks += [side.statements for side in (body, otherwise) if side is not None]
                case ast.Weight() | ast.States():
                    pass


def width_names(definition: ast.Cell) -> Iterator[str]:
    """Parameters that are a dimension as they are, or one side of a product that is."""
    for statement in every_statement(definition.statements):
        match statement:
            case ast.Weight(dimensions=dimensions):
                pending = list(dimensions)
            case ast.States(items=items):
                pending = [dimension for item in items for dimension in item.dimensions]
            case _:
                continue
        while pending:
            match pending.pop():
                case ast.Name(text=name):
                    yield name
                case ast.Binary(operator="*", left=left, right=right):
                    pending += [left, right]
                case _:
                    pass


def computed_names(definition: ast.Cell | ast.Equations) -> Iterator[str]:
    """The names that have a value in a step only."""
    yield "x"
    for statement in every_statement(definition.statements):
        match statement:
            case ast.Weight(name=name):
                yield name.text
            case ast.States(items=items):
                yield from (item.name.text for item in items)
            case ast.Equation(targets=targets):
                yield from (target.text for target in targets)
            case _:
                pass


def equation_targets(definition: ast.Cell) -> frozenset[str]:
    """The names that a cell's equations define, in all branches of its `when` statements; states with their prime."""
    equations = [statement for statement in every_statement(definition.statements) if isinstance(statement, ast.Equation)]
    return frozenset(target.spelling for equation in equations for target in equation.targets)
