"""`rnnspec.build`: a model's functions as a C library, in a folder with all that belongs to it."""

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
from rnnspec.contract.target_names import ALL_LEVELS, BUILD_TARGET_NAMES
from rnnspec.deploy.archive import Member, archive_of
from rnnspec.deploy.arduino import arduino_texts, variants
from rnnspec.deploy.built import Built, Layouts, built
from rnnspec.deploy.checked_batch import batch_file, checked_batch, checked_sizes
from rnnspec.deploy.forward_layout import forward_layout, in_c, largest
from rnnspec.deploy.forward_library import forward_reference
from rnnspec.deploy.library import library
from rnnspec.deploy.shared import shared_library
from rnnspec.deploy.step_layout import CannotBuild, StepLayout, identifier, step_layout, step_problem
from rnnspec.deploy.step_library import reference
from rnnspec.deploy.texts import texts
from rnnspec.diagnostics import no_such_name
from rnnspec.driver.compilation import Compilation
from rnnspec.driver.compilation import build as compiled
from rnnspec.frozen import frozen
from rnnspec.kernel.target import Target
from rnnspec.runtime.storage import model_file
from rnnspec.source import SourceFile

if TYPE_CHECKING:
    from rnnspec.frontend.binding.model_parameters import ParameterValue
    from rnnspec.training.model import Model

Source: TypeAlias = "Model | str | os.PathLike[str] | bytes"
"""A model, or the path or the bytes of its file."""

DEFAULT = "x86-64-v3"

FUNCTIONS = ("step", "forward")
"""The functions that a library may have, in the order of its header."""

LINKED = ("so",)
"""The kinds of linked libraries."""

CHECKED_STEPS = 64
"""Steps of `check.bin`."""


@frozen
class TargetReport:
    """What a target's library takes, in bytes: `code` of instructions, `constants` of weights, `state` of a sequence.

    `imports`: the functions that it calls in other libraries; None where the object isn't an ELF, in which they aren't looked up.
    `workspace`: of a forward call, as an expression of C of the batch and the lengths; None without that function. `operations`: the
    products, sums and elementary functions of a step; None without that.
    """

    target: str
    code: int
    constants: int
    state: int
    imports: tuple[str, ...] | None
    workspace: str | None = None
    operations: int | None = None

    def as_dict(self) -> dict[str, object]:
        """The report for JSON."""
        sizes = {"code": self.code, "constants": self.constants, "state": self.state, "workspace": self.workspace}
        return {"target": self.target, **sizes, "operations": self.operations, "imports": self.imports}


def build(
    model: Model | str | os.PathLike[str] | bytes,
    folder: str | os.PathLike[str],
    *,
    targets: Sequence[str] = ("x86-64-v3",),
    name: str = "",
    functions: Sequence[str] = (),
    link: str = "",
) -> tuple[TargetReport, ...]:
    """Writes a model as a C library for some machines: what each takes.

    argument   type                       meaning                                                        default
    ---------  -------------------------  -------------------------------------------------------------  -----------------
    model      `Model`, path or bytes     a model, or the `.rnnc` that it was saved to                   required
    folder     path                       where the library is written; it isn't there yet, or is empty  required
    targets    sequence of str            machines, as `rnnspec build --list-targets` lists them         ("x86-64-v3",)
    name       str                        how all names in C begin                                       the model's name
    functions  sequence of str            of "step", which streams, and "forward", for whole batches     "step" if it can
    link       str                        "so": also a shared library of Linux's for each target         none

    The folder has `include/<name>.h`, for each target an object file, a static library and files with inputs and the bits that they must
    give, `example.c` or `example_forward.c`, which compare them, files for CMake and pkg-config, and `report.json`; with a Cortex-M among
    the targets it is an Arduino library, too. The same model gives the same bytes.
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
    ['cortex-m4', 'example.c', 'examples', 'include', 'library.properties', 'report.json', 'src', 'tiny-config.cmake', 'tiny.pc']
    """
    names = [_target(each) for each in dict.fromkeys(targets)]
    if not names:
        raise CannotBuild("targets: expected one at least")
    if link and link not in LINKED:
        raise CannotBuild(no_such_name("kind of linked library", link, LINKED))
    content = _content(model)
    saved = model_file.load(content)
    source = SourceFile(f"{model_file.name_of(content)}!{model_file.SPEC}", saved.text)
    compilation = compiled(source, cast("Mapping[str, ParameterValue]", saved.parameters), saved.dtype, imports=False).compilation
    layouts = _layouts(compilation, _prefix(name, compilation), functions)
    made = [built(compilation, saved.weights, layouts, each) for each in names]
    architecture = compilation.backend.host_target().architecture
    linked = [shared_library(each.parts, architecture) if link else None for each in made]
    reports = tuple(_report(compilation, layouts, each) for each in made)
    with _new_folder(Path(folder)) as inside:
        for each, shared in zip(made, linked, strict=True):
            _write_target(inside / each.folder, each, shared)
            for own in each.libraries:
                checked = inside / each.folder / (own.target.name if len(each.libraries) > 1 else "")
                checked.mkdir(exist_ok=True)
                for file, content in _checks(compilation, saved.weights, own.target, layouts).items():
                    (checked / file).write_bytes(content)
        digest = hashlib.sha256(_model_bytes(saved)).hexdigest()
        workspace = largest(each.workspace for each in made if each.workspace is not None)
        sizes = None if layouts.forward is None else checked_sizes(compilation.signature, layouts.forward)
        written = texts(compilation.signature.model, digest, names, layouts, workspace=workspace, checked=sizes)
        written = {**written, **_for_arduino(inside, compilation, saved.weights, layouts, made, written[f"include/{layouts.prefix}.h"])}
        for path, text in written.items():
            (inside / path).parent.mkdir(parents=True, exist_ok=True)
            (inside / path).write_text(text, encoding="utf-8")
        (inside / "report.json").write_text(json.dumps([each.as_dict() for each in reports], indent=2) + "\n", encoding="utf-8")
    return reports


