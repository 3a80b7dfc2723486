"""Recurrent layers in the tensor IR: scans over packed tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from rnnspec.diagnostics import InternalError
from rnnspec.frontend.graph.layers import Bidirectional, Layer, MergeMode, Recurrent, RecurrentCell
from rnnspec.frontend.lowering.cell_step import StepLowering, gates_of
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Computed, PackedSequence, RowValue, over_steps
from rnnspec.ir.ops import Role, Value
from rnnspec.ir.types import BATCH, DType, TensorType


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a cell gives: its output at every step, [tokens, w], or the last one, [batch, w]; the states after the last step."""

    output: Value
    states: Sequence[Value]


Observer: TypeAlias = Callable[[Layer, Sequence[Computed]], None]
"""Told of what a layer inside of another gives."""


class RecurrentLowering:
    """Emits recurrent layers into one function.

    With `streaming` every layer goes on where the call before ended, as stateful ones always do.
    """

    def __init__(self, tools: Tools, dtype: DType, streaming: bool, observe: Observer) -> None:
        self._b = tools.builder
        self._dtype = dtype
        self._weights = tools.weights
        self._index = tools.index
        self._constant = tools.constant
        self._draws = tools.draws
        self._observe = observe
        self._streaming = streaming
        self.states: dict[str, Value] = {}
        """What is carried over calls, as it is after the layers so far."""

    def recurrent(self, layer: Recurrent, flow: PackedSequence, states: Sequence[Value]) -> tuple[Computed, ...]:
        """One scan a cell. A cell on another one walks the steps in the order that it gets them."""
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
            fill = self._constant(0.0, (1, layer.width))
            first = PackedSequence(last.output, fill, flow.steps, hold=not layer.zero_output_for_mask, flip=backwards is not output.flip)
        return (first, *(RowValue(state) for state in (*finals, *last.states))) if layer.return_state else (first,)

    def _scan(
        self, layer: Recurrent, cell: RecurrentCell, flow: PackedSequence, states: Sequence[Value], *, backwards: bool, every_step: bool
    ) -> Scanned:
        """A scan over the flow. A flipped flow is walked from its end to go forwards in its own order."""
        index, step = self._index(flow.steps), cell.step
        starts = list(states) or [self._start(layer, f"{cell.path}/{state.name}", state.width) for state in step.states]
        names = [state.name for state in step.states]
        if not every_step:
            returned = self._carried(returned_name(layer), step.width) if self._streaming else self._constant(0.0, (BATCH, step.width))
            starts, names = [*starts, returned], [*names, "y"]
        masks = self._step_masks(cell)
        sequence = flow.value
        if self._draws.drops(cell.dropout) and not cell.recurrent_dropout:
            row = self._draws.dropped(cell.dropout, self._constant(1.0, (BATCH, step.features)))
            sequence = self._b.mul(sequence, over_steps(self._b, row, index))
        hints = [*names, *(f"{name}_drop" for name, _ in masks)]
        inits = [self._b.sort_rows(init, index) for init in (*starts, *masks.values())]
        reverse = backwards is not flow.flip
        scan = self._b.scan(index, inits, [sequence], reverse=reverse, carried_names=hints, slice_names=["x"])
        values = {state.name: value for state, value in zip(step.states, scan.carried, strict=False)} | {"x": scan.slices[0]}
        drops = dict(zip(masks, scan.carried[len(starts) :], strict=True))
        weights = {own.name: self._weights[full.path] for own, full in zip(step.weights, cell.weights, strict=True)}
        after, output = StepLowering(scan, self._dtype, weights, values, drops).run(step)
        stacks = [output] if every_step else []
        result = scan.finish(
            [*after, *([] if every_step else [output]), *drops.values()],
            stacks,
            final_names=[f"{name}_final" for name in hints],
            stack_names=[f"{layer.name}{cell.path.removeprefix(layer.path)}/output"] * len(stacks),
        )
        finals = [self._b.restore_rows(final, index) for final in result.finals[: len(starts)]]
        after_last = finals[: len(step.states)]
        if layer.stateful or self._streaming:
            self.states.update((f"{cell.path}/{state.name}", final) for state, final in zip(step.states, after_last, strict=True))
        if every_step:
            return Scanned(result.stacks[0], after_last)
        if self._streaming:
            self.states[returned_name(layer)] = finals[-1]
        return Scanned(finals[-1], after_last)

    def _start(self, layer: Recurrent, full: str, width: int) -> Value:
        """A state before the first step: zeros, or what the call before left."""
        return self._carried(full, width) if layer.stateful or self._streaming else self._constant(0.0, (BATCH, width))

    def _carried(self, full: str, width: int) -> Value:
        if full not in self.states:
            self.states[full] = self._b.parameter(Role.STATE, full, TensorType(self._dtype, (BATCH, width)))
        return self.states[full]

    def _step_masks(self, cell: RecurrentCell) -> dict[tuple[str, int], Value]:
        """With recurrent dropout, what is multiplied with a weight in a step is dropped apart for each gate, the same at every step."""
        if not self._draws.drops(cell.recurrent_dropout):
            return {}
        rates = dict.fromkeys((state.name for state in cell.step.states), cell.recurrent_dropout) | {"x": cell.dropout}
        widths = {state.name: state.width for state in cell.step.states} | {"x": cell.step.features}
        return {
            (name, gate): self._draws.dropped(rates[name], self._constant(1.0, (BATCH, widths[name])))
            for name, gates in gates_of(cell.step).items()
            for gate in range(gates)
            if rates[name]
        }

    def bidirectional(self, layer: Bidirectional, flow: PackedSequence, states: Sequence[Value]) -> tuple[Computed, ...]:
        """Both directions in the order of the forward one: the backward half needs no flip, its tokens stay where they are."""
        count = len(layer.forward.states) if states else 0
        forward, *forward_states = self.recurrent(layer.forward, flow, states[:count])
        backward, *backward_states = self.recurrent(layer.backward, flow, states[count:])
        if isinstance(forward, PackedSequence) and isinstance(backward, PackedSequence):
            forward, backward = (replace(half, hold=False, flip=forward.flip) for half in (forward, backward))
        self._observe(layer.forward, (forward, *forward_states))
        self._observe(layer.backward, (backward, *backward_states))
        outputs: tuple[Computed, ...] = (forward, backward)
        if layer.merge_mode is not MergeMode.NONE:
            value = self._merged(layer.merge_mode, forward.value, backward.value)
            if isinstance(forward, PackedSequence) and isinstance(backward, PackedSequence):
                outputs = (replace(forward, value=value, fill=self._merged(layer.merge_mode, forward.fill, backward.fill)),)
            else:
                outputs = (RowValue(value),)
        return (*outputs, *forward_states, *backward_states)

    def _merged(self, mode: MergeMode, forward: Value, backward: Value) -> Value:
        match mode:
            case MergeMode.CONCAT:
                return self._b.concat([forward, backward], 1)
            case MergeMode.SUM:
                return self._b.add(forward, backward)
            case MergeMode.MUL:
                return self._b.mul(forward, backward)
            case MergeMode.AVE:
                total = self._b.add(forward, backward)
                return self._b.mul(total, self._b.constant_like(0.5, total))
            case MergeMode.NONE:
                raise InternalError("a Bidirectional layer without a merge has no single value")
            case _:
                assert_never(mode)


def returned_name(layer: Recurrent) -> str:
    """What a stream carries the last output under; no state of a cell can be called so."""
    return f"{layer.path}/return"
