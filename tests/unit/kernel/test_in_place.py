"""What a tape keeps in place of what was read for the last time, decided on functions written by hand and on models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace

import pytest

from rnnspec.contract.dimensions import BATCH, ROWS, TOKENS, Dim, Tokens
from rnnspec.contract.native_function import Space
from rnnspec.ir.ops import ReduceKind, UnaryKind
from rnnspec.ir.types import DType
from rnnspec.kernel.accesses import accesses
from rnnspec.kernel.calling_convention import calling_convention
from rnnspec.kernel.cpu.tape_aliasing import alias_tape
from rnnspec.kernel.loop_nests import nests_of
from rnnspec.kernel.nodes import (
    Access,
    Buffer,
    BufferColumns,
    CarryBuffers,
    ColumnReduce,
    Contract,
    FusedLoop,
    KernelFunction,
    Load,
    Map,
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
from rnnspec.kernel.target import Tile
from tests.unit.kernel.scheduled import model, scheduled
from tests.unit.kernel.symbolic import runs

BUFFERS = (
    Buffer("tape.x", Space.TAPE, DType.F32, TOKENS, 4),
    Buffer("tape.y", Space.TAPE, DType.F32, TOKENS, 4),
    Buffer("tape.z", Space.TAPE, DType.F32, TOKENS, 4),
    Buffer("a", Space.SCRATCH, DType.F32, TOKENS, 8),
    Buffer("s", Space.SCRATCH, DType.F32, BATCH, 4),
    Buffer("t", Space.SCRATCH, DType.F32, TOKENS, 8),
)


def at(buffer: str, column: int = 0, rows: RowMap = RowMap.TOKEN, *, splat: bool = False, via: str | None = None, row: int = 0) -> Access:
    return Access(buffer, rows, column, row, via, splat=splat)


def stage(*body: Statement, rows: Dim = ROWS, units: int = 4) -> FusedLoop:
    return FusedLoop(rows, units, Tile((1,), 1), body)


LOADS: tuple[Statement, ...] = (Load("p", at("a")), Load("q", at("a", 4)), Load("s", at("s", rows=RowMap.ROW)))
MAPS: tuple[Statement, ...] = (Map("f", UnaryKind.SIGMOID, ("q",)), Map("g", UnaryKind.TANH, ("p",)))
STORES: tuple[Statement, ...] = (Store(at("tape.x"), "g"), Store(at("tape.z"), "s"), Store(at("tape.y"), "f"))
STEP = stage(*LOADS, *MAPS, *STORES)

BOTH = {"tape.y": ("tape.a", 0), "tape.x": ("tape.a", 4)}
"""In the order in which they are computed."""


def filling(buffer: str, units: int) -> Node:
    """Writes all of a buffer outside of the scan, so that what a step reads of it is known."""
    return stage(Load("v", at("s", rows=RowMap.ROW)), Store(at(buffer, rows=RowMap.ROW), "v"), rows=TOKENS, units=units)


def function_of(
    *step: Node,
    before: Collection[Node] = (),
    after: Collection[Node] = (),
    buffers: tuple[Buffer, ...] = BUFFERS,
    filled: Collection[Node] = (filling("a", 8),),
) -> KernelFunction:
    states = (CarryBuffers(4, "s", "s", None, None),)
    return KernelFunction("forward", DType.F32, buffers, (*filled, *before, ScanLoop(False, states, step), *after))


def places(function: KernelFunction, apart: Collection[str] = ()) -> dict[str, tuple[str, int]]:
    """What has moved to where; the function loads and leaves behind the same expressions as before, and no buffer is lost."""
    changed, moved = alias_tape(function, apart)
    before, now = runs(function, changed)
    assert now.loaded == before.loaded
    names = {buffer.name for buffer in changed.buffers}
    for buffer in function.buffers:
        place = moved.get(buffer.name, BufferColumns(buffer, 0))
        if buffer.space is not Space.SCRATCH:
            assert place.buffer in changed.buffers
            assert now.contents(place.buffer, place.column, buffer.width) == before.contents(buffer, 0, buffer.width)
    assert {access.buffer for nest in nests_of(changed) for access in accesses(nest.node)} <= names
    assert sum(buffer.width for buffer in changed.buffers if buffer.space is Space.TAPE) == sum(
        buffer.width for buffer in function.buffers if buffer.space is Space.TAPE
    ), "the tape is as large as before"
    return {name: (place.buffer.name, place.column) for name, place in moved.items()}


def test_values_that_are_computed_from_what_is_read_take_its_pieces() -> None:
    """In the order in which they are computed; what is only loaded takes none."""
    assert places(function_of(STEP)) == BOTH


def test_the_buffer_becomes_a_part_of_the_tape_where_the_first_of_its_values_was() -> None:
    changed, _ = alias_tape(function_of(STEP), ())
    assert [buffer.name for buffer in changed.buffers] == ["tape.a", "tape.z", "s", "t"]
    assert changed.buffer("tape.a") == Buffer("tape.a", Space.TAPE, DType.F32, TOKENS, 8)


def test_a_name_that_is_taken_is_not_taken_again() -> None:
    buffers = (*BUFFERS, Buffer("tape.a", Space.TAPE, DType.F32, TOKENS, 4))
    changed, moved = alias_tape(function_of(STEP, buffers=buffers), ())
    assert {place.buffer.name for place in moved.values()} == {"tape.a.1"}
    assert {"tape.a", "tape.a.1"} <= {buffer.name for buffer in changed.buffers}


OTHERS: list[Node] = [
    stage(Load("v", at("a", 4)), Store(at("t"), "v")),
    stage(Contract(("v",), at("a"), 8, "panels", (None,)), Store(at("t"), "v")),
    RowReduce(ROWS, 4, (Load("v", at("a")),), ReduceKind.SUM, "v", at("t")),
    RowReduce(ROWS, 4, (Load("v", at("s", rows=RowMap.ROW)),), ReduceKind.SUM, "v", at("a")),
]
"""Nests of a step that read the buffer, or write it."""


@pytest.mark.parametrize("other", OTHERS, ids=lambda node: type(node).__name__)
def test_read_or_written_in_the_step(other: Node) -> None:
    assert places(function_of(STEP, other)) == {}
    assert places(function_of(other, STEP)) == BOTH


@pytest.mark.parametrize(
    "access", [at("a", rows=RowMap.ROW), at("a", rows=RowMap.FIRST), at("a", via="ids"), at("a", row=1)], ids=lambda access: str(access)
)
def test_a_row_of_another_step_is_read_before(access: Access) -> None:
    assert places(function_of(stage(Load("v", access), Store(at("t"), "v")), STEP)) == {}


BEHIND: list[Node] = [
    stage(Load("v", at("a", rows=RowMap.ROW)), Store(at("t", rows=RowMap.ROW), "v"), rows=TOKENS),
    ColumnReduce(TOKENS, 4, (Load("v", at("a", rows=RowMap.ROW)),), ReduceKind.SUM, "v", at("t", rows=RowMap.FIRST)),
    Outer(TOKENS, 4, 4, at("a", rows=RowMap.ROW), at("t", rows=RowMap.ROW), at("t", rows=RowMap.ROW)),
    Scatter(TOKENS, 4, "ids", at("a", rows=RowMap.ROW), "t", 4),
]
"""Nests behind the scan that read the buffer."""


@pytest.mark.parametrize("other", BEHIND, ids=lambda node: type(node).__name__)
def test_read_behind_the_scan(other: Node) -> None:
    assert places(function_of(STEP, after=[other])) == {}
    assert places(function_of(STEP, before=[other])) == BOTH


def test_used_whole() -> None:
    for buffer in ("a", "tape.x"):
        whole = Rearranged(TOKENS, 1, 4, buffer, "t", transpose=False)
        assert places(function_of(STEP, before=[whole])) == {}
        assert places(function_of(STEP, after=[whole])) == {}
    state = ScanLoop(False, (CarryBuffers(4, "s", "s", "a", None),), (STEP,))
    assert places(KernelFunction("forward", DType.F32, BUFFERS, (state,))) == {}


def test_kept_apart() -> None:
    assert places(function_of(STEP), ["tape.x"]) == {}


NOT_ITS_OWN: list[Statement] = [
    Load("p", at("a", splat=True)),
    Load("p", at("a", via="ids")),
    Load("p", at("a", rows=RowMap.ROW)),
    Load("p", at("a", row=1)),
    Load("p", at("a", 2)),
    Load("p", at("a", 4)),
    Load("p", at("t")),
    Contract(("p",), at("a"), 8, "panels", (None,)),
]


@pytest.mark.parametrize("first", NOT_ITS_OWN, ids=str)
def test_read_otherwise_than_at_its_own_elements_all_of_them(first: Statement) -> None:
    assert places(function_of(stage(first, *LOADS[1:], *MAPS, *STORES))) == {}


def test_read_whole_besides() -> None:
    contract = Contract(("v",), at("a"), 8, "panels", (None,))
    assert places(function_of(stage(*LOADS, contract, *MAPS, *STORES))) == {}


def test_loaded_after_the_store() -> None:
    late = (LOADS[0], LOADS[2], Map("g", UnaryKind.TANH, ("p",)), STORES[0], LOADS[1], Map("f", UnaryKind.TANH, ("q",)), STORES[2])
    assert places(function_of(stage(*late))) == {}


def test_the_tape_does_not_grow() -> None:
    assert places(function_of(stage(*LOADS, *MAPS, *STORES[:2]))) == {}


UNLIKE = [
    replace(BUFFERS[0], space=Space.SCRATCH),
    replace(BUFFERS[0], dtype=DType.F64),
    replace(BUFFERS[0], rows=Tokens(1)),
    replace(BUFFERS[0], width=5),
]


@pytest.mark.parametrize("buffer", UNLIKE, ids=lambda buffer: f"{buffer.space.value} {buffer.dtype.value} {buffer.rows} {buffer.width}")
def test_a_buffer_of_another_kind(buffer: Buffer) -> None:
    assert places(function_of(STEP, buffers=(buffer, *BUFFERS[1:]))) == {}


def test_only_scratch_is_written_over() -> None:
    for space in (Space.INPUT, Space.TAPE, Space.OUTPUT):
        assert places(function_of(STEP, buffers=(*BUFFERS[:3], replace(BUFFERS[3], space=space), *BUFFERS[4:]))) == {}


def test_a_value_has_one_place() -> None:
    """Of two buffers that are read up, one stays scratch if there is one value."""
    narrow = [replace(BUFFERS[3], name=name, width=4) for name in ("a", "b")]
    body = (Load("p", at("a")), Load("q", at("b")), Map("g", UnaryKind.TANH, ("p",)), Store(at("tape.x"), "g"))
    function = function_of(stage(*body), buffers=(*BUFFERS[:3], *narrow, BUFFERS[4]), filled=[filling(name, 4) for name in ("a", "b")])
    assert places(function) == {}
    changed, _ = alias_tape(function, ())
    assert [buffer.name for buffer in changed.buffers] == ["tape.x", "tape.y", "tape.z", "b", "s"]


@pytest.mark.parametrize("access", [at("tape.x", rows=RowMap.ROW), at("tape.x", row=1)], ids=["row", "another row"])
def test_stored_elsewhere(access: Access) -> None:
    assert places(function_of(stage(*LOADS, *MAPS, Store(access, "g"), *STORES[1:]))) == {}


def test_stored_or_read_twice() -> None:
    again = stage(Load("v", at("t")), Store(at("tape.x"), "v"))
    assert places(function_of(STEP, again)) == {}
    assert places(function_of(again, STEP)) == {}
    assert places(function_of(stage(*LOADS, *MAPS, *STORES, Store(at("tape.x"), "f")))) == {}
    assert places(function_of(stage(Load("v", at("tape.x")), *LOADS, *MAPS, *STORES))) == {}


def test_what_reads_a_moved_value_afterwards_finds_it() -> None:
    later = [
        stage(Load("v", at("tape.x", rows=RowMap.ROW)), Store(at("t", rows=RowMap.ROW), "v"), rows=TOKENS),
        Outer(TOKENS, 4, 4, at("tape.x", rows=RowMap.ROW), at("tape.y", rows=RowMap.ROW), at("t", rows=RowMap.ROW)),
        Scatter(TOKENS, 4, "ids", at("tape.x", rows=RowMap.ROW), "t", 4),
        stage(Load("v", at("tape.x", 2, RowMap.ROW)), Store(at("t", rows=RowMap.ROW), "v"), rows=TOKENS, units=2),
    ]
    within = stage(Contract(("v",), at("tape.y"), 4, "panels", (None,)), Store(at("t"), "v"))
    assert places(function_of(STEP, within, after=later)) == BOTH


def test_a_value_as_wide_as_what_is_read_stands_for_both() -> None:
    """Outside of a scan too. It isn't moved, so the backward pass finds it where it was."""
    row = RowMap.ROW
    narrow = replace(BUFFERS[3], width=4)
    body = (Load("p", at("a", rows=row)), Map("g", UnaryKind.TANH, ("p",)), Store(at("tape.x", rows=row), "g"))
    function = KernelFunction("forward", DType.F32, (*BUFFERS[:3], narrow), (stage(*body, rows=TOKENS),))
    changed, moved = alias_tape(function, ())
    assert moved == {} == places(replace(function, buffers=(*function.buffers, BUFFERS[4]), nodes=(filling("a", 4), *function.nodes)))
    assert changed.buffers == BUFFERS[:3]
    assert changed.nodes == (stage(replace(body[0], access=at("tape.x", rows=row)), *body[1:], rows=TOKENS),)


