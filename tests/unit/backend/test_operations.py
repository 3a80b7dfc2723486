"""Every operation of the tensor IR as native code, against the interpreter, over widths that fill vectors and ones that don't."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rnnspec.backend.llvm_cpu.elementwise import EXACT, ROUNDED, Instructions
from rnnspec.backend.llvm_cpu.elementwise import ROWS as INSTRUCTIONS
from rnnspec.backend.llvm_cpu.objects import host_target
from rnnspec.ir.elementwise import ElementwiseKind
from rnnspec.ir.interpret import interpret
from rnnspec.ir.ops import BinaryKind, CompareKind, Function, Module, Role, UnaryKind
from rnnspec.ir.parser import parse_module
from rnnspec.ir.types import DType
from rnnspec.ir.verify import verify
from rnnspec.kernel.nodes import FusedLoop, Load, Map, Position, RowReduce
from rnnspec.kernel.target import AVX2, AVX512, SSE42, Target
from tests.ir_arguments import random_arguments
from tests.unit.backend.native_calls import BACKEND, call, float_type, load, weight_offsets

Array = NDArray[Any]

HOST = host_target()
SHAPES: Mapping[str, Target] = {
    target.name: replace(target, triple=HOST.triple, cpu=HOST.cpu, features=HOST.features) for target in (AVX512, AVX2, SSE42)
}
"""Every vector width, with this machine's instructions."""

ROWS = "input %x: WIDE[batch, W], input %y: WIDE[batch, W], weight %k: WIDE[W, 5], weight %v: WIDE[W], weight %one: WIDE[1]"
PADDED = "input %x: WIDE[batch, time, W], mask %m: i1[batch, time], weight %k: WIDE[W, 5], weight %v: WIDE[W]"
LOGICAL = tuple(kind for kind in BinaryKind if kind.row.on_flags)
INDEX = "%i = index %m : index[batch, time, tokens]\n%p = pack %x, %i : WIDE[tokens, W]\n%zero = constant {value = 0.0} : WIDE[1, W]\n"
SHOW = "%out = unpack %r, %zero, %i {hold = false, flip = false} : WIDE[batch, time, W]"

PICKED = (
    "%p = positions : WIDE[W]\n%a = broadcast %p : WIDE[batch, W]\n%at = reduce_max %y {axis = 1} : WIDE[batch, 1]\n"
    "%near = floor %at : WIDE[batch, 1]\n%class = abs %near : WIDE[batch, 1]\n%b = broadcast %class : WIDE[batch, W]\n"
    "%is = eq %a, %b : i1[batch, W]\n%zeros = constant {value = 0.0} : WIDE[batch, W]\n%c = select %is, %x, %zeros : WIDE[batch, W]\n"
    "%out = reduce_sum %c {axis = 1} : WIDE[batch, 1]"
)
"""The element of each row of %x whose place is a number from %y."""

