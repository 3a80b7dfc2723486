"""Embedding: a row of a table for each token id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rnnspec.contract.signature import Config
from rnnspec.diagnostics import InternalError
from rnnspec.frontend import errors
from rnnspec.frontend.binding.bind import Bindings
from rnnspec.frontend.binding.values import CheckError
from rnnspec.frontend.graph.graph import ONE_STEP, Application, GraphTensor, GraphValue, StepMask
from rnnspec.frontend.graph.layer import Layer, LayerWeight
from rnnspec.frontend.layers import rules
from rnnspec.frontend.layers.checks import BuiltLayer, ShapeRules
from rnnspec.frontend.layers.rules import LayerRules, MaskAdvice, MaskedSteps, MaskFate, MaskRule, OfOne
from rnnspec.frontend.layers.show import chosen, option, shown
from rnnspec.frontend.layers.weight_options import activity_of
from rnnspec.frontend.lowering.context import Tools
from rnnspec.frontend.lowering.sequence_values import Flow, PackedSequence, PaddedSequence, RowValue
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen
from rnnspec.ir.types import BATCH


@frozen
class Embedding(Layer):
    """The table is (input_dim, output_dim); `mask_zero`: steps of id 0 are masked. `of_rows`: of one id a sample."""

    input_dim: int
    output_dim: int
    mask_zero: bool
    table: LayerWeight
    activity_regularizer: Config | None = None
    of_rows: bool = False


def _check(checks: ShapeRules, name: str, bindings: Bindings, call: ast.Call, operand: GraphValue) -> BuiltLayer:
    value = operand.type
    if not value.ids:
        raise CheckError(errors.layers.NeedsIds(span=call.callee.span, found=str(value), secondary=checks.origins.label(operand)))
    input_dim, output_dim = bindings.whole("input_dim"), bindings.whole("output_dim")
    table = checks.weight(name, "embeddings", (input_dim, output_dim), bindings, call)
    mask_zero = bindings.flag("mask_zero")
    if mask_zero and value.steps is None:
        span, found = bindings.span("mask_zero"), str(value)
        raise CheckError(errors.layers.NoStepsToMask(span=span, found=found, secondary=checks.origins.label(operand)))
    steps = value.steps.masking(0.0) if mask_zero and value.steps is not None else value.steps
    output = GraphTensor((*value.shape, output_dim), steps, computed=name)
    layer = Embedding(name, input_dim, output_dim, mask_zero, table, activity_of(bindings, output, checks.report), value.steps is None)
    return BuiltLayer(layer, (operand,), (output,))


def _lower(tools: Tools, layer: Embedding, operands: Sequence[Flow]) -> tuple[Flow, ...]:
    flow = operands[0]
    if not isinstance(flow, PaddedSequence):
        raise InternalError(f"{layer.name} doesn't work on an input")
    steps = flow.steps.masking(0.0) if layer.mask_zero else flow.steps
    tokens = tools.builder.pack(flow.value, tools.index(steps))
    table = tools.weights[layer.table.path]
    fill = tools.builder.split(table, [1, layer.input_dim - 1], 0)[0] if layer.input_dim > 1 else table
    result: Flow = PackedSequence(tools.builder.take(table, tokens), fill, steps)
    if layer.of_rows:
        result = RowValue(tools.builder.rearrange(tools.padded(result), (BATCH, layer.output_dim)))
    tools.observe(layer.activity_regularizer, result)
    return (result,)


def _mask(layer: Embedding) -> MaskRule:
    return MaskRule(MaskFate.CREATED if layer.mask_zero else MaskFate.PASSED, MaskAdvice.CONSUME)


def _packs(_: Embedding, application: Application) -> Iterator[StepMask]:
    """The ids are packed as the result is, those of rows as one step each."""
    return (ONE_STEP if value.type.steps is None else value.type.steps for value in application.results)


def _show(layer: Embedding) -> rules.Shown:
    regularizer = chosen("activity_regularizer", layer.activity_regularizer)
    return shown(layer, "Embedding", option("mask_zero", layer.mask_zero), regularizer)


EMBEDDING = LayerRules(
    layer=Embedding,
    names=("Embedding",),
    check=OfOne(_check),
    lower=_lower,
    mask=_mask,
    masked_steps=lambda _, __: MaskedSteps.FIRST_ROW,
    packs=_packs,
    draws=rules.draws_nothing,
    stream_refusal=rules.streams,
    states=rules.carries_nothing,
    activities=lambda layer: rules.observed(layer.activity_regularizer),
    pointwise=False,
    table=lambda layer: layer.table,
    adapts=rules.adapts_nothing,
    ending=rules.ends_in_unknown,
    show=_show,
    results=rules.one_result,
)
