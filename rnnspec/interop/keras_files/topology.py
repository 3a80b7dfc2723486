"""The layers of a model of Keras as one graph: models in the model are taken apart, masks' own operations left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.interop.graph.graph import ImportedLayer, ValueOf
from rnnspec.interop.graph.refusals import Findings
from rnnspec.interop.keras_files.archive import Config
from rnnspec.interop.keras_files.constants import shown, shown_name
from rnnspec.interop.keras_files.hdf5 import BadFile
from rnnspec.interop.keras_files.layers import Converted, Layers, class_of, settings_of
from rnnspec.interop.keras_files.stores import MODELS, Store
from rnnspec.interop.keras_files.weight_names import RECURRENT, from_fused, from_gates
from rnnspec.interop.spec_text.names import is_automatic

MOST_CALLS = 4000
"""Calls of layers; the language has 2,000."""

DEEPEST = 20
"""Models in each other."""

NO_LAYERS = frozenset({"Identity", "ActivityRegularization", "InputLayer"})
"""Layers that hand on what they take."""

_OPERATIONS = {
    "Add": "Add",
    "Subtract": "Subtract",
    "Multiply": "Multiply",
    "Maximum": "Maximum",
    "Minimum": "Minimum",
    "Concatenate": "Concatenate",
}
_MERGES = frozenset({"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot", "Attention"})


@frozen
class Call:
    """A node: the tensors that a layer is called with, and what else it is given."""

    inputs: tuple[str, ...]
    keywords: Mapping[str, Any]


@frozen
class Tensor:
    """A reference to what a layer gives: its name, the number of the call, and of the result."""

    layer: str
    node: int
    index: int


@dataclass
class Topology:
    """Collects the layers of a model. `has_weights`: False for an architecture alone."""

    layers: Layers
    findings: Findings
    has_weights: bool = True
    made: list[ImportedLayer] = field(default_factory=list[ImportedLayer])
    ids_in: set[str] = field(default_factory=set[str])
    """Values that an Embedding looks up."""
    _uses: Counter[str] = field(default_factory=Counter[str])
    _offsets: dict[str, dict[str, int]] = field(default_factory=dict[str, "dict[str, int]"])
    """By the path of a model the numbers of its layers' first calls."""
    _converted: dict[str, Converted | None] = field(default_factory=dict[str, "Converted | None"])
    _weights: dict[str, dict[str, Array]] = field(default_factory=dict[str, "dict[str, Array]"])

    def finished(self) -> tuple[ImportedLayer, ...]:
        """The layers; one with a single use isn't shared."""
        return tuple(replace(each, shared=each.shared if self._uses[each.shared] > 1 else "") for each in self.made)

    def model(self, config: Config, store: Store, given: Sequence[str], path: str, depth: int = 0) -> tuple[str, ...]:
        """The keys of a model's outputs, called with the values of these keys."""
        if depth > DEEPEST:
            self.findings.add(path or "the model", "", f"more than {DEEPEST} models stand in each other")
            return ()
        if class_of(config) == "Sequential":
            return self._sequential(config, store, given, path, depth)
        return self._functional(config, store, given, path, depth)

    def _sequential(self, config: Config, store: Store, given: Sequence[str], path: str, depth: int) -> tuple[str, ...]:
        layers, flow = layers_of(config), tuple(given)
        without_inputs = [each for each in layers if class_of(each) != "InputLayer"]
        for place, layer in enumerate(without_inputs):
            if not flow:
                break
            flow = self._call(layer, store, without_inputs, place, Call(flow, {}), path, depth)
        return flow

    def _functional(self, config: Config, store: Store, given: Sequence[str], path: str, depth: int) -> tuple[str, ...]:
        settings, layers = settings_of(config), layers_of(config)
        names = [name_of(each) for each in layers]
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            self.findings.add(f"layer {shown_name(twice[0])}", "", "two layers have this name")
            return ()
        values: dict[tuple[str, int], tuple[str, ...]] = {}
        sources = tensors_in(settings.get("input_layers"))
        if len(sources) != len(given):
            self.findings.add(path or "the model", "", f"it has {len(sources)} inputs and is called with {len(given)} values")
            return ()
        for source, key in zip(sources, given, strict=True):
            values[source.layer, source.node] = (key,)
        outputs = tensors_in(settings.get("output_layers"))
        by_name = {name: place for place, name in enumerate(names)}
        self._offsets[path] = _first_calls(layers, outputs)
        pending = [(output.layer, output.node) for output in reversed(outputs)]
        waiting: set[tuple[str, int]] = set()
        while pending:
            name, node = wanted = pending[-1]
            if wanted in values:
                pending.pop()
                continue
            call = self._node(layers, by_name, name, node, path)
            if call is None:
                return ()
            needed = [tensor for tensor in (*call[0], *_states(call[1])) if (tensor.layer, tensor.node) not in values]
            if needed:
                if wanted in waiting or len(waiting) > MOST_CALLS:
                    self.findings.add(f"layer {shown_name(name)}", "", "the layers form a cycle")
                    return ()
                waiting.add(wanted)
                pending += [(tensor.layer, tensor.node) for tensor in needed]
                continue
            inputs = [self._value(values, tensor) for tensor in call[0]]
            keywords = {key: self._keyword(values, each) for key, each in call[1].items()}
            if None in inputs:
                return ()
            known = tuple(key for key in inputs if key is not None)
            self._check_mask(layers, by_name, name, call[1])
            values[wanted] = self._call(layers[by_name[name]], store, layers, by_name[name], Call(known, keywords), path, depth)
            if not values[wanted]:
                return ()
        found = [self._value(values, output) for output in outputs]
        return tuple(key for key in found if key is not None)

    def _value(self, values: Mapping[tuple[str, int], tuple[str, ...]], tensor: Tensor) -> str | None:
        results = values[tensor.layer, tensor.node]
        if not 0 <= tensor.index < len(results):
            self.findings.add(
                f"layer {shown_name(tensor.layer)}", "", f"it gives {len(results)} values, of which number {tensor.index} is read"
            )
            return None
        return results[tensor.index]

    def _keyword(self, values: Mapping[tuple[str, int], tuple[str, ...]], value: object) -> object:
        tensors = tensors_in(value)
        if tensors and all((tensor.layer, tensor.node) in values for tensor in tensors):
            return tuple(self._value(values, tensor) or "" for tensor in tensors)
        return value

    def _node(
        self, layers: Sequence[Config], by_name: Mapping[str, int], name: str, node: int, path: str
    ) -> tuple[list[Tensor], Mapping[str, Any]] | None:
        if name not in by_name:
            self.findings.add(path or "the model", "", f"there is no layer {shown_name(name)}, which is read")
            return None
        nodes = layers[by_name[name]].get("inbound_nodes")
        calls = cast(list[object], nodes) if isinstance(nodes, list) else []
        node -= self._offsets.get(path, {}).get(name, 0)
        if not 0 <= node < len(calls):
            if len(calls) != 1:
                self.findings.add(f"layer {shown_name(name)}", "", f"it has {len(calls)} calls, of which number {node} is read")
                return None
            node = 0
        return node_of(calls[node])

    def _check_mask(self, layers: Sequence[Config], by_name: Mapping[str, int], name: str, keywords: Mapping[str, Any]) -> None:
        """A mask that is given must be the one that goes along with the values: of Masking, or of an Embedding with `mask_zero`."""
        pending = tensors_in(keywords.get("mask"))
        seen: set[str] = set()
        while pending:
            tensor = pending.pop()
            if tensor.layer in seen or tensor.layer not in by_name:
                continue
            seen.add(tensor.layer)
            config = layers[by_name[tensor.layer]]
            kind, found = class_of(config), self._node(layers, by_name, tensor.layer, tensor.node, "")
            if kind not in _MASK_OPERATIONS or found is None:
                self.findings.add(
                    f"layer {shown_name(name)}", "mask", f"it comes from {shown_name(tensor.layer)}, and is none that a layer makes"
                )
                return
            if kind == "NotEqual" and not self._is_made(layers, found[0], config, tensor):
                self.findings.add(f"layer {shown_name(name)}", "mask", "it is none of Masking's, nor of an Embedding's with mask_zero")
                return
            if kind not in ("NotEqual", "ZerosLike", "OnesLike"):
                pending += found[0]

    def _is_made(self, layers: Sequence[Config], compared: Sequence[Tensor], config: Config, tensor: Tensor) -> bool:
        """Whether some layer masks what this operation compares."""
        for each in layers:
            masks = class_of(each) == "Masking" or (class_of(each) == "Embedding" and settings_of(each).get("mask_zero") is True)
            nodes = each.get("inbound_nodes")
            if masks and isinstance(nodes, list) and any(list(node_of(node)[0]) == list(compared) for node in cast(list[object], nodes)):
                return True
        return False

    # Calls.

    def _call(
        self, config: Config, store: Store, layers: Sequence[Config], number: int, call: Call, path: str, depth: int
    ) -> tuple[str, ...]:
        kind, name = class_of(config), name_of(config)
        full = f"{path}{name}"
        place = f"layer {shown_name(full)} ({shown_name(kind)})"
        if len(self.made) > MOST_CALLS:
            self.findings.add(place, "", f"the model has more than {MOST_CALLS} calls of layers")
            return ()
        if kind in MODELS:
            return self.model(config, store.layer(layers, number), call.inputs, f"{full}/", depth + 1)
        if kind in NO_LAYERS:
            if kind == "ActivityRegularization":
                self.findings.drop(f"{place}: its penalty was left out")
            return call.inputs
        operation = _OPERATIONS.get(kind) if str(config.get("module", "")).startswith("keras.src.ops") else None
        if operation is not None and len(call.inputs) > 1:
            settings = settings_of(config) if operation == "Concatenate" else {}
            config = {"class_name": operation, "config": {"name": name, **({"axis": settings["axis"]} if "axis" in settings else {})}}
        if full not in self._converted:
            self._converted[full] = self.layers.converted(config, place)
            made = self._converted[full]
            if made is not None:
                self._weights[full] = self._named_weights(made, config, store.layer(layers, number), place)
        made = self._converted[full]
        self._uses[full] += 1
        outputs = tuple(f"{full}:{self._uses[full]}:{index}" for index in range(1 if made is None else made.results))
        if made is None:
            return outputs
        self._add(made, name, full, call, outputs, place, kind)
        return outputs

    def _add(self, made: Converted, name: str, full: str, call: Call, outputs: tuple[str, ...], place: str, kind: str) -> None:
        arguments, inputs = dict(made.arguments), call.inputs
        states = call.keywords.get("initial_state")
        if isinstance(states, tuple) and states:
            arguments["initial_state"] = tuple(map(ValueOf, cast(tuple[str, ...], states)))
        elif len(inputs) > 1 and made.layer not in _MERGES:
            arguments["initial_state"] = tuple(map(ValueOf, inputs[1:]))
        if "initial_state" in arguments and made.layer not in _MERGES:
            inputs = inputs[:1]
        for key, value in call.keywords.items():
            if key in ("mask", "training", "initial_state") or value in (None, False):
                continue
            if key == "use_causal_mask" and made.layer == "Attention":
                arguments[key] = True
            else:
                self.findings.add(place, key, f"it is called with `{key} = {shown(value)}`, which isn't supported")
        if call.keywords.get("training") is True:
            self.findings.add(place, "training", "it is always called as in training, which isn't supported")
        if made.layer == "Embedding":
            self.ids_in.update(inputs)
        given = "" if is_automatic(name, kind) else name
        self.made.append(ImportedLayer(made.layer, arguments, inputs, outputs, given, name, self._weights.get(full, {}), full))

    def _named_weights(self, made: Converted, config: Config, store: Store, place: str) -> dict[str, Array]:
        try:
            arrays = [np.asarray(array) for array in store.arrays(config)]
        except (BadFile, KeyError, TypeError, AttributeError) as error:
            self.findings.add(place, "weights", str(error))
            return {}
        names = made.weights
        if names == ("*",):
            return {f"{number}": array for number, array in enumerate(arrays)}
        if made.layer in ("LSTM", "GRU") and names == RECURRENT and len(arrays) == 3 * {"LSTM": 4, "GRU": 3}[made.layer]:
            arrays = from_gates(made.layer, arrays)
        if not arrays and not self.has_weights:
            return {}
        if len(arrays) != len(names):
            self.findings.add(place, "weights", f"expected {', '.join(names) or 'none'}, found {len(arrays)} arrays")
            return {}
        if made.fused:
            try:
                arrays = [each for start in range(0, len(arrays), 3) for each in from_fused(arrays[start : start + 3], made.fused)]
            except (ValueError, IndexError) as error:
                self.findings.add(place, "weights", f"they have no shapes of a CuDNN layer: {error}")
                return {}
        return dict(zip(names, arrays, strict=True))