MODELS = {
    "LSTM": (model(3, "LSTM(5)"), {"tape.6": 4}),
    "GRU": (model(3, "GRU(5)"), {"tape.5": 3}),
    "both directions": (
        model(3, "Bidirectional(SimpleRNN(4, return_sequences = true))"),
        {"tape.forward_simple_rnn/output": 1, "tape.backward_simple_rnn/output": 1},
    ),
    "looked up": (model("ids", "Embedding(6, 3)", "LSTM(4)"), {}),
}


@pytest.mark.parametrize("name", MODELS)
def test_models(name: str) -> None:
    """How many values each buffer of a tape holds that are stored where the same stage has loaded. Both passes agree on the tape."""
    spec, wanted = MODELS[name]
    recorded, backward = (scheduled(spec, which).function for which in ("record", "backward"))
    tape = [buffer for buffer in recorded.buffers if buffer.space is Space.TAPE]
    assert tape == [buffer for buffer in backward.buffers if buffer.space is Space.TAPE]
    assert calling_convention(recorded).tape == calling_convention(backward).tape
    over: Counter[str] = Counter()
    for nest in nests_of(recorded):
        if isinstance(nest.node, FusedLoop):
            loaded = {statement.access for statement in nest.node.body if isinstance(statement, Load)}
            stored = {statement.access for statement in nest.node.body if isinstance(statement, Store)}
            over.update(access.buffer for access in loaded & stored if recorded.buffer(access.buffer).space is Space.TAPE)
    assert over == wanted
