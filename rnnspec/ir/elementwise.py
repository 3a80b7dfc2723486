"""The elementwise operations of the tensor IR: one row each, with everything that the stages before code generation ask of it.

A row says the operation's spelling in the IR's text, its meaning in numpy (which the interpreter runs and the folding of constants
uses), its adjoint, its cost class and the laws of algebra that passes rely on. The row of `rnnspec.backend.llvm_cpu.elementwise` says
how it is generated and how exact the result is. No third module lists the operations.

An adjoint rule reads forward values: the result rather than an operand where the derivative is cheap in it (tanh: 1 - y²). At a tie
`max` and `min` give the gradient to their right side, so that relu, max(x, 0), has derivative 0 at 0 as in Keras.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from enum import Enum, Flag, auto
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from rnnspec.frozen import frozen
from rnnspec.ir.values import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[Any]"


class Cost(Enum):
    """The cost class, which decides whether a value is kept, shared between loop nests or computed again."""

    FREE = auto()
    """No arithmetic on floats."""
    CHEAP = auto()
    """An instruction or a few: computed again wherever it is needed."""
    DIVISION = auto()
    """Stored where several loop nests need it; the backward pass may compute it again at a price."""
    ROOT = auto()
    """Stored where several loop nests need it, and never computed again."""
    ELEMENTARY = auto()
    """Many instructions: as a root, and counted and measured under the function's own name."""


class Law(Flag):
    """The laws of algebra that an operation obeys to the last bit."""

    NONE = 0
    COMMUTATIVE = auto()
    """f(a, b) = f(b, a), with the same gradients at a tie."""
    IDEMPOTENT = auto()
    """f(f(a)) = f(a), or f(a, a) = a."""
    INVOLUTION = auto()
    """f(f(a)) = a."""
    EVEN = auto()
    """f(-a) = f(a)."""
    IDENTITY = auto()
    """f(a) = a; only gradients differ."""
    LINEAR = auto()
    """In its one operand."""


class Linearity(Enum):
    """In which operands an operation with two of them is linear."""

    NEITHER = auto()
    TOGETHER = auto()
    """In both at once: a sum or a difference."""
    EACH = auto()
    """In either, the other being fixed: a product."""
    LEFT = auto()
    """In the left one, the right one being fixed: a quotient."""


class Calculus(Protocol):
    """The operations that adjoint rules are written in; `rnnspec.ir.builder.Builder` has them all."""

    def constant_like(self, value: float, like: Value) -> Value:
        """`value` in the shape and type of `like`."""
        ...

    def neg(self, operand: Value) -> Value:
        """-operand."""
        ...

    def sign(self, operand: Value) -> Value:
        """-1, 0 or 1."""
        ...

    def exp(self, operand: Value) -> Value:
        """e to the operand."""
        ...

    def log(self, operand: Value) -> Value:
        """The natural logarithm."""
        ...

    def sin(self, operand: Value) -> Value:
        """The sine of radians."""
        ...

    def cos(self, operand: Value) -> Value:
        """The cosine of radians."""
        ...

    def add(self, left: Value, right: Value) -> Value:
        """left + right."""
        ...

    def sub(self, left: Value, right: Value) -> Value:
        """left - right."""
        ...

    def mul(self, left: Value, right: Value) -> Value:
        """left * right."""
        ...

    def div(self, left: Value, right: Value) -> Value:
        """left / right."""
        ...

    def pow(self, left: Value, right: Value) -> Value:
        """left to the power right."""
        ...

    def less(self, left: Value, right: Value) -> Value:
        """left < right, as i1."""
        ...

    def greater(self, left: Value, right: Value) -> Value:
        """left > right, as i1."""
        ...

    def equal(self, left: Value, right: Value) -> Value:
        """left == right, as i1."""
        ...

    def select(self, condition: Value, on_true: Value, on_false: Value) -> Value:
        """`on_true` where the i1 `condition` holds, else `on_false`."""
        ...


class ZeroGradient(Enum):
    """The rule of operations whose derivative is zero wherever it exists, and of those on i1, which have none."""

    ZERO = auto()


ZERO: Final = ZeroGradient.ZERO

UnaryRule: TypeAlias = Callable[[Calculus, Value, Value, Value], Value]
"""From operand, result and the result's adjoint to the operand's."""


