"""The check of a spec, for which neither numpy nor any stage after the layer graph is imported."""

from __future__ import annotations

from collections.abc import Mapping

from rnnspec.contract.model_source import LayerRow, MaskRow
from rnnspec.diagnostics import Diagnostic
from rnnspec.driver.source_files import parse_spec
from rnnspec.frontend.binding.model_parameters import ParameterValue
from rnnspec.frontend.model.resolve import resolve
from rnnspec.frontend.model.summary import layer_rows, mask_rows
from rnnspec.frozen import frozen
from rnnspec.source import SourceFile
from rnnspec.spec_files import Spec


@frozen
class Checked:
    """The result of checking a spec without errors: model name, layer table, masks, warnings."""

    model: str
    rows: tuple[LayerRow, ...]
    masks: tuple[MaskRow, ...]
    warnings: tuple[Diagnostic, ...]


def check(spec: Spec | SourceFile, parameters: Mapping[str, ParameterValue] | None = None) -> Checked:
    """The layers of a spec; SpecError with all that is wrong with it. A source is the text in a model's file."""
    graph = resolve(parse_spec(spec), parameters)
    return Checked(graph.model, layer_rows(graph), mask_rows(graph), graph.warnings)
