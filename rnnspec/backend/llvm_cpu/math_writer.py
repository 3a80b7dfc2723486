"""A writer of straight-line LLVM text over vectors of one float format, for the elementary functions."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Literal, NewType, TypeAlias

from rnnspec.frozen import frozen

FloatName: TypeAlias = Literal["f32", "f64"]

Float = NewType("Float", str)
"""An operand of float type: a register or a constant."""
Integer = NewType("Integer", str)
"""An operand of the integer type of the same width."""
Flag = NewType("Flag", str)
"""An operand of type i1, one for each lane."""

Predicate: TypeAlias = Literal["oeq", "one", "ogt", "oge", "olt", "ole"]


@frozen
class FloatFormat:
    """An IEEE 754 binary format and its names in LLVM."""

    name: FloatName
    float_type: str
    integer_type: str
    pack: str
    """The format character of `struct` for a float of this format."""
    width: int
    fraction_bits: int
    bias: int

    @property
    def rounder(self) -> float:
        """1.5 * 2**fraction_bits: adding it rounds a small number to an integer, held in the sum's low bits."""
        return 1.5 * 2.0**self.fraction_bits

    @property
    def smallest_normal(self) -> float:
        """The smallest positive number with all its digits, 2**(1 - bias)."""
        return 2.0 ** (1 - self.bias)

    def bits(self, value: float) -> int:
        """The bit pattern of `value` rounded to this format."""
        return int.from_bytes(struct.pack(self.pack, value), "little")

    def power_bits(self, exponent: int) -> int:
        """The bit pattern of 2**exponent, which must be normal."""
        return (exponent + self.bias) << self.fraction_bits


F32 = FloatFormat("f32", "float", "i32", "<f", 32, 23, 127)
F64 = FloatFormat("f64", "double", "i64", "<d", 64, 52, 1023)
FORMATS: dict[FloatName, FloatFormat] = {"f32": F32, "f64": F64}


def vector_suffix(form: FloatFormat, lanes: int) -> str:
    """The suffix of overloaded names: `f32` for a scalar, `v16f32` for a vector."""
    return form.name if lanes == 1 else f"v{lanes}{form.name}"


def function_symbol(name: str, form: FloatFormat, lanes: int) -> str:
    """The name that the elementary function `name` over so many lanes has in a module."""
    return f"rnnspec.{name}.{vector_suffix(form, lanes)}"


