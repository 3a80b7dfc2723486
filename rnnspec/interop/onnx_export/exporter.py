"""The exporter of `.onnx` files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.files import write_atomically
from rnnspec.frontend.graph.graph import Graph, GraphInput, GraphTensor
from rnnspec.frozen import frozen
from rnnspec.interop.graph.exports import ExportedModel
from rnnspec.interop.graph.refusals import ExportRefused, Finding
from rnnspec.interop.onnx_export.graph_writer import LOWEST_OPSET, GraphWriter
from rnnspec.interop.onnx_export.layers import written
from rnnspec.interop.onnx_export.model_writer import CantSay, ModelWriter
from rnnspec.interop.onnx_files.reading import onnx_package
from rnnspec.version import __version__

SPEC, PARAMETERS = "rnnspec.spec", "rnnspec.parameters"
"""Keys of what a file tells of the model that it was exported from."""

OF_FLOATS = frozenset({"GRU", "RNN", "Conv"})
"""Nodes that ONNX Runtime has of float32 alone, though the standard has them of float64, too."""

OPSET = 17
"""The version of the standard that is written: the first with LayerNormalization."""


@frozen
class OnnxExporter:
    """An `Exporter` to ONNX. `opset`: the version of the standard, from 14 on."""

    opset: int = OPSET

    @property
    def name(self) -> str:
        """See `Exporter`."""
        return "onnx"

    @property
    def endings(self) -> tuple[str, ...]:
        """See `Exporter`."""
        return (".onnx",)

    def write(self, model: ExportedModel, path: Path) -> Sequence[str]:
        """See `Exporter`; ValueError if the package `onnx` isn't installed, or for an `opset` that it doesn't know."""
        onnx = onnx_package(f"{path}: ONNX files are written")
        newest: int = onnx.defs.onnx_opset_version()
        if not LOWEST_OPSET <= self.opset <= newest:
            raise ValueError(f"opset: expected one from {LOWEST_OPSET} to {newest}, got {self.opset}")
        graph = model.graph
        made = model_of(onnx, graph, model.weights, np.dtype(model.signature.dtype), self.opset, str(path))
        for key, value in _origin(model).items():
            made.metadata_props.add(key=key, value=value)
        write_atomically(path, made.SerializeToString())
        masked = [each.name for each in graph.inputs if each.value.type.sequence]
        notes = [f"masks and lengths of calls aren't in the file: it takes every step of {', '.join(masked)} for real"] if masked else []
        own = {each.name for each in graph.inputs}
        carried = [each.name for each in made.graph.input if each.name not in own]
        if carried:
            notes.append(f"states are inputs and outputs of the file: {', '.join(carried)}, first zeros, then what came out as `_out`")
        kinds = sorted({each.op_type for each in made.graph.node} & OF_FLOATS)
        if model.signature.dtype == "float64" and kinds:
            notes.append(f"ONNX Runtime 1.32 has no {', '.join(kinds)} of float64; other runtimes may")
        return notes


def _origin(model: ExportedModel) -> Mapping[str, str]:
    """The spec beside the graph, by which the model comes back as it was."""
    if not model.text:
        return {}
    return {SPEC: model.text} | ({PARAMETERS: json.dumps(dict(model.parameters))} if model.parameters else {})


def model_of(onnx: Any, graph: Graph, weights: Mapping[str, Array], dtype: np.dtype[Any], opset: int, path: str) -> Any:
    """The protobuf of a model with weights; `ExportRefused` with all that can't be said."""
    writer = GraphWriter(onnx, dtype, opset)
    m = ModelWriter(writer, graph, weights)
    inputs: list[Any] = []
    for each in graph.inputs:
        writer.names.new(each.name)
        m.values[each.value.number] = each.name
        inputs.append(writer.info(each.name, _dimensions(each), np.int64 if each.value.type.ids else None))
        if each.is_scalar and not each.value.type.ids:
            m.values[each.value.number] = writer.unsqueezed(each.name, 1)
    for each in graph.outputs:
        writer.names.new(each.name)
    texts = [each.name for each in graph.inputs if each.text is not None]
    findings = [Finding(f"input {name}", "", "texts become ids by a vocabulary, which has no node: give it `int[time]`") for name in texts]
    failed: set[int] = set()
    for application in graph.applications:
        if any(operand.number in failed for operand in application.operands):
            failed.update(result.number for result in application.results)
            continue
        writer.prefix = application.layer.name
        try:
            names = written(m, application.layer, application, [m.value(operand) for operand in application.operands])
        except CantSay as error:
            findings.append(Finding(f"layer {application.layer.name}", error.attribute, str(error)))
            failed.update(result.number for result in application.results)
            continue
        m.values |= {result.number: name for result, name in zip(application.results, names, strict=True)}
    if findings:
        raise ExportRefused(path, findings)
    outputs: list[Any] = []
    for each in graph.outputs:
        writer.node("Identity", [m.value(each.value)], [each.name])
        outputs.append(writer.info(each.name, _shape(each.value.type)))
    for each in m.carried:
        inputs.append(writer.info(each.before, ["batch", each.width]))
        writer.node("Identity", [each.value], [each.after])
        outputs.append(writer.info(each.after, ["batch", each.width]))
    made = writer.graph(graph.model, inputs, outputs, writer.constants)
    imports = [onnx.helper.make_opsetid("", opset)]
    version = onnx.helper.find_min_ir_version_for(imports)
    return onnx.helper.make_model(made, opset_imports=imports, ir_version=version, producer_name="rnnspec", producer_version=__version__)


def _dimensions(source: GraphInput) -> list[int | str]:
    """An input's shape: numbers, and names of what may differ."""
    return ["batch"] if source.is_scalar else _shape(source.value.type)


def _shape(kind: GraphTensor) -> list[int | str]:
    return ["batch", *(each if isinstance(each, int) else str(each) for each in kind.shape)]
