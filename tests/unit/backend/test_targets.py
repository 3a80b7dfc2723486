"""Models compiled for every target description, against the interpreter: forward, record and backward.

A machine that lacks a target's instructions still runs code of its shape: same vector width, same
register count, same tiles, the instructions its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import llvmlite.binding
import numpy as np
import pytest
from numpy.typing import NDArray

from rnnspec.backend.llvm_cpu import entry
from rnnspec.backend.llvm_cpu.module import emit_module
from rnnspec.backend.llvm_cpu.objects import Machine, host_target
from rnnspec.driver.compilation import build
from rnnspec.frontend.model.lower import Precision, lower
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.syntax.parser import parse
from rnnspec.ir.ops import Module, Role
from rnnspec.kernel.target import AVX2, AVX512, NEON, SSE42, TARGETS, Target
from rnnspec.passes.differentiate import Differentiate
from rnnspec.runtime.native.executable import NativeExecutable, Variant
from rnnspec.runtime.native.jit import host_identity
from rnnspec.source import SourceFile
from rnnspec.training.model import Model
from tests.e2e.test_threads import shared
from tests.ir_arguments import masks
from tests.unit.kernel.scheduled import NORMED, RESET_BEFORE, compilation, model
from tests.unit.passes.gradient_check import outputs, run_backward

Array = NDArray[np.float64]

TOLERANCES: Mapping[Precision, float] = {"float64": 1e-9, "float32": 1e-5}
"""Of the largest element of the same array."""

SHAPES = [(7, 5), (1, 5), (7, 1), (1, 1), (0, 5), (7, 0)]
"""Rows and steps."""

VOCABULARY = 6

SUMS = """
cell Sums(units) {
    weight kernel [features, units] = glorot_uniform
    weight square [units, units]    = orthogonal
    weight gates  [features, 2]     = glorot_uniform
    state  h [units]
    state  c [units]

    a, b = split(x @ gates, 2)
    p  = h @ square
    h' = tanh(a * h + p + x @ kernel - b)
    c' = p
    return h' + c @ square
}
"""

FUNCTIONS = """
cell Functions(units) {
    weight kernel [features, units] = glorot_uniform
    weight pace   [units]           = ones
    state  h [units]

    a = x @ kernel
    wave = sin(3 * a) + cos(pace * h) * erf(a)
    grown = where(a > h and a != 0, pow(1.5 + tanh(a), h), log1p(abs(a)) + expm1(-abs(h)))
    h' = tanh(wave + 0.25 * grown + 0.1 * round(2 * a) - 0.1 * floor(a))
    return h'
}
"""

PLACES = """
cell Places(units) {
    weight kernel [features, units] = glorot_uniform
    weight pace   [units]           = ones
    state  h [units]

    n = width(h)
    which = round(mean(abs(x)) * n)
    decay = exp(-positions(n) / n)
    a = x @ kernel + pace * h * decay
    picked = sum(where(positions(width(a)) == which, stop_gradient(h) - a, 0))
    h' = tanh(a + picked * positions(n) / n)
    return h'
}
"""

SPECS: Mapping[str, str] = {
    "simple_rnn_1": model(1, "SimpleRNN(1, return_sequences = true)"),
    "simple_rnn_17": model(3, "SimpleRNN(17, go_backwards = true)"),
    "lstm_3": model(17, "LSTM(3)"),
    "lstm_70, back and forth": model(3, "LSTM(70, return_sequences = true)"),
    "gru_97, back and forth": model(3, "GRU(97, return_sequences = true)"),
    "lstm_17": model(1, "LSTM(17, return_sequences = true)"),
    "gru_17": model(3, "GRU(17)"),
    "gru_1": model(1, "GRU(1, return_sequences = true, zero_output_for_mask = true)"),
    "bidirectional": model(3, "Bidirectional(LSTM(3, return_sequences = true))", "Bidirectional(GRU(5))"),
    "embedding": model("ids", f"Embedding({VOCABULARY}, 3, mask_zero = true)", "LSTM(5, return_sequences = true)"),
    "dense": model(17, "Masking(0.0)", "SimpleRNN(3, return_sequences = true)", "Dense(17, activation = softmax)"),
    "normed": model(3, "Normed(17, return_sequences = true)", cell=NORMED),
    "functions": model(3, "Functions(17, return_sequences = true)", "Functions(1)", cell=FUNCTIONS),
    "places": model(3, "Places(17, return_sequences = true)", "Places(1)", cell=PLACES),
    "sums": model(3, "Sums(17, return_sequences = true)", "Sums(1, return_sequences = true)", cell=SUMS),
    "reset_before": model(3, "ResetBefore(17)", "Dense(3)", cell=RESET_BEFORE),
}

HOST = host_target()


def runnable(target: Target) -> Target:
    """The target itself where this machine has its instructions, else its shape with this machine's."""
    if HOST.architecture == target.architecture and {f"+{name}" for name in target.needs} <= set(HOST.features.split(",")):
        return replace(target, triple=HOST.triple)
    return replace(target, triple=HOST.triple, cpu=HOST.cpu, features=HOST.features)


