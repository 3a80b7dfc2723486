"""The refusal of a file: all that can't be imported, or exported, each with its place and the reason."""

from __future__ import annotations

from collections.abc import Sequence

from rnnspec.frozen import frozen

SHOWN = 20
"""Findings that are shown at once."""


@frozen
class Finding:
    """A part of a model that can't be said: `place` is a layer or node, as `layer dense (Dense)`, `attribute` what of it, if anything."""

    place: str
    attribute: str
    reason: str

    def __str__(self) -> str:
        """One line."""
        where = ", ".join(part for part in (self.place, self.attribute) if part)
        return f"{where}: {self.reason}" if where else self.reason


class _Refused(ValueError):
    """A model that doesn't go where it should, with all findings at once."""

    verb = ""

    def __init__(self, file: str, findings: Sequence[Finding]) -> None:
        self.file = file
        self.findings = tuple(findings)
        super().__init__(file, self.findings)

    def __str__(self) -> str:
        """The file, and a line for each finding."""
        shown = [f"  {finding}" for finding in self.findings[:SHOWN]]
        if len(self.findings) > SHOWN:
            shown.append(f"  and {len(self.findings) - SHOWN} more")
        return "\n".join([f"{self.file} can't be {self.verb}:", *shown])


class ImportRefused(_Refused):
    """A file that can't be imported; `findings` says why, all at once."""

    verb = "imported"


class ExportRefused(_Refused):
    """A model that another format can't say; `findings` says why, all at once."""

    verb = "exported"


class Findings:
    """Findings that are collected; a reader goes on behind one, to find the next."""

    def __init__(self) -> None:
        self.found: list[Finding] = []
        self.notes: list[str] = []
        self.dropped: list[str] = []

    def add(self, place: str, attribute: str, reason: str) -> None:
        """Another finding, unless it is there already."""
        finding = Finding(place, attribute, reason)
        if finding not in self.found:
            self.found.append(finding)

    def note(self, text: str) -> None:
        """Something that was left out, renamed or decided, and makes no difference."""
        if text not in self.notes:
            self.notes.append(text)

    def drop(self, text: str) -> None:
        """Something that is left out and would be missed."""
        if text not in self.dropped:
            self.dropped.append(text)

    def refuse_import(self, file: str) -> None:
        """Raises `ImportRefused` if there is a finding."""
        if self.found:
            raise ImportRefused(file, self.found)
