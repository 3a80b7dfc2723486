"""The meaning of the axes of inputs: which one is that of the samples, which that of the steps. A file doesn't say, so all are tried."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product

from rnnspec.frozen import frozen
from rnnspec.interop.graph.axes import Role, Roles
from rnnspec.interop.onnx_files.nodes import SourceInput

TRIALS = 400
"""Assignments of meanings that are tried."""

CHOICES = 12
"""Meanings of one input that are tried, the likeliest ones."""

_BATCH = re.compile(r"batch|^[bnm]$|^samples?$", re.IGNORECASE)
_TIME = re.compile(r"seq|time|len|frames?|steps?|^[tl]$", re.IGNORECASE)


@frozen
class InputRoles:
    """An input with the meaning of each axis; `cost`: how unlikely it is."""

    source: SourceInput
    roles: Roles
    cost: float

    @property
    def batch(self) -> int | str | None:
        """The dimension of the samples; None where there is none."""
        return next((size for size, role in zip(self.source.dimensions or (), self.roles, strict=True) if role is Role.BATCH), None)


def assignments(inputs: Sequence[SourceInput], *, in_steps: bool) -> Iterator[tuple[InputRoles, ...]]:
    """Meanings of the axes of all inputs, the likeliest first. `in_steps`: whether there may be sequences."""
    choices = [sorted(_choices(each, in_steps), key=lambda choice: choice.cost)[: CHOICES if len(inputs) < 4 else 4] for each in inputs]
    sound = (each for each in product(*choices) if _agree(each))
    yield from sorted(islice(sound, 50_000), key=lambda each: sum(choice.cost for choice in each))[:TRIALS]


def _choices(source: SourceInput, in_steps: bool) -> Iterator[InputRoles]:
    dimensions = source.dimensions or ()
    for roles in product(Role, repeat=len(dimensions)) if len(dimensions) <= 5 else ():
        if roles.count(Role.BATCH) > 1 or roles.count(Role.TIME) > in_steps:
            continue
        named = [(size, role) for size, role in zip(dimensions, roles, strict=True) if isinstance(size, str) and role is not Role.BATCH]
        if not any(role is Role.FEATURES or "batch" in size.lower() for size, role in named):
            yield InputRoles(source, roles, _cost(dimensions, roles))


def _cost(dimensions: Sequence[int | str], roles: Sequence[Role]) -> float:
    cost = 0.0
    for place, (size, role) in enumerate(zip(dimensions, roles, strict=True)):
        name = size if isinstance(size, str) else ""
        is_batch, is_time = bool(_BATCH.search(name)), bool(_TIME.search(name)) and not _BATCH.search(name)
        match role:
            case Role.BATCH:
                cost += 2 * place - 5 * is_batch + 8 * is_time + (0 if isinstance(size, str) or size == 1 else 4)
            case Role.TIME:
                cost += 10 * is_batch - 3 * is_time + 3 * (place == len(dimensions) - 1 and len(dimensions) > 2)
                cost += 6 * (size == 1) + (0.5 if isinstance(size, int) else 0)
            case Role.FEATURES:
                cost += 0.1 * (size != 1)
    cost += 7 if dimensions and Role.BATCH not in roles else 0
    return cost + (2 if len(dimensions) > 2 and Role.TIME not in roles else 0)


def _agree(chosen: Sequence[InputRoles]) -> bool:
    """Whether a name of a dimension means the same everywhere, and the samples are as many."""
    meant: dict[str, Role] = {}
    sizes: set[int] = set()
    for each in chosen:
        for size, role in zip(each.source.dimensions or (), each.roles, strict=True):
            if isinstance(size, str) and size and meant.setdefault(size, role) is not role:
                return False
        if isinstance(each.batch, int):
            sizes.add(each.batch)
    return len(sizes) <= 1


def batch_of(chosen: Sequence[InputRoles], probe: int) -> int:
    """The size of the batch while the file is read: as the file fixes it, one where no input has an axis for it, or the probe."""
    if all(each.batch is None for each in chosen):
        return 1
    return next((each.batch for each in chosen if isinstance(each.batch, int)), probe)


def lengths_of(chosen: Sequence[InputRoles], primes: Sequence[int], scale: int) -> Mapping[tuple[str, int], int]:
    """The size of each axis of steps while the file is read, by the input and the axis: the same of the same name."""
    named: dict[str, int] = {}
    found: dict[tuple[str, int], int] = {}
    for each in chosen:
        for axis, (size, role) in enumerate(zip(each.source.dimensions or (), each.roles, strict=True)):
            if role is Role.TIME:
                name = size if isinstance(size, str) and size else f"{each.source.name}.{axis}"
                number = size if isinstance(size, int) else named.setdefault(name, primes[len(named) % len(primes)] * scale)
                found[each.source.name, axis] = number
    return found
