"""What a graph's compiled model tells its caller."""

from __future__ import annotations

from rnnspec.frontend.graph import Embedding, Graph, Masking, output_names
from rnnspec.frontend.lower import Precision
from rnnspec.runtime.signature import InputSignature, OutputSignature, Signature, WeightSignature


def signature(graph: Graph, dtype: Precision) -> Signature:
    """Inputs, outputs under the names that `lower` gives them, and the weights in Keras's order."""
    weights = tuple(
        WeightSignature(weight.path, weight.shape, weight.initializer, weight.trainable)
        for layer in graph.layers
        for weight in layer.weights
    )
    return Signature(graph.model, dtype, (_input(graph),), _outputs(graph), weights, graph.train)


def _input(graph: Graph) -> InputSignature:
    vocabulary: int | None = None
    mask_values: list[float] = []
    for layer in graph.layers:
        if isinstance(layer, Masking):
            mask_values.append(layer.mask_value)
        elif isinstance(layer, Embedding):
            vocabulary = layer.input_dim
            if layer.mask_zero:
                mask_values.append(0.0)
    source = graph.input
    return InputSignature(source.name, source.value.shape, source.value.ids, vocabulary, tuple(mask_values))


def _outputs(graph: Graph) -> tuple[OutputSignature, ...]:
    return tuple(
        OutputSignature(name, graph.output.shape, graph.output.sequence, mask_out=graph.output.sequence, flip=graph.output.flipped)
        for name in output_names(graph)
    )
