"""Packages for Python with numpy alone: the same bits and errors, in a process that has nothing else; what is refused."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

import rnnspec
from rnnspec.deploy.python_package import PYTHON_TARGETS
from rnnspec.deploy.runtime_copy import copied_modules
from rnnspec.deploy.step_layout import CannotBuild
from rnnspec.runtime.native.jit import Jit, Unloadable
from rnnspec.runtime.packaged.levels import PACKAGED_LEVELS, WrongMachine, level_here
from rnnspec.training.model import Model

HERE = sys.platform == "linux" and os.uname().machine == "x86_64"

TINY = "model Tiny { input x: float[time, 3]\n LSTM(8)\n Dense(1) }"
MODELS = {
    "tiny": TINY,
    "small": TINY.replace("Tiny", "Small"),
    "both": """model Both { input x: float[time, 3], row: float[2]
        s = x -> Masking() -> Bidirectional(GRU(5, return_sequences = true))
        last = s -> LSTM(4)
        y = [last, row] -> Concatenate() -> Dense(2, activation = softmax)
        output s, y }""",
    "going": "model Going { input x: float[time, 3]\n LSTM(4, stateful = true)\n Dense(2) }",
    "words": """model Words { input t: text[time]\n Embedding(9, 4, mask_zero = true)\n SimpleRNN(4)\n Dense(1)
        train { loss = binary_crossentropy(from_logits = true) } }""",
}
X = np.random.default_rng(0).normal(size=(3, 7, 3)).astype(np.float32)
ROW = np.ones((3, 2), np.float32)
TEXTS = ["so good", "so bad", "bad"]

CALLS = """
import json, sys
sys.path[:0] = sys.argv[1:3]
import numpy as np
found = {}
def bits(*arrays):
    return [np.asarray(array).tobytes().hex() for array in arrays]
def error(call, *arguments, **named):
    try:
        call(*arguments, **named)
    except Exception as raised:
        return f"{type(raised).__name__}: {raised}"
import tiny, small, both, going, words
x = np.random.default_rng(0).normal(size=(3, 7, 3)).astype(np.float32)
model = tiny.load()
stream = model.stream(3)
found["tiny"] = bits(model.predict(x), model.predict(x), model.predict(x, lengths=[7, 2, 0]), *(stream.step(x[:, k]) for k in range(3)))
model.threads = 2
found["threads"] = bits(model.predict(np.tile(x, (40, 9, 1)), 32, verbose=1))
found["errors"] = [error(model.predict, x[..., :2]), error(model.predict, x, lengths=[8, 1, 1]), error(model.set_weights, [x])]
found["refused"] = [error(model.forward, x, record=True), error(model.save, "x"), error(model.inspect, "llvm"), error(model.__reduce__)]
model.set_weights([value * 2 for value in model.get_weights()])
found["changed"] = bits(model.predict(x))
model = small.load()
found["small"] = bits(model.predict(x), model.stream(3).step(x[:, 0]))
model = both.load()
found["both"] = bits(*model.predict({"x": np.where(np.arange(7)[:, None] < 4, x, 0), "row": np.ones((3, 2))}))
found["both"] += [error(model.stream)]
model = going.load()
found["going"] = bits(model.predict(x), model.predict(x))
model = words.load()
found["words"] = bits(model.predict(["so good", "so bad", "bad"])) + list(model.predict_classes(["so good", "so bad", "bad"]))
found["loaded"] = sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names - {"__main__"})
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    made = {name: rnnspec.compile(spec, seed=3) for name, spec in MODELS.items()}
    made["going"].predict(X[:, :2])  # it goes on from there
    file = io.BytesIO()
    made["small"].save(file)
    made["small"] = rnnspec.load(file.getvalue(), weights="float16")
    made["words"].adapt(TEXTS)
    made["words"].set_classes(["bad", "good"])
    return made


@pytest.fixture(scope="module")
def level() -> str:
    """The highest level of this machine, or what it is held to: packages for it have the bits of models here."""
    return level_here(PYTHON_TARGETS)


