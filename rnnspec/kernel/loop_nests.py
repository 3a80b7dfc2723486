"""The loop nests of a function in sequence, those of a scan's step behind the scan."""

from __future__ import annotations

from collections.abc import Iterator

from rnnspec.frozen import frozen
from rnnspec.kernel.nodes import KernelFunction, Node, ScanLoop


@frozen
class Nest:
    """A loop nest with its place in the function: `name` "2", or "2.0" for the first nest in the step of `scan`, nest 2."""

    name: str
    node: Node
    scan: ScanLoop | None = None


def nests_of(function: KernelFunction) -> tuple[Nest, ...]:
    """The loop nests of a function, in the order of their first run."""
    return tuple(_nests(function))


def _nests(function: KernelFunction) -> Iterator[Nest]:
    for number, node in enumerate(function.nodes):
        yield Nest(str(number), node)
        if isinstance(node, ScanLoop):
            yield from (Nest(f"{number}.{inner}", step, node) for inner, step in enumerate(node.body))