_OF_MASKS = """NotEqual Any All LogicalAnd LogicalOr Equal ExpandDims Squeeze Stack Concatenate Flip BroadcastTo Cast And Or Identity
Embedding Masking Repeat Reshape ZerosLike OnesLike"""
_MASK_OPERATIONS = frozenset(_OF_MASKS.split())


def layers_of(config: Config) -> list[Config]:
    """The layers of a model's configuration; of an old Sequential it is a list of them."""
    found = config.get("config")
    found = cast(Config, found).get("layers") if isinstance(found, dict) else found
    return [cast(Config, each) for each in cast(list[object], found) if isinstance(each, dict)] if isinstance(found, list) else []


def name_of(config: Config) -> str:
    """A layer's name in its model."""
    return str(config.get("name") or settings_of(config).get("name") or class_of(config))


def tensors_in(value: object) -> list[Tensor]:
    """The references in a nest of lists, in their order."""
    return list(_tensors(value))


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, dict):
        given = cast(dict[str, Any], value)
        history = given.get("config", {}).get("keras_history") if given.get("class_name") == "__keras_tensor__" else None
        if history is not None:
            yield from _tensors(history)
        elif "class_name" not in given:
            for each in given.values():
                yield from _tensors(each)
    elif isinstance(value, list):
        items = cast(list[Any], value)
        if len(items) >= 3 and isinstance(items[0], str) and type(items[1]) is int and type(items[2]) is int:
            if items[0] != "_CONSTANT_VALUE":
                yield Tensor(items[0], items[1], items[2])
        else:
            for each in items:
                yield from _tensors(each)


