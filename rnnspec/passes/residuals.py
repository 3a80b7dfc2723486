"""Residuals of the backward pass: which forward values are kept and which are computed again, by a minimum cut.

Cheap operations may be repeated for nothing and divisions at a price; any other value that the backward pass depends on is kept.
The cheapest choice is a minimum cut between the values that only the forward pass can compute and those that the backward pass
reads; among equal cuts the latest, which repeats least.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from math import prod
from typing import TypeAlias

from rnnspec.contract.dimensions import Dim
from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen
from rnnspec.ir.elementwise import Cost as CostClass
from rnnspec.ir.ops import (
    Binary,
    Broadcast,
    Compare,
    Concat,
    Constant,
    DistinctIds,
    Operation,
    PairTokens,
    Positions,
    Random,
    Reshape,
    Select,
    Split,
    Take,
    Unary,
    Value,
    Window,
)
from rnnspec.ir.traverse import definitions, operands_of, results_of
from rnnspec.ir.types import DType, TensorType

Cost: TypeAlias = Callable[[Value], int | None]
"""What keeping a value costs, at least 1; None where it can't be kept."""

SYMBOLIC_LENGTH = 1024
"""What a symbolic dimension counts for when sizes are compared."""

PAIRS_OF_A_TOKEN = 16
"""How many times as long the dimension of two sequences' pairs is."""

BYTES: Mapping[DType, int] = {DType.F32: 4, DType.F64: 8, DType.I32: 4}
"""Of the element types that are kept: an i1 is always computed again."""

DIVISION = 1
"""What a division costs, in bytes that are kept for each element: a byte is written, often beyond the caches, and read again, which
takes about as long."""

REPEATING: Mapping[CostClass, int | None] = {
    CostClass.FREE: 0,
    CostClass.CHEAP: 0,
    CostClass.DIVISION: DIVISION,
    CostClass.ROOT: None,
    CostClass.ELEMENTARY: None,
}
"""As `repeating`, of elementwise operations by their cost class."""


def repeating(operation: Operation, ids: Operation | None = None) -> int | None:
    """The cost of computing an operation again, in kept bytes for each element; None if it must not be repeated.

    `ids`: what makes the ids by which it looks rows up. A sequence's rows are looked up by many pairs each, and lie in the caches.
    """
    match operation:
        case Take() if isinstance(ids, PairTokens):
            return 0
        case Constant() | Positions() | Compare() | Select() | Broadcast() | Reshape() | Split() | Concat() | Random():
            return 0
        case Window() | PairTokens() | DistinctIds():
            return 0
        case Unary() | Binary():
            return REPEATING[operation.kind.row.cost]
        case _:
            return None


def size_of(type_: TensorType, pairs: Container[Dim] = ()) -> int | None:
    """The bytes of a tensor, as a cost: symbolic dimensions count as long, those of `pairs` as longer; None for an i1."""
    width = BYTES.get(type_.dtype)
    lengths = (dim if isinstance(dim, int) else SYMBOLIC_LENGTH * (PAIRS_OF_A_TOKEN if dim in pairs else 1) for dim in type_.shape)
    return None if width is None else width * prod(lengths)


def elements_of(value: Value) -> int:
    """Counted as in `size_of`."""
    if not isinstance(value.type, TensorType):
        return 1
    return prod(dim if isinstance(dim, int) else SYMBOLIC_LENGTH for dim in value.type.shape)


@frozen
class Residuals:
    """The choice: `saved` values are kept by the forward pass, `recomputed` operations repeated by the backward pass, in order."""

    saved: tuple[Value, ...]
    recomputed: tuple[Operation, ...]


def choose_residuals(parameters: Sequence[Value], operations: Sequence[Operation], needed: Collection[Value], cost: Cost) -> Residuals:
    """The residuals of a block, from which the values `needed` can be computed.

    `parameters` are the block's own values that nothing can compute again. Values that neither they
    nor the operations define are free: the backward pass has them too.
    """
    defined_by = definitions(operations)
    fixed = _fixed(parameters, operations, defined_by)
    network = _Network()
    for value in _ancestors(needed, defined_by):
        price = cost(value)
        network.connect(("in", value), ("out", value), UNBOUNDED if price is None else price)
        operation = defined_by.get(value)
        if operation is None:
            if value in parameters:
                network.connect(SOURCE, ("in", value), UNBOUNDED)
            continue
        ids = defined_by.get(operation.ids) if isinstance(operation, Take) else None
        free = value in fixed or all(cost(result) is None for result in results_of(operation))
        again = 0 if free else repeating(operation, ids)
        if again is None:
            network.connect(SOURCE, ("in", value), UNBOUNDED)
            continue
        if again:
            network.connect(SOURCE, ("in", value), again * elements_of(value))
        for operand in operands_of(operation):
            network.connect(("out", operand), ("in", value), UNBOUNDED)
    for value in needed:
        network.connect(("out", value), SINK, UNBOUNDED)
    network.saturate()
    late = network.reaching_sink()
    cut = {value for value in _ancestors(needed, defined_by) if ("out", value) in late and ("in", value) not in late}
    repeated: dict[Value, None] = {}
    pending = [value for value in needed if value not in cut]
    while pending:
        value = pending.pop()
        operation = defined_by.get(value)
        if operation is not None and value not in repeated:
            repeated.update((result, None) for result in results_of(operation))
            pending.extend(operand for operand in operands_of(operation) if operand not in cut)
    order = (*parameters, *defined_by)
    saved = tuple(value for value in order if value in cut and value not in repeated)
    recomputed = tuple(operation for operation in operations if any(result in repeated for result in results_of(operation)))
    return Residuals(saved, recomputed)