def _for_arduino(
    inside: Path, model: Compilation, weights: Mapping[str, Array], layouts: Layouts, made: Sequence[Built], header: str
) -> Mapping[str, str]:
    """Writes the static libraries of microcontrollers where Arduino looks for them: the texts that belong to them."""
    boards = [(variant, each) for each in made for variant in variants(each.target)]
    for variant, each in boards:
        own = each.members
        if variant.target.triple != each.target.triple:
            passing = library(model, weights, variant.target, step=layouts.step, forward=layouts.forward)
            own = (Member(own[0].name, passing.object_code, passing.symbols),)
        _write_archive(inside / "src" / variant.folder, layouts.prefix, own, bsd=False)
    return arduino_texts(model.signature.model, header, layouts) if boards else {}


def _layouts(model: Compilation, prefix: str, functions: Sequence[str]) -> Layouts:
    """The C side of the functions that are asked for; of a step if the model has one, else of a forward call, if none is named."""
    for each in functions:
        if each not in FUNCTIONS:
            raise CannotBuild(no_such_name("function", each, FUNCTIONS))
    wanted = functions or (("forward",) if step_problem(model.signature) else ("step",))
    step = step_layout(model.signature, prefix) if "step" in wanted else None
    return Layouts(step, forward_layout(model.signature, prefix) if "forward" in wanted else None)


def _checks(model: Compilation, weights: Mapping[str, Array], target: Target, layouts: Layouts) -> Mapping[str, bytes]:
    """The files, by their names, of inputs and the outputs that a target must give."""
    files: dict[str, bytes] = {}
    if (step := layouts.step) is not None:
        given = _checked_steps(step)
        files["check.bin"] = _check_file(step, given, reference(model, weights, step, target, given))
    if (forward := layouts.forward) is not None:
        batch = checked_batch(model.signature, forward)
        files["check_forward.bin"] = batch_file(batch, forward, forward_reference(model, weights, target, batch))
    return files


def _target(name: str) -> str:
    known = (*BUILD_TARGET_NAMES, ALL_LEVELS)
    if name not in known:
        raise CannotBuild(no_such_name("target", name, known))
    return name


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


def _report(model: Compilation, layouts: Layouts, made: Built) -> TargetReport:
    code = sum(model.backend.code_bytes(member.object_code) for member in made.members)
    workspace = None if layouts.forward is None or made.workspace is None else in_c(made.workspace, layouts.forward.names)
    state = 0 if layouts.step is None else layouts.step.state_bytes
    return TargetReport(made.folder, code, sum(each.constants for each in made.libraries), state, made.imports, workspace, made.operations)


def _write_target(folder: Path, made: Built, shared: bytes | None) -> None:
    _write_archive(folder, made.prefix, made.members, bsd=made.target.object_format == "MachO")
    if len(made.members) == 1:
        (folder / f"{made.prefix}.o").write_bytes(made.members[0].object_code)
    if shared is not None:
        (folder / f"lib{made.prefix}.so").write_bytes(shared)


def _write_archive(folder: Path, prefix: str, members: Sequence[Member], *, bsd: bool) -> None:
    folder.mkdir(parents=True)
    own = [replace(each, symbols=tuple(f"_{symbol}" for symbol in each.symbols)) if bsd else each for each in members]
    (folder / f"lib{prefix}.a").write_bytes(archive_of(own, bsd=bsd))


@contextmanager
def _new_folder(folder: Path) -> Generator[Path]:
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
