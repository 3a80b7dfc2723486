"""The reader of `.onnx` files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Signature
from rnnspec.interop.graph.graph import ImportedGraph
from rnnspec.interop.graph.reading import ReaderOptions
from rnnspec.interop.graph.refusals import Finding, Findings, ImportRefused
from rnnspec.interop.onnx_files.models import model_of
from rnnspec.interop.onnx_files.moving import Unfit
from rnnspec.interop.onnx_files.nodes import NodeGraph, SourceInput, pruned
from rnnspec.interop.onnx_files.one_step import cell_of
from rnnspec.interop.onnx_files.reading import read_nodes
from rnnspec.interop.onnx_files.states import state_pairs

_SECOND_FIELDS = frozenset({0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72})
"""Tags of the fields of a model, which may stand behind its version."""


class OnnxReader:
    """A `Reader` of ONNX."""

    name = "ONNX"

    def takes(self, path: Path, head: bytes) -> bool:
        """See `Reader`: a model begins with its version, a small number, and another of its fields."""
        if len(head) > 2 and head[0] == 0x08 and 1 <= head[1] <= 64 and head[2] in _SECOND_FIELDS:
            return True
        return path.suffix.lower() == ".onnx" and not head.startswith((b"PK", b"\x89HDF"))

    def read(self, path: Path, options: ReaderOptions) -> ImportedGraph:
        """See `Reader`; ValueError if the package `onnx` isn't installed."""
        source = options.source or str(path)
        return imported(read_nodes(path), path.stem, options, source)

    def read_into(self, path: Path, signature: Signature, options: ReaderOptions) -> tuple[Mapping[str, Array], Sequence[str]]:
        """See `Reader`: weights have no names of layers in an ONNX file."""
        reason = "an ONNX file is imported as a whole: its weights don't tell which layer they belong to"
        raise ImportRefused(options.source or str(path), [Finding("", "", reason)])


def imported(graph: NodeGraph, name: str, options: ReaderOptions, source: str) -> ImportedGraph:
    """Nodes as layers, or as a cell; `ImportRefused`, in words about `source`, if that can't be."""
    try:
        found = _read(pruned(_fixed(graph, options.inputs, source)), name, options.states)
    except Unfit as error:
        raise ImportRefused(source, [Finding("", error.attribute, str(error))]) from None
    if isinstance(found, Findings):
        found.refuse_import(source)
        found = None
    if found is None:
        raise ImportRefused(source, [Finding("", "", "there is nothing in it that a model could be made of")])
    return found


def _read(graph: NodeGraph, name: str, told: Mapping[str, str]) -> ImportedGraph | Findings | None:
    """A graph of one step with states as a cell, another one as layers; findings for one that can't be said."""
    findings = Findings()
    states = state_pairs(graph, told, findings)
    if findings.found:
        return findings
    if states:
        found = cell_of(graph, name, states, findings)
        if found is not None or told:
            return found or findings
    as_layers = Findings()
    found = model_of(graph, name, as_layers)
    if found is not None:
        return found
    return findings if findings.found and len(findings.found) < len(as_layers.found) else as_layers


def _fixed(graph: NodeGraph, given: Mapping[str, float | int | str], source: str) -> NodeGraph:
    """The graph with inputs, and names of dimensions, that are fixed by `--input name=value`."""
    inputs = {each.name: each for each in graph.inputs}
    open_axes = [(each, axis, size) for each in graph.inputs for axis, size in enumerate(each.dimensions or ()) if isinstance(size, str)]
    names = {size or f"{each.name}.{axis}" for each, axis, size in open_axes}
    values: dict[str, Array] = {}
    lengths: dict[str, int] = {}
    faults: list[Finding] = []
    for name, value in given.items():
        if name in inputs:
            try:
                values[name] = _value(inputs[name], value)
            except (TypeError, ValueError) as error:
                faults.append(Finding(f"input {name}", "", str(error)))
        elif name in names and isinstance(value, int) and value > 0:
            lengths[name] = value
        else:
            known = ", ".join([*inputs, *sorted(names)])
            faults.append(Finding(f"input {name}", "", f"there is no input, and no length, that could be {value!r}; there are {known}"))
    if faults:
        raise ImportRefused(source, faults)
    kept = tuple(
        replace(each, dimensions=None if each.dimensions is None else _known(each, lengths))
        for each in graph.inputs
        if each.name not in values
    )
    return replace(graph, inputs=kept, initializers={**graph.initializers, **values})


def _known(source: SourceInput, lengths: Mapping[str, int]) -> tuple[int | str, ...]:
    """An input's dimensions with those that are fixed: by their names, or as `input.1` where they have none."""
    return tuple(
        lengths.get(size or f"{source.name}.{axis}", size) if isinstance(size, str) else size
        for axis, size in enumerate(source.dimensions or ())
    )


def _value(source: SourceInput, value: float | int | str) -> Array:
    """A number in an input's type and shape."""
    if isinstance(value, str):
        value = float(value)
    kind = np.dtype(source.element)
    if kind.kind in "iu" and value != int(value):
        raise ValueError(f"{value} isn't a whole number")
    dimensions = source.dimensions or ()
    if any(size != 1 for size in dimensions):
        raise ValueError(f"its shape is {list(dimensions)}: only an input of one number can be fixed")
    return np.asarray(value, kind).reshape((1,) * len(dimensions))
