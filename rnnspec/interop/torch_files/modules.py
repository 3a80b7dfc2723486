"""The modules of a state dict, or of a parameter tree of Flax or Haiku, by names and shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rnnspec.contract.executable import Array
from rnnspec.interop.graph.refusals import Findings
from rnnspec.interop.torch_files.parts import Part
from rnnspec.interop.torch_files.plain import attention, plain
from rnnspec.interop.torch_files.recurrent import flax_cells, haiku_cores, torch_modules
from rnnspec.interop.torch_files.renormed import whole_weights
from rnnspec.interop.torch_files.tree import Node, joined, tree_of

_WHOLE = (flax_cells, haiku_cores, attention)
"""What modules a module with others in it may be; these others are its own business."""

_ALONE = (torch_modules, plain)


def parts_of(weights: Mapping[str, Array], findings: Findings) -> Sequence[Part]:
    """The layers in the order of the names; what is no module that the language has a layer for is a finding."""
    floats = {name: value for name, value in weights.items() if value.dtype.kind == "f"}
    for name, value in weights.items():
        if value.dtype.kind != "f" and not name.endswith("num_batches_tracked"):
            findings.add(name, "", f"its numbers are of the type {value.dtype}, which no weight has here")
    return list(_parts(tree_of(whole_weights(floats, findings)), findings))


def _parts(node: Node, findings: Findings) -> list[Part]:
    for module in _WHOLE:
        if (found := module(node, findings)) is not None:
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
        parts += _parts(child, findings)
    return parts
