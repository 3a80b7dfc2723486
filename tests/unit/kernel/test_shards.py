"""How loop nests are divided among threads, and where threads wait."""

from __future__ import annotations

from dataclasses import replace

from rnnspec.contract.dimensions import BATCH, ROWS, STEPS, TOKENS, Dim, Name, value_of
from rnnspec.contract.native_function import ParallelCost, operations_saved
from rnnspec.ir.types import DType
from rnnspec.kernel.calling_convention import calling_convention
from rnnspec.kernel.nodes import Access, FusedLoop, KernelFunction, Load, Outer, RowMap, ScanLoop, Store
from rnnspec.kernel.parallel_cost import Parallelism, parallel_cost
from rnnspec.kernel.parallel_rows import Pending, is_divided, memory_of, touches
from rnnspec.kernel.parallel_units import WAIT_COST, unit_shares
from rnnspec.kernel.target import AVX2, Tile
from tests.unit.kernel.scheduled import NORMED, RESET_BEFORE, model, scheduled


def waits(function: KernelFunction) -> list[bool]:
    pending = Pending(memory_of(function, calling_convention(function)))
    return [pending.must_wait(touches(node)) for node in function.nodes]


def copy(source: Access, target: Access, rows: Dim = TOKENS) -> FusedLoop:
    return FusedLoop(rows, 4, Tile((1,), 1), (Load("x", source), Store(target, "x")))


ROW, FIRST = RowMap.ROW, RowMap.FIRST


def must_wait(*nodes: FusedLoop) -> list[bool]:
    pending = Pending({"a": 0, "b": 1, "c": 2, "b again": 1})
    return [pending.must_wait(touches(node)) for node in nodes]


def test_the_same_rows_of_what_was_written_are_read_without_waiting() -> None:
    assert must_wait(copy(Access("a", ROW), Access("b", ROW)), copy(Access("b", ROW), Access("c", ROW))) == [False, False]


def test_other_rows_are_waited_for() -> None:
    first = copy(Access("a", ROW), Access("b", ROW))
    for access in (Access("b", ROW, via="a"), Access("b", ROW, row=1), Access("b", FIRST)):
        assert must_wait(first, copy(access, Access("c", ROW))) == [False, True]
    assert must_wait(first, copy(Access("b", ROW), Access("c", ROW), rows=BATCH)) == [False, True]


def test_a_buffer_in_the_same_memory_is_waited_for() -> None:
    """Rows of other widths begin elsewhere."""
    assert must_wait(copy(Access("a", ROW), Access("b", ROW)), copy(Access("a", ROW), Access("b again", ROW))) == [False, True]
    assert must_wait(copy(Access("b", ROW), Access("a", ROW)), copy(Access("c", ROW), Access("b again", ROW))) == [False, True]


def test_reading_together_needs_no_waiting() -> None:
    assert must_wait(copy(Access("a", FIRST), Access("b", ROW)), copy(Access("a", ROW), Access("c", ROW))) == [False, False]


def test_what_was_waited_for_once_is_not_waited_for_again() -> None:
    looked_up = copy(Access("b", ROW, via="a"), Access("c", ROW))
    assert must_wait(copy(Access("a", ROW), Access("b", ROW)), looked_up, replace(looked_up, rows=BATCH)) == [False, True, True]
    assert must_wait(copy(Access("a", ROW), Access("b", ROW)), looked_up, copy(Access("b", FIRST), Access("a", ROW))) == [
        False,
        True,
        False,
    ]


def test_gradients_of_different_weights_are_made_without_waiting_between_them() -> None:
    function = scheduled(model(3, "LSTM(8)"), "backward").function
    outer = [wait for node, wait in zip(function.nodes, waits(function), strict=True) if isinstance(node, Outer)]
    assert len(outer) == 2
    assert sum(outer) <= 1


def test_scans_of_cells_are_divided() -> None:
    for spec in (model(3, "GRU(8)"), model(3, "Normed(5)", cell=NORMED), model(3, "ResetBefore(5)", cell=RESET_BEFORE)):
        for wanted in ("forward", "record", "backward"):
            scans = [node for node in scheduled(spec, wanted).function.nodes if isinstance(node, ScanLoop)]
            assert scans and all(is_divided(scan) for scan in scans)


def test_a_scan_whose_step_writes_what_other_rows_read_is_not_divided() -> None:
    (scan,) = (node for node in scheduled(model(3, "GRU(8)"), "forward").function.nodes if isinstance(node, ScanLoop))
    state = scan.states[0].following
    for body in (
        copy(Access(state, FIRST), Access("other", ROW), rows=ROWS),
        copy(Access("other", ROW), Access("other", ROW), rows=3),
    ):
        assert not is_divided(replace(scan, body=(*scan.body, body)))
    assert is_divided(replace(scan, body=(*scan.body, copy(Access(state, ROW), Access("other", ROW), rows=ROWS))))


