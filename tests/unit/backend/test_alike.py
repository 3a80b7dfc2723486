"""Functions of equal text are written once, and what calls them calls the one that is there."""

from __future__ import annotations

import pytest

from rnnspec.backend.llvm_cpu.merge_functions import merge_functions
from rnnspec.backend.llvm_cpu.module import emit_module
from rnnspec.driver.compilation import build
from rnnspec.kernel.target import AVX2
from rnnspec.runtime.native.executable import Variant
from rnnspec.source import SourceFile
from tests.unit.backend.loops import functions_of

TILE = "define internal void @{name}(ptr %buffer.0) #0 {{\nentry:\n  store float 0.0, ptr %buffer.0\n  ret void\n}}\n"
STEP = "define internal void @{name}(ptr %buffer.0) #0 {{\nentry:\n  call void @{tile}(ptr %buffer.0)\n  ret void\n}}\n"
ENTRY = "define void @{name}(ptr %x) #0 {{\nentry:\n  call void @{first}(ptr %x)\n  call void @{second}(ptr %x)\n  ret void\n}}\n"


def test_callers_of_one_function_become_one_too() -> None:
    first = [TILE.format(name="f.0.0"), STEP.format(name="f.0", tile="f.0.0")]
    second = [TILE.format(name='"f.1:0"'), STEP.format(name="f.1", tile='"f.1:0"')]
    entry = ENTRY.format(name="f", first="f.0", second="f.1")
    assert merge_functions([*first, *second, entry]) == [*first, ENTRY.format(name="f", first="f.0", second="f.0")]


def test_what_differs_stays() -> None:
    other = TILE.format(name="f.1").replace("0.0", "1.0")
    definitions = [TILE.format(name="f.0"), other, ENTRY.format(name="f", first="f.0", second="f.1")]
    assert merge_functions(definitions) == definitions


def test_entry_points_stay() -> None:
    entries = [ENTRY.format(name=name, first="f.0", second="f.0") for name in ("one", "two")]
    assert merge_functions([TILE.format(name="f.0"), *entries]) == [TILE.format(name="f.0"), *entries]


def written(depth: int, function: str) -> int:
    """How many functions a stack of equal layers comes to."""
    spec = f"model Deep {{ input x: float[time, 8] repeat {depth} {{ LSTM(8, return_sequences = true) }} }}"
    compiled = build(SourceFile.of_text(spec), {}, "float32", AVX2).compilation
    return len(functions_of(emit_module(compiled.kernels(Variant(function, False)).module, AVX2)))


@pytest.mark.parametrize("function", ["forward", "record", "backward"])
def test_equal_layers_share_their_code(function: str) -> None:
    assert written(5, function) == written(3, function)
