"""tanh and sigmoid, the activations of the hot loop: one short polynomial and one division each.

Both come from b = tanh(r / 2) over |r| <= ln(2)/2, where exp(r) = (1 + b) / (1 - b), and a power of
two s = 2**-n: the fraction of exp is never divided out but carried into the last division.

Other designs were measured side by side (16 lanes of float32, AVX-512, ns an element): a clamped
odd fraction of degree 9/8 for tanh takes as long (0.098; this one 0.100, the division binds both),
errs by 5 ULP and passes 1; through expm1 it takes 0.16. For sigmoid, 1 / (1 + exp(-x)) with a
polynomial of degree 6 takes 0.120 (this one 0.115, and with a shorter chain of operations), and
0.5 + 0.5 tanh(x / 2) has no relative accuracy for negative x.
"""

from __future__ import annotations

from rnnspec.backend.llvm_cpu.math_exponential import EXPONENTIAL, LOG2_E
from rnnspec.backend.llvm_cpu.math_writer import Float, FloatName, MathWriter
from rnnspec.frozen import frozen

LN2 = 0.6931471805599453


@frozen
class HyperbolicConstants:
    """The constants of a format.

    `quotient` holds the minimax polynomial of (tanh(y) / y - 1) / y**2 in y**2 over |y| <= ln(2)/4,
    in relative error of tanh(y).
    """

    quotient: tuple[float, ...]
    tanh_is_one: float
    """tanh is 1 from here on."""
    sigmoid_is_one: float
    """sigmoid is 1 from here on."""
    sigmoid_scale: int
    """sigmoid's fraction is scaled by 2**-sigmoid_scale above and below."""


HYPERBOLIC: dict[FloatName, HyperbolicConstants] = {
    "f32": HyperbolicConstants(
        quotient=(-0.3333125657528594746, 0.13109793486741050264),
        tanh_is_one=10.0,
        sigmoid_is_one=18.0,
        sigmoid_scale=64,
    ),
    "f64": HyperbolicConstants(
        quotient=(
            -0.33333333333332465636,
            0.1333333333277329766,
            -0.053968252764034812127,
            0.021869369381554014989,
            -0.0088572643459966893317,
            0.0034442916203314233549,
        ),
        tanh_is_one=20.0,
        sigmoid_is_one=38.0,
        sigmoid_scale=512,
    ),
}


def write_tanh(writer: MathWriter) -> Float:
    """tanh(x) = (b (1 + s) + (1 - s)) / ((1 + s) + b (1 - s)), 2x = n ln 2 + r; never beyond 1, odd to the last bit.

    Nothing cancels: for n = 0 the fraction is 2b / 2, and elsewhere |b| is small beside |1 - s|.
    """
    constants = HYPERBOLIC[writer.form.name]
    clamped = writer.clamp(writer.argument, -constants.tanh_is_one, constants.tanh_is_one)
    rounder = writer.constant(writer.form.rounder)
    shifted = writer.multiply_add(clamped, writer.constant(2.0 * LOG2_E), rounder)
    exponent = writer.subtract(shifted, rounder)
    # One constant for ln(2)/2 is enough: the larger n, the less tanh depends on r.
    half = writer.multiply_add(exponent, writer.constant(-LN2 / 2.0), clamped)
    ratio = writer.multiply(half, writer.polynomial(writer.multiply(half, half), (1.0, *constants.quotient)))
    power = _inverse_power(writer, shifted, 0)
    above_one = writer.add(power, writer.constant(1.0))
    # s - 1 rather than 1 - s: at x = -0 the numerator is then -0 - 0.
    below_one = writer.subtract(power, writer.constant(1.0))
    numerator = writer.multiply_add(ratio, above_one, writer.negate(below_one))
    return writer.divide(numerator, writer.multiply_add(writer.negate(ratio), below_one, above_one))


def write_sigmoid(writer: MathWriter) -> Float:
    """sigmoid(x) = (1 + b) / ((1 + b) + s (1 - b)), x = n ln 2 + r, in relative accuracy down to the last denormal.

    Both sides of the fraction are scaled down so that s, up to 2**150, stays in range; the division
    is then the only rounding to a denormal.
    """
    constants = HYPERBOLIC[writer.form.name]
    reduction = EXPONENTIAL[writer.form.name]
    clamped = writer.clamp(writer.argument, reduction.underflow, constants.sigmoid_is_one)
    rounder = writer.constant(writer.form.rounder)
    shifted = writer.multiply_add(clamped, writer.constant(LOG2_E), rounder)
    exponent = writer.subtract(shifted, rounder)
    remainder = writer.multiply_add(exponent, writer.constant(-reduction.ln2_high), clamped)
    remainder = writer.multiply_add(exponent, writer.constant(-reduction.ln2_low), remainder)
    # tanh(r/2) / r in r**2: the coefficients of tanh(y) / y with y's powers of two moved in.
    halved = [0.5 ** (2 * power + 1) * c for power, c in enumerate((1.0, *constants.quotient))]
    ratio = writer.multiply(remainder, writer.polynomial(writer.multiply(remainder, remainder), halved))
    scale = writer.constant(2.0**-constants.sigmoid_scale)
    above = writer.multiply_add(ratio, scale, scale)
    below = writer.subtract(writer.constant(1.0), ratio)
    return writer.divide(above, writer.multiply_add(below, _inverse_power(writer, shifted, -constants.sigmoid_scale), above))


def _inverse_power(writer: MathWriter, shifted: Float, offset: int) -> Float:
    """2**(offset - n), which must be normal, for n in the low bits of `shifted`."""
    form = writer.form
    bits = writer.shift_left(writer.to_bits(shifted), form.fraction_bits)
    return writer.from_bits(writer.integer_subtract(writer.integer(form.power_bits(offset)), bits))