@frozen
class Operands:
    """The values that an adjoint rule of two operands reads; `active`: those that a derivative flows through."""

    left: Value
    right: Value
    result: Value
    active: Collection[Value]


BinaryRule: TypeAlias = Callable[[Calculus, Operands, Value], Iterator[tuple[Value, Value]]]
"""From the operands and the result's adjoint to a term of each active operand's."""


@frozen
class UnaryRow:
    """The row of an operation with one operand, of the operand's float type."""

    spelling: str
    numpy: Callable[[Array], Array]
    adjoint: UnaryRule | ZeroGradient
    cost: Cost
    laws: Law = Law.NONE


@frozen
class BinaryRow:
    """The row of an operation with two operands of one type, which is the result's.

    `left_identity`, `right_identity`: the constant that, on that side, leaves the other one as it is.
    `inverted`: the spelling of the operation that it becomes with its right side inverted, a + -b = a - b and a / b = a * (1 / b).
    `negating`: the constant that makes it the negation of the other side.
    `absorbing`: the constant that the result is, too, whatever the other side.
    `on_flags`: the operands are i1.
    """

    spelling: str
    numpy: Callable[[Array, Array], Array]
    adjoint: BinaryRule | ZeroGradient
    cost: Cost
    laws: Law = Law.NONE
    linear: Linearity = Linearity.NEITHER
    left_identity: float | None = None
    right_identity: float | None = None
    inverted: str | None = None
    negating: float | None = None
    absorbing: float | None = None
    on_flags: bool = False


@frozen
class CompareRow:
    """The row of a comparison of two floats: i1, false where a side is NaN but for `ne`. Its gradient is zero."""

    spelling: str
    numpy: Callable[[Array, Array], Array]


def _ones_like(b: Calculus, value: Value) -> Value:
    return b.constant_like(1.0, value)


def _erf(b: Calculus, x: Value, y: Value, d: Value) -> Value:
    bell = b.exp(b.neg(b.mul(x, x)))
    return b.mul(d, b.mul(b.constant_like(2 / math.sqrt(math.pi), x), bell))


def _sigmoid(b: Calculus, x: Value, y: Value, d: Value) -> Value:
    return b.mul(d, b.mul(y, b.sub(_ones_like(b, y), y)))


def _tanh(b: Calculus, x: Value, y: Value, d: Value) -> Value:
    return b.mul(d, b.sub(_ones_like(b, y), b.mul(y, y)))


def _sum(b: Calculus, of: Operands, d: Value) -> Iterator[tuple[Value, Value]]:
    if of.left in of.active:
        yield of.left, d
    if of.right in of.active:
        yield of.right, d


def _difference(b: Calculus, of: Operands, d: Value) -> Iterator[tuple[Value, Value]]:
    if of.left in of.active:
        yield of.left, d
    if of.right in of.active:
        yield of.right, b.neg(d)


def _product(b: Calculus, of: Operands, d: Value) -> Iterator[tuple[Value, Value]]:
    if of.left in of.active:
        yield of.left, b.mul(d, of.right)
    if of.right in of.active:
        yield of.right, b.mul(d, of.left)


def _quotient(b: Calculus, of: Operands, d: Value) -> Iterator[tuple[Value, Value]]:
    scaled = b.div(d, of.right)
    if of.left in of.active:
        yield of.left, scaled
    if of.right in of.active:
        yield of.right, b.neg(b.mul(scaled, of.result))


def _power(b: Calculus, of: Operands, d: Value) -> Iterator[tuple[Value, Value]]:
    """y x^(y - 1) for the base, 0 where y is 0; x^y log(x) for the exponent, with log(1) in the place of log(0), as JAX has them.

    So a base of 0 has the slope that its exponent gives it, 0 above 1 and infinite below, and the exponent's is 0 there; below 0 the
    base has a slope where the exponent is an integer, and the exponent none.
    """
    if of.left in of.active:
        ones = _ones_like(b, of.right)
        lowered = b.select(b.equal(of.right, b.constant_like(0.0, of.right)), ones, b.sub(of.right, ones))
        yield of.left, b.mul(d, b.mul(of.right, b.pow(of.left, lowered)))
    if of.right in of.active:
        zero = b.equal(of.left, b.constant_like(0.0, of.left))
        base = b.select(zero, _ones_like(b, of.left), of.left)
        yield of.right, b.mul(d, b.mul(b.log(base), of.result))