BODIES: Mapping[str, tuple[str, str]] = {
    # Elementwise
    **{
        f"unary_{kind.value}": (ROWS, f"%out = {kind.value} %x : WIDE[batch, W]")
        for kind in UnaryKind
        if kind not in (UnaryKind.SQRT, UnaryKind.LOG, UnaryKind.LOG1P)
    },
    "unary_of_positive": (
        ROWS,
        "%a = abs %x : WIDE[batch, W]\n%b = sqrt %a : WIDE[batch, W]\n%c = log %b : WIDE[batch, W]\n"
        "%d = log1p %a : WIDE[batch, W]\n%out = add %c, %d : WIDE[batch, W]",
    ),
    **{f"binary_{kind.value}": (ROWS, f"%out = {kind.value} %x, %y : WIDE[batch, W]") for kind in BinaryKind if kind not in LOGICAL},
    **{
        f"compare_{kind.value}": (
            ROWS,
            f"%c = {kind.value} %x, %y : i1[batch, W]\n%d = ge %x, %x : i1[batch, W]\n%e = and %c, %d : i1[batch, W]\n"
            "%out = select %e, %x, %y : WIDE[batch, W]",
        )
        for kind in CompareKind
    },
    # Shapes
    "broadcast_of_a_vector": (ROWS, "%a = broadcast %v : WIDE[batch, W]\n%out = mul %x, %a : WIDE[batch, W]"),
    "broadcast_of_a_column": (
        ROWS,
        "%a = reduce_sum %y {axis = 1} : WIDE[batch, 1]\n%b = tanh %a : WIDE[batch, 1]\n%c = broadcast %b : WIDE[batch, W]\n"
        "%out = mul %x, %c : WIDE[batch, W]",
    ),
    "broadcast_of_one_weight": (ROWS, "%a = broadcast %one : WIDE[batch, W]\n%out = mul %x, %a : WIDE[batch, W]"),
    "broadcast_of_a_number": (
        ROWS,
        "%c = constant {value = 0.3} : WIDE[]\n%a = broadcast %c : WIDE[batch, W]\n%out = mul %x, %a : WIDE[batch, W]",
    ),
    "positions": (ROWS, "%p = positions : WIDE[W]\n%a = broadcast %p : WIDE[batch, W]\n%out = add %x, %a : WIDE[batch, W]"),
    "positions_alone": (
        ROWS,
        "%p = positions : WIDE[W]\n%out = broadcast %p : WIDE[batch, W]\n%q = neg %p : WIDE[W]\n%two = broadcast %q : WIDE[batch, W]",
    ),
    "positions_that_are_picked": (ROWS, PICKED),
    "positions_that_spread_a_gradient": (
        ROWS,
        PICKED.replace("%out", "%d") + "\n%e = broadcast %d : WIDE[batch, W]\n%f = select %is, %e, %zeros : WIDE[batch, W]\n"
        "%g = tanh %y : WIDE[batch, W]\n%out = mul %f, %g : WIDE[batch, W]\n%two = reduce_sum %out {axis = 0} : WIDE[W]",
    ),
    "positions_of_tokens": (
        PADDED,
        INDEX
        + PICKED.replace("batch", "tokens")
        .replace("%x", "%p")
        .replace("%p = pos", "%n = pos")
        .replace("broadcast %p", "broadcast %n")
        .replace("%y", "%p")
        .replace("%zeros", "%nothing")
        .replace("%out", "%d")
        + "\n%e = broadcast %d : WIDE[tokens, W]\n%r = select %is, %nothing, %e : WIDE[tokens, W]\n"
        + SHOW,
    ),
    "positions_in_parts": (
        ROWS,
        "%p = positions : WIDE[W3]\n%a = broadcast %p : WIDE[batch, W3]\n%b = concat %x, %y, %x {axis = 1} : WIDE[batch, W3]\n"
        "%c = add %a, %b : WIDE[batch, W3]\n"
        "%d, %e, %f = split %c {axis = 1} : WIDE[batch, W], WIDE[batch, W], WIDE[batch, W]\n%g = mul %d, %e : WIDE[batch, W]\n"
        "%out = add %g, %f : WIDE[batch, W]",
    ),
    "positions_of_which_one_stands_for_all": (
        ROWS,
        "%p = positions : WIDE[3]\n%q, %r, %s = split %p {axis = 0} : WIDE[1], WIDE[1], WIDE[1]\n%a = broadcast %s : WIDE[batch, W]\n"
        "%out = mul %x, %a : WIDE[batch, W]",
    ),
    "positions_reduced": (
        ROWS,
        "%p = positions : WIDE[W]\n%a = broadcast %p : WIDE[batch, W]\n%b = mul %x, %a : WIDE[batch, W]\n"
        "%out = reduce_sum %b {axis = 1} : WIDE[batch, 1]\n%two = reduce_sum %b {axis = 0} : WIDE[W]\n"
        "%three = reduce_max %p {axis = 0} : WIDE[1]",
    ),
    "positions_beside_a_product": (
        ROWS,
        "%p = positions : WIDE[5]\n%a = broadcast %p : WIDE[batch, 5]\n%b = matmul %x, %k from %a : WIDE[batch, 5]\n"
        "%c = matmul %y, %k : WIDE[batch, 5]\n%d = mul %c, %a : WIDE[batch, 5]\n%out = add %b, %d : WIDE[batch, 5]",
    ),
    "positions_multiplied_with_weights": (
        ROWS,
        "%p = positions : WIDE[W]\n%q = exp %p : WIDE[W]\n%r = div %p, %q : WIDE[W]\n%s = mul %r, %v : WIDE[W]\n"
        "%t = broadcast %r : WIDE[batch, W]\n%u = broadcast %s : WIDE[batch, W]\n%w = mul %t, %x : WIDE[batch, W]\n"
        "%b = matmul %t, %k : WIDE[batch, 5]\n%out = add %u, %w : WIDE[batch, W]\n%two = tanh %b : WIDE[batch, 5]",
    ),
    "positions_in_a_scan": (
        PADDED,
        f"{INDEX}%h0 = constant {{value = 0.0}} : WIDE[batch, W]\n%f, %r = scan %i {{reverse = false}} carry(%h = %h0) over(%e = %p) {{\n"
        "%q = positions : WIDE[W]\n%a = broadcast %q : WIDE[rows, W]\n%b = mul %a, %e : WIDE[rows, W]\n%c = add %b, %h : WIDE[rows, W]\n"
        "%n = tanh %c : WIDE[rows, W]\nyield carry(%n) stack(%n) sum()\n} : WIDE[batch, W], WIDE[tokens, W]\n"
        f"{SHOW}\n%two = restore_rows %f, %i : WIDE[batch, W]",
    ),
    "reshape": (ROWS, "%a = reshape %v : WIDE[1, W]\n%b = broadcast %a : WIDE[batch, W]\n%out = add %x, %b : WIDE[batch, W]"),
    "concat_and_split": (
        ROWS,
        "%a = tanh %x : WIDE[batch, W]\n%b = concat %a, %y, %x {axis = 1} : WIDE[batch, W3]\n%c = exp %b : WIDE[batch, W3]\n"
        "%d, %e, %f = split %c {axis = 1} : WIDE[batch, W], WIDE[batch, W], WIDE[batch, W]\n%g = sub %d, %e : WIDE[batch, W]\n"
        "%out = add %g, %f : WIDE[batch, W]",
    ),
    "concat_stored": (ROWS, "%a = exp %y : WIDE[batch, W]\n%out = concat %x, %a {axis = 1} : WIDE[batch, W2]"),
    "split_of_a_weight_by_rows": (
        "input %x: WIDE[batch, W], weight %table: WIDE[3, W]",
        "%a, %b = split %table {axis = 0} : WIDE[1, W], WIDE[2, W]\n%c = broadcast %a : WIDE[batch, W]\n%out = mul %x, %c : WIDE[batch, W]",
    ),
    "concat_of_weights_by_rows": (
        "input %x: WIDE[batch, 5], weight %table: WIDE[3, W], weight %other: WIDE[2, W]",
        "%a = concat %table, %other {axis = 0} : WIDE[5, W]\n%out = matmul %x, %a : WIDE[batch, W]",
    ),
    # Contractions
    "matmul": (ROWS, "%out = matmul %x, %k : WIDE[batch, 5]"),
    "matmul_of_what_is_computed": (ROWS, "%a = exp %x : WIDE[batch, W]\n%b = neg %k : WIDE[W, 5]\n%out = matmul %a, %b : WIDE[batch, 5]"),
    "matmul_by_a_transposed_weight": (
        "input %x: WIDE[batch, 5], weight %k: WIDE[W, 5]",
        "%out = matmul %x, transpose %k : WIDE[batch, W]",
    ),
    "matmul_by_parts_of_a_transposed_weight": (
        "input %x: WIDE[batch, 5], weight %k: WIDE[W2, 5], weight %v: WIDE[W]",
        "%a = matmul %x, transpose %k : WIDE[batch, W2]\n%b, %c = split %a {axis = 1} : WIDE[batch, W], WIDE[batch, W]\n"
        "%d = tanh %c : WIDE[batch, W]\n%out = mul %b, %d : WIDE[batch, W]",
    ),
    "two_matmuls_and_a_bias": (
        ROWS,
        "%a = matmul %x, %k : WIDE[batch, 5]\n%b = matmul %y, %k : WIDE[batch, 5]\n%c = add %a, %b : WIDE[batch, 5]\n"
        "%out = sigmoid %c : WIDE[batch, 5]",
    ),
    "matmul_after_matmul": (
        ROWS,
        "%a = matmul %x, %k : WIDE[batch, 5]\n%b = tanh %a : WIDE[batch, 5]\n%out = matmul %b, transpose %k : WIDE[batch, W]",
    ),
    "outer_product": (ROWS, "%out = matmul transpose %x, %y : WIDE[W, W]"),
    # Reductions
    **{
        f"reduce_{kind}_{axis}": (ROWS, f"%a = exp %x : WIDE[batch, W]\n%out = reduce_{kind} %a {{axis = {axis}}} : {shape}")
        for kind in ("sum", "max", "min")
        for axis, shape in ((1, "WIDE[batch, 1]"), (0, "WIDE[W]"))
    },
    **{
        f"reduce_a_concat_{axis}": (
            ROWS,
            "%a = neg %y : WIDE[batch, W]\n%b = concat %x, %a {axis = 1} : WIDE[batch, W2]\n%c = mul %b, %b : WIDE[batch, W2]\n"
            f"%out = reduce_sum %c {{axis = {axis}}} : {shape}",
        )
        for axis, shape in ((1, "WIDE[batch, 1]"), (0, "WIDE[W2]"))
    },
    "reduce_a_part_of_a_product": (
        "input %x: WIDE[batch, 5], weight %g: WIDE[5, W2], weight %k: WIDE[W, 5]",
        "%a = matmul %x, %g : WIDE[batch, W2]\n%l, %r = split %a {axis = 1} : WIDE[batch, W], WIDE[batch, W]\n"
        "%p = matmul %l, %k : WIDE[batch, 5]\n%s = reduce_sum %l {axis = 1} : WIDE[batch, 1]\n%t = broadcast %s : WIDE[batch, 5]\n"
        "%q = sub %p, %t : WIDE[batch, 5]\n%u = matmul %q, transpose %k : WIDE[batch, W]\n%out = add %u, %r : WIDE[batch, W]",
    ),
    "reduce_a_constant": (
        ROWS,
        "%a = constant {value = 1.0} : WIDE[batch, 1]\n%b = reduce_sum %a {axis = 0} : WIDE[1]\n%c = broadcast %b : WIDE[batch, W]\n"
        "%out = add %x, %c : WIDE[batch, W]",
    ),
    "reduce_a_weight": (
        ROWS,
        "%a = reduce_max %v {axis = 0} : WIDE[1]\n%b = broadcast %a : WIDE[batch, W]\n%out = sub %x, %b : WIDE[batch, W]",
    ),
    # Packing, tables
    **{
        f"unpack_{hold}_{flip}": (
            PADDED,
            f"{INDEX}%f = reshape %v : WIDE[1, W]\n%out = unpack %p, %f, %i {{hold = {hold}, flip = {flip}}} : WIDE[batch, time, W]",
        )
        for hold in ("true", "false")
        for flip in ("true", "false")
    },
    **{
        f"sums_{hold}_{flip}": (
            PADDED,
            f"{INDEX}%r = pack_sum %x, %i {{hold = {hold}, flip = {flip}}} : WIDE[tokens, W]\n{SHOW}\n"
            f"%two = fill_sum %x, %i {{hold = {hold}, flip = {flip}}} : WIDE[1, W]",
        )
        for hold in ("true", "false")
        for flip in ("true", "false")
    },
    "rows": (
        "input %x: WIDE[batch, time, W], mask %m: i1[batch, time], input %a: WIDE[batch, W]",
        "%i = index %m : index[batch, time, tokens]\n%b = sort_rows %a, %i : WIDE[batch, W]\n%c = exp %b : WIDE[batch, W]\n"
        "%out = restore_rows %c, %i : WIDE[batch, W]\n%two = sort_rows %a, %i : WIDE[batch, W]",
    ),
    "take_and_scatter": (
        "input %ids: i32[batch, time, 1], mask %m: i1[batch, time], weight %table: WIDE[5, W]",
        "%i = index %m : index[batch, time, tokens]\n%p = pack %ids, %i : i32[tokens, 1]\n%t = take %table, %p : WIDE[tokens, W]\n"
        "%u = exp %t : WIDE[tokens, W]\n%two = scatter_add %p, %u : WIDE[5, W]\n%zero = constant {value = 0.0} : WIDE[1, W]\n"
        "%out = unpack %u, %zero, %i {hold = false, flip = false} : WIDE[batch, time, W]",
    ),
    "distinct_ids": (
        "input %ids: i32[batch, time, 1], mask %m: i1[batch, time], weight %table: WIDE[5, W], weight %k: WIDE[W, 7]",
        "%i = index %m : index[batch, time, tokens]\n%p = pack %ids, %i : i32[tokens, 1]\n"
        "%d = distinct %p : index[1, 5, tokens_1]\n%once = distinct_ids %d : i32[tokens_1, 1]\n%at = places %p, %d : i32[tokens, 1]\n"
        "%rows = take %table, %once : WIDE[tokens_1, W]\n%z = matmul %rows, %k : WIDE[tokens_1, 7]\n%y = take %z, %at : WIDE[tokens, 7]\n"
        "%h0 = constant {value = 0.0} : WIDE[batch, 7]\n"
        "%f, %s = scan %i {reverse = false} carry(%h = %h0) over(%e = %y) {\n"
        "%g = add %h, %e : WIDE[rows, 7]\n%n = tanh %g : WIDE[rows, 7]\nyield carry(%n) stack(%n) sum()\n"
        "} : WIDE[batch, 7], WIDE[tokens, 7]\n%zero = constant {value = 0.0} : WIDE[1, 7]\n"
        "%out = unpack %s, %zero, %i {hold = false, flip = false} : WIDE[batch, time, 7]\n"
        "%sums = scatter_add %at, %s : WIDE[tokens_1, 7]\n%b = matmul %sums, transpose %k : WIDE[tokens_1, W]\n"
        "%two = scatter_add %once, %b : WIDE[5, W]\n%three = matmul transpose %rows, %sums : WIDE[W, 7]",
    ),
    "take_from_a_part_of_a_table": (
        "input %ids: i32[batch, time, 1], mask %m: i1[batch, time], weight %whole: WIDE[8, W]",
        "%i = index %m : index[batch, time, tokens]\n%p = pack %ids, %i : i32[tokens, 1]\n"
        "%head, %table = split %whole {axis = 0} : WIDE[3, W], WIDE[5, W]\n%t = take %table, %p : WIDE[tokens, W]\n"
        "%zero = constant {value = 0.0} : WIDE[1, W]\n%out = unpack %t, %zero, %i {hold = false, flip = false} : WIDE[batch, time, W]",
    ),
    **{
        f"window_{name}": (
            PADDED,
            f"{INDEX}%all = {every} : i1[batch, ceil(time/2)]\n%j = index %all : index[batch, ceil(time/2), tokens_1]\n"
            f"%ids = window %i, %j {{stride = 2, {options}, at_end = false, own = {own}}} : i32[tokens_1, 1]\n"
            "%t = take %p, %ids : WIDE[tokens_1, W]\n%u = tanh %t : WIDE[tokens_1, W]\n"
            "%out = unpack %u, %zero, %j {hold = false, flip = false} : WIDE[batch, ceil(time/2), W]\n"
            "%s = scatter_add %ids, %u : WIDE[tokens, W]\n"
            "%two = unpack %s, %zero, %i {hold = false, flip = false} : WIDE[batch, time, W]",
        )
        for name, options, every, own in (
            ("missing", "offset = -1, span = 0, clamp = false", "constant {value = 1.0}", "false"),
            ("clamped", "offset = 1, span = 3, clamp = true", "constant {value = 1.0}", "false"),
            (
                "own",
                "offset = 1, span = 3, clamp = false",
                "window_mask %m {size = 3, stride = 2, dilation = 1, start = 0, same = true, flip = false}",
                "true",
            ),
        )
    },
    **{
        f"pairs_{causal}": (
            PADDED,
            f"{INDEX}%pairs = pairs %i, %i {{causal = {causal}}} : index[tokens, time, tokens_1]\n"
            "%a = pair_tokens %pairs, %i, %i {of_keys = false} : i32[tokens_1, 1]\n"
            "%b = pair_tokens %pairs, %i, %i {of_keys = true} : i32[tokens_1, 1]\n"
            "%q = take %p, %a : WIDE[tokens_1, W]\n%y = take %p, %b : WIDE[tokens_1, W]\n%z = mul %q, %y : WIDE[tokens_1, W]\n"
            "%s = reduce_sum %z {axis = 1} : WIDE[tokens_1, 1]\n%c = constant {value = -9.0} : WIDE[tokens, 1]\n"
            "%f = scan %pairs {reverse = false} carry(%h = %c) over(%e = %s) {\n"
            "%g = max %h, %e : WIDE[rows, 1]\nyield carry(%g) stack() sum()\n} : WIDE[tokens, 1]\n"
            "%r = restore_rows %f, %pairs : WIDE[tokens, 1]\n%none = constant {value = 0.0} : WIDE[1, 1]\n"
            "%out = unpack %r, %none, %i {hold = false, flip = false} : WIDE[batch, time, 1]\n%d = scatter_add %a, %y : WIDE[tokens, W]\n"
            "%two = unpack %d, %zero, %i {hold = false, flip = false} : WIDE[batch, time, W]",
        )
        for causal in ("false", "true")
    },
    "rearrange": (
        "input %x: WIDE[batch, 3, W], weight %v: WIDE[W]",
        "%out = rearrange %x {transpose = false} : WIDE[batch, W3]\n%two = rearrange %x {transpose = true} : WIDE[batch, W, 3]\n"
        "%a = tanh %out : WIDE[batch, W3]\n%three = rearrange %a {transpose = false} : WIDE[batch, 3, W]",
    ),
    "random": (
        f"{ROWS}, key %key: i32[]",
        "%a = random %key {stream = 2} : WIDE[batch, W]\n%b = random %key {stream = 0} : WIDE[batch, 1]\n"
        "%c = broadcast %b : WIDE[batch, W]\n%d = add %a, %c : WIDE[batch, W]\n%out = add %x, %d : WIDE[batch, W]\n"
        "%two = random %key {stream = 2} : WIDE[batch, W]",
    ),
    # Scans
    **{
        f"scan_{reverse}": (
            f"{PADDED}, input %start: WIDE[batch, W]",
            f"{INDEX}%h0 = sort_rows %start, %i : WIDE[batch, W]\n%c0 = constant {{value = 0.0}} : WIDE[batch, 5]\n"
            f"%h_last, %c_last, %r = scan %i {{reverse = {reverse}}} carry(%h = %h0, %c = %c0) over(%s = %p) {{\n"
            "%a = matmul %h, %k : WIDE[rows, 5]\n%n = add %a, %c : WIDE[rows, 5]\n%t = tanh %n : WIDE[rows, 5]\n"
            "%b = matmul %t, transpose %k : WIDE[rows, W]\n%g = add %b, %s : WIDE[rows, W]\n%u = constant {value = 0.1} : WIDE[rows, W]\n"
            "%q = mul %u, %g : WIDE[rows, W]\n%o = tanh %q : WIDE[rows, W]\n"
            "yield carry(%o, %t) stack(%h) sum()\n} : WIDE[batch, W], WIDE[batch, 5], WIDE[tokens, W]\n"
            f"{SHOW}\n%two = restore_rows %h_last, %i : WIDE[batch, W]\n%three = restore_rows %c_last, %i : WIDE[batch, 5]",
        )
        for reverse in ("false", "true")
    },
    "scan_of_shifted_states": (
        PADDED,
        f"{INDEX}%h0 = constant {{value = 0.5}} : WIDE[batch, W]\n"
        "%a_last, %b_last, %r = scan %i {reverse = false} carry(%a = %h0, %b = %h0) over(%s = %p) {\n"
        "%n = add %a, %s : WIDE[rows, W]\nyield carry(%b, %n) stack(%n) sum()\n"
        "} : WIDE[batch, W], WIDE[batch, W], WIDE[tokens, W]\n"
        f"{SHOW}\n%two = restore_rows %a_last, %i : WIDE[batch, W]\n%three = restore_rows %b_last, %i : WIDE[batch, W]",
    ),
}


