"""The driver: parse, resolve, lower, passes, schedule, emit; and the four things that users ask of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, cast

import numpy as np
from numpy.typing import DTypeLike

from rnnspec import stages
from rnnspec.codegen import python_call as python_call_code
from rnnspec.codegen.module import emit_module
from rnnspec.codegen.objects import Machine, host_target
from rnnspec.codegen.updates import SYMBOL, emit_update
from rnnspec.contract.executable import Formula, NativeUpdate
from rnnspec.contract.model_source import LayerRow, MaskRow, ModelSource
from rnnspec.contract.native_function import NativeFunction
from rnnspec.contract.signature import Argument, Signature, weight_ranges
from rnnspec.diagnostics import Diagnostic, InternalError, SpecError, nearest, render_all
from rnnspec.file_kinds import LOOKED_AT, Mistaken, kind_of, no_spec
from rnnspec.files import SPEC_LIMIT, read_file
from rnnspec.frontend import errors
from rnnspec.frontend.binding.model_parameters import ParameterValue
from rnnspec.frontend.graph.graph import Graph
from rnnspec.frontend.model.graph_printer import print_ast, print_graph
from rnnspec.frontend.model.lower import Precision, lower
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.model.signature import signature
from rnnspec.frontend.model.summary import layer_rows, mask_rows
from rnnspec.frontend.syntax import ast
from rnnspec.frontend.syntax.formatter import format_spec
from rnnspec.frontend.syntax.imports import Followed, Unreadable, follow_imports
from rnnspec.frontend.syntax.parser import Allowance, parse
from rnnspec.ir.ops import Function, Module
from rnnspec.ir.printer import print_module
from rnnspec.kernel.in_place import Moved
from rnnspec.kernel.printer import print_kernels
from rnnspec.kernel.target import Target
from rnnspec.locks import cached_property
from rnnspec.passes.pipeline import Pipeline
from rnnspec.runtime.native.executable import Wanted
from rnnspec.runtime.native.fast_call import PythonCall
from rnnspec.runtime.native.jit import Jit, calling
from rnnspec.runtime.storage.object_cache import ObjectCache, default_folder
from rnnspec.source import SourceFile, Span

Spec: TypeAlias = str | os.PathLike[str]
"""The path of a `.rnn` file, or a spec's text: a str with a brace or more than one line, or an empty one."""

Stage: TypeAlias = Literal["ast", "graph", "tensor", "tensor.backward", "tensor.stream", "kernel", "llvm", "llvm.opt", "asm"]

STAGES: tuple[Stage, ...] = ("ast", "graph", "tensor", "tensor.backward", "tensor.stream", "kernel", "llvm", "llvm.opt", "asm")

PIPELINES: Mapping[str, Pipeline] = {"tensor": stages.FORWARD, "tensor.backward": stages.BACKWARD, "tensor.stream": stages.STREAM}
"""The stages that passes run in."""

SPEC_ENDING = ".rnn"

LOWER = "lower"
"""What `after` calls the tensor IR before the first pass."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A spec without errors: its model's name, its layers, what becomes of masks, and what is doubtful in it."""

    model: str
    rows: tuple[LayerRow, ...]
    masks: tuple[MaskRow, ...]
    warnings: tuple[Diagnostic, ...]


def check(spec: Spec, parameters: Mapping[str, ParameterValue] | None = None) -> Checked:
    """The layers of a spec; SpecError with all that is wrong with it."""
    tree, _ = parse_all(read_spec(spec))
    graph = resolve(tree, parameters)
    return Checked(graph.model, layer_rows(graph), mask_rows(graph), graph.warnings)


def inspect(
    spec: Spec,
    stage: str = "tensor",
    *,
    after: str | None = None,
    parameters: Mapping[str, ParameterValue] | None = None,
    dtype: DTypeLike = "float32",
) -> str:
    """The printed form of a stage, of the tensor IR after the pass `after` if given; ValueError names the known ones."""
    return compilation(spec, dtype=dtype, parameters=parameters).print(stage, after)


