"""The LLVM text of modules: golden for one small function, the same at every run; and how it treats its caller."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec.backend.llvm_cpu.elementwise import emit_elementwise
from rnnspec.backend.llvm_cpu.entry import shared_symbol, symbol
from rnnspec.backend.llvm_cpu.module import emit_module
from rnnspec.backend.llvm_cpu.objects import Machine, host_target
from rnnspec.backend.llvm_cpu.vectors import Library, Vectors
from rnnspec.backend.llvm_cpu.writer import FunctionWriter, quoted
from rnnspec.diagnostics import InternalError
from rnnspec.ir.ops import BinaryKind, Function, UnaryKind
from rnnspec.ir.parser import parse_module
from rnnspec.ir.types import DType
from rnnspec.ir.verify import verify
from rnnspec.kernel.target import AVX2, NEON, SSE42, TARGETS, Target
from tests.unit.backend.native_calls import BACKEND, call, jit, load
from tests.unit.kernel.scheduled import compilation, model, scheduled

GOLDEN = Path(__file__).parents[2] / "golden" / "backend"
HOST = host_target()

SMALL = """module m
func @f(input %x: f32[batch, 3], weight %w: f32[3, 5]) {
  %0 = matmul %x, %w : f32[batch, 5]
  %1 = sqrt %0 : f32[batch, 5]
  return output "y" %1
}
"""


def parsed(text: str) -> Function:
    module = parse_module(text)
    verify(module)
    return module.functions[0]


def emitted(text: str, target: Target) -> str:
    return emit_module(BACKEND.schedule(parsed(text), target, {"w": 0}, "kernel").module, target)


# Text


def test_golden_text(regenerate: bool) -> None:
    text = emitted(SMALL, AVX2)
    path = GOLDEN / "small.ll"
    if regenerate:
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_text_is_accepted_by_llvm(target: Target) -> None:
    Machine(target).optimise(emitted(SMALL, target))


@pytest.mark.parametrize("wanted", ["forward", "record", "backward"])
def test_text_is_the_same_each_time(wanted: str) -> None:
    spec = model(3, "Bidirectional(LSTM(5, return_sequences = true))", "GRU(4)", "Dense(3, activation = softmax)")
    first, second = scheduled(spec, wanted), scheduled(spec, wanted)
    assert emit_module(first.module, AVX2) == emit_module(second.module, AVX2)


def test_text_doesn_t_depend_on_the_hash_seed() -> None:
    """Two fresh interpreters, each with its own order of sets."""
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from tests.unit.kernel.scheduled import *\n"
        "from rnnspec.backend.llvm_cpu.module import emit_module\n"
        "spec = model('ids', 'Embedding(6, 3, mask_zero = true)', 'Bidirectional(LSTM(5))', 'Dense(3, activation = gelu)')\n"
        "for wanted in ('forward', 'backward'): print(emit_module(scheduled(spec, wanted).module, AVX2))\n"
    )
    root = Path(__file__).parents[3]
    shown = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root, env={**os.environ, "PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    ]
    assert shown[0] == shown[1] and "define" in shown[0]


def test_no_instruction_has_fast_math_flags() -> None:
    spec = model(3, "LSTM(5)", "Dense(3, activation = softmax)")
    for wanted in ("forward", "record", "backward"):
        words = set(emit_module(scheduled(spec, wanted).module, AVX2).split())
        assert not words & {"fast", "nnan", "ninf", "nsz", "arcp", "contract", "afn", "reassoc"}


def test_multiply_add_is_fused_where_the_target_says_so() -> None:
    for target in TARGETS.values():
        text = emitted(SMALL, target)
        assert ("@llvm.fma." in text) == target.fused_multiply_add
        assert ("fmul" in text) == (not target.fused_multiply_add)


OF_ROWS: Mapping[str, str] = {
    "stage": "%out = div %x, %wide : f32[batch, 37]",
    "row reduction": "%cheap = mul %x, %wide : f32[batch, 37]\n%out = reduce_sum %cheap {axis = 1} : f32[batch, 1]",
    "column reduction": "%cheap = mul %x, %wide : f32[batch, 37]\n%out = reduce_sum %cheap {axis = 0} : f32[37]",
}
"""What reads a number of each row beside all its units: 37 of them take more than one tile."""


@pytest.mark.parametrize("name", OF_ROWS)
def test_what_is_the_same_for_all_units_is_computed_once_a_row(name: str) -> None:
    """Not for each vector of a tile, and not again for the row's rest."""
    body = f"%small = add %r, %r : f32[batch, 1]\n%wide = broadcast %small : f32[batch, 37]\n{OF_ROWS[name]}"
    text = emitted(f'module m\nfunc @f(input %x: f32[batch, 37], input %r: f32[batch, 1]) {{\n{body}\nreturn output "y" %out\n}}\n', AVX2)
    nest = text[text.index("define internal void @f.0(") :]
    nest = nest[: nest.index("\n}\n")]
    sums = [line for line in nest.splitlines() if re.search(r"= fadd <8 x float> (%\S+), \1$", line)]
    assert len(sums) == 1


