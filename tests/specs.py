"""Models as lists of layer descriptions, `{"layer": name, argument: value}` as in Keras, and the spec's text that means the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
        case _:
            return str(value)


POSITIONAL = {
    "LSTM": ("units",),
    "GRU": ("units",),
    "SimpleRNN": ("units",),
    "Dense": ("units",),
    "Bidirectional": ("of",),
    "Embedding": ("input_dim", "output_dim"),
    "Dropout": ("rate",),
    "Activation": ("activation",),
}


def call(layer: Mapping[str, Any]) -> str:
    """A layer as it is written in a spec."""
    name = layer["layer"]
    positional = POSITIONAL.get(name, ())
    words = [literal(layer[argument]) for argument in positional]
    words += [f"{argument} = {literal(value)}" for argument, value in layer.items() if argument not in ("layer", *positional)]
    return f"{name}({', '.join(words)})"


def spec(layers: Sequence[Layer], of_input: str, train: Sequence[str] = ()) -> str:
    lines = ["model Case {", f"    input x: {of_input}", "", *(f"    {call(layer)}" for layer in layers)]
    if train:
        lines += ["", "    train {", *(f"        {line}" for line in train), "    }"]
    return "\n".join([*lines, "}", ""])


def paths(layers: Sequence[Layer]) -> list[str]:
    """The weights' names as the package gives them, in Keras's order."""
    named: list[str] = []
    seen: dict[str, int] = {}
    snake = {"SimpleRNN": "simple_rnn", "LSTM": "lstm", "GRU": "gru"}
    for layer in layers:
        name = layer["layer"]
        stem = snake.get(name, name.lower())
        path = f"{stem}_{seen[stem]}" if seen.setdefault(stem, 0) else stem
        seen[stem] += 1
        cell = ["kernel", "recurrent_kernel", "bias"]
        match name:
            case "LSTM" | "GRU" | "SimpleRNN":
                named += [f"{path}/{weight}" for weight in cell[: 3 if layer.get("use_bias", True) else 2]]
            case "Bidirectional":
                inner = snake[layer["of"]["layer"]]
                named += [f"{path}/{way}_{inner}/{weight}" for way in ("forward", "backward") for weight in cell]
            case "Dense":
                named += [f"{path}/{weight}" for weight in (["kernel", "bias"] if layer.get("use_bias", True) else ["kernel"])]
            case "Embedding":
                named.append(f"{path}/embeddings")
            case _:
                pass
    return named
