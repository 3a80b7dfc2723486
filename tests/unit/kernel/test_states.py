"""Which carried values are updated in place, decided on scans written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from rnnspec.contract.dimensions import BATCH, ROWS
from rnnspec.contract.native_function import Space
from rnnspec.ir.ops import ReduceKind, UnaryKind
from rnnspec.ir.types import DType
from rnnspec.kernel.accesses import accesses
from rnnspec.kernel.carry_buffers import settle_states
from rnnspec.kernel.nodes import (
    Access,
    Buffer,
    CarryBuffers,
    ColumnReduce,
    Contract,
    FusedLoop,
    Load,
    Map,
    Node,
    Outer,
    RowMap,
    RowReduce,
    ScanLoop,
    Scatter,
    Statement,
    Store,
)
from rnnspec.kernel.target import Tile
from tests.unit.kernel.scheduled import RESET_BEFORE, model, scheduled, the_scan


def at(buffer: str, column: int = 0, *, splat: bool = False) -> Access:
    return Access(buffer, RowMap.ROW, column, splat=splat)


def stage(*body: Statement) -> FusedLoop:
    return FusedLoop(ROWS, 4, Tile((1,), 1), body)


def settle(*body: Node, width: int = 4) -> tuple[ScanLoop, dict[str, Buffer]]:
    """A scan of one state, `s` then `s'`, settled; and the buffers that are left."""
    names = ("s", "s'", "t", "out")
    buffers = {name: Buffer(name, Space.SCRATCH, DType.F32, BATCH, width) for name in names}
    loop = ScanLoop(False, (CarryBuffers(width, "s", "s'", None, "out"),), body)
    return settle_states(loop, buffers), buffers


def is_in_place(*body: Node, width: int = 4) -> bool:
    loop, buffers = settle(*body, width=width)
    (state,) = loop.states
    assert state.current == "s" and state.final == "out"
    assert (state.following == "s") == ("s'" not in buffers)
    return state.following == "s"


LOAD, NEGATE, STORE = Load("a", at("s")), Map("b", UnaryKind.NEG, ("a",)), Store(at("s'"), "b")
WRITE: tuple[Statement, ...] = (Load("a", at("t")), Store(at("s'"), "a"))


def test_read_and_written_at_the_same_unit() -> None:
    assert is_in_place(stage(LOAD, NEGATE, STORE))


def test_the_body_then_writes_the_buffer_that_it_reads() -> None:
    (step,) = settle(stage(LOAD, NEGATE, STORE))[0].body
    assert step == stage(LOAD, NEGATE, Store(at("s"), "b"))


def test_never_read() -> None:
    assert is_in_place(stage(*WRITE))


def test_read_whole_by_a_contraction_of_the_same_stage() -> None:
    contract = Contract(("b",), at("s"), 4, "panels", (None,))
    assert not is_in_place(stage(contract, STORE))
    assert not is_in_place(stage(LOAD, contract, STORE))


def test_read_at_another_unit() -> None:
    assert not is_in_place(stage(Load("a", at("s", 4)), NEGATE, STORE), width=8)


def test_both_halves_read_and_written_at_their_own_units() -> None:
    halves = (Load("a", at("s")), Load("b", at("s", 4)), Store(at("s'"), "a"), Store(at("s'", 4), "b"))
    assert is_in_place(stage(*halves), width=8)


def test_one_element_read_for_all_units() -> None:
    assert not is_in_place(stage(Load("a", at("s", splat=True)), NEGATE, STORE))


def test_read_by_an_earlier_nest_only() -> None:
    contract = stage(Contract(("b",), at("s"), 4, "panels", (None,)), Store(at("t"), "b"))
    assert is_in_place(contract, stage(*WRITE))


LATER_READS: list[Node] = [
    stage(LOAD, Store(at("t"), "a")),
    stage(Contract(("b",), at("s"), 4, "panels", (None,)), Store(at("t"), "b")),
    RowReduce(ROWS, 4, (LOAD,), ReduceKind.SUM, "a", at("t")),
    ColumnReduce(ROWS, 4, (LOAD,), ReduceKind.SUM, "a", at("t")),
    Outer(ROWS, 4, 4, at("s"), at("t"), at("t")),
    Scatter(ROWS, 4, "ids", at("s"), "t", 4),
]


@pytest.mark.parametrize("later", LATER_READS, ids=lambda node: type(node).__name__)
def test_read_after_it_is_overwritten(later: Node) -> None:
    assert not is_in_place(stage(*WRITE), later)
    assert is_in_place(later, stage(*WRITE))


def test_read_between_two_writes() -> None:
    assert not is_in_place(stage(LOAD, NEGATE, STORE), stage(*WRITE))


def test_written_by_a_reduction_that_reads_it() -> None:
    assert not is_in_place(RowReduce(ROWS, 4, (LOAD,), ReduceKind.SUM, "a", at("s'")))


def test_never_written() -> None:
    assert not is_in_place(stage(LOAD, Store(at("t"), "a")))


def test_every_access_to_the_dropped_buffer_is_renamed() -> None:
    later: Sequence[Node] = (
        stage(Load("a", at("s'")), Contract(("b",), at("s'"), 4, "panels", ("a",)), Store(at("t"), "b")),
        RowReduce(ROWS, 4, (Load("a", at("s'")),), ReduceKind.SUM, "a", at("t")),
        Outer(ROWS, 4, 4, at("s'"), at("s'"), at("t")),
        Scatter(ROWS, 4, "ids", at("s'"), "t", 4),
    )
    loop, _ = settle(stage(*WRITE), *later)
    assert {access.buffer for node in loop.body for access in accesses(node)} == {"s", "t"}
    assert loop.body[3] == Outer(ROWS, 4, 4, at("s"), at("s"), at("t"))


def test_a_state_that_stays_doubled_keeps_its_body() -> None:
    body = (stage(Contract(("b",), at("s"), 4, "panels", (None,)), STORE),)
    loop, buffers = settle(*body)
    assert loop.body == body
    assert {"s", "s'"} <= buffers.keys()
    assert loop == replace(loop, states=(CarryBuffers(4, "s", "s'", None, "out"),))


def doubled(spec: str, wanted: str = "forward") -> dict[str, bool]:
    return {state.current: state.following != state.current for state in the_scan(scheduled(spec, wanted).function).states}


def test_models() -> None:
    """An LSTM's h is read whole by the stage that writes it, its c is not; before-reset GRU's h waits in a stage of its own."""
    assert doubled(model(3, "LSTM(5)")) == {"h": True, "c": False}
    assert doubled(model(3, "GRU(5)")) == {"h": True}
    assert doubled(model(3, "ResetBefore(5)", cell=RESET_BEFORE)) == {"h": False}
    assert doubled(model(3, "LSTM(5)"), "backward") == {"d_h": False, "d_c": False}