def compilation(spec: Spec, *, dtype: DTypeLike = "float32", parameters: Mapping[str, ParameterValue] | None = None) -> Compilation:
    """A spec's stages, for this machine; SpecError if it can't be read or compiled."""
    tree, _ = parse_all(read_spec(spec))
    return Compilation(tree, resolve(tree, parameters), _precision(dtype))


def format(spec: Spec | SourceFile) -> tuple[SourceFile, str]:
    """A spec and its canonical form; SpecError if it can't be read or parsed."""
    source = spec if isinstance(spec, SourceFile) else read_spec(spec)
    return source, format_spec(source)


def list_stages() -> str:
    """The stages, and the passes that run in them, as `inspect` takes them."""
    lines: list[str] = []
    for stage in STAGES:
        lines.append(stage)
        if stage in PIPELINES:
            lines += [f"  --after {label}" for label in (LOWER, *PIPELINES[stage].stages)]
    return "\n".join(lines)


def read_spec(spec: Spec) -> SourceFile:
    """The text of a spec that is given as a path or as the text itself; SpecError if the file can't be read."""
    if isinstance(spec, str) and ("{" in spec or "\n" in spec or not spec.strip()):
        return of_text(spec)
    path = os.fspath(spec)
    try:
        return _read(path)
    except _NotASpec as error:
        raise SpecError([_not_a_spec(path, error.mistaken)]) from None
    except Unreadable as error:
        raise SpecError([errors.syntax.UnreadableSpec(span=Span(SourceFile(path, ""), 0, 0), reason=error.reason)]) from None


def of_text(text: str) -> SourceFile:
    """A spec's text that is in no file; SpecError if it is too long for one."""
    if len(text) <= SPEC_LIMIT and len(text.encode(errors="surrogatepass")) <= SPEC_LIMIT:
        return SourceFile.of_text(text)
    reason = f"it is longer than {SPEC_LIMIT // 2**20} MiB"
    raise SpecError([errors.syntax.UnreadableSpec(span=Span(SourceFile.of_text(""), 0, 0), reason=reason)])


class _NotASpec(Unreadable):
    """A file that is known to be something else."""

    def __init__(self, mistaken: Mistaken) -> None:
        super().__init__(f"it is {mistaken.kind.value}, not a spec")
        self.mistaken = mistaken


def _not_a_spec(path: str, mistaken: Mistaken) -> Diagnostic:
    return errors.syntax.NotASpec(span=Span(SourceFile(path, ""), 0, 0), found=mistaken.kind.value, help=mistaken.advice)


def _read(path: str) -> SourceFile:
    try:
        content = read_file(path, SPEC_LIMIT)
        if (mistaken := no_spec(path, kind_of(path, content))) is not None:
            raise _NotASpec(mistaken)
        return SourceFile(path, content.decode())
    except OSError as error:
        reason = error.strerror or str(error)
    except UnicodeDecodeError as error:
        reason = f"it isn't UTF-8 text: byte {error.start} is 0x{error.object[error.start]:02X}"
    except ValueError as error:
        reason = str(error)
    raise Unreadable(reason)


def _read_import(path: str) -> SourceFile:
    """A spec that another one imports. Nothing else is read, or it would be shown in a message about what is wrong with it."""
    place = Path(path)
    if not path.endswith(SPEC_ENDING) and not place.is_dir():
        raise Unreadable(f"what is imported are files whose names end in `{SPEC_ENDING}`")
    if place.is_file() and not place.resolve().name.endswith(SPEC_ENDING):
        raise Unreadable(f"it is a link to a file whose name doesn't end in `{SPEC_ENDING}`")
    return _read(path)


def _refuse_import(path: str) -> SourceFile:
    raise Unreadable("a model file holds all of its spec")


