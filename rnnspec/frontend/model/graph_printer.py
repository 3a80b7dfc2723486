"""Prints the syntax tree and the layer graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import assert_never, cast

from rnnspec.contract.signature import ArgumentValue, Config, InitializerPart
from rnnspec.frontend.cells.cell_ir import (
    Applied,
    Assignment,
    Choice,
    Combined,
    Compared,
    Condition,
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
from rnnspec.frontend.graph.graph import Application, Graph, GraphTensor
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
    LayerWeight,
    LocalPooling,
    Masking,
    Merge,
    PReLU,
    Recurrent,
    RecurrentCell,
    RepeatVector,
    Reshaping,
    SpatialDropout,
    StepSoftmax,
    TimeDistributed,
)
from rnnspec.frontend.graph.regularized_outputs import activity_regularizer
from rnnspec.frontend.syntax import ast

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
    lines = [f"graph {graph.model}"]
    lines += [f"{INDENT}%{source.value.number} = input {source.name}: {_flowing(source.value.type)}" for source in graph.inputs]
    described: set[str] = set()
    for application in graph.applications:
        lines.append(f"{INDENT}{_application(application)}")
        if application.layer.name not in described:
            described.add(application.layer.name)
            lines += [INDENT * 2 + line for line in _details(application.layer)]
    lines += [f"{INDENT}output {output.name} = %{output.value.number}" for output in graph.outputs]
    settings = [(each.name, getattr(graph.train, each.name)) for each in fields(graph.train)]
    chosen = [f"{name} = {_setting(value)}" for name, value in settings if value not in (None, ())]
    if chosen:
        lines.append(f"{INDENT}train {', '.join(chosen)}")
    return "\n".join(lines) + "\n"


def _application(application: Application) -> str:
    """`%2 = lstm(%1): LSTM(...) -> float[batch, 4]`."""
    layer = application.layer
    results = ", ".join(f"%{value.number}" for value in application.results)
    operands = ", ".join(f"%{value.number}" for value in application.operands)
    types = "; ".join(_flowing(value.type) for value in application.results)
    return f"{results} = {layer.name}({operands}): {_head(layer)} -> {types}"


def _head(layer: Layer) -> str:
    match layer:
        case Embedding():
            return f"Embedding(mask_zero = {_plain(layer.mask_zero)}{_activity(layer)})"
        case Masking():
            return f"Masking(mask_value = {_plain(layer.mask_value)})"
        case Dense():
            return f"Dense(activation = {configured(layer.activation)}{_activity(layer)})"
        case Dropout():
            return f"Dropout(rate = {_plain(layer.rate)})"
        case GaussianNoise():
            return f"GaussianNoise(stddev = {_plain(layer.stddev)})"
        case Activation():
            return f"{layer.kind}({configured(layer.activation)})"
        case Merge():
            return f"{layer.kind.value}({'axis = 1' if layer.over_steps else ''})"
        case GlobalPooling():
            return f"{layer.kind.value}({'keepdims = true' if layer.keepdims else ''})"
        case Convolution():
            return f"Conv1D({_window(layer)}, activation = {configured(layer.activation)})"
        case LocalPooling():
            return f"{layer.kind.value}({_window(layer)})"
        case Reshaping():
            return f"{layer.kind.value}()"
        case Attention():
            options = [("use_scale", layer.scale is not None), ("use_causal_mask", layer.causal), ("dropout", layer.rate)]
            return f"Attention({', '.join(f'{name} = {_plain(value)}' for name, value in options if value)})"
        case Dot():
            return f"Dot(axes = {_plain(tuple(axis + 1 for axis in layer.axes))}, normalize = {_plain(layer.normalize)})"
        case LayerNormalization():
            return f"LayerNormalization(epsilon = {_plain(layer.epsilon)}{', rms_scaling = true' if layer.rms_scaling else ''})"
        case BatchNormalization():
            return f"BatchNormalization(momentum = {_plain(layer.momentum)}, epsilon = {_plain(layer.epsilon)})"
        case PReLU():
            return "PReLU()"
        case StepSoftmax():
            return "Softmax(axis = 1)"
        case RepeatVector():
            return f"RepeatVector({layer.count})"
        case SpatialDropout():
            return f"SpatialDropout1D(rate = {_plain(layer.rate)})"
        case TimeDistributed():
            return f"TimeDistributed({_head(layer.layer)})"
        case Recurrent():
            return f"{layer.kind}({_options(layer)})"
        case Bidirectional():
            return f"Bidirectional(merge_mode = {layer.merge_mode.value})"
        case _:
            assert_never(layer)


def _details(layer: Layer) -> Iterator[str]:
    """A cell's step, and the weights."""
    if isinstance(layer, Bidirectional):
        for half in (layer.forward, layer.backward):
            yield f"{half.name}: {_head(half)}"
            yield from (INDENT + line for line in _details(half))
        return
    if isinstance(layer, Recurrent):
        for cell in layer.cells:
            yield from _cell(cell, layer)
        return
    yield from _weights(layer.weights)


