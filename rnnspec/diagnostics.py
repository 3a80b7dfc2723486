"""Diagnostics: faults of a spec as data, and their text."""

from __future__ import annotations

import inspect
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import ClassVar

from rnnspec.frozen import frozen
from rnnspec.source import SourceFile, Span


class InternalError(Exception):
    """A bug of the compiler, never the user's fault. `located`: whether its text says which lines of the spec led to it."""

    located: bool = False

    def __str__(self) -> str:
        return f"{super().__str__()}\nThis is a bug in rnnspec. Please report it together with the spec that showed it."


@frozen
class Label:
    """A remark on another place than the primary one."""

    span: Span
    text: str


@frozen(kw_only=True)
class Diagnostic:
    """A fault at a place of the spec; a subclass for each kind of fault.

    `code` is E and four digits for an error, W and four digits for a warning. `title`, `label` and
    `advice` are templates over the subclass's own fields; empty ones aren't shown. `help` adds advice
    that only this instance has.
    """

    code: ClassVar[str]
    title: ClassVar[str]
    label: ClassVar[str] = ""
    advice: ClassVar[str] = ""

    span: Span
    secondary: tuple[Label, ...] = ()
    help: str = ""

    @property
    def is_warning(self) -> bool:
        """Whether the spec compiles in spite of it."""
        return self.code.startswith("W")

    @property
    def message(self) -> str:
        """The title, filled in."""
        return self._fill(self.title)

    @property
    def label_text(self) -> str:
        """The label, filled in."""
        return self._fill(self.label)

    @property
    def helps(self) -> tuple[str, ...]:
        """All advice, one sentence each."""
        return tuple(text for text in (self._fill(self.advice), self.help) if text)

    def render(self) -> str:
        """The diagnostic as the user sees it: header, place, lines with carets, help."""
        return render(self)

    def _fill(self, template: str) -> str:
        return template.format_map({entry.name: _clipped(getattr(self, entry.name)) for entry in fields(self)})


def as_data(diagnostic: Diagnostic) -> dict[str, object]:
    """A diagnostic as an editor takes it: plain values, lines and columns from 1, the end exclusive."""
    return {
        "code": diagnostic.code,
        "severity": "warning" if diagnostic.is_warning else "error",
        "message": diagnostic.message,
        "label": diagnostic.label_text,
        **_place(diagnostic.span),
        "related": [{"message": label.text, **_place(label.span)} for label in diagnostic.secondary],
        "help": list(diagnostic.helps),
    }


def _place(span: Span) -> dict[str, object]:
    (line, column), (end_line, end_column) = span.source.position(span.start), span.source.position(span.stop)
    return {"path": span.source.path, "line": line, "column": column, "end_line": end_line, "end_column": end_column}


class SpecWarning(UserWarning):
    """The warnings of a spec that compiles, as rendered diagnostics."""


class StateWarning(UserWarning):
    """Samples that would go on with the states of other samples."""


class ClassWarning(UserWarning):
    """Classes that a part of the data doesn't have."""


class MaskWarning(UserWarning):
    """A layer that computes with steps which the caller masks."""


class AdaptWarning(UserWarning):
    """A layer that hasn't been adapted to the data that it is trained with."""


class UnsavedWarning(UserWarning):
    """A part of a model that its file can't hold."""


class DroppedWarning(UserWarning):
    """A part of an imported model that a spec can't have, and that would be missed."""


class NotFiniteWarning(RuntimeWarning):
    """A training that has ended at a loss, a gradient or a weight that isn't finite."""


class SpecError(ValueError):
    """A spec that can't be compiled; `diagnostics` holds all faults that its stage found."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__(self.diagnostics)

    def __str__(self) -> str:
        return render_all(self.diagnostics)


_LONGEST_FIELD = 160
_LONGEST_LINE = 120


def _clipped(value: object) -> object:
    text = str(value)
    return f"{text[:_LONGEST_FIELD]}..." if len(text) > _LONGEST_FIELD else value


_SURE = 4
"""The least length of a name that may be misspelt: in a shorter one a single letter makes another name, as in `sin` and `min`."""

_LONGEST_NAME = 100
"""The length from which names are compared but for capitals and underscores only: nobody mistypes them, and the time would show."""


def nearest_name(name: str, known: Iterable[str], others: Iterable[str] = ()) -> str | None:
    """The known name that `name` was probably meant to be: the same but for capitals, underscores and a slip of the keyboard.

    `others`: names that mean something else, or something that isn't here. One of these is never taken for a slip, nor is what
    is nearer to one of them. Names with different numbers in them are different names.
    """
    known, others = list(known), set(others)
    if name in others:
        return None
    found: tuple[int, float] | None = None
    meant: str | None = None
    for candidate in (*known, *others):
        if candidate == name or (distance := _distance(name, candidate)) is None:  # a name is known in one place, and not in another
            continue
        from difflib import SequenceMatcher

        rank = distance, -SequenceMatcher(None, name, candidate).ratio()
        if found is None or rank < found:
            found, meant = rank, candidate
    return None if meant in others and meant not in known else meant


def _distance(name: str, candidate: str) -> int | None:
    """The number of slips between two names; None if there are more than a misspelling has."""
    first, second = (each.replace("_", "").replace("-", "").lower() for each in (name, candidate))
    if first == second:
        return 0
    shortest = min(len(first), len(second), _LONGEST_NAME)
    if shortest < _SURE:  # of so few letters, only that two have changed places is surely a slip
        return 1 if shortest == len(first) == len(second) > 2 and sorted(first) == sorted(second) and _slips(first, second) == 1 else None
    limit = 2 if shortest >= 2 * _SURE else 1
    digits = [[c for c in each if c.isdigit()] for each in (first, second)]
    if shortest >= _LONGEST_NAME or abs(len(first) - len(second)) > limit or digits[0] != digits[1]:
        return None
    distance = _slips(first, second)
    return distance if distance <= limit else None


def _slips(first: str, second: str) -> int:
    """The optimal string alignment distance: letters inserted, removed, replaced, or exchanged with their neighbour."""
    before: list[int] = []
    above = list(range(len(second) + 1))
    for i, letter in enumerate(first, 1):
        row = [i]
        for j, other in enumerate(second, 1):
            least = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == second[j - 2] and other == first[i - 2]:
                least = min(least, before[j - 2] + 1)
            row.append(least)
        before, above = above, row
    return above[-1]


def nearest(name: str, known: Iterable[str], others: Iterable[str] = ()) -> str:
    """Advice that names the known name which `name` was probably meant to be; empty if none is near. See `nearest_name`."""
    found = nearest_name(name, known, others)
    return "" if found is None else f"did you mean `{found}`?"


def no_such_name(what: str, name: str, known: Iterable[str]) -> str:
    """A message about a name that doesn't exist: the nearest one and all there are. `what`: a noun for a thing that has such a name."""
    names = list(known)
    guess = nearest(name, names)
    there = f"there are {', '.join(names)}" if len(names) > 1 else f"there is {f'`{names[0]}`' if names else 'none'}"
    return f"there is no {what} named `{name}`; {f'{guess} ' if guess else ''}{there}"


