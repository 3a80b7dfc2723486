"""States of a graph of one step: inputs that come out again, found by their names and by what shapes tell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rnnspec.interop.graph.refusals import Findings
from rnnspec.interop.onnx_files.nodes import NodeGraph, SourceInput

_STATE = re.compile(r"(^|[^a-z])(h|c|s|h\d|c\d)([^a-z]|$)|state|hidden|cell|memory|cache|context|carry|recurrent", re.IGNORECASE)
_MARKS = re.compile(
    r"(?<![a-z])(in|input|out|output|new|next|prev|previous|old|n|t|tm1|0|1)(?![a-z])|(?<=[a-z])(n|N|0|1)$|_?(in|out|new|next)$"
)


def state_pairs(graph: NodeGraph, told: Mapping[str, str], findings: Findings) -> dict[str, str]:
    """Outputs by the inputs that they are after a step. `told`: those that the user names, which must be there."""
    inputs = {each.name: each for each in graph.inputs}
    for before, after in told.items():
        if before not in inputs:
            findings.add(f"state {before}", "", f"there is no input of that name; there are {', '.join(inputs)}")
        if after not in graph.outputs:
            findings.add(f"state {before}", "", f"there is no output {after}; there are {', '.join(graph.outputs)}")
    if told:
        return dict(told)
    if len(inputs) < 2 or len(graph.outputs) < 2:
        return {}
    found: dict[str, str] = {}
    free = list(graph.outputs)
    for each in graph.inputs:
        if not _may_be(each):
            continue
        named = [name for name in free if _plain(name) == _plain(each.name) and _fits(each, graph.shapes.get(name))]
        alike = [name for name in free if _fits(each, graph.shapes.get(name)) and graph.shapes.get(name)]
        rivals = [other for other in graph.inputs if other is not each and _may_be(other) and _alike(each, other)]
        if len(named) == 1:
            found[each.name] = named[0]
        elif len(alike) == 1 and not rivals and (_STATE.search(each.name) or len(each.dimensions or ()) > 2):
            found[each.name] = alike[0]
        else:
            continue
        free.remove(found[each.name])
    if len(found) == len(inputs) or not free:
        unsaid = [name for name in found if not _STATE.search(name) and _plain(name) != _plain(found[name])]
        if not unsaid:
            return {}
        del found[unsaid[0]]
    return found


def _may_be(source: SourceInput) -> bool:
    return source.element.startswith("float") and len(source.dimensions or ()) > 1


def _plain(name: str) -> str:
    """A name without what tells before from after."""
    plain = re.sub(r"[:/.]", "_", name)
    for _ in range(3):
        plain = _MARKS.sub("", plain).strip("_")
    return plain.lower()


def _fits(source: SourceInput, shape: Sequence[int | str] | None) -> bool:
    """Whether an output can have an input's shape, as far as the file says it."""
    dimensions = source.dimensions or ()
    if shape is None:
        return True
    pairs = zip(dimensions, shape, strict=False)
    return len(shape) == len(dimensions) and all(one == other or isinstance(one, str) or isinstance(other, str) for one, other in pairs)


def _alike(one: SourceInput, other: SourceInput) -> bool:
    return _fits(one, other.dimensions)
