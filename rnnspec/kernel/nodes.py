"""Kernel IR: a function as buffers and loop nests over rows and units, still without vector instructions.

A matrix `[R, w]` is a buffer of R rows of w elements. A *stage* computes one or more results of the
same number of units for each row; its body is written for one row and one unit and is executed by
tiles of several rows and several vectors of units. Rows are of the batch, tokens, `ROWS` in a scan's step,
or all those of a padded sequence: the batch times its length.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from enum import Enum
from types import MappingProxyType
from typing import TypeAlias

from rnnspec.contract.dimensions import BATCH, STEPS, Dim, Steps
from rnnspec.contract.location import UNKNOWN, Location
from rnnspec.contract.native_function import DistinctIndex, Space
from rnnspec.frozen import frozen
from rnnspec.ir.elementwise import ElementwiseKind
from rnnspec.ir.ops import ReduceKind
from rnnspec.ir.types import DType
from rnnspec.kernel.target import Element, Tile


@frozen
class IndexArray:
    """An int32 array that the runtime makes of packing index number `index`: `name` is its kind, `parameters` the kind's numbers."""

    name: str
    index: int = 0
    parameters: tuple[int, ...] = ()


@frozen
class Buffer:
    """`offset`: elements before it in the flat array of all weights (WEIGHT and GRADIENT only); `array`: what it holds (INDEX only).

    `time`: the length of a padded sequence (OUTPUT only).
    """

    name: str
    space: Space
    dtype: Element
    rows: Dim
    width: int
    offset: int = 0
    array: IndexArray | None = None
    time: Dim | None = None


@frozen
class BufferColumns:
    """The columns of a buffer from `column` on."""

    buffer: Buffer
    column: int


BufferAliases: TypeAlias = Mapping[str, BufferColumns]
"""The place of each aliased tape buffer, by its name: columns of another buffer."""

NO_ALIASES: BufferAliases = MappingProxyType({})


class RowMap(Enum):
    """The row of a buffer that belongs to row r of a stage."""

    ROW = "row"
    """Row r."""
    TOKEN = "token"
    """Row r of the current step: first token of the step + r."""
    FIRST = "first"
    """Row 0 for every r."""


@frozen
class Access:
    """A row of a buffer from `column` on.

    `row` is added to the mapped row. `via`: the row is looked up, `via[r]`; where that is negative,
    `fill` (a row of its own) stands in. `splat`: one element for all units.
    """

    buffer: str
    rows: RowMap
    column: int = 0
    row: int = 0
    via: str | None = None
    fill: str | None = None
    splat: bool = False


@frozen
class Load:
    """Statement `name`: the element of `access` at the row and unit."""

    name: str
    access: Access


@frozen
class Splat:
    """Statement `name`: a constant, the same for all rows and units."""

    name: str
    value: float


@frozen
class Position:
    """Statement `name`: the number `column` + unit, the same for all rows."""

    name: str
    column: int


@frozen
class Map:
    """Statement `name`: an elementwise operation on other statements; a select if `kind` is None."""

    name: str
    kind: ElementwiseKind | None
    operands: tuple[str, ...]


@frozen
class Draw:
    """Statement `name`: a uniform number in [0, 1) for the element at row r, `column` + unit of a matrix `width` wide."""

    name: str
    key: str
    stream: int
    width: int
    column: int
    splat: bool


@frozen
class Contract:
    """`names[g] = inits[g] + sum over k < depth of left[k] * panels[k, g]`, all accumulators in registers.

    `scales`: of panels of whole numbers, a factor for each column, of its sum.
    """

    names: tuple[str, ...]
    left: Access
    depth: int
    panels: str
    inits: tuple[str | None, ...]
    scales: str | None = None


@frozen
class Store:
    """Writes the value of a statement to the element of `access` at the row and unit."""

    access: Access
    value: str


@frozen
class Prefetch:
    """The rows that `buffers` have for the next step come into the caches while the stage's first contraction adds up.

    They lie as many rows behind this step's, or before them (`back`), as the step has. Each tile of `rows` rows fetches what belongs
    to them in the next step, and each of `parts` tiles of units a part of that.
    """

    buffers: tuple[str, ...]
    back: bool
    rows: int
    parts: int


Statement: TypeAlias = Load | Splat | Position | Map | Draw | Contract | Store | Prefetch


@frozen(kw_only=True)
class LoopNest:
    """A loop nest. `location`: the lines of the spec that it comes from, which take no part in equality."""

    location: Location = field(default=UNKNOWN, compare=False, repr=False)


@frozen
class FusedLoop(LoopNest):
    """A loop over rows and units that runs the body for each."""

    rows: Dim
    units: int
    tile: Tile
    body: tuple[Statement, ...]


@frozen
class RowReduce(LoopNest):
    """A loop over rows: the body over all units, then `value` reduced over these into an element of `target`."""

    rows: Dim
    units: int
    body: tuple[Statement, ...]
    kind: ReduceKind
    value: str
    target: Access


@frozen
class ColumnReduce(LoopNest):
    """A loop over units: the body over all rows, then `value` reduced over these into `target`."""

    rows: Dim
    units: int
    body: tuple[Statement, ...]
    kind: ReduceKind
    value: str
    target: Access
    adds: bool = False
    """Whether it goes on from what is in the target."""


@frozen
class Outer(LoopNest):
    """`target[i, j] = sum over rows r of left[r, i] * right[r, j]`: `height` by `units`. `adds`: it goes on from what is in the target."""

    rows: Dim
    height: int
    units: int
    left: Access
    right: Access
    target: Access
    adds: bool = False


