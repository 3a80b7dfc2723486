"""Several threads share a call: the bits stay the same, and nothing hangs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec import Tuning
from rnnspec.contract.thread_count import processors
from rnnspec.runtime.native import thread_pool
from rnnspec.training.model import Model

pytestmark = pytest.mark.filterwarnings("ignore::rnnspec.diagnostics.MaskWarning")

COUNTS = (2, 3, 5)

CELL = """cell Slow(units) {
    weight kernel           [features, units]  = glorot_uniform
    weight recurrent_kernel [units, units]     = orthogonal
    weight rate             [units]            = ones
    state  h [units]
    state  before [units]

    before' = h
    h' = tanh(x @ kernel + (rate * h + before) @ recurrent_kernel)
    return h' * sigmoid(before)
}

"""

LAYERS = {
    "an LSTM of all states": ("float[time, 5]", "LSTM(19, return_sequences = true)\n    Dense(3)"),
    "a GRU": ("float[time, 3]", "GRU(9)"),
    "a small net": ("float[time, 1]", "LSTM(2)\n    Dense(1)"),
    "two directions": ("float[time, 4]", "Bidirectional(LSTM(7, return_sequences = true))\n    Bidirectional(GRU(5))"),
    "a user's cell": ("float[time, 4]", "Slow(11, return_sequences = true)\n    LayerNormalization()\n    Slow(6)"),
    "words": ("int[time]", 'Embedding(13, 20, mask_zero = true)\n    LSTM(17)\n    Dense(2, activation = "softmax")'),
    "words both ways": ("int[time]", "Embedding(13, 20)\n    Bidirectional(LSTM(17))"),
    "words that are used twice": (
        "int[time]",
        "words = Embedding(13, 20, mask_zero = true)\n    inner = words -> Dense(20)\n"
        "    [words, inner] -> Multiply() -> GlobalMaxPooling1D()",
    ),
    "windows": ("float[time, 3]", 'Conv1D(8, 3, padding = "causal")\n    MaxPooling1D(2)\n    GRU(4)'),
    "dropout": (
        "float[time, 3]",
        "LSTM(6, return_sequences = true, dropout = 0.3)\n    GRU(70)",
    ),
    "no scan": ("float[6]", 'Dense(70, activation = "relu")\n    BatchNormalization()\n    Dense(2)'),
}

ATTENTION = """model Case {
    input x: float[time, 6]
    states = x -> GRU(8, return_sequences = true)
    seen = [states, states] -> Attention(use_scale = true)
    output states, seen
}
"""


TRAIN = "train {\n        loss = mse\n        optimizer = Adam()\n    }"


def spec_of(name: str) -> str:
    if name == "attention":
        return ATTENTION
    given, layers = LAYERS[name]
    cell = CELL if "Slow" in layers else ""
    return f"{cell}model Case {{\n    input x: {given}\n\n    {layers}\n\n    {TRAIN}\n}}\n"


ALL_COME = Tuning(least_saved_operations=0, spin_limit=1 << 40, barrier_ticks=1 << 40)


def shared(model: Model, number: int) -> Model:
    """The model, its calls shared by so many threads however little there is to do, all of which come."""
    model.threads = number
    model.tuning = ALL_COME
    return model


BATCHES: Mapping[str, list[int]] = {
    "full": [7, 7, 7, 7],
    "ragged": [7, 0, 3, 1, 5, 2, 7],
    "one row": [4],
    "no real step": [0, 0, 0],
    "no row": [],
}


def drawn(name: str, lengths: list[int]) -> tuple[np.ndarray, dict[str, Any]]:
    """Inputs of so many real steps, with holes."""
    random = np.random.default_rng(5)
    given = "float[time, 6]" if name == "attention" else LAYERS[name][0]
    if "time" not in given:
        return random.standard_normal((len(lengths), 6)).astype(np.float32), {}
    mask = np.zeros((len(lengths), 8), bool)
    for row, length in enumerate(lengths):
        mask[row, random.permutation(8)[:length]] = True
    if given.startswith("int"):
        return random.integers(0, 13, mask.shape).astype(np.int32), {"mask": mask}
    width = int(given.split(",")[1].strip(" ]"))
    return random.standard_normal((*mask.shape, width)).astype(np.float32), {"mask": mask}


def all_results(model: Model, x: np.ndarray, masks: Mapping[str, Any]) -> list[np.ndarray]:
    """What a forward pass gives, and all gradients."""
    first = model.forward(x, **masks)
    outputs, tape = model.forward(x, **masks, record=True)
    several = outputs if isinstance(outputs, tuple) else (outputs,)
    dy = [np.cos(np.arange(output.size, dtype=output.dtype)).reshape(output.shape) for output in several]
    gradients = model.backward(tape, dy if len(dy) > 1 else dy[0])
    return [*(first if isinstance(first, tuple) else (first,)), *several, *gradients.weights.values(), *gradients.inputs.values()]


def assert_same_bits(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.every(3)
@pytest.mark.parametrize("name", [*LAYERS, "attention"])
def test_outputs_and_gradients_are_the_same_bits_with_any_number_of_threads(name: str) -> None:
    model = rnnspec.compile(spec_of(name), seed=2)
    for lengths in BATCHES.values():
        x, masks = drawn(name, lengths)
        expected = all_results(shared(model, 1), x, masks)
        for number in COUNTS:
            assert_same_bits(all_results(shared(model, number), x, masks), expected)
            assert model.threads_used == number


@pytest.mark.every(3)
@pytest.mark.parametrize("name", LAYERS)
def test_training_is_the_same_bits_with_any_number_of_threads(name: str) -> None:
    x, masks = drawn(name, BATCHES["ragged"])

    def trained(number: int) -> list[np.ndarray]:
        model = shared(rnnspec.compile(spec_of(name), seed=4), number)
        target = np.ones_like(model.forward(x, **masks))
        losses = [np.array(model.train_on_batch(x, target, **masks)) for _ in range(4)]
        return [*losses, *model.get_weights()]

    expected = trained(1)
    for number in (2, 5):
        assert_same_bits(trained(number), expected)


def test_float64_is_the_same_bits_too() -> None:
    model = rnnspec.compile(spec_of("two directions"), dtype="float64", seed=2)
    x, masks = drawn("two directions", BATCHES["ragged"])
    expected = all_results(shared(model, 1), x.astype(np.float64), masks)
    assert_same_bits(all_results(shared(model, 3), x.astype(np.float64), masks), expected)


def test_calls_from_several_threads_share_the_workers() -> None:
    """Those that find no idle worker go on alone."""
    models = [shared(rnnspec.compile(spec_of(name), seed=2), 3) for name in ("a GRU", "words")]
    for model in models:
        model.tuning = replace(ALL_COME, spin_limit=1000)
    given = [drawn(name, BATCHES["ragged"]) for name in ("a GRU", "words")]
    expected = [all_results(model, x, masks) for model, (x, masks) in zip(models, given, strict=True)]

    def again(turn: int) -> None:
        chosen = turn % 2
        assert_same_bits(all_results(models[chosen], *given[chosen]), expected[chosen])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(again, range(60)))


def test_a_call_with_little_to_do_wakes_nobody() -> None:
    model = rnnspec.compile(spec_of("a small net"), seed=2)
    model.threads = 4
    model.forward(np.zeros((2, 3, 1), np.float32))
    assert model.threads_used == 1


def test_a_call_with_much_to_do_wakes_the_others() -> None:
    model = rnnspec.compile("model Case {\n    input x: float[time, 80]\n    LSTM(128)\n}\n", seed=2)
    model.threads = 2
    model.tuning = Tuning(spin_limit=1 << 40)
    model.forward(np.zeros((32, 100, 80), np.float32))
    assert model.threads_used == 2


def test_the_number_of_threads_is_checked() -> None:
    model = rnnspec.compile(spec_of("a small net"))
    for wrong in (0, -1, 1.5, True, "2"):
        with pytest.raises(ValueError, match="threads: expected a whole number of at least 1"):
            model.threads = wrong
    model.threads = 3
    assert model.threads == 3


@pytest.mark.parametrize("many", [3000, 10**30])
def test_the_number_of_threads_is_bounded(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By eight for each processor that the process may use: no call starts more, whoever asked for them."""
    most = 8 * processors()
    for chosen in (str(many), f"000{many}"):
        monkeypatch.setenv("RNNSPEC_THREADS", chosen)
        assert rnnspec.compile(spec_of("a small net")).threads == most
    monkeypatch.setenv("RNNSPEC_THREADS", "0001")
    model = rnnspec.compile(spec_of("a small net"))
    assert model.threads == 1
    model.threads = many
    assert model.threads == most
    model.threads = most
    assert model.threads == most


