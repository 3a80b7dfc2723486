"""Panels of weights made narrow, a tile of units after the other."""

from __future__ import annotations

from rnnspec.backend.llvm_cpu.loop_nests import Range
from rnnspec.backend.llvm_cpu.panel_elements import PanelElements, in_pairs
from rnnspec.backend.llvm_cpu.rows import RowAddresses
from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.kernel.narrow_tables import LEAST, MOST
from rnnspec.kernel.nodes import NarrowPanels


def emit_narrow_panels(vectors: Vectors, places: RowAddresses, node: NarrowPanels, tiles: Range) -> None:
    """Of each tile a vector of columns after the other, or a pair of them, over the whole depth."""
    writer, lanes = vectors.writer, vectors.lanes
    element = places.buffers[node.target].dtype
    paired = in_pairs(element, node.columns // lanes) * lanes
    with writer.loop(*tiles, hint="tile") as tile:
        if paired:
            with writer.loop("0", str(paired), 2 * lanes, hint="column") as column:
                _emit_columns(vectors, places, node, tile, column, paired=True)
        if paired < node.columns:
            with writer.loop(str(paired), str(node.columns), lanes, hint="column") as column:
                _emit_columns(vectors, places, node, tile, column, paired=False)


def _emit_columns(vectors: Vectors, places: RowAddresses, node: NarrowPanels, tile: str, column: str, *, paired: bool) -> None:
    """For whole numbers it is the column's largest one that counts."""
    writer, narrow = vectors.writer, PanelElements(vectors, places.buffers[node.target].dtype)
    first = writer.add(writer.multiply(tile, node.depth * node.columns), column)
    start, to = vectors.pointer(places.registers[node.source], first), narrow.pointer(places.registers[node.target], first)
    factor: str | None = None
    if node.scales is not None:
        place = writer.add(writer.multiply(tile, node.columns), column)
        factor = _scaled(vectors, node, start, vectors.pointer(places.registers[node.scales], place))
    with writer.loop("0", str(node.depth), hint="k") as k:
        turn = writer.multiply(k, node.columns)
        wide, there = vectors.pointer(start, turn), narrow.pointer(to, turn)
        value = vectors.load(wide)
        if paired:
            narrow.store_pair(value, vectors.load(vectors.pointer(wide, str(vectors.lanes))), there)
        elif factor is None:
            narrow.store(value, there)
        else:
            narrow.store(writer.assign(f"fmul {vectors.type} {value}, {factor}"), there)


def _scaled(vectors: Vectors, node: NarrowPanels, start: str, scale: str) -> str:
    """What the columns are multiplied by to be whole numbers; stores the other way's factor, the largest magnitude's `MOST`th."""
    writer = vectors.writer
    with writer.carrying_loop("0", str(node.depth), 1, [(vectors.type, "zeroinitializer")], "k") as (k, (most,), following):
        value = vectors.load(vectors.pointer(start, writer.multiply(k, node.columns)))
        following.append(vectors.min_max(True, vectors.intrinsic("fabs", value), most))
    vectors.store(writer.assign(f"fdiv {vectors.type} {most}, {vectors.vector(MOST)}"), scale)
    factor = writer.assign(f"fdiv {vectors.type} {vectors.vector(MOST)}, {most}")
    return vectors.select(vectors.compare("olt", most, vectors.vector(LEAST)), "zeroinitializer", factor)
