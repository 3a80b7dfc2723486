"""Recurrent modules by their weights' names and shapes: PyTorch's and Haiku's.

Sources of the orders of gates: the formulas of `torch.nn.LSTM`, `GRU` and `RNN`, and of `haiku._src.recurrent`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.interop.graph.graph import Value, Word
from rnnspec.interop.graph.refusals import Findings
from rnnspec.interop.torch_files.parts import (
    BY_COUNT,
    GRU,
    PROJECTED,
    Gates,
    Layer,
    Part,
    columns,
    prefixed,
    reordered,
    sum_of,
)
from rnnspec.interop.torch_files.tree import Node, joined

_NAME = re.compile(r"(weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)_l(\d{1,4})(_reverse)?")
_OF_CELLS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
TANH_OR_RELU = "tanh or relu"
_HAIKU_LSTM = Gates("LSTM", (0, 2, 1, 3))
"""Haiku's i, g, f, o."""
_HAIKU_GRU = Gates("GRU", (0, 1, 2), flipped=(0,))
"""Haiku's z, r, a, where z weighs the new state and here the old one: sigmoid(-x) = 1 - sigmoid(x)."""


def torch_modules(node: Node, findings: Findings) -> list[Part] | None:
    """The layers of `nn.RNN`, `LSTM`, `GRU`, of any depth, in one direction or two, or of a cell; None for another module."""
    if any(name in node.arrays for name in ("weight_ih", "weight_hh")):
        weights = {name: node.arrays[name] for name in _OF_CELLS if name in node.arrays}
        layer = _cell(node.path, weights, findings)
        return [] if layer is None else [recurrent_part(node.path, [layer])]
    found: dict[int, dict[str, dict[str, Array]]] = {}
    for name, value in node.arrays.items():
        if (match := _NAME.fullmatch(name)) is not None:
            found.setdefault(int(match[2]), {}).setdefault(match[3] or "", {})[match[1]] = value
    if not found:
        return None
    if sorted(found) != list(range(len(found))):
        findings.add(node.path, "", f"its layers are numbered {', '.join(map(str, sorted(found)))}")
        return []
    parts: list[Part] = []
    for number in range(len(found)):
        source = joined(node.path, f"l{number}") if len(found) > 1 else node.path
        layers = [_cell(source + suffix, found[number][suffix], findings) for suffix in ("", "_reverse") if suffix in found[number]]
        ready = [layer for layer in layers if layer is not None]
        if len(ready) < len(layers) or "" not in found[number]:
            if "" not in found[number]:
                findings.add(source, "", "it has a backward direction alone")
            continue
        parts.append(recurrent_part(source, ready))
    return parts


