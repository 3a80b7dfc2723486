"""Lengths of sequences that come from other lengths: what is left after a window has walked over one.

A length is a number, the name of a dynamic one, or a text of these that says how it comes about:
`time-2`, `ceil(time/2)`, `ceil((time-2)/2)`. Equal lengths have equal texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

Length: TypeAlias = int | str

_LESS = re.compile(r"(.+)-(\d+)")
_PART = re.compile(r"ceil\((.+)/(\d+)\)")


def less(length: Length, count: int) -> Length:
    """`count` steps fewer."""
    if isinstance(length, int):
        return length - count
    if match := _LESS.fullmatch(length):
        return less(match[1], int(match[2]) + count)
    return f"{length}-{count}" if count else length


def every(length: Length, stride: int) -> Length:
    """One of `stride` steps, the first one included."""
    if isinstance(length, int):
        return -(-length // stride)
    if match := _PART.fullmatch(length):
        return every(_inner(match[1]), int(match[2]) * stride)
    if stride == 1:
        return length
    return f"ceil({f'({length})' if _LESS.fullmatch(length) else length}/{stride})"


def length_of(length: Length, known: Mapping[str, int]) -> int:
    """The number of steps, below 0 where too little was there; KeyError for a name that isn't known."""
    if isinstance(length, int):
        return length
    if match := _LESS.fullmatch(length):
        return length_of(match[1], known) - int(match[2])
    if match := _PART.fullmatch(length):
        return -(-length_of(_inner(match[1]), known) // int(match[2]))
    return int(length) if length.isdigit() else known[length]


def shortfall(length: Length, known: Mapping[str, int]) -> int:
    """The steps that a dynamic length needs so that a window finds at least one; 0 where there are enough."""
    name = name_in(length)
    if name is None or length_of(length, known) > 0 or not _shortens(length):
        return 0
    least = known[name]
    while length_of(length, {name: least}) <= 0:
        least += 1
    return least


def _shortens(length: Length) -> bool:
    match = isinstance(length, str) and (_LESS.fullmatch(length) or _PART.fullmatch(length))
    return bool(match) and (match.re is _LESS or _shortens(_inner(match[1])))


def name_in(length: Length) -> str | None:
    """The dynamic dimension that a length comes from."""
    if isinstance(length, int):
        return None
    if match := _LESS.fullmatch(length) or _PART.fullmatch(length):
        return name_in(_inner(match[1]))
    return None if length.isdigit() else length


def _inner(text: str) -> str:
    return text[1:-1] if text.startswith("(") else text
