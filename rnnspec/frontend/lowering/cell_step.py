"""A cell's step to the operations of a scan's region."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from types import MappingProxyType
from typing import assert_never

from rnnspec.contract.location import fused
from rnnspec.diagnostics import InternalError
from rnnspec.frontend.cells.cell_ir import (
    Applied,
    Assignment,
    Choice,
    Combined,
    Compared,
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
    operands,
)
from rnnspec.ir.builder import Builder
from rnnspec.ir.elementwise import UnaryKind
from rnnspec.ir.ops import BinaryKind, CompareKind, ReduceKind, Value
from rnnspec.ir.types import ROWS, Dim, DType, TensorType

_REDUCE: Mapping[Reduction, ReduceKind] = MappingProxyType(
    {
        Reduction.SUM: ReduceKind.SUM,
        Reduction.MEAN: ReduceKind.SUM,
        Reduction.MAX: ReduceKind.MAX,
        Reduction.MIN: ReduceKind.MIN,
    }
)


class StepLowering:
    """Emits a step's equations; `values` are its variables, `weights` the enclosing function's values by the cell's names.

    `drops`: what a variable is multiplied with for each gate of its products with weights (`gates_of`). `rows`: how many rows the
    variables have.
    """

    def __init__(
        self,
        builder: Builder,
        dtype: DType,
        weights: Mapping[str, Value],
        values: dict[str, Value],
        drops: Mapping[tuple[str, int], Value],
        rows: Dim = ROWS,
    ) -> None:
        self._rows = rows
        self._drops = drops
        self._dropped = frozenset(name for name, _ in drops)
        self._gates: dict[tuple[str, Term], tuple[Value, ...]] = {}
        self._b = builder
        self._dtype = dtype
        self._weights = weights
        self._values = values

    def run(self, step: Step) -> tuple[tuple[Value, ...], Value]:
        """The states after the step, and its output."""
        taken: Counter[str] = Counter()
        for (name, weight), count in _dropped_products(step).items() if self._drops else ():
            if name in self._dropped:
                self._gates[name, weight] = tuple(self._drops[name, taken[name] + gate] for gate in range(count))
                taken[name] += count
        layer = self._b.location
        for assignment in step.assignments:
            with self._b.at(fused((layer, assignment.location))):
                self._assign(assignment)
        carries = tuple(self._values[f"{state.name}'"] for state in step.states)
        with self._b.at(fused((layer, step.output_location))):
            return carries, self._term(step.output)

    def value_of(self, step: Step) -> Value:
        """The output of a step whose states don't change."""
        for assignment in step.assignments:
            self._assign(assignment)
        return self._term(step.output)

    def _assign(self, assignment: Assignment) -> None:
        names = [_printable(target) for target in assignment.targets]
        if len(names) == 1:
            self._values[assignment.targets[0]] = self._term(assignment.value)
            return
        value = self._term(assignment.value)
        parts = self._b.split(value, len(names), self._b.tensor(value).rank - 1, names)
        self._values |= dict(zip(assignment.targets, parts, strict=True))

    def _shape(self, shape: TermShape) -> tuple[Dim, ...]:
        return (self._rows, *shape.dimensions) if shape.stepwise else shape.dimensions

    def _term(self, term: Term) -> Value:
        match term:
            case Variable(name):
                return self._values[name]
            case WeightTerm(name):
                return self._weights[name]
            case Zeros(shape):
                return self._b.constant(0.0, TensorType(self._dtype, self._shape(shape)))
            case Positions(shape):
                return self._b.positions(shape.dimensions[0], self._dtype)
            case Literal():
                raise InternalError("a number reached the lowering without a shape")
            case Pairwise(kind, left, right, shape):
                return self._b.binary(BinaryKind[kind.name], self._as(left, shape), self._as(right, shape))
            case Negation(operand):
                return self._b.neg(self._term(operand))
            case Applied(function, operand):
                return self._b.unary(UnaryKind(function), self._term(operand))
            case Product(left, right):
                return self._product(left, right)
            case Reduced(kind, operand):
                return self._reduced(kind, operand)
            case Row(matrix, position, shape):
                return self._row(self._term(matrix), position, shape)
            case Joined(parts, shape):
                joined = [self._as(part, TermShape(part.shape.dimensions, shape.stepwise)) for part in parts]
                return self._b.concat(joined, len(self._shape(shape)) - 1)
            case Spread(operand, shape):
                return self._as(operand, shape)
            case Choice(condition, on_true, on_false, shape):
                return self._b.select(self._condition(condition, shape), self._as(on_true, shape), self._as(on_false, shape))
            case _:
                assert_never(term)

    def _row(self, value: Value, position: int, shape: TermShape) -> Value:
        """One row of a matrix, or one unit of a row."""
        axis = self._b.tensor(value).rank - len(shape.dimensions) if shape.stepwise or self._b.tensor(value).rank == 1 else 0
        count = self._b.tensor(value).shape[axis]
        if not isinstance(count, int):
            raise InternalError(f"%{value.name} has no fixed number of rows")
        sizes = [position, 1, count - position - 1]
        parts = self._b.split(value, [size for size in sizes if size], axis) if count > 1 else [value]
        part = parts[min(position, 1)]
        return part if self._b.tensor(part).rank == len(self._shape(shape)) else self._b.reshape(part, shape.dimensions)

    def _condition(self, condition: Condition, shape: TermShape) -> Value:
        """The condition, i1, repeated to a shape: what it compares is repeated, which is floats."""
        match condition:
            case Compared(kind, left, right):
                return self._b.compare(CompareKind[kind.name], self._as(left, shape), self._as(right, shape))
            case Combined(both, left, right):
                first, second = self._condition(left, shape), self._condition(right, shape)
                return self._b.and_(first, second) if both else self._b.or_(first, second)
            case _:
                assert_never(condition)

    def _as(self, term: Term, shape: TermShape) -> Value:
        """The term, repeated to a shape."""
        if isinstance(term, Literal):
            return self._b.constant(term.value, TensorType(self._dtype, self._shape(shape)))
        return self._b.broadcast_to(self._term(term), self._shape(shape))

    def _product(self, left: Term, weight: Term) -> Value:
        value, right = self._term(left), self._term(weight)
        drops = self._gates.get((_factor(left, self._dropped) or "", weight), ())
        if not drops:
            return self._b.matmul(value, right)
        blocks = self._b.split(right, len(drops), 1) if len(drops) > 1 else (right,)
        products = [self._b.matmul(self._b.mul(value, drop), block) for drop, block in zip(drops, blocks, strict=True)]
        return self._b.concat(products, 1) if len(products) > 1 else products[0]

    def _reduced(self, kind: Reduction, operand: Term) -> Value:
        value = self._term(operand)
        axis = self._b.tensor(value).rank - 1
        result = self._b.reduce(_REDUCE[kind], value, axis)
        if kind is not Reduction.MEAN:
            return result
        return self._b.mul(result, self._b.constant_like(1.0 / operand.shape.dimensions[0], result))


