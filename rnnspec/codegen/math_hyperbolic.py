"""tanh and erf: odd functions that saturate at 1."""

from __future__ import annotations

from rnnspec.codegen.math_exponential import exp_of_moderate, expm1_of_negative
from rnnspec.codegen.math_writer import Float, MathWriter

# tanh(x)/x as a fraction in x**2, minimax in relative error over |x| <= TANH_CLAMP_F32; both constant
# terms are 1 so that tanh(x) is x where x is tiny.
TANH_NUMERATOR_F32 = (1.0, 0.13382684231437685065, 0.0034974539576950757574, 0.000020635756005090116638, 1.3384188529405934706e-8)
TANH_DENOMINATOR_F32 = (1.0, 0.46716005481227194622, 0.02588434708756051894, 0.0003288511048715505637, 7.7902094611825711576e-7)
TANH_CLAMP_F32 = 9.02

# erf(x)/x as a fraction in x**2, minimax in relative error.
ERF_NUMERATOR_F32 = (
    1.1283791453527264814,
    0.19078385276574639973,
    0.052790289553819899855,
    0.0037796104186624904563,
    0.00028480867460420325319,
    2.0419711518129662279e-6,
)
ERF_DENOMINATOR_F32 = (
    1.0,
    0.5024105067773979198,
    0.11425753204313212786,
    0.014997439604209591931,
    0.0011652130951770335674,
    0.000038004082614300189187,
)
ERF_CLAMP_F32 = 3.93

# erf(x)/x as a fraction in x**2 over |x| <= 1.
ERF_NUMERATOR_F64 = (
    1.1283791670955125714,
    0.1421492905212095046,
    0.045303904950360503329,
    0.0018272941187465235251,
    0.00019495599292670425273,
)
ERF_DENOMINATOR_F64 = (
    1.0,
    0.45930986202723532513,
    0.093252827737584687395,
    0.010582210767968554948,
    0.00068121553256958961386,
    0.000020297399917923710835,
)

# exp(x**2) erfc(x) as a fraction in x over 1 <= x <= ERF_CLAMP_F64, minimax under the weight exp(-x**2).
ERFC_NUMERATOR_F64 = (
    0.99999996142772720091,
    1.3323115714999644137,
    0.88131023682966152485,
    0.33462527301719787448,
    0.072580130935265041397,
    0.0072917986132367230541,
    1.2980534236528590068e-8,
)
ERFC_DENOMINATOR_F64 = (
    1.0,
    2.460690315067071974,
    2.6579041449225312472,
    1.625303982339862602,
    0.59971409436079352726,
    0.12863146986670577933,
    0.012925180534398327072,
)
ERF_CLAMP_F64 = 5.95

TANH_CLAMP_F64 = 19.0


def write_tanh(writer: MathWriter) -> Float:
    """tanh: a clamped odd fraction in float32; through expm1 in float64."""
    if writer.form.name == "f32":
        clamped = writer.clamp(writer.argument, -TANH_CLAMP_F32, TANH_CLAMP_F32)
        return _odd_fraction(writer, clamped, TANH_NUMERATOR_F32, TANH_DENOMINATOR_F32)
    magnitude = writer.magnitude(writer.argument)
    clamped = writer.clamp(magnitude, 0.0, TANH_CLAMP_F64)
    # tanh(a) = -e / (2 + e) with e = expm1(-2a): nothing cancels, and a denormal comes out as it went in.
    decay = expm1_of_negative(writer, writer.multiply(clamped, writer.constant(-2.0)))
    result = writer.divide(decay, writer.add(decay, writer.constant(2.0)))
    return writer.with_sign_of(writer.magnitude(result), writer.argument)


def write_erf(writer: MathWriter) -> Float:
    """erf: a clamped odd fraction in float32; in float64 up to 1, and 1 - erfc above."""
    if writer.form.name == "f32":
        clamped = writer.clamp(writer.argument, -ERF_CLAMP_F32, ERF_CLAMP_F32)
        return _odd_fraction(writer, clamped, ERF_NUMERATOR_F32, ERF_DENOMINATOR_F32)
    clamped = writer.clamp(writer.argument, -ERF_CLAMP_F64, ERF_CLAMP_F64)
    near = _odd_fraction(writer, clamped, ERF_NUMERATOR_F64, ERF_DENOMINATOR_F64)
    magnitude = writer.magnitude(clamped)
    # The rounding of x**2 is harmless: erfc is small beside 1 where exp(-x**2) would multiply it.
    decay = exp_of_moderate(writer, writer.multiply(magnitude, writer.multiply(magnitude, writer.constant(-1.0))))
    fraction = writer.divide(writer.polynomial(magnitude, ERFC_NUMERATOR_F64), writer.polynomial(magnitude, ERFC_DENOMINATOR_F64))
    far = writer.subtract(writer.constant(1.0), writer.multiply(decay, fraction))
    is_near = writer.compare("olt", magnitude, writer.constant(1.0))
    return writer.select(is_near, near, writer.with_sign_of(far, writer.argument))


def _odd_fraction(writer: MathWriter, value: Float, numerator: tuple[float, ...], denominator: tuple[float, ...]) -> Float:
    """value * numerator(value**2) / denominator(value**2)."""
    square = writer.multiply(value, value)
    above = writer.multiply(value, writer.polynomial(square, numerator))
    return writer.divide(above, writer.polynomial(square, denominator))
