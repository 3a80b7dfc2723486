"""Models to elsewhere: the graph of a model's spec, with its weights, handed to a format's writer."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from rnnspec.driver.source_files import parse_spec
from rnnspec.frontend.binding.model_parameters import ParameterValue
from rnnspec.frontend.model.resolve import resolve
from rnnspec.interop.graph.axes import SourceCall
from rnnspec.interop.graph.exports import ExportedModel, Exporter
from rnnspec.interop.keras_export.exporter import KERAS
from rnnspec.interop.onnx_export.exporter import OnnxExporter
from rnnspec.interop.originals.compared import compared, drawn_calls
from rnnspec.interop.originals.files import original
from rnnspec.interop.originals.torch_modules import of_module
from rnnspec.interop.safetensors import write_weights
from rnnspec.interop.torch_export.exporter import TORCH
from rnnspec.source import SourceFile
from rnnspec.training.model import Model


class _Safetensors:
    """The weights alone, by the names that `model.weights` has."""

    name = "safetensors"
    endings = (".safetensors",)

    def write(self, model: ExportedModel, path: Path) -> Sequence[str]:
        """See `Exporter`."""
        write_weights(path, model.weights)
        return ("the file has the weights alone",)


EXPORTERS: tuple[Exporter, ...] = (KERAS, TORCH, OnnxExporter(), _Safetensors())
"""The formats that are written."""


def export_model(model: Model, path: str | os.PathLike[str], *, to: str | None = None) -> Sequence[str]:
    """Writes a model as a file of another framework; gives notes on what the file hasn't.

    `to`: "keras", "torch", "onnx" or "safetensors"; without it the path's ending says which, `.keras`, `.py` or `.pt` (a module of PyTorch
    is both), `.onnx` or `.safetensors`. No framework is needed. What the format can't say is `rnnspec.ExportRefused`, a ValueError with all
    the reasons at once. OSError leaves an older file as it was.

    >>> import tempfile
    >>> import rnnspec
    >>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8)  Dense(1) }", seed=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rnnspec.export_model(model, f"{folder}/tiny.safetensors")
    ('the file has the weights alone',)
    """
    return exporter_for(os.fspath(path), to).write(exported(model), Path(path))


def run(model: Model, path: str | os.PathLike[str], *, to: str | None = None, tolerance: float | None = None) -> float:
    """The largest difference between what a model gives for drawn inputs and what its exported file gives in its own framework.

    Of an output above 1 in its own size. `ProofFailed` above the tolerance, 2e-5, of float64 1e-9 but for Keras, which computes parts of
    such a model in float32; `CantRun` where the framework isn't installed, and for weights alone. A module of PyTorch is run from its file.
    """
    file, signature = Path(path), model.signature
    exporter = exporter_for(os.fspath(path), to)
    source = of_module(file, signature) if exporter is TORCH else original(file, {})
    names = {each.name: each.name for each in signature.inputs}, {each.name: each.name for each in signature.outputs}
    drawn = drawn_calls(source, SourceCall(), names[0], list(names[1]), signature.inputs)
    return compared(model, drawn, names, tolerance)[1]


def exported(model: Model) -> ExportedModel:
    """A model as formats take it."""
    source = SourceFile(f"<model {model.signature.model}>", model.source.text)
    graph = resolve(parse_spec(source), cast(Mapping[str, ParameterValue], model.source.parameters))
    return ExportedModel(graph, dict(model.weights), model.signature, model.source.text, model.source.parameters)


def exporter_for(path: str, to: str | None) -> Exporter:
    """The format of that name, or of the path's ending; ValueError where there is none."""
    for exporter in EXPORTERS:
        if exporter.name == to or (to is None and path.lower().endswith(exporter.endings)):
            return exporter
    there = ", ".join(f"{exporter.name} ({', '.join(exporter.endings)})" for exporter in EXPORTERS)
    what = f"there is no format `{to}` to export to" if to is not None else f"{path}: its ending names no format to export to"
    raise ValueError(f"{what}; there are {there}")
