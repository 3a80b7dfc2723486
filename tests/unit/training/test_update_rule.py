"""Optimizers as data: what their constants are of the learning rate and the update's number, in native code as in Python."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rnnspec.contract.step_number import StepNumber, power
from rnnspec.contract.update_rule import UpdateRule
from rnnspec.driver.compilation import compilation_of
from rnnspec.training.optimizers import SGD, Adam, Adamax, AdamW, Ftrl, Optimizer, RMSprop
from rnnspec.training.update_rule import update_rule

SIGNATURE = compilation_of("model M { input x: float[time, 3]\n LSTM(4)\n Dense(1) }").signature


def value(number: StepNumber, rate: float, steps: int) -> float:
    """A number for a learning rate and an update."""
    operands = [value(each, rate, steps) for each in number.operands]
    match number.operation:
        case "constant":
            return number.value
        case "rate":
            return rate
        case "power":
            return power(number.value, steps)
        case "add":
            return operands[0] + operands[1]
        case "subtract":
            return operands[0] - operands[1]
        case "multiply":
            return operands[0] * operands[1]
        case "divide":
            return operands[0] / operands[1]
        case "root":
            return math.sqrt(operands[0])
        case "steps":
            raise AssertionError(number)


def rule(optimizer: Optimizer) -> UpdateRule:
    return update_rule(optimizer, SIGNATURE, ())


@pytest.mark.parametrize("make", [SGD, Adam, AdamW, Adamax, RMSprop, Ftrl])
def test_constants_are_those_of_the_update(make: type[Optimizer]) -> None:
    made = rule(make(0.03))
    assert made.learning_rate == 0.03
    optimizer = make(0.03)
    for steps in (1, 2, 7, 1000):
        optimizer.iterations = steps
        assert tuple(value(each, 0.03, steps) for each in made.constants) == optimizer.constants()


def test_a_power_is_as_near_as_a_step_needs() -> None:
    for base in (0.9, 0.999, 0.5, 0.0):
        for steps in (0, 1, 2, 3, 31, 1000, 123_456):
            assert power(base, steps) == pytest.approx(base**steps, rel=1e-10, abs=1e-300)


def test_decay_leaves_its_exceptions_alone() -> None:
    optimizer = AdamW(0.01, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    decays = {(start, stop): None if decay is None else value(decay, 0.5, 1) for start, stop, decay in rule(optimizer).runs}
    assert decays == {(0, 112): 0.05, (112, 128): None, (128, 132): 0.05, (132, 133): None}


def test_the_constants_of_a_float32_model_are_rounded_once() -> None:
    constant = rule(Adam(0.001)).constants[0]
    assert np.float32(value(constant, 0.001, 1)) == np.float32(0.001 * math.sqrt(1 - 0.999) / (1 - 0.9))