def parse_all(source: SourceFile) -> tuple[ast.File, str]:
    """The syntax tree with what it imports, and a text that means the same without imports; SpecError for what is wrong with them."""
    followed = _followed(source, _read_import)
    return followed.tree, followed.text


def _followed(source: SourceFile, read: Callable[[str], SourceFile]) -> Followed:
    left = Allowance()
    return follow_imports(parse(source, left), read, left)


def _precision(dtype: DTypeLike) -> Precision:
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = ""
    if name not in ("float32", "float64"):
        raise ValueError(f"dtype: expected float32 or float64, got {dtype!r}")
    return name


@dataclass(frozen=True, slots=True)
class Compiled:
    """What a spec is to those who run it.

    `warnings`: what it was warned of, as it is shown. `imported`: the paths of what it imports, with the SHA-256 of each.
    """

    signature: Signature
    source: ModelSource
    warnings: str
    compilation: Compilation
    imported: tuple[tuple[str, str], ...] = ()


def build(
    source: SourceFile,
    parameters: Mapping[str, ParameterValue],
    dtype: DTypeLike,
    target: Target | None = None,
    *,
    imports: bool = True,
) -> Compiled:
    """A spec's text, compiled as far as running it is prepared; its native functions are made when they are needed.

    `imports`: whether it may import. SpecError for a spec that can't be compiled, ValueError for another dtype than float32 and float64.
    """
    precision = _precision(dtype)
    if (mistaken := no_spec(source.path, kind_of(source.path, source.text[:LOOKED_AT].encode()))) is not None:
        raise SpecError([_not_a_spec(source.path, mistaken)])
    followed = _followed(source, _read_import if imports else _refuse_import)
    tree, text = followed.tree, followed.text
    graph = resolve(tree, parameters)
    compilation = Compilation(tree, graph, precision, target)
    made_from = ModelSource(graph.model, text, cast(Mapping[str, Argument], dict(parameters)), precision, layer_rows(graph))
    warnings = render_all(graph.warnings) if graph.warnings else ""
    return Compiled(compilation.signature, made_from, warnings, compilation, followed.imported)


