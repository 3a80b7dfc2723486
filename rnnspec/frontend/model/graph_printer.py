"""Prints the syntax tree and the layer graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import cast

from rnnspec.contract.signature import Config
from rnnspec.frontend.binding.printed_values import configured, plain
from rnnspec.frontend.graph.graph import Application, Graph, GraphTensor
from rnnspec.frontend.layers.registry import rules_of
from rnnspec.frontend.layers.rules import Shown
from rnnspec.frontend.layers.show import INDENT
from rnnspec.frontend.syntax import ast


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
                words.append(plain(value))
            case _:
                pass
    line, column = node.span.source.position(node.span.start)
    yield f"{label}{' '.join([type(node).__name__, *words])} @ {line}:{column}"
    for name, child in children:
        yield from (INDENT + text for text in _node_lines(child, f"{name}: "))


def print_graph(graph: Graph) -> str:
    """Layers in their order, each with its output, its weights and, of a cell, its step; ends in a line break."""
    lines = [f"graph {graph.model}"]
    lines += [f"{INDENT}%{source.value.number} = input {source.name}: {_flowing(source.value.type)}" for source in graph.inputs]
    described: set[str] = set()
    for application in graph.applications:
        shown = rules_of(application.layer).show(application.layer)
        lines.append(f"{INDENT}{_application(application, shown)}")
        if application.layer.name not in described:
            described.add(application.layer.name)
            lines += [INDENT * 2 + line for line in shown.lines]
    lines += [f"{INDENT}output {output.name} = %{output.value.number}" for output in graph.outputs]
    settings = [(each.name, getattr(graph.train, each.name)) for each in fields(graph.train)]
    chosen = [f"{name} = {_setting(value)}" for name, value in settings if value not in (None, ())]
    if chosen:
        lines.append(f"{INDENT}train {', '.join(chosen)}")
    return "\n".join(lines) + "\n"


def _application(application: Application, shown: Shown) -> str:
    """`%2 = lstm(%1): LSTM(...) -> float[batch, 4]`."""
    results = ", ".join(f"%{value.number}" for value in application.results)
    operands = ", ".join(f"%{value.number}" for value in application.operands)
    types = "; ".join(_flowing(value.type) for value in application.results)
    return f"{results} = {application.layer.name}({operands}): {shown.head} -> {types}"


def _flowing(value: GraphTensor) -> str:
    marks = [word for word, holds in (("masked", value.masked), ("flipped", value.flipped)) if holds]
    return ", ".join([str(value), *marks])


def _setting(value: object) -> str:
    match value:
        case Config():
            return configured(value)
        case tuple():
            return f"[{', '.join(_setting(item) for item in cast(tuple[object, ...], value))}]"
        case bool() | int() | float() | str() | None:
            return plain(value)
        case _:
            return str(value)
