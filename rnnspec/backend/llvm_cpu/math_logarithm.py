"""log and log1p: split off the exponent, then log(1 + f) over sqrt(1/2) <= 1 + f < sqrt(2)."""

from __future__ import annotations

import math

from rnnspec.backend.llvm_cpu.math_exponential import EXPONENTIAL
from rnnspec.backend.llvm_cpu.math_writer import Float, Integer, MathWriter
from rnnspec.frozen import frozen

# (log(1 + f) - f + f**2/2) / f**3, minimax in relative error of log(1 + f).
CUBIC_QUOTIENT_F32 = (
    0.33333331678522142812,
    -0.25000820983303155392,
    0.20001228341642162364,
    -0.16623360126490501477,
    0.14201736305980423759,
    -0.13160139862866992263,
    0.12761678350813025287,
    -0.076347051054989943868,
)

# (2 atanh(s)/s - 2) / s**2 in s**2, |s| <= (sqrt(2) - 1) / (sqrt(2) + 1); log(1 + f) = 2 atanh(f / (2 + f)).
ATANH_QUOTIENT_F64 = (
    0.66666666666667348959,
    0.39999999999411089819,
    0.28571428743263111609,
    0.22222198475955791727,
    0.18183569740750333636,
    0.1531390323652793458,
    0.14797507692152649528,
)


@frozen
class Exponent:
    """The exponent k with 2**-k * value in sqrt(1/2)..sqrt(2), in two forms."""

    biased: Integer
    bits: Integer
    """k in the place of a float's exponent field, without bias: subtracted from a bit pattern it divides by 2**k."""


def write_log(writer: MathWriter) -> Float:
    """log: -inf at either zero, NaN below; a denormal is scaled up first (a flushed one counts as zero)."""
    form = writer.form
    value = writer.argument
    scale = form.fraction_bits + 1
    is_tiny = writer.compare("olt", value, writer.constant(form.smallest_normal))
    normal = writer.select(is_tiny, writer.multiply(value, writer.constant(2.0**scale)), value)
    exponent = exponent_of(writer, normal)
    mantissa = writer.from_bits(writer.integer_subtract(writer.to_bits(normal), exponent.bits))
    offset = exponent_offset(writer)
    shift = writer.select(is_tiny, writer.constant(offset + scale), writer.constant(offset))
    multiple = writer.subtract(as_float(writer, exponent.biased), shift)
    result = _log_of_parts(writer, writer.subtract(mantissa, writer.constant(1.0)), multiple)
    return _with_special_values(writer, result, value, 0.0)


def write_log1p(writer: MathWriter) -> Float:
    """log1p: the argument itself where it is tiny, -inf at -1, NaN below.

    The exponent k comes from 1 + x, rounded, but the fraction f = 2**-k x + (2**-k - 1) from x
    itself, so that what 1 + x loses isn't lost.
    """
    form = writer.form
    value = writer.argument
    exponent = exponent_of(writer, writer.add(value, writer.constant(1.0)))
    scaled = writer.from_bits(writer.integer_subtract(writer.to_bits(value), exponent.bits))
    # 4 * 2**-k, since 2**-k itself is denormal for the largest x.
    power = writer.from_bits(writer.integer_subtract(writer.integer(form.power_bits(2)), exponent.bits))
    fraction = writer.add(scaled, writer.multiply_add(power, writer.constant(0.25), writer.constant(-1.0)))
    multiple = writer.subtract(as_float(writer, exponent.biased), writer.constant(exponent_offset(writer)))
    result = _log_of_parts(writer, fraction, multiple)
    limit = EXPONENTIAL[form.name].expm1_is_identity
    is_tiny = writer.compare("olt", writer.magnitude(value), writer.constant(limit))
    return _with_special_values(writer, writer.select(is_tiny, value, result), value, -1.0)


def exponent_of(writer: MathWriter, value: Float) -> Exponent:
    """The exponent k of a positive, normal number: value / 2**k is in sqrt(1/2)..sqrt(2)."""
    form = writer.form
    # Moves the borders between exponents from powers of two to sqrt(1/2) times them.
    moved = writer.integer_add(writer.to_bits(value), writer.integer(form.power_bits(0) - form.bits(math.sqrt(0.5))))
    biased = writer.shift_right(moved, form.fraction_bits)
    biased_bits = writer.shift_left(biased, form.fraction_bits)
    return Exponent(biased, writer.integer_subtract(biased_bits, writer.integer(form.power_bits(0))))


def as_float(writer: MathWriter, biased: Integer) -> Float:
    """`biased` plus `_exponent_offset`: its bits become the low bits of 2**fraction_bits (no 64-bit conversion before AVX-512)."""
    form = writer.form
    return writer.from_bits(writer.bit_or(biased, writer.integer(form.power_bits(form.fraction_bits))))


def exponent_offset(writer: MathWriter) -> float:
    """The number that `as_float` adds: 2**fraction_bits and the format's bias."""
    return 2.0**writer.form.fraction_bits + writer.form.bias


def _log_of_parts(writer: MathWriter, fraction: Float, multiple: Float) -> Float:
    """log(1 + fraction) + multiple * ln 2."""
    return _log_of_parts_f32(writer, fraction, multiple) if writer.form.name == "f32" else _log_of_parts_f64(writer, fraction, multiple)


def _log_of_parts_f32(writer: MathWriter, fraction: Float, multiple: Float) -> Float:
    constants = EXPONENTIAL["f32"]
    square = writer.multiply(fraction, fraction)
    cubic = writer.multiply(fraction, writer.polynomial(fraction, CUBIC_QUOTIENT_F32))
    low = writer.multiply_add(multiple, writer.constant(constants.ln2_low), writer.multiply(square, cubic))
    low = writer.multiply_add(square, writer.constant(-0.5), low)
    return writer.multiply_add(multiple, writer.constant(constants.ln2_high), writer.add(fraction, low))


def _log_of_parts_f64(writer: MathWriter, fraction: Float, multiple: Float) -> Float:
    """With s = f / (2 + f) and R(s) = log(1 + f) - 2s: log(1 + f) = f - (f**2/2 - s (f**2/2 + R(s)/s)), as in fdlibm."""
    constants = EXPONENTIAL["f64"]
    half_square = writer.multiply(writer.multiply(fraction, writer.constant(0.5)), fraction)
    ratio = writer.divide(fraction, writer.add(fraction, writer.constant(2.0)))
    square = writer.multiply(ratio, ratio)
    rest = writer.multiply(square, writer.polynomial(square, ATANH_QUOTIENT_F64))
    low = writer.multiply(multiple, writer.constant(constants.ln2_low))
    low = writer.multiply_add(ratio, writer.add(half_square, rest), low)
    small = writer.subtract(writer.subtract(half_square, low), fraction)
    return writer.subtract(writer.multiply(multiple, writer.constant(constants.ln2_high)), small)


def _with_special_values(writer: MathWriter, result: Float, value: Float, pole: float) -> Float:
    """`result`, but infinity and NaN for themselves, -inf for the pole and NaN below it."""
    infinity = writer.constant(math.inf)
    finite = writer.select(writer.compare("olt", value, infinity), result, value)
    at_pole = writer.compare("oeq", value, writer.constant(pole))
    outside = writer.select(at_pole, writer.constant(-math.inf), writer.constant(math.nan))
    return writer.select(writer.compare("ogt", value, writer.constant(pole)), finite, outside)
