"""Which loop nests take turns, a few steps each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from rnnspec.contract.native_function import Space
from rnnspec.kernel.calling_convention import calling_convention
from rnnspec.kernel.cpu.time_blocks import time_blocks
from rnnspec.kernel.memory import buffers_of
from rnnspec.kernel.nodes import Access, FusedLoop, KernelFunction, Load, Node, RowMap, ScanLoop, Statement, Store, TimeBlock
from rnnspec.kernel.target import AVX512
from tests.unit.kernel.scheduled import model, scheduled, stores


def blocks_of(spec: str, wanted: str = "forward") -> list[str]:
    """For each block the kinds of its nests."""
    function = scheduled(spec, wanted, AVX512).function
    return [" ".join(type(node).__name__ for node in function.nodes[block.first : block.last]) for block in function.blocks]


def test_a_scan_takes_turns_with_its_projection() -> None:
    assert blocks_of(model(3, "LSTM(8)")) == ["FusedLoop FusedLoop ScanLoop"]


def test_layers_of_a_stack_take_turns() -> None:
    layers = ("LSTM(8, return_sequences = true)", "Dense(5)", "GRU(4, return_sequences = true)", "SimpleRNN(3)")
    assert blocks_of(model(3, *layers)) == ["FusedLoop FusedLoop ScanLoop FusedLoop FusedLoop ScanLoop FusedLoop ScanLoop"]


def test_directions_do_not_take_turns_with_each_other() -> None:
    assert blocks_of(model(3, "Bidirectional(LSTM(8))")) == ["FusedLoop FusedLoop ScanLoop"], "the second scan comes alone"


def test_the_gradient_of_an_input_takes_turns_with_the_scan_that_it_goes_into() -> None:
    function = scheduled(model(3, "LSTM(8, return_sequences = true)", "LSTM(4)"), "backward", AVX512).function
    (block,) = function.blocks
    members = function.nodes[block.first : block.last]
    assert block.reverse
    assert [type(node).__name__ for node in members] == ["FusedLoop", "ScanLoop"]


def test_sums_over_all_tokens_take_no_turns() -> None:
    spec = model(3, "LSTM(8, return_sequences = true)", "LSTM(4)")
    for wanted in ("record", "backward"):
        function = scheduled(spec, wanted, AVX512).function
        inside = [node for block in function.blocks for node in function.nodes[block.first : block.last]]
        assert inside and all(
            isinstance(node, FusedLoop | ScanLoop) or type(node).__name__ in ("RowReduce", "GatherIds") for node in inside
        )


def test_what_looks_at_other_steps_waits_for_all() -> None:
    """A convolution reads the states of steps that come later."""
    layers = ("GRU(4, return_sequences = true)", 'Conv1D(4, 3, padding = "same")', "GRU(5)")
    assert blocks_of(model(3, *layers)) == ["FusedLoop FusedLoop ScanLoop", "FusedLoop FusedLoop FusedLoop ScanLoop"]


def test_a_state_at_the_end_is_no_token_s() -> None:
    layers = ("first = x -> GRU(4, return_sequences = true)", "last = x -> GRU(4)")
    for wanted in ("forward", "record", "backward"):
        function = scheduled(model(3, *layers, "output first, last"), wanted, AVX512).function
        for block in function.blocks:
            members = function.nodes[block.first : block.last]
            finals = {state.final for node in members if isinstance(node, ScanLoop) for state in node.states}
            assert not any(touches_whole(node, finals) for node in members if not isinstance(node, ScanLoop))


def touches_whole(node: Node, finals: set[str | None]) -> bool:
    return isinstance(node, FusedLoop) and any(
        isinstance(access := getattr(statement, "access", None), Access) and access.buffer in finals and access.rows is RowMap.ROW
        for statement in node.body
    )


def test_no_turns_where_the_weights_would_be_read_from_memory_each_time() -> None:
    assert blocks_of(model(64, "LSTM(128)"))
    assert not blocks_of(model(64, "LSTM(512)"))


def test_a_block_is_what_half_of_the_second_level_cache_holds_of_what_is_passed_on() -> None:
    (block,) = scheduled(model(80, "LSTM(128, return_sequences = true)"), "forward", AVX512).function.blocks
    assert block.tokens == AVX512.second_level_bytes // 2 // (4 * (80 + 512))


@pytest.mark.parametrize("wanted", ["forward", "record", "backward"])
def test_buffers_of_a_block_do_not_share_memory(wanted: str) -> None:
    spec = model(3, "LSTM(8, return_sequences = true)", "Dense(5)", "LSTM(4, return_sequences = true)", "Dense(8)")
    function = scheduled(spec, wanted, AVX512).function
    plan = calling_convention(function).scratch
    for block in function.blocks:
        slots = [plan.slot_of[name] for name in scratch_of(function, block)]
        assert len(set(slots)) == len(slots) > 0


def scratch_of(function: KernelFunction, block: TimeBlock) -> Sequence[str]:
    scratch = {buffer.name for buffer in function.buffers if buffer.space is Space.SCRATCH}
    return sorted({name for node in function.nodes[block.first : block.last] for name in buffers_of(node)} & scratch)


def at_first_row(stage: FusedLoop, buffer: str) -> FusedLoop:
    """The stage, its loads and stores of a buffer at row 0 for all rows."""

    def moved(statement: Statement) -> Statement:
        if isinstance(statement, Load | Store) and statement.access.buffer == buffer:
            return replace(statement, access=replace(statement.access, rows=RowMap.FIRST))
        return statement

    return replace(stage, body=tuple(moved(statement) for statement in stage.body))


@pytest.mark.parametrize("who", ["nobody", "the projection", "the step"])
def test_what_is_passed_on_must_be_each_token_s_own(who: str) -> None:
    function = scheduled(model(3, "LSTM(8)"), "forward", AVX512).function
    buffers = {buffer.name: buffer for buffer in function.buffers}
    copy, projection, scan, *rest = function.nodes
    assert isinstance(projection, FusedLoop) and isinstance(scan, ScanLoop) and isinstance(scan.body[0], FusedLoop)
    (passed,) = (store.access.buffer for store in stores(projection))
    if who == "the projection":
        projection = at_first_row(projection, passed)
    if who == "the step":
        scan = replace(scan, body=(at_first_row(scan.body[0], passed),))
    blocks = time_blocks((copy, projection, scan, *rest), buffers, AVX512)
    assert bool(blocks) is (who == "nobody")