def _printable(name: str) -> str:
    return name.replace("'", ".next")


def gates_of(step: Step) -> dict[str, int]:
    """The number of gates, over all products with weights, for `x` and each state that is multiplied with a weight."""
    gates: Counter[str] = Counter()
    for (name, _), count in _dropped_products(step).items():
        gates[name] += count
    return dict(gates)


def _dropped_products(step: Step) -> dict[tuple[str, Term], int]:
    """The gates of each weight that `x` or a state is multiplied with: into how many parts the result is split, sums of it included."""
    known = {"x", *(state.name for state in step.states)}
    parts: dict[str, int] = {}
    gates: dict[tuple[str, Term], int] = {}

    def count(value: Term, split: int) -> None:
        pending = [value]
        while pending:
            term = pending.pop()
            own = split if term.shape.dimensions[-1:] == value.shape.dimensions[-1:] else 1
            match term:
                case Variable(name):
                    parts[name] = max(parts.get(name, 1), own)
                case Product(left, right) if (name := _factor(left, known)) is not None:
                    gates[name, right] = max(gates.get((name, right), 1), own)
                case _:
                    pass
            pending.extend(operands(term))

    count(step.output, 1)
    for assignment in reversed(step.assignments):
        first, *others = assignment.targets
        count(assignment.value, 1 + len(others) if others else parts.get(first, 1))
    return gates


def _factor(term: Term, known: Container[str]) -> str | None:
    """The variable of `known` of which a value is an elementwise multiple, as `r * h` is of `h`; None if there is none."""
    match term:
        case Variable(name) if name in known:
            return name
        case Pairwise(Elementwise.MUL, left, right, shape):
            return next((name for side in (left, right) if side.shape == shape and (name := _factor(side, known)) is not None), None)
        case _:
            return None