@dataclass
class Compilation:
    """One spec at one precision for one target (this machine if None); each stage is computed when it is first asked for."""

    tree: ast.File
    graph: Graph
    dtype: Precision
    target: Target | None = None
    _modules: dict[tuple[str, bool, bool], Module] = field(default_factory=dict[tuple[str, bool, bool], Module])
    _recordings: dict[tuple[bool, bool], tuple[stages.Kernels, Moved]] = field(
        default_factory=dict[tuple[bool, bool], tuple[stages.Kernels, Moved]]
    )
    _machine: Machine | None = None

    @cached_property
    def signature(self) -> Signature:
        return signature(self.graph, self.dtype)

    def module(self, stage: str, training: bool, after: str | None = None, *, activities: bool = False) -> Module:
        """The tensor IR after all passes of a stage, or after one of them; see `lower` for the rest."""
        streaming = stage == "tensor.stream"
        if streaming and self.signature.stream.refusal:
            raise ValueError(f"model {self.signature.model} can't stream: {self.signature.stream.refusal}")
        if after is not None:
            lowered = lower(self.graph, dtype=self.dtype, training=training, streaming=streaming)
            return lowered if after == LOWER else PIPELINES[stage].run(lowered, after)
        key = stage, training, activities
        if key not in self._modules:
            lowered = lower(self.graph, dtype=self.dtype, training=training, streaming=streaming, activities=activities)
            self._modules[key] = PIPELINES[stage].run(lowered)
        return self._modules[key]

    def function(self, wanted: Wanted) -> Function:
        """The tensor-IR function behind a native one."""
        match wanted.name:
            case "forward":
                return self.module("tensor", wanted.training, activities=wanted.activities).function("forward")
            case "record":
                return self.module("tensor.backward", wanted.training, activities=wanted.activities).function("forward")
            case "stream":
                return self.module("tensor.stream", False).function("forward")
            case "backward":
                backward = self.module("tensor.backward", wanted.training, activities=wanted.activities).function("backward")
                return (
                    backward
                    if wanted.input_gradients
                    else stages.without_input_gradients(backward, {source.name for source in self.graph.inputs})
                )
            case _:
                raise InternalError(f"there is no native function {wanted.name}")

    def kernels(self, wanted: Wanted) -> stages.Kernels:
        offsets = {name: taken.start for name, taken in weight_ranges(self.signature.weights).items()}
        if self.target is None:
            self.target = host_target()
        if wanted.name not in ("record", "backward"):
            return stages.kernels(self.function(wanted), self.target, offsets)
        key = wanted.training, wanted.activities
        if key not in self._recordings:
            module = self.module("tensor.backward", wanted.training, activities=wanted.activities)
            self._recordings[key] = stages.recording_kernels(module, self.target, offsets)
        recording, moved = self._recordings[key]
        return recording if wanted.name == "record" else stages.kernels(self.function(wanted), self.target, offsets, moved)

    def native(self, wanted: Wanted, *, timed: bool = False) -> NativeFunction:
        """Object bytes and how to call them. `timed`: with a clock for each loop nest."""
        kernels = self.kernels(wanted)
        cache = ObjectCache(default_folder())
        return stages.native(kernels, self._back_end(kernels.target), cache, timed=timed, shared=wanted.shared)

    def update(self, formula: Formula, states: int, constants: int) -> NativeUpdate:
        """The native update of a table's rows by an optimizer's formula."""
        if self.target is None:
            self.target = host_target()
        target, machine, cache = self.target, self._back_end(self.target), ObjectCache(default_folder())
        text = emit_update(formula, states, constants, self.dtype, target)
        _, loaded = Jit().load_built(lambda: stages.assembled(text, (SYMBOL,), target, machine, cache))
        return calling(loaded, SYMBOL)

    def print(self, stage: str, after: str | None = None) -> str:
        """The printed form of a stage; ValueError for a stage or a pass that doesn't exist."""
        if stage not in STAGES:
            raise ValueError(_unknown("stage", stage, STAGES))
        if after is not None:
            known = (LOWER, *PIPELINES[stage].stages) if stage in PIPELINES else ()
            if not known:
                raise ValueError(f"no passes run in stage `{stage}`; they do in {', '.join(PIPELINES)}")
            if after not in known:
                raise ValueError(_unknown(f"pass in stage `{stage}`", after, known))
        return self._printed(stage, after)

    def _printed(self, stage: Stage, after: str | None) -> str:
        match stage:
            case "ast":
                return print_ast(self.tree)
            case "graph":
                return print_graph(self.graph)
            case "tensor" | "tensor.stream":
                return print_module(self.module(stage, False, after))
            case "tensor.backward":
                return print_module(self.module(stage, True, after))
            case "kernel":
                return print_kernels(self.kernels(Wanted("forward", False)).module)
            case "llvm" | "llvm.opt" | "asm":
                kernels = self.kernels(Wanted("forward", False))
                text = emit_module(kernels.module, kernels.target)
                if stage == "llvm":
                    return text
                machine = self._back_end(kernels.target)
                return str(machine.optimise(text)) if stage == "llvm.opt" else machine.assembly(text)

    def _back_end(self, target: Target) -> Machine:
        self._machine = self._machine or Machine(target)
        return self._machine


def python_call() -> PythonCall:
    """What direct calls from Python need on this machine."""
    target = host_target()
    text = python_call_code.emit_python_call(target)
    code = stages.assembled(text, (python_call_code.SYMBOL,), target, Machine(target), ObjectCache(default_folder()))
    return PythonCall(code.object_code, python_call_code.SYMBOL, python_call_code.API, code.object_key)


def _unknown(what: str, name: str, known: Sequence[str]) -> str:
    guess = nearest(name, known)
    return f"there is no {what} named `{name}`; {f'{guess} ' if guess else ''}there are {', '.join(known)}"
