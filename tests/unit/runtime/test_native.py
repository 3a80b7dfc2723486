"""What calls native code: arenas, scratch memory, prepared weights; and real code with tapes, threads and empty calls."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.contract.arena import ALIGNMENT, SLOT_GAP, Slot, arena_bytes
from rnnspec.contract.dimensions import BATCH, STEPS, TOKENS, Dim, Name, Steps, Tokens, at_least_zero, value_of
from rnnspec.contract.executable import Array
from rnnspec.contract.native_function import DistinctIndex, NativeArgument, NativeFunction, Space
from rnnspec.contract.packing import pack, pair
from rnnspec.runtime.model.tape import Tape
from rnnspec.runtime.native.loaded_function import BufferPool, LoadedFunction, PooledBuffer
from rnnspec.runtime.native.memory import address, aligned_bytes, call_sizes, index_array, output_shape, with_distinct

SPEC = """
model Native {
    input x: float[time, 3]
    Masking()
    Bidirectional(LSTM(5, return_sequences = true))
    Dropout(0.4)
    GRU(4)
    Dense(2, activation = softmax)
}
"""

RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(6, 7, 3))
LENGTHS = [7, 3, 0, 5, 1, 7]


@pytest.fixture(autouse=True)
def same_numbers_in_any_order() -> None:
    """What a test draws doesn't depend on which tests ran before it."""
    RANDOM.bit_generator.state = np.random.default_rng(2).bit_generator.state


@pytest.fixture(scope="module", params=["float32", "float64"])
def native(request: pytest.FixtureRequest) -> Any:
    return rnnspec.compile(SPEC, dtype=request.param, seed=1)


def same(first: Any, second: Any) -> bool:
    """Whether two results of `backward` are the same to the bit."""
    return all(
        a[name].tobytes() == b[name].tobytes()
        for a, b in ((first.weights, second.weights), (first.inputs, second.inputs))
        for name in {*a, *b}
    )


# Memory


def test_aligned_bytes() -> None:
    assert aligned_bytes(0).nbytes == 0
    for size in (1, 63, 64, 1000):
        memory = aligned_bytes(size)
        assert memory.nbytes == size
        assert address(memory) % ALIGNMENT == 0


def test_arena_bytes() -> None:
    dims = {BATCH: 3, TOKENS: 0, Name("time"): 2}
    assert arena_bytes((), dims) == 0
    assert arena_bytes((Slot(1, 1),), dims) == 64 + SLOT_GAP
    assert arena_bytes((Slot(BATCH, 24), Slot(BATCH * Name("time"), 24), Slot(2, 64)), dims) == 128 + 192 + 128 + 3 * SLOT_GAP
    assert arena_bytes((Slot(TOKENS, 65),), dims) == 128 + SLOT_GAP, "room for one row at least"


def test_leased_memory_is_nobody_elses_and_used_again_when_the_lease_is_gone() -> None:
    pool = BufferPool(2)
    first, second = pool.lease(100), pool.lease(100)
    assert first.fresh and second.fresh
    assert not np.shares_memory(first.bytes, second.bytes)
    place = first.address
    del first
    third = pool.lease(50)
    assert third.address == place and not third.fresh
    fourth = pool.lease(50)
    assert fourth.fresh
    assert not any(np.shares_memory(fourth.bytes, other.bytes) for other in (second, third))
    del third
    assert len(pool.lease(1000).bytes) == 1000


def test_what_is_too_small_or_one_too_many_is_not_kept() -> None:
    pool = BufferPool(1)

    def fresh(*sizes: int) -> list[bool]:
        """Of leases that are held at the same time."""
        return [lease.fresh for lease in [pool.lease(size) for size in sizes]]

    assert fresh(10) == [True]
    assert fresh(1000) == [True]
    assert fresh(10) == [False]
    assert fresh(1000, 1000, 1000) == [False, True, True]
    assert fresh(1000) == [False]


def test_index_arrays_by_name() -> None:
    index = pack(np.array([[True, False], [True, True]]))

    def array(name: str, number: int = 0, *parameters: int) -> list[int]:
        return index_array(
            [index, pair(index, index, causal=False)], NativeArgument(Space.INDEX, name, index=number, parameters=parameters)
        ).tolist()

    assert array("order") == [1, 0]
    assert array("offsets") == [0, 2, 3]
    assert array("shown_fill") == index.shown(False, False).tolist()
    assert array("shown_hold_flip") == index.shown(True, True).tolist()
    assert array("window", 0, 0, 1, -1, 0, 0, 0, 0) == [-1, -1, 0]
    assert array("window", 0, 0, 1, -1, 0, 1, 0, 0) == [0, 1, 0]
    assert array("window", 0, 0, 1, 0, 2, 0, 0, 1) == [0, 1, 2]
    assert array("pair_queries", 1) == [0, 2, 1, 0, 2]
    assert array("pair_keys", 1, 0, 0) == [0, 0, 1, 2, 2]


