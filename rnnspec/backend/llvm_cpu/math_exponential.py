"""exp and expm1: reduction by multiples of ln 2, a polynomial, and a scale made of exponent bits."""

from __future__ import annotations

from rnnspec.backend.llvm_cpu.math_writer import Float, FloatName, Integer, MathWriter
from rnnspec.frozen import frozen


@frozen
class ExponentialConstants:
    """The constants of a format.

    `quotient` holds the minimax polynomial of (exp(r) - 1 - r) / r**2 over |r| <= ln(2)/2 under the
    weight that makes r + r**2 * quotient(r) closest to expm1(r) in relative error.
    """

    ln2_high: float
    """ln 2 with so few bits that its product with any exponent is exact."""
    ln2_low: float
    quotient: tuple[float, ...]
    overflow: float
    """exp is infinite from here on."""
    underflow: float
    """exp is 0 up to here."""
    expm1_is_minus_one: float
    """expm1 is -1 up to here."""
    expm1_is_identity: float
    """expm1(x) and log1p(x) are x, rounded, below this magnitude."""


LOG2_E = 1.4426950408889634

EXPONENTIAL: dict[FloatName, ExponentialConstants] = {
    "f32": ExponentialConstants(
        ln2_high=0.693145751953125,
        ln2_low=1.4286068203094173e-06,
        quotient=(
            0.49999998133239190206,
            0.16666542683888359234,
            0.041667203851730195198,
            0.0083666468559574200588,
            0.0013882500989197748216,
        ),
        overflow=89.0,
        underflow=-104.0,
        expm1_is_minus_one=-18.0,
        expm1_is_identity=2.0**-26,
    ),
    "f64": ExponentialConstants(
        ln2_high=0.6931471805601177,
        ln2_low=-1.7239444525614835e-13,
        quotient=(
            0.50000000000000052775,
            0.16666666666666587771,
            0.041666666666575387795,
            0.0083333333333904300023,
            0.0013888888932051527444,
            0.00019841269717565033832,
            0.000024801504650581473847,
            2.7557408254381877707e-6,
            2.7626298726464631361e-7,
            2.5053768925537109389e-8,
        ),
        overflow=710.0,
        underflow=-746.0,
        expm1_is_minus_one=-38.0,
        expm1_is_identity=2.0**-55,
    ),
}


@frozen
class Reduced:
    """x = exponent * ln 2 + remainder, |remainder| <= ln(2)/2 and a little."""

    exponent: Integer
    """The exponent in the low bits; above them, the bits of the format's `rounder`."""
    remainder: Float


def write_exp(writer: MathWriter) -> Float:
    """exp: gradual underflow, infinite from the overflow threshold on."""
    constants = EXPONENTIAL[writer.form.name]
    clamped = writer.clamp(writer.argument, constants.underflow, constants.overflow)
    reduced = _reduce(writer, clamped, constants)
    # 1 + expm1: the sum's rounding is the last but for the scale's, which matters for denormals only.
    mantissa = writer.add(_expm1_near_zero(writer, reduced.remainder), writer.constant(1.0))
    return _scale(writer, mantissa, reduced.exponent)


def write_expm1(writer: MathWriter) -> Float:
    """expm1: the argument itself where it is tiny, which keeps denormals and the sign of zero."""
    constants = EXPONENTIAL[writer.form.name]
    clamped = writer.clamp(writer.argument, constants.expm1_is_minus_one, constants.overflow)
    reduced = _reduce(writer, clamped, constants)
    near_zero = _expm1_near_zero(writer, reduced.remainder)
    # Twice 2**(n-1): 2**n itself overflows for the largest results.
    half_power = _power_of_two(writer, reduced.exponent, -1)
    half_result = writer.multiply_add(near_zero, half_power, writer.subtract(half_power, writer.constant(0.5)))
    result = writer.add(half_result, half_result)
    is_tiny = writer.compare("olt", writer.magnitude(writer.argument), writer.constant(constants.expm1_is_identity))
    return writer.select(is_tiny, writer.argument, result)


def exp_of_moderate(writer: MathWriter, value: Float) -> Float:
    """exp where the result is a normal number."""
    reduced = _reduce(writer, value, EXPONENTIAL[writer.form.name])
    mantissa = writer.add(_expm1_near_zero(writer, reduced.remainder), writer.constant(1.0))
    return writer.multiply(mantissa, _power_of_two(writer, reduced.exponent, 0))


def exp_of_sum(writer: MathWriter, high: Float, low: Float) -> Float:
    """exp(high + low), `low` being a rounding error of `high`; gradual underflow, infinite from the overflow threshold on."""
    constants = EXPONENTIAL[writer.form.name]
    reduced = _reduce(writer, writer.clamp(high, constants.underflow, constants.overflow), constants)
    near_zero = _expm1_near_zero(writer, writer.add(reduced.remainder, low))
    return _scale(writer, writer.add(near_zero, writer.constant(1.0)), reduced.exponent)


def exp_in_short(writer: MathWriter, value: Float, quotient: tuple[float, ...]) -> Float:
    """As `exp_of_moderate`, by a polynomial of the caller's in the place of the format's own."""
    reduced = _reduce(writer, value, EXPONENTIAL[writer.form.name])
    remainder = reduced.remainder
    mantissa = writer.multiply_add(writer.multiply(remainder, remainder), writer.polynomial(remainder, quotient), remainder)
    return writer.multiply(writer.add(mantissa, writer.constant(1.0)), _power_of_two(writer, reduced.exponent, 0))


def _expm1_near_zero(writer: MathWriter, remainder: Float) -> Float:
    """expm1 over |remainder| <= ln(2)/2."""
    quotient = writer.polynomial(remainder, EXPONENTIAL[writer.form.name].quotient)
    return writer.multiply_add(writer.multiply(remainder, remainder), quotient, remainder)


def _power_of_two(writer: MathWriter, exponent: Integer, offset: int) -> Float:
    """2**(exponent + offset), which must be normal; `exponent` as in `Reduced`."""
    form = writer.form
    shifted = writer.shift_left(exponent, form.fraction_bits)
    return writer.from_bits(writer.integer_add(shifted, writer.integer(form.power_bits(offset))))


def _reduce(writer: MathWriter, value: Float, constants: ExponentialConstants) -> Reduced:
    rounder = writer.constant(writer.form.rounder)
    shifted = writer.multiply_add(value, writer.constant(LOG2_E), rounder)
    exponent = writer.subtract(shifted, rounder)
    remainder = writer.multiply_add(exponent, writer.constant(-constants.ln2_high), value)
    remainder = writer.multiply_add(exponent, writer.constant(-constants.ln2_low), remainder)
    return Reduced(writer.to_bits(shifted), remainder)


def _scale(writer: MathWriter, mantissa: Float, exponent: Integer) -> Float:
    """mantissa * 2**exponent in two steps, so that neither power leaves the normal range."""
    form = writer.form
    # Twice the bias keeps the sum positive, so that a logical shift halves it, and leaves a bias in each half.
    both = writer.integer_add(exponent, writer.integer(2 * form.bias - form.bits(form.rounder)))
    half = writer.shift_right(both, 1)
    other = writer.integer_subtract(both, half)
    once = writer.multiply(mantissa, writer.from_bits(writer.shift_left(half, form.fraction_bits)))
    return writer.multiply(once, writer.from_bits(writer.shift_left(other, form.fraction_bits)))
