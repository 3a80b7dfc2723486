"""Recurrent layers: a cell as a layer, or cells on each other as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rnnspec.contract.signature import Config, StateSignature
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import Bindings, bind
from rnnspec.frontend.binding.call_data import call_of
from rnnspec.frontend.binding.misplaced_arguments import inner_arguments
from rnnspec.frontend.binding.values import AlreadyReported, CallValue, CheckError, LocatedValue, Scope, Symbol, describe
from rnnspec.frontend.catalogue.layers import LAYER_OPTIONS, LAYERS
from rnnspec.frontend.cells.cell_ir import CellState, Step
from rnnspec.frontend.cells.cell_printer import step_lines
from rnnspec.frontend.cells.instantiate import BoundCell, bind_cell, instantiate
from rnnspec.frontend.graph.graph import Application, GraphTensor, GraphValue
from rnnspec.frontend.graph.layer import Layer, LayerWeight
from rnnspec.frontend.layers import rules
from rnnspec.frontend.layers.checks import BuiltLayer, one, unknown_layer
from rnnspec.frontend.layers.rules import CheckContext, LayerRules, MaskAdvice, MaskedSteps, MaskFate, MaskRule, OfCall
from rnnspec.frontend.layers.show import INDENT, chosen, flag, weight_lines
from rnnspec.frontend.layers.weight_options import activity_of, cell_weights
from rnnspec.frontend.lowering.cell_step import StepLowering, gates_of
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Computed, Flow, PackedSequence, RowValue, over_steps
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen
from rnnspec.ir.ops import Value
from rnnspec.ir.types import BATCH

STACK = "RNN"
"""The layer of one cell or of several, each of which takes what the one before gives in the same step."""


@frozen
class RecurrentCell:
    """A cell in a recurrent layer; `weights` are those of the step, in its order, under their full paths."""

    path: str
    """The layer's own name, or in `RNN` a name below it."""
    step: Step
    dropout: float
    recurrent_dropout: float
    weights: tuple[LayerWeight, ...]


@frozen
class Recurrent(Layer):
    """A cell as a layer, or several in a stack: each takes what the one before gives in the same step.

    Takes the sequence, then with `initial_state` a value for each state; gives the output, then with
    `return_state` each state after the last step.
    """

    path: str
    """The full name, of one in another layer too."""
    cells: tuple[RecurrentCell, ...]
    return_sequences: bool
    return_state: bool
    go_backwards: bool
    zero_output_for_mask: bool
    stateful: bool
    initial_state: bool
    activity_regularizer: Config | None = None

    @property
    def kind(self) -> str:
        """The layer's type as a spec writes it, without arguments."""
        if self.cells[0].path == self.path:
            return self.cells[0].step.cell
        return f"RNN([{', '.join(cell.step.cell for cell in self.cells)}])"

    @property
    def width(self) -> int:
        """The output's number of features."""
        return self.cells[-1].step.width

    @property
    def states(self) -> tuple[CellState, ...]:
        """The states of all cells, under their names within the layer."""
        return tuple(
            CellState(f"{cell.path}/{state.name}".removeprefix(f"{self.path}/"), state.width)
            for cell in self.cells
            for state in cell.step.states
        )

    @property
    def weights(self) -> tuple[LayerWeight, ...]:
        """The cells' weights, first cell first."""
        return tuple(weight for cell in self.cells for weight in cell.weights)


@frozen
class BoundLayer:
    """A recurrent layer with its arguments, not yet with what flows in. `stacked`: its cells have names of their own."""

    call: ast.Call
    cells: tuple[BoundCell, ...]
    options: Bindings
    stacked: bool

    @property
    def data(self) -> Config:
        """The call with all its arguments, of an `RNN` with its cells."""
        cells = tuple(call_of(cell.definition.name.text, {**cell.scope.parameters, **cell.options.values}) for cell in self.cells)
        return call_of(STACK, self.options.values, cell=cells) if self.stacked else cells[0]


