"""Calls in a row: padding changes no size but that of what is given out, other sizes compile nothing, and nothing grows."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec.contract.dimensions import BATCH, STEPS, TOKENS, Name, Size
from rnnspec.contract.native_function import NativeFunction
from rnnspec.contract.packing import PackedIndex
from rnnspec.driver.compilation import Compilation, compilation_of
from rnnspec.profile.inputs import draw_inputs
from rnnspec.profile.runner import Runner
from rnnspec.profile.session import planned_memory, sizes_of_calls
from rnnspec.runtime.data.batches import CallBatch
from rnnspec.runtime.native.call_plan import MOST_PLANS, CallPlan, Plans
from rnnspec.runtime.native.executable import Variant

TEXT = """model Text {
    input x: int[time]
    Embedding(50, 4, mask_zero = true)
    Bidirectional(LSTM(3))
    Dense(1)
    train {
        loss      = mse
        optimizer = Adam()
    }
}
"""

TRAINED = """model Trained {
    input x: float[time, 3]
    LSTM(4)
    Dense(1)
    train {
        loss      = mse
        optimizer = SGD()
    }
}
"""
STREAM = "model Stream {\n    input x: float[time, 1]\n    LSTM(4)\n    Dense(1)\n}\n"


def ids(length: int) -> np.ndarray:
    """The same words, padded to `length`."""
    x = np.zeros((4, length), np.int32)
    for row, real in enumerate((20, 3, 11, 7)):
        x[row, :real] = 1 + np.arange(real)
    return x


def check_steady(call: Callable[[], object], calls: int) -> None:
    """Python holds fewer blocks more than half as many as an object kept by each call would be: its own caches hold some.

    The lesser of two rounds: what is made once is in one of them.
    """
    rounds: list[int] = []
    for _ in range(2):
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(calls // 2):
            call()
        gc.collect()
        rounds.append(sys.getallocatedblocks() - before)
    assert min(rounds) < calls // 4


def test_ten_thousand_predictions_grow_nothing() -> None:
    model, x = rnnspec.compile(TEXT, seed=0), ids(20)
    check_steady(lambda: model.forward(x), 10_000)


def test_ten_thousand_steps_of_a_stream_grow_nothing() -> None:
    stream, x = rnnspec.compile(STREAM, seed=0).stream(batch=1), np.ones((1, 1), np.float32)
    check_steady(lambda: stream.step(x), 10_000)


def test_hundreds_of_steps_of_training_grow_nothing() -> None:
    model, x, y = rnnspec.compile(TEXT, seed=0), ids(20), np.ones((4, 1), np.float32)
    check_steady(lambda: model.train_on_batch(x, y), 2000)


def test_other_sizes_compile_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    built: list[Variant] = []
    native = Compilation.native

    def counted(self: Compilation, wanted: Variant, *, timed: bool = False) -> NativeFunction:
        built.append(wanted)
        return native(self, wanted, timed=timed)

    monkeypatch.setattr(Compilation, "native", counted)
    model = rnnspec.compile(TEXT + f"# {tmp_path.name}, {time.time_ns()}: no kept model has this text\n", seed=0)
    for length in (20, 2000, 33):
        for rows in (1, 4):
            model.train_on_batch(ids(length)[:rows], np.ones((rows, 1), np.float32))
            model.forward(ids(length)[:rows])
    assert len(built) == len(set(built))
    assert {wanted.name for wanted in built} == {"forward", "record", "backward"}


def watched(monkeypatch: pytest.MonkeyPatch) -> list[CallPlan]:
    """The plans of the native calls that are made from now on."""
    plans: list[CallPlan] = []
    plan_of = Plans.of

    def of(self: Plans, batch: int, times: Mapping[str, int], indices: Sequence[PackedIndex]) -> CallPlan:
        plans.append(plan_of(self, batch, times, indices))
        return plans[-1]

    monkeypatch.setattr(Plans, "of", of)
    return plans


def test_calls_of_one_shape_have_one_plan_unless_steps_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    plans = watched(monkeypatch)
    model = rnnspec.compile(TRAINED, seed=0)
    x, y, mask = np.ones((4, 5, 3), np.float32), np.ones((4, 1), np.float32), np.ones((4, 5), bool)
    mask[0, 3:] = False
    for _ in range(3):
        model.train_on_batch(x, y)
    assert len(plans) == 6
    assert len({id(plan) for plan in plans}) == 2, "of the recording and of the backward function"
    plans.clear()
    for _ in range(3):
        model.train_on_batch(x, y, mask=mask)
    assert len({id(plan) for plan in plans}) == 6
    plans.clear()
    for steps in (*range(6, 7 + MOST_PLANS), 6):
        model.train_on_batch(np.ones((4, steps, 3), np.float32), y)
    assert len({id(plan) for plan in plans}) == 2 * (MOST_PLANS + 2), "the first is forgotten"


@pytest.mark.parametrize("training", [False, True])
def test_the_native_call_gets_the_same_sizes_however_long_the_padding_is(training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for `batch*time`, the rows of the input's buffer, which no loop of this model runs over."""
    plans = watched(monkeypatch)
    model = rnnspec.compile(TEXT, seed=0)
    found: list[list[dict[Size, int]]] = []
    for length in (200, 2000):
        plans.clear()
        if training:
            model.train_on_batch(ids(length), np.ones((4, 1), np.float32))
        else:
            model.forward(ids(length))
        seen = [dict(zip(plan.function.dims, plan.dims, strict=True)) for plan in plans]
        found.append([{name: size for name, size in each.items() if name != BATCH * Name("time")} for each in seen])
    assert found[0]
    assert found[0] == found[1]
    assert {each[TOKENS] for each in found[0]} == {41}
    assert {each[STEPS] for each in found[0]} == {20}


@pytest.mark.parametrize("training", [False, True])
def test_the_workspace_is_as_large_as_planned(training: bool) -> None:
    made = compilation_of(TEXT)
    batch: CallBatch = draw_inputs(made.signature, 4, 9, 0.6).batch()
    runner = Runner(made, batch, training=training, timed=False)
    runner.call()
    bound = list(runner.functions.values())
    natives = [each.function for each in bound]
    sizes = sizes_of_calls(made.signature, batch, natives)
    planned = planned_memory(natives, sizes)
    scratch = vars(bound[0].scratch)["_known"]
    assert 0 < sum(len(memory.bytes) for memory, _ in scratch) <= planned.workspace
    assert sum(len(vars(each)["_prepared"].memory.bytes) for each in bound) == planned.prepared
