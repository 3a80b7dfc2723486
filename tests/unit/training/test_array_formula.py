"""Formulas over arrays in place: the bits of the same operations on arrays that nothing overwrites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from rnnspec.contract.executable import Array, Formula, Num
from rnnspec.diagnostics import InternalError
from rnnspec.training.array_formula import array_formula
from rnnspec.training.optimizers import OPTIMIZERS, SGD, Optimizer, WeightExtent
from rnnspec.training.whole_optimizers import WholeOptimizer


@dataclass(frozen=True)
class Plain:
    """A value with an array of its own for each result."""

    value: Any

    def __add__(self, other: Plain) -> Plain:
        return Plain(self.value + other.value)

    def __sub__(self, other: Plain) -> Plain:
        return Plain(self.value - other.value)

    def __mul__(self, other: Plain) -> Plain:
        return Plain(self.value * other.value)

    def __truediv__(self, other: Plain) -> Plain:
        return Plain(self.value / other.value)

    def sqrt(self) -> Plain:
        return Plain(np.sqrt(self.value))

    def maximum(self, other: Plain) -> Plain:
        return Plain(np.maximum(self.value, other.value))

    def minimum(self, other: Plain) -> Plain:
        return Plain(np.minimum(self.value, other.value))

    def absolute(self) -> Plain:
        return Plain(np.absolute(self.value))

    def sign(self) -> Plain:
        return Plain(np.sign(self.value))

    def power(self, exponent: Plain) -> Plain:
        return Plain(np.power(self.value, exponent.value))


def expected(formula: Formula, arrays: Sequence[Array], constants: Sequence[float]) -> list[Array]:
    weight, gradient, *state = (Plain(array.copy()) for array in arrays)
    return [np.asarray(result.value) for result in formula(weight, gradient, state, [Plain(value) for value in constants])]


def check(formula: Formula, states: int, constants: Sequence[float], dtype: str = "float32") -> None:
    """Three updates, one upon the other."""
    random = np.random.default_rng(0)
    arrays = [np.abs(random.normal(size=50)).astype(dtype) for _ in range(2 + states)]
    found = array_formula(formula, states, len(constants))
    for _ in range(3):
        arrays[1][:] = random.normal(size=50)
        scratch = [np.full(50, np.nan, dtype) for _ in range(found.temporaries)]
        with np.errstate(all="ignore"):
            wanted = expected(formula, arrays, constants)
            found.run(arrays[0], arrays[1], arrays[2:], constants, scratch)
        for got, want in zip([arrays[0], *arrays[2:]], wanted, strict=True):
            assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name, made in OPTIMIZERS.items() if not issubclass(made, WholeOptimizer)),
        ("Ftrl", {"learning_rate_power": -0.3}),
        ("SGD", {"momentum": 0.9}),
        ("SGD", {"momentum": 0.9, "nesterov": True}),
        ("RMSprop", {"momentum": 0.9}),
        ("RMSprop", {"centered": True}),
        ("RMSprop", {"momentum": 0.9, "centered": True}),
        ("Adam", {"amsgrad": True}),
    ],
)
def test_optimizers(name: str, options: dict[str, Any], dtype: str) -> None:
    optimizer = OPTIMIZERS[name](**options)
    optimizer.iterations = 1
    check(optimizer.formula, optimizer.slots, optimizer.constants(), dtype)


def exchanged(weight: Num, gradient: Num, state: Sequence[Num], constants: Sequence[Num]) -> Sequence[Num]:
    return weight - gradient, state[1], state[0]


def turned(weight: Num, gradient: Num, state: Sequence[Num], constants: Sequence[Num]) -> Sequence[Num]:
    return state[0], state[1], weight


def same_twice(weight: Num, gradient: Num, state: Sequence[Num], constants: Sequence[Num]) -> Sequence[Num]:
    step = gradient * constants[0]
    return step, step, gradient


def read_late(weight: Num, gradient: Num, state: Sequence[Num], constants: Sequence[Num]) -> Sequence[Num]:
    """The new state is known before the old one is read for the last time."""
    new = gradient * constants[0]
    return weight - state[0] * new, new, state[1].maximum(state[0] + new)


def unchanged(weight: Num, gradient: Num, state: Sequence[Num], constants: Sequence[Num]) -> Sequence[Num]:
    unread = gradient / state[0]
    unread.sqrt()
    return weight, *state


def lent(weight: Num, gradient: Num, state: Sequence[Num], constants: Sequence[Num]) -> Sequence[Num]:
    """A state's place is free between its last reading and its new value, and not longer."""
    first = state[0] * constants[0]
    second = state[1] * gradient
    new = first + second
    return weight - second * new * first, new, second / first


