"""Calls that go from Python straight to native code: the same bits as the way around, and the way around for all that doesn't fit."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.contract.executable import NOTHING_DUE
from rnnspec.runtime.model.call_cache import MOST_SHAPES
from rnnspec.runtime.native import executable, fast_call

SEQUENCE = "model Small {\n    input x: float[time, 3]\n    LSTM(5, return_sequences = true)\n}\n"
SEVERAL = """model Several {
    input x: float[time, 3]
    sequence, h, c = LSTM(5, return_sequences = true, return_state = true)
    output sequence, h
}
"""
WORDS = "model Words {\n    input x: int[time]\n    Embedding(7, 3)\n    GRU(4)\n}\n"


def series(batch: int = 2, time: int = 4, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(batch + time).normal(size=(batch, time, 3)).astype(dtype)


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """What direct calls are given and what they give, in turns."""
    seen: list[object] = []
    make = fast_call.FastPaths.of

    def of(*arguments: Any) -> Callable[[object], Any]:
        call = make(*arguments)

        def watched(*x: object) -> Any:
            given = call(*x)
            seen.append(given)
            return given

        return watched

    with monkeypatch.context() as patched:
        patched.setattr(fast_call.FastPaths, "of", of)
        yield seen


def repeated(model: rnnspec.Model, x: np.ndarray) -> rnnspec.Model:
    """The model, after as many calls as make the next one direct."""
    for _ in range(2):
        model.forward(x)
    return model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_in_arrays_of_their_own(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with counted(monkeypatch) as seen:
        model, x, other = rnnspec.compile(SEQUENCE, dtype=dtype, seed=1), series(dtype=dtype), 2 * series(dtype=dtype)
        expected = model.forward(list(x)), model.forward(list(other))
        repeated(model, x)
        assert not seen
        first, second, third = model.forward(x), model.forward(other), model.predict(x)
        assert [type(each) for each in seen] == [np.ndarray] * 3
    assert np.array_equal(first, expected[0])
    assert np.array_equal(second, expected[1])
    assert np.array_equal(third, expected[0])
    first[:] = 0
    assert np.array_equal(model.forward(x), expected[0])


@pytest.mark.parametrize(("spec", "shape"), [(SEQUENCE, (2, 4, 3)), (WORDS, (2, 4)), ("model V { input x: float[3]  Dense(2) }", (2, 3))])
def test_lists_of_numbers_are_direct(spec: str, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    with counted(monkeypatch) as seen:
        model = rnnspec.compile(spec, seed=1)
        x = np.random.default_rng(1).integers(0, 7, size=shape)
        given = x.tolist() if spec is WORDS else (x / 8).tolist()
        shown = [model.predict(given) for _ in range(4)]
        assert len([each for each in seen if each is not None]) == 2
        shown.append(model.predict({"x": given}))
        assert len([each for each in seen if each is not None]) == 3
    expected = rnnspec.compile(spec, seed=1).forward(np.array(given))
    assert all(np.array_equal(each, expected) for each in shown)


@pytest.mark.parametrize(
    "wrong",
    [
        [[[1.0, 2.0, 3.0], [1.0, 2.0]], [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]],
        [[[1.0, 2.0, "3"], [1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]],
        [[[1.0, 2.0, None], [1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]],
        [[[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]], np.ma.masked_array(np.ones((2, 3)), np.ones((2, 3), bool))],
    ],
    ids=["ragged", "text", "none", "masked"],
)
def test_lists_that_are_wrong_have_the_errors_of_the_way_around(wrong: list[Any]) -> None:
    fresh, model = (rnnspec.compile(SEQUENCE, seed=1) for _ in range(2))
    repeated(model, series(time=2))
    with pytest.raises(ValueError) as expected:
        fresh.forward(wrong)
    with pytest.raises(ValueError) as raised:
        model.forward(wrong)
    assert str(raised.value) == str(expected.value)


def test_several_outputs_are_a_tuple(monkeypatch: pytest.MonkeyPatch) -> None:
    with counted(monkeypatch) as seen:
        model, x = rnnspec.compile(SEVERAL, seed=1), series()
        expected = model.forward(x.tolist())
        shown = repeated(model, x).forward(x)
        assert len(seen) == 1 and seen[0] is shown
    assert type(shown) is tuple and len(shown) == 2
    assert all(np.array_equal(one, other) for one, other in zip(shown, expected, strict=True))


def off_by_one_byte(x: np.ndarray) -> np.ndarray:
    raw = np.zeros(x.nbytes + 1, np.uint8)
    shifted = raw[1:].view(x.dtype).reshape(x.shape)
    shifted[:] = x
    return shifted


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.tolist(),
        lambda x: list(x),
        lambda x: {"x": x},
        lambda x: x.astype(np.float64),
        lambda x: x.astype(">f4"),
        lambda x: x.astype(np.float32).view(np.int32).astype(np.float32),
        lambda x: np.asfortranarray(x),
        lambda x: np.concatenate([x, x], axis=2)[..., :3],
        lambda x: np.ma.masked_array(x),
        lambda x: memoryview(x),
        off_by_one_byte,
    ],
    ids=["list", "arrays", "mapping", "wider", "swapped", "other numbers", "columns", "part", "masked", "buffer", "unaligned"],
)
def test_what_does_not_fit_gives_the_same(change: Callable[[np.ndarray], Any]) -> None:
    x = series()
    given = change(x)
    fresh = rnnspec.compile(SEQUENCE, seed=1)
    try:
        expected = fresh.forward(given)
    except ValueError as error:
        with pytest.raises(ValueError) as raised:
            repeated(rnnspec.compile(SEQUENCE, seed=1), x).forward(given)
        assert str(raised.value) == str(error)
    else:
        assert np.array_equal(repeated(rnnspec.compile(SEQUENCE, seed=1), x).forward(given), expected)


@pytest.mark.parametrize("shape", [(2, 3, 3), (1, 4, 3), (2, 4, 3, 1), (24,), ()])
def test_the_call_itself_takes_one_shape_and_dtype(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Callable[[object], Any]] = []
    make = fast_call.FastPaths.of
    monkeypatch.setattr(fast_call.FastPaths, "of", lambda *arguments: made.append(make(*arguments)) or made[-1])
    model = repeated(rnnspec.compile(SEQUENCE, seed=1), series())
    (call,) = made
    assert call(series()) is not None
    wrong_numbers = (
        series().astype(">f4"),
        off_by_one_byte(series()),
        series() > 0,
        series().astype(np.int16),
        1e39 * series(dtype="float64"),
    )
    for x in (np.zeros(shape, np.float32), *wrong_numbers):
        assert call(x) is None
    for x in (
        None,
        1.0,
        [[1.0]],
        [1, 2],
        "text",
        np.float32(1),
        memoryview(series()),
        np.ma.masked_array(series()),
        object(),
        {},
        {"y": 1},
    ):
        assert call(x) is None
    for arguments in ((), (series(), None), (series(), None, [4, 4]), (series(), np.ones((2, 4), bool), None)):
        assert call(*arguments) is None
    model.set_weights(model.get_weights())
    assert call(series()) is None


def test_other_weights_are_used_at_once_and_the_old_ones_given_back() -> None:
    model, x = rnnspec.compile(SEQUENCE, seed=1), series()
    old = repeated(model, x).forward(x)
    for _ in range(3):
        model.set_weights([2 * value for value in model.get_weights()])
        expected = model.forward(x.tolist())
        assert not np.array_equal(expected, old)
        for _ in range(4):
            assert np.array_equal(model.forward(x), expected)
        old = expected


def test_a_batch_size_that_is_too_small_cuts_as_ever() -> None:
    model, x = rnnspec.compile(SEQUENCE, seed=1), series(5)
    expected = repeated(model, x).forward(x)
    assert np.array_equal(model.predict(x, batch_size=2), expected)
    with pytest.raises(ValueError, match="batch_size"):
        model.predict(x, batch_size=0)


def test_large_functions_leave_other_threads_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor are they given memory of their own for calls that never come."""
    made: list[object] = []
    monkeypatch.setattr(executable, "NativePreparedCall", lambda *arguments: made.append(arguments))
    with counted(monkeypatch) as seen:
        model, x = rnnspec.compile(SEQUENCE, seed=1, tuning=rnnspec.Tuning(direct_operations=10)), series()
        expected = model.forward(x.tolist())
        assert np.array_equal(repeated(model, x).forward(x), expected)
        assert not seen
        assert not made