def _cell(cell: RecurrentCell, layer: Recurrent) -> Iterator[str]:
    """Of a stack, each under its name and dropout."""
    lines = [*_step(cell.step), *_weights(cell.weights)]
    if cell.path == layer.path:
        yield from lines
        return
    yield f"{cell.path.rpartition('/')[2]}: {cell.step.cell}({', '.join(_dropout(cell))})"
    yield from (INDENT + line for line in lines)


def _weights(weights: Sequence[LayerWeight]) -> Iterator[str]:
    for weight in weights:
        frozen = " updated" if weight.updated else "" if weight.trainable else " frozen"
        options = "".join(f", {configured(option)}" for option in (weight.regularizer, weight.constraint) if option is not None)
        yield f"weight {weight.path} [{', '.join(map(str, weight.shape))}] = {_initializer(weight.initializer)}{frozen}{options}"


def _window(layer: Convolution | LocalPooling) -> str:
    window, carry = layer.window, ", carry_mask = true" if layer.carry_mask else ""
    dilation = f", dilation_rate = {window.dilation}" if window.dilation > 1 else ""
    return f"{window.size} steps, strides = {window.stride}, padding = {window.padding.value}{dilation}{carry}"


def _options(layer: Recurrent) -> str:
    options = ("return_sequences", "return_state", "go_backwards", "zero_output_for_mask", "stateful", "initial_state")
    shown = [f"{option} = true" for option in options if getattr(layer, option)]
    shown += _dropout(layer.cells[0]) if layer.cells[0].path == layer.path else []
    return (", ".join(shown) + _activity(layer)).removeprefix(", ")


def _activity(layer: Layer) -> str:
    regularizer = activity_regularizer(layer)
    return "" if regularizer is None else f", activity_regularizer = {configured(regularizer)}"


def _dropout(cell: RecurrentCell) -> list[str]:
    return [f"{option} = {_plain(rate)}" for option in ("dropout", "recurrent_dropout") if (rate := getattr(cell, option))]


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
        case Choice(condition, on_true, on_false):
            return f"where({_condition(condition)}, {print_term(on_true)}, {print_term(on_false)})"
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


def _condition(condition: Condition) -> str:
    match condition:
        case Compared(kind, left, right):
            return f"{_inner(left)} {kind.value} {_inner(right)}"
        case Combined(both, left, right):
            return f"({_condition(left)}) {'and' if both else 'or'} ({_condition(right)})"
        case _:
            assert_never(condition)


def _flowing(value: GraphTensor) -> str:
    marks = [word for word, holds in (("masked", value.masked), ("flipped", value.flipped)) if holds]
    return ", ".join([str(value), *marks])


def _initializer(parts: tuple[InitializerPart, ...]) -> str:
    if len(parts) == 1:
        return configured(parts[0].initializer)
    return "[" + ", ".join(f"{part.start}..{part.stop}: {configured(part.initializer)}" for part in parts) + "]"


def configured(choice: Config) -> str:
    """Something chosen by name, with the arguments that aren't none."""
    given = [f"{name} = {_plain(value)}" for name, value in choice.arguments if value is not None]
    return f"{choice.name}({', '.join(given)})" if given else choice.name


def _setting(value: object) -> str:
    match value:
        case Config():
            return configured(value)
        case tuple():
            return f"[{', '.join(_setting(item) for item in cast(tuple[object, ...], value))}]"
        case bool() | int() | float() | str() | None:
            return _plain(value)
        case _:
            return str(value)


def _plain(value: ArgumentValue) -> str:
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
