"""The layers of a model of Keras as one graph: models in the model are taken apart, masks' own operations left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.interop.graph.graph import ImportedLayer, Value, ValueOf
from rnnspec.interop.graph.refusals import Findings
from rnnspec.interop.keras_files.archive import Config
from rnnspec.interop.keras_files.constants import Unsaid, shown, shown_name
from rnnspec.interop.keras_files.convolutions import PLAIN, looks_at_parts, plain_convolutions
from rnnspec.interop.keras_files.hdf5 import BadFile
from rnnspec.interop.keras_files.layers import SAME, Converted, Layers, class_of, settings_of
from rnnspec.interop.keras_files.masks import check_mask, looking_at_all_steps
from rnnspec.interop.keras_files.nodes import Tensor, arguments_of, first_calls, layers_of, name_of, node_of, states_of, tensors_in
from rnnspec.interop.keras_files.operations import is_operation, layers_for
from rnnspec.interop.keras_files.stores import MODELS, Store
from rnnspec.interop.keras_files.weight_names import as_keras_2, from_fused
from rnnspec.interop.spec_text.names import is_automatic

MOST_CALLS = 4000
"""Calls of layers; the language has 2,000."""

DEEPEST = 20
"""Models in each other."""

NO_LAYERS = frozenset({"Identity", "ActivityRegularization", "InputLayer"})
"""Layers that hand on what they take."""

_MERGES = frozenset({"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot", "Attention"})


@frozen
class Call:
    """A node: the tensors that a layer is called with, and what else it is given."""

    inputs: tuple[str, ...]
    keywords: Mapping[str, Any]
    arguments: tuple[object, ...] = ()
    """Those by place as the file has them, which an operation needs."""


@frozen
class Within:
    """Where a layer stands: the path of its model with the number of models around it, whether a model around it isn't trained, and
    whether TimeDistributed applies one at each step."""

    path: str = ""
    depth: int = 0
    frozen: bool = False
    each_step: bool = False

    def inside(self, path: str, settings: Config, *, each_step: bool = False) -> Within:
        """Within a model that is one of its layers."""
        is_frozen = self.frozen or settings.get("trainable") is False
        return Within(path, self.depth + 1, is_frozen, self.each_step or each_step)


@dataclass
class Topology:
    """Collects the layers of a model. `has_weights`: False for an architecture alone. `has_flipped_kernels`: whether the
    kernels of convolutions are Theano's, which run backwards."""

    layers: Layers
    findings: Findings
    has_weights: bool = True
    has_flipped_kernels: bool = False
    made: list[ImportedLayer] = field(default_factory=list[ImportedLayer])
    ids_in: set[str] = field(default_factory=set[str])
    """Values that an Embedding looks up."""
    _blind: set[str] = field(default_factory=set[str])
    """Values of operations, which don't see masks."""
    _uses: Counter[str] = field(default_factory=Counter[str])
    _offsets: dict[str, dict[str, int]] = field(default_factory=dict[str, "dict[str, int]"])
    """By the path of a model the numbers of its layers' first calls."""
    _converted: dict[str, Converted | None] = field(default_factory=dict[str, "Converted | None"])
    _apart: dict[str, tuple[Converted, ...]] = field(default_factory=dict[str, "tuple[Converted, ...]"])
    """Layers that are several plain ones."""
    _weights: dict[str, dict[str, Array]] = field(default_factory=dict[str, "dict[str, Array]"])

    def finished(self) -> tuple[ImportedLayer, ...]:
        """The layers; one with a single use isn't shared."""
        found = looking_at_all_steps(self.made, self._blind, self.findings)
        return tuple(replace(each, shared=each.shared if self._uses[each.shared] > 1 else "") for each in found)

    def model(self, config: Config, store: Store, given: Sequence[str], within: Within) -> tuple[str, ...]:
        """The keys of a model's outputs, called with the values of these keys."""
        if within.depth > DEEPEST:
            self.findings.add(within.path or "the model", "", f"more than {DEEPEST} models stand in each other")
            return ()
        if class_of(config) == "Sequential":
            return self._sequential(config, store, given, within)
        return self._functional(config, store, given, within)

    def _sequential(self, config: Config, store: Store, given: Sequence[str], within: Within) -> tuple[str, ...]:
        layers, flow = layers_of(config), tuple(given)
        without_inputs = [each for each in layers if class_of(each) != "InputLayer"]
        for place, layer in enumerate(without_inputs):
            if not flow:
                break
            flow = self._call(layer, store, without_inputs, place, Call(flow, {}), within)
        return flow

    def _functional(self, config: Config, store: Store, given: Sequence[str], within: Within) -> tuple[str, ...]:
        settings, layers, path = settings_of(config), layers_of(config), within.path
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
        self._offsets[path] = first_calls(layers, outputs)
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
            needed = [tensor for tensor in (*call[0], *states_of(call[1])) if (tensor.layer, tensor.node) not in values]
            if needed:
                if wanted in waiting or len(waiting) > MOST_CALLS:
                    self.findings.add(f"layer {shown_name(name)}", "", "the layers form a cycle")
                    return ()
                waiting.add(wanted)
                pending += [(tensor.layer, tensor.node) for tensor in reversed(needed)]
                continue
            inputs = [self._value(values, tensor) for tensor in call[0]]
            keywords = {key: self._keyword(values, each) for key, each in call[1].items()}
            if None in inputs:
                return ()
            known = tuple(key for key in inputs if key is not None)
            check_mask(layers, by_name, partial(self._node, layers, by_name, path=""), name, call[1].get("mask"), self.findings)
            config = layers[by_name[name]]
            arguments = arguments_of(config, node - self._offsets[path].get(name, 0))
            values[wanted] = self._call(config, store, layers, by_name[name], Call(known, keywords, arguments), within)
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

    # Calls.

    def _call(self, config: Config, store: Store, layers: Sequence[Config], number: int, call: Call, within: Within) -> tuple[str, ...]:
        kind, name, settings = class_of(config), name_of(config), settings_of(config)
        full = f"{within.path}{name}"
        place = f"layer {shown_name(full)} ({shown_name(kind)})"
        if len(self.made) > MOST_CALLS:
            self.findings.add(place, "", f"the model has more than {MOST_CALLS} calls of layers")
            return ()
        if kind in MODELS:
            return self.model(config, store.layer(layers, number), call.inputs, within.inside(f"{full}/", settings))
        inner = settings.get("layer")
        if kind == "TimeDistributed" and isinstance(inner, dict) and class_of(cast(Config, inner)) in MODELS:
            at_each_step = within.inside(f"{full}/", settings, each_step=True)
            return self.model(cast(Config, inner), store.layer(layers, number).inner(), call.inputs, at_each_step)
        if kind in NO_LAYERS:
            if kind == "ActivityRegularization":
                self.findings.drop(f"{place}: its penalty was left out")
            return call.inputs
        made = self._made(config, store, layers, number, call, place, full, within)
        self._uses[full] += 1
        flow = call
        for step, each in enumerate(made, 1):
            last = step == len(made)
            outputs = tuple(f"{full}:{self._uses[full]}:{'' if last else f'{step}:'}{index}" for index in range(each.results))
            if step == 1 and self._is_operation(config, call):
                self._blind.add(outputs[0])
            each = replace(each, arguments=_trained(each, within.frozen))
            self._uses[f"{full}:{step}"] += 1
            self._add(each, name if last else "", full if last else f"{full}:{step}", flow, outputs, place, kind)
            flow = Call(outputs, {})
        return flow.inputs if made else (f"{full}:{self._uses[full]}:0",)

    def _is_operation(self, config: Config, call: Call) -> bool:
        return not self.layers.is_own(class_of(config)) and is_operation(config, call.arguments)

    def _made(
        self, config: Config, store: Store, layers: Sequence[Config], number: int, call: Call, place: str, full: str, within: Within
    ) -> tuple[Converted, ...]:
        """The layers for one of the file, one behind the other; none where it can't be said."""
        if self._is_operation(config, call):
            try:
                return layers_for(config, call.arguments, self.layers.constants)
            except Unsaid as error:
                self.findings.add(place, "", str(error))
                return ()
        kind = SAME.get(class_of(config), class_of(config))
        if looks_at_parts(kind, settings_of(config)) and not self.layers.is_own(class_of(config)) and not within.each_step:
            if full not in self._apart:
                self._apart[full] = self._convolutions(kind, config, store.layer(layers, number), place, full)
            return self._apart[full]
        if full not in self._converted:
            made = self._converted[full] = self.layers.converted(config, place, each_step=within.each_step)
            if made is not None:
                self._weights[full] = self._named_weights(made, config, store.layer(layers, number), place)
        made = self._converted[full]
        return () if made is None else (made,)

    def _convolutions(self, kind: str, config: Config, store: Store, place: str, full: str) -> tuple[Converted, ...]:
        """Plain convolutions for one that looks at parts of the features; none where they can't be made."""
        settings = settings_of(config)
        try:
            parts = plain_convolutions(kind, settings, [np.asarray(array) for _, array in store.named(config)])
        except (BadFile, KeyError, TypeError, AttributeError, ValueError) as error:
            self.findings.add(
                place, "weights", str(error) if self.has_weights else "its kernel is written with zeros, and there are no weights"
            )
            return ()
        self.findings.note(f"{place}: its kernel has zeros where a filter doesn't look, which training would fill")
        made: list[Converted] = []
        for step, part in enumerate(parts, 1):
            each = self.layers.converted({"class_name": PLAIN, "config": part.settings}, place)
            if each is None:
                return ()
            self._weights[full if step == len(parts) else f"{full}:{step}"] = dict(zip(each.weights, part.weights, strict=True))
            made.append(each)
        return tuple(made)

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
            named = [(name, np.asarray(array)) for name, array in store.named(config)]
        except (BadFile, KeyError, TypeError, AttributeError) as error:
            self.findings.add(place, "weights", str(error))
            return {}
        names, arrays = made.weights, [array for _, array in named]
        if made.own and {name for name, _ in named} == set(names) and len(named) == len(names):
            return dict(named)  # by their names
        try:
            arrays = as_keras_2(made.layer, made.arguments, arrays, self.has_flipped_kernels)
        except ValueError as error:
            self.findings.add(place, "weights", f"they are in no layout of Keras 1: {error}")
            return {}
        if names == ("alpha",) and [array.ndim for array in arrays] == [1] and made.arguments.get("shared_axes") == (1,):
            arrays = [arrays[0][None]]  # of a row, at each step
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


def _trained(made: Converted, frozen: bool) -> Mapping[str, Value]:
    """A layer's arguments, of which one without weights has no `trainable`."""
    if frozen and made.weights:
        return {**made.arguments, "trainable": False}
    return made.arguments if made.weights else {key: value for key, value in made.arguments.items() if key != "trainable"}