def test_without_the_lock_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    with counted(monkeypatch) as seen:
        model, x = rnnspec.compile(SEQUENCE, seed=1), series()
        expected = model.forward(x.tolist())
        assert np.array_equal(repeated(model, x).forward(x), expected)
        stream = model.stream(2)
        assert all(np.array_equal(stream.step(x[:, step]), expected[:, step]) for step in range(4))
        assert not seen


def test_ids_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    with counted(monkeypatch) as seen:
        model = rnnspec.compile(WORDS, seed=1)
        ids = np.array([[1, 2, 6]], np.int32)
        repeated(model, ids)
        for wrong in (ids + 1, ids - 2, ids.astype(np.int64) - 2**32, ids.astype(np.int64) + 2**32):
            with pytest.raises(ValueError, match=r"expected a whole number in 0\.\.6"):
                model.forward(wrong)
        assert seen == [None] * 4


def test_more_shapes_than_are_kept() -> None:
    model = rnnspec.compile(SEQUENCE, seed=1)
    for time in range(1, MOST_SHAPES + 4):
        x = series(time=time)
        expected = model.forward(x.tolist())
        for _ in range(4):
            assert np.array_equal(model.forward(x), expected)


def test_streams_step_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    with counted(monkeypatch) as seen:
        model, x = rnnspec.compile(SEQUENCE, seed=1), series()
        whole = model.forward(x)
        stream, steps = model.stream(2), np.ascontiguousarray(x.transpose(1, 0, 2))
        shown = [stream.step(step) for step in (steps[0], list(steps[1]), steps[2].tolist(), steps[3])]
        assert np.array_equal(np.stack(shown, axis=1), whole)
        assert [each is not None for each in seen] == [False, False, True, True]  # numbers in lists: refused, then an array
        stream.reset([1])
        again = [stream.step(step) for step in steps]
        assert np.array_equal(np.stack(again, axis=1)[1], whole[1])
        assert not np.array_equal(np.stack(again, axis=1)[0], whole[0])
        model.set_weights([2 * value for value in model.get_weights()])
        stream.reset()
        assert np.array_equal(np.stack([stream.step(step) for step in steps], axis=1), model.forward(x))


