"""Several threads share the units of a scan: the bits stay the same, and they do it where rows are few."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.backend.llvm_cpu import entry
from rnnspec.runtime.native import thread_pool
from rnnspec.training.model import Model
from tests.e2e.test_threads import ALL_COME, BATCHES, CELL, assert_same_bits, shared

NORMED = """cell Normed(units) {
    weight kernel           [features, units] = glorot_uniform
    weight recurrent_kernel [units, units]    = orthogonal
    state  h [units]

    z = x @ kernel + h @ recurrent_kernel
    d = z - mean(z)
    h' = tanh(d / sqrt(mean(d * d) + 0.01))
    return h'
}

"""

LAYERS = {
    "all states": "LSTM(130, return_sequences = true)",
    "a part of a tile": "LSTM(67)",
    "one gate": "SimpleRNN(131, return_sequences = true)\n    SimpleRNN(64)",
    "two nests a step": "GRU(70, reset_after = false)",
    "two directions": "Bidirectional(GRU(66, return_sequences = true))\n    LSTM(65, go_backwards = true)",
    "a user's cell": "Slow(133, return_sequences = true)",
    "norms over the units": "Normed(132)",
    "dropout": "LSTM(66, dropout = 0.4, recurrent_dropout = 0.2)\n    Dense(2)",
}
FEATURES = 4


def spec_of(layers: str) -> str:
    train = "train {\n        loss = mse\n        optimizer = Adam()\n    }"
    return f"{CELL}{NORMED}model Case {{\n    input x: float[time, {FEATURES}]\n\n    {layers}\n\n    {train}\n}}\n"


@pytest.fixture
def by_units(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Units are shared wherever they can be. What is compiled so isn't kept for others."""
    monkeypatch.setenv("RNNSPEC_CACHE", str(tmp_path))
    monkeypatch.setattr(entry, "fewer_by_units", lambda *_: "true")


