"""Equations of rows as nodes: a cell's step in the body of a scan, an activation behind a layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

import numpy as np

from rnnspec.frontend.cells.cell_ir import (
    Applied,
    Choice,
    Combined,
    Compared,
    Comparison,
    Condition,
    Elementwise,
    Joined,
    Literal,
    Negation,
    Pairwise,
    Positions,
    Product,
    Reduced,
    Reduction,
    Row,
    Spread,
    Step,
    Term,
    TermShape,
    Variable,
    WeightTerm,
    Zeros,
)
from rnnspec.interop.onnx_export.graph_writer import GraphWriter

PAIRS: Mapping[Elementwise, str] = {
    Elementwise.ADD: "Add",
    Elementwise.SUB: "Sub",
    Elementwise.MUL: "Mul",
    Elementwise.DIV: "Div",
    Elementwise.MIN: "Min",
    Elementwise.MAX: "Max",
    Elementwise.POW: "Pow",
}

REDUCTIONS: Mapping[Reduction, str] = {
    Reduction.SUM: "ReduceSum",
    Reduction.MEAN: "ReduceMean",
    Reduction.MAX: "ReduceMax",
    Reduction.MIN: "ReduceMin",
}

COMPARISONS: Mapping[Comparison, str] = {
    Comparison.LT: "Less",
    Comparison.LE: "LessOrEqual",
    Comparison.GT: "Greater",
    Comparison.GE: "GreaterOrEqual",
    Comparison.EQ: "Equal",
    Comparison.NE: "Equal",
}

APPLIED: Mapping[str, str] = {
    "abs": "Abs",
    "cos": "Cos",
    "erf": "Erf",
    "exp": "Exp",
    "floor": "Floor",
    "log": "Log",
    "round": "Round",
    "sigmoid": "Sigmoid",
    "sin": "Sin",
    "sqrt": "Sqrt",
    "stop_gradient": "Identity",
    "tanh": "Tanh",
}


class EquationWriter:
    """Writes a step's equations. `values`: names of its variables; `weights`: names of the constants; `like`: a value with all rows."""

    def __init__(self, writer: GraphWriter, values: dict[str, str], weights: Mapping[str, str], like: str) -> None:
        self._w = writer
        self._values = values
        self._weights = weights
        self._like = like
        self._made: dict[Term, str] = {}

    def run(self, step: Step) -> tuple[list[str], str]:
        """The states after the step, and its output."""
        for assignment in step.assignments:
            value = self.term(assignment.value)
            if len(assignment.targets) == 1:
                self._values[assignment.targets[0]] = value
            else:
                width = assignment.value.shape.dimensions[-1] // len(assignment.targets)
                parts = self._w.split(value, [width] * len(assignment.targets))
                self._values |= dict(zip(assignment.targets, parts, strict=True))
        return [self._values[f"{state.name}'"] for state in step.states], self.term(step.output)

    def term(self, term: Term) -> str:
        """The name of a term's value, which is written once."""
        if isinstance(term, Variable):
            return self._values[term.name]
        found = self._made.get(term)
        if found is None:
            found = self._made[term] = self._term(term)
        return found

    def _term(self, term: Term) -> str:
        w = self._w
        match term:
            case Variable(name):
                return self._values[name]
            case WeightTerm(name):
                return self._weights[name]
            case Literal(value):
                return w.constant(value)
            case Zeros(shape):
                return w.constant(np.zeros(shape.dimensions))
            case Positions(shape):
                return w.constant(np.arange(shape.dimensions[0]))
            case Pairwise(kind, left, right):
                return w.one(PAIRS[kind], self.term(left), self.term(right))
            case Negation(operand):
                return w.one("Neg", self.term(operand))
            case Applied(function, operand):
                return self._applied(function, self.term(operand))
            case Product(left, right):
                return w.one("MatMul", self._full(left), self.term(right))
            case Reduced(kind, operand):
                return w.reduce(REDUCTIONS[kind], self.term(operand), -1)
            case Row(matrix, position):
                return self._row(matrix, position)
            case Joined(parts, shape):
                full = [self._full(part) if shape.stepwise else self.term(part) for part in parts]
                return w.one("Concat", *full, axis=-1)
            case Spread(operand, shape):
                return self._spread(self.term(operand), operand.shape, shape)
            case Choice(condition, on_true, on_false):
                return w.one("Where", self._condition(condition), self.term(on_true), self.term(on_false))
            case _:
                assert_never(term)

    def _applied(self, function: str, value: str) -> str:
        w = self._w
        match function:
            case "expm1":  # tanh(x / 2) (exp(x) + 1), which is the same and keeps its digits near 0
                half = w.one("Tanh", w.one("Mul", value, w.constant(0.5)))
                whole = w.one("Mul", half, w.one("Add", w.one("Exp", value), w.constant(1.0)))
                return w.one("Where", w.one("Less", value, w.constant(30.0)), whole, w.one("Exp", value))
            case "log1p":  # log(u) x / (u - 1) with u = 1 + x: Kahan's form, exact near 0
                up = w.one("Add", value, w.constant(1.0))
                above = w.one("Sub", up, w.constant(1.0))
                none = w.one("Equal", above, w.constant(0.0))
                safe = w.one("Where", none, w.constant(1.0), above)
                return w.one("Where", none, value, w.one("Div", w.one("Mul", w.one("Log", up), value), safe))
            case _:
                return w.one(APPLIED[function], value)

    def _row(self, matrix: Term, position: int) -> str:
        value = self.term(matrix)
        if len(matrix.shape.dimensions) == 2:
            return self._w.one("Gather", value, self._w.constant(position, np.int64, "number"), axis=0)
        return self._w.slice(value, position, position + 1, -1)

    def _full(self, term: Term) -> str:
        """A term with a row for each sample."""
        shape = term.shape
        value = self.term(term)
        return value if shape.stepwise else self._spread(value, shape, TermShape(shape.dimensions or (1,), True))

    def _spread(self, value: str, shape: TermShape, wanted: TermShape) -> str:
        """A value of width 1, or of no samples, at all units, or for all samples."""
        if shape == wanted:
            return value
        width = wanted.dimensions[-1]
        if not wanted.stepwise:
            return self._w.one("Expand", value, self._w.whole(width))
        sizes = self._w.one("Shape", self._like)
        lead = self._w.slice(sizes, 0, -1, 0)
        return self._w.one("Expand", value, self._w.one("Concat", lead, self._w.whole(width), axis=0))

    def _condition(self, condition: Condition) -> str:
        w = self._w
        match condition:
            case Compared():
                compared = w.one(COMPARISONS[condition.kind], self.term(condition.left), self.term(condition.right))
                return w.one("Not", compared) if condition.kind is Comparison.NE else compared
            case Combined():
                sides = self._condition(condition.left), self._condition(condition.right)
                return w.one("And" if condition.both else "Or", *sides)
            case _:
                assert_never(condition)
