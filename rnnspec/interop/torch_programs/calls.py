"""The calls of a program, with their arguments, and the nodes that they become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.interop.onnx_files.moving import Unfit
from rnnspec.interop.onnx_files.nodes import Attribute, Node

OPSET = 18
"""The version of ONNX's operations that the nodes are of."""


@frozen
class Ref:
    """A tensor, or a whole number that is known when the program runs, by its name."""

    name: str


Argument: TypeAlias = "Ref | bool | int | float | str | tuple[Argument, ...] | None"

_SINGLE = ("as_int", "as_bool", "as_string", "as_scalar_type")
_LISTS = ("as_ints", "as_bools", "as_strings")


def argument_of(given: object) -> Argument:
    """An argument of the JSON; `Unfit` for one of a kind that no call here has."""
    if not isinstance(given, dict) or len(cast("dict[str, Any]", given)) != 1:
        raise Unfit("damaged: one of its arguments has no kind")
    ((kind, value),) = cast("dict[str, Any]", given).items()
    match kind, value:
        case "as_none", _:
            return None
        case ("as_tensor", {"name": str(name)}) | ("as_sym_int" | "as_sym_bool" | "as_sym_float", {"as_name": str(name)}):
            return Ref(name)
        case "as_sym_int", {"as_int": int(number)}:
            return number
        case ("as_tensors", list()) | ("as_optional_tensors", list()) | ("as_sym_ints", list()):
            inner = {"as_tensors": "as_tensor", "as_sym_ints": "as_sym_int"}.get(kind)
            return tuple(argument_of(each if inner is None else {inner: each}) for each in cast("list[object]", value))
        case "as_optional_tensor", _:
            return argument_of(value)
        case "as_float", int() | float() | str():
            return float(cast("float | str", value))
        case _ if kind in _SINGLE and isinstance(value, (int, str)):
            return value
        case _ if kind in _LISTS and isinstance(value, list):
            return tuple(each for each in cast("list[Any]", value) if isinstance(each, (int, str)))
        case "as_floats", list():
            return tuple(float(each) for each in cast("list[float | str]", value))
        case (("as_device" | "as_layout" | "as_memory_format"), _):
            return None
        case _:
            raise Unfit(f"an argument of the kind {kind[:40]}")


class Nodes:
    """The nodes and constants of a graph on its way, with ONNX's names of the program's values."""

    def __init__(self, constants: Mapping[str, Array], shapes: Mapping[str, tuple[int | str, ...]]) -> None:
        self.made: list[Node] = []
        self.constants = dict(constants)
        self.names = {name: name for name in constants}
        self.shapes = shapes
        """Of the program's values, with a text for a size that may differ."""
        self.doubles = any(value.dtype == np.float64 for value in constants.values())

    def constant(self, value: Array) -> str:
        """The name of a new constant."""
        name = f"constant {len(self.constants)}"
        self.constants[name] = value
        return name

    def node(self, op: str, inputs: Sequence[str], place: str, count: int, attributes: Mapping[str, Attribute]) -> tuple[str, ...]:
        """The names of a new node's outputs. `place`: the call in messages."""
        outputs = tuple(f"value {len(self.made)}.{number}" for number in range(count))
        self.made.append(Node(op, "", place, tuple(inputs), outputs, attributes, OPSET))
        return outputs


