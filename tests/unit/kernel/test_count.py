"""Counted work: by hand, against the tensor IR's products, as text, and that padding isn't work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from rnnspec.contract.dimensions import BATCH, ROWS, STEPS, TOKENS, Dim, Name, Tokens, plus, substituted, value_of
from rnnspec.contract.native_function import Space
from rnnspec.ir.ops import Function, Matmul
from rnnspec.ir.traverse import walk
from rnnspec.ir.types import DType, TensorType
from rnnspec.kernel.count import NOTHING, Count, count, print_counts
from rnnspec.kernel.loop_nests import Nest, nests_of
from rnnspec.kernel.nodes import Access, Buffer, Draw, FusedLoop, KernelFunction, Load, Map, Position, RowMap, Scatter, Statement, Store
from rnnspec.kernel.target import Tile
from rnnspec.runtime.native.executable import Variant
from tests.unit.kernel.scheduled import NORMED, RESET_BEFORE, compilation, model, scheduled

GOLDEN = Path(__file__).parents[2] / "golden" / "counts"

BIDIRECTIONAL = model(3, "Bidirectional(SimpleRNN(4, return_sequences = true))", "SimpleRNN(2)")
EMBEDDED = model("ids", "Embedding(6, 3, mask_zero = true)", "SimpleRNN(4, return_sequences = true)")

GOLDENS: Mapping[str, tuple[str, str]] = {
    "lstm": (model(3, "LSTM(4)"), "forward"),
    "lstm_backward": (model(3, "LSTM(4)"), "backward"),
    "normed": (model(3, "Normed(4)", cell=NORMED), "forward"),
    "softmax": (model(3, "SimpleRNN(4)", "Dense(3, activation = softmax)"), "forward"),
    "embedding_backward": (EMBEDDED, "backward"),
    "permute": ("model Turned { input x: float[5, 3] Permute([2, 1]) Flatten() }", "forward"),
}


def counted(function: KernelFunction) -> list[tuple[Nest, Count]]:
    return [(nest, count(nest, function)) for nest in nests_of(function)]


def total(function: KernelFunction) -> Count:
    return sum((each for _, each in counted(function)), NOTHING)


@pytest.mark.parametrize("name", GOLDENS)
def test_text(name: str, regenerate: bool) -> None:
    kernels = scheduled(*GOLDENS[name])
    printed = "".join(f"@{function.name}\n{print_counts(counted(function))}" for function in kernels.module.functions)
    path = GOLDEN / f"{name}.counts"
    if regenerate:
        path.write_text(printed, encoding="utf-8")
    assert printed == path.read_text(encoding="utf-8")


def test_every_golden_has_a_case() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(GOLDENS)


def test_an_lstm_of_128_units_over_80_features_by_hand() -> None:
    """A token: projection 2 * 80 * 512, recurrence 2 * 128 * 512; three sigmoids, two tanhs and four operations a unit."""
    work = total(scheduled(model(80, "LSTM(128, return_sequences = true)")).function)
    assert work.matmul == TOKENS * (2 * (80 + 128) * 512)
    assert work.elementwise == TOKENS * (4 * 128)
    assert work.elementary == {"sigmoid": TOKENS * (3 * 128), "tanh": TOKENS * (2 * 128)}


def test_a_steps_bytes_by_hand() -> None:
    """Each step reads its panels once; each row its projection, h and c; and writes h, c and the output."""
    function = scheduled(model(80, "LSTM(128, return_sequences = true)")).function
    (step,) = (each for nest, each in counted(function) if nest.scan is not None)
    state = TOKENS * (128 * 4)
    assert sorted(map(str, step.read.values())) == sorted(map(str, (state, state, state * 4, STEPS * (128 * 512 * 4))))
    assert list(step.written.values()) == [state] * 3


def test_training_by_hand() -> None:
    """A step of training repeats the products of forward, and has two for each weight but dx, which no one wants here."""
    spec = compilation(model(80, "LSTM(128)"))
    recorded, backward = (spec.kernels(Variant(name, True, input_gradients=False)).function for name in ("record", "backward"))
    assert total(recorded).matmul == TOKENS * (2 * (80 + 128) * 512)
    assert total(backward).matmul == TOKENS * (2 * (80 + 128 + 128) * 512)


SPECS = {
    "simple_rnn": model(3, "SimpleRNN(4)"),
    "lstm": model(3, "LSTM(20, return_sequences = true)", "Dense(5)"),
    "gru": model(3, "GRU(20, return_sequences = true)"),
    "reset_before": model(3, "ResetBefore(4)", cell=RESET_BEFORE),
    "bidirectional": BIDIRECTIONAL,
    "embedding": EMBEDDED,
    "convolution": model(3, "Conv1D(4, 1)"),
}


@pytest.mark.parametrize("wanted", ["forward", "record", "backward"])
@pytest.mark.parametrize("name", SPECS)
def test_products_are_those_of_the_tensor_ir(name: str, wanted: str) -> None:
    """What the scheduler makes of them is the same number of operations; those on weights alone are the prepare function's."""
    spec = compilation(SPECS[name])
    kernels = spec.kernels(Variant(wanted, False))
    work = total(kernels.prepare) + total(kernels.function)
    assert work.matmul == plus(*products(spec.function(Variant(wanted, False))))