def function_of(name: str, width: int, dtype: DType) -> Function:
    """`W` is the width, `W2` and `W3` its multiples, `WIDE` the float type; %out, %two and %three are the outputs."""
    parameters, body = BODIES[name]
    results = ", ".join(f'output "{out}" %{out}' for out in ("out", "two", "three") if f"%{out} =" in body)
    text = f"module m\nfunc @f({parameters}) {{\n{body}\nreturn {results}\n}}\n"
    for symbol, number in (("W3", 3 * width), ("W2", 2 * width), ("W", width)):
        text = text.replace(f"[{symbol}", f"[{number}").replace(f" {symbol}]", f" {number}]").replace(f" {symbol},", f" {number},")
    module = parse_module(text.replace("WIDE", dtype.value))
    verify(module)
    return module.functions[0]


def compare(function: Function, target: Target, tolerance: float) -> None:
    bound = load(function, target)
    for batch, time in ((7, 5), (1, 1), (0, 3)):
        arguments = random_arguments(function, {"batch": batch, "time": time})
        if float_type(function) is DType.F32:
            arguments = {name: array.astype(np.float32) if array.dtype.kind == "f" else array for name, array in arguments.items()}
        expected = {name: np.asarray(held) for (role, name), held in interpret(function, arguments).items() if role is Role.OUTPUT}
        for name, output in call(bound, function, arguments).items():
            wanted = expected[name].reshape(output.shape)
            finite = np.isfinite(wanted)
            np.testing.assert_array_equal(np.where(finite, 0, output), np.where(finite, 0, wanted))
            largest = max(1.0, float(np.abs(wanted[finite]).max(initial=0.0)))
            np.testing.assert_allclose(output[finite], wanted[finite], rtol=0, atol=tolerance * largest, err_msg=name)