class RecurrentMaker:
    """Makes recurrent layers, of a model or of a block's use."""

    def __init__(self, context: CheckContext) -> None:
        self._context = context
        self._cells = context.cells
        self._names = context.names

    def layer(self, call: ast.Call, operands: tuple[GraphValue, ...] | None, given_name: str | None) -> BuiltLayer:
        """Of a cell's call, or of `RNN`."""
        bound = self._bound(call, self._context.scope)
        name = self._context.name(call, bound.options, given_name)
        inner = self.cell_names(bound)
        if operands is None:
            raise AlreadyReported
        source, given = one(call, operands), bound.options.given("initial_state")
        states = self.initial_states(given, call.callee.text, stateful=bound.options.flag("stateful"))
        layer, results = self.recurrent(name, name, name, inner, bound, source, bool(states))
        self.check_states(call.callee.text, given, states, [state.width for state in layer.states])
        return BuiltLayer(layer, (source, *states), results, bound.data)

    def _bound(self, call: ast.Call, scope: Scope) -> BoundLayer:
        if call.callee.text != STACK:
            cell = self._bound_cell(call, scope)
            return BoundLayer(call, (cell,), cell.options, stacked=False)
        bindings = bind(STACK, LAYERS[STACK].arguments, call, scope, self._context.report, inner_arguments(call, self._cells))
        if bindings is None:
            raise AlreadyReported
        given = bindings.given("cell")
        items = given.value if isinstance(given.value, tuple) else (given,)
        if not items:
            raise CheckError(errors.layers.NotACell(span=given.span, found="an empty list"))
        return BoundLayer(call, tuple(self._stacked_cell(item) for item in items), bindings, stacked=True)

    def _bound_cell(self, call: ast.Call, scope: Scope) -> BoundCell:
        cell = bind_cell(self._cells[call.callee.text], call, scope, self._context.report)
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
                raise CheckError(inner_option(cell.options, option.name, STACK, "all its cells"))
        return cell

    def wrapped(self, given: LocatedValue) -> BoundLayer:
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

    def inner_name(self, bound: BoundLayer) -> str:
        """The name of a layer inside a wrapper: as given, else made from the layer's own."""
        return bound.options.word("name") or self._names.inner(bound.call.callee.text)

    def cell_names(self, bound: BoundLayer) -> tuple[str, ...]:
        """Of cells that have names of their own."""
        if not bound.stacked:
            return ()
        return tuple(cell.options.word("name") or self._names.inner(cell.definition.name.text) for cell in bound.cells)

    def recurrent(
        self, owner: str, name: str, path: str, cell_names: Sequence[str], bound: BoundLayer, operand: GraphValue, initial_state: bool
    ) -> tuple[Recurrent, tuple[GraphTensor, ...]]:
        """The layer of checked bindings, and the types of its results: the output, then the states if they are returned."""
        features = self._context.shapes.numbers(bound.call, operand)
        value = self._context.shapes.sequence(bound.call, operand)
        places = self._names.inside(path)
        paths = [places.take(own, cell.call.callee.span) for own, cell in zip(cell_names, bound.cells, strict=bound.stacked)] or [path]
        options = bound.options
        for own, part in ((path, bound), *zip(paths, bound.cells if bound.stacked else (), strict=bound.stacked)):
            if not part.options.flag("trainable"):
                self._names.frozen[own] = None
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
        layer = replace(layer, activity_regularizer=activity_of(options, output, self._context.report))
        states = [GraphTensor((state.width,), computed=owner, ended=owner) for state in layer.states] if layer.return_state else []
        return layer, (output, *states)

    def _made_cells(self, paths: Sequence[str], cells: Sequence[BoundCell], features: int) -> Iterator[RecurrentCell]:
        for path, cell in zip(paths, cells, strict=True):
            step = instantiate(cell, features, self._context.report)
            if step is None:
                raise AlreadyReported
            weights = cell_weights(cell, step, path, self._context.report)
            yield RecurrentCell(path, step, cell.options.real("dropout"), cell.options.real("recurrent_dropout"), weights)
            features = step.width

    def initial_states(self, given: LocatedValue, layer: str, *, stateful: bool) -> tuple[GraphValue, ...]:
        """The values that `initial_state` names, none where it isn't given; CheckError for anything but names of values."""
        match given.value:
            case None:
                return ()
            case _ if stateful:
                problem = "a stateful layer starts from what the call before left"
                raise CheckError(errors.flows.InitialStates(span=given.span, layer=layer, problem=problem))
            case Symbol(name):
                return (self._context.look_up(name, given.span),)
            case tuple() as items if items and all(isinstance(item.value, Symbol) for item in items):
                return tuple(self._context.look_up(item.value.name, item.span) for item in items if isinstance(item.value, Symbol))
            case _:
                problem = f"expected a value's name, or a list of names, got {describe(given.value)}"
                raise CheckError(errors.flows.InitialStates(span=given.span, layer=layer, problem=problem))

    def check_states(self, layer: str, given: LocatedValue, states: Sequence[GraphValue], widths: Sequence[int]) -> None:
        """Refuses initial states of another number or other widths than the cells' states."""
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
                    errors.flows.InitialStates(span=given.span, layer=layer, problem=problem, secondary=self._context.origins.label(state))
                )


