"""Calls that write into a tensor, as `y[:, 0] = 1` does.

Nodes have no memory, so that a write must reach its readers by the call's result.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TypeAlias

from rnnspec.frozen import frozen
from rnnspec.interop.torch_programs.operators import OPERATORS

_VIEWS = frozenset(
    {
        *("alias", "contiguous", "detach", "detach_", "type_as", "view_as", "transpose", "t", "numpy_T", "permute", "select", "slice"),
        *("squeeze", "unsqueeze", "flatten", "unflatten", "view", "reshape", "_unsafe_view", "expand", "to"),
        *("dropout", "dropout_", "feature_dropout"),
    }
)
"""Operations of the table that give their argument's memory, or may."""

_PIECES = frozenset({"split", "split_with_sizes", "chunk", "unsafe_chunk", "unbind"})
"""Those that cut it into pieces, which have nothing in common."""

_READ_ONLY = frozenset({"detach_", "dropout_"})
"""Those with an underscore that leave the numbers as they are; a dropout in training is refused elsewhere."""


@frozen
class Step:
    """A call: its target, the names that it reads, its own argument first, those that it makes, and whether the outputs need it."""

    target: str
    reads: Sequence[str]
    makes: Sequence[str]
    needed: bool


_Region: TypeAlias = "tuple[tuple[int, int], ...]"
"""A part of memory: the call that made it, with the output's number, and the calls that cut it, each with the number of the piece."""


def unseen_writes(steps: Sequence[Step], outputs: Collection[str]) -> Iterator[int]:
    """The places of calls that write where a later needed call, or an output, reads by another name than the result's."""
    last = {name: place for place, step in enumerate(steps) if step.needed for name in step.reads}
    last |= dict.fromkeys(outputs, len(steps))
    regions: dict[str, frozenset[_Region]] = {}
    sharing: dict[tuple[int, int], set[str]] = {}
    for place, step in enumerate(steps):
        operation, _, form = step.target.removeprefix("aten.").partition(".")
        out = form.endswith("out")
        writes = out or (operation.endswith("_") and operation not in _READ_ONLY)
        own = not out and (writes or operation in _VIEWS | _PIECES)
        for name in step.reads:
            if name not in regions:
                # an input or a weight, which no call makes
                regions[name] = frozenset([((-1 - len(regions), 0),)])
                sharing[next(iter(regions[name]))[0]] = {name}
        held = frozenset[_Region]().union(*(regions[name] for name in (step.reads[:1] if own else step.reads)))
        names = set[str]().union(*(sharing[region[0]] for region in held)) if writes else set[str]()
        if any(last.get(name, -1) > place and _overlap(regions[name], held) for name in names):
            yield place
        for number, name in enumerate(step.makes):
            if own and operation in _PIECES:
                regions[name] = frozenset((*region, (place, number)) for region in held)
            else:
                fresh = frozenset[_Region]([((place, number),)])
                regions[name] = held if own else fresh if step.target in OPERATORS else fresh | held
            for region in regions[name]:
                sharing.setdefault(region[0], set()).add(name)


def _overlap(one: Collection[_Region], other: Collection[_Region]) -> bool:
    return any(_meet(left, right) for left in one for right in other)


def _meet(one: _Region, other: _Region) -> bool:
    """Whether two regions may have memory in common: all but different pieces of one cut, and what different calls made."""
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return place > 0 and left[0] != right[0]
    return True