@pytest.mark.parametrize("name", BODIES)
def test_vectors_that_aren_t_full(name: str) -> None:
    compare(function_of(name, 3, DType.F64), SHAPES["avx2"], 1e-13)


@pytest.mark.parametrize("name", BODIES)
def test_full_vectors_and_a_rest(name: str) -> None:
    compare(function_of(name, 17, DType.F32), SHAPES["sse4.2"], 2e-6)


@pytest.mark.parametrize("name", BODIES)
def test_one_element_in_a_wide_vector(name: str) -> None:
    compare(function_of(name, 1, DType.F32), SHAPES["avx512"], 2e-6)


SPECIAL = np.array([[0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 3e38]])


@pytest.mark.parametrize("name", [name for name in BODIES if name.startswith(("unary", "binary", "compare"))])
def test_special_values(name: str) -> None:
    """Infinities and NaN of one side against every value of the other, exactly where the interpreter has them."""
    function = function_of(name, 8, DType.F64)
    bound = load(function, SHAPES["avx2"])
    arguments = random_arguments(function, {"batch": 8, "time": 1})
    arguments["x"], arguments["y"] = np.repeat(SPECIAL, 8, axis=0), np.repeat(SPECIAL.T, 8, axis=1)
    (output,) = call(bound, function, arguments).values()
    (wanted,) = interpret(function, arguments).values()
    np.testing.assert_allclose(output, np.asarray(wanted), rtol=1e-14, atol=0.0)