def name_faults(known: Sequence[str], given: Iterable[object], *, complete: bool = True) -> str:
    """The names that are missing, unless they needn't be `complete`, and those that aren't known; empty if there are neither."""
    names = list(given)
    there, present = set(known), set(names)
    said = [f"missing: {', '.join(missing)}"] if complete and (missing := [name for name in known if name not in present]) else []
    if unknown := [str(name) for name in names if name not in there]:
        said.append(f"unknown: {', '.join(unknown)}")
    return "; ".join(said)


_MOST_LISTED = 8


def listed(known: Iterable[str]) -> str:
    """Advice that names all there are, or, where that is too much to read, says where they stand."""
    names = sorted(known)
    if len(names) <= _MOST_LISTED:
        return f"there {'is' if len(names) == 1 else 'are'} {', '.join(names)}"
    return "docs/language.md lists what there is"


def render_all(diagnostics: Iterable[Diagnostic]) -> str:
    """Every diagnostic, an empty line between two."""
    return "\n".join(render(diagnostic) for diagnostic in diagnostics)


def render(diagnostic: Diagnostic) -> str:
    """A diagnostic as plain text; ends with a newline."""
    kind = "warning" if diagnostic.is_warning else "error"
    labels = [Label(diagnostic.span, diagnostic.label_text), *diagnostic.secondary]
    numbers = [place.span.source.position(place.span.start)[0] for place in labels]
    gutter = len(str(max(numbers))) + 1
    lines = [f"{kind}[{diagnostic.code}]: {_printable(diagnostic.message)}"]
    sources = list(dict.fromkeys(place.span.source for place in labels))
    for source in sources:
        here = [place for place in labels if place.span.source == source]
        lines += _snippet(source, here, diagnostic.span, gutter, first=source is sources[0])
    if diagnostic.helps:
        lines.append(f"{' ' * gutter} |")
    lines += [f"{' ' * gutter} = help: {_printable(text)}" for text in diagnostic.helps]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _snippet(source: SourceFile, labels: Sequence[Label], primary: Span, gutter: int, *, first: bool) -> list[str]:
    margin = " " * gutter
    line, column = source.position(labels[0].span.start)
    lines = [f"{margin}{'-->' if first else ':::'} {_printable(source.path)}:{line}:{column}"]
    if not source.text and not any(place.text for place in labels):
        return lines
    lines.append(f"{margin} |")
    for place in sorted(labels, key=lambda place: (source.position(place.span.start)[0], place.span is not primary, place.span.start)):
        number = source.position(place.span.start)[0]
        text, before, width = _underlined(source, place.span)
        mark = ("^" if place.span is primary else "-") * width
        shown = f"{number:>{gutter}} | {text}"
        if shown not in lines:
            lines.append(shown)
        lines.append(f"{margin} | {' ' * before}{mark} {_printable(place.text)}")
    return lines


def _underlined(source: SourceFile, span: Span) -> tuple[str, int, int]:
    """The span's first line as shown, with the columns before the span and under it; of a very long line what is around its start."""
    number, column = source.position(span.start)
    line, start, stop = source.line(number), column - 1, column - 1 + span.stop - span.start
    if len(line) > _LONGEST_LINE:
        first, last = max(0, start - _LONGEST_LINE // 2), min(len(line), start + _LONGEST_LINE // 2)
        head, tail = "..." if first else "", "..." if last < len(line) else ""
        line = head + line[first:last] + tail
        start, stop = start - first + len(head), min(stop, last) - first + len(head)
    return _printable(line), _columns(line[:start]), max(1, _columns(line[start:stop]))


def _printable(text: str) -> str:
    """Tabs as four columns, everything else that a terminal wouldn't show as itself replaced."""
    return "".join("    " if c == "\t" else "\ufffd" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in text)


def _columns(text: str) -> int:
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in _printable(text)
    )


def caller_level() -> int:
    """The number of frames up to the first one outside of the package, for `warnings.warn`."""
    level, frame, package = 0, inspect.currentframe(), __name__.rpartition(".")[0]  # a copy in another package has its own
    while frame is not None and f"{frame.f_globals.get('__name__', '')}.".startswith(f"{package}."):
        level, frame = level + 1, frame.f_back
    return level
