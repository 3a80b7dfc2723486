"""An optimizer's update of the rows of a table, with the steps that each row has missed, as one native function.

What an optimizer computes is given as a function of numbers; it is called with numbers that write LLVM's
instructions. Every operation is IEEE's, none is contracted or reordered and denormals stay: the bits are numpy's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rnnspec.backend.llvm_cpu.writer import FunctionWriter
from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen
from rnnspec.kernel.target import Target

SYMBOL = "rnnspec_update_rows"
ELEMENTS = {"float32": ("float", "i32", 4), "float64": ("double", "i64", 8)}


@frozen
class Expression:
    """A value of the function under way; arithmetic on it writes instructions."""

    body: _Body
    register: str

    def __add__(self, other: Expression) -> Expression:
        return self.body.binary("fadd", self, other)

    def __sub__(self, other: Expression) -> Expression:
        return self.body.binary("fsub", self, other)

    def __mul__(self, other: Expression) -> Expression:
        return self.body.binary("fmul", self, other)

    def __truediv__(self, other: Expression) -> Expression:
        return self.body.binary("fdiv", self, other)

    def sqrt(self) -> Expression:
        """The square root, rounded once."""
        return self.body.intrinsic("sqrt", self)

    def maximum(self, other: Expression) -> Expression:
        """The larger one, as `numpy.maximum`."""
        return self.body.extreme("ult", self, other)

    def minimum(self, other: Expression) -> Expression:
        """The smaller one, as `numpy.minimum`."""
        return self.body.extreme("ugt", self, other)

    def absolute(self) -> Expression:
        """As `numpy.absolute`: the sign's bit is cleared."""
        return self.body.intrinsic("fabs", self)

    def sign(self) -> Expression:
        """As `numpy.sign`."""
        return self.body.sign(self)

    def power(self, exponent: Expression) -> Expression:
        """InternalError: its bits would be others than numpy's."""
        raise InternalError("a power has no native code whose bits are numpy's")


Formula = Callable[[Expression, Expression, Sequence[Expression], Sequence[Expression]], Sequence[Expression]]
"""Weight, gradient, state, constants to weight and state."""


def emit_update(formula: Formula, states: int, constants: int, dtype: str, target: Target) -> str:
    """`void rnnspec_update_rows(void **pointers, int64_t *dims)` as LLVM text.

    Pointers: the table's weights and gradient (rows of `width`), for each row how many steps it has had (i64),
    the numbers of the rows to update (i64), the steps' constants (`constants` each), the table's states.
    Dims: how many rows, their width, how many steps there were, and whether one more is to be made with the gradient,
    which is cleared where it was used. Each row is first brought up to the steps that there were, with a gradient of zero.
    Where the state is all zeros one such step stands for any number of them.
    """
    text, declarations = update_function(SYMBOL, "dso_local", formula, states, constants, dtype, target)
    wide = f' "prefer-vector-width"="{target.vector_bytes * 8}"' if target.vector_bytes > 32 else ""
    head = f'target triple = "{target.triple}"\n\n' if target.triple else ""
    return "\n".join([head + text, *sorted(declarations), f"attributes #0 = {{ nounwind{wide} }}\n"])