@frozen
class Scatter(LoopNest):
    """`target[ids[r]] += source[r]` in row order, from zeros over `target_rows`; a negative id is left out.

    With `missing`, just the rows with a negative id are added, all to row 0.
    """

    rows: Dim
    units: int
    ids: str
    source: Access
    target: str
    target_rows: Dim
    missing: bool = False


@frozen
class GatherIds(LoopNest):
    """A gather of i32: `target[r] = source[via[r]]`."""

    rows: Dim
    source: str
    via: str | None
    target: str


@frozen
class Rearranged(LoopNest):
    """A change of layout: `target` holds each row of `source` in order, with `transpose` a row's `height` by `units` matrix by columns."""

    rows: Dim
    height: int
    units: int
    source: str
    target: str
    transpose: bool


@frozen
class PanelColumn:
    """Where one gate's columns come from: element (k, unit) is row `row + k`, column `column + unit` of the buffer.

    `transposed`: it is row `row + unit`, column `column + k`.
    """

    buffer: str
    row: int
    column: int
    transposed: bool


@frozen
class PackPanels(LoopNest):
    """A copy of weights in the order in which a contraction reads them, with zeros behind the last unit.

    The layout is [units / (vectors * lanes)][depth][vectors][gates][lanes].
    """

    target: str
    depth: int
    units: int
    vectors: int
    gates: tuple[PanelColumn, ...]


@frozen
class NarrowPanels(LoopNest):
    """Panels with `target`'s narrower elements: `tiles` of `depth` rows of `columns`, as `source` has them.

    `scales`: of whole numbers, a factor for each tile's columns, by which they are multiplied to be what they were, rounded.
    """

    source: str
    target: str
    scales: str | None
    tiles: int
    depth: int
    columns: int


@frozen
class CarryBuffers:
    """The buffers of a scan's carried value: `current` is read, `following` written; one buffer if the update is in place.

    Rows enter from `init` (zeros if None) and leave to `final`.
    """

    width: int
    current: str
    following: str
    init: str | None
    final: str | None


@frozen
class ScanLoop(LoopNest):
    """For each packed step, first to last or last to first: rows enter, the body runs over the step's rows, rows leave."""

    reverse: bool
    states: tuple[CarryBuffers, ...]
    body: tuple[Node, ...]
    offsets: str = "index.offsets"
    """The buffer of the index's tokens before each step."""
    steps: Steps = STEPS
    """The number of packed steps."""
    rows: Dim = BATCH
    """All rows of the index."""
    checkpoint: int = 0
    """The steps after which its states are kept, see `kernel.cpu.segments`."""


Node: TypeAlias = FusedLoop | RowReduce | ColumnReduce | Outer | Scatter | GatherIds | Rearranged | PackPanels | NarrowPanels | ScanLoop


@frozen
class TimeBlock:
    """Loop nests `first` to `last` - 1 run in blocks of time: all of them for the tokens of some steps, then all for the next steps.

    `tokens`: the most tokens of a block, which is an even number of steps, at least two. `steps`, `offsets`, `reverse`: the scans'.
    """

    first: int
    last: int
    tokens: int
    steps: Steps
    offsets: str
    reverse: bool


@frozen
class KeptStates:
    """Where the states of scan `node` are kept at the beginning of each segment, as the scan walks: `buffers`, one for each state.

    Row r of segment s is row `s * rows + r`, for a scan that goes backwards of the segment before, so that there is one segment more.
    """

    node: int
    buffers: tuple[str, ...]


@frozen
class SegmentPhase:
    """A walk over the segments, first to last or last to first (`back`): `nodes` run for each, on from what was kept for their scans.

    `keeps`: the scans whose states are kept behind each segment.
    """

    back: bool
    nodes: tuple[int, ...]
    keeps: tuple[int, ...]


@frozen
class Segments:
    """Loop nests `first` to `last` - 1 run segment by segment, of `every` steps each, in `phases`, see `kernel.cpu.segments`.

    `local`: the buffers that hold the tokens of one segment. `zeroed`: those of sums, which begin with zeros. `steps`, `offsets`, `rows`:
    the scans'.
    """

    first: int
    last: int
    every: int
    steps: Steps
    offsets: str
    rows: Dim
    local: tuple[str, ...]
    kept: tuple[KeptStates, ...]
    phases: tuple[SegmentPhase, ...]
    zeroed: tuple[str, ...] = ()


Block: TypeAlias = TimeBlock | Segments


@frozen
class KernelFunction:
    """A function: `buffers` in order of first use, `nodes` in execution order. `distinct`: indices made of ids, `blocks`: of nodes."""

    name: str
    dtype: DType
    buffers: tuple[Buffer, ...]
    nodes: tuple[Node, ...]
    distinct: tuple[DistinctIndex, ...] = ()
    blocks: tuple[Block, ...] = ()

    def buffer(self, name: str) -> Buffer:
        """The buffer of that name; KeyError if there is none."""
        for buffer in self.buffers:
            if buffer.name == name:
                return buffer
        raise KeyError(name)


@frozen
class KernelModule:
    """For each function of the tensor IR: `prepare` (weights only) and the function itself."""

    name: str
    functions: tuple[KernelFunction, ...]


def panel_bytes(contracts: Iterable[Contract], units: int, element_bytes: int) -> int:
    """Bytes of weights that a stage's contractions read for a row; `element_bytes`: of the panels."""
    return sum(contract.depth * len(contract.names) for contract in contracts) * units * element_bytes
