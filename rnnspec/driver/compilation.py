"""A spec's compilation: parse, resolve, lower, passes, schedule, emit; each stage runs when it is first needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypedDict, cast

import numpy as np
from numpy.typing import DTypeLike

from rnnspec.backend.protocol import Backend
from rnnspec.contract.executable import Array, Family, Formula, NativeUpdate
from rnnspec.contract.model_source import ModelSource
from rnnspec.contract.native_function import NativeFunction
from rnnspec.contract.objective import Objective, RowEquations, target_name
from rnnspec.contract.sequence_loss import NativeLoss
from rnnspec.contract.signature import ArgumentValue, Config, Signature, frozen_weights, weight_ranges
from rnnspec.contract.weight_storage import WeightStorage
from rnnspec.diagnostics import InternalError, no_such_name, render_all
from rnnspec.driver import backends, native, scores
from rnnspec.driver.pipelines import LOWER, STAGES, Stage, pipeline_of, stages_of, without_input_gradients
from rnnspec.driver.source_files import parse_model_source, parse_spec
from rnnspec.frontend.binding.model_parameters import ParameterValue
from rnnspec.frontend.graph.graph import Graph
from rnnspec.frontend.model.graph_printer import print_ast, print_graph
from rnnspec.frontend.model.lower import Precision, lower
from rnnspec.frontend.model.objectives import result_function
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.model.signature import signature
from rnnspec.frontend.model.summary import layer_rows
from rnnspec.frontend.syntax import ast
from rnnspec.frozen import frozen
from rnnspec.ir.ops import Function, Module
from rnnspec.ir.printer import print_module
from rnnspec.kernel.nodes import NO_ALIASES
from rnnspec.kernel.pipeline import Kernels
from rnnspec.kernel.printer import print_kernels
from rnnspec.kernel.target import Target
from rnnspec.locks import cached_property
from rnnspec.passes.pipeline import Pipeline
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


def compilation_of(
    spec: Spec | SourceFile,
    *,
    dtype: DTypeLike = "float32",
    parameters: Mapping[str, ParameterValue] | None = None,
    target: Target | None = None,
) -> Compilation:
    """A spec's stages, for a target, or else this machine; SpecError if it can't be read or compiled.

    `spec`: a source is the text in a model's file.
    """
    tree = parse_spec(spec)
    return Compilation(tree, resolve(tree, parameters), _precision(dtype), target)


def target_named(name: str, backend: Backend = backends.DEFAULT) -> Target:
    """One of the described targets; ValueError that names them for another name."""
    if name not in backend.targets:
        raise ValueError(no_such_name("target", name, tuple(backend.targets)))
    return backend.targets[name]


def _asked(wanted: Variant) -> Asked:
    return Asked(
        activities=wanted.activities,
        objective=wanted.objective,
        carrying=wanted.carrying,
        checkpoint=wanted.checkpoint,
        frozen=wanted.frozen,
    )


@frozen
class Compiled:
    """A compiled spec as the runtime needs it.

    `warnings`: rendered diagnostics. `compilation`: makes the native functions. `imported`: each imported file's path and SHA-256.
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
    """A spec compiled up to its signature; native functions are compiled at their first call.

    `imports`: False refuses imports. SpecError for a spec that can't be compiled, ValueError for a dtype but float32 and float64.
    """
    precision = _precision(dtype)
    followed = parse_model_source(source, imports=imports)
    tree, text = followed.tree, followed.text
    graph = resolve(tree, parameters)
    compilation = Compilation(tree, graph, precision, target)
    made_from = ModelSource(graph.model, text, cast(Mapping[str, ArgumentValue], dict(parameters)), precision, layer_rows(graph))
    warnings = render_all(graph.warnings) if graph.warnings else ""
    return Compiled(compilation.signature, made_from, warnings, compilation, followed.imported)


class Asked(TypedDict):
    """What a function computes besides, or in the place of, the outputs; see `lower`, and `Variant` for `carrying`."""

    activities: bool
    objective: Objective
    carrying: bool
    checkpoint: int
    frozen: tuple[str, ...]


