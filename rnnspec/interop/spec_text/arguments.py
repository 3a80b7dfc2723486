"""Arguments as a spec writes them: defaults left out, the first ones by their place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from rnnspec.contract.arguments import REQUIRED, Rate, Required
from rnnspec.contract.signature import ArgumentValue, Config
from rnnspec.diagnostics import InternalError
from rnnspec.frontend.binding.library_arguments import library_arguments
from rnnspec.frontend.catalogue.argument_types import ArgumentSpec, ChoiceOf, Family, ListOf, PerOutput
from rnnspec.frontend.catalogue.choices import FAMILIES
from rnnspec.frontend.catalogue.layers import LAYERS, SEQUENCE_OPTIONS
from rnnspec.frontend.syntax import ast
from rnnspec.frontend.syntax.standard_library import CellLibrary
from rnnspec.frozen import frozen
from rnnspec.interop.graph.graph import Value, ValueOf, Word

_BY_PLACE = frozenset({"n", "size", "pool_size", "padding", "cropping", "target_shape", "activation", "layer", "cell", "start", "stop"})
"""Arguments that say themselves what they are, where they are a layer's first."""


@frozen
class Accepted:
    """An argument that a layer takes: `default` as a `Value`, REQUIRED without one. `spec`: its kind."""

    name: str
    default: Value | Required
    spec: ArgumentSpec | None


def accepted(layer: str, cells: CellLibrary) -> tuple[Accepted, ...]:
    """The arguments of a layer, or of a cell as a layer, in their order; KeyError for an unknown one."""
    if layer in cells:
        own = [_parameter(parameter) for parameter in cells[layer].parameters]
        names = {argument.name for argument in own}
        return (*own, *(_of(option) for option in SEQUENCE_OPTIONS if option.name not in names))
    return tuple(_of(argument) for argument in LAYERS[layer].arguments)


def _of(spec: ArgumentSpec) -> Accepted:
    return Accepted(spec.name, spec.default if isinstance(spec.default, Required) else as_value(spec.default), spec)


def as_value(value: ArgumentValue) -> Value:
    """A constant of the catalogues, where names are texts, as a `Value`."""
    match value:
        case str():
            return Word(value)
        case tuple():
            return tuple(map(as_value, value))
        case Config(name=name, arguments=arguments):
            return Word(name, tuple((key, as_value(each)) for key, each in arguments))
        case _:
            return value


def _parameter(parameter: ast.Parameter) -> Accepted:
    return Accepted(parameter.name.text, REQUIRED if parameter.default is None else constant(parameter.default), None)


def constant(expression: ast.Expression) -> Value | Required:
    """A constant of a spec as a `Value`; REQUIRED, which no value equals, for an expression that is computed."""
    match expression:
        case ast.Number(value=value) | ast.Text(value=value) | ast.Boolean(value=value):
            return value
        case ast.Nothing():
            return None
        case ast.Name(text=name):
            return Word(name)
        case ast.Unary(operator="-", operand=ast.Number(value=value)):
            return -value
        case ast.List(items=items):
            values = tuple(_known(constant(item) for item in items))
            return values if len(values) == len(items) else REQUIRED
        case ast.Call(callee=callee, arguments=arguments) if all(each.name is not None for each in arguments):
            names = [each.name.text for each in arguments if each.name is not None]
            values = tuple(_known(constant(each.value) for each in arguments))
            return Word(callee.text, tuple(zip(names, values, strict=True))) if len(values) == len(names) else REQUIRED
        case _:
            return REQUIRED


def _known(values: Iterable[Value | Required]) -> Iterator[Value]:
    return (value for value in values if not isinstance(value, Required))


