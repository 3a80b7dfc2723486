"""Slice: some of a sequence's steps, or some features of a row or of each step, as Python's `x[:, start:stop]` and `x[..., start:stop]`.

As with Cropping1D, steps are those of the padded sequence, and the mask is dropped; with `carry_mask` they are a sample's own, from its
first real step to its last, and the mask goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rnnspec.contract.dimensions import plus
from rnnspec.contract.signature import Extent, StateSignature
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.binding.values import CheckError
from rnnspec.frontend.graph.graph import Application, GraphTensor, GraphValue, StepMask
from rnnspec.frontend.graph.layer import Layer
from rnnspec.frontend.layers import rules
from rnnspec.frontend.layers.checks import BuiltLayer, ShapeRules
from rnnspec.frontend.layers.number_of_steps import extended, extended_type, packs_extended
from rnnspec.frontend.layers.rules import LayerRules, MaskAdvice, OfOne
from rnnspec.frontend.layers.show import flag, option, shown
from rnnspec.frontend.layers.windows import delay_of, mask_of, masked_refusal, masked_steps_of
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Flow
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen
from rnnspec.ir.ops import Value


@frozen
class FeatureSlice(Layer):
    """The features from `start` on, before `stop`, both counted from the first."""

    start: int
    stop: int


@frozen
class StepSlice(Layer):
    """The steps from `start` on, before `stop`; below 0 they count from the end, and None is the end.

    `taken_off`: at the beginning and at the end, where that many are; None for a fixed number of steps of a sequence of any length.
    """

    start: int
    stop: int | None
    taken_off: tuple[int, int] | None
    carry_mask: bool

    @property
    def count(self) -> int:
        """The fixed number of steps."""
        return (self.stop or 0) - self.start

    @property
    def needed(self) -> int:
        """The least steps that a sequence must have for the fixed number."""
        return max(-self.start, self.stop or 0)


def _check(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    width, of_steps = checks.numbers(call, operand), checks.of_steps(call, bindings, operand)
    start, stop = bindings.whole("start"), None if bindings.given("stop").value is None else bindings.whole("stop")
    carry_mask = bindings.flag("carry_mask")

    def misfit(problem: str, argument: str = "stop", help_: str = "") -> CheckError:
        given = argument if bindings.given(argument).value is not None else "start"
        what = "steps" if of_steps else "features"
        return CheckError(errors.shapes.SliceMisfit(span=bindings.span(given), layer="Slice", what=what, problem=problem, help=help_))

    extent: Extent = operand.type.shape[0] if of_steps else width
    if isinstance(extent, int) and not carry_mask:
        first, last = (extent + place if place < 0 else place for place in (start, extent if stop is None else stop))
        for argument, given, place in (("start", start, first), ("stop", stop, last)):
            if not 0 <= place <= extent:
                raise misfit(f"there are {extent}, so `{argument}` is from -{extent} to {extent}, not {given}", argument)
        if first >= last:
            raise misfit(f"none lies from {first} to {last}")
        if not of_steps:
            layer = FeatureSlice(name, first, last)
            return BuiltLayer(layer, (operand,), (operand.type.with_features(last - first).by(name),))
        taken_off = first, extent - last
    else:
        if stop is not None and (start < 0) == (stop < 0) and start >= stop:
            raise misfit(f"none lies from {start} to {stop}")
        if start < 0 and stop is not None and stop >= 0:
            raise misfit("`start` counts from the end and `stop` from the beginning: of any number of steps that can be any number")
        taken_off = (start, -(stop or 0)) if start >= 0 and (stop is None or stop < 0) else None
    if not of_steps:
        raise misfit("`carry_mask` is of steps", "carry_mask")
    value = checks.sequence(call, operand)
    if taken_off is None and carry_mask:
        help_ = "write a `start` from 0 on, and a `stop` below 0 or none: as many steps are taken off each sample's ends"
        raise misfit("a sample may have fewer steps of its own", "carry_mask", help_)
    if taken_off is not None and isinstance(extent, int) and extent <= sum(taken_off):
        raise misfit(f"{sum(taken_off)} of {extent} are taken off")
    layer = StepSlice(name, start, stop, taken_off, carry_mask)
    if taken_off is None:
        output = GraphTensor((layer.count, width), StepMask((), layer.count), computed=name)
    else:
        output = extended_type(value, -taken_off[0], -taken_off[1], name, call, carry_mask=carry_mask)
    return BuiltLayer(layer, (operand,), (output,))


def _lower_features(tools: Tools, layer: FeatureSlice, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    def taken(value: Value) -> Value:
        widths = layer.start, layer.stop - layer.start, tools.features(value) - layer.stop
        kept = [width for width in widths if width]
        return tools.builder.split(value, kept, 1)[1 if layer.start else 0] if len(kept) > 1 else value

    return (tools.at_every_step(operands[0], taken),)


def _lower_steps(tools: Tools, layer: StepSlice, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    """Of a fixed number the steps are looked up from the sequence's beginning, or from its end."""
    if layer.taken_off is not None:
        start, end = layer.taken_off
        return (extended(tools, layer.name, operands[0], -start, -end, carry_mask=layer.carry_mask),)
    flow = tools.packed(operands[0])
    before, after = tools.every_step(flow), StepMask((), layer.count)
    from_end, offset = layer.start < 0, (layer.stop or 0) if layer.start < 0 else layer.start
    places = tools.builder.window(tools.index(before), tools.index(after), stride=1, offset=offset, at_end=from_end)
    return (tools.sequence(tools.builder.take(tools.on_steps(flow, before), places), after),)


