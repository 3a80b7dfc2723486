"""`rnnspec.build`: a model's step as a C library, in a folder with all that belongs to it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import struct
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.target_names import BUILD_TARGET_NAMES
from rnnspec.contract.weight_storage import StorageName, WeightStorage, checked_storage
from rnnspec.deploy.archive import archive
from rnnspec.deploy.elf_symbols import undefined_symbols
from rnnspec.deploy.step_layout import CannotBuild, StepLayout, identifier, step_layout
from rnnspec.deploy.step_library import StepLibrary, reference, step_library
from rnnspec.deploy.texts import texts
from rnnspec.diagnostics import no_such_name
from rnnspec.driver.compilation import Compilation
from rnnspec.driver.compilation import build as compiled
from rnnspec.frozen import frozen
from rnnspec.kernel.build_targets import BUILD_TARGETS
from rnnspec.kernel.target import Target
from rnnspec.runtime.storage import model_file
from rnnspec.source import SourceFile

if TYPE_CHECKING:
    from rnnspec.frontend.binding.model_parameters import ParameterValue
    from rnnspec.training.model import Model

Source: TypeAlias = "Model | str | os.PathLike[str] | bytes"
"""A model, or the path or the bytes of its file."""

DEFAULT = "x86-64-v3"

CHECKED_STEPS = 64
"""Steps of `check.bin`."""


@frozen
class TargetReport:
    """What a target's library takes, in bytes: `code` of instructions, `constants` of weights, `state` of a sequence.

    `imports`: the functions that it calls in other libraries; None where the object isn't an ELF, in which they aren't looked up.
    `weights`: the elements in which matrices are kept. `difference`: between outputs over the steps of `check.bin` and those of whole
    weights, the largest one.
    """

    target: str
    code: int
    constants: int
    state: int
    imports: tuple[str, ...] | None
    weights: str = "float32"
    difference: float = 0.0

    def as_dict(self) -> dict[str, object]:
        """The report for JSON."""
        sizes = {"code": self.code, "constants": self.constants, "state": self.state}
        return {"target": self.target, **sizes, "imports": self.imports, "weights": self.weights, "difference": self.difference}


def build(
    model: Model | str | os.PathLike[str] | bytes,
    folder: str | os.PathLike[str],
    *,
    targets: Sequence[str] = ("x86-64-v3",),
    name: str = "",
    weights: StorageName | None = None,
) -> tuple[TargetReport, ...]:
    """Writes a model's step as a C library for some machines: what each takes.

    argument  type                       meaning                                                        default
    --------  -------------------------  -------------------------------------------------------------  -----------------
    model     `Model`, path or bytes     a model, or the `.rnnc` that it was saved to                   required
    folder    path                       where the library is written; it isn't there yet, or is empty  required
    targets   sequence of str            machines, as `rnnspec build --list-targets` lists them         ("x86-64-v3",)
    name      str                        how all names in C begin                                       the model's name
    weights   "float16", "bfloat16",     how matrices are kept, see `load`: less memory, outputs that   the model's own
              "int8"                     differ by what the report says

    The folder has `include/<name>.h`, for each target an object file, a static library and `check.bin` with inputs and the bits that they
    must give, `example.c`, which compares them, files for CMake and pkg-config, and `report.json`. The same model gives the same bytes.
    ValueError for a model whose step no library can do, a target or a name that there isn't; FileExistsError for a folder with something
    in it. Nothing is left behind then.

    >>> import tempfile
    >>> from pathlib import Path
    >>> import rnnspec
    >>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
    >>> folder = Path(tempfile.mkdtemp()) / "tiny"
    >>> report = rnnspec.build(model, folder, targets=["cortex-m4"])
    >>> report[0].target, report[0].state
    ('cortex-m4', 96)
    >>> sorted(path.name for path in folder.iterdir())
    ['cortex-m4', 'example.c', 'include', 'report.json', 'tiny-config.cmake', 'tiny.pc']
    """
    machines = [_target(each) for each in dict.fromkeys(targets)]
    if not machines:
        raise CannotBuild("targets: expected one at least")
    content = _content(model)
    saved = model_file.load(content)
    source = SourceFile(f"{model_file.name_of(content)}!{model_file.SPEC}", saved.text)
    compilation = compiled(source, cast("Mapping[str, ParameterValue]", saved.parameters), saved.dtype, imports=False).compilation
    layout = step_layout(compilation.signature, _prefix(name, compilation))
    given = _checked_steps(layout)
    storage = WeightStorage.FULL if weights is None else checked_storage(weights, saved.dtype)
    libraries = [step_library(compilation, saved.weights, layout, machine, storage) for machine in machines]
    checked = [reference(compilation, saved.weights, layout, library.target, given, storage) for library in libraries]
    reports: list[TargetReport] = []
    for library, expected in zip(libraries, checked, strict=True):
        report = replace(_report(compilation, layout, library), weights=saved.dtype if storage is WeightStorage.FULL else storage.value)
        if storage is not WeightStorage.FULL:
            whole = reference(compilation, saved.weights, layout, library.target, given)
            report = replace(report, difference=_difference(expected, whole))
        reports.append(report)
    with new_folder(Path(folder)) as inside:
        for library, expected in zip(libraries, checked, strict=True):
            _write_target(inside / library.target.name, layout, library, _check_file(layout, given, expected))
        digest = hashlib.sha256(_model_bytes(saved)).hexdigest()
        for path, text in texts(layout, compilation.signature.model, digest, [machine.name for machine in machines]).items():
            (inside / path).parent.mkdir(exist_ok=True)
            (inside / path).write_text(text, encoding="utf-8")
        (inside / "report.json").write_text(json.dumps([each.as_dict() for each in reports], indent=2) + "\n", encoding="utf-8")
    return tuple(reports)


def _difference(given: Sequence[Array], expected: Sequence[Array]) -> float:
    """The largest one of any output at any step."""
    return max(float(np.abs(one - other).max(initial=0.0)) for one, other in zip(given, expected, strict=True))


def _target(name: str) -> Target:
    if name not in BUILD_TARGETS:
        raise CannotBuild(no_such_name("target", name, BUILD_TARGET_NAMES))
    return BUILD_TARGETS[name]


def _prefix(name: str, model: Compilation) -> str:
    if not name:
        return identifier(model.signature.model.lower())
    if identifier(name) != name:
        raise CannotBuild(f"name: expected a name of C, letters, digits and underscores, got {name!r}")
    return name


def _content(model: Source) -> bytes | str | os.PathLike[str]:
    if isinstance(model, bytes | str | os.PathLike):
        return model
    file = io.BytesIO()
    model.save(file)
    return file.getvalue()


def _model_bytes(saved: model_file.Artifact) -> bytes:
    """All that a library depends on."""
    parts = [saved.text.encode(), repr(sorted(saved.parameters.items())).encode(), saved.dtype.encode()]
    return b"".join((*parts, *(name.encode() + np.ascontiguousarray(value).tobytes() for name, value in sorted(saved.weights.items()))))


def _checked_steps(layout: StepLayout) -> Mapping[str, Array]:
    """Inputs of some steps: of both signs and some silence; ids from the first to the last."""
    random = np.random.default_rng(0)
    given: dict[str, Array] = {}
    for each in layout.inputs:
        if each.vocabulary is not None:
            given[each.source] = random.integers(0, each.vocabulary, CHECKED_STEPS).astype(np.int32)
        else:
            values = random.normal(size=(CHECKED_STEPS, each.width))
            values[CHECKED_STEPS // 2 : CHECKED_STEPS // 2 + 8] = 0
            given[each.source] = values.astype(np.float64 if layout.bytes == 8 else np.float32)
    return given


def _check_file(layout: StepLayout, given: Mapping[str, Array], expected: Sequence[Array]) -> bytes:
    """The number of steps, then for each its inputs and its outputs, all little-endian."""
    rows = [given[each.source].reshape(CHECKED_STEPS, each.width) for each in layout.inputs] + [*expected]
    little = [row.astype(row.dtype.newbyteorder("<"), copy=False) for row in rows]
    return struct.pack("<I", CHECKED_STEPS) + b"".join(row[step].tobytes() for step in range(CHECKED_STEPS) for row in little)


def _report(model: Compilation, layout: StepLayout, library: StepLibrary) -> TargetReport:
    imports = undefined_symbols(library.object_code) if library.target.object_format == "ELF" else None
    code = model.backend.code_bytes(library.object_code)
    return TargetReport(library.target.name, code, library.constants, layout.state_bytes, imports)


def _write_target(folder: Path, layout: StepLayout, library: StepLibrary, check: bytes) -> None:
    folder.mkdir()
    member = f"{layout.prefix}.o"
    (folder / member).write_bytes(library.object_code)
    bsd = library.target.object_format == "MachO"
    symbols = [f"_{symbol}" if bsd else symbol for symbol in library.symbols]
    (folder / f"lib{layout.prefix}.a").write_bytes(archive(member, library.object_code, symbols, bsd=bsd))
    (folder / "check.bin").write_bytes(check)


@contextmanager
def new_folder(folder: Path) -> Generator[Path]:
    """A folder that is there, whole, if nothing fails, and else isn't; FileExistsError for one with something in it."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder}: expected a new folder or an empty one; a library is never written over something")
    folder.parent.mkdir(parents=True, exist_ok=True)
    inside = Path(tempfile.mkdtemp(prefix=".rnnspec-", dir=folder.parent))
    try:
        yield inside
        inside.chmod(0o777 & ~_umask())
        inside.replace(folder)
    except BaseException:
        shutil.rmtree(inside, ignore_errors=True)
        raise


def _umask() -> int:
    """The process's mask, which can only be read by setting it."""
    mask = os.umask(0o22)
    os.umask(mask)
    return mask