@dataclass(frozen=True)
class Call:
    """A batch for a model, NaN where it is masked; what the interpreter makes of it; a cotangent with the gradients for it, by name."""

    x: NDArray[np.generic]
    mask: NDArray[np.bool_]
    output: Array
    cotangent: Array
    gradients: Mapping[str, Array]


@dataclass(frozen=True)
class Case:
    """All numbers are float32's, so that both precisions start from the same."""

    weights: Mapping[str, Array]
    calls: tuple[Call, ...]


def rounded(values: Array) -> Array:
    return values.astype(np.float32).astype(np.float64)


def lowered(spec: str) -> Module:
    graph = resolve(parse(SourceFile.of_text(spec)))
    return lower(graph, dtype="float64", training=False)


@cache
def expected(name: str) -> Case:
    """What the lowered module means, before any pass but differentiation."""
    random = np.random.default_rng(len(name))
    plain = lowered(SPECS[name])
    differentiated = Differentiate().run(plain)
    forward = plain.function("forward")
    weights = {
        parameter.value.name: rounded(random.normal(scale=0.5, size=parameter.value.type.shape))
        for parameter in forward.parameters
        if parameter.role is Role.WEIGHT
    }
    (source,) = (parameter.value.type for parameter in forward.parameters if parameter.role is Role.INPUT)
    ids = source.shape[2] == 1 and name == "embedding"
    calls: list[Call] = []
    for batch, time in SHAPES:
        mask = masks(random, batch, time)
        drawn = random.integers(0, VOCABULARY, (batch, time, 1)) if ids else rounded(random.normal(size=(batch, time, source.shape[2])))
        if not ids:
            drawn[~mask] = np.nan
        given = {**weights, "x": drawn, "x.mask": mask}
        (output,) = outputs(plain, given).values()
        cotangent = rounded(random.normal(size=output.shape))
        (name_of_output,) = (result.name for result in forward.results)
        gradients = run_backward(differentiated, given, {name_of_output: cotangent})
        calls.append(Call(drawn[..., 0].astype(np.int32) if ids else drawn, mask, output, cotangent, gradients))
    return Case(weights, tuple(calls))


def near(actual: NDArray[np.floating], wanted: Array, dtype: Precision, scale: float) -> None:
    """`scale`: the least size that an array is taken to have, so that one of zeros may hold their rounding."""
    assert actual.dtype == np.dtype(dtype)
    largest = max(float(np.abs(wanted).max(initial=0.0)), scale)
    np.testing.assert_allclose(actual, wanted, rtol=0.0, atol=TOLERANCES[dtype] * largest)


def compiled(name: str, target: Target, dtype: Precision) -> Model:
    built = build(SourceFile.of_text(SPECS[name]), {}, dtype, runnable(target))
    executable = NativeExecutable(built.signature, built.compilation.native, built.compilation.print)
    made = Model(built.signature, executable, built.source, seed=0)
    made.set_weights(expected(name).weights)
    return made


@pytest.mark.every(4)
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("target", [AVX512, AVX2, SSE42], ids=lambda target: target.name)
@pytest.mark.parametrize("name", SPECS)
def test_agrees_with_the_interpreter(name: str, target: Target, dtype: Precision) -> None:
    made = compiled(name, target, dtype)
    for call in expected(name).calls:
        output = made.forward(call.x, mask=call.mask)
        near(output, call.output, dtype, 1e-3)
        recorded, tape = made.forward(call.x, mask=call.mask, record=True)
        near(recorded, call.output, dtype, 1e-3)
        gradients = made.backward(tape, call.cotangent)
        actual = {**gradients.weights, **gradients.inputs}
        assert actual.keys() == call.gradients.keys()
        for key, gradient in actual.items():
            near(gradient, call.gradients[key], dtype, 1e-2)


