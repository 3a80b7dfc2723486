"""A library's forward call: the bits of a model's own, masks and lengths, the workspace, what is refused and what stays untouched."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import rnnspec
from rnnspec.backend.protocol import BAD_ID, BAD_LENGTH, BAD_SIZE, OK, WORKSPACE_TOO_SMALL
from rnnspec.contract.dimensions import BATCH, AtLeastZero, CeilDiv, Name, Size, parse_dim, value_of
from rnnspec.contract.executable import Array
from rnnspec.deploy.forward_layout import ForwardLayout, forward_layout, in_c
from rnnspec.deploy.forward_library import PaddedBatch, forward_reference
from rnnspec.deploy.library import Library, library
from rnnspec.deploy.step_layout import CannotBuild, step_layout
from rnnspec.driver.compilation import Compilation, compilation_of
from rnnspec.kernel.build_targets import BUILD_TARGETS
from rnnspec.kernel.forward_memory import largest
from rnnspec.runtime.native.jit import Jit, Loaded

NATIVE = {"x86_64": "x86-64-v2", "aarch64": "aarch64"}[compilation_of("model M { input x: float[1]\n Dense(1) }").machine().architecture]
TARGET = BUILD_TARGETS[NATIVE]
MODELS = {
    "both directions": """model M { input x: float[time, 5]
        Masking()
        Bidirectional(LSTM(6, return_sequences = true))
        Dense(3, activation = softmax) }""",
    "last": "model M { input x: float[time, 3]\n GRU(8)\n Dense(1) }",
    "row": "model M { input x: float[7]\n Dense(5, activation = tanh)\n Dense(2) }",
    "fixed": "model M { input x: float[11, 3]\n LSTM(4, go_backwards = true) }",
    "windows": """model M { input x: float[time, 3]
        Masking(0.1)
        Conv1D(4, 3, strides = 2, padding = same, carry_mask = true)
        MaxPooling1D(2, carry_mask = true)
        SimpleRNN(5, return_sequences = true) }""",
    "joined": """model M { input a: float[time, 2], b: float[n, 2]
        one = a -> Masking() -> LSTM(4, return_sequences = true)
        other = b -> Conv1D(4, 3, padding = valid)
        y = [one, other] -> Concatenate(axis = 1) -> GRU(3, return_sequences = true) }""",
    "attention": """model M { input q: float[time, 4], k: float[n, 4]
        queries = q -> Masking() -> LSTM(4, return_sequences = true)
        keys = k -> LSTM(4, return_sequences = true)
        y = [queries, keys] -> Attention() -> Dense(2) }""",
    "ids": """model M { input word: int[time], group: int[1], left: float[3]
        words = word -> Embedding(20, 4, mask_zero = true) -> Bidirectional(GRU(5))
        groups = group -> Embedding(6, 2) -> LSTM(2)
        y = [words, groups, left] -> Concatenate() -> Dense(2)
        output y, words }""",
    "own": """cell Leaky(units) {
        weight kernel [features, units] = glorot_uniform
        state h [units]
        h' = 0.9 * h + 0.1 * tanh(x @ kernel)
        return h' }
        model M { input x: float[time, 3]\n Leaky(6, return_sequences = true)\n Dropout(0.5)\n Leaky(3) }""",
}


@cache
def model(name: str, dtype: str = "float32") -> tuple[Compilation, Mapping[str, Array], ForwardLayout, Library]:
    compilation = compilation_of(MODELS[name], dtype=dtype)
    weights = dict(rnnspec.compile(MODELS[name], dtype=dtype, seed=3).weights)
    layout = forward_layout(compilation.signature, "m")
    return compilation, weights, layout, library(compilation, weights, TARGET, forward=layout)


@cache
def loaded(name: str, dtype: str = "float32") -> Loaded:
    made = model(name, dtype)[3]
    return Jit().load(made.object_code, made.symbols)


def workspace(name: str, sizes: Mapping[Size, int], dtype: str = "float32") -> int:
    layout = model(name, dtype)[2]
    kinds = [ctypes.c_size_t] * len(layout.names)
    return int(
        ctypes.CFUNCTYPE(ctypes.c_size_t, *kinds)(loaded(name, dtype).addresses["m_forward_bytes"])(*(sizes[size] for size in layout.names))
    )


def called(name: str, batch: PaddedBatch, sizes: Mapping[Size, int], *, less: int = 0, shift: int = 0) -> tuple[int, list[Array]]:
    """The code and the outputs, NaN before; the workspace's ends are looked at. `shift`: where it begins behind a cache line."""
    compilation, _, layout, _ = model(name)
    needed = workspace(name, sizes) - less
    memory = np.full(needed + 192, 77, np.uint8)
    start = -memory.ctypes.data % 64 + shift
    arrays: list[Array | None] = []
    for each in layout.inputs:
        arrays.append(batch.inputs[each.source])
        if each.name in layout.times:
            mask = batch.masks.get(each.source)
            arrays += [batch.lengths.get(each.source), None if mask is None else mask.astype(np.uint8)]
    outputs: list[Array] = []
    for each in compilation.signature.outputs:
        shape = [max(value_of(extent, sizes), 0) for extent in each.shape]
        outputs.append(np.full((sizes[BATCH], *shape), np.nan, np.float32))
    pointers = [None if array is None else array.ctypes.data for array in (*arrays, *outputs)]
    kinds = [ctypes.c_size_t] * len(layout.names) + [ctypes.c_void_p] * (len(pointers) + 1) + [ctypes.c_size_t]
    function = ctypes.CFUNCTYPE(ctypes.c_int32, *kinds)(loaded(name).addresses["m_forward"])
    code = int(function(*(sizes[size] for size in layout.names), *pointers, memory.ctypes.data + start, needed))
    assert (memory[:start] == 77).all()
    assert (memory[start + needed :] == 77).all()
    return code, outputs


def batch_of(name: str, samples: int, steps: int, *, masks: bool = True) -> tuple[PaddedBatch, Mapping[Size, int]]:
    """Sequences with gaps, silence, NaN in masked steps and numbers beyond all reason."""
    layout = model(name)[2]
    random = np.random.default_rng(samples + steps)
    sizes: dict[Size, int] = {BATCH: samples} | {length.size: steps + place for place, length in enumerate(layout.lengths)}
    inputs, lengths, given = dict[str, Array](), dict[str, Array](), dict[str, Array]()
    for each in layout.inputs:
        time = value_of(layout.times[each.name], sizes) if each.name in layout.times else None
        rows = (samples,) if time is None else (samples, time)
        if each.vocabulary is not None:
            inputs[each.source] = random.integers(0, each.vocabulary, rows).astype(np.int32)
        else:
            inputs[each.source] = random.normal(size=(*rows, each.width)).astype(np.float32)
        values = inputs[each.source]
        if time is None or not masks:
            continue
        lengths[each.source] = random.integers(0, time + 1, samples).astype(np.int32)
        given[each.source] = random.random(rows) < 0.8
        values[random.random(rows) < 0.3] = 0
        if each.vocabulary is None:
            values[: samples // 2, 1:2] = 1e30
            values[samples - 1 :, :1] = np.inf
            values[~given[each.source]] = np.nan
        else:
            values[~given[each.source]] = -5
    return PaddedBatch(inputs, lengths, given), sizes


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_has_the_bits_of_the_models_own(name: str) -> None:
    compilation, weights, _, _ = model(name)
    for samples, steps, masks in ((7, 13, True), (3, 6, False), (1, 5, True)):
        batch, sizes = batch_of(name, samples, steps, masks=masks)
        expected = forward_reference(compilation, weights, TARGET, batch)
        code, outputs = called(name, batch, sizes, shift=samples)
        assert code == OK
        for output, right in zip(outputs, expected, strict=True):
            assert output.tobytes() == right.tobytes(), (samples, steps)


def test_no_sequences_and_no_steps() -> None:
    compilation, weights, _, _ = model("last")
    for samples, steps in ((0, 4), (2, 0)):
        batch = PaddedBatch({"x": np.ones((samples, steps, 3), np.float32)}, {}, {})
        code, (output,) = called("last", batch, {BATCH: samples, Name("time"): steps})
        assert code == OK
        assert output.tobytes() == forward_reference(compilation, weights, TARGET, batch)[0].tobytes()


def test_a_batch_in_double_precision() -> None:
    compilation, weights, _, _ = model("last", "float64")
    x = np.random.default_rng(0).normal(size=(3, 5, 3))
    (expected,) = forward_reference(compilation, weights, TARGET, PaddedBatch({"x": x}, {}, {}))
    needed = workspace("last", {BATCH: 3, Name("time"): 5}, "float64")
    memory, output = np.zeros(needed, np.uint8), np.zeros((3, 1))
    kinds = [*[ctypes.c_size_t] * 2, *[ctypes.c_void_p] * 5, ctypes.c_size_t]
    function = ctypes.CFUNCTYPE(ctypes.c_int32, *kinds)(loaded("last", "float64").addresses["m_forward"])
    assert function(3, 5, x.ctypes.data, None, None, output.ctypes.data, memory.ctypes.data, needed) == OK
    assert output.tobytes() == expected.tobytes()


def test_what_is_wrong_has_a_code_and_changes_no_output() -> None:
    batch, sizes = batch_of("ids", 4, 6)
    assert called("ids", batch, sizes)[0] == OK

    def refused(inputs: Mapping[str, Array], lengths: Mapping[str, Array], less: int = 0) -> int:
        code, outputs = called("ids", PaddedBatch(inputs, lengths, {}), sizes, less=less)
        assert all(np.isnan(output).all() for output in outputs)
        return code

    good = {name: np.abs(array) for name, array in batch.inputs.items()}
    assert refused(good, {}, less=1) == WORKSPACE_TOO_SMALL
    for name, wrong in (("word", 20), ("word", -1), ("group", 6), ("group", -(2**31))):
        bad = good[name].copy()
        bad[2, 0] = wrong
        assert refused({**good, name: bad}, {}) == BAD_ID
    for length in (-1, 7, 2**31 - 1):
        assert refused(good, {"word": np.array([1, length, 2, 3], np.int32)}) == BAD_LENGTH


def test_impossible_sizes_have_no_workspace() -> None:
    most = 2**64 - 1
    time = Name("time")
    for sizes in ((2**31, 1), (1, 2**31), (2**16, 2**15), (most, 0), (2**63, 2), (2**32, 2**32)):
        assert workspace("last", {BATCH: sizes[0], time: sizes[1]}) == most
    assert workspace("last", {BATCH: 2**15, time: 2**15}) < most
    # A window finds nothing in too short a sequence, and pairs are as many as the product of their sequences' steps.
    assert workspace("joined", {BATCH: 2, time: 4, Name("n"): 2}) == most
    assert workspace("joined", {BATCH: 2, time: 4, Name("n"): 3}) < most
    assert workspace("attention", {BATCH: 2, time: 2**15, Name("n"): 2**15}) == most
    kinds = [*[ctypes.c_size_t] * 2, *[ctypes.c_void_p] * 5, ctypes.c_size_t]
    function = ctypes.CFUNCTYPE(ctypes.c_int32, *kinds)(loaded("last").addresses["m_forward"])
    assert function(2**31, 1, None, None, None, None, None, most) == BAD_SIZE


def test_every_size_of_the_workspace_is_known_ahead() -> None:
    for name in ("both directions", "attention", "ids"):
        _, _, layout, made = model(name)
        assert made.workspace is not None
        for samples, steps in ((0, 9), (1, 7), (5, 30)):
            sizes: dict[Size, int] = {BATCH: samples} | {length.size: steps for length in layout.lengths}
            assert value_of(made.workspace, sizes) == workspace(name, sizes)


def test_a_step_and_a_batch_share_their_weights() -> None:
    compilation, weights, layout, alone = model("last")
    step = step_layout(compilation.signature, "m")
    both = library(compilation, weights, TARGET, step=step, forward=layout)
    assert both.symbols == ("m_step", "m_steps", "m_forward", "m_forward_bytes")
    assert both.constants < 2 * alone.constants
    batch, sizes = batch_of("last", 2, 5, masks=False)
    (expected,) = forward_reference(compilation, weights, TARGET, batch)
    code = Jit().load(both.object_code, both.symbols)
    kinds = [*[ctypes.c_size_t] * 2, *[ctypes.c_void_p] * 5, ctypes.c_size_t]
    needed = workspace("last", sizes)
    output, memory = np.zeros((2, 1), np.float32), np.zeros(needed, np.uint8)
    forward = ctypes.CFUNCTYPE(ctypes.c_int32, *kinds)(code.addresses["m_forward"])
    assert forward(2, 5, batch.inputs["x"].ctypes.data, None, None, output.ctypes.data, memory.ctypes.data, needed) == OK
    assert output.tobytes() == expected.tobytes()
    # The last of the steps shows what the batch does.
    steps = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * 3, ctypes.c_size_t)(code.addresses["m_steps"])
    shown = np.zeros((5, 1), np.float32)
    assert steps(np.zeros(step.state_bytes, np.uint8).ctypes.data, batch.inputs["x"][:1].copy().ctypes.data, shown.ctypes.data, 5) == OK
    assert np.allclose(shown[-1], output[0], rtol=1e-6)


def test_other_machines_have_a_batch() -> None:
    compilation, weights, layout, _ = model("last")
    for name in ("x86-64-v3-windows", "aarch64-apple", "wasm32", "cortex-m0plus", "riscv32"):
        target = BUILD_TARGETS[name]
        made = library(compilation, weights, target, forward=layout)
        assert made.workspace is not None
        assert compilation.backend.code_bytes(made.object_code) < 40_000
        # No line of a cache lies between the parts where there is no cache.
        small = value_of(made.workspace, {BATCH: 1, Name("time"): 1}) < 2**12
        assert small == (target.slot_gap == 0)


def test_threads_have_nothing_in_common() -> None:
    compilation, weights, _, _ = model("both directions")
    given = [batch_of("both directions", samples, 40) for samples in (3, 9, 5, 7)]
    expected = [forward_reference(compilation, weights, TARGET, batch)[0] for batch, _ in given]
    workspace("both directions", given[0][1])  # which loads the code

    def several(number: int) -> list[bytes]:
        return [called("both directions", *given[number])[1][0].tobytes() for _ in range(20)]

    with ThreadPoolExecutor(len(given)) as threads:
        for found, right in zip(threads.map(several, range(len(given))), expected, strict=True):
            assert set(found) == {right.tobytes()}


CONTROL_STATE = """
declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)
define i32 @control_state() {
  %word = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %word)
  %state = load i32, ptr %word
  ret i32 %state
}
"""


@pytest.mark.skipif(TARGET.denormals is None, reason="this machine has no switch for denormal numbers")
def test_the_floating_point_state_is_put_back() -> None:
    text = f'target triple = "{TARGET.triple}"\n{CONTROL_STATE}'
    code = Jit().load(model("last")[0].backend.assemble(text, TARGET), ("control_state",))
    state = ctypes.CFUNCTYPE(ctypes.c_int32)(code.addresses["control_state"])
    flags = ~0x3F  # what has happened so far, which any arithmetic adds to
    before = state() & flags
    assert called("last", *batch_of("last", 4, 9))[0] == OK
    assert state() & flags == before
    assert TARGET.denormals is not None
    assert not before & TARGET.denormals.bits


def test_a_stateful_layer_has_no_forward_call() -> None:
    spec = "model M { input x: float[time, 3]\n LSTM(4, stateful = true) }"
    with pytest.raises(CannotBuild, match="stateful layers hand lstm/h, lstm/c on from call to call"):
        forward_layout(compilation_of(spec).signature, "m")


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("model M { input time: float[time, 3]\n LSTM(4) }", "time"),
        ("model M { input x: float[time, 3], x_mask: float[2]\n s = x -> LSTM(4)\n [s, x_mask] -> Concatenate() }", "x_mask"),
        ("model M { input x: float[bytes, 3]\n LSTM(4) }", "bytes"),
    ],
)
def test_names_that_clash_are_refused(spec: str, name: str) -> None:
    with pytest.raises(CannotBuild, match=f"several would be called `{name}` in C"):
        forward_layout(compilation_of(spec).signature, "m")


