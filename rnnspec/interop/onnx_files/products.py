"""Products of two values that aren't known: each step of one with each of another, steps weighted by numbers, and attention.

A product of queries and keys is a value with a feature for each key, whose softmax over these and product with values is `Attention`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.interop.graph.graph import Value
from rnnspec.interop.onnx_files.elements import Elements, Entry, Numbers
from rnnspec.interop.onnx_files.emitting import Function, numbered
from rnnspec.interop.onnx_files.layer_values import Use
from rnnspec.interop.onnx_files.layers import TWO_NUMBERS, Layers
from rnnspec.interop.onnx_files.moving import Unfit, axis_of
from rnnspec.interop.onnx_files.nodes import Node
from rnnspec.interop.onnx_files.operations import Input

HIDDEN = -1e4
"""What is put in the place of a product that a softmax leaves out, or more below 0."""

NOTHING = -1e30
"""What is added to a product that a softmax leaves out: beside it the product is nothing, so that it stands in its place."""

ROWS = 16
"""Rows of a product over steps, each a sum of its own."""

HEADS = 64
"""Products side by side."""


@frozen
class Pairs:
    """Products of queries and keys, times `scale`, plus `added`, a number of each key. `soft`: whether a softmax was taken of them."""

    queries: Entry
    keys: Entry
    scale: float = 1.0
    causal: bool = False
    added: Entry | None = None
    soft: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether nothing was done to the products but scaling them."""
        return not self.soft and self.added is None


@frozen(eq=False)
class Block:
    """One sample's part of a tensor of products: of which value, and what is hidden, (queries, keys), None for nothing."""

    entry: Entry
    sample: int
    hidden: NDArray[np.bool_] | None