def _maximum(b: Calculus, of: Operands, d: Value) -> Iterator[tuple[Value, Value]]:
    """The result against the right side rather than left against right: relu's result is often kept anyway."""
    return _extremum(b, of, d, b.greater(of.result, of.right))


def _minimum(b: Calculus, of: Operands, d: Value) -> Iterator[tuple[Value, Value]]:
    return _extremum(b, of, d, b.less(of.result, of.right))


def _extremum(b: Calculus, of: Operands, d: Value, is_left: Value) -> Iterator[tuple[Value, Value]]:
    zeros = b.constant_like(0.0, d)
    if of.left in of.active:
        yield of.left, b.select(is_left, d, zeros)
    if of.right in of.active:
        yield of.right, b.select(is_left, zeros, d)


def _numpy(name: str) -> Callable[..., Array]:
    """A function of numpy's, which is imported when it is called: no spec needs it to be checked."""

    def function(*operands: Array) -> Array:
        import numpy as np

        return getattr(np, name)(*operands)

    return function


def _logistic(x: Array) -> Array:
    import numpy as np

    return 1.0 / (1.0 + np.exp(-x))


def _error_function(x: Array) -> Array:
    import numpy as np

    return np.vectorize(math.erf, otypes=[np.float64])(x)


class UnaryKind(Enum):
    """Elementwise operations of one operand; a member's value is its spelling."""

    NEG = UnaryRow("neg", _numpy("negative"), lambda b, x, y, d: b.neg(d), Cost.CHEAP, Law.LINEAR | Law.INVOLUTION)
    ABS = UnaryRow("abs", _numpy("abs"), lambda b, x, y, d: b.mul(d, b.sign(x)), Cost.CHEAP, Law.EVEN | Law.IDEMPOTENT)
    SIGN = UnaryRow("sign", _numpy("sign"), ZERO, Cost.CHEAP)
    FLOOR = UnaryRow("floor", _numpy("floor"), ZERO, Cost.CHEAP, Law.IDEMPOTENT)
    ROUND = UnaryRow("round", _numpy("rint"), ZERO, Cost.CHEAP, Law.IDEMPOTENT)
    """To the nearest integer, halves to the even one."""
    SQRT = UnaryRow("sqrt", _numpy("sqrt"), lambda b, x, y, d: b.mul(d, b.div(b.constant_like(0.5, d), y)), Cost.ROOT)
    EXP = UnaryRow("exp", _numpy("exp"), lambda b, x, y, d: b.mul(d, y), Cost.ELEMENTARY)
    EXPM1 = UnaryRow("expm1", _numpy("expm1"), lambda b, x, y, d: b.mul(d, b.add(y, _ones_like(b, d))), Cost.ELEMENTARY)
    LOG = UnaryRow("log", _numpy("log"), lambda b, x, y, d: b.div(d, x), Cost.ELEMENTARY)
    LOG1P = UnaryRow("log1p", _numpy("log1p"), lambda b, x, y, d: b.div(d, b.add(x, _ones_like(b, d))), Cost.ELEMENTARY)
    TANH = UnaryRow("tanh", _numpy("tanh"), _tanh, Cost.ELEMENTARY)
    SIGMOID = UnaryRow("sigmoid", _logistic, _sigmoid, Cost.ELEMENTARY)
    ERF = UnaryRow("erf", _error_function, _erf, Cost.ELEMENTARY)
    SIN = UnaryRow("sin", _numpy("sin"), lambda b, x, y, d: b.mul(d, b.cos(x)), Cost.ELEMENTARY)
    COS = UnaryRow("cos", _numpy("cos"), lambda b, x, y, d: b.neg(b.mul(d, b.sin(x))), Cost.ELEMENTARY)
    STOP_GRADIENT = UnaryRow("stop_gradient", _numpy("positive"), ZERO, Cost.FREE, Law.IDENTITY | Law.IDEMPOTENT)
    """The operand itself; the gradient takes it for a constant."""

    _value_: str
    row: UnaryRow

    def __new__(cls, row: UnaryRow) -> UnaryKind:
        """A member of the row; looked up by the row's spelling."""
        member = object.__new__(cls)
        member._value_, member.row = row.spelling, row
        return member