def test_threads_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under a limit of processes: the call goes on with those that are there, or alone, and gives the same bits."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(thread_pool, "_team", thread_pool._Team())  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(threading.Thread, "start", refuse)
    model = rnnspec.compile("model Case {\n    input x: float[time, 80]\n    LSTM(128)\n}\n", seed=2)
    x = np.ones((32, 100, 80), np.float32)
    model.threads = 1
    alone = model.forward(x)
    model.threads = 4
    np.testing.assert_array_equal(model.forward(x), alone)
    assert model.threads_used == 1


def test_the_environment_chooses_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNSPEC_THREADS", "7")
    assert rnnspec.compile(spec_of("a small net")).threads == 7
    monkeypatch.delenv("RNNSPEC_THREADS")
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert rnnspec.compile(spec_of("a small net")).threads == available
    monkeypatch.setenv("RNNSPEC_THREADS", "")
    assert rnnspec.compile(spec_of("a small net")).threads == available


@pytest.mark.parametrize("wrong", ["0", "000", "-2", "+2", "two", "1.5", " 2", "2 ", "²", "0x4"])
def test_an_environment_without_a_number_is_told(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNSPEC_THREADS", wrong)
    with pytest.raises(ValueError, match=r"^RNNSPEC_THREADS: expected a whole number of at least 1, got"):
        rnnspec.compile(spec_of("a small net"))


PROGRAM = """
import os
import numpy as np
import rnnspec

model = rnnspec.compile({spec!r}, seed=2, tuning=rnnspec.Tuning(least_saved_operations=0, spin_limit=1 << 40))
model.threads = 3
x = np.ones((6, 5, 3), np.float32)
y = model.forward(x)
{rest}
"""


def run(rest: str) -> subprocess.CompletedProcess[str]:
    root = str(Path(rnnspec.__file__).parents[1])
    code = PROGRAM.format(spec=spec_of("a GRU"), rest=rest)
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_process_ends_while_workers_wait() -> None:
    done = run("print(model.threads_used)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
def test_a_fork_has_workers_of_its_own() -> None:
    rest = """
child = os.fork()
if not child:
    same = np.array_equal(model.forward(x), y)
    os._exit(0 if same and model.threads_used == 3 else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = run(rest)
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


def test_an_interrupt_before_the_call_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that were already called go back, and take part in the next call."""
    from rnnspec.runtime.native import thread_pool

    model = shared(rnnspec.compile(spec_of("a GRU"), seed=2), 3)
    x, masks = drawn("a GRU", BATCHES["ragged"])
    expected = model.forward(x, **masks)
    run_it = thread_pool.SharedCall.run

    def interrupted(call: Any, numbers: Any, *, follows: bool) -> None:
        if not follows:
            raise KeyboardInterrupt
        run_it(call, numbers, follows=follows)

    with monkeypatch.context() as patch:
        patch.setattr(thread_pool.SharedCall, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.forward(x, **masks)
    assert np.array_equal(model.forward(x, **masks), expected)
    assert model.threads_used == 3
    assert sum(thread.name.startswith("rnnspec-") for thread in threading.enumerate()) >= 2