def _cell(place: str, weights: Mapping[str, Array], findings: Findings) -> Layer | None:
    """One layer in one direction."""
    inner, recurrent = weights.get("weight_ih"), weights.get("weight_hh")
    if inner is None or recurrent is None or inner.ndim != 2 or recurrent.ndim != 2:
        findings.add(place, "", "it lacks weight_ih or weight_hh, or they aren't matrices")
        return None
    projection = weights.get("weight_hr")
    if projection is not None and (projection.ndim != 2 or projection.shape[0] != recurrent.shape[1]):
        findings.add(place, "weight_hr", f"it has the shape {projection.shape}, where weight_hh has {recurrent.shape}")
        return None
    units = recurrent.shape[1] if projection is None else projection.shape[1]
    rows = recurrent.shape[0]
    gates = BY_COUNT.get(rows // units) if units and rows % units == 0 else None
    biases = [weights[name] for name in ("bias_ih", "bias_hh") if name in weights]
    if gates is None or inner.shape[0] != rows or len(biases) == 1 or any(bias.shape != (rows,) for bias in biases):
        shapes = ", ".join(f"{name} {value.shape}" for name, value in weights.items())
        findings.add(place, "", f"no recurrent module has weights of these shapes: {shapes}")
        return None
    if projection is not None and len(gates.order) != 4:
        findings.add(place, "weight_hr", "only nn.LSTM has a projection")
        return None
    arguments: dict[str, Value] = {"units": units}
    found = {"kernel": columns(inner, gates), "recurrent_kernel": columns(recurrent, gates)}
    if biases:
        ordered = [reordered(bias, gates) for bias in biases]
        found["bias"] = np.stack(ordered) if gates is GRU else sum_of(ordered[0], ordered[1])
    else:
        arguments["use_bias"] = False
    if projection is not None:
        found["projection_kernel"] = np.ascontiguousarray(projection.T)
        return Layer(PROJECTED, {"units": units, "projection": projection.shape[0]} | _without_units(arguments), found)
    return Layer(gates.layer, arguments, found)


def _without_units(arguments: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in arguments.items() if name != "units"}


def recurrent_part(source: str, layers: list[Layer]) -> Part:
    """A layer of one direction, or of both."""
    first = layers[0]
    width = first.arguments.get("projection", first.arguments["units"])
    assert isinstance(width, int)
    features = first.weights["kernel"].shape[0]
    unknown = TANH_OR_RELU if first.layer == "SimpleRNN" else ""
    if len(layers) == 1:
        return Part(source, (first,), features, width, unknown)
    inner = Word(first.layer, tuple(first.arguments.items()), called=True)
    weights = prefixed("forward", first.weights) | prefixed("backward", layers[1].weights)
    return Part(source, (Layer("Bidirectional", {"layer": inner}, weights),), features, 2 * width, unknown)


def haiku_cores(node: Node, findings: Findings) -> list[Part] | None:
    """Haiku's `LSTM`, `GRU` and `VanillaRNN`; None for another module, a finding for a known one that there is no layer for."""
    arrays = node.arrays
    if {"w_i", "w_h", "b"} <= set(arrays):
        inner, outer, bias = arrays["w_i"], arrays["w_h"], arrays["b"]
        units = outer.shape[0] if outer.ndim == 2 else 0
        if not units or inner.ndim != 2 or outer.shape[1] != 3 * units or inner.shape[1] != 3 * units or bias.shape != (3 * units,):
            findings.add(node.path, "", "it has names of Haiku's GRU, and other shapes")
            return []
        taken = {
            "kernel": columns(inner.T, _HAIKU_GRU),
            "recurrent_kernel": columns(outer.T, _HAIKU_GRU),
            "bias": reordered(bias, _HAIKU_GRU),
        }
        return [Part(node.path, (Layer("GRU", {"units": units, "reset_after": False}, taken),), inner.shape[0], units)]
    if {"input_to_hidden", "hidden_to_hidden"} <= set(node.children):
        findings.add(node.path, "", "no layer here is a cell of convolutions")
        return []
    if set(node.children) == {"linear"} and not arrays and (linear := node.children["linear"].arrays).keys() == {"w", "b"}:
        both, bias = linear["w"], linear["b"]
        if "lstm" not in node.path.lower() or both.ndim != 2 or both.shape[1] % 4 or both.shape[0] <= both.shape[1] // 4:
            return None
        units = both.shape[1] // 4
        features = both.shape[0] - units
        added = np.zeros(4 * units, bias.dtype)
        added[units : 2 * units] = 1  # Haiku adds it to the forget gate at each step
        taken = {
            "kernel": columns(both[:features].T, _HAIKU_LSTM),
            "recurrent_kernel": columns(both[features:].T, _HAIKU_LSTM),
            "bias": sum_of(reordered(bias, _HAIKU_LSTM), added),
        }
        return [Part(node.path, (Layer("LSTM", {"units": units}, taken),), features, units)]
    if set(node.children) == {"linear", "linear_1"} and "rnn" in node.path.rpartition(".")[2].lower():
        first, second = node.children["linear"].arrays, node.children["linear_1"].arrays
        inner, outer = first.get("w"), second.get("w")
        if inner is None or outer is None or inner.ndim != 2 or outer.shape != (inner.shape[1], inner.shape[1]):
            findings.add(node.path, "", "it has names of Haiku's VanillaRNN, and other shapes")
            return []
        units = outer.shape[0]
        nothing = np.zeros(units, np.float32)
        biases = [each.get("b", nothing) for each in (first, second)]
        taken: dict[str, Array] = {"kernel": inner, "recurrent_kernel": outer, "bias": sum_of(biases[0], biases[1])}
        return [Part(node.path, (Layer("SimpleRNN", {"units": units, "activation": Word("relu")}, taken),), inner.shape[0], units)]
    return None