def update_function(
    name: str, linkage: str, formula: Formula, states: int, constants: int, dtype: str, target: Target
) -> tuple[str, set[str]]:
    """That function's definition alone, under any name, and the declarations that it needs."""
    element, bits, size = ELEMENTS[dtype]
    writer = FunctionWriter(name, ["ptr %pointers", "ptr %dims"], linkage=linkage)
    weights, gradient, steps_applied, rows, numbers, *kept = _table(writer, "ptr", "%pointers", 5 + states)
    count, width, steps, last = _table(writer, "i64", "%dims", 4)
    learning = writer.assign(f"icmp ne i64 {last}, 0", "learning")
    done = writer.add(steps, last)
    declarations: set[str] = set()
    with writer.loop("0", count, hint="r") as place:
        row = _load(writer, "i64", rows, place)
        seen_at = writer.assign(f"getelementptr inbounds i64, ptr {steps_applied}, i64 {row}", "p")
        seen = writer.assign(f"load i64, ptr {seen_at}", "seen")
        start = writer.multiply(row, width)
        stop = writer.add(start, width)
        for lanes in dict.fromkeys((2 * target.vector_bytes // size, 4, 1)):
            body = _Body(writer, declarations, element, bits, size, lanes)
            blocks = writer.assign(f"sdiv i64 {writer.subtract(stop, start)}, {lanes}", "blocks")
            end = writer.add(start, writer.multiply(blocks, lanes))
            with writer.loop(start, end, lanes, hint="u") as unit:
                body.unit(formula, unit, (weights, *kept), (numbers, constants), seen, steps)
                with writer.when(learning):
                    body.learn(formula, unit, (weights, *kept), (numbers, constants), gradient, steps)
            start = end
        writer.do(f"store i64 {done}, ptr {seen_at}")
    return writer.text(), declarations


@frozen(slots=False, eq=False)
class _Body:
    """The update of `lanes` neighbouring numbers of a row."""

    writer: FunctionWriter
    declarations: set[str]
    element: str
    bits: str
    size: int
    lanes: int

    @property
    def type(self) -> str:
        return self._vector(self.element)

    def _vector(self, element: str) -> str:
        return element if self.lanes == 1 else f"<{self.lanes} x {element}>"

    def unit(self, formula: Formula, place: str, arrays: Sequence[str], constants: tuple[str, int], seen: str, steps: str) -> None:
        """Catches up."""
        values = [self._load(array, place) for array in arrays]
        start = self._start(values[1:], seen, steps)
        with self.writer.carrying_loop(start, steps, 1, [(self.type, value) for value in values], "step") as (step, carried, following):
            following.extend(self._computed(formula, carried, self._zero(), constants, step))
        for array, value in zip(arrays, carried, strict=True):
            self._store(value, array, place)

    def learn(self, formula: Formula, place: str, arrays: Sequence[str], constants: tuple[str, int], gradient: str, step: str) -> None:
        """The step with a gradient, after the missed steps."""
        values = [self._load(array, place) for array in arrays]
        results = self._computed(formula, values, self._load(gradient, place), constants, step)
        for array, value in zip(arrays, results, strict=True):
            self._store(value, array, place)
        self._store(self._zero(), gradient, place)

    def _computed(self, formula: Formula, values: Sequence[str], gradient: str, constants: tuple[str, int], step: str) -> list[str]:
        weight, *state = (Expression(self, value) for value in values)
        array, count = constants
        first = self.writer.multiply(step, count)
        known = [Expression(self, self._spread(_load(self.writer, self.element, array, self.writer.add(first, n)))) for n in range(count)]
        return [result.register for result in formula(weight, Expression(self, gradient), state, known)]

    def _start(self, state: Sequence[str], seen: str, steps: str) -> str:
        """The first step to make up for: the last one, where the state is all zeros."""
        writer = self.writer
        self.declarations.add("declare i64 @llvm.smax.i64(i64, i64)")
        final = writer.assign(f"call i64 @llvm.smax.i64(i64 {seen}, i64 {writer.add(steps, -1)})", "final")
        if not state:
            return final
        whole = self._vector(self.bits)
        pattern = "0" if self.lanes == 1 else "zeroinitializer"
        for value in state:
            pattern = writer.assign(f"or {whole} {pattern}, {writer.assign(f'bitcast {self.type} {value} to {whole}')}")
        if self.lanes > 1:
            name = f"@llvm.vector.reduce.or.v{self.lanes}{self.bits}"
            self.declarations.add(f"declare {self.bits} {name}({whole})")
            pattern = writer.assign(f"call {self.bits} {name}({whole} {pattern})")
        return writer.assign(f"select i1 {writer.assign(f'icmp eq {self.bits} {pattern}, 0')}, i64 {final}, i64 {seen}", "start")

    def _zero(self) -> str:
        return "0.0" if self.lanes == 1 else "zeroinitializer"

    def _spread(self, value: str) -> str:
        if self.lanes == 1:
            return value
        one = self.writer.assign(f"insertelement {self.type} poison, {self.element} {value}, i64 0")
        return self.writer.assign(f"shufflevector {self.type} {one}, {self.type} poison, <{self.lanes} x i32> zeroinitializer")

    def _load(self, array: str, place: str) -> str:
        pointer = self.writer.assign(f"getelementptr inbounds {self.element}, ptr {array}, i64 {place}", "p")
        return self.writer.assign(f"load {self.type}, ptr {pointer}, align {self.size}")

    def _store(self, value: str, array: str, place: str) -> None:
        pointer = self.writer.assign(f"getelementptr inbounds {self.element}, ptr {array}, i64 {place}", "p")
        self.writer.do(f"store {self.type} {value}, ptr {pointer}, align {self.size}")

    def binary(self, name: str, left: Expression, right: Expression) -> Expression:
        return Expression(self, self.writer.assign(f"{name} {self.type} {left.register}, {right.register}"))

    def extreme(self, beyond: str, left: Expression, right: Expression) -> Expression:
        """The right one where the left one compares so with it; the left one where it isn't a number or both are equal, as numpy has it."""
        first, second = left.register, right.register
        condition = "i1" if self.lanes == 1 else f"<{self.lanes} x i1>"
        less = self.writer.assign(f"fcmp {beyond} {self.type} {first}, {second}")
        number = self.writer.assign(f"fcmp ord {self.type} {first}, {first}")
        replaced = self.writer.assign(f"and {condition} {less}, {number}")
        return Expression(self, self.writer.assign(f"select {condition} {replaced}, {self.type} {second}, {self.type} {first}"))

    def intrinsic(self, name: str, operand: Expression) -> Expression:
        suffix = f"f{self.size * 8}" if self.lanes == 1 else f"v{self.lanes}f{self.size * 8}"
        self.declarations.add(f"declare {self.type} @llvm.{name}.{suffix}({self.type})")
        return Expression(self, self.writer.assign(f"call {self.type} @llvm.{name}.{suffix}({self.type} {operand.register})"))

    def sign(self, operand: Expression) -> Expression:
        """One, or minus one, or zero; what isn't a number stays."""
        writer, condition, value = self.writer, "i1" if self.lanes == 1 else f"<{self.lanes} x i1>", operand.register
        for comparison, number in (("oeq", "0.0"), ("olt", "-1.0"), ("ogt", "1.0")):
            found = writer.assign(f"fcmp {comparison} {self.type} {operand.register}, {self._zero()}")
            value = writer.assign(f"select {condition} {found}, {self.type} {self._spread(number)}, {self.type} {value}")
        return Expression(self, value)


def _load(writer: FunctionWriter, element: str, array: str, place: str) -> str:
    return writer.assign(f"load {element}, ptr {writer.assign(f'getelementptr inbounds {element}, ptr {array}, i64 {place}', 'p')}")


def _table(writer: FunctionWriter, element: str, array: str, count: int) -> list[str]:
    return [_load(writer, element, array, str(place)) for place in range(count)]
