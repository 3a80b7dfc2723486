"""sin and cos: the distance r to the nearest multiple of pi (of cos: to the nearest zero), and one odd polynomial of it.

Both are (-1)^n sin(r) for a whole n. Arguments up to 2**21 are reduced by the parts of pi, each so short that its product with n is
exact. A vector with larger ones takes a second way for those alone: the bits of 1/pi that matter for the argument's exponent, 192 of
them, times its fraction, in whole numbers (Payne and Hanek 1983). So the reduction is right for every argument of either format, and
which elements share a vector changes no bit. Single precision is computed in double precision throughout and rounded once.
"""

from __future__ import annotations

import math
from itertools import pairwise

from rnnspec.backend.llvm_cpu.math_pairs import Pair, product_of, sum_of, sum_of_ordered
from rnnspec.backend.llvm_cpu.math_writer import F64, Flag, Float, Integer, MathWriter, function_symbol

NEAR = 2.0**21
"""Below it in magnitude an argument is reduced by the parts of pi."""

PI_PARTS = (3.1415926534682512, 1.215420100718692e-10, 5.8254641096454e-20, 2.541311752027975e-29)
"""Three parts of 31 bits, so that products with numbers of 22 bits are exact, and the rest."""

ONE_OVER_PI = 0.3183098861837907

IS_IDENTITY = 2.0**-27
"""sin(x) is x, rounded, below this magnitude, in double precision."""

# (sin(r)/r - 1) / r**2 in r**2 over |r| <= pi/2, minimax in relative error of sin(r).
QUOTIENT_F32 = (
    -0.16666666626108719539,
    0.0083333311067854906086,
    -0.00019840867964954994867,
    2.7525371543675656005e-6,
    -2.3888677273702e-8,
)
QUOTIENT_F64 = (
    -0.16666666666666665568,
    0.0083333333333331941087,
    -0.0001984126984120914536,
    2.7557319211124257652e-6,
    -2.5052106871578919092e-8,
    1.6058939642903231021e-10,
    -7.6429898127388501669e-13,
    2.7211569341007332813e-15,
)

INVERSE_PI_WORDS = (
    *(0x0000000000000000, 0x517CC1B727220A94, 0xFE13ABE8FA9A6EE0, 0x6DB14ACC9E21C820, 0xFF28B1D5EF5DE2B0, 0xDB92371D2126E970),
    *(0x0324977504E8C90E, 0x7F0EF58E5894D39F, 0x74411AFA975DA242, 0x74CE38135A2FBF20, 0x9CC8EB1CC1A99CFA, 0x4E422FC5DEFC941D),
    *(0x8FFC4BFFEF02CC07, 0xF79788C5AD05368F, 0xB69B3F6793E584DB, 0xA7A31FB34F2FF516, 0xBA93DD63F5F2F8BD, 0x9E839CFBC5294975),
    *(0x35FDAFD88FC6AE84, 0x2B0198237E3DB5D5, 0xF867DE104D7A1B0E),
)
"""The bits of 1/pi behind the point, and 64 zeros before them."""

DISTANCE, WORDS = "rnnspec.distance", "rnnspec.inverse_pi"


def write_sin(writer: MathWriter) -> Float:
    """sin: odd to the last bit; NaN of infinities."""
    return _write(writer, "sin", of_cos=False)


def write_cos(writer: MathWriter) -> Float:
    """cos: even to the last bit; NaN of infinities."""
    return _write(writer, "cos", of_cos=True)


def _write(writer: MathWriter, name: str, of_cos: bool) -> Float:
    wide = writer.in_double()
    single = writer.form.name == "f32"
    value = writer.widened(writer.argument) if single else writer.argument
    magnitude = wide.magnitude(value)
    rounder = wide.constant(wide.form.rounder)
    turns = wide.multiply_add(value, wide.constant(ONE_OVER_PI), wide.constant(-0.5)) if of_cos else None
    shifted = wide.multiply_add(value, wide.constant(ONE_OVER_PI), rounder) if turns is None else wide.add(turns, rounder)
    whole = wide.subtract(shifted, rounder)
    multiple = wide.add(whole, wide.constant(0.5)) if of_cos else whole
    result = _of_distance(wide, _distance(wide, value, multiple, single), _odd(wide, wide.to_bits(shifted), of_cos), single)
    if single:
        result = writer.narrowed(result)
    elif not of_cos:
        result = wide.select(wide.compare("olt", magnitude, wide.constant(IS_IDENTITY)), value, result)
    return writer.rescued(result, _is_far(wide, magnitude), f"{function_symbol(name, writer.form, writer.lanes)}.far")


def _is_far(wide: MathWriter, magnitude: Float) -> Flag:
    beyond = wide.compare("oge", magnitude, wide.constant(NEAR))
    return wide.flag_and(beyond, wide.compare("olt", magnitude, wide.constant(math.inf)))


