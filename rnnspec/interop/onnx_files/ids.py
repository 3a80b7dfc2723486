"""What a graph computes of ids alone, as masks are: a table of its own, of which the ids look up the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.interop.graph.graph import Value
from rnnspec.interop.onnx_files.elements import Elements, Entry
from rnnspec.interop.onnx_files.folding import BINARY, UNARY, folded
from rnnspec.interop.onnx_files.layer_values import Use
from rnnspec.interop.onnx_files.layers import Layers
from rnnspec.interop.onnx_files.moving import Unfit
from rnnspec.interop.onnx_files.nodes import Node
from rnnspec.interop.onnx_files.operations import Input

ELEMENTWISE = BINARY.keys() | UNARY.keys() | {"Cast", "Where", "Mod", "Min", "Max", "Clip"}


@frozen(eq=False)
class OfIds:
    """A function of the ids of an input: its rows by all ids from 0 on, of one number each."""

    source: str
    rows: Callable[[Array], Array]


class Tables:
    """The values that are functions of ids, by their keys."""

    def __init__(self, layers: Layers) -> None:
        self.layers = layers
        self.known: dict[str, OfIds] = {}

    def _of(self, key: str) -> OfIds | None:
        return OfIds(key, lambda ids: ids) if key in self.layers.ids else self.known.get(key)

    def outputs(self, node: Node, given: Sequence[Input]) -> Sequence[Elements] | None:
        """The result of a node of functions of the same ids and of numbers; None for any other node."""
        if node.domain or node.op not in ELEMENTWISE:
            return None
        values = [each for each in given if isinstance(each, Elements)]
        entries = [_only(self.layers, each) for each in values]
        functions = [None if each is None else self._of(each.key) for each in entries]
        known = [each for each in given if isinstance(each, np.ndarray)]
        if None in functions or any(each.size != 1 for each in known):
            return None
        bases = [each.base for each in entries if each is not None]
        same = all(np.array_equal(each.numbers - base, values[0].numbers - bases[0]) for each, base in zip(values, bases, strict=True))
        if not same or len({each.source for each in functions if each is not None}) != 1:
            return None

        def rows(ids: Array) -> Array:
            made = iter(each.rows(ids) for each in functions if each is not None)
            found = folded(node, [next(made) if isinstance(each, Elements) else None if each is None else each.ravel() for each in given])
            assert found is not None
            return np.broadcast_to(found[0], ids.shape)

        source, entry = functions[0], entries[0]
        assert source is not None and entry is not None
        made = self._put(OfIds(source.source, rows), entry, node)
        return [Elements(values[0].numbers - entry.base + made.base)]

    def _put(self, function: OfIds, entry: Entry, node: Node) -> Entry:
        made = self.layers.pool.add(f"value {len(self.layers.pool.entries)}", entry.steps, 1, is_open=entry.is_open)
        self.known[made.key] = function
        arguments: dict[str, Value] = {"input_dim": 0, "output_dim": 1}
        self.layers.uses.append(Use("Embedding", arguments, (function.source,), (made.key,), node.name))
        return made

    def _limits(self, uses: Sequence[Use]) -> Mapping[str, int]:
        """How many ids each input has: the rows of the shortest table that they look up."""
        found: dict[str, int] = {}
        for each in uses:
            rows = each.arguments.get("input_dim")
            if each.layer == "Embedding" and isinstance(rows, int) and rows:
                found[each.inputs[0]] = min(rows, found.get(each.inputs[0], rows))
        return found

    def resolved(self, uses: Sequence[Use]) -> list[Use]:
        """The layers with the tables filled in."""
        limits = self._limits(uses)
        made: list[Use] = []
        for each in uses:
            function = self.known.get(each.outputs[0])
            if function is None:
                made.append(each)
                continue
            limit = limits.get(function.source)
            if limit is None:
                raise Unfit(f"something is computed of the numbers in {function.source}, and no table tells how many there are")
            table = np.asarray(function.rows(np.arange(limit)), np.float32).reshape(-1, 1)
            arguments: dict[str, Value] = {"input_dim": limit, "output_dim": 1, "trainable": False}
            made.append(replace(each, arguments=arguments, weights={"embeddings": table}))
        return made


def _only(layers: Layers, elements: Elements) -> Entry | None:
    found = layers.pool.entries_in(elements.numbers)
    return found[0] if len(found) == 1 else None