def test_sizes_are_expressions_of_c() -> None:
    names: dict[Size, str] = {BATCH: "b", Name("time"): "t"}
    assert in_c(parse_dim("batch*(time-2)*8+batch*4+7"), names) == "4 * b + 8 * b * ((t - 2) > 0 ? (t - 2) : 0) + 7"
    assert in_c(CeilDiv(Name("time"), 2), names) == "((t) > 0 ? ((t) + 1) / 2 : 0)"
    assert isinstance(parse_dim("(time-2)"), AtLeastZero)
    most = largest([parse_dim("batch*time*3+batch+10"), parse_dim("batch*time+batch*5+time+7")])
    assert most == parse_dim("batch*time*3+batch*5+time+10")


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler; CI has one")
def test_the_example_compiles_and_compares_itself(tmp_path: Path) -> None:
    rnnspec.build(rnnspec.compile(MODELS["ids"], seed=2), tmp_path / "net", targets=[NATIVE], name="net")
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Iinclude", "example_forward.c"]
    subprocess.run([*command, f"{NATIVE}/libnet.a", "-o", "example"], cwd=tmp_path / "net", check=True)
    check = (tmp_path / "net" / NATIVE / "check_forward.bin").read_bytes()

    def run(content: bytes) -> tuple[int, str]:
        (tmp_path / "net" / "now.bin").write_bytes(content)
        done = subprocess.run(["./example", "now.bin"], cwd=tmp_path / "net", capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    assert run(check) == (0, "2 outputs, 0 different\n")
    assert run(check[:-1] + bytes([check[-1] ^ 1])) == (1, "2 outputs, 1 different\n")
    assert run(check[:-1])[0] == run(b"\x63" + check[1:])[0] == 2
    syntax = ["cc", "-x", "c++", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", "include/net.h"]
    subprocess.run(syntax, cwd=tmp_path / "net", check=True)
