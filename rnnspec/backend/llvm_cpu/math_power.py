"""pow: exp(y log |x|), with the logarithm to twice the precision, and what IEEE 754 says of zeros, infinities and negative bases."""

from __future__ import annotations

import math

from rnnspec.backend.llvm_cpu.math_exponential import EXPONENTIAL, exp_in_short, exp_of_sum
from rnnspec.backend.llvm_cpu.math_logarithm import as_float, exponent_of, exponent_offset
from rnnspec.backend.llvm_cpu.math_pairs import Pair, product_of, sum_of_ordered
from rnnspec.backend.llvm_cpu.math_writer import Flag, Float, MathWriter

# (2 atanh(s)/s - 2) / s**2 in s**2, |s| <= (sqrt(2) - 1) / (sqrt(2) + 1), to 2**-45 of the logarithm.
ATANH_SHORT = (0.66666666675778333193, 0.3999999562914517772, 0.28572108426447524963, 0.22176217500348167224, 0.19583761697308465305)

# The same without its first coefficient, (2 atanh(s)/s - 2 - 2/3 s**2) / s**4, to 2**-73.
ATANH_REST = (
    0.39999999999999977543,
    0.28571428571445081126,
    0.22222222217543101707,
    0.1818181886958234927,
    0.15384556916075102478,
    0.13336315849923264998,
    0.11674847390892686634,
    0.11988794642565762627,
)
TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)

# (exp(r) - 1 - r) / r**2 over |r| <= ln(2)/2, to 2**-34 of exp.
EXP_SHORT = (
    0.50000000680377227243,
    0.16666665864614354218,
    0.041666293633551541413,
    0.0083334976700943132027,
    0.0013944758632377632699,
    0.00019790245667939883267,
)

BEYOND_SINGLE = 150.0
"""exp of as much is infinite in single precision, and of its negative 0."""

LARGE_EXPONENT = 2.0**960

SETTLED = 1000.0
"""exp of as much is infinite in double precision, and of its negative 0."""


def write_pow(writer: MathWriter) -> Float:
    """pow: of two arguments. Single precision is computed in double precision and rounded once."""
    x, y = writer.argument, writer.second_argument
    if writer.form.name == "f32":
        wide = writer.in_double()
        return writer.narrowed(_power(wide, writer.widened(x), writer.widened(y), single=True))
    return _power(writer, x, y, single=False)


def _power(writer: MathWriter, x: Float, y: Float, *, single: bool) -> Float:
    zero, one, infinity = (writer.constant(value) for value in (0.0, 1.0, math.inf))
    magnitude = writer.magnitude(x)
    result = _single(writer, magnitude, y) if single else _double(writer, magnitude, y)
    # Where the logarithm is infinite: 0 or infinity, by the signs of the logarithm and of y.
    at_zero, at_infinity = writer.compare("oeq", magnitude, zero), writer.compare("oeq", magnitude, infinity)
    grows = writer.select(writer.compare("ogt", y, zero), infinity, zero)
    falls = writer.select(writer.compare("olt", y, zero), infinity, zero)
    is_number = writer.compare("oeq", y, y)
    result = writer.select(writer.compare("oeq", x, x), result, x)
    result = writer.select(writer.flag_and(at_zero, is_number), falls, result)
    result = writer.select(writer.flag_and(at_infinity, is_number), grows, result)
    # The sign: of an odd exponent that of the base, if its sign bit is set; no number for one between integers.
    whole, odd = _whole_and_odd(writer, y)
    sign = writer.bit_and(writer.to_bits(x), writer.integer(-1 << (writer.form.width - 1)))
    signed = writer.from_bits(writer.bit_xor(writer.to_bits(result), sign))
    negative = writer.flag_and(writer.compare("olt", x, zero), writer.compare("olt", magnitude, infinity))
    no_number = writer.select(whole, result, writer.select(negative, writer.constant(math.nan), result))
    result = writer.select(odd, signed, no_number)
    # 1 of an exponent of 0, a base of 1, and a base of -1 to an infinite exponent.
    far = writer.compare("oeq", writer.magnitude(y), infinity)
    is_one = writer.flag_or(writer.compare("oeq", x, one), writer.flag_and(writer.compare("oeq", magnitude, one), far))
    return writer.select(writer.flag_or(is_one, writer.compare("oeq", y, zero)), one, result)


