"""Direct calls of stateful models: the states are one with those of calls that go the way around, whatever their shapes."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import rnnspec
from tests.unit.runtime.test_direct import counted

SPEC = """model Case {
    input x: float[time, 3]
    LSTM(4, stateful = true, return_sequences = true)
    GRU(3, stateful = true)
    train { loss = mse  optimizer = SGD(learning_rate = 0.1)  shuffle = false }
}"""
BOTH = "model Case { input x: float[time, 3]  Masking()  Bidirectional(GRU(3, stateful = true)) }"


def parts(samples: int, count: int, seed: int = 0) -> list[np.ndarray]:
    """Arrays of two lengths in turns."""
    random = np.random.default_rng(seed)
    return [random.normal(size=(samples, 2 + number % 2, 3)).astype(np.float32) for number in range(count)]


@pytest.mark.parametrize("spec", [SPEC, BOTH])
def test_calls_of_several_shapes_carry_the_same_states(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some calls in between go the way around: arrays of another layout, calls that are recorded."""
    with counted(monkeypatch) as seen:
        model, other = (rnnspec.compile(spec, seed=1) for _ in range(2))
        given = parts(2, 14)
        given[3][:, 0] = 0.0
        for number, x in enumerate(given):
            expected = other.forward(list(x))
            if number == 9:
                shown, _ = model.forward(x, record=True)
            else:
                shown = model.predict(list(x) if number == 10 else x)
            assert np.array_equal(shown, expected)
        assert len([each for each in seen if each is not None]) == 8  # from the third call of a shape on, but for two


def test_a_reset_starts_anew_for_any_number_of_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    with counted(monkeypatch) as seen:
        model = rnnspec.compile(SPEC, seed=1)
        for samples in (2, 1, 2):
            model.reset_states()
            whole = np.concatenate(given := parts(samples, 8, samples), axis=1)
            shown = [model.forward(x) for x in given][-1]
            assert np.array_equal(shown, rnnspec.compile(SPEC, seed=1).forward(whole))
        assert sum(each is not None for each in seen) == 4 + 4 + 7


def test_another_number_of_samples_is_refused_however_known_it_is() -> None:
    model = rnnspec.compile(SPEC, seed=1)
    for samples in (2, 1):
        model.reset_states()
        for x in parts(samples, 8):
            model.forward(x)
    before = model.forward(parts(1, 1)[0])
    with pytest.raises(ValueError, match="goes on with the 1 samples of its first call, got 2"):
        model.forward(parts(2, 1)[0])
    model.reset_states()
    after = [model.forward(x) for x in (*parts(1, 8), parts(1, 1)[0])]
    assert np.array_equal(before, after[-1])


def test_training_and_a_stream_leave_the_states_where_they_belong() -> None:
    """A direct call goes on from what a training step has left, with the weights that it has made."""
    model, other = (rnnspec.compile(SPEC, seed=1) for _ in range(2))
    x, y = parts(2, 1)[0], np.ones((2, 3))
    for number in range(12):
        if number % 5 == 4:
            assert model.train_on_batch(x, y) == other.train_on_batch(x.tolist(), y)
            model.stream(2).step(x[:, 0])
            model.evaluate(x, y)
            other.evaluate(x, y)
        assert np.array_equal(model.predict(x), other.predict(x.tolist()))


def test_threads_take_turns() -> None:
    """Calls of both ways from several threads: each is made on what some other one has left, and none is lost."""
    cell = "cell Count(units) { state n [units]  n' = n + 1  return n' }"
    model = rnnspec.compile(f"{cell}\nmodel Case {{ input x: float[time, 1]  Count(1, stateful = true) }}", seed=1)
    x, seen = np.zeros((1, 1, 1), np.float32), list[float]()

    def calls(slow: bool) -> None:
        for _ in range(200):
            seen.append(float(model.forward(x.tolist() if slow else x)[0, 0]))

    threads = [threading.Thread(target=calls, args=(slow,)) for slow in (False, False, True)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(seen) == list(range(1, 601))
