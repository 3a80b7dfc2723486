"""Functions of a row as equations of their own: an activation of a layer."""

from __future__ import annotations

from rnnspec.contract.signature import Config
from rnnspec.frontend import errors
from rnnspec.frontend.binding.values import CheckError, Scope
from rnnspec.frontend.cells import calls
from rnnspec.frontend.cells.cell_ir import Step, TermShape, Variable
from rnnspec.frontend.cells.equation_names import EquationNames
from rnnspec.frontend.cells.typed_terms import as_term, fit
from rnnspec.frontend.syntax import ast
from rnnspec.frontend.syntax.standard_library import Library
from rnnspec.source import SourceFile, Span

_NOWHERE = Span(SourceFile("", ""), 0, 0)


def activation_step(activation: Config, width: int, functions: Library[ast.Function], use: Span = _NOWHERE) -> Step:
    """The equations of an activation of `x`, a row of a width; `CheckError`, with the place of its `use`, where they don't fit it.

    The result is as wide as `x`.
    """
    x = Variable("x", TermShape((width,), True))
    names = EquationNames(Scope({}), {"x": x}, set(), frozenset(), functions, calls.call)
    callee = ast.Identifier(use, activation.name)
    value = as_term(calls.activated(activation, x, ast.Call(use, callee, ()), names), use)
    spread = fit(value, width)
    if spread is None:
        raise CheckError(
            errors.cells.UnfitOperand(
                span=use, place=f"the activation `{activation.name}`", expected=f"[{width}], as wide as its value", found=str(value.shape)
            )
        )
    return Step(activation.name, width, (), (), tuple(names.hoisted.assignments), spread)
