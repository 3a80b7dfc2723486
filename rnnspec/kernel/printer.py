"""Prints the kernel IR: r is a stage's row, u its unit, t the step's first token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import assert_never

from rnnspec.contract.dimensions import BATCH
from rnnspec.contract.location import shown
from rnnspec.contract.native_function import DistinctIndex, Space
from rnnspec.kernel.memory import buffers_of
from rnnspec.kernel.nodes import (
    Access,
    Block,
    Buffer,
    CarryBuffers,
    ColumnReduce,
    Contract,
    Draw,
    FusedLoop,
    GatherIds,
    KernelFunction,
    KernelModule,
    Load,
    Map,
    NarrowPanels,
    Node,
    Outer,
    PackPanels,
    Position,
    Prefetch,
    Rearranged,
    RowMap,
    RowReduce,
    ScanLoop,
    Scatter,
    Segments,
    Splat,
    Statement,
    Store,
    TimeBlock,
)
from rnnspec.kernel.target import Tile

INDENT = "  "


def print_kernels(module: KernelModule, *, locations: bool = False) -> str:
    """The module's text, ending in a line break. `locations`: with the lines of the spec that each loop nest comes from."""
    return "\n".join([f"kernels {module.name}\n", *(print_kernel(function, locations=locations) for function in module.functions)])


def print_kernel(function: KernelFunction, *, locations: bool = False) -> str:
    """The function's text, ending in a line break: the buffers that it touches, the indices that it makes, its loop nests."""
    touched = {name for node in function.nodes for name in buffers_of(node)}
    touched |= {name for block in function.blocks if isinstance(block, Segments) for kept in block.kept for name in kept.buffers}
    lines = [f"kernel @{function.name} : {function.dtype.value} {{"]
    lines += [INDENT + _buffer(buffer) for buffer in function.buffers if buffer.name in touched]
    lines += [INDENT + _distinct(index) for index in function.distinct]
    first = {block.first: block for block in function.blocks}
    inside = INDENT
    for number, node in enumerate(function.nodes):
        if any(block.last == number for block in function.blocks):
            lines.append(INDENT + "}")
            inside = INDENT
        if number in first:
            lines += [INDENT + line for line in _opening(first[number])]
            inside = INDENT * 2
        lines += [inside + line for line in _node(node, locations)]
    if inside != INDENT:
        lines.append(INDENT + "}")
    return "\n".join([*lines, "}\n"])


def _buffer(buffer: Buffer) -> str:
    at = f" at {buffer.offset}" if buffer.space in (Space.WEIGHT, Space.GRADIENT) else ""
    return f"buffer {buffer.name} : {buffer.space.value} {buffer.dtype.value}[{buffer.rows}, {buffer.width}]{at}"


def _opening(block: Block) -> Iterator[str]:
    if isinstance(block, TimeBlock):
        yield f"blocks {_direction(back=block.reverse)} by {block.offsets}, {block.steps}, {block.tokens} tokens {{"
        return
    yield f"segments of {block.every} steps by {block.offsets}, {block.steps}, one at a time {', '.join(block.local)} {{"
    kept = {each.node: ", ".join(each.buffers) for each in block.kept}
    for phase in block.phases:
        nests = ", ".join(str(node - block.first) for node in phase.nodes)
        keeps = f", keep {', '.join(kept[node] for node in phase.keeps)}" if phase.keeps else ""
        yield f"{INDENT}{_direction(back=phase.back)}: nests {nests}{keeps}"


def _direction(*, back: bool) -> str:
    return "last to first" if back else "first to last"


def _distinct(index: DistinctIndex) -> str:
    return f"index {index.number} : distinct ids of {index.input} at index {index.index}, {index.rows} rows"


def _node(node: Node, locations: bool) -> Iterator[str]:
    first, *rest = _plain(node, locations)
    if locations and node.location:
        opening = first.endswith(" {")
        first = f"{first.removesuffix(' {')} loc({shown(node.location)}){' {' if opening else ''}"
    yield first
    yield from rest


