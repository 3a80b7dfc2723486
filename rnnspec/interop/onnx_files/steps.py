"""The operations of one step of a graph as equations of a cell, on rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import gcd

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.interop.graph.graph import Value, Word
from rnnspec.interop.onnx_files.elements import Entry, Numbers, Pool, listed
from rnnspec.interop.onnx_files.emitting import Function
from rnnspec.interop.onnx_files.equations import ATOM, LOWEST, PRODUCT, SUM, Equations, Expression
from rnnspec.interop.onnx_files.moving import Unfit
from rnnspec.interop.onnx_files.nodes import Node

MERGES: Mapping[str, tuple[str, int, tuple[int, int]]] = {
    "Add": ("{0} + {1}", SUM, (SUM, SUM)),
    "Sum": ("{0} + {1}", SUM, (SUM, SUM)),
    "Sub": ("{0} - {1}", SUM, (SUM, PRODUCT)),
    "Mul": ("{0} * {1}", PRODUCT, (PRODUCT, PRODUCT)),
    "Div": ("{0} / {1}", PRODUCT, (PRODUCT, ATOM)),
    "Pow": ("pow({0}, {1})", ATOM, (LOWEST, LOWEST)),
    "Max": ("max({0}, {1})", ATOM, (LOWEST, LOWEST)),
    "Min": ("min({0}, {1})", ATOM, (LOWEST, LOWEST)),
    "And": ("{0} * {1}", PRODUCT, (PRODUCT, PRODUCT)),
    "Or": ("max({0}, {1})", ATOM, (LOWEST, LOWEST)),
    "Xor": ("where({0} != {1}, 1, 0)", ATOM, (SUM, SUM)),
    "Greater": ("where({0} > {1}, 1, 0)", ATOM, (SUM, SUM)),
    "GreaterOrEqual": ("where({0} >= {1}, 1, 0)", ATOM, (SUM, SUM)),
    "Less": ("where({0} < {1}, 1, 0)", ATOM, (SUM, SUM)),
    "LessOrEqual": ("where({0} <= {1}, 1, 0)", ATOM, (SUM, SUM)),
    "Equal": ("where({0} == {1}, 1, 0)", ATOM, (SUM, SUM)),
}
"""Expressions by ONNX's names."""

NUMBERS: Mapping[str, tuple[str, int, int]] = {
    "plus_number": ("{0} + %s", SUM, SUM),
    "times_number": ("{0} * %s", PRODUCT, PRODUCT),
    "over_number": ("{0} / %s", PRODUCT, PRODUCT),
    "number_minus": ("%s - {0}", SUM, PRODUCT),
    "number_over": ("%s / {0}", PRODUCT, ATOM),
    "to_power": ("pow({0}, %s)", ATOM, LOWEST),
    "at_most": ("min({0}, %s)", ATOM, LOWEST),
    "at_least": ("max({0}, %s)", ATOM, LOWEST),
    "is_more": ("where({0} > %s, 1, 0)", ATOM, SUM),
    "is_at_least": ("where({0} >= %s, 1, 0)", ATOM, SUM),
    "is_less": ("where({0} < %s, 1, 0)", ATOM, SUM),
    "is_at_most": ("where({0} <= %s, 1, 0)", ATOM, SUM),
    "is_equal": ("where({0} == %s, 1, 0)", ATOM, SUM),
}
"""Expressions with a number, by the names of functions that a layer would need."""

MATRIX_LIMIT = 2**24
"""Numbers of a matrix that a convolution or a choice of elements becomes."""

CONDITION = re.compile(r"where\((.*), 1, 0\)")
"""An expression that is 1 where a condition holds."""

PARTS = 64
"""Parts that a row is split into."""