@pytest.mark.parametrize("dtype", [DType.F32, DType.F64])
@pytest.mark.parametrize("kind", [kind for kind, row in INSTRUCTIONS.items() if isinstance(row, Instructions)], ids=lambda kind: kind.value)
def test_instructions_are_as_exact_as_their_rows_say(kind: ElementwiseKind, dtype: DType) -> None:
    """What numpy gives in the same format: exact, or rounded once, on every target's shape."""
    row = INSTRUCTIONS[kind]
    assert isinstance(row, Instructions) and row.ulp in (EXACT, ROUNDED)
    if kind in LOGICAL:
        return
    prefix = "unary" if isinstance(kind, UnaryKind) else "compare" if isinstance(kind, CompareKind) else "binary"
    function = function_of("unary_of_positive" if kind is UnaryKind.SQRT else f"{prefix}_{kind.value}", 17, dtype)
    if kind is UnaryKind.SQRT:
        text = 'module m\nfunc @f(input %x: WIDE[batch, 17]) {\n%out = sqrt %x : WIDE[batch, 17]\nreturn output "out" %out\n}\n'
        (function,) = parse_module(text.replace("WIDE", dtype.value)).functions
    real = np.float32 if dtype is DType.F32 else np.float64
    random = np.random.default_rng(9)
    arguments = dict(random_arguments(function, {"batch": 64, "time": 1}))
    for name, exponents in (("x", 60), ("y", 3)):
        if name in arguments:
            drawn = random.normal(size=(64, 17)) * 2.0 ** random.integers(-exponents, exponents, (64, 17))
            drawn[::4] = np.round(drawn[::4] * 2) / 2
            arguments[name] = (np.abs(drawn) if kind is UnaryKind.SQRT else drawn).astype(real)
    x, y = arguments["x"], arguments.get("y")
    with np.errstate(all="ignore"):
        if isinstance(kind, CompareKind):
            wanted = np.where(kind.row.numpy(x, y), x, y)
        else:
            wanted = kind.row.numpy(x) if isinstance(kind, UnaryKind) else kind.row.numpy(x, y)
    assert wanted.dtype == real
    for target in SHAPES.values():
        np.testing.assert_array_equal(call(load(function, target), function, arguments)["out"], wanted)


