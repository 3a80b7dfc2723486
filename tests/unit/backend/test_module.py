"""The LLVM text of modules: golden for one small function, the same at every run; and how it treats its caller."""

from __future__ import annotations

import ctypes
import itertools
import os
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
from rnnspec.ir.ops import Function, UnaryKind
from rnnspec.ir.parser import parse_module
from rnnspec.ir.types import DType
from rnnspec.ir.verify import verify
from rnnspec.kernel.loop_nests import nests_of
from rnnspec.kernel.nodes import Contract, FusedLoop, KernelFunction, Load, ScanLoop, Store
from rnnspec.kernel.target import AVX2, NEON, SSE42, TARGETS, Target
from tests.unit.backend.loops import Code, Loop, Numbers, function_of, functions_of
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


def emitted(text: str, target: Target, *, shared: bool = True) -> str:
    return emit_module(BACKEND.schedule(parsed(text), target, {"w": 0}, "kernel").module, target, shared=shared)


def sums(code: Code) -> list[Loop]:
    """The innermost loops that multiply and add."""
    return [loop for loop in code.innermost if loop.calls("llvm.fma")]


# Text


ROOTS = """module m
func @f(input %x: f32[batch, 5]) {
  %0 = sqrt %x : f32[batch, 5]
  return output "y" %0
}
"""


def test_golden_text(regenerate: bool) -> None:
    """One nest, short enough to be read: the tests behind this one ask larger modules for their loops."""
    text = emitted(ROOTS, AVX2, shared=False)
    path = GOLDEN / "roots.ll"
    if regenerate:
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_a_contraction_is_loops_over_tiles_of_rows_and_over_the_depth() -> None:
    """Each weight is loaded once for all rows of a tile, a number of each row is spread, and nothing is stored between them."""
    code = function_of(emitted(SMALL, AVX2), "f.0")
    start, stop, _ = code.parameters[-3:]
    x, w, y = code.pointers
    given: dict[str | tuple[str, int], int] = {start: 3, stop: 18}
    rows: list[int] = []
    for loop in sums(code):
        (tile,) = code.around(loop)
        step = tile.counter.step
        rows += [row + each for row in tile.turns(given) for each in range(step)]
        assert loop.turns() == range(3), "the depth"
        loads = [each for each in loop.instructions if each.opcode == "load"]
        assert (len(loads), len(loop.calls("llvm.fma"))) == (1 + step, step)
        at = given | {tile.counter.name: 7, loop.counter.name: 2}
        read = [code.address(each.operands[0], at) for each in loads]
        assert sorted(read) == sorted([(w, 2 * 8), *((x, (7 + row) * 3 + 2) for row in range(step))])
        assert not any(each.opcode == "store" or each.calls("llvm.masked.store") for each in loop.instructions)
        stores = [each for each in tile.instructions if each.calls("llvm.masked.store")]
        assert [code.address(each.operands[1], {tile.counter.name: 7}) for each in stores] == [(y, (7 + row) * 5) for row in range(step)]
        for row, store in enumerate(stores):
            (total,) = code.results[str(store.operands[0])].operands
            (added,) = (each for each in code.results[str(total)].operands if each in [one.name for one in loop.calls("llvm.fma")])
            terms = [code.address(each.operands[0], at) for each in code.loads_behind(added)]
            assert terms == [(x, (7 + row) * 3 + 2), (w, 2 * 8)], "what is stored for a row is the sum over its own elements"
    assert rows == list(range(3, 18)), "each row once, in order"
    assert [tile.counter.step for loop in sums(code) for tile in code.around(loop)] == [6, 2, 1]


WHOLE = model(3, "Masking()", "Bidirectional(GRU(5, return_sequences = true))", "LayerNormalization()", "LSTM(20)", "Dense(3)")