def _whole_and_odd(writer: MathWriter, y: Float) -> tuple[Flag, Flag]:
    """Whether y is an integer, and whether an odd one; infinities count as even. A sum with 2**fraction_bits rounds to an integer."""
    magnitude = writer.magnitude(y)
    half = writer.multiply(magnitude, writer.constant(0.5))
    rounder = writer.constant(2.0**writer.form.fraction_bits)

    def rounded(value: Float) -> Float:
        return writer.subtract(writer.add(value, rounder), rounder)

    whole = writer.flag_or(writer.compare("oge", magnitude, rounder), writer.compare("oeq", rounded(magnitude), magnitude))
    # A half as large as the rounder is itself an integer.
    ends_in_half = writer.flag_and(writer.compare("one", rounded(half), half), writer.compare("olt", half, rounder))
    return whole, writer.flag_and(whole, ends_in_half)


def _parts(writer: MathWriter, magnitude: Float) -> tuple[Float, Float]:
    """f and k with magnitude = 2**k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2); as in `write_log`, denormals included."""
    form = writer.form
    scale = form.fraction_bits + 1
    is_tiny = writer.compare("olt", magnitude, writer.constant(form.smallest_normal))
    normal = writer.select(is_tiny, writer.multiply(magnitude, writer.constant(2.0**scale)), magnitude)
    exponent = exponent_of(writer, normal)
    mantissa = writer.from_bits(writer.integer_subtract(writer.to_bits(normal), exponent.bits))
    offset = exponent_offset(writer)
    shift = writer.select(is_tiny, writer.constant(offset + scale), writer.constant(offset))
    return writer.subtract(mantissa, writer.constant(1.0)), writer.subtract(as_float(writer, exponent.biased), shift)


def _single(writer: MathWriter, magnitude: Float, y: Float) -> Float:
    """In double precision, to about 2**-33 of the result."""
    fraction, multiple = _parts(writer, magnitude)
    ratio = writer.divide(fraction, writer.add(fraction, writer.constant(2.0)))
    square = writer.multiply(ratio, ratio)
    rest = writer.multiply(square, writer.polynomial(square, ATANH_SHORT))
    logarithm = writer.multiply_add(ratio, rest, writer.add(ratio, ratio))
    logarithm = writer.multiply_add(multiple, writer.constant(math.log(2.0)), logarithm)
    exponent = writer.clamp(writer.multiply(y, logarithm), -BEYOND_SINGLE, BEYOND_SINGLE)
    return exp_in_short(writer, exponent, EXP_SHORT)


def _double(writer: MathWriter, magnitude: Float, y: Float) -> Float:
    logarithm = _logarithm(writer, magnitude)
    # A larger exponent is even and makes 0 or infinity all the same, but has no halves.
    y = writer.clamp(y, -LARGE_EXPONENT, LARGE_EXPONENT)
    product = product_of(writer, y, logarithm.high)
    low = writer.multiply_add(y, logarithm.low, product.low)
    # Beyond, what the product lacks doesn't matter, or is no number because it overflows.
    low = writer.select(writer.compare("olt", writer.magnitude(product.high), writer.constant(SETTLED)), low, writer.constant(0.0))
    return exp_of_sum(writer, product.high, low)


def _logarithm(writer: MathWriter, magnitude: Float) -> Pair:
    """log(magnitude) to about 2**-64: 2s + 2/3 s**3 to twice the precision and a polynomial for what is left, s = f / (2 + f)."""
    fraction, multiple = _parts(writer, magnitude)
    constants = EXPONENTIAL["f64"]
    below = sum_of_ordered(writer, writer.constant(2.0), fraction)
    inverse = writer.divide(writer.constant(1.0), below.high)
    s = writer.multiply(fraction, inverse)
    back = product_of(writer, s, below.high)
    lacking = writer.subtract(writer.subtract(writer.subtract(fraction, back.high), back.low), writer.multiply(s, below.low))
    s_low = writer.multiply(lacking, inverse)
    square = product_of(writer, s, s)
    square_low = writer.multiply_add(writer.add(s, s), s_low, square.low)
    cube = product_of(writer, square.high, s)
    cube_low = writer.multiply_add(square.high, s_low, writer.multiply_add(square_low, s, cube.low))
    third = product_of(writer, cube.high, writer.constant(TWO_THIRDS[0]))
    third_low = writer.multiply_add(cube.high, writer.constant(TWO_THIRDS[1]), third.low)
    third_low = writer.multiply_add(cube_low, writer.constant(TWO_THIRDS[0]), third_low)
    fifth = writer.multiply(writer.multiply(square.high, cube.high), writer.polynomial(square.high, ATANH_REST))
    whole = writer.multiply(multiple, writer.constant(constants.ln2_high))
    first = sum_of_ordered(writer, whole, writer.add(s, s))
    second = sum_of_ordered(writer, first.high, third.high)
    small = writer.multiply_add(
        multiple, writer.constant(constants.ln2_low), writer.add(fifth, writer.add(third_low, writer.add(s_low, s_low)))
    )
    return sum_of_ordered(writer, second.high, writer.add(writer.add(first.low, second.low), small))
