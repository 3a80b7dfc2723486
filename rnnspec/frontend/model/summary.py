"""A graph's layer table."""

from __future__ import annotations

from math import prod
from typing import assert_never

from rnnspec.contract.model_source import LayerRow, MaskRow
from rnnspec.frontend.graph.graph import Application, Graph, GraphTensor, StepMask
from rnnspec.frontend.graph.layers import (
    Activation,
    Attention,
    BatchNormalization,
    Bidirectional,
    Convolution,
    Dense,
    Dot,
    Dropout,
    Embedding,
    GaussianNoise,
    GlobalPooling,
    Layer,
    LayerNormalization,
    LocalPooling,
    Masking,
    Merge,
    MergeKind,
    PReLU,
    Recurrent,
    RepeatVector,
    Reshaping,
    SpatialDropout,
    StepSoftmax,
    TimeDistributed,
)
from rnnspec.frontend.model.mask_warnings import dropped


def layer_rows(graph: Graph) -> tuple[LayerRow, ...]:
    """One row a layer: type, output shape, what becomes of the mask, number of weights."""
    rows: dict[str, LayerRow] = {}
    for application in graph.applications:
        layer = application.layer
        shapes = ", ".join(_shape(result.type) for result in application.results)
        weights = sum(prod(weight.shape) for weight in layer.weights)
        row = LayerRow(layer.name, _kind(layer), shapes, _mask(application), weights)
        rows.setdefault(layer.name, row)
    return tuple(rows.values())


def mask_rows(graph: Graph) -> tuple[MaskRow, ...]:
    """One row a use of a layer: what becomes of the masks, and what masked steps hold afterwards."""
    rows: list[MaskRow] = []
    for application in graph.applications:
        steps = application.operands[0].type.steps
        after = application.results[0].type.steps
        taken = "" if steps is None else _sources(steps)
        given = "" if after is None else _sources(after)
        rows.append(MaskRow(application.layer.name, taken, given, _mask(application), _masked_output(application)))
    return tuple(rows)


def _sources(steps: StepMask) -> str:
    """`story where not all 0`, of sequences one after the other `story then query`."""
    parts = [name + "".join(f" where not all {value:g}" for value in values) for name, values in steps.sources]
    joins = [" then ".join(map(_sources, join)) for join in steps.joins]
    joins += list(dict.fromkeys(f"windows of {name}" for each in steps.windows for name in each.inputs))
    parts += joins if len(parts) + len(joins) < 2 else [f"({join})" for join in joins]
    return " or ".join(parts) or "all steps"


def _masked_output(application: Application) -> str:
    layer = application.layer
    if application.results[0].type.steps is None:
        return ""
    match layer:
        case Masking() | Bidirectional():
            return "zero"
        case Embedding():
            return "row 0"
        case Recurrent():
            return "zero" if layer.zero_output_for_mask else "held"
        case Convolution() | LocalPooling():
            return "zero" if layer.carry_mask else "none is masked"
        case RepeatVector() | GlobalPooling() | Reshaping() | Dot():
            return "none is masked"
        case Attention() | StepSoftmax():
            return "zero"
        case Dense() | Activation() | LayerNormalization() | BatchNormalization() | PReLU() | TimeDistributed():
            return "computed from what was there"
        case Dropout() | GaussianNoise() | SpatialDropout():
            return "as before"
        case Merge(over_steps=True):
            return "as before"
        case Merge():
            return "zero" if layer.kind is MergeKind.MULTIPLY else "computed from what was there"
        case _:
            assert_never(layer)


def _shape(value: GraphTensor) -> str:
    return f"({', '.join(map(str, ('batch', *value.shape)))})"


def _kind(layer: Layer) -> str:
    match layer:
        case Recurrent():
            return layer.kind
        case Bidirectional():
            return f"Bidirectional({layer.forward.kind})"
        case Activation():
            return layer.kind
        case Merge() | GlobalPooling() | LocalPooling() | Reshaping():
            return layer.kind.value
        case Convolution():
            return "Conv1D"
        case TimeDistributed():
            return f"TimeDistributed({_kind(layer.layer)})"
        case StepSoftmax():
            return "Softmax"
        case SpatialDropout():
            return "SpatialDropout1D"
        case Embedding() | Masking() | Dense() | Dropout() | GaussianNoise() | LayerNormalization() | BatchNormalization():
            return type(layer).__name__
        case PReLU() | RepeatVector() | Attention() | Dot():
            return type(layer).__name__
        case _:
            assert_never(layer)


def _mask(application: Application) -> str:
    """A sequence's own mask, given in a call, goes the same way as one that the spec makes."""
    layer, before, after = application.layer, application.operands[0].type, application.results[0].type
    if dropped(application) is not None:
        return "dropped"
    match layer:
        case Masking():
            return "created"
        case Embedding():
            return "created" if layer.mask_zero else "passed on"
        case Recurrent() | Bidirectional():
            return "passed on" if after.sequence else "consumed"
        case GlobalPooling():
            return "consumed"
        case RepeatVector():
            return ""
        case Convolution(carry_mask=True) | LocalPooling(carry_mask=True):
            return "passed on"
        case Convolution() | LocalPooling() | Reshaping() | Dot():
            return "dropped" if any(operand.type.sequence for operand in application.operands) else ""
        case Attention() | StepSoftmax():
            return "passed on"
        case Dense() | Dropout() | GaussianNoise() | Activation() | LayerNormalization() | BatchNormalization() | PReLU():
            return "passed on" if before.sequence else ""
        case Merge() | SpatialDropout() | TimeDistributed():
            return "passed on" if before.sequence else ""
        case _:
            assert_never(layer)
