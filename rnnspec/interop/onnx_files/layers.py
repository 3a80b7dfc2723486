"""The operations of a graph as layers of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.interop.graph.graph import Value, ValueOf, Word
from rnnspec.interop.onnx_files.elements import Entry, Pool
from rnnspec.interop.onnx_files.emitting import REDUCED, Function, numbered
from rnnspec.interop.onnx_files.layer_values import LayerValues, Use
from rnnspec.interop.onnx_files.moving import Unfit
from rnnspec.interop.onnx_files.nodes import Node
from rnnspec.interop.onnx_files.norms import normalized
from rnnspec.interop.onnx_files.recurrent import Direction, RecurrentNode

MERGES: Mapping[str, str] = {
    "Add": "Add",
    "Sum": "Add",
    "Sub": "Subtract",
    "Mul": "Multiply",
    "Max": "Maximum",
    "Min": "Minimum",
    "Mean": "Average",
    "And": "Multiply",
    "Or": "Maximum",
}
"""Layers by ONNX's names."""

COMPARED: Mapping[str, str] = {
    "Greater": "is_more",
    "GreaterOrEqual": "is_at_least",
    "Less": "is_less",
    "LessOrEqual": "is_at_most",
    "Equal": "is_equal",
}
"""Functions of what two values differ by."""

CHOSEN = """function chosen(x) {
    condition, one, other = split(x, 3)
    result = where(condition > 0.5, one, other)
    return concat(result, result, result)
}
"""
CHOSEN_OR = """function chosen_or(x, number = 0.0) {
    condition, one = split(x, 2)
    result = where(condition > 0.5, one, number)
    return concat(result, result)
}
"""
TWO_NUMBERS = "function one_or_other(x, one = 1.0, other = 0.0) = where(x > 0.5, one, other)\n"

TOTAL = """cell Total(units) {
    state total [units]

    total' = total + x
    return total'
}
"""
"""A cell that gives the sum over the steps."""