@pytest.fixture
def arrivals(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often threads have come to a barrier, of each shared call."""
    counted: list[int] = []
    run = thread_pool.SharedCall.run

    def counting(call: thread_pool.SharedCall, numbers: Any, *, follows: bool) -> None:
        run(call, numbers, follows=follows)
        if not follows:
            counted.append(numbers.waiting)

    monkeypatch.setattr(thread_pool.SharedCall, "run", counting)
    return counted


def drawn(lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(6)
    mask = np.zeros((len(lengths), 8), bool)
    for row, length in enumerate(lengths):
        mask[row, random.permutation(8)[:length]] = True
    return random.standard_normal((*mask.shape, FEATURES)).astype(np.float32), mask


def all_results(model: Model, x: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """What a forward pass gives, and all gradients."""
    first = model.forward(x, mask=mask)
    y, tape = model.forward(x, mask=mask, record=True)
    gradients = model.backward(tape, np.cos(np.arange(y.size, dtype=y.dtype)).reshape(y.shape))
    return [first, y, *gradients.weights.values(), *gradients.inputs.values()]


@pytest.mark.every(2)
@pytest.mark.usefixtures("by_units")
@pytest.mark.parametrize("name", LAYERS)
def test_outputs_and_gradients_are_the_same_bits(name: str, arrivals: list[int]) -> None:
    model = rnnspec.compile(spec_of(LAYERS[name]), seed=2)
    for lengths in BATCHES.values():
        x, mask = drawn(lengths)
        expected = all_results(shared(model, 1), x, mask)
        for number in (2, 3, 5):
            arrivals.clear()
            assert_same_bits(all_results(shared(model, number), x, mask), expected)
            steps = max(lengths, default=0)
            assert min(sorted(arrivals)[-3:]) >= number * steps, "forward, record and backward wait at each step"


@pytest.mark.usefixtures("by_units")
def test_training_and_float64_are_the_same_bits() -> None:
    x, mask = drawn(BATCHES["ragged"])

    def trained(number: int) -> list[np.ndarray]:
        model = shared(rnnspec.compile(spec_of(LAYERS["dropout"]), seed=4, dtype="float64"), number)
        losses = [np.array(model.train_on_batch(x, np.ones((len(x), 2)), mask=mask)) for _ in range(3)]
        return [*losses, *model.get_weights()]

    assert_same_bits(trained(3), trained(1))


@pytest.mark.usefixtures("by_units")
def test_states_are_carried_the_same() -> None:
    x, mask = drawn([8, 8])
    spec = spec_of("LSTM(67, stateful = true)")
    models = [shared(rnnspec.compile(spec, seed=2), number) for number in (1, 3)]
    for _ in range(3):
        one, other = (model.forward(x, mask=mask) for model in models)
        assert one.tobytes() == other.tobytes()


def barriers(layer: str, batch: int, time: int, arrivals: list[int], lengths: list[int] | None = None) -> int:
    """Of a call by two threads."""
    model = shared(rnnspec.compile(spec_of(layer), seed=2), 2)
    arrivals.clear()
    model.forward(np.ones((batch, time, FEATURES), np.float32), lengths=lengths)
    return arrivals[-1] // 2


def test_units_are_shared_where_rows_are_few(arrivals: list[int]) -> None:
    assert barriers("LSTM(128)", 1, 50, arrivals) >= 50
    assert barriers("LSTM(128)", 2, 50, arrivals) >= 50


def test_rows_are_shared_where_there_are_enough(arrivals: list[int]) -> None:
    assert barriers("LSTM(128)", 32, 50, arrivals) < 25, "one a block of steps"


def test_threads_with_enough_rows_never_wait_in_a_scan(arrivals: list[int]) -> None:
    """What belongs to their rows they do themselves, however many blocks of steps there are."""
    layers = "LSTM(96, return_sequences = true)\n    GRU(64, go_backwards = true)"  # which every machine's cache has blocks for
    few, many = (barriers(layers, 32, time, arrivals) for time in (20, 400))
    assert few == many < 8
    assert barriers(layers, 8, 400, arrivals) > many, "fewer rows divide each block's tokens"


def test_rows_of_different_lengths_are_shared_by_their_tokens(arrivals: list[int]) -> None:
    """Half of them, not half of the rows at an average step rounded up, is what the busiest thread has."""
    assert barriers("LSTM(128)", 33, 100, arrivals, [97 - 2 * row for row in range(33)]) < 10


def test_rows_are_shared_where_a_step_is_not_worth_waiting(arrivals: list[int]) -> None:
    assert barriers("SimpleRNN(70)", 2, 50, arrivals) < 10


@pytest.mark.usefixtures("by_units")
@pytest.mark.parametrize("name", ["all states", "two directions", "norms over the units"])
def test_a_thread_that_waits_too_long_goes_on_alone(name: str, arrivals: list[int]) -> None:
    model = rnnspec.compile(spec_of(LAYERS[name]), seed=2)
    for lengths in BATCHES.values():
        x, mask = drawn(lengths)
        expected = all_results(shared(model, 1), x, mask)
        shared(model, 3).tuning = replace(ALL_COME, barrier_ticks=-(1 << 60))
        arrivals.clear()
        assert_same_bits(all_results(model, x, mask), expected)


@pytest.mark.usefixtures("by_units")
def test_calls_go_alone_for_a_while_after_one_that_waited_too_long(arrivals: list[int]) -> None:
    model = shared(rnnspec.compile(spec_of(LAYERS["all states"]), seed=2), 3)
    x, mask = drawn([8])
    through_python = replace(ALL_COME, direct_operations=0)
    model.tuning = replace(through_python, barrier_ticks=-(1 << 60), calls_alone=5)
    model.forward(x, mask=mask)
    assert arrivals[-1] < 3 * 8, "no barrier any more behind the first steps"
    model.tuning = through_python
    arrivals.clear()
    for _ in range(5):
        model.forward(x, mask=mask)
    assert not arrivals
    model.forward(x, mask=mask)
    assert arrivals[-1] >= 3 * 8
