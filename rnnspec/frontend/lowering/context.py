"""The lowering's context: the function under construction, and operations that layers of all kinds share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from rnnspec.contract.signature import Config
from rnnspec.frontend.graph.graph import StepMask, StepPairs
from rnnspec.frontend.lowering.random_draws import Draws
from rnnspec.frontend.lowering.sequence_values import PackedSequence
from rnnspec.ir.builder import Builder
from rnnspec.ir.inference import index as index_type
from rnnspec.ir.ops import CompareKind, Value
from rnnspec.ir.types import Dim


@dataclass(frozen=True, slots=True)
class Tools:
    """A function under construction with its weights.

    `index`: the packing index of a step mask or of pairs of steps. `constant`: a constant tensor of the model's dtype. `activated`: an
    activation applied to a tensor. `draws`: the random draws of training.
    """

    builder: Builder
    weights: Mapping[str, Value]
    index: Callable[[StepMask | StepPairs], Value]
    constant: Callable[[float, tuple[Dim, ...]], Value]
    activated: Callable[[Config, Value], Value]
    draws: Draws

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
        return StepMask((), index_type(self.index(flow.steps).type).time)

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
        is_real = builder.compare(CompareKind.GT, builder.broadcast_like(real, shown), builder.constant_like(0.0, shown))
        return replace(flow, value=value, every=builder.select(is_real, shown, flow.every))

    def _unpacked(self, tokens: Value, steps: StepMask, *, flip: bool = False) -> Value:
        """With 0 where no step is real."""
        return self.builder.unpack(tokens, self.constant(0.0, (1, self.width(tokens))), self.index(steps), hold=False, flip=flip)

    def sequence(self, value: Value, steps: StepMask) -> PackedSequence:
        """Tokens as a sequence whose masked steps hold 0."""
        return PackedSequence(value, self.constant(0.0, (1, self.width(value))), steps)

    def width(self, value: Value) -> Dim:
        """The number of features, the last dimension."""
        return self.builder.tensor(value).shape[-1]
