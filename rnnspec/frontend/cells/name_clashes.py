"""Names that a cell or a block can't give, since they mean something else wherever it is used."""

from __future__ import annotations

from collections.abc import Iterator

from rnnspec.diagnostics import Diagnostic, Label, nearest
from rnnspec.frontend import errors
from rnnspec.frontend.catalogue.argument_types import ArgumentSpec, DefaultOnly, NotYet
from rnnspec.frontend.catalogue.choices import ACTIVATIONS
from rnnspec.frontend.catalogue.layers import LAYERS, SEQUENCE_OPTIONS
from rnnspec.frontend.cells.functions import FUNCTIONS
from rnnspec.frontend.syntax import ast
from rnnspec.source import Span

OF_A_LOSS = {"prediction": "the model's output", "target": "what the output is held against"}

TARGETS = ("values", "probabilities", "binary", "class")
"""What can be said of a target: any numbers, numbers in 0 .. 1, 0 or 1, or one class number."""

PREDEFINED = {"x": "the step's input", "features": "the input's width"}


def clashes(definition: ast.Cell | ast.Block) -> Iterator[errors.names.DuplicateName]:
    """Diagnostics for names of a cell or a block, or of its parameters, that hide other names."""
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


def clashes_of_equations(definition: ast.Equations) -> Iterator[Diagnostic]:
    """Diagnostics for names of a function, a loss or a metric, or of its parameters, that hide other names; and for another target."""
    if isinstance(definition, ast.Function):
        if definition.name.text in FUNCTIONS - ACTIVATIONS.keys():
            yield errors.names.DuplicateName(span=definition.name.span, name=definition.name.text, owner="a function of the language")
        predefined: dict[str, str] = {}
    else:
        predefined = OF_A_LOSS
        if definition.target is not None and definition.target.text not in TARGETS:
            help_ = nearest(definition.target.text, TARGETS)
            expected = f"a target is one of {', '.join(TARGETS)}"
            yield errors.names.UnknownName(span=definition.target.span, name=definition.target.text, expected=expected, help=help_)
    places: dict[str, Span] = {}
    for parameter in definition.parameters:
        name, span = parameter.name.text, parameter.name.span
        if name in predefined:
            yield errors.names.DuplicateName(span=span, name=name, owner=predefined[name])
        elif name in places:
            secondary = (Label(places[name], "declared here"),)
            yield errors.names.DuplicateName(span=span, name=name, owner="another parameter", secondary=secondary)
        places.setdefault(name, span)


def _options(definition: ast.Cell | ast.Block) -> dict[str, str]:
    """The options of every use, and whose they are."""
    if isinstance(definition, ast.Block):
        return {"name": "an option that every block has"}
    return {option.name: "an option that every recurrent layer has" for option in SEQUENCE_OPTIONS if not is_unused(option)}


def is_unused(option: ArgumentSpec) -> bool:
    """Whether an option does nothing, so that a cell may call a parameter like it."""
    return isinstance(option.kind, NotYet | DefaultOnly)
