"""Elementary functions over vectors, as LLVM text: the fixed prelude of every generated module.

Each function is straight-line code without tables, calls or fast-math flags, but for sin and cos of large arguments; `llvm.fma` is the
only intrinsic. Infinity, NaN, signed zero and denormals come out as IEEE 754 says, gradual underflow
included. Where the caller's floating-point state flushes denormals, a denormal counts as a zero of
its sign (expm1 and log1p hand it back as it is) and nothing else changes, but for erf without fma:
below 8 times the smallest normal number it is off by up to one such number, a correction that is lost.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from rnnspec.backend.llvm_cpu.elementwise import ElementaryFunction, elementary_functions
from rnnspec.backend.llvm_cpu.math_trigonometric import distance_definition, far_definition, one_definition
from rnnspec.backend.llvm_cpu.math_writer import F64, FORMATS, FloatName, MathWriter, fma_declaration, function_symbol
from rnnspec.diagnostics import InternalError

LANES = (1, 2, 4, 8, 16)

FUNCTIONS: Mapping[str, ElementaryFunction] = elementary_functions()
"""By name, as code generation's rows have them."""


def math_symbol(name: str, dtype: FloatName, lanes: int) -> str:
    """The name of the function in a module, without the leading `@`."""
    if name not in FUNCTIONS:
        raise InternalError(f"no elementary function {name!r}")
    if lanes not in LANES:
        raise InternalError(f"no elementary functions over {lanes} lanes")
    return function_symbol(name, FORMATS[dtype], lanes)


def math_function(name: str, dtype: FloatName, lanes: int, fma: bool) -> str:
    """The definition of one function: `lanes` elements in, as many out; a scalar if there is one."""
    return _written(name, dtype, lanes, fma)[0]


def _written(name: str, dtype: FloatName, lanes: int, fma: bool) -> tuple[str, set[str]]:
    """A function's definition with the declarations that it needs."""
    function = FUNCTIONS[name]
    writer = MathWriter(FORMATS[dtype], lanes, fma)
    return writer.function(math_symbol(name, dtype, lanes), function.write(writer), function.operands), writer.declarations


def math_declarations(names: Collection[str], dtype: FloatName, lanes_list: Collection[int], fma: bool) -> list[str]:
    """The intrinsics that these functions over these lane counts call, each declared once, in a fixed order."""
    declared = {line for name in names for lanes in lanes_list for line in _written(name, dtype, lanes, fma)[1]}
    if fma and any(FUNCTIONS[name].reduces for name in names):
        declared.add(fma_declaration(F64, 1))
    return sorted(declared)


def math_definitions(names: Collection[str], dtype: FloatName, lanes_list: Collection[int], fma: bool) -> str:
    """All of `names` over each of the lane counts, in a fixed order, without declarations."""
    form, parts = (
        FORMATS[dtype],
        [math_function(name, dtype, lanes, fma) for name in sorted(set(names)) for lanes in sorted(set(lanes_list))],
    )
    reducing = [name for name in sorted(set(names)) if FUNCTIONS[name].reduces]
    for name in reducing:
        parts += [far_definition(name, MathWriter(form, lanes, fma)) for lanes in sorted(set(lanes_list))]
        parts.append(one_definition(name, MathWriter(form, 1, fma)))
    if reducing:
        parts.append(distance_definition(MathWriter(F64, 1, fma)))
    return "\n".join(parts)


def math_prelude(names: Collection[str], dtype: FloatName, lanes_list: Collection[int], fma: bool) -> str:
    """Declarations and definitions; the text is the same for the same sets."""
    declarations = "".join(f"{line}\n" for line in math_declarations(names, dtype, lanes_list, fma))
    return "\n".join(part for part in (declarations, math_definitions(names, dtype, lanes_list, fma)) if part)
