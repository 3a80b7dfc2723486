"""An optimizer's formula over arrays: traced once, then run as calls of numpy that write into existing arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any, NamedTuple

import numpy as np

from rnnspec.contract.executable import Array, Formula
from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen

NONE = -1
"""The second operand in a call of one operand."""

WEIGHT, GRADIENT, STATE = 0, 1, 2
"""Places of the weight, the gradient and the first state among a formula's operands; the constants follow the states."""


class Call(NamedTuple):
    """One of numpy's functions, with the places of its operands and of its result."""

    function: Callable[..., Any]
    first: int
    second: int
    result: int


@frozen
class Trace:
    """The calls of a formula so far, each on earlier values. `operands`: the number of values before the first call."""

    operands: int
    constants: range
    calls: list[Call] = field(default_factory=list[Call])

    def call(self, function: Callable[..., Any], first: int, second: int = NONE) -> TracedNumber:
        """Records a call of numpy on one place or two; InternalError for one on constants alone."""
        if first in self.constants and (second in self.constants or second == NONE):
            raise InternalError("an optimizer's formula computes with constants alone: they are computed before it")
        self.calls.append(Call(function, first, second, self.operands + len(self.calls)))
        return TracedNumber(self, self.calls[-1].result)


@frozen(eq=False)
class TracedNumber:
    """A value of the formula under way; arithmetic on it adds to the trace."""

    trace: Trace
    value: int

    def __add__(self, other: TracedNumber) -> TracedNumber:
        return self.trace.call(np.add, self.value, other.value)

    def __sub__(self, other: TracedNumber) -> TracedNumber:
        return self.trace.call(np.subtract, self.value, other.value)

    def __mul__(self, other: TracedNumber) -> TracedNumber:
        return self.trace.call(np.multiply, self.value, other.value)

    def __truediv__(self, other: TracedNumber) -> TracedNumber:
        return self.trace.call(np.true_divide, self.value, other.value)

    def sqrt(self) -> TracedNumber:
        """The square root."""
        return self.trace.call(np.sqrt, self.value)

    def maximum(self, other: TracedNumber) -> TracedNumber:
        """The larger one, as `numpy.maximum`."""
        return self.trace.call(_maximum, self.value, other.value)

    def minimum(self, other: TracedNumber) -> TracedNumber:
        """The smaller one, as `numpy.minimum`."""
        return self.trace.call(_minimum, self.value, other.value)

    def absolute(self) -> TracedNumber:
        """As `numpy.absolute`."""
        return self.trace.call(np.absolute, self.value)

    def sign(self) -> TracedNumber:
        """As `numpy.sign`."""
        return self.trace.call(np.sign, self.value)

    def power(self, exponent: TracedNumber) -> TracedNumber:
        """As `numpy.power`."""
        return self.trace.call(np.power, self.value, exponent.value)


def _maximum(first: Array, second: Array, result: Array) -> None:
    """numpy's `maximum` takes the array for its result by name only."""
    np.maximum(first, second, out=result)


def _minimum(first: Array, second: Array, result: Array) -> None:
    np.minimum(first, second, out=result)


@frozen
class ArrayFormula:
    """A formula as calls on numbered arrays: its operands, then so many `temporaries`, which it may overwrite."""

    calls: tuple[Call, ...]
    temporaries: int

    def run(self, weight: Array, gradient: Array, state: Sequence[Array], constants: Sequence[float], temporaries: Sequence[Array]) -> None:
        """The new weight and state in the places of the old ones; all arrays have one length, and `gradient` may be overwritten."""
        places: list[Any] = [weight, gradient, *state, *constants, *temporaries]
        for function, first, second, result in self.calls:
            if second < 0:
                function(places[first], places[result])
            else:
                function(places[first], places[second], places[result])


def array_formula(formula: Formula, states: int, constants: int) -> ArrayFormula:
    """A formula with so many states and constants, over arrays; InternalError if it gives another number of states."""
    first = STATE + states
    trace = Trace(first + constants, range(first, first + constants))
    weight, gradient, *rest = (TracedNumber(trace, value) for value in range(trace.operands))
    results = formula(weight, gradient, rest[:states], rest[states:])
    if len(results) != 1 + states:
        raise InternalError(f"an optimizer's formula gives {len(results) - 1} states for {states}")
    targets = (WEIGHT, *range(STATE, first))
    placed: dict[int, int] = {}
    for result, target in zip(results, targets, strict=True):
        if result.value != target:
            fresh = result.value >= trace.operands and result.value not in placed
            placed[result.value if fresh else trace.call(np.positive, result.value).value] = target
    return _in_place(trace, placed)


def _in_place(trace: Trace, placed: dict[int, int]) -> ArrayFormula:
    """The calls with places in the stead of values; `placed`: where each result has to be in the end.

    A result goes there at once if nothing reads what is there any more, else it is copied at the end. Other values take a place
    that is free for as long as they are read: that of the gradient or of a temporary behind the last call that reads it, and that
    of the weight or of a state between the last call that reads it and the one that makes the new one.
    """
    last = {value: number for number, call in enumerate(trace.calls) for value in (call.first, call.second)}
    ends = len(trace.calls)
    made = {target: result - trace.operands for result, target in placed.items()}
    until = {place: made.get(place, ends if place == GRADIENT else 0) for place in range(trace.operands)}
    home = {value: value for value in range(trace.operands)}
    free: list[int] = []
    calls: list[Call] = []
    copies: list[Call] = []
    for number, call in enumerate(trace.calls):
        first, second = home[call.first], home.get(call.second, NONE)
        free += [home[value] for value in {call.first, call.second} - {NONE} if last[value] == number and value not in placed]
        target = placed.get(call.result, NONE)
        if target != NONE and last.get(target, NONE) <= number:
            place = target
        else:
            needed = ends if target != NONE else last.get(call.result, number)
            place = next((place for place in reversed(free) if until[place] >= needed), len(until))
            until.setdefault(place, ends)
            if target != NONE:
                copies.append(Call(np.positive, place, NONE, target))
        if place in free:
            free.remove(place)
        home[call.result] = place
        calls.append(Call(call.function, first, second, place))
        if call.result not in last and call.result not in placed:
            free.append(place)
    return ArrayFormula((*calls, *copies), len(until) - trace.operands)
