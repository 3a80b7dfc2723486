"""Layers of the language as configurations of Keras's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rnnspec.contract.signature import ArgumentValue, Config
from rnnspec.frontend.binding.library_arguments import activation_arguments
from rnnspec.frontend.catalogue.argument_types import ChoiceOf, Family
from rnnspec.frontend.catalogue.choices import FAMILIES
from rnnspec.frontend.catalogue.layers import LAYERS, SEQUENCE_OPTIONS
from rnnspec.interop.graph.refusals import Findings
from rnnspec.interop.spec_text.names import snake_case

CELLS = ("LSTM", "GRU", "SimpleRNN")

_FOREIGN = {"Last": "Keras has no layer for the last real step", "Slice": "Keras has no layer for a part of a sequence"}
_AS_LAYERS = {"relu": "ReLU", "leaky_relu": "LeakyReLU", "elu": "ELU"}
_MODULES = {Family.INITIALIZER: "keras.initializers", Family.REGULARIZER: "keras.regularizers", Family.CONSTRAINT: "keras.constraints"}
_LEFT_OUT = frozenset({"name", "carry_mask", "like", "initial_state", "use_causal_mask", "trainable", "unroll", "lora_rank", "weights"})
_WITHOUT_TRAINABLE = frozenset({"SpatialDropout1D"})
"""Layers whose constructor in Keras doesn't take `trainable`."""
_LISTS = frozenset({"target_shape"})
_OF_THE_LAYER = frozenset({"return_sequences", "return_state", "go_backwards", "stateful", "zero_output_for_mask", "activity_regularizer"})


class KerasConfigs:
    """Makes configurations; what Keras can't say is added to the findings. `is_own`: whether a cell or function is the spec's own."""

    def __init__(self, dtype: str, findings: Findings) -> None:
        self._dtype = dtype
        self._findings = findings

    def layer(self, call: Config, name: str, place: str, *, trainable: bool = True) -> dict[str, Any]:
        """A layer with its class and settings."""
        given = dict(call.arguments)
        if given.get("carry_mask") is True:
            self._findings.add(place, "carry_mask", "Keras's windows drop the mask")
        if given.get("like") is not None:
            self._findings.add(place, "like", "Keras repeats a row a fixed number of times")
        kind = call.name
        match kind:
            case "RNN":
                cells = given["cell"]
                stack = [self._cell(each, place) for each in cells if isinstance(each, Config)] if isinstance(cells, tuple) else []
                cell = _object("keras.layers", "StackedRNNCells", {"cells": stack, "name": "stacked_rnn_cells"})
                settings = {"cell": cell, **self._settings({key: value for key, value in given.items() if key != "cell"}, kind, place)}
            case "Bidirectional":
                settings = {"merge_mode": given["merge_mode"], **self._halves(given, place)}
            case "TimeDistributed":
                inner = given["layer"]
                settings = {"layer": self.layer(inner, "inner", place)} if isinstance(inner, Config) else {}
            case _ if kind in CELLS or (kind in LAYERS and kind not in _FOREIGN):
                settings = self._settings(given, kind, place)
            case _:
                self._findings.add(place, "", _FOREIGN.get(kind, f"`{kind}` is a cell of the spec's own, which Keras doesn't have"))
                settings = {}
        if given.get("stateful") is True:
            self._findings.add(place, "stateful", "Keras's stateful layers need a fixed batch, which a spec doesn't say")
        own = {"name": name, "trainable": trainable and given.get("trainable") is not False, "dtype": self._dtype}
        if kind in _WITHOUT_TRAINABLE:
            del own["trainable"]
        return _object("keras.layers", kind, {**own, **settings})

    def _halves(self, given: Mapping[str, ArgumentValue], place: str) -> dict[str, Any]:
        forward, backward = given["layer"], given["backward_layer"]
        if not isinstance(forward, Config):
            return {}
        if not isinstance(backward, Config):
            turned = dict(forward.arguments).get("go_backwards") is not True
            backward = Config(forward.name, tuple((key, turned if key == "go_backwards" else value) for key, value in forward.arguments))
        return {
            "layer": self.layer(forward, f"forward_{snake_case(forward.name)}", place),
            "backward_layer": self.layer(backward, f"backward_{snake_case(backward.name)}", place),
        }

    def _cell(self, call: Config, place: str) -> dict[str, Any]:
        if call.name not in CELLS:
            self._findings.add(place, "cell", f"`{call.name}` is a cell of the spec's own, which Keras doesn't have")
        own = {key: value for key, value in call.arguments if key not in _OF_THE_LAYER}
        return _object("keras.layers", f"{call.name}Cell", {"dtype": self._dtype, **self._settings(own, call.name, place)})

    def _settings(self, given: Mapping[str, ArgumentValue], kind: str, place: str) -> dict[str, Any]:
        specs = SEQUENCE_OPTIONS if kind in CELLS else LAYERS[kind].arguments
        families = {spec.name: spec.kind.family for spec in specs if isinstance(spec.kind, ChoiceOf)}
        found: dict[str, Any] = {}
        for key, value in given.items():
            if key in _LEFT_OUT:
                continue
            made = self._value(value, families.get(key) or _family_of(key), place, key)
            found[key] = [made] if key in _LISTS and not isinstance(made, list) else made
        return found

    def _value(self, value: ArgumentValue, family: Family | None, place: str, attribute: str) -> Any:
        match value:
            case Config() if family is Family.ACTIVATION:
                return self._activation(value, place, attribute)
            case Config() if family is not None:
                entry = FAMILIES[family][value.name]
                class_name = entry.name if entry.name[:1].isupper() else entry.spellings[0]
                return _object(_MODULES[family], class_name, dict(value.arguments))
            case tuple():
                return [self._value(each, family, place, attribute) for each in value]
            case _:
                return value

    def _activation(self, chosen: Config, place: str, attribute: str) -> Any:
        entry = FAMILIES[Family.ACTIVATION].get(chosen.name)
        if entry is None:
            self._findings.add(place, attribute, f"`{chosen.name}` is a function of the spec's own, which Keras doesn't have")
            return None
        defaults = {spec.name: spec.default for spec in activation_arguments(entry.name)}
        given = {key: value for key, value in chosen.arguments if value != defaults.get(key)}
        if not given:
            return chosen.name
        if chosen.name in _AS_LAYERS:
            return _object("keras.layers", _AS_LAYERS[chosen.name], dict(chosen.arguments))
        self._findings.add(place, attribute, f"Keras's files have no arguments for `{chosen.name}`")
        return None


def _family_of(name: str) -> Family | None:
    """The family of a cell's own parameter, by its name."""
    return Family.ACTIVATION if name.endswith("activation") else Family.INITIALIZER if name.endswith("initializer") else None


def _object(module: str, class_name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"module": module, "class_name": class_name, "config": dict(settings), "registered_name": None}
