"""Attentions of PyTorch, Flax and Haiku as layers: three projections and an `Attention` for each head, and a `Dense` of them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen
from rnnspec.interop.graph.refusals import Findings
from rnnspec.interop.torch_files.parts import Layer, Part, Role
from rnnspec.interop.torch_files.plain import dense, plain
from rnnspec.interop.torch_files.tree import Node, joined

HEADS = "num_heads"
"""The key among a user's `inputs` by which the number of heads is told, which PyTorch's and Haiku's files don't have."""

_ROLES = (("query", Role.QUERY), ("key", Role.KEY), ("value", Role.VALUE))


@frozen
class _Projection:
    """The matrix of a query, key or value, a row for each unit of each head, and its bias."""

    rows: Array
    bias: Array | None


def attention(node: Node, findings: Findings, heads: int | None) -> list[Part] | None:
    """The layers of attentions by the values that the module is called with, all three the same; None for another module.

    `heads`: of every such module whose weights don't tell it, None if it isn't told, which is one. A head has rows side by side of each
    projection, and its products are divided by the root of their number (Vaswani et al. 2017).
    """
    names = set(node.children)
    if "in_proj_weight" in node.arrays or {"q_proj_weight", "k_proj_weight", "v_proj_weight"} & set(node.arrays):
        return _of_torch(node, findings, heads)
    output = node.children.get("out", node.children.get("linear"))
    if not {"query", "key", "value"} <= names or output is None or not {"kernel", "w"} & set(output.arrays):
        return None
    if len(names) > 4:
        findings.add(node.path, ", ".join(sorted(names - {"query", "key", "value", "out", "linear"})), "an attention with it isn't read")
        return []
    return _of_jax(node, output, findings, heads)


def _of_torch(node: Node, findings: Findings, heads: int | None) -> list[Part]:
    """`torch.nn.MultiheadAttention`."""
    weight, bias = node.arrays.get("in_proj_weight"), node.arrays.get("in_proj_bias")
    if weight is None:
        findings.add(node.path, "kdim, vdim", "a MultiheadAttention with keys or values of another width isn't read")
        return []
    output = node.children.get("out_proj")
    square = weight.ndim == 2 and weight.shape[0] == 3 * weight.shape[1] and (bias is None or bias.shape == (weight.shape[0],))
    if not square or output is None or "weight" not in output.arrays:
        findings.add(node.path, "in_proj_weight", f"it has the shape {weight.shape}, which no MultiheadAttention of one width has")
        return []
    if {"bias_k", "bias_v"} & set(node.arrays):
        findings.add(node.path, "add_bias_kv", "further keys and values aren't read")
        return []
    biases = [None] * 3 if bias is None else np.split(bias, 3)
    projections = [_Projection(*each) for each in zip(np.split(weight, 3), biases, strict=True)]
    return _parts(node.path, projections, heads, plain(output, findings) or [], findings)


def _of_jax(node: Node, output: Node, findings: Findings, heads: int | None) -> list[Part]:
    """Flax's attentions, whose kernels have an axis of heads, and Haiku's `MultiHeadAttention`, whose kernels have none."""
    projections: list[_Projection] = []
    for name, _ in _ROLES:
        arrays = node.children[name].arrays
        kernel, bias = arrays.get("kernel", arrays.get("w")), arrays.get("bias", arrays.get("b"))
        if kernel is None or kernel.ndim not in (2, 3) or (bias is not None and bias.shape != kernel.shape[1:]):
            findings.add(node.path, name, "it has no kernel, or one of another shape than a projection's")
            return []
        if kernel.ndim == 3:
            heads = kernel.shape[1]
        projections.append(_Projection(kernel.reshape(kernel.shape[0], -1).T, None if bias is None else bias.ravel()))
    kernel = output.arrays.get("kernel", output.arrays.get("w", np.zeros(0)))
    whole = Node(output.path, {**output.arrays, "kernel": kernel.reshape(-1, kernel.shape[-1])})
    whole.arrays.pop("w", None)
    shapes = {each.rows.shape for each in projections}
    if len(shapes) > 1 or whole.arrays["kernel"].shape[0] != projections[0].rows.shape[0]:
        findings.add(node.path, "", "its queries, keys and values have different widths")
        return []
    return _parts(node.path, projections, heads, plain(whole, findings) or [], findings)


def _parts(path: str, projections: Sequence[_Projection], heads: int | None, output: Sequence[Part], findings: Findings) -> list[Part]:
    width, features = projections[0].rows.shape
    count = heads or 1
    if width % count:
        findings.add(path, HEADS, f"{count} of them don't divide its width of {width}")
        return []
    units = width // count
    unknown = "num_heads, here 1" if heads is None else ""
    parts: list[Part] = []
    for head in range(count):
        number = f"_{head + 1}" if count > 1 else ""
        rows = slice(head * units, (head + 1) * units)
        for (name, role), each in zip(_ROLES, projections, strict=True):
            layer = dense(each.rows[rows], None if each.bias is None else each.bias[rows])
            first = Role.FIRST_QUERY if role is Role.QUERY and head == 0 else role
            parts.append(Part(joined(path, name + number), (layer,), features, units, role=first))
        scale = np.array(1 / np.sqrt(units), projections[0].rows.dtype)
        scores = Layer("Attention", {"use_scale": True}, {"scale": scale})
        parts.append(Part(joined(path, "scores" + number), (scores,), units, units, unknown, role=Role.SCORES))
    if count > 1:
        parts.append(Part(joined(path, "heads"), (Layer("Concatenate", {}, {}),), None, width, role=Role.HEADS))
    return [*parts, *(replace(part, role=Role.OUTPUT) for part in output)]
