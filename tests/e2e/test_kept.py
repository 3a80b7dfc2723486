"""A spec that was compiled before is taken from the cache, without the compiler, and is the same model."""

from __future__ import annotations

import gc
import json
import pickle
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.compile_cache import package_state
from rnnspec.diagnostics import SpecError, SpecWarning
from rnnspec.driver import compilation
from rnnspec.runtime.storage.object_cache import CacheWarning, ObjectCache

SPEC = "model Kept(units = 3) {\n    input x: float[time, 2]\n    LSTM(units, stateful = true)\n    Dense(1)\n}\n"
CALL = """
import sys
import numpy as np
import rnnspec
model = rnnspec.compile(sys.argv[1], seed=1)
print(model.forward(np.ones((2, 4, 2), np.float32)).tobytes().hex())
print("rnnspec.driver.compilation" in sys.modules, "lark" in sys.modules)
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
    build = compilation.build

    def counted(source, *arguments, **options):  # pyright: ignore
        found.append(source.text)
        return build(source, *arguments, **options)

    monkeypatch.setattr(compilation, "build", counted)
    return found


def in_a_process(spec: str, code: str = CALL) -> list[str]:
    return subprocess.run([sys.executable, "-c", code, spec], check=True, capture_output=True, text=True).stdout.split("\n")


def test_a_package_that_is_worked_on_is_known_by_all_its_files() -> None:
    for name in ("api.py", "rnn.lark", "lstm.rnn", "python_call.ll.j2", "thread_runtime.ll.j2"):
        assert f"/{name}'" in package_state()


def test_a_second_process_needs_no_compiler(own_cache: Path) -> None:
    first, second = in_a_process(SPEC), in_a_process(SPEC)
    assert first[:2] == [second[0], "True True"]
    assert second[1] == "False False"


def test_what_a_start_does_not_need_is_not_imported(own_cache: Path) -> None:
    """A spec without a fault needs no class of faults; a model whose weights are given no random numbers; one that is kept no compiler."""
    first, second = (set(in_a_process(SPEC, WEIGHTS_GIVEN)[0].split()) for _ in range(2))
    assert "rnnspec.frontend.errors" in first
    assert not [name for name in first if name.startswith("rnnspec.frontend.errors.")]
    never = {"numpy.ma", "numpy.random", "safetensors", "threadpoolctl", "rich", "typer", "jinja2"}
    assert not never & first
    stages = ("frontend", "ir", "passes", "kernel", "backend", "driver")
    assert not [name for name in second if name.startswith(tuple(f"rnnspec.{stage}" for stage in stages))]
    assert not (never | {"lark", "difflib"}) & second
    if sys.platform == "linux" and platform.machine() == "x86_64":  # elsewhere LLVM links
        assert "llvmlite.binding" not in second


MOST_MODULES = 79
"""Modules of this package in a process that takes a model from the cache and calls it; each costs it a fifth of a millisecond or more."""


def test_a_cached_start_imports_few_modules(own_cache: Path) -> None:
    """Who adds one to this path asks first whether a first call needs it, and imports it late if not."""
    _, second = (set(in_a_process(SPEC, WEIGHTS_GIVEN)[0].split()) for _ in range(2))
    ours = sorted(name for name in second if name.partition(".")[0] == "rnnspec")
    assert len(ours) <= MOST_MODULES, ours
    slow = {"asyncio", "email", "http", "importlib.metadata", "inspect", "logging", "multiprocessing", "random", "subprocess", "tempfile"}
    of_numpy = set(in_a_process("", "import sys, numpy; print(*sys.modules)")[0].split())
    assert not slow & second - of_numpy


TRAINED_LATER = """
import sys
import numpy as np
import rnnspec
model = rnnspec.compile(sys.argv[1], seed=1)
model.predict(np.ones((2, 4, 2), np.float32))
print("rnnspec.training.losses" in sys.modules, "rnnspec.training.optimizers" in sys.modules, "rnnspec.keras_names" in sys.modules)
model.configure(loss="mse", optimizer="SGD")
model.train_on_batch(np.ones((2, 4, 2), np.float32), np.ones((2, 1), np.float32))
print("rnnspec.training.losses" in sys.modules, "rnnspec.training.optimizers" in sys.modules)
"""


def test_a_model_that_predicts_loads_no_training(own_cache: Path) -> None:
    in_a_process(SPEC)
    assert in_a_process(SPEC, TRAINED_LATER)[:2] == ["False False False", "True True"]


def test_the_collector_of_garbage_goes_on_after_a_spec(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python looks for no cyclic garbage while a spec is compiled; afterwards it does what it did before."""
    while_compiling: list[bool] = []
    build = compilation.build

    def watched(*arguments: Any, **named: Any) -> compilation.Compiled:
        while_compiling.append(gc.isenabled())
        return build(*arguments, **named)

    monkeypatch.setattr(compilation, "build", watched)
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


