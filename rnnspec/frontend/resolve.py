"""Syntax tree to layer graph: names resolved, arguments evaluated, shapes and masks checked, all errors at once."""

from __future__ import annotations

from collections.abc import Mapping

from rnnspec.diagnostics import Diagnostic, Label, SpecError, nearest
from rnnspec.frontend import ast
from rnnspec.frontend.catalogue import LAYERS
from rnnspec.frontend.cells import clashes
from rnnspec.frontend.errors.layers import LayerBeforeInput, LayerNotCalled, NoInput, NoLayers, UnfitInput, UnknownElement
from rnnspec.frontend.errors.names import DuplicateDeclaration, UnknownLayer
from rnnspec.frontend.errors.syntax import NoModel, NotYet, SeveralModels
from rnnspec.frontend.evaluate import evaluate
from rnnspec.frontend.graph import Flowing, Graph, GraphInput
from rnnspec.frontend.layers import LayerChain, Origin
from rnnspec.frontend.library import standard_cells
from rnnspec.frontend.parameters import ParameterValue, model_scope
from rnnspec.frontend.train import resolve_train
from rnnspec.frontend.values import Fault, Report, Scope, Symbol, describe
from rnnspec.runtime.signature import Extent, TrainSettings

_RESERVED_EXTENTS = {"batch", "tokens", "rows"}


def resolve(tree: ast.File, parameters: Mapping[str, ParameterValue] | None = None) -> Graph:
    """The graph of the file's model, `parameters` overriding its own defaults; raises `SpecError`."""
    report = Report()
    model, cells = _declarations(tree, report)
    graph = None if model is None else _model(model, cells, parameters or {}, report)
    if graph is None or report.errors:
        raise SpecError(sorted(report.errors, key=lambda error: _order(error, tree)))
    return graph


def _order(diagnostic: Diagnostic, tree: ast.File) -> tuple[bool, int]:
    """Sorts by the place in the spec's own text, what is in another text at the end."""
    return diagnostic.span.source != tree.span.source, diagnostic.span.start


def _declarations(tree: ast.File, report: Report) -> tuple[ast.Model | None, dict[str, ast.Cell]]:
    models: list[ast.Model] = []
    own: dict[str, ast.Cell] = {}
    for declaration in tree.declarations:
        match declaration:
            case ast.Model():
                models.append(declaration)
                if len(models) > 1:
                    secondary = (Label(models[0].name.span, "the first model"),)
                    report.add(SeveralModels(span=declaration.name.span, secondary=secondary))
            case ast.Cell(name=name):
                if name.text in own:
                    secondary = (Label(own[name.text].name.span, "declared here"),)
                    report.add(DuplicateDeclaration(span=name.span, name=name.text, secondary=secondary))
                own.setdefault(name.text, declaration)
                for clash in clashes(declaration):
                    report.add(clash)
            case ast.Block():
                report.add(NotYet(span=declaration.name.span, what="a block of layers"))
            case ast.Import():
                report.add(NotYet(span=declaration.span, what="importing another file"))
    if not models:
        report.add(NoModel(span=tree.span.source.end()))
    return (models[0] if models else None), {**standard_cells(), **own}


def _model(model: ast.Model, cells: Mapping[str, ast.Cell], parameters: Mapping[str, ParameterValue], report: Report) -> Graph | None:
    scope = model_scope(model, parameters, report)
    inputs = [item for statement in model.statements if isinstance(statement, ast.Inputs) for item in statement.items]
    resolved = [_input(item, scope, report) for item in inputs]
    if not inputs:
        report.add(NoInput(span=model.name.span, model=model.name.text))
    for item in inputs[1:]:
        report.add(NotYet(span=item.name.span, what="a second input"))
    first = resolved[0] if resolved else None
    origin = None if first is None else Origin(inputs[0].element.span.to(inputs[0].span), first.value)
    chain = LayerChain(cells, scope, origin, report)
    train: ast.Train | None = None
    started = False
    for statement in model.statements:
        match statement:
            case ast.Flow():
                started = True
                _flow(statement, chain, {*LAYERS, *cells}, report)
            case ast.Repeat():
                started = True
                report.add(NotYet(span=statement.span, what="`repeat`"))
                chain.lose_track()
            case ast.Inputs():
                if started:
                    report.add(LayerBeforeInput(span=statement.span))
            case ast.Train():
                if train is not None:
                    report.add(DuplicateDeclaration(span=statement.span, name="train", secondary=(Label(train.span, "the first one"),)))
                train = train or statement
    if not started:
        report.add(NoLayers(span=model.name.span, model=model.name.text))
    complete = report.count == 0
    settings = TrainSettings() if train is None else resolve_train(train, scope, chain.layers if complete else None, report)
    if first is None or not complete:
        return None
    return Graph(model.name.text, first, tuple(chain.layers), settings, report.warnings)


def _flow(flow: ast.Flow, chain: LayerChain, layers: set[str], report: Report) -> None:
    first, *others = flow.stages
    if isinstance(first, ast.Call) and not others and flow.target is None:
        chain.add(first)
        return
    chain.lose_track()
    if flow.target is not None:
        report.add(NotYet(span=flow.target.span, what="a named value"))
    elif others:
        report.add(NotYet(span=flow.span, what="an arrow between layers"))
    elif isinstance(first, ast.Reference):
        help_ = nearest(first.name, layers)
        if first.name in layers:
            report.add(LayerNotCalled(span=first.span, name=first.name))
        elif help_:
            report.add(UnknownLayer(span=first.span, name=first.name, help=help_))
        else:
            report.add(NotYet(span=first.span, what="a named value"))
    else:
        report.add(NotYet(span=first.span, what="a list of named values"))


def _input(item: ast.Input, scope: Scope, report: Report) -> GraphInput | None:
    with report.catching():
        element = item.element.text
        if element not in ("float", "int"):
            raise Fault(UnknownElement(span=item.element.span, name=element))
        extents = tuple(_extent(dimension, scope) for dimension in item.dimensions)
        ids = element == "int"
        limit = 1 if ids else 2
        if not 1 <= len(extents) <= limit:
            dimensions = "one dimension" if ids else "one or two dimensions"
            problem = f"an input of {element}s has {dimensions} besides the batch, not {len(extents)}"
            raise Fault(UnfitInput(span=item.element.span.to(item.span), problem=problem))
        return GraphInput(item.name.text, Flowing(extents, sequence=ids or len(extents) == 2, ids=ids))
    return None


def _extent(expression: ast.Expression, scope: Scope) -> Extent:
    value = evaluate(expression, scope).value
    if isinstance(value, Symbol) and value.name not in _RESERVED_EXTENTS:
        return value.name
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**31:
        return value
    if isinstance(value, Symbol):
        problem = f"`{value.name}` has another meaning" + (": the batch dimension is implicit" if value.name == "batch" else "")
    else:
        problem = f"a dimension is a name or a whole number of at least 1, not {describe(value)}"
    raise Fault(UnfitInput(span=expression.span, problem=problem))
