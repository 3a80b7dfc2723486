"""PyTorch's `MultiheadAttention`, as layers: three projections and an `Attention` for each head, and a `Dense` of them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.interop.graph.refusals import Findings
from rnnspec.interop.torch_files.parts import Layer, Part, Role
from rnnspec.interop.torch_files.plain import dense, plain
from rnnspec.interop.torch_files.tree import Node, joined

HEADS = "num_heads"
"""The key among a user's `inputs` by which the number of heads is told, which no file has."""

_ROLES = {"query": Role.QUERY, "key": Role.KEY, "value": Role.VALUE}


def attention(node: Node, findings: Findings, heads: int | None) -> list[Part] | None:
    """The layers of attentions by the values that the module is called with, all three the same; None for another module.

    `heads`: of every such module, None if it isn't told, which is one. Head k has rows k * width / heads and so on of each projection, and
    its products are divided by the root of width / heads (Vaswani et al. 2017).
    """
    weight = node.arrays.get("in_proj_weight")
    if weight is None:
        if {"q_proj_weight", "k_proj_weight", "v_proj_weight"} & set(node.arrays):
            findings.add(node.path, "kdim, vdim", "a MultiheadAttention with keys or values of another width isn't read")
            return []
        return None
    output = node.children.get("out_proj")
    bias = node.arrays.get("in_proj_bias")
    square = weight.ndim == 2 and weight.shape[0] == 3 * weight.shape[1] and (bias is None or bias.shape == (weight.shape[0],))
    if not square or output is None or "weight" not in output.arrays:
        findings.add(node.path, "in_proj_weight", f"it has the shape {weight.shape}, which no MultiheadAttention of one width has")
        return []
    if {"bias_k", "bias_v"} & set(node.arrays):
        findings.add(node.path, "add_bias_kv", "further keys and values aren't read")
        return []
    width, count = weight.shape[1], heads or 1
    if width % count:
        findings.add(node.path, HEADS, f"{count} of them don't divide its width of {width}")
        return []
    unknown = "num_heads, here 1" if heads is None else ""
    parts = [part for head in range(count) for part in _head(node.path, weight, bias, head, count, unknown)]
    if count > 1:
        parts.append(Part(joined(node.path, "heads"), (Layer("Concatenate", {}, {}),), None, width, role=Role.HEADS))
    return [*parts, *(replace(part, role=Role.OUTPUT) for part in plain(output, findings) or [])]


def _head(path: str, weight: Array, bias: Array | None, head: int, count: int, unknown: str) -> Sequence[Part]:
    """The parts of one head, which have its number in their names where there are several."""
    width = weight.shape[1]
    units, number = width // count, f"_{head + 1}" if count > 1 else ""
    parts: list[Part] = []
    for place, (name, role) in enumerate(_ROLES.items()):
        rows = slice(place * width + head * units, place * width + (head + 1) * units)
        layer = dense(weight[rows], None if bias is None else bias[rows])
        first = Role.FIRST_QUERY if role is Role.QUERY and head == 0 else role
        parts.append(Part(joined(path, name + number), (layer,), width, units, role=first))
    scores = Layer("Attention", {"use_scale": True}, {"scale": np.array(1 / np.sqrt(units), weight.dtype)})
    return [*parts, Part(joined(path, "scores" + number), (scores,), units, units, unknown, role=Role.SCORES)]