def _odd(wide: MathWriter, number: Integer, of_cos: bool) -> Integer:
    """The sign bit of (-1)^n, of cos of (-1)^(n + 1), for n in the low bits of `number`."""
    bit = wide.shift_left(number, F64.width - 1)
    return wide.bit_xor(bit, wide.integer(-1 << (F64.width - 1))) if of_cos else bit


def _distance(wide: MathWriter, value: Float, multiple: Float, single: bool) -> Pair:
    """value - multiple * pi."""
    first, second, third, fourth = (wide.constant(-part) for part in PI_PARTS)
    rest = wide.multiply_add(multiple, first, value)
    if single:
        rest = wide.multiply_add(multiple, second, rest)
        return Pair(wide.multiply_add(multiple, third, rest), wide.constant(0.0))
    rough = sum_of(wide, rest, wide.multiply(multiple, second))
    finer = sum_of(wide, rough.high, wide.multiply(multiple, third))
    low = wide.add(wide.add(rough.low, finer.low), wide.multiply(multiple, fourth))
    return sum_of(wide, finer.high, low)


def _of_distance(wide: MathWriter, distance: Pair, sign: Integer, single: bool) -> Float:
    """sin of the distance, with its sign exchanged where the bit is set."""
    r, tail = distance
    square = wide.multiply(r, r)
    if single:
        result = wide.multiply_add(wide.multiply(r, square), wide.polynomial(square, QUOTIENT_F32), r)
        # A zero keeps its sign: the product above is +0 for r = -0.
        result = wide.select(wide.compare("oeq", r, wide.constant(0.0)), r, result)
    else:
        # The slope of sin, to first order in r**2, is enough for what r lacks.
        cube = wide.multiply(wide.multiply(r, square), wide.polynomial(square, QUOTIENT_F64))
        slope = wide.multiply_add(square, wide.constant(-0.5), wide.constant(1.0))
        result = wide.add(r, wide.multiply_add(tail, slope, cube))
    return wide.from_bits(wide.bit_xor(wide.to_bits(result), sign))


def far_definition(name: str, writer: MathWriter) -> str:
    """The function that looks after the far elements of a vector, and that of one far element; `writer`: a fresh one."""
    form, lanes = writer.form, writer.lanes
    symbol = f"{function_symbol(name, form, lanes)}.far"
    element, one = form.float_type, f"rnnspec.{name}.{form.name}.one"
    kind = writer.float_type
    if lanes == 1:
        body = f"  %value = call {element} @{one}({element} %x)\n  ret {element} %value"
    else:
        limit, infinity = (f"0x{F64.bits(value):016X}" for value in (NEAR, math.inf))
        clear = (1 << (form.width - 1)) - 1
        body = "\n".join(
            (
                "  br label %lane",
                "lane:",
                "  %i = phi i64 [ 0, %entry ], [ %next, %done ]",
                f"  %before = phi {kind} [ %near, %entry ], [ %after, %done ]",
                f"  %one = extractelement {kind} %x, i64 %i",
                f"  %bits = bitcast {element} %one to {form.integer_type}",
                f"  %clear = and {form.integer_type} %bits, {clear}",
                f"  %magnitude = bitcast {form.integer_type} %clear to {element}",
                f"  %beyond = fcmp oge {element} %magnitude, {limit}",
                f"  %finite = fcmp olt {element} %magnitude, {infinity}",
                "  %far = and i1 %beyond, %finite",
                "  br i1 %far, label %apply, label %done",
                "apply:",
                f"  %value = call {element} @{one}({element} %one)",
                f"  %changed = insertelement {kind} %before, {element} %value, i64 %i",
                "  br label %done",
                "done:",
                f"  %after = phi {kind} [ %before, %lane ], [ %changed, %apply ]",
                "  %next = add i64 %i, 1",
                f"  %more = icmp ult i64 %next, {lanes}",
                "  br i1 %more, label %lane, label %end",
                "end:",
                f"  ret {kind} %after",
            )
        )
    return f"define internal {kind} @{symbol}({kind} %x, {kind} %near) noinline nounwind cold {{\nentry:\n{body}\n}}\n"


def one_definition(name: str, writer: MathWriter) -> str:
    """The function of one far element: of a scalar; `writer`: a fresh one, of one lane."""
    form, of_cos, single = writer.form, name == "cos", writer.form.name == "f32"
    wide = writer.in_double()
    value = writer.widened(writer.argument) if single else writer.argument
    kind = "{ double, double, i64 }"
    found = wide.instruction(f"call {kind} @{DISTANCE}(double {value}, i64 {int(of_cos)})")
    high, low, number = (wide.instruction(f"extractvalue {kind} {found}, {place}") for place in range(3))
    distance = Pair(Float(high), wide.constant(0.0) if single else Float(low))
    # The distance is that of the magnitude: sin gets its argument's sign, cos has none.
    sign = _odd(wide, Integer(number), of_cos=False)
    if not of_cos:
        sign = wide.bit_xor(sign, wide.bit_and(wide.to_bits(value), wide.integer(-1 << (F64.width - 1))))
    result = _of_distance(wide, distance, sign, single)
    if single:
        result = writer.narrowed(result)
    element = form.float_type
    return f"define internal {element} @rnnspec.{name}.{form.name}.one({element} %x) noinline nounwind cold {{\nentry:\n" + (
        writer.text(f"ret {element} {result}") + "\n}\n"
    )


