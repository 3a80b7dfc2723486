"""Runs generated elementary functions over arrays, and says how far they are from the truth, in units in the last place."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnspec.backend.llvm_cpu.math import FUNCTIONS, math_prelude, math_symbol
from rnnspec.backend.llvm_cpu.math_writer import FORMATS, FloatName
from rnnspec.backend.llvm_cpu.objects import Machine, host_target
from rnnspec.backend.llvm_cpu.writer import FunctionWriter, quoted
from rnnspec.runtime.native.jit import Jit, Loaded

Array = NDArray[Any]

DTYPES: Mapping[FloatName, type[np.floating[Any]]] = {"f32": np.float32, "f64": np.float64}
HOST = host_target()
FLUSHES = HOST.denormals is not None
"""Whether this machine has the switch for denormals that generated code turns."""


@dataclass(frozen=True)
class Functions:
    """The elementary functions of one format, lane count and choice of fma, loaded."""

    dtype: FloatName
    lanes: int
    loaded: Loaded

    def run(self, name: str, *operands: Array, flush: bool = False) -> Array:
        """The function of each value, or of each two; with `flush`, denormals count as zeros inside."""
        size = operands[0].size
        padded = [np.zeros(-(-size // self.lanes) * self.lanes, DTYPES[self.dtype]) for _ in operands]
        for held, values in zip(padded, operands, strict=True):
            held[:size] = values
        results = np.empty_like(padded[0])
        pointers = (ctypes.c_void_p * (len(padded) + 1))(*(held.ctypes.data for held in padded), results.ctypes.data)
        count = ctypes.c_int64(results.size)
        self.loaded.functions[_entry(name, flush)](ctypes.addressof(pointers), ctypes.addressof(count))
        return results[:size]


@cache
def _jit() -> Jit:
    return Jit()


@cache
def functions(dtype: FloatName, fma: bool, lanes: int | None = None) -> Functions:
    """All functions; over a vector of this machine if `lanes` is None."""
    form = FORMATS[dtype]
    lanes = lanes or HOST.vector_bytes * 8 // form.width
    kind = form.float_type if lanes == 1 else f"<{lanes} x {form.float_type}>"
    ways = (False, True) if FLUSHES else (False,)
    parts = [f'target triple = "{HOST.triple}"', math_prelude(FUNCTIONS, dtype, [lanes], fma)]
    parts += [f"declare void @llvm.x86.sse.{name}(ptr)" for name in ("stmxcsr", "ldmxcsr") if FLUSHES]
    for name in FUNCTIONS:
        for flush in ways:
            parts.append(_loop(name, math_symbol(name, dtype, lanes), kind, form.float_type, lanes, flush))
    parts.append("attributes #0 = { nounwind }\n")
    symbols = [_entry(name, flush) for name in FUNCTIONS for flush in ways]
    return Functions(dtype, lanes, _jit().load(Machine(HOST).object_code("\n".join(parts)), symbols))


def _entry(name: str, flush: bool) -> str:
    return f"{name}_{'flushed' if flush else 'gradual'}"


def _loop(name: str, symbol: str, kind: str, element: str, lanes: int, flush: bool) -> str:
    """`f(void *pointers[], int64_t *count)`: from the first array, or the first two, to the last."""
    writer = FunctionWriter(_entry(name, flush), ["ptr %pointers", "ptr %dims"], linkage="dso_local")
    saved = writer.assign("alloca i32") if flush else ""
    if flush:
        changed = writer.assign("alloca i32")
        writer.do(f"call void @llvm.x86.sse.stmxcsr(ptr {saved})")
        state = writer.assign(f"load i32, ptr {saved}")
        writer.do(f"store i32 {writer.assign(f'or i32 {state}, {HOST.denormals.bits}')}, ptr {changed}")
        writer.do(f"call void @llvm.x86.sse.ldmxcsr(ptr {changed})")
    operands = FUNCTIONS[name].operands
    arrays: list[str] = []
    for number in range(operands + 1):
        slot = writer.assign(f"getelementptr inbounds ptr, ptr %pointers, i64 {number}")
        arrays.append(writer.assign(f"load ptr, ptr {slot}"))
    count = writer.assign("load i64, ptr %dims")
    with writer.loop("0", count, lanes) as place:
        places = [writer.assign(f"getelementptr inbounds {element}, ptr {array}, i64 {place}") for array in arrays]
        values = [writer.assign(f"load {kind}, ptr {address}, align 4") for address in places[:operands]]
        result = writer.assign(f"call {kind} @{quoted(symbol)}({', '.join(f'{kind} {value}' for value in values)})")
        writer.do(f"store {kind} {result}, ptr {places[-1]}, align 4")
    if flush:
        writer.do(f"call void @llvm.x86.sse.ldmxcsr(ptr {saved})")
    return writer.text()


# The truth

IN_DOUBLE: Mapping[str, Callable[..., Array]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "erf": np.frompyfunc(math.erf, 1, 1),
    "sin": np.sin,
    "cos": np.cos,
    "pow": np.float_power,
}
"""The functions in double precision, where they are right to about 2**-29 of a float32's last place."""

CONTEXT = Context(prec=26, Emin=-99999, Emax=99999)
"""So many digits that the truth's own error is a billionth of a double's last place."""


def _exp(x: Decimal) -> Decimal:
    return CONTEXT.exp(x)


