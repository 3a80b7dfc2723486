"""Tensors between the axes of the source and those of a model, (samples, steps, features)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import Enum
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnspec.frozen import frozen

MOST_AXES = 5
"""Of a tensor whose axes are told apart by trying all meanings."""


class Role(Enum):
    """The meaning of an axis."""

    BATCH = "batch"
    TIME = "time"
    FEATURES = "features"


Roles = tuple[Role, ...]


@frozen
class SourceCall:
    """How the file's model is called, where that differs from the import's call.

    `axes`: the meanings of the axes of inputs and outputs that are others in the file, empty for what no meanings of whole axes say.
    `states`: of a graph of one step, by an input the output that it is after the step; then `axes` has all inputs, and `outputs` all
    outputs in the file's order. `lengths`: inputs that take the lengths of sequences, `unused`: inputs that nothing depends on.
    """

    axes: Mapping[str, Roles] = field(default_factory=dict[str, Roles])
    states: Mapping[str, str] = field(default_factory=dict[str, str])
    lengths: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


_RANKS = {Role.BATCH: 0, Role.TIME: 1, Role.FEATURES: 2}


def _order(roles: Sequence[Role]) -> list[int]:
    return sorted(range(len(roles)), key=lambda axis: (_RANKS[roles[axis]], axis))


def arranged(whole: NDArray[Any], roles: Sequence[Role], sizes: tuple[int, ...]) -> NDArray[Any]:
    """(samples, steps, features) as the source's axes, of these sizes, have them."""
    order = _order(roles)
    if Role.BATCH not in roles:
        whole = whole[:1]
    return whole.reshape([sizes[axis] for axis in order]).transpose(np.argsort(order).tolist())


def gathered(numbers: NDArray[Any], roles: Sequence[Role]) -> NDArray[Any]:
    """A tensor of the source's axes as rows of samples, (samples, features); with steps as sequences, (samples, steps, features)."""
    turned = numbers.transpose(_order(roles))
    sizes = dict(zip(roles, numbers.shape, strict=True))
    steps = [sizes[Role.TIME]] if Role.TIME in roles else []
    return turned.reshape(sizes.get(Role.BATCH, 1), *steps, -1)


def roles_of(numbers: NDArray[np.int64], whole: NDArray[np.int64]) -> Roles:
    """The meanings of a tensor's axes, by where it has the elements of `whole`, (samples, steps, features); empty if there are none."""
    batch, steps, _ = whole.shape
    for roles in product(Role, repeat=numbers.ndim) if numbers.ndim <= MOST_AXES else ():
        sizes = [prod(size for size, other in zip(numbers.shape, roles, strict=True) if other is role) for role in Role]
        once = roles.count(Role.BATCH) <= 1 and roles.count(Role.TIME) <= (steps > 1)
        if once and sizes == [batch, steps, whole.shape[2]] and np.array_equal(arranged(whole, roles, numbers.shape), numbers):
            return roles
    return ()
