"""Updates of a model's weights; those of large tables are lazy: a row gets the updates that it has missed when it is next read.

A batch reads few rows of a large table, and only these have a gradient; but with a moment an optimizer moves all the
others too. Each row's missed updates are made one by one, in the operations that the whole update would have used, so
lazy or not the bits are the same. What makes them also makes the update of other large weights, in one pass over them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rnnspec.contract.executable import Array, NativeUpdate, UpdateCompiler
from rnnspec.contract.signature import WeightSignature
from rnnspec.contract.tuning import DEFAULT_TUNING, Tuning
from rnnspec.frozen import frozen
from rnnspec.runtime.data.finite_inputs import bounds
from rnnspec.runtime.model.weights import Parameters
from rnnspec.training.optimizers import Optimizer, WeightExtent

Rows = NDArray[np.int64]


@frozen
class Table:
    """A weight with lazy updates. `steps_applied`: int64 (rows,), each row's updates since all rows last had all of theirs."""

    range: slice
    width: int
    inputs: tuple[str, ...]
    steps_applied: Rows

    def rows_of(self, inputs: Mapping[str, Array]) -> Rows:
        """The rows that a batch reads: its ids' and row 0, which masked steps show."""
        read = np.zeros(len(self.steps_applied), np.bool_)
        read[0] = True
        for name in self.inputs:
            read[inputs[name]] = True
        return np.flatnonzero(read)


