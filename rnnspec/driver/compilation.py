"""One spec compiled: parse, resolve, lower, passes, schedule, emit, each stage when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import DTypeLike

from rnnspec.backend.llvm_cpu import python_call as python_call_code
from rnnspec.backend.llvm_cpu.module import emit_module
from rnnspec.backend.llvm_cpu.objects import Machine, host_target
from rnnspec.backend.llvm_cpu.updates import SYMBOL, emit_update
from rnnspec.contract.executable import Formula, NativeUpdate
from rnnspec.contract.model_source import ModelSource
from rnnspec.contract.native_function import NativeFunction
from rnnspec.contract.signature import ArgumentValue, Signature, weight_ranges
from rnnspec.diagnostics import InternalError, nearest, render_all
from rnnspec.driver import native
from rnnspec.driver.pipelines import LOWER, PIPELINES, STAGES, Stage, without_input_gradients
from rnnspec.driver.source_files import parse_all, parse_model_source, read_spec
from rnnspec.frontend.binding.model_parameters import ParameterValue
from rnnspec.frontend.graph.graph import Graph
from rnnspec.frontend.model.graph_printer import print_ast, print_graph
from rnnspec.frontend.model.lower import Precision, lower
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.model.signature import signature
from rnnspec.frontend.model.summary import layer_rows
from rnnspec.frontend.syntax import ast
from rnnspec.ir.ops import Function, Module
from rnnspec.ir.printer import print_module
from rnnspec.kernel.cpu.tape_aliasing import BufferAliases
from rnnspec.kernel.printer import print_kernels
from rnnspec.kernel.target import Target
from rnnspec.locks import cached_property
from rnnspec.runtime.native.executable import Variant
from rnnspec.runtime.native.fast_call import PythonCall
from rnnspec.runtime.native.jit import Jit, calling
from rnnspec.runtime.storage.object_cache import ObjectCache, default_folder
from rnnspec.source import SourceFile
from rnnspec.spec_files import Spec


def _precision(dtype: DTypeLike) -> Precision:
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = ""
    if name not in ("float32", "float64"):
        raise ValueError(f"dtype: expected float32 or float64, got {dtype!r}")
    return name


def compilation_of(spec: Spec, *, dtype: DTypeLike = "float32", parameters: Mapping[str, ParameterValue] | None = None) -> Compilation:
    """A spec's stages, for this machine; SpecError if it can't be read or compiled."""
    tree, _ = parse_all(read_spec(spec))
    return Compilation(tree, resolve(tree, parameters), _precision(dtype))


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
    followed = parse_model_source(source, imports=imports)
    tree, text = followed.tree, followed.text
    graph = resolve(tree, parameters)
    compilation = Compilation(tree, graph, precision, target)
    made_from = ModelSource(graph.model, text, cast(Mapping[str, ArgumentValue], dict(parameters)), precision, layer_rows(graph))
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
    _recordings: dict[tuple[bool, bool], tuple[native.Kernels, BufferAliases]] = field(
        default_factory=dict[tuple[bool, bool], tuple[native.Kernels, BufferAliases]]
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

    def function(self, wanted: Variant) -> Function:
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
                    backward if wanted.input_gradients else without_input_gradients(backward, {source.name for source in self.graph.inputs})
                )
            case _:
                raise InternalError(f"there is no native function {wanted.name}")

    def kernels(self, wanted: Variant) -> native.Kernels:
        offsets = {name: taken.start for name, taken in weight_ranges(self.signature.weights).items()}
        if self.target is None:
            self.target = host_target()
        if wanted.name not in ("record", "backward"):
            return native.kernels(self.function(wanted), self.target, offsets)
        key = wanted.training, wanted.activities
        if key not in self._recordings:
            module = self.module("tensor.backward", wanted.training, activities=wanted.activities)
            self._recordings[key] = native.recording_kernels(module, self.target, offsets)
        recording, moved = self._recordings[key]
        return recording if wanted.name == "record" else native.kernels(self.function(wanted), self.target, offsets, moved)

    def native(self, wanted: Variant, *, timed: bool = False) -> NativeFunction:
        """Object bytes and how to call them. `timed`: with a clock for each loop nest."""
        kernels = self.kernels(wanted)
        cache = ObjectCache(default_folder())
        return native.native_function(kernels, self._back_end(kernels.target), cache, timed=timed, shared=wanted.shared)

    def update(self, formula: Formula, states: int, constants: int) -> NativeUpdate:
        """The native update of a table's rows by an optimizer's formula."""
        if self.target is None:
            self.target = host_target()
        target, machine, cache = self.target, self._back_end(self.target), ObjectCache(default_folder())
        text = emit_update(formula, states, constants, self.dtype, target)
        _, loaded = Jit().load_built(lambda: native.assembled(text, (SYMBOL,), target, machine, cache))
        return calling(loaded, SYMBOL)

    def print(self, stage: str, after: str | None = None, *, locations: bool = False) -> str:
        """The printed form of a stage; ValueError for a stage or a pass that doesn't exist.

        `locations`: with the lines of the spec, for tensor and kernel IR.
        """
        if stage not in STAGES:
            raise ValueError(_unknown("stage", stage, STAGES))
        if after is not None:
            known = (LOWER, *PIPELINES[stage].stages) if stage in PIPELINES else ()
            if not known:
                raise ValueError(f"no passes run in stage `{stage}`; they do in {', '.join(PIPELINES)}")
            if after not in known:
                raise ValueError(_unknown(f"pass in stage `{stage}`", after, known))
        if locations and stage not in (*PIPELINES, "kernel"):
            raise ValueError(f"stage `{stage}` has no locations; {', '.join((*PIPELINES, 'kernel'))} have")
        return self._printed(stage, after, locations)

    def _printed(self, stage: Stage, after: str | None, locations: bool) -> str:
        match stage:
            case "ast":
                return print_ast(self.tree)
            case "graph":
                return print_graph(self.graph)
            case "tensor" | "tensor.stream":
                return print_module(self.module(stage, False, after), locations=locations)
            case "tensor.backward":
                return print_module(self.module(stage, True, after), locations=locations)
            case "kernel":
                return print_kernels(self.kernels(Variant("forward", False)).module, locations=locations)
            case "llvm" | "llvm.opt" | "asm":
                kernels = self.kernels(Variant("forward", False))
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
    code = native.assembled(text, (python_call_code.SYMBOL,), target, Machine(target), ObjectCache(default_folder()))
    return PythonCall(code.object_code, python_call_code.SYMBOL, python_call_code.API, code.object_key)


def _unknown(what: str, name: str, known: Sequence[str]) -> str:
    guess = nearest(name, known)
    return f"there is no {what} named `{name}`; {f'{guess} ' if guess else ''}there are {', '.join(known)}"
