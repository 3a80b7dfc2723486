"""Turns a block of operations, a function's body or a scan's step, into loop nests in order of their levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rnnspec.contract.dimensions import BATCH, ROWS, Dim, Steps, value_of
from rnnspec.contract.location import Location, fused, shown, told_with
from rnnspec.contract.native_function import Space
from rnnspec.diagnostics import InternalError
from rnnspec.ir.inference import index as index_type
from rnnspec.ir.ops import (
    Concat,
    FillSum,
    Matmul,
    Operation,
    Pack,
    PackSum,
    Places,
    Rearrange,
    Reduce,
    Reshape,
    Scan,
    ScatterAdd,
    Split,
    Value,
)
from rnnspec.ir.traverse import free_values, location_of, operands_of, results_of, use_counts
from rnnspec.kernel.analysis import Analysis, StageKey, analyse, is_zero, looked_up
from rnnspec.kernel.block_context import Context
from rnnspec.kernel.carry_buffers import settle_states
from rnnspec.kernel.nodes import (
    Access,
    CarryBuffers,
    ColumnReduce,
    Contract,
    FusedLoop,
    GatherIds,
    Load,
    Node,
    Outer,
    Rearranged,
    RowMap,
    RowReduce,
    ScanLoop,
    Scatter,
    Statement,
    Store,
)
from rnnspec.kernel.op_class import (
    OpClass,
    form_of,
    index_number,
    matrix,
    tensor_type,
)
from rnnspec.kernel.stage_writer import StageWriter, Storage, ids_buffer, shown_name
from rnnspec.kernel.target import Tile


@dataclass
class BlockScheduler:
    """The scheduling of one block, a function's body or a scan's step, to nodes.

    `locations`: the storage of its inputs before, and of all stored values after. `wanted`: for each result of the block, the storage
    to which it is written.
    """

    context: Context
    operations: Sequence[Operation]
    locations: dict[Value, Storage]
    wanted: Mapping[Value, Sequence[Storage]]
    rows: Dim = BATCH
    """The most that `ROWS`, those of a scan's step, can be."""

    def schedule(self) -> tuple[Node, ...]:
        """The nodes in execution order; afterwards `locations` knows every stored value."""
        self.analysis: Analysis = analyse(self.operations, self.locations, self.wanted, self.context.preparing)
        self.uses = use_counts(self.operations)
        for value in self.wanted:
            self.uses[value] += 1
        self.levels: list[tuple[int, Node]] = []
        for root in self.analysis.roots:
            if self.analysis.is_lazy(root):
                self.locations[root] = self.destinations(root)[0]
        events: list[tuple[int, int, Operation]] = []
        for number, operation in enumerate(self.operations):
            form = form_of(operation)
            if form is OpClass.VIEW:
                events.append((self.analysis.level[results_of(operation)[0]], number, operation))
            elif form is OpClass.NODE:
                events.append((self.analysis.node_level[number], number, operation))
                self._reserve(operation)
        for _, _, operation in sorted(events, key=lambda event: event[1]):
            if form_of(operation) is OpClass.VIEW:
                self._view(operation)
        for level, _, operation in sorted(events, key=lambda event: event[:2]):
            if form_of(operation) is OpClass.NODE:
                with told_with(location_of(operation)):
                    nodes = self._node(operation, level)
                for node in nodes:
                    self.levels.append((level, replace(node, location=fused((node.location, location_of(operation))))))
        self._stages()
        for _, node in self.levels:
            _check_size(node)
        return tuple(node for _, node in sorted(self.levels, key=lambda pair: (pair[0], not _is_over_samples(pair[1]))))

    def destinations(self, value: Value) -> Sequence[Storage]:
        """The storage to which a value is written: the wanted ones, or a new buffer."""
        if value in self.wanted:
            return self.wanted[value]
        return (self._allocate(value),)

    def _allocate(self, value: Value) -> Storage:
        rows, width = matrix(value)
        buffer = self.context.add(value.name, self.context_space, tensor_type(value).dtype, self.rows if rows == ROWS else rows, width)
        return Storage(buffer, RowMap.FIRST if rows == 1 else RowMap.ROW)

    @property
    def context_space(self) -> Space:
        """The memory of the block's own buffers: prepared memory in a prepare function, else scratch."""
        return Space.PREPARED if self.context.preparing else Space.SCRATCH

    def locate(self, value: Value) -> Storage | None:
        """A value's storage; None for a constant 0 without storage, and for a value that isn't stored."""
        if is_zero(self.analysis, value) and value not in self.locations:
            return None
        return self.locations.get(value)

    def _reserve(self, operation: Operation) -> None:
        """Places for a node's results, before any view of them is taken."""
        for result in results_of(operation):
            if self.uses[result]:
                self.locations[result] = self.destinations(result)[0]

    def _view(self, operation: Operation) -> None:
        match operation:
            case Split():
                row = 0
                source = self.locations[operation.operand]
                for result in operation.results:
                    rows, _ = matrix(result)
                    if not isinstance(rows, int):
                        raise InternalError(f"%{result.name}: a split along rows of unknown number")
                    self.locations[result] = Storage(
                        source.buffer, RowMap.FIRST if rows == 1 else RowMap.ROW, source.row + row, source.column
                    )
                    row += rows
            case Reshape():
                source = self.locations[operation.operand]
                buffer = self.context.buffers[source.buffer]
                rows, width = matrix(operation.result)
                if source.row or source.column or (buffer.rows, buffer.width) != matrix(operation.operand):
                    raise InternalError(f"%{operation.result.name}: a reshape of a part of a buffer")
                name = self.context.add(f"{buffer.name}.reshaped", buffer.space, buffer.dtype, rows, width, buffer.offset)
                if buffer.space not in (Space.WEIGHT, Space.GRADIENT):
                    raise InternalError(f"%{operation.result.name}: only weights can be reshaped to another width")
                self.locations[operation.result] = Storage(name, RowMap.FIRST if rows == 1 else RowMap.ROW)
            case _:
                raise InternalError(f"{type(operation).__name__} is no view")

    # Stages

    def _stages(self) -> None:
        """One stage for all roots, and copies, of one level, number of rows and number of units.

        Values that different scans in segments read are in stages of their own: each runs with its scan's segments.
        """
        tasks: dict[tuple[StageKey, tuple[int, ...]], list[tuple[Value, int, Sequence[Storage]]]] = {}
        readers: dict[Value, tuple[int, ...]] = {}
        for number, operation in enumerate(self.operations):
            if isinstance(operation, Scan) and operation.checkpoint:
                readers |= {value: (*readers.get(value, ()), number) for value in operation.sequences}
        for root in self.analysis.roots:
            targets = self.destinations(root) if root in self.wanted else (self.locations[root],)
            for column, width in self.analysis.pieces(root):
                key = self.analysis.level[root], matrix(root)[0], width
                tasks.setdefault((key, readers.get(root, ())), []).append((root, column, targets))
        for value, targets in self.wanted.items():
            if value in self.analysis.roots:
                continue
            copies = [target for target in targets if target != self.locations[value]]
            rows, width = matrix(value)
            if copies:
                tasks.setdefault(((self.analysis.available[value], rows, width), ()), []).append((value, 0, copies))
        for ((level, rows, units), _), parts in tasks.items():
            writer = self._writer(level)
            self._copied(writer, parts)
            with told_with(writer.location):
                stores: list[Store] = []
                for value, column, targets in parts:
                    stores += [Store(target.access(column), writer.evaluate(value, column)) for target in targets]
                    if writer.length > MOST_VALUES:  # here, before the rest is written out as well
                        raise _too_large(writer.location)
                self.levels.append((level, self._stage(writer, rows, units, stores)))

    def _copied(self, writer: StageWriter, parts: Sequence[tuple[Value, int, Sequence[Storage]]]) -> None:
        """A copy has the location of the value that it copies."""
        for value, _, _ in parts:
            operation = self.analysis.definitions.get(value)
            writer.locations[value.location if operation is None else location_of(operation)] = None

    def _writer(self, level: int) -> StageWriter:
        return StageWriter(self.analysis, level, self.locate, self.context)

    def _stage(self, writer: StageWriter, rows: Dim, units: int, stores: Sequence[Store]) -> FusedLoop:
        tiling, dtype, sums = self.context.tiling, self.context.dtype, writer.sums
        if not sums:
            return replace(self._along_rows(rows, units, (*writer.leaves, *writer.statements, *stores)), location=writer.location)
        tile = tiling.contraction(sums, units, dtype, self.context.panel_type)
        before = len(self.context.panels)
        body = writer.body(lambda depth, columns: self.context.pack(depth, units, tile.vectors, columns, writer.location))
        if self.context.preparing:
            made = self.context.packing(tuple(self.context.panels.values())[before:], self.context.buffers)
            self.levels.extend((writer.level - 1, node) for node in made)
        contracts = [statement for statement in body if isinstance(statement, Contract)]
        tile = _within(tiling.beside_weights(tile, contracts, sums, rows, units, dtype, self.context.panel_type), len(body))
        return FusedLoop(rows, units, tile, (*body, *stores), location=writer.location)

    def _along_rows(self, rows: Dim, units: int, body: tuple[Statement, ...]) -> FusedLoop:
        """A stage without a contraction."""
        return FusedLoop(rows, units, self.context.tiling.pointwise(units, body, self.context.dtype), body)

    # Nodes

    def _node(self, operation: Operation, level: int) -> tuple[Node, ...]:
        match operation:
            case Scan():
                return (self._scan(operation),)
            case Matmul():
                height, units = matrix(operation.result)
                rows, _ = matrix(operation.left)
                if operation.transpose_right or not isinstance(height, int):
                    raise InternalError(f"%{operation.result.name}: a matmul of two transposed sides")
                if operation.init is not None:
                    raise InternalError(f"%{operation.result.name}: a matmul of a transposed left side from a value")
                left, right = self.locations[operation.left], self.locations[operation.right]
                return (Outer(rows, height, units, left.access(0), right.access(0), self.locations[operation.result].access(0)),)
            case Reduce():
                return (self._reduce(operation, level),)
            case ScatterAdd():
                ids = ids_buffer(operation.ids, self.locations[operation.ids])
                return (self._scatter(operation.updates, ids, operation.result, missing=False),)
            case PackSum() | FillSum():
                shown = self.context.index(shown_name(operation.hold, operation.flip), operation.index)
                return (self._scatter(operation.operand, shown, operation.result, missing=isinstance(operation, FillSum)),)
            case Pack():
                source, rows = self.locations[operation.operand].buffer, matrix(operation.result)[0]
                return (GatherIds(rows, source, self.context.index("source", operation.index), self.locations[operation.result].buffer),)
            case Places():
                ids = ids_buffer(operation.ids, self.locations[operation.ids])
                places = self.context.index("position", operation.distinct)
                return (GatherIds(matrix(operation.ids)[0], places, ids, self.locations[operation.result].buffer),)
            case Rearrange():
                return (self._rearranged(operation),)
            case Concat():
                return self._join_rows(operation)
            case _:
                raise InternalError(f"no loop nest for {type(operation).__name__}")

    def _scatter(self, source: Value, ids: str, result: Value, missing: bool) -> Scatter:
        rows, units = matrix(source)
        target = self.locations[result]
        return Scatter(rows, units, ids, self.locations[source].access(0), target.buffer, matrix(result)[0], missing)

    def _rearranged(self, operation: Rearrange) -> Rearranged:
        rows, *extents = tensor_type(operation.operand).shape
        height, units = (value_of(extent, {}) for extent in (extents if len(extents) == 2 else [1, *extents]))
        for value in (operation.operand, operation.result):
            location = self.locations[value]
            if location.row or location.column or self.context.buffers[location.buffer].width != matrix(value)[1]:
                raise InternalError(f"%{value.name}: a rearrangement of a part of a buffer")
        source, target = (self.locations[value].buffer for value in (operation.operand, operation.result))
        return Rearranged(rows, height, units, source, target, operation.transpose)

    def _reduce(self, operation: Reduce, level: int) -> Node:
        rows, units = matrix(operation.operand)
        writer = self._writer(level)
        value = writer.evaluate(operation.operand, 0)
        body = writer.body(lambda depth, columns: self.context.pack(depth, units, 1, columns, writer.location))
        kind = RowReduce if operation.axis == tensor_type(operation.operand).rank - 1 else ColumnReduce
        return kind(rows, units, body, operation.kind, value, self.locations[operation.result].access(0), location=writer.location)

    def _join_rows(self, operation: Concat) -> tuple[Node, ...]:
        """A concatenation along the rows: one copy for each operand."""
        target = self.locations[operation.result]
        nodes: list[Node] = []
        start = 0
        for operand in operation.operands:
            rows, units = matrix(operand)
            if not isinstance(rows, int):
                raise InternalError(f"%{operand.name}: a concatenation along rows of unknown number")
            source = self.locations[operand]
            body: tuple[Statement, ...] = (
                Load(operand.name, source.access(0)),
                Store(Access(target.buffer, RowMap.ROW, target.column, target.row + start), operand.name),
            )
            nodes.append(self._along_rows(rows, units, body))
            start += rows
        return tuple(nodes)

    def _scan(self, scan: Scan) -> ScanLoop:
        """The scan's step as a block of its own, around buffers for what is carried."""
        region, place = scan.region, index_type(scan.index.type)
        if region.sums:
            raise InternalError("a scan still adds up over its steps: hoist_weight_gradients must run first")
        context = self.context
        locations: dict[Value, Storage] = {}
        wanted: dict[Value, list[Storage]] = {}
        states: list[CarryBuffers] = []
        for parameter, value, init, final in zip(region.carried, region.carries, scan.inits, scan.finals, strict=True):
            width = matrix(parameter)[1]
            current = context.add(parameter.name, Space.SCRATCH, context.dtype, place.batch, width)
            following = context.add(f"{parameter.name}'", Space.SCRATCH, context.dtype, place.batch, width)
            locations[parameter] = Storage(current, RowMap.ROW)
            wanted.setdefault(value, []).append(Storage(following, RowMap.ROW))
            start = None if is_zero(self.analysis, init) and init not in self.locations else self.locations[init].buffer
            states.append(CarryBuffers(width, current, following, start, self.locations[final].buffer if self.uses[final] else None))
        for parameter, sequence in zip(region.slices, scan.sequences, strict=True):
            source = self._sequence(sequence)
            locations[parameter] = Storage(source.buffer, RowMap.TOKEN, source.row, source.column, source.via)
        for value, stack in zip(region.stacks, scan.stacks, strict=True):
            if self.uses[stack]:
                target = self.locations[stack]
                wanted.setdefault(value, []).append(Storage(target.buffer, RowMap.TOKEN, target.row, target.column))
        outside: list[Value] = []
        for value in free_values(region):
            if value in self.locations:
                locations[value] = self.locations[value]
            elif value in self.analysis.neutral:
                outside.append(value)
            else:
                raise InternalError(f"%{value.name}, used by a scan, isn't stored")
        neutral = self._definitions_of(outside)
        body = BlockScheduler(context, (*neutral, *region.operations), locations, wanted, place.batch).schedule()
        offsets, steps = context.index("offsets", scan.index), Steps(index_number(place))
        location = fused(node.location for node in body)
        loop = ScanLoop(scan.reverse, tuple(states), body, offsets, steps, place.batch, scan.checkpoint, location=location)
        return settle_states(loop, context.buffers)

    def _sequence(self, value: Value) -> Storage:
        """Where a scan finds a sequence's rows: looked up, even if they are stored too, which may come later; or stored."""
        found = looked_up(self.analysis, value)
        if not found:
            return self.locations[value]
        table, ids = found
        return replace(self.locations[table], rows=RowMap.ROW, via=ids_buffer(ids, self.locations[ids]))

    def _definitions_of(self, values: Sequence[Value]) -> tuple[Operation, ...]:
        """The operations that compute `values`, each once, in topological order."""
        found: dict[Value, Operation] = {}
        pending = [(value, False) for value in reversed(values)]
        while pending:
            value, operands_are_found = pending.pop()
            if value in found:
                continue
            operation = self.analysis.definitions[value]
            if operands_are_found:
                found.update((result, operation) for result in results_of(operation))
            else:
                pending.append((value, True))
                pending += ((operand, False) for operand in reversed(operands_of(operation)))
        return tuple({results_of(operation)[0]: operation for operation in found.values()}.values())


