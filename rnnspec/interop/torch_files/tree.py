"""Weights by name as a tree of modules."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field

from rnnspec.contract.executable import Array
from rnnspec.frozen import frozen

DEEPEST = 64

_SEPARATOR = re.compile(r"[./]")


@frozen
class Node:
    """A module: its path in the file, its own weights, and the modules in it, both in the file's order."""

    path: str
    arrays: dict[str, Array] = field(default_factory=dict[str, Array])
    children: dict[str, Node] = field(default_factory=dict[str, "Node"])

    def below(self) -> Iterator[Node]:
        """This module and all in it, each before those in it."""
        yield self
        for child in self.children.values():
            yield from child.below()

    def places(self) -> Iterator[tuple[str, Array]]:
        """All weights here and below, with their paths."""
        for node in self.below():
            for name, value in node.arrays.items():
                yield joined(node.path, name), value


def tree_of(weights: Mapping[str, Array]) -> Node:
    """The tree of names with dots or slashes; a name of more than 64 parts, or with an empty one, stands for itself."""
    root = Node("")
    for name, value in weights.items():
        parts = _SEPARATOR.split(name)
        if len(parts) > DEEPEST or not all(parts):
            parts = [name]
        here = root
        for part in parts[:-1]:
            if part not in here.children:
                here.children[part] = Node(joined(here.path, part))
            here = here.children[part]
        here.arrays[parts[-1]] = value
    return root


def joined(path: str, name: str) -> str:
    """The path of something in a module."""
    return f"{path}.{name}" if path else name


def natural(text: str) -> tuple[tuple[int, str], ...]:
    """The key by which names with numbers in them are ordered, `layers.2` before `layers.10`."""
    return tuple((int(part), "") if part.isdecimal() and len(part) < 10 else (-1, part) for part in re.split(r"(\d+)", text))
