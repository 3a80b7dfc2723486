"""The compiler as the command line uses it: check a spec, print a stage, format a text; `check` has a module that imports less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from numpy.typing import DTypeLike

from rnnspec.driver import backends
from rnnspec.driver.check import check as check
from rnnspec.driver.compilation import compilation_of, target_named
from rnnspec.driver.pipelines import stages_of
from rnnspec.driver.source_files import read_spec
from rnnspec.frontend.binding.model_parameters import ParameterValue
from rnnspec.frontend.syntax.formatter import format_spec
from rnnspec.frozen import frozen
from rnnspec.runtime.native.executable import Variant
from rnnspec.source import SourceFile
from rnnspec.spec_files import Spec


def inspect(
    spec: Spec | SourceFile,
    stage: str = "tensor",
    *,
    after: str | None = None,
    locations: bool = False,
    parameters: Mapping[str, ParameterValue] | None = None,
    dtype: DTypeLike = "float32",
    target: str | None = None,
) -> str:
    """The printed form of a stage, of the IR after the pass `after` if given; ValueError names the known ones.

    `spec`: a source is the text in a model's file. `locations`: with the lines of the spec that each operation, or loop nest, comes from.
    `target`: the name of a described target, None for this machine.
    """
    machine = None if target is None else target_named(target)
    return compilation_of(spec, dtype=dtype, parameters=parameters, target=machine).print(stage, after, locations=locations)


@frozen
class CompiledFor:
    """A spec's code for another machine: the target's name, its architecture and format of objects, and each function's bytes."""

    target: str
    architecture: str
    object_format: str
    sizes: Mapping[str, int]


def compile_for(
    spec: Spec, target: str, *, parameters: Mapping[str, ParameterValue] | None = None, dtype: DTypeLike = "float32"
) -> CompiledFor:
    """Makes the object code of all that a model of the spec runs, for the described target of that name.

    That is `forward`, `stream` where it can stream, and `record` and `backward` where it has a loss. ValueError for another name,
    SpecError for a spec that can't be compiled.
    """
    machine = target_named(target)
    compilation = compilation_of(spec, dtype=dtype, parameters=parameters, target=machine)
    wanted = [Variant("forward", False, shared=True)]
    if not compilation.signature.stream.refusal:
        wanted.append(Variant("stream", False))
    if compilation.signature.train.loss is not None:
        training = replace(compilation.trained("record"), shared=True)
        wanted += [training, replace(training, name="backward", input_gradients=False)]
    sizes = {each.name: len(compilation.native(each).object_code) for each in wanted}
    return CompiledFor(machine.name, machine.architecture, machine.object_format, sizes)


def format(spec: Spec | SourceFile) -> tuple[SourceFile, str]:
    """A spec and its canonical form; SpecError if it can't be read or parsed."""
    source = spec if isinstance(spec, SourceFile) else read_spec(spec)
    return source, format_spec(source)


def list_stages() -> str:
    """The stages, and the passes that run in them, as `inspect` takes them."""
    lines: list[str] = []
    for stage, passes in stages_of(backends.DEFAULT).items():
        lines += [stage, *(f"  --after {label}" for label in passes)]
    return "\n".join(lines)