def _is_over_samples(node: Node) -> bool:
    """Whether a nest is over the rows of samples: first of its level, it doesn't part nests over tokens that may take turns."""
    return isinstance(node, FusedLoop) and node.rows == BATCH


MOST_WRITTEN_OUT = 1024
"""The most vectors that a nest computes at once so that several rows or units share the weights that they read.

All are written out one behind the other, and the time that LLVM takes grows with the square of their number.
"""


def _within(tile: Tile, length: int) -> Tile:
    """The tile with as many rows, and single rows with as many units, as a body of so many statements is to be written out for."""
    most = max(1, MOST_WRITTEN_OUT // (length * tile.vectors))
    return replace(tile, rows=tuple(rows for rows in tile.rows if rows <= most), wide=min(tile.wide, most))


MOST_VALUES = 60_000
"""The most vectors that are computed at once in a nest: what registers don't hold lies on the stack, of which a thread has 8 MB or so."""


def _check_size(node: Node) -> None:
    """Refuses a nest that a thread's stack may not hold: ValueError, with the lines that it comes from."""
    if not isinstance(node, FusedLoop | RowReduce | ColumnReduce):
        return
    at_once = max(node.tile.rows) * node.tile.vectors if isinstance(node, FusedLoop) else 1
    if len(node.body) * at_once > MOST_VALUES:
        raise _too_large(node.location)


def _too_large(location: Location) -> ValueError:
    return ValueError(
        f"{shown(location)}: written out, this takes over {MOST_VALUES:,} operations for each row, more than native code can hold; "
        "a product with a matrix, or fewer units that are read one by one, takes fewer"
    )
