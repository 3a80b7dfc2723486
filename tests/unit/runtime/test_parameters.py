"""The weights: layout, versions, who may read and write when, and what is refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from rnnspec.contract.executable import Array
from rnnspec.runtime.model.weights import Parameters, WeightView, checked_weights
from tests.unit.runtime.fake import weight

SIGNATURES = (weight("lstm/kernel", 2, 3), weight("lstm/bias", 3), weight("dense/kernel", 3, 1))
VALUES = [np.arange(6.0).reshape(2, 3), np.array([10.0, 11.0, 12.0]), np.array([[20.0], [21.0], [22.0]])]


def parameters(dtype: str = "float32") -> Parameters:
    made = Parameters(SIGNATURES, dtype)
    made.assign(checked_weights(SIGNATURES, made.dtype, VALUES))
    return made


def flat(of: Parameters) -> list[float]:
    return of.read(lambda values, _: values.tolist())


def test_layout() -> None:
    made = parameters()
    assert flat(made) == [0, 1, 2, 3, 4, 5, 10, 11, 12, 20, 21, 22]
    assert made.size == 12
    assert made.ranges == {"lstm/kernel": slice(0, 6), "lstm/bias": slice(6, 9), "dense/kernel": slice(9, 12)}
    for given, value in zip(VALUES, made.copies().values(), strict=True):
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, given)


def test_no_weights() -> None:
    empty = Parameters((), "float64")
    empty.assign(checked_weights((), empty.dtype, []))
    assert (empty.size, empty.copies(), dict(WeightView(empty))) == (0, {}, {})


def test_every_change_is_a_new_version_in_the_whole_process() -> None:
    first, second = parameters(), parameters()
    assert first.version != second.version
    seen = {first.version, second.version}
    for change in range(3):
        first.assign(dict(zip(first.ranges, VALUES, strict=True)))
        assert first.version not in seen, change
        seen.add(first.version)
    version = first.version
    with pytest.raises(ZeroDivisionError):
        first.change(lambda _: 1 / 0)
    assert first.version != version
    assert first.read(lambda _, read: read) == first.version


def test_the_flat_array_stays_where_it_is() -> None:
    made = parameters()
    before = made.read(lambda values, _: values)
    made.assign(dict(zip(made.ranges, VALUES, strict=True)))
    assert made.read(lambda values, _: values) is before


def started(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_readers_read_at_the_same_time_and_a_writer_waits_for_all() -> None:
    made = parameters()
    together = threading.Barrier(3, timeout=30)
    go_on = threading.Event()
    events: list[str] = []

    def read() -> None:
        def reading(_values: Array, _version: int) -> None:
            together.wait()
            go_on.wait(30)
            events.append("read")

        made.read(reading)

    def write() -> None:
        made.change(lambda _: events.append("written"))

    readers = [started(read), started(read)]
    together.wait()
    writer = started(write)
    go_on.set()
    for thread in (*readers, writer):
        thread.join(30)
        assert not thread.is_alive()
    assert events == ["read", "read", "written"]


def test_a_reader_never_sees_half_a_change() -> None:
    made = parameters("float64")
    torn: list[list[float]] = []
    done = threading.Event()

    def read() -> None:
        def look(values: Array, version: int) -> None:
            first = values.copy()
            if len(set(first.tolist())) > 1 or version != made.version or not np.array_equal(first, values):
                torn.append(first.tolist())

        while not done.is_set():
            made.read(look)

    made.assign({name: np.zeros(weight.shape) for name, weight in zip(made.ranges, SIGNATURES, strict=True)})
    readers = [started(read) for _ in range(3)]
    for value in range(300):
        made.assign({name: np.full(weight.shape, float(value)) for name, weight in zip(made.ranges, SIGNATURES, strict=True)})
    done.set()
    for thread in readers:
        thread.join(30)
        assert not thread.is_alive()
    assert not torn


def defers(of: Parameters, update: Callable[[Array], None], _: Array) -> None:
    of.defer(update)


def test_a_deferred_update_is_made_once_before_anyone_looks() -> None:
    looks: dict[str, Callable[[Parameters], object]] = {
        "copies": Parameters.copies,
        "copy of one": lambda made: made.copy_of("dense/kernel"),
        "flush": Parameters.flush,
        "assign": lambda made: made.assign({}),
    }
    for name, look in looks.items():
        made = parameters()
        done: list[str] = []

        def update(values: Array, name: str = name, done: list[str] = done) -> None:
            done.append(name)
            values += 1

        made.change(partial(defers, made, update), flushed=False)
        assert made.read(lambda values, _: values[0], flushed=False) == 0
        version = made.version
        assert not done
        look(made)
        assert done == [name]
        assert made.read(lambda values, _: values[0]) == 1
        assert made.version != version, "the weights have changed"
        assert flat(made)[0] == 1
        assert done == [name]


def test_a_deferred_update_that_fails_stays_deferred() -> None:
    made = parameters()
    fails = [True]

    def update(values: Array) -> None:
        if fails[0]:
            raise KeyError

    for look in (made.flush, lambda: made.assign({})):
        fails[0] = True
        made.change(partial(defers, made, update))
        for _ in range(2):
            with pytest.raises(KeyError):
                look()
        fails[0] = False
        assert flat(made)[0] == 0
        made.assign({})


def test_many_readers_flush_once_and_no_writer_comes_between() -> None:
    made = parameters("float64")
    done: list[int] = []

    def update(values: Array) -> None:
        done.append(1)
        time.sleep(0.01)
        values += 1

    together = threading.Barrier(5, timeout=30)
    seen: list[float] = []

    def read() -> None:
        together.wait()
        made.read(lambda values, _: seen.append(float(values[0])))

    def change(values: Array) -> None:
        values[:] = 10 * turn
        made.defer(update)

    for turn in range(20):
        made.change(change)
        readers = [started(read) for _ in range(4)]
        together.wait()
        for thread in readers:
            thread.join(30)
            assert not thread.is_alive()
        assert len(done) == turn + 1
        assert seen == [10 * turn + 1] * 4
        seen.clear()


def test_the_view_is_read_only_and_of_the_moment() -> None:
    made = parameters()
    view = WeightView(made)
    assert list(view) == ["lstm/kernel", "lstm/bias", "dense/kernel"]
    assert len(view) == 3
    bias = view["lstm/bias"]
    with pytest.raises(ValueError, match="read-only"):
        bias[0] = 1
    with pytest.raises(TypeError):
        view["lstm/bias"] = bias  # type: ignore[index]
    made.assign(dict(zip(made.ranges, [value + 1 for value in VALUES], strict=True)))
    assert bias.tolist() == [10, 11, 12]
    assert view["lstm/bias"].tolist() == [11, 12, 13]
    assert "lstm/bias" in view
    assert "lstm" not in view
    with pytest.raises(KeyError, match="lstm/biass"):
        view["lstm/biass"]
    assert repr(view) == "<weights {'lstm/kernel': (2, 3), 'lstm/bias': (3,), 'dense/kernel': (3, 1)}>"


def test_split_gives_views() -> None:
    made = parameters()
    gradient = np.arange(12, dtype=np.float32)
    parts = made.split(gradient)
    assert all(np.shares_memory(part, gradient) for part in parts.values())
    assert parts["dense/kernel"].tolist() == [[9], [10], [11]]


NAMED = dict(zip(("lstm/kernel", "lstm/bias", "dense/kernel"), VALUES, strict=True))

WRONG: dict[str, tuple[object, str]] = {
    "too few": (
        VALUES[:2], "the model has 3 weights, 2 were given; expected lstm/kernel (2, 3), lstm/bias (3,), dense/kernel (3, 1)",
    ),
    "shape": ([VALUES[0].T, *VALUES[1:]], "weight lstm/kernel: expected shape (2, 3), got (3, 2)"),
    "rank": ([*VALUES[:2], VALUES[2][:, 0]], "weight dense/kernel: expected shape (3, 1), got (3,)"),
    "text": ([VALUES[0], ["a", "b", "c"], VALUES[2]], "weight lstm/bias: expected numbers, got dtype <U1"),
    "complex": ([VALUES[0], VALUES[1] * 1j, VALUES[2]], "weight lstm/bias: expected numbers, got dtype complex128"),
    "nothing": ([VALUES[0], None, VALUES[2]], "weight lstm/bias: expected numbers, got objects (NoneType)"),
    "too large": ([VALUES[0], [0, 1e39, 0], VALUES[2]], "weight lstm/bias, entry (1,): expected a value that float32 holds, got 1e+39"),
    "missing": ({"lstm/kernel": VALUES[0]}, "the weights don't fit the model; missing: lstm/bias, dense/kernel"),
    "unknown": ({**NAMED, "gru/bias": 0, "a": 0}, "the weights don't fit the model; unknown: a, gru/bias"),
    "both": (
        {"lstm/kernel": 0, "lstm/bias": 0, "dense": 0}, "the weights don't fit the model; missing: dense/kernel; unknown: dense",
    ),
    "names of two kinds": ({**NAMED, 1: 0, "a": 0}, "the weights don't fit the model; unknown: 1, a"),
    "none": (None, "the weights: expected a list of arrays or a mapping from weight names, got NoneType"),
    "number": (3, "the weights: expected a list of arrays or a mapping from weight names, got int"),
    "string": ("abc", "the weights: expected a list of arrays or a mapping from weight names, got str"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_weights_that_do_not_fit(name: str) -> None:
    given, message = WRONG[name]
    with pytest.raises(ValueError) as raised:
        checked_weights(SIGNATURES, np.dtype("float32"), given)
    assert str(raised.value) == message


def test_an_array_that_is_none() -> None:
    with pytest.raises(ValueError, match="weight lstm/bias: not an array: "):
        checked_weights(SIGNATURES, np.dtype("float32"), [VALUES[0], [[1], [2, 3]], VALUES[2]])


def test_weights_of_any_number_type_and_order() -> None:
    given = [np.asfortranarray(VALUES[0]), VALUES[1].astype(np.int16), VALUES[2].astype(">f8")]
    for form in (given, tuple(given), iter(given), dict(reversed(list(zip(NAMED, given, strict=True))))):
        checked = checked_weights(SIGNATURES, np.dtype("float32"), form)
        assert list(checked) == list(NAMED)
        for name, value in checked.items():
            assert value.dtype == np.float32
            np.testing.assert_array_equal(value, NAMED[name])


def test_infinity_and_nan_are_weights() -> None:
    values = checked_weights(SIGNATURES, np.dtype("float32"), [VALUES[0], [np.nan, np.inf, -np.inf], VALUES[2]])
    np.testing.assert_array_equal(values["lstm/bias"], [np.nan, np.inf, -np.inf])