def _plain(node: Node, locations: bool) -> Iterator[str]:
    match node:
        case FusedLoop():
            single = f", 1 by {node.tile.vectors * node.tile.wide}" if node.tile.wide > 1 else ""
            tile = f"{'/'.join(map(str, node.tile.rows))} rows by {node.tile.vectors} vectors{single}{_cache_block(node.tile)}"
            yield from _block(f"stage {node.rows} rows, {node.units} units, tile {tile}", _body(node.body))
        case RowReduce() | ColumnReduce():
            name = "row_reduce" if isinstance(node, RowReduce) else "column_reduce"
            adds = isinstance(node, ColumnReduce) and node.adds
            result = f"{_access(node.target)} {'+=' if adds else '='} {node.kind.value} %{node.value}"
            yield from _block(f"{name} {node.rows} rows, {node.units} units", (*_body(node.body), result))
        case Outer():
            product = f"{_access(node.left)}^T {_access(node.right)}"
            yield f"outer {node.rows} rows, {node.height} by {node.units}: {_access(node.target)} {'+=' if node.adds else '='} {product}"
        case Scatter():
            where = "rows without an id, to row 0" if node.missing else f"by {node.ids}"
            yield f"scatter {node.rows} rows, {node.units} units, {where}: {node.target}[{node.target_rows}] += {_access(node.source)}"
        case GatherIds():
            yield f"gather_ids {node.rows} rows: {node.target}[r] = {node.source}[{'r' if node.via is None else f'{node.via}[r]'}]"
        case Rearranged():
            how = f"transpose {node.height} by {node.units}" if node.transpose else f"copy {node.height * node.units} elements"
            yield f"rearrange {node.rows} rows, {how}: {node.target}[r] = {node.source}[r]"
        case PackPanels():
            shape = f"depth {node.depth}, {node.units} units, {node.vectors} vectors, {len(node.gates)} gates"
            gates = ", ".join(
                f"{gate.buffer}[{gate.row}+u, {gate.column}+k]" if gate.transposed else f"{gate.buffer}[{gate.row}+k, {gate.column}+u]"
                for gate in node.gates
            )
            yield f"pack_panels {node.target} : {shape} = {gates}"
        case NarrowPanels():
            scales = "" if node.scales is None else f", scales {node.scales}"
            yield f"narrow_panels {node.target} : {node.tiles} tiles, depth {node.depth}, {node.columns} columns = {node.source}{scales}"
        case ScanLoop():
            lines = [line for state in node.states for line in _state(state)]
            lines += [line for inner in node.body for line in _node(inner, locations)]
            order = "last to first" if node.reverse else "first to last"
            of = "" if node.rows == BATCH else f" of {node.rows} rows"
            yield from _block(f"scan {order} by {node.offsets}, {node.steps}{of}", lines)
        case _:
            assert_never(node)


def _block(head: str, lines: Sequence[str]) -> Iterator[str]:
    yield f"{head} {{"
    yield from (INDENT + line for line in lines)
    yield "}"


def _state(state: CarryBuffers) -> Iterator[str]:
    how = "in place" if state.following == state.current else f"then {state.following}"
    final = "" if state.final is None else f", leaves to {state.final}"
    yield f"state {state.current}[{state.width}] {how}, enters from {state.init or 'zeros'}{final}"


def _cache_block(tile: Tile) -> str:
    if (block := tile.block) is None:
        return ""
    return f", blocks of {block.rows} rows by {block.tiles} tiles{'' if block.depth is None else f' by {block.depth} deep'}"


def _body(body: Sequence[Statement]) -> tuple[str, ...]:
    return tuple(_statement(statement) for statement in body)


def _statement(statement: Statement) -> str:
    match statement:
        case Load():
            return f"%{statement.name} = load {_access(statement.access)}"
        case Splat():
            return f"%{statement.name} = splat {statement.value!r}"
        case Position():
            return f"%{statement.name} = position {_plus(statement.column)}u"
        case Map():
            kind = "select" if statement.kind is None else statement.kind.value
            return f"%{statement.name} = {kind} {_names(statement.operands)}"
        case Draw():
            at = f"[r, {statement.column}]" if statement.splat else f"[r, {_plus(statement.column)}u]"
            return f"%{statement.name} = draw {statement.key} stream {statement.stream} at {at} of {statement.width}"
        case Contract():
            inits = ", ".join("0" if init is None else f"%{init}" for init in statement.inits)
            product = f"{_access(statement.left)} over {statement.depth} with {statement.panels}"
            scaled = "" if statement.scales is None else f" by {statement.scales}"
            return f"{_names(statement.names)} = contract {product}{scaled} from {inits}"
        case Prefetch():
            return f"fetch next step of {', '.join(statement.buffers)} by tiles of {statement.rows} rows, {statement.parts} of units"
        case Store():
            return f"store {_access(statement.access)} = %{statement.value}"
        case _:
            assert_never(statement)


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"%{name}" for name in names)


def _access(access: Access) -> str:
    offset = f"+{access.row}" if access.row else ""
    match access.rows:
        case RowMap.ROW:
            row = "r"
        case RowMap.TOKEN:
            row = "t+r"
        case RowMap.FIRST:
            row, offset = str(access.row), ""
        case _:
            assert_never(access.rows)
    if access.via is not None:
        row = f"{access.via}[{row}]"
    column = str(access.column) if access.splat else f"{_plus(access.column)}u"
    fill = "" if access.fill is None else f" else {access.fill}[0, {column}]"
    return f"{access.buffer}[{row}{offset}, {column}]{fill}"


def _plus(column: int) -> str:
    return f"{column}+" if column else ""
