"""Syntax tree to layer graph: names resolved, arguments evaluated, shapes and masks checked, all errors at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from rnnspec.contract.location import location_of_span
from rnnspec.contract.metric_names import SEQUENCE_LOSSES
from rnnspec.contract.signature import TrainSettings
from rnnspec.diagnostics import Diagnostic, InternalError, Label, SpecError
from rnnspec.frontend import errors
from rnnspec.frontend.binding.layer_names import LayerNames
from rnnspec.frontend.binding.model_parameters import ParameterValue, model_scope
from rnnspec.frontend.binding.values import CheckError, Enough, OwnEquations, Report
from rnnspec.frontend.cells.declaration_checks import kind_faults
from rnnspec.frontend.cells.name_clashes import clashes
from rnnspec.frontend.cells.unknown_names import unknown_names
from rnnspec.frontend.graph.graph import Application, Graph, GraphInput, GraphOutput, GraphTensor, GraphValue, LossWeights
from rnnspec.frontend.layers.checks import InputSpans
from rnnspec.frontend.layers.registry import rules_of
from rnnspec.frontend.model import objectives
from rnnspec.frontend.model.inputs import check_tokens, input_type, text_of
from rnnspec.frontend.model.layer_count import first_too_many
from rnnspec.frontend.model.mask_warnings import callers_drops, warn_of_dropped
from rnnspec.frontend.model.own_declarations import OwnDeclarations
from rnnspec.frontend.model.statements import Definitions, Flow, GraphBuilder, ModelBuilder
from rnnspec.frontend.model.train_section import resolve_train
from rnnspec.frontend.model.truncation import check_truncate
from rnnspec.frontend.syntax import ast, limits
from rnnspec.frontend.syntax.standard_library import CellLibrary, functions
from rnnspec.source import Span


def resolve(tree: ast.File, parameters: Mapping[str, ParameterValue] | None = None) -> Graph:
    """The graph of the file's model, `parameters` overriding its own defaults; raises `SpecError`."""
    report = Report()
    graph, found = None, report
    try:
        model, definitions = _declarations(tree, report)
        graph = None if model is None else _model(model, definitions, parameters or {}, report)
        _check_names(tree, definitions, report)
    except Enough as enough:
        found = enough.report
    if graph is None or report.errors:
        different = dict.fromkeys((*report.errors, *found.errors))
        raise SpecError(limits.shown(sorted(different, key=lambda error: _order(error, tree))))
    return graph


def _order(diagnostic: Diagnostic, tree: ast.File) -> tuple[bool, bool, int]:
    """Sorts by the place in the spec's own text, what is in another text at the end, and behind all that there are more."""
    last = isinstance(diagnostic, errors.limits.TooManyErrors)
    return last, diagnostic.span.source != tree.span.source, diagnostic.span.start


def _declarations(tree: ast.File, report: Report) -> tuple[ast.Model | None, Definitions]:
    models: list[ast.Model] = []
    own = OwnDeclarations()
    cells: dict[str, ast.Cell] = {}
    blocks: dict[str, ast.Block] = {}
    for declaration in tree.declarations:
        match declaration:
            case ast.Model():
                models.append(declaration)
                if len(models) > 1:
                    secondary = (Label(models[0].name.span, "the first model"),)
                    report.add(errors.syntax.SeveralModels(span=declaration.name.span, secondary=secondary))
            case ast.Cell() | ast.Block():
                _declare(declaration, cells, blocks, report)
            case ast.Function() | ast.Loss() | ast.Metric():
                own.declare(declaration, report)
            case ast.Import():
                raise InternalError("an import that wasn't followed")
    if not models:
        report.add(errors.syntax.NoModel(span=tree.span.source.end()))
    return (models[0] if models else None), Definitions(CellLibrary(cells), blocks, own.declared())


def _check_names(tree: ast.File, definitions: Definitions, report: Report) -> None:
    """Reports names that declarations read and nothing has, of those in which no fault was found: nothing may use them."""
    library = functions(definitions.own.functions)
    for declaration in tree.declarations:
        if isinstance(declaration, ast.Cell | ast.Function | ast.Loss | ast.Metric):
            place = declaration.span
            if not any(each.span.source == place.source and place.start <= each.span.start < place.stop for each in report.errors):
                for fault in unknown_names(declaration, library):
                    report.add(fault)


def _declare(declaration: ast.Cell | ast.Block, cells: dict[str, ast.Cell], blocks: dict[str, ast.Block], report: Report) -> None:
    name = declaration.name
    first = cells.get(name.text) or blocks.get(name.text)
    if first is not None:
        secondary = (Label(first.name.span, "declared here"),)
        report.add(errors.names.DuplicateDeclaration(span=name.span, name=name.text, secondary=secondary))
    elif isinstance(declaration, ast.Cell):
        cells[name.text] = declaration
    else:
        blocks[name.text] = declaration
    for clash in clashes(declaration):
        report.add(clash)


