"""The order in which Keras holds a functional model's layers, by which its files of weights number those of a class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

Node = tuple[str, int]
"""A call of a layer: its name, and the call's number."""


def keras_order(parents: Mapping[Node, Sequence[Node]], inputs: Sequence[str], outputs: Sequence[Node]) -> list[str]:
    """The layers' names: those farthest from the outputs first, equally far ones as they are come upon from the outputs.

    Layers that no output comes from aren't among them, but for inputs. `parents`: by a node those whose tensors it takes, in order.
    Source: `map_graph` in keras/src/ops/function.py.
    """
    nodes = list(_from_parents(parents, outputs))
    seen = {name: place for place, name in enumerate(dict.fromkeys(_visited(parents, outputs)))}
    depth: dict[Node, int] = {}
    of_layer: dict[str, int] = {}
    for node in reversed(nodes):
        depth[node] = of_layer[node[0]] = max(depth.get(node, 0), of_layer.get(node[0], 0))
        for parent in parents[node]:
            depth[parent] = max(depth.get(parent, 0), depth[node] + 1)
    for name in inputs:
        of_layer.setdefault(name, 0)
        seen.setdefault(name, -1)
    return sorted(of_layer, key=lambda name: (-of_layer[name], seen[name]))


def _from_parents(parents: Mapping[Node, Sequence[Node]], outputs: Sequence[Node]) -> Iterator[Node]:
    """Each node behind its parents."""
    done: set[Node] = set()
    pending = [(output, False) for output in reversed(outputs)]
    while pending:
        node, ready = pending.pop()
        if node in done:
            continue
        if ready:
            done.add(node)
            yield node
        else:
            pending.append((node, True))
            pending += [(parent, False) for parent in reversed(parents[node])]


def _visited(parents: Mapping[Node, Sequence[Node]], outputs: Sequence[Node]) -> Iterator[str]:
    """The layers' names as a walk from the outputs, depth first, comes upon their nodes."""
    seen: set[Node] = set()
    pending = list(reversed(outputs))
    while pending:
        node = pending.pop()
        if node not in seen:
            seen.add(node)
            yield node[0]
            pending += reversed(parents[node])
