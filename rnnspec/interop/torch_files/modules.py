"""The modules of a state dict, or of a parameter tree of Flax or Haiku, by names and shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnnspec.contract.executable import Array
from rnnspec.interop.graph.refusals import Findings
from rnnspec.interop.torch_files.attention import attention
from rnnspec.interop.torch_files.flax import flax_cells
from rnnspec.interop.torch_files.parts import Part
from rnnspec.interop.torch_files.plain import plain
from rnnspec.interop.torch_files.recurrent import haiku_cores, torch_modules
from rnnspec.interop.torch_files.renormed import whole_weights
from rnnspec.interop.torch_files.tree import Node, joined, tree_of

_ALONE = (torch_modules, plain)


def parts_of(weights: Mapping[str, Array], findings: Findings, heads: int | None = None) -> Sequence[Part]:
    """The layers in the order of the names; what is no module that the language has a layer for is a finding. `heads`: see `attention`."""
    # Halves become float32 before anything is computed of them: each is one exactly
    floats = {
        name: value.astype(np.float32) if value.dtype == np.float16 else value for name, value in weights.items() if value.dtype.kind == "f"
    }
    for name, value in weights.items():
        if value.dtype.kind != "f" and not name.endswith("num_batches_tracked"):
            findings.add(name, "", f"its numbers are of the type {value.dtype}, which no weight has here")
    return list(_parts(tree_of(whole_weights(floats, findings)), findings, heads))


def _parts(node: Node, findings: Findings, heads: int | None) -> list[Part]:
    # Modules with others in them, which are their own business
    for found in (flax_cells(node, findings), haiku_cores(node, findings), attention(node, findings, heads)):
        if found is not None:
            return found
    parts: list[Part] = []
    for module in _ALONE:
        if (found := module(node, findings)) is not None:
            parts += found
            break
    else:
        for name, value in node.arrays.items():
            findings.add(joined(node.path, name), "", f"no module that is known here has a weight of this name, of shape {value.shape}")
    for child in node.children.values():
        parts += _parts(child, findings, heads)
    return parts