@pytest.mark.parametrize("wanted", ["forward", "record", "backward"])
def test_each_nest_loads_and_stores_the_buffers_that_its_kernel_ir_names(wanted: str) -> None:
    """Fused loops, in scans and outside: as many of their pointers are loaded, and as many stored, as they name buffers for it."""
    kernels = scheduled(WHOLE, wanted)
    text = emit_module(kernels.module, AVX2, shared=False)
    defined = functions_of(text)
    name = kernels.function.name
    callers = [code for each, code in defined.items() if each == symbol(name) or each in scans(kernels.function, name)]
    called = [each.called for code in callers for each in code.calls(name)]
    assert len(called) == len(nests_of(kernels.function)), "as often as there are nests, some of which may be one function"
    checked = 0
    for nest in nests_of(kernels.function):
        code = defined.get(f"{name}.{nest.name}")
        if code is None or not isinstance(nest.node, FusedLoop):
            continue
        own = {*code.pointers}
        loads = {each.access.buffer for each in nest.node.body if isinstance(each, Load)}
        contracts = [each for each in nest.node.body if isinstance(each, Contract)]
        stores = {each.access.buffer for each in nest.node.body if isinstance(each, Store)}
        via = {name for each in nest.node.body if isinstance(each, Load) for name in (each.access.via, each.access.fill) if name}
        assert len(code.stored & own) == len(stores), nest.name
        read = loads | {each.left.buffer for each in contracts} | {each.panels for each in contracts} | via
        assert len(code.loaded & own) == len(read), nest.name
        assert bool(sums(code)) == bool(contracts), nest.name
        checked += 1
    assert checked >= 5


def scans(function: KernelFunction, name: str) -> set[str]:
    return {f"{name}.{nest.name}" for nest in nests_of(function) if isinstance(nest.node, ScanLoop)}


def test_a_shared_entry_joins_first_and_waits_last() -> None:
    """And every entry leaves the caller's floating-point state as it was: what it saved first is what it restores last."""
    defined = functions_of(emitted(SMALL, AVX2))
    for name, code in defined.items():
        if code.exported:
            states = [each for each in code.instructions if "mxcsr" in each.called]
            assert [each.called.rpartition(".")[2] for each in states] == ["stmxcsr", "ldmxcsr", "ldmxcsr"], name
            assert states[0].operands == states[2].operands != states[1].operands, name
    shared = [each.called for each in defined["rnnspec_f_shared"].instructions if each.called.startswith(("f.", "rnnspec."))]
    assert shared[0] == "rnnspec.join"
    assert shared.count("f.0") == 1 and shared[-1] == "rnnspec.wait"
    assert not [each for each in defined["rnnspec_f"].instructions if each.called.startswith("rnnspec.")], "alone it waits for nobody"


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
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root, env={**os.environ, "PYTHONHASHSEED": seed}
        )
        for seed in ("1", "2")
    ]
    one, other = (each.communicate()[0] for each in started)
    assert one == other and "define" in one
    assert not any(each.returncode for each in started)


def test_no_instruction_has_fast_math_flags() -> None:
    spec = model(3, "LSTM(5)", "Dense(3, activation = softmax)")
    for wanted in ("forward", "record", "backward"):
        words = set(emit_module(scheduled(spec, wanted).module, AVX2).split())
        assert not words & {"fast", "nnan", "ninf", "nsz", "arcp", "contract", "afn", "reassoc"}


def test_multiply_add_is_fused_where_the_target_says_so() -> None:
    for target in TARGETS.values():
        code = function_of(emitted(SMALL, target), "f.0")
        assert bool(code.calls("llvm.fma")) == target.fused_multiply_add
        assert any(each.opcode == "fmul" for each in code.instructions) == (not target.fused_multiply_add)


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
    code = function_of(text, "f.0")
    doubled = [each for each in code.instructions if each.opcode == "fadd" and each.operands[0] == each.operands[1]]
    assert len(doubled) == 1
    assert len([loop for loop in code.loops if doubled[0] in loop.instructions]) == 1, "in the loop over rows, in none over tiles"


def test_only_entry_points_are_exported() -> None:
    defined = functions_of(emitted(SMALL, AVX2))
    exported = [name for name, code in defined.items() if code.exported]
    assert exported == ["rnnspec_f_prepare", "rnnspec_f_prepare_shared", "rnnspec_f", "rnnspec_f_shared"]
    assert exported == [name(function) for function in ("f.prepare", "f") for name in (symbol, shared_symbol)]
    assert len(defined) > len(exported)


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
    kernels = scheduled(model(3, "LSTM(64)"), "forward")
    for shared in (True, False):
        scan = function_of(emit_module(kernels.module, AVX2, shared=shared), "forward.2")
        for part in (0, 1) if shared else (0,):
            moved = bytes_moved(scan, part, shared)
            assert len(moved) == 4, "finals and two states enter, one state leaves"
            assert all(moved) if part == 0 else not any(moved)