@dataclass
class Compilation:
    """One spec at one precision for one target (this machine if None); each stage is computed when it is first asked for.

    `backend`: what makes code of its tensor IR.
    """

    tree: ast.File
    graph: Graph
    dtype: Precision
    target: Target | None = None
    backend: Backend = backends.DEFAULT
    _modules: dict[tuple[str, bool, bool, Objective, bool, int, tuple[str, ...]], Module] = field(
        default_factory=dict[tuple[str, bool, bool, Objective, bool, int, tuple[str, ...]], Module]
    )
    _recordings: dict[Variant, Kernels] = field(default_factory=dict[Variant, Kernels])
    _results: dict[tuple[Config, int], Function] = field(default_factory=dict[tuple[Config, int], Function])

    @cached_property
    def signature(self) -> Signature:
        """The model's signature, from its graph."""
        return signature(self.graph, self.dtype)

    def module(
        self,
        stage: str,
        training: bool,
        after: str | None = None,
        *,
        activities: bool = False,
        objective: Objective = (),
        carrying: bool = False,
        checkpoint: int = 0,
        frozen: tuple[str, ...] = (),
    ) -> Module:
        """The tensor IR after all passes of a stage, or after one of them; see `lower` for the rest, and `Variant` for the last three."""
        streaming = carrying or stage == "tensor.stream"
        if streaming and self.signature.stream.refusal:
            raise ValueError(f"model {self.signature.model} can't stream: {self.signature.stream.refusal}")
        if after is not None:
            lowered = lower(self.graph, dtype=self.dtype, training=training, streaming=streaming, objective=objective, frozen=frozen)
            return lowered if after == LOWER else self._pipeline(stage, checkpoint, frozen).run(lowered, after)
        key = stage, training, activities, objective, carrying, checkpoint, frozen
        if key not in self._modules:
            lowered = lower(
                self.graph,
                dtype=self.dtype,
                training=training,
                streaming=streaming,
                activities=activities,
                objective=objective,
                frozen=frozen,
            )
            self._modules[key] = self._pipeline(stage, checkpoint, frozen).run(lowered)
        return self._modules[key]

    def _pipeline(self, stage: str, checkpoint: int, frozen: tuple[str, ...]) -> Pipeline:
        """A stage's passes; where a weight that has a gradient is frozen, inputs have none: nothing is kept for what lies before it."""
        return pipeline_of(stage, checkpoint, frozen, input_gradients=not set(frozen) - set(self.signature.updates))

    def function(self, wanted: Variant) -> Function:
        """The tensor-IR function behind a native one."""
        options = _asked(wanted)
        match wanted.name:
            case "forward":
                return self.module("tensor", wanted.training, **options).function("forward")
            case "record":
                return self.module("tensor.backward", wanted.training, **options).function("forward")
            case "stream":
                return self.module("tensor.stream", False).function("forward")
            case "backward":
                backward = self.module("tensor.backward", wanted.training, **options).function("backward")
                unwanted = {target_name(each.output) for each in wanted.objective}
                unwanted |= set[str]() if wanted.input_gradients else {source.name for source in self.graph.inputs}
                return without_input_gradients(backward, unwanted) if unwanted else backward
            case _:
                raise InternalError(f"there is no native function {wanted.name}")

    @property
    def objective(self) -> Objective:
        """The objective of the spec's train section, for texts; empty without a loss."""
        return scores.objective_of(self.graph)

    def equations(self, family: Family, config: Config, width: int, *, classes: bool = False) -> RowEquations:
        """A loss or a metric, see `contract.executable.Scores`."""
        return scores.equations(self.graph, family, config, width, classes)

    def result(self, metric: Config, width: int, totals: Array) -> float | Array:
        """The value of a metric that is computed of totals."""
        if (metric, width) not in self._results:
            self._results[metric, width] = result_function(metric, width, self.graph.own)
        return scores.result(self._results[metric, width], totals)

    def machine(self) -> Target:
        """The target that code is made for; ValueError if this machine is to be it and none is described that it could be."""
        if self.target is None:
            self.target = self.backend.host_target()
        return self.target

    def kernels(self, wanted: Variant, after: str | None = None) -> Kernels:
        """The kernels of a native function after all passes over them, or after one of them."""
        if wanted.name == "record":
            return self._recording(wanted, after)
        stage, aliases = "kernel", NO_ALIASES
        if wanted.name == "backward":
            stage, aliases = "kernel.backward", self._recording(wanted, after).aliases
        function, storage = self.function(wanted), wanted.storage
        return self.backend.schedule(function, self.machine(), self._offsets(), stage, aliases=aliases, storage=storage, after=after)

    def _recording(self, wanted: Variant, after: str | None) -> Kernels:
        """The kernels of the recorded call that goes with a function."""
        key = replace(wanted, name="record", input_gradients=True, shared=False)
        if after is None and key in self._recordings:
            return self._recordings[key]
        module = self.module("tensor.backward", wanted.training, **_asked(wanted))
        forward, backward = module.function("forward"), module.function("backward")
        found = self.backend.schedule(forward, self.machine(), self._offsets(), "kernel.backward", reader=backward, after=after)
        if after is None:
            self._recordings[key] = found
        return found

    def _offsets(self) -> Mapping[str, int]:
        """Elements before each weight in the flat array of all."""
        return {name: taken.start for name, taken in weight_ranges(self.signature.weights).items()}

    def native(self, wanted: Variant, *, timed: bool = False) -> NativeFunction:
        """Object bytes and how to call them. `timed`: with a clock for each loop nest."""
        return native.native_function(self.kernels(wanted), self.backend, ObjectCache(default_folder()), timed=timed, shared=wanted.shared)

    def update(self, formula: Formula, states: int, constants: int) -> NativeUpdate:
        """The native update of a table's rows by an optimizer's formula."""
        target, cache = self.machine(), ObjectCache(default_folder())
        emitted = self.backend.emit_update(formula, states, constants, self.dtype, target)
        _, loaded = Jit().load_built(lambda: native.assembled(emitted, target, self.backend, cache))
        return calling(loaded, emitted.symbols[0])

    def sequence_loss(self, name: str) -> NativeLoss:
        """The native function of a loss of whole sequences."""
        target, cache = self.machine(), ObjectCache(default_folder())
        emitted = self.backend.emit_sequence_loss(name, self.dtype, target)
        _, loaded = Jit().load_built(lambda: native.assembled(emitted, target, self.backend, cache))
        return calling(loaded, emitted.symbols[0])

    def print(self, stage: str, after: str | None = None, *, locations: bool = False, storage: WeightStorage = WeightStorage.FULL) -> str:
        """The printed form of a stage; ValueError for a stage or a pass that doesn't exist.

        `locations`: with the lines of the spec, for tensor and kernel IR. `storage`: of the matrices in kernels of inference.
        """
        stages = stages_of(self.backend)
        if stage not in stages:
            raise ValueError(no_such_name("stage", stage, tuple(stages)))
        if after is not None and not stages[stage]:
            with_passes = ", ".join(name for name, passes in stages.items() if passes)
            raise ValueError(f"no passes run in stage `{stage}`; they do in {with_passes}")
        if after is not None and after not in stages[stage]:
            raise ValueError(no_such_name(f"pass in stage `{stage}`", after, stages[stage]))
        if locations and not stages[stage]:
            raise ValueError(f"stage `{stage}` has no locations; {', '.join(name for name, passes in stages.items() if passes)} have")
        own: Stage | None = next((name for name in STAGES if name == stage), None)
        if own is None:
            return self.backend.show(stage, self.kernels(Variant("forward", False, storage=storage)))
        return self._printed(own, after, locations, storage)

    def _printed(self, stage: Stage, after: str | None, locations: bool, storage: WeightStorage) -> str:
        match stage:
            case "ast":
                return print_ast(self.tree)
            case "graph":
                return print_graph(self.graph)
            case "tensor" | "tensor.stream":
                return print_module(self.module(stage, False, after), locations=locations)
            case "tensor.backward":
                return print_module(self.module(stage, True, after, **_asked(self.trained("record"))), locations=locations)
            case "kernel":
                return print_kernels(self.kernels(Variant("forward", False, storage=storage), after).module, locations=locations)
            case "kernel.backward":
                both = (self.kernels(self.trained(name), after) for name in ("record", "backward"))
                return "\n".join(print_kernels(kernels.module, locations=locations) for kernels in both)

    def trained(self, name: str) -> Variant:
        """The variant that training by the spec's own section asks for."""
        frozen = frozen_weights([weight.name for weight in self.signature.weights], self.graph.frozen)
        return Variant(name, True, objective=self.objective, checkpoint=self.graph.train.checkpoint or 0, frozen=frozen)


def python_call(backend: Backend = backends.DEFAULT) -> PythonCall:
    """What direct calls from Python need on this machine."""
    target = backend.host_target()
    emitted = backend.emit_python_call(target)
    code = native.assembled(emitted, target, backend, ObjectCache(default_folder()))
    return PythonCall(code.object_code, emitted.symbols[0], emitted.imports, code.object_key)
