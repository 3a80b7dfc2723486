"""A spec that was compiled before is taken from the cache, without the compiler, and is the same model."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec import compiler
from rnnspec.diagnostics import SpecError, SpecWarning

SPEC = "model Kept(units = 3) {\n    input x: float[time, 2]\n    LSTM(units, stateful = true)\n    Dense(1)\n}\n"
CALL = """
import sys
import numpy as np
import rnnspec
model = rnnspec.compile(sys.argv[1], seed=1)
print(model.forward(np.ones((2, 4, 2), np.float32)).tobytes().hex())
print("rnnspec.compiler" in sys.modules, "lark" in sys.modules)
"""


WEIGHTS_GIVEN = """
import sys
import numpy as np
import rnnspec
weights = [np.ones(shape, np.float32) for shape in ((2, 12), (3, 12), (12,), (3, 1), (1,))]
rnnspec.compile(sys.argv[1], weights=weights).forward(np.ones((2, 4, 2), np.float32))
print(*sys.modules)
"""


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("RNNSPEC_CACHE", str(folder))
    return folder


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that the compiler was asked for."""
    found: list[str] = []
    build = compiler.build

    def counted(source, *arguments, **options):  # pyright: ignore
        found.append(source.text)
        return build(source, *arguments, **options)

    monkeypatch.setattr(compiler, "build", counted)
    return found


def in_a_process(spec: str, code: str = CALL) -> list[str]:
    return subprocess.run([sys.executable, "-c", code, spec], check=True, capture_output=True, text=True).stdout.split("\n")


def test_a_second_process_needs_no_compiler(own_cache: Path) -> None:
    first, second = in_a_process(SPEC), in_a_process(SPEC)
    assert first[:2] == [second[0], "True True"]
    assert second[1] == "False False"


def test_what_a_start_does_not_need_is_not_imported(own_cache: Path) -> None:
    """A spec without a fault needs no class of faults; a model whose weights are given no random numbers; one that is kept no compiler."""
    first, second = (set(in_a_process(SPEC, WEIGHTS_GIVEN)[0].split()) for _ in range(2))
    assert "rnnspec.frontend.errors" in first
    assert not [name for name in first if name.startswith("rnnspec.frontend.errors.")]
    never = {"numpy.ma", "numpy.random", "safetensors", "threadpoolctl", "rich", "typer"}
    assert not never & first
    stages = ("frontend", "ir", "passes", "kernel", "codegen", "stages", "compiler")
    assert not [name for name in second if name.startswith(tuple(f"rnnspec.{stage}" for stage in stages))]
    assert not (never | {"lark", "difflib"}) & second


def test_the_collector_of_garbage_goes_on_after_a_spec(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python looks for no cyclic garbage while a spec is compiled; afterwards it does what it did before."""
    while_compiling: list[bool] = []
    build = compiler.build

    def watched(*arguments: Any) -> compiler.Compiled:
        while_compiling.append(gc.isenabled())
        return build(*arguments)

    monkeypatch.setattr(compiler, "build", watched)
    rnnspec.compile(SPEC, seed=0)
    assert gc.isenabled()
    with pytest.raises(SpecError):
        rnnspec.compile("model Wrong {\n}\n")
    assert gc.isenabled()
    gc.disable()
    try:
        rnnspec.compile(SPEC, units=4, seed=0)
        assert not gc.isenabled()
    finally:
        gc.enable()
    assert while_compiling == [False, False, False]


def test_parameters_precision_and_text_are_told_apart(own_cache: Path, builds: list[str]) -> None:
    for _ in range(2):
        for units, dtype, spec in ((3, "float32", SPEC), (4, "float32", SPEC), (3, "float64", SPEC), (3, "float32", SPEC + "\n")):
            model = rnnspec.compile(spec, dtype=dtype, units=units)
            assert model.weights["lstm/kernel"].shape == (2, 4 * units)
            assert model.weights["lstm/kernel"].dtype == dtype
    assert len(builds) == 4


def test_what_is_kept_goes_on_like_what_was_compiled(own_cache: Path, builds: list[str]) -> None:
    """States, training and the printed stages; a function that no one needed before is compiled."""
    x = np.random.default_rng(0).normal(size=(2, 5, 2)).astype(np.float32)
    compiled, kept = rnnspec.compile(SPEC, seed=1), rnnspec.compile(SPEC, seed=1)
    for _ in range(2):
        assert np.array_equal(compiled.forward(x), kept.forward(x))
    for model in (compiled, kept):
        model.reset_states()
        model.configure(loss="mse", optimizer="sgd")
        model.train_on_batch(x, np.zeros((2, 1)))
    assert all(np.array_equal(one, other) for one, other in zip(compiled.get_weights(), kept.get_weights(), strict=True))
    assert kept.inspect("kernel") == compiled.inspect("kernel")


def test_a_kept_model_warns_again(own_cache: Path) -> None:
    spec = "model Warned {\n    input x: float[time, 2]\n    unused = LSTM(2)\n    x -> Dense(1)\n}\n"
    shown: list[str] = []
    for _ in range(2):
        with pytest.warns(SpecWarning) as caught:
            rnnspec.compile(spec)
        assert caught[0].filename == __file__
        shown.append(str(caught[0].message))
    assert shown[0] == shown[1]
    assert "unused" in shown[0]


def test_a_damaged_entry_is_compiled_anew(own_cache: Path, builds: list[str]) -> None:
    rnnspec.compile(SPEC).forward(np.ones((1, 2, 2)))
    for path in own_cache.iterdir():
        path.write_bytes(b"damaged")
    rnnspec.compile(SPEC).forward(np.ones((1, 2, 2)))
    assert len(builds) == 2


def test_a_spec_of_several_files_is_read_again(own_cache: Path, builds: list[str], tmp_path: Path) -> None:
    (tmp_path / "part.rnn").write_text("block Part() {\n    Dense(2)\n}\n")
    (tmp_path / "main.rnn").write_text('import "part.rnn"\nmodel Main {\n    input x: float[3]\n    Part()\n}\n')
    assert rnnspec.compile(tmp_path / "main.rnn").forward(np.ones((1, 3))).shape == (1, 2)
    (tmp_path / "part.rnn").write_text("block Part() {\n    Dense(5)\n}\n")
    assert rnnspec.compile(tmp_path / "main.rnn").forward(np.ones((1, 3))).shape == (1, 5)


def test_without_a_cache_nothing_is_kept(monkeypatch: pytest.MonkeyPatch, builds: list[str]) -> None:
    monkeypatch.setenv("RNNSPEC_CACHE", "")
    for _ in range(2):
        rnnspec.compile(SPEC)
    assert len(builds) == 2
