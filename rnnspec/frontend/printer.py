"""Prints the syntax tree and the layer graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import assert_never, cast

from rnnspec.frontend import ast
from rnnspec.frontend.equations import (
    Applied,
    Assignment,
    Joined,
    Literal,
    Negation,
    Pairwise,
    Product,
    Reduced,
    Row,
    Spread,
    Step,
    Term,
    Variable,
    WeightTerm,
    Zeros,
)
from rnnspec.frontend.graph import Activation, Bidirectional, Dense, Dropout, Embedding, Flowing, Graph, Layer, Masking, Recurrent
from rnnspec.runtime.signature import Argument as Plain
from rnnspec.runtime.signature import Configured, InitializerPart

INDENT = "  "


def print_ast(tree: ast.File) -> str:
    """One line a node with its place, its own words and its field in the node above; ends in a line break."""
    return "\n".join(_node_lines(tree, "")) + "\n"


def _node_lines(node: ast.Node, label: str) -> Iterator[str]:
    words: list[str] = []
    children: list[tuple[str, ast.Node]] = []
    for each in fields(node):
        value = getattr(node, each.name)
        match value:
            case ast.Identifier(text=text):
                words.append(text)
            case ast.Node() if each.name != "span":
                children.append((each.name, value))
            case tuple():
                children += [(each.name, child) for child in cast(tuple[object, ...], value) if isinstance(child, ast.Node)]
            case bool() if each.name != "value":
                words += [each.name] if value else []
            case str() | int() | float():
                words.append(_plain(value))
            case _:
                pass
    line, column = node.span.source.position(node.span.start)
    yield f"{label}{' '.join([type(node).__name__, *words])} @ {line}:{column}"
    for name, child in children:
        yield from (INDENT + text for text in _node_lines(child, f"{name}: "))


def print_graph(graph: Graph) -> str:
    """Layers in their order, each with its output, its weights and, of a cell, its step; ends in a line break."""
    lines = [f"graph {graph.model}", f"{INDENT}input {graph.input.name}: {_flowing(graph.input.value)}"]
    for layer in graph.layers:
        lines += [INDENT + line for line in _layer(layer)]
    settings = [(each.name, getattr(graph.train, each.name)) for each in fields(graph.train)]
    chosen = [f"{name} = {_setting(value)}" for name, value in settings if value not in (None, ())]
    if chosen:
        lines.append(f"{INDENT}train {', '.join(chosen)}")
    return "\n".join(lines) + "\n"


def _layer(layer: Layer) -> Iterator[str]:
    match layer:
        case Embedding():
            yield f"{layer.name}: Embedding(mask_zero = {_plain(layer.mask_zero)}) -> {_flowing(layer.output)}"
        case Masking():
            yield f"{layer.name}: Masking(mask_value = {_plain(layer.mask_value)}) -> {_flowing(layer.output)}"
        case Dense():
            yield f"{layer.name}: Dense(activation = {configured(layer.activation)}) -> {_flowing(layer.output)}"
        case Dropout():
            yield f"{layer.name}: Dropout(rate = {_plain(layer.rate)}) -> {_flowing(layer.output)}"
        case Activation():
            yield f"{layer.name}: Activation({configured(layer.activation)}) -> {_flowing(layer.output)}"
        case Recurrent():
            yield f"{layer.name}: {layer.step.cell}({_options(layer)}) -> {_flowing(layer.output)}"
            yield from (INDENT + line for line in _step(layer.step))
        case Bidirectional():
            yield f"{layer.name}: Bidirectional(merge_mode = {layer.merge_mode.value}) -> {_flowing(layer.output)}"
            yield from (INDENT + line for half in (layer.forward, layer.backward) for line in _layer(half))
            return
        case _:
            assert_never(layer)
    for weight in layer.weights:
        frozen = "" if weight.trainable else " frozen"
        yield f"{INDENT}weight {weight.path} [{', '.join(map(str, weight.shape))}] = {_initializer(weight.initializer)}{frozen}"


def _options(layer: Recurrent) -> str:
    options = ("return_sequences", "go_backwards", "zero_output_for_mask")
    return ", ".join(f"{option} = {_plain(getattr(layer, option))}" for option in options)


def _step(step: Step) -> Iterator[str]:
    yield "state " + ", ".join(f"{state.name} [{state.width}]" for state in step.states)
    yield from (_assignment(assignment) for assignment in step.assignments)
    yield f"return {print_term(step.output)}"


def _assignment(assignment: Assignment) -> str:
    value = print_term(assignment.value)
    parts = len(assignment.targets)
    return f"{', '.join(assignment.targets)} = {f'split({value}, {parts})' if parts > 1 else value}"


def print_term(term: Term) -> str:
    """A term as the language would write it; what was chosen when the spec was compiled is gone."""
    match term:
        case Literal(value):
            return _plain(value)
        case Variable(name) | WeightTerm(name):
            return name
        case Zeros():
            return "0"
        case Pairwise(kind, left, right):
            named = kind.value.isalpha()
            return f"{kind.value}({print_term(left)}, {print_term(right)})" if named else f"{_inner(left)} {kind.value} {_inner(right)}"
        case Negation(operand):
            return f"-{_inner(operand)}"
        case Applied(function, options, operand):
            named = "".join(f", {name} = {_plain(value)}" for name, value in options)
            return f"{function}({print_term(operand)}{named})"
        case Product(left, right):
            return f"{_inner(left)} @ {_inner(right)}"
        case Reduced(kind, operand):
            return f"{kind.value}({print_term(operand)})"
        case Row(matrix, position):
            return f"{_inner(matrix)}[{position}]"
        case Joined(parts):
            return f"concat({', '.join(map(print_term, parts))})"
        case Spread(operand):
            return print_term(operand)
        case _:
            assert_never(term)


def _inner(term: Term) -> str:
    """In parentheses if it is a sum or the like."""
    while isinstance(term, Spread):
        term = term.operand
    text = print_term(term)
    named = isinstance(term, Pairwise) and term.kind.value.isalpha()
    return f"({text})" if isinstance(term, Pairwise | Negation) and not named else text


def _flowing(value: Flowing) -> str:
    marks = [word for word, holds in (("masked", value.masked), ("flipped", value.flipped)) if holds]
    return ", ".join([str(value), *marks])


def _initializer(parts: tuple[InitializerPart, ...]) -> str:
    if len(parts) == 1:
        return configured(parts[0].initializer)
    return "[" + ", ".join(f"{part.start}..{part.stop}: {configured(part.initializer)}" for part in parts) + "]"


def configured(choice: Configured) -> str:
    """Something chosen by name, with the arguments that aren't none."""
    given = [f"{name} = {_plain(value)}" for name, value in choice.arguments if value is not None]
    return f"{choice.name}({', '.join(given)})" if given else choice.name


def _setting(value: object) -> str:
    match value:
        case Configured():
            return configured(value)
        case tuple():
            return f"[{', '.join(_setting(item) for item in cast(tuple[object, ...], value))}]"
        case bool() | int() | float() | str():
            return _plain(value)
        case _:
            return str(value)


def _plain(value: Plain) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case tuple():
            return f"[{', '.join(map(_plain, value))}]"
        case float():
            return f"{value:g}" if float(f"{value:g}") == value else repr(value)
        case _:
            return str(value)
