"""What a layer's value is in the tensor IR while a graph is lowered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from rnnspec.frontend.graph import Pairs, Steps
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import Value
from rnnspec.ir.types import Dim
from rnnspec.runtime.signature import Configured


@dataclass(frozen=True, slots=True)
class Row:
    """A row value, [batch, w] in the caller's order."""

    value: Value


@dataclass(frozen=True, slots=True)
class Padded:
    """An input's sequence as it was given, [batch, time, w]; packed by what uses it."""

    value: Value
    steps: Steps


@dataclass(frozen=True, slots=True)
class Packed:
    """A sequence, [tokens, w], with what its masked steps hold once it is padded again.

    `fill` ([1, w]) is what they hold, or with `hold` what those before the first real step do, the
    others repeating the last real step. `flip`: in reversed time order; the tokens stay where they are.
    """

    value: Value
    fill: Value
    steps: Steps
    hold: bool = False
    flip: bool = False


Computed: TypeAlias = Row | Packed
Flow: TypeAlias = Row | Padded | Packed


@dataclass(frozen=True, slots=True)
class Tools:
    """What the lowering of any layer may use.

    `index`: the packing index of steps or pairs. `constant`: of the model's dtype. `activated`: an activation applied.
    `dropped`: dropout in training. `over_steps`: a row at each step.
    """

    builder: Builder
    weights: Mapping[str, Value]
    index: Callable[[Steps | Pairs], Value]
    constant: Callable[[float, tuple[Dim, ...]], Value]
    activated: Callable[[Configured, Value], Value]
    dropped: Callable[[float, Value], Value]
    over_steps: Callable[[Value, Steps], Value]

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

    def broadcast(self, value: Value, like: Value) -> Value:
        return self.builder.broadcast_to(value, self.builder.tensor(like).shape)

    def width(self, value: Value) -> Dim:
        return self.builder.tensor(value).shape[-1]