def is_same(left: Value | Required, right: Value | Required) -> bool:
    """Whether two values mean the same: numbers by their value, which a flag isn't."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, tuple) and isinstance(right, tuple):
        return len(left) == len(right) and all(map(is_same, left, right))
    return type(left) is type(right) and left == right if not isinstance(left, (int, float)) else left == right


def is_default(value: Value, argument: Accepted) -> bool:
    """Whether a simplified value is what the argument is without being given."""
    default = argument.default
    if default is None and value == Word("linear"):
        return True  # no activation
    return is_same(value, simplified(default, argument.spec) if isinstance(default, Word) else default)


def simplified(value: Value, spec: ArgumentSpec | None) -> Value:
    """A choice under its usual name, without the arguments that have their defaults."""
    if spec is None:
        families = [each for each in FAMILIES if isinstance(value, Word) and not value.called and value.name in FAMILIES[each]]
        return _chosen(value, families[0]) if len(families) == 1 else value
    match spec.kind:
        case ChoiceOf(family=family) | ListOf(family=family):
            return _chosen(value, family)
        case Rate():
            return _chosen(value, Family.SCHEDULE)
        case PerOutput(of=ChoiceOf(family=family) | ListOf(family=family)):
            return _chosen(value, family)
        case _:
            return value


def _chosen(value: Value, family: Family) -> Value:
    entries = FAMILIES[family]
    match value:
        case tuple():
            return tuple(_chosen(each, family) for each in value)
        case Word(name=name, arguments=arguments) if name in entries:
            entry = entries[name]
            specs = {spec.name: spec for spec in (*entry.arguments, *library_arguments(family, entry.name))}
            kept = [(key, simplified(each, specs.get(key))) for key, each in arguments]
            kept = [(key, each) for key, each in kept if key not in specs or not is_default(each, _of(specs[key]))]
            return Word(entry.name, tuple(kept), value.called)
        case _:
            return value


class ArgumentText:
    """Writes values and calls. `name_of`: the name in the spec of a value of the graph, by its key."""

    def __init__(self, cells: CellLibrary, name_of: Callable[[str], str]) -> None:
        self._cells = cells
        self._name_of = name_of

    def call(self, layer: str, arguments: Mapping[str, Value], name: str = "") -> str:
        """`LSTM(64, return_sequences = true)`; `name`: of a layer that is given one."""
        given = [*self._arguments(layer, arguments), *([f'name = "{name}"'] if name else [])]
        return f"{layer}({', '.join(given)})"

    def _arguments(self, layer: str, arguments: Mapping[str, Value]) -> Iterator[str]:
        left = dict(arguments)
        by_place = True
        for place, argument in enumerate(accepted(layer, self._cells)):
            if argument.name not in left:
                by_place = False
                continue
            value = simplified(left.pop(argument.name), argument.spec)
            if is_default(value, argument):
                by_place = False
                continue
            needed = argument.default is REQUIRED or (place == 0 and argument.name in _BY_PLACE)
            by_place = by_place and needed and (argument.spec is None or argument.spec.positional)
            text = self.value(value)
            yield text if by_place else f"{argument.name} = {text}"
        yield from (f"{name} = {self.value(value)}" for name, value in left.items())

    def value(self, value: Value) -> str:
        """A value on one line."""
        match value:
            case None:
                return "none"
            case bool():
                return "true" if value else "false"
            case int():
                return str(value)
            case float():
                return _number(value)
            case str():
                return _quoted(value)
            case ValueOf(key=key):
                return self._name_of(key)
            case tuple():
                return f"[{', '.join(map(self.value, value))}]"
            case Word(name=name, arguments=arguments, called=True) if name in self._cells or name in LAYERS:
                return self.call(name, dict(arguments))
            case Word(name=name, arguments=arguments, called=called):
                shown = [f"{key} = {self.value(each)}" for key, each in arguments]
                return f"{name}({', '.join(shown)})" if shown or called else name


def _number(value: float) -> str:
    if value != value or value in (float("inf"), float("-inf")):
        raise InternalError(f"a number that a spec can't have: {value}")
    text = repr(value)
    return text.replace("e+", "e")


def _quoted(text: str) -> str:
    if '"' in text or "\n" in text or "\r" in text:
        raise InternalError(f"a text that a spec can't have: {text!r}")
    return f'"{text}"'
