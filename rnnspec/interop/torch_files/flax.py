"""Flax's cells by their weights' names and shapes, of `flax.linen` and of `flax.nnx`.

Sources of the orders of gates: the formulas of `flax.linen.recurrent` and `flax.nnx.nn.recurrent`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.interop.graph.refusals import Findings
from rnnspec.interop.torch_files.parts import BY_COUNT, Layer, Part, columns, reordered, sum_of
from rnnspec.interop.torch_files.recurrent import recurrent_part
from rnnspec.interop.torch_files.tree import Node

_LETTERS: Sequence[Sequence[str]] = (("i", "f", "g", "o"), ("z", "r", "n"), ("",))
"""What the small modules of an LSTM's, a GRU's and a SimpleCell's gates are called behind `i` and `h`, in the order of this language."""

_OTHERS: Mapping[frozenset[str], str] = {
    frozenset({"if", "in", "hf", "hn"}): "there is no minimal gated unit here, Flax's MGUCell",
    frozenset({"ih", "hh"}): "no layer here is a cell of convolutions",
}

_FITTING = "its gates have kernels or biases of shapes that don't fit each other"


def flax_cells(node: Node, findings: Findings) -> list[Part] | None:
    """The layer of a cell, or of both directions; None for another module, a finding for a cell that there is no layer for."""
    # nnx writes `if_`, where `if` isn't a name in Python
    modules = {name.removesuffix("_"): child for name, child in node.children.items()}
    if set(modules) == {"forward_rnn", "backward_rnn"}:
        layers = [_of_direction(modules[name], findings) for name in ("forward_rnn", "backward_rnn")]
        ready = [layer for layer in layers if layer is not None]
        return [recurrent_part(node.path, ready)] if len(ready) == 2 else []
    layer = _cell(node.path, modules, findings)
    return layer if layer is None or isinstance(layer, list) else [recurrent_part(node.path, [layer])]


def _of_direction(node: Node, findings: Findings) -> Layer | None:
    """The cell in one of both directions; None with a finding."""
    cell = node.children.get("cell", node)
    layer = _cell(cell.path, {name.removesuffix("_"): child for name, child in cell.children.items()}, findings)
    if isinstance(layer, Layer):
        return layer
    if layer is None:
        findings.add(node.path, "", "it has no cell that is known here")
    return None


def _cell(path: str, modules: Mapping[str, Node], findings: Findings) -> Layer | list[Part] | None:
    """The layer of a cell; None for another module, nothing with a finding for a cell that there is no layer for."""
    if (reason := _OTHERS.get(frozenset(modules))) is not None and all("kernel" in child.arrays for child in modules.values()):
        findings.add(path, "", reason)
        return []
    if set(modules) == {"dense_i", "dense_h"}:
        both = [_side_by_side([modules[name]]) for name in ("dense_i", "dense_h")]
        joined = True
    else:
        names = [[side + letter for letter in letters] for letters in _LETTERS for side in "ih"]
        pairs = zip(names[::2], names[1::2], strict=True)
        found = next(((inner, outer) for inner, outer in pairs if set(modules) >= {*inner, *outer}), None)
        if found is None or (found[0] == ["i"] and len(modules) > 2):
            return None
        both = [_side_by_side([modules[name] for name in each]) for each in found]
        joined = False
    layer = _layer(both, joined=joined)
    if layer is None:
        findings.add(path, "", _FITTING)
        return []
    return layer


def _side_by_side(modules: Sequence[Node]) -> tuple[Array, Array] | None:
    """The kernels of modules as one, and their biases, 0 where there is none; None for kernels that aren't matrices of one shape."""
    kernels = [module.arrays.get("kernel", np.zeros(0)) for module in modules]
    if kernels[0].ndim != 2 or any(kernel.shape != kernels[0].shape for kernel in kernels):
        return None
    nothing = np.zeros(kernels[0].shape[1], kernels[0].dtype)
    biases = [module.arrays.get("bias", nothing) for module in modules]
    if any(bias.shape != nothing.shape for bias in biases):
        return None
    return np.concatenate(kernels, axis=1), np.concatenate(biases)


def _layer(both: Sequence[tuple[Array, Array] | None], *, joined: bool) -> Layer | None:
    """The layer of what weighs the input and what weighs the state. `joined`: of nnx, whose gates are in PyTorch's order."""
    inner, outer = both
    if inner is None or outer is None:
        return None
    units, width = outer[0].shape
    gates = BY_COUNT.get(width // units) if units and width % units == 0 else None
    if gates is None or inner[0].shape[1] != width:
        return None
    if joined:
        inner, outer = ((columns(kernel.T, gates), reordered(bias, gates)) for kernel, bias in (inner, outer))
    bias = np.stack([inner[1], outer[1]]) if gates.layer == "GRU" else sum_of(inner[1], outer[1])
    return Layer(gates.layer, {"units": units}, {"kernel": inner[0], "recurrent_kernel": outer[0], "bias": bias})