class Steps:
    """An `Emitter` of equations. Values are rows; those of several steps are their rows side by side."""

    in_steps = False

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.equations = Equations()
        self.texts: dict[str, None] = {}
        self._pending: dict[str, Numbers] = {}
        """Values that are elements of others, of which nothing is written before it must be."""

    def input(self, name: str, features: int) -> Entry:
        """A row that is given, under a name of the equations."""
        return self.pool.add(name, 1, features)

    def value(self, first: Numbers, node: Node) -> Entry:
        """See `Emitter`."""
        entries = self.pool.entries_in(first)
        one = entries[0]
        whole = len(entries) == 1 and not one.constant and np.array_equal(first.ravel(), self.pool.first(one).ravel())
        if whole and first.shape == (one.steps, one.features):
            return one
        made = self._new(*first.shape)
        self._pending[made.key] = first.ravel()
        return made

    def _new(self, steps: int, features: int) -> Entry:
        return self.pool.add(f"value {len(self.pool.entries)}", steps, features)

    def key(self, value: Entry) -> str:
        """The key of a value's expression, which is written if it wasn't."""
        pending = self._pending.pop(value.key, None)
        if pending is not None:
            self.equations.add(value.key, self._gathered(pending))
        return value.key

    def _gathered(self, numbers: Numbers) -> Expression:
        """Elements of values, in their order."""
        place = self.pool.place(numbers)
        cuts = np.flatnonzero((np.diff(place) != 0) | (np.diff(numbers) != 1)) + 1
        if len(cuts) < PARTS:
            pieces = [self._run(run) for run in np.split(numbers, cuts)]
            if all(pieces):
                flat = [key for piece in pieces for key in piece or ()]
                if len(flat) == 1:
                    return Expression("{0}", (flat[0],), needs=(LOWEST,))
                if len(flat) <= PARTS:
                    marks = ", ".join(f"{{{number}}}" for number in range(len(flat)))
                    return Expression(f"concat({marks})", tuple(flat), needs=(LOWEST,) * len(flat))
        return self._product(numbers, np.eye(len(numbers), dtype=np.float32), None, "chosen")

    def _run(self, run: Numbers) -> tuple[str, ...] | None:
        """Consecutive elements of one value as parts of it; None if the parts would be too many."""
        entry = self.pool.entries[int(self.pool.place(run[:1])[0])]
        if entry.constant:
            numbers = np.ascontiguousarray(self.pool.known[entry.key][run - entry.base], np.float32)
            return (self.equations.weight("constant", numbers),)
        whole = self.key(entry)
        start, count = int(run[0]) - entry.base, len(run)
        if count == entry.size:
            return (whole,)
        size = gcd(start, count, entry.size)
        if entry.size // size > PARTS:
            return None
        return self.equations.split(whole, entry.size // size)[start // size : (start + count) // size]

    def _product(self, numbers: Numbers, kernel: Array, bias: Array | None, base: str) -> Expression:
        """Elements of values times a matrix: the values times the rows of it that their elements meet."""
        terms: list[tuple[str, str]] = []
        for place in dict.fromkeys(listed(self.pool.place(numbers))):
            entry = self.pool.entries[place]
            here = (numbers >= entry.base) & (numbers < entry.end)
            if entry.constant:
                known = self.pool.known[entry.key][numbers[here] - entry.base].astype(kernel.dtype) @ kernel[here]
                if known.any():
                    bias = known if bias is None else bias + known
                continue
            if entry.size * kernel.shape[1] > MATRIX_LIMIT:
                raise Unfit(f"a matrix of {entry.size} by {kernel.shape[1]} numbers is larger than what is made here")
            offsets = numbers[here] - entry.base
            if np.array_equal(offsets, np.arange(entry.size)):
                matrix = kernel[here]
            else:
                matrix = np.zeros((entry.size, kernel.shape[1]), kernel.dtype)
                np.add.at(matrix, offsets, kernel[here])
            terms.append((self.key(entry), self.equations.weight(f"{base}_kernel", np.ascontiguousarray(matrix))))
        if not terms:
            raise Unfit("a product of numbers of the file alone")
        operands = tuple(name for term in terms for name in term)
        text = " + ".join(f"{{{2 * number}}} @ {{{2 * number + 1}}}" for number in range(len(terms)))
        needs = (ATOM,) * len(operands)
        if bias is not None:
            operands, needs = (*operands, self.equations.weight(f"{base}_bias", bias)), (*needs, SUM)
            text = f"{text} + {{{2 * len(terms)}}}"
        return Expression(text, operands, SUM if len(terms) > 1 or bias is not None else PRODUCT, needs)

    def dense(self, value: Entry, kernel: Array, bias: Array | None, node: Node) -> Entry:
        """See `Emitter`."""
        return self.product(value, kernel, bias, "dense")

    def product(self, value: Entry, kernel: Array, bias: Array | None, base: str) -> Entry:
        """A product under a name of its own for its weights; of several rows with the same matrix each."""
        count = value.steps
        if count > 1:
            if count * count * kernel.size > MATRIX_LIMIT:
                raise Unfit(f"a matrix of {count * len(kernel)} by {count * kernel.shape[1]} numbers is larger than what is made here")
            kernel = np.kron(np.eye(count, dtype=kernel.dtype), kernel)
            bias = None if bias is None else np.tile(bias, count)
        numbers = self._pending.get(value.key)
        numbers = self.pool.first(value).ravel() if numbers is None else numbers
        made = self._new(count, kernel.shape[1] // count)
        self.equations.add(made.key, self._product(numbers, kernel, bias, base))
        return made

    def apply(self, value: Entry, function: Function, node: Node) -> Entry:
        """See `Emitter`."""
        if function.name == "linear":
            return value
        if value.steps > 1 and function.name in ("softmax", "log_softmax"):
            return self._row_by_row(value, lambda row: self.apply(row, function, node))
        made = self._new(value.steps, value.features)
        self.equations.add(made.key, self._called(self.key(value), function))
        return made

    def _called(self, key: str, function: Function) -> Expression:
        with_number = NUMBERS.get(function.name)
        if with_number is not None:
            text, binds, needs = with_number
            number = dict(function.arguments)["number"]
            return Expression(text % shown(number), (key,), binds, (needs,))
        if function.name == "product_with_itself":
            return Expression("{0} * {1}", (key, key), PRODUCT, (PRODUCT, PRODUCT))
        if function.name == "negative":
            return Expression("-{0}", (key,), SUM, (ATOM,))
        if function.text and not function.equation:
            self.texts[function.text] = None
        name = function.equation or function.name
        given = "".join(f", {argument} = {shown(number)}" for argument, number in function.arguments)
        return Expression(f"{name}({{0}}{given})", (key,), needs=(LOWEST,))

    def _row_by_row(self, value: Entry, work: Callable[[Entry], Entry]) -> Entry:
        if value.steps > PARTS:
            raise Unfit(f"{value.steps} rows in one step, each by itself")
        rows = [work(self.value(row[None], _NONE)) for row in self._numbers(value)]
        return self.value(np.concatenate([self.pool.first(each) for each in rows]), _NONE)

    def _numbers(self, value: Entry) -> Numbers:
        pending = self._pending.get(value.key)
        return self.pool.first(value) if pending is None else pending.reshape(value.steps, value.features)

    def reduce(self, value: Entry, kind: str, node: Node) -> Entry:
        """See `Emitter`."""
        if value.steps > 1:
            return self._row_by_row(value, lambda row: self.reduce(row, kind, node))
        made = self._new(1, 1)
        self.equations.add(made.key, Expression(f"{kind}({{0}})", (self.key(value),), needs=(LOWEST,)))
        return made

    def merge(self, kind: str, values: Sequence[Entry], node: Node) -> Entry:
        """See `Emitter`."""
        if kind not in MERGES:
            raise Unfit("no equation has it between two values")
        steps, features = max(each.steps for each in values), max(each.features for each in values)
        wide = [self._wide(each, steps, features) for each in values]
        result = wide[0]
        for other in wide[1:]:
            text, binds, needs = MERGES[kind]
            made = self._new(steps, features)
            self.equations.add(made.key, Expression(text, (self.key(result), self.key(other)), binds, needs))
            result = made
        return result

    def _wide(self, value: Entry, steps: int, features: int) -> Entry:
        """A value as the other side of an operation needs it: a single number stays, rows are repeated."""
        if (value.steps, value.features) in ((steps, features), (1, 1)):
            return value
        numbers = np.broadcast_to(self._numbers(value), (steps, features))
        return self.value(np.ascontiguousarray(numbers), _NONE)

    def choose(self, condition: Entry, sides: tuple[Entry | float, Entry | float], node: Node) -> Entry:
        """See `Emitter`."""
        values = [condition, *(each for each in sides if isinstance(each, Entry))]
        steps, features = max(each.steps for each in values), max(each.features for each in values)
        said = self.equations.made.get(condition.key)
        inner = said is not None and CONDITION.fullmatch(said.text)
        if said is not None and inner and (condition.steps, condition.features) in ((steps, features), (1, 1)):
            text, operands, needs = inner[1], said.operands, said.needs  # without a number between the condition and its use
        else:
            text, operands, needs = "{0} > 0.5", (self.key(self._wide(condition, steps, features)),), (SUM,)
        shown_sides: list[str] = []
        for each in sides:
            if isinstance(each, Entry):
                shown_sides.append(f"{{{len(operands)}}}")
                operands, needs = (*operands, self.key(self._wide(each, steps, features))), (*needs, LOWEST)
            else:
                shown_sides.append(shown(each))
        made = self._new(steps, features)
        self.equations.add(made.key, Expression(f"where({text}, {shown_sides[0]}, {shown_sides[1]})", operands, ATOM, needs))
        return made

    def affine(self, value: Entry, scale: Array | None, shift: Array | None, node: Node) -> Entry:
        """See `Emitter`."""
        key = self.key(value)
        expression = Expression("{0}", (key,), needs=(LOWEST,))
        if scale is not None:
            weight = self.equations.weight("scale", np.tile(scale, value.steps))
            expression = Expression("{0} * {1}", (key, weight), PRODUCT, (PRODUCT, PRODUCT))
        if shift is not None:
            weight = self.equations.weight("shift", np.tile(shift, value.steps))
            place = len(expression.operands)
            needs = (SUM, SUM) if scale is None else (PRODUCT, PRODUCT, SUM)
            expression = Expression(f"{expression.text} + {{{place}}}", (*expression.operands, weight), SUM, needs)
        made = self._new(value.steps, value.features)
        self.equations.add(made.key, expression)
        return made

    def layer_norm(self, value: Entry, scale: Array | None, shift: Array | None, epsilon: float, node: Node) -> Entry:
        """See `Emitter`."""
        if value.steps > 1:
            return self._row_by_row(value, lambda row: self.layer_norm(row, scale, shift, epsilon, node))
        centred, made = self._new(1, value.features), self._new(1, value.features)
        key = self.key(value)
        self.equations.add(centred.key, Expression("{0} - mean({1})", (key, key), SUM, (SUM, LOWEST)))
        text = f"{{0}} / sqrt(mean({{1}} * {{2}}) + {shown(epsilon)})"
        self.equations.add(made.key, Expression(text, (centred.key,) * 3, PRODUCT, (PRODUCT,) * 3))
        return made if scale is None and shift is None else self.affine(made, scale, shift, node)

    def raw(self, text: str, operands: Sequence[str], features: int, binds: int, needs: Sequence[int]) -> Entry:
        """An equation as it stands."""
        made = self._new(1, features)
        self.equations.add(made.key, Expression(text, tuple(operands), binds, tuple(needs)))
        return made


def cell_text(name: str, steps: Steps, states: Sequence[tuple[str, int]], lines: Sequence[str]) -> str:
    """A cell's declaration. `states`: their names and widths."""
    weights = [
        f"    weight {key} [{', '.join(map(str, array.shape))}] = {'glorot_uniform' if array.ndim > 1 else 'zeros'}"
        for key, array in steps.equations.weights.items()
    ]
    held = ", ".join(f"{state} [{width}]" for state, width in states)
    return "\n".join([f"cell {name}() {{", *weights, f"    state {held}", "", *(f"    {line}" for line in lines), "}", ""])


_NONE = Node("", "", "", (), (), {}, 0)


def shown(number: Value) -> str:
    """A number, or a flag, in a text."""
    match number:
        case bool():
            return "true" if number else "false"
        case Word():
            return number.name
        case float():
            return repr(number) if number >= 0 else f"({number!r})"
        case _:
            return str(number)