# What lies in the folder


def rewritten(folder: Path, changed: Callable[[bytes], bytes | None]) -> int:
    """Gives entries other bytes under a digest that is right; how many. None leaves one as it is."""
    cache, count = ObjectCache(folder), 0
    for path in folder.iterdir():
        content = cache.read(path.stem)
        assert content is not None
        new = changed(content)
        if new is not None:
            cache.write(path.stem, new)
            count += 1
    return count


def is_object_code(content: bytes) -> bool:
    return not content.startswith(b"{")


def only(which: Callable[[bytes], bool], new: Callable[[bytes], bytes]) -> Callable[[bytes], bytes | None]:
    return lambda content: new(content) if which(content) else None


OTHER_DATA: dict[str, Callable[[bytes], bytes | None]] = {
    "nothing": lambda content: b"",
    "other text": lambda content: b"junk",
    "an object": lambda content: b"{}",
    "a list": lambda content: b"[]",
    "deep": lambda content: b"[" * 100_000,
    "pickle": lambda content: pickle.dumps(print),
    "half": lambda content: content[: len(content) // 2],
    "half of the data": only(lambda content: not is_object_code(content), lambda content: content[: len(content) // 2]),
    "half of the code": only(is_object_code, lambda content: content[: len(content) // 2]),
    "a header alone": only(is_object_code, lambda content: content[:64]),
    "random code": only(is_object_code, lambda content: content[:16] + np.random.default_rng(0).bytes(4000)),
    "other symbols": lambda content: content.replace(b"rnnspec_forward", b"rnnspec_backwar").replace(b"python_call", b"other_calls"),
    "symbols of the data": only(lambda content: not is_object_code(content), lambda content: content.replace(b"rnnspec_", b"another_")),
    "another key": only(
        lambda content: not is_object_code(content), lambda content: content.replace(b'"object_key":"', b'"object_key":"f')
    ),
}


@pytest.mark.parametrize("name", OTHER_DATA)
def test_other_data_under_a_right_digest_is_compiled_anew(own_cache: Path, name: str) -> None:
    """Once: the next one finds it right again."""
    x = np.ones((1, 3), np.float32)

    def outcome() -> bytes:
        """Of a whole call, of the ones that CPython makes directly, and of a step of training."""
        model = rnnspec.compile("model Small {\n    input x: float[3]\n    Dense(2)\n    train { loss = mse }\n}\n", seed=1)
        model.configure(optimizer="adam")
        direct = [model.predict(x) for _ in range(6)]
        model.train_on_batch(x, np.zeros((1, 2)))
        return b"".join(array.tobytes() for array in (*direct, *model.get_weights()))

    expected = outcome()
    assert rewritten(own_cache, OTHER_DATA[name])
    assert outcome() == expected
    before = {path.name: path.read_bytes() for path in own_cache.iterdir()}
    assert outcome() == expected
    after = {path.name: path.read_bytes() for path in own_cache.iterdir()}
    assert after == before
    assert not any(b"junk" in content for content in after.values())


def test_the_folder_holds_plain_data_and_each_object_once(own_cache: Path) -> None:
    x = np.ones((1, 2, 2), np.float32)
    for spec in (SPEC, f"# the same code\n{SPEC}"):
        rnnspec.compile(spec).forward(x)
    entries = [ObjectCache(own_cache).read(path.stem) or b"" for path in own_cache.iterdir()]
    code = [entry for entry in entries if is_object_code(entry)]
    assert len(code) == len(set(code)) == 1
    for entry in entries:
        assert entry in code or json.loads(entry)


def test_a_table_updated_by_native_code_heals_too(own_cache: Path) -> None:
    """The object of an optimizer's formula is kept, but no data beside it."""
    spec = "model Words {\n    input x: int[time]\n    Embedding(40000, 4)\n    GlobalAveragePooling1D()\n    Dense(1)\n}\n"

    def outcome() -> list[bytes]:
        model = rnnspec.compile(spec, seed=1)
        model.configure(loss="mse", optimizer="adam")
        model.train_on_batch(np.arange(6).reshape(2, 3), np.ones((2, 1)))
        return [array.tobytes() for array in model.get_weights()]

    expected = outcome()
    assert rewritten(own_cache, only(is_object_code, lambda content: b"junk"))
    assert outcome() == expected


def test_a_folder_that_others_may_write_to_is_not_used(own_cache: Path, builds: list[str]) -> None:
    own_cache.mkdir()
    own_cache.chmod(0o777)
    with pytest.warns(CacheWarning, match="isn't used"):
        rnnspec.compile(SPEC).forward(np.ones((1, 2, 2)))
    rnnspec.compile(SPEC)
    assert len(builds) == 2
    assert list(own_cache.iterdir()) == []


# Imports


def imported(folder: Path, units: int = 2, remark: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "part.rnn").write_text(f'import "inner.rnn"\nblock Part() {{\n    Inner()\n    Dense({units})\n}}\n')
    (folder / "inner.rnn").write_text(f"{remark}block Inner() {{\n    Dense(3)\n}}\n")
    (folder / "main.rnn").write_text('import "part.rnn"\nmodel Main {\n    input x: float[3]\n    Part()\n}\n')
    return folder / "main.rnn"


def width(spec: Path) -> int:
    return rnnspec.compile(spec, seed=0).forward(np.ones((1, 3))).shape[1]


def test_a_spec_that_imports_is_kept_until_a_file_changes(own_cache: Path, builds: list[str], tmp_path: Path) -> None:
    spec = imported(tmp_path / "specs")
    assert [width(spec), width(spec), len(builds)] == [2, 2, 1]
    imported(tmp_path / "specs", units=5)
    assert [width(spec), width(spec), len(builds)] == [5, 5, 2]
    imported(tmp_path / "specs", units=5, remark="# changed, but not what it means\n")
    assert [width(spec), len(builds)] == [5, 3]
    (tmp_path / "specs" / "inner.rnn").unlink()
    with pytest.raises(SpecError, match=r"`inner.rnn` can't be imported: No such file"):
        width(spec)


def test_the_same_text_in_another_folder_imports_other_files(own_cache: Path, builds: list[str], tmp_path: Path) -> None:
    one, other = imported(tmp_path / "one", 4), imported(tmp_path / "other", 6)
    assert [width(one), width(other), width(one), width(other)] == [4, 6, 4, 6]
    assert len(builds) == 2


def test_what_is_imported_may_change_before_a_function_is_needed(own_cache: Path, tmp_path: Path) -> None:
    spec = imported(tmp_path / "specs", 4)
    rnnspec.compile(spec)
    kept = rnnspec.compile(spec)
    imported(tmp_path / "specs", 6)
    assert kept.forward(np.ones((1, 3))).shape == (1, 4)
    assert "4" in kept.inspect("graph")


def test_the_word_in_a_remark_is_no_import(own_cache: Path, builds: list[str]) -> None:
    for _ in range(2):
        rnnspec.compile(f'# import "nothing.rnn"\n{SPEC}')
    assert len(builds) == 1


def test_a_spec_without_imports_or_warnings_is_found_under_any_path(own_cache: Path, builds: list[str], tmp_path: Path) -> None:
    for name in ("one.rnn", "other.rnn"):
        (tmp_path / name).write_text(SPEC)
        rnnspec.compile(tmp_path / name).save(tmp_path / "model.rnnc")
        rnnspec.load(tmp_path / "model.rnnc")
    assert len(builds) == 1


def test_a_warning_names_its_own_path(own_cache: Path, tmp_path: Path) -> None:
    for name in ("one.rnn", "other.rnn", "one.rnn"):
        (tmp_path / name).write_text("model Warned {\n    input x: float[time, 2]\n    unused = LSTM(2)\n    x -> Dense(1)\n}\n")
        with pytest.warns(SpecWarning, match=name):
            rnnspec.compile(tmp_path / name)
