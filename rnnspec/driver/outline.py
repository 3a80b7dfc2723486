"""The head of a spec, without its layers: the model's parameters and inputs."""

from __future__ import annotations

from functools import lru_cache

from rnnspec.contract.signature import ArgumentValue
from rnnspec.driver.source_files import parse_all, read_spec
from rnnspec.frontend.binding.constants import evaluate
from rnnspec.frontend.binding.model_parameters import model_scope
from rnnspec.frontend.binding.values import Report, Value, describe
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen
from rnnspec.source import SourceFile
from rnnspec.spec_files import Spec


@frozen
class Outline:
    """A model's parameters and inputs, as its first lines declare them.

    `defaults`: the value of each parameter that has one. `required`: the parameters without. `axes`: by input the axes of a sample: 2 of a
    sequence of rows.
    """

    defaults: tuple[tuple[str, ArgumentValue], ...]
    required: tuple[str, ...]
    axes: tuple[tuple[str, int], ...]


def outline(spec: Spec) -> Outline:
    """The head of a spec; SpecError for one that can't be read or parsed. What is wrong behind the head isn't looked at."""
    return _outline(read_spec(spec))


@lru_cache(maxsize=64)
def _outline(source: SourceFile) -> Outline:
    tree, _ = parse_all(source)
    model = next((each for each in tree.declarations if isinstance(each, ast.Model)), None)
    if model is None:
        return Outline((), (), ())
    scope = model_scope(model, {}, Report())
    defaults = tuple((each.name.text, _plain(evaluate(each.default, scope).value)) for each in model.parameters if each.default is not None)
    items = [item for statement in model.statements if isinstance(statement, ast.Inputs) for item in statement.items]
    required = tuple(each.name.text for each in model.parameters if each.default is None)
    return Outline(defaults, required, tuple((item.name.text, len(item.dimensions)) for item in items))


def _plain(value: Value) -> ArgumentValue:
    """A default as Python has it; a name as a text, which stands for it."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case tuple():
            return tuple(_plain(each.value) for each in value)
        case _:
            return describe(value)
