"""The arguments of native calls: aligned memory, the numbers of rows and steps, index arrays by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from rnnspec.contract.arena import ALIGNMENT
from rnnspec.contract.dimensions import BATCH, Size, Sizes, Steps, Tokens, value_of
from rnnspec.contract.executable import Array
from rnnspec.contract.native_function import DistinctIndex, NativeArgument
from rnnspec.contract.packing import PackedIndex, distinct, key_tokens, query_tokens, window_ids
from rnnspec.frozen import frozen

SHOWN = {
    "shown_hold": (True, False),
    "shown_fill": (False, False),
    "shown_hold_flip": (True, True),
    "shown_fill_flip": (False, True),
}
"""Index arrays by name: hold and flip (see `PackedIndex.shown`)."""


def aligned_bytes(size: int) -> Array:
    """Uninitialised memory that starts at a cache line."""
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.__array_interface__["data"][0] % ALIGNMENT
    return raw[start : start + size]


def address(array: Array) -> int:
    """The address of an array's first element."""
    return array.__array_interface__["data"][0]


@frozen
class Memory:
    """Bytes that stay where they are, with their address: asking numpy for it takes as long as a small network's step."""

    bytes: Array
    address: int

    @staticmethod
    def of(size: int) -> Memory:
        """`size` uninitialised bytes from a cache line on."""
        memory = aligned_bytes(size)
        return Memory(memory, address(memory))


def output_shape(argument: NativeArgument, sizes: Mapping[Size, int]) -> tuple[int, ...]:
    """The shape of an output's array, for a call's sizes; no steps where a sequence is shorter than a window."""
    if argument.time is None:
        return value_of(argument.rows, sizes), argument.width
    return sizes[BATCH], max(value_of(argument.time, sizes), 0), argument.width


def call_sizes(batch: int, times: Mapping[Size, int], indices: Sequence[PackedIndex]) -> Sizes:
    """The numbers of a call's sizes; `times`: the padded lengths of its sequences, by their names."""
    sizes = Sizes(times)
    sizes[BATCH] = batch
    for number, index in enumerate(indices):
        tokens, steps = _of_index(number)
        sizes[tokens], sizes[steps] = index.tokens, index.steps
    return sizes


@cache
def _of_index(number: int) -> tuple[Tokens, Steps]:
    """The sizes of packing index `number`: its tokens and its steps, cached with their hashes."""
    return Tokens(number), Steps(number)


def with_distinct(indices: Sequence[PackedIndex], made: Sequence[DistinctIndex], inputs: Mapping[str, Array]) -> tuple[PackedIndex, ...]:
    """The packing indices of a call, completed by those that the function `made` from the inputs' ids, each at its number."""
    known = list(indices)
    for each in made:
        ids = inputs[each.input].reshape(-1)[known[each.index].source]
        known[each.number : each.number + 1] = [distinct(ids, each.rows)]
    return tuple(known)


def index_array(indices: Sequence[PackedIndex], argument: NativeArgument) -> Array:
    """One of an index's arrays under the name that native functions know it by."""
    index = indices[argument.index]
    match argument.name:
        case "window":
            source, stride, offset, span, clamp, at_end, own = argument.parameters
            options = {"clamp": bool(clamp), "at_end": bool(at_end), "own": bool(own)}
            return window_ids(indices[source], index, stride, offset, span, **options)
        case "pair_queries":
            return query_tokens(index)
        case "pair_keys":
            queries, keys = argument.parameters
            return key_tokens(index, indices[queries], indices[keys])
        case name if name in SHOWN:
            return index.shown(*SHOWN[name])
        case "source" | "order" | "rank" | "offsets" | "position" as name:
            return getattr(index, name)
        case name:
            raise KeyError(name)
