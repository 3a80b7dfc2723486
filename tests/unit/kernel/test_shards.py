"""How loop nests are divided among threads, and where threads wait."""

from __future__ import annotations

from dataclasses import replace

from rnnspec.kernel.convention import convention
from rnnspec.kernel.nodes import Access, KernelFunction, Load, Outer, RowMap, ScanLoop, Stage, Store
from rnnspec.kernel.shards import Pending, is_divided, memory_of, touches, work_of
from rnnspec.kernel.target import Tile
from rnnspec.runtime.program import Work, operations_saved
from tests.unit.kernel.scheduled import NORMED, RESET_BEFORE, model, scheduled


def waits(function: KernelFunction) -> list[bool]:
    pending = Pending(memory_of(function, convention(function)))
    return [pending.must_wait(touches(node)) for node in function.nodes]


def copy(source: Access, target: Access, rows: int | str = "tokens") -> Stage:
    return Stage(rows, 4, Tile((1,), 1), (Load("x", source), Store(target, "x")))


ROW, FIRST = RowMap.ROW, RowMap.FIRST


def must_wait(*nodes: Stage) -> list[bool]:
    pending = Pending({"a": 0, "b": 1, "c": 2, "b again": 1})
    return [pending.must_wait(touches(node)) for node in nodes]


def test_the_same_rows_of_what_was_written_are_read_without_waiting() -> None:
    assert must_wait(copy(Access("a", ROW), Access("b", ROW)), copy(Access("b", ROW), Access("c", ROW))) == [False, False]


def test_other_rows_are_waited_for() -> None:
    first = copy(Access("a", ROW), Access("b", ROW))
    for access in (Access("b", ROW, via="a"), Access("b", ROW, row=1), Access("b", FIRST)):
        assert must_wait(first, copy(access, Access("c", ROW))) == [False, True]
    assert must_wait(first, copy(Access("b", ROW), Access("c", ROW), rows="batch")) == [False, True]


def test_a_buffer_in_the_same_memory_is_waited_for() -> None:
    """Rows of other widths begin elsewhere."""
    assert must_wait(copy(Access("a", ROW), Access("b", ROW)), copy(Access("a", ROW), Access("b again", ROW))) == [False, True]
    assert must_wait(copy(Access("b", ROW), Access("a", ROW)), copy(Access("c", ROW), Access("b again", ROW))) == [False, True]


def test_reading_together_needs_no_waiting() -> None:
    assert must_wait(copy(Access("a", FIRST), Access("b", ROW)), copy(Access("a", ROW), Access("c", ROW))) == [False, False]


def test_what_was_waited_for_once_is_not_waited_for_again() -> None:
    looked_up = copy(Access("b", ROW, via="a"), Access("c", ROW))
    assert must_wait(copy(Access("a", ROW), Access("b", ROW)), looked_up, replace(looked_up, rows="batch")) == [False, True, True]
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
        copy(Access(state, FIRST), Access("other", ROW), rows="rows"),
        copy(Access("other", ROW), Access("other", ROW), rows=3),
    ):
        assert not is_divided(replace(scan, body=(*scan.body, body)))
    assert is_divided(replace(scan, body=(*scan.body, copy(Access(state, ROW), Access("other", ROW), rows="rows"))))


def test_work_is_counted_by_the_parts_that_it_falls_into() -> None:
    work = work_of(scheduled(model(3, "LSTM(8)"), "forward").function)
    sizes = {"batch": 2, "tokens": 10, "steps": 5, "batch*time": 10}
    assert set(work) == {"tokens", "batch"}
    assert work["tokens"].at(sizes) >= 10 * 2 * 3 * 32
    assert work["batch"].at(sizes) >= 10 * 2 * 8 * 32


def test_operations_saved_depend_on_parts_and_threads() -> None:
    work = (Work("batch", (("tokens", 100), ("", 50))), Work(1, (("", 1000),)))
    assert operations_saved(work, {"batch": 1, "tokens": 10}, 4) == 0
    assert operations_saved(work, {"batch": 2, "tokens": 10}, 4) == 525
    assert operations_saved(work, {"batch": 9, "tokens": 10}, 4) == 750 + 37
    assert operations_saved(work, {"batch": 0, "tokens": 10}, 4) == 0
