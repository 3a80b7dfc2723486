"""`rnnspec.build`: a model's functions as a C library, in a folder with all that belongs to it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import shutil
import struct
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.target_names import ALL_LEVELS, BROWSER_TARGETS, LEVELS
from rnnspec.contract.weight_storage import StorageName, WeightStorage, checked_storage
from rnnspec.deploy.archive import Member, archive_of
from rnnspec.deploy.arduino import arduino_texts, variants
from rnnspec.deploy.built import Built, Layouts, built, library_of
from rnnspec.deploy.checked_batch import batch_file, checked_batch, checked_sizes
from rnnspec.deploy.forward_layout import forward_layout, in_c
from rnnspec.deploy.forward_library import forward_reference
from rnnspec.deploy.package_texts import package_texts
from rnnspec.deploy.page_text import page_text
from rnnspec.deploy.shared import KINDS, LinkKind, check_kind, file_name, shared_library
from rnnspec.deploy.step_layout import CannotBuild, StepLayout, each_once, identifier, step_layout, step_problem
from rnnspec.deploy.step_library import reference
from rnnspec.deploy.target_file import chosen_targets
from rnnspec.deploy.texts import texts
from rnnspec.deploy.train_layout import check_saved_training, train_layout, with_gradient
from rnnspec.deploy.train_library import train_facts, train_sizes
from rnnspec.deploy.train_reference import train_check
from rnnspec.deploy.wasm_link import Linked, link_module
from rnnspec.diagnostics import no_such_name
from rnnspec.driver.compilation import Compilation
from rnnspec.driver.compilation import build as compiled
from rnnspec.frozen import frozen
from rnnspec.kernel.forward_memory import largest
from rnnspec.kernel.target import Target
from rnnspec.resources import read_resource
from rnnspec.runtime.storage import model_file
from rnnspec.source import SourceFile

if TYPE_CHECKING:
    from rnnspec.frontend.binding.model_parameters import ParameterValue
    from rnnspec.training.model import Model

Source: TypeAlias = "Model | str | os.PathLike[str] | bytes"
"""A model, or the path or the bytes of its file."""

DEFAULT = "x86-64-v3"

FUNCTIONS = ("step", "forward", "train", "gradient")
"""The functions that a library may have, in the order of its header."""

CHECKED_STEPS = 64
"""Steps of `check.bin`."""


@frozen
class TargetReport:
    """What a target's library takes, in bytes: `code` of instructions, `constants` of weights, `state` of a sequence.

    `imports`: the functions that it calls in other libraries. `module`: of the whole `.wasm`; None for other targets.
    `workspace`: of a forward call, as an expression of C of the batch and the lengths; None without that function. `weights`: the elements
    in which matrices are kept. `difference`: between outputs in the files with checks and those of whole weights, the largest one.
    `operations`: the products, sums and elementary functions of a step; None without that. `stack`: the most that the deepest chain of
    calls takes, without what the `imports` take themselves.
    `training`: of a training step its `workspace`, and of that the `tape`, as expressions of C; the bytes of the `weights`, of their
    `gradient` in the workspace and of the `optimizer`'s state; None without that function.
    """

    target: str
    code: int
    constants: int
    state: int
    imports: tuple[str, ...]
    workspace: str | None = None
    module: int | None = None
    weights: str = "float32"
    difference: float = 0.0
    operations: int | None = None
    stack: int = 0
    training: Mapping[str, str | int] | None = None

    def as_dict(self) -> dict[str, object]:
        """The report for JSON."""
        sizes = {"code": self.code, "constants": self.constants, "state": self.state, "workspace": self.workspace}
        kept = {"weights": self.weights, "difference": self.difference}
        report: dict[str, object] = {
            "target": self.target,
            **sizes,
            "operations": self.operations,
            "stack": self.stack,
            "imports": self.imports,
            **kept,
        }
        report |= {} if self.training is None else {"training": dict(self.training)}
        return report if self.module is None else {**report, "module": self.module}


def build(
    model: Model | str | os.PathLike[str] | bytes,
    folder: str | os.PathLike[str],
    *,
    targets: Sequence[str | os.PathLike[str]] | None = None,
    name: str = "",
    functions: Sequence[str] = (),
    page: bool = False,
    link: str = "",
    weights: StorageName | None = None,
    weights_file: bool = False,
) -> tuple[TargetReport, ...]:
    """Writes a model as a C library for some machines: what each takes.

    argument      type                       meaning                                                        default
    ------------  -------------------------  -------------------------------------------------------------  -----------------
    model         `Model`, path or bytes     a model, or the `.rnnc` that it was saved to                   required
    folder        path                       where the library is written; it isn't there yet, or is empty  required
    targets       sequence of str or path    machines, as `rnnspec build --list-targets` lists them, and    ("x86-64-v3",)
                                             paths of `.toml` files that describe one
    name          str                        how all names in C begin                                       the model's name
    functions     sequence of str            of "step", which streams, "forward", for whole batches,        "step" if it can
                                             "train", an update by a batch, and with that "gradient",
                                             its parts
    page          bool                       also `page.html`, which runs the first of the targets that     False
                                             is for WebAssembly, ("wasm32-simd",) if none is given
    link          str                        "so", "dylib", "dll": also a shared library of Linux's,        none
                                             macOS's, Windows' for each target; "wasm": the module, which
                                             a target of WebAssembly has in any case
    weights       "float16", "bfloat16",     how matrices are kept, see `load`: less memory, outputs that   the model's own
                  "int8"                     differ by what the report says
    weights_file  bool                       the weights in a file beside each library, `<name>.weights`,   False
                                             whose content all functions take first

    The folder has `include/<name>.h`, for each target an object file, a static library and files with inputs and the bits that they must
    give, `example.c`, `example_forward.c` or `example_train.c`, which compare them, files for CMake and pkg-config, and `report.json`.
    With a Cortex-M among the targets it is an Arduino library, too; with a step or a forward call for WebAssembly an npm package: a linked
    `.wasm`, a module of JavaScript and its types. The same model gives the same bytes.
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
    wanted = (BROWSER_TARGETS[0] if page else DEFAULT,) if targets is None else targets
    chosen, functions = chosen_targets(each_once("targets", wanted)), each_once("functions", functions)
    if not chosen:
        raise CannotBuild("targets: expected one at least")
    if page and not any(each.object_format == "Wasm" for each in chosen.values() if each is not None):
        raise CannotBuild(f"page: it runs in a browser, so one of the targets has to be {' or '.join(BROWSER_TARGETS)}")
    kind = _kind_of_library(link, chosen)
    if weights_file:
        _check_weights_file(chosen)
    content = _content(model)
    saved = model_file.load(content)
    source = SourceFile(f"{model_file.name_of(content)}!{model_file.SPEC}", saved.text)
    compilation = compiled(source, cast("Mapping[str, ParameterValue]", saved.parameters), saved.dtype, imports=False).compilation
    layouts = replace(_layouts(compilation, _prefix(name, compilation), functions), weights_file=weights_file)
    if layouts.train is not None:
        check_saved_training(compilation.signature.model, saved.training)
    if weights is not None and layouts.step is layouts.forward is None:
        raise CannotBuild("weights: training has whole weights: leave it out, or name step or forward among the functions, too")
    if weights_file and layouts.train is not None:
        raise CannotBuild("weights_file: training has its weights in memory of the caller's: leave it out, or train among the functions")
    if weights_file and (taken := [each.name for each in (*layouts.first.inputs, *layouts.first.outputs) if each.name == "weights"]):
        raise CannotBuild(f"weights_file: its address is the parameter {taken[0]}, and so is called an input or output of the model")
    if page and layouts.step is None:
        raise CannotBuild("page: it runs a model step by step, and step isn't among the functions")
    storage = WeightStorage.FULL if weights is None else checked_storage(weights, saved.dtype)
    made = [built(compilation, saved.weights, layouts, each, target, storage) for each, target in chosen.items()]
    machines = [each.target for own in made for each in own.libraries]
    checks = {machine.name: _checks(compilation, saved.weights, machine, layouts, storage) for machine in machines}
    host = compilation.backend.host_target()
    runtime = compilation.backend.assemble(read_resource("templates", "windows_runtime.ll"), made[0].target) if kind == "dll" else b""
    linked = [None if kind in (None, "wasm") else shared_library(kind, replace(each.parts, runtime=runtime), host) for each in made]
    linkable = [each for each in made if each.target.object_format == "Wasm"]
    modules = {each.folder: link_module(each.members[0].object_code, each.symbols) for each in linkable}
    reports = [_report(compilation, layouts, each, modules.get(each.folder)) for each in made]
    if storage is not WeightStorage.FULL:
        exact = {machine.name: _checks(compilation, saved.weights, machine, layouts, WeightStorage.FULL) for machine in machines}
        for place, each in enumerate(made):
            apart = max(_difference(checks[own.target.name], exact[own.target.name]) for own in each.libraries)
            reports[place] = replace(reports[place], weights=storage.value, difference=apart)
    with new_folder(Path(folder)) as inside:
        for each, shared in zip(made, linked, strict=True):
            _write_target(inside / each.folder, each)
            if shared is not None and kind is not None:
                (inside / each.folder / file_name(each.prefix, kind)).write_bytes(shared)
            if (beside := each.libraries[0].weights_file) is not None:
                (inside / each.folder / f"{layouts.prefix}.weights").write_bytes(beside)
            for own in each.libraries:
                checked = inside / each.folder / (own.target.name if len(each.libraries) > 1 else "")
                checked.mkdir(exist_ok=True)
                for file, content in checks[own.target.name].files.items():
                    (checked / file).write_bytes(content)
        for target, module in modules.items():
            (inside / target / f"{layouts.prefix}.wasm").write_bytes(module.content)
        model_name, digest = compilation.signature.model, hashlib.sha256(_model_bytes(saved)).hexdigest()
        workspace = largest(each.workspace for each in made if each.workspace is not None)
        batches = layouts.forward or (layouts.train and layouts.train.forward)
        sizes = None if batches is None else checked_sizes(compilation.signature, batches)
        facts = train_facts(compilation, [own.export.train for each in made for own in each.libraries])
        written = dict(texts(model_name, digest, [*chosen], layouts, workspace=workspace, checked=sizes, training=facts))
        if not weights_file:  # a sketch has no files
            written |= _for_arduino(inside, compilation, saved.weights, layouts, made, storage, written[f"include/{layouts.prefix}.h"])
        if modules and (layouts.step or layouts.forward):
            written |= package_texts(layouts, model_name, digest, list(modules))
            if page and layouts.step is not None:
                written["page.html"] = page_text(layouts.step, model_name, digest, next(iter(modules.values())).content)
        for path, text in written.items():
            (inside / path).parent.mkdir(parents=True, exist_ok=True)
            (inside / path).write_text(text, encoding="utf-8")
        (inside / "report.json").write_text(json.dumps([each.as_dict() for each in reports], indent=2) + "\n", encoding="utf-8")
    return tuple(reports)