def _model(model: ast.Model, definitions: Definitions, parameters: Mapping[str, ParameterValue], report: Report) -> Graph | None:
    scope = model_scope(model, parameters, report, definitions.own)
    for fault in kind_faults(model.name.text, model.parameters, calls=False):
        report.add(fault)
    builder = GraphBuilder(report)
    items = [item for statement in model.statements if isinstance(statement, ast.Inputs) for item in statement.items]
    if not items:
        report.add(errors.layers.NoInput(span=model.name.span, model=model.name.text))
    inputs: list[GraphInput] = []
    declared: dict[str, tuple[Span, GraphTensor]] = {}
    values: list[GraphValue | None] = []
    for item in items:
        type_, text, max_tokens = input_type(item, scope, report), None, None
        if type_ is not None:
            text, max_tokens = text_of(item, type_, scope, report)
        values.append(None if type_ is None else builder.value(type_))
        if type_ is not None and (value := values[-1]) is not None:
            declared[item.name.text] = item.element.span.to(item.span), type_
            inputs.append(GraphInput(item.name.text, value, location_of_span(item.name.span), text, max_tokens, not item.dimensions))
    start: Flow = () if len(items) > 1 else None if not values or values[0] is None else (values[0],)
    layer_names = LayerNames()
    flows = ModelBuilder(builder, definitions, scope, layer_names, InputSpans(declared), start)
    for item, value in zip(items, values, strict=True):
        with report.catching():
            flows.add_input(item.name.text, value, item.name.span)
    flows.reserve([each for each in model.statements if isinstance(each, ast.Flow | ast.Shared | ast.Repeat)])
    too_many = first_too_many(model, scope, definitions.blocks)
    if too_many is not None:
        report.end(errors.flows.TooManyLayers(span=too_many, limit=limits.LAYERS))
    train, named = _statements(model, flows, report)
    flows.check_unused()
    complete = report.count == 0
    outputs = _outputs(model, named, flows, tuple(builder.applications), report) if complete else ()
    complete = report.count == 0
    applications = tuple(builder.applications)
    check_tokens(items, inputs, applications, report)
    settings = TrainSettings()
    if train is not None:
        names = [each.name for each in inputs]
        settings = resolve_train(train, scope, names, (applications, outputs) if complete else None, report)
    if not complete or not inputs:
        return None
    flows.finish(outputs_named=named is not None)
    warn_of_dropped(applications, builder.spans, report)
    drops = callers_drops(applications, builder.spans, outputs)
    graph = Graph(
        model.name.text,
        tuple(inputs),
        applications,
        outputs,
        settings,
        report.warnings,
        drops,
        _loss_weights(settings, outputs, definitions.own) if report.count == 0 else (),
        definitions.own,
        tuple(layer_names.frozen),
    )
    if train is not None and report.count == 0:
        check_truncate(graph, train, report)
    return graph


def _loss_weights(settings: TrainSettings, outputs: tuple[GraphOutput, ...], own: OwnEquations) -> tuple[LossWeights, ...]:
    """The weights of each output's loss, if it has some."""
    losses = settings.loss if isinstance(settings.loss, tuple) else (settings.loss,) * len(outputs)
    made: list[LossWeights] = []
    for loss, output in zip(losses, outputs, strict=True):
        if loss is not None and loss.name not in SEQUENCE_LOSSES:
            weights = objectives.weights_of(loss, output.name, output.value.type.features, own)
            made += [LossWeights(output.name, weights)] if weights else []
    return tuple(made)


def _statements(model: ast.Model, flows: ModelBuilder, report: Report) -> tuple[ast.Train | None, ast.Outputs | None]:
    """Runs the flow; the model's `train` section and its `output` statement, if it has them."""
    train: ast.Train | None = None
    outputs: ast.Outputs | None = None
    started = False
    for statement in model.statements:
        match statement:
            case ast.Flow() | ast.Repeat() | ast.Shared():
                started = started or not isinstance(statement, ast.Shared)
                flows.run([statement])
            case ast.Inputs():
                if started:
                    report.add(errors.layers.LayerBeforeInput(span=statement.span))
            case ast.Outputs():
                if outputs is not None:
                    report.add(errors.flows.SeveralOutputLists(span=statement.span, secondary=(Label(outputs.span, "the first one"),)))
                outputs = outputs or statement
            case ast.Train():
                if train is not None:
                    report.add(
                        errors.names.DuplicateDeclaration(
                            span=statement.span, name="train", secondary=(Label(train.span, "the first one"),)
                        )
                    )
                train = train or statement
            case _:
                assert_never(statement)
    if not started:
        report.add(errors.layers.NoLayers(span=model.name.span, model=model.name.text))
    return train, outputs


def _outputs(
    model: ast.Model, statement: ast.Outputs | None, flows: ModelBuilder, applications: tuple[Application, ...], report: Report
) -> tuple[GraphOutput, ...]:
    """The values that `output` names, else the last ones under their layer's name."""
    outputs: list[GraphOutput] = []
    if statement is None:
        for value in flows.flow or ():
            if _is_input(value):
                report.add(errors.flows.InputAsOutput(span=model.name.span))
                return ()
            name = _made_name(value, applications)
            taken = sum(output.name == name or output.name.startswith(f"{name}_") for output in outputs)
            outputs.append(GraphOutput(f"{name}_{taken}" if taken else name, value))
        return tuple(outputs)
    for item in statement.items:
        with report.catching():
            value = flows.look_up(item.text, item.span)
            if _is_input(value):
                raise CheckError(errors.flows.InputAsOutput(span=item.span))
            if any(output.name == item.text for output in outputs):
                raise CheckError(errors.names.DuplicateName(span=item.span, name=item.text, owner="another output"))
            outputs.append(GraphOutput(item.text, value))
    return tuple(outputs)


def _is_input(value: GraphValue) -> bool:
    """Whether nothing has worked on an input yet, not even a mask."""
    return bool(value.type.source) and not value.type.masked


def _made_name(value: GraphValue, applications: tuple[Application, ...]) -> str:
    """The name of the layer that made a value; of one that gives several with the result's own name below it."""
    for application in applications:
        if value in application.results:
            names = rules_of(application.layer).results(application.layer)
            return f"{application.layer.name}/{names[application.results.index(value)]}" if names else application.layer.name
    raise InternalError(f"value {value.number} comes from nowhere")
