"""What the command asks of the compiler: to check a spec, to show a stage of it, to format it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from numpy.typing import DTypeLike

from rnnspec.contract.model_source import LayerRow, MaskRow
from rnnspec.diagnostics import Diagnostic
from rnnspec.driver.compilation import compilation_of
from rnnspec.driver.pipelines import LOWER, PIPELINES, STAGES
from rnnspec.driver.source_files import parse_all, read_spec
from rnnspec.frontend.binding.model_parameters import ParameterValue
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.model.summary import layer_rows, mask_rows
from rnnspec.frontend.syntax.formatter import format_spec
from rnnspec.source import SourceFile
from rnnspec.spec_files import Spec


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
    locations: bool = False,
    parameters: Mapping[str, ParameterValue] | None = None,
    dtype: DTypeLike = "float32",
) -> str:
    """The printed form of a stage, of the tensor IR after the pass `after` if given; ValueError names the known ones.

    `locations`: with the lines of the spec that each operation, or loop nest, comes from.
    """
    return compilation_of(spec, dtype=dtype, parameters=parameters).print(stage, after, locations=locations)


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
