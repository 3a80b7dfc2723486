"""Structures that Python fills in and native code reads: each declared once, for both sides.

The runtime makes and reads them by ctypes; a back end takes the places of their fields from here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import ClassVar

WORD_BYTES = 8
"""Bytes of a word: of an address, of an int64."""


class CallRecord(ctypes.Structure):
    """The record of a fast path: the array type that it accepts, the function that it calls, the outputs that it copies.

    | field | |
    |---|---|
    | `array_type`, `none` | addresses of `numpy.ndarray` and `None` |
    | `version`, `made_for` | address of the weights' version now, and the version that `tables` hold |
    | `function`, `tables`, `sizes` | addresses of the native function, of a pointer table for each of two turns, of its sizes |
    | `turn`, `turned_by` | address of the number of the table that is next, and what it is combined with after a call, by exclusive or |
    | `place` | the input's place in a table |
    | `format`, `rank`, `shape` | of the input: numpy's letter for its dtype, its axes, and the address of their extents |
    | `copies`, `outputs` | address of an array of Python callables, one for each output, that copy it, and their number |
    | `busy` | 1 while a call is under way |
    """

    _fields_: ClassVar = [
        ("array_type", ctypes.c_void_p),
        ("none", ctypes.c_void_p),
        ("version", ctypes.c_void_p),
        ("made_for", ctypes.c_int64),
        ("function", ctypes.c_void_p),
        ("tables", ctypes.c_void_p * 2),
        ("sizes", ctypes.c_void_p),
        ("turn", ctypes.c_void_p),
        ("turned_by", ctypes.c_int64),
        ("place", ctypes.c_int64),
        ("format", ctypes.c_int64),
        ("rank", ctypes.c_int64),
        ("shape", ctypes.c_void_p),
        ("copies", ctypes.c_void_p),
        ("outputs", ctypes.c_int64),
        ("busy", ctypes.c_int64),
    ]


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