def inner_option(options: Bindings, option: str, layer: str, parts: str) -> errors.layers.InnerOption:
    """An option of a layer inside another that is the other's to say."""
    return errors.layers.InnerOption(span=options.span(option), option=option, layer=layer, parts=parts)


@frozen
class Scanned:
    """A cell's results: its output at every step, [tokens, w], or after the last one, [batch, w]; the states after the last step."""

    output: Value
    states: Sequence[Value]


class RecurrentLowering:
    """Emits recurrent layers into one function.

    With `streaming` every layer goes on where the call before ended, as stateful ones always do.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._b = tools.builder

    def recurrent(self, layer: Recurrent, flow: PackedSequence, states: Sequence[Value]) -> tuple[Computed, ...]:
        """One scan a cell; a stacked cell walks the steps in the order of the cell below."""
        given, finals = list(states), list[Value]()
        backwards, output = layer.go_backwards, flow
        for cell in layer.cells[:-1]:
            own, given = given[: len(cell.step.states)], given[len(cell.step.states) :]
            scan = self._scan(layer, cell, output, own, backwards=backwards, every_step=True)
            finals += scan.states
            output, backwards = replace(output, value=scan.output, flip=backwards is not output.flip), False
        last = self._scan(layer, layer.cells[-1], output, given, backwards=backwards, every_step=layer.return_sequences)
        first: Computed = RowValue(last.output)
        if layer.return_sequences:
            fill = self._tools.constant(0.0, (1, layer.width))
            first = PackedSequence(last.output, fill, flow.steps, hold=not layer.zero_output_for_mask, flip=backwards is not output.flip)
        return (first, *(RowValue(state) for state in (*finals, *last.states))) if layer.return_state else (first,)

    def _scan(
        self, layer: Recurrent, cell: RecurrentCell, flow: PackedSequence, states: Sequence[Value], *, backwards: bool, every_step: bool
    ) -> Scanned:
        """A scan over the flow. A flipped flow is walked from its end to go forwards in its own order."""
        index, step = self._tools.index(flow.steps), cell.step
        starts = self._starts(layer, cell, states)
        names = [state.name for state in step.states]
        if not every_step:
            if self._tools.streaming:
                returned = self._tools.carried(returned_name(layer), step.width)
            else:
                returned = self._tools.constant(0.0, (BATCH, step.width))
            starts, names = [*starts, returned], [*names, "y"]
        masks = self._step_masks(cell)
        sequence = flow.value
        if self._tools.draws.drops(cell.dropout) and not cell.recurrent_dropout:
            row = self._tools.draws.dropped(cell.dropout, self._tools.constant(1.0, (BATCH, step.features)))
            sequence = self._b.mul(sequence, over_steps(self._b, row, index))
        hints = [*names, *(f"{name}_drop" for name, _ in masks)]
        inits = [self._b.sort_rows(init, index) for init in (*starts, *masks.values())]
        reverse = backwards is not flow.flip
        scan = self._b.scan(index, inits, [sequence], reverse=reverse, carried_names=hints, slice_names=["x"])
        values = {state.name: value for state, value in zip(step.states, scan.carried, strict=False)} | {"x": scan.slices[0]}
        drops = dict(zip(masks, scan.carried[len(starts) :], strict=True))
        weights = {own.name: self._tools.weights[full.path] for own, full in zip(step.weights, cell.weights, strict=True)}
        after, output = StepLowering(scan, self._tools.dtype, weights, values, drops).run(step)
        stacks = [output] if every_step else []
        result = scan.finish(
            [*after, *([] if every_step else [output]), *drops.values()],
            stacks,
            final_names=[f"{name}_final" for name in hints],
            stack_names=[f"{layer.name}{cell.path.removeprefix(layer.path)}/output"] * len(stacks),
        )
        finals = [self._b.restore_rows(final, index) for final in result.finals[: len(starts)]]
        after_last = finals[: len(step.states)]
        if layer.stateful or self._tools.streaming:
            for state, final in zip(step.states, after_last, strict=True):
                self._tools.carry(f"{cell.path}/{state.name}", final)
        if every_step:
            return Scanned(result.stacks[0], after_last)
        if self._tools.streaming:
            self._tools.carry(returned_name(layer), finals[-1])
        return Scanned(finals[-1], after_last)

    def _starts(self, layer: Recurrent, cell: RecurrentCell, given: Sequence[Value]) -> list[Value]:
        """A cell's states before the first step: zeros, those given, or what the call before left, if there was one."""
        if not layer.stateful and not self._tools.streaming:
            return list(given) or [self._tools.constant(0.0, (BATCH, state.width)) for state in cell.step.states]
        carried = [self._tools.carried(f"{cell.path}/{state.name}", state.width) for state in cell.step.states]
        if not given:
            return carried
        begun = self._tools.carried(begun_name(cell), 1)
        self._tools.carry(begun_name(cell), self._tools.constant(1.0, (BATCH, 1)))
        return [self._chosen(begun, left, first) for left, first in zip(carried, given, strict=True)]

    def _chosen(self, begun: Value, left: Value, given: Value) -> Value:
        """`left` in rows that have begun, else `given`."""
        has_begun = self._b.broadcast_like(begun, left)
        return self._b.select(self._b.greater(has_begun, self._b.constant_like(0.0, left)), left, given)

    def _step_masks(self, cell: RecurrentCell) -> dict[tuple[str, int], Value]:
        """With recurrent dropout, what is multiplied with a weight in a step is dropped apart for each gate, the same at every step."""
        if not self._tools.draws.drops(cell.recurrent_dropout):
            return {}
        rates = dict.fromkeys((state.name for state in cell.step.states), cell.recurrent_dropout) | {"x": cell.dropout}
        widths = {state.name: state.width for state in cell.step.states} | {"x": cell.step.features}
        return {
            (name, gate): self._tools.draws.dropped(rates[name], self._tools.constant(1.0, (BATCH, widths[name])))
            for name, gates in gates_of(cell.step).items()
            for gate in range(gates)
            if rates[name]
        }