def test_only_entry_points_are_exported() -> None:
    text = emitted(SMALL, AVX2)
    exported = [line.split("@")[1].split("(")[0] for line in text.splitlines() if line.startswith("define dso_local")]
    assert exported == ["rnnspec_f_prepare", "rnnspec_f_prepare_shared", "rnnspec_f", "rnnspec_f_shared"]
    assert exported == [name(function) for function in ("f.prepare", "f") for name in (symbol, shared_symbol)]
    others = [line for line in text.splitlines() if line.startswith("define") and "dso_local" not in line]
    assert others and all(line.startswith("define internal") for line in others)


def test_a_module_of_integers_is_an_error() -> None:
    module = BACKEND.schedule(parsed(SMALL), AVX2, {"w": 0}, "kernel").module
    broken = replace(module, functions=tuple(replace(function, dtype=DType.I32, nodes=()) for function in module.functions))
    with pytest.raises(InternalError, match="a module of i32"):
        emit_module(broken, AVX2)


def test_text_that_llvm_refuses_is_an_internal_error() -> None:
    with pytest.raises(InternalError, match="LLVM refuses the generated code"):
        Machine(HOST).object_code("define void @f() { ret i32 0 }")


def test_names_are_quoted_where_llvm_wants_it() -> None:
    assert quoted("rnnspec.exp.v8f32") == "rnnspec.exp.v8f32"
    assert quoted("a b") == '"a b"'
    assert quoted('a"\\') == '"a\\22\\5C"'


def test_unknown_instructions_are_errors() -> None:
    vectors = Vectors(FunctionWriter("f", []), AVX2, DType.I32, Library())
    with pytest.raises(InternalError, match="tanh of i32"):
        emit_elementwise(vectors, UnaryKind.TANH, ["%x"])


def test_constants_are_exact_bits() -> None:
    single = Vectors(FunctionWriter("f", []), AVX2, DType.F32, Library())
    double = Vectors(FunctionWriter("f", []), AVX2, DType.F64, Library())
    assert single.constant(0.1) == f"0x{np.float64(np.float32(0.1)).view(np.uint64):016X}"
    assert double.constant(0.1) == f"0x{np.float64(0.1).view(np.uint64):016X}"
    assert single.constant(float("inf")) == "0x7FF0000000000000"
    assert double.vector(-0.0) == "splat (double 0x8000000000000000)"
    assert emit_elementwise(single, BinaryKind.ADD, ["%a", "%b"]) == "%v.1"


# The object


def test_the_identity_names_llvm_and_the_passes() -> None:
    identity = Machine(HOST).identity
    assert identity == Machine(SSE42).identity
    assert identity.split()[0].count(".") == 2 and "always_inliner" in identity


def test_the_host_is_one_of_the_targets() -> None:
    base = TARGETS[HOST.name]
    assert (HOST.vector_bytes, HOST.registers, HOST.fused_multiply_add) == (base.vector_bytes, base.registers, base.fused_multiply_add)
    assert HOST.cpu and HOST.features


# The caller's floating-point state

ADDS = """module m
func @f(input %x: f32[batch, 8], input %y: f32[batch, 8]) {
  %0 = add %x, %y : f32[batch, 8]
  %1 = mul %x, %y : f32[batch, 8]
  return output "sum" %0, output "product" %1
}
"""

