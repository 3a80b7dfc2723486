"""Logarithms of values that are made of exponentials, from the logarithms of what they are made of.

In real numbers, and each only where the operands' shapes and signs are seen to be right:

- log(exp(a)) = a
- log(sigmoid(x)) = -softplus(-x) and log(1 - sigmoid(x)) = -softplus(x)
- log(a * b) = log(a) + log(b) and log(a / b) = log(a) - log(b), if one of the two is never negative: then both forms are NaN where
  the other one is
- log(max(a, c)) = max(log(a), log(c)), and with min, for a constant c > 0 and an a that is never negative: the logarithm rises, so the
  same side is chosen, and at a tie too; and log(1 - max(a, c)) = min(log(1 - a), log(1 - c)) for c < 1, since 1 - a falls
- log(broadcast(a)) = broadcast(log(a))
- of a row from which one element is picked, the element of the logarithms: sum(where(positions == class, a, 0)). A class that is none
  of the positions picks nothing, and log(0) is minus infinity in either form.

A softmax is exp(x - m) / sum(exp(x - m)), so its logarithm becomes x - m - log(sum(exp(x - m))), with one logarithm a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from rnnspec.frozen import frozen
from rnnspec.ir.builder import Builder
from rnnspec.ir.ops import (
    Binary,
    BinaryKind,
    Broadcast,
    Constant,
    Operation,
    Reduce,
    ReduceKind,
    Select,
    Unary,
    UnaryKind,
    Value,
)
from rnnspec.ir.traverse import results_of
from rnnspec.passes.picks import Pick, number_of, pick_of

DEEPEST = 32
"""The most operations between a logarithm and what it is made of."""

FALLING = {BinaryKind.MAX: BinaryKind.MIN, BinaryKind.MIN: BinaryKind.MAX}
"""What a choice becomes under a falling function."""


@frozen
class Form:
    """How a logarithm is made, and how many operations stand between it and the exponentials."""

    make: Callable[[LogarithmWriter], Value]
    depth: int = 1


Forms: TypeAlias = dict[Value, Form]


@dataclass
class Logarithms:
    """What is known of the values of a function, whose operations it is told in their order.

    `forms`: of values whose logarithm can be made of something else. `complements`: the same of log(1 - value), of values in 0 .. 1.
    `never_negative`: values that are 0, positive or NaN. `shares`: rows divided by their own sum, of numbers that are never negative.
    """

    defined: dict[Value, Operation] = field(default_factory=dict[Value, Operation])
    forms: Forms = field(default_factory=dict[Value, Form])
    complements: Forms = field(default_factory=dict[Value, Form])
    never_negative: set[Value] = field(default_factory=set[Value])
    shares: set[Value] = field(default_factory=set[Value])

    def learn(self, operation: Operation) -> None:
        """Takes in the operation, whose operands are known."""
        self.defined.update((result, operation) for result in results_of(operation))
        match operation:
            case Constant(result, value):
                self._signed(result, value >= 0.0)
            case Unary():
                self._unary(operation)
            case Binary():
                self._binary(operation)
            case Broadcast(result, operand):
                self._signed(result, operand in self.never_negative)
                self._derive(self.forms, result, lambda w: w.b.broadcast_like(w.log(operand), result), self.forms.get(operand))
                self._derive(
                    self.complements, result, lambda w: w.b.broadcast_like(w.complement(operand), result), self.complements.get(operand)
                )
            case Select(result, _, on_true, on_false):
                self._signed(result, {on_true, on_false} <= self.never_negative)
            case Reduce(result, ReduceKind.SUM, operand, _):
                self._signed(result, operand in self.never_negative)
                self._picked(operation)
            case _:
                pass

    def number(self, value: Value) -> float | None:
        """The number that a constant is in its own element type; None of any other value."""
        return number_of(value, self.defined)

    def is_divided_again(self, operation: Operation) -> bool:
        """Whether a row that its sum has divided before is divided by its sum, which is 1 up to its rounding."""
        return isinstance(operation, Binary) and operation.left in self.shares and self._is_divided_by_its_sum(operation)

    def has_form(self, value: Value) -> bool:
        """Whether its logarithm can be made of something else, or of fewer elements."""
        return value in self.forms or isinstance(self.defined.get(value), Broadcast)

    def _signed(self, value: Value, never_negative: bool) -> None:
        if never_negative:
            self.never_negative.add(value)

    @staticmethod
    def _derive(forms: Forms, result: Value, make: Callable[[LogarithmWriter], Value], *of: Form | None) -> None:
        """A form that is made with others, of which one must be known."""
        depth = max((form.depth for form in of if form is not None), default=DEEPEST)
        if depth < DEEPEST:
            forms[result] = Form(make, depth + 1)

    def _unary(self, operation: Unary) -> None:
        result, operand = operation.result, operation.operand
        self._signed(result, operation.kind in (UnaryKind.EXP, UnaryKind.SIGMOID, UnaryKind.ABS, UnaryKind.SQRT))
        if operation.kind is UnaryKind.EXP:
            self.forms[result] = Form(lambda w: operand)
        elif operation.kind is UnaryKind.SIGMOID:
            self.forms[result] = Form(lambda w: _log_sigmoid(w.b, operand, complement=False))
            self.complements[result] = Form(lambda w: _log_sigmoid(w.b, operand, complement=True))

    def _binary(self, operation: Binary) -> None:
        result, left, right = operation.result, operation.left, operation.right
        signs = [side in self.never_negative for side in (left, right)]
        forms = [self.forms.get(side) for side in (left, right)]
        match operation.kind:
            case BinaryKind.MUL | BinaryKind.DIV as kind:
                self._signed(result, all(signs))
                together = BinaryKind.ADD if kind is BinaryKind.MUL else BinaryKind.SUB
                if any(signs):
                    self._derive(self.forms, result, lambda w: w.b.binary(together, w.log(left), w.log(right)), *forms)
                if kind is BinaryKind.DIV and left in self.never_negative and self._is_divided_by_its_sum(operation):
                    self.shares.add(result)
            case BinaryKind.ADD:
                self._signed(result, all(signs))
            case BinaryKind.MAX | BinaryKind.MIN:
                self._signed(result, any(signs) if operation.kind is BinaryKind.MAX else all(signs))
                self._bounded(operation)
            case BinaryKind.SUB if self.number(left) == 1.0 and right in self.complements:
                self.never_negative.add(result)
                self._derive(self.forms, result, lambda w: w.complement(right), self.complements[right])
            case _:
                pass

    def _bounded(self, operation: Binary) -> None:
        """A side is a constant: then the other one's form is the result's."""
        result, left, right, kind = operation.result, operation.left, operation.right, operation.kind
        for side, bound in ((left, self.number(right)), (right, self.number(left))):
            if bound is None:
                continue
            if bound > 0.0 and side in self.never_negative:
                self._derive(self.forms, result, lambda w: w.b.binary(kind, w.log(left), w.log(right)), self.forms.get(side))
            if bound < 1.0:
                self._derive(
                    self.complements,
                    result,
                    lambda w: w.b.binary(FALLING[kind], w.complement(left), w.complement(right)),
                    self.complements.get(side),
                )

    def _is_divided_by_its_sum(self, division: Binary) -> bool:
        match self.defined.get(division.right):
            case Broadcast(_, total):
                return self._is_sum_of_row(total, division.left)
            case _:
                return False

    def _is_sum_of_row(self, total: Value, row: Value) -> bool:
        match self.defined.get(total):
            case Reduce(_, ReduceKind.SUM, operand, axis):
                return operand == row and axis == len(Builder.tensor(row).shape) - 1
            case _:
                return False

    def _picked(self, total: Reduce) -> None:
        pick = pick_of(total, self.defined)
        if pick is not None:
            self._derive(self.forms, total.result, lambda w: _log_of_picked(w, total, pick), self.forms.get(pick.row))


@dataclass
class LogarithmWriter:
    """Makes logarithms in one body, each once."""

    known: Logarithms
    b: Builder
    _logs: dict[Value, Value] = field(default_factory=dict[Value, Value])
    _complements: dict[Value, Value] = field(default_factory=dict[Value, Value])

    def log(self, value: Value) -> Value:
        """log(value), by its form if it has one."""
        if value not in self._logs:
            self._logs[value] = self._log(value)
        return self._logs[value]

    def complement(self, value: Value) -> Value:
        """log(1 - value), of a constant below 1 or a value that is among the known complements."""
        if value not in self._complements:
            number = self.known.number(value)
            made = self.known.complements[value].make(self) if number is None else self.b.constant_like(math.log1p(-number), value)
            self._complements[value] = made
        return self._complements[value]

    def _log(self, value: Value) -> Value:
        number = self.known.number(value)
        if number is not None and 0.0 < number < math.inf:
            return self.b.constant_like(math.log(number), value)
        if value in self.known.forms:
            return self.known.forms[value].make(self)
        match self.known.defined.get(value):
            case Broadcast(_, operand):
                return self.b.broadcast_like(self.log(operand), value)
            case _:
                return self.b.log(value)


def _log_sigmoid(b: Builder, x: Value, *, complement: bool) -> Value:
    """log(sigmoid(x)) = min(x, 0) - log1p(exp(-|x|)); with `complement` log(1 - sigmoid(x)) = min(0, -x) - log1p(exp(-|x|)).

    -|x| is min(x, -x) and the sides are in this order because a tie gives its gradient to the right: at 0 that makes the slopes
    0 + 1/2 and -1 + 1/2, which are the functions' own.
    """
    negative, zero = b.neg(x), b.constant_like(0.0, x)
    ramp = b.min(zero, negative) if complement else b.min(x, zero)
    return b.sub(ramp, b.log1p(b.exp(b.min(x, negative))))


def _log_of_picked(w: LogarithmWriter, total: Reduce, pick: Pick) -> Value:
    """The flagged element of each row; minus infinity where there is none."""
    b = w.b
    picked = b.reduce_sum(b.select(pick.flags, w.log(pick.row), pick.zeros), total.axis)
    count = b.reduce_sum(b.select(pick.flags, b.constant_like(1.0, pick.zeros), pick.zeros), total.axis)
    return b.select(b.greater(count, b.constant_like(0.0, count)), picked, b.constant_like(-math.inf, count))