@pytest.fixture(scope="module")
def packages(models: dict[str, Model], level: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheels hold, as an installer leaves it."""
    folder = tmp_path_factory.mktemp("packages")
    for name, model in models.items():
        report = rnnspec.build_python(model, folder / f"{name}.built", targets=[level])
        assert report.storage == model.weight_storage
        with ZipFile(folder / f"{name}.built" / report.wheel) as wheel:
            wheel.extractall(folder / "installed")
    return folder / "installed"


@pytest.fixture(scope="module")
def found(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What a process gives that has the packages and numpy, and nothing else."""
    alone = tmp_path_factory.mktemp("numpy")
    installed = Path(np.__file__).parents[1]
    for name in ("numpy", "numpy.libs"):
        if (installed / name).exists():
            (alone / name).symlink_to(installed / name)
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", CALLS, str(packages), str(alone)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=alone)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def bits(*arrays: Any) -> list[str]:
    return [np.asarray(array).tobytes().hex() for array in arrays]


@pytest.mark.skipif(not HERE, reason="packages are for Linux on x86-64")
def test_a_package_has_the_bits_of_its_model(models: dict[str, Model], found: Mapping[str, Any]) -> None:
    tiny, stream = models["tiny"], models["tiny"].stream(3)
    steps = [stream.step(X[:, k]) for k in range(3)]
    assert found["tiny"] == bits(tiny.predict(X), tiny.predict(X), tiny.predict(X, lengths=[7, 2, 0]), *steps)
    assert found["threads"] == bits(tiny.predict(np.tile(X, (40, 9, 1))))
    other = rnnspec.compile(TINY, seed=3, weights=[value * 2 for value in tiny.get_weights()])
    assert found["changed"] == bits(other.predict(X))
    assert found["small"] == bits(models["small"].predict(X), models["small"].stream(3).step(X[:, 0]))
    assert found["small"][0] != found["tiny"][0]
    both = models["both"].predict({"x": np.where(np.arange(7)[:, None] < 4, X, 0), "row": ROW})
    assert found["both"][:2] == bits(*both)
    # What a stateful model carries goes along, and texts with their vocabulary.
    assert found["going"] == bits(models["going"].predict(X), models["going"].predict(X))
    assert found["words"] == [*bits(models["words"].predict(TEXTS)), *models["words"].predict_classes(TEXTS)]


@pytest.mark.skipif(not HERE, reason="packages are for Linux on x86-64")
def test_a_package_has_the_errors_of_its_model(models: dict[str, Model], found: Mapping[str, Any]) -> None:
    expected: list[str] = []
    for call in (lambda: models["tiny"].predict(X[..., :2]), lambda: models["tiny"].predict(X, lengths=[8, 1, 1])):
        with pytest.raises(ValueError) as caught:
            call()
        expected.append(f"{type(caught.value).__name__}: {caught.value}")
    with pytest.raises(ValueError) as caught:
        models["tiny"].set_weights([X])
    assert found["errors"] == [*expected, f"{type(caught.value).__name__}: {caught.value}"]
    assert "can't stream" in found["both"][2]
    record, save, inspect, copy = found["refused"]
    assert record.startswith("ValueError: a package has code for inference alone")
    assert save.startswith("ValueError: a package can't save a model")
    assert inspect.startswith("ValueError: a package has no compiler")
    assert copy.startswith("TypeError: a package's model can't be pickled")


@pytest.mark.skipif(not HERE, reason="packages are for Linux on x86-64")
def test_a_package_loads_nothing_but_numpy(found: Mapping[str, Any]) -> None:
    assert {name for name in found["loaded"] if not name.startswith(("_", "cython_runtime"))} == {*MODELS, "numpy"}


def test_all_levels_are_in_a_package_by_default(tmp_path: Path) -> None:
    """And the same model gives the same bytes, in less than two megabytes with the runtime."""
    model = rnnspec.compile("model Small { input x: float[2, 3]\n Flatten()\n Dense(2) }", seed=0)
    report = rnnspec.build_python(model, tmp_path / "one", release="1.2")
    model.save(tmp_path / "small.rnnc")
    again = rnnspec.build_python(tmp_path / "small.rnnc", tmp_path / "two", release="1.2")
    wheels = [(tmp_path / name / report.wheel).read_bytes() for name in ("one", "two")]
    assert wheels[0] == wheels[1]
    assert report == again
    assert json.loads((tmp_path / "one" / "report.json").read_text()) == report.as_dict()
    assert report.targets == PYTHON_TARGETS == tuple(level.name for level in PACKAGED_LEVELS)
    folder = tmp_path / "one" / "small"
    assert sorted(path.name for path in folder.glob("*.forward.o")) == sorted(f"{name}.forward.o" for name in PYTHON_TARGETS)
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 2_000_000
    assert report.python + report.code + report.weights < 2_000_000
    with ZipFile(tmp_path / "one" / report.wheel) as wheel:
        record = wheel.read("small-1.2.dist-info/RECORD").decode().splitlines()
        assert sorted(line.split(",")[0] for line in record) == sorted(wheel.namelist())
        assert b"Requires-Dist: numpy" in wheel.read("small-1.2.dist-info/METADATA")
    assert "rnnspec maintainers" in (folder / "_runtime" / "__init__.py").read_text()


def test_the_copied_runtime_has_no_stage_of_the_compiler() -> None:
    rooms = {path.partition("/")[0].removesuffix(".py") for path in copied_modules("net._runtime")}
    assert rooms.isdisjoint({"frontend", "ir", "passes", "kernel", "backend", "driver", "training", "api", "cli"})
    assert not [path for path, text in copied_modules("net._runtime").items() if "\nfrom rnnspec" in text]


@pytest.mark.skipif(not HERE, reason="a level is looked for on Linux alone")
def test_a_machine_takes_the_highest_level_that_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = {level.name: level.flags for level in PACKAGED_LEVELS}

    def has(*given: str) -> Path:
        path = tmp_path / "cpuinfo"
        path.write_text(f"vendor_id : X\nflags : fpu {' '.join(given)}\n\n")
        return path

    monkeypatch.delenv("RNNSPEC_TARGET", raising=False)
    monkeypatch.setattr(np, "show_config", lambda mode: {"SIMD Extensions": {"found": [], "not found": ["AVX512_SPR"]}})
    assert level_here(PYTHON_TARGETS, has(*flags["x86-64-v4"])) == "x86-64-v4"
    assert level_here(PYTHON_TARGETS, has(*flags["x86-64-v3"], "avx512f")) == "x86-64-v3"
    assert level_here(["x86-64-v2"], has(*flags["x86-64-v4"])) == "x86-64-v2"
    with pytest.raises(WrongMachine, match="processors of x86-64-v3, which this one isn't"):
        level_here(["x86-64-v3"], has(*flags["x86-64-v2"]))
    with pytest.raises(WrongMachine, match="for Linux on x86-64"):
        level_here(PYTHON_TARGETS, tmp_path / "none")
    monkeypatch.setenv("RNNSPEC_TARGET", "avx2")
    assert level_here(PYTHON_TARGETS, has(*flags["x86-64-v4"])) == "x86-64-v3"
    with pytest.raises(WrongMachine, match="RNNSPEC_TARGET=avx2"):
        level_here(PYTHON_TARGETS, has(*flags["x86-64-v2"]))
    monkeypatch.delenv("RNNSPEC_TARGET")
    # An emulator runs fewer instructions than the machine's description has: numpy has asked.
    monkeypatch.setattr(np, "show_config", lambda mode: {"SIMD Extensions": {"not found": ["X86_V4"]}})
    assert level_here(PYTHON_TARGETS, has(*flags["x86-64-v4"])) == "x86-64-v3"


def test_what_no_package_can_be_is_refused(tmp_path: Path) -> None:
    model = rnnspec.compile(TINY, seed=1)
    refused = {
        "there is no target named `avx2`; there are x86-64-v4, x86-64-v3, x86-64-v2": {"targets": ["avx2"]},
        "target cortex-m4: a package for Python has code for x86-64-v4": {"targets": ["cortex-m4"]},
        "one at least": {"targets": []},
        r"targets: expected a list of names, got a text: write \['x86-64-v3'\]": {"targets": "x86-64-v3"},
        "expected a name of Python": {"name": "two-words"},
        "`json` is a package that Python or numpy has already": {"name": "json"},
        "release: expected a version": {"release": "new"},
    }
    for message, arguments in refused.items():
        with pytest.raises(CannotBuild, match=message):
            rnnspec.build_python(model, tmp_path / "out", **arguments)  # pyright: ignore[reportArgumentType]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    with pytest.raises(FileExistsError, match="a new folder or an empty one"):
        rnnspec.build_python(model, tmp_path / "full", targets=["x86-64-v2"])
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


@pytest.mark.skipif(not HERE, reason="packages are for Linux on x86-64")
def test_damaged_files_of_a_package_are_refused(packages: Path, tmp_path: Path) -> None:
    from rnnspec.runtime.packaged.model import PackagedModel

    for name in ("model.json", "weights.npy"):
        folder = tmp_path / name
        folder.mkdir()
        for path in (packages / "tiny").iterdir():
            if path.is_file():
                content = path.read_bytes()
                (folder / path.name).write_bytes(content[: len(content) // 2] if path.name == name else content)
        with pytest.raises(ValueError):
            PackagedModel(folder)


def test_without_llvm_code_that_cannot_be_linked_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    with pytest.raises(Unloadable, match="llvmlite isn't installed"):
        Jit().load(b"no object", ("symbol",))