class Layers(LayerValues):
    """An `Emitter` of layers, and what only a model of layers has."""

    in_steps = True

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self.ids: set[str] = set()
        """The inputs of whole numbers."""
        self.lengths: dict[str, bool] = {}
        """Inputs that may be lengths of sequences, and whether they are."""

    @property
    def _key(self) -> str:
        return f"value {len(self.pool.entries)}"

    def dense(self, value: Entry, kernel: Array, bias: Array | None, node: Node) -> Entry:
        """See `Emitter`."""
        weights = {"kernel": kernel} if bias is None else {"kernel": kernel, "bias": bias}
        arguments: dict[str, Value] = {"units": kernel.shape[1], "use_bias": bias is not None}
        return self.add("Dense", arguments, [value], (value.steps, kernel.shape[1]), node, weights=weights, is_open=value.is_open)

    def apply(self, value: Entry, function: Function, node: Node, *, uniform: bool = False) -> Entry:
        """See `Emitter`."""
        self.declare(function)
        if function.name == "linear":
            return value
        result, uniform = (value.steps, value.features), uniform or value.uniform
        return self.add("Activation", {"activation": function.word}, [value], result, node, is_open=value.is_open, uniform=uniform)

    def declare(self, function: Function) -> None:
        """Keeps a function's text."""
        if function.text:
            self.texts[function.text] = None

    def reduce(self, value: Entry, kind: str, node: Node) -> Entry:
        """See `Emitter`."""
        return self.apply(value, REDUCED[kind], node, uniform=True)

    def merge(self, kind: str, values: Sequence[Entry], node: Node) -> Entry:
        """See `Emitter`."""
        features = max(each.features for each in values)
        norm = normalized(self.uses, values[0].key, values[1].key) if kind == "Div" else None
        if norm is not None:
            source = next(each for each in self.pool.entries if each.key == norm[0])
            return self.layer_norm(source, None, None, norm[1], node)
        values = [self._wide(each, features, node) for each in values]
        if kind == "Div" and len(values) == 2:
            values = [values[0], self.apply(values[1], numbered("number_over", 1.0), node)]
            kind = "Mul"
        if kind in COMPARED:
            return self.apply(self.merge("Sub", values, node), numbered(COMPARED[kind], 0.0), node)
        if kind not in MERGES:
            raise Unfit("no layer has it between two values")
        if kind == "Mul" and len(values) == 2 and values[0] == values[1]:
            return self.apply(values[0], Function("product_with_itself", (), "function product_with_itself(x) = x * x\n"), node)
        longest = max(values, key=lambda each: each.steps)
        return self.add(MERGES[kind], {}, values, (longest.steps, features), node, is_open=longest.is_open)

    def choose(self, condition: Entry, sides: tuple[Entry | float, Entry | float], node: Node) -> Entry:
        """See `Emitter`."""
        one, other = sides
        if not isinstance(one, Entry):
            if not isinstance(other, Entry):
                arguments: tuple[tuple[str, Value], ...] = (("one", one), ("other", other))
                return self.apply(condition, Function("one_or_other", arguments, TWO_NUMBERS), node)
            condition, one, other = self.apply(condition, numbered("number_minus", 1.0), node), other, one
        values = [condition, one, *([other] if isinstance(other, Entry) else [])]
        steps, features = max(each.steps for each in values), max(each.features for each in values)
        joined = self.side_by_side([self._wide(each, features, node) for each in values], node)
        function = Function("chosen", (), CHOSEN)
        if not isinstance(other, Entry):
            function = Function("chosen_or", (("number", other),), CHOSEN_OR)
        found = self.apply(joined, function, node)
        cut: dict[str, Value] = {"start": 0, "stop": features, "axis": -1}
        return self.add("Slice", cut, [found], (steps, features), node, is_open=found.is_open)

    def weighted(self, weight: Entry, value: Entry, node: Node) -> Entry:
        """A value times one number at each step."""
        return self.merge("Mul", [weight, value], node)

    def side_by_side(self, values: Sequence[Entry], node: Node) -> Entry:
        """The features of several values."""
        longest = max(values, key=lambda each: each.steps)
        features = sum(each.features for each in values)
        return self.add("Concatenate", {}, values, (longest.steps, features), node, is_open=longest.is_open)

    def turned(self, value: Entry) -> Entry | None:
        """The sequence that a value is the reversed order of; None for one that wasn't made so."""
        made = next((each for each in self.uses if value.key in each.outputs), None)
        if made is None or made.layer != "Backwards":
            return None
        return next(each for each in self.pool.entries if each.key == made.inputs[0])

    def total(self, value: Entry, node: Node) -> Entry:
        """The sum over the steps of a sequence."""
        self.texts[TOTAL] = None
        return self.add("Total", {"units": value.features}, [self.sequence(value, node)], (1, value.features), node, is_open=False)

    def _wide(self, value: Entry, features: int, node: Node) -> Entry:
        """A value of one feature at many."""
        if value.features == features:
            return value
        if value.features != 1:
            raise Unfit(f"values of {value.features} and {features} features")
        return self.add("Dense", {"units": features, "use_bias": False, "trainable": False}, [value], (value.steps, features), node,
                        weights={"kernel": np.ones((1, features), np.float32)})  # fmt: skip

    def affine(self, value: Entry, scale: Array | None, shift: Array | None, node: Node) -> Entry:
        """See `Emitter`."""
        number = _only(scale) if shift is None else None
        if number is not None:
            return self.apply(value, numbered("times_number", number), node)
        shape = value.steps, value.features
        return self.add("affine", {}, [value], shape, node, is_open=value.is_open, affine=(scale, shift))

    def layer_norm(self, value: Entry, scale: Array | None, shift: Array | None, epsilon: float, node: Node) -> Entry:
        """See `Emitter`."""
        weights = {name: array for name, array in (("gamma", scale), ("beta", shift)) if array is not None}
        arguments: dict[str, Value] = {"epsilon": epsilon, "center": shift is not None, "scale": scale is not None}
        shape = value.steps, value.features
        return self.add("LayerNormalization", arguments, [value], shape, node, weights=weights, is_open=value.is_open)

    def embedding(self, ids: Entry, table: Array, node: Node) -> Entry:
        """Rows of a table by ids."""
        arguments: dict[str, Value] = {"input_dim": table.shape[0], "output_dim": table.shape[1]}
        return self.add(
            "Embedding", arguments, [ids], (ids.steps, table.shape[1]), node, weights={"embeddings": table}, is_open=ids.is_open
        )

    def sequence(self, value: Entry, node: Node) -> Entry:
        """A value with steps, of one if it is a row."""
        return value if value.steps > 1 or value.is_open else self.as_sequence(value, node)

    def as_row(self, value: Entry, node: Node) -> Entry:
        """What a layer gives for each step: of a single step it is a row, which a sequence of one step isn't in the language."""
        return value if value.steps > 1 or value.is_open else self.add("Flatten", {}, [value], (1, value.features), node)

    def recurrent(
        self,
        value: Entry,
        made: RecurrentNode,
        starts: Sequence[Sequence[Entry | None]],
        wants: tuple[bool, bool],
        node: Node,
        *,
        masked: bool,
    ) -> tuple[Entry | None, list[list[Entry]]]:
        """A recurrent node: all its outputs if `wants` says so, (directions * units) features a step, and each direction's states.

        `starts`: each direction's first states, None for zeros. `wants`: the outputs, and the states that are no outputs.
        `masked`: behind a sample's length its outputs are 0.
        """
        sequence = self.sequence(value, node)
        all_steps, states = wants
        both = len(made.directions) == 2
        units, steps = made.units, sequence.steps
        options: dict[str, Value] = {"return_sequences": all_steps}
        if states:
            options["return_state"] = True
        if masked:
            options["zero_output_for_mask"] = True
        for each in made.directions:
            self.texts |= dict.fromkeys(filter(None, (*each.functions, each.text)))
        layer, arguments, weights = _layer(made, options, both)
        flat = [start for direction in starts for start in direction]
        if any(each is not None for each in flat):
            if any("Started" in each.cell for each in made.directions):
                raise Unfit("one state starts from numbers of the file, another from a value", "initial_h")
            given = [self.zeros(sequence, units, node) if each is None else each for each in flat]
            arguments["initial_state"] = tuple(ValueOf(each.key) for each in given)
        width = units * len(made.directions)
        result = self.pool.add(self._key, steps if all_steps else 1, width, is_open=all_steps and sequence.is_open)
        outputs, ends = [result], [[result]]
        if states:
            ends = [[self.pool.add(self._key, 1, units) for _ in range(made.states)] for _ in made.directions]
            for direction, kept in zip(made.directions, ends, strict=True):
                outputs += [*kept, *([self.pool.add(self._key, 1, 1)] if "Started" in direction.cell else [])]
        keys = tuple(each.key for each in outputs)
        self.uses.append(Use(layer, arguments, (sequence.key,), keys, node.name, weights))
        if all_steps and not both and made.directions[0].backwards:
            result = self.flipped(result, node)
        return (self.as_row(result, node) if all_steps else None), ends

    def zeros(self, sequence: Entry, units: int, node: Node) -> Entry:
        """A row of zeros, made of the first step, for a state beside one that starts from a value."""
        step = self.value(self.pool.first(sequence)[:1], node)
        nothing = Function("nothing", (), "function nothing(x) = where(x == x, 0, 0)\n")
        zeros = self.apply(step, nothing, node)
        if zeros.features == units:
            return zeros
        arguments: dict[str, Value] = {"units": units, "use_bias": False, "trainable": False}
        return self.add("Dense", arguments, [zeros], (1, units), node, weights={"kernel": np.zeros((zeros.features, units), np.float32)})


def _only(numbers: Array | None) -> float | None:
    """The number that all of them are."""
    if numbers is None or not numbers.size or not (numbers == numbers.flat[0]).all():
        return None
    return float(numbers.flat[0])


def _layer(made: RecurrentNode, options: Mapping[str, Value], both: bool) -> tuple[str, dict[str, Value], dict[str, Array]]:
    """The layer of a node's directions, with its arguments and weights."""

    def word(direction: Direction, more: Mapping[str, Value]) -> Word:
        return Word(direction.cell, (*direction.arguments.items(), *options.items(), *more.items()), called=True)

    forward = made.directions[0]
    if not both:
        arguments = {**forward.arguments, **options}
        if forward.backwards:
            arguments["go_backwards"] = True
        return forward.cell, arguments, dict(forward.weights)
    backward = made.directions[1]
    weights = {f"forward/{name}": array for name, array in forward.weights.items()}
    weights |= {f"backward/{name}": array for name, array in backward.weights.items()}
    both_ways: dict[str, Value] = {"layer": word(forward, {})}
    if (forward.cell, forward.arguments) != (backward.cell, backward.arguments):
        both_ways["backward_layer"] = word(backward, {"go_backwards": True})
    return "Bidirectional", both_ways, weights
