"""The losses of whole sequences as native functions, by their names: connectionist temporal classification."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from rnnspec.backend.llvm_cpu.math import math_prelude, math_symbol
from rnnspec.backend.templates import render
from rnnspec.kernel.target import Target

SYMBOLS: Mapping[str, str] = MappingProxyType({"ctc": "rnnspec_ctc"})
"""The exported name of each loss's function."""

LANES = (2, 4, 8)
"""The numbers of doubles in a vector."""


def emit_sequence_loss(name: str, dtype: str, target: Target) -> str:
    """The function of a loss as LLVM text; `ctc_text` describes its arguments."""
    lanes = min(max(target.vector_bytes // 8, LANES[0]), LANES[-1])
    text = _TEXTS[name](dtype, lanes)
    prelude = math_prelude(("exp", "log"), "f64", (1, lanes), target.fused_multiply_add)
    wide = f' "prefer-vector-width"="{target.vector_bytes * 8}"' if target.vector_bytes > 32 else ""
    head = f'target triple = "{target.triple}"\n\n' if target.triple else ""
    return "\n".join([head + text, prelude, f"attributes #0 = {{ nounwind{wide} }}\n"])


def ctc_text(dtype: str, lanes: int) -> str:
    """`void rnnspec_ctc(void **pointers, int64_t *dims)`, for predictions of a dtype, with so many doubles in a vector.

    Pointers: predictions (rows, classes), logits or their logarithms of softmax; the rows of the real steps, i64, sample after sample;
    where each sample's begin, and an end, i64 (samples + 1,); the labels, i32, sample after sample, and where they begin, alike;
    factors of the gradient, double (samples,); then what is written: losses, double (samples,), the gradient, as the predictions, in
    the rows that were read, and scratch, as many doubles as `contract.sequence_loss.scratch` says. Dims: samples, classes, the blank's
    class, whether an infinite loss becomes 0 with its gradient left as it is, whether there is a gradient.
    """
    element, letters, size = ("float", "f32", 4) if dtype == "float32" else ("double", "f64", 8)
    single, suffix = f"<{lanes} x {element}>", f"v{lanes}{letters}"
    values = {
        "symbol": SYMBOLS["ctc"],
        "lanes": lanes,
        "vector": f"<{lanes} x double>",
        "pair": f"{{ <{lanes} x double>, <{lanes} x double> }}",
        "vector_suffix": f"v{lanes}f64",
        "numbers": f"<{lanes} x i64>",
        "flags": f"<{lanes} x i1>",
        "zeros": f"<{lanes} x i32>",
        "counted": f"<{', '.join(f'i64 {lane}' for lane in range(lanes))}>",
        "element": element,
        "single": single,
        "bytes": size,
        "load_single": f"llvm.masked.load.{suffix}.p0",
        "store_single": f"llvm.masked.store.{suffix}.p0",
        "widen": "fpext" if size == 4 else "bitcast",
        "narrow": "fptrunc" if size == 4 else "bitcast",
        "exp": math_symbol("exp", "f64", lanes),
        "log_of_one": math_symbol("log", "f64", 1),
    }
    return "\n".join(render(f"{name}.ll.j2", values) for name in ("extended_numbers", "ctc_rows", "ctc"))


_TEXTS: Mapping[str, Callable[[str, int], str]] = MappingProxyType({"ctc": ctc_text})
