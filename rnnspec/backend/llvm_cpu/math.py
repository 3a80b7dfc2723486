"""Elementary functions over vectors, as LLVM text: the fixed prelude of every generated module.

Each function is straight-line code without tables, calls or fast-math flags; `llvm.fma` is the only
intrinsic. Infinity, NaN, signed zero and denormals come out as IEEE 754 says, gradual underflow
included. Where the caller's floating-point state flushes denormals, a denormal counts as a zero of
its sign (expm1 and log1p hand it back as it is) and nothing else changes, but for erf without fma:
below 8 times the smallest normal number it is off by up to one such number, a correction that is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from rnnspec.backend.llvm_cpu.math_error_function import write_erf
from rnnspec.backend.llvm_cpu.math_exponential import write_exp, write_expm1
from rnnspec.backend.llvm_cpu.math_hyperbolic import write_sigmoid, write_tanh
from rnnspec.backend.llvm_cpu.math_logarithm import write_log, write_log1p
from rnnspec.backend.llvm_cpu.math_writer import FORMATS, Float, FloatName, MathWriter, fma_declaration, vector_suffix
from rnnspec.diagnostics import InternalError

LANES = (1, 2, 4, 8, 16)

FUNCTIONS: dict[str, Callable[[MathWriter], Float]] = {
    "erf": write_erf,
    "exp": write_exp,
    "expm1": write_expm1,
    "log": write_log,
    "log1p": write_log1p,
    "sigmoid": write_sigmoid,
    "tanh": write_tanh,
}

ULP_BOUNDS: Mapping[str, float] = {
    "erf": 1.5,
    "exp": 1.1,
    "expm1": 2.5,
    "log": 1.0,
    "log1p": 1.5,
    "sigmoid": 3.0,
    "tanh": 3.0,
}
"""No result is further from the truth than so many units in its last place: either format, with and without fma, denormals included."""


def math_symbol(name: str, dtype: FloatName, lanes: int) -> str:
    """The name of the function in a module, without the leading `@`."""
    if name not in FUNCTIONS:
        raise InternalError(f"no elementary function {name!r}")
    if lanes not in LANES:
        raise InternalError(f"no elementary functions over {lanes} lanes")
    return f"rnnspec.{name}.{vector_suffix(FORMATS[dtype], lanes)}"


def math_function(name: str, dtype: FloatName, lanes: int, fma: bool) -> str:
    """The definition of one function: `lanes` elements in, as many out; a scalar if there is one."""
    symbol = math_symbol(name, dtype, lanes)
    writer = MathWriter(FORMATS[dtype], lanes, fma)
    return writer.function(symbol, FUNCTIONS[name](writer))


def math_declarations(dtype: FloatName, lanes_list: Collection[int], fma: bool) -> str:
    """The intrinsics that definitions over these lane counts call, each declared once."""
    if not fma:
        return ""
    return "".join(f"{fma_declaration(FORMATS[dtype], lanes)}\n" for lanes in sorted(set(lanes_list)))


def math_definitions(names: Collection[str], dtype: FloatName, lanes_list: Collection[int], fma: bool) -> str:
    """All of `names` over each of the lane counts, in a fixed order, without declarations."""
    return "\n".join(math_function(name, dtype, lanes, fma) for name in sorted(set(names)) for lanes in sorted(set(lanes_list)))


def math_prelude(names: Collection[str], dtype: FloatName, lanes_list: Collection[int], fma: bool) -> str:
    """Declarations and definitions; the text is the same for the same sets."""
    declarations = math_declarations(dtype, lanes_list, fma) if names else ""
    return "\n".join(part for part in (declarations, math_definitions(names, dtype, lanes_list, fma)) if part)