@pytest.mark.parametrize("target", [AVX512, AVX2, SSE42], ids=lambda target: target.name)
@pytest.mark.parametrize("name", ["lstm_70, back and forth", "gru_97, back and forth"])
def test_threads_that_share_units_give_the_same_bits_on_every_target(name: str, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """An odd number of tiles, of which a single row takes several at once, from the last to the first."""
    monkeypatch.setattr(entry, "fewer_by_units", lambda *_: "true")
    made = compiled(name, target, "float32")
    for call in expected(name).calls:
        alone = shared(made, 1).forward(call.x, mask=call.mask)
        for number in (2, 3, 5):
            assert shared(made, number).forward(call.x, mask=call.mask).tobytes() == alone.tobytes()


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("target", [AVX512, AVX2, SSE42], ids=lambda target: target.name)
@pytest.mark.parametrize("name", ["sums", "normed", "lstm_17"])
def test_a_stream_is_the_whole_sequence_on_every_target(name: str, target: Target, dtype: Precision) -> None:
    made = compiled(name, target, dtype)
    x = np.random.default_rng(0).normal(size=(7, 5, 1 if name == "lstm_17" else 3)).astype(dtype)
    stream = made.stream(7)
    assert np.array_equal(np.stack([stream.step(x[:, step]) for step in range(5)], axis=1), made.forward(x))
    assert np.array_equal(made.forward(x, record=True)[0], made.forward(x))


MAGIC: Mapping[str, tuple[bytes, bytes]] = {"x86_64": (b"\x7fELF", b"\x3e\x00"), "aarch64": (b"\x7fELF", b"\xb7\x00")}
"""How an object begins, and the machine that its ELF header names."""


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
@pytest.mark.parametrize("name", ["reset_before", "places"])
def test_every_target_has_an_object_for_its_own_processor(name: str, target: Target, dtype: Precision) -> None:
    staged = compilation(SPECS[name], target, dtype)
    magic, machine = MAGIC[target.architecture]
    object_code = staged.native(Variant("backward", False)).object_code
    assert object_code.startswith(magic)
    assert object_code[18:20] == machine


INSTRUCTION: Mapping[str, tuple[str, str]] = {
    "avx512": ("%zmm", "vfmadd"),
    "avx2": ("%ymm", "vfmadd"),
    "sse4.2": ("%xmm", "mulps"),
    "neon": (".4s", "fmla"),
}
"""A register of the target's full width, and the instruction that its contractions are made of."""


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_the_assembly_is_in_the_target_s_own_instructions(target: Target) -> None:
    assembly = compilation(model(16, "LSTM(32)"), target).print("asm")
    for text in INSTRUCTION[target.name]:
        assert text in assembly
    wider = {"avx512": (), "avx2": ("%zmm",), "sse4.2": ("%ymm", "%zmm", "vfmadd"), "neon": ("%xmm",)}[target.name]
    for text in wider:
        assert text not in assembly
    called = {line.split()[-1].removesuffix("@PLT") for line in assembly.splitlines() if line.split()[:1] in (["callq"], ["bl"])}
    assert "forward.0" in called
    own = {name for name in called if name.startswith(("forward.", "rnnspec.", "*%", "x"))}
    assert called - own <= {"memcpy", "memset"}, "a symbol that a process may not have"


def test_only_wide_targets_name_their_width() -> None:
    for target in (AVX512, AVX2, SSE42, NEON):
        kernels = compilation(SPECS["lstm_3"], target).kernels(Variant("forward", False))
        text = emit_module(kernels.module, target)
        assert ('"prefer-vector-width"="512"' in text) == (target is AVX512)
        assert f'target triple = "{target.triple}"' in text
        Machine(target).optimise(text)


@pytest.mark.parametrize(
    ("triple", "name", "object_format"),
    [
        ("aarch64-unknown-linux-gnu", "neon", "ELF"),
        ("arm64-apple-darwin23.1.0", "neon", "MachO"),
        ("amd64-pc-windows-msvc", "sse4.2", "COFF"),
    ],
)
def test_a_machine_is_known_however_its_triple_spells_it(
    monkeypatch: pytest.MonkeyPatch, triple: str, name: str, object_format: str
) -> None:
    monkeypatch.setattr(llvmlite.binding, "get_default_triple", lambda: triple)
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", llvmlite.binding.FeatureMap)
    found = host_target()
    assert (found.name, found.triple, found.object_format) == (name, triple, object_format)


def test_a_machine_without_a_target_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llvmlite.binding, "get_default_triple", lambda: "riscv64-unknown-linux-gnu")
    with pytest.raises(ValueError, match="no code can be generated for this machine: its processor is a riscv64"):
        host_target()


def test_the_environment_names_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its own processor, so that the code is that of such a machine; what is cached for another target stays apart."""
    monkeypatch.setattr(llvmlite.binding, "get_default_triple", lambda: "x86_64-pc-linux-gnu")
    features = dict.fromkeys((*AVX512.needs, *AVX2.needs), True)
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", lambda: llvmlite.binding.FeatureMap(features))
    assert host_target().name == "avx512"
    known = {host_identity()}
    for name in ("avx2", "sse4.2"):
        monkeypatch.setenv("RNNSPEC_TARGET", name)
        assert host_target() == replace(TARGETS[name], triple="x86_64-pc-linux-gnu", object_format=host_target().object_format)
        known.add(host_identity())
    assert len(known) == 3
    monkeypatch.setenv("RNNSPEC_TARGET", "")
    assert host_target().name == "avx512"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("avx1024", "RNNSPEC_TARGET: expected one of avx512, avx2, sse4.2, neon, got 'avx1024'"),
        ("avx512", "RNNSPEC_TARGET: this machine can't run code for avx512: it has no avx512bw, avx512dq, avx512f, avx512vl"),
        ("neon", "RNNSPEC_TARGET: this machine can't run code for neon: it has no aarch64"),
    ],
)
def test_a_target_that_the_machine_is_not_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, said: str) -> None:
    monkeypatch.setattr(llvmlite.binding, "get_default_triple", lambda: "x86_64-pc-linux-gnu")
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", lambda: llvmlite.binding.FeatureMap(dict.fromkeys(AVX2.needs, True)))
    monkeypatch.setenv("RNNSPEC_TARGET", name)
    with pytest.raises(ValueError, match=re.escape(said)):
        host_target()
