"""How kernel functions are called: which pointers, in which order."""

from __future__ import annotations

import pytest

from rnnspec.ir.types import DType
from rnnspec.kernel.convention import ARENAS, DIMS, convention
from rnnspec.kernel.nodes import Access, Buffer, GatherIds, KernelFunction, Load, RowMap, ScanLoop, Space, Stage, State, Store
from rnnspec.kernel.target import Tile
from rnnspec.runtime.native import Wanted
from rnnspec.runtime.program import Kind
from tests.unit.kernel.scheduled import compilation, model, scheduled

LSTM = model(3, "LSTM(5)")
EMBEDDING = model("ids", "Embedding(6, 3, mask_zero = true)", "LSTM(5, return_sequences = true)", "Dropout(0.5)")


def names(spec: str, wanted: str, part: str = "function") -> tuple[list[str], bool, list[Space]]:
    kernels = scheduled(spec, wanted)
    calling = convention(kernels.function if part == "function" else kernels.prepare)
    return [buffer.name for buffer in calling.buffers], calling.scans, list(calling.arenas)


def test_single_buffers_come_first_then_arenas() -> None:
    """Weights, prepared memory, tape, scratch and gradients are one pointer each, in this order."""
    assert ARENAS == (Space.WEIGHT, Space.PREPARED, Space.TAPE, Space.SCRATCH, Space.GRADIENT)
    assert DIMS == ("batch", "time", "tokens", "steps")
    assert names(LSTM, "forward") == (
        ["input.x", "output.lstm", "index.source", "index.rank"],
        True,
        [Space.WEIGHT, Space.PREPARED, Space.SCRATCH],
    )


def test_record_has_the_tape_too() -> None:
    single, scans, arenas = names(LSTM, "record")
    assert (single, scans) == (["input.x", "output.lstm", "index.source", "index.rank"], True)
    assert arenas == [Space.WEIGHT, Space.PREPARED, Space.TAPE, Space.SCRATCH]


def test_backward_takes_the_cotangent_and_gives_the_input_s_gradient() -> None:
    single, scans, arenas = names(LSTM, "backward")
    assert single == ["cotangent.lstm", "gradient.x", "index.order", "index.shown_fill"]
    assert scans
    assert arenas == [Space.WEIGHT, Space.PREPARED, Space.TAPE, Space.SCRATCH, Space.GRADIENT]


def test_prepare_takes_weights_and_prepared_memory() -> None:
    assert names(LSTM, "forward", "prepare") == ([], False, [Space.WEIGHT, Space.PREPARED])


def test_the_order_of_single_buffers_is_the_function_s() -> None:
    for spec in (LSTM, EMBEDDING):
        for wanted in ("forward", "record", "backward"):
            function = scheduled(spec, wanted).function
            order = [buffer.name for buffer in function.buffers]
            single = [order.index(buffer.name) for buffer in convention(function).buffers]
            assert single == sorted(single)


def function_of(*buffers: Buffer, nodes: tuple[Stage | ScanLoop | GatherIds, ...]) -> KernelFunction:
    return KernelFunction("f", DType.F32, buffers, nodes)


def copy(source: str, target: str) -> Stage:
    body = (Load("a", Access(source, RowMap.ROW)), Store(Access(target, RowMap.ROW), "a"))
    return Stage("batch", 4, Tile((1,), 1), body)


def test_what_isn_t_touched_isn_t_passed_but_for_cotangents() -> None:
    """The caller has a cotangent for each output, whether the gradient depends on it or not."""
    function = function_of(
        Buffer("unread", Space.INPUT, DType.F32, "batch", 4),
        Buffer("read", Space.INPUT, DType.F32, "batch", 4),
        Buffer("dy", Space.COTANGENT, DType.F32, "batch", 4),
        Buffer("out", Space.OUTPUT, DType.F32, "batch", 4),
        nodes=(copy("read", "out"),),
    )
    calling = convention(function)
    assert [buffer.name for buffer in calling.buffers] == ["read", "dy", "out"]
    assert (calling.scans, calling.arenas) == (False, ())


def test_buffers_of_index_arrays_inside_a_scan_count_as_touched() -> None:
    loop = ScanLoop(False, (State(4, "s", "s", None, "out"),), (GatherIds("rows", "ids", "via", "out"),))
    function = function_of(
        Buffer("ids", Space.INPUT, DType.I32, "batch", 1),
        Buffer("via", Space.INDEX, DType.I32, "batch", 1),
        Buffer("s", Space.SCRATCH, DType.F32, "batch", 4),
        Buffer("out", Space.OUTPUT, DType.F32, "batch", 4),
        nodes=(loop,),
    )
    calling = convention(function)
    assert [buffer.name for buffer in calling.buffers] == ["ids", "via", "out"]
    assert (calling.scans, calling.arenas) == (True, (Space.SCRATCH,))
    assert calling.scratch.slot_of == {"s": 0}


@pytest.mark.parametrize("training", [False, True])
def test_native_arguments_are_the_convention_s(training: bool) -> None:
    """`offsets` stands behind the single buffers; outputs go by their results' names."""
    native = compilation(EMBEDDING).native(Wanted("record", training))
    assert [(argument.kind, argument.name) for argument in native.arguments] == [
        (Kind.INPUT, "x"),
        *([(Kind.KEY, "")] if training else []),
        (Kind.OUTPUT, "dropout"),
        (Kind.INDEX, "source"),
        (Kind.INDEX, "shown_hold"),
        (Kind.INDEX, "offsets"),
        (Kind.WEIGHTS, ""),
        (Kind.PREPARED, ""),
        (Kind.TAPE, ""),
        (Kind.SCRATCH, ""),
    ]
    assert [argument.kind for argument in native.prepare_arguments] == [Kind.WEIGHTS, Kind.PREPARED]
