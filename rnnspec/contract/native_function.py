"""A native function as the runtime sees it: object bytes, and what to pass. Plain data, no compiler stage."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from rnnspec.contract.arena import Slot
from rnnspec.contract.dimensions import Dim, Size, value_of
from rnnspec.frozen import frozen


class Space(Enum):
    """Whose memory a buffer lies in, and so what a pointer argument is."""

    INPUT = "input"
    KEY = "key"
    """The key from which random numbers are drawn."""
    INDEX = "index"
    WEIGHT = "weight"
    """All weights, flat."""
    PREPARED = "prepared"
    """Made once for a set of weights by the prepare function."""
    TAPE = "tape"
    SCRATCH = "scratch"
    OUTPUT = "output"
    COTANGENT = "cotangent"
    GRADIENT = "gradient"
    """The gradient of all weights, flat; zeros when the function is called."""
    CLOCKS = "clocks"
    """In a timed build, the ticks that each loop nest has taken so far."""


STATE = "state."
"""How the names of outputs begin that are what a call leaves for the next one: an output of the model may have the state's own name."""


@frozen
class NativeArgument:
    """`name`: of the input, index array, output or cotangent; `index`: whose array, `parameters` which (see `native.index_array`).

    `rows` and `width`: of an output; `time`: its steps, if it is a padded sequence, whose rows are those of all samples. Of clocks,
    `name` is the function's symbol, `rows` their number.
    """

    space: Space
    name: str = ""
    rows: Dim = 1
    width: int = 1
    index: int = 0
    parameters: tuple[int, ...] = ()
    time: Dim | None = None


@frozen
class ParallelCost:
    """The work of a loop nest that threads can share: `operations`, in at most `parts` parts.

    Or in `units` parts, if each thread makes all of them wait as long as so many operations, `waiting`, take.
    """

    parts: Dim
    operations: Dim
    units: int = 1
    waiting: Dim = 0


@frozen
class DistinctIndex:
    """A packing index that a call makes from ids: one row with a step for each row of a table, unmasked where an id names that row.

    `number`: of this index in its function. `input`: the input with the ids; only those at tokens of packing index number `index` count.
    `rows`: of the table, and so the index's number of steps.
    """

    number: int
    input: str
    index: int
    rows: int


@frozen
class NativeFunction:
    """`void symbol(void **pointers, int64_t *dims)` with the pointers of `arguments` and the numbers of `dims`.

    These are rows of the batch, the tokens and steps of its packing indices, and the rows of padded sequences.

    `prepare_symbol` has the same form and takes `prepare_arguments` (weights, prepared, scratch). `shared_symbol`
    and `prepare_shared_symbol` (empty if there is none) are for several threads, see `runtime.team`; `work` and
    `prepare_work` say whether they pay.
    `distinct`: packing indices that a call makes of its inputs, see `native_memory.with_distinct`.
    `object_key`: what the cache has the object code under.
    """

    object_code: bytes
    symbol: str
    arguments: tuple[NativeArgument, ...]
    prepare_symbol: str
    prepare_arguments: tuple[NativeArgument, ...]
    scratch: tuple[Slot, ...]
    prepare_scratch: tuple[Slot, ...]
    tape: tuple[Slot, ...]
    prepared_bytes: int
    dims: tuple[Size, ...]
    shared_symbol: str = ""
    prepare_shared_symbol: str = ""
    work: tuple[ParallelCost, ...] = ()
    prepare_work: tuple[ParallelCost, ...] = ()
    distinct: tuple[DistinctIndex, ...] = ()
    object_key: str = ""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The names of all functions that the object defines."""
        shared = (self.shared_symbol, self.prepare_shared_symbol)
        return (self.symbol, self.prepare_symbol, *(name for name in shared if name))


def operations_saved(work: tuple[ParallelCost, ...], dims: Mapping[Size, int], threads: int) -> int:
    """How many operations fewer the busiest of so many threads has than one alone."""
    saved = 0
    for each in work:
        total = value_of(each.operations, dims)
        parts = value_of(each.parts, dims)
        by_units = _saved(total, each.units, threads) - value_of(each.waiting, dims) * threads
        saved += max(_saved(total, max(1, parts), threads), by_units)
    return saved


def _saved(total: int, parts: int, threads: int) -> int:
    return total - total * -(-parts // threads) // parts


def operations(work: tuple[ParallelCost, ...], dims: Mapping[Size, int]) -> int:
    """How many operations one thread has."""
    return sum(value_of(each.operations, dims) for each in work)