def node_of(node: object) -> tuple[list[Tensor], Mapping[str, Any]]:
    """A call's tensors and keywords: `{"args": ..., "kwargs": ...}` of Keras 3, `[["lstm", 0, 0, {}]]` before it."""
    if isinstance(node, dict):
        given = cast(dict[str, Any], node)
        keywords = given.get("kwargs")
        found = cast(Config, keywords) if isinstance(keywords, dict) else {}
        inputs = tensors_in(given.get("args"))
        if not inputs and "inputs" in found:
            return tensors_in(found["inputs"]), {key: each for key, each in found.items() if key != "inputs"}
        return inputs, found
    items = cast(list[Any], node) if isinstance(node, list) else []
    if items and isinstance(items[0], str):
        items = [items]
    keywords = {}
    for item in items:
        if isinstance(item, list) and len(cast(list[Any], item)) > 3 and isinstance(item[3], dict):
            keywords |= cast(Config, item[3])
    return tensors_in(items), keywords


def _first_calls(layers: Sequence[Config], outputs: Sequence[Tensor]) -> dict[str, int]:
    """The number of the first call of each model in the model, which in Keras 2 is 1: there its own making counts as one."""
    numbers: dict[str, int] = {}
    for tensor in outputs:
        numbers[tensor.layer] = max(numbers.get(tensor.layer, 0), tensor.node)
    for layer in layers:
        for node in cast(list[object], layer.get("inbound_nodes") or []):
            tensors, keywords = node_of(node)
            for tensor in (*tensors, *_states(keywords)):
                numbers[tensor.layer] = max(numbers.get(tensor.layer, 0), tensor.node)
    calls = {name_of(layer): len(cast(list[object], layer.get("inbound_nodes") or [])) for layer in layers if class_of(layer) in MODELS}
    return {name: 1 for name, count in calls.items() if numbers.get(name, 0) >= count > 0}


def _states(keywords: Mapping[str, Any]) -> list[Tensor]:
    return tensors_in(keywords.get("initial_state"))
