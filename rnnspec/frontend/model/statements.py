"""The statements of a model or a block: values with names, arrows, shared layers, repeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias, assert_never

from rnnspec.contract.location import location_of_span
from rnnspec.diagnostics import Label, nearest
from rnnspec.frontend import errors
from rnnspec.frontend.binding.constants import evaluate
from rnnspec.frontend.binding.layer_names import LayerNames, given_names
from rnnspec.frontend.binding.values import AlreadyReported, CheckError, OwnEquations, Report, Scope, describe
from rnnspec.frontend.catalogue.layers import LAYERS, NAME, TRAINABLE
from rnnspec.frontend.cells.instantiate import bind_parameters, parameter_arguments
from rnnspec.frontend.graph.graph import Application, GraphTensor, GraphValue
from rnnspec.frontend.graph.layer import Layer
from rnnspec.frontend.layers.checks import BuiltLayer, InputSpans, unknown_layer
from rnnspec.frontend.layers.registry import LayerMaker, takes_several
from rnnspec.frontend.syntax import ast, limits
from rnnspec.frozen import frozen
from rnnspec.source import Span

Flow: TypeAlias = tuple[GraphValue, ...] | None
"""The values that flow on to the next layer, usually a single one; None where an error is reported already."""


@frozen
class Definitions:
    """The declarations of a spec: cells and blocks, which a call may name besides the built-in layers, and equations of rows."""

    cells: Mapping[str, ast.Cell]
    blocks: Mapping[str, ast.Block]
    own: OwnEquations


@dataclass
class GraphBuilder:
    """The graph of a model so far: values numbered from 0, and layers applied to them in order."""

    report: Report
    applications: list[Application] = field(default_factory=list[Application])
    spans: list[Span] = field(default_factory=list[Span])
    """Each application's place in the spec."""
    count: int = 0

    def value(self, type_: GraphTensor) -> GraphValue:
        """A new value of the graph, with the next number."""
        self.count += 1
        return GraphValue(self.count - 1, type_)

    def apply(self, made: BuiltLayer, span: Span) -> tuple[GraphValue, ...]:
        """Appends a layer to the graph and returns its results. CheckError above the limits on parts, Enough above those on layers."""
        if len(self.applications) >= limits.LAYERS:
            self.report.end(errors.flows.TooManyLayers(span=span, limit=limits.LAYERS))
        if not all(map(_is_told_shortly, made.results)):
            raise CheckError(errors.limits.TooManyParts(span=span, limit=limits.PARTS, length=limits.LENGTH))
        results = tuple(self.value(type_) for type_ in made.results)
        self.applications.append(Application(made.layer, made.operands, results, location_of_span(span), made.call))
        self.spans.append(span)
        return results


def _is_told_shortly(type_: GraphTensor) -> bool:
    """Whether a value's length, and what masks it, isn't too long: both are walked wherever they are compared."""
    if any(len(str(extent)) > limits.LENGTH for extent in type_.shape):
        return False
    pending = [] if type_.steps is None else [type_.steps]
    parts = 0
    while pending and parts <= limits.PARTS:
        steps = pending.pop()
        parts += 1
        pending += (part for join in steps.joins for part in join)
    return parts <= limits.PARTS


@dataclass
class _Named:
    """A named value; None where it is unknown."""

    value: GraphValue | None
    span: Span
    used: bool = False
    together: int = -1
    """A number for the values of one statement: using one of them is enough."""


@dataclass
class _SharedLayer:
    """A layer, or a block, with one set of weights.

    `given_name`: what its weights are under. `names`: those that its first use took from, as they were. `layers`: what that made.
    """

    call: ast.Call
    span: Span
    given_name: str
    names: LayerNames | None = None
    layers: tuple[Layer, ...] = ()
    used: bool = False