@pytest.mark.parametrize("formula", [exchanged, turned, same_twice, read_late, unchanged, lent])
def test_places(formula: Formula) -> None:
    check(formula, 2, [0.5])


def test_drawn_formulas() -> None:
    random = np.random.default_rng(1)
    for _ in range(300):
        states, choices = int(random.integers(0, 4)), random.integers(0, 2**30, 40)

        def drawn(
            weight: Num, gradient: Num, state: Sequence[Num], constants: Sequence[Num], choices: Sequence[int] = tuple(map(int, choices))
        ) -> Sequence[Num]:
            values = [weight, gradient, *state]
            for choice in choices[:12]:
                left, right = values[choice % len(values)], [*values, *constants][choice // 100 % (len(values) + len(constants))]
                values.append((left + right, left - right, left * right, left.maximum(right))[choice // 10000 % 4])
            return [values[choice % len(values)] for choice in choices[12 : 13 + len(state)]]

        check(drawn, states, [0.25, -1.5])


def test_few_temporaries() -> None:
    """What an update touches stays in the cache: beside the gradient, which is overwritten, few arrays are enough for Keras's rules."""
    for name, made in OPTIMIZERS.items():
        if not issubclass(made, WholeOptimizer):
            optimizer = made()
            optimizer.iterations = 1
            most = {"Ftrl": 4, "Nadam": 2, "Adadelta": 2, "Lion": 2}.get(name, 1)
            assert array_formula(optimizer.formula, optimizer.slots, len(optimizer.constants())).temporaries <= most, name


def test_formulas_that_are_none() -> None:
    def of_constants(weight: Num, gradient: Num, state: Sequence[Num], constants: Sequence[Num]) -> Sequence[Num]:
        return (weight * (constants[0] + constants[0]),)

    def too_few(weight: Num, gradient: Num, state: Sequence[Num], constants: Sequence[Num]) -> Sequence[Num]:
        return (weight,)

    with pytest.raises(InternalError, match="constants alone"):
        array_formula(of_constants, 0, 1)
    with pytest.raises(InternalError, match="gives 0 states for 1"):
        array_formula(too_few, 1, 1)


def stepped(optimizer: Optimizer, weights: Array) -> Array:
    optimizer.step(weights, np.ones_like(weights))
    return weights


def test_settings_between_updates() -> None:
    """A rate takes effect at once, and so does what is true or false."""
    optimizer = OPTIMIZERS["SGD"](learning_rate=1.0, momentum=0.5)
    weights = np.zeros(2)
    optimizer.bind([WeightExtent(0, 2)], weights.dtype)
    assert stepped(optimizer, weights).tolist() == [-1, -1]
    optimizer.learning_rate = 2.0
    assert stepped(optimizer, weights).tolist() == [-3.5, -3.5]
    assert isinstance(optimizer, SGD)
    optimizer.nesterov = True
    assert stepped(optimizer, weights).tolist() == [-7.125, -7.125]


def test_another_number_of_states_from_the_next_binding_on() -> None:
    optimizer = SGD(learning_rate=1.0)
    for momentum, expected in ((0.0, [-1.0, -2.0]), (0.5, [-1.0, -2.5]), (0.0, [-1.0, -2.0])):
        optimizer.momentum = momentum
        weights = np.zeros(1)
        optimizer.bind([WeightExtent(0, 1)], weights.dtype)
        assert [float(stepped(optimizer, weights)[0]) for _ in range(2)] == expected
