"""The memory of a forward call that makes its packing indices itself: one workspace, known ahead from the batch and the padded lengths.

The areas of the indices come first, each as long as masks can make it need; then the slots of the kernels' scratch memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rnnspec.contract.arena import Slot
from rnnspec.contract.dimensions import BATCH, Dim, Size, Steps, Tokens, addends, at_least_zero, names_in, plus, shortens, substituted
from rnnspec.contract.native_function import DistinctIndex, Space
from rnnspec.contract.signature import IndexSignature, PairSignature, Signature
from rnnspec.frozen import frozen
from rnnspec.kernel.calling_convention import calling_convention
from rnnspec.kernel.memory import buffers_of
from rnnspec.kernel.nodes import Buffer, IndexArray, KernelFunction
from rnnspec.kernel.target import Target

OWN_ARRAYS = ("order", "rank", "offsets", "source", "position")
"""An index's arrays that each call makes, see `contract.packing.PackedIndex`."""

SHOWN_ARRAYS = ("shown_fill", "shown_hold", "shown_fill_flip", "shown_hold_flip")
"""Those that a call makes if the function reads them, by hold + 2 * flip."""

TAPE: tuple[object, ...] = ("tape",)
"""The key of the area with a recorded call's tape."""

LOOKED_UP = ("window", "pair_queries", "pair_keys")
"""Arrays that are made of several indices."""


@frozen
class Area:
    """A part of the workspace: `key` says of what, `row_bytes` for each of `rows` rows."""

    key: tuple[object, ...]
    rows: Dim
    row_bytes: int


@frozen
class IndexShape:
    """The sizes of a packing index: its rows, at most, and their padded steps."""

    batch: Dim
    time: Dim

    @property
    def padded(self) -> Dim:
        """The padded steps of all rows."""
        return self.batch * self.time


@frozen
class ForwardMemory:
    """The memory of a forward call on a target.

    `indices`: the packing indices that the function needs, by number. `sources`: the inputs whose real steps they come from, each with
    its masking values. `looked_up`: the buffers of index arrays that are made of several indices. `areas`: of the workspace, behind
    which scratch memory lies. `bytes`: of all of it, at most, its alignment included; of the batch and the inputs' lengths. `distinct`:
    those of the indices that are made of ids.
    """

    indices: Mapping[int, IndexShape]
    sources: tuple[tuple[str, tuple[float, ...]], ...]
    looked_up: tuple[Buffer, ...]
    areas: tuple[Area, ...]
    bytes: Dim
    distinct: Mapping[int, DistinctIndex]


def forward_memory(
    functions: Sequence[KernelFunction],
    signature: Signature,
    target: Target,
    *,
    areas: Sequence[Area] = (),
    tape: Sequence[Slot] = (),
    indices: Iterable[int] = (),
) -> ForwardMemory:
    """The memory of a call of one function, or of several one after the other, which have their scratch memory in one place.

    Further areas of a call are `areas`, and the area `TAPE` with these slots, if there are any; `indices`: further ones that it needs.
    """
    arrays = list({buffer.name: buffer for function in functions for buffer in _index_arrays(function)}.values())
    distinct = {each.number: each for function in functions for each in function.distinct}
    found = {number for function in functions for number in _needed(function, arrays)} | {*indices}
    needed = _with_parents(signature, found | {each.index for each in distinct.values()})
    shapes = {number: index_shape(signature, number) for number in needed if number not in distinct}
    shapes |= {number: IndexShape(1, each.rows) for number, each in distinct.items()}
    sources = tuple(dict.fromkeys(source for number in shapes if number not in distinct for source in _sources(signature, number)))
    looked_up = tuple(buffer for buffer in arrays if array_of(buffer).name in LOOKED_UP)
    bounds: dict[Size, Dim] = {Tokens(number): shape.padded for number, shape in shapes.items()}
    bounds |= {Steps(number): shape.time for number, shape in shapes.items()}
    align, gap = target.slot_alignment, target.slot_gap

    def arena(slots: Iterable[Slot]) -> Dim:
        return plus(*(_whole(substituted(slot.rows, bounds), slot.row_bytes, align + gap) for slot in slots))

    known = [
        *_input_areas(signature, sources),
        *_index_areas(signature, shapes, arrays, distinct),
        *_lookup_areas(shapes, looked_up),
        *areas,
    ]
    known += [Area(TAPE, arena(tape), 1)] if tape else []
    scratch = largest(arena(calling_convention(function).scratch.slots) for function in functions)
    total = plus(align, *(_whole(area.rows, area.row_bytes, align + gap) for area in known), scratch)
    return ForwardMemory(shapes, sources, looked_up, tuple(known), total, distinct)


def _whole(rows: Dim, row_bytes: int, further: int) -> Dim:
    """The bytes of a part, at most, which has a row at least, and is rounded up."""
    return _not_below_zero(rows) * row_bytes + (row_bytes + further)


def _index_arrays(function: KernelFunction) -> list[Buffer]:
    used = {name for node in function.nodes for name in buffers_of(node)}
    return [buffer for buffer in function.buffers if buffer.space is Space.INDEX and buffer.name in used]


def index_shape(signature: Signature, number: int) -> IndexShape:
    """The sizes of a packing index."""
    match signature.indices[number]:
        case PairSignature(queries=queries, keys=keys):
            return IndexShape(index_shape(signature, queries).padded, index_shape(signature, keys).time)
        case IndexSignature() as index:
            return IndexShape(BATCH, time_of(signature, index))


def time_of(signature: Signature, index: IndexSignature) -> Dim:
    """The padded steps of an index's sequences."""
    if index.sources:
        return next(source.shape[0] for source in signature.inputs if source.name == index.sources[0][0])
    if index.joins:
        return plus(*(time_of(signature, part) for part in index.joins[0]))
    return at_least_zero(index.windows[0].length if index.windows else index.length)


