"""Panels of weights made narrow, a tile of units after the other."""

from __future__ import annotations

from rnnspec.backend.llvm_cpu.loop_nests import Range
from rnnspec.backend.llvm_cpu.panel_elements import PanelElements
from rnnspec.backend.llvm_cpu.rows import RowAddresses
from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.kernel.nodes import NarrowPanels

MOST = 127.0
"""The largest whole number of a byte whose negative is one, too."""

LEAST = 1e-30
"""The least maximum of a column that isn't taken for zeros: `MOST` divided by a smaller one would be infinite."""


def emit_narrow_panels(vectors: Vectors, places: RowAddresses, node: NarrowPanels, tiles: Range) -> None:
    """Of each tile a vector of columns after the other, over the whole depth: for whole numbers it is the largest one that counts."""
    writer, narrow = vectors.writer, PanelElements(vectors, places.buffers[node.target].dtype)
    source, target = places.registers[node.source], places.registers[node.target]
    with writer.loop(*tiles, hint="tile") as tile, writer.loop("0", str(node.columns), vectors.lanes, hint="column") as column:
        first = writer.add(writer.multiply(tile, node.depth * node.columns), column)
        start = vectors.pointer(source, first)
        factor: str | None = None
        if node.scales is not None:
            place = writer.add(writer.multiply(tile, node.columns), column)
            factor = _scaled(vectors, node, start, vectors.pointer(places.registers[node.scales], place))
        to = narrow.pointer(target, first)
        with writer.loop("0", str(node.depth), hint="k") as k:
            turn = writer.multiply(k, node.columns)
            value = vectors.load(vectors.pointer(start, turn))
            if factor is not None:
                value = writer.assign(f"fmul {vectors.type} {value}, {factor}")
            narrow.store(value, narrow.pointer(to, turn))


def _scaled(vectors: Vectors, node: NarrowPanels, start: str, scale: str) -> str:
    """What the columns are multiplied by to be whole numbers; stores the other way's factor, the largest magnitude's `MOST`th."""
    writer = vectors.writer
    with writer.carrying_loop("0", str(node.depth), 1, [(vectors.type, "zeroinitializer")], "k") as (k, (most,), following):
        value = vectors.load(vectors.pointer(start, writer.multiply(k, node.columns)))
        following.append(vectors.min_max(True, vectors.intrinsic("fabs", value), most))
    vectors.store(writer.assign(f"fdiv {vectors.type} {most}, {vectors.vector(MOST)}"), scale)
    factor = writer.assign(f"fdiv {vectors.type} {vectors.vector(MOST)}, {most}")
    return vectors.select(vectors.compare("olt", most, vectors.vector(LEAST)), "zeroinitializer", factor)
