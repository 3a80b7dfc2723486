"""The loops over segments of steps: where each segment's tokens are, and the states that its scans go on from."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from rnnspec.backend.llvm_cpu.time_blocks import Turns
from rnnspec.backend.llvm_cpu.vectors import Vectors
from rnnspec.contract.dimensions import Tokens, value_of
from rnnspec.frozen import frozen
from rnnspec.kernel.nodes import Buffer, ColumnReduce, Node, Outer, ScanLoop, SegmentPhase, Segments
from rnnspec.kernel.target import ELEMENT_BYTES


@frozen
class Segment:
    """Registers: the segment's number, its steps `start` .. `stop` - 1 of `steps`, its tokens."""

    number: str
    start: str
    stop: str
    steps: str
    first_token: str
    last_token: str


@contextmanager
def segment_loop(vectors: Vectors, block: Segments, phase: SegmentPhase, offsets: str, steps: str) -> Generator[Segment]:
    """A loop over the segments in a phase's direction; with one empty segment if there is no step."""
    writer = vectors.writer
    some = writer.assign(f"icmp sgt i64 {steps}, 0")
    count = writer.assign(f"sdiv i64 {writer.add(steps, block.every - 1)}, {block.every}")
    count = writer.assign(f"select i1 {some}, i64 {count}, i64 1", "segments")
    with writer.loop("0", count, hint="segment") as turn:
        number = writer.subtract(writer.subtract(count, 1), turn) if phase.back else turn
        start = writer.multiply(number, block.every)
        stop = vectors.smin(writer.add(start, block.every), steps)
        yield Segment(number, start, stop, steps, writer.load_index(offsets, start), writer.load_index(offsets, stop))


def turns_of(vectors: Vectors, scan: ScanLoop, segment: Segment) -> Turns:
    """A scan's turns in a segment."""
    edges = (segment.start, segment.stop)
    if scan.reverse:
        writer = vectors.writer
        edges = (writer.subtract(segment.steps, segment.stop), writer.subtract(segment.steps, segment.start))
    return Turns(*edges, segment.first_token, segment.last_token)


def segment_buffers(
    vectors: Vectors, block: Segments, node: Node, buffers: Mapping[str, Buffer], registers: Mapping[str, str], segment: Segment
) -> dict[str, str]:
    """The addresses that a nest's function takes for a segment, so that each token is where the function looks for it.

    A function of tokens counts them from the sequence's first one, and so local buffers seem to lie before where they are; one that adds
    up over rows counts from the segment's first one.
    """
    counts_from_segment = isinstance(node, Outer | ColumnReduce)
    moved = dict(registers)
    for name in registers:
        is_local = name in block.local
        if is_local == counts_from_segment or not (is_local or buffers[name].rows == Tokens(block.steps.number)):
            continue
        offset = vectors.writer.multiply(segment.first_token, buffers[name].width * ELEMENT_BYTES[buffers[name].dtype])
        if is_local:
            offset = vectors.writer.assign(f"sub i64 0, {offset}")
        moved[name] = vectors.writer.assign(f"getelementptr i8, ptr {registers[name]}, i64 {offset}", "moved")
    return moved


def begin_sums(vectors: Vectors, block: Segments, buffers: Mapping[str, Buffer], registers: Mapping[str, str]) -> None:
    """Zeros where sums over all segments go; a weight's gradient has them already."""
    vectors.library.declarations["declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"] = None
    for name in block.zeroed:
        size = value_of(buffers[name].rows, {}) * buffers[name].width * vectors.bytes
        vectors.writer.do(f"call void @llvm.memset.p0.i64(ptr {registers[name]}, i8 0, i64 {size}, i1 false)")


def restore_states(
    vectors: Vectors, scan: ScanLoop, kept: tuple[str, ...], registers: Mapping[str, str], segment: Segment, rows: str
) -> None:
    """A scan's states as they were at the segment's beginning, in the scan's direction."""
    for state, buffer in zip(scan.states, kept, strict=True):
        size = vectors.writer.multiply(rows, state.width)
        place = vectors.writer.add(segment.number, 1) if scan.reverse else segment.number
        source = vectors.pointer(registers[buffer], vectors.writer.multiply(place, size))
        _copy(vectors, source, registers[state.current], size)


def keep_states(vectors: Vectors, scan: ScanLoop, kept: tuple[str, ...], registers: Mapping[str, str], segment: Segment, rows: str) -> None:
    """Keeps a scan's states for the next segment in its direction: of two buffers they are in the one that the number of steps says."""
    writer = vectors.writer
    odd = writer.assign(f"trunc i64 {writer.subtract(segment.stop, segment.start)} to i1", "odd")
    for state, buffer in zip(scan.states, kept, strict=True):
        size = writer.multiply(rows, state.width)
        place = segment.number if scan.reverse else writer.add(segment.number, 1)
        source = registers[state.current]
        if state.following != state.current:
            source = writer.assign(f"select i1 {odd}, ptr {registers[state.following]}, ptr {source}", "p")
        _copy(vectors, source, vectors.pointer(registers[buffer], writer.multiply(place, size)), size)


def _copy(vectors: Vectors, source: str, target: str, elements: str) -> None:
    vectors.library.declarations["declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"] = None
    size = vectors.writer.multiply(elements, vectors.bytes)
    vectors.writer.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {target}, ptr {source}, i64 {size}, i1 false)")
