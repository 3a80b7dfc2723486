"""A model as a `.keras` file."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from rnnspec.contract.signature import Config
from rnnspec.diagnostics import InternalError
from rnnspec.files import write_atomically
from rnnspec.frontend.graph.graph import Application, Graph, GraphValue
from rnnspec.frontend.graph.layer import Layer
from rnnspec.interop.graph.exports import ExportedModel, Exporter
from rnnspec.interop.graph.refusals import ExportRefused, Findings
from rnnspec.interop.keras_export.configs import CELLS, KerasConfigs
from rnnspec.interop.keras_export.order import keras_order
from rnnspec.interop.keras_export.training import compile_config
from rnnspec.interop.spec_text.names import Names, is_automatic, snake_case
from rnnspec.signals import deferred

VERSION = "3.15.1"
"""The version of Keras whose files are written."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
_MERGES = frozenset({"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot", "Attention"})


class _KerasExporter:
    name = "keras"
    endings = (".keras",)

    def write(self, model: ExportedModel, path: Path) -> Sequence[str]:
        """See `Exporter`: a functional model, as `keras.saving.load_model` takes it."""
        findings = Findings()
        exported = _Exported(model, findings)
        config = exported.config()
        if findings.found:
            raise ExportRefused(f"model {model.graph.model}", findings.found)
        weights = _hdf5(exported.arrays())
        members = {
            "metadata.json": json.dumps({"keras_version": VERSION, "date_saved": "1980-01-01@00:00:00"}).encode(),
            "config.json": json.dumps(config).encode(),
            "model.weights.h5": weights,
        }

        def zipped() -> bytes:
            buffer = io.BytesIO()
            with ZipFile(buffer, "w", ZIP_STORED) as archive:
                for name, content in members.items():
                    archive.writestr(ZipInfo(name, _EPOCH), content)
            return buffer.getvalue()

        write_atomically(path, deferred(zipped))
        return tuple(findings.notes)


