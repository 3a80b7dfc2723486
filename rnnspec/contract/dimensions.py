"""Lengths of sequences that come from other lengths: what is left after a window has walked over one, or several joined.

A length is a number, the name of a dynamic one, or a text of these that says how it comes about:
`time-2`, `ceil(time/2)`, `ceil((time-2)/2)`, `later+time-2`. Equal lengths have equal texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

Length: TypeAlias = int | str

_PART = re.compile(r"ceil\((.+)/(\d+)\)")


def plus(*lengths: Length) -> Length:
    """Sequences one after the other."""
    parts = [_parts(length) for length in lengths]
    return _text((term for terms, _ in parts for term in terms), sum(count for _, count in parts))


def less(length: Length, count: int) -> Length:
    """`count` steps fewer."""
    return plus(length, -count)


def times(length: Length, count: int) -> Length:
    """`count` steps for each one."""
    return length * count if isinstance(length, int) else plus(*(length,) * count)


def every(length: Length, stride: int) -> Length:
    """One of `stride` steps, the first one included."""
    if isinstance(length, int):
        return -(-length // stride)
    terms, count = _parts(length)
    if len(terms) == 1 and not count and (match := _PART.fullmatch(terms[0])):
        return every(_inner(match[1]), int(match[2]) * stride)
    if stride == 1:
        return length
    return f"ceil({f'({length})' if is_sum(length) else length}/{stride})"


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows over a sequence: of `size` steps `dilation` apart, one every `stride` steps, the first of them `start` steps from there.

    `same`: each begins earlier by half of what they lack at both ends together, and there is one for every (`stride`-th) step.
    """

    size: int
    stride: int
    dilation: int
    start: int
    same: bool

    @property
    def span(self) -> int:
        """The steps from a window's first to its last."""
        return (self.size - 1) * self.dilation + 1

    @property
    def ahead(self) -> int:
        """How many steps must follow the one that a window stands at."""
        return 0 if self.same else self.start + self.span - 1

    def length(self, length: Length) -> Length:
        """The number of windows over so many steps."""
        return every(less(length, self.ahead), self.stride)


def length_of(length: Length, known: Mapping[str, int]) -> int:
    """The number of steps, below 0 where too little was there; KeyError for a name that isn't known."""
    if isinstance(length, int):
        return length
    terms, count = _parts(length)
    return count + sum(_term_of(term, known) for term in terms)


def _term_of(term: str, known: Mapping[str, int]) -> int:
    if match := _PART.fullmatch(term):
        return -(-length_of(_inner(match[1]), known) // int(match[2]))
    return known[term]


def shortfall(length: Length, known: Mapping[str, int]) -> int:
    """The steps that the first dynamic length needs so that a window finds at least one; 0 where there are enough."""
    names = names_in(length)
    if not names or length_of(length, known) > 0 or not _shortens(length):
        return 0
    least = known[names[0]]
    while length_of(length, {**known, names[0]: least}) <= 0:
        least += 1
    return least


def _shortens(length: Length) -> bool:
    terms, count = _parts(length)
    inner = (match[1] for match in map(_PART.fullmatch, terms) if match)
    return bool(terms) and (count < 0 or any(_shortens(_inner(text)) for text in inner))


def names_in(length: Length) -> tuple[str, ...]:
    """The dynamic dimensions that a length comes from."""
    names: dict[str, None] = {}
    for term in _parts(length)[0]:
        match = _PART.fullmatch(term)
        names.update(dict.fromkeys(names_in(_inner(match[1])) if match else (term,)))
    return tuple(names)


def is_sum(length: Length) -> bool:
    """Whether a text is of several parts, which need brackets beside anything else."""
    terms, count = _parts(length)
    return len(terms) + bool(count) > 1


@lru_cache(maxsize=256)
def _parts(length: Length) -> tuple[tuple[str, ...], int]:
    """What a length is the sum of: texts, and a number."""
    if isinstance(length, int):
        return (), length
    signed = _signed(length)
    terms = tuple(part.removeprefix("+") for part in signed if not part.lstrip("+-").isdigit())
    return terms, sum(int(part) for part in signed if part.lstrip("+-").isdigit())


def _signed(text: str) -> list[str]:
    """The parts of a sum, each with its sign but for the first."""
    depth, starts = 0, [0]
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter in "+-" and depth == 0:
            starts.append(place)
    return [text[start:stop] for start, stop in zip(starts, [*starts[1:], len(text)], strict=True)]


def _text(terms: Iterable[str], count: int) -> Length:
    text = "+".join(sorted(terms))
    return f"{text}{count:+}" if text and count else text or count


def _inner(text: str) -> str:
    return text[1:-1] if text.startswith("(") else text
