"""Structures that Python fills in and native code reads: each declared once, for both sides.

The runtime makes and reads them by ctypes; a back end takes the places of their fields from here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from enum import IntEnum
from typing import ClassVar

WORD_BYTES = 8
"""Bytes of a word: of an address, of an int64."""


class InputRecord(ctypes.Structure):
    """An input of a fast path: what is accepted for it, and where it is put.

    | field | |
    |---|---|
    | `name` | address of the Python string that a mapping has it under |
    | `place` | its place in a table of pointers; -1 if the function doesn't read it |
    | `kind` | what the function reads, see `ElementKind` |
    | `rank`, `extents` | its axes and their extents, with ones behind them |
    | `limit` | the number that is too large for its ids |
    | `own` | address of memory of its size, for what isn't read where it lies: ids, and arrays of other dtypes or layouts |
    | `data` | address of what the call reads, filled in by each call |
    | `sequence` | 1 if it has steps, which a mask and lengths may be about |
    | `steps`, `rows` | extents of its mask and of its lengths, with ones behind them |
    | `given`, `lengths` | addresses of a byte for each of its steps, 1 where mask and lengths leave it, and of an int64 for each row |
    """

    _fields_: ClassVar = [
        ("name", ctypes.c_void_p),
        ("place", ctypes.c_int64),
        ("kind", ctypes.c_int64),
        ("rank", ctypes.c_int64),
        ("extents", ctypes.c_int64 * 3),
        ("limit", ctypes.c_int64),
        ("own", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
        ("sequence", ctypes.c_int64),
        ("steps", ctypes.c_int64 * 3),
        ("rows", ctypes.c_int64 * 3),
        ("given", ctypes.c_void_p),
        ("lengths", ctypes.c_void_p),
    ]


class SourceRecord(ctypes.Structure):
    """The real steps of an input: those that its mask and lengths leave, less those whose elements all equal one of some values.

    | field | |
    |---|---|
    | `input` | address of the input's record |
    | `count` | the number of its steps |
    | `width` | elements of a step |
    | `values`, `masked` | address of the values, as float64, and their number |
    | `real` | address of a byte for each step, filled in by each call |
    """

    _fields_: ClassVar = [
        ("input", ctypes.c_void_p),
        ("count", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("values", ctypes.c_void_p),
        ("masked", ctypes.c_int64),
        ("real", ctypes.c_void_p),
    ]


class IndexRecord(ctypes.Structure):
    """A packing index that each call makes, see `contract.packing.PackedIndex`.

    | field | |
    |---|---|
    | `sources`, `count` | address of the addresses of the sources' real steps, and their number: a step is real if it is in one of them |
    | `windows`, `window_count` | address of the `WindowRecord`s of those sources that are windows, and their number |
    | `pairs` | address of the `PairRecord` of the only source, or 0 |
    | `batch`, `time` | address of the number of rows, and the number of padded steps |
    | `real` | address of a byte for each padded step |
    | `order`, `rank`, `offsets`, `source`, `position` | addresses of the index's arrays |
    | `lengths`, `starts` | addresses of an int32 for each row, and for each length from 0 to `time` |
    | `shown` | addresses of its `shown` arrays, by hold + 2 * flip, or 0 |
    | `tokens`, `steps` | addresses of the numbers of its tokens and packed steps |
    """

    _fields_: ClassVar = [
        ("sources", ctypes.c_void_p),
        ("count", ctypes.c_int64),
        ("windows", ctypes.c_void_p),
        ("window_count", ctypes.c_int64),
        ("pairs", ctypes.c_void_p),
        ("batch", ctypes.c_void_p),
        ("time", ctypes.c_int64),
        ("real", ctypes.c_void_p),
        ("order", ctypes.c_void_p),
        ("rank", ctypes.c_void_p),
        ("offsets", ctypes.c_void_p),
        ("source", ctypes.c_void_p),
        ("position", ctypes.c_void_p),
        ("lengths", ctypes.c_void_p),
        ("starts", ctypes.c_void_p),
        ("shown", ctypes.c_void_p * 4),
        ("tokens", ctypes.c_void_p),
        ("steps", ctypes.c_void_p),
    ]


class WindowRecord(ctypes.Structure):
    """The real windows over a packing index's sequences, see `contract.packing.window_mask`.

    | field | |
    |---|---|
    | `of`, `rows`, `time` | address of a byte for each of its padded steps, and the numbers of its rows and steps |
    | `flip` | 1 if the sequences are taken in reversed order |
    | `size`, `stride`, `dilation`, `start` | of the windows |
    | `span` | their span if they lie as with "same" padding, or 0 |
    | `ahead` | steps that must follow the one that a window stands at |
    | `count`, `real` | the number of windows of a row, and address of a byte for each, filled in by each call |
    """

    _fields_: ClassVar = [
        ("of", ctypes.c_void_p),
        ("rows", ctypes.c_int64),
        ("time", ctypes.c_int64),
        ("flip", ctypes.c_int64),
        ("size", ctypes.c_int64),
        ("stride", ctypes.c_int64),
        ("dilation", ctypes.c_int64),
        ("start", ctypes.c_int64),
        ("span", ctypes.c_int64),
        ("ahead", ctypes.c_int64),
        ("count", ctypes.c_int64),
        ("real", ctypes.c_void_p),
    ]


class PairRecord(ctypes.Structure):
    """The steps of `keys` that each token of `queries` may look at, see `contract.packing.pair`.

    | field | |
    |---|---|
    | `tokens`, `source`, `time` | address of the number of queries, address of their padded steps, and the steps of their sequences |
    | `position`, `steps` | address of the keys' tokens by padded step, and the steps of their sequences |
    | `causal` | 1 if no step behind the query's own is looked at |
    | `real` | address of a byte for each query and step, filled in by each call |
    """

    _fields_: ClassVar = [
        ("tokens", ctypes.c_void_p),
        ("source", ctypes.c_void_p),
        ("time", ctypes.c_int64),
        ("position", ctypes.c_void_p),
        ("steps", ctypes.c_int64),
        ("causal", ctypes.c_int64),
        ("real", ctypes.c_void_p),
    ]


class SeenRecord(ctypes.Structure):
    """The tokens under one place of windows, see `contract.packing.window_ids`.

    | field | |
    |---|---|
    | `tokens`, `source`, `time` | address of the number of windows, address of their padded steps, and the windows of a row |
    | `position`, `steps` | address of the tokens by padded step of the sequences that they see, and the steps of these |
    | `stride`, `offset`, `span` | of the windows: between them, of the place, and their span if they lie as with "same" padding, or 0 |
    | `clamp`, `own` | 1 if the nearest step stands for one that isn't there; 1 if a row is from its first real step to its last |
    | `rows`, `bounds` | the number of rows, and address of two int64 for each: its first step and the one behind its last |
    | `before` | windows that stand before the first one |
    | `result` | address of an int32 for each window, filled in by each call |
    """

    _fields_: ClassVar = [
        ("tokens", ctypes.c_void_p),
        ("source", ctypes.c_void_p),
        ("time", ctypes.c_int64),
        ("position", ctypes.c_void_p),
        ("steps", ctypes.c_int64),
        ("stride", ctypes.c_int64),
        ("offset", ctypes.c_int64),
        ("span", ctypes.c_int64),
        ("clamp", ctypes.c_int64),
        ("own", ctypes.c_int64),
        ("rows", ctypes.c_int64),
        ("bounds", ctypes.c_void_p),
        ("before", ctypes.c_int64),
        ("result", ctypes.c_void_p),
    ]


class PairedRecord(ctypes.Structure):
    """The tokens of pairs' queries, or of their keys, see `contract.packing.query_tokens` and `key_tokens`.

    | field | |
    |---|---|
    | `tokens`, `source`, `time` | address of the number of pairs, address of query * time + step of each, and the steps of a row of pairs |
    | `queries`, `query_time` | address of the queries' padded steps, and the steps of their sequences |
    | `position` | address of the keys' tokens by padded step; 0 if the result are the queries |
    | `result` | address of an int32 for each pair, filled in by each call |
    """

    _fields_: ClassVar = [
        ("tokens", ctypes.c_void_p),
        ("source", ctypes.c_void_p),
        ("time", ctypes.c_int64),
        ("queries", ctypes.c_void_p),
        ("query_time", ctypes.c_int64),
        ("position", ctypes.c_void_p),
        ("result", ctypes.c_void_p),
    ]


class HeldRecord(ctypes.Structure):
    """An output of a stream whose masked steps repeat what its last real one showed.

    | field | |
    |---|---|
    | `rows`, `bytes` | its rows, and the bytes of one |
    | `real` | address of a byte for each row, 1 where the step is real |
    | `output`, `shown` | addresses of the output and of what was shown last |
    | `started` | address of a byte for each row, 1 from its first real step on |
    """

    _fields_: ClassVar = [
        ("rows", ctypes.c_int64),
        ("bytes", ctypes.c_int64),
        ("real", ctypes.c_void_p),
        ("output", ctypes.c_void_p),
        ("shown", ctypes.c_void_p),
        ("started", ctypes.c_void_p),
    ]


class ClockRecord(ctypes.Structure):
    """A clock of a stream: in which of its rows a step falls due, see `contract.signature.Clock`.

    | field | |
    |---|---|
    | `rows`, `period` | the number of rows, and of steps from one that is due to the next |
    | `left` | address of an int64 for each row: the steps before the one in which it is due |
    | `due` | address of a byte for each row, 1 if it is due in this step, filled in by each call |
    """

    _fields_: ClassVar = [
        ("rows", ctypes.c_int64),
        ("period", ctypes.c_int64),
        ("left", ctypes.c_void_p),
        ("due", ctypes.c_void_p),
    ]


class OutputRecord(ctypes.Structure):
    """An output of a fast path: how it is copied for the caller, and which of its rows have a value.

    | field | |
    |---|---|
    | `copy` | address of a Python callable that gives a copy |
    | `due` | address of a byte for each row, 1 where it has a value: NaN takes the place of others, `None` that of none; 0: all have |
    | `rows`, `bytes`, `data` | its rows, the bytes of one, its address |
    """

    _fields_: ClassVar = [
        ("copy", ctypes.c_void_p),
        ("due", ctypes.c_void_p),
        ("rows", ctypes.c_int64),
        ("bytes", ctypes.c_int64),
        ("data", ctypes.c_void_p),
    ]


class CallRecord(ctypes.Structure):
    """The record of a fast path: the arguments that it accepts, the function that it calls, the outputs that it copies.

    | field | |
    |---|---|
    | `none`, `nothing` | address of `None`, and of what is returned in the place of an only output that is `None` |
    | `array_type`, `list_type`, `tuple_type`, `dict_type`, `int_type`, `int64_type` | numpy's array, Python's types, numpy's int64 |
    | `version`, `made_for` | address of the weights' version now, and the version that `tables` hold |
    | `function`, `tables`, `sizes` | addresses of the native function, of a pointer table for each of two turns, of its sizes |
    | `turn`, `turned_by` | address of the number of the table that is next, and what it is combined with after a call, by exclusive or |
    | `guard` | address of a number that isn't 0 while somebody else has the states |
    | `inputs`, `input_count` | address of the `InputRecord`s, and their number |
    | `sequences` | how many of them have steps |
    | `packs` | 1 if calls make packing indices, and may have masks and lengths |
    | `sources`, `source_count`, `indices`, `index_count`, `held`, `held_count` | `SourceRecord`s, `IndexRecord`s, `HeldRecord`s |
    | `clocks`, `clock_count` | address of the `ClockRecord`s, and their number |
    | `seen`, `seen_count`, `paired`, `paired_count` | what is made of the indices behind them: `SeenRecord`s, `PairedRecord`s |
    | `outputs`, `output_count` | address of the `OutputRecord`s, and their number |
    | `busy` | 1 while a call is under way |
    """

    _fields_: ClassVar = [
        ("none", ctypes.c_void_p),
        ("nothing", ctypes.c_void_p),
        ("array_type", ctypes.c_void_p),
        ("list_type", ctypes.c_void_p),
        ("tuple_type", ctypes.c_void_p),
        ("dict_type", ctypes.c_void_p),
        ("int_type", ctypes.c_void_p),
        ("int64_type", ctypes.c_void_p),
        ("version", ctypes.c_void_p),
        ("made_for", ctypes.c_int64),
        ("function", ctypes.c_void_p),
        ("tables", ctypes.c_void_p * 2),
        ("sizes", ctypes.c_void_p),
        ("turn", ctypes.c_void_p),
        ("turned_by", ctypes.c_int64),
        ("guard", ctypes.c_void_p),
        ("inputs", ctypes.c_void_p),
        ("input_count", ctypes.c_int64),
        ("sequences", ctypes.c_int64),
        ("packs", ctypes.c_int64),
        ("sources", ctypes.c_void_p),
        ("source_count", ctypes.c_int64),
        ("indices", ctypes.c_void_p),
        ("index_count", ctypes.c_int64),
        ("held", ctypes.c_void_p),
        ("held_count", ctypes.c_int64),
        ("clocks", ctypes.c_void_p),
        ("clock_count", ctypes.c_int64),
        ("seen", ctypes.c_void_p),
        ("seen_count", ctypes.c_int64),
        ("paired", ctypes.c_void_p),
        ("paired_count", ctypes.c_int64),
        ("outputs", ctypes.c_void_p),
        ("output_count", ctypes.c_int64),
        ("busy", ctypes.c_int64),
    ]


class ElementKind(IntEnum):
    """What arrays have as elements, as a fast path tells them apart. Native code reads ids and lengths as these, masks as bytes."""

    FLOAT32 = 0
    FLOAT64 = 1
    INT32 = 2
    INT64 = 3
    BOOL = 4


class SharedNumbers(ctypes.Structure):
    """The words of a call that several threads share, zeros but for those that the caller sets; all are read and written atomically.

    | field | |
    |---|---|
    | `arrived` | threads that have come so far; `CLOSED` when nobody can join any more |
    | `joined` | threads that take part, written by the one that leads; `BROKEN` if the caller has failed; 0: not known yet |
    | `wanted` | threads that may take part, set by the caller |
    | `spin_limit` | turns of a loop that the leader waits for the others to come, set by the caller |
    | `give_way` | address of a function that gives the processor to others, or 0, set by the caller |
    | `barrier_budget` | ticks that the leader may wait in a scan beside a part of its time, set by the caller |
    | `timed_out` | steps of a scan after which the leader went on alone, or 0 |
    | `waiting` | arrivals at barriers so far; on a cache line of its own, because all threads write to it |
    """

    _fields_: ClassVar = [
        ("arrived", ctypes.c_int64),
        ("joined", ctypes.c_int64),
        ("wanted", ctypes.c_int64),
        ("spin_limit", ctypes.c_int64),
        ("give_way", ctypes.c_void_p),
        ("barrier_budget", ctypes.c_int64),
        ("timed_out", ctypes.c_int64),
        ("unused", ctypes.c_int64),
        ("waiting", ctypes.c_int64),
        ("rest", ctypes.c_int64 * 7),
    ]


CLOSED = -(1 << 62)
"""The value of `SharedNumbers.arrived` when nobody can join any more."""

BROKEN = -1
"""The value of `SharedNumbers.joined` when the caller has failed."""


def field_numbers(structure: type[ctypes.Structure]) -> Mapping[str, int]:
    """Each field's number in the order of the declaration, by its name."""
    return {field[0]: number for number, field in enumerate(structure._fields_)}


def word_places(structure: type[ctypes.Structure]) -> Mapping[str, int]:
    """The words before each field, by its name; of a structure whose fields all begin at a word."""
    return {field[0]: getattr(structure, field[0]).offset // WORD_BYTES for field in structure._fields_}