def _expm1(x: Decimal) -> Decimal:
    if abs(x) > 1:
        return CONTEXT.subtract(_exp(x), 1)
    total = term = x
    count = 1
    while term and abs(term) > abs(total) * Decimal("1e-27"):
        count += 1
        term = CONTEXT.divide(CONTEXT.multiply(term, x), count)
        total = CONTEXT.add(total, term)
    return total


def _log1p(x: Decimal) -> Decimal:
    if abs(x) > Decimal("0.01"):
        return Context(prec=60, Emin=-99999, Emax=99999).add(x, 1).ln(CONTEXT)
    ratio = CONTEXT.divide(x, CONTEXT.add(x, 2))
    total = power = ratio
    square = CONTEXT.multiply(ratio, ratio)
    count = 1
    while power and abs(power) > abs(total) * Decimal("1e-27"):
        count += 2
        power = CONTEXT.multiply(power, square)
        total = CONTEXT.add(total, CONTEXT.divide(power, count))
    return CONTEXT.multiply(total, 2)


def _tanh(x: Decimal) -> Decimal:
    grown = _expm1(CONTEXT.multiply(x, 2))
    return CONTEXT.divide(grown, CONTEXT.add(grown, 2))


def _sigmoid(x: Decimal) -> Decimal:
    return CONTEXT.divide(1, CONTEXT.add(_exp(-x), 1))


TWO_OVER_ROOT_PI = Decimal("1.12837916709551257389615890312154517168810125865799771368817")


def _erf(x: Decimal) -> Decimal:
    """2/sqrt(pi) exp(-x**2) (x + 2 x**3 / 3 + 4 x**5 / 15 + ...): all terms of one sign."""
    total = term = x
    square = CONTEXT.multiply(x, CONTEXT.multiply(x, 2))
    count = 1
    while term and abs(term) > abs(total) * Decimal("1e-27"):
        count += 2
        term = CONTEXT.divide(CONTEXT.multiply(term, square), count)
        total = CONTEXT.add(total, term)
    decay = Context(prec=60, Emin=-99999, Emax=99999).multiply(x, x)
    return CONTEXT.multiply(CONTEXT.multiply(total, _exp(-decay)), TWO_OVER_ROOT_PI)


WIDE = Context(prec=420, Emin=-99999, Emax=99999)


def _pi() -> Decimal:
    """Machin's formula in whole numbers: 4 (4 arctan(1/5) - arctan(1/239)) to 420 digits."""
    unit = 10**430

    def arctan_of_inverse(number: int) -> int:
        total = power = unit // number
        count = 1
        while power:
            power //= -number * number
            count += 2
            total += power // count
        return total

    return WIDE.scaleb(Decimal(4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))), -430)


PI = _pi()


def _sine_of_distance(x: Decimal) -> Decimal:
    """sin of a number of many digits: of its distance to the nearest multiple of pi, by Taylor's series."""
    turns = WIDE.divide(x, PI).to_integral_value()
    distance = WIDE.subtract(x, WIDE.multiply(turns, PI))
    wide = Context(prec=40, Emin=-99999, Emax=99999)
    r = wide.plus(distance)
    total = term = r
    count = 1
    while term and abs(term) > abs(total) * Decimal("1e-30"):
        count += 2
        term = -wide.divide(wide.multiply(term, wide.multiply(r, r)), (count - 1) * count)
        total = wide.add(total, term)
    return -total if int(turns) % 2 else total


def _pow(x: Decimal, y: Decimal) -> Decimal:
    """Of a positive base."""
    wide = Context(prec=60, Emin=-99999, Emax=99999)
    return wide.exp(wide.multiply(y, wide.ln(x)))


IN_DECIMAL: Mapping[str, Callable[..., Decimal]] = {
    "exp": _exp,
    "expm1": _expm1,
    "log": lambda x: x.ln(CONTEXT),
    "log1p": _log1p,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "erf": _erf,
    "sin": _sine_of_distance,
    "cos": lambda x: _sine_of_distance(WIDE.add(x.copy_abs(), WIDE.divide(PI, 2))),
    "pow": _pow,
}


@dataclass(frozen=True)
class Truth:
    """`near` is the format's nearest number, `rest` what the true value is above it."""

    near: Array
    rest: Array

    def errors(self, results: Array) -> Array:
        """In units in the last place of `near`; what is infinite or NaN in both is no error."""
        with np.errstate(invalid="ignore", over="ignore"):
            off = results.astype(np.float64) - self.near.astype(np.float64) - self.rest
            apart = np.abs(off) / np.spacing(np.abs(self.near)).astype(np.float64)
        same = (results == self.near) & ~np.isfinite(self.near) | np.isnan(results) & np.isnan(self.near)
        apart = np.where(same, 0.0, apart)
        return np.where(np.isnan(apart), np.inf, apart)


def truth_f32(name: str, *values: Array) -> Truth:
    """Of float32 values, any."""
    with np.errstate(all="ignore"):
        exact = np.asarray(IN_DOUBLE[name](*(each.astype(np.float64) for each in values)), np.float64)
        near = exact.astype(np.float32)
        return Truth(near, np.where(np.isfinite(near), exact - near, 0.0))


def truth_f64(name: str, *values: Array) -> Truth:
    """Of finite float64 values that the function is defined at."""
    exact = [IN_DECIMAL[name](*map(Decimal, numbers)) for numbers in zip(*(each.tolist() for each in values), strict=True)]
    near = np.array([float(value) for value in exact])
    rest = [
        float(CONTEXT.subtract(value, Decimal(rounded))) if math.isfinite(rounded) else 0.0
        for value, rounded in zip(exact, near.tolist(), strict=True)
    ]
    return Truth(near, np.array(rest))
