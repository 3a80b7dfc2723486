"""erf: x plus a small multiple of x up to 1, and 1 - erfc above."""

from __future__ import annotations

from rnnspec.backend.llvm_cpu.math_exponential import exp_of_moderate
from rnnspec.backend.llvm_cpu.math_writer import Float, FloatName, MathWriter
from rnnspec.frozen import frozen

# erf(x)/x - 1 in x**2 over |x| <= 1, minimax in relative error of erf: a polynomial, and a fraction.
NEAR_F32 = (
    0.12837916572677843405,
    -0.37612625824556388255,
    0.11283585150243195848,
    -0.026853811967595386083,
    0.0051883277140473843119,
    -0.0008010193702271375552,
    0.00007853861204718572146,
)
NEAR_NUMERATOR_F64 = (
    0.12837916709551257141,
    -0.31716057150602582053,
    -0.047948922787224184066,
    -0.008754916649222031423,
    -0.00048625953964288536112,
    -0.000020297399917923710835,
)
NEAR_DENOMINATOR_F64 = (
    1.0,
    0.45930986202723532513,
    0.093252827737584687395,
    0.010582210767968554948,
    0.00068121553256958961386,
    0.000020297399917923710835,
)

# log(erfc(x)) over 1 <= x <= 4, minimax in error of erf.
LOG_ERFC_F32 = (
    -0.00034152830799636877869,
    -1.127089167247606711,
    -0.63814487322807117654,
    -0.10310671744441209979,
    0.021838045319435223159,
    -0.0029476534201058188491,
    0.00018637867491113785561,
)

# exp(x**2) erfc(x) as a fraction in x over 1 <= x <= 5.95, minimax in error of erf.
SCALED_ERFC_NUMERATOR_F64 = (
    0.99999988698509997893,
    1.3905906819498642077,
    0.94953687408073250165,
    0.37360868156933130022,
    0.084351814656195266234,
    0.008930739432617992775,
)
SCALED_ERFC_DENOMINATOR_F64 = (
    1.0,
    2.5189686584585965995,
    2.7918946119545393526,
    1.7571893711871751538,
    0.67017832434297063457,
    0.14950579356668686344,
    0.015829445957669138713,
)

ERF_IS_ONE: dict[FloatName, float] = {"f32": 4.0, "f64": 5.95}
"""erf is 1 from here on."""


@frozen
class Parts:
    """The registers of both intervals' polynomials."""

    near_quotient: Float
    """erf(x)/x - 1."""
    complement: Float
    """erfc(|x|)."""


def write_erf(writer: MathWriter) -> Float:
    """erf: the sign comes from the argument, and nothing passes 1."""
    value = writer.argument
    # The near interval's polynomial must stay finite everywhere, or its NaN would raise a flag.
    magnitude = writer.clamp(writer.magnitude(value), 0.0, ERF_IS_ONE[writer.form.name])
    square = writer.multiply(magnitude, magnitude)
    parts = _parts_f32(writer, magnitude, square) if writer.form.name == "f32" else _parts_f64(writer, magnitude, square)
    near = writer.multiply_add(magnitude, parts.near_quotient, magnitude)
    far = writer.subtract(writer.constant(1.0), parts.complement)
    is_near = writer.compare("olt", magnitude, writer.constant(1.0))
    return writer.with_sign_of(writer.select(is_near, near, far), value)


def _parts_f32(writer: MathWriter, magnitude: Float, square: Float) -> Parts:
    complement = exp_of_moderate(writer, writer.polynomial(magnitude, LOG_ERFC_F32))
    return Parts(writer.polynomial(square, NEAR_F32), complement)


def _parts_f64(writer: MathWriter, magnitude: Float, square: Float) -> Parts:
    """The rounding of x**2 is harmless: exp(-x**2) multiplies it, which is small beside 1."""
    decay = exp_of_moderate(writer, writer.negate(square))
    scaled = _fraction(writer, magnitude, SCALED_ERFC_NUMERATOR_F64, SCALED_ERFC_DENOMINATOR_F64)
    near_quotient = _fraction(writer, square, NEAR_NUMERATOR_F64, NEAR_DENOMINATOR_F64)
    return Parts(near_quotient, writer.multiply(decay, scaled))


def _fraction(writer: MathWriter, variable: Float, numerator: tuple[float, ...], denominator: tuple[float, ...]) -> Float:
    return writer.divide(writer.polynomial(variable, numerator), writer.polynomial(variable, denominator))
