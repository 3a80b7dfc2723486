"""Memory plans: what lives at the same time lies apart, slots are large enough, and start at cache lines."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnspec.contract.arena import ALIGNMENT, SLOT_GAP, Slot, aligned, arena_bytes
from rnnspec.contract.arena import Slot as ProgramSlot
from rnnspec.contract.dimensions import BATCH, ROWS, TOKENS, Dim, Name, Size, Tokens, value_of
from rnnspec.contract.native_function import Space
from rnnspec.diagnostics import InternalError
from rnnspec.ir.ops import UnaryKind
from rnnspec.ir.types import DType
from rnnspec.kernel.memory import Plan, buffers_of, plan_apart, plan_scratch
from rnnspec.kernel.nodes import (
    Access,
    Buffer,
    CarryBuffers,
    FusedLoop,
    GatherIds,
    KernelFunction,
    Load,
    Map,
    Node,
    Outer,
    RowMap,
    ScanLoop,
    Scatter,
    Statement,
    Store,
)
from rnnspec.kernel.target import ELEMENT_BYTES, Tile
from tests.unit.kernel.scheduled import NORMED, RESET_BEFORE, model, scheduled

DIMS = {BATCH: 3, TOKENS: 11, Tokens(1): 5, Name("time"): 7}
FAR = {BATCH: 257, TOKENS: 1000, Tokens(1): 400, Name("time"): 10}


def at(buffer: str) -> Access:
    return Access(buffer, RowMap.ROW)


def copy(source: str, target: str) -> FusedLoop:
    body: tuple[Statement, ...] = (Load("a", at(source)), Map("b", UnaryKind.NEG, ("a",)), Store(at(target), "b"))
    return FusedLoop(BATCH, 4, Tile((1,), 1), body)


def scratch(name: str, rows: Dim = BATCH, width: int = 4, dtype: DType = DType.F32) -> Buffer:
    return Buffer(name, Space.SCRATCH, dtype, rows, width)


def function_of(buffers: tuple[Buffer, ...], *nodes: Node) -> KernelFunction:
    return KernelFunction("f", DType.F32, buffers, nodes)


def lifetimes(function: KernelFunction) -> dict[str, tuple[int, int]]:
    """First and last node of each scratch buffer, by looking at every node."""
    found: dict[str, tuple[int, int]] = {}
    for buffer in function.buffers:
        numbers = [number for number, node in enumerate(function.nodes) if buffer.name in set(buffers_of(node))]
        if buffer.space is Space.SCRATCH and numbers:
            found[buffer.name] = min(numbers), max(numbers)
    return found


def extents(plan: Plan, dims: Mapping[Size, int]) -> list[tuple[int, int]]:
    """Start and end of each slot in bytes."""
    ends = list(itertools.accumulate(slot.size(dims) for slot in plan.slots))
    return list(zip([0, *ends[:-1]], ends, strict=True)) if ends else []


def assert_sound(function: KernelFunction) -> None:
    plan, lives = plan_scratch(function), lifetimes(function)
    assert plan.slot_of.keys() == lives.keys()
    for dims in (DIMS, FAR, {BATCH: 0, TOKENS: 0, Tokens(1): 0, Name("time"): 0}):
        slots = extents(plan, dims)
        assert all(start % ALIGNMENT == 0 for start, _ in slots)
        assert plan.size(dims) == (slots[-1][1] if slots else 0)
        assert plan.size(dims) == arena_bytes(tuple(ProgramSlot(slot.rows, slot.row_bytes) for slot in plan.slots), dims)
        for name in lives:
            buffer = function.buffer(name)
            rows = value_of(buffer.rows, dims)
            start, end = slots[plan.slot_of[name]]
            assert end - start >= rows * buffer.width * ELEMENT_BYTES[buffer.dtype]
    for left, right in itertools.combinations(lives, 2):
        if plan.slot_of[left] == plan.slot_of[right]:
            (first, last), (other_first, other_last) = lives[left], lives[right]
            assert last < other_first or other_last < first, f"{left} and {right} share a slot and live together"
            assert function.buffer(left).rows == function.buffer(right).rows


# Drawn functions

NAMES = "abcdefgh"


@st.composite
def drawn_functions(draw: st.DrawFn) -> KernelFunction:
    rows = st.sampled_from([BATCH, TOKENS, BATCH * Name("time"), 1, 5])
    buffers = tuple(scratch(name, draw(rows), draw(st.integers(1, 40)), draw(st.sampled_from([DType.F32, DType.F64]))) for name in NAMES)
    name = st.sampled_from(NAMES)
    nodes: list[Node] = []
    for _ in range(draw(st.integers(0, 10))):
        match draw(st.integers(0, 3)):
            case 0:
                nodes.append(copy(draw(name), draw(name)))
            case 1:
                nodes.append(Outer(BATCH, 2, 4, at(draw(name)), at(draw(name)), at(draw(name))))
            case 2:
                nodes.append(Scatter(BATCH, 4, draw(name), at(draw(name)), draw(name), 3))
            case _:
                state = CarryBuffers(4, draw(name), draw(name), draw(st.none() | name), draw(st.none() | name))
                nodes.append(ScanLoop(False, (state,), (copy(draw(name), draw(name)), GatherIds(ROWS, draw(name), None, draw(name)))))
    return function_of(buffers, *nodes)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(drawn_functions())
def test_drawn_functions(function: KernelFunction) -> None:
    assert_sound(function)


SPECS = {
    "lstm": model(3, "LSTM(5)"),
    "bidirectional": model(3, "Bidirectional(LSTM(5, return_sequences = true))", "GRU(7)", "Dense(3, activation = softmax)"),
    "embedding": model("ids", "Embedding(6, 3, mask_zero = true)", "GRU(4, return_sequences = true)", "Dense(2)"),
    "reset_before": model(3, "ResetBefore(4)", cell=RESET_BEFORE),
    "normed": model(3, "Normed(4)", cell=NORMED),
}


@pytest.mark.parametrize("wanted", ["forward", "record", "backward"])
@pytest.mark.parametrize("name", SPECS)
def test_models(name: str, wanted: str) -> None:
    kernels = scheduled(SPECS[name], wanted, dtype="float64")
    assert_sound(kernels.function)
    assert_sound(kernels.prepare)


# By hand


def test_a_chain_needs_two_slots() -> None:
    buffers = tuple(scratch(name) for name in "abcde")
    plan = plan_scratch(function_of(buffers, *(copy(source, target) for source, target in itertools.pairwise("abcde"))))
    assert plan.slots == (Slot(BATCH, 16), Slot(BATCH, 16))
    assert [plan.slot_of[name] for name in "abcde"] in ([0, 1, 0, 1, 0], [1, 0, 1, 0, 1])


def test_a_node_s_operand_and_result_never_share() -> None:
    plan = plan_scratch(function_of((scratch("a"), scratch("b")), copy("a", "b")))
    assert plan.slot_of["a"] != plan.slot_of["b"]


def test_a_slot_grows_to_the_widest_buffer_in_it() -> None:
    buffers = (scratch("a", width=3), scratch("b", width=1), scratch("c", width=9))
    plan = plan_scratch(function_of(buffers, copy("a", "a"), copy("b", "b"), copy("c", "c")))
    assert plan.slots == (Slot(BATCH, 36),)
    assert plan.slot_of == {"a": 0, "b": 0, "c": 0}


def test_buffers_of_different_rows_never_share() -> None:
    buffers = (scratch("a", BATCH), scratch("b", TOKENS), scratch("c", 7))
    plan = plan_scratch(function_of(buffers, copy("a", "a"), copy("b", "b"), copy("c", "c")))
    assert sorted(plan.slot_of.values()) == [0, 1, 2]


def test_a_scan_keeps_everything_that_it_touches_to_its_end() -> None:
    state = CarryBuffers(4, "a", "b", "c", "d")
    loop = ScanLoop(False, (state,), (copy("e", "f"), copy("g", "h")))
    plan = plan_scratch(function_of(tuple(scratch(name) for name in NAMES), loop))
    assert len(set(plan.slot_of.values())) == len(NAMES)


def test_what_no_node_touches_takes_no_memory() -> None:
    assert plan_scratch(function_of((scratch("a"), scratch("b")), copy("a", "a"))).slot_of == {"a": 0}


def test_tape_and_prepared_memory_lie_apart() -> None:
    buffers = (Buffer("a", Space.TAPE, DType.F64, TOKENS, 3), Buffer("b", Space.TAPE, DType.I32, TOKENS, 1), scratch("c"))
    plan = plan_apart(function_of(buffers), Space.TAPE)
    assert plan.slots == (Slot(TOKENS, 24), Slot(TOKENS, 4))
    assert plan.slot_of == {"a": 0, "b": 1}
    assert plan.size({TOKENS: 3}) == 128 + 64 + 2 * SLOT_GAP


SIZES = [(Slot(BATCH, 20), 64), (Slot(TOKENS, 20), 256), (Slot(1, 1), 64), (Slot(16, 4), 64), (Slot(17, 4), 128)]


@pytest.mark.parametrize(("slot", "size"), SIZES)
def test_sizes(slot: Slot, size: int) -> None:
    assert slot.size(DIMS) == size + SLOT_GAP


def test_no_rows_are_as_one() -> None:
    assert Slot(BATCH, 100).size({BATCH: 0}) == Slot(BATCH, 100).size({BATCH: 1}) == 128 + SLOT_GAP


def test_slots_of_a_round_size_begin_at_different_places_of_a_page() -> None:
    plan = Plan((Slot(TOKENS, 4096),) * 64, {})
    starts = {start % 4096 for start, _ in extents(plan, {TOKENS: 10})}
    assert len(starts) == 64


def test_aligned() -> None:
    assert [aligned(size) for size in (0, 1, 63, 64, 65)] == [0, 64, 64, 64, 128]


def test_a_buffer_of_a_step_s_rows_is_an_error() -> None:
    with pytest.raises(InternalError, match="a: a buffer of a step's rows"):
        plan_scratch(function_of((scratch("a", ROWS),), copy("a", "a")))