class ModelBuilder:
    """Walks the statements of a model, or of a block at one of its uses."""

    def __init__(
        self,
        builder: GraphBuilder,
        definitions: Definitions,
        scope: Scope,
        names: LayerNames,
        origins: InputSpans,
        start: Flow,
        inside: tuple[str, ...] = (),
    ) -> None:
        self.flow = start
        self.last: Application | None = None
        """The application that computed `flow`; None if `flow` is an input or several layers' results."""
        self._builder = builder
        self._report = builder.report
        self._definitions = definitions
        self._value_names: set[str] = set()
        self._scope = replace(scope, values=self._value_names)
        self._names = names
        self._origins = origins
        self._inside = inside
        self._inputs: tuple[str, ...] = ()
        self._values: dict[str, _Named] = {}
        self._named: dict[int, dict[str, _Named]] = {}
        """The names of each value, by its number."""
        self._shared: dict[str, _SharedLayer] = {}
        self._maker = LayerMaker(definitions.cells, self._scope, names, origins, self.look_up, self._report)

    def add_input(self, name: str, value: GraphValue | None, span: Span) -> None:
        """An input's value under its name."""
        self._take(name, span)
        self._keep(name, _Named(value, span, used=True))
        self._value_names.add(name)
        self._inputs = (*self._inputs, name)

    def reserve(self, statements: Sequence[ast.FlowStatement]) -> None:
        """Keeps the names that layers are given in these statements from the automatic ones."""
        self._names.reserve(given_names(statements, self._scope))

    def run(self, statements: Sequence[ast.FlowStatement]) -> None:
        """Builds the statements in order; a fault ends its statement, is reported, and the next statement goes on."""
        for statement in statements:
            self._report.walk(statement.span if not isinstance(statement, ast.Repeat) else statement.count.span)
            match statement:
                case ast.Flow():
                    self._flow(statement)
                case ast.Shared(name=name):
                    with self._report.catching():
                        self._take(name.text, name.span)
                        self._shared[name.text] = _SharedLayer(statement.call, name.span, self._names.declared(name.text))
                case ast.Repeat():
                    self._repeat(statement)
                case _:
                    assert_never(statement)

    def check_unused(self, before: Mapping[str, _SharedLayer] | None = None) -> None:
        """Checks the shared layers that nothing used, but those of `before`, as far as they can be without an input, and warns of them."""
        for name, shared in self._shared.items():
            if shared.used or name in (before or {}):
                continue
            self._report.walk(shared.span, limits.BLOCK)
            found = Report(self._report)
            alone = ModelBuilder(
                GraphBuilder(found), self._definitions, self._scope, self._names.once_more(), self._origins, None, self._inside
            )
            with found.catching():
                alone._apply(shared.call, None, alone._names, shared.given_name)
            for error in found.errors:
                self._report.add(error)
            if not name.startswith("_"):
                self._report.add(errors.flows.UnusedShared(span=shared.span, name=name))

    def finish(self, *, outputs_named: bool = False) -> None:
        """Warns of named values that nothing used; without named outputs what flows out is used."""
        if not outputs_named:
            self._mark_used(self.flow)
        self._warn_of_unused(self._values)

    def _warn_of_unused(self, values: Mapping[str, _Named]) -> None:
        used = {named.together for named in values.values() if named.used}
        for name, named in values.items():
            if named.together not in used and not name.startswith("_"):
                self._report.add(errors.flows.UnusedValue(span=named.span, name=name))
                used.add(named.together)

    def look_up(self, name: str, span: Span) -> GraphValue:
        """A named value; raises `CheckError` if there is none, `AlreadyReported` if it is unknown."""
        named = self._values.get(name)
        if named is None:
            if name in {*LAYERS, *self._definitions.cells, *self._definitions.blocks}:
                raise CheckError(errors.layers.LayerNotCalled(span=span, name=name))
            if name in self._shared:
                raise CheckError(
                    errors.flows.UnknownValue(span=span, name=name, help=f"`{name}` is a shared layer: bring it a value, `value -> {name}`")
                )
            if name == "as":
                told = "a value's name stands before its flow: `name = value -> Layer()`"
                raise CheckError(errors.flows.UnknownValue(span=span, name=name, help=told))
            known = [*self._values, *self._shared, *LAYERS, *self._definitions.cells, *self._definitions.blocks]
            raise CheckError(errors.flows.UnknownValue(span=span, name=name, help=nearest(name, known)))
        named.used = True
        if named.value is None:
            raise AlreadyReported
        return named.value

    def _keep(self, name: str, named: _Named) -> None:
        self._values[name] = named
        if named.value is not None:
            self._named.setdefault(named.value.number, {})[name] = named

    def _take(self, name: str, span: Span) -> None:
        for kind, known in (("value", self._values), ("shared layer", self._shared)):
            if name in known:
                raise CheckError(
                    errors.flows.ValueName(span=span, name=name, kind=kind, secondary=(Label(known[name].span, "declared here"),))
                )

    def _flow(self, statement: ast.Flow) -> None:
        flow: Flow = None
        first, *rest = statement.stages
        known = self._report.count
        with self._report.catching():
            flow = self._begin(first)
        for stage in rest:
            before, flow = flow, None
            with self._report.catching():
                flow = self._through(stage, before)
        self.flow = flow
        if statement.targets:
            with self._report.catching():
                self._name(statement, flow, self._report.count == known)

    def _begin(self, stage: ast.Stage) -> Flow:
        match stage:
            case ast.Call():
                return self._layer(stage, self._before(stage))
            case ast.Reference():
                if stage.name in self._shared:
                    return self._use_shared(stage, self._before(stage))
                self.last = None
                return (self.look_up(stage.name, stage.span),)
            case ast.Join():
                self.last = None
                return tuple(self.look_up(item.name, item.span) for item in stage.items)
            case _:
                assert_never(stage)

    def _before(self, stage: ast.Call | ast.Reference) -> Flow:
        """The operands of a layer without an arrow: the last flow, or the only input."""
        name = stage.callee.text if isinstance(stage, ast.Call) else stage.name
        if self.flow == () and len(self._inputs) > 1:
            inputs = ", ".join(f"`{each}`" for each in self._inputs)
            span = stage.callee.span if isinstance(stage, ast.Call) else stage.span
            example = f"{self._inputs[0]} -> {name}{'(...)' if isinstance(stage, ast.Call) else ''}"
            self.flow = None
            self._report.add(errors.flows.WhichInput(span=span, layer=name, inputs=inputs, example=example))
        self._mark_used(self.flow)
        return self.flow

    def _mark_used(self, flow: Flow) -> None:
        for value in flow or ():
            for named in self._named.get(value.number, {}).values():
                named.used = True

    def _through(self, stage: ast.Stage, flow: Flow) -> Flow:
        match stage:
            case ast.Call():
                return self._layer(stage, flow)
            case ast.Reference():
                if stage.name in self._shared:
                    return self._use_shared(stage, flow)
                if stage.name in self._values:
                    raise CheckError(errors.flows.NotALayer(span=stage.span, name=stage.name))
                known = {*LAYERS, *self._definitions.cells, *self._definitions.blocks}
                if stage.name in known:
                    raise CheckError(errors.layers.LayerNotCalled(span=stage.span, name=stage.name))
                told = f"a value's name stands before its flow, `{stage.name} = ...`, and a layer has parentheses, `{stage.name}(...)`"
                raise unknown_layer(stage.name, stage.span, {*known, *self._shared}, told)
            case ast.Join(items=items):
                raise CheckError(errors.flows.NotALayer(span=stage.span, name=f"[{', '.join(item.name for item in items)}]"))
            case _:
                assert_never(stage)

    def _layer(self, call: ast.Call, flow: Flow) -> Flow:
        flow = self._one_or_joined(call, call.callee.span, call.callee.text, flow)
        return self._apply(call, flow, self._names)

    def _apply(self, call: ast.Call, flow: Flow, names: LayerNames, given_name: str | None = None) -> Flow:
        """A layer or a block at work; `given_name`: of a shared one."""
        if call.callee.text in self._definitions.blocks:
            return self._block(call, flow, names, given_name)
        maker = self._maker
        if names is not self._names:
            maker = LayerMaker(self._definitions.cells, self._scope, names, self._origins, self.look_up, self._report)
        return self._applied(maker.make(call, flow, given_name), call.callee.span)

    def _applied(self, made: BuiltLayer, span: Span) -> tuple[GraphValue, ...]:
        results = self._builder.apply(made, span)
        self.last = self._builder.applications[-1]
        return results

    def _one_or_joined(self, call: ast.Call, span: Span, layer: str, flow: Flow) -> Flow:
        """Several results of one layer must be named before one of them can go on, but to a layer that takes several."""
        if takes_several(call.callee.text):
            return flow
        if flow is not None and len(flow) > 1 and self.last is not None and flow == self.last.results:
            names = ", ".join("abcdefgh"[: len(flow)])
            secondary = (Label(self._names.place(self.last.layer.name), f"gives {len(flow)} values"),)
            self._report.add(errors.flows.SeveralValues(span=span, layer=layer, count=len(flow), names=names, secondary=secondary))
            return None
        return flow

    def _use_shared(self, stage: ast.Reference, flow: Flow) -> Flow:
        shared = self._shared[stage.name]
        shared.used = True
        flow = self._one_or_joined(shared.call, stage.span, stage.name, flow)
        first = shared.names is None
        if shared.names is None:
            shared.names = self._names.once_more()
        start = len(self._builder.applications)
        with self._report.within(stage.span):
            results = self._apply(shared.call, flow, self._names if first else shared.names.once_more(), shared.given_name)
        layers = tuple(application.layer for application in self._builder.applications[start:])
        shared.layers = shared.layers or layers
        if [layer.weights for layer in layers] != [layer.weights for layer in shared.layers]:
            found = ", ".join(str(value.type) for value in flow or ())
            raise CheckError(errors.flows.SharedMisfit(span=stage.span, name=stage.name, found=found))
        return results

    def _block(self, call: ast.Call, flow: Flow, names: LayerNames, given_name: str | None) -> Flow:
        block = self._definitions.blocks[call.callee.text]
        name = block.name.text
        if name in self._inside:
            raise CheckError(errors.flows.BlockInItself(span=call.callee.span, name=name))
        inside = self._deeper(name, call.callee.span)
        self._report.walk(call.callee.span, limits.BLOCK)
        bound = bind_parameters(block, parameter_arguments(block.parameters), (NAME, TRAINABLE), call, self._scope, self._report)
        if not block.statements:
            raise CheckError(errors.flows.EmptyBlock(span=block.name.span, name=name))
        if bound is None:
            raise AlreadyReported
        own = names.take(bound.options.word("name") or given_name or names.automatic(name), call.callee.span)
        if not bound.options.flag("trainable"):
            names.frozen[own] = None
        if flow is not None and len(flow) > 1:
            raise CheckError(errors.flows.TakesOne(span=call.callee.span, layer=name, count=len(flow)))
        flows = ModelBuilder(self._builder, self._definitions, bound.scope, names.inside(own), self._origins, flow, inside)
        with self._report.within(call.callee.span):
            flows.reserve(block.statements)
            flows.run(block.statements)
            flows.check_unused()
            flows.finish()
        self.last = flows.last
        return flows.flow

    def _repeat(self, statement: ast.Repeat) -> None:
        count, inside = -1, self._inside
        with self._report.catching():
            given = evaluate(statement.count, self._scope)
            if isinstance(given.value, bool) or not isinstance(given.value, int) or not 0 <= given.value <= limits.LAYERS:
                raise CheckError(errors.flows.RepeatCount(span=statement.count.span, found=describe(given.value), limit=limits.LAYERS))
            inside = self._deeper("repeat", statement.count.span)
            count = given.value
        if count < 0:
            self.flow = None
            return
        outside, self._inside = self._inside, inside
        for _ in range(count):
            self._report.walk(statement.count.span)
            before, values, shared = self._report.count, dict(self._values), dict(self._shared)
            self.run(statement.statements)
            self.check_unused(shared)
            self._mark_used(self.flow)
            of_this_round = {name: named for name, named in self._values.items() if name not in values}
            self._warn_of_unused(of_this_round)
            for name, named in of_this_round.items():
                if named.value is not None:
                    del self._named[named.value.number][name]
            self._values, self._shared = values, shared
            if self._report.count != before:
                break
        self._inside = outside

    def _deeper(self, what: str, span: Span) -> tuple[str, ...]:
        """The enclosing blocks and repeats with one more; raises `CheckError` above the limit, since this walk is recursive."""
        if len(self._inside) >= limits.NESTING:
            raise CheckError(errors.flows.BlocksTooDeep(span=span, limit=limits.NESTING))
        return (*self._inside, what)

    def _name(self, statement: ast.Flow, flow: Flow, sound: bool) -> None:
        """Gives the statement's values their names; unknown ones too, so that what reads them isn't reported again."""
        targets = statement.targets
        values: Sequence[GraphValue | None] = flow if flow is not None else [None] * len(targets)
        if len(values) != len(targets):
            names = f"{len(targets)} name{'s' if len(targets) > 1 else ''}"
            found = f"{len(values)} value{'s' if len(values) > 1 else ''}"
            last = statement.stages[-1]
            layer = last.callee.text if isinstance(last, ast.Call) else "this"
            span = statement.targets[0].span.to(statement.targets[-1].span) if statement.targets else statement.span
            self._report.add(errors.flows.ValueCount(span=span, layer=layer, names=names, values=found))
            values, sound = [None] * len(targets), False
        for target, value in zip(targets, values, strict=True):
            with self._report.catching():
                self._take(target.text, target.span)
                self._value_names.add(target.text)
                self._keep(target.text, _Named(value, target.span, not sound, statement.span.start))
