"""A graph's layer table."""

from __future__ import annotations

from math import prod
from typing import assert_never

from rnnspec.frontend.graph import (
    Activation,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Flowing,
    Graph,
    Layer,
    Masking,
    Recurrent,
    gives_two,
)
from rnnspec.runtime.summary import LayerRow


def layer_rows(graph: Graph) -> tuple[LayerRow, ...]:
    """One row a layer: type, output shape, what becomes of the mask, number of weights."""
    rows: list[LayerRow] = []
    before = graph.input.value
    for layer in graph.layers:
        shape = _shape(layer.output)
        weights = sum(prod(weight.shape) for weight in layer.weights)
        rows.append(LayerRow(layer.name, _kind(layer), f"{shape} twice" if gives_two(layer) else shape, _mask(layer, before), weights))
        before = layer.output
    return tuple(rows)


def _shape(value: Flowing) -> str:
    return f"({', '.join(map(str, ('batch', *value.shape)))})"


def _kind(layer: Layer) -> str:
    match layer:
        case Recurrent():
            return layer.step.cell
        case Bidirectional():
            return f"Bidirectional({layer.forward.step.cell})"
        case Embedding() | Masking() | Dense() | Dropout() | Activation():
            return type(layer).__name__
        case _:
            assert_never(layer)


def _mask(layer: Layer, before: Flowing) -> str:
    """A sequence's own mask, given in a call, goes the same way as one that the spec makes."""
    match layer:
        case Masking():
            return "created"
        case Embedding():
            return "created" if layer.mask_zero else "passed on"
        case Recurrent() | Bidirectional():
            return "passed on" if layer.output.sequence else "consumed"
        case Dense() | Dropout() | Activation():
            return "passed on" if before.sequence else ""
        case _:
            assert_never(layer)