if HOST.denormals is not None:
    FLUSH_DENORMALS = HOST.denormals.bits

    @pytest.fixture(scope="module")
    def control_and_status() -> Callable[[], int]:
        """Reads this thread's MXCSR, with a little native code."""
        text = (
            f'target triple = "{HOST.triple}"\n'
            "declare void @llvm.x86.sse.stmxcsr(ptr)\n"
            "define dso_local void @read(ptr %to, ptr %unused) {\n  call void @llvm.x86.sse.stmxcsr(ptr %to)\n  ret void\n}\n"
        )
        loaded = jit().load(Machine(HOST).object_code(text), ["read"])

        def read() -> int:
            state = ctypes.c_uint32()
            loaded.functions["read"](ctypes.addressof(state), None)
            return state.value

        return read

    def tiny_arguments() -> dict[str, np.ndarray]:
        """Two normal numbers whose sum and product aren't."""
        tiny = np.finfo(np.float32).tiny
        return {"x": np.full((1, 8), tiny * np.float32(1.5)), "y": np.full((1, 8), -tiny)}

    def test_denormals_are_flushed_inside() -> None:
        function = parsed(ADDS)
        arguments = tiny_arguments()
        assert 0 < float((arguments["x"] + arguments["y"])[0, 0]) < np.finfo(np.float32).tiny
        results = call(load(function, HOST), function, arguments)
        assert results["sum"].tolist() == [[0.0] * 8]
        assert np.all(results["product"] == 0)

    def test_denormal_arguments_count_as_zero() -> None:
        function = parsed(ADDS)
        denormal = np.full((1, 8), np.finfo(np.float32).tiny / np.float32(2), np.float32)
        ones = np.full((1, 8), np.float32(2.0**127))
        assert call(load(function, HOST), function, {"x": denormal, "y": ones})["product"].tolist() == [[0.0] * 8]
        assert float((denormal * ones)[0, 0]) == 1.0

    def test_the_caller_s_state_is_as_before(control_and_status: Callable[[], int]) -> None:
        """The switches at least; the status flags below them may have been raised."""
        function = parsed(ADDS)
        bound = load(function, HOST)
        before = control_and_status()
        assert before & FLUSH_DENORMALS == 0
        call(bound, function, tiny_arguments())
        assert control_and_status() & ~0x3F == before & ~0x3F

    def test_denormal_arithmetic_still_works_after_a_call() -> None:
        function = parsed(ADDS)
        bound = load(function, HOST)
        arguments = tiny_arguments()
        for dtype in (np.float32, np.float64):
            tiny = np.full(64, np.finfo(dtype).tiny, dtype)
            call(bound, function, arguments)
            halves = tiny / dtype(2)
            assert np.all(halves > 0) and np.all(halves + halves == tiny)
            assert float(np.finfo(np.float64).tiny) / 2 > 0

    def test_models_restore_it_too(control_and_status: Callable[[], int]) -> None:
        """Forward, record and backward, the preparation of weights included."""
        tiny = np.finfo(np.float32).tiny
        made = rnnspec.compile(model(3, "LSTM(5)"), seed=0)
        x = np.full((2, 4, 3), tiny, np.float32)
        before = control_and_status() & ~0x3F
        for _ in range(2):
            made.forward(x)
            _, tape = made.forward(x, record=True)
            made.backward(tape, np.full((2, 5), tiny, np.float32))
            assert control_and_status() & ~0x3F == before
            assert np.all(x / np.float32(4) > 0)


def test_targets_without_the_switch_leave_it_out() -> None:
    assert "mxcsr" in emitted(SMALL, AVX2)
    assert "mxcsr" not in emitted(SMALL, NEON)
    assert "mxcsr" not in compilation(model(3, "LSTM(5)"), NEON).print("llvm")


def test_rows_enter_and_leave_a_shared_scan_by_one_thread() -> None:
    """Several that write the same to the same place would hardly ever be noticed."""
    text = emit_module(scheduled(model(3, "LSTM(64)"), "forward").module, AVX2)
    (scan,) = (part for part in text.split("define ") if part.startswith("internal void @forward.2("))
    led = {line.split()[0] for line in scan.splitlines() if line.startswith("  %led.")}
    moved = [line for line in scan.splitlines() if "getelementptr" not in line and any(f"{register}," in line for register in led)]
    assert len(led) == 3
    assert sum("icmp slt" in line for line in moved) == 4, "finals and two states enter, one state leaves"
    assert "%led" not in emit_module(scheduled(model(3, "LSTM(64)"), "forward").module, AVX2, shared=False)


@pytest.mark.parametrize(("units", "turns"), [(20, False), (64, True)])
@pytest.mark.parametrize("wanted", ["forward", "stream"])
def test_every_other_step_goes_back_through_weights_that_no_first_level_cache_holds(units: int, turns: bool, wanted: str) -> None:
    text = emit_module(scheduled(model(3, f"LSTM({units})"), wanted).module, AVX2)
    assert ("%back." in text) is turns
    assert (len(re.findall(r"%tile\.\d+ = select i1 %back", text)) >= 2) is turns, "a single row, and several"
