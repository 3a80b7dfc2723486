"""Windows over a sequence's steps, for the layers that look at several steps at once: their shape, checks and lowering.

Padded steps are seen as they are, and the result's steps are all real, unless a layer carries the mask on (`carry_mask`).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from rnnspec.contract.dimensions import Windows
from rnnspec.contract.signature import Extent, StateSignature
from rnnspec.frontend import errors
from rnnspec.frontend.binding.values import CheckError
from rnnspec.frontend.graph.graph import Application, GraphTensor, GraphValue, StepMask
from rnnspec.frontend.layers import rules
from rnnspec.frontend.layers.checks import ShapeRules
from rnnspec.frontend.layers.rules import MaskAdvice, MaskedSteps, MaskFate, MaskRule
from rnnspec.frontend.layers.show import flag, option
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import PackedSequence
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen
from rnnspec.ir.ops import Value


class WindowPadding(Enum):
    """Where windows lie at a sequence's ends: inside, or one for every (`stride`-th) step, centred or looking back."""

    VALID = "valid"
    SAME = "same"
    CAUSAL = "causal"


@frozen
class WindowShape:
    """Windows over a sequence's steps, the padded ones included: `size` steps `dilation` apart, one window every `stride` steps."""

    size: int
    stride: int
    dilation: int
    padding: WindowPadding

    @property
    def span(self) -> int:
        """The steps from the first that a window sees to the last, both included."""
        return (self.size - 1) * self.dilation + 1

    @property
    def places(self) -> Windows:
        """The same in numbers."""
        start = 1 - self.span if self.padding is WindowPadding.CAUSAL else 0
        return Windows(self.size, self.stride, self.dilation, start, self.padding is WindowPadding.SAME)

    def length(self, extent: Extent) -> Extent:
        """The number of windows over so many steps."""
        return self.places.length(extent)


def check_windows(
    checks: ShapeRules, call: ast.Call, operand: GraphValue, window: WindowShape, width: int, name: str, *, carry_mask: bool
) -> GraphTensor:
    """The sequence that windows over another make, of `width` features; raises `CheckError` where there isn't one."""
    value = checks.sequence(call, operand)
    length = window.length(value.shape[0])
    if isinstance(length, int) and length < 1:
        problem = f"{window.span} steps are more than the sequence's {value.shape[0]}"
        raise CheckError(
            errors.shapes.WindowTooLong(
                span=call.callee.span, layer=name, problem=problem, help="with `padding = same` windows may reach over"
            )
        )
    steps = StepMask((), length)
    if carry_mask and value.steps is not None:
        steps = value.steps.reversed(value.shape[0]) if value.flipped else value.steps
        steps = steps.windowed(window.places, length)
    return GraphTensor((length, width), steps, computed=name)


class WindowPlaces:
    """A sequence with what its windows see: for each step of the result one value for each place in the window.

    In a stream what they see of steps before is a state, and nothing is masked.
    """

    def __init__(self, tools: Tools, flow: PackedSequence, window: WindowShape, name: str, *, carry_mask: bool) -> None:
        """`name`: the layer's."""
        self._tools, self._window, self._name = tools, window, name
        steps = tools.every_step(flow)
        time = steps.length
        if carry_mask:
            steps = flow.steps.reversed(time) if flow.flip else flow.steps
        self.masked = not steps.is_whole and not tools.streaming
        """Whether steps may be masked that windows are to leave out."""
        self.tokens = tools.on_steps(flow, steps)
        self.steps = steps.windowed(window.places, window.length(time))
        self._steps = steps

    def places(self, tokens: Value, *, clamp: bool = False) -> list[Value]:
        """For each place of the window the tokens there; what is beyond the ends is 0, or with `clamp` the nearest."""
        windows, builder = self._window.places, self._tools.builder
        if self._tools.streaming:
            side_by_side = self.side_by_side(tokens)
            return list(builder.split(side_by_side, windows.size, 1)) if windows.size > 1 else [side_by_side]
        source, index = self._tools.index(self._steps), self._tools.index(self.steps)
        span = windows.span if windows.same else 0
        seen = [
            builder.window(source, index, stride=windows.stride, offset=offset, span=span, clamp=clamp, own=self.masked)
            for offset in range(windows.start, windows.start + windows.span, windows.dilation)
        ]
        return [builder.take(tokens, ids) for ids in seen]

    def side_by_side(self, tokens: Value) -> Value:
        """The tokens of all places of the window in one row, from the first place to the last."""
        if not self._tools.streaming:
            return self._tools.builder.concat(self.places(tokens), 1)
        ages = range(self._window.span - 1, -1, -self._window.dilation)
        seen = self._tools.past(state_name(self._name), tokens, self._steps, ages)
        return self._tools.on_steps(self._tools.sequence(seen, self._steps), self.steps)

    def ones(self) -> list[Value]:
        """For each place of the window 1, or 0 where no step is."""
        return self.places(self._tools.constant(1.0, (self._tools.builder.tensor(self.tokens).shape[0], 1)))


def state_name(layer: str) -> str:
    """The name, among a stream's states, of the steps that the windows of a layer look back to, the oldest first."""
    return f"{layer}/delay"


def delay_of(layer: str, past: int, application: Application, streaming: bool) -> tuple[StateSignature, ...]:
    """The state of a stream that has the last `past` steps of an operand."""
    width = past * application.operands[0].type.features
    return (StateSignature(state_name(layer), width),) if streaming and width else ()


def stream_refusal_of(layer: str, window: WindowShape, application: Application, operand: rules.StreamOperand, *, carry_mask: bool) -> str:
    """The reason why windows can't follow a stream: each must have all that it sees when its step falls due."""
    if window.padding is WindowPadding.SAME and window.span > 1:
        return f"{layer} looks ahead: with `padding = same` a window sees steps behind its own"
    return masked_refusal(layer, application, operand, carry_mask=carry_mask)


def masked_refusal(layer: str, application: Application, operand: rules.StreamOperand, *, carry_mask: bool) -> str:
    """The reason why a layer that looks at several steps can't follow a stream whose steps the spec masks, if it's so."""
    if application.operands[0].type.masked and (operand.held or carry_mask):
        return f"{layer} looks at several steps at once, of which some may be masked"
    return ""


def mask_of(carry_mask: bool, advice: MaskAdvice = MaskAdvice.CARRY) -> MaskRule:
    """The mask is handed on with `carry_mask`, else dropped with `advice`."""
    return MaskRule(MaskFate.PASSED if carry_mask else MaskFate.DROPPED, advice)


def masked_steps_of(carry_mask: bool) -> MaskedSteps:
    """Zeros at masked steps with `carry_mask`, else no step is masked."""
    return MaskedSteps.ZERO if carry_mask else MaskedSteps.NONE_MASKED


def packs_of(carry_mask: bool, application: Application) -> Iterator[StepMask]:
    """The step masks that the layer packs by: its own, and without `carry_mask` every step, too."""
    yield from rules.own_steps(application.layer, application)
    if not carry_mask:
        yield from rules.every_step_of(application)


def show_window(window: WindowShape, *, carry_mask: bool) -> tuple[str, ...]:
    """The options of a layer of windows."""
    dilation = option("dilation_rate", window.dilation) if window.dilation > 1 else ""
    return (
        f"{window.size} steps",
        option("strides", window.stride),
        f"padding = {window.padding.value}",
        dilation,
        flag("carry_mask", carry_mask),
    )
