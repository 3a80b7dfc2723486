"""How kernel functions are called: which pointers, in which order."""

from __future__ import annotations

import pytest

from rnnspec.contract.dimensions import BATCH, ROWS, STEPS, TOKENS, Name, Steps, Tokens
from rnnspec.contract.native_function import DistinctIndex, Space
from rnnspec.ir.types import DType
from rnnspec.kernel.calling_convention import ARENAS, calling_convention
from rnnspec.kernel.nodes import Access, Buffer, CarryBuffers, FusedLoop, GatherIds, KernelFunction, Load, RowMap, ScanLoop, Store
from rnnspec.kernel.target import Tile
from rnnspec.runtime.native.executable import Variant
from tests.unit.kernel.scheduled import compilation, model, scheduled

LSTM = model(3, "LSTM(5)")
EMBEDDING = model("ids", "Embedding(6, 3, mask_zero = true)", "LSTM(5, return_sequences = true)", "Dropout(0.5)")


TWO_LENGTHS = """
model Case {
    input a: float[time, 3], b: float[later, 3]
    first = a -> LSTM(5, return_sequences = true) -> GRU(4)
    second = b -> GRU(4)
    shown = b -> Dense(2)
    repeated = first -> RepeatVector(7)
    output second, shown, repeated
}
"""


def names(spec: str, wanted: str, part: str = "function") -> tuple[list[str], list[Space]]:
    kernels = scheduled(spec, wanted)
    calling = calling_convention(kernels.function if part == "function" else kernels.prepare)
    return [buffer.name for buffer in calling.buffers], list(calling.arenas)


def test_single_buffers_come_first_then_arenas() -> None:
    """Weights, prepared memory, tape, scratch and gradients are one pointer each, in this order."""
    assert ARENAS == (Space.WEIGHT, Space.PREPARED, Space.TAPE, Space.SCRATCH, Space.GRADIENT)
    assert names(LSTM, "forward") == (
        ["input.x", "output.lstm", "index.offsets", "index.source", "index.rank"],
        [Space.WEIGHT, Space.PREPARED, Space.SCRATCH],
    )


def test_record_has_the_tape_too() -> None:
    single, arenas = names(LSTM, "record")
    assert single == ["input.x", "output.lstm", "index.offsets", "index.source", "index.rank"]
    assert arenas == [Space.WEIGHT, Space.PREPARED, Space.TAPE, Space.SCRATCH]


def test_backward_takes_the_cotangent_and_gives_the_input_s_gradient() -> None:
    single, arenas = names(LSTM, "backward")
    assert single == ["cotangent.lstm", "gradient.x", "index.offsets", "index.order", "index.shown_fill"]
    assert arenas == [Space.WEIGHT, Space.PREPARED, Space.TAPE, Space.SCRATCH, Space.GRADIENT]


def test_prepare_takes_weights_and_prepared_memory() -> None:
    assert names(LSTM, "forward", "prepare") == ([], [Space.WEIGHT, Space.PREPARED])


def test_numbers_go_by_name_those_that_are_needed() -> None:
    """Rows of padded sequences by their lengths, tokens and steps by their index; no number that nothing asks for."""
    kernels = scheduled(LSTM, "forward")
    assert set(calling_convention(kernels.function).dims) == {BATCH * Name("time"), BATCH, TOKENS, STEPS}
    assert calling_convention(kernels.prepare).dims == ()
    dims = calling_convention(scheduled(TWO_LENGTHS, "forward").function).dims
    assert len(set(dims)) == len(dims)
    assert set(dims) == {
        BATCH, BATCH * Name("time"), TOKENS, STEPS, BATCH * Name("later"), Tokens(1), Steps(1), BATCH * 7, Tokens(2), Steps(2),
    }  # fmt: skip


def test_index_arrays_belong_to_their_index() -> None:
    """The first index's have no number in their names."""
    function = scheduled(TWO_LENGTHS, "forward").function
    found = {buffer.name: buffer.array.index for buffer in function.buffers if buffer.array is not None}
    assert {found[name] for name in ("index.source", "index.offsets", "index.rank")} == {0}
    assert {found[name] for name in ("index.source_1", "index.offsets_1", "index.rank_1", "index.shown_fill_1")} == {1}
    assert {found[name] for name in ("index.order_2", "index.offsets_2", "index.shown_fill_2")} == {2}
    loops = [node for node in function.nodes if isinstance(node, ScanLoop)]
    assert {(loop.offsets, loop.steps) for loop in loops} == {
        ("index.offsets", STEPS),
        ("index.offsets_1", Steps(1)),
        ("index.offsets_2", Steps(2)),
    }