def returned_name(layer: Recurrent) -> str:
    """The name of the last output among a stream's states; no cell's state can have it."""
    return f"{layer.path}/return"


def begun_name(cell: RecurrentCell) -> str:
    """The name, among a stream's states, of 1 for rows that have left their initial states; no cell's state can have it."""
    return f"{cell.path}/state"


def _check(context: CheckContext, call: ast.Call, operands: tuple[GraphValue, ...] | None, given_name: str | None) -> BuiltLayer:
    return RecurrentMaker(context).layer(call, operands, given_name)


def _lower(tools: Tools, layer: Recurrent, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    source, *states = operands
    results = RecurrentLowering(tools).recurrent(layer, tools.packed(source), tools.rows(states))
    tools.observe(layer.activity_regularizer, *results)
    return results


def mask_of(layer: Recurrent) -> MaskRule:
    """All steps hand the mask on, the last step's output has none."""
    return MaskRule(MaskFate.PASSED if layer.return_sequences else MaskFate.CONSUMED, MaskAdvice.CONSUME)


def _masked_steps(layer: Recurrent, _: Application) -> MaskedSteps:
    return MaskedSteps.ZERO if layer.zero_output_for_mask else MaskedSteps.HELD


def draws(layer: Recurrent) -> bool:
    """Whether training draws dropout masks for a cell."""
    return any(cell.dropout > 0 or cell.recurrent_dropout > 0 for cell in layer.cells)


def _stream_refusal(layer: Recurrent, _: Application, operands: Sequence[rules.StreamOperand]) -> str:
    if layer.go_backwards:
        return f"{layer.name} reads the sequence from its end"
    if not all(operand.fixed for operand in operands[1:]):
        return f"{layer.name} starts from what a sequence gives, whose end a stream never sees"
    return ""


def states(layer: Recurrent, streaming: bool) -> tuple[StateSignature, ...]:
    """The states that calls carry: a stateful layer's, in a stream every layer's, with the last output if only that is returned."""
    carried = [StateSignature(f"{layer.path}/{state.name}", state.width) for state in layer.states]
    if streaming and layer.initial_state:
        carried += [StateSignature(begun_name(cell), 1) for cell in layer.cells]
    if streaming and not layer.return_sequences:
        carried.append(StateSignature(returned_name(layer), layer.width))
    return tuple(carried) if streaming or layer.stateful else ()


def activities(layer: Recurrent) -> tuple[Config, ...]:
    """The activity regularizer, once for each result."""
    return rules.observed(layer.activity_regularizer, 1 + len(layer.states) if layer.return_state else 1)


def show(layer: Recurrent) -> rules.Shown:
    """Each cell's step and weights; those of a stack under the cell's name and dropout."""
    names = ("return_sequences", "return_state", "go_backwards", "zero_output_for_mask", "stateful", "initial_state")
    options = [f"{name} = true" for name in names if getattr(layer, name)]
    lines: list[str] = []
    for cell in layer.cells:
        dropout = [text for text in (flag("dropout", cell.dropout), flag("recurrent_dropout", cell.recurrent_dropout)) if text]
        below = [*step_lines(cell.step), *weight_lines(cell.weights)]
        if cell.path == layer.path:
            options += dropout
        else:
            lines.append(f"{cell.path.rpartition('/')[2]}: {cell.step.cell}({', '.join(dropout)})")
            below = [INDENT + line for line in below]
        lines += below
    options += filter(None, [chosen("activity_regularizer", layer.activity_regularizer)])
    return rules.Shown(layer.kind, f"{layer.kind}({', '.join(options)})", tuple(lines))


RECURRENT = LayerRules(
    layer=Recurrent,
    names=(STACK,),
    check=OfCall(_check),
    lower=_lower,
    mask=mask_of,
    masked_steps=_masked_steps,
    packs=rules.own_steps,
    draws=draws,
    stream_refusal=_stream_refusal,
    states=lambda layer, _, streaming: states(layer, streaming),
    activities=activities,
    pointwise=False,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=show,
    results=lambda layer: ("output", *(state.name for state in layer.states)) if layer.return_state else (),
)
"""`names`: besides these every cell is a type of its own."""