def _fixed(parameters: Sequence[Value], operations: Sequence[Operation], defined_by: Mapping[Value, Operation]) -> set[Value]:
    """What is computed, element by element, of what the backward pass has too, such as weights: it is computed once for all calls.

    Kept, it would be no weight any more, and a matrix product's right side has to be made of weights.
    """
    fixed: set[Value] = set()
    for operation in operations:
        of_fixed = all(operand in fixed or (operand not in defined_by and operand not in parameters) for operand in operands_of(operation))
        if of_fixed and isinstance(
            operation, Constant | Positions | Unary | Binary | Compare | Select | Broadcast | Reshape | Split | Concat
        ):
            fixed.update(results_of(operation))
    return fixed


def _ancestors(values: Collection[Value], defined_by: dict[Value, Operation]) -> tuple[Value, ...]:
    """`values` and all that they are computed from, each once."""
    found: dict[Value, None] = {}
    seen: set[int] = set()
    pending = list(values)
    while pending:
        value = pending.pop()
        if value not in found:
            found[value] = None
            operation = defined_by.get(value)
            if operation is not None and id(operation) not in seen:
                seen.add(id(operation))
                pending.extend(operands_of(operation))
    return tuple(found)


Node: TypeAlias = tuple[str, Value] | str
SOURCE: Node = "source"
SINK: Node = "sink"
UNBOUNDED = 1 << 60


class _Network:
    """A flow network; `saturate` finds a maximum flow by blocking flows (Dinitz 1970): shortest paths, all of one length at a time.

    Nodes and edges have numbers; an edge's reverse is the number with the last bit flipped.
    """

    def __init__(self) -> None:
        self._nodes: list[Node] = []
        self._numbers: dict[Node, int] = {}
        self._edges: list[list[int]] = []
        self._ends: list[int] = []
        self._left: list[int] = []
        self._source, self._sink = self._number(SOURCE), self._number(SINK)

    def connect(self, start: Node, end: Node, capacity: int) -> None:
        first, last = self._number(start), self._number(end)
        self._edges[first].append(len(self._ends))
        self._edges[last].append(len(self._ends) + 1)
        self._ends += (last, first)
        self._left += (capacity, 0)

    def saturate(self) -> None:
        while levels := self._levels():
            following = [0] * len(self._nodes)
            while path := self._path(levels, following):
                flow = min(self._left[edge] for edge in path)
                if flow > UNBOUNDED // 2:
                    nodes = [self._nodes[self._ends[edge]] for edge in path]
                    names = " for ".join(f"%{node[1].name}" for node in nodes if isinstance(node, tuple) and node[0] == "in")
                    raise InternalError(f"the backward pass needs what can neither be kept nor computed again: {names}")
                for edge in path:
                    self._left[edge] -= flow
                    self._left[edge ^ 1] += flow

    def reaching_sink(self) -> set[Node]:
        """Nodes with capacity left on some path to the sink: the far side of the latest minimum cut."""
        reaching = {self._sink}
        pending = [self._sink]
        while pending:
            for edge in self._edges[pending.pop()]:
                other = self._ends[edge]
                if other not in reaching and self._left[edge ^ 1] > 0:
                    reaching.add(other)
                    pending.append(other)
        return {self._nodes[number] for number in reaching}

    def _number(self, node: Node) -> int:
        if node not in self._numbers:
            self._numbers[node] = len(self._nodes)
            self._nodes.append(node)
            self._edges.append([])
        return self._numbers[node]

    def _levels(self) -> list[int]:
        """How many edges with capacity left each node is from the source, -1 where it can't be reached; nothing if the sink can't."""
        levels = [-1] * len(self._nodes)
        levels[self._source] = 0
        pending = deque([self._source])
        while pending:
            node = pending.popleft()
            for edge in self._edges[node]:
                other = self._ends[edge]
                if self._left[edge] > 0 and levels[other] < 0:
                    levels[other] = levels[node] + 1
                    pending.append(other)
        return levels if levels[self._sink] > 0 else []

    def _path(self, levels: Sequence[int], following: list[int]) -> list[int]:
        """The edges of a path to the sink, each a level further; `following`: of each node the edges before it lead nowhere."""
        path: list[int] = []
        node = self._source
        while node != self._sink:
            edges = self._edges[node]
            while following[node] < len(edges):
                edge = edges[following[node]]
                if self._left[edge] > 0 and levels[self._ends[edge]] == levels[node] + 1:
                    path.append(edge)
                    node = self._ends[edge]
                    break
                following[node] += 1
            else:
                if not path:
                    return []
                node = self._ends[path.pop() ^ 1]
                following[node] += 1
        return path
