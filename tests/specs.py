"""Models as descriptions of layers, `{"layer": name, argument: value}` as in Keras, and the spec's text that means the same."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

Layer = dict[str, Any]


def make(name: str, **options: Any) -> Layer:
    """A layer's description: its name in Keras and its arguments."""
    return {"layer": name, **options}


def bidirectional(of: Layer, **options: Any) -> Layer:
    return make("Bidirectional", of=of, **options)


def literal(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case dict():
            return call(value)
        case list() | tuple():
            return f"[{', '.join(literal(item) for item in value)}]"
        case _:
            return str(value)


LEAKY = """cell Leaky(units) {
    weight kernel [features, units] = glorot_uniform
    weight decay [units] = ones
    state h [units]
    state slow [units]
    h' = tanh(x @ kernel + decay * h)
    slow' = 0.9 * slow + 0.1 * h
    return h' * slow'
}
"""
"""A cell of one's own, with a state that nothing but itself reads in the next step."""


POSITIONAL = {
    "LSTM": ("units",),
    "GRU": ("units",),
    "SimpleRNN": ("units",),
    "RNN": ("cells",),
    "Dense": ("units",),
    "Bidirectional": ("of",),
    "TimeDistributed": ("of",),
    "Embedding": ("input_dim", "output_dim"),
    "Dropout": ("rate",),
    "Activation": ("activation",),
    "Conv1D": ("filters", "kernel_size"),
    "RepeatVector": ("n",),
    "Reshape": ("target_shape",),
    "Permute": ("dims",),
    "L1": ("l1",),
    "L2": ("l2",),
    "MaxNorm": ("max_value",),
}


def call(layer: Mapping[str, Any]) -> str:
    """A layer as it is written in a spec."""
    name = layer["layer"]
    positional = POSITIONAL.get(name, ())
    words = [literal(layer[argument]) for argument in positional if argument in layer]
    words += [f"{argument} = {literal(value)}" for argument, value in layer.items() if argument not in ("layer", *positional)]
    return f"{name}({', '.join(words)})"


@dataclass(frozen=True)
class Statement:
    """`names = takes -> layer -> layer`; without `takes`, of the value before."""

    layers: Sequence[Layer]
    takes: Sequence[str] = ()
    names: Sequence[str] = ()


@dataclass(frozen=True)
class Graph:
    """A model of several values: the types of its inputs, its statements, and what it gives: the last value if that isn't said."""

    inputs: Mapping[str, str]
    statements: Sequence[Statement]
    outputs: Sequence[str] = ()

    @property
    def layers(self) -> list[Layer]:
        return [layer for statement in self.statements for layer in statement.layers]


def chain(layers: Sequence[Layer], of_input: str) -> Graph:
    """Layers one after the other, of one input `x`."""
    return Graph({"x": of_input}, [Statement(layers)])


def statement_lines(statement: Statement) -> list[str]:
    """A layer a line, or one line with arrows where values have names."""
    calls = [call(layer) for layer in statement.layers]
    if not statement.takes and not statement.names:
        return calls
    takes = statement.takes if len(statement.takes) < 2 else [literal(statement.takes)]
    target = f"{', '.join(statement.names)} = " if statement.names else ""
    return [target + " -> ".join([*takes, *calls])]


def graph_spec(graph: Graph, train: Sequence[str] = ()) -> str:
    inputs = ", ".join(f"{name}: {of}" for name, of in graph.inputs.items())
    lines = ["model Case {", f"    input {inputs}", ""]
    lines += [f"    {line}" for statement in graph.statements for line in statement_lines(statement)]
    if graph.outputs:
        lines.append(f"    output {', '.join(graph.outputs)}")
    if train:
        lines += ["", "    train {", *(f"        {line}" for line in train), "    }"]
    return "\n".join([*lines, "}", ""])


def spec(layers: Sequence[Layer], of_input: str, train: Sequence[str] = ()) -> str:
    return graph_spec(chain(layers, of_input), train)


class Weight(NamedTuple):
    """A weight's name as the package gives it, the layer that has it, and its name there."""

    path: str
    layer: Layer
    name: str


FROZEN = ("moving_mean", "moving_variance")
"""Weights that no gradient changes."""

ADAPTED = ("mean", "variance", "count")
"""Of Normalization: weights that training leaves as they are."""

UNTRAINED = (*FROZEN, *(f"/{name}" for name in ADAPTED))
"""How the names of both end."""


def snake_case(name: str) -> str:
    spaced = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", spaced).lower()


def own_weights(layer: Layer) -> list[str]:
    """The names of a layer's weights, in Keras's order."""
    bias = ["bias"] if layer.get("use_bias", True) else []
    centered = (["gamma"] if layer.get("scale", True) else []) + (["beta"] if layer.get("center", True) else [])
    match layer["layer"]:
        case "LSTM" | "GRU" | "SimpleRNN":
            return ["kernel", "recurrent_kernel", *bias]
        case "Dense" | "Conv1D":
            return ["kernel", *bias]
        case "Embedding":
            return ["embeddings"]
        case "LayerNormalization":
            return ["gamma"] if layer.get("rms_scaling", False) else centered
        case "BatchNormalization":
            return [*centered, *FROZEN]
        case "Normalization":
            return [] if "mean" in layer else list(ADAPTED)
        case "PReLU":
            return ["alpha"]
        case "Attention":
            return ["scale"] if layer.get("use_scale", False) else []
        case _:
            return []


def weights_of(layers: Sequence[Layer]) -> list[Weight]:
    """All weights in Keras's order; names count up by type, layers inside of others included."""
    found: list[Weight] = []
    seen: Counter[str] = Counter()

    def named(layer: Layer) -> str:
        stem = snake_case(layer["layer"])
        number = seen[stem]
        seen[stem] += 1
        return f"{stem}_{number}" if number else stem

    def within(layer: Layer, prefix: str) -> Iterator[Weight]:
        """Of a layer whose own name is `prefix`."""
        match layer["layer"]:
            case "Bidirectional":
                forward, backward = layer["of"], layer.get("backward_layer")
                name = named(forward)
                yield from within(forward, f"{prefix}/forward_{name}")
                yield from within(backward or forward, f"{prefix}/backward_{named(backward) if backward else name}")
            case "TimeDistributed":
                yield from within(layer["of"], f"{prefix}/{named(layer['of'])}")
            case "RNN":
                cells = layer["cells"]
                for cell in cells if isinstance(cells, list) else [cells]:
                    yield from within(cell, f"{prefix}/{named(cell)}")
            case _:
                for name in own_weights(layer):
                    yield Weight(f"{prefix}/{name}", layer, name)

    for layer in layers:
        found += within(layer, named(layer))
    return found


def paths(layers: Sequence[Layer]) -> list[str]:
    """The weights' names as the package gives them, in Keras's order."""
    return [weight.path for weight in weights_of(layers)]