def test_indices_of_distinct_ids_take_the_places_that_a_function_left_free() -> None:
    index, unused = pack(np.array([[True, False], [True, True]])), pack(np.ones((2, 1), bool))
    made = (DistinctIndex(1, "x", 0, 9), DistinctIndex(2, "y", 0, 4))
    inputs = {"x": np.array([[5, 8], [0, 5]], np.int32), "y": np.array([[[3], [0]], [[3], [3]]], np.int32)}
    first, second, third = with_distinct([index, unused], made, inputs)
    assert first is index
    assert [second.source.tolist(), third.source.tolist()] == [[0, 5], [3]], "masked steps name nothing"
    assert index_array([first, second, third], NativeArgument(Space.INDEX, "position", index=1)).tolist() == [
        0,
        -1,
        -1,
        -1,
        -1,
        1,
        -1,
        -1,
        -1,
    ]
    assert with_distinct([index, unused], (), inputs) == (index, unused)


def test_the_numbers_of_a_call_by_name() -> None:
    first, second = pack(np.array([[True, False], [True, True]])), pack(np.array([[False] * 3, [True, False, False]]))
    sizes = call_sizes(2, {Name("time"): 2, Name("later"): 3, Name("steps"): 7}, [first, second])
    names = BATCH, TOKENS, STEPS, Tokens(1), Steps(1), Name("steps")
    assert [sizes[name] for name in names] == [2, 3, 2, 1, 1, 7], "a length that a spec calls steps is another number"
    assert set(sizes) == {*names, Name("time"), Name("later")}


@pytest.mark.parametrize(
    ("rows", "time", "shape"),
    [
        (BATCH, None, (3, 4)),
        (5, None, (5, 4)),
        (BATCH * Name("time"), Name("time"), (3, 7, 4)),
        (BATCH * 2, 2, (3, 2, 4)),
        (BATCH * 1, 1, (3, 1, 4)),
        (BATCH * at_least_zero(Name("time") - 9), Name("time") - 9, (3, 0, 4)),
    ],
)
def test_the_shape_of_an_output(rows: Dim, time: Dim | None, shape: tuple[int, ...]) -> None:
    """A row's, that of a fixed number of rows, and of sequences: of one step they have as many rows as the batch, and of none none."""
    sizes = call_sizes(3, {Name("time"): 7}, [])
    assert output_shape(NativeArgument(Space.OUTPUT, "y", rows, 4, time=time), sizes) == shape
    assert np.prod(shape) == value_of(rows, sizes) * 4


def test_a_sequence_of_one_step() -> None:
    model = rnnspec.compile("model M { input x: float[1, 3] LSTM(2, return_sequences = true) Dense(4) }", seed=0)
    assert model.forward(np.ones((5, 1, 3), np.float32)).shape == (5, 1, 4)


class Counting(LoadedFunction):
    """A function whose prepare step notes the first weight instead of running anything."""

    def __init__(self) -> None:
        arguments = (NativeArgument(Space.WEIGHT), NativeArgument(Space.PREPARED))
        super().__init__(NativeFunction(b"", "f", (), "p", arguments, (), (), (), 64, ()), None, BufferPool(1))  # type: ignore[arg-type]
        self.prepared_for: list[float] = []

    def _prepare(self, weights: Array, memory: PooledBuffer) -> None:
        self.prepared_for.append(float(weights[0]))
        memory.bytes[:8] = weights[:1].view(np.uint8)


def test_weights_are_prepared_once_a_version() -> None:
    function = Counting()
    for version, value in ((1, 1.0), (1, 1.0), (2, 2.0), (2, 2.0), (1, 3.0)):
        prepared = function.prepared(np.array([value]), version)
        assert prepared.memory.bytes[:8].view(np.float64)[0] == value
        del prepared
    assert function.prepared_for == [1.0, 2.0, 3.0]


def test_prepared_weights_in_use_are_not_overwritten() -> None:
    """Another version gets memory of its own while a call reads the old one, and the last one's memory when nobody does."""
    function = Counting()
    first = function.prepared(np.array([1.0]), 1)
    second = function.prepared(np.array([2.0]), 2)
    assert not np.shares_memory(first.memory.bytes, second.memory.bytes)
    assert first.memory.bytes[:8].view(np.float64)[0] == 1.0
    place = second.memory.address
    del second
    third = function.prepared(np.array([3.0]), 3)
    assert third.memory.address == place
    assert first.memory.bytes[:8].view(np.float64)[0] == 1.0


# Real code


@pytest.mark.parametrize("training", [False, True])
def test_a_tape_is_a_value(native: Any, training: bool) -> None:
    """Used twice it gives the same bits, whatever other calls, tapes and directions come between."""
    y, tape = native.forward(X, lengths=LENGTHS, training=training, record=True)
    before = tape.native.residuals.copy()
    dy = RANDOM.normal(size=y.shape)
    first = native.backward(tape, dy)
    other_y, other = native.forward(X[::-1], training=training, record=True)
    native.backward(other, other_y)
    native.forward(X, lengths=LENGTHS)
    assert same(native.backward(tape, dy), first)
    assert tape.native.residuals.tobytes() == before.tobytes()
    assert not same(native.backward(tape, 2 * dy), first)


