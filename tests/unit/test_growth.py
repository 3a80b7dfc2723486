"""Compiling takes work that grows with the model, no faster: counted in calls, from the text to LLVM's text. And it goes to any depth."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress

import numpy as np
import pytest

import rnnspec
from rnnspec.backend.llvm_cpu.module import emit_module
from rnnspec.backend.llvm_cpu.objects import LONGEST, PASSES, QUADRATIC, level_for, passes_for
from rnnspec.driver.compilation import compilation_of
from rnnspec.runtime.native.executable import Variant
from tests.property.hostile import ACCEPTED, chain, doubled_rows, model, of_cell
from tests.work import calls

FUNCTIONS = (Variant("forward", False), Variant("record", True), Variant("backward", True))

SEQUENCE = "input x: float[time, 4]"


def products(count: int) -> str:
    weights = "\n".join(f"weight w{number} [units, units] = orthogonal" for number in range(1, count))
    steps = [f"a{number} = tanh(a{number - 1} @ w{number}) + a{number - 1}" for number in range(1, count)]
    return of_cell("a0 = x @ k + h", *steps, f"h' = a{count - 1}", "return h'", weights=f"weight k [features, units] = zeros\n{weights}")


def branches(count: int) -> str:
    parts = [f"b{number} = x -> Dense(4, activation = tanh)" for number in range(count)]
    return model(*parts, f"[{', '.join(f'b{number}' for number in range(count))}] -> Concatenate()", "Dense(1)")


def inputs(count: int) -> str:
    names = [f"x{number}" for number in range(count)]
    return model(f"[{', '.join(names)}] -> Concatenate()", "Dense(1)", inputs=f"input {', '.join(f'{name}: float[4]' for name in names)}")


def stacked(count: int) -> str:
    return model(*["LSTM(4, return_sequences = true)"] * count, "LSTM(4)", "Dense(1)", inputs=SEQUENCE)


def windows(layer: str) -> Callable[[int], str]:
    return lambda count: model(layer.format(count), "GlobalAveragePooling1D()", "Dense(1)", inputs=SEQUENCE)


GROWING: Mapping[str, tuple[Callable[[int], str], int]] = {
    "stacked LSTMs": (stacked, 4),
    "dense layers": (lambda count: model(*["Dense(4, activation = tanh)"] * count), 12),
    "branches": (branches, 12),
    "inputs": (inputs, 25),
    "a window": (windows('Conv1D(2, {}, padding = "same")'), 30),
    "a maximum": (windows('MaxPooling1D({}, padding = "same")'), 30),
    "values used twice": (lambda count: chain("x @ k + h", "a{0} = tanh(a{1}) * a{1}", count), 20),
    "values of tokens used twice": (lambda count: chain("x @ k", "a{0} = tanh(a{1}) * a{1}", count, "h' = tanh(a{0} + h)"), 20),
    "sums of sums": (lambda count: chain("x @ k + h", "a{0} = a{1} + tanh(h + a{1})", count), 20),
    "split and concat": (
        lambda count: chain("x @ k + h", "p{0}, q{0} = split(a{1}, 2)\na{0} = concat(p{0} * q{0}, tanh(p{0}))", count),
        12,
    ),
    "products": (products, 7),
}
"""A model of so many parts, and how many to begin with."""


def texts(spec: str) -> list[str]:
    """LLVM's text of what prediction and training need."""
    compilation = compilation_of(spec)
    kernels = [compilation.kernels(wanted) for wanted in FUNCTIONS]
    return [emit_module(each.module, each.target) for each in kernels]


@pytest.mark.every(3)
@pytest.mark.parametrize("name", GROWING)
def test_twice_the_model_is_twice_the_work(name: str) -> None:
    """Quadratic work would be four times as much, exponential work would never end."""
    spec, count = GROWING[name]
    once = calls(lambda: texts(spec(count)))
    calls(lambda: texts(spec(2 * count)), 2.4 * once)


@pytest.mark.every(3)
@pytest.mark.parametrize("name", ACCEPTED)
def test_any_depth_compiles(name: str) -> None:
    assert all(texts(ACCEPTED[name]))


def test_parts_of_parts_are_stored() -> None:
    """The row is 64 times as wide, and so are the parts; what is written for them isn't."""
    narrow, wide = (sum(map(len, texts(doubled_rows(count)))) for count in (11, 17))
    assert wide < 2 * narrow


def test_very_long_functions_go_without_the_quadratic_pass() -> None:
    short = "define void @a() {\n" + "  add\n" * (LONGEST - 10) + "}\n"
    assert passes_for(short + short) == PASSES and level_for(short + short) == 3
    long = short + short.replace("  add\n", "  add\n  add\n")
    assert passes_for(long) == tuple(name for name in PASSES if name != QUADRATIC) != PASSES
    assert level_for(long) == 1
    assert level_for(short.replace("  add\n", "  add\n" * 5)) == 0


def test_ordinary_functions_are_far_shorter() -> None:
    assert all(level_for(text) == 3 for text in texts(stacked(6)))


def from_deep_in_the_stack(left: int, work: Callable[[], None]) -> None:
    """Does something where only so many more calls fit onto Python's stack."""

    def deeper(levels: int) -> None:
        if levels > 0:
            deeper(levels - 1)
        else:
            work()

    deeper(sys.getrecursionlimit() - len(inspect.stack(0)) - left)


@pytest.mark.parametrize("left", [20, 40, 70, 100, 200])
def test_a_caller_without_stack_leaves_nothing_half_done(left: int) -> None:
    """The caller's own RecursionError passes through; what it met works afterwards as it did before."""
    spec = model("LSTM(3)", "Dense(2)", inputs=SEQUENCE)
    x, d_y = np.ones((2, 5, 4), np.float32), np.zeros((2, 2), np.float32)
    expected = rnnspec.compile(spec, seed=0).predict(x)
    trained = rnnspec.compile(spec, seed=0)
    before = trained.get_weights()

    def work() -> None:
        rnnspec.compile(spec, seed=0).predict(x)
        trained.predict(x)
        trained.forward(x, record=True)

    with suppress(RecursionError):
        from_deep_in_the_stack(left, work)
    np.testing.assert_array_equal(trained.predict(x), expected)
    assert all(map(np.array_equal, before, trained.get_weights()))
    np.testing.assert_array_equal(rnnspec.compile(spec, seed=0).predict(x), expected)
    trained.backward(trained.forward(x, record=True)[1], d_y)