def _packs(layer: StepSlice, application: Application) -> Iterator[StepMask]:
    """For a fixed number of steps also a sequence that is none where there are too few: calls are refused by its length."""
    if layer.taken_off is not None:
        start, end = layer.taken_off
        yield from packs_extended(application, -start, -end, carry_mask=layer.carry_mask)
        return
    yield from rules.own_and_every_step(layer, application)
    length = application.operands[0].type.shape[0]
    yield StepMask((), plus(length, 1 - layer.needed) if layer.needed > 1 else plus(length, length, -1))


def _stream_refusal(layer: StepSlice, application: Application, operands: Sequence[rules.StreamOperand]) -> str:
    if layer.taken_off is None:
        side = "the sequence's end" if layer.start < 0 else "its beginning"
        return f"{layer.name} gives a fixed number of steps, counted from {side}"
    return masked_refusal(layer.name, application, operands[0], carry_mask=layer.carry_mask)


def _states(layer: StepSlice, application: Application, streaming: bool) -> tuple[StateSignature, ...]:
    return () if layer.taken_off is None else delay_of(layer.name, layer.taken_off[1], application, streaming)


SLICE = LayerRules(
    layer=FeatureSlice,
    names=("Slice",),
    check=OfOne(_check),
    lower=_lower_features,
    mask=rules.passes,
    masked_steps=rules.computed,
    packs=rules.own_steps,
    draws=rules.draws_nothing,
    stream_refusal=rules.streams,
    states=rules.carries_nothing,
    activities=rules.observes_nothing,
    pointwise=True,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(layer, "Slice", option("start", layer.start), option("stop", layer.stop), "axis = -1"),
    results=rules.one_result,
)

STEP_SLICE = LayerRules(
    layer=StepSlice,
    names=(),
    check=OfOne(_check),
    lower=_lower_steps,
    mask=lambda layer: mask_of(layer.carry_mask, MaskAdvice.CONSUME if layer.taken_off is None else MaskAdvice.CARRY_ENDS),
    masked_steps=lambda layer, _: masked_steps_of(layer.carry_mask),
    packs=_packs,
    draws=rules.draws_nothing,
    stream_refusal=_stream_refusal,
    states=_states,
    activities=rules.observes_nothing,
    pointwise=False,
    table=rules.no_table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=lambda layer: shown(
        layer, "Slice", option("start", layer.start), option("stop", layer.stop), "axis = 1", flag("carry_mask", layer.carry_mask)
    ),
    results=rules.one_result,
)
