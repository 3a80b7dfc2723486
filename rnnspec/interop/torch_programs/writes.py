"""Calls that write into a tensor, as `y[:, 0] = 1` does.

Nodes have no memory, so that a write must reach its readers by the call's result.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from rnnspec.frozen import frozen
from rnnspec.interop.torch_programs.operators import OPERATORS

_VIEWS = frozenset(
    {
        *("alias", "contiguous", "detach", "detach_", "type_as", "view_as", "transpose", "t", "numpy_T", "permute", "select", "slice"),
        *("squeeze", "unsqueeze", "flatten", "unflatten", "view", "reshape", "_unsafe_view", "expand", "split", "split_with_sizes"),
        *("chunk", "unbind", "to", "dropout", "dropout_", "feature_dropout"),
    }
)
"""Operations of the table that give their argument's memory, or may."""

_READ_ONLY = frozenset({"detach_", "dropout_"})
"""Those with an underscore that leave the numbers as they are; a dropout in training is refused elsewhere."""


@frozen
class Step:
    """A call: its target, the names that it reads, its own argument first, those that it makes, and whether the outputs need it."""

    target: str
    reads: Sequence[str]
    makes: Sequence[str]
    needed: bool


def unseen_writes(steps: Sequence[Step], outputs: Collection[str]) -> Iterator[int]:
    """The places of calls that write where a later needed call, or an output, reads by another name than the result's."""
    last = {name: place for place, step in enumerate(steps) if step.needed for name in step.reads}
    last |= dict.fromkeys(outputs, len(steps))
    groups: dict[str, set[str]] = {}
    for place, step in enumerate(steps):
        operation, _, form = step.target.removeprefix("aten.").partition(".")
        out = form.endswith("out")
        writes = out or (operation.endswith("_") and operation not in _READ_ONLY)
        own = not out and (writes or operation in _VIEWS)
        held = set[str]().union(*(groups.get(name, {name}) for name in (step.reads[:1] if own else step.reads)))
        if writes and any(last.get(name, -1) > place for name in held):
            yield place
        if own or step.target not in OPERATORS:
            held.update(step.makes)
            groups |= dict.fromkeys(held, held)