@dataclass
class Updates:
    """The updates of one model's weights by one optimizer, for one training thread at a time."""

    optimizer: Optimizer
    parameters: Parameters
    compile_update: UpdateCompiler | None
    tuning: Tuning = DEFAULT_TUNING
    _frozen: tuple[str, ...] = ()
    _tables: tuple[Table, ...] = ()
    _native: NativeUpdate | None = None
    _gradient: Array | None = None
    _steps: int = 0
    """Updates since all rows last had all of theirs."""
    _version: int = 0
    """The optimizer's, of which `_native` is."""
    _constants: Array = field(default_factory=lambda: np.empty((0, 0)))

    def __post_init__(self) -> None:
        self._version = self.optimizer.version
        self.optimizer.bind(self._extents(self._choose_tables()), self.parameters.dtype)

    def _choose_tables(self) -> Collection[str]:
        """The tables' names, once they are known."""
        ranges = self.parameters.ranges
        lazy = self.optimizer.supports_lazy_updates and self.compile_update is not None
        tables = {
            weight.name: _table(weight, ranges[weight.name])
            for weight in self.parameters.signatures
            if lazy and weight.name not in self._frozen and _can_wait(weight, self.tuning.large_table)
        }
        self._tables = tuple(tables.values())
        return tables.keys()

    def _extents(self, tables: Collection[str]) -> list[WeightExtent]:
        """The weights' places; tables by name are updated apart, and frozen weights not at all."""
        ranges, apart = self.parameters.ranges, {*tables, *self._frozen}
        return [
            WeightExtent(
                ranges[weight.name].start,
                ranges[weight.name].stop,
                weight.trainable and weight.name not in apart,
                weight.name,
                tuple(map(int, weight.shape)),
            )
            for weight in self.parameters.signatures
        ]

    def freeze(self, names: tuple[str, ...]) -> None:
        """From the next update on, leaves these weights as they are, and their state; all others are updated, by the state they have."""
        if names != self._frozen:
            self.parameters.flush()
            self._frozen, self._gradient = names, None
            extents = self._extents(self._choose_tables())
            self.parameters.read(lambda weights, _: self.optimizer.leave_out_no_more(extents, weights))

    def zeros(self) -> Array:
        """A flat gradient to be filled; `apply` takes it back, so that a large table's isn't cleared anew for each step."""
        gradient, self._gradient = self._gradient, None
        if gradient is None:
            return np.zeros(self.parameters.size, self.parameters.dtype)
        start = 0
        for table in self._tables:
            gradient[start : table.range.start] = 0
            start = table.range.stop
        gradient[start:] = 0
        return gradient

    def catch_up(self, inputs: Mapping[str, Array]) -> list[Rows]:
        """Brings the rows that a batch reads up to date; returns their numbers, table by table."""
        self.follow_settings()
        rows = [table.rows_of(inputs) for table in self._tables]
        if rows:

            def caught_up(weights: Array) -> None:
                for table, read in zip(self._tables, rows, strict=True):
                    self._update(table, weights, read[table.steps_applied[read] < self._steps], None)

            self.parameters.change(caught_up, flushed=False)
        return rows

    def parted(self, gradient: Array, rows: list[Rows]) -> tuple[Array, list[tuple[Rows, Array]]]:
        """Takes a filled gradient apart, which `zeros` gives again: that of all but tables, and each table's rows with theirs; copies."""
        parts: list[Array] = []
        tables: list[tuple[Rows, Array]] = []
        start = 0
        for table, read in zip(self._tables, rows, strict=True):
            of_table = gradient[table.range].reshape(-1, table.width)
            tables.append((read, of_table[read]))
            of_table[read] = 0
            parts.append(gradient[start : table.range.start])
            start = table.range.stop
        self._gradient = gradient
        return np.concatenate([*parts, gradient[start:]]), tables

    def nothing(self) -> tuple[Array, list[tuple[Rows, Array]]]:
        """What `parted` gives of a gradient without a row of a table, all zeros."""
        dtype, in_tables = self.parameters.dtype, sum(table.range.stop - table.range.start for table in self._tables)
        empty = [(np.empty(0, np.int64), np.empty((0, table.width), dtype)) for table in self._tables]
        return np.zeros(self.parameters.size - in_tables, dtype), empty

    def joined(self, rest: Array, tables: Sequence[tuple[Rows, Array]]) -> Array:
        """A flat gradient, for `apply`, of what `parted` gave."""
        gradient, start, taken = self.zeros(), 0, 0
        for table, (read, values) in zip(self._tables, tables, strict=True):
            length = table.range.start - start
            gradient[start : table.range.start] = rest[taken : taken + length]
            gradient[table.range].reshape(-1, table.width)[read] = values
            start, taken = table.range.stop, taken + length
        gradient[start:] = rest[taken:]
        return gradient

    def bounds(self, gradient: Array, rows: list[Rows]) -> tuple[float, float]:
        """The least and the largest number of a gradient, NaN if one is NaN; of tables those of the rows that a batch reads."""
        parts: list[Array] = []
        start = 0
        for table, read in zip(self._tables, rows, strict=True):
            parts += [gradient[start : table.range.start], gradient[table.range].reshape(-1, table.width)[read]]
            start = table.range.stop
        found = [bounds(part) for part in (*parts, gradient[start:])]
        if len(found) == 1:
            return found[0]
        return float(np.min([low for low, _ in found])), float(np.max([high for _, high in found]))

    def flush(self, weights: Array) -> None:
        """Makes the updates that wait, inside `Parameters.change`."""
        self._flush(weights)

    def apply(self, weights: Array, gradient: Array, rows: list[Rows]) -> None:
        """Makes one update inside `Parameters.change`. `gradient`: the array from `zeros`, filled. `rows`: from `catch_up`."""
        if self._steps == self.tuning.late_steps:
            self._flush(weights)
        self.optimizer.step(weights, gradient, self._native_step(weights, gradient))
        if self._tables:
            constants = self.optimizer.constants()
            if not self._constants.size:
                self._constants = np.zeros((self.tuning.late_steps, len(constants)), weights.dtype)
            self._constants[self._steps] = constants
            for table, read in zip(self._tables, rows, strict=True):
                self._update(table, weights, read, gradient)
            self._steps += 1
            self.parameters.defer(self._flush)
        self._gradient = gradient

    def finish(self) -> None:
        """The end of a training: weights become their averages if the optimizer keeps some."""
        if self.optimizer.use_ema:
            self.parameters.change(self.optimizer.finish)

    def follow_settings(self) -> None:
        """What the optimizer's settings have become since the last update: another formula, or one whose updates can't wait."""
        optimizer = self.optimizer
        if optimizer.version != self._version:
            self.parameters.flush()
            self._native, self._version = None, optimizer.version
        if self._tables and not optimizer.supports_lazy_updates:
            self.parameters.flush()
            self._tables = ()
            optimizer.leave_out_no_more(self._extents(()))

    def _flush(self, weights: Array) -> None:
        for table in self._tables:
            self._update(table, weights, np.arange(len(table.steps_applied)), None)
            table.steps_applied[:] = 0
        self._steps = 0

    def _update(self, table: Table, weights: Array, rows: Rows, gradient: Array | None) -> None:
        """Makes the updates that rows have missed, and one more if there is a gradient; the part of the gradient in use becomes zeros."""
        if not self._steps and gradient is None:
            return
        parts = [values[table.range] for values in (weights, weights if gradient is None else gradient)]
        arrays = [*parts, table.steps_applied, rows, self._constants, *(values[table.range] for values in self.optimizer.state)]
        self._call(arrays, [len(rows), table.width, self._steps, int(gradient is not None)])

    def _native_step(self, weights: Array, gradient: Array) -> Callable[[int, int], None] | None:
        """An update of a run of weights, by the function that updates tables: of a table of one row. None where there is none."""
        if self.compile_update is None or not self.tuning.native_updates or not self.optimizer.supports_lazy_updates:
            return None

        def step(start: int, stop: int) -> None:
            run = slice(start, stop)
            constants = np.array(self.optimizer.constants(), weights.dtype)
            states = (values[run] for values in self.optimizer.state)
            arrays = [weights[run], gradient[run], np.zeros(1, np.int64), np.zeros(1, np.int64), constants, *states]
            self._call(arrays, [1, stop - start, 0, 1])

        return step

    def _call(self, arrays: Sequence[Array], dims: Sequence[int]) -> None:
        if self._native is None:
            assert self.compile_update is not None
            self._native = self.compile_update(self.optimizer.formula, self.optimizer.slots, len(self.optimizer.constants()))
        self._native([array.__array_interface__["data"][0] for array in arrays], dims)


def _can_wait(weight: WeightSignature, large: int) -> bool:
    """Whether a call reads some rows of a weight only, which has `large` elements at least, and nothing but its gradient changes it."""
    size = int(np.prod(weight.shape))
    alone = weight.trainable and not weight.updated and weight.regularizer is None and weight.constraint is None
    return bool(weight.looked_up_by) and alone and size >= large


def _table(weight: WeightSignature, taken: slice) -> Table:
    return Table(taken, weight.shape[-1], weight.looked_up_by, np.zeros(weight.shape[0], np.int64))