def test_threads_that_call_at_once() -> None:
    """Outputs of more than numpy copies with the lock: while one is copied another thread may come."""
    model = rnnspec.compile("model Wide {\n    input x: float[time, 3]\n    LSTM(64, return_sequences = true)\n}\n", seed=1)
    inputs = [number * series(4, 40) for number in range(4)]
    expected = [repeated(model, x).forward(x) for x in inputs]
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(100):
            if not np.array_equal(model.forward(inputs[number]), expected[number]):
                wrong.append(number)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong


def test_nothing_is_left_behind() -> None:
    """References that calls take are given back: of None, of the input's type, of the input."""
    model, x = rnnspec.compile(SEQUENCE, seed=1), series()
    repeated(model, x)
    stream, step = model.stream(2), np.ascontiguousarray(x[:, 0])
    stream.step(step)
    waiting = rnnspec.compile("model Case { input a: float[time, 3]  Conv1D(2, 2, strides = 2) }", seed=1).stream(2)

    def counts() -> list[int]:
        return [sys.getrefcount(each) for each in (None, NOTHING_DUE, np.ndarray, x, step)]

    def calls() -> None:
        for _ in range(200):
            model.forward(x)
            stream.step(step)
            stream.step(step[::-1])
            waiting.step(step)

    calls()
    gc.collect()
    before = counts()
    calls()
    gc.collect()
    assert max(abs(now - then) for now, then in zip(counts(), before, strict=True)) < 50


def test_a_call_outlives_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The function that Python holds keeps the code and the memory that it works with."""
    made: list[Callable[[object], Any]] = []
    make = fast_call.FastPaths.of
    monkeypatch.setattr(fast_call.FastPaths, "of", lambda *arguments: made.append(make(*arguments)) or made[-1])
    stream, step = rnnspec.compile(SEQUENCE, seed=1).stream(2), np.ones((2, 3), np.float32)
    expected = rnnspec.compile(SEQUENCE, seed=1).forward(np.ones((2, 3, 3), np.float32))
    first = stream.step(step)
    (call,) = made
    del stream
    made.clear()
    gc.collect()
    assert np.array_equal(np.stack([first, call(step), call(step)], axis=1), expected)