def bytes_moved(scan: Code, part: int, shared: bool) -> list[int]:
    """How many bytes each of a scan's copies moves in a thread, at the step of number 1: of four steps with 9, 7, 4 and 1 rows."""
    integers = [name for name in scan.parameters if name not in scan.pointers]
    start, stop, steps, first, _ = integers[:5]
    offsets = scan.pointers[-2 if shared else -1]
    rows = {(offsets, place): offset for place, offset in enumerate((0, 9, 16, 20, 21))}
    (loop,) = scan.loops
    entered = {each.name: 5 for each in scan.instructions if each.opcode == "phi"}
    given: Numbers = {**rows, **entered, start: 0, stop: 10, steps: 4, first: 0, loop.counter.name: 1}
    given |= {integers[5]: part, integers[6]: 2} if shared else {}
    copies = [each for each in scan.instructions if each.calls("llvm.memset") or each.calls("llvm.memcpy")]
    return [scan.evaluate(each.operands[2], given) for each in copies]


@pytest.mark.parametrize(("units", "turns"), [(20, False), (64, True)])
@pytest.mark.parametrize("wanted", ["forward", "stream"])
def test_every_other_step_goes_back_through_weights_that_no_first_level_cache_holds(units: int, turns: bool, wanted: str) -> None:
    """A step reads one buffer of states and writes the other, the next one the other way round: by their order it knows its direction."""
    kernels = scheduled(model(3, f"LSTM({units})"), wanted)
    name = kernels.function.name
    number = next(
        nest.name for nest in nests_of(kernels.function) if wanted == "stream" or (nest.scan and isinstance(nest.node, FusedLoop))
    )
    code = function_of(emit_module(kernels.module, AVX2), f"{name}.{number}")
    ways = 0
    for loop in sums(code):
        for rows, tiles in itertools.product((5, 1), ((0, 8), (1, 6))):
            one, other = (weights_in_turn(code, loop, rows, tiles, exchanged) for exchanged in (False, True))
            assert sorted(one) == sorted(other)
            assert one == (other[::-1] if turns else other)
            ways += len(one) > 1
    assert ways >= (2 if wanted == "stream" else 4) or not turns, "several rows, and a single one"


@pytest.mark.parametrize(("spec", "tallest"), [("LSTM(64)", 3), ("GRU(64)", 4), ("SimpleRNN(64)", 6)])
def test_no_row_is_alone_that_has_another_one(spec: str, tallest: int) -> None:
    """A single row reads all weights for itself: 4 rows are 2 and 2, not 3 and 1."""
    kernels = scheduled(model(3, spec), "forward")
    nest = next(nest for nest in nests_of(kernels.function) if nest.scan and isinstance(nest.node, FusedLoop))
    code = function_of(emit_module(kernels.module, AVX2), f"forward.{nest.name}")
    tall, pairs, *single = sums(code)
    for rows in range(1, 30):
        turns = [bool(weights_in_turn(code, loop, rows, (0, 8), exchanged=False)) for loop in (tall, pairs, *single)]
        alone = rows == 1 if tallest % 2 else rows % 2 == 1
        assert any(turns[2:]) == alone
        assert turns[0] == (rows >= tallest and (tallest, rows) != (3, 4))


def weights_in_turn(code: Code, loop: Loop, rows: int, tiles: tuple[int, int], exchanged: bool) -> list[tuple[str, int]]:
    """Where a product's loop begins to read weights, tile by tile, for some rows: of some of the tiles, where threads share them."""
    start, stop, token, *share = (name for name in code.parameters if name not in code.pointers)
    places = {name: len(code.pointers) - place if exchanged else place for place, name in enumerate(code.pointers)}
    given: Numbers = {**places, start: 0, stop: rows, token: 0, **dict(zip(share, tiles, strict=False))}
    weights = next(each for each in loop.instructions if each.opcode == "load")
    found: list[tuple[str, int]] = []

    def visit(loops: list[Loop], given: Numbers) -> None:
        if loops:
            for turn in loops[0].turns(given):
                visit(loops[1:], {**given, loops[0].counter.name: turn})
        else:
            found.append(code.address(weights.operands[0], {**given, loop.counter.name: 0}))

    visit(code.around(loop), given)
    return found
