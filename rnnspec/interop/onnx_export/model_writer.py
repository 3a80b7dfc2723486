"""A model's values and weights while its layers are written: what every layer's writer needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Config
from rnnspec.frontend.cells.row_functions import activation_step, library_activation
from rnnspec.frontend.graph.graph import Graph, GraphTensor, GraphValue, StepMask
from rnnspec.frontend.graph.layer import LayerWeight
from rnnspec.frontend.syntax import standard_library
from rnnspec.frozen import frozen
from rnnspec.interop.onnx_export.equations import EquationWriter
from rnnspec.interop.onnx_export.graph_writer import GraphWriter


class CantSay(ValueError):
    """Something that ONNX has no exact form for; the text is the reason. `attribute`: the argument."""

    def __init__(self, reason: str, attribute: str = "") -> None:
        self.attribute = attribute
        super().__init__(reason)


Plain = Callable[[GraphWriter, str, Mapping[str, Any]], str]


def _node(kind: str, **attributes: Any) -> Plain:
    return lambda w, value, _: w.one(kind, value, **attributes)


PLAIN: Mapping[str, tuple[tuple[str, ...], Plain]] = {
    "linear": ((), lambda w, value, _: value),
    "relu": ((), _node("Relu")),
    "sigmoid": ((), _node("Sigmoid")),
    "tanh": ((), _node("Tanh")),
    "softmax": ((), _node("Softmax", axis=-1)),
    "log_softmax": ((), _node("LogSoftmax", axis=-1)),
    "softplus": ((), _node("Softplus")),
    "softsign": ((), _node("Softsign")),
    "exponential": ((), _node("Exp")),
    "selu": ((), _node("Selu")),
    "hard_silu": ((), _node("HardSwish")),
    "hard_sigmoid": ((), _node("HardSigmoid", alpha=1 / 6, beta=0.5)),
    "elu": (("alpha",), lambda w, value, given: w.one("Elu", value, alpha=float(given.get("alpha", 1.0)))),
    "celu": (("alpha",), lambda w, value, given: w.one("Celu", value, alpha=float(given.get("alpha", 1.0)))),
    "leaky_relu": (
        ("negative_slope",),
        lambda w, value, given: w.one("LeakyRelu", value, alpha=float(given.get("negative_slope", 0.2))),
    ),
}
"""Activations of the library that are nodes of the standard, with the arguments that they may have. All others are their equations."""

ROUNDED = frozenset({"selu", "hard_silu", "hard_sigmoid", "elu", "celu", "leaky_relu"})
"""Those with numbers in float32, which nodes have them in, or that there are in float32 alone: of float64 they are equations too."""


@frozen
class Carried:
    """A state that one call leaves to the next: an input of the file, and an output with the value after the last step."""

    before: str
    after: str
    value: str
    width: int


class ModelWriter:
    """The values of a graph by their numbers, its weights by their paths, its masks. `source`: the weights' numbers."""

    def __init__(self, writer: GraphWriter, graph: Graph, source: Mapping[str, Array]) -> None:
        self.writer = writer
        self.graph = graph
        self.values: dict[int, str] = {}
        self._source = source
        self._weights: dict[str, str] = {}
        self._masks: dict[tuple[StepMask, bool], str] = {}
        self.carried: list[Carried] = []
        self._functions = standard_library.functions(graph.own.functions)

    def value(self, value: GraphValue) -> str:
        """The name of a value, (batch, features) or (batch, time, features) as the layer shows it."""
        return self.values[value.number]

    def numbers(self, weight: LayerWeight) -> Array:
        """A weight's numbers."""
        return np.asarray(self._source[weight.path], self.writer.dtype)

    def weight(self, weight: LayerWeight) -> str:
        """A weight as a constant under its path."""
        found = self._weights.get(weight.path)
        if found is None:
            found = self._weights[weight.path] = self.writer.weight(weight.path, self.numbers(weight))
        return found

    def activated(self, activation: Config, value: str, width: int, *, library: bool = False) -> str:
        """A value after an activation. `library`: the package's, whatever functions the spec has."""
        given, plain = dict(activation.arguments), PLAIN.get(activation.name)
        own = activation.name in self.graph.own.functions and not library
        exact = self.writer.dtype == np.float32 or activation.name not in ROUNDED
        if plain is not None and not own and exact and given.keys() <= set(plain[0]):
            return plain[1](self.writer, value, given)
        step = library_activation(activation, width) if library else activation_step(activation, width, self._functions)
        return EquationWriter(self.writer, {"x": value}, {}, value).run(step)[1]

    def carry(self, hint: str, width: int) -> str:
        """A state of the call before, as an input of the file."""
        before = self.writer.names.new(hint)
        self.carried.append(Carried(before, self.writer.names.new(f"{hint}_out"), "", width))
        return before

    def leave(self, before: str, value: str) -> None:
        """The value of such a state after the last step."""
        self.carried = [replace(each, value=value) if each.before == before else each for each in self.carried]

    def mask(self, value: GraphTensor) -> str | None:
        """The real steps of a sequence, bool (batch, time), in the order in which it is shown; None where no layer masks any."""
        if value.steps is None or not value.steps.is_masked:
            return None
        return self._mask(value.steps, value.flipped)

    def _mask(self, steps: StepMask, flipped: bool) -> str:
        key = steps, flipped
        if key not in self._masks:
            made = self._unflipped(steps)
            self._masks[key] = self.writer.flipped(made, 1) if flipped else made
        return self._masks[key]

    def _unflipped(self, steps: StepMask) -> str:
        w = self.writer
        if steps.windows:
            raise CantSay("masks over windows have no nodes here", "carry_mask")
        real = [self._of_input(name, masked) for name, masked in steps.sources]
        for join in steps.joins:
            parts = [self._part(part) for part in join]
            real.append(w.one("Concat", *parts, axis=1))
        result = real[0]
        for other in real[1:]:
            result = w.one("Or", result, other)
        return result

    def _part(self, part: StepMask) -> str:
        """A part of concatenated sequences."""
        if part.is_masked:
            return self._mask(part, False)
        raise CantSay("a masked sequence is joined with one that isn't masked", "axis")

    def _of_input(self, name: str, masked: Sequence[float]) -> str:
        """The steps of an input that aren't all of one of the values."""
        w = self.writer
        source = next(each for each in self.graph.inputs if each.name == name)
        value = self.values[source.value.number]
        real: str | None = None
        for number in masked:
            if source.value.type.ids:
                equal = w.one("Equal", value, w.constant(int(number), np.int64, "id"))
                here = w.one("Not", equal)
            else:
                equal = w.one("Equal", value, w.constant(number))
                as_numbers = w.one("Cast", equal, to=w.onnx.helper.np_dtype_to_tensor_dtype(w.dtype))
                here = w.one("Less", w.reduce("ReduceMin", as_numbers, -1, keep=False), w.constant(0.5))
            real = here if real is None else w.one("And", real, here)
        if real is None:
            raise CantSay(f"the steps of {name} are masked by the caller alone")
        return real

    def zeroed(self, value: str, mask: str | None) -> str:
        """A sequence with zeros in its masked steps."""
        if mask is None:
            return value
        w = self.writer
        return w.one("Where", w.unsqueezed(mask, 2), value, w.constant(0.0))