def test_work_is_counted_by_the_parts_that_it_falls_into() -> None:
    work = parallel_cost(scheduled(model(3, "LSTM(8)"), "forward").function, AVX2.lanes(DType.F32))
    sizes = {BATCH: 2, TOKENS: 10, STEPS: 5, Name("time"): 5}
    assert set(work) == {Parallelism(TOKENS), Parallelism(BATCH)}
    assert value_of(work[Parallelism(TOKENS)], sizes) >= 10 * 2 * 3 * 32
    assert value_of(work[Parallelism(BATCH)], sizes) >= 10 * 2 * 8 * 32


def test_work_that_units_can_share_is_counted_with_the_waiting() -> None:
    function = scheduled(model(3, "LSTM(64)"), "forward").function
    work = parallel_cost(function, AVX2.lanes(DType.F32))
    (parts,) = (parts for parts in work if parts.units > 1)
    assert (parts.rows, parts.units, parts.waiting) == (BATCH, 8, STEPS * WAIT_COST)
    assert value_of(work[parts], {BATCH: 2, TOKENS: 10, STEPS: 5}) >= 10 * 2 * 64 * 256


def test_operations_saved_depend_on_parts_and_threads() -> None:
    work = (ParallelCost(BATCH, TOKENS * 100 + 50), ParallelCost(1, 1000))
    assert operations_saved(work, {BATCH: 1, TOKENS: 10}, 4) == 0
    assert operations_saved(work, {BATCH: 2, TOKENS: 10}, 4) == 525
    assert operations_saved(work, {BATCH: 9, TOKENS: 10}, 4) == 1050 - 350
    assert operations_saved(work, {BATCH: 0, TOKENS: 10}, 4) == 0


def test_operations_that_units_save_are_less_the_waiting() -> None:
    work = (ParallelCost(BATCH, TOKENS * 100, 4, STEPS * 20),)
    assert operations_saved(work, {BATCH: 1, TOKENS: 10, STEPS: 10}, 2) == 500 - 400
    assert operations_saved(work, {BATCH: 1, TOKENS: 10, STEPS: 10}, 3) == 0
    assert operations_saved(work, {BATCH: 2, TOKENS: 10, STEPS: 10}, 2) == 500


LANES = AVX2.lanes(DType.F32)


def shares_of(spec: str, wanted: str = "forward") -> list[tuple[int, bool]]:
    function = scheduled(spec, wanted).function
    (scan,) = (node for node in function.nodes if isinstance(node, ScanLoop))
    return [(share.blocks, share.waits) for share in unit_shares(scan, function, LANES)]


def test_units_of_a_step_are_shared() -> None:
    assert shares_of(model(3, "LSTM(64)")) == [(8, False)]
    assert shares_of(model(3, "LSTM(8)")) == []


def test_threads_wait_where_a_nest_reads_what_another_has_written() -> None:
    blocks, waits = zip(*shares_of(model(3, "ResetBefore(64)", cell=RESET_BEFORE)), strict=True)
    assert min(blocks) > 1
    assert waits == (False, True)


def test_rows_are_shared_where_units_are_reduced() -> None:
    shares = shares_of(model(3, "Normed(64)", cell=NORMED))
    assert [blocks for blocks, _ in shares].count(1) == 2
    assert all(waits for _, waits in shares[1:])


def test_units_are_not_shared_where_one_reads_what_another_writes() -> None:
    function = scheduled(model(3, "LSTM(64)"), "forward").function
    (scan,) = (node for node in function.nodes if isinstance(node, ScanLoop))
    own = state_of(scan, in_place=True)
    for access in (Access(own, ROW, column=8), Access(own, ROW, splat=True)):
        (stage,) = (node for node in scan.body if isinstance(node, FusedLoop))
        other = replace(scan, body=(replace(stage, body=(Load("other", access), *stage.body)),))
        assert not unit_shares(other, function, LANES)
    assert unit_shares(scan, function, LANES)


def state_of(scan: ScanLoop, *, in_place: bool) -> str:
    return next(state.current for state in scan.states if (state.current == state.following) is in_place)


def test_the_cost_of_a_step_is_that_of_its_rows() -> None:
    function = scheduled(model(3, "LSTM(64)"), "forward").function
    (scan,) = (node for node in function.nodes if isinstance(node, ScanLoop))
    (share,) = unit_shares(scan, function, LANES)
    assert 2 * 64 * 256 < share.cost < 2 * 2 * 64 * 256