def _for_arduino(
    inside: Path,
    model: Compilation,
    weights: Mapping[str, Array],
    layouts: Layouts,
    made: Sequence[Built],
    storage: WeightStorage,
    header: str,
) -> Mapping[str, str]:
    """Writes the static libraries of microcontrollers where Arduino looks for them: the texts that belong to them."""
    boards = [(variant, each) for each in made for variant in variants(each.target)]
    for variant, each in boards:
        own = each.members
        if not variant.usual:
            passing = library_of(model, weights, layouts, variant.target, storage)
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
    if "gradient" in wanted and "train" not in wanted:
        raise CannotBuild("functions: gradient has the parts of train, whose weights and optimizer it goes with: name both")
    train = train_layout(model.signature, model, prefix) if "train" in wanted else None
    train = with_gradient(train, model.signature) if train is not None and "gradient" in wanted else train
    return Layouts(step, forward_layout(model.signature, prefix) if "forward" in wanted else None, train=train)


@frozen
class _Checks:
    """Inputs and what a target must give for them: `files` by their names, and the `outputs` in these."""

    files: Mapping[str, bytes]
    outputs: tuple[Array, ...]


def _checks(model: Compilation, weights: Mapping[str, Array], target: Target, layouts: Layouts, storage: WeightStorage) -> _Checks:
    files: dict[str, bytes] = {}
    outputs: list[Array] = []
    if (step := layouts.step) is not None:
        given = _checked_steps(step)
        expected = reference(model, weights, step, target, given, storage)
        files["check.bin"] = _check_file(step, given, expected)
        outputs += expected
    if (forward := layouts.forward) is not None:
        batch = checked_batch(model.signature, forward)
        expected = forward_reference(model, weights, target, batch, storage)
        files["check_forward.bin"] = batch_file(batch, forward, expected)
        outputs += expected
    if (train := layouts.train) is not None:
        files["check_train.bin"] = train_check(model, weights, target, train)
    return _Checks(files, tuple(outputs))