class BinaryKind(Enum):
    """Elementwise operations of two operands; a member's value is its spelling."""

    ADD = BinaryRow(
        *("add", _numpy("add"), _sum, Cost.CHEAP, Law.COMMUTATIVE, Linearity.TOGETHER),
        left_identity=0.0,
        right_identity=0.0,
        inverted="sub",
    )
    SUB = BinaryRow("sub", _numpy("subtract"), _difference, Cost.CHEAP, Law.NONE, Linearity.TOGETHER, right_identity=0.0, inverted="add")
    MUL = BinaryRow(
        *("mul", _numpy("multiply"), _product, Cost.CHEAP, Law.COMMUTATIVE, Linearity.EACH),
        left_identity=1.0,
        right_identity=1.0,
        negating=-1.0,
    )
    DIV = BinaryRow("div", _numpy("divide"), _quotient, Cost.DIVISION, Law.NONE, Linearity.LEFT, right_identity=1.0, inverted="mul")
    POW = BinaryRow("pow", _numpy("float_power"), _power, Cost.ELEMENTARY, right_identity=1.0)
    """As C's `pow`: 1 wherever the exponent is 0 or the base 1, NaN of a finite base below 0 and an exponent between integers."""
    MAX = BinaryRow("max", _numpy("maximum"), _maximum, Cost.CHEAP, Law.IDEMPOTENT)
    """NaN if either side is NaN, as `numpy.maximum`. At a tie the gradient goes to the right: it doesn't commute."""
    MIN = BinaryRow("min", _numpy("minimum"), _minimum, Cost.CHEAP, Law.IDEMPOTENT)
    AND = BinaryRow(
        *("and", _numpy("logical_and"), ZERO, Cost.FREE, Law.COMMUTATIVE | Law.IDEMPOTENT),
        left_identity=1.0,
        right_identity=1.0,
        absorbing=0.0,
        on_flags=True,
    )
    """On i1 only."""
    OR = BinaryRow(
        *("or", _numpy("logical_or"), ZERO, Cost.FREE, Law.COMMUTATIVE | Law.IDEMPOTENT),
        left_identity=0.0,
        right_identity=0.0,
        absorbing=1.0,
        on_flags=True,
    )
    """On i1 only."""

    _value_: str
    row: BinaryRow

    def __new__(cls, row: BinaryRow) -> BinaryKind:
        """A member of the row; looked up by the row's spelling."""
        member = object.__new__(cls)
        member._value_, member.row = row.spelling, row
        return member

    @property
    def is_sum(self) -> bool:
        """The plain sum, which may be regrouped."""
        return self.row.linear is Linearity.TOGETHER and Law.COMMUTATIVE in self.row.laws

    @property
    def inverted(self) -> BinaryKind:
        """The kind of `BinaryRow.inverted`; ValueError for a kind without one."""
        return BinaryKind(self.row.inverted)


class CompareKind(Enum):
    """Comparisons; a member's value is its spelling."""

    LT = CompareRow("lt", _numpy("less"))
    LE = CompareRow("le", _numpy("less_equal"))
    GT = CompareRow("gt", _numpy("greater"))
    GE = CompareRow("ge", _numpy("greater_equal"))
    EQ = CompareRow("eq", _numpy("equal"))
    NE = CompareRow("ne", _numpy("not_equal"))

    _value_: str
    row: CompareRow

    def __new__(cls, row: CompareRow) -> CompareKind:
        """A member of the row; looked up by the row's spelling."""
        member = object.__new__(cls)
        member._value_, member.row = row.spelling, row
        return member


NEGATION: Final = UnaryKind.NEG
"""The operation that a product with -1 amounts to."""

ElementwiseKind: TypeAlias = UnaryKind | BinaryKind | CompareKind


def cost_of(kind: ElementwiseKind | None) -> Cost:
    """The cost class; of a comparison and of None, which stands for a selection, it is that of an instruction."""
    match kind:
        case UnaryKind() | BinaryKind():
            return kind.row.cost
        case CompareKind() | None:
            return Cost.CHEAP


ELEMENTARY: Final[tuple[UnaryKind | BinaryKind, ...]] = tuple(
    kind for kind in (*UnaryKind, *BinaryKind) if kind.row.cost is Cost.ELEMENTARY
)
"""The operations that are functions of many instructions."""
