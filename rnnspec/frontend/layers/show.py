"""Layers as text: a line for the layer with its options, one for each weight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rnnspec.contract.signature import ArgumentValue, Config, InitializerPart
from rnnspec.frontend.binding.printed_values import configured, plain
from rnnspec.frontend.graph.layer import Layer, LayerWeight
from rnnspec.frontend.layers.rules import Shown

INDENT = "  "


def shown(layer: Layer, kind: str, *options: str) -> Shown:
    """A layer under its type, its options in brackets, empty ones left out, and its weights below."""
    return Shown(kind, f"{kind}({', '.join(filter(None, options))})", tuple(weight_lines(layer.weights)))


def option(name: str, value: ArgumentValue) -> str:
    """`rate = 0.5`."""
    return f"{name} = {plain(value)}"


def flag(name: str, value: ArgumentValue) -> str:
    """`causal = true`; nothing for an option that isn't set."""
    return option(name, value) if value else ""


def chosen(name: str, choice: Config | None) -> str:
    """`activation = tanh`; nothing without a choice."""
    return "" if choice is None else f"{name} = {configured(choice)}"


def weight_lines(weights: Sequence[LayerWeight]) -> Iterator[str]:
    """`weight dense/kernel [3, 4] = glorot_uniform`."""
    for weight in weights:
        frozen = " updated" if weight.updated else "" if weight.trainable else " frozen"
        options = "".join(f", {configured(each)}" for each in (weight.regularizer, weight.constraint) if each is not None)
        yield f"weight {weight.path} [{', '.join(map(str, weight.shape))}] = {_initializer(weight.initializer)}{frozen}{options}"


def _initializer(parts: tuple[InitializerPart, ...]) -> str:
    if len(parts) == 1:
        return configured(parts[0].initializer)
    return "[" + ", ".join(f"{part.start}..{part.stop}: {configured(part.initializer)}" for part in parts) + "]"