def distance_definition(writer: MathWriter) -> str:
    """The bits of 1/pi, and the distance of a magnitude from the nearest multiple of pi, or of pi/2 and one; `writer`: of one double.

    `@rnnspec.distance(x, half)`: |x| = (n - half/2) pi + r with |r| <= pi/2; r as two numbers, and n, of which the lowest bit is right.
    """
    do = writer.instruction
    words = len(INVERSE_PI_WORDS)
    table = ", ".join(f"i64 {word if word < 1 << 63 else word - (1 << 64)}" for word in INVERSE_PI_WORDS)
    magnitude = do(f"and i64 {do('bitcast double %x to i64')}, {(1 << 63) - 1}")
    fraction = do(f"or i64 {do(f'and i64 {magnitude}, {(1 << 52) - 1}')}, {1 << 52}")
    # |x| = fraction * 2**e. The bits of 1/pi above 2**-e make even numbers, and those from there on stand here in the table.
    exponent = do(f"lshr i64 {magnitude}, {F64.fraction_bits}")
    place = do(f"sub i64 {exponent}, {F64.bias + F64.fraction_bits + 1 - 64}")
    first, bit = do(f"lshr i64 {place}, 6"), do(f"zext i64 {do(f'and i64 {place}, 63')} to i128")
    loaded: list[str] = []
    for number in range(4):
        pointer = do(f"getelementptr inbounds [{words} x i64], ptr @{WORDS}, i64 0, i64 {do(f'add i64 {first}, {number}')}")
        loaded.append(do(f"zext i64 {do(f'load i64, ptr {pointer}, align 8')} to i128"))
    window: list[str] = []
    for upper, lower in pairwise(loaded):
        both = do(f"or i128 {do(f'shl i128 {upper}, 64')}, {lower}")
        moved = do(f"shl i128 {both}, {bit}")
        window.append(do(f"trunc i128 {do(f'lshr i128 {moved}, 64')} to i64"))
    # The product modulo 2: the highest word's highest bit counts one.
    wide = do(f"zext i64 {fraction} to i128")
    lower, upper = (do(f"zext i64 {window[number]} to i128") for number in (2, 1))
    lowest, upper = do(f"mul i128 {wide}, {lower}"), do(f"mul i128 {wide}, {upper}")
    middle = do(f"add i128 {upper}, {do(f'lshr i128 {lowest}, 64')}")
    carried = do(f"trunc i128 {do(f'lshr i128 {middle}, 64')} to i64")
    highest = do(f"add i64 {do(f'mul i64 {fraction}, {window[0]}')}, {carried}")
    highest = do(f"add i64 {highest}, {do('shl i64 %half, 62')}")
    words_of = [highest, do(f"trunc i128 {middle} to i64"), do(f"trunc i128 {lowest} to i64")]
    halves = do(f"lshr i64 {highest}, 62")
    number = do(f"add i64 {do(f'lshr i64 {halves}, 1')}, {do(f'and i64 {halves}, 1')}")
    signed = [do(f"or i64 {do(f'shl i64 {upper}, 1')}, {do(f'lshr i64 {lower}, 63')}") for upper, lower in pairwise(words_of)]
    limbs: list[Float] = []
    for position, (word, is_first) in enumerate(((signed[0], True), (signed[1], False))):
        upper, lower = do(f"{'ashr' if is_first else 'lshr'} i64 {word}, 32"), do(f"and i64 {word}, {(1 << 32) - 1}")
        for half, limb in enumerate((upper, lower)):
            weight = 2.0 ** (-64 * position - 32 * (half + 1))
            limbs.append(writer.multiply(Float(do(f"sitofp i64 {limb} to double")), writer.constant(weight)))
    high, low = sum_of_ordered(writer, limbs[0], limbs[1])
    high, rest = sum_of(writer, high, limbs[2])
    high, low = sum_of_ordered(writer, high, writer.add(writer.add(low, rest), limbs[3]))
    pi_high, pi_low = math.pi, 1.2246467991473532e-16
    product = product_of(writer, high, writer.constant(pi_high))
    tail = writer.multiply_add(high, writer.constant(pi_low), writer.multiply_add(low, writer.constant(pi_high), product.low))
    result = sum_of_ordered(writer, product.high, tail)
    kind = "{ double, double, i64 }"
    value = "poison"
    for place_, (type_, register) in enumerate((("double", result.high), ("double", result.low), ("i64", number))):
        value = do(f"insertvalue {kind} {value}, {type_} {register}, {place_}")
    table = f"@{WORDS} = internal unnamed_addr constant [{words} x i64] [{table}], align 64"
    head = f"define internal {kind} @{DISTANCE}(double %x, i64 %half) noinline nounwind cold {{"
    return "\n".join([table, head, "entry:", writer.text(f"ret {kind} {value}"), "}\n"])