def _difference(given: _Checks, expected: _Checks) -> float:
    """The largest one of any output."""
    pairs = zip(given.outputs, expected.outputs, strict=True)
    apart = (np.where(np.isnan(other), 0, np.abs(one - other)) for one, other in pairs)  # a step without a value is NaN
    return max((float(each.max(initial=0.0)) for each in apart), default=0.0)


def _kind_of_library(link: str, chosen: Mapping[str, Target | None]) -> LinkKind | None:
    """The kind of linked library, None for none; CannotBuild for one that there isn't, or that a target can't have."""
    kind = link if link in KINDS else None
    if link and kind is None:
        raise CannotBuild(no_such_name("kind of linked library", link, KINDS))
    for target in chosen.values():
        if kind is not None and target is not None:
            check_kind(kind, target)
        elif kind not in (None, "so"):
            raise CannotBuild(f"link: {ALL_LEVELS} is for Linux, whose libraries are `so`, and not `{kind}`")
    return kind


def _check_weights_file(chosen: Mapping[str, Target | None]) -> None:
    for name, target in chosen.items():
        if target is None:
            raise CannotBuild(f"weights_file: each level of {name} would need a file of its own; name one of {', '.join(LEVELS.values())}")
        if target.object_format == "Wasm":
            raise CannotBuild(f"weights_file: a module of WebAssembly has its weights inside; leave out {name}, or the file")


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
    """Inputs of some steps: of both signs, some silence and some that are masked; ids from the first to the last."""
    random = np.random.default_rng(0)
    given: dict[str, Array] = {}
    for each in layout.inputs:
        if each.vocabulary is not None:
            given[each.source] = random.integers(0, each.vocabulary, CHECKED_STEPS).astype(np.int32)
        else:
            values = random.normal(size=(CHECKED_STEPS, each.width))
            values[CHECKED_STEPS // 2 : CHECKED_STEPS // 2 + 8] = 0
            for place, value in enumerate(value for name, value in layout.masked if name == each.source):
                values[2 * place : 2 * place + 2] = values[CHECKED_STEPS // 4 + place] = value
            given[each.source] = values.astype(np.float64 if layout.bytes == 8 else np.float32)
    return given


def _check_file(layout: StepLayout, given: Mapping[str, Array], expected: Sequence[Array]) -> bytes:
    """The number of steps, then for each its inputs and its outputs, all little-endian."""
    rows = [given[each.source].reshape(CHECKED_STEPS, each.width) for each in layout.inputs] + [*expected]
    little = [row.astype(row.dtype.newbyteorder("<"), copy=False) for row in rows]
    return struct.pack("<I", CHECKED_STEPS) + b"".join(row[step].tobytes() for step in range(CHECKED_STEPS) for row in little)


def _report(model: Compilation, layouts: Layouts, made: Built, module: Linked | None) -> TargetReport:
    code = sum(model.backend.code_bytes(member.object_code) for member in made.members)
    workspace = None if layouts.forward is None or made.workspace is None else in_c(made.workspace, layouts.forward.names)
    state = 0 if layouts.step is None else layouts.step.state_bytes
    constants, whole = sum(each.constants for each in made.libraries), None if module is None else len(module.content)
    dtype, stack = model.signature.dtype, _stack(model, made) if module is None else module.stack
    training = train_sizes(layouts.train, [each.export.train for each in made.libraries])
    report = TargetReport(
        made.folder, code, constants, state, made.imports, workspace, whole, dtype, operations=made.operations, stack=stack
    )
    return replace(report, training=training)


def _stack(model: Compilation, made: Built) -> int:
    """The stack that a call takes, of the deepest of the levels."""
    emitted = ((model.backend.emit_library(each.export, each.target).text, each) for each in made.libraries)
    return max(model.backend.stack_bytes(text, each.target, each.symbols) for text, each in emitted)


def _write_target(folder: Path, made: Built) -> None:
    _write_archive(folder, made.prefix, made.members, bsd=made.target.object_format == "MachO")
    if len(made.members) == 1:
        (folder / f"{made.prefix}.o").write_bytes(made.members[0].object_code)


def _write_archive(folder: Path, prefix: str, members: Sequence[Member], *, bsd: bool) -> None:
    folder.mkdir(parents=True)
    own = [replace(each, symbols=tuple(f"_{symbol}" for symbol in each.symbols)) if bsd else each for each in members]
    (folder / f"lib{prefix}.a").write_bytes(archive_of(own, bsd=bsd))


@contextmanager
def new_folder(folder: Path) -> Generator[Path]:
    """A folder that is there, whole, if nothing fails, and else isn't; FileExistsError for one with something in it."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder}: expected a new folder or an empty one; a library is never written over something")
    # Not `tempfile.mkdtemp`, whose folders nobody but their owner may read.
    inside = folder.parent / f".rnnspec-{secrets.token_hex(8)}"
    inside.mkdir(parents=True)
    try:
        yield inside
        inside.replace(folder)
    except BaseException:
        shutil.rmtree(inside, ignore_errors=True)
        raise
