"""Keras's files as imported graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any, cast

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import Signature
from rnnspec.frontend.syntax import ast
from rnnspec.frontend.syntax.parser import parse
from rnnspec.frontend.syntax.standard_library import CellLibrary
from rnnspec.interop.graph.graph import ImportedGraph, ImportedInput, ImportedLayer, ImportedOutput
from rnnspec.interop.graph.reading import Reader, ReaderOptions
from rnnspec.interop.graph.refusals import Finding, Findings, ImportRefused
from rnnspec.interop.keras_files.archive import Config, KerasFile, open_file
from rnnspec.interop.keras_files.constants import Constants, shown_name
from rnnspec.interop.keras_files.hdf5 import SIGNATURE, BadFile
from rnnspec.interop.keras_files.into import weights_into
from rnnspec.interop.keras_files.layers import Layers, class_of, settings_of
from rnnspec.interop.keras_files.lengths import named_lengths
from rnnspec.interop.keras_files.nodes import layers_of, name_of, tensors_in
from rnnspec.interop.keras_files.stores import MODELS, LayerStore, NoWeights, ObjectStore, Store
from rnnspec.interop.keras_files.topology import Topology, Within
from rnnspec.interop.keras_files.training import training_of
from rnnspec.source import SourceFile

_MEMBERS = (b"metadata.json", b"config.json", b"model.weights.h5")


class KerasReader:
    """Files of Keras 1 to 3: `.keras`, `.h5`, `.hdf5`, `.json` with weights apart, `.weights.h5` into a spec."""

    name = "Keras"

    def takes(self, path: Path, head: bytes) -> bool:
        """A zip that begins with Keras's members, a file of HDF5, or JSON with a class in it."""
        if head.startswith(b"PK\x03\x04"):
            name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
            return name in _MEMBERS or PurePath(path).suffix.lower() == ".keras"
        if head.startswith(SIGNATURE):
            return True
        return head.lstrip()[:1] == b"{" and (b'"class_name"' in head or PurePath(path).suffix.lower() == ".json")

    def read(self, path: Path, options: ReaderOptions) -> ImportedGraph:
        """See `Reader`."""
        source = options.source or str(path)
        findings = Findings()
        try:
            file = open_file(path)
            if file.config is None:
                reason = (
                    'it holds weights alone: give the spec that they are for, `into = "model.rnn"`, or import the architecture with them'
                )
                raise BadFile(reason)
            weights = file if options.weights is None else open_file(options.weights)
            graph = _Reading(file, weights, options, findings).graph()
        except BadFile as error:
            raise ImportRefused(source, [Finding("", "", str(error)), *findings.found]) from None
        except (AttributeError, KeyError, TypeError, IndexError) as error:
            findings.refuse_import(source)
            raise ImportRefused(
                source, [Finding("", "", f"its architecture isn't one that Keras writes ({type(error).__name__}: {error})")]
            ) from None
        findings.refuse_import(source)
        return graph

    def read_into(self, path: Path, signature: Signature, options: ReaderOptions) -> tuple[Mapping[str, Array], Sequence[str]]:
        """See `Reader`."""
        source = options.source or str(path)
        try:
            file = open_file(path)
            if file.weights is None:
                raise BadFile("it holds no weights")
            return weights_into(file, signature, options.map, source)
        except BadFile as error:
            raise ImportRefused(source, [Finding("", "", str(error))]) from None


