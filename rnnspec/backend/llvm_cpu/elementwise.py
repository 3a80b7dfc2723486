"""The elementwise operations in machine code: one row each, with its instructions and how exact they are.

The other half of `rnnspec.ir.elementwise`, which says what each operation means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from rnnspec.backend.llvm_cpu.math_error_function import write_erf
from rnnspec.backend.llvm_cpu.math_exponential import write_exp, write_expm1
from rnnspec.backend.llvm_cpu.math_hyperbolic import write_sigmoid, write_tanh
from rnnspec.backend.llvm_cpu.math_logarithm import write_log, write_log1p
from rnnspec.backend.llvm_cpu.math_power import write_pow
from rnnspec.backend.llvm_cpu.math_trigonometric import write_cos, write_sin
from rnnspec.backend.llvm_cpu.math_writer import FORMATS, Float, MathWriter, function_symbol
from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.diagnostics import InternalError
from rnnspec.frozen import frozen
from rnnspec.ir.elementwise import BinaryKind, CompareKind, ElementwiseKind, UnaryKind
from rnnspec.ir.types import DType

Emitter: TypeAlias = Callable[[Vectors, Sequence[str]], str]
"""Writes the instructions; from the operands' registers to the result's."""

EXACT, ROUNDED = 0.0, 0.5
"""Error bounds in ulp: of results without rounding, and of results rounded once."""


@frozen
class Instructions:
    """The row of an operation that is a few instructions; `ulp`: see `ElementaryFunction`."""

    emit: Emitter
    ulp: float


@frozen
class ElementaryFunction:
    """The row of an operation that is a function of the module's own, inlined where it is called.

    `ulp`: no result is further from the truth than so many units in its last place: either format, with and without fma, denormals
    included. `operands`: one or two. `reduces`: far arguments have a second way, in functions beside (see `math_trigonometric`).
    """

    write: Callable[[MathWriter], Float]
    ulp: float
    operands: int = 1
    reduces: bool = False


Row: TypeAlias = Instructions | ElementaryFunction


def _instruction(name: str, ulp: float) -> Instructions:
    return Instructions(lambda vectors, of: vectors.writer.assign(f"{name} {vectors.type} {', '.join(of)}"), ulp)


def _intrinsic(name: str, ulp: float) -> Instructions:
    return Instructions(lambda vectors, of: vectors.intrinsic(name, of[0]), ulp)


def _comparison(predicate: str) -> Instructions:
    return Instructions(lambda vectors, of: vectors.compare(predicate, of[0], of[1]), EXACT)


def _of_flags(name: str) -> Instructions:
    return Instructions(lambda vectors, of: vectors.writer.assign(f"{name} <{vectors.lanes} x i1> {of[0]}, {of[1]}", "m"), EXACT)


def _sign(vectors: Vectors, of: Sequence[str]) -> str:
    (operand,) = of
    positive = vectors.select(vectors.compare("ogt", operand, "zeroinitializer"), vectors.vector(1.0), operand)
    return vectors.select(vectors.compare("olt", operand, "zeroinitializer"), vectors.vector(-1.0), positive)


ROWS: Mapping[ElementwiseKind, Row] = {
    UnaryKind.NEG: _instruction("fneg", EXACT),
    UnaryKind.ABS: _intrinsic("fabs", EXACT),
    UnaryKind.SIGN: Instructions(_sign, EXACT),
    UnaryKind.FLOOR: _intrinsic("floor", EXACT),
    UnaryKind.ROUND: _intrinsic("roundeven", EXACT),
    UnaryKind.SQRT: _intrinsic("sqrt", ROUNDED),
    UnaryKind.EXP: ElementaryFunction(write_exp, 1.1),
    UnaryKind.EXPM1: ElementaryFunction(write_expm1, 2.5),
    UnaryKind.LOG: ElementaryFunction(write_log, 1.0),
    UnaryKind.LOG1P: ElementaryFunction(write_log1p, 1.5),
    UnaryKind.TANH: ElementaryFunction(write_tanh, 3.0),
    UnaryKind.SIGMOID: ElementaryFunction(write_sigmoid, 3.0),
    UnaryKind.ERF: ElementaryFunction(write_erf, 1.5),
    UnaryKind.SIN: ElementaryFunction(write_sin, 2.2, reduces=True),
    UnaryKind.COS: ElementaryFunction(write_cos, 2.2, reduces=True),
    UnaryKind.STOP_GRADIENT: Instructions(lambda vectors, of: of[0], EXACT),
    BinaryKind.ADD: _instruction("fadd", ROUNDED),
    BinaryKind.SUB: _instruction("fsub", ROUNDED),
    BinaryKind.MUL: _instruction("fmul", ROUNDED),
    BinaryKind.DIV: _instruction("fdiv", ROUNDED),
    BinaryKind.POW: ElementaryFunction(write_pow, 2.0, operands=2),
    BinaryKind.MAX: Instructions(lambda vectors, of: vectors.min_max(True, of[0], of[1]), EXACT),
    BinaryKind.MIN: Instructions(lambda vectors, of: vectors.min_max(False, of[0], of[1]), EXACT),
    BinaryKind.AND: _of_flags("and"),
    BinaryKind.OR: _of_flags("or"),
    CompareKind.LT: _comparison("olt"),
    CompareKind.LE: _comparison("ole"),
    CompareKind.GT: _comparison("ogt"),
    CompareKind.GE: _comparison("oge"),
    CompareKind.EQ: _comparison("oeq"),
    CompareKind.NE: _comparison("une"),
}


def emit_elementwise(vectors: Vectors, kind: ElementwiseKind | None, operands: Sequence[str]) -> str:
    """One operation of the operands' registers; None is a selection. The register of the result."""
    if kind is None:
        return vectors.select(operands[0], operands[1], operands[2])
    row = ROWS[kind]
    if isinstance(row, Instructions):
        return row.emit(vectors, operands)
    if vectors.dtype not in (DType.F32, DType.F64):
        raise InternalError(f"{kind.value} of {vectors.dtype.value}")
    vectors.library.elementary.add(kind.value)
    symbol = function_symbol(kind.value, FORMATS["f32" if vectors.dtype is DType.F32 else "f64"], vectors.lanes)
    arguments = ", ".join(f"{vectors.type} {operand}" for operand in operands)
    return vectors.writer.assign(f"call {vectors.type} @{symbol}({arguments})")


def elementary_functions() -> dict[str, ElementaryFunction]:
    """The functions that a module may define, by name, in alphabetical order."""
    named = {kind.value: row for kind, row in ROWS.items() if isinstance(row, ElementaryFunction)}
    return dict(sorted(named.items()))
