"""Recurrent layers: a cell as a layer, cells on each other as one, and two of them in opposite directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rnnspec.diagnostics import Label
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import Bindings, bind
from rnnspec.frontend.binding.layer_names import LayerNames
from rnnspec.frontend.binding.misplaced_arguments import inner_arguments
from rnnspec.frontend.binding.values import AlreadyReported, CallValue, CheckError, LocatedValue, Report, Scope, Symbol, describe
from rnnspec.frontend.catalogue.layers import LAYER_OPTIONS, LAYERS
from rnnspec.frontend.cells.instantiate import BoundCell, bind_cell, instantiate
from rnnspec.frontend.graph.graph import GraphTensor, GraphValue
from rnnspec.frontend.graph.layers import Bidirectional, MergeMode, Recurrent, RecurrentCell
from rnnspec.frontend.layers.checks import BuiltLayer, InputSpans, ShapeRules, one, unknown_layer
from rnnspec.frontend.layers.weight_options import activity_of, cell_weights
from rnnspec.frontend.syntax import ast
from rnnspec.source import Span

STACK = "RNN"
"""The layer of one cell or of several, each of which takes what the one before gives in the same step."""


@dataclass(frozen=True, slots=True)
class BoundLayer:
    """A recurrent layer with its arguments, not yet with what flows in. `stacked`: its cells have names of their own."""

    call: ast.Call
    cells: tuple[BoundCell, ...]
    options: Bindings
    stacked: bool


class RecurrentMaker:
    """Makes the recurrent layers of a model or of a block's use. `look_up` finds a named value of the graph."""

    def __init__(
        self,
        cells: Mapping[str, ast.Cell],
        names: LayerNames,
        origins: InputSpans,
        checks: ShapeRules,
        look_up: Callable[[str, Span], GraphValue],
        report: Report,
    ) -> None:
        self._cells = cells
        self._names = names
        self._origins = origins
        self._checks = checks
        self._look_up = look_up
        self._report = report

    def layer(self, call: ast.Call, scope: Scope, operands: tuple[GraphValue, ...] | None, given_name: str | None) -> BuiltLayer:
        """Of a cell's call, or of `RNN`."""
        bound = self._bound(call, scope)
        name = bound.options.word("name") or given_name or self._names.automatic(call.callee.text)
        name = self._names.take(name, call.callee.span)
        inner = self._cell_names(bound)
        if operands is None:
            raise AlreadyReported
        source, given = one(call, operands), bound.options.given("initial_state")
        states = self._initial_states(given, call.callee.text, stateful=bound.options.flag("stateful"))
        layer, results = self._recurrent(name, name, name, inner, bound, source, bool(states))
        self._check_states(call.callee.text, given, states, [state.width for state in layer.states])
        return BuiltLayer(layer, (source, *states), results)

    def bidirectional(
        self, bindings: Bindings, call: ast.Call, operands: tuple[GraphValue, ...] | None, given_name: str | None
    ) -> BuiltLayer:
        forward_layer, other = self._wrapped(bindings.given("layer")), bindings.given("backward_layer")
        backward_layer = forward_layer if other.value is None else self._wrapped(other)
        options = forward_layer.options
        if other.value is not None:
            self._check_backward_layer(backward_layer, forward_layer, other)
        inner = self._inner_name(forward_layer)
        forward_name, forward_cells = f"forward_{inner}", self._cell_names(forward_layer)
        backward_name = f"backward_{inner if other.value is None else self._inner_name(backward_layer)}"
        backward_cells = self._cell_names(backward_layer)
        name = self._names.take(bindings.word("name") or given_name or self._names.automatic("Bidirectional"), call.callee.span)
        if operands is None:
            raise AlreadyReported
        source = one(call, operands)
        for half in (forward_layer, backward_layer):
            if half.options.given("initial_state").value is not None:
                raise CheckError(_inner_option(half.options, "initial_state", "Bidirectional", "both directions"))
        states = self._initial_states(bindings.given("initial_state"), "Bidirectional", stateful=options.flag("stateful"))
        given = bool(states)
        forward, results = self._recurrent(name, forward_name, f"{name}/{forward_name}", forward_cells, forward_layer, source, given)
        backward, others = self._recurrent(name, backward_name, f"{name}/{backward_name}", backward_cells, backward_layer, source, given)
        backward = replace(backward, go_backwards=not forward.go_backwards)
        widths = [state.width for layer in (forward, backward) for state in layer.states]
        self._check_states("Bidirectional", bindings.given("initial_state"), states, widths)
        mode = MergeMode(bindings.word("merge_mode") or "none")
        outputs = self._merged_directions(mode, call, results[0], replace(others[0], flipped=results[0].flipped))
        layer = Bidirectional(name, forward, backward, mode)
        return BuiltLayer(layer, (source, *states), (*outputs, *results[1:], *others[1:]))

    def _bound(self, call: ast.Call, scope: Scope) -> BoundLayer:
        if call.callee.text != STACK:
            cell = self._bound_cell(call, scope)
            return BoundLayer(call, (cell,), cell.options, stacked=False)
        bindings = bind(STACK, LAYERS[STACK].arguments, call, scope, self._report, inner_arguments(call, self._cells))
        if bindings is None:
            raise AlreadyReported
        given = bindings.given("cell")
        items = given.value if isinstance(given.value, tuple) else (given,)
        if not items:
            raise CheckError(errors.layers.NotACell(span=given.span, found="an empty list"))
        return BoundLayer(call, tuple(self._stacked_cell(item) for item in items), bindings, stacked=True)

    def _bound_cell(self, call: ast.Call, scope: Scope) -> BoundCell:
        cell = bind_cell(self._cells[call.callee.text], call, scope, self._report)
        if cell is None:
            raise AlreadyReported
        return cell

    def _stacked_cell(self, given: LocatedValue) -> BoundCell:
        """A cell in `RNN`, which has the options of the layer."""
        if isinstance(given.value, Symbol) and given.value.name in self._cells:
            raise CheckError(errors.layers.LayerNotCalled(span=given.span, name=given.value.name))
        if not isinstance(given.value, CallValue):
            raise CheckError(errors.layers.NotACell(span=given.span, found=f"`{describe(given.value)}`"))
        call = given.value.call
        if call.callee.text in LAYERS:
            raise CheckError(errors.layers.NotACell(span=call.callee.span, found=f"`{call.callee.text}`"))
        if call.callee.text not in self._cells:
            raise unknown_layer(call.callee.text, call.callee.span, set(self._cells))
        cell = self._bound_cell(call, given.value.scope)
        for option in LAYER_OPTIONS:
            if option.name in cell.options.values and cell.options.given(option.name).value != option.default:
                raise CheckError(_inner_option(cell.options, option.name, STACK, "all its cells"))
        return cell

    def _wrapped(self, given: LocatedValue) -> BoundLayer:
        """A recurrent layer with its arguments, given as an argument."""
        if isinstance(given.value, Symbol) and given.value.name in {STACK, *self._cells}:
            raise CheckError(errors.layers.LayerNotCalled(span=given.span, name=given.value.name))
        if not isinstance(given.value, CallValue):
            raise CheckError(errors.layers.NotRecurrent(span=given.span, found=f"`{describe(given.value)}`"))
        inner = given.value.call
        if inner.callee.text in LAYERS and inner.callee.text != STACK:
            raise CheckError(errors.layers.NotRecurrent(span=inner.callee.span, found=f"`{inner.callee.text}`"))
        if inner.callee.text not in {STACK, *self._cells}:
            raise unknown_layer(inner.callee.text, inner.callee.span, {STACK, *self._cells})
        return self._bound(inner, given.value.scope)

    def _check_backward_layer(self, backward: BoundLayer, forward: BoundLayer, given: LocatedValue) -> None:
        """Keras asks for the opposite direction, and for the same of what both must agree in."""
        if backward.options.flag("go_backwards") is forward.options.flag("go_backwards"):
            problem, which = ("goes backwards like the layer", "one") if forward.options.flag("go_backwards") else ("goes forwards", "it")
            raise CheckError(
                errors.layers.BackwardLayer(span=given.span, problem=problem, help=f"write `go_backwards = true` in {which} alone")
            )
        for option in ("return_sequences", "return_state", "stateful"):
            ours, theirs = (describe(half.options.flag(option)) for half in (backward, forward))
            if ours != theirs:
                secondary = (Label(forward.call.callee.span, f"has `{option} = {theirs}`"),)
                help_ = f"write `{option} = true` in both or in neither"
                raise CheckError(
                    errors.layers.BackwardLayer(span=given.span, problem=f"has `{option} = {ours}`", secondary=secondary, help=help_)
                )

    def _inner_name(self, bound: BoundLayer) -> str:
        return bound.options.word("name") or self._names.inner(bound.call.callee.text)

    def _cell_names(self, bound: BoundLayer) -> tuple[str, ...]:
        """Of cells that have names of their own."""
        if not bound.stacked:
            return ()
        return tuple(cell.options.word("name") or self._names.inner(cell.definition.name.text) for cell in bound.cells)

    def _recurrent(
        self, owner: str, name: str, path: str, cell_names: Sequence[str], bound: BoundLayer, operand: GraphValue, initial_state: bool
    ) -> tuple[Recurrent, tuple[GraphTensor, ...]]:
        features = self._checks.numbers(bound.call, operand)
        value = self._checks.sequence(bound.call, operand)
        places = self._names.inside(path)
        paths = [places.take(own, cell.call.callee.span) for own, cell in zip(cell_names, bound.cells, strict=bound.stacked)] or [path]
        options = bound.options
        layer = Recurrent(
            name,
            path,
            tuple(self._made_cells(paths, bound.cells, features)),
            options.flag("return_sequences"),
            options.flag("return_state"),
            options.flag("go_backwards"),
            options.flag("zero_output_for_mask"),
            options.flag("stateful"),
            initial_state,
        )
        if layer.return_sequences:
            output = GraphTensor(
                (value.shape[0], layer.width), value.steps, flipped=value.flipped is not layer.go_backwards, computed=owner
            )
        else:
            output = GraphTensor((layer.width,), computed=owner, ended=owner)
        layer = replace(layer, activity_regularizer=activity_of(options, output, self._report))
        states = [GraphTensor((state.width,), computed=owner, ended=owner) for state in layer.states] if layer.return_state else []
        return layer, (output, *states)

    def _made_cells(self, paths: Sequence[str], cells: Sequence[BoundCell], features: int) -> Iterator[RecurrentCell]:
        for path, cell in zip(paths, cells, strict=True):
            step = instantiate(cell, features, self._report)
            if step is None:
                raise AlreadyReported
            weights = cell_weights(cell, step, path, self._report)
            yield RecurrentCell(path, step, cell.options.real("dropout"), cell.options.real("recurrent_dropout"), weights)
            features = step.width

    def _initial_states(self, given: LocatedValue, layer: str, *, stateful: bool) -> tuple[GraphValue, ...]:
        match given.value:
            case None:
                return ()
            case _ if stateful:
                problem = "a stateful layer starts from what the call before left"
                raise CheckError(errors.flows.InitialStates(span=given.span, layer=layer, problem=problem))
            case Symbol(name):
                return (self._look_up(name, given.span),)
            case tuple() as items if items and all(isinstance(item.value, Symbol) for item in items):
                return tuple(self._look_up(item.value.name, item.span) for item in items if isinstance(item.value, Symbol))
            case _:
                problem = f"expected a value's name, or a list of names, got {describe(given.value)}"
                raise CheckError(errors.flows.InitialStates(span=given.span, layer=layer, problem=problem))

    def _check_states(self, layer: str, given: LocatedValue, states: Sequence[GraphValue], widths: Sequence[int]) -> None:
        if not states:
            return
        if len(states) != len(widths):
            counts = [f"{len(each)} {word}{'' if len(each) == 1 else 's'}" for word, each in (("state", widths), ("value", states))]
            problem = f"it has {counts[0]}, got {counts[1]}"
            raise CheckError(errors.flows.InitialStates(span=given.span, layer=layer, problem=problem))
        for state, width in zip(states, widths, strict=True):
            if state.type.ids or state.type.shape != (width,):
                problem = f"expected float[batch, {width}], got {state.type}"
                raise CheckError(
                    errors.flows.InitialStates(span=given.span, layer=layer, problem=problem, secondary=self._origins.label(state))
                )

    def _merged_directions(self, mode: MergeMode, call: ast.Call, forward: GraphTensor, backward: GraphTensor) -> tuple[GraphTensor, ...]:
        if mode is MergeMode.NONE:
            return forward, backward
        if mode is MergeMode.CONCAT:
            return (forward.with_features(forward.features + backward.features),)
        if forward.features != backward.features:
            problem = f"different numbers of features: {forward}, {backward}"
            raise CheckError(errors.flows.MergeMisfit(span=call.callee.span, layer="Bidirectional", problem=problem))
        return (forward,)


def _inner_option(options: Bindings, option: str, layer: str, parts: str) -> errors.layers.InnerOption:
    return errors.layers.InnerOption(span=options.span(option), option=option, layer=layer, parts=parts)