def least_lengths(signature: Signature) -> tuple[Dim, ...]:
    """The lengths of which one step at least must be there, since a window needs it."""
    indices = [index for index in signature.indices if isinstance(index, IndexSignature)]
    parts = [part for index in indices for join in index.joins for part in join]
    lengths = (*(index.length for index in (*indices, *parts)), *(each.length for part in parts for each in part.windows))
    return tuple(dict.fromkeys(length for length in lengths if names_in(length) and shortens(length)))


def largest(dims: Iterable[Dim]) -> Dim:
    """A dimension that none of some sums of products is above, whatever the sizes are; none of them takes anything off."""
    most: dict[Dim, int] = {}
    for dim in dims:
        for addend, coefficient in addends(dim):
            most[addend] = max(most.get(addend, 0), coefficient)
    return plus(*(addend * coefficient for addend, coefficient in most.items()))


def array_of(buffer: Buffer) -> IndexArray:
    """The array of an index's buffer, whose name is the array's own where nothing else is said."""
    return IndexArray(buffer.name) if buffer.array is None else buffer.array


def _not_below_zero(rows: Dim) -> Dim:
    return at_least_zero(rows) if shortens(rows) else rows


def _needed(function: KernelFunction, arrays: Iterable[Buffer]) -> set[int]:
    """The numbers of the indices that a function needs; those that they come from are others."""
    found: set[int] = set()
    for each in map(array_of, arrays):
        found.add(each.index)
        if each.name in LOOKED_UP:
            found.update(each.parameters[:1] if each.name == "window" else each.parameters)
    sizes = (name for dim in calling_convention(function).dims for name in names_in(dim))
    return found | {size.number for size in sizes if isinstance(size, Tokens | Steps)}


def _with_parents(signature: Signature, found: set[int]) -> list[int]:
    """The numbers of indices, and of those that they come from, sorted."""
    for number in range(len(signature.indices) - 1, -1, -1):
        if number in found:
            found.update(_parents(signature, number))
    return sorted(found)


def _parents(signature: Signature, number: int) -> Iterator[int]:
    match signature.indices[number]:
        case PairSignature(queries=queries, keys=keys):
            yield from (queries, keys)
        case IndexSignature() as index:
            yield from (each.of for part in _parts(index) for each in part.windows)


def _parts(index: IndexSignature) -> Iterator[IndexSignature]:
    """An index and the parts that it joins."""
    yield index
    for join in index.joins:
        for part in join:
            yield from _parts(part)


def _sources(signature: Signature, number: int) -> Iterator[tuple[str, tuple[float, ...]]]:
    index = signature.indices[number]
    return index.all_sources() if isinstance(index, IndexSignature) else iter(())


def _input_areas(signature: Signature, sources: Iterable[tuple[str, tuple[float, ...]]]) -> Iterator[Area]:
    """The real steps of the sources, and ids: each is looked at once, and masked ones become 0."""
    padded = {source.name: BATCH * (source.shape[0] if source.is_sequence else 1) for source in signature.inputs}
    for name, values in sources:
        yield Area(("real", name, values), padded[name], 1)
    for each in signature.inputs:
        if each.integer:
            yield Area(("ids", each.name), padded[each.name], 4)


def _index_areas(
    signature: Signature, shapes: Mapping[int, IndexShape], arrays: Iterable[Buffer], distinct: Mapping[int, DistinctIndex]
) -> Iterator[Area]:
    shown = {(each.index, each.name) for each in map(array_of, arrays) if each.name in SHOWN_ARRAYS}
    for number, shape in shapes.items():
        yield Area(("index", number, "real"), shape.padded, 1)
        if number in distinct:
            yield Area(("named", number), shape.padded, 1)
        else:
            for name, joined in _made_masks(number, signature.indices[number]):
                yield Area(name, BATCH * time_of(signature, joined) if isinstance(joined, IndexSignature) else shape.padded, 1)
        lengths = {"order": shape.batch, "rank": shape.batch, "lengths": shape.batch, "offsets": shape.time + 1, "starts": shape.time + 1}
        lengths |= {"source": shape.padded, "position": shape.padded}
        lengths |= {name: shape.padded for name in SHOWN_ARRAYS if (number, name) in shown}
        for name, rows in lengths.items():
            yield Area(("index", number, name), rows, 4)


def _made_masks(number: int, index: IndexSignature | PairSignature) -> Iterator[tuple[tuple[object, ...], IndexSignature | None]]:
    """The masks of an index that are no input's: their keys, and the part of a joined sequence that they are of, if any."""
    match index:
        case PairSignature():
            yield ("pairs", number), None
        case IndexSignature():
            yield from made_masks((number,), index)


def made_masks(key: tuple[int, ...], index: IndexSignature) -> Iterator[tuple[tuple[object, ...], IndexSignature | None]]:
    """As above, of an index or of a part, whose `key` is its place."""
    for place, join in enumerate(index.joins):
        yield ("join", key, place), index
        for part_place, part in enumerate(join):
            yield from made_masks((*key, place, part_place), part)
    for place in range(len(index.windows)):
        yield ("windows", key, place), index
    if not (index.sources or index.joins or index.windows):
        yield ("all", key), index


def _lookup_areas(shapes: Mapping[int, IndexShape], looked_up: Iterable[Buffer]) -> Iterator[Area]:
    for buffer in looked_up:
        array = array_of(buffer)
        yield Area(("looked up", buffer.name), shapes[array.index].padded, 4)
        if array.name == "window":
            yield Area(("bounds", buffer.name), shapes[array.parameters[0]].batch, 16)
