"""Kernel IR: a function as buffers and loop nests over rows and units, still without vector instructions.

A matrix `[R, w]` is a buffer of R rows of w elements. A *stage* computes one or more results of the
same number of units for each row; its body is written for one row and one unit and is executed by
tiles of several rows and several vectors of units. Rows are of the batch, tokens, `ROWS` in a scan's step,
or all those of a padded sequence: the batch times its length.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from rnnspec.contract.dimensions import BATCH, STEPS, Dim, Steps
from rnnspec.contract.location import UNKNOWN, Location
from rnnspec.contract.native_function import DistinctIndex, Space
from rnnspec.ir.ops import BinaryKind, CompareKind, ReduceKind, UnaryKind
from rnnspec.ir.types import DType
from rnnspec.kernel.target import Tile


@dataclass(frozen=True, slots=True)
class IndexArray:
    """An array that the runtime makes from packing indices: `name` of index number `index`, with further numbers that say which."""

    name: str
    index: int = 0
    parameters: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Buffer:
    """`offset`: elements before it in the flat array of all weights (WEIGHT and GRADIENT only); `array`: what it holds (INDEX only).

    `time`: the length of a padded sequence (OUTPUT only).
    """

    name: str
    space: Space
    dtype: DType
    rows: Dim
    width: int
    offset: int = 0
    array: IndexArray | None = None
    time: Dim | None = None


class RowMap(Enum):
    """Which row of a buffer belongs to row r of a stage."""

    ROW = "row"
    """Row r."""
    TOKEN = "token"
    """Row r of the current step: first token of the step + r."""
    FIRST = "first"
    """Row 0 for every r."""


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Load:
    name: str
    access: Access


@dataclass(frozen=True, slots=True)
class Splat:
    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Map:
    """Elementwise; `kind` None is a select."""

    name: str
    kind: UnaryKind | BinaryKind | CompareKind | None
    operands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Draw:
    """A uniform number for the element at row r, `column` + unit of a matrix `width` wide."""

    name: str
    key: str
    stream: int
    width: int
    column: int
    splat: bool


@dataclass(frozen=True, slots=True)
class Contract:
    """`names[g] = inits[g] + sum over k < depth of left[k] * panels[k, g]`, all accumulators in registers."""

    names: tuple[str, ...]
    left: Access
    depth: int
    panels: str
    inits: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Store:
    access: Access
    value: str


@dataclass(frozen=True, slots=True)
class Prefetch:
    """The rows that `buffers` have for the next step come into the caches while the stage's first contraction adds up.

    They lie as many rows behind this step's, or before them (`back`), as the step has. Each tile of `rows` rows fetches what belongs
    to them in the next step, and each of `parts` tiles of units a part of that.
    """

    buffers: tuple[str, ...]
    back: bool
    rows: int
    parts: int


Statement: TypeAlias = Load | Splat | Map | Draw | Contract | Store | Prefetch


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopNest:
    """`location`: the lines of the spec that a loop nest comes from; no part of equality."""

    location: Location = field(default=UNKNOWN, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class FusedLoop(LoopNest):
    """For each row and unit: the body."""

    rows: Dim
    units: int
    tile: Tile
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class RowReduce(LoopNest):
    """For each row: the body over all units, then `value` reduced over them into `target`'s element."""

    rows: Dim
    units: int
    body: tuple[Statement, ...]
    kind: ReduceKind
    value: str
    target: Access


@dataclass(frozen=True, slots=True)
class ColumnReduce(LoopNest):
    """For each unit: the body over all rows, then `value` reduced over them into `target`."""

    rows: Dim
    units: int
    body: tuple[Statement, ...]
    kind: ReduceKind
    value: str
    target: Access


@dataclass(frozen=True, slots=True)
class Outer(LoopNest):
    """`target[i, j] = sum over rows r of left[r, i] * right[r, j]`: `height` by `units`."""

    rows: Dim
    height: int
    units: int
    left: Access
    right: Access
    target: Access


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class GatherIds(LoopNest):
    """`target[r] = source[via[r]]`, of i32."""

    rows: Dim
    source: str
    via: str | None
    target: str


@dataclass(frozen=True, slots=True)
class Rearranged(LoopNest):
    """`target` holds the elements of each row of `source` in order; with `transpose` those of a `height` by `units` matrix by columns."""

    rows: Dim
    height: int
    units: int
    source: str
    target: str
    transpose: bool


@dataclass(frozen=True, slots=True)
class PanelColumn:
    """Where one gate's columns come from: element (k, unit) is row `row + k`, column `column + unit` of the buffer.

    `transposed`: it is row `row + unit`, column `column + k`.
    """

    buffer: str
    row: int
    column: int
    transposed: bool


@dataclass(frozen=True, slots=True)
class PackPanels(LoopNest):
    """Weights in the order in which a contraction reads them, zeros behind the last unit.

    [units / (vectors * lanes)][depth][vectors][gates][lanes].
    """

    target: str
    depth: int
    units: int
    vectors: int
    gates: tuple[PanelColumn, ...]


@dataclass(frozen=True, slots=True)
class CarryBuffers:
    """A carried value: `current` is read, `following` written, the same buffer if in place.

    Rows enter from `init` (zeros if None) and leave to `final`.
    """

    width: int
    current: str
    following: str
    init: str | None
    final: str | None


@dataclass(frozen=True, slots=True)
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


Node: TypeAlias = FusedLoop | RowReduce | ColumnReduce | Outer | Scatter | GatherIds | Rearranged | PackPanels | ScanLoop


@dataclass(frozen=True, slots=True)
class TimeBlock:
    """The nests from number `first` on, before `last`, do `tokens` at a time: those of a few steps, then those of the next ones.

    An even number of steps, two at least. `steps`, `offsets`, `reverse`: as of their scans.
    """

    first: int
    last: int
    tokens: int
    steps: Steps
    offsets: str
    reverse: bool


@dataclass(frozen=True, slots=True)
class KernelFunction:
    """`buffers` in the order of the first use; `nodes` in execution order.

    `distinct`: indices that a call makes of its inputs. `blocks`: of nodes, in order, none in two of them.
    """

    name: str
    dtype: DType
    buffers: tuple[Buffer, ...]
    nodes: tuple[Node, ...]
    distinct: tuple[DistinctIndex, ...] = ()
    blocks: tuple[TimeBlock, ...] = ()

    def buffer(self, name: str) -> Buffer:
        for buffer in self.buffers:
            if buffer.name == name:
                return buffer
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class KernelModule:
    """For each function of the tensor IR: `prepare` (weights only) and the function itself."""

    name: str
    functions: tuple[KernelFunction, ...]


def panel_bytes(contracts: Iterable[Contract], units: int, element_bytes: int) -> int:
    """What a stage's contractions read of weights for a row."""
    return sum(contract.depth * len(contract.names) for contract in contracts) * units * element_bytes
