"""Names that a declaration reads and nothing has, whether anything uses it or not."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from rnnspec.diagnostics import Diagnostic, nearest
from rnnspec.frontend import errors
from rnnspec.frontend.catalogue.choices import ACTIVATIONS
from rnnspec.frontend.cells.declared_names import computed_names, equation_expressions
from rnnspec.frontend.cells.equation_checks import OF_A_LOSS
from rnnspec.frontend.cells.function_advice import function_advice
from rnnspec.frontend.cells.functions import FUNCTIONS, TOTAL
from rnnspec.frontend.syntax import ast
from rnnspec.frontend.syntax.expression_names import names_in
from rnnspec.frontend.syntax.standard_library import Library


def unknown_names(declared: ast.Cell | ast.Equations, functions: Library[ast.Function]) -> Iterator[Diagnostic]:
    """Errors for the names in its equations that stand for nothing, each once. `functions`: those that can be called."""
    kind = type(declared).__name__.lower()
    defined = islice(computed_names(declared), 1, None)  # the first one is a cell's input
    values = {*(parameter.name.text for parameter in declared.parameters), *defined, *_of_a(declared)}
    seen: set[str] = set()
    found = sorted(names_in(equation_expressions(declared.statements)), key=lambda name: name.span.start)
    for name in found:
        callable_ = name.text in FUNCTIONS or name.text in ACTIVATIONS or name.text in functions
        if name.text in seen or name.text in values or callable_ or name.text == TOTAL:
            continue
        seen.add(name.text)
        if isinstance(name, ast.Identifier):
            instead, every = function_advice(name.text, {*values, *functions})
            yield errors.cells.UnknownFunction(span=name.span, name=name.text, instead=instead, help=every)
        else:
            expected, help_ = f"not known in the {kind} `{declared.name.text}`", nearest(name.text, values)
            yield errors.names.UnknownName(span=name.span, name=name.text, expected=expected, help=help_)


def _of_a(declared: ast.Cell | ast.Equations) -> set[str]:
    """The names that equations have from outside."""
    match declared:
        case ast.Function():
            return set()
        case ast.Cell():
            return {"x", "features"}
        case ast.Loss() | ast.Metric():
            return {*OF_A_LOSS, "features"}
