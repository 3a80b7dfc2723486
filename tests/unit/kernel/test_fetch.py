"""Which contraction fetches what for the next step, decided on scans written by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rnnspec.contract.dimensions import ROWS, TOKENS
from rnnspec.contract.native_function import Space
from rnnspec.ir.ops import ReduceKind, UnaryKind
from rnnspec.ir.types import DType
from rnnspec.kernel.cpu.prefetch import prefetch
from rnnspec.kernel.nodes import (
    Access,
    Buffer,
    Contract,
    FusedLoop,
    KernelFunction,
    Load,
    Map,
    Node,
    Prefetch,
    RowMap,
    RowReduce,
    ScanLoop,
    Statement,
    Store,
)
from rnnspec.kernel.target import Tile
from tests.unit.kernel.scheduled import contractions, model, scheduled

LANES = 8
BUFFERS = tuple(Buffer(name, Space.TAPE, DType.F32, TOKENS, 64) for name in ("x", "y", "z", "w"))


def at(buffer: str, column: int = 0, rows: RowMap = RowMap.TOKEN, *, splat: bool = False, via: str | None = None, row: int = 0) -> Access:
    return Access(buffer, rows, column, row, via, splat=splat)


def elementwise(*accesses: Access, units: int = 64) -> FusedLoop:
    loads = tuple(Load(str(number), access) for number, access in enumerate(accesses[:-1]))
    return FusedLoop(ROWS, units, Tile((1,), 4), (*loads, Map("v", UnaryKind.TANH, ("0",)), Store(accesses[-1], "v")))


def contraction(left: str, depth: int = 64, units: int = 64) -> FusedLoop:
    body: tuple[Statement, ...] = (Contract(("v",), at(left), depth, "panels", (None,)), Store(at("w"), "v"))
    return FusedLoop(ROWS, units, Tile((6, 2, 1), 2), body)


def fetches(*step: Node, reverse: bool = False, buffers: tuple[Buffer, ...] = BUFFERS) -> list[Prefetch | None]:
    """What each nest of the step fetches; else they are as they were."""
    function = KernelFunction("f", DType.F32, buffers, (ScanLoop(reverse, (), step),))
    (loop,) = prefetch(function, LANES).nodes
    assert isinstance(loop, ScanLoop)
    found: list[Prefetch | None] = []
    for old, new in zip(step, loop.body, strict=True):
        first = new.body[0] if isinstance(new, FusedLoop) else None
        found.append(first if isinstance(first, Prefetch) else None)
        if isinstance(new, FusedLoop) and found[-1]:
            new = replace(new, body=new.body[1:])
        assert new == old
    return found


@pytest.mark.parametrize("reverse", [False, True])
def test_a_contraction_fetches_what_a_nest_without_one_reads_and_writes(reverse: bool) -> None:
    """Six rows at a time, and each of four tiles of 2 x 8 units its part."""
    step = elementwise(at("x"), at("y")), contraction("y")
    assert fetches(*step, reverse=reverse) == [None, Prefetch(("x", "y"), reverse, 6, 4)]


def test_the_one_with_the_most_products_does() -> None:
    larger = contraction("y", depth=32, units=130)
    assert fetches(contraction("y"), elementwise(at("x"), at("y")), larger) == [None, None, Prefetch(("x", "y"), False, 6, 9)]


def test_nothing_is_fetched_for_a_contraction_or_without_one() -> None:
    assert fetches(contraction("y"), contraction("y")) == [None, None]
    assert fetches(elementwise(at("x"), at("y"))) == [None]


def test_a_reduction_reads_too() -> None:
    reduction = RowReduce(ROWS, 64, (Load("a", at("z")),), ReduceKind.SUM, "a", at("w"))
    assert fetches(reduction, contraction("y")) == [None, Prefetch(("z",), False, 6, 4)]


def test_pieces_that_make_up_a_row() -> None:
    halves = elementwise(at("x"), at("x", 32), at("y"), units=32)
    assert fetches(halves, contraction("y")) == [None, Prefetch(("x",), False, 6, 4)]


NOT_FETCHED = [at("x", 32), at("x", rows=RowMap.ROW), at("x", rows=RowMap.FIRST), at("x", via="ids"), at("x", row=1), at("x", splat=True)]


@pytest.mark.parametrize("access", NOT_FETCHED, ids=str)
def test_other_rows_and_parts_of_rows_are_not_fetched(access: Access) -> None:
    units = 64 - access.column
    assert fetches(elementwise(access, at("s", rows=RowMap.ROW), units=units), contraction("y")) == [None, None]


def test_short_rows_are_not_fetched() -> None:
    """Sixteen floats are a cache line."""
    for width, found in ((15, None), (16, Prefetch(("x",), False, 6, 4))):
        buffers = (replace(BUFFERS[0], width=width), *BUFFERS[1:])
        step = elementwise(at("x"), at("s", rows=RowMap.ROW), units=width), contraction("y")
        assert fetches(*step, buffers=buffers) == [None, found]


def test_nests_outside_of_a_scan_stay_as_they_are() -> None:
    function = KernelFunction("f", DType.F32, BUFFERS, (elementwise(at("x"), at("y")), contraction("y")))
    assert prefetch(function, LANES) == function


def test_a_contraction_in_parts_of_its_depth_fetches_nothing() -> None:
    """Its tiles of rows come again for each part, and would fetch the same each time."""
    (loop,) = (node for node in scheduled(model(3, "LSTM(1100)"), "backward").function.nodes if isinstance(node, ScanLoop))
    (deep,) = (node for node in loop.body if isinstance(node, FusedLoop) and contractions(node))
    assert deep.tile.block is not None and deep.tile.block.depth is not None
    assert not any(isinstance(statement, Prefetch) for statement in deep.body)
