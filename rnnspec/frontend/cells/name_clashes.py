"""Names that a cell or a block can't give, since they mean something else wherever it is used."""

from __future__ import annotations

from collections.abc import Iterator

from rnnspec.diagnostics import Diagnostic, Label
from rnnspec.frontend import errors
from rnnspec.frontend.catalogue.argument_types import ArgumentSpec, DefaultOnly
from rnnspec.frontend.catalogue.layers import LAYERS, SEQUENCE_OPTIONS
from rnnspec.frontend.cells.declaration_checks import kind_faults
from rnnspec.frontend.cells.functions import FUNCTIONS
from rnnspec.frontend.syntax import ast
from rnnspec.source import Span

PREDEFINED = {"x": "the step's input", "features": "the input's width"}


def clashes(definition: ast.Cell | ast.Block) -> Iterator[Diagnostic]:
    """Diagnostics for names of a cell or a block, or of its parameters, that hide other names, and for what parameters may be."""
    if definition.name.text in LAYERS:
        yield errors.names.DuplicateName(span=definition.name.span, name=definition.name.text, owner="a layer of the language")
    options, other = _options(definition), {}
    if isinstance(definition, ast.Cell):
        other = dict.fromkeys(FUNCTIONS, "a function") | PREDEFINED
    places: dict[str, Span] = {}
    for parameter in definition.parameters:
        name, span = parameter.name.text, parameter.name.span
        if name in options:
            help_ = f"call the parameter something else: where {definition.name.text} is used, `{name} = ...` sets that option"
            yield errors.names.DuplicateName(span=span, name=name, owner=options[name], help=help_)
        elif name in other:
            yield errors.names.DuplicateName(span=span, name=name, owner=other[name])
        elif name in places:
            yield errors.names.DuplicateName(
                span=span, name=name, owner="another parameter", secondary=(Label(places[name], "declared here"),)
            )
        places.setdefault(name, span)
    cell = isinstance(definition, ast.Cell)
    yield from kind_faults(definition.name.text, definition.parameters, ("features",) if cell else (), calls=cell)


def _options(definition: ast.Cell | ast.Block) -> dict[str, str]:
    """The options of every use, and whose they are."""
    if isinstance(definition, ast.Block):
        return dict.fromkeys(("name", "trainable"), "an option that every block has")
    return {option.name: "an option that every recurrent layer has" for option in SEQUENCE_OPTIONS if not is_unused(option)}


def is_unused(option: ArgumentSpec) -> bool:
    """Whether an option does nothing, so that a cell may call a parameter like it."""
    return isinstance(option.kind, DefaultOnly)