class _Exported:
    def __init__(self, model: ExportedModel, findings: Findings) -> None:
        self._model = model
        self._findings = findings
        self._configs = KerasConfigs(model.signature.dtype, findings)
        self._history: dict[int, tuple[str, int, int]] = {}
        """By the number of a value the layer that gives it, the number of the call, and of the result."""
        self._layers: dict[str, dict[str, Any]] = {}
        self._parents: dict[str, list[list[tuple[str, int]]]] = {}
        """By a layer's name the nodes whose tensors each of its calls takes."""
        self._calls: Counter[str] = Counter()
        self._kinds: dict[str, tuple[str, Config]] = {}
        self._names = _keras_names(model.graph)

    def config(self) -> dict[str, Any]:
        """The functional model."""
        graph = self._model.graph
        for each in graph.inputs:
            self._input(each.name, each.value, text=each.text is not None, scalar=each.is_scalar)
        for application in graph.applications:
            self._application(application)
        outputs = [self._reference(output.value) for output in graph.outputs]
        self._sort([place[:2] for place in outputs])
        names = [output.name for output in graph.outputs]
        if any(name != place[0] for name, place in zip(names, outputs, strict=True)):
            told = ", ".join(f"`{name}` is `{place[0]}`" for name, place in zip(names, outputs, strict=True) if name != place[0])
            self._findings.note(f"Keras names outputs by their layers: {told}")
        settings = {
            "name": snake_case(graph.model),
            "trainable": True,
            "layers": list(self._layers.values()),
            "input_layers": [[each.name, 0, 0] for each in graph.inputs],
            "output_layers": [list(each) for each in outputs],
        }
        model = {"module": "keras.src.models.functional", "class_name": "Functional", "config": settings, "registered_name": "Functional"}
        compiled = compile_config(graph.train, self._findings)
        return model if compiled is None else {**model, "compile_config": compiled}

    def _input(self, name: str, value: GraphValue, *, text: bool, scalar: bool) -> None:
        place = f"input {name}"
        if text:
            self._findings.add(place, "", "Keras's models take ids, and the vocabulary would be lost: declare it as `int`")
        if scalar:
            self._findings.add(place, "", "Keras has no input without dimensions: declare it as `float[1]`")
        shape = [None, *(extent if isinstance(extent, int) else None for extent in value.type.shape)]
        dtype = "int32" if value.type.ids else self._model.signature.dtype
        settings = {"batch_shape": shape, "dtype": dtype, "sparse": False, "ragged": False, "name": name}
        layer = {"module": "keras.layers", "class_name": "InputLayer", "config": settings, "registered_name": None}
        self._layers[name] = {**layer, "name": name, "inbound_nodes": []}
        self._parents[name] = [[]]
        self._history[value.number] = (name, 0, 0)

    def _application(self, application: Application) -> None:
        call = application.call
        name = self._names[application.layer.name]
        if not call.name:
            raise InternalError(f"layer {name} has no call")
        place = f"layer {application.layer.name} ({call.name})"
        if name not in self._layers:
            trainable = application.layer.name not in self._model.graph.frozen
            made = self._configs.layer(call, name, place, trainable=trainable)
            self._layers[name] = {**made, "name": name, "inbound_nodes": []}
            self._kinds[name] = (application.layer.name, call)
            self._parents[name] = []
        self._check_masks(application, place)
        number = self._calls[name]
        self._calls[name] += 1
        self._layers[name]["inbound_nodes"].append(self._node(application, call))
        self._parents[name].append([self._reference(operand)[:2] for operand in application.operands])
        for index, result in enumerate(application.results):
            self._history[result.number] = (name, number, index)

    def _check_masks(self, application: Application, place: str) -> None:
        """Layers that mean another thing in Keras where the spec masks steps."""
        masked = any(operand.type.masked for operand in application.operands)
        if masked and application.call.name in ("GlobalMaxPooling1D", "Attention", "Softmax", "Multiply", "Maximum", "Minimum"):
            self._findings.add(place, "", "its values are masked, and Keras's layer would look at masked steps too")

    def _node(self, application: Application, call: Config) -> dict[str, Any]:
        tensors = [self._tensor(operand) for operand in application.operands]
        keywords: dict[str, Any] = {}
        arguments: list[Any] = [tensors] if call.name in _MERGES else tensors[:1]
        if call.name not in _MERGES and len(tensors) > 1:
            keywords["initial_state"] = tensors[1:]
        if dict(call.arguments).get("use_causal_mask") is True:
            keywords["use_causal_mask"] = True
        return {"args": arguments, "kwargs": keywords}

    def _tensor(self, value: GraphValue) -> dict[str, Any]:
        shape = [None, *(extent if isinstance(extent, int) else None for extent in value.type.shape)]
        dtype = "int32" if value.type.ids else self._model.signature.dtype
        history = list(self._reference(value))
        return {"class_name": "__keras_tensor__", "config": {"shape": shape, "dtype": dtype, "keras_history": history}}

    def _reference(self, value: GraphValue) -> tuple[str, int, int]:
        return self._history[value.number]

    def _sort(self, outputs: Sequence[tuple[str, int]]) -> None:
        """Puts the layers in Keras's order; those that no output comes from, which its model hasn't, are left out."""
        nodes = {(name, number): taken for name, calls in self._parents.items() for number, taken in enumerate(calls)}
        order = keras_order(nodes, [each.name for each in self._model.graph.inputs], outputs)
        for name in self._layers.keys() - set(order):
            self._findings.note(f"layer `{name}` was left out: no output comes from it")
        self._layers = {name: self._layers[name] for name in order}

    # Weights.

    def arrays(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """For each object with weights its path in the file, its layer's name, and its arrays by number."""
        layers: dict[str, Layer] = {layer.name: layer for layer in self._model.graph.layers}
        seen: Counter[str] = Counter()
        for name, config in self._layers.items():
            stem = snake_case(config["class_name"])
            folder = f"layers/{stem}_{seen[stem]}" if seen[stem] else f"layers/{stem}"
            seen[stem] += 1
            if name not in self._kinds:
                continue
            full, call = self._kinds[name]
            groups: dict[str, list[str]] = {}
            for weight in layers[full].weights:
                groups.setdefault(weight.path.removeprefix(f"{full}/").rpartition("/")[0], []).append(weight.path)
            yield f"{folder}/vars", name, {}
            for path, paths in zip(_objects(call), groups.values(), strict=False):
                yield f"{folder}/{path}vars", name, {str(number): self._model.weights[each] for number, each in enumerate(paths)}


def _keras_names(graph: Graph) -> dict[str, str]:
    """By a layer's name the one in Keras, where inputs are layers, too, and no two have the same.

    One that gives an output by itself has the output's, which Keras takes from it.
    """
    inputs, layers = {each.name for each in graph.inputs}, {layer.name for layer in graph.layers}
    uses = Counter(application.layer.name for application in graph.applications)
    found: dict[str, str] = {}
    other: dict[str, str] = {
        layer.name: layer.name.replace("/", "_") for layer in graph.layers if layer.name in inputs or "/" in layer.name
    }
    for application in graph.applications:
        name = application.layer.name
        if is_automatic(name, "Concatenate") and any(operand.type.masked for operand in application.operands):
            other[name] = f"joined{name.removeprefix('concatenate')}"  # Keras joins the masks by an operation of the layer's name
            layers.discard(name)
    for output in graph.outputs:
        for application in graph.applications:
            first, name = application.results[0], application.layer.name
            is_free = output.name not in inputs | layers | set(found.values())
            if first.number == output.value.number and uses[name] == 1 and name in layers and name not in found and is_free:
                found[name] = output.name
    kept = {layer.name: layer.name for layer in graph.layers if layer.name not in other and layer.name not in found}
    names = Names([*inputs, *found.values(), *kept])
    return {**{name: names.take(wanted) for name, wanted in other.items() if name not in found}, **kept, **found}


def _objects(call: Config) -> list[str]:
    """The paths, below a layer's, of the objects that have its weights, in the order of these."""
    given = dict(call.arguments)
    match call.name:
        case "Bidirectional":
            forward, backward = given["layer"], given["backward_layer"] or given["layer"]
            halves = (("forward_layer/", forward), ("backward_layer/", backward))
            return [f"{way}{path}" for way, half in halves if isinstance(half, Config) for path in _objects(half)]
        case "TimeDistributed":
            return ["layer/"]
        case "RNN":
            seen: Counter[str] = Counter()
            found: list[str] = []
            cells = given["cell"]
            for cell in cells if isinstance(cells, tuple) else ():
                stem = snake_case(f"{cell.name}Cell") if isinstance(cell, Config) else ""
                found.append(f"cell/cells/{stem}_{seen[stem]}/" if seen[stem] else f"cell/cells/{stem}/")
                seen[stem] += 1
            return found
        case _:
            return ["cell/" if call.name in CELLS else ""]


def _hdf5(objects: Iterator[tuple[str, str, Mapping[str, Any]]]) -> bytes:
    try:
        import h5py
    except ImportError:
        raise ValueError("files of Keras are written by h5py, which isn't installed: pip install 'rnnspec[keras-files]'") from None
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for path, name, arrays in objects:
            group = file.require_group(path)
            if path.count("/") == 2:
                group.attrs["name"] = name
            for number, value in arrays.items():
                group.create_dataset(number, data=value)
    return buffer.getvalue()


KERAS: Exporter = _KerasExporter()
"""The exporter."""