def test_the_order_of_single_buffers_is_the_function_s() -> None:
    for spec in (LSTM, EMBEDDING, TWO_LENGTHS):
        for wanted in ("forward", "record", "backward"):
            function = scheduled(spec, wanted).function
            order = [buffer.name for buffer in function.buffers]
            single = [order.index(buffer.name) for buffer in calling_convention(function).buffers]
            assert single == sorted(single)


def function_of(*buffers: Buffer, nodes: tuple[FusedLoop | ScanLoop | GatherIds, ...]) -> KernelFunction:
    return KernelFunction("f", DType.F32, buffers, nodes)


def copy(source: str, target: str) -> FusedLoop:
    body = (Load("a", Access(source, RowMap.ROW)), Store(Access(target, RowMap.ROW), "a"))
    return FusedLoop(BATCH, 4, Tile((1,), 1), body)


def test_what_isn_t_touched_isn_t_passed_but_for_cotangents() -> None:
    """The caller has a cotangent for each output, whether the gradient depends on it or not."""
    function = function_of(
        Buffer("unread", Space.INPUT, DType.F32, BATCH, 4),
        Buffer("read", Space.INPUT, DType.F32, BATCH, 4),
        Buffer("dy", Space.COTANGENT, DType.F32, BATCH, 4),
        Buffer("out", Space.OUTPUT, DType.F32, BATCH, 4),
        nodes=(copy("read", "out"),),
    )
    calling = calling_convention(function)
    assert [buffer.name for buffer in calling.buffers] == ["read", "dy", "out"]
    assert (calling.arenas, calling.dims) == ((), (BATCH,))


def test_buffers_of_index_arrays_inside_a_scan_count_as_touched() -> None:
    loop = ScanLoop(False, (CarryBuffers(4, "s", "s", None, "out"),), (GatherIds(ROWS, "ids", "via", "out"),))
    function = function_of(
        Buffer("ids", Space.INPUT, DType.I32, BATCH, 1),
        Buffer("via", Space.INDEX, DType.I32, BATCH, 1),
        Buffer("index.offsets", Space.INDEX, DType.I32, STEPS, 1),
        Buffer("s", Space.SCRATCH, DType.F32, BATCH, 4),
        Buffer("out", Space.OUTPUT, DType.F32, BATCH, 4),
        nodes=(loop,),
    )
    calling = calling_convention(function)
    assert [buffer.name for buffer in calling.buffers] == ["ids", "via", "index.offsets", "out"]
    assert (calling.arenas, calling.dims) == ((Space.SCRATCH,), (BATCH, STEPS))
    assert calling.scratch.slot_of == {"s": 0}


@pytest.mark.parametrize("training", [False, True])
def test_native_arguments_are_the_convention_s(training: bool) -> None:
    """Outputs go by their results' names, index arrays by theirs and the number of the index."""
    native = compilation(EMBEDDING).native(Variant("record", training))
    assert [(argument.space, argument.name) for argument in native.arguments] == [
        (Space.INPUT, "x"),
        *([(Space.KEY, "")] if training else []),
        (Space.INDEX, "source"),
        (Space.OUTPUT, "dropout"),
        (Space.INDEX, "source"),
        (Space.INDEX, "position"),
        (Space.INDEX, "offsets"),
        (Space.INDEX, "shown_hold"),
        (Space.WEIGHT, ""),
        (Space.PREPARED, ""),
        (Space.TAPE, ""),
        (Space.SCRATCH, ""),
    ]
    assert [argument.space for argument in native.prepare_arguments] == [Space.WEIGHT, Space.PREPARED]
    assert native.distinct == (DistinctIndex(1, "x", 0, 6),)
    assert [argument.index for argument in native.arguments if argument.space is Space.INDEX] == [1, 0, 1, 0, 0]
    two = compilation(TWO_LENGTHS).native(Variant("record", training))
    arrays = {(argument.name, argument.index) for argument in two.arguments if argument.space is Space.INDEX}
    assert {("source", 0), ("source", 1), ("offsets", 0), ("offsets", 1), ("offsets", 2), ("shown_fill", 1), ("shown_fill", 2)} <= arrays
    shapes = {argument.name: (argument.rows, argument.width, argument.time) for argument in two.arguments if argument.space is Space.OUTPUT}
    assert shapes == {"second": (BATCH, 4, None), "shown": (BATCH * Name("later"), 2, Name("later")), "repeated": (BATCH * 7, 4, 7)}