def products(function: Function) -> Iterator[Dim]:
    """Operations of each product, by hand from the shapes; the rows of all steps are the tokens."""
    for operation in walk(function.operations):
        if isinstance(operation, Matmul):
            left, right = operation.left.type, operation.right.type
            assert isinstance(left, TensorType)
            assert isinstance(right, TensorType)
            columns = right.shape[0 if operation.transpose_right else 1]
            amount: Dim = 2
            for extent in (*left.shape, columns):
                amount = amount * substituted(extent, {ROWS: TOKENS})
            yield amount


def test_padding_is_no_work() -> None:
    """The same tokens, padded to ten times the length, are the same operations; only what is given out padded grows."""
    spec = compilation(model("ids", "Embedding(50, 8, mask_zero = true)", "Bidirectional(LSTM(4))", "Dense(1)"))
    for wanted in (Variant("forward", False), Variant("record", True), Variant("backward", True, input_gradients=False)):
        function = spec.kernels(wanted).function
        work = total(function)
        short, long = ({BATCH: 4, TOKENS: 80, STEPS: 30, Tokens(1): 33, Name("time"): time} for time in (40, 400))
        assert value_of(work.matmul, short) == value_of(work.matmul, long) > 0
        assert value_of(work.elementwise, short) == value_of(work.elementwise, long)
        assert {name: value_of(amount, short) for name, amount in work.elementary.items()} == {
            name: value_of(amount, long) for name, amount in work.elementary.items()
        }


def stage(rows: Dim, *body: Statement) -> tuple[Nest, KernelFunction]:
    buffers = tuple(Buffer(name, Space.INPUT, DType.F32, TOKENS, 40) for name in ("a", "b", "table", "filler"))
    node = FusedLoop(rows, 8, Tile((1,), 1), body)
    return Nest("0", node), KernelFunction("f", DType.F32, buffers, (node,))


def test_columns_that_loads_share_are_read_once() -> None:
    row = RowMap.ROW
    loads = (Load("x", Access("a", row)), Load("y", Access("a", row, 4)), Load("z", Access("a", row, 20)))
    assert count(*stage(TOKENS, *loads)).read == {"a": TOKENS * ((12 + 8) * 4)}


def test_a_row_that_all_rows_share_is_read_once() -> None:
    assert count(*stage(TOKENS, Load("x", Access("a", RowMap.FIRST)))).read == {"a": 8 * 4}


def test_one_element_for_all_units_is_one_element() -> None:
    assert count(*stage(TOKENS, Load("x", Access("a", RowMap.ROW, 3, splat=True)))).read == {"a": TOKENS * 4}


def test_rows_that_are_looked_up_cost_their_indices_too() -> None:
    load = Load("x", Access("table", RowMap.ROW, via="b", fill="filler"))
    assert count(*stage(TOKENS, load, Store(Access("a", RowMap.ROW), "x"))) == Count(
        0,
        0,
        {},
        {"table": TOKENS * 32, "filler": 32, "b": TOKENS * 4},
        {"a": TOKENS * 32},
    )


def test_random_numbers_are_counted_apart() -> None:
    assert count(*stage(5, Draw("d", "b", 0, 8, 0, splat=False))).elementary == {"draw": 40}
    assert count(*stage(5, Draw("d", "b", 0, 8, 0, splat=True))).elementary == {"draw": 5}


def test_positions_are_free() -> None:
    assert count(*stage(5, Position("p", 3))) == Count(0, 0, {}, {}, {})


def test_a_select_is_an_operation() -> None:
    assert count(*stage(TOKENS, Map("s", None, ("a", "b", "c")))).elementwise == TOKENS * 8


def test_a_scatter_reads_what_it_adds_to() -> None:
    node = Scatter(TOKENS, 8, "b", Access("a", RowMap.ROW), "table", 50)
    _, function = stage(TOKENS)
    rows = TOKENS * 32
    assert count(Nest("0", node), function) == Count(
        0,
        TOKENS * 8,
        {},
        {"b": TOKENS * 4, "a": rows, "table": rows},
        {"table": 50 * 32 + rows},
    )
