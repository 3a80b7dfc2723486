"""Arguments that are written one call too far out: `RNN([LSTM(64)], dropout = 0.1)`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rnnspec.frontend.catalogue.layers import LAYERS, SEQUENCE_OPTIONS
from rnnspec.frontend.syntax import ast

_LONGEST_VALUE = 30


def inner_arguments(call: ast.Call, cells: Mapping[str, ast.Cell]) -> dict[str, str]:
    """The named arguments of a call that a layer or a cell among its arguments takes, each with advice."""
    found: dict[str, str] = {}
    for inner, shown in _inner_calls(call):
        taken = _arguments_of(inner, cells)
        for argument in call.arguments:
            if argument.name is not None and argument.name.text in taken:
                name, value = argument.name.text, argument.value.span.text
                written = value if len(value) <= _LONGEST_VALUE and "\n" not in value else "..."
                advice = f"{inner.callee.text} takes it: write `{call.callee.text}({shown.format(f'{name} = {written}')})`"
                found.setdefault(name, advice)
    return found


def _inner_calls(call: ast.Call) -> Iterator[tuple[ast.Call, str]]:
    """The calls among the positional arguments, alone or in a list, and how each is shown with a further argument."""
    for argument in call.arguments:
        match argument.value:
            case ast.Call(callee=callee) as inner if argument.name is None:
                yield inner, f"{callee.text}(..., {{}})"
            case ast.List(items=items) if argument.name is None:
                for item in items:
                    if isinstance(item, ast.Call):
                        yield item, f"[{item.callee.text}(..., {{}}){', ...' if len(items) > 1 else ''}]"
            case _:
                pass


def _arguments_of(call: ast.Call, cells: Mapping[str, ast.Cell]) -> set[str]:
    name = call.callee.text
    if name in cells:
        return {parameter.name.text for parameter in cells[name].parameters} | {option.name for option in SEQUENCE_OPTIONS}
    return {argument.name for argument in LAYERS[name].arguments} if name in LAYERS else set()
