"""What the lowering of any layer may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rnnspec.frontend.graph import Pairs, Steps
from rnnspec.frontend.lower_flows import Packed
from rnnspec.frontend.lower_noise import Draws
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import Value
from rnnspec.ir.types import Dim
from rnnspec.runtime.signature import Configured


@dataclass(frozen=True, slots=True)
class Tools:
    """A function under construction, and what layers share in it.

    `index`: the packing index of steps or pairs. `constant`: of the model's dtype. `activated`: an activation applied.
    `draws`: what training draws.
    """

    builder: Builder
    weights: Mapping[str, Value]
    index: Callable[[Steps | Pairs], Value]
    constant: Callable[[float, tuple[Dim, ...]], Value]
    activated: Callable[[Configured, Value], Value]
    draws: Draws

    def padded(self, flow: Packed) -> Value:
        """The sequence with its masked steps, [batch, time, w], in the order in which it is shown."""
        return self.builder.unpack(flow.value, flow.fill, self.index(flow.steps), hold=flow.hold, flip=flow.flip)

    def on_steps(self, flow: Packed, steps: Steps) -> Value:
        """The tokens of other steps of the same length: what is masked is what the sequence holds there."""
        if flow.steps == steps and not flow.flip:
            return flow.value
        return self.builder.pack(self.padded(flow), self.index(steps))

    def sequence(self, value: Value, steps: Steps) -> Packed:
        """Tokens as a sequence whose masked steps hold 0."""
        return Packed(value, self.constant(0.0, (1, self.width(value))), steps)

    def width(self, value: Value) -> Dim:
        return self.builder.tensor(value).shape[-1]
