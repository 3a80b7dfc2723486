"""The nodes of Keras's configurations: calls of layers, and the tensors that they name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from rnnspec.frozen import frozen
from rnnspec.interop.keras_files.archive import Config
from rnnspec.interop.keras_files.layers import class_of, settings_of
from rnnspec.interop.keras_files.stores import MODELS


@frozen
class Tensor:
    """A reference to what a layer gives: its name, the number of the call, and of the result."""

    layer: str
    node: int
    index: int


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
        named = given.get("kwargs")
        found = cast(Config, named) if isinstance(named, dict) else {}
        inputs = tensors_in(given.get("args"))
        if not inputs and "inputs" in found:
            return tensors_in(found["inputs"]), {key: each for key, each in found.items() if key != "inputs"}
        return inputs, found
    items = cast(list[Any], node) if isinstance(node, list) else []
    if items and isinstance(items[0], str):
        items = [items]
    keywords: Config = {}
    for item in items:
        if isinstance(item, list) and len(cast(list[Any], item)) > 3 and isinstance(item[3], dict):
            keywords |= cast(Config, item[3])
    return tensors_in(items), keywords


def arguments_of(config: Config, number: int) -> tuple[object, ...]:
    """What a layer is called with by place, as Keras 3 writes it; nothing for older files."""
    nodes = config.get("inbound_nodes")
    calls = cast(list[object], nodes) if isinstance(nodes, list) else []
    node = calls[number if 0 <= number < len(calls) else 0] if calls else None
    given = cast(Config, node).get("args") if isinstance(node, dict) else None
    return tuple(cast(list[object], given)) if isinstance(given, list) else ()


def first_calls(layers: Sequence[Config], outputs: Sequence[Tensor]) -> dict[str, int]:
    """The number of the first call of each model in the model, which in Keras 2 is 1: there its own making counts as one."""
    numbers: dict[str, int] = {}
    for tensor in outputs:
        numbers[tensor.layer] = max(numbers.get(tensor.layer, 0), tensor.node)
    for layer in layers:
        for node in cast(list[object], layer.get("inbound_nodes") or []):
            tensors, keywords = node_of(node)
            for tensor in (*tensors, *states_of(keywords)):
                numbers[tensor.layer] = max(numbers.get(tensor.layer, 0), tensor.node)
    calls = {name_of(layer): len(cast(list[object], layer.get("inbound_nodes") or [])) for layer in layers if class_of(layer) in MODELS}
    return {name: 1 for name, count in calls.items() if numbers.get(name, 0) >= count > 0}


def states_of(keywords: Mapping[str, Any]) -> list[Tensor]:
    """The first states that a call is given by name."""
    return tensors_in(keywords.get("initial_state"))