class Products:
    """The products in a model, by the keys of their values."""

    def __init__(self, layers: Layers) -> None:
        self.layers = layers
        self.pairs: dict[str, Pairs] = {}
        self.no_number: set[str] = set()
        """Values that say where a softmax has no numbers, which none has here."""

    def outputs(self, node: Node, given: Sequence[Input]) -> Sequence[Elements] | None:
        """The result of a product of two values, or of a node of such products; None for any other node."""
        if node.domain:
            return None
        if node.op == "MatMul" and all(isinstance(each, Elements) for each in given):
            return [self._multiplied(node, *(each for each in given if isinstance(each, Elements)))]
        if node.op == "Where" and self._tells_no_number(given[0]):
            return [each for each in given[2:3] if isinstance(each, Elements)]
        place = next((place for place, each in enumerate(given) if self._blocks(each) is not None), None)
        if place is None:
            return None
        data, blocks = given[place], self._blocks(given[place])
        assert isinstance(data, Elements) and blocks is not None
        rank = data.numbers.ndim
        if node.op == "Softmax" and axis_of(node.whole("axis", -1 if node.opset >= 13 else 1), rank) != rank - 1:
            return None
        made: dict[tuple[str, bytes], Entry] = {}
        flat = data.numbers.reshape(-1, *data.shape[-2:])
        result = np.empty_like(flat)
        for number, block in enumerate(blocks):
            others = [None if each is None or other == place else _block(each, number, data.shape) for other, each in enumerate(given)]
            key = block.entry.key, b"" if block.hidden is None else block.hidden.tobytes()
            if key not in made:
                if block.sample != 0:
                    raise Unfit("samples of a batch are mixed: it isn't the same for each of them")
                found = self._changed(node, block, others, place)
                if found is None:
                    return None
                made[key] = found
            result[number] = self.layers.pool.whole(made[key])[block.sample]
        return [self.layers.pool.count(result.reshape(data.shape))]

    def unsaid(self, uses: Sequence[Use]) -> None:
        """`Unfit` if a product is needed that only attention could have said."""
        for each in uses:
            keys = [self.pairs[key].keys for key in each.outputs if key in self.pairs]
            if each.layer == "unsaid" or (each.layer == "Dot" and any(key.is_open for key in keys)):
                raise Unfit(f"node {each.source}: products with every step of a sequence, which no layer but Attention has")

    def _tells_no_number(self, condition: Input) -> bool:
        return isinstance(condition, Elements) and all(
            each.key in self.no_number for each in self.layers.pool.entries_in(condition.numbers)
        )

    def _blocks(self, data: Input) -> list[Block] | None:
        """A tensor as products, (..., queries, keys); None if it isn't."""
        if not self.pairs or not isinstance(data, Elements) or data.numbers.ndim < 3 or not data.numbers.size:
            return None
        pool = self.layers.pool
        found: list[Block] = []
        constants = pool.constants
        for numbers in data.numbers.reshape(-1, *data.shape[-2:]):
            place = pool.place(numbers)
            constant = constants[place]
            own = np.unique(place[~constant])
            entry = pool.entries[int(own[0])] if len(own) == 1 else None
            if entry is None or entry.key not in self.pairs or numbers.shape != (entry.steps, entry.features):
                return None
            sample = (int(numbers[~constant][0]) - entry.base) // entry.size
            if not ((numbers == pool.whole(entry)[sample]) | constant).all():
                return None
            if constant.any() and not all(self._is_hidden(number) for number in np.unique(numbers[constant])):
                return None
            found.append(Block(entry, sample, constant if constant.any() else None))
        return found

    def _is_hidden(self, number: int) -> bool:
        entry = self.layers.pool.entries_in(np.asarray([number]))[0]
        return bool(self.layers.pool.known[entry.key][number - entry.base] <= HIDDEN)

    def _changed(self, node: Node, block: Block, others: Sequence[Array | Elements | None], place: int) -> Entry | None:
        """What a node makes of products; `others`: the blocks of its other inputs. None for what isn't known of them."""
        entry, pairs = block.entry, self.pairs[block.entry.key]
        other: Array | Elements | None = next((each for each in others if each is not None), None)
        if block.hidden is not None:
            entry, pairs = self._hidden(node, pairs, block.hidden)
        match node.op:
            case "Softmax" if not pairs.soft:
                return self._with(self.layers.apply(entry, Function("softmax"), node), replace(pairs, soft=True))
            case "Mul" | "Div" if isinstance(other, np.ndarray) and other.size == 1 and place <= (node.op == "Mul") and pairs.is_plain:
                number = float(other.reshape(()).item())
                number = number if node.op == "Mul" else 1 / number
                made = self.layers.apply(entry, numbered("times_number", number), node)
                return self._with(made, replace(pairs, scale=pairs.scale * number))
            case "Add" if isinstance(other, np.ndarray) and not pairs.soft:
                table = np.broadcast_to(other, (entry.steps, entry.features))
                hidden = table <= HIDDEN
                return None if table[~hidden].any() else self._hidden(node, pairs, hidden)[0] if hidden.any() else entry
            case "Add" if isinstance(other, Elements) and not pairs.soft:
                added = self._of_keys(other, entry, node)
                return None if added is None else self._added(node, pairs, added)
            case "Where" if place > 0 and isinstance(others[0], Elements) and not pairs.soft:
                fill, condition = others[3 - place], self._of_keys(others[0], entry, node)
                if condition is None or not isinstance(fill, np.ndarray) or not (fill <= HIDDEN).all():
                    return None
                sides = (0.0, NOTHING) if place == 1 else (NOTHING, 0.0)
                arguments: tuple[tuple[str, Value], ...] = tuple(zip(("one", "other"), sides, strict=True))
                return self._added(node, pairs, self.layers.apply(condition, Function("one_or_other", arguments, TWO_NUMBERS), node))
            case "IsNaN" if pairs.soft:
                made = self._unsaid(node, entry)
                self.no_number.add(made.key)
                return self._with(made, pairs)
            case _:
                return None

    def _of_keys(self, numbers: Elements, entry: Entry, node: Node) -> Entry | None:
        """A value with one number for each key, the same for all queries."""
        wide = np.broadcast_to(numbers.numbers, (entry.steps, entry.features))
        return None if not (wide == wide[:1]).all() else self.layers.value(np.ascontiguousarray(wide[:1].T), node)

    def _with(self, entry: Entry, pairs: Pairs) -> Entry:
        self.pairs[entry.key] = pairs
        return entry

    def _unsaid(self, node: Node, like: Entry) -> Entry:
        """A value that no layer says by itself."""
        return self.layers.add("unsaid", {}, [like], (like.steps, like.features), node, is_open=like.is_open)

    def _hidden(self, node: Node, pairs: Pairs, hidden: NDArray[np.bool_]) -> tuple[Entry, Pairs]:
        if not np.array_equal(hidden, np.triu(np.ones(hidden.shape, np.bool_), 1)):
            raise Unfit("what a query sees is neither everything nor what comes before it and itself")
        made = replace(pairs, causal=True)
        return self._with(self._unsaid(node, self._dot(pairs, node)), made), made

    def _added(self, node: Node, pairs: Pairs, added: Entry) -> Entry:
        if pairs.added is not None:
            added = self.layers.merge("Add", [pairs.added, added], node)
        return self._with(self._unsaid(node, self._dot(pairs, node)), replace(pairs, added=added))

    def _dot(self, pairs: Pairs, node: Node) -> Entry:
        shape = pairs.queries.steps, pairs.keys.steps
        return self.layers.add("Dot", {"axes": (-1, -1)}, [pairs.queries, pairs.keys], shape, node, is_open=pairs.queries.is_open)

    def _multiplied(self, node: Node, left: Elements, right: Elements) -> Elements:
        pool = self.layers.pool
        if min(left.numbers.ndim, right.numbers.ndim) < 2:
            raise Unfit("a product with a tensor of one axis, of values that are computed when the model runs")
        if left.shape[-1] != right.shape[-2]:
            raise Unfit(f"a product of {list(left.shape)} and {list(right.shape)}")
        lead = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        one = np.broadcast_to(left.numbers, (*lead, *left.shape[-2:])).reshape(-1, *left.shape[-2:])
        other = np.broadcast_to(right.numbers, (*lead, *right.shape[-2:])).reshape(-1, *right.shape[-2:])
        flat = np.concatenate([one.reshape(len(one), -1), other.reshape(len(other), -1)], 1)
        sample, first = pool.samples(flat)
        owners = sample.max(axis=1)
        if not ((sample == owners[:, None]) | (sample < 0)).all():
            raise Unfit("samples of a batch are mixed in one product")
        of_sample = [np.flatnonzero(owners == number) for number in range(pool.batch)]
        heads = of_sample[0]
        if len(heads) > HEADS or not len(heads) or any(len(each) != len(heads) for each in of_sample):
            raise Unfit(f"{len(heads)} products side by side, or samples that aren't all treated alike")
        result = np.empty((len(one), left.shape[-2], right.shape[-1]), np.int64)
        for place, head in enumerate(heads):
            made = self._product(node, one[head], other[head])
            for number, places in enumerate(of_sample):
                if not np.array_equal(first[places[place]], first[head]):
                    raise Unfit("samples of a batch are mixed: it isn't the same for each of them")
                result[places[place]] = pool.of_sample(made, number)
        return pool.count(result.reshape(*lead, *result.shape[1:]))

    def _product(self, node: Node, one: Numbers, other: Numbers) -> Numbers:
        """The first sample's elements of a product, (rows, columns)."""
        layers, pool = self.layers, self.layers.pool
        entry = pool.entries_in(one)[0]
        pairs = self.pairs.get(entry.key)
        if pairs is not None and pairs.soft and np.array_equal(one, pool.first(entry)):
            return pool.first(self._attention(node, pairs, layers.value(other, node)))
        over_steps = bool(np.diff(pool.origin(other).step, axis=0).any())
        if over_steps:
            if len(one) > ROWS:
                raise Unfit("a product over the steps of a sequence with many rows")
            values = layers.sequence(layers.value(other, node), node)
            rows = [layers.value(np.ascontiguousarray(row[:, None]), node) for row in one]
            return np.concatenate([pool.first(layers.total(layers.weighted(row, values, node), node)) for row in rows])
        queries, keys = layers.value(one, node), layers.value(np.ascontiguousarray(other.T), node)
        if queries.steps == keys.steps == 1 and not queries.is_open and not keys.is_open:
            return pool.first(layers.reduce(layers.merge("Mul", [queries, keys], node), "sum", node))[:, :1]
        made = Pairs(queries, keys)
        return pool.first(self._with(self._dot(made, node), made))

    def _attention(self, node: Node, pairs: Pairs, values: Entry) -> Entry:
        layers, width = self.layers, values.features
        queries = pairs.queries if pairs.scale == 1 else layers.apply(pairs.queries, numbered("times_number", pairs.scale), node)
        queries, keys, values = (layers.sequence(each, node) for each in (queries, pairs.keys, values))
        if pairs.added is not None:  # a feature of the keys, which meets a feature of ones
            first = layers.value(layers.pool.first(queries)[:, :1], node)
            ones = layers.apply(first, Function("one_everywhere", (), "function one_everywhere(x) = where(x == x, 1, 1)\n"), node)
            queries = layers.side_by_side([queries, ones], node)
            keys = layers.side_by_side([keys, layers.sequence(pairs.added, node)], node)
        given = [queries, values] + ([keys] if keys.key != values.key else [])
        arguments: dict[str, Value] = {"use_causal_mask": True} if pairs.causal else {}
        made = layers.add("Attention", arguments, given, (queries.steps, width), node, is_open=queries.is_open)
        return layers.as_row(made, node)


def _block(given: Input, number: int, shape: tuple[int, ...]) -> Array | Elements | None:
    """The part of another input that meets one block."""
    if given is None:
        return None
    numbers = given.numbers if isinstance(given, Elements) else given
    if numbers.size == 1 and not isinstance(given, Elements):
        return numbers
    part = np.broadcast_to(numbers, shape).reshape(-1, *shape[-2:])[number]
    return Elements(part) if isinstance(given, Elements) else part