class _Reading:
    def __init__(self, file: KerasFile, weights: KerasFile, options: ReaderOptions, findings: Findings) -> None:
        self._file = file
        self._store = _store(weights)
        self._has_weights = weights.weights is not None
        self._options = options
        self._findings = findings
        tree = parse(SourceFile("<cells>", options.declarations))
        self._constants = Constants(findings, file.major)
        library = CellLibrary({each.name.text: each for each in tree.declarations if isinstance(each, ast.Cell)})
        self._layers = Layers(self._constants, options.cells, library)
        self._topology = Topology(self._layers, findings, self._has_weights, weights.backend == "theano")

    def graph(self) -> ImportedGraph:
        config = self._file.config or {}
        if class_of(config) not in MODELS:
            kind = shown_name(class_of(config))
            raise BadFile(
                f"its model is a {kind}, a class of its own, which calls its layers by code: Sequential and functional models are data"
            )
        inputs = self._inputs(config)
        whole = Within(frozen=settings_of(config).get("trainable") is False)
        outputs = self._topology.model(config, self._store, [each.name for each in inputs], whole)
        self._layers.tell()
        if not self._has_weights:
            self._findings.note("the file has no weights: they are drawn anew")
        self._findings.refuse_import(self._options.source)
        layers = self._topology.finished()
        if not outputs or not layers:
            raise BadFile("it has no layers")
        names = self._output_names(config, outputs)
        train = training_of(self._file.training, names, self._constants, self._findings)
        dtype = self._dtype(layers)
        version = self._file.version or "unknown"
        declarations = (*self._constants.declarations, *([self._options.declarations] if self._options.declarations else []))
        typed = [self._typed(each) for each in inputs]
        return ImportedGraph(
            str(settings_of(config).get("name") or "Imported"),
            named_lengths(typed, layers),
            layers,
            tuple(ImportedOutput(key, name) for key, name in zip(outputs, names, strict=True)),
            declarations,
            train,
            tuple(self._findings.notes),
            tuple(self._findings.dropped),
            (f"Imported from {PurePath(self._options.source).name}, written by Keras {version}.",),
            dtype,
        )

    # Inputs and outputs.

    def _inputs(self, config: Config) -> list[ImportedInput]:
        if class_of(config) == "Sequential":
            layers = layers_of(config)
            if not layers:
                raise BadFile("it has no layers")
            first = layers[0]
            shape = _shape_of(first) or _build_shape(config)
            while shape is None and class_of(first) in MODELS and layers_of(first):
                first = layers_of(first)[0]
                shape = _shape_of(first)
            name = name_of(first) if class_of(first) == "InputLayer" else f"{name_of(first)}_input"
            if shape is None:
                if class_of(first) != "Embedding":
                    raise BadFile("its input has no shape: the model was never built")
                shape = [None, None]
            return [self._input(name, shape, first)]
        layers = {name_of(each): each for each in layers_of(config)}
        found: list[ImportedInput] = []
        for tensor in tensors_in(settings_of(config).get("input_layers")):
            layer = layers.get(tensor.layer)
            shape = None if layer is None else _shape_of(layer)
            if layer is None or shape is None:
                raise BadFile(f"its input {shown_name(tensor.layer)} has no shape")
            found.append(self._input(tensor.layer, shape, layer))
        if not found:
            raise BadFile("it has no inputs")
        return found

    def _input(self, name: str, shape: Sequence[object], layer: Config) -> ImportedInput:
        rest = shape[1:]
        place = f"input {shown_name(name)}"
        if shape and shape[0] is not None and not settings_of(layer).get("stateful"):
            self._findings.note(f"{place}: its fixed batch of {shape[0]} was dropped")
        if len(rest) > 2:
            self._findings.add(place, "shape", f"it has {len(rest)} dimensions besides the batch, and an input of a spec at most two")
        extents: list[int | str] = []
        for number, extent in enumerate(rest):
            if extent is None:
                extents.append("time" if number == 0 else "features")
            elif type(extent) is int and extent > 0:
                extents.append(extent)
            else:
                self._findings.add(place, "shape", f"expected whole numbers, found {rest}")
        if len(rest) == 2 and rest[1] is None:
            self._findings.add(place, "shape", "its number of features isn't fixed")
        return ImportedInput(name, "float", tuple(extents))

    def _typed(self, given: ImportedInput) -> ImportedInput:
        """An input that is looked up is of ids."""
        if given.name not in self._topology.ids_in:
            if given.dimensions == ("time",):
                self._findings.add(f"input {shown_name(given.name)}", "shape", "its number of features isn't fixed")
                self._findings.refuse_import(self._options.source)
            return given
        if any(given.name in layer.inputs and layer.layer != "Embedding" for layer in self._topology.made):
            self._findings.add(f"input {shown_name(given.name)}", "", "it is looked up in a table, and computed with as numbers too")
            self._findings.refuse_import(self._options.source)
        return replace(given, element="int")

    def _output_names(self, config: Config, outputs: Sequence[str]) -> list[str]:
        given = settings_of(config).get("output_layers")
        if isinstance(given, dict):
            return [str(name) for name in cast(dict[str, Any], given)]
        if class_of(config) == "Sequential":
            return [name_of(layers_of(config)[-1])]
        names = [tensor.layer for tensor in tensors_in(given)]
        return [name if names.count(name) == 1 else f"{name}_{names[:place].count(name)}" for place, name in enumerate(names)]

    def _dtype(self, layers: Sequence[ImportedLayer]) -> str:
        kinds = {array.dtype for layer in layers for array in layer.weights.values() if array.dtype.kind == "f"}
        return "float64" if np.dtype("float64") in kinds else "float32"


def _store(file: KerasFile) -> Store:
    if file.weights is None:
        return NoWeights()
    return LayerStore(file.weights) if file.by_layer else ObjectStore(file.weights)


def _shape_of(config: Config) -> list[object] | None:
    """The shape, batch first, that a layer says it takes; None where it says none."""
    settings = settings_of(config)
    for name in ("batch_shape", "batch_input_shape"):
        shape = settings.get(name)
        if isinstance(shape, list):
            return cast(list[object], shape)
    if isinstance(settings.get("input_shape"), list):
        return [None, *cast(list[object], settings["input_shape"])]
    return None


def _build_shape(config: Config) -> list[object] | None:
    for place in (settings_of(config).get("build_input_shape"), cast(Config, config.get("build_config") or {}).get("input_shape")):
        if isinstance(place, list) and all(each is None or isinstance(each, int) for each in cast(list[object], place)):
            return cast(list[object], place)
    return None


KERAS: Reader = KerasReader()
"""The reader."""
