"""The lowering's context: the function under construction, and operations that layers of all kinds share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from rnnspec.contract.signature import Config
from rnnspec.diagnostics import InternalError
from rnnspec.frontend.cells.cell_ir import Step
from rnnspec.frontend.graph.graph import StepMask, StepPairs
from rnnspec.frontend.graph.layer import state_of_use
from rnnspec.frontend.lowering.cell_step import StepLowering
from rnnspec.frontend.lowering.random_draws import Draws
from rnnspec.frontend.lowering.sequence_values import Computed, Flow, PackedSequence, PaddedSequence, RowValue, over_steps
from rnnspec.frozen import frozen
from rnnspec.ir.builder import Builder
from rnnspec.ir.inference import index as index_type
from rnnspec.ir.ops import Role, Value
from rnnspec.ir.types import BATCH, Dim, DType, TensorType


@frozen
class Tools:
    """A function under construction with its weights.

    `index`: the packing index of steps or pairs. `draws`: the random numbers of training. `streaming`: recurrent layers go on
    where the call before ended. `updates`: new values of weights by path; `states`: what calls carry, by name, as it is after
    the layers so far. `activities`: the results that activity regularizers look at; None where nobody asks for them.
    `equations`: an activation's, for a row's width. `use`: the number of the use of the layer that is being lowered.
    """

    builder: Builder
    weights: Mapping[str, Value]
    index: Callable[[StepMask | StepPairs], Value]
    dtype: DType
    training: bool
    streaming: bool
    draws: Draws
    updates: dict[str, Value]
    states: dict[str, Value]
    activities: list[Value] | None
    equations: Callable[[Config, int], Step]
    frozen: frozenset[str] = frozenset()
    """The paths of weights that stay as they are."""
    use: int = 1

    def constant(self, value: float, shape: tuple[Dim, ...]) -> Value:
        """Of the model's dtype."""
        return self.builder.constant(value, TensorType(self.dtype, shape))

    def carried(self, state: str, width: int) -> Value:
        """A state as the call before left it, [batch, width]; outside of a stream a stateful layer's use before counts as a call."""
        name = self._state(state)
        if name not in self.states:
            self.states[name] = self.builder.parameter(Role.STATE, name, TensorType(self.dtype, (BATCH, width)))
        return self.states[name]

    def carry(self, state: str, value: Value) -> None:
        """Hands a state, [batch, width], to the next call."""
        self.states[self._state(state)] = value

    def _state(self, state: str) -> str:
        return state_of_use(state, self.use) if self.streaming else state

    def activated(self, activation: Config, value: Value) -> Value:
        """The value after an activation, a function of the spec or of the library."""
        return self.run(self.equations(activation, self.features(value)), {"x": value}, self.builder.tensor(value).shape[0])

    def run(self, step: Step, values: dict[str, Value], rows: Dim) -> Value:
        """The result of equations of rows without weights."""
        _, result = StepLowering(self.builder, self.dtype, {}, values, {}, rows).run(step)
        return result

    def computed(self, flow: Flow) -> Computed:
        """A flow that a layer computes with: an input's real steps, the others 0."""
        if not isinstance(flow, PaddedSequence):
            return flow
        return self.sequence(self.builder.pack(flow.value, self.index(flow.steps)), flow.steps)

    def packed(self, flow: Flow) -> PackedSequence:
        """The tokens of a flow that was checked to be a sequence."""
        computed = self.computed(flow)
        if isinstance(computed, RowValue):
            raise InternalError(f"a layer for sequences got a row, %{computed.value.name}")
        return computed

    def rows(self, flows: Iterable[Flow]) -> list[Value]:
        """The values of flows that were checked to be rows."""
        values: list[Value] = []
        for flow in flows:
            if not isinstance(flow, RowValue):
                raise InternalError(f"a layer for rows got a sequence, %{flow.value.name}")
            values.append(flow.value)
        return values

    def at_every_step(self, flow: Flow, step: Callable[[Value], Value]) -> Computed:
        """A row, or each step of a sequence, for itself; what masked steps hold goes through like the rest."""
        computed = self.computed(flow)
        return RowValue(step(computed.value)) if isinstance(computed, RowValue) else computed.through(step)

    def at_real_steps(self, flow: Flow, draw: Callable[[Value], Value]) -> Computed:
        """A row, or each real step of a sequence, after a draw, which may have been none; masked steps are as they were."""
        computed = self.computed(flow)
        value = draw(computed.value)
        if value is computed.value:
            return computed
        return RowValue(value) if isinstance(computed, RowValue) else self.with_tokens(computed, value)

    def at_each(self, steps: StepMask, row: Value) -> PackedSequence:
        """A sequence of unmasked steps, each of them the row."""
        return self.sequence(over_steps(self.builder, row, self.index(steps)), steps)

    def exit(self, flow: Flow) -> Value:
        """The value that a caller gets: a row, or a sequence with its masked steps, [batch, time, w]."""
        computed = self.computed(flow)
        return computed.value if isinstance(computed, RowValue) else self.padded(computed)

    def observe(self, regularizer: Config | None, *results: Flow) -> None:
        """Keeps the results that an activity regularizer looks at, as outputs would be: masked steps with what they hold."""
        if self.activities is not None and regularizer is not None:
            self.activities.extend(self.exit(result) for result in results)

    def padded(self, flow: PackedSequence) -> Value:
        """The sequence with its masked steps, [batch, time, w], in the order in which the layer shows it."""
        if flow.every is None:
            return self.builder.unpack(flow.value, flow.fill, self.index(flow.steps), hold=flow.hold, flip=flow.flip)
        return self._unpacked(flow.every, self.every_step(flow))

    def on_steps(self, flow: PackedSequence, steps: StepMask) -> Value:
        """The sequence packed by another step mask of the same length, [tokens of `steps`, w]; newly unmasked steps hold the fill."""
        if flow.steps == steps and not flow.flip:
            return flow.value
        if flow.every is not None and steps == self.every_step(flow):
            return flow.every
        return self.builder.pack(self.padded(flow), self.index(steps))

    def every_step(self, flow: PackedSequence) -> StepMask:
        """All the steps of a sequence."""
        if flow.steps.is_whole:
            return flow.steps
        if self.streaming and flow.steps.windows:  # of which none is masked; the index has one step, the length says when it falls due
            return StepMask((), flow.steps.windows[0].length)
        return StepMask((), index_type(self.index(flow.steps).type).time)

    def past(self, name: str, tokens: Value, steps: StepMask, ages: Sequence[int]) -> Value:
        """In a stream, for each step the steps of these ages, side by side: 0 is itself; zeros where there was none yet.

        The state `name` has as many steps as the oldest is old, the oldest first.
        """
        builder, index, oldest = self.builder, self.index(steps), max(ages)
        if not oldest:
            return tokens
        before = builder.sort_rows(self.carried(name, oldest * self.features(tokens)), index)
        scan = builder.scan(index, [before], [tokens], carried_names=["delay"], slice_names=["x"])
        line = [*(scan.split(scan.carried[0], oldest, axis=1) if oldest > 1 else scan.carried), scan.slices[0]]
        after = scan.concat(line[1:], 1) if oldest > 1 else line[1]
        seen = [line[oldest - age] for age in ages]
        stacked = scan.concat(seen, 1) if len(seen) > 1 else seen[0]
        result = scan.finish([after], [stacked], final_names=["delay_final"], stack_names=["places"])
        self.carry(name, builder.restore_rows(result.finals[0], index))
        return result.stacks[0]

    def real_of(self, every: Value, flow: PackedSequence) -> Value:
        """The rows of `every` at the sequence's unmasked steps: [all steps, w] to [tokens, w]."""
        steps = self.every_step(flow)
        if flow.steps == steps and not flow.flip:
            return every
        return self.builder.pack(self._unpacked(every, steps, flip=flow.flip), self.index(flow.steps))

    def with_tokens(self, flow: PackedSequence, value: Value) -> PackedSequence:
        """The sequence with other tokens, its masked steps as they were."""
        if flow.every is None:
            return replace(flow, value=value)
        builder, every_step = self.builder, self.index(self.every_step(flow))
        ones = builder.constant(1.0, builder.tensor(value).with_shape((builder.tensor(value).shape[0], 1)))
        shown, real = (builder.pack(self._unpacked(tokens, flow.steps, flip=flow.flip), every_step) for tokens in (value, ones))
        is_real = builder.greater(builder.broadcast_like(real, shown), builder.constant_like(0.0, shown))
        return replace(flow, value=value, every=builder.select(is_real, shown, flow.every))

    def _unpacked(self, tokens: Value, steps: StepMask, *, flip: bool = False) -> Value:
        """With 0 where no step is real."""
        return self.builder.unpack(tokens, self.constant(0.0, (1, self.width(tokens))), self.index(steps), hold=False, flip=flip)

    def sequence(self, value: Value, steps: StepMask) -> PackedSequence:
        """Tokens as a sequence whose masked steps hold 0."""
        return PackedSequence(value, self.constant(0.0, (1, self.width(value))), steps)

    def features(self, value: Value) -> int:
        """The number of features of a value that was checked to have a fixed one."""
        width = self.width(value)
        if not isinstance(width, int):
            raise InternalError(f"%{value.name} has no fixed number of features")
        return width

    def width(self, value: Value) -> Dim:
        """The number of features, the last dimension."""
        return self.builder.tensor(value).shape[-1]