class Call:
    """A call of the program: its operation, its arguments by their names, and the nodes that it becomes a part of."""

    def __init__(self, nodes: Nodes, name: str, target: str, arguments: Mapping[str, Argument], outputs: int) -> None:
        self.nodes, self.name, self.target, self.outputs = nodes, name, target, outputs
        self._arguments = arguments

    def get(self, name: str, default: Argument = None) -> Argument:
        """An argument, or the default of the operation's signature."""
        return self._arguments.get(name, default)

    def listed(self) -> list[Argument]:
        """All arguments in their order."""
        return list(self._arguments.values())

    def whole(self, name: str, default: int | None = None) -> int:
        """A whole number, or the only one of a list."""
        found = self.get(name, default)
        if isinstance(found, tuple) and len(found) == 1:
            found = found[0]
        if not isinstance(found, int):
            raise Unfit("it is no number that is known when the file is read", name)
        return found

    def number(self, name: str, default: float) -> float:
        """A number."""
        found = self.get(name, default)
        if not isinstance(found, (int, float)):
            raise Unfit("it is no number that is known when the file is read", name)
        return float(found)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """True or false."""
        return bool(self.get(name, default))

    def wholes(self, name: str) -> tuple[int, ...] | None:
        """A list of whole numbers, None where it isn't given or has none."""
        found = self.get(name)
        if isinstance(found, int) and not isinstance(found, bool):
            return (found,)
        if found is None or found == ():
            return None
        if not isinstance(found, tuple) or not all(isinstance(each, int) for each in found):
            raise Unfit("they are no numbers that are known when the file is read", name)
        return tuple(each for each in found if isinstance(each, int))

    def refs(self, name: str) -> tuple[str, ...]:
        """The names of a list of tensors."""
        found = self.get(name, ())
        if not isinstance(found, tuple):
            raise Unfit("it is no list of tensors", name)
        return tuple(self.named(each, name) for each in found)

    def value(self, name: str) -> str:
        """The name of a tensor, or of the constant that a number is."""
        return self.named(self.get(name), name)

    def optional(self, name: str) -> str | None:
        """The name of a tensor, None where there is none."""
        return None if self.get(name) is None else self.value(name)

    def named(self, found: Argument, name: str) -> str:
        """The name of an argument's value."""
        match found:
            case Ref():
                if found.name not in self.nodes.names:
                    raise Unfit(f"nothing makes its argument {found.name}", name)
                return self.nodes.names[found.name]
            case bool() | int():
                return self.nodes.constant(np.asarray(found))
            case float():
                return self.nodes.constant(np.asarray(found, np.float64 if self.nodes.doubles else np.float32))
            case _:
                raise Unfit("it has no tensor there", name)

    def shape(self, name: str) -> str:
        """The name of the one-axis tensor of a list of whole numbers, some of which may be known only when the program runs."""
        return self.listed_shape(self.get(name, ()), name)

    def listed_shape(self, found: Argument, name: str) -> str:
        """As `shape`, of a value."""
        parts = found if isinstance(found, tuple) else (found,)
        if all(isinstance(each, int) for each in parts):
            return self.wholes_of([each for each in parts if isinstance(each, int)])
        pieces = [self.wholes_of([each]) if isinstance(each, int) else self._as_list(self.named(each, name)) for each in parts]
        return self.one("Concat", *pieces, axis=0)

    def _as_list(self, number: str) -> str:
        return self.one("Unsqueeze", number, self.wholes_of([0]))

    def shape_of(self, name: str) -> tuple[int | str, ...]:
        """The shape of a tensor, a text for a size that may differ."""
        found = self.get(name)
        if not isinstance(found, Ref) or found.name not in self.nodes.shapes:
            raise Unfit("its shape isn't known", name)
        return self.nodes.shapes[found.name]

    def sizes(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor whose sizes are all known."""
        shape = self.shape_of(name)
        known = tuple(size for size in shape if isinstance(size, int))
        if len(known) < len(shape):
            raise Unfit("its shape isn't known", name)
        return known

    def wholes_of(self, numbers: Sequence[int]) -> str:
        """The name of a constant of whole numbers."""
        return self.nodes.constant(np.asarray(numbers, np.int64))

    def one(self, op: str, *inputs: str, **attributes: Attribute) -> str:
        """A node of one output."""
        (found,) = self.nodes.node(op, inputs, self.name, 1, attributes)
        return found

    def several(self, op: str, count: int, *inputs: str, **attributes: Attribute) -> tuple[str, ...]:
        """A node of several outputs."""
        return self.nodes.node(op, inputs, self.name, count, attributes)