def test_threads_share_a_model_and_a_tape(native: Any) -> None:
    y, tape = native.forward(X, lengths=LENGTHS, record=True)
    shared = native.backward(tape, y)
    inputs = [X * (1 + number / 8) for number in range(8)]
    together = threading.Barrier(8, timeout=60)

    def own(x: Array) -> tuple[Array, Any]:
        output, own_tape = native.forward(x, lengths=LENGTHS, record=True)
        return output, native.backward(own_tape, output)

    expected = [own(x) for x in inputs]

    def work(number: int) -> bool:
        together.wait()
        right = True
        for _ in range(10):
            output, gradient = own(inputs[number])
            right &= output.tobytes() == expected[number][0].tobytes() and same(gradient, expected[number][1])
            right &= same(native.backward(tape, y), shared)
        return right

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_threads_that_change_the_weights(native: Any) -> None:
    """Every forward result is that of one whole set of weights; a tape of another set is refused, never used."""
    model = rnnspec.compile(SPEC, dtype=native.signature.dtype, seed=2)
    settings = [model.get_weights(), [value * 0.5 for value in model.get_weights()]]
    outputs = set()
    for values in settings:
        model.set_weights(values)
        outputs.add(model.forward(X).tobytes())
    assert len(outputs) == 2
    done = threading.Event()

    def change() -> None:
        turn = 0
        while not done.is_set():
            model.set_weights(settings[turn % 2])
            turn += 1

    def read() -> bool:
        right = True
        for _ in range(50):
            right &= model.forward(X).tobytes() in outputs
            y, tape = model.forward(X, record=True)
            try:
                model.backward(tape, y)
            except ValueError as error:
                right &= "this tape can't be used" in str(error)
        return right

    with ThreadPoolExecutor(4) as pool:
        changing = pool.submit(change)
        readers = [pool.submit(read) for _ in range(3)]
        assert all(reader.result() for reader in readers)
        done.set()
        changing.result()


@pytest.mark.parametrize("shape", [(0, 5, 3), (0, 0, 3), (4, 0, 3)])
def test_empty_calls(native: Any, shape: tuple[int, int, int]) -> None:
    x = np.zeros(shape)
    y, tape = native.forward(x, record=True)
    assert y.shape == (shape[0], 2)
    np.testing.assert_array_equal(native.forward(x), y)
    np.testing.assert_array_equal(y, native.forward(np.zeros((shape[0], 3, 3))))
    gradients = native.backward(tape, np.ones_like(y))
    assert gradients.inputs["x"].shape == shape
    for name, value in gradients.weights.items():
        assert np.isfinite(value).all(), name
        assert name.startswith("dense") or not value.any(), name


def test_rows_without_a_real_step(native: Any) -> None:
    x = np.where(np.arange(6)[:, None, None] % 2 == 0, np.nan, X)
    mask = np.repeat(np.arange(6)[:, None] % 2 == 1, 7, axis=1)
    y, tape = native.forward(x, mask=mask, record=True)
    assert np.isfinite(y).all()
    assert y[0].tobytes() == y[2].tobytes()
    np.testing.assert_array_equal(y[1::2], native.forward(X)[1::2])
    gradients = native.backward(tape, np.arange(12.0).reshape(6, 2))
    assert not gradients.inputs["x"][::2].any()
    assert all(np.isfinite(value).all() for value in gradients.weights.values())


def test_nan_in_a_real_step_stays_in_its_row(native: Any) -> None:
    x = X.copy()
    x[3, 2, 1] = np.nan
    y = native.forward(x)
    assert np.isnan(y[3]).all()
    kept = np.arange(6) != 3
    assert y[kept].tobytes() == native.forward(X)[kept].tobytes()


def test_infinity_in_a_real_step(native: Any) -> None:
    """Saturates or gives NaN as IEEE says, in its row alone; never an exception."""
    x = X.copy()
    x[3, 2] = [np.inf, -np.inf, np.inf]
    y, tape = native.forward(x, record=True)
    kept = np.arange(6) != 3
    assert y[kept].tobytes() == native.forward(X)[kept].tobytes()
    native.backward(tape, np.ones_like(y))


def test_the_callers_denormals_stay(native: Any) -> None:
    """Generated code may flush them; the thread that called it, and threads that come after, don't."""
    smallest = np.array([np.finfo(np.float32).smallest_subnormal])

    def halves() -> bool:
        y, tape = native.forward(X, record=True)
        native.backward(tape, y)
        return bool((smallest * np.float32(1) == smallest).all() and (smallest * 2 / 2 > 0).all())

    assert halves()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(halves).result()


def test_a_tape_is_frozen(native: Any) -> None:
    _, tape = native.forward(X, record=True)
    assert isinstance(tape, Tape)
    with pytest.raises(AttributeError):
        tape.weights_version = 3  # type: ignore[misc]
