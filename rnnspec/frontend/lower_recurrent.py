"""Recurrent layers in the tensor IR: scans over packed tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import assert_never

from rnnspec.diagnostics import InternalError
from rnnspec.frontend.graph import Bidirectional, MergeMode, Recurrent, Steps
from rnnspec.frontend.lower_flows import Computed, Packed, Row, over_steps
from rnnspec.frontend.lower_noise import Draws
from rnnspec.frontend.lower_step import StepLowering, gates_of
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import Role, Value
from rnnspec.ir.types import BATCH, Dim, DType, TensorType


class RecurrentLowering:
    """Emits recurrent layers into one function. `index` gives the packing index of a sequence's steps.

    With `streaming` every layer goes on where the call before ended, as stateful ones always do.
    """

    def __init__(
        self, builder: Builder, dtype: DType, weights: Mapping[str, Value], index: Callable[[Steps], Value], draws: Draws, streaming: bool
    ) -> None:
        self._b = builder
        self._dtype = dtype
        self._weights = weights
        self._index = index
        self._draws = draws
        self._streaming = streaming
        self.states: dict[str, Value] = {}
        """What is carried over calls, as it is after the layers so far."""

    def recurrent(self, layer: Recurrent, flow: Packed, states: Sequence[Value], *, backwards: bool) -> tuple[Computed, ...]:
        """A scan over the flow. A flipped flow is walked from its end to go forwards in its own order."""
        index, step = self._index(flow.steps), layer.step
        widths = {state.name: state.width for state in step.states}
        starts = (
            dict(zip(widths, states, strict=True)) if states else {name: self._start(layer, name, width) for name, width in widths.items()}
        )
        if not layer.return_sequences:
            starts["y"] = self._start(layer, "y", step.width) if self._streaming else self._constant(0.0, (BATCH, step.width))
        masks = self._step_masks(layer)
        sequence = flow.value
        if self._draws.drops(layer.dropout) and not layer.recurrent_dropout:
            row = self._draws.dropped(layer.dropout, self._constant(1.0, (BATCH, step.features)))
            sequence = self._b.mul(sequence, over_steps(self._b, row, index))
        reverse = backwards is not flow.flip
        names = [*starts, *(f"{name}_drop" for name, _ in masks)]
        inits = [self._b.sort_rows(init, index) for init in (*starts.values(), *masks.values())]
        scan = self._b.scan(index, inits, [sequence], reverse=reverse, carried_names=names, slice_names=["x"])
        values = dict(zip(widths, scan.carried, strict=False)) | {"x": scan.slices[0]}
        drops = dict(zip(masks, scan.carried[len(starts) :], strict=True))
        weights = {own.name: self._weights[full.path] for own, full in zip(step.weights, layer.weights, strict=True)}
        after, output = StepLowering(scan, self._dtype, weights, values, drops).run(step)
        carries = [*after, *([] if layer.return_sequences else [output]), *drops.values()]
        stacks = [output] if layer.return_sequences else []
        result = scan.finish(
            carries, stacks, final_names=[f"{name}_final" for name in names], stack_names=[f"{layer.name}/output"] * len(stacks)
        )
        finals = {name: self._b.restore_rows(final, index) for name, final in zip(starts, result.finals, strict=False)}
        if layer.stateful or self._streaming:
            self.states.update((f"{layer.path}/{name}", final) for name, final in finals.items() if name != "y" or self._streaming)
        if layer.return_sequences:
            fill = self._constant(0.0, (1, step.width))
            first: Computed = Packed(result.stacks[0], fill, flow.steps, hold=not layer.zero_output_for_mask, flip=reverse)
        else:
            first = Row(finals["y"])
        return (first, *(Row(finals[name]) for name in widths)) if layer.return_state else (first,)

    def _start(self, layer: Recurrent, name: str, width: int) -> Value:
        """A state before the first step: zeros, or what the call before left."""
        if not layer.stateful and not self._streaming:
            return self._constant(0.0, (BATCH, width))
        full = f"{layer.path}/{name}"
        if full not in self.states:
            self.states[full] = self._b.parameter(Role.STATE, full, TensorType(self._dtype, (BATCH, width)))
        return self.states[full]

    def _step_masks(self, layer: Recurrent) -> dict[tuple[str, int], Value]:
        """With recurrent dropout, what is multiplied with a weight in a step is dropped apart for each gate, the same at every step."""
        if not self._draws.drops(layer.recurrent_dropout):
            return {}
        rates = dict.fromkeys((state.name for state in layer.step.states), layer.recurrent_dropout) | {"x": layer.dropout}
        widths = {state.name: state.width for state in layer.step.states} | {"x": layer.step.features}
        return {
            (name, gate): self._draws.dropped(rates[name], self._constant(1.0, (BATCH, widths[name])))
            for name, gates in gates_of(layer.step).items()
            for gate in range(gates)
            if rates[name]
        }

    def bidirectional(self, layer: Bidirectional, flow: Packed, states: Sequence[Value]) -> tuple[Computed, ...]:
        """Both directions in the flow's own order: the backward half needs no flip, its tokens stay where they are."""
        count = len(layer.forward.step.states) if states else 0
        forward, *forward_states = self.recurrent(layer.forward, flow, states[:count], backwards=False)
        backward, *backward_states = self.recurrent(layer.backward, flow, states[count:], backwards=True)
        if isinstance(forward, Packed) and isinstance(backward, Packed):
            forward, backward = (replace(half, hold=False, flip=flow.flip) for half in (forward, backward))
        outputs: tuple[Computed, ...] = (forward, backward)
        if layer.merge_mode is not MergeMode.NONE:
            value = self._merged(layer.merge_mode, forward.value, backward.value)
            if isinstance(forward, Packed) and isinstance(backward, Packed):
                outputs = (replace(forward, value=value, fill=self._merged(layer.merge_mode, forward.fill, backward.fill)),)
            else:
                outputs = (Row(value),)
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

    def _constant(self, value: float, shape: tuple[Dim, ...]) -> Value:
        return self._b.constant(value, TensorType(self._dtype, shape))