def test_random_numbers_are_the_interpreter_s_to_the_last_bit() -> None:
    for width, dtype, target in ((3, DType.F32, "avx512"), (17, DType.F64, "sse4.2"), (16, DType.F32, "avx2")):
        function = function_of("random", width, dtype)
        arguments = random_arguments(function, {"batch": 7, "time": 1})
        for key in (0, 1, -1, 2**31 - 1, -(2**31)):
            arguments["key"] = np.array(key, np.int32)
            drawn = call(load(function, SHAPES[target]), function, arguments)["two"]
            np.testing.assert_array_equal(drawn, np.asarray(interpret(function, arguments)[Role.OUTPUT, "two"]))


@pytest.mark.parametrize("dtype", [DType.F32, DType.F64])
@pytest.mark.parametrize("target", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("width", [1, 3, 8, 17, 1000, 10000])
def test_positions_are_exact(width: int, target: Target, dtype: DType) -> None:
    """On their own, added to zeros, and as what picks an element of each row."""
    real = np.float32 if dtype is DType.F32 else np.float64
    rows = np.zeros((5, width), real)
    for name in ("positions", "positions_alone"):
        function = function_of(name, width, dtype)
        shown = call(load(function, target), function, random_arguments(function, {"batch": 5, "time": 1}) | {"x": rows})
        np.testing.assert_array_equal(shown["out"], rows + np.arange(width, dtype=real))
    text = f'module m\nfunc @f(input %x: WIDE[batch, {width}], input %y: WIDE[batch, 1]) {{\n{PICKED}\nreturn output "out" %out\n}}\n'
    (function,) = parse_module(text.replace("W]", f"{width}]").replace("WIDE", dtype.value)).functions
    verify(Module("m", (function,)))
    random = np.random.default_rng(width)
    x, classes = random.normal(size=(7, width)).astype(real), random.integers(0, width, (7, 1))
    picked = call(load(function, target), function, {"x": x, "y": classes.astype(real)})["out"]
    np.testing.assert_array_equal(picked, np.take_along_axis(x, classes, axis=1))


def test_positions_are_no_memory() -> None:
    """They are counted where they are read: in one loop with what they are compared with."""
    function = function_of("positions_that_are_picked", 70, DType.F32)
    kernels = BACKEND.schedule(function, AVX2, weight_offsets(function), "kernel")
    bodies = [node.body for node in kernels.function.nodes if isinstance(node, FusedLoop | RowReduce)]
    (picking,) = (body for body in bodies if any(isinstance(each, Position) for each in body))
    assert {each.access.buffer for each in picking if isinstance(each, Load)} == {"input.x", "at"}


def test_a_function_of_positions_is_prepared_once() -> None:
    function = function_of("positions_multiplied_with_weights", 17, DType.F32)
    kernels = BACKEND.schedule(function, AVX2, weight_offsets(function), "kernel")
    prepared, called = (
        [each.kind for node in part.nodes if isinstance(node, FusedLoop | RowReduce) for each in node.body if isinstance(each, Map)]
        for part in (kernels.prepare, kernels.function)
    )
    assert UnaryKind.EXP in prepared and UnaryKind.EXP not in called


@pytest.mark.parametrize("target", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("width", [5, 77])
def test_sums_over_rows_are_in_order(width: int, target: Target) -> None:
    """Rows are added one by one: what comes last is lost beside what is large, whatever the vector width."""
    function, terms = function_of("reduce_sum_0", width, DType.F32), function_of("unary_exp", width, DType.F32)
    arguments = random_arguments(function, {"batch": 303, "time": 1})
    arguments["x"] = arguments["x"].astype(np.float32)
    ordered = np.zeros(width, np.float32)
    for row in call(load(terms, target), terms, arguments)["out"]:
        ordered += row
    np.testing.assert_array_equal(call(load(function, target), function, arguments)["out"].reshape(-1), ordered)


@pytest.mark.parametrize("dtype", [DType.F32, DType.F64])
@pytest.mark.parametrize("target", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(("depth", "units"), [(1, 1), (3, 5), (4, 4), (16, 64), (17, 70), (37, 16), (50, 33)])
def test_rows_of_weights_become_columns(depth: int, units: int, target: Target, dtype: DType) -> None:
    """Rows of the unit matrix pick one column of the weights each, exactly."""
    text = f"""module m
        func @f(input %x: WIDE[batch, {depth}], weight %k: WIDE[{units}, {depth}]) {{
            %a = matmul %x, transpose %k : WIDE[batch, {units}]
            return output "out" %a
        }}"""
    (function,) = parse_module(text.replace("WIDE", dtype.value)).functions
    k = np.arange(1.0, units * depth + 1.0).reshape(units, depth)
    np.testing.assert_array_equal(call(load(function, target), function, {"x": np.eye(depth), "k": k})["out"], k.T)