class MathWriter:
    """Appends instructions over `lanes` elements; every method returns the operand that names its result.

    One lane is a scalar. Without `fma` a multiply-add is a product and a sum, each rounded. Nothing
    here carries fast-math flags: what is written is what runs.
    """

    def __init__(self, form: FloatFormat, lanes: int, fma: bool) -> None:
        self.form = form
        self.lanes = lanes
        self.has_fma = fma
        self.declarations: set[str] = set()
        """The declarations of the intrinsics in use."""
        self._lines: list[str] = []
        self._float_type = self._widened(form.float_type)
        self._integer_type = self._widened(form.integer_type)

    def function(self, symbol: str, result: Float, operands: int = 1) -> str:
        """The text of `symbol`, whose parameters are `%x` and, of two operands, `%y`, with the body written so far."""
        kind = self._float_type
        body = "\n".join([*self._lines, f"  ret {kind} {result}"])
        parameters = ", ".join(f"{kind} {name}" for name in ("%x", "%y")[:operands])
        return f"define internal {kind} @{symbol}({parameters}) alwaysinline nounwind {{\nentry:\n{body}\n}}\n"

    @property
    def argument(self) -> Float:
        """The function's first parameter."""
        return Float("%x")

    @property
    def second_argument(self) -> Float:
        """The function's second parameter, of those with two."""
        return Float("%y")

    @property
    def float_type(self) -> str:
        """LLVM's name of the operands' type, a vector unless there is one lane."""
        return self._float_type

    def in_double(self) -> MathWriter:
        """A writer of the same lines, in double precision."""
        wide = MathWriter(F64, self.lanes, self.has_fma)
        wide._lines, wide.declarations = self._lines, self.declarations
        return wide

    def widened(self, value: Float) -> Float:
        """A single-precision operand, in double precision."""
        return self._float(f"fpext {self._float_type} {value} to {self._widened(F64.float_type)}")

    def narrowed(self, value: Float) -> Float:
        """A double-precision operand, rounded to single precision."""
        return self._float(f"fptrunc {self._widened(F64.float_type)} {value} to {self._float_type}")

    def text(self, result: str) -> str:
        """The lines so far, and a last one."""
        return "\n".join([*self._lines, f"  {result}"])

    def instruction(self, text: str) -> str:
        """The register of any other instruction."""
        return self._append(text)

    def rescued(self, result: Float, is_far: Flag, symbol: str) -> Float:
        """`result`, but where some lane is far away what `symbol` makes of argument and result; the last of a function's lines."""
        kind = self._float_type
        whole = is_far if self.lanes == 1 else self._append(f"bitcast {self._widened('i1')} {is_far} to i{self.lanes}")
        some = whole if self.lanes == 1 else self._append(f"icmp ne i{self.lanes} {whole}, 0")
        self._lines += (
            f"  br i1 {some}, label %far, label %end",
            "far:",
            f"  %from.far = call {kind} @{symbol}({kind} %x, {kind} {result})",
            "  br label %end",
            "end:",
            f"  %result = phi {kind} [ {result}, %entry ], [ %from.far, %far ]",
        )
        return Float("%result")

    def constant(self, value: float) -> Float:
        """`value`, rounded to the format, in every lane."""
        rounded: float = struct.unpack(self.form.pack, struct.pack(self.form.pack, value))[0]
        return Float(self._splat(self.form.float_type, f"0x{F64.bits(rounded):016X}"))

    def integer(self, value: int) -> Integer:
        """`value` in every lane."""
        return Integer(self._splat(self.form.integer_type, str(value)))

    def add(self, left: Float, right: Float) -> Float:
        """left + right."""
        return self._float(f"fadd {self._float_type} {left}, {right}")

    def subtract(self, left: Float, right: Float) -> Float:
        """left - right."""
        return self._float(f"fsub {self._float_type} {left}, {right}")

    def multiply(self, left: Float, right: Float) -> Float:
        """left * right."""
        return self._float(f"fmul {self._float_type} {left}, {right}")

    def divide(self, left: Float, right: Float) -> Float:
        """left / right."""
        return self._float(f"fdiv {self._float_type} {left}, {right}")

    def negate(self, value: Float) -> Float:
        """-value, zeros and NaN included."""
        return self._float(f"fneg {self._float_type} {value}")

    def multiply_add(self, left: Float, right: Float, addend: Float) -> Float:
        """left * right + addend."""
        if not self.has_fma:
            return self.add(self.multiply(left, right), addend)
        kind = self._float_type
        self.declarations.add(fma_declaration(self.form, self.lanes))
        return self._float(f"call {kind} @{fma_symbol(self.form, self.lanes)}({kind} {left}, {kind} {right}, {kind} {addend})")

    def polynomial(self, variable: Float, coefficients: Sequence[float]) -> Float:
        """Horner's rule; the constant coefficient comes first."""
        result = self.constant(coefficients[-1])
        for coefficient in reversed(coefficients[:-1]):
            result = self.multiply_add(result, variable, self.constant(coefficient))
        return result

    def clamp(self, value: Float, low: float, high: float) -> Float:
        """`value` within low..high; NaN stays NaN (the forms that are one minimum and one maximum instruction)."""
        raised = self.select(self.compare("ogt", self.constant(low), value), self.constant(low), value)
        return self.select(self.compare("olt", self.constant(high), raised), self.constant(high), raised)

    def compare(self, predicate: Predicate, left: Float, right: Float) -> Flag:
        """LLVM's fcmp: `o` predicates are false where a side is NaN."""
        return Flag(self._append(f"fcmp {predicate} {self._float_type} {left}, {right}"))

    def select(self, condition: Flag, on_true: Float, on_false: Float) -> Float:
        """`on_true` in the lanes where the condition holds, else `on_false`."""
        flags = self._widened("i1")
        return self._float(f"select {flags} {condition}, {self._float_type} {on_true}, {self._float_type} {on_false}")

    def magnitude(self, value: Float) -> Float:
        """`value` with its sign bit cleared."""
        return self.from_bits(self.bit_and(self.to_bits(value), self.integer((1 << (self.form.width - 1)) - 1)))

    def with_sign_of(self, magnitude: Float, sign: Float) -> Float:
        """`magnitude`, whose sign bit must be clear, with the sign bit of `sign`."""
        bit = self.bit_and(self.to_bits(sign), self.integer(-1 << (self.form.width - 1)))
        return self.from_bits(self.bit_or(self.to_bits(magnitude), bit))

    def to_bits(self, value: Float) -> Integer:
        """The same bits as integers."""
        return self._integer(f"bitcast {self._float_type} {value} to {self._integer_type}")

    def from_bits(self, value: Integer) -> Float:
        """The same bits as floats."""
        return self._float(f"bitcast {self._integer_type} {value} to {self._float_type}")

    def integer_add(self, left: Integer, right: Integer) -> Integer:
        """left + right, modulo 2**width."""
        return self._integer(f"add {self._integer_type} {left}, {right}")

    def integer_subtract(self, left: Integer, right: Integer) -> Integer:
        """left - right, modulo 2**width."""
        return self._integer(f"sub {self._integer_type} {left}, {right}")

    def bit_and(self, left: Integer, right: Integer) -> Integer:
        """left & right."""
        return self._integer(f"and {self._integer_type} {left}, {right}")

    def bit_or(self, left: Integer, right: Integer) -> Integer:
        """left | right."""
        return self._integer(f"or {self._integer_type} {left}, {right}")

    def bit_xor(self, left: Integer, right: Integer) -> Integer:
        """left ^ right."""
        return self._integer(f"xor {self._integer_type} {left}, {right}")

    def flag_and(self, left: Flag, right: Flag) -> Flag:
        """Both, lane by lane."""
        return Flag(self._append(f"and {self._widened('i1')} {left}, {right}"))

    def flag_or(self, left: Flag, right: Flag) -> Flag:
        """Either, lane by lane."""
        return Flag(self._append(f"or {self._widened('i1')} {left}, {right}"))

    def shift_left(self, value: Integer, bits: int) -> Integer:
        """value << bits."""
        return self._integer(f"shl {self._integer_type} {value}, {self.integer(bits)}")

    def shift_right(self, value: Integer, bits: int) -> Integer:
        """The logical shift: the arithmetic one of 64-bit lanes is missing from AVX2 and SSE."""
        return self._integer(f"lshr {self._integer_type} {value}, {self.integer(bits)}")

    def _float(self, instruction: str) -> Float:
        return Float(self._append(instruction))

    def _integer(self, instruction: str) -> Integer:
        return Integer(self._append(instruction))

    def _append(self, instruction: str) -> str:
        name = f"%{len(self._lines)}"
        self._lines.append(f"  {name} = {instruction}")
        return name

    def _widened(self, element: str) -> str:
        return element if self.lanes == 1 else f"<{self.lanes} x {element}>"

    def _splat(self, element: str, literal: str) -> str:
        return literal if self.lanes == 1 else f"splat ({element} {literal})"


def fma_symbol(form: FloatFormat, lanes: int) -> str:
    """The name of LLVM's fused multiply-add over so many lanes."""
    return f"llvm.fma.{vector_suffix(form, lanes)}"


def fma_declaration(form: FloatFormat, lanes: int) -> str:
    """Its declaration, one line of LLVM text."""
    kind = form.float_type if lanes == 1 else f"<{lanes} x {form.float_type}>"
    return f"declare {kind} @{fma_symbol(form, lanes)}({kind}, {kind}, {kind})"
